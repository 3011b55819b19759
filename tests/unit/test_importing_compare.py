"""Two forms of one value are no difference; two values are."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from b24sync.importing.compare import Comparison, multifields_of
from b24sync.portal.directory import FieldInfo

KINDS = {
    "title": "string",
    "opportunity": "double",
    "companyId": "crm_company",
    "contactIds": "crm_contact",
    "observers": "user",
    "stageId": "crm_status",
    "begindate": "date",
    "opened": "boolean",
    "UF_CRM_AT": "datetime",
    "UF_CRM_LIST": "enumeration",
    "UF_CRM_MONEY": "money",
    "UF_CRM_FILE": "file",
}
COMPARISON = Comparison(
    {name: FieldInfo(name, kind, False, False, False, name) for name, kind in KINDS.items()}, ZoneInfo("Europe/Moscow")
)


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("title", "Две\nстроки", "Две\r\nстроки "),
        ("comments", "Две\nстроки", "[p]Две<br>строки[/p]"),
        ("opportunity", "1500.50", 1500.5),
        ("opportunity", "1E+3", "1000.00"),
        ("opportunity", 100.545, "100.55"),
        ("companyId", 12, "12"),
        ("companyId", "", 0),
        ("companyId", 0, None),
        ("contactIds", [3, 1, 2], ["3", "2", "1"]),
        ("observers", [1, 2], {"0": 2, "1": 1}),
        ("begindate", "2024-06-18", "2024-06-18T03:00:00+03:00"),
        ("opened", "N", None),
        ("opened", "Y", "1"),
        ("UF_CRM_AT", "2024-06-18T10:00:00+03:00", "2024-06-18T07:00:00+00:00"),
        ("UF_CRM_AT", "2024-06-18T10:00:00", "2024-06-18T10:00:00+03:00"),
        ("UF_CRM_LIST", 81, "81"),
        ("UF_CRM_LIST", [81, 82], [82, 81]),
        ("UF_CRM_MONEY", "300|RUB", "300.00|RUB"),
        ("UF_CRM_MONEY", "300", "300.00|RUB"),
        ("UF_CRM_UNHEARD_OF", 5, "5"),
        ("UF_CRM_FILE", ["a.pdf", "JVBE"], {"id": 5, "url": "/a"}),
    ],
)
def test_two_forms_of_one_value_are_no_difference(name: str, ours: Any, theirs: Any) -> None:
    assert COMPARISON.differences({name: ours}, {name: theirs}) == {}


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("title", "007", "7"),
        ("opportunity", "0.1", 0.11),
        ("companyId", 12, 13),
        ("contactIds", [1, 2], [2, 1]),
        ("contactIds", [1, 2], [1]),
        ("stageId", "C1:NEW", "NEW"),
        ("begindate", "2024-06-18", "2024-06-19T03:00:00+03:00"),
        ("opened", "Y", None),
        ("UF_CRM_AT", "2024-06-18T10:00:00+03:00", "2024-06-18T10:00:00+00:00"),
        ("UF_CRM_LIST", [81], []),
        ("UF_CRM_MONEY", "300|RUB", "300|EUR"),
        ("UF_CRM_FILE", ["a.pdf", "JVBE"], None),
        ("UF_CRM_UNHEARD_OF", "a", None),
    ],
)
def test_two_values_are_a_difference(name: str, ours: Any, theirs: Any) -> None:
    assert COMPARISON.differences({name: ours}, {name: theirs}) == {name: ours}


def test_what_only_an_import_can_set_is_no_reason_for_an_update() -> None:
    wanted = {"createdTime": "2020-01-01T00:00:00+03:00", "createdBy": 5, "movedBy": 6}
    assert COMPARISON.differences(wanted, {"createdTime": "2024-01-01T00:00:00+03:00", "createdBy": 1}) == {}


def test_addresses_that_the_item_has_in_another_form_are_not_added_again() -> None:
    wanted = {
        "PHONE": [{"VALUE": "+7 900 111-22-33", "VALUE_TYPE": "WORK"}, {"VALUE": "8", "VALUE_TYPE": "HOME"}],
        "EMAIL": [{"VALUE": "Anna@Example.com", "VALUE_TYPE": "WORK"}],
    }
    held = [
        {"id": 1, "typeId": "PHONE", "valueType": "MOBILE", "value": "+79001112233"},
        {"id": 2, "typeId": "EMAIL", "valueType": "WORK", "value": "anna@example.com"},
    ]
    lacking = {"typeId": "PHONE", "valueType": "HOME", "value": "8"}
    assert COMPARISON.differences(wanted, {"fm": held}) == {"fm": {"n0": lacking}}
    assert COMPARISON.differences({"fm": {"n0": lacking}}, {"fm": [*held, lacking]}) == {}
    assert [entry["value"] for entry in multifields_of(wanted)] == ["+7 900 111-22-33", "8", "Anna@Example.com"]
