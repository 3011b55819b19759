"""`crm.deal|lead|contact|company.{add,update,get,list,delete,fields}`: the classic dialect over the same items.

Everything is text, codes of errors are empty, results are an id or true.
Docs: api-reference/crm/deals/crm-deal-{add,update,get,list,delete,fields}.md and its siblings.
"""

from __future__ import annotations

from typing import Any

from ..model import intake, saving
from ..model.communications import BadMultifield
from ..model.entities import COMPANY, CONTACT, DEAL, LEAD, EntityType, standard_types
from ..model.fields import MULTIFIELD_TYPES, Field
from ..model.filters import Column, Compiler, FilterFault, compile_order
from ..model.items import Item, ItemStore
from ..model.listing import start_of
from ..model.values import FieldFault
from ..portal import Portal
from ..registry import Answer, ApiError, Call, Handler, rest_method
from .arguments import (
    argument,
    classic_error,
    integer,
    is_yes,
    listed_answer,
    mapping,
    needs_classic_right,
    sequence,
)
from .descriptors import classic_descriptor
from .items import only_readable

OBJECTS = {"deal": DEAL, "lead": LEAD, "contact": CONTACT, "company": COMPANY}
NOT_IN_LISTS = frozenset({"contactIds", "companyIds"})
IMPORT_FIELDS = {
    "DATE_CREATE": "createdTime",
    "DATE_MODIFY": "updatedTime",
    "CREATED_BY_ID": "createdBy",
    "MODIFY_BY_ID": "updatedBy",
}


def given_map(call: Call, name: str, *, required: bool = False) -> dict[str, Any]:
    """An object parameter or the portal's complaint."""
    raw = argument(call, name)
    if raw is None and not required:
        return {}
    if not isinstance(raw, (dict, list)):
        raise ApiError("", f"Parameter '{name}' must be array.")
    return mapping(raw)


def found(call: Call, entity: EntityType) -> Item:
    """The item named by `id`. Raises the classic texts."""
    item_id = integer(argument(call, "id"))
    if item_id is None or item_id <= 0:
        raise ApiError("", "ID is not defined or invalid.")
    item = call.portal.items[entity.id].get(item_id)
    if item is None:
        raise ApiError("", "Not found")
    if not call.portal.users[call.user_id].may_with("read", entity.name, item):
        raise ApiError("", "Access denied.")
    return item


def add(entity: EntityType) -> Handler:
    def handler(call: Call) -> Answer:
        fields = given_map(call, "fields", required=True)
        params = given_map(call, "params")
        needs_classic_right(call, "add", entity)
        by = saving.By(call.user_id, saving.CLASSIC)
        try:
            values = intake.classic_fields(call.portal, entity, fields)
            if entity.id in (CONTACT, COMPANY) and is_yes(params.get("IMPORT")):
                values.update(import_values(call, entity, fields))
            return Answer(saving.create(call.portal, entity, values, by)["id"])
        except FieldFault as fault:
            raise classic_error(fault) from fault
        except BadMultifield as error:
            raise bad_communication(error) from error

    return handler


def import_values(call: Call, entity: EntityType, fields: dict[str, Any]) -> Item:
    """`params.IMPORT` opens four system fields of contacts and companies (crm/contacts/crm-contact-add.md)."""
    schema = call.portal.schemas[entity.id]
    values = {
        code: call.portal.values.read(schema.by_code[code], fields[name])
        for name, code in IMPORT_FIELDS.items()
        if fields.get(name)
    }
    created = values.get("createdTime")
    if created is not None and created < call.portal.items[entity.id].max_created():
        raise FieldFault("invalid", schema.by_code["createdTime"])
    return values


def bad_communication(error: BadMultifield) -> ApiError:
    what = "e-mail" if error.name == "EMAIL" else error.name
    return ApiError("ERROR_CORE", f"Неверно указан {what}.")


def update(entity: EntityType) -> Handler:
    def handler(call: Call) -> Answer:
        item = found(call, entity)
        fields = given_map(call, "fields", required=True)
        given_map(call, "params")
        needs_classic_right(call, "update", entity, item)
        try:
            values = intake.classic_fields(call.portal, entity, fields, held=item)
            saving.change(call.portal, entity, item, values, saving.By(call.user_id, saving.CLASSIC))
        except FieldFault as fault:
            raise classic_error(fault) from fault
        except BadMultifield as error:
            raise bad_communication(error) from error
        return Answer(True)

    return handler


def get(entity: EntityType) -> Handler:
    def handler(call: Call) -> Answer:
        item = found(call, entity)
        schema = call.portal.schemas[entity.id]
        shown = {
            name: call.portal.values.classic_value(field, item.get(field.code))
            for name, field in schema.classic.items()
            if field.code not in NOT_IN_LISTS
        }
        if schema.multifields:
            for type_id in MULTIFIELD_TYPES:
                rows = classic_multifield(item, type_id)
                if rows:
                    shown[type_id] = rows
        return Answer(shown)

    return handler


def classic_multifield(item: Item, type_id: str) -> list[dict[str, str]]:
    return [
        {"ID": str(row["id"]), "VALUE_TYPE": row["valueType"], "VALUE": row["value"], "TYPE_ID": type_id}
        for row in item.get("fm", [])
        if row["typeId"] == type_id
    ]


def delete(entity: EntityType) -> Handler:
    def handler(call: Call) -> Answer:
        item = found(call, entity)
        needs_classic_right(call, "delete", entity, item)
        saving.remove(call.portal, entity, item)
        return Answer(True)

    return handler


def fields(entity: EntityType) -> Handler:
    def handler(call: Call) -> Answer:
        schema = call.portal.schemas[entity.id]
        described = {name: classic_descriptor(call.portal, entity, field) for name, field in schema.classic.items()}
        if schema.multifields:
            described.update({type_id: multifield_descriptor(type_id) for type_id in MULTIFIELD_TYPES})
        return Answer(described)

    return handler


MULTIFIELD_TITLES = {"PHONE": "Телефон", "EMAIL": "E-mail", "WEB": "Сайт", "IM": "Мессенджер", "LINK": "LINK"}


def multifield_descriptor(type_id: str) -> dict[str, Any]:
    return {
        "type": "crm_multifield",
        "isRequired": False,
        "isReadOnly": False,
        "isImmutable": False,
        "isMultiple": True,
        "isDynamic": False,
        "title": MULTIFIELD_TITLES[type_id],
    }


# -- list -------------------------------------------------------------------------------------
def list_rows(entity: EntityType) -> Handler:
    def handler(call: Call) -> Answer:
        tree = given_map(call, "filter")
        order_tree = given_map(call, "order")
        needs_classic_right(call, "read", entity)
        portal = call.portal
        store = portal.items[entity.id]
        columns = classic_columns(portal, entity, store)
        strict = portal.switches.classic_unknown_filter == "refuse"
        try:
            compiler = Compiler(
                columns,
                strict=strict,
                groups=False,
                negative_finds_empty=portal.switches.negative_filter_finds_empty,
                ignore_case=True,
            )
            plan = compiler.compile(tree)
            order = compile_order(order_tree, columns, strict=strict, ignore_case=True)
        except FilterFault as fault:
            raise ApiError("", "Failed to get list. General error.") from fault
        only_readable(call, entity, plan)
        page = store.select(plan, order, start_of(argument(call, "start", 0)))
        selected, multifields = selection(call, entity)
        rows = [shown_row(portal, item, selected, multifields) for item in page.rows]
        return listed_answer(rows, page)

    return handler


def classic_columns(portal: Portal, entity: EntityType, store: ItemStore) -> dict[str, Column]:
    """Filter columns by classic names; phones and e-mails match exactly (crm/contacts/crm-contact-list.md)."""
    schema = portal.schemas[entity.id]
    columns = {
        name: store.columns[field.code] for name, field in schema.classic.items() if field.code not in NOT_IN_LISTS
    }
    if schema.multifields:
        for type_id in MULTIFIELD_TYPES:
            columns[type_id] = multifield_column(type_id)
    return columns


def multifield_column(type_id: str) -> Column:
    def values(item: Item) -> list[str]:
        return [row["value"] for row in item.get("fm", []) if row["typeId"] == type_id]

    return Column(type_id, values, lambda raw: None if raw in (None, "") else str(raw), multiple=True)


def selection(call: Call, entity: EntityType) -> tuple[list[tuple[str, Field]], list[str]]:
    """Fields and multifields to show. Masks: `*` system fields, `UF_*` user fields, none = both; ID always comes along.

    Multifields have no mask and must be named (api-reference/crm/contacts/crm-contact-list.md).
    """
    schema = call.portal.schemas[entity.id]
    names = [str(name).upper() for name in sequence(argument(call, "select"))]
    everything = not names
    chosen = [
        (name, field)
        for name, field in schema.classic.items()
        if field.code not in NOT_IN_LISTS
        and (
            name == "ID"
            or name in names
            or everything
            or ("UF_*" in names and field.is_user_field)
            or ("*" in names and not field.is_user_field)
        )
    ]
    multifields = [name for name in names if name in MULTIFIELD_TYPES] if schema.multifields else []
    return chosen, multifields


def shown_row(portal: Portal, item: Item, selected: list[tuple[str, Field]], multifields: list[str]) -> dict[str, Any]:
    value_of = portal.values.classic_value
    row = {name: value_of(field, item.get(field.code)) for name, field in selected}
    for type_id in multifields:
        rows = classic_multifield(item, type_id)
        if rows:
            row[type_id] = rows
    return row


def register() -> None:
    """One set of methods per object."""
    types = standard_types()
    for word, type_id in OBJECTS.items():
        entity = types[type_id]
        rest_method(f"crm.{word}.add", scope="crm")(add(entity))
        rest_method(f"crm.{word}.update", scope="crm")(update(entity))
        rest_method(f"crm.{word}.get", scope="crm")(get(entity))
        rest_method(f"crm.{word}.delete", scope="crm")(delete(entity))
        rest_method(f"crm.{word}.fields", scope="crm")(fields(entity))
        rest_method(f"crm.{word}.list", scope="crm")(list_rows(entity))


register()
