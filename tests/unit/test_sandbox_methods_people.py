"""user.*, profile, departments, currencies, duplicates by phone and e-mail."""

from __future__ import annotations

from typing import Any

import pytest
from portal_calls import COMPANIES, CONTACTS, LEADS, Calls


@pytest.fixture
def portal() -> Calls:
    return Calls()


def test_people_have_text_ids_real_booleans_and_empty_objects(portal: Calls) -> None:
    answer = portal.call("user.get", ID=1)
    row = answer.result[0]
    assert (row["ID"], row["ACTIVE"], row["IS_ONLINE"], row["TIMESTAMP_X"]) == ("1", True, "N", {})
    assert (answer.total, row["USER_TYPE"], row["UF_DEPARTMENT"]) == (1, "employee", [1])


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({}, ["1", "3", "5", "7", "9", "11", "13"]),
        ({"FILTER": {"ACTIVE": True}}, ["1", "3", "5", "7", "9", "11"]),
        ({"filter": {"ACTIVE": "N"}}, ["13"]),
        ({"filter": {"EMAIL": "M.Kuznetsova@example.ru"}}, ["5"]),
        ({"EMAIL": "m.kuznetsova@example.ru"}, ["5"]),
        ({"FILTER": {"ID": [1, 3]}}, ["1", "3"]),
        ({"FILTER": {"@LAST_NAME": ["Белова", "соколов"]}}, ["7", "9"]),
        ({"FILTER": {"%NAME": "мар"}}, ["5"]),
        ({"FILTER": {"UF_DEPARTMENT": 5}}, ["11"]),
        ({"FILTER": {"NAME_SEARCH": "кузнецова мария"}}, ["5"]),
        ({"FILTER": {">ID": 9}, "sort": "ID", "order": "DESC"}, ["13", "11"]),
    ],
)
def test_people_are_filtered_and_sorted(portal: Calls, params: dict[str, Any], ids: list[str]) -> None:
    assert [row["ID"] for row in portal.result("user.get", **params)] == ids


def test_search_finds_all_words_anywhere(portal: Calls) -> None:
    assert [row["ID"] for row in portal.result("user.search", FIND="менеджер соколов")] == ["7"]
    assert [row["ID"] for row in portal.result("user.search", FILTER={"NAME": "Ив"})] == ["7"]


def test_people_are_selected_by_name_or_mask(portal: Calls) -> None:
    assert portal.result("user.get", ID=1, select=["ID", "NOPE"]) == [{"ID": "1"}]
    assert set(portal.result("user.get", ID=1, select=["UF_*"])[0]) == {"UF_EMPLOYMENT_DATE", "UF_DEPARTMENT"}


def test_the_caller_knows_himself(portal: Calls) -> None:
    portal.user_id = 5
    assert portal.result("user.current")["EMAIL"] == "m.kuznetsova@example.ru"
    assert (portal.result("profile")["ADMIN"], portal.result("user.admin")) == (False, False)
    assert portal.result("user.access", ACCESS=["U5"]) is True
    assert portal.result("user.access", ACCESS=["U7"]) is False


def test_access_codes_have_names(portal: Calls) -> None:
    assert portal.result("access.name") is False
    assert portal.result("access.name", ACCESS=["AU", "U5"])["U5"]["name"] == "Мария Кузнецова"


def test_an_invited_person_is_added_once(portal: Calls) -> None:
    made = portal.result("user.add", EMAIL="new@example.ru", NAME="Новый", UF_DEPARTMENT=[3])
    assert portal.result("user.get", ID=made)[0]["UF_DEPARTMENT"] == [3]
    for email, text in (("NEW@example.ru", "Пользователь с таким email уже существует"), ("x", "wrong_email")):
        assert portal.refusal("user.add", EMAIL=email)[:2] == ("ERROR_ARGUMENT", text)
    assert portal.refusal("user.add", EMAIL="g@example.ru", EXTRANET="Y")[1] == "no_extranet_field"


def test_people_are_dismissed_by_an_administrator(portal: Calls) -> None:
    assert portal.result("user.update", ID=7, ACTIVE="N") is True
    assert portal.result("user.get", ID=7)[0]["ACTIVE"] is False
    portal.user_id = 5
    assert portal.refusal("user.update", ID=3, NAME="x")[:2] == ("ERROR_CORE", "access_denied")
    assert portal.result("user.update", ID=5, NAME="Маша") is True
    assert portal.result("user.fields")["EMAIL"] == "E-Mail"


def test_departments_are_filtered_at_the_top_level(portal: Calls) -> None:
    assert [row["NAME"] for row in portal.result("department.get", PARENT=1)] == ["Отдел продаж", "Проектный отдел"]
    assert portal.call("department.get").total == 3


def test_currencies_have_one_base_and_a_total_of_zero(portal: Calls) -> None:
    answer = portal.call("crm.currency.list")
    assert ([row["CURRENCY"] for row in answer.result], answer.total) == (["RUB", "USD", "EUR", "BYN"], 0)
    assert portal.result("crm.currency.base.get") == "RUB"
    portal.user_id = 5
    assert portal.refusal("crm.currency.list")[1] == "Access denied."


def test_duplicates_are_found_by_phone_and_email_in_all_three_types(portal: Calls) -> None:
    phone = [{"typeId": "PHONE", "value": "+7 (900) 000-00-01 доб. 5"}]
    contact = portal.add(CONTACTS, name="А", fm=phone)
    lead = portal.add(LEADS, title="Л", fm=phone)
    company = portal.add(COMPANIES, title="К", fm=[{"typeId": "EMAIL", "value": "Office@Example.ru"}])
    find = "crm.duplicate.findbycomm"
    assert portal.result(find, type="PHONE", values=["+79000000001"]) == {"LEAD": [lead], "CONTACT": [contact]}
    assert portal.result(find, type="PHONE", values=["+79000000001"], entity_type="LEAD") == {"LEAD": [lead]}
    assert portal.result(find, type="EMAIL", values=["office@example.ru"]) == {"COMPANY": [company]}
    assert portal.result(find, type="PHONE", values=["89000000001"]) == []


def test_duplicates_follow_changes(portal: Calls) -> None:
    contact = portal.add(CONTACTS, name="А", fm=[{"typeId": "PHONE", "value": "1"}])
    row = portal.item(contact, CONTACTS)["fm"][0]
    portal.update(contact, CONTACTS, fm={str(row["id"]): {"typeId": "PHONE", "value": "2"}})
    assert portal.result("crm.duplicate.findbycomm", type="PHONE", values=["1"]) == []
    assert portal.result("crm.duplicate.findbycomm", type="PHONE", values=["2"]) == {"CONTACT": [contact]}
    portal.result("crm.item.delete", entityTypeId=CONTACTS, id=contact)
    assert portal.result("crm.duplicate.findbycomm", type="PHONE", values=["2"]) == []


def test_twenty_hits_of_one_type_hide_the_later_types(portal: Calls) -> None:
    for _ in range(20):
        portal.add(LEADS, title="Л", fm=[{"typeId": "PHONE", "value": "1"}])
    portal.add(CONTACTS, name="А", fm=[{"typeId": "PHONE", "value": "1"}])
    found = portal.result("crm.duplicate.findbycomm", type="PHONE", values=["1"])
    assert list(found) == ["LEAD"]
    assert len(found["LEAD"]) == 20


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "Communication type is not defined"),
        ({"type": "FAX", "values": ["1"]}, "Communication type 'FAX' is not supported in current context"),
        ({"type": "PHONE"}, "Communication values is not defined"),
    ],
)
def test_wrong_searches_are_refused(portal: Calls, params: dict[str, Any], text: str) -> None:
    assert portal.refusal("crm.duplicate.findbycomm", **params)[1] == text


def test_a_crm_without_leads_makes_a_deal_of_each() -> None:
    portal = Calls(crm_mode=2)
    phone = [{"typeId": "PHONE", "value": "+79000000001"}]
    lead = portal.add(LEADS, title="Л", name="Анна", opportunity=5, originId="7", fm=phone)
    assert portal.result("crm.settings.mode.get") == 2
    assert portal.refusal("crm.lead.get", id=lead)[1] == "Not found"
    deal = portal.item(portal.listed()[0])
    assert (deal["title"], deal["opportunity"], deal["originId"]) == ("Л", 5, "7")
    found = portal.result("crm.duplicate.findbycomm", type="PHONE", values=["+79000000001"])
    assert found == {"CONTACT": deal["contactIds"]}


def test_the_mode_of_the_crm_is_classic(portal: Calls) -> None:
    assert portal.result("crm.settings.mode.get") == 1
