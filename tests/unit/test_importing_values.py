"""Text of a cell -> value of a field: what is read, what is refused, nothing in between."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b24sync.importing import values
from b24sync.importing.draft import Ref
from b24sync.importing.source import DateCell, NumberCell
from b24sync.importing.template import ENGLISH, RUSSIAN
from b24sync.importing.values import BadValue, UserFieldContext, UserFieldType

MOSCOW = ZoneInfo("Europe/Moscow")
BERLIN = ZoneInfo("Europe/Berlin")
CONTEXT = UserFieldContext(field="UF_CRM_X", column="Колонка", portal_zone=MOSCOW)
ALL_TYPES = [
    *("string", "integer", "double", "boolean", "date", "datetime", "money", "enumeration", "url", "address"),
    *("employee", "crm_status", "crm", "iblock_section", "iblock_element", "some_app_type"),
]


def code_of(convert: values.Converter, text: str) -> str:
    with pytest.raises(BadValue) as caught:
        convert(text)
    assert caught.value.expected
    return caught.value.code


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("0", None, 0),
        ("007", None, 7),
        ("1100.04", None, 1100.04),
        ("1234,5", None, 1234.5),
        ("0,125", None, 0.125),
        ("1 234 567,8", None, 1234567.8),
        ("1\u00a0234,50", None, 1234.5),
        ("1\u202f234", None, 1234),
        ("1'234.5", None, 1234.5),
        ("3.500,00", None, 3500),
        ("1,234,567", None, 1234567),
        ("1.234.567,89", None, 1234567.89),
        ("-12", None, -12),
        ("−12,5", None, -12.5),
        ("1.234", ",", 1234),
        ("1,234", ".", 1234),
        ("1,234", ",", 1.234),
        ("1.5e3", None, 1500),
        ("12345,678", None, 12345.678),
    ],
)
def test_a_number_is_read_as_a_person_reads_it(text: str, decimal: str | None, number: float) -> None:
    result = values.number_converter(decimal)(text)
    assert result == number
    assert type(result) is type(number)


@pytest.mark.parametrize("text", ["1,234", "1.234", "12.345", "-999,000"])
def test_a_number_with_two_readings_is_refused_until_decimal_is_named(text: str) -> None:
    assert code_of(values.number_converter(None), text) == "AMBIGUOUS_NUMBER"
    values.number_converter(",")(text)
    values.number_converter(".")(text)


@pytest.mark.parametrize(
    "text", ["abc", "12 34", "1,2,3", "1.2,3.4", "1,23.456,7", "--1", "1-2", "(5)", "12 шт", "½", "."]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    assert code_of(values.number_converter(None), text) == "BAD_NUMBER"


def test_a_number_cell_is_read_with_a_point_whatever_the_column_says() -> None:
    convert = values.number_converter(",")
    assert convert(NumberCell("1.234")) == 1.234
    assert convert("1.234") == 1234


def test_a_number_that_json_cannot_hold_exactly_is_refused() -> None:
    assert code_of(values.number_converter(None), "5805028000056864695") == "NUMBER_TOO_LARGE"
    assert code_of(values.number_converter("."), "0.1234567890123456789") == "NUMBER_TOO_PRECISE"


@settings(deadline=None)
@given(st.decimals(min_value=-(10**12), max_value=10**12, places=2))
def test_money_written_the_russian_way_is_read_back_exactly(number: Decimal) -> None:
    text = f"{number:,.2f}".replace(",", "\u00a0").replace(".", ",")
    assert Decimal(str(values.number_converter(",")(text))) == number


@settings(deadline=None)
@given(st.decimals(min_value=0, max_value=10**12, places=2))
def test_money_written_the_german_way_with_a_sign_is_read_back_exactly(number: Decimal) -> None:
    text = "€ " + f"{number:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")
    assert Decimal(str(values.money_converter(None, "EUR")(text))) == number


@settings(deadline=None)
@given(st.floats(min_value=-1e14, max_value=1e14))
def test_a_native_number_is_never_changed_unseen(number: float) -> None:
    assert values.number_converter(None)(NumberCell(format(Decimal(repr(number)), "f"))) == number


@pytest.mark.parametrize(
    ("text", "number"), [("€ 3.500,00", 3500), ("€ 11398,00", 11398), ("1 000 €", 1000), ("12,50 eur", 12.5)]
)
def test_an_amount_may_carry_the_mark_of_its_currency(text: str, number: float) -> None:
    assert values.money_converter(",", "EUR")(text) == number


def test_an_amount_in_another_currency_is_refused() -> None:
    assert code_of(values.money_converter(",", "RUB"), "€ 100") == "OTHER_CURRENCY"
    assert code_of(values.money_converter(",", None), "€ 100") == "OTHER_CURRENCY"
    assert code_of(values.number_converter(","), "€ 100") == "BAD_NUMBER"


def test_negative_and_huge_money_are_refused() -> None:
    assert code_of(values.money_converter(None, None), "-5") == "NEGATIVE_MONEY"
    assert code_of(values.money_converter(None, None), "9" * 16) == "NUMBER_TOO_LARGE"


def test_a_currency_is_a_code_or_a_common_sign() -> None:
    assert [values.currency_converter(text) for text in ("eur", "€", "руб.", "KZT")] == ["EUR", "EUR", "RUB", "KZT"]
    assert code_of(values.currency_converter, "рублей") == "BAD_CURRENCY"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30.01.2024", "2024-01-30"),
        ("1.2.2024", "2024-02-01"),
        ("2024-01-30", "2024-01-30"),
        ("2024-01-30T00:00:00", "2024-01-30"),
        ("30.01.2024 00:00", "2024-01-30"),
    ],
)
def test_a_date_is_read_without_a_format(text: str, expected: str) -> None:
    assert values.date_converter(None)(text) == expected


@pytest.mark.parametrize(
    "text",
    ["31.02.2024", "30.02.2023", "2024-13-01", "00.01.2024", "01/02/2024", "30.01.24", "soon", "30.01.1812", "2024",
     "٣٠.٠١.٢٠٢٤", "30.01.2024 25:00", "2024-01-30T09:05 +"],
)  # fmt: skip
def test_an_impossible_or_unclear_date_is_refused(text: str) -> None:
    assert code_of(values.date_converter(None), text) == "BAD_DATE"
    assert code_of(values.datetime_converter(None, MOSCOW, MOSCOW), text) == "BAD_DATE"


def test_a_time_of_day_is_not_dropped_from_a_date_unless_the_format_says_so() -> None:
    assert code_of(values.date_converter(None), "30.01.2024 09:05") == "DATE_WITH_TIME"
    assert values.date_converter("%d.%m.%Y %H:%M")("30.01.2024 09:05") == "2024-01-30"


def test_a_format_reads_its_form_and_real_date_cells_only() -> None:
    convert = values.date_converter("%m/%d/%y")
    assert convert("01/30/24") == "2024-01-30"
    assert convert(DateCell("2024-01-30")) == "2024-01-30"
    with pytest.raises(BadValue, match='a date like 01/30/24, as format = "%m/%d/%y" says'):
        convert("2024-01-30")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30.01.2024 09:05", "2024-01-30T09:05:00+03:00"),
        ("30.01.2024 09:05:07", "2024-01-30T09:05:07+03:00"),
        ("30.01.2024", "2024-01-30T00:00:00+03:00"),
        ("2024-01-30T06:05:00Z", "2024-01-30T09:05:00+03:00"),
        ("2024-01-30 09:05:00+05:00", "2024-01-30T07:05:00+03:00"),
        ("2013-07-01T12:00:00", "2013-07-01T12:00:00+04:00"),
    ],
)
def test_a_time_gets_the_portals_offset_of_that_day(text: str, expected: str) -> None:
    assert values.datetime_converter(None, MOSCOW, MOSCOW)(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("31.03.2024 01:59", "2024-03-31T01:59:00+01:00"),
        ("31.03.2024 02:30", "2024-03-31T03:30:00+02:00"),
        ("31.03.2024 03:00", "2024-03-31T03:00:00+02:00"),
        ("27.10.2024 02:30", "2024-10-27T02:30:00+02:00"),
        ("27.10.2024 03:00", "2024-10-27T03:00:00+01:00"),
    ],
)
def test_clock_changes_keep_every_time_valid(text: str, expected: str) -> None:
    assert values.datetime_converter(None, BERLIN, BERLIN)(text) == expected


def test_times_of_another_zone_are_moved_to_the_portals() -> None:
    convert = values.datetime_converter("%d.%m.%Y %H:%M", BERLIN, MOSCOW)
    assert convert("30.01.2024 09:05") == "2024-01-30T11:05:00+03:00"
    assert convert("30.07.2024 09:05") == "2024-07-30T10:05:00+03:00"


@settings(deadline=None)
@given(
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2199, 12, 31)),
    st.sampled_from(["Europe/Moscow", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Africa/Monrovia"]),
)
def test_a_written_time_is_the_same_moment_and_valid_iso(moment: dt.datetime, name: str) -> None:
    zone = ZoneInfo(name)
    moment = moment.replace(microsecond=0)
    written = values.datetime_converter("%d.%m.%Y %H:%M:%S", zone, zone)(
        moment.strftime("%d.%m.") + f"{moment.year:04d}" + moment.strftime(" %H:%M:%S")
    )
    assert len(written) == len("2024-01-30T09:05:00+03:00")
    assert dt.datetime.fromisoformat(written) == moment.replace(tzinfo=zone).astimezone(dt.UTC)


@settings(deadline=None)
@given(
    st.dates(dt.date(1900, 1, 1), dt.date(2199, 12, 31)),
    st.sampled_from(["%d.%m.%Y", "%Y-%m-%d", "%m/%d/%Y", "%Y%m%d"]),
)
def test_a_date_survives_every_format(date: dt.date, written_format: str) -> None:
    assert values.date_converter(written_format)(date.strftime(written_format)) == date.isoformat()


@pytest.mark.parametrize(
    ("written_format", "reason"),
    [
        ("%d.%m", "no year"),
        ("%Y-%m", "no day"),
        ("DD.MM.YYYY", "no year"),
        ("%d.%m.%Y %Q", "unknown %Q"),
        ("%Y %d %m %I", "%p"),
    ],
)
def test_a_format_that_makes_no_date_is_told(written_format: str, reason: str) -> None:
    assert reason in str(values.check_date_format(written_format))


@pytest.mark.parametrize("text", ["Y", "да", "Да", "YES", "1", "true", "ИСТИНА", "TRUE"])
def test_yes_is_understood_in_both_languages(text: str) -> None:
    assert values.bool_converter(text) is True


@pytest.mark.parametrize("text", ["N", "нет", "Нет", "no", "0", "false", "ЛОЖЬ", "FALSE"])
def test_no_is_understood_in_both_languages(text: str) -> None:
    assert values.bool_converter(text) is False


def test_maybe_is_no_answer() -> None:
    assert code_of(values.bool_converter, "может быть") == "BAD_BOOLEAN"


def test_phones_stay_as_typed() -> None:
    assert values.phone("8 (912) 345-67-89 доб. 12") == "8 (912) 345-67-89 доб. 12"
    assert code_of(values.phone, "нет") == "BAD_PHONE"
    assert code_of(values.phone, "12") == "BAD_PHONE"
    assert code_of(values.phone, "иванов 2024 года") == "BAD_PHONE"


@pytest.mark.parametrize(
    ("text", "number"), [("actual", 1), ("Home", 4), ("Юридический адрес", 6), ("11", 11), (NumberCell(8), 8)]
)
def test_types_of_addresses(text: str, number: int) -> None:
    assert values.address_type_converter(text) == number
    assert code_of(values.address_type_converter, text + "2") == "BAD_ADDRESS_TYPE"


def test_a_template_offers_every_type_of_address_once() -> None:
    for words in (RUSSIAN, ENGLISH):
        offered = map(values.address_type_converter, words.address_types)
        assert sorted(offered) == sorted(set(values.ADDRESS_TYPES.values()))


def test_of_several_values_the_wrong_one_is_named() -> None:
    convert = values.several(values.email, ";")
    with pytest.raises(BadValue, match=r'^an e-mail address instead of "c@d"$'):
        convert("a@example.com; c@d")
    with pytest.raises(BadValue, match="several need separator"):
        convert("c@d")


@pytest.mark.parametrize("text", ["a@example.com", "и.петров@почта.рф", "first.last+tag@sub.example.co.uk"])
def test_an_email_address_is_accepted(text: str) -> None:
    assert values.email(text) == text


@pytest.mark.parametrize(
    "text", ["a@", "@example.com", "a@example", "a b@example.com", "a@example.com, b@example.com", "a@@example.com"]
)
def test_what_the_portal_would_refuse_as_email_is_refused_before(text: str) -> None:
    assert code_of(values.email, text) == "BAD_EMAIL"


def test_several_values_in_one_cell_need_a_separator() -> None:
    convert = values.several(values.multifield("PHONE", "MOBILE", values.phone), ";")
    assert convert("+7 912 000; ;8-800-200") == [
        {"typeId": "PHONE", "valueType": "MOBILE", "value": "+7 912 000"},
        {"typeId": "PHONE", "valueType": "MOBILE", "value": "8-800-200"},
    ]


@pytest.mark.parametrize(
    ("type_id", "text", "expected"),
    [
        ("string", "x", "x"),
        ("url", "https://example.com", "https://example.com"),
        ("address", "ул. Мира, 1", "ул. Мира, 1"),
        ("integer", "11", 11),
        ("integer", "11,0", 11),
        ("double", "1,5", 1.5),
        ("boolean", "Да", True),
        ("date", "30.01.2024", "2024-01-30"),
        ("datetime", "30.01.2024 09:05", "2024-01-30T09:05:00+03:00"),
        ("money", "300|RUB", "300|RUB"),
        ("money", "€ 3.500,00", "3500|EUR"),
        ("money", "300", "300"),
        ("crm", "CO_3", "CO_3"),
        ("enumeration", "Москва", Ref("enumeration", "Москва", "UF_CRM_X", "Колонка")),
        ("employee", "a@example.com", Ref("user", "a@example.com", "UF_CRM_X", "Колонка")),
    ],
)
def test_a_user_field_gets_its_types_value(type_id: str, text: str, expected: object) -> None:
    assert values.convert_uf(UserFieldType(type_id), text, CONTEXT) == expected


def test_money_without_a_currency_takes_the_mappings() -> None:
    context = UserFieldContext(field="UF_CRM_X", column="c", portal_zone=MOSCOW, currency="EUR")
    assert values.convert_uf(UserFieldType("money"), "1 000,50", context) == "1000.5|EUR"
    assert values.convert_uf(UserFieldType("money"), NumberCell("1000"), context) == "1000|EUR"


def test_a_multiple_user_field_gets_a_list() -> None:
    context = UserFieldContext(field="UF_CRM_X", column="c", portal_zone=MOSCOW, separator=",")
    assert values.convert_uf(UserFieldType("integer", multiple=True), "1, 2,3", context) == [1, 2, 3]
    assert values.convert_uf(UserFieldType("string", multiple=True), "a, b", CONTEXT) == ["a, b"]


def test_a_file_field_takes_a_path_that_is_read_when_the_row_is_written() -> None:
    assert values.convert_uf(UserFieldType("file"), "scans/a.pdf", CONTEXT) == {"file": "scans/a.pdf"}


@pytest.mark.parametrize(
    ("type_id", "text", "code"),
    [
        ("integer", "1,5", "BAD_INTEGER"),
        ("double", "много", "BAD_NUMBER"),
        ("boolean", "иногда", "BAD_BOOLEAN"),
        ("date", "31.02.2024", "BAD_DATE"),
        ("money", "300|рублей", "BAD_CURRENCY"),
        ("crm", "сделка 5", "BAD_CRM_REFERENCE"),
    ],
)
def test_a_user_field_refuses_what_is_not_of_its_type(type_id: str, text: str, code: str) -> None:
    with pytest.raises(BadValue) as caught:
        values.convert_uf(UserFieldType(type_id), text, CONTEXT)
    assert caught.value.code == code


def all_converters() -> list[values.Converter]:
    user_fields = [values.user_field_converter(UserFieldType(name), CONTEXT) for name in ALL_TYPES]
    return [
        *(converter for converter in user_fields if converter is not None),
        values.number_converter(None),
        values.number_converter(","),
        values.integer_converter("."),
        values.money_converter(None, "RUB"),
        values.currency_converter,
        values.date_converter(None),
        values.date_converter("%d.%m.%y"),
        values.date_converter("%d %b %Y"),
        values.datetime_converter(None, MOSCOW, MOSCOW),
        values.datetime_converter("%d.%m.%Y %H:%M", BERLIN, MOSCOW),
        values.bool_converter,
        values.phone,
        values.email,
        values.web,
        values.several(values.email, ";"),
    ]


CELLS = st.text(min_size=1, max_size=40) | st.text(alphabet="0123456789.,:-+/ TZeE€$'\u00a0", min_size=1, max_size=25)


@settings(deadline=None)
@given(CELLS)
def test_no_text_crashes_a_converter_and_every_value_is_json(text: str) -> None:
    for convert in all_converters():
        outcome = converted(convert, text)
        if isinstance(outcome, BadValue):
            assert outcome.code.isupper()
            assert outcome.expected
        else:
            json.dumps(outcome, default=_ref_only, allow_nan=False)


def converted(convert: values.Converter, text: str) -> Any:
    """The value, or the refusal; anything else that is raised is a crash."""
    try:
        return convert(text)
    except BadValue as bad:
        return bad


def _ref_only(value: Any) -> str:
    assert isinstance(value, Ref)
    return value.value
