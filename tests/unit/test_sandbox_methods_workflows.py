"""bizproc.workflow.*: templates, starts, instances, ends."""

from __future__ import annotations

import re
from typing import Any

import pytest
from portal_calls import DEAL, DEALS, Calls


@pytest.fixture
def portal() -> Calls:
    """A portal with templates of every kind and one deal."""
    seed = {
        "userfields": [
            {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "TRACE", "USER_TYPE_ID": "string"},
            {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "STARTS", "USER_TYPE_ID": "integer"},
        ],
        "templates": [
            {"NAME": "Отметка", "kind": "trace", "trace_field": "UF_CRM_TRACE"},
            {"NAME": "Счётчик", "kind": "trace", "trace_field": "UF_CRM_STARTS"},
            {"NAME": "Ждёт и метит", "kind": "waits_then_trace", "trace_field": "UF_CRM_TRACE"},
            {"NAME": "С параметром", "parameters": {"Who": {"Name": "Кто", "Type": "user", "Required": "1"}}},
            {"NAME": "Лид", "DOCUMENT_TYPE": "LEAD"},
        ],
        "items": [{"fields": {"title": "Сделка"}}],
    }
    return Calls(seed)


def template_id(portal: Calls, name: str) -> int:
    template = portal.portal.workflows.named(name)
    assert template is not None
    return template.id


def start(portal: Calls, name: str, deal: int = 1, **more: Any) -> str:
    document = [*DEAL, f"DEAL_{deal}"]
    return str(
        portal.result("bizproc.workflow.start", TEMPLATE_ID=template_id(portal, name), DOCUMENT_ID=document, **more)
    )


def waiting(portal: Calls, **tree: Any) -> list[dict[str, Any]]:
    select = ["ID", "DOCUMENT_ID", "TEMPLATE_ID", "STARTED", "STARTED_BY", "ENTITY", "MODULE_ID"]
    return list(portal.result("bizproc.workflow.instances", SELECT=select, FILTER=tree))


def test_a_started_workflow_waits_and_is_found_by_its_document(portal: Calls) -> None:
    instance = start(portal, "Первый звонок")
    assert re.fullmatch(r"[0-9a-f]{13}\d\.\d{8}", instance)
    assert waiting(portal, DOCUMENT_ID="DEAL_1") == [
        {
            "ID": instance,
            "DOCUMENT_ID": "DEAL_1",
            "TEMPLATE_ID": str(template_id(portal, "Первый звонок")),
            "STARTED": "2026-01-01T12:00:00+03:00",
            "STARTED_BY": "1",
            "ENTITY": "CCrmDocumentDeal",
            "MODULE_ID": "crm",
        }
    ]


def test_two_starts_make_two_instances_and_the_figures_tell(portal: Calls) -> None:
    assert start(portal, "Первый звонок") != start(portal, "Первый звонок")
    figures = portal.portal.figures()["workflows"]
    assert (figures["started"], figures["waiting"], figures["started_twice"], figures["surplus_starts"]) == (2, 2, 1, 1)


def test_a_start_after_another_stage_entry_is_no_repetition(portal: Calls) -> None:
    start(portal, "Первый звонок")
    portal.act("deal.move", id=1, stage="В работе")
    start(portal, "Первый звонок")
    assert portal.portal.figures()["workflows"]["started_twice"] == 0


def test_a_third_waiting_workflow_on_one_document_is_refused(portal: Calls) -> None:
    start(portal, "Первый звонок")
    start(portal, "Подготовка КП")
    document = [*DEAL, "DEAL_1"]
    params = {"TEMPLATE_ID": template_id(portal, "Первый звонок"), "DOCUMENT_ID": document}
    code, text, status = portal.refusal("bizproc.workflow.start", **params)
    assert (code, status) == ("", 400)
    assert "(2)" in text
    start(portal, "Мгновенный")
    portal.act("workflow.complete", template="Первый звонок")
    start(portal, "Первый звонок")


def test_one_that_ends_at_once_leaves_nothing_behind(portal: Calls) -> None:
    before = portal.item(1)
    start(portal, "Мгновенный")
    assert waiting(portal) == []
    assert portal.item(1) == before
    assert portal.portal.dump("workflows")[0]["state"] == "completed"


def test_a_trace_tells_the_time_and_the_workflow(portal: Calls) -> None:
    portal.events()
    instance = start(portal, "Отметка")
    assert portal.item(1)["UF_CRM_TRACE"] == f"2026-01-01T12:00:00+03:00 Отметка {instance}"
    assert waiting(portal) == []
    assert portal.events() == [("ONCRMDEALUPDATE", 1)]


def test_a_number_as_trace_counts_the_starts(portal: Calls) -> None:
    start(portal, "Счётчик")
    start(portal, "Счётчик")
    assert portal.item(1)["UF_CRM_STARTS"] == 2


def test_one_that_waits_leaves_its_trace_when_it_is_completed(portal: Calls) -> None:
    instance = start(portal, "Ждёт и метит")
    assert portal.item(1)["UF_CRM_TRACE"] is None
    portal.act("workflow.complete", id=instance)
    assert instance in portal.item(1)["UF_CRM_TRACE"]
    assert waiting(portal) == []


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({}, "ERROR_WRONG_WORKFLOW_ID", "Empty TEMPLATE_ID"),
        ({"TEMPLATE_ID": 0}, "ERROR_WRONG_WORKFLOW_ID", "Empty TEMPLATE_ID"),
        ({"TEMPLATE_ID": 9999}, "ERROR_WRONG_WORKFLOW_ID", "Template not found"),
        ({"TEMPLATE_ID": 202}, "", "Wrong DOCUMENT_ID!"),
        ({"TEMPLATE_ID": 202, "DOCUMENT_ID": "DEAL_1"}, "", "Wrong DOCUMENT_ID!"),
        ({"TEMPLATE_ID": 202, "DOCUMENT_ID": ["crm", "CCrmDocumentDeal"]}, "", "Wrong DOCUMENT_ID!"),
        ({"TEMPLATE_ID": 202, "DOCUMENT_ID": ["lists", "CCrmDocumentDeal", "DEAL_1"]}, "", "Wrong DOCUMENT_ID!"),
        ({"TEMPLATE_ID": 202, "DOCUMENT_ID": [*DEAL, "DEAL_99"]}, "", "Wrong DOCUMENT_ID!"),
        ({"TEMPLATE_ID": 202, "DOCUMENT_ID": [*DEAL, "1"]}, "", "Incorrect document type!"),
        ({"TEMPLATE_ID": 202, "DOCUMENT_ID": [*DEAL, "LEAD_1"]}, "", "Incorrect document type!"),
    ],
)
def test_wrong_starts_have_the_documented_texts(portal: Calls, params: dict[str, Any], code: str, text: str) -> None:
    assert portal.refusal("bizproc.workflow.start", **params) == (code, text, 400)
    assert portal.portal.figures()["workflows"]["started"] == 0


def test_a_template_of_another_type_does_not_match(portal: Calls) -> None:
    params = {"TEMPLATE_ID": template_id(portal, "Лид"), "DOCUMENT_ID": [*DEAL, "DEAL_1"]}
    assert portal.refusal("bizproc.workflow.start", **params)[1] == "Template type and DOCUMENT_ID mismatch!"


def test_a_required_parameter_must_be_given(portal: Calls) -> None:
    params = {"TEMPLATE_ID": template_id(portal, "С параметром"), "DOCUMENT_ID": [*DEAL, "DEAL_1"]}
    code, text, _ = portal.refusal("bizproc.workflow.start", **params)
    assert (code, text) == ("", 'Не заполнено обязательное поле "Кто"')
    start(portal, "С параметром", PARAMETERS={"Who": "user_1"})
    assert portal.portal.dump("workflows")[0]["parameters"] == {"Who": "user_1"}


@pytest.mark.parametrize(
    "method",
    ["bizproc.workflow.start", "bizproc.workflow.instances", "bizproc.workflow.template.list", "bizproc.workflow.kill"],
)
def test_only_administrators_handle_workflows(portal: Calls, method: str) -> None:
    portal.user_id = 5
    assert portal.refusal(method) == ("ACCESS_DENIED", "Access denied!", 403)


def test_instances_show_three_columns_newest_first_by_default(portal: Calls) -> None:
    start(portal, "Первый звонок")
    portal.later(5)
    second = start(portal, "Подготовка КП")
    rows = portal.result("bizproc.workflow.instances")
    assert rows[0] == {"ID": second, "MODIFIED": "2026-01-01T12:00:05+03:00", "OWNED_UNTIL": None}
    assert portal.result("bizproc.workflow.instance.list") == rows


def test_instances_are_filtered_by_time_template_and_several_documents(portal: Calls) -> None:
    for _ in range(3):
        portal.add()
    start(portal, "Первый звонок", 2)
    portal.later(5)
    start(portal, "Подготовка КП", 3)
    by_time = waiting(portal, **{">=STARTED": "2026-01-01T12:00:05+03:00"})
    assert [row["DOCUMENT_ID"] for row in by_time] == ["DEAL_3"]
    assert len(waiting(portal, DOCUMENT_ID=["DEAL_1", "DEAL_2", "DEAL_3"])) == 2
    by_template = waiting(portal, template_id=template_id(portal, "Первый звонок"), module_id="crm")
    assert [row["DOCUMENT_ID"] for row in by_template] == ["DEAL_2"]
    assert [row["DOCUMENT_ID"] for row in waiting(portal, **{"!DOCUMENT_ID": "DEAL_2"})] == ["DEAL_3"]
    portal.switches.instances_array_filter = False
    assert portal.refusal("bizproc.workflow.instances", FILTER={"DOCUMENT_ID": ["DEAL_1"]})[0]


def test_instances_come_in_pages(portal: Calls) -> None:
    for _ in range(60):
        start(portal, "Первый звонок", portal.add())
    answer = portal.call("bizproc.workflow.instances")
    assert (len(answer.result), answer.total, answer.next) == (50, 60, 50)
    assert len(portal.result("bizproc.workflow.instances", start=50)) == 10


@pytest.mark.parametrize(("method", "state"), [("terminate", "terminated"), ("kill", "killed")])
def test_waiting_workflows_are_ended_by_their_text_id(portal: Calls, method: str, state: str) -> None:
    instance = start(portal, "Первый звонок")
    assert portal.result(f"bizproc.workflow.{method}", ID=instance, STATUS="x") is True
    assert waiting(portal) == []
    assert portal.portal.dump("workflows")[0]["state"] == state
    answer = portal.refusal(f"bizproc.workflow.{method}", ID="")
    assert answer == ("ERROR_WRONG_WORKFLOW_ID", "Empty workflow instance ID", 400)


def test_a_deleted_deal_takes_its_workflows_along(portal: Calls) -> None:
    start(portal, "Первый звонок")
    portal.result("crm.item.delete", entityTypeId=DEALS, id=1)
    assert waiting(portal) == []


def test_templates_are_texts_and_show_only_ids_by_default(portal: Calls) -> None:
    answer = portal.call("bizproc.workflow.template.list")
    assert set(answer.result[0]) == {"ID"}
    assert answer.total == len(answer.result)
    tree = {"MODULE_ID": "crm", "ENTITY": "CCrmDocumentDeal", "NAME": "С параметром"}
    row = portal.result(
        "bizproc.workflow.template.list",
        SELECT=["ID", "NAME", "DOCUMENT_TYPE", "PARAMETERS", "AUTO_EXECUTE"],
        FILTER=tree,
    )[0]
    assert row["DOCUMENT_TYPE"] == ["crm", "CCrmDocumentDeal", "DEAL"]
    assert (row["AUTO_EXECUTE"], row["PARAMETERS"]["Who"]["Required"]) == ("0", "1")
    plain = portal.result("bizproc.workflow.template.list", SELECT=["PARAMETERS"], FILTER={"NAME": "Мгновенный"})
    assert plain == [{"PARAMETERS": []}]


def test_a_seed_replaces_a_default_template_by_name(portal: Calls) -> None:
    rows = portal.result("bizproc.workflow.template.list", SELECT=["NAME"], FILTER={"NAME": "Отметка"})
    assert len(rows) == 1


def test_templates_are_written_by_applications_only(portal: Calls) -> None:
    params: dict[str, Any] = {
        "DOCUMENT_TYPE": ["crm", "CCrmDocumentDeal", "DEAL"],
        "NAME": "Из приложения",
        "TEMPLATE_DATA": ["a.bpt", "QUJD"],
    }
    refused = portal.refusal("bizproc.workflow.template.add", **params)
    assert refused == ("ACCESS_DENIED", "Application context required", 403)
    portal.is_app = True
    made = portal.result("bizproc.workflow.template.add", **params)
    assert portal.result("bizproc.workflow.template.update", ID=made, FIELDS={"NAME": "Новое"}) == made
    assert portal.portal.workflows.templates[made].name == "Новое"
    foreign = portal.refusal("bizproc.workflow.template.update", ID=202, FIELDS={"NAME": "x"})
    assert foreign[0] == "ERROR_TEMPLATE_NOT_OWNER"
    assert portal.result("bizproc.workflow.template.delete", ID=made) is None
    assert portal.refusal("bizproc.workflow.template.delete", ID=made)[0] == "ERROR_TEMPLATE_NOT_FOUND"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"DOCUMENT_TYPE": ["crm", "X", "DEAL"]}, "Incorrect field DOCUMENT_TYPE!"),
        ({"NAME": ""}, "Empty template name!"),
        ({"AUTO_EXECUTE": 9}, "Incorrect field AUTO_EXECUTE!"),
        ({"TEMPLATE_DATA": "x"}, "Incorrect field TEMPLATE_DATA!"),
    ],
)
def test_wrong_templates_are_refused(portal: Calls, change: dict[str, Any], text: str) -> None:
    portal.is_app = True
    params = {"DOCUMENT_TYPE": ["crm", "CCrmDocumentDeal", "DEAL"], "NAME": "x", "TEMPLATE_DATA": ["a.bpt", "QUJD"]}
    answer = portal.refusal("bizproc.workflow.template.add", **{**params, **change})
    assert answer == ("ERROR_TEMPLATE_VALIDATION_FAILURE", text, 400)


def test_automation_on_create_and_update_respects_the_limit_of_waiting_ones(portal: Calls) -> None:
    portal.act("template.add", NAME="На создание", AUTO_EXECUTE=1)
    portal.act("template.add", NAME="На изменение", AUTO_EXECUTE=2)
    deal = portal.act("item.add", fields={"title": "Руками"})["id"]
    portal.update(deal, title="B")
    portal.update(deal, title="C")
    states = [row["template"] for row in portal.portal.dump("workflows", {"document_id": f"DEAL_{deal}"})]
    assert states == ["На создание", "На изменение"]
