"""`ctx.tasks`: tasks of a process, each made once per cause and found again by its link or its tag."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from b24sync.automation.causes import comparable
from b24sync.automation.items import Item
from b24sync.automation.params import User
from b24sync.automation.portals import TASK, type_id_of
from b24sync.bulk.acts import Made, Sending
from b24sync.portal import tasks as portal_tasks
from b24sync.portal.tasks import OVER, Comment
from b24sync.store.ledger import SETS, set_key
from b24sync.store.links import Link
from b24sync.store.snapshots import Snapshot

if TYPE_CHECKING:
    from b24sync.automation.context import Context


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the process. `row`: as last read (`status`, `responsibleId`, `deadline`, `chatId`, ...)."""

    id: int
    link: Link
    row: Mapping[str, Any]

    @property
    def step(self) -> str:
        return self.link.step

    @property
    def open(self) -> bool:
        return self.row.get("status") not in OVER


class Tasks:
    """Tasks about the item of a job."""

    def __init__(self, context: Context) -> None:
        self._ctx = context

    def ensure(
        self,
        step: str,
        *,
        title: str,
        responsible: User | int | None,
        about: Item | Sequence[Item] = (),
        deadline: datetime | timedelta | None = None,
        description: str = "",
        group: int | None = None,
        **fields: Any,
    ) -> int:
        """The task of this step for this cause, made if need be; its id.

        `about`: items that it is bound to. `fields`: more of `tasks.task.add`, in the portal's names
        (`TASK_CONTROL="Y"`, `AUDITORS=[...]`). Cost: one request the first time.
        """
        ctx = self._ctx
        key = ctx.key(f"task:{step}")
        tag = f"b24sync-{hashlib.sha256(key.encode()).hexdigest()[:20]}"
        values = self._values(title, responsible, about, deadline, description, group, tag) | fields

        def find() -> Made | None:
            found = portal_tasks.find_by_tag(ctx.client, tag)
            return Made(found) if found else None

        def make(sending: Sending) -> Made:
            return Made(portal_tasks.add_task(ctx.client, values, before_send=sending))

        def store(connection: Connection, made: Made) -> None:
            ctx.links.save([ctx.link(step, TASK, made.portal_id)], connection)
            fresh = Snapshot(int(made.portal_id), {"status": portal_tasks.PENDING, "lastComment": 0})
            ctx.site.observer.snapshots.save(connection, TASK, [fresh], ctx.client.clock.wall_s())

        who = values.get("RESPONSIBLE_ID")
        text = f"task «{title}» for user {who}" + (f", due {values['DEADLINE']}" if "DEADLINE" in values else "")
        return int(ctx.act(TASK, key, "task", text, find=find, make=make, store=store))

    def _values(
        self,
        title: str,
        responsible: User | int | None,
        about: Item | Sequence[Item],
        deadline: datetime | timedelta | None,
        description: str,
        group: int | None,
        tag: str,
    ) -> dict[str, Any]:
        items = [about] if isinstance(about, Item) else list(about)
        values: dict[str, Any] = {
            "TITLE": title,
            "RESPONSIBLE_ID": responsible.id if isinstance(responsible, User) else responsible,
            "TAGS": [tag],
            "UF_CRM_TASK": [portal_tasks.binding(type_id_of(item.entity) or 0, item.id) for item in items],
        }
        if deadline is not None:
            values["DEADLINE"] = self._moment(deadline)
        if description:
            values["DESCRIPTION"] = description
        if group is not None:
            values["GROUP_ID"] = group
        return values

    def _moment(self, deadline: datetime | timedelta | str) -> str:
        if isinstance(deadline, timedelta):
            deadline = self._ctx.in_time(deadline)
        return deadline if isinstance(deadline, str) else deadline.isoformat(timespec="seconds")

    def open(self, step: str) -> Task | None:
        """The latest task of a step that is not over. Cost: one request where the step has a task."""
        task = self._latest(step)
        if task is not None and not task.open:
            self._complete(task)  # by us, maybe, and late: the outcome is still to be noted
            return None
        return task

    def get(self, link: Link) -> Task | None:
        """A task by its link; None when it is gone. Cost: one request."""
        row = portal_tasks.read_task(self._ctx.client, link.portal_id)
        return Task(int(link.portal_id), link, row) if row is not None else None

    def complete(self, task: Task | str) -> None:
        """Finish a task that is not over: a task, or the latest one of a step."""
        self._ctx.acted = True
        found = self.open(task) if isinstance(task, str) else task
        if found is not None:
            self._complete(found)

    def _complete(self, task: Task) -> None:
        ctx = self._ctx
        key = set_key(TASK, task.id, ctx.key("complete"))
        if not (task.open or ctx.acts.is_open(SETS, key)):
            return

        def find() -> Made | None:
            row = portal_tasks.read_task(ctx.client, task.id)
            return Made(str(task.id), row) if row is not None and row["status"] in OVER else None

        def make(sending: Sending) -> Made:
            return Made(str(task.id), portal_tasks.complete_task(ctx.client, task.id, before_send=sending))

        def store(connection: Connection, made: Made) -> None:
            at = ctx.client.clock.wall_s()
            last = ctx.site.observer.snapshots.read(TASK, [task.id], connection).get(task.id)
            row = made.answer or {}
            ctx.site.tasks.take(connection, task.link, row, last, at=at, source="own", writer=ctx.writer)

        ctx.act(
            SETS, key, "task", f"finish task {task.id} «{task.row.get('title')}»", find=find, make=make, store=store
        )

    def set_deadline(self, task: Task | str, deadline: datetime | timedelta | str) -> None:
        """Move the deadline of a task, or of the open one of a step, if it is another one."""
        ctx, moment = self._ctx, self._moment(deadline)
        ctx.acted = True
        found = self.open(task) if isinstance(task, str) else task
        if found is not None:
            self._set_deadline(found, moment)

    def _set_deadline(self, task: Task, moment: str) -> None:
        ctx = self._ctx
        key = set_key(TASK, task.id, ctx.key(f"deadline:{moment}"))
        if comparable(task.row.get("deadline")) == comparable(moment) and not ctx.acts.is_open(SETS, key):
            return

        def find() -> Made | None:
            row = portal_tasks.read_task(ctx.client, task.id)
            held = row is not None and comparable(row.get("deadline")) == comparable(moment)
            return Made(str(task.id)) if held else None

        def make(sending: Sending) -> Made:
            portal_tasks.update_task(ctx.client, task.id, {"DEADLINE": moment}, before_send=sending)
            return Made(str(task.id))

        ctx.act(SETS, key, "task", f"deadline of task {task.id} to {moment}", find=find, make=make)

    def comments(self, task: Task | str) -> list[Comment]:
        """The latest comments, of either card, on a task or on the latest one of a step. Cost: one request or two."""
        found = self._latest(task) if isinstance(task, str) else task
        return portal_tasks.comments(self._ctx.client, found.row) if found is not None else []

    def has_comment_with_files(self, task: Task | str) -> bool:
        """Whether somebody has commented it with a file. Cost: as `comments`."""
        return any(comment.file_ids for comment in self.comments(task))

    def _latest(self, step: str) -> Task | None:
        """The latest task of a step that there is, over or not."""
        return next(filter(None, map(self.get, reversed(self._links(step)))), None)

    def _links(self, step: str) -> list[Link]:
        ctx = self._ctx
        links = ctx.links.of_entity(ctx.cause.entity, ctx.cause.entity_id, ctx.rule.name)
        return sorted((link for link in links if link.kind == TASK and link.step == step), key=lambda link: link.n)
