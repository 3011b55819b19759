"""REST 3.0 of tasks: the methods that have no older twin in the new card.

Docs: api-reference/rest-v3.md, api-reference/tasks/tasks-task-chat-message-send.md,
api-reference/tasks/tasks-task-get-rest-v3.md, api-reference/tasks/result/*.md.
"""

from __future__ import annotations

from typing import Any

from ..model import tasks
from ..model.moments import iso_moment
from ..model.records import Row
from ..portal import Portal
from ..registry import V3, Answer, Call, V3Error, rest_method
from .arguments import integer, mapping, sequence
from .chats import said
from .task_comments import new_result

STATUS_NAMES = {
    tasks.WAITING: "pending",
    tasks.RUNNING: "in_progress",
    tasks.SUPPOSED: "supposedly_completed",
    tasks.COMPLETED: "completed",
    tasks.DEFERRED: "deferred",
    tasks.DECLINED: "declined",
}


def fields_of(call: Call, *required: str) -> dict[str, Any]:
    """`fields` with everything that is required in it."""
    fields = mapping(call.params.get("fields"))
    missing = tuple(name for name in required if fields.get(name) in (None, ""))
    if "fields" not in call.params or missing:
        name = "VALIDATION_REQUESTVALIDATIONEXCEPTION"
        raise V3Error(name, "Обязательное поле не указано", fields=missing or ("fields",))
    return fields


def seen_task(call: Call, raw: Any) -> Row:
    row = call.portal.tasks.get(integer(raw))
    if row is None:
        raise V3Error("ENTITYNOTFOUNDEXCEPTION", f"Элемент с ID {raw} не найден")
    if not tasks.sees(call.portal, row, call.user_id):
        raise V3Error("ACCESSDENIEDEXCEPTION", "Доступ запрещен", status=403)
    return row


@rest_method(f"{V3}tasks.task.chat.message.send", scope="tasks")
def send(call: Call) -> Answer:
    """Text only; no files, and the message's id does not come back."""
    fields = fields_of(call, "taskId", "text")
    row = seen_task(call, fields["taskId"])
    chat = call.portal.chats.get(row["CHAT_ID"])
    if chat is None:
        raise V3Error("ENTITYNOTFOUNDEXCEPTION", "Чат задачи не найден")
    said(call, chat, str(fields["text"]))
    return Answer({"result": True})


@rest_method(f"{V3}tasks.task.get", scope="tasks")
def get(call: Call) -> Answer:
    """camelCase, numbers as numbers; default select is everything simple."""
    row = seen_task(call, call.params.get("id"))
    full = {
        "id": row["ID"],
        "title": row["TITLE"],
        "description": row["DESCRIPTION"],
        "creatorId": row["CREATED_BY"],
        "responsibleId": row["RESPONSIBLE_ID"],
        "status": STATUS_NAMES[row["STATUS"]],
        "groupId": row["GROUP_ID"] or None,
        "deadline": moment(call.portal, row["DEADLINE"]),
        "created": moment(call.portal, row["CREATED_DATE"]),
        "changed": moment(call.portal, row["CHANGED_DATE"]),
        "closed": moment(call.portal, row["CLOSED_DATE"]),
        "needsControl": row["TASK_CONTROL"] == "Y",
        "requireResult": tasks.requires_result(row),
        "chatId": row["CHAT_ID"],
        "crmItemIds": list(row["UF_CRM_TASK"]),
        "chat": {"id": row["CHAT_ID"], "entityId": row["ID"], "entityType": "TASKS_TASK"},
    }
    names = {str(one).partition(".")[0] for one in sequence(call.params.get("select"))}
    return Answer({"item": {key: value for key, value in full.items() if not names or key in names or key == "id"}})


def moment(portal: Portal, seconds: int | None) -> str | None:
    return None if seconds is None else iso_moment(seconds, portal.zone)


# -- results ----------------------------------------------------------------------------------
@rest_method(f"{V3}tasks.task.result.add", scope="tasks")
def add_result(call: Call) -> Answer:
    """A text; files cannot be written (tasks-task-result-add.md)."""
    fields = fields_of(call, "taskId", "text")
    row = seen_task(call, fields["taskId"])
    return Answer({"item": shown(call.portal, new_result(call.portal, row["ID"], call.user_id, str(fields["text"])))})


@rest_method(f"{V3}tasks.task.result.addfromchatmessage", scope="tasks")
def from_message(call: Call) -> Answer:
    fields = fields_of(call, "messageId")
    message = call.portal.chats.messages.get(integer(fields["messageId"]))
    chat = call.portal.chats.get(message["CHAT_ID"]) if message else None
    if message is None or chat is None or chat.entity_type != "TASKS_TASK":
        raise V3Error("ENTITYNOTFOUNDEXCEPTION", "Сообщение не найдено")
    row = seen_task(call, chat.entity_id)
    more = {"MESSAGE_ID": message["ID"], "FILES": list(message["FILES"])}
    return Answer(
        {"item": shown(call.portal, new_result(call.portal, row["ID"], call.user_id, message["TEXT"], **more))}
    )


@rest_method(f"{V3}tasks.task.result.list", scope="tasks")
def list_results(call: Call) -> Answer:
    """`filter: [["taskId", 51]]` or `["taskId", "=", 51]` inside it is required."""
    conditions = [one for one in sequence(call.params.get("filter")) if isinstance(one, list) and len(one) > 1]
    wanted = next((one[-1] for one in conditions if one[0] == "taskId"), None)
    if wanted is None:
        raise V3Error("VALIDATION_REQUESTVALIDATIONEXCEPTION", "Обязательное поле не указано", fields=("filter",))
    rows = tasks.results_of(call.portal, seen_task(call, wanted))
    return Answer({"items": [shown(call.portal, row) for row in rows]})


@rest_method(f"{V3}tasks.task.result.delete", scope="tasks")
def delete_result(call: Call) -> Answer:
    """By its author only."""
    row = call.portal.task_results.get(integer(call.params.get("id")))
    if row is None:
        raise V3Error("ENTITYNOTFOUNDEXCEPTION", "Результат не найден")
    if row["USER_ID"] != call.user_id:
        raise V3Error("ACCESSDENIEDEXCEPTION", "Доступ запрещен", status=403)
    call.portal.task_results.remove(row)
    return Answer({"result": True})


def shown(portal: Portal, row: Row) -> dict[str, Any]:
    return {
        "id": row["ID"],
        "taskId": row["TASK_ID"],
        "text": row["TEXT"],
        "authorId": row["USER_ID"],
        "createdAt": iso_moment(row["AT"], portal.zone),
        "updatedAt": moment(portal, row["UPDATED"]),
        "status": "closed" if row["STATUS"] else "open",
        "fileIds": list(row["FILES"]),
        "rights": {"edit": True, "remove": True},
        "messageId": row["MESSAGE_ID"],
    }
