"""crm.deal.userfield.*, userfieldconfig.*, values of user fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portal_calls import DEALS, Calls

from b24sync.sandbox.model.userfields import item_name


@pytest.fixture
def portal() -> Calls:
    return Calls()


@pytest.mark.parametrize(
    ("name", "camel"),
    [
        ("UF_CRM_3_DIGIT", "ufCrm3Digit"),
        ("UF_CRM_3_1747309727", "ufCrm3_1747309727"),
        ("UF_CRM_3_DIGIT10", "ufCrm_3_DIGIT10"),
        ("UF_CRM_3_DIGIT_10", "ufCrm_3_DIGIT_10"),
        ("UF_CRM_1747309879", "ufCrm_1747309879"),
        ("UF_CRM_10_5186744711", "ufCrm10_5186744711"),
        ("UF_CRM_REGION", "ufCrmRegion"),
        ("UF_CRM_B24SYNC_GROUP", "ufCrm_B24SYNC_GROUP"),
    ],
)
def test_user_field_names_convert_as_documented(name: str, camel: str) -> None:
    assert item_name(name) == camel


@settings(max_examples=25, deadline=None)
@given(st.sets(st.from_regex(r"[A-Z0-9][A-Z0-9_]{0,6}", fullmatch=True), max_size=6))
def test_no_two_user_fields_share_an_item_name(codes: set[str]) -> None:
    names = {name: item_name(f"UF_CRM_{name}") for name in codes}
    calls = Calls()
    for name in sorted(codes):
        calls.field(name)
    schema = calls.portal.schemas[DEALS]
    shown = [schema.out_name(field, False) for field in schema.user]
    assert len(set(shown)) == len(codes)
    for field in schema.user:
        own = names[field.code.removeprefix("UF_CRM_")]
        assert schema.out_name(field, False) in (own, field.code)


@pytest.mark.parametrize("given_name", ["region", "UF_REGION", "UF_CRM_REGION"])
def test_the_prefix_is_added_and_letters_become_upper(portal: Calls, given_name: str) -> None:
    portal.field(given_name)
    assert portal.result("crm.deal.userfield.list")[0]["FIELD_NAME"] == "UF_CRM_REGION"


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"USER_TYPE_ID": "string"}, "", "The 'FIELD_NAME' field is not found."),
        ({"FIELD_NAME": "A"}, "", "The 'USER_TYPE_ID' field is not found."),
        (
            {"FIELD_NAME": "A" * 44, "USER_TYPE_ID": "string"},
            "ERROR_CORE",
            "Имя поля слишком длинное (больше 50-ти символов).",
        ),
        (
            {"FIELD_NAME": "ГОРОД", "USER_TYPE_ID": "string"},
            "ERROR_CORE",
            "Имя поля содержит недопустимые символы. Допустимыми являются: A-Z, 0-9 и _.",
        ),
        ({"FIELD_NAME": "A", "USER_TYPE_ID": "nope"}, "ERROR_CORE", "Указан неверный пользовательский тип."),
        (
            {
                "FIELD_NAME": "A",
                "USER_TYPE_ID": "enumeration",
                "LIST": [{"VALUE": "x", "XML_ID": "k"}, {"VALUE": "y", "XML_ID": "k"}],
            },
            "ERROR_CORE",
            "Элемент списка со значением XML_ID=k уже существует.",
        ),
    ],
)
def test_wrong_definitions_are_refused(portal: Calls, fields: dict[str, Any], code: str, text: str) -> None:
    assert portal.refusal("crm.deal.userfield.add", fields=fields) == (code, text, 400)


def test_forty_three_characters_pass_and_a_second_field_of_one_name_does_not(portal: Calls) -> None:
    portal.field("A" * 43)
    code, text, _ = portal.refusal("crm.deal.userfield.add", fields={"FIELD_NAME": "A" * 43, "USER_TYPE_ID": "string"})
    assert code == "ERROR_CORE"
    assert "уже существует" in text


def test_the_same_name_is_free_for_another_object(portal: Calls) -> None:
    portal.field("REGION")
    fields = {"FIELD_NAME": "REGION", "USER_TYPE_ID": "string"}
    assert portal.result("crm.company.userfield.add", fields=fields)
    assert len(portal.result("crm.deal.userfield.list")) == 1


def test_lists_have_ids_and_codes_and_labels_only_with_a_language(portal: Calls) -> None:
    values = [
        {"VALUE": "Казань", "XML_ID": "kzn", "SORT": 20},
        {"VALUE": "Москва", "XML_ID": "msk", "SORT": 10, "DEF": "Y"},
    ]
    made = portal.field("REGION", "enumeration", LABEL="Регион", SHOW_FILTER="Y", XML_ID="src", LIST=values)
    row = portal.result("crm.deal.userfield.list", filter={"FIELD_NAME": "UF_CRM_REGION", "LANG": "ru"})[0]
    assert (row["ID"], row["EDIT_FORM_LABEL"], row["SHOW_FILTER"], row["XML_ID"]) == (str(made), "Регион", "I", "src")
    assert [(one["VALUE"], one["XML_ID"], one["DEF"]) for one in row["LIST"]] == [
        ("Москва", "msk", "Y"),
        ("Казань", "kzn", "N"),
    ]
    assert "EDIT_FORM_LABEL" not in portal.result("crm.deal.userfield.list")[0]
    assert portal.result("crm.deal.userfield.get", id=made)["EDIT_FORM_LABEL"]["ru"] == "Регион"
    assert portal.item(portal.add())["UF_CRM_REGION"] == int(row["LIST"][0]["ID"])


def test_list_elements_without_a_code_get_an_md5(portal: Calls) -> None:
    made = portal.field("REGION", "enumeration", LIST=[{"VALUE": "Москва"}])
    assert len(portal.result("crm.deal.userfield.get", id=made)["LIST"][0]["XML_ID"]) == 32


def test_an_update_changes_adds_and_deletes_list_elements(portal: Calls) -> None:
    made = portal.field(
        "REGION", "enumeration", LIST=[{"VALUE": "Москва", "XML_ID": "msk"}, {"VALUE": "Казань", "XML_ID": "kzn"}]
    )
    moscow, kazan = (one["ID"] for one in portal.result("crm.deal.userfield.get", id=made)["LIST"])
    change = [{"ID": moscow, "VALUE": "Столица"}, {"ID": kazan, "DEL": "Y"}, {"VALUE": "Пермь", "XML_ID": "prm"}]
    portal.result("crm.deal.userfield.update", id=made, fields={"LIST": change, "MANDATORY": "Y", "MULTIPLE": "Y"})
    row = portal.result("crm.deal.userfield.get", id=made)
    assert [one["VALUE"] for one in row["LIST"]] == ["Столица", "Пермь"]
    assert row["LIST"][0]["ID"] == moscow
    assert (row["MANDATORY"], row["MULTIPLE"]) == ("Y", "N")


def test_a_deleted_field_takes_its_values_along(portal: Calls) -> None:
    made = portal.field("REGION")
    deal = portal.add(UF_CRM_REGION="Москва")
    assert portal.result("crm.deal.userfield.delete", id=made) is True
    assert "UF_CRM_REGION" not in portal.item(deal)
    portal.field("REGION")
    assert portal.item(deal)["UF_CRM_REGION"] is None
    assert portal.refusal("crm.deal.userfield.get", id=made)[0] == "ERROR_NOT_FOUND"


def test_definitions_need_settings_rights(portal: Calls) -> None:
    portal.user_id = 5
    fields = {"FIELD_NAME": "A", "USER_TYPE_ID": "string"}
    assert portal.refusal("crm.deal.userfield.add", fields=fields) == ("", "Access denied.", 400)
    assert portal.result("crm.deal.userfield.list") == []


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        ("string", "Ёлка", "Ёлка"),
        ("string", 5, "5"),
        ("integer", "12", 12),
        ("double", "1.256", 1.26),
        ("boolean", "1", "Y"),
        ("boolean", False, "N"),
        ("date", "2024-04-19", "2024-04-19T03:00:00+03:00"),
        ("date", "19.04.2024", "2024-04-19T03:00:00+03:00"),
        ("datetime", "2024-04-19T10:00:00Z", "2024-04-19T13:00:00+03:00"),
        ("datetime", "2024-04-19T10:00:00", "2024-04-19T10:00:00+03:00"),
        ("money", "300|USD", "300|USD"),
        ("money", 1234.56, "1234.56|RUB"),
        ("money", "|RUB", None),
        ("money", "1|XXX", "1|XXX"),
        ("employee", "5", 5),
        ("crm", "CO_3", "CO_3"),
        ("url", "https://example.ru", "https://example.ru"),
        ("string", "", None),
    ],
)
def test_each_type_reads_back_typed(portal: Calls, kind: str, written: Any, read: Any) -> None:
    portal.field("X", kind)
    assert portal.item(portal.add(UF_CRM_X=written))["UF_CRM_X"] == read


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("integer", "many"),
        ("double", "1,5"),
        ("boolean", "maybe"),
        ("date", "soon"),
        ("datetime", "2024-13-01"),
        ("employee", 999),
        ("crm", "Ромашка"),
        ("enumeration", 1),
        ("enumeration", "Москва"),
    ],
)
def test_each_type_refuses_what_it_cannot_hold(portal: Calls, kind: str, written: Any) -> None:
    portal.field("X", kind)
    code, text, _ = portal.refusal(
        "crm.item.add", entityTypeId=DEALS, fields={"UF_CRM_X": written}, useOriginalUfNames="Y"
    )
    assert (code, text) == ("CRM_FIELD_ERROR_VALUE_NOT_VALID", 'Неверное значение поля "UF_CRM_X"')


def test_unknown_list_elements_are_dropped_by_switch(portal: Calls) -> None:
    portal.field("X", "enumeration")
    portal.switches.unknown_enum_value = "drop"
    assert portal.item(portal.add(UF_CRM_X="Москва"))["UF_CRM_X"] is None


def test_the_name_format_follows_use_original_uf_names(portal: Calls) -> None:
    portal.field("REGION")
    deal = portal.add()
    update = {"entityTypeId": DEALS, "id": deal}
    item = portal.result("crm.item.update", **update, fields={"UF_CRM_REGION": "original"})["item"]
    assert item["ufCrmRegion"] is None
    item = portal.result("crm.item.update", **update, fields={"ufCrmRegion": "camel"})["item"]
    assert item["ufCrmRegion"] == "camel"
    portal.switches.uf_names = "both"
    item = portal.result("crm.item.update", **update, fields={"UF_CRM_REGION": "both"})["item"]
    assert item["ufCrmRegion"] == "both"


def test_clearing_a_multiple_list_with_an_empty_array_keeps_the_values(portal: Calls) -> None:
    made = portal.field("X", "enumeration", MULTIPLE="Y", LIST=[{"VALUE": "a"}, {"VALUE": "b"}])
    ids = [int(one["ID"]) for one in portal.result("crm.deal.userfield.get", id=made)["LIST"]]
    deal = portal.add(UF_CRM_X=ids)
    assert portal.update(deal, UF_CRM_X=[])["UF_CRM_X"] == ids
    assert portal.update(deal, UF_CRM_X=ids[:1])["UF_CRM_X"] == ids[:1]


def test_a_mandatory_field_stops_a_move_inside_the_pipeline(portal: Calls) -> None:
    deal = portal.add()
    portal.field("CITY", LABEL="Город", MANDATORY="Y")
    assert portal.update(deal, title="B")["title"] == "B"
    answer = portal.refusal("crm.item.update", entityTypeId=DEALS, id=deal, fields={"stageId": "WON"})
    assert answer[:2] == ("CRM_FIELD_ERROR_REQUIRED", 'Поле "Город" обязательно для заполнения')


# -- userfieldconfig --------------------------------------------------------------------------
def config(portal: Calls, name: str = "UF_CRM_REGION", **more: Any) -> dict[str, Any]:
    field = {"entityId": "CRM_DEAL", "fieldName": name, "userTypeId": "enumeration", **more}
    return dict(portal.result("userfieldconfig.add", moduleId="crm", field=field)["field"])


def test_userfieldconfig_makes_the_same_fields_with_camel_keys(portal: Calls) -> None:
    made = config(portal, enum=[{"value": "Москва", "xmlId": "msk", "def": "Y"}], editFormLabel={"ru": "Регион"})
    assert (made["fieldName"], made["sort"], made["editFormLabel"]["ru"]) == ("UF_CRM_REGION", "100", "Регион")
    assert made["enum"][0]["userFieldId"] == made["id"]
    assert portal.result("crm.deal.userfield.get", id=made["id"])["LIST"][0]["XML_ID"] == "msk"


def test_userfieldconfig_wants_the_prefix_and_refuses_duplicates_without_a_code(portal: Calls) -> None:
    config(portal)
    field = {"entityId": "CRM_DEAL", "userTypeId": "string"}
    for name, text in (
        ("REGION", "Вы не можете создавать пользовательские поля"),
        ("UF_CRM_REGION", "Поле UF_CRM_REGION для объекта CRM_DEAL уже существует."),
    ):
        answer = portal.refusal("userfieldconfig.add", moduleId="crm", field={**field, "fieldName": name})
        assert answer[:2] == ("", text)


def test_userfieldconfig_of_a_smart_process_hangs_on_the_type_record(portal: Calls) -> None:
    made = portal.result("crm.type.add", fields={"title": "Заявка", "entityTypeId": 1030})["type"]
    entity_id = f"CRM_{made['id']}"
    name = f"UF_{entity_id}_CITY"
    field = {"entityId": entity_id, "fieldName": name, "userTypeId": "string"}
    portal.result("userfieldconfig.add", moduleId="crm", field=field)
    assert portal.item(portal.add(1030, **{name: "Казань"}), 1030)[name] == "Казань"


def test_userfieldconfig_lists_labels_only_for_a_language(portal: Calls) -> None:
    config(portal, editFormLabel={"ru": "Регион"})
    answer = portal.call("userfieldconfig.list", moduleId="crm", filter={"entityId": "CRM_DEAL"})
    assert (answer.total, "editFormLabel" in answer.result["fields"][0]) == (1, False)
    shown = portal.result("userfieldconfig.list", moduleId="crm", select={"0": "*", "language": "ru"})["fields"][0]
    assert shown["editFormLabel"] == {"ru": "Регион"}


def test_userfieldconfig_changes_elements_only_with_the_type_named(portal: Calls) -> None:
    made = config(portal, enum=[{"value": "Москва"}])
    change = {"enum": [{"value": "Казань"}]}
    assert (
        len(portal.result("userfieldconfig.update", moduleId="crm", id=made["id"], field=change)["field"]["enum"]) == 1
    )
    change["userTypeId"] = "enumeration"  # type: ignore[assignment]
    assert (
        len(portal.result("userfieldconfig.update", moduleId="crm", id=made["id"], field=change)["field"]["enum"]) == 2
    )
    assert portal.result("userfieldconfig.delete", moduleId="crm", id=made["id"]) is None
    assert "enumeration" in portal.result("userfieldconfig.getTypes", moduleId="crm")["types"]
