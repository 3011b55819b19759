"""The mapping file: what it may say, and every mistake told at once."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b24sync.errors import ConfigError
from b24sync.importing import fields
from b24sync.importing.mapping import Column, Missing, Template, load_mapping, parse_mapping, parse_template

HEAD = 'entity = "deal"\noriginator = "school-crm"\nkey = "Id"\n'
EXAMPLES = Path(__file__).parents[2] / "examples"


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_mapping(text, name="m.toml")
    assert caught.value.message.startswith("m.toml: ")
    assert caught.value.exit_code == 78
    return caught.value.problems


def test_a_mapping_is_read_with_all_its_forms() -> None:
    mapping = parse_mapping(
        HEAD
        + """
[columns]
"Stage" = "stage"
"Owner" = { field = "assigned_by", map = { "U. Adams" = "u.adams@example.com" }, default = "head@example.com" }
"Quality" = "UF_CRM_QUALITY"
"SLA" = "-"
account = { field = "company", match = "title", create = true }
[constants]
pipeline = "Продажи"
probability = 50
opened = true
begin_date = 2024-01-30
[templates]
title = "{Product} / {Contact Name}"
[missing]
columns = "ignore"
""",
        name="m.toml",
    )
    assert mapping.entity_type_id == 2
    assert mapping.columns["Stage"] == Column(field="stage")
    assert mapping.columns["Owner"].map == {"U. Adams": "u.adams@example.com"}
    assert mapping.columns["SLA"].left_out
    assert mapping.columns["account"].create
    assert mapping.constants["opened"] is True
    assert mapping.missing == Missing(values="refuse", columns="ignore")
    assert mapping.fields_used == {
        "stage", "assigned_by", "UF_CRM_QUALITY", "company", "pipeline", "probability", "opened", "begin_date", "title"
    }  # fmt: skip


def test_every_mistake_is_told_at_once_with_its_line() -> None:
    found = mistakes(
        """entity = "deal"
originator = "x"
colour = "red"
[columns]
"A" = "stagee"
"B" = { field = "title", format = "%d" }
"C" = { field = "close_date", format = "DD.MM.YYYY" }
"D" = { field = "company", match = "name" }
"E" = { field = "contact", match = "origin", create = true }
"F" = { field = "title", frmat = "x" }
"G" = { field = "-", map = { "a" = "b" } }
"H" = "comments"
"I" = { field = "created_time", tz = "Mars/Olympus" }
"J" = { field = "opportunity", other = "0" }
"K" = "UF_crm_x"
"M" = { field = "title", map = "x", default = 7 }
[columns."L"]
field = "phone"
[constants]
comments = "x"
[templates]
additional_info = "no column"
utm_term = "{a"
"""
    )
    text = "\n".join(found)
    for expected in [
        "key: is missing",
        "line 3: colour: unknown key",
        'line 5: column "A": deal has no field "stagee" that an import can fill; did you mean "stage"?',
        'line 6: column "B": format has no meaning for title (a text field)',
        'line 7: column "C": format "DD.MM.YYYY": it has no year',
        "line 8: columns.D.match: ",
        'line 9: column "E": create with match = "origin" would make objects without a name',
        "line 10: columns.F.frmat: unknown key",
        'line 11: column "G": left out ("-"), so map has no effect',
        'line 13: column "I": tz "Mars/Olympus" is no time zone',
        'line 14: column "J": other needs map',
        'line 15: column "K": deal has no field "UF_crm_x" that an import can fill; a user field\'s code is UF_',
        'line 16: columns.M.map: must be a table, like { "a" = "b" }',
        'line 16: columns.M.default: must be a text, in quotation marks: "7"',
        'line 17: column "L": deal has no field "phone"',
        'line 20: field "comments" is filled more than once: column "H", [constants] comments',
        "line 22: [templates] additional_info: names no {column}",
        'line 23: [templates] utm_term: a lone "{"',
    ]:
        assert expected in text, expected
    assert len(found) == 18


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("stageId", "stage"),
        ("assignedById", "assigned_by"),
        ("assigned_by_id", "assigned_by"),
        ("begindate", "begin_date"),
        ("categoryId", "pipeline"),
        ("contactIds", "contact"),
        ("titel", "title"),
        ("utmSource", "utm_source"),
    ],
)
def test_a_field_written_the_portals_way_is_told_its_name_here(written: str, meant: str) -> None:
    assert fields.nearest_field("deal", written) == meant


def test_broken_toml_is_told_with_its_place() -> None:
    [problem] = mistakes('entity = "deal"\nkey = \n')
    assert "line 2" in problem


def test_an_unknown_entity_is_told() -> None:
    for entity in ("deals", "item:", "item:5", "item:x"):
        [problem] = mistakes(f'entity = "{entity}"\noriginator = "x"\nkey = "Id"\n[columns]\n"A" = "whatever"\n')
        assert problem.startswith(f'line 1: entity: "{entity}" is none of')


def test_smart_processes_and_parent_links_have_their_fields() -> None:
    mapping = parse_mapping(
        'entity = "item:177"\noriginator = "x"\nkey = "Id"\n[columns]\n"A" = "title"\n"B" = "parent_id_2"\n', name="m"
    )
    assert mapping.entity_type_id == 177
    assert fields.api_name("item:177", "parent_id_2") == "parentId2"


def test_several_columns_may_feed_one_field_of_several_values_only() -> None:
    head = 'entity = "contact"\noriginator = "x"\nkey = "Id"\n[columns]\n'
    parse_mapping(head + '"A" = "phone"\n"B" = { field = "phone", value_type = "MOBILE" }\n', name="m")
    [problem] = mistakes(head + '"A" = "name"\n"B" = "name"\n')
    assert problem == 'line 6: field "name" is filled more than once: column "A", column "B"'
    [problem] = mistakes(head + '"A" = { field = "email", value_type = "MOBILE" }\n')
    assert "value_type is one of WORK, HOME, MAILING, OTHER" in problem


def test_a_table_or_time_is_no_constant() -> None:
    for value in ("[1, 2]", "{ a = 1 }", "09:05:00"):
        [problem] = mistakes(HEAD + f'[columns]\n"A" = "title"\n[constants]\ncomments = {value}\n')
        assert problem == "line 7: constants.comments: must be a text, number, yes/no or date"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_mapping(tmp_path / "none.toml")


def test_a_file_in_another_encoding_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_bytes('entity = "сделка"'.encode("cp1251"))
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        load_mapping(tmp_path / "m.toml")


def test_a_template_is_split_at_its_columns() -> None:
    assert parse_template("{Product} / { Сумма, руб.: план }!") == Template(
        ("", " / ", "!"), ("Product", "Сумма, руб.: план")
    )
    assert parse_template("{{{A}}}") == Template(("{", "}"), ("A",))


@settings(deadline=None)
@given(st.text(alphabet="ab{} ", max_size=12))
def test_a_template_is_split_or_refused_and_loses_nothing(text: str) -> None:
    try:
        template = parse_template(text)
    except ValueError:
        return
    rebuilt = template.literals[0].replace("{", "{{").replace("}", "}}")
    for column, literal in zip(template.columns, template.literals[1:], strict=True):
        rebuilt += "{" + column + "}" + literal.replace("{", "{{").replace("}", "}}")
    assert re.sub(r"\{ *([^{}]*?) *\}", r"{\1}", rebuilt) == re.sub(r"\{ *([^{}]*?) *\}", r"{\1}", text)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), max_size=4))
def test_no_columns_table_crashes_the_check(columns: dict[str, str | int]) -> None:
    lines = [
        f"{_quoted(title)} = {value if isinstance(value, int) else _quoted(value)}" for title, value in columns.items()
    ]
    text = HEAD + "[columns]\n" + "\n".join(lines)
    with suppress(ConfigError):
        assert set(parse_mapping(text, name="m").columns) == set(columns)


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(char):08x}" if not char.isalnum() else char for char in text) + '"'


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.toml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_example_mapping_is_valid(path: Path) -> None:
    if path.stem not in ("blueprint", "norms"):
        assert load_mapping(path).columns


def test_every_field_has_a_distinct_api_name_per_entity() -> None:
    for entity in ("deal", "lead", "contact", "company", "item:177"):
        names = [field.api for field in fields.entity_fields(entity).values() if field.api != "fm"]
        assert len(names) == len(set(names)), entity
    assert fields.api_name("deal", "close_date") == "closedate"
    assert fields.api_name("deal", "begin_date") == "begindate"
    assert fields.api_name("deal", "created_by") == "createdBy"
    assert fields.api_name("company", "phone") == "fm"
    assert fields.api_name("deal", "UF_CRM_X") == "UF_CRM_X"
