"""Rows -> drafts by a mapping. Everything about a column is decided once; a row costs a few dictionary look-ups."""

from __future__ import annotations

import datetime as dt
import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Any
from zoneinfo import ZoneInfo

from b24sync.errors import B24SyncError, ConfigError
from b24sync.importing import fields, values
from b24sync.importing.doubts import Doubts
from b24sync.importing.draft import Draft, Ref, RowError
from b24sync.importing.fields import Kind
from b24sync.importing.folding import fold_lines
from b24sync.importing.importer import Importer
from b24sync.importing.mapping import Column, Constant, Mapping, Template, parse_template
from b24sync.importing.seen_keys import SeenKeys
from b24sync.importing.source import DateCell, NumberCell, Source
from b24sync.importing.titles import ColumnNames
from b24sync.importing.values import BadValue, Converter, UserFieldType
from b24sync.portal.pairs import MIXED

__all__ = ["Extractor", "SeenKeys", "read_rows"]

# VARCHAR(255) on the portal's side: a longer one would be cut and never found again.
MAX_KEY_CHARS = 255
# A long id that a spreadsheet took for a number, saved as it showed it.
_SHORTENED = re.compile(r"\d[.,]\d+E\+\d+", re.ASCII | re.IGNORECASE)
_MEMO_SIZE = 2048
_SHOWN_CHARS = 200
_ABSENT: Any = object()
_UNKNOWN: Any = object()

TOTALS = frozenset({"Итого", "Итого:", "ИТОГО", "ИТОГО:", "Всего", "Всего:", "ВСЕГО", "Общий итог", "Grand Total"})
"""What stands where a key would in the last row of a report."""

_REFERENCE_KINDS = {
    Kind.USER: "user",
    Kind.USERS: "user",
    Kind.PIPELINE: "pipeline",
    Kind.STAGE: "stage",
    Kind.STATUS: "status",
    Kind.COMPANY: "company",
    Kind.COMPANIES: "company",
    Kind.CONTACT: "contact",
    Kind.CONTACTS: "contact",
    Kind.PARENT: "parent",
}
_MULTIFIELD_CHECKS = {Kind.PHONE: values.phone, Kind.EMAIL: values.email, Kind.WEB: values.web}


@dataclass(frozen=True, slots=True)
class _Problem:
    """One reason why a row cannot be written."""

    column: str | None
    value: str | None
    code: str
    message: str


def _is_odd(key: str) -> bool:
    return "E+" in key or "e+" in key or key in TOTALS or not key.isprintable()


class Extractor:
    """Turns rows into drafts.

    `header` is the file's; `portal_tz` the zone of times without one; `uf_types` the user fields of the entity by code,
    as the portal describes them: None leaves their values as text.
    Raises: ConfigError listing every mistake of mapping and file at once.
    """

    def __init__(
        self,
        mapping: Mapping,
        header: Sequence[str],
        *,
        portal_tz: ZoneInfo,
        uf_types: dict[str, UserFieldType] | None = None,
    ) -> None:
        self._header = list(header)
        names = ColumnNames(header)
        compiler = _Compiler(mapping, names, portal_tz, uf_types)
        self._key = names.index(mapping.key, "key")
        self._steps = compiler.column_steps()
        self._templates = compiler.template_steps()
        self._constants = compiler.constants()
        self._amounts = compiler.amounts_with_currency()
        self._watched = names.untitled() if mapping.missing.columns == "refuse" else ()
        if mapping.missing.columns == "refuse":
            names.refuse_unmentioned()
        problems = [*names.problems, *compiler.problems]
        if problems:
            raise ConfigError("the mapping does not fit the file", problems)
        self._columns = names.columns_needed()
        self.folds = any(fields.product_field(name) for name in mapping.fields_used)
        self._refuse_extra = mapping.missing.columns == "refuse"
        self._known_extra = names.mentioned_beyond_header()
        # The keys of an export stand in a portal as they are.
        self._is_export = mapping.originator.startswith(MIXED)
        self._doubts = Doubts(mapping, uf_types)

    @property
    def doubts(self) -> list[str]:
        """What of the rows read so far may be wrong although nothing refuses it: a sentence for each column."""
        return list(self._doubts.told)

    def extract(self, line: int, cells: list[str]) -> Draft | RowError:
        """The draft of one row, or every reason why there is none. `cells` come stripped, as sources yield them."""
        if len(cells) < self._columns:
            cells = cells + [""] * (self._columns - len(cells))
        key = cells[self._key]
        result = dict(self._constants)
        problems: list[_Problem] = []
        if not key or len(key) > MAX_KEY_CHARS or key[0] == "#" or key == self._header[self._key] or _is_odd(key):
            problems = self._key_problems(key, cells)
        named = not problems
        if type(key) is NumberCell and key.may_be_rounded:
            self._doubts.rounded_id(line, self._title(self._key), is_key=True)
        for index, field, memo, convert, when_empty, extend, column in self._steps:
            text = cells[index]
            if text:
                plain = type(text) is str
                value = memo.get(text, _UNKNOWN) if plain else _UNKNOWN
                if value is _UNKNOWN:
                    try:
                        value = convert(text)
                    except BadValue as bad:
                        problems.append(_problem(column, text, bad))
                        continue
                    if not plain:
                        if type(text) is NumberCell and text.may_be_rounded and index != self._key:
                            self._doubts.rounded_id(line, column, is_key=False)
                    elif len(memo) < _MEMO_SIZE:
                        memo[text] = value
                if value is _ABSENT:
                    value = when_empty
            else:
                value = when_empty
            if value is not _ABSENT:
                result[field] = [*result[field], *value] if extend and field in result else value
        for field, template, convert in self._templates:
            self._fill_template(result, problems, cells, field, template, convert)
        self._doubts.look_at(line, result)
        for index, decimal, column in self._amounts:
            problems += _other_currency(cells[index], decimal, column, result.get("currency"))
        if len(cells) > len(self._header) or self._watched:
            problems += self._unplanned(cells)
        if len(result) == len(self._constants) and not problems and result == self._constants and self._bare(cells):
            said = f'nothing but a key, "{key}": all columns that are imported are empty'
            problems = [_Problem(self._title(self._key), None, "NOTHING_BUT_KEY", said)]
        if problems:
            return _row_error(line, key, problems, result if named else {})
        return Draft(line, str(key), result)

    def _bare(self, cells: list[str]) -> bool:
        """Whether every column that fills a field is empty."""
        return bool(self._steps) and not any(cells[step[0]] for step in self._steps)

    def _title(self, index: int) -> str:
        return self._header[index] or f"column {index + 1}"

    def _key_problems(self, key: str, cells: list[str]) -> list[_Problem]:
        title = self._title(self._key)
        if not any(cells):
            return [_Problem(title, None, "NO_KEY", "the row is empty")]
        if not key:
            return [_Problem(title, None, "NO_KEY", f'no key: column "{title}" is empty')]
        if key in values.SPREADSHEET_ERRORS:
            return [_Problem(title, key, "SPREADSHEET_ERROR", f'column "{title}": {key} instead of a key')]
        unseen = next((char for char in key if unicodedata.category(char) in ("Cc", "Cf")), None)
        if unseen and not self._is_export:
            named = unicodedata.name(unseen, f"U+{ord(unseen):04X}")
            shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in key)
            message = f'column "{title}": "{shown}": a key with a character that nobody sees ({named}); delete it'
            return [_Problem(title, shown, "UNSEEN_CHARACTER", message)]
        if key in TOTALS:
            return [_Problem(title, key, "TOTALS", f'column "{title}": "{key}" instead of a key: a line of totals')]
        if len(key) > MAX_KEY_CHARS:
            message = f'column "{title}": a key of {len(key)} characters; at most {MAX_KEY_CHARS} can be kept'
            return [_Problem(title, key, "KEY_TOO_LONG", message)]
        if _SHORTENED.fullmatch(key):
            message = f'column "{title}": "{key}": a spreadsheet has cut the last digits of the id; keep ids as text'
            return [_Problem(title, key, "LOST_DIGITS", message)]
        if cells[: len(self._header)] == self._header:
            return [_Problem(title, key, "HEADER_AGAIN", "the header stands here again")]
        return []

    def _fill_template(
        self,
        result: dict[str, Any],
        problems: list[_Problem],
        cells: list[str],
        field: str,
        template: _CompiledTemplate,
        convert: Converter,
    ) -> None:
        try:
            text = template.fill(cells)
            if text:
                value = convert(text)
                if value is not _ABSENT:
                    result[field] = value
        except BadValue as bad:
            problems.append(_problem(f"[templates] {field}", template.raw(cells), bad))

    def _unplanned(self, cells: list[str]) -> list[_Problem]:
        """Values in columns without a title, which no mapping could have meant by oversight."""
        problems = []
        for index in self._watched:
            if cells[index]:
                name = f"column {index + 1}"
                message = f'{name} has no title but holds a value; map it as "{name}" or leave it out: "{name}" = "-"'
                problems.append(_Problem(name, cells[index], "UNTITLED_COLUMN", message))
        for index in range(len(self._header), len(cells)):
            if cells[index] and index not in self._known_extra and self._refuse_extra:
                message = f"more cells than the header has titles ({len(self._header)}): a separator inside a value?"
                problems.append(_Problem(f"column {index + 1}", cells[index], "EXTRA_CELLS", message))
                break
        return problems


def read_rows(
    source: Source, extractor: Extractor, seen: SeenKeys, importer: Importer | None = None
) -> Iterator[Draft | RowError]:
    """Yield one result per item of `source`; a key met before makes a RowError DUPLICATE_KEY, also of a refused row.

    Where the mapping fills product rows, the lines of one key that follow each other are one item.
    """
    results = _by_importer(importer, source, extractor) if importer else Importer().extract(source, extractor.extract)
    for result in fold_lines(results) if extractor.folds else results:
        if result.key:
            duplicate = seen.check(result.line, result.key)
            if duplicate is not None:
                yield duplicate
                continue
        yield result


def _by_importer(importer: Importer, source: Source, extractor: Extractor) -> Iterator[Draft | RowError]:
    """What an importer file makes of the rows. Raises: ConfigError, where its code does not run to the end."""
    at = 0

    def read(line: int, cells: list[str]) -> Draft | RowError:
        nonlocal at
        at = line
        return extractor.extract(line, cells)

    try:
        yield from importer.extract(source, read)
    except B24SyncError:
        raise
    except Exception as error:
        frames = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith(_OWN)]
        where = [f"{frames[-1].filename}, line {frames[-1].lineno}: {frames[-1].line}"] if frames else []
        said = f"importer {type(importer).__name__}: {source.name}, line {at}: {type(error).__name__}: {error}"
        raise ConfigError(said, where) from error


_OWN = str(Path(__file__).parent)
_Step = tuple[int, str, dict[str, Any], Converter, Any, bool, str]
_TemplateStep = tuple[str, "_CompiledTemplate", Converter]


class _Compiler:
    """Decides once per column, constant and template how its text becomes a value. Collects `problems`."""

    def __init__(
        self,
        mapping: Mapping,
        names: ColumnNames,
        portal_tz: ZoneInfo,
        uf_types: dict[str, UserFieldType] | None,
    ) -> None:
        self._mapping = mapping
        self._names = names
        self._zone = portal_tz
        self._uf_types = uf_types
        self._currency = _currency_of(mapping)
        self._currency_by_row = "currency" in mapping.fields_used and "currency" not in mapping.constants
        self.problems: list[str] = []
        filled = Counter(column.field for column in mapping.columns.values())
        self._fed_twice = {name for name, times in filled.items() if times > 1}

    def column_steps(self) -> list[_Step]:
        steps: list[_Step] = []
        fed: dict[str, str] = {}
        for title, column in self._mapping.columns.items():
            index = self._names.index(title, f'column "{title}"')
            if column.left_out:
                continue
            field = fields.find_field(self._mapping.entity, column.field)
            if field is None:
                raise KeyError(column.field)  # load_mapping has checked it
            who = f'column "{title}"'
            convert = self._converter(field, column, title, who)
            extend = self._is_list(field)
            if column.field in fed and not extend:
                self.problems.append(f'field "{column.field}" is filled more than once: {fed[column.field]}, {who}')
            fed[column.field] = who
            when_empty = self._when_empty(column, field, title, convert, who)
            steps.append((index, field.name, {}, _with_map(column, convert), when_empty, extend, title))
        return steps

    def template_steps(self) -> list[_TemplateStep]:
        steps: list[_TemplateStep] = []
        for name, text in self._mapping.templates.items():
            who = f"[templates] {name}"
            field = fields.find_field(self._mapping.entity, name)
            if field is None:
                raise KeyError(name)  # load_mapping has checked it
            convert = self._converter(field, Column(field=name), who, who)
            parsed = parse_template(text)
            indexes = tuple(self._names.index(title, who) for title in parsed.columns)
            steps.append((name, _CompiledTemplate(parsed, indexes, self._empty_on_error(parsed)), convert))
        return steps

    def constants(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, constant in self._mapping.constants.items():
            who = f"[constants] {name}"
            field = fields.find_field(self._mapping.entity, name)
            if field is None:
                raise KeyError(name)  # load_mapping has checked it
            convert = self._converter(field, Column(field=name), who, who)
            value = self._converted(convert, _constant_text(constant), who)
            if value is not _ABSENT:
                result[name] = value
        return result

    def amounts_with_currency(self) -> tuple[tuple[int, str | None, str], ...]:
        """(index, decimal, title) of amounts whose currency stands in another column of the row."""
        if not self._currency_by_row:
            return ()
        return tuple(
            (self._names.index(title, f'column "{title}"'), column.decimal, title)
            for title, column in self._mapping.columns.items()
            if not column.left_out and _kind(self._mapping, column.field) is Kind.MONEY
        )

    def _empty_on_error(self, template: Template) -> frozenset[int]:
        columns = self._mapping.columns
        return frozenset(
            position
            for position, title in enumerate(template.columns)
            if title in columns and columns[title].errors == "empty"
        )

    def _is_list(self, field: fields.Field) -> bool:
        if field.kind is not Kind.USER_FIELD:
            return field.multiple
        if self._uf_types is None:
            return field.name in self._fed_twice
        kind = self._uf_types.get(field.name)
        return kind is not None and kind.multiple

    def _when_empty(self, column: Column, field: fields.Field, title: str, convert: Converter, who: str) -> Any:
        """The value of an empty cell: `map` of "" first, then `default`."""
        mapped = column.map.get("")
        if mapped:
            return self._converted(convert, mapped, f"{who}: map")
        if column.default is None or column.default == "":
            return _ABSENT
        plain = self._converter(field, column.model_copy(update={"default": None}), title, who, silent=True)
        return self._converted(plain, column.default, f"{who}: default")

    def _converted(self, convert: Converter, text: str, who: str) -> Any:
        try:
            return convert(text) if text else _ABSENT
        except BadValue as bad:
            self.problems.append(f'{who}: "{text}": expected {bad.expected}')
            return _ABSENT

    def _converter(
        self, field: fields.Field, column: Column, title: str, who: str, *, silent: bool = False
    ) -> Converter:
        if field.kind is Kind.USER_FIELD:
            return self._user_field(field, column, title, who, silent=silent)
        zone = ZoneInfo(column.tz) if column.tz else self._zone
        match field.kind:
            case Kind.TEXT | Kind.ADDRESS:
                return values.text_converter
            case Kind.MONEY:
                return values.money_converter(column.decimal, self._currency, mark_allowed=self._currency_by_row)
            case Kind.NUMBER:
                return values.number_converter(column.decimal)
            case Kind.INTEGER:
                whole = values.integer_converter(column.decimal)
                return values.percent_converter(whole) if field.name == "probability" else whole
            case Kind.DATE:
                return values.date_converter(column.format)
            case Kind.DATETIME:
                return values.datetime_converter(column.format, zone, self._zone)
            case Kind.BOOL:
                return values.bool_converter
            case Kind.CURRENCY:
                return values.currency_converter
            case Kind.PRODUCT_ROWS:
                return values.product_rows_converter
            case Kind.ADDRESS_TYPE:
                return values.address_type_converter
            case Kind.PHONE | Kind.EMAIL | Kind.WEB:
                value_type = column.value_type or "WORK"
                one = values.multifield(fields.MULTIFIELD_TYPES[field.kind], value_type, _MULTIFIELD_CHECKS[field.kind])
                return values.several(one, column.separator)
            case _:
                one = _reference(field, column, title)
                return values.several(one, column.separator) if field.multiple else one

    def _user_field(self, field: fields.Field, column: Column, title: str, who: str, *, silent: bool) -> Converter:
        if self._uf_types is None:
            one = values.text_converter
            return values.several(one, column.separator) if field.name in self._fed_twice else one
        kind = self._uf_types.get(field.name)
        if kind is None:
            close = difflib.get_close_matches(field.name, self._uf_types, n=1, cutoff=0.7)
            hint = f"; did you mean {close[0]}?" if close else ""
            self._add(f"{who}: the portal's {self._mapping.entity} has no user field {field.name}{hint}", silent)
            return values.text_converter
        if column.separator is not None and not kind.multiple:
            self._add(f"{who}: separator, but {field.name} holds one value only", silent)
        context = values.UserFieldContext(
            field=field.name,
            column=title,
            portal_zone=self._zone,
            zone=ZoneInfo(column.tz) if column.tz else None,
            format=column.format,
            decimal=column.decimal,
            currency=self._currency,
            separator=column.separator,
            default=column.default,
            missing=column.missing,
        )
        return values.user_field_converter(kind, context)

    def _add(self, problem: str, silent: bool) -> None:
        if not silent:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class _CompiledTemplate:
    """A template bound to the file's columns."""

    template: Template
    indexes: tuple[int, ...]
    empty_on_error: frozenset[int]

    def raw(self, cells: list[str]) -> str:
        """What stands in the columns, for a message."""
        return " | ".join(cells[index] for index in self.indexes)

    def fill(self, cells: list[str]) -> str:
        """The text; "" where every column is empty. Raises: BadValue, where a cell holds an error mark.

        An empty column goes together with the literal after it, the last one with the literals on both sides: with
        "Deal {A} / {B}", A alone gives "Deal a", B alone "Deal b".
        """
        literals, indexes = self.template.literals, self.indexes
        parts: list[str] = []
        before = literals[0]
        for position, index in enumerate(indexes):
            text = cells[index]
            if text[:1] == "#" and text in values.SPREADSHEET_ERRORS:
                if position not in self.empty_on_error:
                    raise BadValue("SPREADSHEET_ERROR", f"a value; {text} is a spreadsheet's error mark")
                text = ""
            if text:
                parts += (before, text)
                before = literals[position + 1]
            elif position == len(indexes) - 1:
                before = ""
        return "".join((*parts, before)).strip() if parts else ""


def _with_map(column: Column, convert: Converter) -> Converter:
    """`map` first, then error marks, then `other`; "" out of the map is an empty cell."""
    table, other, errors_empty = column.map, column.other, column.errors == "empty"
    marks = values.SPREADSHEET_ERRORS

    def refuse_marks(text: str) -> Any:
        if text[0] == "#" and text in marks:
            if errors_empty:
                return _ABSENT
            raise BadValue("SPREADSHEET_ERROR", f"a value; {text} is a spreadsheet's error mark")
        return convert(text)

    if not table:
        return refuse_marks

    def mapped(text: str) -> Any:
        replacement = table.get(text)
        if replacement is None:
            if other is None or text in marks:
                return refuse_marks(text)
            replacement = other
        return convert(replacement) if replacement else _ABSENT

    return mapped


def _reference(field: fields.Field, column: Column, title: str) -> Converter:
    kind, name, dictionary = _REFERENCE_KINDS[field.kind], field.name, field.dictionary
    match, create, default, missing = column.match, column.create, column.default, column.missing
    if field.kind is Kind.PARENT:
        kind, match = fields.parent_entity(name), match or "id"

    def convert(text: str) -> Ref:
        return Ref(kind, str(text), name, title, match, create, default, dictionary, missing)

    return convert


def _kind(mapping: Mapping, name: str) -> Kind | None:
    field = fields.find_field(mapping.entity, name)
    return field.kind if field else None


def _other_currency(text: str, decimal: str | None, column: str, stated: object) -> list[_Problem]:
    """A currency beside the amount that is not the row's."""
    if not text or text.isdigit():
        return []
    try:
        written = values.parse_amount(text, decimal).currency
        if written is not None:
            values.same_currency(written, str(stated) if stated else None)
    except BadValue as bad:
        return [_problem(column, text, bad)] if bad.code == "OTHER_CURRENCY" else []
    return []


def _currency_of(mapping: Mapping) -> str | None:
    constant = mapping.constants.get("currency")
    if not isinstance(constant, str):
        return None
    try:
        return str(values.currency_converter(constant))
    except BadValue:
        return None  # reported with the constants


def _constant_text(constant: Constant) -> str:
    if isinstance(constant, bool):
        return "Y" if constant else "N"
    if isinstance(constant, int | float):
        return NumberCell(constant)
    if isinstance(constant, dt.date):
        return DateCell(constant.isoformat())
    return constant.strip()


def _problem(column: str, text: str, bad: BadValue) -> _Problem:
    shown = text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
    return _Problem(column, shown, bad.code, f'column "{column}": "{shown}": expected {bad.expected}')


def _row_error(line: int, key: str, problems: Sequence[_Problem], readable: dict[str, Any]) -> RowError:
    first = problems[0]
    message = "; ".join(problem.message for problem in problems)
    return RowError(line, str(key) or None, first.column, first.value, first.code, message, readable)
