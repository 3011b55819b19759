"""`crm.{deal,lead,contact,company,quote}.userfield.{add,list,get,update,delete}`.

Docs: api-reference/crm/deals/user-defined-fields/*.md, api-reference/crm/companies/userfields/*.md.
"""

from __future__ import annotations

from typing import Any

from ..model.definitions import BadDefinition, change_user_field, define_user_field, drop_user_field
from ..model.filters import Column, Compiler, FilterFault, compile_order
from ..model.userfields import LABELS, UserField
from ..registry import Answer, ApiError, Call, Handler, rest_method
from .arguments import argument, integer, mapping, needs_classic_right

OBJECTS = {
    "deal": "CRM_DEAL",
    "lead": "CRM_LEAD",
    "contact": "CRM_CONTACT",
    "company": "CRM_COMPANY",
    "quote": "CRM_QUOTE",
}
LANGUAGES = [
    "ar",
    "br",
    "de",
    "en",
    "fr",
    "hi",
    "id",
    "in",
    "it",
    "ja",
    "kz",
    "la",
    "ms",
    "pl",
    "ru",
    "sc",
    "tc",
    "th",
    "tr",
    "ua",
    "vn",
]


def row(definition: UserField) -> dict[str, Any]:
    """Everything but labels; ids, SORT and flags are texts."""
    shown: dict[str, Any] = {
        "ID": str(definition.id),
        "ENTITY_ID": definition.entity_id,
        "FIELD_NAME": definition.name,
        "USER_TYPE_ID": definition.type,
        "XML_ID": definition.xml_id,
        "SORT": str(definition.sort),
        "MULTIPLE": "Y" if definition.multiple else "N",
        "MANDATORY": "Y" if definition.mandatory else "N",
        "SHOW_FILTER": definition.show_filter,
        "SHOW_IN_LIST": "Y" if definition.show_in_list else "N",
        "EDIT_IN_LIST": "Y" if definition.edit_in_list else "N",
        "IS_SEARCHABLE": "Y" if definition.searchable else "N",
        "SETTINGS": dict(definition.settings),
    }
    if definition.type == "enumeration":
        shown["LIST"] = [
            {
                "ID": str(value.id),
                "SORT": str(value.sort),
                "VALUE": value.value,
                "DEF": "Y" if value.default else "N",
                "XML_ID": value.xml_id,
            }
            for value in definition.values
        ]
    return shown


def text_key(raw: Any) -> str | None:
    return None if raw in (None, "") else str(raw)


def flag(name: str, attribute: str) -> Column:
    return Column(name, lambda one: "Y" if getattr(one, attribute) else "N", text_key)


COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("ID", lambda one: one.id, lambda raw: int(str(raw))),
        Column("ENTITY_ID", lambda one: one.entity_id, text_key),
        Column("FIELD_NAME", lambda one: one.name, text_key),
        Column("USER_TYPE_ID", lambda one: one.type, text_key),
        Column("XML_ID", lambda one: one.xml_id, text_key),
        Column("SORT", lambda one: one.sort, lambda raw: int(str(raw))),
        flag("MULTIPLE", "multiple"),
        flag("MANDATORY", "mandatory"),
        flag("SHOW_IN_LIST", "show_in_list"),
        flag("EDIT_IN_LIST", "edit_in_list"),
    )
}


def found(call: Call, entity_id: str) -> UserField:
    field_id = integer(argument(call, "id"))
    if field_id is None or field_id <= 0:
        raise ApiError("", "ID is not defined or invalid.")
    definition = call.portal.user_fields.get(field_id)
    if definition is None or definition.entity_id != entity_id:
        raise ApiError("ERROR_NOT_FOUND", f"The entity with ID '{field_id}' is not found.")
    return definition


def add(entity_id: str) -> Handler:
    def handler(call: Call) -> Answer:
        raw = argument(call, "fields")
        if not isinstance(raw, dict):
            raise ApiError("", "Parameter 'fields' must be array.")
        needs_classic_right(call, "settings")
        try:
            return Answer(define_user_field(call.portal, entity_id, raw).id)
        except BadDefinition as error:
            raise ApiError(error.code, error.text) from error

    return handler


def list_rows(entity_id: str) -> Handler:
    """All at once, no paging; labels only with filter.LANG (crm-deal-userfield-list.md)."""

    def handler(call: Call) -> Answer:
        needs_classic_right(call, "read")
        tree = {key: value for key, value in mapping(argument(call, "filter")).items() if key.upper() != "LANG"}
        language = next(
            (str(value) for key, value in mapping(argument(call, "filter")).items() if key.upper() == "LANG"), ""
        )
        try:
            plan = Compiler(COLUMNS, strict=False, groups=False, ignore_case=True, id_column="ID").compile(tree)
        except FilterFault as fault:
            raise ApiError("", "Failed to get list. General error.") from fault
        order = compile_order(argument(call, "order"), COLUMNS, strict=False, ignore_case=True)
        definitions = [one for one in order.sort(call.portal.user_fields.of(entity_id)) if plan.passes(one)]
        rows = []
        for definition in definitions:
            shown = row(definition)
            if language:
                shown.update({which: definition.label(which, language) for which in LABELS})
            rows.append(shown)
        return Answer(rows, total=len(rows))

    return handler


def get(entity_id: str) -> Handler:
    """Labels come as a map of all languages."""

    def handler(call: Call) -> Answer:
        needs_classic_right(call, "read")
        definition = found(call, entity_id)
        shown = row(definition)
        for which in LABELS:
            texts = definition.labels.get(which, {})
            shown[which] = {language: texts.get(language, "") for language in LANGUAGES}
        return Answer(shown)

    return handler


def update(entity_id: str) -> Handler:
    def handler(call: Call) -> Answer:
        definition = found(call, entity_id)
        needs_classic_right(call, "settings")
        try:
            change_user_field(call.portal, definition, mapping(argument(call, "fields")))
        except BadDefinition as error:
            raise ApiError(error.code, error.text) from error
        return Answer(True)

    return handler


def delete(entity_id: str) -> Handler:
    def handler(call: Call) -> Answer:
        definition = found(call, entity_id)
        needs_classic_right(call, "settings")
        drop_user_field(call.portal, definition)
        return Answer(True)

    return handler


def register() -> None:
    """One set of methods per object."""
    for word, entity_id in OBJECTS.items():
        rest_method(f"crm.{word}.userfield.add", scope="crm")(add(entity_id))
        rest_method(f"crm.{word}.userfield.list", scope="crm")(list_rows(entity_id))
        rest_method(f"crm.{word}.userfield.get", scope="crm")(get(entity_id))
        rest_method(f"crm.{word}.userfield.update", scope="crm")(update(entity_id))
        rest_method(f"crm.{word}.userfield.delete", scope="crm")(delete(entity_id))


register()
