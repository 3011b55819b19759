"""`task.commentitem.*`, `task.checklistitem.*`, `tasks.task.result.*` (v2): what is said and ticked off in a task.

Docs: api-reference/tasks/comment-item/*.md, api-reference/tasks/checklist-item/*.md, api-reference/tasks/result/*.md,
api-reference/tasks/tasks-new.md (what of it works in the new card). The first two take arguments by position
(settings/how-to-call-rest-api/data-encoding.md).
"""

from __future__ import annotations

from typing import Any

from ..model import drive_links, tasks
from ..model.filters import Compiler, FilterFault, compile_order
from ..model.moments import iso_moment, parse_moment
from ..model.records import MOMENT, NUMBER, TEXT, Row, columns_of
from ..portal import Portal
from ..registry import Answer, ApiError, Call, Handler, rest_method
from .arguments import integer, is_yes, mapping, sequence
from .tasks import task_of

COMMENT_KINDS = {"ID": NUMBER, "AUTHOR_ID": NUMBER, "AUTHOR_NAME": TEXT, "POST_DATE": MOMENT}
NOT_FOUND = "TASKS_ERROR_EXCEPTION_#8; Action failed; 8/TE/ACTION_FAILED_TO_BE_PROCESSED<br>"
NOT_ALLOWED = "TASKS_ERROR_EXCEPTION_#4; Action is not allowed; 4/TE/ACTION_NOT_ALLOWED<br>"


def wrong_argument(place: int, name: str, method: str) -> ApiError:
    return ApiError(
        "ERROR_CORE",
        f"TASKS_ERROR_EXCEPTION_#256; Param #{place} ({name}) for method {method}() expected to be of type "
        f'"integer", but given something else.; 256/TE/WRONG_ARGUMENTS<br>',
    )


def number_at(call: Call, place: int, name: str, method: str) -> int:
    """The integer at a place of the arguments."""
    number = integer(call.args[place]) if len(call.args) > place else None
    if number is None:
        raise wrong_argument(place, name, method)
    return number


def task_at(call: Call, method: str, text: str) -> Row:
    """The task of the first argument, if the caller sees it."""
    row = call.portal.tasks.get(number_at(call, 0, "taskId", method))
    if row is None or not tasks.sees(call.portal, row, call.user_id):
        raise ApiError("ERROR_CORE", text)
    return row


def map_at(call: Call, place: int) -> Row:
    raw = call.args[place] if len(call.args) > place else None
    return {str(key).upper(): value for key, value in mapping(raw).items()}


# -- both cards -------------------------------------------------------------------------------
def store_file(portal: Portal, user_id: int, name: str, body: bytes) -> int:
    """Put a file on a person's drive; its object id."""
    user = portal.users[user_id]
    now = int(portal.time())
    storage = portal.disk.storage("user", str(user_id), user.full_name, now)
    root = portal.disk.objects.get(storage.root_id)
    assert root is not None
    return int(portal.disk.add_file(root, name, body, user_id, now)["ID"])


def comment_in_forum(
    portal: Portal, task: Row, author_id: int, text: str, files: list[int], at: int | None = None
) -> Row:
    """A comment of the old card; `files` = ids of disk objects."""
    now = int(portal.time()) if at is None else at
    row = portal.task_comments.add(
        {"TASK_ID": task["ID"], "AUTHOR_ID": author_id, "POST_MESSAGE": text, "POST_DATE": now, "ATTACHED": []}
    )
    made = [portal.disk.attach(one, "comment", row["ID"], author_id, now) for one in files]
    row["ATTACHED"] = [one["ID"] for one in made if one is not None]
    tasks.emit_comment(portal, task["ID"], row["ID"])
    return row


def comment_in_chat(portal: Portal, task: Row, author_id: int, text: str, files: list[int]) -> Row:
    """A message in the chat of the new card; `files` = ids of disk objects."""
    row = portal.chats.say(task["CHAT_ID"], author_id, text, int(portal.time()), files)
    tasks.emit_comment(portal, task["ID"], 0, row["ID"])
    return row


# -- comments ---------------------------------------------------------------------------------
@rest_method("task.commentitem.add", scope="task", positional=True)
def add_comment(call: Call) -> Answer:
    """Works in both cards; in the new one it becomes a message of the chat, without its files (tasks-new.md)."""
    portal = call.portal
    task = task_at(call, "ctaskcommentitem::add", "Недостаточно прав для добавления комментария.<br>")
    fields = map_at(call, 1)
    text = str(fields.get("POST_MESSAGE") or "")
    if not text.strip():
        raise ApiError("ERROR_CORE", "Не указан текст комментария.<br>")
    unknown = set(fields) - {"POST_MESSAGE", "AUTHOR_ID", "POST_DATE", "UF_FORUM_MESSAGE_DOC"}
    if unknown:
        raise ApiError(
            "ERROR_CORE",
            "TASKS_ERROR_EXCEPTION_#256; Param #1 (arFields) for method ctaskcommentitem::add() must not contain key "
            f"`{min(unknown)}`.; 256/TE/WRONG_ARGUMENTS<br>",
        )
    files = disk_files(portal, fields.get("UF_FORUM_MESSAGE_DOC"))
    author_id = integer(fields.get("AUTHOR_ID")) or call.user_id
    if task["CHAT_ID"] is not None:
        return Answer(comment_in_chat(portal, task, author_id, text, [])["ID"])
    at = parse_moment(fields["POST_DATE"], portal.zone) if fields.get("POST_DATE") else None
    return Answer(comment_in_forum(portal, task, author_id, text, files, at)["ID"])


def disk_files(portal: Portal, raw: Any) -> list[int]:
    found = []
    for one in sequence(raw):
        object_id = integer(str(one).removeprefix("n"))
        row = portal.disk.objects.get(object_id)
        if object_id is None or row is None or row["TYPE"] != "file":
            raise ApiError("ERROR_CORE", "Не удалось найти файл<br>")
        found.append(object_id)
    return found


def comment_shown(portal: Portal, row: Row) -> dict[str, Any]:
    user = portal.users.get(row["AUTHOR_ID"])
    return {
        "POST_MESSAGE_HTML": None,
        "ID": str(row["ID"]),
        "AUTHOR_ID": str(row["AUTHOR_ID"]),
        "AUTHOR_NAME": user.full_name if user else "",
        "AUTHOR_EMAIL": "",
        "POST_DATE": iso_moment(row["POST_DATE"], portal.zone),
        "POST_MESSAGE": row["POST_MESSAGE"],
        "ATTACHED_OBJECTS": {str(one): attachment(portal, one) for one in row["ATTACHED"]},
    }


def attachment(portal: Portal, attachment_id: int) -> dict[str, str]:
    """ATTACHMENT_ID, FILE_ID (the body), sizes as texts."""
    held = portal.disk.attachments.get(attachment_id)
    file = portal.disk.objects.get(held["OBJECT_ID"]) if held else None
    assert file is not None
    url = drive_links.download_url(portal, file["ID"])
    return {
        "ATTACHMENT_ID": str(attachment_id),
        "NAME": file["NAME"],
        "SIZE": str(file["SIZE"]),
        "FILE_ID": str(file["FILE_ID"]),
        "DOWNLOAD_URL": url,
        "VIEW_URL": url,
    }


def old_card(call: Call, method: str) -> Row | None:
    """The task when its comments are in the forum; None where the new card answers nothing (switch)."""
    task = task_at(call, method, NOT_FOUND)
    if task["CHAT_ID"] is None:
        return task
    if call.portal.switches.comments_without_task_in_new_card == "empty":
        return None
    raise ApiError("ERROR_CORE", NOT_FOUND)


@rest_method("task.commentitem.getlist", scope="task", positional=True)
def list_comments(call: Call) -> Answer:
    portal = call.portal
    task = old_card(call, "ctaskcommentitem::getlist")
    rows = portal.task_comments.where(TASK_ID=task["ID"]) if task else []
    columns = columns_of(COMMENT_KINDS, portal.fold(), portal.zone)
    try:
        plan = Compiler(columns, strict=False, groups=False, ignore_case=True, id_column="ID").compile(map_at(call, 2))
    except FilterFault as fault:
        raise ApiError("ERROR_CORE", f"{fault}<br>") from fault
    order = compile_order(map_at(call, 1) or {"ID": "desc"}, columns, strict=False, ignore_case=True)
    return Answer([comment_shown(portal, row) for row in order.sort(row for row in rows if plan.passes(row))])


def comment_at(call: Call, method: str) -> Row:
    task = old_card(call, method)
    row = call.portal.task_comments.get(number_at(call, 1, "itemId", method))
    if task is None or row is None or row["TASK_ID"] != task["ID"]:
        raise ApiError("ERROR_CORE", NOT_FOUND)
    return row


@rest_method("task.commentitem.get", scope="task", positional=True)
def get_comment(call: Call) -> Answer:
    return Answer(comment_shown(call.portal, comment_at(call, "ctaskcommentitem::get")))


@rest_method("task.commentitem.update", scope="task", positional=True)
def update_comment(call: Call) -> Answer:
    """The list of files is replaced as a whole."""
    row = comment_at(call, "ctaskcommentitem::update")
    fields = map_at(call, 2)
    row["POST_MESSAGE"] = str(fields.get("POST_MESSAGE") or row["POST_MESSAGE"])
    if "UF_FORUM_MESSAGE_DOC" in fields:
        now = int(call.portal.time())
        made = [
            call.portal.disk.attach(one, "comment", row["ID"], call.user_id, now)
            for one in disk_files(call.portal, fields["UF_FORUM_MESSAGE_DOC"])
        ]
        row["ATTACHED"] = [one["ID"] for one in made if one is not None]
    after = {"ID": row["ID"], "TASK_ID": row["TASK_ID"], "ACTION": "EDIT"}
    call.portal.emit("ONTASKCOMMENTUPDATE", {"FIELDS_BEFORE": tasks.UNDEFINED, "FIELDS_AFTER": after})
    return Answer(True)


@rest_method("task.commentitem.delete", scope="task", positional=True)
def delete_comment(call: Call) -> Answer:
    row = comment_at(call, "ctaskcommentitem::delete")
    call.portal.task_comments.remove(row)
    return Answer(True)


# -- checklist --------------------------------------------------------------------------------
def item_shown(portal: Portal, row: Row) -> dict[str, Any]:
    """PARENT_ID is the number 0 for a list itself, otherwise a text (task-checklist-item-get-list.md)."""
    return {
        "ID": str(row["ID"]),
        "TASK_ID": str(row["TASK_ID"]),
        "PARENT_ID": str(row["PARENT_ID"]) if row["PARENT_ID"] else 0,
        "CREATED_BY": str(row["CREATED_BY"]),
        "TITLE": row["TITLE"],
        "SORT_INDEX": str(row["SORT_INDEX"]),
        "IS_COMPLETE": row["IS_COMPLETE"],
        "IS_IMPORTANT": row["IS_IMPORTANT"],
        "TOGGLED_BY": str(row["TOGGLED_BY"]) if row["TOGGLED_BY"] else None,
        "TOGGLED_DATE": iso_moment(row["TOGGLED_DATE"], portal.zone) if row["TOGGLED_DATE"] else "",
        "MEMBERS": [],
        "ATTACHMENTS": [],
    }


def new_item(portal: Portal, task: Row, user_id: int, **more: Any) -> Row:
    rows = portal.checklist_items.where(TASK_ID=task["ID"])
    return portal.checklist_items.add(
        {
            "TASK_ID": task["ID"],
            "PARENT_ID": 0,
            "CREATED_BY": user_id,
            "SORT_INDEX": len(rows),
            "IS_COMPLETE": "N",
            "IS_IMPORTANT": "N",
            "TOGGLED_BY": None,
            "TOGGLED_DATE": None,
            **more,
        }
    )


@rest_method("task.checklistitem.add", scope="task", positional=True)
def add_item(call: Call) -> Answer:
    """PARENT_ID 0 makes a list; without it the item goes into the first list (task-checklist-item-add.md)."""
    task = task_at(call, "ctaskchecklistitem::add", NOT_ALLOWED)
    fields = map_at(call, 1)
    if not str(fields.get("TITLE") or "").strip():
        raise ApiError("ERROR_CORE", "Не указано название пункта<br>")
    lists = [row for row in call.portal.checklist_items.where(TASK_ID=task["ID"]) if not row["PARENT_ID"]]
    parent_id = integer(fields.get("PARENT_ID"))
    if "PARENT_ID" not in fields:
        parent_id = (lists[0] if lists else new_item(call.portal, task, call.user_id, TITLE="Чек-лист 1"))["ID"]
    row = new_item(call.portal, task, call.user_id, TITLE=str(fields["TITLE"]), PARENT_ID=parent_id or 0)
    row["IS_COMPLETE"] = "Y" if is_yes(fields.get("IS_COMPLETE")) else "N"
    tasks.emit_update(call.portal, task["ID"])
    return Answer(row["ID"])


@rest_method("task.checklistitem.getlist", scope="task", positional=True)
def list_items(call: Call) -> Answer:
    task = task_at(call, "ctaskchecklistitem::getlist", NOT_ALLOWED)
    return Answer([item_shown(call.portal, row) for row in call.portal.checklist_items.where(TASK_ID=task["ID"])])


def item_at(call: Call, method: str) -> Row:
    task_at(call, method, NOT_ALLOWED)
    row = call.portal.checklist_items.get(number_at(call, 1, "itemId", method))
    if row is None:
        raise ApiError("ERROR_CORE", "TASKS_ERROR_EXCEPTION_#512; ITEM_NOT_FOUND_OR_NOT_ACCESSIBLE<br>")
    return row


@rest_method("task.checklistitem.get", scope="task", positional=True)
def get_item(call: Call) -> Answer:
    return Answer(item_shown(call.portal, item_at(call, "ctaskchecklistitem::get")))


@rest_method("task.checklistitem.update", scope="task", positional=True)
def update_item(call: Call) -> Answer:
    row = item_at(call, "ctaskchecklistitem::update")
    fields = map_at(call, 2)
    row["TITLE"] = str(fields.get("TITLE") or row["TITLE"])
    tasks.emit_update(call.portal, row["TASK_ID"])
    return Answer(None)


@rest_method("task.checklistitem.delete", scope="task", positional=True)
def delete_item(call: Call) -> Answer:
    row = item_at(call, "ctaskchecklistitem::delete")
    call.portal.checklist_items.remove(row)
    tasks.emit_update(call.portal, row["TASK_ID"])
    return Answer(True)


def tick(flag: str) -> Handler:
    def handler(call: Call) -> Answer:
        row = item_at(call, "ctaskchecklistitem::complete")
        row.update(IS_COMPLETE=flag, TOGGLED_BY=call.user_id, TOGGLED_DATE=int(call.portal.time()))
        tasks.emit_update(call.portal, row["TASK_ID"])
        return Answer(True)

    return handler


rest_method("task.checklistitem.complete", scope="task", positional=True)(tick("Y"))
rest_method("task.checklistitem.renew", scope="task", positional=True)(tick("N"))


# -- results ----------------------------------------------------------------------------------
def new_result(portal: Portal, task_id: int, user_id: int, text: str, **more: Any) -> Row:
    """A result of a task: 0 open, 1 closed when the task is done."""
    return portal.task_results.add(
        {
            "TASK_ID": task_id,
            "USER_ID": user_id,
            "TEXT": text,
            "STATUS": 0,
            "AT": int(portal.time()),
            "UPDATED": None,
            "COMMENT_ID": 0,
            "MESSAGE_ID": None,
            "FILES": [],
            **more,
        }
    )


@rest_method("tasks.task.result.list", scope="task")
def list_results(call: Call) -> Answer:
    """commentId 0 for a result out of the new card (tasks-task-result-list.md)."""
    task = task_of(call)
    return Answer(
        [
            {
                "id": row["ID"],
                "taskId": row["TASK_ID"],
                "commentId": row["COMMENT_ID"],
                "createdBy": row["USER_ID"],
                "createdAt": iso_moment(row["AT"], call.portal.zone),
                "updatedAt": iso_moment(row["UPDATED"] or row["AT"], call.portal.zone),
                "status": row["STATUS"],
                "text": row["TEXT"],
                "formattedText": row["TEXT"],
                "files": list(row["FILES"]),
            }
            for row in tasks.results_of(call.portal, task)
        ]
    )


@rest_method("tasks.task.result.addFromComment", scope="task")
def result_from_comment(call: Call) -> Answer:
    """Old card only: a comment is declared the result."""
    comment_id = integer(call.params.get("commentId"))
    comment = call.portal.task_comments.get(comment_id)
    if comment is None:
        raise ApiError("0", "Comment not found.")
    if call.portal.task_results.where(COMMENT_ID=comment_id):
        raise ApiError("0", "Result already exists.")
    row = new_result(
        call.portal,
        comment["TASK_ID"],
        call.user_id,
        comment["POST_MESSAGE"],
        COMMENT_ID=comment_id,
        FILES=list(comment["ATTACHED"]),
    )
    return Answer({"result": {"id": row["ID"], "taskId": row["TASK_ID"], "commentId": comment_id}})


@rest_method("tasks.task.result.deleteFromComment", scope="task")
def drop_result(call: Call) -> Answer:
    rows = call.portal.task_results.where(COMMENT_ID=integer(call.params.get("commentId")))
    if not rows:
        raise ApiError("0", "Comment not found.")
    call.portal.task_results.remove(rows[0])
    return Answer(None)
