"""The inbox as people see it: events and jobs to list, retry, drop and replay; counts; retention."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, func, or_, select, update

from b24sync.clock import Clock
from b24sync.store.engine import Store
from b24sync.store.lanes import BEGUN, DEAD, DONE, DROPPED, WAITING, Lanes, Message
from b24sync.store.tables import inbox, lanes

DISPATCH = "dispatch"
"""The lane that the portal's events come in by."""
KEEP_DONE_S = 14 * 86400.0
KEEP_DEAD_S = 90 * 86400.0
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """A message of the inbox and how its lane stands.

    state: waiting | timer | running | retrying | done | dead | dropped; times in unix seconds.
    """

    id: int
    lane: str
    kind: str
    state: str
    run_at: float | None
    received_at: float
    finished_at: float | None
    folded: int
    tries: int
    message: str | None
    payload: dict[str, Any]


class Jobs:
    """The inbox of one portal."""

    def __init__(self, store: Store, portal: str, clock: Clock) -> None:
        self._store = store
        self._portal = portal
        self._lanes = Lanes(store, clock)

    def listed(
        self, *, events: bool = False, states: Sequence[str] = (), lane: str | None = None, limit: int = 100
    ) -> list[Job]:
        """Newest first. `events`: what the portal sent; else everything but that. `states` as stored."""
        chosen = [inbox.c.portal == self._portal]
        chosen.append(inbox.c.lane == DISPATCH if events else inbox.c.lane != DISPATCH)
        if states:
            chosen.append(inbox.c.state.in_(states))
        if lane is not None:
            chosen.append(inbox.c.lane == lane)
        return self._read(and_(*chosen), limit)

    def dead(self, limit: int = 100) -> list[Job]:
        """Dead letters, events included, newest first."""
        return self._read(and_(inbox.c.portal == self._portal, inbox.c.state == DEAD), limit)

    def get(self, job_id: int) -> Job | None:
        found = self._read(and_(inbox.c.portal == self._portal, inbox.c.id == job_id), 1)
        return found[0] if found else None

    def _read(self, chosen: Any, limit: int) -> list[Job]:
        on = and_(lanes.c.portal == inbox.c.portal, lanes.c.key == inbox.c.lane)
        query = select(inbox, lanes.c.owner).select_from(inbox.outerjoin(lanes, on)).where(chosen)
        with self._store.read() as connection:
            now = self._lanes.now(connection)
            return [_job(row, now) for row in connection.execute(query.order_by(inbox.c.id.desc()).limit(limit))]

    def retry(self, ids: Sequence[int]) -> list[int]:
        """Dead letters and dropped ones, from the first try on, before everything that waits in their lanes.

        Returns the ids that are to be done again; the others were not dead.
        """
        with self._store.write() as connection:
            rows = self._chosen(connection, ids, [DEAD, DROPPED])
            for row in rows:
                connection.execute(
                    update(inbox)
                    .where(inbox.c.id == row.id)
                    .values(state=BEGUN, run_at=0.0, tries=0, crashes=0, finished_at=None, message=None)
                )
                self._lanes.make_due(connection, self._portal, row.lane)
        return [row.id for row in rows]

    def drop(self, ids: Sequence[int]) -> list[int]:
        """What waits, backs off or is dead is never done. Returns the ids dropped; not those being done now."""
        with self._store.write() as connection:
            owned = select(lanes.c.key).where(lanes.c.portal == self._portal, lanes.c.owner.is_not(None))
            chosen = self._chosen(connection, ids, [WAITING, BEGUN, DEAD])
            at_work = set(connection.execute(owned).scalars())
            dropped = [row.id for row in chosen if row.state != BEGUN or row.lane not in at_work]
            connection.execute(
                update(inbox)
                .where(inbox.c.id.in_(dropped))
                .values(state=DROPPED, finished_at=self._lanes.now(connection))
            )
        return dropped

    def replay(self, ids: Sequence[int]) -> list[int]:
        """Events once more, as if the portal had sent them again. Returns the ids that are events."""
        with self._store.write() as connection:
            rows = [row for row in self._chosen(connection, ids, [DONE, DEAD, DROPPED]) if row.lane == DISPATCH]
            self._lanes.publish(
                connection, [Message(self._portal, DISPATCH, row.kind, json.loads(row.payload)) for row in rows]
            )
        return [row.id for row in rows]

    def _chosen(self, connection: Connection, ids: Sequence[int], states: Sequence[str]) -> list[Any]:
        mine = and_(inbox.c.portal == self._portal, inbox.c.id.in_(ids), inbox.c.state.in_(states))
        return list(connection.execute(select(inbox).where(mine).order_by(inbox.c.id)).all())

    def counts(self) -> dict[str, int]:
        """How many messages stand in which state: open ones and dead letters (what is done is not counted)."""
        open_or_dead = inbox.c.state.in_([WAITING, BEGUN, DEAD])
        query = select(inbox.c.state, func.count().label("n")).where(inbox.c.portal == self._portal, open_or_dead)
        with self._store.read() as connection:
            found = {row.state: row.n for row in connection.execute(query.group_by(inbox.c.state))}
        return {state: found.get(state, 0) for state in (WAITING, BEGUN, DEAD)}

    def forget_old(self) -> int:
        """Delete what was done or dropped 14 days ago, dead letters after 90, and lanes that stand empty."""
        deleted = 0
        while True:
            with self._store.write() as connection:
                now = self._lanes.now(connection)
                keep = inbox.c.finished_at < now - KEEP_DEAD_S
                old = or_(and_(inbox.c.finished_at < now - KEEP_DONE_S, inbox.c.state != DEAD), keep)
                some = select(inbox.c.id).where(inbox.c.portal == self._portal, old).limit(PAGE)
                count = connection.execute(delete(inbox).where(inbox.c.id.in_(some))).rowcount
                if not count:
                    # Safe to count epochs anew: the lane has no owner, so nobody holds a claim of it.
                    empty = and_(lanes.c.portal == self._portal, lanes.c.due_at.is_(None), lanes.c.owner.is_(None))
                    connection.execute(delete(lanes).where(empty))
                    return deleted
            deleted += count


def _job(row: Any, now: float) -> Job:
    state = row.state
    if state == BEGUN:
        state = "running" if row.owner is not None and row.run_at <= now else "retrying"
    elif state == WAITING and row.run_at > now:
        state = "timer"
    return Job(
        row.id,
        row.lane,
        row.kind,
        state,
        row.run_at or None,
        row.received_at,
        row.finished_at,
        row.folded,
        row.tries,
        row.message,
        json.loads(row.payload),
    )
