"""Rows -> drafts: what a mapping makes of a row, and every reason why a row is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b24sync.errors import ConfigError
from b24sync.importing.draft import Draft, Ref, RowError
from b24sync.importing.extract import Extractor, SeenKeys, read_rows
from b24sync.importing.importer import Deals, RowReader
from b24sync.importing.mapping import parse_mapping
from b24sync.importing.source import DateCell, NumberCell, Source, open_source
from b24sync.importing.values import UserFieldType

MOSCOW = ZoneInfo("Europe/Moscow")


def extractor(
    columns: str, header: list[str], *, entity: str = "deal", rest: str = "", uf: dict[str, UserFieldType] | None = None
) -> Extractor:
    text = f'entity = "{entity}"\noriginator = "src"\nkey = "Id"\n[columns]\n{columns}\n{rest}'
    return Extractor(parse_mapping(text, name="m.toml"), header, portal_tz=MOSCOW, uf_types=uf)


def draft(maker: Extractor, *cells: str, line: int = 2) -> Draft:
    result = maker.extract(line, list(cells))
    assert isinstance(result, Draft), result
    return result


def refusal(maker: Extractor, *cells: str, line: int = 2) -> RowError:
    result = maker.extract(line, list(cells))
    assert isinstance(result, RowError), result
    return result


def mistakes(columns: str, header: list[str], **more: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        extractor(columns, header, **more)  # type: ignore[arg-type]  # only texts are passed on
    return caught.value.problems


def test_a_row_becomes_a_draft_of_values_and_unresolved_names() -> None:
    maker = extractor(
        """
"Название" = "title"
"Этап" = "stage"
"Ответственный" = { field = "assigned_by", map = { "Адамс" = "u.adams@example.com" }, default = "head@example.com" }
"Сумма" = { field = "opportunity", decimal = "," }
"Создано" = "created_time"
"Фирма" = { field = "company", match = "title", create = true }
"Контакт" = { field = "contact", match = "origin", missing = "empty" }
"Вероятность" = "probability"
"Заметки" = "-"
""",
        ["Id", "Название", "Этап", "Ответственный", "Сумма", "Создано", "Фирма", "Контакт", "Вероятность", "Заметки"],
        rest='[constants]\npipeline = "Продажи"\ncurrency = "EUR"',
    )
    made = draft(
        maker,
        "D-1",
        "Сайт",
        "Новая",
        "Адамс",
        "€ 1.234,50",
        "30.01.2024 09:05",
        "ООО Ромашка",
        "C-9",
        "",
        "не нужны",
        line=7,
    )
    assert made == Draft(
        7,
        "D-1",
        {
            "pipeline": Ref("pipeline", "Продажи", "pipeline", "[constants] pipeline"),
            "currency": "EUR",
            "title": "Сайт",
            "stage": Ref("stage", "Новая", "stage", "Этап"),
            "assigned_by": Ref(
                "user", "u.adams@example.com", "assigned_by", "Ответственный", default="head@example.com"
            ),
            "opportunity": 1234.5,
            "created_time": "2024-01-30T09:05:00+03:00",
            "company": Ref("company", "ООО Ромашка", "company", "Фирма", "title", True),
            "contact": [Ref("contact", "C-9", "contact", "Контакт", "origin", missing="empty")],
        },
    )


def test_the_key_may_also_fill_a_field() -> None:
    maker = extractor('"Id" = "title"', ["Id"], entity="company")
    assert draft(maker, "Acme").fields == {"title": "Acme"}


def test_nineteen_digit_ids_stay_text() -> None:
    maker = extractor('"Контакт" = { field = "contact", match = "origin" }', ["Id", "Контакт"])
    made = draft(maker, "5805028000056864695", "5805028000056849495")
    assert made.key == "5805028000056864695"
    assert made.fields["contact"][0].value == "5805028000056849495"


def test_a_default_fills_an_empty_cell_and_goes_along_with_a_name() -> None:
    maker = extractor(
        """
"О" = { field = "assigned_by", default = "head@example.com" }
"В" = { field = "probability", default = "10" }
""",
        ["Id", "О", "В"],
    )
    assert draft(maker, "1", "", "").fields == {
        "assigned_by": Ref("user", "head@example.com", "assigned_by", "О"),
        "probability": 10,
    }
    assert draft(maker, "1", "Иванов", "20").fields["assigned_by"].default == "head@example.com"


def test_map_other_and_empty_cells() -> None:
    maker = extractor(
        '"Г" = { field = "comments", map = { "-" = "", "б1" = "B1", "" = "пусто" }, other = "другое" }', ["Id", "Г"]
    )
    assert [draft(maker, "1", cell).fields.get("comments") for cell in ("б1", "что-то", "", "-")] == [
        "B1",
        "другое",
        "пусто",
        "пусто",
    ]


def test_a_value_mapped_to_nothing_leaves_the_field_out() -> None:
    maker = extractor('"Г" = { field = "UF_CRM_CITY", map = { "-" = "" } }', ["Id", "Г"])
    assert draft(maker, "1", "-").fields == {}


def test_an_error_mark_of_a_spreadsheet_is_refused_unless_the_mapping_says_otherwise() -> None:
    maker = extractor('"A" = "comments"', ["Id", "A"])
    error = refusal(maker, "1", "#REF!")
    assert (error.code, error.column, error.value) == ("SPREADSHEET_ERROR", "A", "#REF!")
    assert refusal(maker, "1", "#ССЫЛКА!").code == "SPREADSHEET_ERROR"
    assert draft(maker, "1", "#хэштег").fields == {"comments": "#хэштег"}
    assert draft(extractor('"A" = { field = "comments", errors = "empty" }', ["Id", "A"]), "1", "#REF!").fields == {}
    mapped = extractor('"A" = { field = "comments", map = { "#REF!" = "?" }, other = "x" }', ["Id", "A"])
    assert draft(mapped, "1", "#REF!").fields == {"comments": "?"}
    assert refusal(mapped, "1", "#N/A").code == "SPREADSHEET_ERROR"
    assert refusal(maker, "#REF!", "x").code == "SPREADSHEET_ERROR"
    assert draft(extractor('"A" = "-"', ["Id", "A"]), "1", "#REF!").fields == {}


def test_all_problems_of_a_row_are_told_together() -> None:
    maker = extractor(
        '"Дата" = "close_date"\n"Сумма" = "opportunity"\n"Открыт" = "opened"', ["Id", "Дата", "Сумма", "Открыт"]
    )
    error = refusal(maker, "", "31.02.2024", "много", "Да", line=41)
    assert (error.line, error.key, error.column, error.code) == (41, None, "Id", "NO_KEY")
    for part in ('column "Id" is empty', 'column "Дата": "31.02.2024"', 'column "Сумма": "много": expected a number'):
        assert part in error.message
    assert "Открыт" not in error.message


def test_rows_without_a_usable_key_are_refused() -> None:
    maker = extractor('"A" = "title"', ["Id", "A"])
    assert refusal(maker, "", "x").code == "NO_KEY"
    assert refusal(maker, "", "").message == "the row is empty"
    assert refusal(maker, "x" * 256, "a").code == "KEY_TOO_LONG"
    assert refusal(maker, "Id", "A").code == "HEADER_AGAIN"
    assert refusal(maker, "Итого:", "A").code == "TOTALS"
    for cut in ("4.87688E+18", "5.80502800005684e+18", "4,87687600000001E+018"):
        assert refusal(maker, cut, "A").code == "LOST_DIGITS"
    for whole in ("4876876000000012345", "DE+1"):
        assert draft(maker, whole, "A").key == whole
    assert draft(maker, "Id", "other").key == "Id"


def test_a_long_value_is_shortened_in_the_message() -> None:
    error = refusal(extractor('"A" = "close_date"', ["Id", "A"]), "1", "x" * 100_000)
    assert len(error.message) < 400
    assert error.value is not None
    assert len(error.value) == 201


def test_several_columns_fill_one_field_of_several_values() -> None:
    maker = extractor(
        """
"Тел" = { field = "phone", separator = "," }
"Моб" = { field = "phone", value_type = "MOBILE" }
"Почта" = "email"
""",
        ["Id", "Тел", "Моб", "Почта"],
        entity="contact",
    )
    made = draft(maker, "1", "8 800 1, 8 800 2", "+7 912", "a@example.com")
    assert [(item["valueType"], item["value"]) for item in made.fields["phone"]] == [
        ("WORK", "8 800 1"),
        ("WORK", "8 800 2"),
        ("MOBILE", "+7 912"),
    ]
    again = draft(maker, "2", "8 800 1, 8 800 2", "", "")
    assert len(again.fields["phone"]) == 2
    assert len(made.fields["phone"]) == 3


def test_typed_cells_are_read_by_their_own_form() -> None:
    maker = extractor(
        '"С" = { field = "opportunity", decimal = "," }\n"Д" = { field = "close_date", format = "%d.%m.%y" }',
        ["Id", "С", "Д"],
    )
    assert draft(maker, "1", "1.234", "30.01.24").fields == {"opportunity": 1234, "close_date": "2024-01-30"}
    assert draft(maker, "2", NumberCell("1.234"), DateCell("2024-01-30")).fields == {
        "opportunity": 1.234,
        "close_date": "2024-01-30",
    }


def test_the_currency_of_an_amount_must_be_the_rows() -> None:
    maker = extractor('"С" = "opportunity"\n"В" = "currency"', ["Id", "С", "В"])
    assert draft(maker, "1", "€ 5", "EUR").fields == {"opportunity": 5, "currency": "EUR"}
    assert refusal(maker, "1", "€ 5", "RUB").code == "OTHER_CURRENCY"
    assert refusal(maker, "1", "€ 5", "").code == "OTHER_CURRENCY"
    constant = extractor('"С" = "opportunity"', ["Id", "С"], rest='[constants]\ncurrency = "€"')
    assert draft(constant, "1", "5 EUR").fields == {"opportunity": 5, "currency": "EUR"}
    assert refusal(constant, "1", "5 ₽").code == "OTHER_CURRENCY"


# --- templates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "title"),
    [
        (("A", "B", "C"), "Заявка A / B (C)"),
        (("A", "", "C"), "Заявка A / C)"),
        (("A", "B", ""), "Заявка A / B"),
        (("", "B", ""), "Заявка B"),
        (("A", "", ""), "Заявка A"),
        (("", "", ""), None),
    ],
)
def test_a_template_leaves_out_what_stands_around_empty_columns(cells: tuple[str, ...], title: str | None) -> None:
    maker = extractor("", ["Id", "a", "b", "c"], rest='[templates]\ntitle = "Заявка {a} / {b} ({c})"')
    assert draft(maker, "1", *cells).fields.get("title") == title


def test_a_template_fills_any_field_and_refuses_error_marks() -> None:
    maker = extractor('"e" = { field = "comments", errors = "empty" }', ["Id", "d", "t", "e"], rest=(
        '[templates]\ncreated_time = "{d} {t}"\ntitle = "{Id} {e}"'))  # fmt: skip
    made = draft(maker, "1", "30.01.2024", "09:05", "#REF!")
    assert made.fields == {"created_time": "2024-01-30T09:05:00+03:00", "title": "1"}
    error = refusal(maker, "1", "30.01.2024", "#N/A", "")
    assert (error.code, error.column) == ("SPREADSHEET_ERROR", "[templates] created_time")
    assert refusal(maker, "1", "30.01.2024", "late", "").code == "BAD_DATE"


# --- the mapping against the file --------------------------------------------------------------------------------


def test_a_column_that_nobody_mentions_is_a_mistake_unless_ignored() -> None:
    [problem] = mistakes('"A" = "title"', ["Id", "A", "B"])
    assert problem == 'column "B" of the file is neither mapped nor left out; leave it out with "B" = "-"'
    extractor('"A" = "title"', ["Id", "A", "B"], rest='[missing]\ncolumns = "ignore"')
    extractor('"A" = "title"', ["Id", "A", "B"], rest='[templates]\ncomments = "{B}"')


@pytest.mark.parametrize(
    ("asked", "stands", "hint"),
    [
        ("Stage", "stage", "different spaces or capital letters"),
        ("Дата  создания", "Дата создания", "different spaces"),
        ("Дата создания", "Дата\u00a0создания", "different spaces"),
        ("Сумма", "Cумма", '"С" CYRILLIC CAPITAL LETTER ES in the mapping, "C" LATIN CAPITAL LETTER C in the file'),
        ("Level of Deutsch", "Levl of Deutsch", 'probably "Levl of Deutsch" is meant'),
    ],
)
def test_a_title_that_is_nearly_right_is_told_apart(asked: str, stands: str, hint: str) -> None:
    found = mistakes(f'"{asked}" = "title"', ["Id", stands])
    assert f'column "{asked}" is not in the file; probably "{stands}" is meant' in found[0]
    assert hint in found[0]


def test_a_missing_key_column_and_every_other_mistake_are_told_at_once() -> None:
    found = mistakes(
        '"Нет такой" = "title"\n"Дата" = { field = "close_date", default = "когда-нибудь" }',
        ["Номер", "Дата", "Лишняя"],
        rest='[constants]\ncurrency = "рублей"\n[templates]\ncomments = "{Текст}"',
    )
    text = "\n".join(found)
    assert 'key: column "Id" is not in the file, which has "Номер", "Дата", "Лишняя"' in text
    assert 'column "Нет такой" is not in the file' in text
    assert 'column "Дата": default: "когда-нибудь": expected a date' in text
    assert '[constants] currency: "рублей": expected a currency code' in text
    assert '[templates] comments: column "Текст" is not in the file' in text
    assert 'column "Лишняя" of the file is neither mapped nor left out' in text


def test_a_title_that_stands_twice_is_named_by_number() -> None:
    found = mistakes('"Имя" = "title"', ["Id", "Имя", "Имя"])
    assert 'column "Имя" stands 2 times; name them "column 2", "column 3"' in found[0]
    maker = extractor('"column 2" = "title"\n"column 3" = "comments"', ["Id", "Имя", "Имя"])
    assert draft(maker, "1", "a", "b").fields == {"title": "a", "comments": "b"}


def test_an_untitled_column_is_refused_where_it_holds_a_value() -> None:
    header = ["Id", "A", "", ""]
    maker = extractor('"A" = "title"\n"column 4" = "-"', header)
    assert draft(maker, "1", "x", "", "a note").fields == {"title": "x"}
    error = refusal(maker, "1", "x", "lost?", "")
    assert (error.code, error.column, error.value) == ("UNTITLED_COLUMN", "column 3", "lost?")
    assert '"column 3" = "-"' in error.message
    ignoring = extractor('"A" = "title"', header, rest='[missing]\ncolumns = "ignore"')
    assert draft(ignoring, "1", "x", "lost", "lost").fields == {"title": "x"}


def test_more_cells_than_titles_are_refused_and_fewer_are_empty() -> None:
    maker = extractor('"A" = "title"\n"B" = "comments"', ["Id", "A", "B"])
    error = refusal(maker, "1", "a", "b", "", "c")
    assert (error.code, error.column) == ("EXTRA_CELLS", "column 5")
    assert draft(maker, "1", "a", "b", "").fields == {"title": "a", "comments": "b"}
    assert draft(maker, "1", "a").fields == {"title": "a"}


def test_a_column_beyond_the_header_may_be_named_by_number() -> None:
    maker = extractor('"column 3" = "title"', ["Id", ""])
    assert draft(maker, "1", "", "x").fields == {"title": "x"}
    assert refusal(maker, "1").code == "NOTHING_BUT_KEY"


# --- user fields -------------------------------------------------------------------------------------------------


def test_user_fields_are_text_until_the_portal_is_asked() -> None:
    columns = '"Q" = "UF_CRM_Q"\n"N" = "UF_CRM_N"\n"D" = "UF_CRM_D"'
    header = ["Id", "Q", "N", "D"]
    assert draft(extractor(columns, header), "1", "A - High", "11", "30.01.2024").fields == {
        "UF_CRM_Q": "A - High",
        "UF_CRM_N": "11",
        "UF_CRM_D": "30.01.2024",
    }
    types = {
        "UF_CRM_Q": UserFieldType("enumeration"),
        "UF_CRM_N": UserFieldType("integer"),
        "UF_CRM_D": UserFieldType("date"),
    }
    maker = extractor(columns, header, uf=types)
    assert draft(maker, "1", "A - High", "11", "30.01.2024").fields == {
        "UF_CRM_Q": Ref("enumeration", "A - High", "UF_CRM_Q", "Q"),
        "UF_CRM_N": 11,
        "UF_CRM_D": "2024-01-30",
    }
    assert refusal(maker, "1", "", "eleven", "").code == "BAD_NUMBER"


def test_a_multiple_user_field_is_fed_by_several_columns() -> None:
    columns = '"A" = { field = "UF_CRM_M", separator = ";" }\n"B" = "UF_CRM_M"'
    header = ["Id", "A", "B"]
    maker = extractor(columns, header, uf={"UF_CRM_M": UserFieldType("string", multiple=True)})
    assert draft(maker, "1", "a; b", "c;d").fields == {"UF_CRM_M": ["a", "b", "c;d"]}
    assert draft(extractor(columns, header), "1", "a; b", "c;d").fields == {"UF_CRM_M": ["a", "b", "c;d"]}
    with pytest.raises(ConfigError) as caught:
        extractor(columns, header, uf={"UF_CRM_M": UserFieldType("string")})
    assert any("filled more than once" in problem for problem in caught.value.problems)
    assert any("holds one value only" in problem for problem in caught.value.problems)


def test_a_user_field_that_the_portal_lacks_is_a_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        extractor('"A" = "UF_CRM_QALITY"', ["Id", "A"], uf={"UF_CRM_QUALITY": UserFieldType("string")})
    assert "has no user field UF_CRM_QALITY; did you mean UF_CRM_QUALITY?" in caught.value.problems[0]


def test_numbers_of_more_digits_than_a_workbook_keeps_are_told_with_their_lines() -> None:
    maker = extractor('"Фирма" = "company"\n"Сумма" = "opportunity"', ["Id", "Фирма", "Сумма"])
    assert maker.extract(2, ["5805028000043900001", "1234567890123456", "1"]) and maker.doubts == [], "texts are whole"
    for line in range(3, 10):
        firm = NumberCell("1234567890123456" if line == 4 else "123456789012345")
        assert draft(maker, NumberCell("5805028000043900000"), firm, NumberCell("0.1234567890123456"), line=line)
    keys, firms = maker.doubts
    assert keys.startswith('column "Id": 7 keys are numbers of more than 15 digits (lines 3, 4, 5, 6, 7, ...): ')
    assert firms.startswith('column "Фирма": 1 value is a number of more than 15 digits (line 4): ')


def test_fractions_that_a_user_field_does_not_keep_are_rounded_and_told() -> None:
    fraction = UserFieldType("double", decimals=2)
    several = UserFieldType("double", multiple=True, decimals=0)
    maker = extractor(
        '"A" = "UF_CRM_A"\n"B" = { field = "UF_CRM_B", separator = ";" }',
        ["Id", "A", "B"],
        uf={"UF_CRM_A": fraction, "UF_CRM_B": several},
    )
    assert draft(maker, "1", NumberCell("0.30000000000000004"), "1; 2").fields == {"UF_CRM_A": 0.3, "UF_CRM_B": [1, 2]}
    assert maker.doubts == [], "what a person would write is kept"
    assert draft(maker, "2", "0,335", "1,5; 2", line=3).fields == {"UF_CRM_A": 0.34, "UF_CRM_B": [2, 2]}
    first, second = maker.doubts
    assert first == 'column "A": 1 value has more than 2 decimals (line 3): UF_CRM_A keeps 2, they are rounded'
    assert second.startswith('column "B": 1 value has more than 0 decimals (line 3)')


def test_texts_that_a_portal_may_cut_are_told() -> None:
    maker = extractor('"A" = "comments"\n[templates]\ntitle = "Сделка {A}"', ["Id", "A"])
    for line, length in ((2, 247), (3, 249), (4, 300)):
        draft(maker, str(line), "Я" * length, line=line)
    assert maker.doubts == [
        "[templates] title: 2 texts have more than 255 characters (lines 3, 4): a portal may cut them"
    ]


def test_a_probability_may_have_its_percent_sign() -> None:
    maker = extractor('"A" = "probability"', ["Id", "A"])
    assert [draft(maker, "1", said).fields["probability"] for said in ("75%", "75 %", "75")] == [75, 75, 75]
    assert refusal(maker, "1", "7,5%").code == "BAD_INTEGER"


def test_a_key_with_a_character_that_nobody_sees_is_refused() -> None:
    maker = extractor('"A" = "title"', ["Id", "A"])
    for key, named in (("b\u200b1", "ZERO WIDTH SPACE"), ("\x1a", "U+001A"), ("a\tb", "U+0009")):
        found = refusal(maker, key, "A")
        assert found.code == "UNSEEN_CHARACTER" and named in found.message and key not in found.message
    for seen in ("№\xa0 7", "Ключ 1"):
        assert draft(maker, seen, "A").key == seen


def test_a_key_of_an_export_stands_as_it_is_in_the_portal() -> None:
    text = 'entity = "deal"\noriginator = "*@host"\nkey = "Id"\n[columns]\n"A" = "title"\n'
    maker = Extractor(parse_mapping(text, name="m.toml"), ["Id", "A"], portal_tz=MOSCOW)
    assert draft(maker, "old|b\u200b1", "A").key == "old|b\u200b1"


def test_a_row_of_nothing_but_a_key_is_refused_unless_the_mapping_makes_something_of_it() -> None:
    columns = '"A" = "title"\n"B" = { field = "comments", map = { "-" = "" } }\n[constants]\npipeline = "П"\n'
    maker = extractor(columns, ["Id", "A", "B"])
    assert refusal(maker, "7", "", "").code == "NOTHING_BUT_KEY"
    assert list(draft(maker, "7", "", "-").fields) == ["pipeline"], "left out on purpose"
    assert list(draft(extractor('"Id" = "title"\n"A" = "comments"', ["Id", "A"]), "7", "").fields) == ["title"]


def test_how_a_spreadsheet_counts_days_is_told_where_a_date_is_wanted() -> None:
    maker = extractor('"D" = "close_date"\n"T" = { field = "created_time", format = "%d.%m.%Y" }', ["Id", "D", "T"])
    said = refusal(maker, "1", NumberCell("45728.5"), "45728").message
    assert said.count("may be 12.03.2025 as a spreadsheet counts days: give its cells the format of a date") == 2


def test_a_file_of_another_kind_is_told_in_few_lines() -> None:
    header = ["Id", *(f"c{n}" for n in range(298))]
    problems = mistakes('"A" = "title"\n"B" = "stage"', header)
    assert problems[0].endswith('"c28" and 269 more') and problems[1] == 'column "B" is not in the file'
    assert len(problems) == 33 and problems[-1].startswith("... and 268 more columns; [missing]")


def test_a_title_of_two_lines_is_told_as_a_mapping_has_to_write_it() -> None:
    header = ["Id", "Сумма,\nруб."]
    problems = mistakes('"Сумма, руб." = "opportunity"', header)
    assert r'probably "Сумма,\nруб." is meant (different spaces)' in problems[0]
    assert r'leave it out with "Сумма,\nруб." = "-"' in problems[1]
    maker = extractor(r'"Сумма,\nруб." = "opportunity"' + '\n[constants]\ncurrency = "RUB"', header)
    assert draft(maker, "1", "5").fields["opportunity"] == 5


class Breaks(Deals):
    """An importer whose code fails at the second row."""

    def amend(self, draft: Draft) -> Draft | RowError:
        assert draft.key == "1", "not so"
        return draft


class YieldsNothing(Deals):
    """An importer whose author forgot the loop."""

    def extract(self, file: Source, read: RowReader) -> Iterator[Draft | RowError]:
        return None  # type: ignore[return-value]  # as people write


@pytest.mark.parametrize(
    ("importer", "told"),
    [(Breaks(), "d.csv, line 3: AssertionError: not so"), (YieldsNothing(), "d.csv, line 0: TypeError")],
)
def test_an_importer_that_fails_is_told_with_the_line_of_the_file_and_of_its_code(
    importer: Deals, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "d.csv"
    path.write_text("Id;A\n1;a\n2;b\n", encoding="utf-8")
    with open_source(path) as source, pytest.raises(ConfigError) as caught:
        list(read_rows(source, extractor('"A" = "title"', ["Id", "A"]), SeenKeys(), importer))
    assert f"importer {type(importer).__name__}: {told}" in str(caught.value)
    if isinstance(importer, Breaks):
        assert __file__ in str(caught.value) and "assert draft.key" in str(caught.value)


# --- whole files -------------------------------------------------------------------------------------------------


def test_every_row_of_a_file_is_a_draft_or_an_error_and_a_key_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "deals.csv"
    path.write_text("Id;A;D\n1;a;\n2;b;31.02.2024\n1;a;\n\n2;c;\n;d;\n3;e;\n", encoding="utf-8")
    maker = extractor('"A" = "title"\n"D" = "close_date"', ["Id", "A", "D"])
    with open_source(path) as source:
        results = list(read_rows(source, maker, SeenKeys()))
    assert [(r.line, r.key, r.code if isinstance(r, RowError) else "draft") for r in results] == [
        (2, "1", "draft"),
        (3, "2", "BAD_DATE"),
        (4, "1", "DUPLICATE_KEY"),
        (5, None, "NO_KEY"),
        (6, "2", "DUPLICATE_KEY"),
        (7, None, "NO_KEY"),
        (8, "3", "draft"),
    ]


EVERY_KIND = extractor(
    """
"1" = "title"
"2" = "opportunity"
"3" = "close_date"
"4" = "created_time"
"5" = "opened"
"6" = { field = "contact", separator = "," }
"7" = "probability"
"8" = { field = "UF_CRM_M", map = { "a" = "", "b" = "c" }, errors = "empty" }
""",
    ["Id", "1", "2", "3", "4", "5", "6", "7", "8"],
    rest='[templates]\ncomments = "{1} / {2}"',
    uf={"UF_CRM_M": UserFieldType("money")},
)


@settings(deadline=None)
@given(st.lists(st.text(max_size=15) | st.sampled_from(["#REF!", "1,5", "30.01.2024", "да", "a", "b"]), max_size=12))
def test_no_row_crashes_and_none_is_lost(cells: list[str]) -> None:
    stripped = [cell.strip() for cell in cells]
    result = EVERY_KIND.extract(9, stripped)
    assert result.line == 9
    if isinstance(result, Draft):
        assert result.key == stripped[0]
        # a cell with text is either in the draft or was emptied by the mapping on purpose
        fields = ["title", "opportunity", "close_date", "created_time", "opened", "contact", "probability", "UF_CRM_M"]
        for field, cell in zip(fields, stripped[1:9], strict=False):
            emptied = field == "UF_CRM_M" and (cell == "a" or cell.startswith("#"))
            only_commas = field == "contact" and not cell.replace(",", "").strip()
            assert (field in result.fields) == (bool(cell) and not emptied) or only_commas
    else:
        assert result.code.isupper()
        assert result.message
