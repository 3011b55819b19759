"""What people do by hand with tasks; reached through the control API. `user` is who does it (default: the responsible).

Every act takes one object and raises ValueError for a mistake in it.
"""

from __future__ import annotations

import base64
from typing import Any

from ..model import tasks
from ..model.records import Row
from ..portal import Portal
from ..registry import ApiError, Call, act
from .task_comments import comment_in_chat, comment_in_forum, store_file
from .tasks import add, tell_status

Params = dict[str, Any]


def task_named(portal: Portal, params: Params) -> Row:
    """The task of `task`: its id, or the title of the newest one of that name."""
    named = str(params["task"])
    found = [row for row in portal.tasks if named in (str(row["ID"]), row["TITLE"])]
    if not found:
        raise ValueError(f"no task {named!r}")
    return found[-1]


def who(row: Row, params: Params) -> int:
    return int(params.get("user") or row["RESPONSIBLE_ID"])


@act("task.add")
def task_add(portal: Portal, params: Params) -> Params:
    """fields as in tasks.task.add, user (default 1): somebody makes a task."""
    call = Call("tasks.task.add", {"fields": params["fields"]}, [], int(params.get("user") or 1), "", False, portal)
    try:
        return {"id": int(add(call).result["task"]["id"])}
    except ApiError as error:
        raise ValueError(error.text) from error


def status_act(name: str) -> None:
    @act(f"task.{name}")
    def handler(portal: Portal, params: Params) -> Params:
        row = task_named(portal, params)
        by = int(params.get("user") or row["CREATED_BY"]) if name in ("approve", "disapprove") else who(row, params)
        if not tasks.may(portal, row, name, by):
            raise ValueError(f"user {by} may not {name} task {row['ID']} in status {row['STATUS']}")
        tasks.do(portal, row, name, by)
        tell_status(portal, row, by)
        return {"id": row["ID"], "status": row["STATUS"]}

    handler.__doc__ = f"task, user: somebody presses the button '{name}' in the card."


for word in ("start", "pause", "complete", "renew", "defer", "approve", "disapprove"):
    status_act(word)


@act("task.edit")
def task_edit(portal: Portal, params: Params) -> Params:
    """task, user, fields as stored (TITLE, DEADLINE in unix seconds, TAGS, ...): a change in the card."""
    row = task_named(portal, params)
    tasks.save(portal, row, dict(params["fields"]), int(params.get("user") or row["CREATED_BY"]))
    return {"id": row["ID"]}


@act("task.delete")
def task_delete(portal: Portal, params: Params) -> Params:
    """task."""
    row = task_named(portal, params)
    tasks.delete(portal, row)
    return {"id": row["ID"]}


@act("task.comment")
def task_comment(portal: Portal, params: Params) -> Params:
    """task, text, user, files [{name, content (base64) or text}]: a comment in the card the task has, old or new."""
    row = task_named(portal, params)
    by = who(row, params)
    files = [
        store_file(portal, by, str(one["name"]), body_of(one))
        for one in params.get("files", [])
        if isinstance(one, dict)
    ]
    text = str(params.get("text") or "")
    if row["CHAT_ID"] is not None:
        return {"id": row["ID"], "message_id": comment_in_chat(portal, row, by, text, files)["ID"]}
    return {"id": row["ID"], "comment_id": comment_in_forum(portal, row, by, text, files)["ID"]}


def body_of(one: Params) -> bytes:
    if "content" in one:
        return base64.b64decode(str(one["content"]))
    return str(one.get("text") or "").encode()
