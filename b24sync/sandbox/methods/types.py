"""`crm.type.{add,list,get,getByEntityTypeId,update,delete,fields}` and `crm.enum.ownertype`.

Docs: api-reference/crm/universal/user-defined-object-types/*.md,
api-reference/crm/auxiliary/enum/crm-enum-owner-type.md.
"""

from __future__ import annotations

from typing import Any

from ..model import planting
from ..model.entities import EntityType
from ..model.fields import upper_name
from ..model.filters import Column, Compiler, FilterFault, compile_order
from ..model.listing import listed, start_of
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import bad_filter, integer, listed_answer, mapping, needs_right

OPTIONS = (
    "isAutomationEnabled",
    "isBeginCloseDatesEnabled",
    "isBizProcEnabled",
    "isCategoriesEnabled",
    "isClientEnabled",
    "isDocumentsEnabled",
    "isLinkWithProductsEnabled",
    "isMycompanyEnabled",
    "isObserversEnabled",
    "isPaymentsEnabled",
    "isRecyclebinEnabled",
    "isSetOpenPermissions",
    "isSourceEnabled",
    "isStagesEnabled",
    "isUseInUserfieldEnabled",
    "isCountersEnabled",
)
DEFAULTS = {**dict.fromkeys(OPTIONS, "N"), "isSetOpenPermissions": "Y"}
LINKED = ("CALENDAR_EVENT|UF_CRM_CAL_EVENT", "TASKS_TASK|UF_CRM_TASK", "TASKS_TASK_TEMPLATE|UF_CRM_TASK")


def row(entity: EntityType) -> dict[str, Any]:
    """`id` is the number of the type record, not entityTypeId."""
    return {
        "id": entity.type_id,
        "title": entity.title,
        "code": "",
        "entityTypeId": entity.id,
        "customSectionId": None,
        **DEFAULTS,
        "relations": {"parent": [], "child": []},
        **entity.options,
        "linkedUserFields": {**dict.fromkeys(LINKED, "N"), **entity.options.get("linkedUserFields", {})},
        "customSections": [],
    }


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


def found(call: Call) -> EntityType:
    """The smart process of `id`. Raises 0 (crm-type-update.md, crm-type-delete.md)."""
    entity = next((one for one in dynamic(call) if one.type_id == integer(call.params.get("id"))), None)
    if entity is None:
        raise ApiError(0, "Смарт-процесс не найден")
    return entity


@rest_method("crm.type.update", scope="crm")
def update(call: Call) -> Answer:
    """entityTypeId stays what it is; switches that are not named keep their value (crm-type-update.md)."""
    needs_right(call, "settings")
    entity = found(call)
    fields = mapping(call.params.get("fields"))
    if str(fields.get("title") or "").strip():
        entity.title = str(fields["title"]).strip()
    planting.change_type(call.portal, entity, fields)
    return Answer({"type": row(entity)})


@rest_method("crm.type.delete", scope="crm")
def delete(call: Call) -> Answer:
    """Only without items; null and nothing done without `id` (crm-type-delete.md)."""
    needs_right(call, "settings")
    if call.params.get("id") in (None, ""):
        return Answer(None)
    entity = found(call)
    if len(call.portal.items[entity.id]):
        raise ApiError("BX_ERROR", "Вы не можете удалить тип сущности, у которого есть элементы")
    call.portal.drop_type(entity)
    return Answer([])


@rest_method("crm.type.fields", scope="crm")
def fields(call: Call) -> Answer:
    """Descriptors (crm-type-fields.md)."""
    needs_right(call, "read")
    described = {
        "id": ("integer", True, False, False),
        "title": ("string", False, True, False),
        "code": ("string", False, False, False),
        "entityTypeId": ("integer", False, True, True),
        **dict.fromkeys(OPTIONS, ("boolean", False, False, False)),
    }
    return Answer(
        {
            "fields": {
                name: {
                    "type": kind,
                    "isRequired": required,
                    "isReadOnly": read_only,
                    "isImmutable": immutable,
                    "isMultiple": False,
                    "isDynamic": False,
                    "title": name,
                    "upperName": upper_name(name),
                }
                for name, (kind, read_only, required, immutable) in described.items()
            }
        }
    )


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
    columns = {name: type_column(name) for name in ("id", "title", "entityTypeId", *OPTIONS)}
    try:
        plan = Compiler(columns).compile(call.params.get("filter"))
        order = compile_order(call.params.get("order"), columns)
    except FilterFault as fault:
        bad_filter(fault)
    page = listed([row(entity) for entity in dynamic(call)], plan, order, start_of(call.params.get("start")))
    return listed_answer({"types": page.rows}, page)


def type_column(name: str) -> Column:
    if name in ("id", "entityTypeId"):
        return Column(name, lambda one: one[name], lambda raw: int(str(raw)))
    return Column(name, lambda one: one[name] or None, lambda raw: None if raw in (None, "") else str(raw))


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
