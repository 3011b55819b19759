"""What processes do in the portal: start, wait, end, leave a trace.

Docs: api-reference/bizproc/bizproc-workflow-start.md; api-reference/bizproc/template/index.md (AUTO_EXECUTE 1 on
create, 2 on update); api-reference/crm/universal/import/index.md (an import starts nothing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import saving
from .entities import EntityType
from .items import Item
from .moments import iso_moment
from .values import FieldFault
from .workflows import COMPLETED, ENDS, TRACE, WAITS_THEN_TRACE, Instance, Template

if TYPE_CHECKING:
    from ..portal import Portal

ON_CREATE, ON_UPDATE = 1, 2


class TooManyWaiting(Exception):
    """The document has as many waiting workflows as it may have."""


def start(
    portal: Portal,
    template: Template,
    entity: EntityType,
    item: Item,
    user_id: int,
    *,
    parameters: dict[str, Any] | None = None,
    auto: bool = False,
) -> Instance:
    """Start a workflow on an item. Raises TooManyWaiting; nothing is started then."""
    document_id = f"{entity.document_type}_{item['id']}"
    waits = template.kind not in (ENDS, TRACE)
    if waits and len(portal.workflows.waiting_of(document_id)) >= portal.switches.waiting_workflows_per_document:
        raise TooManyWaiting(document_id)
    entries = portal.history[entity.id].of(item["id"]) if entity.id in portal.history else []
    instance = portal.workflows.add_instance(
        template,
        document_id,
        portal.time(),
        user_id,
        parameters=dict(parameters or {}),
        stage_entry=entries[-1].id if entries else 0,
        auto=auto,
    )
    if template.kind == TRACE:
        leave_trace(portal, template, instance, entity, item)
    if not waits:
        portal.workflows.finish(instance, COMPLETED, portal.time())
    return instance


def complete(portal: Portal, instance: Instance) -> None:
    """The person did what the workflow waited for."""
    template = portal.workflows.templates.get(instance.template_id)
    portal.workflows.finish(instance, COMPLETED, portal.time())
    if template is None or template.kind != WAITS_THEN_TRACE:
        return
    name, _, item_id = instance.document_id.rpartition("_")
    entity = next((entity for entity in portal.types.values() if entity.document_type == name), None)
    item = portal.items[entity.id].get(int(item_id)) if entity is not None else None
    if entity is not None and item is not None:
        leave_trace(portal, template, instance, entity, item)


def leave_trace(portal: Portal, template: Template, instance: Instance, entity: EntityType, item: Item) -> None:
    """Write into the template's field: a fixed value, or one that differs per start.

    Numbers count starts, times take the start, flags become Y, texts get "<start time> <template> <workflow id>".
    A field that is missing or of another kind stays as it is: errors inside a workflow are not visible over REST.
    """
    field = portal.schemas[entity.id].by_code.get(template.trace_field)
    if field is None:
        return
    value = template.trace_value
    if value is None:
        if field.kind in ("integer", "double"):
            value = (item.get(field.code) or 0) + 1
        elif field.kind in ("date", "datetime"):
            value = iso_moment(instance.started, portal.zone)
        elif field.kind == "boolean":
            value = "Y"
        else:
            value = f"{iso_moment(instance.started, portal.zone)} {template.name} {instance.id}"
    try:
        stored = portal.values.read(field, [value] if field.multiple else value)
        saving.change(portal, entity, item, {field.code: stored}, saving.By(instance.started_by, saving.SYSTEM))
    except FieldFault:
        instance.parameters["trace_failed"] = field.code


def run_on_create(portal: Portal, entity: EntityType, item: Item, user_id: int) -> None:
    _run(portal, entity, item, user_id, ON_CREATE)


def run_on_update(portal: Portal, entity: EntityType, item: Item, user_id: int) -> None:
    _run(portal, entity, item, user_id, ON_UPDATE)


def _run(portal: Portal, entity: EntityType, item: Item, user_id: int, occasion: int) -> None:
    for template in portal.workflows.templates.values():
        if template.auto_execute & occasion and template.document_type == entity.document_type:
            if not _may_wait(portal, entity, item):
                continue
            start(portal, template, entity, item, user_id, auto=True)


def _may_wait(portal: Portal, entity: EntityType, item: Item) -> bool:
    held = portal.workflows.waiting_of(f"{entity.document_type}_{item['id']}")
    return len(held) < portal.switches.waiting_workflows_per_document
