"""Text of one cell -> JSON-ready value of one field. Pure; a text that cannot be converted raises `BadValue`.

Shapes: text str; numbers int or float; dates "2024-01-30"; times "2024-01-30T09:05:00+03:00"; booleans True / False;
multifields [{"typeId", "valueType", "value"}] (api-reference/crm/universal/crm-item-add.md, `fm`).
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from b24sync.importing.currencies import CURRENCY_NAMES
from b24sync.importing.draft import Ref
from b24sync.importing.export_format import LINES, split_values
from b24sync.importing.source import EXACT_DIGITS, DateCell, NumberCell
from b24sync.portal.product_rows import PRODUCT_FIELDS
from b24sync.portal.words import NO, YES

Converter = Callable[[str], Any]

_SEVERAL = "; several need separator"
SPREADSHEET_ERRORS = frozenset(
    {"#REF!", "#N/A", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!"}
    | {"#GETTING_DATA", "#CONNECT!", "#BLOCKED!", "#BUSY!", "#UNKNOWN!", "#ERROR!", "#FORMULA!", "#MERGED!"}
    | {"#ССЫЛКА!", "#Н/Д", "#ДЕЛ/0!", "#ЗНАЧ!", "#ИМЯ?", "#ЧИСЛО!", "#ПУСТО!"}
)
# crm/auxiliary/enum/crm-enum-address-type.md: `home` is what the portal calls the address of registration
ADDRESS_TYPES = {
    "actual": 1, "home": 4, "registration": 4, "legal": 6, "mailing": 8, "beneficiary": 9, "delivery": 11,
}  # fmt: skip
_ADDRESS_TYPE_NAMES = {
    "фактический адрес": 1, "адрес регистрации": 4, "юридический адрес": 6, "почтовый адрес": 8,
    "адрес для корреспонденции": 8, "адрес бенефициара": 9, "адрес доставки": 11,
}  # fmt: skip
EARLIEST_YEAR, LATEST_YEAR = 1900, 2199
# MySQL's DECIMAL(18,2) behind the portal's money fields ends there; JSON numbers above are not exact either.
_LARGEST_NUMBER = 10**15


class BadValue(Exception):
    """`text` is not what the field takes. `expected` says what would be."""

    def __init__(self, code: str, expected: str) -> None:
        super().__init__(expected)
        self.code = code
        self.expected = expected


@dataclass(frozen=True, slots=True)
class UserFieldType:
    """What the portal says about a user field.

    `type_id` is USER_TYPE_ID (string, integer, double, boolean, date, datetime, money, enumeration, url, address,
    employee, crm_status, crm, ...), `dictionary` SETTINGS.ENTITY_TYPE of a crm_status field, `decimals`
    SETTINGS.PRECISION of a double one, to which the portal rounds.
    Docs: api-reference/crm/universal/user-defined-fields/crm-userfield-types.md
    """

    type_id: str
    multiple: bool = False
    dictionary: str | None = None
    decimals: int | None = None


# --- numbers -----------------------------------------------------------------------------------------------------

# what parts groups of digits: spaces, also those that do not break a line, and the Swiss apostrophe
_GAP = r"[ \t\u00a0\u2007\u2009\u202f'’]"
_SPACES = re.compile(_GAP)
_GROUPED_BY_SPACE = re.compile(rf"[+-]?[0-9]{{1,3}}(?:{_GAP}[0-9]{{3}})+(?:[.,][0-9]+)?")
_CURRENCY_MARKS = {
    "€": "EUR", "eur": "EUR", "евро": "EUR", "$": "USD", "usd": "USD", "us$": "USD", "₽": "RUB", "rub": "RUB",
    "руб": "RUB", "руб.": "RUB", "р.": "RUB", "р": "RUB", "£": "GBP", "gbp": "GBP", "₴": "UAH", "uah": "UAH",
    "грн": "UAH", "грн.": "UAH", "₸": "KZT", "kzt": "KZT", "тг": "KZT", "тг.": "KZT", "byn": "BYN", "br": "BYN",
    "zł": "PLN", "pln": "PLN", "¥": "JPY", "cny": "CNY", "chf": "CHF", "r$": "BRL", "brl": "BRL",
}  # fmt: skip
_MARKED = re.compile(
    rf"(?P<before>[^0-9\s.,+\-−()]*){_GAP}*(?P<number>[+\-−]?(?:[0-9.,]|{_GAP})*[0-9]){_GAP}*(?P<after>[^0-9\s]*)"
)
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:\.\d+)?[eE][+-]?\d{1,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number as written, and the currency written beside it."""

    number: Decimal
    currency: str | None


def parse_amount(text: str, decimal: str | None = None) -> Amount:
    """Read "1 234,56", "€ 3.500,00", "-12", "$1,234.50". `decimal` is the decimal mark where the mapping names it.

    Without it the mark is guessed only where one reading is possible: "1,234" is refused.
    Raises: BadValue BAD_NUMBER, AMBIGUOUS_NUMBER, UNKNOWN_CURRENCY.
    """
    if isinstance(text, NumberCell):
        return Amount(Decimal(text), None)
    if text.isascii() and text.isdigit():
        return Amount(Decimal(text), None)
    if _SCIENTIFIC.fullmatch(text):
        return Amount(Decimal(text), None)
    match = _MARKED.fullmatch(text)
    if match is None or (match["before"] and match["after"]):
        raise BadValue("BAD_NUMBER", "a number")
    mark = (match["before"] or match["after"]).lower()
    if mark and mark not in _CURRENCY_MARKS:
        raise BadValue("BAD_NUMBER", f'a number; "{mark}" is not a currency known here')
    return Amount(_parse_digits(match["number"], decimal), _CURRENCY_MARKS.get(mark))


def _parse_digits(written: str, decimal: str | None) -> Decimal:
    digits = written.replace("−", "-").strip()
    if _SPACES.search(digits):
        if not _GROUPED_BY_SPACE.fullmatch(digits):
            raise BadValue("BAD_NUMBER", "a number; spaces may only part groups of three digits")
        digits = _SPACES.sub("", digits)
        if decimal is None and ("," in digits) != ("." in digits):
            decimal = "," if "," in digits else "."
    mark = decimal or _guess_decimal(digits)
    group = "," if mark == "." else "."
    whole, _, fraction = digits.partition(mark)
    if group in fraction or mark in fraction:
        raise BadValue("BAD_NUMBER", f'a number with the decimal mark "{mark}"')
    if group in whole:
        first, *groups = whole.lstrip("+-").split(group)
        if not 1 <= len(first) <= 3 or any(len(part) != 3 for part in groups):
            raise BadValue("BAD_NUMBER", f'a number with the decimal mark "{mark}" and groups of three digits')
        whole = whole.replace(group, "")
    try:
        return Decimal(f"{whole}.{fraction}" if fraction else whole)
    except ArithmeticError as error:
        raise BadValue("BAD_NUMBER", "a number") from error


def _guess_decimal(digits: str) -> str:
    """The decimal mark of `digits`, where only one reading is possible. Raises: BadValue AMBIGUOUS_NUMBER."""
    comma, point = digits.count(","), digits.count(".")
    if comma and point:
        return "," if digits.rfind(",") > digits.rfind(".") else "."
    if not comma and not point:
        return "."
    mark, other = (",", ".") if comma else (".", ",")
    if comma + point > 1:
        return other
    whole, _, fraction = digits.lstrip("+-").partition(mark)
    if len(fraction) == 3 and 1 <= len(whole) <= 3 and whole.strip("0"):
        raise BadValue(
            "AMBIGUOUS_NUMBER",
            f'a number that can be read in one way only; say decimal = "." or ","; "{mark}" may be either',
        )
    return mark


def json_number(number: Decimal) -> int | float:
    """`number` as a JSON number of the same value. Raises: BadValue NUMBER_TOO_LARGE, NUMBER_TOO_PRECISE."""
    if abs(number) >= _LARGEST_NUMBER:
        raise BadValue("NUMBER_TOO_LARGE", f"a number below {_LARGEST_NUMBER:,}")
    if number == number.to_integral_value():
        return int(number)
    as_float = float(number)
    if Decimal(repr(as_float)) != number:
        raise BadValue("NUMBER_TOO_PRECISE", "a number of at most 15 digits")
    return as_float


def number_converter(decimal: str | None) -> Converter:
    """Text -> int or float."""

    def convert(text: str) -> int | float:
        amount = parse_amount(text, decimal)
        if amount.currency is not None:
            raise BadValue("BAD_NUMBER", "a number without a currency")
        return json_number(amount.number)

    return convert


def integer_converter(decimal: str | None) -> Converter:
    """Text -> int."""
    to_number = number_converter(decimal)

    def convert(text: str) -> int:
        number = to_number(text)
        if not isinstance(number, int):
            raise BadValue("BAD_INTEGER", "a whole number")
        return number

    return convert


def money_converter(decimal: str | None, currency: str | None, *, mark_allowed: bool = False) -> Converter:
    """Text -> int or float, for opportunity and revenue.

    A currency written beside the number must be `currency`, the mapping's constant; `mark_allowed` lets any pass,
    where a column names the currency and the caller compares.
    """

    def convert(text: str) -> int | float:
        amount = parse_amount(text, decimal)
        if amount.currency is not None and not mark_allowed:
            same_currency(amount.currency, currency)
        if amount.number < 0:
            raise BadValue("NEGATIVE_MONEY", "an amount that is not negative")
        return json_number(amount.number)

    return convert


def same_currency(written: str, stated: str | None) -> None:
    """Refuse an amount that names another currency than the mapping. Raises: BadValue OTHER_CURRENCY."""
    if written != stated:
        wanted = f"an amount in {stated}" if stated else "an amount alone, or a currency in the mapping"
        raise BadValue("OTHER_CURRENCY", f"{wanted}, not one in {written}")


def currency_converter(text: str) -> str:
    """Text -> currency code of three letters; common signs and names are understood."""
    small = " ".join(text.casefold().split())
    code = _CURRENCY_MARKS.get(small) or CURRENCY_NAMES.get(small) or text.upper()
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise BadValue("BAD_CURRENCY", "a currency code of three letters, like RUB")
    return code


# --- dates -------------------------------------------------------------------------------------------------------

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)  # fmt: skip
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,? +(\d{1,2}):(\d\d)(?::(\d\d))?)?", re.ASCII)
_DIRECTIVES = {
    "%d": r"(?P<d>\d{1,2})",
    "%m": r"(?P<m>\d{1,2})",
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d\d)",
    "%H": r"(?P<H>\d{1,2})",
    "%M": r"(?P<M>\d{1,2})",
    "%S": r"(?P<S>\d{1,2})",
}
_STRPTIME_ONLY = frozenset({"%b", "%B", "%p", "%I", "%f", "%z", "%a", "%A", "%j"})
_EXPECTED = "a date like 30.01.2024, 30.01.2024 09:05 or 2024-01-30; other forms need format"

_ISO_LENGTH = len("2024-01-30T09:05:00+03:00")
Moment = Callable[[str], tuple[dt.datetime, bool]]


def check_date_format(written: str) -> str | None:
    """Why `written` is no usable strptime format; None where it is."""
    directives = set(re.findall(r"%.", written.replace("%%", "")))
    unknown = directives - _DIRECTIVES.keys() - _STRPTIME_ONLY
    if unknown:
        return f"unknown {', '.join(sorted(unknown))}; use %d %m %Y %H %M %S"
    for wanted, alternatives in (("year", "%Y %y"), ("month", "%m %b %B %j"), ("day", "%d %j")):
        if directives.isdisjoint(alternatives.split()):
            return f"it has no {wanted} ({alternatives.replace(' ', ' or ')})"
    if "%I" in directives and "%p" not in directives:
        return "%I needs %p"
    return None


_DAYS = re.compile(r"[1-9]\d{4}(?:[.,]\d+)?", re.ASCII)


def moment_parser(written_format: str | None) -> Moment:
    """Text -> (datetime, has a time of day). Naive where the text has no offset.

    With a format: that form, or a real date cell. Without: ISO, or DD.MM.YYYY with or without a time of day.
    The parser raises BadValue BAD_DATE.
    """
    if written_format is None:
        return _guessed_moment
    fast = _compiled_format(written_format)
    has_time = any(directive in written_format for directive in ("%H", "%I"))

    def parse(text: str) -> tuple[dt.datetime, bool]:
        if isinstance(text, DateCell):
            return _guessed_moment(text)
        try:
            moment = fast(text) if fast else dt.datetime.strptime(text, written_format)
        except ValueError as error:
            raise BadValue(
                "BAD_DATE",
                f'a date like {_example(written_format)}, as format = "{written_format}" says{_as_days(text)}',
            ) from error
        return _in_range(moment), has_time

    return parse


def _as_days(text: str) -> str:
    """What a number instead of a date may be: how spreadsheets count days. In words, "" where it is none."""
    if not _DAYS.fullmatch(text):
        return ""
    day = dt.date(1899, 12, 30) + dt.timedelta(days=int(text[:5]))
    return f"; {text} may be {day:%d.%m.%Y} as a spreadsheet counts days: give its cells the format of a date"


def _example(written_format: str) -> str:
    return dt.datetime(2024, 1, 30, 9, 5, 7).strftime(written_format)


def _compiled_format(written_format: str) -> Callable[[str], dt.datetime] | None:
    """A parser several times faster than strptime for formats of digits only; None for others."""
    parts = re.split(r"(%.)", written_format)
    directives = parts[1::2]
    if any(part not in _DIRECTIVES for part in directives) or len(set(directives)) != len(directives):
        return None
    if "%y" in directives:
        return None
    pattern = re.compile("".join(_DIRECTIVES.get(part) or re.escape(part) for part in parts), re.ASCII)
    order = [
        directives.index(wanted) + 1 if wanted in directives else 0 for wanted in ("%Y", "%m", "%d", "%H", "%M", "%S")
    ]
    fullmatch = pattern.fullmatch
    year, month, day, hour, minute, second = order

    def parse(text: str) -> dt.datetime:
        match = fullmatch(text)
        if match is None:
            raise ValueError(text)
        return dt.datetime(
            int(match[year]),
            int(match[month]),
            int(match[day]),
            int(match[hour]) if hour else 0,
            int(match[minute]) if minute else 0,
            int(match[second]) if second else 0,
        )

    return parse


def _guessed_moment(text: str) -> tuple[dt.datetime, bool]:
    try:
        if text[4:5] == "-" and _ISO.fullmatch(text):
            return _in_range(dt.datetime.fromisoformat(text)), len(text) > 10
        match = _DOTTED.fullmatch(text)
        if match is not None:
            day, month, year, hour, minute, second = match.groups()
            moment = dt.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
            return _in_range(moment), hour is not None
    except ValueError as error:
        raise BadValue("BAD_DATE", f"a date that exists ({error})") from error
    raise BadValue("BAD_DATE", _EXPECTED + _as_days(text))


def _in_range(moment: dt.datetime) -> dt.datetime:
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise BadValue("BAD_DATE", f"a date between {EARLIEST_YEAR} and {LATEST_YEAR}")
    return moment


def date_converter(written_format: str | None) -> Converter:
    """Text -> "YYYY-MM-DD".

    A time of day is dropped only where the mapping's format names it, so that it never goes missing unseen.
    """
    parse = moment_parser(written_format)

    def convert(text: str) -> str:
        moment, has_time = parse(text)
        if has_time and written_format is None and moment.time() != dt.time():
            raise BadValue(
                "DATE_WITH_TIME", "a date alone, which is all this field holds; format drops the time of day"
            )
        return moment.date().isoformat()

    return convert


def datetime_converter(written_format: str | None, zone: ZoneInfo, portal_zone: ZoneInfo) -> Converter:
    """Text, read in `zone` -> ISO 8601 with `portal_zone`'s offset of that day, to the second.

    A clock time that the change to summer time skips is read with the offset before the change; one that comes twice
    is the earlier one. A date alone is its midnight.
    """
    parse = moment_parser(written_format)
    same_zone = zone.key == portal_zone.key
    offsets: dict[int, str] = {}

    def convert(text: str) -> str:
        moment = parse(text)[0]
        if moment.tzinfo is None:
            if same_zone:
                day = moment.toordinal()
                offset = offsets.get(day)
                if offset is None:
                    offset = offsets[day] = _offset_of_day(moment, zone)
                if offset:
                    return moment.isoformat(timespec="seconds") + offset
            moment = moment.replace(tzinfo=zone)
        universal = moment.astimezone(dt.UTC)
        written = universal.astimezone(portal_zone).isoformat(timespec="seconds")
        # before the zones of today, offsets had seconds, which ISO 8601 does not know: such a time is written in UTC
        return written if len(written) == _ISO_LENGTH else universal.isoformat(timespec="seconds")

    return convert


def _offset_of_day(moment: dt.datetime, zone: ZoneInfo) -> str:
    """The zone's offset on that day, like "+03:00"; "" where it changes during the day."""
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=zone)
    end = start.replace(hour=23, minute=59, second=59)
    moments = (start, start.replace(fold=1), end, end.replace(fold=1))
    if len({at.utcoffset() for at in moments}) > 1:
        return ""
    offset = start.isoformat()[19:]
    return offset if len(offset) == len("+03:00") else ""


# --- the rest ----------------------------------------------------------------------------------------------------

_EMAIL = re.compile(r"[^@\s,;:<>()\"]+@[^@\s,;:<>()\".]+(?:\.[^@\s,;:<>()\".]+)+")
_CRM_REFERENCE = re.compile(r"(?:(?:L|D|C|CO|Q|I|O|SI|T[0-9a-f]+)_)?\d+", re.ASCII)


def percent_converter(whole: Converter) -> Converter:
    """Text -> what `whole` makes of it, with a percent sign or without."""
    return lambda text: whole(text[:-1].rstrip() if text.endswith("%") else text)


def rounded(value: Any, decimals: int) -> tuple[Any, bool]:
    """A number, or a list of them, as a field of so many decimals keeps it, halves away from zero; whether that changes
    what a person would write.
    """
    if isinstance(value, list):
        pairs = [rounded(one, decimals) for one in value]
        return [one for one, _ in pairs], any(changed for _, changed in pairs)
    if not isinstance(value, float) or abs(value) >= 10**EXACT_DIGITS:
        return value, False
    kept = json_number(Decimal(str(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))
    return kept, not math.isclose(kept, value, rel_tol=1e-12, abs_tol=1e-12)


def bool_converter(text: str) -> bool:
    """Text -> True or False: Y, N, да, нет, yes, no, true, false, 1, 0, ИСТИНА, ЛОЖЬ in any case."""
    small = text.casefold()
    if small in YES:
        return True
    if small in NO:
        return False
    raise BadValue("BAD_BOOLEAN", "yes or no (Y, N, да, нет, 1, 0, true, false)")


def text_converter(text: str) -> str:
    """Text as it stands, as a plain str."""
    return str(text)


def phone(text: str) -> str:
    """A phone number as typed; the portal compares it whole (crm.duplicate.findbycomm), so nothing is rewritten."""
    if sum(char.isdecimal() for char in text) < 3 or any(char.isalpha() for char in _without_extension(text)):
        raise BadValue("BAD_PHONE", "a phone number")
    return str(text)


def _without_extension(text: str) -> str:
    return re.sub(r"(?i)(доб\.?|ext\.?|вн\.?|тел\.?|моб\.?|tel\.?|x)", "", text)


def email(text: str) -> str:
    """An e-mail address; the portal refuses others (api-reference/crm/contacts/crm-contact-add.md, ERROR_CORE)."""
    address = text.removeprefix("mailto:")
    if len(address) > 254 or not _EMAIL.fullmatch(address):
        raise BadValue("BAD_EMAIL", f"an e-mail address{_SEVERAL}")
    return str(address)


def web(text: str) -> str:
    """An address on the web, as typed."""
    if any(char.isspace() for char in text):
        raise BadValue("BAD_URL", f"one web address{_SEVERAL}")
    return str(text)


def multifield(type_id: str, value_type: str, check: Callable[[str], str]) -> Converter:
    """Text -> one entry of `fm` (api-reference/crm/universal/crm-item-add.md).

    Where `value_type` is "*" the text says it: `WORK:+7 495 1234567` (export_format.multifield_text).
    """

    def convert(text: str) -> dict[str, str]:
        if value_type == "*":
            said, _, rest = text.partition(":")
            return {"typeId": type_id, "valueType": said, "value": check(rest)}
        return {"typeId": type_id, "valueType": value_type, "value": check(text)}

    return convert


def _part(one: Converter, text: str) -> Any:
    """One of several values; a message names it, for the cell is long."""
    try:
        return one(text)
    except BadValue as bad:
        raise BadValue(bad.code, f'{bad.expected.removesuffix(_SEVERAL)} instead of "{text}"') from bad


def several(one: Converter, separator: str | None) -> Converter:
    """Text -> list: split at `separator`, empty parts left out; without one the whole text is the only part."""
    if separator is None:
        return lambda text: [one(text)]
    if separator == LINES:
        return lambda text: [one(part) for part in split_values(text)]

    def convert(text: str) -> list[Any]:
        parts = [part for each in text.split(separator) if (part := each.strip())]
        return [_part(one, part) for part in parts] if len(parts) > 1 else [one(part) for part in parts]

    return convert


@dataclass(frozen=True, slots=True)
class UserFieldContext:
    """What converting a user field needs besides the text: the column's options and the portal's zone."""

    field: str
    column: str
    portal_zone: ZoneInfo
    zone: ZoneInfo | None = None
    format: str | None = None
    decimal: str | None = None
    currency: str | None = None
    separator: str | None = None
    default: str | None = None
    missing: str | None = None


def user_field_converter(kind: UserFieldType, context: UserFieldContext) -> Converter:
    """How the text of a column becomes the user field's value.

    Docs: api-reference/crm/universal/user-defined-fields/crm-userfield-types.md; values in crm/data-types.md
    """
    one = _one_user_value(kind, context)
    return several(one, context.separator) if kind.multiple else one


def convert_uf(kind: UserFieldType, text: str, context: UserFieldContext) -> Any:
    """Convert one text at once; for a whole column take `user_field_converter`. Raises: BadValue."""
    return user_field_converter(kind, context)(text)


def _one_user_value(kind: UserFieldType, context: UserFieldContext) -> Converter:
    zone = context.zone or context.portal_zone
    match kind.type_id:
        case "integer" | "iblock_section" | "iblock_element":
            return integer_converter(context.decimal)
        case "double":
            return number_converter(context.decimal)
        case "boolean":
            return bool_converter
        case "date":
            return date_converter(context.format)
        case "datetime":
            return datetime_converter(context.format, zone, context.portal_zone)
        case "money":
            return _money_field_converter(context)
        case "enumeration":
            return _reference("enumeration", None, context)
        case "employee":
            return _reference("user", None, context)
        case "crm_status":
            return _reference("status", kind.dictionary, context)
        case "crm":
            return _crm_reference
        case "file":
            return file_converter
        case _:
            return text_converter


def _money_field_converter(context: UserFieldContext) -> Converter:
    """Text -> "300|RUB". A bare number gets the mapping's currency, else the portal's base currency by itself."""

    def convert(text: str) -> str:
        written, bar, code = text.partition("|")
        amount = parse_amount(NumberCell(written) if isinstance(text, NumberCell) else written.strip(), context.decimal)
        named = currency_converter(code.strip()) if bar else amount.currency
        currency = named or context.currency
        if abs(amount.number) >= _LARGEST_NUMBER:
            raise BadValue("NUMBER_TOO_LARGE", f"a number below {_LARGEST_NUMBER:,}")
        number = format(amount.number.normalize(), "f")
        return f"{number}|{currency}" if currency else number

    return convert


def _reference(kind: str, dictionary: str | None, context: UserFieldContext) -> Converter:
    field, column, default, missing = context.field, context.column, context.default, context.missing

    def convert(text: str) -> Ref:
        return Ref(kind, str(text), field, column, None, False, default, dictionary, missing)

    return convert


def file_converter(text: str) -> dict[str, str]:
    """Path of a file -> {"file": path}; what it holds is read when the row is written (`files.py`)."""
    return {"file": str(text)}


def product_rows_converter(text: str) -> list[dict[str, Any]]:
    """JSON of `portal.product_rows.PRODUCT_FIELDS` -> product rows."""
    try:
        rows = json.loads(text)
    except ValueError:
        rows = None
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and row.keys() <= PRODUCT_FIELDS.keys() for row in rows
    ):
        raise BadValue("BAD_PRODUCT_ROWS", f"product rows as JSON with {', '.join(PRODUCT_FIELDS)}")
    return rows


def address_type_converter(text: str) -> int:
    """A word of ours, the portal's Russian name or the id -> id of an address type."""
    folded = text.casefold()
    known = ADDRESS_TYPES.get(folded) or _ADDRESS_TYPE_NAMES.get(folded)
    if known is None and folded in map(str, ADDRESS_TYPES.values()):
        known = int(folded)
    if known is None:
        raise BadValue("BAD_ADDRESS_TYPE", f"a type of address: {', '.join(ADDRESS_TYPES)}")
    return known


def _crm_reference(text: str) -> str:
    if not _CRM_REFERENCE.fullmatch(text):
        raise BadValue("BAD_CRM_REFERENCE", "a CRM object like D_1, C_2, CO_3 or an id")
    return str(text)
