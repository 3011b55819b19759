"""crm.deal|lead|contact|company.*: texts, empty codes, the same items as crm.item.*."""

from __future__ import annotations

from typing import Any

import pytest
from portal_calls import COMPANIES, CONTACTS, DEALS, LEADS, Calls


@pytest.fixture
def portal() -> Calls:
    return Calls()


def test_an_added_deal_is_read_as_texts(portal: Calls) -> None:
    deal = portal.result("crm.deal.add", fields={"TITLE": "A", "OPPORTUNITY": 1000, "BEGINDATE": "2024-08-30"})
    assert deal == 1
    row = portal.result("crm.deal.get", id=deal)
    assert (row["ID"], row["OPPORTUNITY"], row["ASSIGNED_BY_ID"]) == ("1", "1000.00", "1")
    assert row["BEGINDATE"] == "2024-08-30T03:00:00+03:00"
    assert (row["COMPANY_ID"], row["CONTACT_ID"], row["LEAD_ID"], row["TAX_VALUE"]) == ("0", None, None, "0.00")
    assert "CONTACT_IDS" not in row
    assert portal.item(deal)["title"] == "A"


def test_parameter_names_are_known_in_any_letter_case(portal: Calls) -> None:
    deal = portal.result("crm.deal.add", FIELDS={"TITLE": "A"})
    assert portal.result("crm.deal.get", ID=deal)["TITLE"] == "A"
    assert portal.result("crm.deal.list", SELECT=["TITLE"], FILTER={"ID": deal})[0]["TITLE"] == "A"


@pytest.mark.parametrize(
    ("method", "params", "text"),
    [
        ("crm.deal.add", {}, "Parameter 'fields' must be array."),
        ("crm.deal.add", {"fields": "x"}, "Parameter 'fields' must be array."),
        ("crm.deal.add", {"fields": {}, "params": "x"}, "Parameter 'params' must be array."),
        ("crm.deal.list", {"filter": "x"}, "Parameter 'filter' must be array."),
        ("crm.deal.list", {"order": "x"}, "Parameter 'order' must be array."),
        ("crm.deal.get", {}, "ID is not defined or invalid."),
        ("crm.deal.get", {"id": 0}, "ID is not defined or invalid."),
        ("crm.deal.get", {"id": 5}, "Not found"),
        ("crm.deal.update", {"id": 5, "fields": {}}, "Not found"),
        ("crm.deal.delete", {"id": 5}, "Not found"),
        ("crm.deal.add", {"fields": {"CURRENCY_ID": "XXX"}}, "Неверное значение поля «Валюта»"),
    ],
)
def test_errors_have_an_empty_code_and_a_text(portal: Calls, method: str, params: dict[str, Any], text: str) -> None:
    assert portal.refusal(method, **params) == ("", text, 400)


def test_an_update_answers_true_and_ignores_a_stage_of_another_pipeline(portal: Calls) -> None:
    category = portal.result("crm.category.add", entityTypeId=DEALS, fields={"name": "Проекты"})["category"]["id"]
    deal = portal.add()
    assert portal.result("crm.deal.update", id=deal, fields={"STAGE_ID": f"C{category}:WON"}) is True
    assert portal.item(deal)["stageId"] == "NEW"
    assert len(portal.history(deal)) == 1


def test_an_update_cannot_change_the_pipeline(portal: Calls) -> None:
    category = portal.result("crm.category.add", entityTypeId=DEALS, fields={"name": "Проекты"})["category"]["id"]
    deal = portal.add()
    portal.result("crm.deal.update", id=deal, fields={"CATEGORY_ID": category, "TITLE": "B"})
    assert (portal.item(deal)["categoryId"], portal.item(deal)["title"]) == (0, "B")


def test_a_stage_change_is_written_to_the_history_from_here_too(portal: Calls) -> None:
    deal = portal.add()
    portal.result("crm.deal.update", id=deal, fields={"STAGE_ID": "EXECUTING"})
    assert [row["TYPE_ID"] for row in portal.history(deal)] == ["1", "2"]


def test_an_update_without_a_difference_still_raises_the_event(portal: Calls) -> None:
    deal = portal.add(title="A")
    portal.events()
    portal.result("crm.deal.update", id=deal, fields={"TITLE": "A"})
    assert portal.events() == [("ONCRMDEALUPDATE", deal)]


def test_system_times_cannot_be_set_for_deals(portal: Calls) -> None:
    fields = {"TITLE": "A", "DATE_CREATE": "2020-01-01T00:00:00+03:00"}
    deal = portal.result("crm.deal.add", fields=fields, params={"IMPORT": "Y"})
    assert portal.result("crm.deal.get", id=deal)["DATE_CREATE"].startswith("2026")


def test_contacts_and_companies_take_system_times_with_the_import_parameter(portal: Calls) -> None:
    fields = {"NAME": "Ира", "DATE_CREATE": "2020-01-01T00:00:00+03:00", "CREATED_BY_ID": 5}
    contact = portal.result("crm.contact.add", fields=fields, params={"IMPORT": "Y"})
    row = portal.result("crm.contact.get", id=contact)
    assert (row["DATE_CREATE"], row["CREATED_BY_ID"]) == ("2020-01-01T00:00:00+03:00", "5")
    portal.add(CONTACTS, name="Новый")
    assert portal.refusal("crm.contact.add", fields=fields, params={"IMPORT": "Y"})[0] == ""


def test_required_names_are_checked(portal: Calls) -> None:
    assert portal.refusal("crm.contact.add", fields={})[0] == ""
    assert portal.refusal("crm.company.add", fields={})[0] == ""
    assert portal.result("crm.contact.add", fields={"LAST_NAME": "Иванова"}) == 1


def test_phones_change_by_id_add_without_and_delete_on_request(portal: Calls) -> None:
    contact = portal.result("crm.contact.add", fields={"NAME": "Ира", "PHONE": [{"VALUE": "1", "VALUE_TYPE": "HOME"}]})
    row = portal.result("crm.contact.get", id=contact)["PHONE"][0]
    assert row == {"ID": row["ID"], "VALUE_TYPE": "HOME", "VALUE": "1", "TYPE_ID": "PHONE"}
    change = {"PHONE": [{"ID": row["ID"], "VALUE": "2"}, {"VALUE": "3"}]}
    portal.result("crm.contact.update", id=contact, fields=change)
    assert [one["VALUE"] for one in portal.result("crm.contact.get", id=contact)["PHONE"]] == ["2", "3"]
    portal.result("crm.contact.update", id=contact, fields={"PHONE": [{"ID": row["ID"], "DELETE": "Y"}]})
    assert [one["VALUE"] for one in portal.result("crm.contact.get", id=contact)["PHONE"]] == ["3"]
    assert "EMAIL" not in portal.result("crm.contact.get", id=contact)


def test_a_bad_email_is_error_core(portal: Calls) -> None:
    assert portal.refusal("crm.contact.add", fields={"NAME": "Ира", "EMAIL": [{"VALUE": "no"}]})[0] == "ERROR_CORE"


def test_leads_have_status_id_and_companies_company_type(portal: Calls) -> None:
    lead = portal.result("crm.lead.add", fields={"TITLE": "A", "STATUS_ID": "IN_PROCESS"})
    assert portal.result("crm.lead.get", id=lead)["STATUS_SEMANTIC_ID"] == "P"
    assert portal.item(lead, LEADS)["stageId"] == "IN_PROCESS"
    company = portal.result("crm.company.add", fields={"TITLE": "Ромашка", "COMPANY_TYPE": "PARTNER"})
    assert portal.item(company, COMPANIES)["typeId"] == "PARTNER"


def test_fields_describe_flags_and_multifields(portal: Calls) -> None:
    portal.field("REGION", LABEL="Регион")
    fields = portal.result("crm.deal.fields")
    assert fields["CATEGORY_ID"]["isImmutable"] is True
    assert fields["OPENED"]["type"] == "char"
    assert (fields["UF_CRM_REGION"]["title"], fields["UF_CRM_REGION"]["formLabel"]) == ("UF_CRM_REGION", "Регион")
    assert portal.result("crm.contact.fields")["PHONE"]["type"] == "crm_multifield"
    assert portal.result("crm.company.fields")["TITLE"]["isRequired"] is True


def test_contacts_of_a_deal_are_bound_and_unbound(portal: Calls) -> None:
    deal = portal.add()
    one, two = portal.add(CONTACTS, name="А"), portal.add(CONTACTS, name="Б")
    assert portal.result("crm.deal.contact.add", id=deal, fields={"CONTACT_ID": one}) is True
    assert portal.result("crm.deal.contact.add", id=deal, fields={"CONTACT_ID": one}) is False
    portal.result(
        "crm.deal.contact.items.set", id=deal, items=[{"CONTACT_ID": one}, {"CONTACT_ID": two, "IS_PRIMARY": "Y"}]
    )
    rows = portal.result("crm.deal.contact.items.get", id=deal)
    assert [(row["CONTACT_ID"], row["SORT"], row["IS_PRIMARY"]) for row in rows] == [(two, 10, "Y"), (one, 20, "N")]
    assert portal.result("crm.deal.contact.delete", id=deal, fields={"CONTACT_ID": two}) is True
    assert portal.item(deal)["contactIds"] == [one]
    portal.result("crm.deal.contact.items.delete", id=deal)
    assert portal.result("crm.deal.contact.items.get", id=deal) == []
    assert portal.refusal("crm.deal.contact.add", id=deal, fields={})[1] == "The parameter 'fields' is not valid."
    assert portal.refusal("crm.deal.contact.items.get")[1].startswith("The parameter 'ownerEntityID'")


def test_files_have_their_own_wrapper_in_each_dialect(portal: Calls) -> None:
    portal.field("ACT", "file")
    deal = portal.result("crm.deal.add", fields={"UF_CRM_ACT": {"fileData": ["act.pdf", "QUJD"]}})
    held = portal.item(deal)["UF_CRM_ACT"]
    assert set(held) == {"id", "url", "urlMachine"}
    assert portal.item(portal.add(UF_CRM_ACT=["act.pdf", "QUJD"]))["UF_CRM_ACT"]["id"] != held["id"]
    assert portal.item(portal.add(UF_CRM_ACT={"fileData": ["act.pdf", "QUJD"]}))["UF_CRM_ACT"] is None
    assert portal.update(deal, UF_CRM_ACT={"id": held["id"]})["UF_CRM_ACT"] == held
    assert portal.update(deal, UF_CRM_ACT={"id": 999})["UF_CRM_ACT"] is None


def test_files_of_a_multiple_field_that_are_not_named_are_gone(portal: Calls) -> None:
    portal.field("ACTS", "file", MULTIPLE="Y")
    deal = portal.add(UF_CRM_ACTS=[["a.pdf", "QUJD"], ["b.pdf", "QUJD"]])
    kept = portal.item(deal)["UF_CRM_ACTS"][1]["id"]
    changed = portal.update(deal, UF_CRM_ACTS=[{"id": kept}, ["c.pdf", "QUJD"]])["UF_CRM_ACTS"]
    assert changed[0]["id"] == kept
    assert len(changed) == 2
    assert portal.update(deal, UF_CRM_ACTS=[])["UF_CRM_ACTS"] == []


def test_legacy_addresses_exist_in_the_classic_dialect_only(portal: Calls) -> None:
    company = portal.result("crm.company.add", fields={"TITLE": "Ромашка", "ADDRESS_CITY": "Казань", "LEAD_ID": 1})
    row = portal.result("crm.company.get", id=company)
    assert (row["ADDRESS_CITY"], row["REG_ADDRESS"], row["LEAD_ID"]) == ("Казань", None, None)
    assert "ADDRESS_CITY" not in portal.item(company, COMPANIES)
    fields = {"ADDRESS_CITY": "Пермь", "addressCity": "Пермь"}
    portal.update(company, COMPANIES, **fields)
    assert portal.result("crm.company.get", id=company)["ADDRESS_CITY"] == "Казань"
