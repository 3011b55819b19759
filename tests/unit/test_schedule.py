"""Cron lines: one tick in its lane, missed ones as one, never two at a time, clock jumps survived."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from fixed_clock import FixedClock
from sqlalchemy import select

from b24sync.automation.engine import Engine, Handler, Work
from b24sync.automation.schedule import TICK, Crons, Schedule
from b24sync.errors import ConfigError
from b24sync.store.engine import Store
from b24sync.store.tables import crons, inbox

MOSCOW = ZoneInfo("Europe/Moscow")
NIGHT = "0 2 * * *"


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


@pytest.fixture
def clock(any_clock: FixedClock) -> FixedClock:
    """Noon in Moscow."""
    any_clock.wall = datetime(2026, 3, 2, 12, tzinfo=MOSCOW).timestamp()
    return any_clock


def line(text: str, name: str = "recount") -> Schedule:
    return Schedule("main", name, text, MOSCOW)


def set_up(store: Store, clock: FixedClock, *schedules: Schedule) -> Crons:
    made = Crons(store, clock, schedules)
    made.set_up()
    return made


def ticks(store: Store) -> list[tuple[str, str]]:
    with store.read() as connection:
        return [(row.lane, row.state) for row in connection.execute(select(inbox).order_by(inbox.c.id))]


def next_at(store: Store) -> dict[str, str]:
    with store.read() as connection:
        rows = connection.execute(select(crons))
        return {row.name: datetime.fromtimestamp(row.next_at, MOSCOW).isoformat(" ", "minutes")[:16] for row in rows}


def test_a_line_ticks_at_its_time_in_the_portals_zone_and_sets_its_next_one(store: Store, clock: FixedClock) -> None:
    made = set_up(store, clock, line(NIGHT))
    assert next_at(store) == {"recount": "2026-03-03 02:00"}
    clock.pass_time(13 * 3600)
    assert made.tick() == 0
    clock.pass_time(3600)
    assert made.tick() == 1
    assert (ticks(store), next_at(store)) == ([("cron:recount", "waiting")], {"recount": "2026-03-04 02:00"})
    assert made.tick() == 0


def test_an_interval_ticks_at_once_and_then_every_so_often(store: Store, clock: FixedClock) -> None:
    made = set_up(store, clock, line("10m", "sweep"))
    assert made.tick() == 1
    clock.pass_time(599)
    assert made.tick() == 0
    clock.pass_time(2)
    assert made.tick() == 1


def test_ticks_that_were_missed_are_one_tick(store: Store, clock: FixedClock) -> None:
    made = set_up(store, clock, line(NIGHT), line("10m", "sweep"))
    clock.pass_time(5 * 86400)
    assert made.tick() == 2
    assert made.tick() == 0
    assert sorted(ticks(store)) == [("cron:recount", "waiting"), ("cron:sweep", "waiting")]
    assert next_at(store)["recount"] == "2026-03-08 02:00"


def test_of_two_workers_one_publishes_the_tick(store: Store, clock: FixedClock) -> None:
    workers = [set_up(store, clock, line(NIGHT)) for _ in range(2)]
    clock.pass_time(86400)
    with store.read() as connection:
        [row] = connection.execute(select(crons)).all()
    assert [worker._publish("main", "recount", row.next_at, clock.wall) for worker in workers] == [True, False]
    assert ticks(store) == [("cron:recount", "waiting")]


def test_a_tick_waits_for_the_one_that_runs_and_more_of_them_are_one(store: Store, clock: FixedClock) -> None:
    made = set_up(store, clock, line("10m", "recount"))
    together: list[bool] = []

    def recount(work: Work) -> None:
        for _ in range(3):
            clock.pass_time(601)
            made.tick()
            together.append(engine.run_lane("main", "cron:recount"))

    engine = Engine(store, clock, {"cron:recount": Handler(recount)})
    made.tick()
    assert engine.run_lane("main", "cron:recount")
    assert together == [False, False, False], "never two at a time"
    assert ticks(store) == [("cron:recount", "done"), ("cron:recount", "waiting")]


def test_a_changed_line_counts_from_now_and_one_that_is_gone_is_forgotten(store: Store, clock: FixedClock) -> None:
    set_up(store, clock, line(NIGHT), line("10m", "sweep"))
    made = set_up(store, clock, line("0 3 * * *"))
    assert next_at(store) == {"recount": "2026-03-03 03:00"}
    assert made.tick() == 0


@pytest.mark.parametrize(("text", "hours_late"), [("10m", 0.2), ("*/5 * * * *", 0.1), (NIGHT, 14.1)])
def test_a_clock_set_back_by_an_hour_does_not_stop_a_line(
    store: Store, clock: FixedClock, text: str, hours_late: float
) -> None:
    made = set_up(store, clock, line(text))
    made.tick()
    before = len(ticks(store))
    clock.wall -= 3600
    made.mend_clock()
    clock.pass_time(hours_late * 3600 + (3600 if text == NIGHT else 0))
    assert made.tick() == 1
    assert len(ticks(store)) >= before


def test_a_clock_set_back_does_not_run_a_night_twice(store: Store, clock: FixedClock) -> None:
    made = set_up(store, clock, line(NIGHT))
    clock.pass_time(14.5 * 3600)
    assert made.tick() == 1
    clock.wall -= 3600
    made.mend_clock()
    clock.pass_time(3 * 3600)
    assert made.tick() == 0


@pytest.mark.parametrize("text", ["", "never", "61 * * * *", "10 m", "* * * *", "0 0 31 2 *"])
def test_a_line_that_cannot_be_read_is_a_mistake_of_the_configuration(text: str) -> None:
    with pytest.raises(ConfigError, match="recount"):
        line(text)


def test_a_tick_says_when_it_was_planned(store: Store, clock: FixedClock) -> None:
    made = set_up(store, clock, line(NIGHT))
    clock.pass_time(86400)
    made.tick()
    with store.read() as connection:
        row = connection.execute(select(inbox)).one()
    assert row.kind == TICK
    assert "planned_at" in row.payload
