"""Nights of the recount: one moment `as_of` for all that is written between two ticks of the schedule."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from b24sync.clock import Clock
from b24sync.store.engine import Store
from b24sync.store.owners import this_owner
from b24sync.store.tables import nights

RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"


@dataclass(frozen=True, slots=True)
class Night:
    """`resumed`: an earlier run began it, and this one goes on with its `as_of` (unix seconds)."""

    id: int
    as_of: float
    resumed: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """What one run did: deals looked at, those whose fields differed, those written, those refused."""

    seen: int = 0
    changed: int = 0
    written: int = 0
    refused: int = 0


class Nights:
    """Nights of one portal. A night that was killed, stopped or finished is gone on with until the next begins."""

    def __init__(self, store: Store, portal: str, clock: Clock) -> None:
        self._store = store
        self._portal = portal
        self._clock = clock

    def begin(self, since: float) -> Night:
        """The night that began at or after `since` (the schedule's last tick), or a new one as of now."""
        now = self._clock.wall_s()
        running = {"state": RUNNING, "owner": this_owner(self._clock), "finished_at": None, "message": None}
        with self._store.write() as connection:
            known = self._known(connection, since, now)
            if known is not None:
                connection.execute(update(nights).where(nights.c.id == known.id).values(**running))
                return known
            fresh = {"portal": self._portal, "as_of": now, "started_at": now, **running}
            counts = {"seen": 0, "changed": 0, "written": 0, "refused": 0}
            key = connection.execute(nights.insert().values(**fresh, **counts)).inserted_primary_key
            assert key is not None  # a table with one counted primary key
            return Night(int(key[0]), now, resumed=False)

    def look(self, since: float) -> Night:
        """What `begin` would give, without beginning it: for a dry run."""
        now = self._clock.wall_s()
        with self._store.read() as connection:
            return self._known(connection, since, now) or Night(0, now, resumed=False)

    def _known(self, connection: Connection, since: float, now: float) -> Night | None:
        row = connection.execute(
            select(nights.c.id, nights.c.as_of)
            .where(nights.c.portal == self._portal, nights.c.as_of >= since, nights.c.as_of <= now)
            .order_by(nights.c.id.desc())
            .limit(1)
        ).one_or_none()
        return None if row is None else Night(row.id, row.as_of, resumed=True)

    def end(self, night: Night, state: str, tally: Tally, message: str | None = None) -> None:
        """Record what this run did; `written` and `refused` add up over the runs of a night."""
        with self._store.write() as connection:
            connection.execute(
                update(nights)
                .where(nights.c.id == night.id)
                .values(
                    state=state,
                    finished_at=self._clock.wall_s(),
                    seen=tally.seen,
                    changed=tally.changed,
                    written=nights.c.written + tally.written,
                    refused=nights.c.refused + tally.refused,
                    message=message,
                )
            )
