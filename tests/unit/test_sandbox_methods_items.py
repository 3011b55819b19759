"""crm.item.*: defaults, typed values, unknown names, updates, moves, events."""

from __future__ import annotations

from typing import Any

import pytest
from portal_calls import COMPANIES, CONTACTS, DEALS, LEADS, Calls


@pytest.fixture
def portal() -> Calls:
    return Calls()


def test_a_new_deal_gets_the_documented_defaults(portal: Calls) -> None:
    item = portal.item(portal.add())
    assert item["title"] == "Сделка #1"
    assert (item["stageId"], item["categoryId"], item["stageSemanticId"]) == ("NEW", 0, "P")
    assert (item["assignedById"], item["currencyId"], item["opened"]) == (1, "RUB", "Y")
    assert (item["typeId"], item["sourceId"]) == ("SALE", "CALL")
    assert item["begindate"] == "2026-01-01T03:00:00+03:00"
    assert item["closedate"] == "2026-01-08T03:00:00+03:00"
    assert item["createdTime"] == "2026-01-01T12:00:00+03:00"


def test_values_come_back_typed_and_switched_off_fields_are_null(portal: Calls) -> None:
    item = portal.item(portal.add(opportunity="999.99", probability="50", isManualOpportunity="Y"))
    assert (item["opportunity"], item["probability"], item["id"]) == (999.99, 50, 1)
    assert item["isManualOpportunity"] == "Y"
    assert item["hasProducts"] is None
    assert item["companyId"] == 0
    assert item["contactIds"] == []
    assert item["entityTypeId"] == DEALS


def test_whole_amounts_come_back_without_a_fraction(portal: Calls) -> None:
    assert repr(portal.item(portal.add(opportunity=1500.0))["opportunity"]) == "1500"


def test_unknown_and_read_only_names_are_dropped_silently(portal: Calls) -> None:
    item = portal.item(portal.add(title="A", isReccurring="Y", createdTime="2020-01-01T00:00:00+03:00", id=77))
    assert item["id"] == 1
    assert item["createdTime"].startswith("2026")


def test_upper_case_names_are_unknown_to_the_item_dialect(portal: Calls) -> None:
    assert portal.item(portal.add(TITLE="upper"))["title"] == "Сделка #1"


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"opportunity": "много"}, "Сумма"),
        ({"opportunity": "1_000"}, "Сумма"),
        ({"currencyId": "XXX"}, "Валюта"),
        ({"begindate": "вчера"}, "Дата начала"),
        ({"assignedById": 999}, "Ответственный"),
        ({"companyId": 999}, "Компания"),
        ({"stageId": "NOWHERE"}, "Стадия сделки"),
        ({"categoryId": 99}, "Воронка"),
        ({"typeId": "NOTHING"}, "Тип"),
        ({"isManualOpportunity": "maybe"}, "Режим расчёта суммы"),
        ({"title": ["a", "b"]}, "Название"),
    ],
)
def test_a_wrong_value_is_refused_and_names_its_field(portal: Calls, fields: dict[str, Any], title: str) -> None:
    code, text, status = portal.refusal("crm.item.add", entityTypeId=DEALS, fields=fields)
    assert (code, text, status) == ("CRM_FIELD_ERROR_VALUE_NOT_VALID", f'Неверное значение поля "{title}"', 400)
    assert len(portal.portal.items[DEALS]) == 0


def test_a_scalar_for_a_multiple_field_is_error_100(portal: Calls) -> None:
    code, text, _ = portal.refusal("crm.item.add", entityTypeId=DEALS, fields={"contactIds": "5"})
    assert code == 100
    assert text == "Expected iterable value for multiple field, but got `string` instead"


def test_a_stage_of_another_pipeline_is_refused_or_replaced_by_the_first(portal: Calls) -> None:
    category = portal.result("crm.category.add", entityTypeId=DEALS, fields={"name": "Проекты"})["category"]["id"]
    fields = {"categoryId": category, "stageId": "EXECUTING"}
    assert portal.refusal("crm.item.add", entityTypeId=DEALS, fields=fields)[0] == "CRM_FIELD_ERROR_VALUE_NOT_VALID"
    portal.switches.foreign_stage_on_add = "first"
    assert portal.item(portal.add(**fields))["stageId"] == f"C{category}:NEW"


def test_long_titles_are_cut_or_refused(portal: Calls) -> None:
    assert len(portal.item(portal.add(title="x" * 300))["title"]) == 255
    portal.switches.long_strings = "refuse"
    assert portal.refusal("crm.item.add", entityTypeId=DEALS, fields={"title": "x" * 256})[0]


def test_unknown_links_can_be_kept_or_dropped(portal: Calls) -> None:
    portal.switches.unknown_link_value = "keep"
    assert portal.item(portal.add(companyId=999))["companyId"] == 999
    portal.switches.unknown_link_value = "drop"
    assert portal.item(portal.add(companyId=999))["companyId"] == 0


def test_a_dismissed_person_can_be_responsible_unless_the_switch_forbids_it(portal: Calls) -> None:
    assert portal.item(portal.add(assignedById=13))["assignedById"] == 13
    portal.switches.dismissed_assignee = "refuse"
    assert portal.refusal("crm.item.add", entityTypeId=DEALS, fields={"assignedById": 13})[0]


def test_the_first_of_several_contacts_is_the_main_one(portal: Calls) -> None:
    first, second = portal.add(CONTACTS, name="А"), portal.add(CONTACTS, name="Б")
    item = portal.item(portal.add(contactIds=[second, first]))
    assert (item["contactId"], item["contactIds"]) == (second, [second, first])
    item = portal.update(item["id"], contactIds=[])
    assert (item["contactId"], item["contactIds"]) == (None, [])


def test_companies_and_contacts_see_one_relation_from_both_sides(portal: Calls) -> None:
    company = portal.add(COMPANIES, title="Ромашка")
    contact = portal.add(CONTACTS, name="Ира", companyId=company)
    assert portal.item(company, COMPANIES)["contactIds"] == [contact]
    portal.update(company, COMPANIES, contactIds=[])
    assert portal.item(contact, CONTACTS)["companyIds"] == []
    assert portal.item(contact, CONTACTS)["companyId"] == 0


def test_phones_and_emails_are_read_as_fm_and_flat_aliases(portal: Calls) -> None:
    contact = portal.add(
        CONTACTS,
        name="Ира",
        fm=[
            {"typeId": "PHONE", "valueType": "WORK", "value": "+7 900 000-00-01"},
            {"typeId": "EMAIL", "valueType": "HOME", "value": "ira@example.ru"},
        ],
    )
    item = portal.item(contact, CONTACTS)
    assert [row["typeId"] for row in item["fm"]] == ["PHONE", "EMAIL"]
    assert (item["phone"], item["phoneWork"], item["phoneMobile"]) == ("+7 900 000-00-01", "+7 900 000-00-01", "")
    assert (item["emailHome"], item["emailWork"]) == ("ira@example.ru", "")
    assert (item["hasPhone"], item["hasEmail"]) == ("Y", "Y")


def test_fm_by_id_changes_and_deletes_and_a_list_adds(portal: Calls) -> None:
    contact = portal.add(CONTACTS, name="Ира", fm=[{"typeId": "PHONE", "valueType": "WORK", "value": "1"}])
    row = portal.item(contact, CONTACTS)["fm"][0]
    changed = portal.update(contact, CONTACTS, fm={str(row["id"]): {"typeId": "PHONE", "value": "2"}})
    assert [(one["id"], one["value"]) for one in changed["fm"]] == [(row["id"], "2")]
    assert len(portal.update(contact, CONTACTS, fm=[{"typeId": "PHONE", "value": "3"}])["fm"]) == 2
    emptied = portal.update(contact, CONTACTS, fm={str(row["id"]): {"typeId": "PHONE", "value": ""}})
    assert [one["value"] for one in emptied["fm"]] == ["3"]


def test_fm_without_a_type_does_nothing_and_a_bad_email_is_refused(portal: Calls) -> None:
    contact = portal.add(CONTACTS, name="Ира", fm=[{"value": "1"}])
    assert portal.item(contact, CONTACTS)["fm"] == []
    fields = {"fm": [{"typeId": "EMAIL", "value": "no address"}]}
    assert portal.refusal("crm.item.update", entityTypeId=CONTACTS, id=contact, fields=fields)[0]


def test_a_contact_without_names_gets_one_and_may_not_lose_both(portal: Calls) -> None:
    contact = portal.add(CONTACTS, name="", lastName="")
    assert portal.item(contact, CONTACTS)["name"]
    fields = {"name": "", "lastName": ""}
    code, text, _ = portal.refusal("crm.item.update", entityTypeId=CONTACTS, id=contact, fields=fields)
    assert code == "CRM_FIELD_ERROR_REQUIRED"
    assert "«Имя»" in text
    assert "«Фамилия»" in text


def test_an_update_that_changes_nothing_is_not_saved(portal: Calls) -> None:
    deal = portal.add(title="A", opportunity=5)
    portal.events()
    portal.later(60)
    item = portal.update(deal, title="A", opportunity=5.0, comments="")
    assert item["updatedTime"] == "2026-01-01T12:00:00+03:00"
    assert portal.events() == []


def test_an_update_sets_time_and_author_and_raises_one_event(portal: Calls) -> None:
    deal = portal.add(title="A")
    portal.events()
    portal.later(60)
    portal.user_id = 5
    item = portal.update(deal, title="B")
    assert (item["updatedTime"], item["updatedBy"], item["createdBy"]) == ("2026-01-01T12:01:00+03:00", 5, 1)
    assert portal.events() == [("ONCRMDEALUPDATE", deal)]


def test_an_empty_responsible_person_keeps_the_old_one(portal: Calls) -> None:
    deal = portal.add(assignedById=5)
    assert portal.update(deal, assignedById="", title="B")["assignedById"] == 5


def test_a_stage_change_sets_marks_and_history(portal: Calls) -> None:
    deal = portal.add()
    portal.later(60)
    item = portal.update(deal, stageId="WON")
    assert (item["stageSemanticId"], item["closed"], item["isNew"]) == ("S", "Y", "N")
    assert (item["movedTime"], item["movedBy"]) == ("2026-01-01T12:01:00+03:00", 1)
    assert [row["TYPE_ID"] for row in portal.history(deal)] == ["1", "3"]
    portal.update(deal, stageId="EXECUTING")
    assert [row["TYPE_ID"] for row in portal.history(deal)] == ["1", "3", "2"]


def test_a_move_to_another_pipeline_takes_the_first_stage_of_the_same_group(portal: Calls) -> None:
    category = portal.result("crm.category.add", entityTypeId=DEALS, fields={"name": "Проекты"})["category"]["id"]
    deal = portal.add(stageId="WON")
    portal.events()
    item = portal.update(deal, categoryId=category, stageId="WON")
    assert item["stageId"] == f"C{category}:WON"
    assert portal.history(deal)[-1]["TYPE_ID"] == "5"
    assert portal.events() == [("ONCRMDEALMOVETOCATEGORY", deal)]


def test_a_foreign_stage_without_a_pipeline_is_refused_on_update(portal: Calls) -> None:
    category = portal.result("crm.category.add", entityTypeId=DEALS, fields={"name": "Проекты"})["category"]["id"]
    deal = portal.add()
    fields = {"stageId": f"C{category}:WON"}
    assert portal.refusal("crm.item.update", entityTypeId=DEALS, id=deal, fields=fields)[0]


def test_leads_call_their_stage_stageid_and_become_returning_with_a_client(portal: Calls) -> None:
    company = portal.add(COMPANIES, title="Ромашка")
    lead = portal.item(portal.add(LEADS, title="Лид", stageId="IN_PROCESS", companyId=company), LEADS)
    assert (lead["stageId"], lead["isReturnCustomer"], lead["dateClosed"]) == ("IN_PROCESS", "Y", None)
    assert portal.update(lead["id"], LEADS, stageId="JUNK")["dateClosed"] == "2026-01-01T12:00:00+03:00"


def test_delete_answers_an_empty_array_and_the_item_is_gone(portal: Calls) -> None:
    deal = portal.add()
    portal.events()
    assert portal.result("crm.item.delete", entityTypeId=DEALS, id=deal) == []
    assert portal.refusal("crm.item.get", entityTypeId=DEALS, id=deal) == ("NOT_FOUND", "Элемент не найден", 400)
    assert portal.history(deal) == []
    assert portal.events() == [("ONCRMDEALDELETE", deal)]
    assert portal.add() == deal + 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"entityTypeId": 999, "id": 1}, "NOT_FOUND"),
        ({"entityTypeId": "abc", "id": 1}, "NOT_FOUND"),
        ({"entityTypeId": 5, "id": 1}, "ENTITY_TYPE_NOT_SUPPORTED"),
        ({"entityTypeId": 2}, 100),
        ({"id": 1}, 100),
        ({"entityTypeId": 2, "id": 1}, "NOT_FOUND"),
    ],
)
def test_wrong_types_and_ids_have_their_codes(portal: Calls, params: dict[str, Any], code: Any) -> None:
    assert portal.refusal("crm.item.get", **params)[0] == code


def test_rights_are_checked_for_each_method(portal: Calls) -> None:
    deal = portal.add()
    for right, method, extra in (
        ("add", "crm.item.add", {"fields": {}}),
        ("update", "crm.item.update", {"id": deal, "fields": {"title": "x"}}),
        ("delete", "crm.item.delete", {"id": deal}),
        ("read", "crm.item.get", {"id": deal}),
        ("import", "crm.item.import", {"fields": {}}),
    ):
        portal.act("user.rights", id=5, rights={right: False})
        portal.user_id = 5
        code, _, status = portal.refusal(method, entityTypeId=DEALS, **extra)
        assert (code, status) == ("ACCESS_DENIED", 400), right
        portal.act("user.rights", id=5, rights={right: None})
        portal.user_id = 1


def test_without_the_right_to_change_stages_the_code_is_a_dash(portal: Calls) -> None:
    deal = portal.add()
    portal.act("user.rights", id=5, rights={"stage": False})
    portal.user_id = 5
    assert portal.refusal("crm.item.update", entityTypeId=DEALS, id=deal, fields={"stageId": "WON"})[0] == "-"


def test_a_person_who_reads_only_his_own_sees_nothing_else(portal: Calls) -> None:
    mine, other = portal.add(assignedById=5), portal.add(assignedById=7)
    portal.act("user.rights", id=5, rights={"read": "own"})
    portal.user_id = 5
    assert portal.listed() == [mine]
    assert portal.refusal("crm.item.get", entityTypeId=DEALS, id=other)[0] == "ACCESS_DENIED"


def test_people_from_outside_are_refused_with_403(portal: Calls) -> None:
    portal.act("user.add", ID=21, NAME="Гость", EMAIL="guest@example.ru", USER_TYPE="extranet")
    portal.user_id = 21
    code, _, status = portal.refusal("crm.item.list", entityTypeId=DEALS)
    assert (code, status) == ("allowed_only_intranet_user", 403)


def test_fields_describe_names_flags_and_user_fields(portal: Calls) -> None:
    portal.field("REGION", "enumeration", LABEL="Регион", LIST=[{"VALUE": "Москва"}])
    fields = portal.result("crm.item.fields", entityTypeId=DEALS)["fields"]
    assert fields["assignedById"]["upperName"] == "ASSIGNED_BY_ID"
    assert fields["createdTime"]["isReadOnly"] is True
    assert fields["stageId"]["statusType"] == "DEAL_STAGE"
    region = fields["ufCrmRegion"]
    assert (region["title"], region["upperName"], region["isDynamic"]) == ("Регион", "UF_CRM_REGION", True)
    assert region["items"][0]["VALUE"] == "Москва"
    assert isinstance(region["items"][0]["ID"], str)
    assert "UF_CRM_REGION" in portal.result("crm.item.fields", entityTypeId=DEALS, useOriginalUfNames="Y")["fields"]


def test_smart_processes_have_the_fields_that_their_switches_open(portal: Calls) -> None:
    fields = {"title": "Заявка", "entityTypeId": 1030, "isStagesEnabled": "Y", "isClientEnabled": "N"}
    made = portal.result("crm.type.add", fields=fields)["type"]
    assert made["id"] != made["entityTypeId"] == 1030
    item = portal.item(portal.add(1030, title="Первая", xmlId="k-1"), 1030)
    category = portal.result("crm.category.list", entityTypeId=1030)["categories"][0]["id"]
    assert item["xmlId"] == "k-1"
    assert item["stageId"] == f"DT1030_{category}:NEW"
    assert "companyId" not in item
    assert portal.events()[:2] == [("ONCRMDYNAMICITEMADD", 1), ("ONCRMDYNAMICITEMADD_1030", 1)]
    deal = portal.item(portal.add(parentId1030=item["id"]))
    assert deal["parentId1030"] == item["id"]


@pytest.mark.parametrize("entity_type_id", [127, 193, 1031, 2])
def test_a_wrong_number_of_a_smart_process_is_refused(portal: Calls, entity_type_id: int) -> None:
    fields = {"title": "Заявка", "entityTypeId": entity_type_id}
    assert portal.refusal("crm.type.add", fields=fields)[0] == "INVALID_ARG_VALUE"


def test_a_smart_process_item_updated_without_a_pipeline_goes_to_the_main_one(portal: Calls) -> None:
    fields = {"title": "Заявка", "entityTypeId": 1030, "isStagesEnabled": "Y"}
    portal.result("crm.type.add", fields=fields)
    second = portal.result("crm.category.add", entityTypeId=1030, fields={"name": "Вторая"})["category"]["id"]
    item = portal.add(1030, title="A", categoryId=second)
    assert portal.update(item, 1030, title="B", categoryId=second)["categoryId"] == second
    assert portal.update(item, 1030, title="C")["categoryId"] != second
    portal.switches.dynamic_update_resets_category = False
    portal.update(item, 1030, categoryId=second)
    assert portal.update(item, 1030, title="D")["categoryId"] == second


def test_quotes_are_kept_too(portal: Calls) -> None:
    quote = portal.item(portal.add(7, title="КП", opportunity=10), 7)
    assert (quote["stageId"], quote["closed"]) == ("DRAFT", "N")
    assert portal.update(quote["id"], 7, stageId="APPROVED")["closed"] == "Y"
    assert "item" in portal.imported({"title": "Ещё"}, entity_type_id=7)[0]
