"""Seeds, acts by hand, dumps and figures of the control API."""

from __future__ import annotations

import pytest
from portal_calls import COMPANIES, DEALS, Calls

from b24sync.sandbox.registry import METHODS

SEED = {
    "users": [
        {"ID": 5, "rights": {"import": False}},
        {"ID": 20, "NAME": "Новый", "EMAIL": "n@example.ru", "ADMIN": True},
    ],
    "categories": [
        {
            "name": "Проекты",
            "stages": [
                {"name": "Заявка"},
                {"name": "Экспертиза", "status_id": "EXPERTISE"},
                {"name": "Готово", "semantics": "S"},
                {"name": "Отказ", "semantics": "F"},
            ],
        }
    ],
    "types": [{"title": "Заявка", "entityTypeId": 1030, "isStagesEnabled": "Y"}],
    "statuses": [{"ENTITY_ID": "SOURCE", "STATUS_ID": "FAIR", "NAME": "Ярмарка"}],
    "items": [
        {"entityTypeId": 4, "fields": {"title": "Ромашка"}},
        {"fields": {"title": "Старая", "createdTime": "2024-01-01T10:00:00+03:00", "companyId": 1, "sourceId": "FAIR"}},
    ],
}


def test_a_seed_is_laid_over_the_defaults() -> None:
    portal = Calls(SEED)
    assert portal.portal.users[5].full_name == "Мария Кузнецова"
    assert not portal.portal.users[5].may("import")
    assert portal.portal.users[20].admin
    assert portal.stages(1) == ["C1:NEW", "C1:EXPERTISE", "C1:WON", "C1:LOSE"]
    assert portal.item(1)["createdTime"] == "2024-01-01T10:00:00+03:00"
    assert portal.result("crm.type.list")["types"][0]["entityTypeId"] == 1030
    assert portal.events() == []


def test_a_deal_is_moved_by_hand_by_names() -> None:
    portal = Calls(SEED)
    portal.act("deal.move", id=1, category="Проекты", stage="Экспертиза", user=5)
    item = portal.item(1)
    assert (item["stageId"], item["movedBy"], item["updatedBy"]) == ("C1:EXPERTISE", 5, 5)
    assert portal.events() == [("ONCRMDEALMOVETOCATEGORY", 1)]
    portal.act("deal.move", id=1, stage="C1:WON")
    assert [row["TYPE_ID"] for row in portal.history(1)] == ["1", "5", "3"]


def test_items_are_added_edited_and_deleted_by_hand() -> None:
    portal = Calls()
    deal = portal.act("item.add", entityTypeId=DEALS, fields={"title": "Руками"}, user=7)["id"]
    assert portal.item(deal)["createdBy"] == 7
    assert portal.act("item.edit", id=deal, fields={"title": "Руками"})["changed"] is False
    portal.act("item.edit", id=deal, fields={"title": "Иначе"})
    portal.act("item.delete", id=deal)
    assert [event for event, _ in portal.events()] == ["ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE"]


def test_mandatory_fields_do_not_bind_hands_but_rest() -> None:
    portal = Calls()
    portal.field("CITY", MANDATORY="Y")
    assert portal.act("item.add", fields={"title": "A"})["id"]
    assert portal.refusal("crm.item.add", entityTypeId=DEALS, fields={})[0] == "CRM_FIELD_ERROR_REQUIRED"


def test_pipelines_and_stages_are_renamed_and_deleted_by_hand_with_their_items_moved() -> None:
    portal = Calls(SEED)
    portal.act("deal.move", id=1, category="Проекты", stage="Экспертиза")
    portal.act("category.rename", id=1, new_name="Дела")
    portal.act("stage.rename", category="Дела", stage="Экспертиза", new_name="Проверка")
    assert portal.act("stage.delete", category=1, stage="Проверка") == {"id": "C1:EXPERTISE", "moved": 1}
    assert portal.item(1)["stageId"] == "C1:NEW"
    assert portal.act("category.delete", id=1)["moved"] == 1
    assert (portal.item(1)["categoryId"], portal.item(1)["stageId"]) == (0, "NEW")


def test_a_dismissed_person_stays_responsible() -> None:
    portal = Calls()
    deal = portal.add(assignedById=7)
    portal.act("user.dismiss", id=7)
    assert portal.item(deal)["assignedById"] == 7
    assert portal.result("user.get", ID=7)[0]["ACTIVE"] is False


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("item.edit", {"id": 99, "fields": {}}),
        ("item.edit", {"id": 1, "fields": {"opportunity": "x"}}),
        ("deal.move", {"id": 1, "stage": "Нет такой"}),
        ("deal.move", {"id": 1, "category": "Нет такой"}),
        ("workflow.complete", {"id": "x"}),
        ("template.add", {"NAME": "x", "DOCUMENT_TYPE": "NOPE"}),
        ("template.add", {"NAME": "x", "kind": "nope"}),
        ("category.delete", {"id": 0}),
        ("userfield.delete", {"FIELD_NAME": "NOPE"}),
    ],
)
def test_mistakes_in_acts_are_told(name: str, params: dict[str, object]) -> None:
    portal = Calls(SEED)
    with pytest.raises(ValueError, match=r"\w"):
        portal.act(name, **params)


def test_dumps_show_the_state_without_paging_and_rights() -> None:
    portal = Calls(SEED)
    for number in range(60):
        portal.add(originatorId="S", originId=str(number))
    rows = portal.portal.dump("items", {"entityTypeId": DEALS, "select": "id,originId", "originatorId": "S"})
    assert len(rows) == 60
    assert rows[0] == {"id": 2, "originId": "0"}
    assert portal.portal.dump("items", {"ids": "1", "select": ["title"]}) == [{"title": "Старая"}]
    assert len(portal.portal.dump("origin_pairs")) == 60
    assert portal.portal.dump("stages", {"entity_id": "DEAL_STAGE_1"})[1]["status_id"] == "C1:EXPERTISE"
    assert [row["name"] for row in portal.portal.dump("categories", {"entityTypeId": DEALS})] == ["Общая", "Проекты"]
    assert portal.portal.dump("stagehistory", {"owner_id": 1})[0]["group"] == "P"
    assert len(portal.portal.dump("users")) == 8
    assert portal.portal.dump("types")[-1]["entity_type_id"] == 1030
    for wrong in ("nope", "items"):
        with pytest.raises(ValueError, match=r"\w"):
            portal.portal.dump(wrong, {"entityTypeId": 999})


def test_figures_count_items_and_surplus_of_smart_processes_by_their_xml_id() -> None:
    portal = Calls(SEED)
    for _ in range(3):
        portal.add(1030, title="x", xmlId="k")
    figures = portal.portal.figures()
    assert figures["items"] == {"LEAD": 0, "DEAL": 1, "CONTACT": 0, "COMPANY": 1, "QUOTE": 0, "DYNAMIC_1030": 3}
    assert (figures["duplicates"]["DYNAMIC_1030"], figures["duplicates_total"]) == (2, 2)


def test_no_method_tells_or_changes_roles_of_the_crm() -> None:
    assert not [name for name in METHODS if "role" in name or "permission" in name]


def test_a_company_without_a_title_gets_one_from_the_item_dialect() -> None:
    portal = Calls()
    assert portal.item(portal.add(COMPANIES), COMPANIES)["title"] == "Компания #1"
