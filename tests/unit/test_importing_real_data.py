"""The worked examples on the real files they were written for: every row accounted for."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from b24sync.importing.draft import Draft, Ref, RowError
from b24sync.importing.extract import Extractor, SeenKeys, read_rows
from b24sync.importing.mapping import load_mapping
from b24sync.importing.source import open_source
from b24sync.importing.values import UserFieldType

PROJECT = Path(__file__).parents[2]
DATA = PROJECT.parent / "shared" / "data"
EXAMPLES = PROJECT / "examples"
DOUBTS: dict[str, list[str]] = {}
"""What the extractor told beside its results, by file."""

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real inputs (../shared/data) do not lie beside the project"),
]


def blueprint(example: str) -> dict[str, Any]:
    return tomllib.loads((EXAMPLES / example / "blueprint.toml").read_text(encoding="utf-8"))


def results(example: str, mapping_name: str, file: str) -> list[Draft | RowError]:
    mapping = load_mapping(EXAMPLES / example / mapping_name)
    types = {
        field["code"]: UserFieldType(field["type"], field["multiple"])
        for field in blueprint(example)["fields"]
        if field["entity"] == mapping.entity
    }
    with open_source(DATA / example / file) as source:
        extractor = Extractor(mapping, source.header, portal_tz=ZoneInfo("Europe/Moscow"), uf_types=types)
        found = list(read_rows(source, extractor, SeenKeys()))
    DOUBTS[file] = extractor.doubts
    return found


def drafts(found: list[Draft | RowError]) -> list[Draft]:
    return [result for result in found if isinstance(result, Draft)]


def refs(found: list[Draft], kind: str) -> Iterator[Ref]:
    for draft in found:
        for value in draft.fields.values():
            yield from (
                ref
                for ref in (value if isinstance(value, list) else [value])
                if isinstance(ref, Ref) and ref.kind == kind
            )


@pytest.fixture(scope="module")
def deals() -> list[Draft | RowError]:
    return results("school_x_crm", "deals.toml", "deals.xlsx")


@pytest.fixture(scope="module")
def contacts() -> list[Draft | RowError]:
    return results("school_x_crm", "contacts.toml", "contacts.xlsx")


@pytest.fixture(scope="module")
def pipeline() -> list[Draft | RowError]:
    return results("maven_crm_sales", "pipeline.toml", "sales_pipeline.csv")


@pytest.fixture(scope="module")
def accounts() -> list[Draft | RowError]:
    return results("maven_crm_sales", "accounts.toml", "accounts.csv")


def test_every_school_deal_becomes_a_draft_and_the_two_rows_without_id_are_told(deals: list[Draft | RowError]) -> None:
    errors = [result for result in deals if isinstance(result, RowError)]
    assert len(drafts(deals)) == 21_593
    assert [(error.line, error.code) for error in errors] == [(21_595, "NO_KEY"), (21_596, "NO_KEY")]
    assert len({draft.key for draft in drafts(deals)}) == 21_593


def test_no_digit_of_a_text_id_is_lost(deals: list[Draft | RowError]) -> None:
    keys = [draft.key for draft in drafts(deals)]
    assert all(len(key) == 19 and key.isdigit() for key in keys)
    # these two are numbers in the workbook itself: it had lost their last digits before
    assert {"5805028000043900000", "5805028000030850000"} <= set(keys)
    (told,) = [doubt for doubt in DOUBTS["deals.xlsx"] if '"Id"' in doubt]
    assert "2 keys are numbers of more than 15 digits (lines 5110, 10361)" in told and "keep ids as text" in told
    assert sum(key.endswith("0000") for key in keys) < 10


def test_stages_and_lists_of_the_deals_are_those_of_the_blueprint(deals: list[Draft | RowError]) -> None:
    plan = blueprint("school_x_crm")
    stages = {stage["name"] for stage in plan["pipelines"][0]["stages"]}
    assert len(stages) == 13
    assert {ref.value for ref in refs(drafts(deals), "stage")} == stages
    for field in plan["fields"]:
        if field["type"] == "enumeration":
            used = {ref.value for ref in refs(drafts(deals), "enumeration") if ref.field == field["code"]}
            assert used == set(field["values"]), field["code"]


def test_every_deal_has_a_responsible_person_with_an_address(deals: list[Draft | RowError]) -> None:
    owners = Counter(ref.value for ref in refs(drafts(deals), "user"))
    assert sum(owners.values()) == 21_593
    assert len(owners) == 28
    assert owners["head@example.com"] == 29
    assert owners["u.adams@example.com"] == 2_165
    assert all(owner.endswith("@example.com") for owner in owners)


def test_look_alike_letters_of_the_level_become_one_value_and_the_text_is_kept(deals: list[Draft | RowError]) -> None:
    levels = Counter(ref.value for ref in refs(drafts(deals), "enumeration") if ref.field == "UF_CRM_SCHOOL_GERMAN")
    texts = sum("UF_CRM_SCHOOL_GERMAN_TEXT" in draft.fields for draft in drafts(deals))
    assert levels["B1"] > 219 + 118 + 100 + 93 + 93 + 63
    assert texts == 1_251
    assert sum(levels.values()) == 1_251 - 15 - 7 - 1


def test_amounts_of_the_deals_are_numbers_whatever_they_were_in_the_workbook(deals: list[Draft | RowError]) -> None:
    amounts = Counter(draft.fields.get("opportunity") for draft in drafts(deals))
    assert amounts[11_000] == 1_860
    assert amounts[2_900] == 20
    assert amounts[11_398] == 1
    paid = Counter(draft.fields.get("UF_CRM_SCHOOL_PAID") for draft in drafts(deals))
    assert paid["3500|EUR"] == 22 + 16


def test_dates_and_durations_of_the_deals_are_kept(deals: list[Draft | RowError]) -> None:
    made = drafts(deals)
    assert sum("created_time" in draft.fields for draft in made) == 21_593
    assert min(draft.fields["created_time"] for draft in made) == "2023-07-03T17:03:00+03:00"
    assert sum("close_date" not in draft.fields for draft in made) == 6_950 - 2
    assert any(draft.fields.get("UF_CRM_SCHOOL_SLA") == "48:17:26" for draft in made)


def test_every_school_contact_becomes_a_draft(contacts: list[Draft | RowError], deals: list[Draft | RowError]) -> None:
    assert len(drafts(contacts)) == len(contacts) == 18_548
    known = {draft.key for draft in drafts(contacts)}
    named = {ref.value for ref in refs(drafts(deals), "contact")}
    assert len(named) == 18_089
    assert len(named - known) == 2
    assert all(draft.fields["updated_time"] >= draft.fields["created_time"] for draft in drafts(contacts))


def test_every_maven_account_becomes_a_company(accounts: list[Draft | RowError]) -> None:
    assert len(drafts(accounts)) == len(accounts) == 85
    sectors = {ref.value for ref in refs(drafts(accounts), "enumeration")}
    assert "technology" in sectors
    assert "technolgy" not in sectors


def test_every_maven_deal_becomes_a_draft_with_its_company(
    pipeline: list[Draft | RowError], accounts: list[Draft | RowError]
) -> None:
    made = drafts(pipeline)
    assert len(made) == len(pipeline) == 8_800
    assert sum("company" not in draft.fields for draft in made) == 1_425
    assert {ref.value for ref in refs(made, "company")} == {draft.key for draft in drafts(accounts)}
    products = blueprint("maven_crm_sales")["fields"][0]["values"]
    assert {ref.value for ref in refs(made, "enumeration")} == set(products)
    stages = {stage["name"] for stage in blueprint("maven_crm_sales")["pipelines"][0]["stages"]}
    assert {ref.value for ref in refs(made, "stage")} == stages
