"""`im.*`: messages, chats of tasks, their files, notifications.

Docs: api-reference/chats/messages/*.md, api-reference/chats/im-chat-get.md, api-reference/chats/files/*.md,
api-reference/chats/notifications/*.md, api-reference/chat-bots/chat-bots-v2/im.v2/files/*.md.
Only participants read and write a chat.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from ..model import drive_links, tasks
from ..model.chats import Chat
from ..model.moments import iso_moment
from ..model.records import Row
from ..portal import Portal
from ..registry import Answer, ApiError, Call, Handler, rest_method
from .arguments import argument, caller, integer, mapping
from .task_comments import store_file

LIMIT, LIMIT_MAX = 20, 50
MAX_FILE = 100 * 1024 * 1024


def dialog(call: Call, raw: Any, code: str = "DIALOG_ID_EMPTY") -> Chat:
    """The chat of `chat58`, or of the caller and a person for `5`. Raises ACCESS_ERROR for strangers."""
    text = str(raw or "")
    if not text:
        raise ApiError(code, "Dialog ID can't be empty")
    portal = call.portal
    if text.startswith("chat"):
        chat = portal.chats.get(integer(text.removeprefix("chat")))
    elif integer(text) in portal.users:
        pair = sorted((call.user_id, int(text)))
        chat = portal.chats.get(portal.chats.open("", f"{pair[0]}:{pair[1]}", pair))
    else:
        chat = None
    if chat is None:
        raise ApiError("ACCESS_ERROR", "You do not have access to the specified dialog", status=403)
    admin_reads = portal.switches.task_chat_admin_reads and caller(call).admin
    if call.user_id not in chat.members and not admin_reads:
        raise ApiError("ACCESS_ERROR", "You do not have access to the specified dialog", status=403)
    return chat


@rest_method("im.chat.get", scope="im")
def get_chat(call: Call) -> Answer:
    """`{"ID": n}`, null when there is none (im-chat-get.md)."""
    chat = call.portal.chats.find(str(argument(call, "ENTITY_TYPE") or ""), str(argument(call, "ENTITY_ID") or ""))
    return Answer({"ID": chat.id} if chat is not None else None)


@rest_method("im.dialog.messages.get", scope="im")
def messages(call: Call) -> Answer:
    """Newest first; LAST_ID = older than, FIRST_ID = newer than; files hang on params.FILE_ID of their message."""
    portal = call.portal
    chat = dialog(call, argument(call, "DIALOG_ID"))
    limit = min(integer(argument(call, "LIMIT")) or LIMIT, LIMIT_MAX)
    last, first = integer(argument(call, "LAST_ID")), integer(argument(call, "FIRST_ID"))
    rows = portal.chats.of(chat.id)
    if last:
        rows = [row for row in rows if row["ID"] < last]
    if first is not None:
        rows = [row for row in rows if row["ID"] > first][:limit]
    rows = rows[::-1][:limit]
    authors = list(dict.fromkeys(row["AUTHOR_ID"] for row in rows if row["AUTHOR_ID"]))
    return Answer(
        {
            "chat_id": chat.id,
            "messages": [message(portal, row) for row in rows],
            "users": [user_row(portal, one) for one in authors],
            "files": [file_row(portal, chat.id, one) for row in rows for one in row["FILES"]],
        }
    )


def message(portal: Portal, row: Row) -> dict[str, Any]:
    return {
        "id": row["ID"],
        "chat_id": row["CHAT_ID"],
        "author_id": row["AUTHOR_ID"],
        "date": iso_moment(row["DATE"], portal.zone),
        "text": row["TEXT"],
        "unread": False,
        "uuid": None,
        "replaces": [],
        "params": {"FILE_ID": list(row["FILES"])} if row["FILES"] else [],
        "disappearing_date": None,
    }


def user_row(portal: Portal, user_id: int) -> dict[str, Any]:
    user = portal.users[user_id]
    return {
        "id": user.id,
        "active": user.active,
        "name": user.full_name,
        "first_name": user.name,
        "last_name": user.last_name,
        "work_position": user.position,
        "extranet": user.kind == "extranet",
        "bot": False,
        "departments": list(user.departments),
        "email": user.email,
        "type": "user",
    }


def file_row(portal: Portal, chat_id: int, object_id: int) -> dict[str, Any]:
    """`id` is the disk object."""
    file = portal.disk.objects.get(object_id)
    assert file is not None
    return {
        "id": object_id,
        "chatId": chat_id,
        "date": iso_moment(file["CREATE_TIME"], portal.zone),
        "type": "file",
        "name": file["NAME"],
        "extension": file["NAME"].rpartition(".")[2],
        "size": file["SIZE"],
        "image": False,
        "status": "done",
        "progress": 100,
        "authorId": file["CREATED_BY"],
        "authorName": portal.users[file["CREATED_BY"]].full_name,
        "urlPreview": "",
        "urlShow": drive_links.download_url(portal, object_id),
        "urlDownload": drive_links.download_url(portal, object_id),
    }


def said(call: Call, chat: Chat, text: str, files: list[int] | None = None) -> int:
    """A message by the caller; in the chat of a task it is a comment with its event."""
    row = call.portal.chats.say(chat.id, call.user_id, text, int(call.portal.time()), files)
    if chat.entity_type == "TASKS_TASK":
        tasks.emit_comment(call.portal, int(chat.entity_id), 0, row["ID"])
    return int(row["ID"])


@rest_method("im.message.add", scope="im")
def add_message(call: Call) -> Answer:
    chat = dialog(call, argument(call, "DIALOG_ID"), "CHAT_ID")
    text = str(argument(call, "MESSAGE") or "")
    if not text and not argument(call, "ATTACH"):
        raise ApiError("MESSAGE_EMPTY", "Message can't be empty")
    return Answer(said(call, chat, text))


def own_message(call: Call) -> Row:
    row = call.portal.chats.messages.get(integer(argument(call, "MESSAGE_ID")))
    if row is None:
        raise ApiError("MESSAGE_ID_ERROR", "Message ID can't be empty")
    if row["AUTHOR_ID"] != call.user_id:
        raise ApiError("CANT_EDIT_MESSAGE", "Time has expired for modification or you don't have access")
    return row


@rest_method("im.message.update", scope="im")
def update_message(call: Call) -> Answer:
    """An empty text deletes."""
    row = own_message(call)
    text = str(argument(call, "MESSAGE") or "")
    if text:
        row["TEXT"] = text
    else:
        call.portal.chats.messages.remove(row)
    return Answer(True)


@rest_method("im.message.delete", scope="im")
def delete_message(call: Call) -> Answer:
    call.portal.chats.messages.remove(own_message(call))
    return Answer(True)


@rest_method("im.v2.File.upload", scope="im")
def upload(call: Call) -> Answer:
    """One call puts a file and its message into a chat."""
    if not argument(call, "dialogId"):
        raise ApiError("CHAT_NOT_FOUND", "Chat not found")
    chat = dialog(call, argument(call, "dialogId"))
    fields = mapping(argument(call, "fields"))
    name, content = str(fields.get("name") or ""), str(fields.get("content") or "")
    if not name or not content:
        raise ApiError("FILE_EMPTY", "File is empty")
    try:
        body = base64.b64decode(content, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ApiError("FILE_INVALID_CONTENT", "File content is not base64") from error
    if len(body) > MAX_FILE:
        raise ApiError("FILE_TOO_LARGE", "File is too large")
    object_id = store_file(call.portal, call.user_id, name, body)
    message_id = said(call, chat, str(fields.get("message") or ""), [object_id])
    shown = file_row(call.portal, chat.id, object_id)
    return Answer({"file": shown, "messageId": message_id, "chatId": chat.id, "dialogId": f"chat{chat.id}"})


@rest_method("im.v2.File.download", scope="im")
def download(call: Call) -> Answer:
    chat = dialog(call, argument(call, "dialogId"))
    file_id = integer(argument(call, "fileId"))
    if not any(file_id in row["FILES"] for row in call.portal.chats.of(chat.id)):
        raise ApiError("FILE_NOT_FOUND", "File not found")
    return Answer({"downloadUrl": drive_links.download_url(call.portal, file_id or 0)})


# -- notifications ----------------------------------------------------------------------------
def notify(kind: str) -> Handler:
    """A TAG that is there already replaces the older notification of that person (im-notify-personal-add.md)."""

    def handler(call: Call) -> Answer:
        portal = call.portal
        user_id = integer(argument(call, "USER_ID") or argument(call, "TO"))
        if user_id is None:
            raise ApiError("USER_ID_EMPTY", "User ID can't be empty")
        text = str(argument(call, "MESSAGE") or "")
        if not text.strip():
            raise ApiError("MESSAGE_EMPTY", "Message can't be empty")
        tag, sub_tag = (str(argument(call, name) or "") for name in ("TAG", "SUB_TAG"))
        client_id = str(argument(call, "CLIENT_ID") or "")
        if (tag or sub_tag) and not call.is_app and not client_id and portal.switches.notify_tag_needs_client_id:
            raise ApiError("CLIENT_ID_EMPTY", "Client ID can't be empty")
        user = portal.users.get(user_id)
        if user is None or not user.active:
            return Answer(False)
        owner = call.credential if call.is_app else client_id
        if tag:
            for row in portal.notifications.where(USER_ID=user_id, TAG=tag, OWNER=owner):
                portal.notifications.remove(row)
        row = portal.notifications.add(
            {
                "USER_ID": user_id,
                "FROM_ID": 0 if kind == "system" else call.user_id,
                "KIND": kind,
                "MESSAGE": text,
                "MESSAGE_OUT": str(argument(call, "MESSAGE_OUT") or ""),
                "TAG": tag,
                "SUB_TAG": sub_tag,
                "OWNER": owner,
                "DATE": int(portal.time()),
                "READ": "N",
            }
        )
        portal.notified += 1
        return Answer(row["ID"])

    return handler


rest_method("im.notify.personal.add", scope="im")(notify("personal"))
rest_method("im.notify.system.add", scope="im")(notify("system"))


@rest_method("im.notify", scope="im")
def notify_by_type(call: Call) -> Answer:
    """TYPE USER or SYSTEM (im-notify.md)."""
    return notify("system" if str(argument(call, "TYPE") or "USER").upper() == "SYSTEM" else "personal")(call)


@rest_method("im.notify.get", scope="im")
def own_notifications(call: Call) -> Answer:
    """Those of the caller, newest first (im-notify-get.md)."""
    portal = call.portal
    rows = portal.notifications.where(USER_ID=call.user_id)[::-1]
    last = integer(argument(call, "LAST_ID"))
    limit = min(integer(argument(call, "LIMIT")) or LIMIT_MAX, LIMIT_MAX)
    page = [row for row in rows if not last or row["ID"] < last][:limit]
    authors = list(dict.fromkeys(row["FROM_ID"] for row in page if row["FROM_ID"]))
    return Answer(
        {
            "total_count": len(rows),
            "total_unread_count": sum(1 for row in rows if row["READ"] == "N"),
            "chat_id": 1,
            "notifications": [
                {
                    "id": row["ID"],
                    "chat_id": 1,
                    "author_id": row["FROM_ID"],
                    "date": iso_moment(row["DATE"], portal.zone),
                    "notify_type": 3 if row["KIND"] == "system" else 2,
                    "notify_module": "rest",
                    "notify_event": "rest_notify",
                    "notify_tag": f"MP|{row['OWNER']}|{row['TAG']}" if row["TAG"] else "",
                    "notify_sub_tag": f"MP|{row['OWNER']}|{row['SUB_TAG']}" if row["SUB_TAG"] else "",
                    "notify_title": "",
                    "setting_name": "rest|rest_notify",
                    "text": row["MESSAGE"],
                    "notify_read": row["READ"],
                    "params": None,
                }
                for row in page
            ],
            "users": [user_row(portal, one) for one in authors],
        }
    )


@rest_method("im.notify.delete", scope="im")
def delete_notification(call: Call) -> Answer:
    """By ID, TAG or SUB_TAG (im-notify-delete.md)."""
    wanted = {key: str(argument(call, key)) for key in ("TAG", "SUB_TAG") if argument(call, key)}
    number = integer(argument(call, "ID"))
    if not wanted and number is None:
        raise ApiError("PARAMS_ERROR", "Incorrect params")
    rows = call.portal.notifications.where(**wanted)
    for row in rows:
        if number in (None, row["ID"]):
            call.portal.notifications.remove(row)
    return Answer(True)
