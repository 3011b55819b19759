"""Tasks that processes made: their states and comments become causes of the items that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from b24sync.automation.causes import TASK_APPROVED, TASK_COMMENTED, TASK_COMPLETED, TASK_STARTED, Cause
from b24sync.automation.engine import Work
from b24sync.automation.looks import BUSY_AGAIN_S, BUSY_AT_MOST_S, look_at, look_message
from b24sync.automation.observe import Observer, Writer
from b24sync.automation.portals import TASK
from b24sync.automation.triggers import TASK_KINDS
from b24sync.clock import Clock
from b24sync.portal.tasks import COMPLETED, IN_PROGRESS, OVER, PENDING, comments_or_none
from b24sync.store.engine import Store
from b24sync.store.lanes import Lanes
from b24sync.store.ledger import busy_items
from b24sync.store.links import Link, Links
from b24sync.store.snapshots import Snapshot
from b24sync.transport.client import PortalClient

KEPT = ("status", "responsibleId", "deadline", "lastComment")


class TaskLooks:
    """Looks at tasks of one portal."""

    def __init__(self, store: Store, portal: str, clock: Clock, observer: Observer, lanes: Lanes) -> None:
        self._links = Links(store, portal)
        self._portal = portal
        self._clock = clock
        self._observer = observer
        self._lanes = lanes

    def look(self, client: PortalClient, wanted: Mapping[int, float], work: Work) -> None:
        """Read those tasks that processes wait for; with the moment since when each is waited for (0 = just now).

        Cost: one request per 50, one more per commented task."""
        linked = {task_id: self._links.to(TASK, task_id) for task_id in wanted}
        ids = [task_id for task_id, links in linked.items() if links]
        if not ids:
            return
        lasts = self._observer.snapshots.read(TASK, ids)
        look = look_at(client, self._observer.book, {TASK: ids})
        rows = look.rows[TASK]
        for task_id in ids:
            if task_id in rows and any(self._hears_comments(link) for link in linked[task_id]):
                rows[task_id]["lastComment"] = self._last_comment(client, rows[task_id])
        work.store(lambda connection: self._settle(connection, linked, rows, lasts, wanted))

    def _hears_comments(self, link: Link) -> bool:
        rule = self._observer.book.rule(link.process)
        return rule is not None and any(
            handler.trigger.kind == TASK_COMMENTED and link.step in handler.trigger.subjects(rule.params)
            for handler in rule.process.handlers
        )

    @staticmethod
    def _last_comment(client: PortalClient, task: Mapping[str, Any]) -> int:
        found = comments_or_none(client, task) or []
        return max((comment.id for comment in found), default=0)

    def _settle(
        self,
        connection: Connection,
        linked: Mapping[int, Sequence[Link]],
        rows: Mapping[int, Mapping[str, Any]],
        lasts: Mapping[int, Snapshot],
        wanted: Mapping[int, float],
    ) -> None:
        now = self._clock.wall_s()
        busy = busy_items(connection, self._portal, TASK)
        versions = self._observer.snapshots.versions(connection, TASK, list(rows))
        for task_id, row in rows.items():
            last, since = lasts.get(task_id), wanted[task_id] or now
            is_busy = task_id in busy and now - since <= BUSY_AT_MOST_S
            if is_busy or versions.get(task_id, 0) != (last.version if last else 0):
                again = look_message(self._portal, TASK, task_id, run_at=now + BUSY_AGAIN_S, since=since)
                self._lanes.publish(connection, [again])
                continue
            for link in linked[task_id]:
                self.take(connection, link, row, last, at=now, source="event")

    def take(
        self,
        connection: Connection,
        link: Link,
        row: Mapping[str, Any],
        last: Snapshot | None,
        *,
        at: float,
        source: str,
        writer: Writer | None = None,
    ) -> None:
        """Store a look at one task and the causes that follow from it."""
        before = last.fields if last is not None else {"status": PENDING}
        kinds = list(kinds_between(before, row))
        counts = self._observer.causes.counts(connection, link.entity, [link.entity_id], tuple(TASK_KINDS))
        so_far = counts.get(link.entity_id, {})
        found = [
            Cause(
                link.entity,
                link.entity_id,
                kind,
                link.step,
                so_far.get((kind, link.step), 0) + 1,
                before=before.get("status"),
                after=row.get("status"),
                process=link.process,
                portal_id=link.portal_id,
            )
            for kind in kinds
        ]
        fields = {**before, **{name: row[name] for name in KEPT if name in row}}
        snapshot = Snapshot(int(link.portal_id), fields, last.version if last else 0)
        self._observer.snapshots.save(connection, TASK, [snapshot], at)
        self._observer.raise_causes(connection, found, source=source, at=at, writer=writer)


def kinds_between(before: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    """What happened between two looks; steps that were passed in between count (design 6)."""
    was, status = before.get("status"), row.get("status")
    if status != was:
        if status == IN_PROGRESS:
            yield TASK_STARTED
        if status in OVER and was not in OVER:
            yield TASK_COMPLETED
        if status == COMPLETED and (was in OVER or row.get("controlled")):
            yield TASK_APPROVED
    if (row.get("lastComment") or 0) > (before.get("lastComment") or 0):
        yield TASK_COMMENTED
