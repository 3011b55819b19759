"""`crm.category.*`: pipelines of deals and smart processes; directions of contacts and companies.

Docs: api-reference/crm/universal/category/*.md.
"""

from __future__ import annotations

from typing import Any

from ..model import planting
from ..model.entities import COMPANY, CONTACT, DEAL, EntityType
from ..model.pipelines import Pipeline
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import caller, entity_of, integer, is_yes, mapping, needs_right

NAME_MAX_LEN = 255


def pipelined(call: Call) -> EntityType:
    """The type, if it has categories at all. Raises ENTITY_TYPE_NOT_SUPPORTED."""
    entity = entity_of(call)
    if not entity.has_categories and entity.id not in (CONTACT, COMPANY):
        raise ApiError("ENTITY_TYPE_NOT_SUPPORTED", f"Entity type `{entity.name}` is not supported")
    return entity


def row(pipeline: Pipeline) -> dict[str, Any]:
    """The default deal pipeline has no origin keys (recorded); other deal pipelines have them, empty or not."""
    shown: dict[str, Any] = {
        "id": pipeline.id,
        "name": pipeline.name,
        "sort": pipeline.sort,
        "entityTypeId": pipeline.entity_type_id,
        "isDefault": "Y" if pipeline.is_default else "N",
    }
    if pipeline.entity_type_id == DEAL and pipeline.id != 0:
        shown.update(originId=pipeline.origin_id, originatorId=pipeline.originator_id)
    if pipeline.entity_type_id not in (DEAL, CONTACT, COMPANY):
        shown.update(isSystem="Y" if pipeline.is_system else "N", code=pipeline.code)
    return shown


def pipelines(call: Call, entity: EntityType) -> list[Pipeline]:
    if not entity.has_categories:
        return [Pipeline(0, entity.id, "Общее", 100, is_default=True)]
    user = caller(call)
    readable = (one for one in call.portal.pipelines.of(entity.id) if entity.id != DEAL or user.uses_pipeline(one.id))
    return list(readable)


def found(call: Call, entity: EntityType) -> Pipeline:
    pipeline_id = integer(call.params.get("id"))
    if pipeline_id is None:
        raise ApiError(100, "Could not find value for parameter {id}")
    pipeline = next((one for one in pipelines(call, entity) if one.id == pipeline_id), None)
    if pipeline is None:
        raise ApiError("NOT_FOUND", "Элемент не найден")
    return pipeline


@rest_method("crm.category.list", scope="crm")
def list_categories(call: Call) -> Answer:
    """Those that the caller reads, in one page whatever their number (recorded: 52 rows without next)."""
    rows = [row(one) for one in pipelines(call, pipelined(call))]
    return Answer({"categories": rows}, total=len(rows))


@rest_method("crm.category.get", scope="crm")
def get(call: Call) -> Answer:
    return Answer({"category": row(found(call, pipelined(call)))})


@rest_method("crm.category.add", scope="crm")
def add(call: Call) -> Answer:
    """New pipelines get the default stages at once; names need not be unique (crm-category-add.md)."""
    entity = pipelined(call)
    needs_right(call, "settings")
    fields = mapping(call.params.get("fields"))
    name = str(fields.get("name") or "").strip()
    if not name:
        raise ApiError("0", "Field 'NAME' is required")
    if is_yes(fields.get("isDefault")) and entity.id in (CONTACT, COMPANY):
        raise ApiError("0", "Default client category does not support updating default state")
    if not entity.has_categories:
        raise ApiError("ADDING_DISABLED", "Добавление системной категории запрещено")
    sort = integer(fields.get("sort"))
    pipeline = planting.add_pipeline(
        call.portal, entity, name[:NAME_MAX_LEN], sort=500 if sort is None or sort < 0 else sort
    )
    keep_origin(entity, pipeline, fields)
    if entity.is_dynamic and is_yes(fields.get("isDefault")):
        make_default(call, entity, pipeline)
    return Answer({"category": row(pipeline)})


def keep_origin(entity: EntityType, pipeline: Pipeline, fields: dict[str, Any]) -> None:
    """originId and originatorId are writable for deals by crm-category-fields.md, though add does not list them."""
    if entity.id == DEAL and pipeline.id != 0:
        pipeline.origin_id = str(fields.get("originId", pipeline.origin_id))
        pipeline.originator_id = str(fields.get("originatorId", pipeline.originator_id))


def make_default(call: Call, entity: EntityType, pipeline: Pipeline) -> None:
    for one in call.portal.pipelines.of(entity.id):
        one.is_default = one is pipeline


@rest_method("crm.category.update", scope="crm")
def update(call: Call) -> Answer:
    entity = pipelined(call)
    pipeline = found(call, entity)
    needs_right(call, "settings")
    fields = mapping(call.params.get("fields"))
    if str(fields.get("name") or "").strip():
        pipeline.name = str(fields["name"])[:NAME_MAX_LEN]
    sort = integer(fields.get("sort"))
    if sort is not None and sort >= 0:
        pipeline.sort = sort
    keep_origin(entity, pipeline, fields)
    if entity.is_dynamic and is_yes(fields.get("isDefault")):
        make_default(call, entity, pipeline)
    return Answer({"category": row(pipeline)})


@rest_method("crm.category.delete", scope="crm")
def delete(call: Call) -> Answer:
    """Answers null. Only empty pipelines that are not the default one go."""
    entity = pipelined(call)
    pipeline = found(call, entity)
    needs_right(call, "settings")
    if not entity.has_categories:
        raise ApiError("REMOVING_DISABLED", "Удаление системной категории запрещено")
    held = any(item.get("categoryId") == pipeline.id for item in call.portal.items[entity.id])
    if entity.id == DEAL:
        if pipeline.id == 0:
            raise ApiError("0", "Default deal category can not be deleted")
        if held:
            raise ApiError("0", f"Найдены сделки, относящиеся к воронке {pipeline.name}")
    elif held:
        raise ApiError("BX_ERROR", "Найдены элементы, относящиеся к воронке")
    elif pipeline.is_default:
        raise ApiError("BX_ERROR", "Эта воронка является воронкой по умолчанию")
    call.portal.pipelines.delete(pipeline)
    call.portal.dictionaries.drop(entity.dictionary_of(pipeline.id))
    return Answer(None)


FIELD_KINDS = {
    "id": ("integer", "ID", False, True),
    "name": ("string", "NAME", False, False),
    "sort": ("integer", "SORT", False, False),
    "entityTypeId": ("integer", "ENTITY_TYPE_ID", True, True),
    "isDefault": ("boolean", "IS_DEFAULT", False, False),
    "originId": ("string", "ORIGIN_ID", False, False),
    "originatorId": ("string", "ORIGINATOR_ID", False, False),
    "isSystem": ("boolean", "IS_SYSTEM", False, True),
    "code": ("string", "CODE", False, True),
}


@rest_method("crm.category.fields", scope="crm")
def fields(call: Call) -> Answer:
    entity = pipelined(call)
    missing = {"isSystem", "code"} if entity.id == DEAL else {"originId", "originatorId"}
    described = {
        name: {
            "type": kind,
            "isRequired": required,
            "isReadOnly": read_only or (name == "isDefault" and entity.id == DEAL),
            "isImmutable": False,
            "isMultiple": False,
            "isDynamic": False,
            "title": upper,
            "upperName": upper,
        }
        for name, (kind, upper, required, read_only) in FIELD_KINDS.items()
        if name not in missing
    }
    return Answer({"fields": described})
