"""docs/importers.md says everything that a mapping may say and every code that a row may be refused with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from b24sync.importing import fields
from b24sync.importing.mapping import Column, Mapping, Missing, parse_mapping

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "importers.md").read_text(encoding="utf-8")
FIELD_ROWS = re.findall(
    r"^\| (`[^|]+`) \| ([^|]+) \| [^|]+ \|$", PAGE.split("## Fields")[1].split("How texts")[0], re.M
)


def test_the_mapping_on_the_page_is_valid() -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.S)
    assert example is not None
    assert len(parse_mapping(example[1], name="docs").columns) == 8


@pytest.mark.parametrize("model", [Mapping, Column, Missing])
def test_every_key_of_a_mapping_stands_in_a_table(model: type[Mapping] | type[Column] | type[Missing]) -> None:
    for key in model.model_fields:
        assert re.search(rf"^\| `\[?{key}\]?` \|", PAGE, re.M), key


def test_every_field_stands_in_the_table_with_its_entities() -> None:
    everything = {"deal", "lead", "contact", "company", "item"}
    documented: dict[str, set[str]] = {}
    for names, where in FIELD_ROWS:
        excepted = re.fullmatch(r"all(?: but (\w+))?", where.strip())
        entities = everything - {excepted[1]} if excepted else set(where.replace(" ", "").split(","))
        documented |= dict.fromkeys(re.findall(r"`(\w+)`", names), entities)
    actual: dict[str, set[str]] = {}
    for entity in everything:
        for name in fields.entity_fields("item:177" if entity == "item" else entity):
            actual.setdefault(name, set()).add(entity)
    assert documented == actual


def test_every_code_of_a_row_error_is_explained() -> None:
    code = re.compile(r'"([A-Z]{2,}(?:_[A-Z]+)+)"')
    sources = ["values.py", "extract.py", "seen_keys.py", "folding.py", "updates.py", "compare.py"]
    used = {"UNRESOLVED"}
    for name in sources:
        text = (PROJECT / "b24sync" / "importing" / name).read_text(encoding="utf-8")
        used |= {found for found in code.findall(text) if not found.startswith("UF_")}
    explained = set(re.findall(r"`([A-Z]{2,}(?:_[A-Z]+)+|UNRESOLVED)`", PAGE.split("## Row errors")[1]))
    assert len(used) > 15
    assert used - {"ENTITY_TYPE", "VALUE_TYPE"} == explained  # keys of a portal's answers
