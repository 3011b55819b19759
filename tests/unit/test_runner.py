"""The local runner, with real threads and a real clock: waking, stopping, jobs that loop, processes that die."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from migrated_store import migrated_store
from sqlalchemy import select

from b24sync.automation import runner as runner_module
from b24sync.automation.engine import Handler, Work
from b24sync.automation.runner import LocalRunner
from b24sync.automation.schedule import Crons, Schedule
from b24sync.clock import SystemClock
from b24sync.errors import RetryLater
from b24sync.store.engine import Store
from b24sync.store.jobs import Jobs
from b24sync.store.lanes import LEASE_S, Lanes, Message
from b24sync.store.tables import crons

WAIT_S = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = migrated_store(tmp_path)
    yield opened
    opened.close()


@contextmanager
def running(
    store: Store, handlers: Mapping[str, Handler], *, stop: threading.Event | None = None, **options: Any
) -> Iterator[LocalRunner]:
    clock = SystemClock()
    made = LocalRunner(store, clock, handlers, Crons(store, clock, []), ["main"], **options)
    stop = stop or threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join(WAIT_S)
        assert not thread.is_alive()


def publish(store: Store, lane: str, *kinds: str) -> None:
    Lanes(store, SystemClock()).publish_now([Message("main", lane, kind) for kind in kinds])


def states(store: Store) -> dict[str, str]:
    return {f"{job.lane} {job.kind}": job.state for job in Jobs(store, "main", SystemClock()).listed()}


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until, "it did not come to this"
        time.sleep(0.01)


def test_what_another_process_publishes_is_found_and_done_in_order(store: Store) -> None:
    got: list[str] = []
    with running(store, {"deal": Handler(lambda work: got.append(work.message.kind))}):
        publish(store, "deal:1", "a", "b", "c")
        wait_until(lambda: got == ["a", "b", "c"])


def test_lanes_run_beside_each_other(store: Store) -> None:
    both = threading.Barrier(2, timeout=WAIT_S)
    with running(store, {"deal": Handler(lambda work: both.wait())}):
        publish(store, "deal:1", "a")
        publish(store, "deal:2", "a")
        wait_until(lambda: list(states(store).values()) == ["done", "done"])


def test_a_job_that_loops_or_raises_stops_only_its_own_lane(store: Store) -> None:
    def run(work: Work) -> None:
        if work.message.kind == "loops":
            while True:
                try:
                    sum(range(1000))
                except Exception:  # noqa: BLE001 - what a careless rule does
                    continue
        if work.message.kind == "raises":
            raise KeyError("no such field")

    handlers = {"item": Handler(run, limit_s=1.0, max_tries=1), "deal": Handler(run, max_tries=1)}
    with running(store, handlers, threads=3):
        publish(store, "item:1", "loops", "after it")
        publish(store, "deal:2", "raises", "after it")
        publish(store, "deal:3", *map(str, range(30)))
        wait_until(lambda: set(states(store).values()) == {"done", "dead"})
    dead = {name for name, state in states(store).items() if state == "dead"}
    assert dead == {"item:1 loops", "deal:2 raises"}
    messages = [job.message or "" for job in Jobs(store, "main", SystemClock()).dead()]
    assert "ran longer than it may" in " ".join(messages)
    assert "KeyError: 'no such field'" in " ".join(messages)


def test_a_job_that_cannot_be_interrupted_loses_its_lane_and_the_process_asks_to_be_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "STUCK_S", 0.2)
    release = threading.Event()
    clock = SystemClock()
    handlers = {"deal": Handler(lambda work: release.wait(WAIT_S), limit_s=0.1, max_tries=1)}
    made = LocalRunner(store, clock, handlers, Crons(store, clock, []), ["main"])
    publish(store, "deal:1", "stuck in C")
    try:
        assert made.run(threading.Event()) is False
        assert states(store) == {"deal:1 stuck in C": "dead"}
    finally:
        release.set()


def test_a_stop_lets_what_is_being_done_end_and_begins_nothing_more(store: Store) -> None:
    begun, stop = threading.Event(), threading.Event()

    def run(work: Work) -> None:
        begun.set()
        assert stop.wait(WAIT_S)
        time.sleep(0.3)

    with running(store, {"deal": Handler(run)}, stop=stop):
        publish(store, "deal:1", "a", "b")
        assert begun.wait(WAIT_S)
    assert states(store) == {"deal:1 a": "done", "deal:1 b": "waiting"}


def test_a_batch_handler_gets_what_gathers(store: Store) -> None:
    got: list[int] = []
    begun, release = threading.Event(), threading.Event()

    def run(work: Work) -> None:
        got.append(len(work.messages))
        begun.set()
        assert release.wait(WAIT_S)

    with running(store, {"dispatch": Handler(run, batch=100)}):
        publish(store, "dispatch", "first")
        assert begun.wait(WAIT_S)
        for number in range(60):
            publish(store, "dispatch", str(number))
        release.set()
        wait_until(lambda: sum(got) == 61)
    assert got == [1, 60]


DYING = """
import os, sys, threading, time
from b24sync.automation.engine import Handler
from b24sync.automation.runner import LocalRunner
from b24sync.automation.schedule import Crons
from b24sync.clock import SystemClock
from b24sync.store.engine import open_store
store, clock = open_store(sys.argv[1]), SystemClock()
def run(work):
    print("begun", flush=True)
    time.sleep(60)
LocalRunner(store, clock, {"deal": Handler(run)}, Crons(store, clock, []), ["main"]).run(threading.Event())
"""


def test_the_lanes_of_a_killed_process_come_back_at_once(store: Store) -> None:
    publish(store, "deal:1", "a", "b")
    got: list[tuple[str, int]] = []
    with subprocess.Popen([sys.executable, "-c", DYING, store.url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        with running(store, {"deal": Handler(lambda work: got.append((work.message.kind, work.message.crashes)))}):
            time.sleep(0.5)
            assert got == [], "it lives and has the lane"
            process.kill()
            process.wait(WAIT_S)
            wait_until(lambda: len(got) == 2)
            assert WAIT_S < LEASE_S, "no lease is waited for"
    assert got == [("a", 1), ("b", 0)]


def test_a_store_that_is_locked_for_a_while_ends_no_job_and_no_worker(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from b24sync.automation import engine as engine_module
    from b24sync.store import engine as store_module

    for module in (engine_module, runner_module):
        monkeypatch.setattr(module, "STORE_PAUSE_S", 0.1)
    begun, release = threading.Event(), threading.Event()

    def run(work: Work) -> None:
        begun.set()
        release.wait(WAIT_S)

    with running(store, {"deal": Handler(run)}) as made:
        publish(store, "deal:1", "a", "b")
        assert begun.wait(WAIT_S)
        with store.write():
            monkeypatch.setattr(store_module, "BUSY_TIMEOUT_S", 0.1)
            release.set()
            time.sleep(1.0)
            assert states(store)["deal:1 a"] == "running", "it cannot be ended yet"
        wait_until(lambda: list(states(store).values()) == ["done", "done"])
        made.wake()


def test_a_portal_does_not_take_all_threads(store: Store) -> None:
    release = threading.Event()
    got: list[str] = []

    def run(work: Work) -> None:
        if work.portal == "slow":
            release.wait(WAIT_S)
        got.append(work.portal)

    clock = SystemClock()
    lanes = Lanes(store, clock)
    lanes.publish_now([Message("slow", f"deal:{number}", "a") for number in range(20)])
    lanes.publish_now([Message("quick", "deal:1", "a")])
    made = LocalRunner(store, clock, {"deal": Handler(run)}, Crons(store, clock, []), ["slow", "quick"], threads=4)
    stop = threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: got == ["quick"])
    finally:
        release.set()
        stop.set()
        thread.join(WAIT_S)


class SetClock(SystemClock):
    """The machine's clock, until somebody sets it."""

    offset_s = 0.0

    def wall_s(self) -> float:
        return super().wall_s() + self.offset_s


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_by_an_hour_stops_nothing(store: Store, jump_s: float) -> None:
    clock = SetClock()
    got: list[str] = []
    failed = threading.Event()

    def run(work: Work) -> None:
        if work.message.kind == "backs off" and not failed.is_set():
            failed.set()
            raise RetryLater("not yet", retry_after_s=120)
        got.append(work.message.kind)

    lanes = Lanes(store, clock)
    schedule = Schedule("main", "sweep", "10m", ZoneInfo("Europe/Moscow"))
    handlers = {"deal": Handler(run), "cron": Handler(lambda work: got.append("tick"))}
    made = LocalRunner(store, clock, handlers, Crons(store, clock, [schedule]), ["main"])
    stop = threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    try:
        lanes.publish_now([Message("main", "deal:1", "backs off")])
        wait_until(lambda: failed.is_set() and got == ["tick"] and states(store)["deal:1 backs off"] == "retrying")
        clock.offset_s = jump_s
        wait_until(lambda: "backs off" in got)
        lanes.publish_now([Message("main", "deal:2", "new")])
        wait_until(lambda: "new" in got)
        with store.read() as connection:
            next_at = connection.execute(select(crons.c.next_at)).scalar_one()
        assert next_at - clock.wall_s() < 2 * 600, "the next tick is near again"
    finally:
        stop.set()
        thread.join(WAIT_S)
