"""`crm.item.*`: add, update, get, list, delete, fields.

Docs: api-reference/crm/universal/crm-item-{add,update,get,list,delete,fields}.md.
"""

from __future__ import annotations

from typing import Any

from ..model import intake, saving
from ..model.communications import flat_aliases
from ..model.entities import EntityType
from ..model.fields import Field
from ..model.filters import Compiler, FilterFault, Plan, compile_order
from ..model.items import Item
from ..model.listing import start_of
from ..model.values import FieldFault
from ..portal import Portal
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import (
    bad_filter,
    caller,
    entity_of,
    integer,
    is_yes,
    item_error,
    listed_answer,
    mapping,
    needs_intranet,
    needs_pipeline,
    needs_right,
    sequence,
)
from .descriptors import item_descriptor


def original_names(call: Call) -> bool:
    """useOriginalUfNames, default N (api-reference/crm/universal/index.md)."""
    return is_yes(call.params.get("useOriginalUfNames"))


def fields_of(call: Call) -> dict[str, Any]:
    """The required `fields`."""
    if "fields" not in call.params:
        raise ApiError(100, "Could not find value for parameter {fields}")
    return mapping(call.params["fields"])


def found_item(call: Call, entity: EntityType) -> Item:
    """The item named by `id`. Raises NOT_FOUND; items that the caller may not read are not found either way."""
    item_id = integer(call.params.get("id"))
    if item_id is None:
        raise ApiError(100, "Could not find value for parameter {id}")
    item = call.portal.items[entity.id].get(item_id)
    if item is None:
        raise ApiError("NOT_FOUND", "Элемент не найден")
    if not caller(call).may_with("read", entity.name, item):
        raise ApiError("ACCESS_DENIED", "У Вас нет прав на просмотр этого элемента")
    return item


def full_item(portal: Portal, entity: EntityType, item: Item, original: bool) -> dict[str, Any]:
    """All fields of an item; switched-off ones are null, phones and e-mails come as fm and flat aliases."""
    schema = portal.schemas[entity.id]
    shown = {
        schema.out_name(field, original): portal.values.item_value(field, item.get(field.code))
        for field in schema.items
    }
    shown.update(dict.fromkeys(schema.disabled))
    if schema.multifields:
        rows = item.get("fm", [])
        shown.update(flat_aliases(rows))
        shown["fm"] = [dict(row) for row in rows]
    shown["entityTypeId"] = entity.id
    return shown


def item_answer(call: Call, entity: EntityType, item: Item) -> Answer:
    return Answer({"item": full_item(call.portal, entity, item, original_names(call))})


@rest_method("crm.item.add", scope="crm")
def add(call: Call) -> Answer:
    needs_intranet(call)
    entity = entity_of(call)
    needs_right(call, "add", entity)
    try:
        values = intake.item_fields(
            call.portal, entity, fields_of(call), original=original_names(call), user_id=call.user_id
        )
        needs_pipeline(call, entity, values)
        item = saving.create(call.portal, entity, values, saving.By(call.user_id))
    except FieldFault as fault:
        raise item_error(fault) from fault
    return item_answer(call, entity, item)


@rest_method("crm.item.update", scope="crm")
def update(call: Call) -> Answer:
    needs_intranet(call)
    entity = entity_of(call)
    fields = fields_of(call)
    item = found_item(call, entity)
    needs_right(call, "update", entity, item)
    try:
        values = intake.item_fields(
            call.portal, entity, fields, original=original_names(call), user_id=call.user_id, held=item
        )
        if entity.is_dynamic and call.portal.switches.dynamic_update_resets_category:
            default = call.portal.pipelines.default(entity.id)
            values.setdefault("categoryId", default.id if default is not None else 0)
        if values.get("stageId") not in (None, item.get("stageId")) and not caller(call).may("stage", entity.name):
            raise ApiError("-", "Недостаточно прав на смену стадии")
        if values.get("categoryId", item.get("categoryId")) != item.get("categoryId"):
            needs_pipeline(call, entity, values)
        saving.change(call.portal, entity, item, values, saving.By(call.user_id))
    except FieldFault as fault:
        raise item_error(fault) from fault
    return item_answer(call, entity, item)


@rest_method("crm.item.get", scope="crm")
def get(call: Call) -> Answer:
    needs_intranet(call)
    entity = entity_of(call)
    return item_answer(call, entity, found_item(call, entity))


@rest_method("crm.item.delete", scope="crm")
def delete(call: Call) -> Answer:
    """Answers an empty array (crm-item-delete.md)."""
    needs_intranet(call)
    entity = entity_of(call)
    item = found_item(call, entity)
    needs_right(call, "delete", entity, item)
    saving.remove(call.portal, entity, item)
    return Answer([])


@rest_method("crm.item.fields", scope="crm")
def fields(call: Call) -> Answer:
    needs_intranet(call)
    entity = entity_of(call)
    needs_right(call, "read", entity)
    schema = call.portal.schemas[entity.id]
    original = original_names(call)
    described = {
        schema.out_name(field, original): item_descriptor(call.portal, entity, field) for field in schema.items
    }
    return Answer({"fields": described})


# -- list -------------------------------------------------------------------------------------
@rest_method("crm.item.list", scope="crm")
def list_items(call: Call) -> Answer:
    needs_intranet(call)
    entity = entity_of(call)
    portal = call.portal
    schema = portal.schemas[entity.id]
    store = portal.items[entity.id]
    original = original_names(call)
    both = portal.switches.uf_names == "both"
    columns = {name: store.columns[field.code] for name, field in schema.filter_names(original, both=both).items()}
    try:
        compiler = Compiler(columns, negative_finds_empty=portal.switches.negative_filter_finds_empty)
        plan = compiler.compile(call.params.get("filter"))
        order = compile_order(call.params.get("order"), columns)
    except FilterFault as fault:
        bad_filter(fault)
    only_readable(call, entity, plan)
    page = store.select(plan, order, start_of(call.params.get("start")))
    selected = selection(call, entity, original)
    rows = [shown_row(portal, entity, item, selected, original) for item in page.rows]
    return listed_answer({"items": rows}, page)


def only_readable(call: Call, entity: EntityType, plan: Plan) -> None:
    """Rows that the caller may not read are simply absent (crm-item-list.md)."""
    user = caller(call)
    if user.is_limited(entity.name):
        plan.tests.append(lambda item: user.may_with("read", entity.name, item))


def selection(call: Call, entity: EntityType, original: bool) -> list[tuple[str, Field]] | None:
    """Names and fields of `select`; None = everything. Names that the type lacks are dropped silently."""
    names = [str(name) for name in sequence(call.params.get("select"))]
    if not names or "*" in names:
        return None
    schema = call.portal.schemas[entity.id]
    known = schema.filter_names(original, both=call.portal.switches.uf_names == "both")
    found = [known[name] for name in names if name in known]
    return [(schema.out_name(field, original), field) for field in dict.fromkeys(found)]


def shown_row(
    portal: Portal, entity: EntityType, item: Item, selected: list[tuple[str, Field]] | None, original: bool
) -> dict[str, Any]:
    if selected is None:
        return full_item(portal, entity, item, original)
    value_of = portal.values.item_value
    return {name: value_of(field, item.get(field.code)) for name, field in selected}
