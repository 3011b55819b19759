"""What people do by hand in the portal, for tests and rehearsals; reached through the control API.

Every act takes one object and raises ValueError for a mistake in it. Events and automation follow as in the portal.
"""

from __future__ import annotations

from typing import Any

from ..model import automation, definitions, intake, planting, saving
from ..model.dumps import type_of, workflow_row
from ..model.entities import EntityType
from ..model.items import Item
from ..model.values import FieldFault
from ..model.workflows import WAITING
from ..portal import Portal
from ..registry import act

Params = dict[str, Any]


def item_of(portal: Portal, params: Params) -> tuple[EntityType, Item]:
    """The item of `entityTypeId` (default: deals) and `id`."""
    entity = type_of(portal, params)
    item = portal.items[entity.id].get(int(params["id"]))
    if item is None:
        raise ValueError(f"no {entity.name} {params['id']}")
    return entity, item


def by_hand(params: Params) -> saving.By:
    return saving.By(int(params.get("user") or 1), saving.HAND)


def change(portal: Portal, entity: EntityType, item: Item, fields: Params, by: saving.By) -> dict[str, Any]:
    try:
        values = intake.item_fields(portal, entity, fields, original=True, user_id=by.user_id, held=item)
        changed = saving.change(portal, entity, item, values, by)
    except FieldFault as fault:
        raise ValueError(str(fault)) from fault
    return {"id": item["id"], "changed": changed}


@act("item.add")
def item_add(portal: Portal, params: Params) -> dict[str, Any]:
    """entityTypeId, fields (original user field names), user. Robots run."""
    try:
        item = planting.plant_item(portal, params)
    except FieldFault as fault:
        raise ValueError(str(fault)) from fault
    return {"id": item["id"]}


@act("item.edit")
def item_edit(portal: Portal, params: Params) -> dict[str, Any]:
    """entityTypeId, id, fields, user."""
    entity, item = item_of(portal, params)
    return change(portal, entity, item, dict(params.get("fields", {})), by_hand(params))


@act("item.delete")
def item_delete(portal: Portal, params: Params) -> dict[str, Any]:
    entity, item = item_of(portal, params)
    saving.remove(portal, entity, item)
    return {"id": item["id"]}


@act("item.restore")
def item_restore(portal: Portal, params: Params) -> dict[str, Any]:
    """entityTypeId, id: somebody takes a deleted item out of the recycle bin."""
    return {"id": saving.restore(portal, type_of(portal, params), int(params["id"]))["id"]}


@act("deal.move")
def deal_move(portal: Portal, params: Params) -> dict[str, Any]:
    """id, stage (id or name), category (id or name, optional), user, entityTypeId (default: deals)."""
    entity, item = item_of(portal, params)
    fields: Params = {}
    category_id = item.get("categoryId", 0)
    if params.get("category") is not None:
        category_id = fields["categoryId"] = pipeline_id(portal, entity, params["category"])
    if params.get("stage") is not None:
        fields["stageId"] = stage_id(portal, entity, category_id, str(params["stage"]))
    return change(portal, entity, item, fields, by_hand(params))


def pipeline_id(portal: Portal, entity: EntityType, named: Any) -> int:
    """Id of a pipeline by id or name."""
    for pipeline in portal.pipelines.of(entity.id):
        if str(named) in (str(pipeline.id), pipeline.name):
            return pipeline.id
    raise ValueError(f"no pipeline {named!r} of {entity.name}")


def stage_id(portal: Portal, entity: EntityType, category_id: int, named: str) -> str:
    """Id of a stage of a pipeline by id or name."""
    for status in portal.dictionaries.of(entity.dictionary_of(category_id)):
        if named in (status.status_id, status.name):
            return status.status_id
    raise ValueError(f"no stage {named!r} in pipeline {category_id} of {entity.name}")


@act("event.raise")
def event_raise(portal: Portal, params: Params) -> dict[str, Any]:
    """event, data: an event out of nothing, such as one that no method of the sandbox raises."""
    portal.emit(str(params["event"]).upper(), dict(params.get("data", {})))
    return {"event": str(params["event"]).upper()}


@act("workflow.complete")
def workflow_complete(portal: Portal, params: Params) -> dict[str, Any]:
    """id of an instance; or template (id or name) and/or document_id: all that wait there."""
    if params.get("id"):
        instance = portal.workflows.instances.get(str(params["id"]))
        if instance is None or instance.state != WAITING:
            raise ValueError(f"no waiting workflow {params['id']}")
        chosen = [instance]
    else:
        chosen = [one for one in portal.workflows.waiting() if wanted_instance(portal, one, params)]
    for instance in chosen:
        automation.complete(portal, instance)
    return {"completed": len(chosen), "ids": [one.id for one in chosen]}


def wanted_instance(portal: Portal, instance: Any, params: Params) -> bool:
    template = portal.workflows.templates.get(instance.template_id)
    named = str(params.get("template") or "")
    if named and named not in (str(instance.template_id), template.name if template else ""):
        return False
    return not params.get("document_id") or instance.document_id == str(params["document_id"])


@act("workflow.start")
def workflow_start(portal: Portal, params: Params) -> dict[str, Any]:
    """template (id or name), id, entityTypeId, user: somebody starts a process from the card."""
    entity, item = item_of(portal, params)
    named = str(params["template"])
    template = next((one for one in portal.workflows.templates.values() if named in (str(one.id), one.name)), None)
    if template is None:
        raise ValueError(f"no template {named!r}")
    try:
        instance = automation.start(portal, template, entity, item, int(params.get("user") or 1), auto=True)
    except automation.TooManyWaiting as error:
        raise ValueError(f"too many waiting workflows on {error}") from error
    return workflow_row(portal, instance)


@act("template.add")
def template_add(portal: Portal, params: Params) -> dict[str, Any]:
    """NAME, DOCUMENT_TYPE, kind, trace_field, trace_value, AUTO_EXECUTE, parameters."""
    return {"id": planting.plant_template(portal, params).id}


@act("template.edit")
def template_edit(portal: Portal, params: Params) -> dict[str, Any]:
    """id or NAME of a template; kind, trace_field, trace_value, AUTO_EXECUTE, parameters, new_name."""
    named = str(params.get("id") or params.get("NAME"))
    template = next((one for one in portal.workflows.templates.values() if named in (str(one.id), one.name)), None)
    if template is None:
        raise ValueError(f"no template {named!r}")
    template.kind = str(params.get("kind", template.kind))
    template.trace_field = str(params.get("trace_field", template.trace_field))
    template.trace_value = params.get("trace_value", template.trace_value)
    template.auto_execute = int(params.get("AUTO_EXECUTE", template.auto_execute))
    template.parameters = dict(params.get("parameters", template.parameters))
    template.name = str(params.get("new_name", template.name))
    return {"id": template.id}


@act("user.add")
def user_add(portal: Portal, params: Params) -> dict[str, Any]:
    """Keys of a seed user."""
    return {"id": planting.plant_user(portal, params).id}


@act("user.dismiss")
def user_dismiss(portal: Portal, params: Params) -> dict[str, Any]:
    """id. The person stays responsible for everything he was."""
    user = portal.users[int(params["id"])]
    user.active = False
    return {"id": user.id}


@act("user.rights")
def user_rights(portal: Portal, params: Params) -> dict[str, Any]:
    """id, rights {right: true, false, "own", null = default}; `deal.add` is for one type, `pipelines` a list of ids."""
    user = portal.users[int(params["id"])]
    for right, value in dict(params["rights"]).items():
        if value is None:
            user.rights.pop(right, None)
        else:
            user.rights[right] = value
    return {"id": user.id, "rights": user.rights}


@act("category.add")
def category_add(portal: Portal, params: Params) -> dict[str, Any]:
    """Keys of a seed category."""
    return {"id": planting.plant_pipeline(portal, params).id}


@act("category.rename")
def category_rename(portal: Portal, params: Params) -> dict[str, Any]:
    """id (or name), new_name, entityTypeId."""
    entity = type_of(portal, params)
    pipeline = portal.pipelines.get(entity.id, pipeline_id(portal, entity, params.get("id", params.get("name"))))
    assert pipeline is not None
    pipeline.name = str(params["new_name"])
    return {"id": pipeline.id}


@act("category.delete")
def category_delete(portal: Portal, params: Params) -> dict[str, Any]:
    """id, entityTypeId. Its items move to the default pipeline's first stage, as the interface does it."""
    entity = type_of(portal, params)
    deleted = pipeline_id(portal, entity, params.get("id", params.get("name")))
    default = portal.pipelines.default(entity.id)
    if default is None or deleted == default.id:
        raise ValueError("the default pipeline stays")
    pipeline = portal.pipelines.get(entity.id, deleted)
    assert pipeline is not None
    held = [item for item in portal.items[entity.id] if item.get("categoryId") == deleted]
    for item in held:
        change(portal, entity, item, {"categoryId": default.id}, by_hand(params))
    portal.pipelines.delete(pipeline)
    portal.dictionaries.drop(entity.dictionary_of(deleted))
    return {"id": deleted, "moved": len(held)}


@act("stage.rename")
def stage_rename(portal: Portal, params: Params) -> dict[str, Any]:
    """stage (id or name), new_name, category (default 0), entityTypeId."""
    entity = type_of(portal, params)
    category_id = pipeline_id(portal, entity, params.get("category", 0)) if entity.has_categories else 0
    status = portal.dictionaries.find(
        entity.dictionary_of(category_id), stage_id(portal, entity, category_id, str(params["stage"]))
    )
    assert status is not None
    status.name = str(params["new_name"])
    return {"id": status.status_id}


@act("stage.delete")
def stage_delete(portal: Portal, params: Params) -> dict[str, Any]:
    """stage (id or name), category (default 0). Items in it move to the first stage left of the same group."""
    entity = type_of(portal, params)
    category_id = pipeline_id(portal, entity, params.get("category", 0)) if entity.has_categories else 0
    dictionary = entity.dictionary_of(category_id)
    status = portal.dictionaries.find(dictionary, stage_id(portal, entity, category_id, str(params["stage"])))
    assert status is not None
    others = [one for one in portal.dictionaries.of(dictionary) if one.group == status.group and one is not status]
    if not others:
        raise ValueError("the last stage of its group stays")
    held = [
        item
        for item in portal.items[entity.id]
        if item.get("stageId") == status.status_id and item.get("categoryId", 0) == category_id
    ]
    for item in held:
        change(portal, entity, item, {"stageId": others[0].status_id}, by_hand(params))
    portal.dictionaries.delete(status)
    return {"id": status.status_id, "moved": len(held)}


@act("userfield.add")
def user_field_add(portal: Portal, params: Params) -> dict[str, Any]:
    """Keys of crm.deal.userfield.add and ENTITY_ID (default CRM_DEAL)."""
    try:
        created = definitions.define_user_field(portal, str(params.get("ENTITY_ID") or "CRM_DEAL"), params)
    except definitions.BadDefinition as error:
        raise ValueError(error.text) from error
    return {"id": created.id, "name": created.name}


@act("userfield.delete")
def user_field_delete(portal: Portal, params: Params) -> dict[str, Any]:
    """FIELD_NAME, ENTITY_ID (default CRM_DEAL)."""
    entity_id, name = str(params.get("ENTITY_ID") or "CRM_DEAL"), str(params["FIELD_NAME"])
    definition = portal.user_fields.find(entity_id, definitions.prefixed(name))
    if definition is None:
        raise ValueError(f"no user field {name} of {entity_id}")
    definitions.drop_user_field(portal, definition)
    return {"id": definition.id}
