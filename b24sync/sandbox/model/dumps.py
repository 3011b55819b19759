"""The portal's state for the control API: compact rows, no paging, no rights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .entities import DEAL, EntityType
from .history import Entry
from .moments import iso_moment
from .reports import origin_key
from .workflows import Instance

if TYPE_CHECKING:
    from ..portal import Portal


def dump(portal: Portal, what: str, params: dict[str, Any]) -> Any:
    """State by name, see `READERS`: items, workflows, templates, userfields, stages, categories, ...

    Raises ValueError for another name.
    """
    reader = READERS.get(what)
    if reader is None:
        raise ValueError(f"no state {what!r}; known: {', '.join(sorted(READERS))}")
    return reader(portal, params)


def type_of(portal: Portal, params: dict[str, Any]) -> EntityType:
    """The type of `entityTypeId` (default: deals)."""
    type_id = int(params.get("entityTypeId") or DEAL)
    if type_id not in portal.types:
        raise ValueError(f"no entityTypeId {type_id}")
    return portal.types[type_id]


def names_in(raw: Any) -> list[str]:
    """A list, or names separated by commas."""
    if isinstance(raw, str):
        return [name.strip() for name in raw.split(",") if name.strip()]
    return [str(name) for name in raw or []]


def items(portal: Portal, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a type with original user field names. entityTypeId, select (default all), originatorId, ids."""
    entity = type_of(portal, params)
    schema = portal.schemas[entity.id]
    select = names_in(params.get("select"))
    originator = params.get("originatorId")
    ids = {int(one) for one in names_in(params.get("ids"))}
    codes = select or [*schema.by_code, "fm"]
    rows = []
    for item in portal.items[entity.id]:
        if originator is not None and item.get("originatorId") != originator:
            continue
        if ids and item["id"] not in ids:
            continue
        rows.append({code: _shown(portal, entity, item, code) for code in codes})
    return rows


def _shown(portal: Portal, entity: EntityType, item: dict[str, Any], code: str) -> Any:
    if code == "fm":
        return item.get("fm", [])
    field = portal.schemas[entity.id].by_code.get(code)
    if field is None:
        raise ValueError(f"no field {code!r} in {entity.name}")
    return portal.values.item_value(field, item.get(code))


def workflows(portal: Portal, params: dict[str, Any]) -> list[dict[str, Any]]:
    """All instances, finished ones too; filter by template_id, document_id, state."""
    wanted = {key: str(params[key]) for key in ("template_id", "document_id", "state") if params.get(key)}
    rows = []
    for instance in portal.workflows.instances.values():
        row = workflow_row(portal, instance)
        if all(str(row[key]) == value for key, value in wanted.items()):
            rows.append(row)
    return rows


def workflow_row(portal: Portal, instance: Instance) -> dict[str, Any]:
    template = portal.workflows.templates.get(instance.template_id)
    return {
        "id": instance.id,
        "document_id": instance.document_id,
        "template_id": instance.template_id,
        "template": template.name if template else None,
        "started": iso_moment(instance.started, portal.zone),
        "started_by": instance.started_by,
        "finished": None if instance.finished is None else iso_moment(instance.finished, portal.zone),
        "state": instance.state,
        "stage_entry": instance.stage_entry,
        "parameters": instance.parameters,
        "auto": instance.auto,
    }


def templates(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "name": one.name,
            "document_type": one.document_type,
            "kind": one.kind,
            "trace_field": one.trace_field,
            "auto_execute": one.auto_execute,
            "parameters": one.parameters,
        }
        for one in portal.workflows.templates.values()
    ]


def user_fields(portal: Portal, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Definitions; entity_id narrows."""
    entity_id = params.get("entity_id")
    return [
        {
            "id": one.id,
            "entity_id": one.entity_id,
            "name": one.name,
            "type": one.type,
            "label": one.label(),
            "multiple": one.multiple,
            "mandatory": one.mandatory,
            "values": [{"id": value.id, "value": value.value, "xml_id": value.xml_id} for value in one.values],
        }
        for one in portal.user_fields
        if entity_id in (None, one.entity_id)
    ]


def stages(portal: Portal, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of dictionaries; entity_id narrows."""
    entity_id = params.get("entity_id")
    names = [entity_id] if entity_id else list(portal.dictionaries.names)
    return [
        {
            "id": row.id,
            "entity_id": row.entity_id,
            "status_id": row.status_id,
            "name": row.name,
            "sort": row.sort,
            "semantics": row.group,
        }
        for name in names
        for row in portal.dictionaries.of(name)
    ]


def categories(portal: Portal, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Pipelines of a type, or of all types."""
    types = [type_of(portal, params)] if params.get("entityTypeId") else list(portal.types.values())
    return [
        {
            "id": one.id,
            "entity_type_id": one.entity_type_id,
            "name": one.name,
            "sort": one.sort,
            "is_default": one.is_default,
        }
        for entity in types
        for one in portal.pipelines.of(entity.id)
    ]


def stage_history(portal: Portal, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a type; owner_id narrows."""
    entity = type_of(portal, params)
    history = portal.history.get(entity.id)
    if history is None:
        return []
    rows = history.of(int(params["owner_id"])) if params.get("owner_id") else list(history.rows())
    return [history_row(portal, row) for row in rows]


def history_row(portal: Portal, row: Entry) -> dict[str, Any]:
    return {
        "id": row.id,
        "type": row.type,
        "owner_id": row.owner_id,
        "at": iso_moment(row.at, portal.zone),
        "category_id": row.category_id,
        "stage_id": row.stage_id,
        "group": row.group,
    }


def users(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "name": one.full_name,
            "email": one.email,
            "admin": one.admin,
            "active": one.active,
            "confirmed": one.confirmed,
            "kind": one.kind,
            "rights": one.rights,
        }
        for one in portal.users.values()
    ]


def groups(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """Workgroups with everybody in them: members {user id: role}, Z = invited."""
    return [
        {
            "id": one.id,
            "name": one.name,
            "description": one.description,
            "keywords": one.keywords,
            "owner_id": one.owner_id,
            "extranet": one.is_extranet,
            "visible": one.visible,
            "opened": one.opened,
            "closed": one.closed,
            "initiate_perms": one.initiate_perms,
            "project": one.project,
            "members": {str(user_id): relation.role for user_id, relation in one.relations.items()},
        }
        for one in portal.groups
    ]


def product_rows(portal: Portal, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a type's items with owner_id; owner_id narrows."""
    entity = type_of(portal, params)
    wanted = int(params.get("owner_id") or 0)
    return [
        {"owner_id": owner[1], **row}
        for owner, row in portal.product_rows
        if owner[0] == entity.id and wanted in (0, owner[1])
    ]


def recycle_bin(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """Deleted items: entity_type_id, id, title."""
    return [
        {"entity_type_id": one.entity.id, "id": one.item["id"], "title": one.item.get("title")}
        for one in portal.recycle_bin
    ]


def activities(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """Activities with their bindings [entityTypeId, id]; times in unix seconds."""
    return list(portal.activities)


def timeline_comments(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """Comments in timelines with their bindings and names of files; times in unix seconds."""
    return [{**row, "FILES": _names(portal, row["FILES"])} for row in portal.comments]


def crm_files(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """Files in fields of items and in activities: id, name, size, SHA-256."""
    return [
        {"id": number, "name": name, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        for number, (name, body) in portal.files.items()
    ]


def tasks(portal: Portal, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Tasks with state, people, group, tags, bindings; binding, tag, status narrow. Times in unix seconds."""
    wanted = {key: str(params[key]) for key in ("binding", "tag", "status") if params.get(key)}
    rows = []
    for row in portal.tasks:
        if "binding" in wanted and wanted["binding"] not in row["UF_CRM_TASK"]:
            continue
        if "tag" in wanted and wanted["tag"] not in row["TAGS"]:
            continue
        if wanted.get("status", str(row["STATUS"])) != str(row["STATUS"]):
            continue
        rows.append({**row, "SE_PARAMETER": {str(key): value for key, value in row["SE_PARAMETER"].items()}})
    return rows


def task_comments(portal: Portal, params: dict[str, Any]) -> list[dict[str, Any]]:
    """What was said in tasks, old and new card alike: task_id, author_id (0 = the portal), text, files by name."""
    wanted = int(params.get("task_id") or 0)
    rows = []
    for task in portal.tasks:
        if wanted not in (0, task["ID"]):
            continue
        for row in portal.task_comments.where(TASK_ID=task["ID"]):
            held = [portal.disk.attachments.get(one) for one in row["ATTACHED"]]
            files = [one["OBJECT_ID"] for one in held if one is not None]
            rows.append(_said(portal, task["ID"], row["ID"], row["AUTHOR_ID"], row["POST_MESSAGE"], files))
        for row in portal.chats.of(task["CHAT_ID"] or 0):
            rows.append(_said(portal, task["ID"], row["ID"], row["AUTHOR_ID"], row["TEXT"], row["FILES"]))
    return rows


def _said(portal: Portal, task_id: int, row_id: int, author_id: int, text: str, files: list[int]) -> dict[str, Any]:
    return {"task_id": task_id, "id": row_id, "author_id": author_id, "text": text, "files": _names(portal, files)}


def _names(portal: Portal, objects: list[int]) -> list[str]:
    """Names of disk objects."""
    found = [portal.disk.objects.get(one) for one in objects]
    return [one["NAME"] for one in found if one is not None]


def notifications(portal: Portal, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Notifications that people see now; user_id narrows. `figures.notified` counts replaced ones too."""
    wanted = int(params.get("user_id") or 0)
    return [row for row in portal.notifications if wanted in (0, row["USER_ID"])]


def disk(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """Files and folders with their storage, version and SHA-256; deleted ones too."""
    rows = []
    for row in portal.disk.objects:
        storage = portal.disk.storages[row["STORAGE_ID"]]
        body = portal.disk.bodies.get(row.get("FILE_ID", 0))
        rows.append(
            {
                "id": row["ID"],
                "type": row["TYPE"],
                "name": row["NAME"],
                "parent_id": row["PARENT_ID"],
                "storage": f"{storage.entity_type} {storage.entity_id}",
                "deleted": row["DELETED_TYPE"] != 0,
                "version": row.get("VERSION"),
                "size": row.get("SIZE"),
                "sha256": None if body is None else hashlib.sha256(body).hexdigest(),
            }
        )
    return rows


def requisites(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """Requisites of companies and contacts with their addresses."""
    return [
        {**row, "addresses": portal.addresses.where(ENTITY_TYPE_ID=8, ENTITY_ID=row["ID"])} for row in portal.requisites
    ]


def mails(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """Letters the portal would have sent: kind (invitation, crm), to, ..."""
    return list(portal.mails)


def origin_pairs(portal: Portal, params: dict[str, Any]) -> list[list[Any]]:
    """[originatorId, originId, id] of every item with an external key; originatorId narrows."""
    entity = type_of(portal, params)
    originator = params.get("originatorId")
    pairs = []
    for item in portal.items[entity.id]:
        key = origin_key(entity, item)
        if key is not None and originator in (None, key[0]):
            pairs.append([*key, item["id"]])
    return pairs


def types(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"entity_type_id": one.id, "name": one.name, "title": one.title, "uf_entity": one.uf_entity}
        for one in portal.types.values()
    ]


def bindings(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """What applications bound: app, event, handler, offline, ..."""
    return [asdict(one) for one in portal.subscriptions.rows]


def offline_queue(portal: Portal, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """Events that applications fetch themselves: APP, EVENT_NAME, EVENT_DATA, PROCESS_ID (reserved), ERROR."""
    return [dict(row) for row in portal.subscriptions.queue]


READERS: dict[str, Callable[[Portal, dict[str, Any]], Any]] = {
    "items": items,
    "workflows": workflows,
    "templates": templates,
    "userfields": user_fields,
    "stages": stages,
    "categories": categories,
    "stagehistory": stage_history,
    "users": users,
    "groups": groups,
    "mails": mails,
    "disk": disk,
    "requisites": requisites,
    "crm_files": crm_files,
    "tasks": tasks,
    "task_comments": task_comments,
    "notifications": notifications,
    "product_rows": product_rows,
    "recycle_bin": recycle_bin,
    "activities": activities,
    "timeline_comments": timeline_comments,
    "origin_pairs": origin_pairs,
    "types": types,
    "bindings": bindings,
    "offline_queue": offline_queue,
}
