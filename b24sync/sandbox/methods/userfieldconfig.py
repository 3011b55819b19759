"""`userfieldconfig.{add,list,get,update,delete,getTypes}`: user fields of any type, smart processes included.

Docs: api-reference/crm/universal/userfieldconfig/*.md. Keys of `settings` stay in upper case.
"""

from __future__ import annotations

from typing import Any

from ..model.definitions import (
    BadDefinition,
    add_value,
    change_user_field,
    check_name,
    check_values,
    drop_user_field,
    show_filter,
    yes,
)
from ..model.filters import Compiler, FilterFault, compile_order
from ..model.listing import listed, start_of
from ..model.userfields import LABELS, TYPES, UserField
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import caller, integer, listed_answer, mapping, sequence
from .userfields import COLUMNS

SHOWN_LANGUAGES = ("en", "ru")
CAMEL_LABELS = {
    "EDIT_FORM_LABEL": "editFormLabel",
    "LIST_COLUMN_LABEL": "listColumnLabel",
    "LIST_FILTER_LABEL": "listFilterLabel",
    "ERROR_MESSAGE": "errorMessage",
    "HELP_MESSAGE": "helpMessage",
}
UPPER = {
    "id": "ID",
    "entityId": "ENTITY_ID",
    "fieldName": "FIELD_NAME",
    "userTypeId": "USER_TYPE_ID",
    "xmlId": "XML_ID",
    "sort": "SORT",
    "multiple": "MULTIPLE",
    "mandatory": "MANDATORY",
    "showInList": "SHOW_IN_LIST",
    "editInList": "EDIT_IN_LIST",
}
CAMEL_COLUMNS = {camel: COLUMNS[upper] for camel, upper in UPPER.items()}


def needs_module(call: Call) -> None:
    """moduleId must be crm."""
    if str(call.params.get("moduleId") or "") != "crm":
        raise ApiError("", "Module is not found or is not supported")


def needs_settings(call: Call) -> None:
    if not caller(call).may("settings"):
        raise ApiError("ACCESS_DENIED", "Доступ запрещен")


def known_entity(call: Call, entity_id: str) -> bool:
    return any(entity.uf_entity == entity_id for entity in call.portal.types.values())


def row(
    definition: UserField, *, languages: tuple[str, ...] = SHOWN_LANGUAGES, with_values: bool = True
) -> dict[str, Any]:
    """Ids and numbers are texts; labels by language."""
    shown: dict[str, Any] = {
        "id": str(definition.id),
        "entityId": definition.entity_id,
        "fieldName": definition.name,
        "userTypeId": definition.type,
        "xmlId": definition.xml_id,
        "sort": str(definition.sort),
        "multiple": "Y" if definition.multiple else "N",
        "mandatory": "Y" if definition.mandatory else "N",
        "showFilter": definition.show_filter,
        "showInList": "Y" if definition.show_in_list else "N",
        "editInList": "Y" if definition.edit_in_list else "N",
        "isSearchable": "Y" if definition.searchable else "N",
        "settings": dict(definition.settings),
        "languageId": {language: language for language in languages},
    }
    for which in LABELS:
        texts = definition.labels.get(which, {})
        shown[CAMEL_LABELS[which]] = {language: texts.get(language) for language in languages}
    if definition.type == "enumeration" and with_values:
        shown["enum"] = [
            {
                "id": str(value.id),
                "userFieldId": str(definition.id),
                "value": value.value,
                "def": "Y" if value.default else "N",
                "sort": str(value.sort),
                "xmlId": value.xml_id,
            }
            for value in definition.values
        ]
    return shown


def enum_rows(raw: Any) -> list[dict[str, Any]]:
    """`enum` with the keys of LIST."""
    names = {"id": "ID", "value": "VALUE", "sort": "SORT", "def": "DEF", "xmlId": "XML_ID", "del": "DEL"}
    return [
        {names[key]: value for key, value in one.items() if key in names}
        for one in sequence(raw)
        if isinstance(one, dict)
    ]


def upper_fields(field: dict[str, Any]) -> dict[str, Any]:
    """The field with the keys of the classic methods; other labels are ignored (userfieldconfig-add.md)."""
    names = {
        "xmlId": "XML_ID",
        "sort": "SORT",
        "mandatory": "MANDATORY",
        "showFilter": "SHOW_FILTER",
        "editInList": "EDIT_IN_LIST",
        "settings": "SETTINGS",
        "editFormLabel": "EDIT_FORM_LABEL",
        "helpMessage": "HELP_MESSAGE",
    }
    return {names[key]: value for key, value in field.items() if key in names}


def labels(field: dict[str, Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for which in ("EDIT_FORM_LABEL", "HELP_MESSAGE"):
        texts = mapping(field.get(CAMEL_LABELS[which]))
        if texts:
            found[which] = {str(language): str(text) for language, text in texts.items()}
    return found


@rest_method("userfieldconfig.add", scope="userfieldconfig")
def add(call: Call) -> Answer:
    needs_module(call)
    needs_settings(call)
    field = mapping(call.params.get("field"))
    entity_id, name = str(field.get("entityId") or ""), str(field.get("fieldName") or "")
    kind = str(field.get("userTypeId") or "")
    # deals and the other classic types: UF_CRM_..., smart processes: UF_CRM_{type id}_... (userfieldconfig-add.md)
    prefix = f"UF_{entity_id}_" if entity_id.removeprefix("CRM_").isdigit() else "UF_CRM_"
    if not known_entity(call, entity_id) or not name.startswith(prefix):
        raise ApiError("", "Вы не можете создавать пользовательские поля")
    try:
        check_name(call.portal, entity_id, name)
    except BadDefinition as error:
        code = "" if "уже существует" in error.text else error.code
        raise ApiError(code, error.text) from error
    if kind not in TYPES:
        raise ApiError("ERROR_CORE", "Указан неверный пользовательский тип.")
    values = enum_rows(field.get("enum"))
    try:
        check_values(values)
    except BadDefinition as error:
        raise ApiError(error.code, error.text) from error
    definition = call.portal.user_fields.add(
        entity_id,
        name,
        kind,
        xml_id=field.get("xmlId") or None,
        sort=integer(field.get("sort")) or 100,
        multiple=yes(field.get("multiple")) and kind != "boolean",
        mandatory=yes(field.get("mandatory")),
        show_filter=show_filter(field.get("showFilter")),
        edit_in_list=yes(field.get("editInList"), True),
        settings=mapping(field.get("settings")),
        labels=labels(field),
    )
    if kind == "enumeration":
        for value in values:
            add_value(call.portal, definition, value)
    call.portal.rebuild_schemas()
    return Answer({"field": row(definition)})


def found(call: Call) -> UserField:
    field_id = integer(call.params.get("id"))
    definition = call.portal.user_fields.get(field_id) if field_id is not None else None
    if definition is None:
        raise ApiError("ERROR_NOT_FOUND", "Поле не найдено")
    return definition


@rest_method("userfieldconfig.get", scope="userfieldconfig")
def get(call: Call) -> Answer:
    needs_module(call)
    return Answer({"field": row(found(call))})


@rest_method("userfieldconfig.list", scope="userfieldconfig")
def list_rows(call: Call) -> Answer:
    """Labels only with `select: {"0": "*", "language": "ru"}` (userfieldconfig-list.md)."""
    needs_module(call)
    select = mapping(call.params.get("select"))
    language = str(select.get("language") or "")
    try:
        plan = Compiler(CAMEL_COLUMNS, strict=False, groups=False).compile(call.params.get("filter"))
        order = compile_order(call.params.get("order"), CAMEL_COLUMNS, strict=False)
    except FilterFault as fault:
        raise ApiError("INVALID_ARG_VALUE", str(fault)) from fault
    page = listed(call.portal.user_fields, plan, order, start_of(call.params.get("start")))
    chosen = [str(value) for key, value in select.items() if key != "language" and value != "*"]
    rows = []
    for definition in page.rows:
        shown = row(definition, languages=(language,) if language else (), with_values=False)
        if not language:
            for name in (*CAMEL_LABELS.values(), "languageId"):
                del shown[name]
        rows.append({key: value for key, value in shown.items() if not chosen or key in (*chosen, "id")})
    return listed_answer({"fields": rows}, page)


@rest_method("userfieldconfig.update", scope="userfieldconfig")
def update(call: Call) -> Answer:
    """List elements change only when userTypeId "enumeration" comes along (userfieldconfig-update.md)."""
    needs_module(call)
    definition = found(call)
    needs_settings(call)
    field = mapping(call.params.get("field"))
    changes = upper_fields(field)
    if field.get("userTypeId") == "enumeration" and "enum" in field:
        changes["LIST"] = enum_rows(field["enum"])
    try:
        change_user_field(call.portal, definition, changes)
    except BadDefinition as error:
        raise ApiError(error.code, error.text) from error
    return Answer({"field": row(definition)})


@rest_method("userfieldconfig.delete", scope="userfieldconfig")
def delete(call: Call) -> Answer:
    needs_module(call)
    definition = found(call)
    needs_settings(call)
    drop_user_field(call.portal, definition)
    return Answer(None)


@rest_method("userfieldconfig.getTypes", scope="userfieldconfig")
def get_types(call: Call) -> Answer:
    needs_module(call)
    return Answer({"types": {name: {"userTypeId": name, "description": text} for name, text in TYPES.items()}})
