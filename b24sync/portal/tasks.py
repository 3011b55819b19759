"""Tasks: reading, adding, finishing (api-reference/tasks/).

Fields are written in UPPER_CASE and read in camelCase, mostly as texts. `tasks.task.get` answers an empty list for
a task that is missing or forbidden (tasks-task-get.md). A task's tag carries our key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from b24sync.errors import PortalRefused
from b24sync.portal.items import short_code
from b24sync.portal.pages import items_of
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Priority
from b24sync.transport.protocol import Command

GET, LIST, ADD, UPDATE = "tasks.task.get", "tasks.task.list", "tasks.task.add", "tasks.task.update"
COMPLETE = "tasks.task.complete"
PENDING, IN_PROGRESS, SUPPOSEDLY_COMPLETED, COMPLETED, DEFERRED = 2, 3, 4, 5, 6
"""`status` (api-reference/tasks/fields.md): waiting, running, done and waiting for control, done, put off."""
OVER = frozenset({SUPPOSEDLY_COMPLETED, COMPLETED})
SELECT = (
    *("ID", "TITLE", "STATUS", "REAL_STATUS", "RESPONSIBLE_ID", "CREATED_BY", "DEADLINE", "GROUP_ID"),
    *("CHANGED_DATE", "CLOSED_DATE", "CHAT_ID", "TASK_CONTROL", "UF_CRM_TASK"),
)
MESSAGES_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment of a task in either card. `file_ids`: disk objects (new card) or attachments (old card)."""

    id: int
    author_id: int
    text: str
    at: datetime | None
    file_ids: tuple[int, ...]


def binding(entity_type_id: int, item_id: int) -> str:
    """An item as `UF_CRM_TASK` names it: `D_42`."""
    return f"{short_code(entity_type_id)}_{item_id}"


def get_command(task_id: int | str) -> Command:
    """Reads one task with what processes need."""
    return Command(GET, {"taskId": task_id, "select": list(SELECT)})


def find_by_tag(client: PortalClient, tag: str) -> str | None:
    """The id of the task that carries a tag. Cost: one request."""
    params = {"filter": {"TAG": tag}, "select": ["ID"], "order": {"ID": "ASC"}, "start": 0}
    rows = items_of(client.call(LIST, params).result)
    return str(task_of(rows[0])["id"]) if rows else None


def changed_since(client: PortalClient, moment: str, after: int, priority: Priority = "bulk") -> list[dict[str, Any]]:
    """A page of 50 tasks changed at or after a moment, by id, above an id, decoded. Cost: one request."""
    params = {
        "filter": {">=CHANGED_DATE": moment, ">ID": after},
        "select": ["ID", "CHANGED_DATE"],
        "order": {"ID": "ASC"},
        "start": -1,
    }
    return [task_of(row) for row in items_of(client.call(LIST, params, priority=priority).result)]


def add_task(client: PortalClient, fields: Mapping[str, Any], **options: Any) -> str:
    """Add a task; its id, "" where the answer has none. Cost: one request. `options`: those of `PortalClient.call`."""
    answer = client.call(ADD, {"fields": dict(fields)}, write=True, **options)
    return str(task_of(_one(answer.result))["id"] or "")


def update_task(client: PortalClient, task_id: int | str, fields: Mapping[str, Any], **options: Any) -> None:
    """Change fields of a task. Cost: one request."""
    client.call(UPDATE, {"taskId": task_id, "fields": dict(fields)}, write=True, **options)


def complete_task(client: PortalClient, task_id: int | str, **options: Any) -> dict[str, Any]:
    """Finish a task; the task afterwards (it may wait for control). Cost: one request."""
    answer = client.call(COMPLETE, {"taskId": task_id}, write=True, **options)
    return {"status": COMPLETED, **_decoded(_one(answer.result))}


def read_task(client: PortalClient, task_id: int | str) -> dict[str, Any] | None:
    """One task, decoded; None when it is gone or not ours to see. Cost: one request."""
    row = _one(client.call(GET, {"taskId": task_id, "select": list(SELECT)}).result)
    task = task_of(row)
    return task if task["id"] else None


def _one(result: Any) -> Mapping[str, Any]:
    task = result.get("task", result) if isinstance(result, Mapping) else {}
    return task if isinstance(task, Mapping) else {}


def _decoded(row: Mapping[str, Any]) -> dict[str, Any]:
    return task_of(row) if row.get("status") or row.get("STATUS") else {}


def task_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A task as processes see it: numbers as numbers, moments as the portal wrote them."""
    return {
        "id": _int(_value(row, "id")) or 0,
        "title": str(_value(row, "title") or ""),
        "status": _int(_value(row, "status")) or _int(_value(row, "realStatus")) or PENDING,
        "responsibleId": _int(_value(row, "responsibleId")),
        "createdBy": _int(_value(row, "createdBy")),
        "deadline": _value(row, "deadline"),
        "groupId": _int(_value(row, "groupId")) or None,
        "closedDate": _value(row, "closedDate"),
        "changedDate": _value(row, "changedDate"),
        "chatId": _int(_value(row, "chatId")) or None,
        "controlled": _value(row, "taskControl") in ("Y", True, "1", 1),
        "boundTo": _bindings(_value(row, "ufCrmTask")),
    }


def _bindings(value: Any) -> list[str]:
    """Items that a task is bound to, as `binding` names them; nothing is `false`, an empty text or an empty list."""
    return [str(one) for one in value] if isinstance(value, list) else []


def _value(row: Mapping[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    upper = "".join(f"_{letter}" if letter.isupper() else letter for letter in name).upper()
    return row.get(upper)


def comments(client: PortalClient, task: Mapping[str, Any]) -> list[Comment]:
    """The latest comments: messages of the task's chat in the new card (tasks-new.md), else the legacy list.

    Cost: one request. System messages are left out. Raises PortalRefused when the webhook's user is not in the chat.
    """
    if task.get("chatId"):
        return chat_comments(client, int(task["chatId"]))
    rows = client.call("task.commentitem.getlist", [task["id"], {"ID": "desc"}, {}]).result
    return [_legacy_comment(row) for row in rows or [] if isinstance(row, Mapping)]


def chat_comments(client: PortalClient, chat_id: int) -> list[Comment]:
    """Messages of a task's chat that people wrote (chats/messages/im-dialog-messages-get.md)."""
    params = {"DIALOG_ID": f"chat{chat_id}", "LIMIT": MESSAGES_AT_ONCE}
    answer = client.call("im.dialog.messages.get", params).result
    rows: Sequence[Any] = answer.get("messages", []) if isinstance(answer, Mapping) else []
    found = []
    for row in rows:
        options = row.get("params")
        files = options.get("FILE_ID", []) if isinstance(options, Mapping) else []
        files = list(files.values()) if isinstance(files, Mapping) else files if isinstance(files, list) else [files]
        if _int(row.get("author_id")):
            ids = tuple(int(item) for item in files if _int(item))
            found.append(
                Comment(
                    int(row["id"]), int(row["author_id"]), str(row.get("text") or ""), _moment(row.get("date")), ids
                )
            )
    return found


def _legacy_comment(row: Mapping[str, Any]) -> Comment:
    attached = row.get("ATTACHED_OBJECTS")
    ids = tuple(int(item) for item in attached) if isinstance(attached, Mapping) else ()
    return Comment(
        _int(row.get("ID")) or 0,
        _int(row.get("AUTHOR_ID")) or 0,
        str(row.get("POST_MESSAGE") or ""),
        _moment(row.get("POST_DATE")),
        ids,
    )


def comments_or_none(client: PortalClient, task: Mapping[str, Any]) -> list[Comment] | None:
    """`comments`, or None where the portal does not let us read them."""
    try:
        return comments(client, task)
    except PortalRefused:
        return None


def _int(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None
