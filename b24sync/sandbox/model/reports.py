"""Counts of the portal's state, for tests and demos: read here, never from a client's report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .entities import EntityType
from .groups import ACTIVE_ROLES, PENDING
from .items import ItemStore
from .workflows import WAITING

if TYPE_CHECKING:
    from ..portal import Portal


def origin_key(entity: EntityType, item: dict[str, Any]) -> tuple[str, str] | None:
    """External key of an item: (originatorId, originId), for smart processes ("", xmlId); None without one."""
    if entity.is_dynamic:
        return ("", item["xmlId"]) if item.get("xmlId") else None
    if not item.get("originId"):
        return None
    return (item.get("originatorId", ""), item["originId"])


def surplus(entity: EntityType, store: ItemStore) -> int:
    """Items too many: for each external key all but one."""
    keys = Counter(key for item in store if (key := origin_key(entity, item)) is not None)
    return sum(count - 1 for count in keys.values() if count > 1)


def figures(portal: Portal) -> dict[str, Any]:
    """items and duplicates by type name; workflows in total and by template; repeated starts.

    `started_twice` = triples (document, template, stage entry) with more than one start; `surplus_starts` = the starts
    beyond the first of these.
    """
    items, duplicates = {}, {}
    for entity in portal.types.values():
        items[entity.name] = len(portal.items[entity.id])
        duplicates[entity.name] = surplus(entity, portal.items[entity.id])
    return {
        "items": items,
        "duplicates": duplicates,
        "duplicates_total": sum(duplicates.values()),
        "workflows": workflow_figures(portal),
        "stage_history_rows": {portal.types[type_id].name: len(rows) for type_id, rows in portal.history.items()},
        "user_fields": sum(1 for _ in portal.user_fields),
        "pipelines": sum(len(portal.pipelines.of(type_id)) for type_id in portal.types),
        "users": len(portal.users),
        "tasks": task_figures(portal),
        "files": sum(1 for row in portal.disk.objects if row["TYPE"] == "file"),
        "notifications": len(portal.notifications),
        "notified": portal.notified,
        "product_rows": sum(1 for _ in portal.product_rows),
        "activities": len(portal.activities),
        "timeline_comments": len(portal.comments),
        "recycle_bin": len(portal.recycle_bin),
        "people": people_figures(portal),
        "groups": group_figures(portal),
        "outbox": len(portal.outbox),
    }


def task_figures(portal: Portal) -> dict[str, Any]:
    """total, by_status; `surplus_tags` = tasks beyond the first of one tag; comments of both cards, results."""
    by_status = Counter(str(row["STATUS"]) for row in portal.tasks)
    tags = Counter(tag for row in portal.tasks for tag in row["TAGS"])
    return {
        "total": len(portal.tasks),
        "by_status": dict(by_status),
        "surplus_tags": sum(count - 1 for count in tags.values()),
        "comments": len(portal.task_comments) + sum(1 for row in portal.chats.messages if row["AUTHOR_ID"]),
        "results": len(portal.task_results),
    }


def people_figures(portal: Portal) -> dict[str, int]:
    """extranet, invited (and never came), dismissed people; mails = letters sent."""
    people = list(portal.users.values())
    return {
        "extranet": sum(1 for one in people if one.kind == "extranet"),
        "invited": sum(1 for one in people if not one.confirmed),
        "dismissed": sum(1 for one in people if not one.active),
        "mails": len(portal.mails),
    }


def group_figures(portal: Portal) -> dict[str, int]:
    """Workgroups; `surplus_names` = groups beyond the first of one name."""
    names = Counter(group.name for group in portal.groups)
    return {
        "total": len(portal.groups),
        "extranet": sum(1 for group in portal.groups if group.is_extranet),
        "members": sum(len(group.with_role(*ACTIVE_ROLES)) for group in portal.groups),
        "pending": sum(len(group.with_role(PENDING)) for group in portal.groups),
        "surplus_names": sum(count - 1 for count in names.values()),
    }


def workflow_figures(portal: Portal) -> dict[str, Any]:
    states: Counter[str] = Counter()
    by_template: dict[int, Counter[str]] = {}
    starts: Counter[tuple[str, int, int]] = Counter()
    for instance in portal.workflows.instances.values():
        states[instance.state] += 1
        by_template.setdefault(instance.template_id, Counter())[instance.state] += 1
        if not instance.auto:
            starts[(instance.document_id, instance.template_id, instance.stage_entry)] += 1
    repeated = [count for count in starts.values() if count > 1]
    return {
        **_counts(states),
        "started_twice": len(repeated),
        "surplus_starts": sum(count - 1 for count in repeated),
        "documents_with_workflows": len({key[0] for key in starts}),
        "by_template": [
            {"template_id": template.id, "name": template.name, **_counts(by_template.get(template.id, Counter()))}
            for template in portal.workflows.templates.values()
        ],
    }


def _counts(states: Counter[str]) -> dict[str, int]:
    started = sum(states.values())
    return {"started": started, "waiting": states[WAITING], "finished": started - states[WAITING]}
