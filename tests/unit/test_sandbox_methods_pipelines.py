"""crm.category.*, crm.dealcategory.*, crm.status.*, crm.stagehistory.list."""

from __future__ import annotations

from typing import Any

import pytest
from portal_calls import DEALS, LEADS, Calls

DEFAULT = ["NEW", "PREPARATION", "PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE", "WON", "LOSE", "APOLOGY"]


@pytest.fixture
def portal() -> Calls:
    return Calls()


def new_category(portal: Calls, name: str = "Проекты", **fields: Any) -> int:
    made = portal.result("crm.category.add", entityTypeId=DEALS, fields={"name": name, **fields})
    return int(made["category"]["id"])


def test_the_default_pipeline_has_id_zero_and_no_origin_keys(portal: Calls) -> None:
    new_category(portal)
    answer = portal.call("crm.category.list", entityTypeId=DEALS)
    first, second = answer.result["categories"]
    assert first == {"id": 0, "name": "Общая", "sort": 100, "entityTypeId": 2, "isDefault": "Y"}
    assert (second["originId"], second["originatorId"], second["isDefault"]) == ("", "", "N")
    assert (answer.total, answer.next) == (2, None)


def test_sixty_pipelines_come_in_one_page(portal: Calls) -> None:
    for number in range(60):
        new_category(portal, f"P{number}")
    answer = portal.call("crm.category.list", entityTypeId=DEALS)
    assert (len(answer.result["categories"]), answer.next) == (61, None)


def test_a_new_pipeline_gets_the_default_stages_with_its_prefix(portal: Calls) -> None:
    category = new_category(portal)
    assert portal.stages(category) == [f"C{category}:{stage}"[:21] for stage in DEFAULT]


def test_stage_ids_are_cut_to_21_characters(portal: Calls) -> None:
    while (category := new_category(portal)) < 10:
        pass
    assert f"C{category}:PREPAYMENT_INVOIC" in portal.stages(category)
    assert max(len(stage) for stage in portal.stages(category)) == 21


def test_pipelines_are_renamed_sorted_and_keep_an_external_key(portal: Calls) -> None:
    category = new_category(portal, originId="p-1", originatorId="S")
    portal.result("crm.category.update", entityTypeId=DEALS, id=category, fields={"name": "Дела", "sort": 10})
    row = portal.result("crm.category.get", entityTypeId=DEALS, id=category)["category"]
    assert (row["name"], row["sort"], row["originId"], row["originatorId"]) == ("Дела", 10, "p-1", "S")


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("crm.category.list", {"entityTypeId": 1}, "ENTITY_TYPE_NOT_SUPPORTED"),
        ("crm.category.list", {"entityTypeId": 999}, "NOT_FOUND"),
        ("crm.category.get", {"entityTypeId": 2, "id": 99}, "NOT_FOUND"),
        ("crm.category.add", {"entityTypeId": 2, "fields": {}}, "0"),
        ("crm.category.add", {"entityTypeId": 3, "fields": {"name": "x"}}, "ADDING_DISABLED"),
        ("crm.category.delete", {"entityTypeId": 2, "id": 0}, "0"),
    ],
)
def test_wrong_pipelines_have_their_codes(portal: Calls, method: str, params: dict[str, Any], code: str) -> None:
    assert portal.refusal(method, **params)[0] == code


def test_only_an_empty_pipeline_is_deleted_and_the_answer_is_null(portal: Calls) -> None:
    category = new_category(portal)
    deal = portal.add(categoryId=category)
    code, text, _ = portal.refusal("crm.category.delete", entityTypeId=DEALS, id=category)
    assert (code, text) == ("0", "Найдены сделки, относящиеся к воронке Проекты")
    portal.update(deal, categoryId=0)
    assert portal.result("crm.category.delete", entityTypeId=DEALS, id=category) is None
    assert portal.stages(category) == []


def test_pipelines_and_stages_are_changed_by_people_with_settings_rights_only(portal: Calls) -> None:
    portal.user_id = 5
    assert portal.refusal("crm.category.add", entityTypeId=DEALS, fields={"name": "x"})[0] == "ACCESS_DENIED"
    fields = {"ENTITY_ID": "SOURCE", "STATUS_ID": "X", "NAME": "X"}
    assert portal.refusal("crm.status.add", fields=fields) == ("", "Access denied.", 400)


def test_the_deprecated_methods_know_the_same_pipelines(portal: Calls) -> None:
    category = new_category(portal)
    assert [row["ID"] for row in portal.result("crm.dealcategory.list")] == [str(category)]
    assert portal.result("crm.dealcategory.status", id=category) == f"DEAL_STAGE_{category}"
    assert portal.result("crm.dealcategory.default.get")["NAME"] == "Общая"
    assert [row["STATUS_ID"] for row in portal.result("crm.dealcategory.stage.list", id=0)] == DEFAULT
    assert portal.result("crm.dealcategory.stage.list", id=99) == []


def test_stages_come_as_texts_with_semantics(portal: Calls) -> None:
    rows = portal.result("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE"}, order={"SORT": "ASC"})
    assert [row["STATUS_ID"] for row in rows] == DEFAULT
    won = rows[5]
    assert (won["SORT"], won["SYSTEM"], won["SEMANTICS"], won["CATEGORY_ID"]) == ("60", "Y", "S", None)
    assert [row["EXTRA"]["SEMANTICS"] for row in rows[4:]] == ["process", "success", "failure", "apology"]
    assert portal.call("crm.status.list").total == len(portal.portal.dictionaries.rows)


def test_entity_id_cannot_be_filtered_by_an_array(portal: Calls) -> None:
    answer = portal.refusal("crm.status.list", filter={"ENTITY_ID": ["SOURCE", "STATUS"]})
    assert answer[1] == "Filter by ENTITY_ID must be a string"


def test_an_added_stage_gets_the_prefix_unless_it_has_it(portal: Calls) -> None:
    category = new_category(portal)
    entity_id = f"DEAL_STAGE_{category}"
    fields = {"ENTITY_ID": entity_id, "NAME": "Решение", "SORT": 45}
    made = portal.result("crm.status.add", fields={**fields, "STATUS_ID": "DECISION"})
    portal.result("crm.status.add", fields={**fields, "STATUS_ID": f"C{category}:SECOND"})
    row = portal.result("crm.status.get", id=made)
    assert (row["STATUS_ID"], row["SYSTEM"], row["CATEGORY_ID"]) == (f"C{category}:DECISION", "N", str(category))
    assert portal.stages(category)[4:6] == [f"C{category}:DECISION", f"C{category}:SECOND"]
    assert portal.item(portal.add(categoryId=category, stageId=f"C{category}:DECISION"))["stageSemanticId"] == "P"


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({}, "", "The field ENTITY_ID is required. The field STATUS_ID is required."),
        ({"ENTITY_ID": "SOURCE"}, "", "The field STATUS_ID is required."),
        ({"ENTITY_ID": "NOPE", "STATUS_ID": "X", "NAME": "X"}, "", "Specified entity type is not supported."),
        ({"ENTITY_ID": "DEAL_STAGE_0", "STATUS_ID": "X", "NAME": "X"}, "", "Specified entity type is not supported."),
        ({"ENTITY_ID": "SOURCE", "STATUS_ID": "X"}, "", 'Не заполнено обязательное поле "Заголовок"'),
        (
            {"ENTITY_ID": "SOURCE", "STATUS_ID": "CALL", "NAME": "X"},
            "ERROR_CORE",
            "Указанный идентификатор статуса, уже существует.",
        ),
        (
            {"ENTITY_ID": "DEAL_STAGE", "STATUS_ID": "X", "NAME": "X", "SORT": 500},
            "",
            "Нельзя создать промежуточную стадию после успешной",
        ),
        (
            {"ENTITY_ID": "DEAL_STAGE", "STATUS_ID": "X", "NAME": "X", "SORT": 65, "SEMANTICS": "S"},
            "",
            "Error on creating status.",
        ),
    ],
)
def test_wrong_dictionary_rows_are_refused(portal: Calls, fields: dict[str, Any], code: str, text: str) -> None:
    assert portal.refusal("crm.status.add", fields=fields) == (code, text, 400)


def test_a_failure_stage_may_stand_after_the_success_stage(portal: Calls) -> None:
    fields = {"ENTITY_ID": "DEAL_STAGE", "STATUS_ID": "LATE", "NAME": "Поздно", "SORT": 90, "SEMANTICS": "F"}
    portal.result("crm.status.add", fields=fields)
    assert portal.item(portal.add(stageId="LATE"))["closed"] == "Y"


def test_names_and_order_change_and_ids_do_not(portal: Calls) -> None:
    row = portal.result("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE", "STATUS_ID": "EXECUTING"})[0]
    portal.result("crm.status.update", id=row["ID"], fields={"NAME": "Делаем", "SORT": 5, "STATUS_ID": "OTHER"})
    assert portal.stages()[0] == "EXECUTING"
    assert portal.result("crm.status.get", id=row["ID"])["NAME"] == "Делаем"


def test_rows_are_deleted_unless_system_or_in_use(portal: Calls) -> None:
    ids = {row["STATUS_ID"]: row["ID"] for row in portal.result("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE"})}
    assert "FORCED" in portal.refusal("crm.status.delete", id=ids["NEW"])[1]
    deal = portal.add(stageId="EXECUTING")
    assert portal.refusal("crm.status.delete", id=ids["EXECUTING"])[1] == "There are active items in this status."
    portal.update(deal, stageId="NEW")
    assert portal.result("crm.status.delete", id=ids["EXECUTING"]) is True
    assert "EXECUTING" not in portal.stages()
    assert portal.refusal("crm.status.delete", id=ids["EXECUTING"])[1] == "Status is not found."
    assert portal.refusal("crm.status.delete", id=ids["WON"], params={"FORCED": "Y"})[1] == "Error on deleting status."


def test_dictionaries_are_listed_with_their_semantics(portal: Calls) -> None:
    category = new_category(portal)
    rows = {row["ID"]: row for row in portal.result("crm.status.entity.types")}
    assert rows["SOURCE"] == {"ID": "SOURCE", "NAME": "Источники"}
    assert rows["DEAL_STAGE"]["CATEGORY_ID"] == 0
    own = rows[f"DEAL_STAGE_{category}"]
    assert (own["PREFIX"], own["CATEGORY_ID"]) == (f"C{category}", str(category))
    assert own["SEMANTIC_INFO"]["FINAL_SUCCESS_FIELD"] == f"C{category}:WON"
    items = portal.result("crm.status.entity.items", entityId="STATUS")
    assert items[0] == {"NAME": "Не обработан", "SORT": 10, "STATUS_ID": "NEW"}


def test_history_rows_are_texts_and_leads_have_status_instead_of_stage(portal: Calls) -> None:
    deal, lead = portal.add(), portal.add(LEADS, title="Лид")
    assert portal.history(deal) == [
        {
            "ID": "1",
            "TYPE_ID": "1",
            "OWNER_ID": str(deal),
            "CREATED_TIME": "2026-01-01T12:00:00+03:00",
            "CATEGORY_ID": "0",
            "STAGE_SEMANTIC_ID": "P",
            "STAGE_ID": "NEW",
        }
    ]
    row = portal.history(lead, LEADS)[0]
    assert (row["STATUS_ID"], row["STATUS_SEMANTIC_ID"]) == ("NEW", "P")
    assert "CATEGORY_ID" not in row


def test_history_is_walked_by_id_and_selected(portal: Calls) -> None:
    for _ in range(60):
        portal.add()
    answer = portal.call(
        "crm.stagehistory.list", entityTypeId=DEALS, filter={">ID": 5}, order={"ID": "ASC"}, select=["ID"], start=-1
    )
    assert [row["ID"] for row in answer.result["items"]] == [str(number) for number in range(6, 56)]
    assert (answer.total, answer.next) == (0, None)
    assert portal.call("crm.stagehistory.list", entityTypeId=DEALS).next == 50
    newest = portal.call("crm.stagehistory.list", entityTypeId=DEALS, order={"ID": "DESC"}).result["items"][0]
    assert newest["ID"] == "60"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"entityTypeId": 3}, "ENTITY_TYPE_NOT_SUPPORTED"),
        ({"entityTypeId": 2, "filter": {"NOPE": 1}}, "INVALID_ARG_VALUE"),
        ({"entityTypeId": 2, "order": {"NOPE": "ASC"}}, "INVALID_ARG_VALUE"),
        ({"entityTypeId": 2, "filter": {">ID": "x"}}, "INVALID_ARG_VALUE"),
    ],
)
def test_history_refuses_what_it_does_not_know(portal: Calls, params: dict[str, Any], code: str) -> None:
    assert portal.refusal("crm.stagehistory.list", **params)[0] == code
