"""A look at the portal: the present state of many items of any kind, few requests (design 6).

Items by `crm.item.list` with 50 ids a command, 50 commands a request (api-reference/crm/universal/crm-item-list.md);
tasks by `tasks.task.get`, 50 a request (api-reference/tasks/tasks-task-get.md).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from b24sync.automation.portals import TASK, type_id_of
from b24sync.automation.rulebook import RuleBook, field_codes
from b24sync.portal.items import CONTACT, DEAL, FIRST_SMART_PROCESS, LEAD, list_command
from b24sync.portal.pages import PAGE, items_of
from b24sync.portal.tasks import get_command, task_of
from b24sync.store.jobs import DISPATCH
from b24sync.store.lanes import Message
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Outcome, Refused
from b24sync.transport.protocol import Command

LOG = logging.getLogger("b24sync.dispatch")

COMMON = ("title", "assignedById", "createdTime", "updatedTime")
STAGED = ("stageId", "categoryId", "movedTime", "companyId", "contactId")
ORIGIN = ("originatorId", "originId")
MULTIFIELDS = frozenset({"fm", "email", "phone"})
"""Read only with `select: ["*"]` (crm-item-list.md)."""
BUSY_AGAIN_S = 0.5
BUSY_AT_MOST_S = 900.0
"""What a write of ours to stays unknown that long is looked at all the same."""


def look_message(portal: str, entity: str, item_id: int, *, run_at: float | None = None, **more: Any) -> Message:
    """Asks the dispatcher to look at an item."""
    payload = {"b24sync": {"do": "look", "entity": entity, "id": item_id, **more}}
    rows = more.get("rows")
    kind = f"look:{entity}:{item_id}" + (f":{rows[0][0]}" if rows else "")
    return Message(portal, DISPATCH, kind, payload, run_at)


def has_stages(entity: str) -> bool:
    type_id = type_id_of(entity)
    return type_id in (LEAD, DEAL) or (type_id or 0) >= FIRST_SMART_PROCESS


def columns(book: RuleBook, entity: str) -> list[str]:
    """The fields of one kind of item that a look asks for: what rules watch, name, and what every rule may need."""
    names = ["id", *COMMON, *book.watched(entity)]
    names += ["xmlId"] if (type_id_of(entity) or 0) >= FIRST_SMART_PROCESS else ORIGIN
    if has_stages(entity):
        names += STAGED
    if type_id_of(entity) == CONTACT:
        names += ["name", "lastName", "companyId"]
    if entity == "company":
        names += ["typeId"]
    for rule in book.running():
        if entity in rule.entities():
            names += field_codes(rule)
    unique = list(dict.fromkeys(names))
    return ["*"] if MULTIFIELDS.intersection(unique) else unique


def kept(book: RuleBook, entity: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row goes into the snapshot. A watched field that the row lacks is empty, not unobserved."""
    chosen = columns(book, entity)
    if chosen != ["*"]:
        return {name: row.get(name) for name in chosen}
    names = {*COMMON, *STAGED, *ORIGIN, *book.watched(entity), "id", "name", "lastName", "typeId"}
    return {name: row.get(name) for name in names}


@dataclass(slots=True)
class Look:
    """What the portal showed. `rows` by kind and id: an id that was asked for and is absent does not exist.

    `asked`: what was answered for, by kind; ids whose reading was refused are in `refused` instead.
    """

    rows: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    asked: dict[str, list[int]] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)
    also: dict[str, Outcome] = field(default_factory=dict)
    history: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By kind: where the stage history was read from, and up to which row."""


def look_at(
    client: PortalClient,
    book: RuleBook,
    wanted: Mapping[str, Sequence[int]],
    afterwards: Mapping[str, Command] | None = None,
) -> Look:
    """Read items of any kinds. Cost: one request per 2,500 items, one per 50 tasks.

    `afterwards`: commands that are run after those of the items, in the same request where there is room; their
    answers are the look's `also`.

    A kind that the webhook may not read is in the look's `refused`: nothing is known of it. Raises PortalUnreachable,
    PortalBlocked.
    """
    look = Look({entity: {} for entity in wanted}, {entity: list(ids) for entity, ids in wanted.items()})
    pieces = list(_pieces(book, wanted))
    commands = {f"l{index:05d}": command for index, (_, command) in enumerate(pieces)} | dict(afterwards or {})
    for name, answer in client.read_all(commands, priority="interactive").items():
        if afterwards and name in afterwards:
            look.also[name] = answer
            continue
        entity, command = pieces[int(name[1:])]
        if isinstance(answer, Refused):
            # One kind that the webhook may not read must not hold up the others.
            LOG.error("%s is refused by the portal (%s: %s): nothing is known of %s", *_said(command, answer), entity)
            look.asked[entity] = []
            look.refused[entity] = answer
            continue
        for row in _rows(entity, answer.result):
            look.rows[entity][int(row["id"])] = row
    return look


def _said(command: Command, answer: Refused) -> tuple[str, str, str]:
    return command.method, answer.code, answer.text


def _pieces(book: RuleBook, wanted: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, Command]]:
    for entity, ids in wanted.items():
        type_id = type_id_of(entity)
        if entity == TASK:
            yield from ((TASK, get_command(task_id)) for task_id in ids)
        if type_id is None:
            continue
        for start in range(0, len(ids), PAGE):
            piece = list(ids[start : start + PAGE])
            yield entity, list_command(type_id, {"@id": piece}, columns(book, entity))


def _rows(entity: str, result: Any) -> list[dict[str, Any]]:
    if entity == TASK:
        row = result.get("task") if isinstance(result, Mapping) else None
        return [task_of(row)] if isinstance(row, Mapping) else []
    return items_of(result)
