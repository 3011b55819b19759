"""crm.item.import and crm.item.batchImport: outcomes per row, rights, times, no robots."""

from __future__ import annotations

from typing import Any

import pytest
from portal_calls import COMPANIES, CONTACTS, DEALS, Calls

REFUSED = "CRM_FIELD_ERROR_VALUE_NOT_VALID"
MORNING = "2024-01-10T09:00:00+03:00"
NOON = "2024-01-10T12:00:00+03:00"
EVENING = "2024-01-10T18:00:00+03:00"


@pytest.fixture
def portal() -> Calls:
    return Calls()


def test_each_row_has_its_own_outcome_in_the_order_of_the_rows(portal: Calls) -> None:
    outcomes = portal.imported({"title": "A"}, {"opportunity": "x"}, {"title": "C"})
    assert outcomes == [
        {"item": {"id": 1}},
        {"error": REFUSED, "error_description": 'Неверное значение поля "Сумма"'},
        {"item": {"id": 2}},
    ]


def test_a_single_import_answers_the_id_only(portal: Calls) -> None:
    answer = portal.result("crm.item.import", entityTypeId=DEALS, fields={"title": "A"})
    assert answer == {"item": {"id": 1}}


def test_twenty_rows_pass_and_twenty_one_refuse_the_whole_call(portal: Calls) -> None:
    assert portal.call("crm.item.batchImport", entityTypeId=DEALS, data=[{}] * 20).units == 20
    code, text, status = portal.refusal("crm.item.batchImport", entityTypeId=DEALS, data=[{}] * 21)
    assert (code, status) == ("MAX_IMPORT_BATCH_SIZE_EXCEEDED", 400)
    assert "20" in text
    assert len(portal.portal.items[DEALS]) == 20


def test_rows_may_come_as_a_php_map_and_may_be_none(portal: Calls) -> None:
    answer = portal.call("crm.item.batchImport", entityTypeId=DEALS, data={"0": {"title": "A"}, "1": {"title": "B"}})
    assert len(answer.result["items"]) == 2
    assert portal.result("crm.item.batchImport", entityTypeId=DEALS, data=[]) == {"items": []}
    assert portal.refusal("crm.item.batchImport", entityTypeId=DEALS)[0] == 100
    assert portal.refusal("crm.item.batchImport", entityTypeId=DEALS, data="x")[0] == 100


def test_the_order_of_the_answer_is_a_switch(portal: Calls) -> None:
    portal.switches.import_answer_order = "reversed"
    outcomes = portal.imported({"title": "A"}, {"opportunity": "x"})
    assert [set(one) for one in outcomes] == [{"error", "error_description"}, {"item"}]


def test_system_times_and_people_are_kept_for_an_administrator(portal: Calls) -> None:
    portal.imported(
        {
            "createdTime": MORNING,
            "updatedTime": EVENING,
            "movedTime": NOON,
            "createdBy": 5,
            "updatedBy": 7,
            "movedBy": 3,
        }
    )
    item = portal.item(1)
    assert (item["createdTime"], item["movedTime"], item["updatedTime"]) == (MORNING, NOON, EVENING)
    assert (item["createdBy"], item["updatedBy"], item["movedBy"]) == (5, 7, 3)


@pytest.mark.parametrize("field", ["createdTime", "updatedTime", "movedTime", "createdBy", "updatedBy", "movedBy"])
def test_system_fields_of_others_are_refused(portal: Calls, field: str) -> None:
    portal.user_id = 5
    value: Any = 5 if field.endswith("By") else MORNING
    assert portal.imported({"title": "A"}, {field: value})[1]["error"] == REFUSED


@pytest.mark.parametrize(
    ("row", "title"),
    [
        ({"createdTime": "2027-01-01T00:00:00+03:00"}, "Когда создана"),
        ({"createdTime": NOON, "updatedTime": MORNING}, "Когда изменена"),
        ({"createdTime": MORNING, "updatedTime": "2027-01-01T00:00:00+03:00"}, "Когда изменена"),
        ({"createdTime": NOON, "updatedTime": EVENING, "movedTime": MORNING}, "Когда передвинут"),
        ({"createdTime": MORNING, "updatedTime": NOON, "movedTime": EVENING}, "Когда передвинут"),
        ({"createdTime": "yesterday"}, "Когда создана"),
        ({"createdBy": 999}, "Кем создана"),
    ],
)
def test_times_out_of_order_are_refused_and_name_the_field(portal: Calls, row: dict[str, Any], title: str) -> None:
    assert portal.imported(row) == [{"error": REFUSED, "error_description": f'Неверное значение поля "{title}"'}]


def test_created_times_must_ascend_and_equal_ones_pass(portal: Calls) -> None:
    outcomes = portal.imported(
        {"createdTime": NOON}, {"createdTime": NOON}, {"createdTime": MORNING}, {"createdTime": EVENING}
    )
    assert ["item" in one for one in outcomes] == [True, True, False, True]


def test_the_floor_of_created_times_is_per_type_and_falls_with_deletions(portal: Calls) -> None:
    deal = portal.add()
    assert "error" in portal.imported({"createdTime": MORNING})[0]
    assert "item" in portal.imported({"title": "A", "createdTime": MORNING}, entity_type_id=COMPANIES)[0]
    portal.result("crm.item.delete", entityTypeId=DEALS, id=deal)
    assert "item" in portal.imported({"createdTime": MORNING})[0]


def test_the_floor_can_be_switched_off(portal: Calls) -> None:
    portal.add()
    portal.switches.created_time_floor = False
    assert "item" in portal.imported({"createdTime": MORNING})[0]


def test_where_only_created_time_is_given_updated_time_is_now_or_the_same(portal: Calls) -> None:
    portal.imported({"createdTime": MORNING})
    portal.switches.import_updated_time = "created"
    portal.imported({"createdTime": MORNING})
    assert portal.item(1)["updatedTime"] == "2026-01-01T12:00:00+03:00"
    assert portal.item(2)["updatedTime"] == MORNING
    assert portal.item(1)["movedTime"] == MORNING


def test_a_missing_title_is_refused_for_companies_and_by_switch_for_deals(portal: Calls) -> None:
    code, text = portal.imported({}, entity_type_id=COMPANIES)[0].values()
    assert (code, text) == ("CRM_FIELD_ERROR_REQUIRED", 'Поле "Название компании" обязательно для заполнения')
    assert "item" in portal.imported({})[0]
    portal.switches.import_needs_title = True
    assert portal.imported({})[0]["error"] == "CRM_FIELD_ERROR_REQUIRED"


def test_mandatory_user_fields_are_checked_unless_the_setting_is_off(portal: Calls) -> None:
    portal.field("CITY", LABEL="Город", MANDATORY="Y")
    assert portal.imported({"title": "A"})[0]["error_description"] == 'Поле "Город" обязательно для заполнения'
    assert "item" in portal.imported({"title": "A", "UF_CRM_CITY": "Казань"})[0]
    portal.switches.check_mandatory_user_fields = False
    assert "item" in portal.imported({"title": "A"})[0]


def test_the_right_to_import_is_needed_and_the_right_to_add_is_not(portal: Calls) -> None:
    portal.act("user.rights", id=5, rights={"import": True, "add": False})
    portal.user_id = 5
    assert "item" in portal.imported({"title": "A"})[0]
    portal.act("user.rights", id=5, rights={"import": False, "add": True})
    for method, params in (("crm.item.import", {"fields": {}}), ("crm.item.batchImport", {"data": [{}]})):
        code, text, status = portal.refusal(method, entityTypeId=DEALS, **params)
        assert (code, text, status) == ("ACCESS_DENIED", "Доступ запрещен", 400)


def test_automation_runs_on_add_and_not_on_import(portal: Calls) -> None:
    portal.act("template.add", NAME="Авто", kind="waits", AUTO_EXECUTE=1)
    portal.imported({"title": "A"})
    assert portal.portal.figures()["workflows"]["started"] == 0
    portal.add(title="B")
    assert portal.portal.figures()["workflows"]["started"] == 1


def test_import_sends_events_unless_switched_off(portal: Calls) -> None:
    portal.imported({"title": "A"})
    assert portal.events() == [("ONCRMDEALADD", 1)]
    portal.switches.import_events = False
    portal.imported({"title": "B"})
    assert portal.events() == []


@pytest.mark.parametrize(
    ("rule", "time"), [("server", "2026-01-01T12:00:00+03:00"), ("created", MORNING), ("moved", NOON)]
)
def test_the_time_of_the_history_row_is_a_switch(portal: Calls, rule: str, time: str) -> None:
    portal.switches.import_history_time = rule
    portal.imported({"createdTime": MORNING, "movedTime": NOON, "stageId": "WON"})
    assert [(row["TYPE_ID"], row["STAGE_ID"], row["CREATED_TIME"]) for row in portal.history(1)] == [("1", "WON", time)]


def test_import_may_write_no_history_at_all(portal: Calls) -> None:
    portal.switches.import_history_row = False
    portal.imported({"title": "A"})
    assert portal.history(1) == []


def test_import_takes_phones_in_both_forms_by_default(portal: Calls) -> None:
    rows = [
        {"name": "А", "fm": [{"typeId": "PHONE", "valueType": "WORK", "value": "1"}]},
        {"name": "Б", "PHONE": [{"VALUE": "2", "VALUE_TYPE": "MOBILE"}], "EMAIL": [{"VALUE": "b@example.ru"}]},
    ]
    portal.imported(*rows, entity_type_id=CONTACTS)
    assert portal.item(1, CONTACTS)["phoneWork"] == "1"
    assert portal.item(2, CONTACTS)["phoneMobile"] == "2"
    assert portal.item(2, CONTACTS)["email"] == "b@example.ru"
    portal.switches.import_multifields = "fm"
    portal.imported(*rows, entity_type_id=CONTACTS)
    assert portal.item(4, CONTACTS)["fm"] == []


def test_two_imports_with_one_external_key_make_two_items(portal: Calls) -> None:
    row = {"originatorId": "S", "originId": "1"}
    portal.imported(row, row)
    assert portal.portal.figures()["duplicates"]["DEAL"] == 1
    assert portal.portal.dump("origin_pairs", {"entityTypeId": DEALS}) == [["S", "1", 1], ["S", "1", 2]]


def test_external_keys_differ_by_letter_case_for_the_count_of_duplicates(portal: Calls) -> None:
    portal.imported({"originatorId": "S", "originId": "a"}, {"originatorId": "S", "originId": "A"})
    assert portal.portal.figures()["duplicates_total"] == 0
