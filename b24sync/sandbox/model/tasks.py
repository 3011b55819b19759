"""Tasks: their states, what each act does to them, who may do it, the traces they leave.

Docs: api-reference/tasks/fields.md, api-reference/tasks/status/*.md, api-reference/tasks/tasks-task-{approve,
disapprove,delegate}.md, api-reference/tasks/events-tasks/*.md, api-reference/tasks/tasks-new.md (old and new card).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .filters import Plan
from .records import Records, Row
from .text import unicode_ci

if TYPE_CHECKING:
    from ..portal import Portal

WAITING, RUNNING, SUPPOSED, COMPLETED, DEFERRED, DECLINED = 2, 3, 4, 5, 6, 7
STATES = (WAITING, RUNNING, SUPPOSED, COMPLETED, DEFERRED, DECLINED)
UNDEFINED = "undefined"
"""Absent values of task events are this very text (api-reference/tasks/events-tasks/on-task-add.md)."""
RESULT_REQUIRED = 3
PREFIXES = {"L": 1, "D": 2, "C": 3, "CO": 4, "Q": 7, "SI": 31}
BINDING = re.compile(r"(L|D|C|CO|Q|SI|O|T[0-9a-f]+)_(\d+)$")

FROM_STATES: dict[str, tuple[int, ...]] = {
    "start": (WAITING, DEFERRED),
    "pause": (RUNNING,),
    "complete": (WAITING, RUNNING, DEFERRED),
    "renew": (SUPPOSED, COMPLETED, DEFERRED, DECLINED),
    "defer": (WAITING, RUNNING),
    "approve": (SUPPOSED,),
    "disapprove": (SUPPOSED,),
}
"""States in which an act is allowed."""


class Tasks(Records):
    """All tasks, with the indexes that keep look-ups by id, tag and CRM binding fast."""

    def __init__(self) -> None:
        super().__init__()
        self._by_word: dict[tuple[str, str], set[int]] = {}

    def add(self, row: Row) -> Row:
        row = super().add(row)
        self._index(row, 1)
        return row

    def change(self, row: Row, changes: Row) -> None:
        self._index(row, -1)
        row.update(changes)
        self._index(row, 1)

    def remove(self, row: Row) -> None:
        self._index(row, -1)
        super().remove(row)

    def _index(self, row: Row, step: int) -> None:
        for name in ("TAGS", "UF_CRM_TASK"):
            for value in row[name]:
                ids = self._by_word.setdefault((name, unicode_ci(value)), set())
                ids.add(row["ID"]) if step > 0 else ids.discard(row["ID"])

    def candidates(self, plan: Plan) -> Iterable[Row]:
        """Rows that a filter can match: by its ids, tags or bindings where it names them, else all; by id."""
        for name, wanted in plan.equals:
            if name == "ID":
                return [row for one in sorted(wanted) if (row := self.get(one)) is not None]
            if name in ("TAG", "UF_CRM_TASK"):
                key = "TAGS" if name == "TAG" else name
                ids = {one for value in wanted for one in self._by_word.get((key, unicode_ci(str(value))), ())}
                return [row for one in sorted(ids) if (row := self.get(one)) is not None]
        return self


# -- who may ----------------------------------------------------------------------------------
def takes_part(row: Row, user_id: int) -> bool:
    """Creator, responsible, accomplice or auditor."""
    people = (row["CREATED_BY"], row["RESPONSIBLE_ID"], *row["ACCOMPLICES"], *row["AUDITORS"])
    return user_id in people


def sees(portal: Portal, row: Row, user_id: int) -> bool:
    """Participants, members of the task's group, heads of participants, administrators (tasks-task-list.md)."""
    user = portal.users[user_id]
    group = portal.groups.get(row["GROUP_ID"])
    if user.admin or takes_part(row, user_id) or (group is not None and group.has_member(user_id)):
        return True
    led = {int(one["ID"]) for one in portal.departments if str(one.get("UF_HEAD")) == str(user_id)}
    return any(led & set(one.departments) for one in people_of(portal, row))


def people_of(portal: Portal, row: Row) -> list[Any]:
    ids = (row["CREATED_BY"], row["RESPONSIBLE_ID"], *row["ACCOMPLICES"])
    return [portal.users[one] for one in ids if one in portal.users]


def edits(portal: Portal, row: Row, user_id: int) -> bool:
    """The creator and administrators (tasks-task-update.md); others by their part of the work only."""
    return portal.users[user_id].admin or user_id == row["CREATED_BY"]


def may(portal: Portal, row: Row, act: str, user_id: int) -> bool:
    """Whether a person may do an act to a task in the state it is in."""
    if act in FROM_STATES and row["STATUS"] not in FROM_STATES[act]:
        return False
    if act in ("approve", "disapprove", "delete"):
        return edits(portal, row, user_id)
    if act == "complete" and requires_result(row) and not results_of(portal, row):
        return False
    works = user_id == row["RESPONSIBLE_ID"] or user_id in row["ACCOMPLICES"]
    return works or edits(portal, row, user_id)


def requires_result(row: Row) -> bool:
    return bool(row["SE_PARAMETER"].get(RESULT_REQUIRED) == "Y")


def results_of(portal: Portal, row: Row) -> list[Row]:
    return portal.task_results.where(TASK_ID=row["ID"])


# -- acts -------------------------------------------------------------------------------------
def set_status(portal: Portal, row: Row, status: int, user_id: int) -> None:
    """Enter a state with its marks; the same state again changes nothing."""
    if status == row["STATUS"]:
        return
    now = int(portal.time())
    changes: Row = {"STATUS": status, "STATUS_CHANGED_BY": user_id, "STATUS_CHANGED_DATE": now}
    if status == RUNNING:
        changes["DATE_START"] = row["DATE_START"] or now
    if status in (SUPPOSED, COMPLETED):
        changes |= {"CLOSED_BY": user_id, "CLOSED_DATE": now}
    elif row["STATUS"] in (SUPPOSED, COMPLETED):
        changes |= {"CLOSED_BY": None, "CLOSED_DATE": None}
    save(portal, row, changes, user_id)
    if status == COMPLETED:
        for result in results_of(portal, row):
            result["STATUS"] = 1
    mirror_activity(portal, row)


def do(portal: Portal, row: Row, act: str, user_id: int) -> None:
    """start, pause, complete, renew, defer, approve or disapprove; `may` has been asked before."""
    status = {
        "start": RUNNING,
        "pause": WAITING,
        "complete": completed_state(row, user_id),
        "renew": WAITING,
        "defer": DEFERRED,
        "approve": COMPLETED,
        "disapprove": portal.switches.task_disapproved_status,
    }[act]
    set_status(portal, row, status, user_id)


def completed_state(row: Row, user_id: int) -> int:
    """Under control the task waits for its creator, unless he finishes it himself."""
    controlled = row["TASK_CONTROL"] == "Y" and user_id != row["CREATED_BY"]
    return SUPPOSED if controlled else COMPLETED


def delegate(portal: Portal, row: Row, user_id: int, by: int) -> None:
    """Another responsible; who hands the task over stays an auditor of it."""
    auditors = row["AUDITORS"] if by in row["AUDITORS"] else [*row["AUDITORS"], by]
    save(portal, row, {"RESPONSIBLE_ID": user_id, "AUDITORS": auditors}, by)


def save(portal: Portal, row: Row, changes: Row, by: int) -> None:
    """Set fields, write the history, tell it to the world; nothing of it when nothing differs."""
    changed = {name: value for name, value in changes.items() if row.get(name) != value}
    if not changed:
        return
    now = int(portal.time())
    for name, value in changed.items():
        if name not in ("STATUS_CHANGED_BY", "STATUS_CHANGED_DATE", "CLOSED_BY"):
            portal.task_history.add(
                {"TASK_ID": row["ID"], "FIELD": name, "FROM": row.get(name), "TO": value, "USER_ID": by, "AT": now}
            )
    portal.tasks.change(row, {**changed, "CHANGED_BY": by, "CHANGED_DATE": now, "ACTIVITY_DATE": now})
    portal.chats.set_members(row["CHAT_ID"], members_of(row))
    mirror_activity(portal, row)
    emit_update(portal, row["ID"])


def members_of(row: Row) -> list[int]:
    return list(dict.fromkeys((row["CREATED_BY"], row["RESPONSIBLE_ID"], *row["ACCOMPLICES"], *row["AUDITORS"])))


def create(portal: Portal, values: Row, by: int) -> Row:
    """Add a task with its chat (new card) and its activity in the cards of bound items."""
    now = int(portal.time())
    row = portal.tasks.add(
        {
            "CREATED_DATE": now,
            "CHANGED_BY": by,
            "CHANGED_DATE": now,
            "ACTIVITY_DATE": now,
            "STATUS_CHANGED_DATE": now,
            "STATUS_CHANGED_BY": None,
            "CLOSED_BY": None,
            "CLOSED_DATE": None,
            "DATE_START": now if values["STATUS"] == RUNNING else None,
            "CHAT_ID": None,
            **values,
        }
    )
    if portal.switches.task_card == "new":
        row["CHAT_ID"] = portal.chats.open("TASKS_TASK", str(row["ID"]), members_of(row))
    mirror_activity(portal, row)
    data = {"FIELDS_BEFORE": UNDEFINED, "FIELDS_AFTER": {"ID": row["ID"]}}
    portal.emit("ONTASKADD", {**data, "IS_ACCESSIBLE_BEFORE": "N", "IS_ACCESSIBLE_AFTER": UNDEFINED})
    return row


def delete(portal: Portal, row: Row) -> None:
    portal.tasks.remove(row)
    activity = portal.activities.get(row.get("ACTIVITY_ID"))
    if activity is not None:
        portal.activities.remove(activity)
    data = {"FIELDS_BEFORE": {"ID": row["ID"]}, "FIELDS_AFTER": UNDEFINED}
    portal.emit("ONTASKDELETE", {**data, "IS_ACCESSIBLE_BEFORE": UNDEFINED, "IS_ACCESSIBLE_AFTER": "N"})


def emit_update(portal: Portal, task_id: int) -> None:
    """Only the id travels: no status, no list of fields, no author (on-task-update.md)."""
    data: dict[str, Any] = {"FIELDS_BEFORE": {"ID": task_id}, "FIELDS_AFTER": {"ID": task_id}}
    portal.emit("ONTASKUPDATE", {**data, "IS_ACCESSIBLE_BEFORE": UNDEFINED, "IS_ACCESSIBLE_AFTER": UNDEFINED})


def emit_comment(portal: Portal, task_id: int, comment_id: int, message_id: int | None = None) -> None:
    """Old card: the comment's id; new card: ID 0 and MESSAGE_ID (on-task-comment-add.md). The task counts as active."""
    row = portal.tasks.get(task_id)
    if row is not None:
        row["ACTIVITY_DATE"] = int(portal.time())
    after = {"ID": comment_id, "TASK_ID": task_id}
    if message_id is not None:
        after = {"ID": 0, "TASK_ID": task_id, "MESSAGE_ID": message_id}
    data: dict[str, Any] = {"FIELDS_BEFORE": UNDEFINED, "FIELDS_AFTER": after}
    before = portal.switches.comment_event_accessible_before
    portal.emit("ONTASKCOMMENTADD", {**data, "IS_ACCESSIBLE_BEFORE": before, "IS_ACCESSIBLE_AFTER": UNDEFINED})


# -- CRM --------------------------------------------------------------------------------------
TASK_ACTIVITY = 3


def bindings(portal: Portal, raw: Iterable[Any]) -> list[str]:
    """Bindings that are kept: known forms; smart processes only where their type allows it (how-to-connect-...md).

    The hexadecimal number of a smart process is lower case.
    """
    found = []
    for one in raw:
        match = BINDING.match(str(one))
        if match is None:
            continue
        prefix = match[1]
        entity = portal.types.get(int(prefix[1:], 16)) if prefix.startswith("T") else None
        if prefix.startswith("T") and not (entity is not None and allows_tasks(entity.options)):
            continue
        found.append(str(one))
    return list(dict.fromkeys(found))


def allows_tasks(options: dict[str, Any]) -> bool:
    linked = options.get("linkedUserFields", {})
    return options.get("isUseInUserfieldEnabled") == "Y" and linked.get("TASKS_TASK|UF_CRM_TASK") == "Y"


def owners_of(portal: Portal, row: Row) -> list[tuple[int, int]]:
    """entityTypeId and id of every item that the task is bound to and that exists."""
    owners = []
    for one in row["UF_CRM_TASK"]:
        prefix, _, number = one.rpartition("_")
        type_id = int(prefix[1:], 16) if prefix.startswith("T") else PREFIXES.get(prefix, 0)
        if type_id in portal.items and portal.items[type_id].get(int(number)) is not None:
            owners.append((type_id, int(number)))
    return owners


def mirror_activity(portal: Portal, row: Row) -> None:
    """A task stands among the activities of the items it is bound to (crm-activity-add.md, TYPE_ID 3)."""
    if not portal.switches.task_activities:
        return
    held = portal.activities.get(row.get("ACTIVITY_ID"))
    owners = owners_of(portal, row)
    if not owners:
        if held is not None:
            portal.activities.remove(held)
        return
    values: Row = {
        "SUBJECT": row["TITLE"],
        "RESPONSIBLE_ID": row["RESPONSIBLE_ID"],
        "DEADLINE": row["DEADLINE"],
        "END_TIME": row["DEADLINE"],
        "COMPLETED": "Y" if row["STATUS"] == COMPLETED else "N",
        "STATUS": 2 if row["STATUS"] == COMPLETED else 1,
        "LAST_UPDATED": row["CHANGED_DATE"],
    }
    if held is not None:
        held.update(values)
        portal.activities.rebind(held, owners)
        return
    fixed = {
        "OWNER_TYPE_ID": owners[0][0],
        "OWNER_ID": owners[0][1],
        "BINDINGS": owners,
        "TYPE_ID": TASK_ACTIVITY,
        "PROVIDER_ID": "CRM_TASKS_TASK",
        "PROVIDER_TYPE_ID": "TASKS_TASK",
        "ASSOCIATED_ENTITY_ID": row["ID"],
        "PRIORITY": 2,
        "DESCRIPTION": row["DESCRIPTION"],
        "AUTHOR_ID": row["CREATED_BY"],
        "EDITOR_ID": row["CREATED_BY"],
        "CREATED": row["CREATED_DATE"],
        "START_TIME": row["CREATED_DATE"],
        "SETTINGS": {},
        "COMMUNICATIONS": [],
        "FILES": [],
    }
    row["ACTIVITY_ID"] = portal.activities.add({**fixed, **values})["ID"]
