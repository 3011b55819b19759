"""What hangs on items: product rows, activities, comments, files, parents; and what a deletion does to it."""

from __future__ import annotations

from typing import Any

import pytest
from portal_calls import COMPANIES, CONTACTS, DEALS, NOON, Calls

PHONE = [{"typeId": "PHONE", "value": "+79000000001"}]


@pytest.fixture
def portal() -> Calls:
    return Calls()


def rows_of(portal: Calls, owner_id: int, owner_type: str = "D") -> list[dict[str, Any]]:
    answer = portal.result("crm.item.productrow.list", filter={"=ownerType": owner_type, "=ownerId": owner_id})
    return list(answer["productRows"])


# -- product rows -----------------------------------------------------------------------------
def test_product_rows_make_the_sum_unless_it_is_kept_by_hand(portal: Calls) -> None:
    deal = portal.add(opportunity=5)
    rows = [{"productName": "Болт", "price": 100, "quantity": 3}, {"productName": "Гайка", "price": "50.5"}]
    answer = portal.result("crm.item.productrow.set", ownerType="D", ownerId=deal, productRows=rows)
    assert [(row["productName"], row["quantity"], row["sort"]) for row in answer["productRows"]] == [
        ("Болт", 3, 10),
        ("Гайка", 1, 20),
    ]
    assert portal.item(deal)["opportunity"] == 350.5
    assert portal.update(deal, opportunity=7)["opportunity"] == 350.5
    assert portal.update(deal, opportunity=7, isManualOpportunity="Y")["opportunity"] == 7
    portal.result("crm.item.productrow.add", fields={"ownerType": "D", "ownerId": deal, "price": 1})
    assert portal.item(deal)["opportunity"] == 7
    assert portal.update(deal, isManualOpportunity="N")["opportunity"] == 351.5


def test_discount_and_tax_follow_from_the_price(portal: Calls) -> None:
    deal = portal.add()
    fields = {"ownerType": "D", "ownerId": deal, "productName": "iphone 14", "price": 80000, "quantity": 2}
    fields |= {"discountTypeId": 2, "discountRate": 20, "taxRate": 20, "taxIncluded": "Y"}
    row = portal.result("crm.item.productrow.add", fields=fields)["productRow"]
    assert (row["priceExclusive"], row["priceNetto"], row["discountSum"]) == (66666.67, 83333.33, 16666.67)
    assert portal.item(deal)["opportunity"] == 160000


def test_rows_are_changed_and_deleted_one_by_one(portal: Calls) -> None:
    deal = portal.add()
    row = portal.result("crm.item.productrow.add", fields={"ownerType": "D", "ownerId": deal, "price": 10})[
        "productRow"
    ]
    assert (
        portal.result("crm.item.productrow.update", id=row["id"], fields={"quantity": 4})["productRow"]["quantity"] == 4
    )
    assert portal.refusal("crm.item.productrow.update", id=row["id"], fields={"ownerId": 1})[0] == "INVALID_ARG_VALUE"
    assert portal.item(deal)["opportunity"] == 40
    assert portal.result("crm.item.productrow.delete", id=row["id"]) is None
    assert portal.refusal("crm.item.productrow.get", id=row["id"])[0] == "NOT_FOUND"
    assert (rows_of(portal, deal), portal.item(deal)["opportunity"]) == ([], 0)


def test_rows_need_an_owner(portal: Calls) -> None:
    company = portal.add(COMPANIES, title="К")
    assert portal.refusal("crm.item.productrow.list", filter={"=ownerType": "D"})[0] == "INVALID_ARG_VALUE"
    assert portal.refusal("crm.item.productrow.set", ownerType="D", ownerId=99, productRows=[])[0] == "OWNER_NOT_FOUND"
    wrong = portal.refusal("crm.item.productrow.set", ownerType="CO", ownerId=company, productRows=[])
    assert wrong[0] == "ENTITY_TYPE_NOT_SUPPORTED"
    assert portal.refusal("crm.item.productrow.set", ownerType="D", productRows=[])[0] == 100


def test_classic_rows_are_the_same_rows(portal: Calls) -> None:
    deal = portal.add()
    row = {"PRODUCT_NAME": "Болт", "PRICE": 899.1, "QUANTITY": 2, "DISCOUNT_TYPE_ID": 2, "DISCOUNT_RATE": 10}
    assert portal.result("crm.deal.productrows.set", id=deal, rows=[row]) is True
    shown = portal.result("crm.deal.productrows.get", id=deal)[0]
    assert (shown["ID"], shown["OWNER_TYPE"], shown["PRICE"], shown["PRICE_NETTO"]) == ("1", "D", 899.1, 999)
    assert (shown["PRICE_ACCOUNT"], rows_of(portal, deal)[0]["discountSum"]) == ("899.10", 99.9)
    portal.result("crm.deal.productrows.set", id=deal, rows=[])
    assert rows_of(portal, deal) == []
    half = {"PRICE": 1, "DISCOUNT_TYPE_ID": 1}
    assert portal.refusal("crm.deal.productrows.set", id=deal, rows=[half])[0] == "ERROR_CORE"


# -- smart processes --------------------------------------------------------------------------
def test_a_smart_process_is_changed_and_deleted_when_it_is_empty(portal: Calls) -> None:
    parent = [{"entityTypeId": 2, "isChildrenListEnabled": "true"}]
    made = portal.result("crm.type.add", fields={"title": "Заявка", "relations": {"parent": parent}})["type"]
    assert (made["isStagesEnabled"], made["isSetOpenPermissions"]) == ("N", "Y")
    assert made["relations"]["parent"][0]["isChildrenListEnabled"] == "Y"
    number = made["entityTypeId"]
    on = {"isStagesEnabled": "Y", "isLinkWithProductsEnabled": "Y", "title": "Заявки"}
    assert portal.result("crm.type.update", id=made["id"], fields=on)["type"]["title"] == "Заявки"
    deal = portal.add()
    item = portal.add(number, title="1", xmlId="ext-1", parentId2=deal)
    row = portal.item(item, number)
    assert row["stageId"].startswith(f"DT{number}_")
    assert row["stageId"].endswith(":NEW")
    assert (row["xmlId"], row["parentId2"], portal.listed(number, filter={"parentId2": deal})) == (
        "ext-1",
        deal,
        [item],
    )
    portal.result("crm.item.productrow.set", ownerType=f"T{number:x}", ownerId=item, productRows=[{"price": 5}])
    assert portal.item(item, number)["opportunity"] == 5
    assert portal.refusal("crm.type.delete", id=made["id"])[0] == "BX_ERROR"
    portal.result("crm.item.delete", entityTypeId=number, id=item)
    assert (portal.result("crm.type.delete"), portal.result("crm.type.delete", id=made["id"])) == (None, [])
    assert portal.refusal("crm.type.delete", id=made["id"])[0] == 0
    assert portal.result("crm.type.list")["types"] == []


def test_smart_processes_are_filtered(portal: Calls) -> None:
    for title in ("Заявка", "Проект"):
        portal.result("crm.type.add", fields={"title": title})
    found = portal.result("crm.type.list", filter={"%title": "Про"})["types"]
    assert [row["title"] for row in found] == ["Проект"]
    assert portal.refusal("crm.type.list", filter={"nope": 1})[0] == "INVALID_ARG_VALUE"
    assert portal.result("crm.type.fields")["fields"]["title"]["isRequired"] is True


# -- activities, comments ---------------------------------------------------------------------
def call_of(deal: int, **more: Any) -> dict[str, Any]:
    return {
        "OWNER_TYPE_ID": 2,
        "OWNER_ID": deal,
        "TYPE_ID": 2,
        "SUBJECT": "Позвонить",
        "RESPONSIBLE_ID": 5,
        "START_TIME": "2026-01-02T10:00:00+03:00",
        "COMMUNICATIONS": [{"VALUE": "+79000000001"}],
        **more,
    }


def test_activities_are_found_by_owner_and_by_external_key(portal: Calls) -> None:
    deal = portal.add()
    made = portal.result("crm.activity.add", fields=call_of(deal, ORIGINATOR_ID="b24sync", ORIGIN_ID="7"))
    row = portal.result("crm.activity.get", id=made)
    assert (row["ID"], row["DEADLINE"], row["COMPLETED"]) == (str(made), "2026-01-02T10:00:00+03:00", "N")
    for tree in ({"OWNER_TYPE_ID": 2, "OWNER_ID": deal}, {"ORIGINATOR_ID": "b24sync", "@ORIGIN_ID": ["7", "8"]}):
        assert [one["ID"] for one in portal.result("crm.activity.list", filter=tree)] == [str(made)]
    assert portal.result("crm.activity.list", filter={"OWNER_ID": deal + 1}) == []
    assert portal.result("crm.activity.update", id=made, fields={"COMPLETED": "Y"}) is True
    assert portal.result("crm.activity.get", id=made)["STATUS"] == "2"
    with_contact = portal.result("crm.activity.list", select=["ID", "COMMUNICATIONS"])
    assert with_contact == [{"ID": str(made), "COMMUNICATIONS": [{"VALUE": "+79000000001"}]}]
    assert portal.result("crm.activity.delete", id=made) is True
    assert portal.refusal("crm.activity.get", id=made)[1] == "Activity is not found"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"SUBJECT": ""}, "The field SUBJECT is not defined or empty"),
        ({"RESPONSIBLE_ID": 999}, "The field RESPONSIBLE_ID is not defined or invalid"),
        ({"TYPE_ID": 3}, "The field TYPE_ID is not defined or invalid"),
        ({"COMMUNICATIONS": []}, "The field COMMUNICATIONS is not defined or invalid"),
        ({"COMMUNICATIONS": [{}, {}]}, "The only one communication is allowed for activity of specified type"),
        (
            {"OWNER_ID": 99},
            "Could not build binding. Please ensure that owner info and communications are defined correctly",
        ),
    ],
)
def test_wrong_activities_are_refused(portal: Calls, change: dict[str, Any], text: str) -> None:
    assert portal.refusal("crm.activity.add", fields=call_of(portal.add(), **change))[1] == text


def test_a_letter_leaves_only_when_all_three_conditions_hold(portal: Calls) -> None:
    deal = portal.add()
    letter = call_of(deal, TYPE_ID=4, DIRECTION=2, COMPLETED="Y", COMMUNICATIONS=[{"VALUE": "c@example.ru"}])
    portal.result("crm.activity.add", fields={**letter, "COMPLETED": "N"})
    assert portal.portal.mails == []
    assert portal.refusal("crm.activity.add", fields=letter)[1] == 'Email send error. "From" is not found'
    assert len(portal.portal.activities) == 2
    portal.result("crm.activity.add", fields={**letter, "SETTINGS": {"MESSAGE_FROM": "Иван <i@example.ru>"}})
    assert [(one["to"], one["from"]) for one in portal.portal.mails] == [("c@example.ru", "Иван <i@example.ru>")]


def test_plans_stand_in_the_timeline(portal: Calls) -> None:
    deal = portal.add()
    plan = {"ownerTypeId": 2, "ownerId": deal, "deadline": "2026-02-03T15:00:00", "title": "Перезвонить"}
    made = portal.result("crm.activity.todo.add", **plan)["id"]
    row = portal.result("crm.activity.list", filter={"PROVIDER_ID": "CRM_TODO"})[0]
    assert (row["SUBJECT"], row["DEADLINE"]) == ("Перезвонить", "2026-02-03T15:00:00+03:00")
    owner = {"id": made, "ownerTypeId": 2, "ownerId": deal}
    portal.result("crm.activity.todo.updateDeadline", **owner, value="2026-02-04T15:00:00")
    assert portal.result("crm.activity.get", id=made)["DEADLINE"] == "2026-02-04T15:00:00+03:00"
    assert portal.refusal("crm.activity.todo.add", **{**plan, "deadline": "soon"})[0] == "WRONG_DATETIME_FORMAT"
    assert portal.refusal("crm.activity.todo.add", **{**plan, "ownerId": 99})[0] == "OWNER_NOT_FOUND"
    assert portal.refusal("crm.activity.todo.updateDeadline", **{**owner, "id": 99}, value="x")[0] == "NOT_FOUND"


def test_comments_take_files_and_are_listed_by_owner(portal: Calls) -> None:
    deal = portal.add()
    fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": deal, "COMMENT": "Готово", "FILES": [["a.txt", "eA=="], "wrong"]}
    made = portal.result("crm.timeline.comment.add", fields=fields)
    row = portal.result("crm.timeline.comment.list", filter={"ENTITY_TYPE": "deal", "ENTITY_ID": deal})[0]
    assert (row["ID"], row["COMMENT"], row["AUTHOR_ID"]) == (str(made), "Готово", "1")
    assert [one["name"] for one in row["FILES"].values()] == ["a.txt"]
    assert portal.refusal("crm.timeline.comment.add", FIELDS=fields)[0] == 100
    assert portal.refusal("crm.timeline.comment.add", fields={**fields, "COMMENT": ""})[0] == "INVALID_ARG_VALUE"
    assert portal.refusal("crm.timeline.comment.add", fields={**fields, "ENTITY_ID": 99})[0] == "OWNER_NOT_FOUND"
    portal.result("crm.timeline.comment.update", id=made, fields={"COMMENT": "Всё"})
    assert portal.result("crm.timeline.comment.get", id=made)["COMMENT"] == "Всё"
    assert portal.result("crm.timeline.comment.delete", id=made) is None
    assert portal.refusal("crm.timeline.comment.get", id=made)[1] == "Not found."


# -- requisites, addresses --------------------------------------------------------------------
def test_an_address_hangs_on_a_requisite_of_a_company(portal: Calls) -> None:
    company = portal.add(COMPANIES, title="К")
    fields = {"ENTITY_TYPE_ID": COMPANIES, "ENTITY_ID": company, "PRESET_ID": 1, "NAME": "Организация", "RQ_INN": "77"}
    requisite = portal.result("crm.requisite.add", fields=fields)
    rows = portal.result("crm.requisite.list", filter={"RQ_INN": "77"}, select=["ID", "ENTITY_ID"])
    assert rows == [{"ID": str(requisite), "ENTITY_ID": str(company)}]
    place = {"TYPE_ID": 6, "ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite, "CITY": "Казань"}
    assert portal.result("crm.address.add", fields=place) is True
    assert portal.refusal("crm.address.add", fields=place)[1] == "TypeAddress exists."
    portal.result("crm.address.update", fields={**place, "CITY": "Пермь"})
    found = portal.result("crm.address.list", filter={"ANCHOR_TYPE_ID": 4, "ANCHOR_ID": company})
    assert [(row["CITY"], row["ENTITY_ID"], row["ADDRESS_1"]) for row in found] == [("Пермь", str(requisite), None)]
    assert portal.refusal("crm.address.delete", fields={**place, "TYPE_ID": 1})[1] == "TypeAddress not found."
    assert portal.refusal("crm.address.add", fields={**place, "ENTITY_TYPE_ID": 4})[1].startswith("ENTITY_TYPE_ID")
    portal.result("crm.requisite.update", id=requisite, fields={"RQ_KPP": "1"})
    assert portal.result("crm.requisite.get", id=requisite)["RQ_KPP"] == "1"
    portal.result("crm.item.delete", entityTypeId=COMPANIES, id=company)
    assert portal.result("crm.address.list") == portal.result("crm.requisite.list") == []


def test_a_long_part_of_an_address_is_cut_or_refused_as_the_switch_says(portal: Calls) -> None:
    company = portal.add(COMPANIES, title="К")
    fields = {"ENTITY_TYPE_ID": COMPANIES, "ENTITY_ID": company, "PRESET_ID": 1, "NAME": "Организация"}
    requisite = portal.result("crm.requisite.add", fields=fields)
    place = {"TYPE_ID": 6, "ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite, "ADDRESS_1": "Я" * 300}
    assert portal.result("crm.address.add", fields=place) is True
    assert [row["ADDRESS_1"] for row in portal.result("crm.address.list")] == ["Я" * 255]
    portal.portal.switches.set("long_strings", "refuse")
    assert portal.refusal("crm.address.update", fields=place)[1] == "Failed to save the address."


def test_requisites_have_their_errors(portal: Calls) -> None:
    company = portal.add(COMPANIES, title="К")
    fields = {"ENTITY_TYPE_ID": COMPANIES, "ENTITY_ID": company, "PRESET_ID": 1}
    for change, text in (
        ({"ENTITY_TYPE_ID": DEALS}, "ENTITY_TYPE_ID is not defined or invalid."),
        ({"ENTITY_ID": 99}, "Entity not found."),
        ({"PRESET_ID": 0}, "PRESET_ID is not defined or invalid."),
    ):
        assert portal.refusal("crm.requisite.add", fields={**fields, **change})[1] == text
    made = portal.result("crm.requisite.add", fields=fields)
    assert portal.result("crm.requisite.delete", id=made) is True
    assert portal.refusal("crm.requisite.delete", id=made)[1] == f"The Requisite with ID '{made}' is not found"
    assert portal.result("crm.requisite.preset.list")[0]["NAME"] == "Организация"
    assert {row["ID"] for row in portal.result("crm.enum.addresstype")} >= {1, 6}


# -- deletion ---------------------------------------------------------------------------------
def test_a_deleted_deal_takes_along_what_hangs_on_it_alone(portal: Calls) -> None:
    deal, contact = portal.add(), portal.add(CONTACTS, name="А", fm=PHONE)
    portal.result("crm.item.productrow.add", fields={"ownerType": "D", "ownerId": deal, "price": 10})
    portal.result("crm.activity.add", fields=call_of(deal))
    shared = [{"VALUE": "+79000000001", "ENTITY_TYPE_ID": CONTACTS, "ENTITY_ID": contact}]
    kept = portal.result("crm.activity.add", fields=call_of(deal, COMMUNICATIONS=shared))
    portal.result("crm.timeline.comment.add", fields={"ENTITY_TYPE": "deal", "ENTITY_ID": deal, "COMMENT": "x"})
    portal.result("crm.item.delete", entityTypeId=DEALS, id=deal)
    assert [row["ID"] for row in portal.result("crm.activity.list")] == [str(kept)]
    assert portal.result("crm.activity.get", id=kept)["OWNER_TYPE_ID"] == str(CONTACTS)
    figures = portal.portal.figures()
    assert (figures["product_rows"], figures["timeline_comments"], figures["recycle_bin"]) == (0, 0, 1)
    assert portal.portal.dump("recycle_bin")[0]["id"] == deal
    back = portal.act("item.restore", id=deal)["id"]
    assert back != deal
    assert portal.item(back)["opportunity"] == 10
    assert len(rows_of(portal, back)) == len(portal.result("crm.activity.list", filter={"OWNER_ID": back})) == 1
    with pytest.raises(ValueError, match="recycle bin"):
        portal.act("item.restore", id=deal)


def test_a_restored_item_may_keep_its_id() -> None:
    portal = Calls(restored_item_keeps_id=True)
    deal = portal.add()
    portal.result("crm.item.delete", entityTypeId=DEALS, id=deal)
    assert portal.act("item.restore", id=deal)["id"] == deal
    assert portal.clock.time() == NOON
