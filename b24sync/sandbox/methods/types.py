"""`crm.type.{add,list,get,getByEntityTypeId}` and `crm.enum.ownertype`.

Docs: api-reference/crm/universal/user-defined-object-types/*.md,
api-reference/crm/auxiliary/enum/crm-enum-owner-type.md.
"""

from __future__ import annotations

from typing import Any

from ..model import planting
from ..model.entities import EntityType
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import integer, mapping, needs_right


def row(entity: EntityType) -> dict[str, Any]:
    """`id` is the number of the type record, not entityTypeId."""
    return {"id": entity.type_id, "title": entity.title, "entityTypeId": entity.id, **entity.options}


@rest_method("crm.type.add", scope="crm")
def add(call: Call) -> Answer:
    needs_right(call, "settings")
    fields = mapping(call.params.get("fields"))
    title = str(fields.get("title") or "").strip()
    if not title:
        raise ApiError("CRM_FIELD_ERROR_REQUIRED", 'Поле "Название" обязательно для заполнения')
    entity_type_id = integer(fields.get("entityTypeId"))
    if fields.get("entityTypeId") not in (None, "", 0) and not free(call, entity_type_id):
        raise ApiError("INVALID_ARG_VALUE", f"Invalid entityTypeId: {fields['entityTypeId']}")
    return Answer({"type": row(planting.plant_type(call.portal, {**fields, "title": title}))})


def free(call: Call, entity_type_id: int | None) -> bool:
    """128-192 or an even number from 1030, not taken."""
    if entity_type_id is None or entity_type_id in call.portal.types:
        return False
    return 128 <= entity_type_id <= 192 or (entity_type_id >= 1030 and entity_type_id % 2 == 0)


def dynamic(call: Call) -> list[EntityType]:
    return [entity for entity in call.portal.types.values() if entity.is_dynamic]


@rest_method("crm.type.list", scope="crm")
def list_types(call: Call) -> Answer:
    needs_right(call, "settings")
    rows = [row(entity) for entity in dynamic(call)]
    return Answer({"types": rows}, total=len(rows))


@rest_method("crm.type.get", scope="crm")
def get(call: Call) -> Answer:
    return one(call, lambda entity: entity.type_id == integer(call.params.get("id")))


@rest_method("crm.type.getByEntityTypeId", scope="crm")
def get_by_entity_type_id(call: Call) -> Answer:
    return one(call, lambda entity: entity.id == integer(call.params.get("entityTypeId")))


def one(call: Call, matches: Any) -> Answer:
    needs_right(call, "read")
    entity = next((entity for entity in dynamic(call) if matches(entity)), None)
    if entity is None:
        raise ApiError("NOT_FOUND", "Смарт-процесс не найден")
    return Answer({"type": row(entity)})


@rest_method("crm.enum.ownertype", scope="crm")
def owner_types(call: Call) -> Answer:
    return Answer(
        [
            {"ID": entity.id, "NAME": entity.title, "SYMBOL_CODE": entity.name, "SYMBOL_CODE_SHORT": entity.prefix}
            for entity in call.portal.types.values()
        ]
    )
