"""`tasks.task.*`: tasks by name, statuses, history.

Docs: api-reference/tasks/tasks-task-{add,update,get,list,delete,delegate,approve,disapprove,get-fields,get-access,
history-list,files-attach}.md, api-reference/tasks/status/*.md, api-reference/tasks/fields.md.
Written in capitals, read in camelCase; numbers come as texts.
"""

from __future__ import annotations

from typing import Any

from ..model import tasks
from ..model.filters import Column, Compiler, FilterFault, compile_order
from ..model.listing import listed, start_of
from ..model.moments import iso_moment, parse_moment
from ..model.records import FLAG, MOMENT, NUMBER, TEXT, Row, column_of
from ..model.users import User
from ..portal import Portal
from ..registry import Answer, ApiError, Call, Handler, rest_method
from .arguments import argument, integer, is_yes, mapping, sequence

NOT_ALLOWED = "Действие над задачей не разрешено"
KINDS = {
    "ID": NUMBER,
    "PARENT_ID": NUMBER,
    "TITLE": TEXT,
    "DESCRIPTION": TEXT,
    "MARK": TEXT,
    "PRIORITY": NUMBER,
    "STATUS": NUMBER,
    "GROUP_ID": NUMBER,
    "STAGE_ID": NUMBER,
    "CREATED_BY": NUMBER,
    "CREATED_DATE": MOMENT,
    "RESPONSIBLE_ID": NUMBER,
    "CHANGED_BY": NUMBER,
    "CHANGED_DATE": MOMENT,
    "STATUS_CHANGED_BY": NUMBER,
    "STATUS_CHANGED_DATE": MOMENT,
    "CLOSED_BY": NUMBER,
    "CLOSED_DATE": MOMENT,
    "ACTIVITY_DATE": MOMENT,
    "DATE_START": MOMENT,
    "DEADLINE": MOMENT,
    "START_DATE_PLAN": MOMENT,
    "END_DATE_PLAN": MOMENT,
    "XML_ID": TEXT,
    "ALLOW_CHANGE_DEADLINE": FLAG,
    "ALLOW_TIME_TRACKING": FLAG,
    "TASK_CONTROL": FLAG,
    "ADD_IN_REPORT": FLAG,
    "MATCH_WORK_TIME": FLAG,
    "TIME_ESTIMATE": NUMBER,
    "SITE_ID": TEXT,
    "FLOW_ID": NUMBER,
}
WRITABLE = frozenset(KINDS) - {
    "ID",
    "CREATED_DATE",
    "CHANGED_BY",
    "CHANGED_DATE",
    "STATUS_CHANGED_BY",
    "STATUS_CHANGED_DATE",
    "CLOSED_BY",
    "CLOSED_DATE",
    "ACTIVITY_DATE",
    "DATE_START",
}
DEFAULTS: Row = {
    "PARENT_ID": None,
    "DESCRIPTION": "",
    "MARK": None,
    "PRIORITY": 1,
    "STATUS": tasks.WAITING,
    "GROUP_ID": 0,
    "STAGE_ID": 0,
    "DEADLINE": None,
    "START_DATE_PLAN": None,
    "END_DATE_PLAN": None,
    "XML_ID": None,
    "ALLOW_CHANGE_DEADLINE": "N",
    "ALLOW_TIME_TRACKING": "N",
    "TASK_CONTROL": "N",
    "ADD_IN_REPORT": "N",
    "MATCH_WORK_TIME": "N",
    "TIME_ESTIMATE": 0,
    "SITE_ID": "s1",
    "FLOW_ID": None,
    "ACCOMPLICES": [],
    "AUDITORS": [],
    "TAGS": [],
    "UF_CRM_TASK": [],
    "UF_TASK_WEBDAV_FILES": [],
    "UF_MAIL_MESSAGE": None,
    "SE_PARAMETER": {},
    "FAVORITE_OF": [],
}
SYSTEM_UF = ("UF_CRM_TASK", "UF_TASK_WEBDAV_FILES", "UF_MAIL_MESSAGE")
"""Not read by default; naming one of them in `select` returns all three (fields.md)."""
NULLS = (
    "forkedByTemplateId",
    "timeSpentInLogs",
    "forumTopicId",
    "forumId",
    "exchangeModified",
    "exchangeId",
    "viewedDate",
    "sorting",
    "durationFact",
    "durationPlan",
    "serviceCommentsCount",
)
CONSTANTS = {
    "multitask": "N",
    "notViewed": "N",
    "replicate": "N",
    "subordinate": "N",
    "outlookVersion": "1",
    "isMuted": "N",
    "isPinned": "N",
    "isPinnedInGroup": "N",
    "descriptionInBbcode": "Y",
    "durationType": "days",
}


# -- in ---------------------------------------------------------------------------------------
def core(text: str) -> ApiError:
    """Validation of a task: every text ends with a line break (tasks-task-add.md)."""
    return ApiError("ERROR_CORE", f"{text}<br>")


def needed_fields(call: Call) -> Row:
    fields = {str(key).upper(): value for key, value in mapping(argument(call, "fields")).items()}
    if not fields:
        raise ApiError("100", "Could not find value for parameter {fields} (internal error)")
    return fields


def task_of(call: Call, refusal: tuple[str, str] = ("0", NOT_ALLOWED)) -> Row:
    """The task of `taskId` if the caller sees it. A missing one and a forbidden one look alike."""
    raw = argument(call, "taskId")
    if raw in (None, ""):
        raise ApiError("100", "CTaskItem All parameters in the constructor must have real class type (internal error)")
    task_id = integer(raw)
    if task_id is None or task_id <= 0:
        raise ApiError("0", "wrong task id")
    row = call.portal.tasks.get(task_id)
    if row is None or not tasks.sees(call.portal, row, call.user_id):
        raise ApiError(*refusal)
    return row


def read_values(call: Call, given: Row) -> Row:
    """Known keys by kind; a date that is none counts as empty."""
    portal = call.portal
    values: Row = {}
    for name in WRITABLE & set(given):
        raw, kind = given[name], KINDS[name]
        try:
            if raw in (None, ""):
                values[name] = DEFAULTS.get(name)
            elif kind == NUMBER:
                values[name] = int(str(raw))
            elif kind == MOMENT:
                values[name] = parse_moment(raw, portal.zone)
            elif kind == FLAG:
                values[name] = "Y" if is_yes(raw) else "N"
            else:
                values[name] = str(raw)
        except ValueError as error:
            raise core(f"Некорректное значение поля {name}") from error
    for name in ("ACCOMPLICES", "AUDITORS"):
        if name in given:
            ids = [integer(one) for one in sequence(given[name])]
            values[name] = [one for one in ids if one in portal.users]
    if "TAGS" in given:
        raw = given["TAGS"]
        texts = raw.split(",") if isinstance(raw, str) else [str(one) for one in sequence(raw)]
        values["TAGS"] = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    if "UF_CRM_TASK" in given:
        values["UF_CRM_TASK"] = tasks.bindings(portal, sequence(given["UF_CRM_TASK"]))
    if "SE_PARAMETER" in given:
        rows = [mapping(one) for one in sequence(given["SE_PARAMETER"])]
        values["SE_PARAMETER"] = {integer(one.get("CODE")): str(one.get("VALUE")) for one in rows}
    for name, raw in given.items():
        if name.startswith("UF_") and name not in SYSTEM_UF and name in portal.task_user_fields:
            values[name] = raw
    return values


def check(call: Call, values: Row, held: Row | None = None) -> None:
    """The complaints of tasks-task-add.md and tasks-task-update.md."""
    portal = call.portal
    if "TITLE" in values and not str(values["TITLE"] or "").strip():
        raise core("Не указано название задачи")
    if "RESPONSIBLE_ID" in values and not values["RESPONSIBLE_ID"]:
        raise core("Не указан исполнитель")
    if values.get("RESPONSIBLE_ID", 1) not in portal.users:
        raise core('Пользователь указанный в поле "Исполнитель" не найден')
    if values.get("STATUS", tasks.WAITING) not in tasks.STATES:
        raise core("Некорректный статус")
    check_parent(portal, values.get("PARENT_ID"), held)
    start, end = (values.get(name) for name in ("START_DATE_PLAN", "END_DATE_PLAN"))
    if start and end and end < start:
        raise core("В планировании сроков указана дата окончания меньшая даты старта")
    group = portal.groups.get(values.get("GROUP_ID"))
    if values.get("GROUP_ID") and group is None:
        raise core("Группа не найдена")
    responsible = int(values.get("RESPONSIBLE_ID", (held or {}).get("RESPONSIBLE_ID")) or 0)
    if group is not None and portal.switches.task_group_members_only and not group.has_member(responsible):
        raise core("Исполнитель не является участником группы")


def check_parent(portal: Portal, parent_id: int | None, held: Row | None) -> None:
    if not parent_id:
        return
    if held is not None and parent_id == held["ID"]:
        raise core("Невозможно привязать узел к самому себе")
    parent = portal.tasks.get(parent_id)
    if parent is None:
        raise core('Задача указанная в поле "Надзадача" не найдена')
    while held is not None and parent is not None:
        if parent["PARENT_ID"] == held["ID"]:
            raise core("Создание зацикленных связей в задачах запрещено")
        parent = portal.tasks.get(parent["PARENT_ID"])


def attached(call: Call, row: Row, raw: Any) -> list[int]:
    """`n428` = the disk object 428; unknown files are left out. Answers ids of attachments."""
    found = []
    for one in sequence(raw):
        object_id = integer(str(one).removeprefix("n"))
        if object_id is not None:
            made = call.portal.disk.attach(object_id, "task", row["ID"], call.user_id, int(call.portal.time()))
            if made is not None:
                found.append(made["ID"])
    return found


# -- out --------------------------------------------------------------------------------------
def camel(name: str) -> str:
    first, *rest = name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)


def person(user: User | None, user_id: int) -> dict[str, str]:
    return {
        "id": str(user_id),
        "name": user.full_name if user else "",
        "link": f"/company/personal/user/{user_id}/",
        "icon": "/bitrix/images/tasks/default_avatar.png",
        "workPosition": user.position if user else "",
    }


def value_out(portal: Portal, name: str, value: Any) -> Any:
    if value is None:
        return None
    return iso_moment(value, portal.zone) if KINDS[name] == MOMENT else str(value)


def people_map(portal: Portal, ids: list[int]) -> Any:
    """Keyed by id, [] when nobody is in it."""
    return {str(one): person(portal.users.get(one), one) for one in ids} or []


def sub_status(portal: Portal, row: Row) -> int:
    """-1 overdue; otherwise the status itself (tasks-task-list.md)."""
    open_states = (tasks.WAITING, tasks.RUNNING)
    overdue = row["DEADLINE"] is not None and row["DEADLINE"] < portal.time() and row["STATUS"] in open_states
    return -1 if overdue else int(row["STATUS"])


def shown(call: Call, row: Row) -> dict[str, Any]:
    """Every key but the user fields."""
    portal = call.portal
    full: dict[str, Any] = {camel(name): value_out(portal, name, row.get(name)) for name in KINDS}
    group = portal.groups.get(row["GROUP_ID"])
    full.update(dict.fromkeys(NULLS))
    full.update(CONSTANTS)
    full.update(
        {
            "guid": f"{{00000000-0000-4000-8000-{row['ID']:012d}}}",
            "favorite": "Y" if call.user_id in row["FAVORITE_OF"] else "N",
            "commentsCount": str(comments_count(portal, row)) if comments_count(portal, row) else None,
            "newCommentsCount": 0,
            "chatId": row["CHAT_ID"],
            "auditors": [str(one) for one in row["AUDITORS"]],
            "accomplices": [str(one) for one in row["ACCOMPLICES"]],
            "checklist": [],
            "group": {"id": str(group.id), "name": group.name, "opened": group.opened == "Y"} if group else [],
            "creator": person(portal.users.get(row["CREATED_BY"]), row["CREATED_BY"]),
            "responsible": person(portal.users.get(row["RESPONSIBLE_ID"]), row["RESPONSIBLE_ID"]),
            "accomplicesData": people_map(portal, row["ACCOMPLICES"]),
            "auditorsData": people_map(portal, row["AUDITORS"]),
            "subStatus": str(sub_status(portal, row)),
            "action": actions(portal, row, call.user_id),
        }
    )
    return full


def comments_count(portal: Portal, row: Row) -> int:
    if row["CHAT_ID"] is not None:
        return sum(1 for one in portal.chats.of(row["CHAT_ID"]) if one["AUTHOR_ID"])
    return len(portal.task_comments.where(TASK_ID=row["ID"]))


def actions(portal: Portal, row: Row, user_id: int) -> dict[str, bool]:
    """What the caller may do now."""
    edits = tasks.edits(portal, row, user_id)
    named = ("start", "pause", "complete", "renew", "defer", "approve", "disapprove")
    return {
        "accept": False,
        "decline": False,
        **{name: tasks.may(portal, row, name, user_id) for name in named},
        "delegate": edits or user_id == row["RESPONSIBLE_ID"],
        "remove": edits,
        "edit": edits,
        "create": True,
        "changeDeadline": edits or row["ALLOW_CHANGE_DEADLINE"] == "Y",
        "checklistAddItems": edits,
        "addFavorite": user_id not in row["FAVORITE_OF"],
        "deleteFavorite": user_id in row["FAVORITE_OF"],
        "rate": edits,
    }


def user_fields(call: Call, row: Row) -> dict[str, Any]:
    """The three user fields of the system; bindings are false when there are none (crm/data-types.md)."""
    return {
        "ufCrmTask": list(row["UF_CRM_TASK"]) or False,
        "ufTaskWebdavFiles": list(row["UF_TASK_WEBDAV_FILES"]) or False,
        "ufMailMessage": row["UF_MAIL_MESSAGE"],
    }


def tags_out(row: Row) -> Any:
    """A map by id, [] when there are none."""
    return {str(one): {"id": one, "title": title} for one, title in enumerate(row["TAGS"], 1)} or []


def chosen(call: Call, row: Row, select: list[str], *, always: tuple[str, ...] = ()) -> dict[str, Any]:
    """The row by `select`; without one all but user fields and tags."""
    full = shown(call, row)
    names = {name.upper() for name in select}
    everything = not names or "*" in names
    wanted = {camel(name) for name in names} | set(always) | {"id"}
    line = full if everything else {key: value for key, value in full.items() if key in wanted}
    if not everything and "responsibleId" in line:
        line["responsible"] = full["responsible"]
    if not everything and "createdBy" in line:
        line["creator"] = full["creator"]
    if names & set(SYSTEM_UF) or "UF_*" in names:
        line.update(user_fields(call, row))
    if "TAGS" in names or "*" in names:
        line["tags"] = tags_out(row)
    for name in names:
        if name.startswith("UF_") and name not in SYSTEM_UF and name in call.portal.task_user_fields:
            line[camel(name)] = row.get(name)
    return line


def whole_task(call: Call, row: Row) -> Answer:
    return Answer({"task": shown(call, row)})


# -- add, change, read ------------------------------------------------------------------------
@rest_method("tasks.task.add", scope="task")
def add(call: Call) -> Answer:
    given = needed_fields(call)
    values = {"TITLE": "", "RESPONSIBLE_ID": None, **DEFAULTS, "CREATED_BY": call.user_id, **read_values(call, given)}
    check(call, values)
    for name, definition in call.portal.task_user_fields.items():
        if definition.get("MANDATORY") == "Y" and given.get(name) in (None, "", []):
            raise core(f"Не введено значение обязательного поля {name}")
    row = tasks.create(call.portal, values, call.user_id)
    if "UF_TASK_WEBDAV_FILES" in given:
        row["UF_TASK_WEBDAV_FILES"] = attached(call, row, given["UF_TASK_WEBDAV_FILES"])
    return whole_task(call, row)


@rest_method("tasks.task.update", scope="task")
def update(call: Call) -> Answer:
    row = task_of(call, ("0", f"{NOT_ALLOWED} (internal error)"))
    given = needed_fields(call)
    deadline_only = set(given) == {"DEADLINE"} and row["ALLOW_CHANGE_DEADLINE"] == "Y"
    works = call.user_id in (row["RESPONSIBLE_ID"], *row["ACCOMPLICES"])
    if not tasks.edits(call.portal, row, call.user_id) and not (works and deadline_only):
        raise ApiError("0", f"{NOT_ALLOWED} (internal error)")
    values = read_values(call, given)
    check(call, values, row)
    if "UF_TASK_WEBDAV_FILES" in given:
        values["UF_TASK_WEBDAV_FILES"] = attached(call, row, given["UF_TASK_WEBDAV_FILES"])
    status = values.pop("STATUS", row["STATUS"])
    tasks.save(call.portal, row, values, call.user_id)
    change_status(call, row, status)
    return whole_task(call, row)


@rest_method("tasks.task.get", scope="task")
def get(call: Call) -> Answer:
    """A missing or forbidden task is an empty list under HTTP 200 (tasks-task-get.md)."""
    select = argument(call, "select")
    if select is not None and not isinstance(select, (list, dict)):
        text = f"Invalid value {{{select}}} to match with parameter {{select}}. Should be value of type array."
        raise ApiError("100", f"{text} (internal error)")
    try:
        row = task_of(call, ("missing", ""))
    except ApiError as error:
        if error.code == "missing":
            return Answer([])
        raise
    return Answer({"task": chosen(call, row, [str(one) for one in sequence(select)])})


@rest_method("tasks.task.delete", scope="task")
def delete(call: Call) -> Answer:
    row = task_of(call, ("1048582", "Нет доступа к удалению задачи"))
    if not tasks.may(call.portal, row, "delete", call.user_id):
        raise ApiError("1048582", "Нет доступа к удалению задачи")
    tasks.delete(call.portal, row)
    return Answer({"task": True})


ORDER_KEYS = frozenset(KINDS) | {"REAL_STATUS", "STATUS_COMPLETE", "FAVORITE", "SORTING", "IS_PINNED"}


def columns(call: Call) -> dict[str, Column]:
    """What tasks.task.list filters and sorts by: REAL_STATUS is the status, STATUS the one with its overdue state."""
    portal = call.portal
    fold = portal.fold()
    found = {name: column_of(name, kind, fold, portal.zone) for name, kind in KINDS.items()}

    def number(raw: Any) -> int | None:
        return None if raw in (None, "") else int(str(raw))

    found["REAL_STATUS"] = Column("REAL_STATUS", lambda row: row["STATUS"], number)
    found["STATUS_COMPLETE"] = Column("STATUS_COMPLETE", lambda row: int(row["STATUS"] == tasks.COMPLETED), number)
    found["STATUS"] = Column("STATUS", lambda row: sub_status(portal, row), number)
    found["ACCOMPLICE"] = Column("ACCOMPLICE", lambda row: row["ACCOMPLICES"], number, multiple=True)
    found["AUDITOR"] = Column("AUDITOR", lambda row: row["AUDITORS"], number, multiple=True)
    found["TAG"] = Column("TAG", lambda row: [fold(one) for one in row["TAGS"]], lambda raw: fold(str(raw)), True)
    found["UF_CRM_TASK"] = Column("UF_CRM_TASK", lambda row: row["UF_CRM_TASK"], str, multiple=True)
    return found


@rest_method("tasks.task.list", scope="task")
def list_tasks(call: Call) -> Answer:
    """Default order ID desc; a wrong key of `order` is refused, one of `filter` ignored."""
    portal = call.portal
    order_tree = mapping(argument(call, "order")) or {"ID": "desc"}
    if any(str(key).upper() not in ORDER_KEYS for key in order_tree):
        raise ApiError("0", "Неверный ключ сортировки (internal error)")
    known = columns(call)
    tree = mapping(argument(call, "filter"))
    if not portal.switches.task_filter_case:
        tree = {str(key).upper(): value for key, value in tree.items()}
    favourites = is_yes(mapping(tree.pop("::SUBFILTER-PARAMS", None)).get("FAVORITE"))
    if isinstance(tree.get("TITLE"), str) and "%" in tree["TITLE"]:
        tree["=%TITLE"] = tree.pop("TITLE")
    try:
        plan = Compiler(known, strict=False, groups=False, id_column="ID").compile(tree)
    except FilterFault as fault:
        raise ApiError("0", str(fault)) from fault
    plan.tests.append(lambda row: tasks.sees(portal, row, call.user_id))
    if favourites:
        plan.tests.append(lambda row: call.user_id in row["FAVORITE_OF"])
    order = compile_order(order_tree, known, strict=False, ignore_case=True)
    page = listed(portal.tasks.candidates(plan), plan, order, start_of(argument(call, "start", 0)))
    select = [str(one) for one in sequence(argument(call, "select"))]
    with_results = is_yes(mapping(argument(call, "params")).get("WITH_RESULT_INFO"))
    rows = []
    for row in page.rows:
        line = chosen(call, row, select, always=("group", "subStatus"))
        if with_results:
            results = tasks.results_of(portal, row)
            line["taskRequireResult"] = "Y" if tasks.requires_result(row) else "N"
            line["taskHasResult"] = "Y" if results else "N"
            line["taskHasOpenResult"] = "Y" if any(one["STATUS"] == 0 for one in results) else "N"
        rows.append(line)
    return Answer({"tasks": rows}, total=page.total, next=page.next)


# -- statuses ---------------------------------------------------------------------------------
def change_status(call: Call, row: Row, status: int) -> None:
    if status == row["STATUS"]:
        return
    tasks.set_status(call.portal, row, status, call.user_id)
    tell_status(call.portal, row, call.user_id)


STATUS_TEXTS = {
    tasks.WAITING: "Задача возвращена в работу",
    tasks.RUNNING: "Задача начата",
    tasks.SUPPOSED: "Задача ждёт проверки постановщиком",
    tasks.COMPLETED: "Задача завершена",
    tasks.DEFERRED: "Задача отложена",
}


def tell_status(portal: Portal, row: Row, user_id: int) -> None:
    """The portal's own line in the chat of the new card."""
    if row["CHAT_ID"] is not None and portal.switches.task_system_messages and row["STATUS"] in STATUS_TEXTS:
        portal.chats.say(row["CHAT_ID"], 0, STATUS_TEXTS[row["STATUS"]], int(portal.time()))


def status_method(act: str, code: str) -> Handler:
    def handler(call: Call) -> Answer:
        row = task_of(call, (code, NOT_ALLOWED))
        if not tasks.may(call.portal, row, act, call.user_id):
            raise ApiError(code, NOT_ALLOWED)
        tasks.do(call.portal, row, act, call.user_id)
        tell_status(call.portal, row, call.user_id)
        return whole_task(call, row)

    return handler


for name_of_act, error_code in (
    ("start", "0"),
    ("complete", "0"),
    ("pause", "1048582"),
    ("renew", "1048582"),
    ("defer", "1048582"),
    ("approve", "1048582"),
    ("disapprove", "1048582"),
):
    rest_method(f"tasks.task.{name_of_act}", scope="task")(status_method(name_of_act, error_code))


@rest_method("tasks.task.delegate", scope="task")
def delegate(call: Call) -> Answer:
    row = task_of(call)
    user_id = integer(argument(call, "userId"))
    if user_id is None:
        raise ApiError("100", "Could not find value for parameter {userId}")
    if user_id not in call.portal.users or not actions(call.portal, row, call.user_id)["delegate"]:
        raise ApiError("0", NOT_ALLOWED)
    tasks.delegate(call.portal, row, user_id, call.user_id)
    return whole_task(call, row)


# -- the rest ---------------------------------------------------------------------------------
@rest_method("tasks.task.getFields", scope="task")
def fields(call: Call) -> Answer:
    types = {NUMBER: "integer", TEXT: "string", MOMENT: "datetime", FLAG: "enum"}
    described: dict[str, dict[str, Any]] = {name: {"title": name, "type": types[kind]} for name, kind in KINDS.items()}
    described["ID"]["primary"] = described["TITLE"]["required"] = described["RESPONSIBLE_ID"]["required"] = True
    described |= {name: {"title": name, "type": "array"} for name in ("ACCOMPLICES", "AUDITORS", "TAGS")}
    kinds = ("crm", "disk_file", "mail_message")
    described |= {name: {"title": name, "type": kind} for name, kind in zip(SYSTEM_UF, kinds, strict=True)}
    described |= {name: {"title": name, "type": "string"} for name in call.portal.task_user_fields}
    return Answer({"fields": described})


@rest_method("tasks.task.getaccess", scope="task")
def access(call: Call) -> Answer:
    row = task_of(call)
    ids = [integer(one) for one in sequence(argument(call, "users"))] or [call.user_id]
    allowed = {}
    for user_id in ids:
        if user_id is not None and user_id in call.portal.users:
            now = actions(call.portal, row, user_id)
            allowed[str(user_id)] = {key.upper(): value for key, value in now.items()}
    return Answer({"allowedActions": allowed})


@rest_method("tasks.task.history.list", scope="task")
def history(call: Call) -> Answer:
    """No task, no rows. `filter` by FIELD (tasks-task-history-list.md)."""
    portal = call.portal
    task_id = integer(argument(call, "taskId"))
    wanted = {str(key).upper(): value for key, value in mapping(argument(call, "filter")).items()}
    rows = portal.task_history.where(TASK_ID=task_id)
    if "FIELD" in wanted:
        rows = [row for row in rows if row["FIELD"] == wanted["FIELD"]]
    order = {str(key).upper(): str(value).upper() for key, value in mapping(argument(call, "order")).items()}
    if order.get("ID") == "DESC" or order.get("CREATED_DATE") == "DESC":
        rows.reverse()
    return Answer({"list": [history_row(portal, row) for row in rows]})


def history_row(portal: Portal, row: Row) -> dict[str, Any]:
    user = portal.users.get(row["USER_ID"])
    return {
        "id": row["ID"],
        "createdDate": iso_moment(row["AT"], portal.zone),
        "field": row["FIELD"],
        "value": {"from": row["FROM"], "to": row["TO"]},
        "user": {
            "id": row["USER_ID"],
            "name": user.name if user else "",
            "lastName": user.last_name if user else "",
            "secondName": "",
            "login": user.email if user else "",
        },
    }


@rest_method("tasks.task.files.attach", scope="task")
def attach_file(call: Call) -> Answer:
    row = task_of(call)
    made = attached(call, row, [argument(call, "fileId")])
    if not made:
        raise ApiError("ERROR_CORE", "Недостаточно прав.")
    tasks.save(call.portal, row, {"UF_TASK_WEBDAV_FILES": [*row["UF_TASK_WEBDAV_FILES"], *made]}, call.user_id)
    return Answer({"attachmentId": made[0]})


def favourite(adds: bool) -> Handler:
    def handler(call: Call) -> Answer:
        row = task_of(call, ("1", "Task not found or not accessible"))
        others = [one for one in row["FAVORITE_OF"] if one != call.user_id]
        row["FAVORITE_OF"] = [*others, call.user_id] if adds else others
        return Answer(True)

    return handler


rest_method("tasks.task.favorite.add", scope="task")(favourite(True))
rest_method("tasks.task.favorite.remove", scope="task")(favourite(False))
