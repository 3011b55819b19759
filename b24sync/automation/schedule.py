"""Cron lines: a line that is due puts one tick into its lane, `cron:<name>` (design 7).

    Schedule("main", "recount", "0 2 * * *", ZoneInfo("Europe/Moscow"))   a cron line, in the portal's zone
    Schedule("main", "sweep", "10m", ...)                                 every ten minutes, first at once

The next time is set by compare-and-set, so that one of several workers publishes the tick. Ticks that were
missed are one tick; a tick that finds its lane at work waits for it, and more of them fold into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from sqlalchemy import delete, select, update

from b24sync.clock import Clock
from b24sync.config import seconds_of
from b24sync.errors import ConfigError
from b24sync.store.engine import Store
from b24sync.store.lanes import Lanes, Message
from b24sync.store.tables import crons

TICK = "tick"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One line. Raises ConfigError for a line that cannot be read."""

    portal: str
    name: str
    line: str
    zone: ZoneInfo

    def __post_init__(self) -> None:
        try:
            self.after(0.0)
        except (CronSimError, ValueError, StopIteration) as error:
            raise ConfigError(f"The schedule of {self.name} cannot be read: {self.line!r}: {error}.") from None

    def first(self, now: float) -> float:
        """When a line that is new ticks first: an interval at once, a cron line at its next time."""
        return self.after(now) if self._interval_s is None else now

    def after(self, now: float) -> float:
        """The next tick after `now`, in unix seconds."""
        if self._interval_s is not None:
            return now + self._interval_s
        return next(CronSim(self.line, datetime.fromtimestamp(now, self.zone))).timestamp()

    @property
    def _interval_s(self) -> float | None:
        try:
            return seconds_of(self.line)
        except ValueError:
            return None


class Crons:
    """The schedules of this process, with their next times in the store."""

    def __init__(self, store: Store, clock: Clock, schedules: Sequence[Schedule]) -> None:
        self._store = store
        self._lanes = Lanes(store, clock)
        self._schedules = {(schedule.portal, schedule.name): schedule for schedule in schedules}

    def set_up(self) -> None:
        """Store what is new or changed; forget lines of our portals that are no longer configured."""
        portals = {portal for portal, _ in self._schedules}
        with self._store.write() as connection:
            now = self._lanes.now(connection)
            stored = {(row.portal, row.name): row for row in connection.execute(select(crons))}
            for key, schedule in self._schedules.items():
                if key in stored and stored[key].line == schedule.line:
                    continue
                values = {"line": schedule.line, "next_at": schedule.first(now)}
                insert = self._store.insert(crons).values(portal=schedule.portal, name=schedule.name, **values)
                connection.execute(insert.on_conflict_do_update(index_elements=["portal", "name"], set_=values))
            for portal, name in stored.keys() - self._schedules.keys():
                if portal in portals:
                    connection.execute(delete(crons).where(crons.c.portal == portal, crons.c.name == name))

    def tick(self) -> int:
        """Publish what is due; how many ticks were ours."""
        with self._store.read() as connection:
            now = self._lanes.now(connection)
            due = connection.execute(select(crons).where(crons.c.next_at <= now)).all()
        return sum(self._publish(row.portal, row.name, row.next_at, now) for row in due)

    def _publish(self, portal: str, name: str, planned_at: float, now: float) -> bool:
        schedule = self._schedules.get((portal, name))
        if schedule is None:
            return False
        with self._store.write() as connection:
            won = connection.execute(
                update(crons)
                .where(crons.c.portal == portal, crons.c.name == name, crons.c.next_at == planned_at)
                .values(next_at=schedule.after(now))
            ).rowcount
            if won:
                self._lanes.publish(connection, [Message(portal, f"cron:{name}", TICK, {"planned_at": planned_at})])
        return bool(won)

    def mend_clock(self) -> None:
        """After a jump of the clock back: a line whose next time is more than one tick ahead gets a near one."""
        with self._store.write() as connection:
            now = self._lanes.now(connection)
            for key, schedule in self._schedules.items():
                mine = crons.c.portal == key[0], crons.c.name == key[1]
                near = schedule.after(now)
                connection.execute(
                    update(crons).where(*mine, crons.c.next_at > schedule.after(near)).values(next_at=near)
                )
