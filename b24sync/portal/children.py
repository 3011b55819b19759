"""What hangs on an item of the CRM: activities, tasks, product rows, items that name it.

Docs, under api-reference: crm/timeline/activities/activity-base/crm-activity-list.md (OWNER_TYPE_ID, OWNER_ID),
tasks/tasks-task-list.md (UF_CRM_TASK), crm/universal/product-rows/crm-item-productrow-list.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from b24sync.errors import PortalRefused
from b24sync.portal.items import COMPANY, CONTACT, DEAL, LEAD, list_command
from b24sync.portal.pages import items_of
from b24sync.portal.product_rows import may_have_product_rows, product_rows_command
from b24sync.portal.tasks import binding
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Refused
from b24sync.transport.protocol import Command

OURS = "b24sync"
"""ORIGINATOR_ID of our activities; our tasks carry a tag that begins with it."""

_NOT_THERE = frozenset({"ERROR_METHOD_NOT_FOUND", "ENTITY_TYPE_NOT_SUPPORTED", "NOT_FOUND", "OWNER_NOT_FOUND"})
"""The portal knows no such thing, or the item has just gone: nothing hangs on it."""


def strange_children(
    client: PortalClient, entity_type_id: int, ids: Sequence[int], own_product_rows: Set[int] = frozenset()
) -> dict[int, str]:
    """What hangs on items and is not ours, in words, by the item's id. Cost: two or three requests per 50 items.

    `own_product_rows`: items whose product rows we set ourselves.

    Raises PortalRefused where the webhook may not look (scope task), RetryLater, PortalBlocked.
    """
    commands: dict[str, Command] = {}
    for item_id in ids:
        owner = {"OWNER_TYPE_ID": entity_type_id, "OWNER_ID": item_id}
        select = ["ID", "OWNER_TYPE_ID", "OWNER_ID", "ORIGINATOR_ID", "SUBJECT"]
        commands[f"a{item_id}"] = Command("crm.activity.list", {"filter": owner, "select": select, "start": 0})
        bound = {"UF_CRM_TASK": binding(entity_type_id, item_id)}
        commands[f"t{item_id}"] = Command("tasks.task.list", {"filter": bound, "select": ["ID", "TITLE", "TAGS"]})
        if item_id not in own_product_rows and may_have_product_rows(entity_type_id):
            commands[f"p{item_id}"] = product_rows_command(entity_type_id, item_id)
    found: dict[int, str] = {}
    words = {"a": _strange_activity, "t": _strange_task, "p": _product_rows}
    for name, rows in _read(client, commands).items():
        said = words[name[0]](rows)
        if said:
            found.setdefault(int(name[1:]), said)
    return found


def users_of(client: PortalClient, entity_type_id: int, ids: Sequence[int]) -> dict[int, str]:
    """Items that name these companies or contacts, in words, by the company's or contact's id.

    Cost: two or three requests per 50. What the webhook may not read names nothing.
    """
    by, kinds = ("companyId", (DEAL, LEAD, CONTACT)) if entity_type_id == COMPANY else ("contactId", (DEAL, LEAD))
    commands = {
        f"{kind}_{item_id}": list_command(kind, {f"={by}": item_id}, ["id"]) for item_id in ids for kind in kinds
    }
    names = {DEAL: "deal", LEAD: "lead", CONTACT: "contact"}
    found: dict[int, str] = {}
    for name, answer in client.read_all(commands).items():
        rows = [] if isinstance(answer, Refused) else items_of(answer.result)
        kind, _, item_id = name.partition("_")
        if rows:
            found.setdefault(int(item_id), f"{names[int(kind)]} {rows[0]['id']} names it")
    return found


def _read(client: PortalClient, commands: Mapping[str, Command]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, answer in client.read_all(commands).items():
        if not isinstance(answer, Refused):
            found[name] = items_of(answer.result)
        elif answer.code not in _NOT_THERE:
            hint = "It has to be seen before anything is deleted: give the webhook this scope."
            raise PortalRefused(commands[name].method, answer.code, answer.text, hint=hint)
    return found


def _strange_activity(rows: Sequence[Mapping[str, Any]]) -> str:
    strange = [row for row in rows if str(row.get("ORIGINATOR_ID") or "") != OURS]
    return f"activity {strange[0].get('ID')} hangs on it" if strange else ""


def _strange_task(rows: Sequence[Mapping[str, Any]]) -> str:
    strange = [row for row in rows if OURS not in str(row.get("tags") or row.get("TAGS") or "")]
    return f"task {strange[0].get('id') or strange[0].get('ID')} is bound to it" if strange else ""


def _product_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    return f"it has {len(rows)} product rows" if rows else ""
