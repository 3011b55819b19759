"""Cases of the daemon: how fast events are taken in, what thousands of open processes cost."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.daemon import HERE, b24sync, configured, cpu_s, peak_mb, post, started
from bench.measure import Result

Say = Callable[[str], None]

CONNECTIONS = 32
EVENTS_PER_S = 2000.0
P99_LIMIT_S = 0.1
OPEN_PROCESSES = 16_000
MEMORY_LIMIT_MB = 120.0
IDLE_LIMIT = 0.03
BACK_LIMIT_S = 2.0


def intake(quick: bool, say: Say) -> list[Result]:
    """Durable events per second, the poster on the same two cores; beside it what one would write first."""
    seconds = 3.0 if quick else 10.0
    say(f"b24sync serve, {CONNECTIONS} connections, {seconds:g} s")
    with configured() as config, started(b24sync(config, "serve"), r"listens on (\S+)") as (_, url):
        ours = post(url, CONNECTIONS, seconds)
    say("a bare FastAPI receiver with one SQLite insert per request")
    bare_argv = [sys.executable, str(HERE / "bare_receiver.py")]
    with configured() as config, started([*bare_argv, str(config.parent / "bare.db")], r"(http\S+)") as (_, url):
        bare = post(url, CONNECTIONS, seconds)
    if ours["refused"] or bare["refused"]:
        raise RuntimeError(f"refused: {ours['refused']} by b24sync, {bare['refused']} by the bare receiver")
    return [
        # As time per 2,000 events, so that less is better as everywhere on the page.
        Result("b24sync: 2,000 durable events", "s", EVENTS_PER_S / ours["per_s"], 1.0, None, {"poster": ours}),
        Result("b24sync: 99 of 100 events answered within", "s", ours["p99"], P99_LIMIT_S, None, {}),
        Result("bare receiver: 2,000 durable events", "s", EVENTS_PER_S / bare["per_s"], None, None, {"poster": bare}),
        Result("bare receiver: 99 of 100 events answered within", "s", bare["p99"], None, None, {}),
    ]


def open_processes(quick: bool, say: Say) -> list[Result]:
    """16,000 deals that wait for their timers: a worker's memory, its idle time, and its return after kill -9."""
    count = 2_000 if quick else OPEN_PROCESSES
    watched_s = 5.0 if quick else 30.0
    say(f"{count:,} open processes, watched for {watched_s:g} s")
    with configured() as config:
        _plant(config.parent / "bench.db", count)
        with started(b24sync(config, "worker"), r"(works) on the lanes") as (worker, _):
            time.sleep(3.0)  # what a start costs is not idling
            before = cpu_s(worker.pid)
            time.sleep(watched_s)
            idle = (cpu_s(worker.pid) - before) / watched_s
            memory = peak_mb(worker.pid)
            worker.kill()
            worker.wait()
        _leave_a_job(config.parent / "bench.db")
        began = time.monotonic()
        with started(b24sync(config, "worker"), r"(works) on the lanes"):
            _wait_for_the_lane(config.parent / "bench.db")
            back_s = time.monotonic() - began
    name = f"{count:,} open processes"
    return [
        Result(f"{name}: memory of the worker", "MB", memory, MEMORY_LIMIT_MB),
        Result(f"{name}: idle worker", "of a core", idle, IDLE_LIMIT),
        Result(f"{name}: from the start after kill -9 to the first job done", "s", back_s, BACK_LIMIT_S),
    ]


def _plant(path: Path, count: int) -> None:
    """`count` deals with a timer each, an hour from now."""
    from b24sync.clock import SystemClock
    from b24sync.store.engine import open_store
    from b24sync.store.lanes import Lanes, Message

    store = open_store(f"sqlite:///{path}")
    due = time.time() + 3600
    Lanes(store, SystemClock()).publish_now(
        Message("main", f"deal:{number}", "first_call:check", {"task": number}, due) for number in range(count)
    )
    store.close()


def _leave_a_job(path: Path) -> None:
    """A job that came in while no worker was there."""
    from b24sync.clock import SystemClock
    from b24sync.store.engine import open_store
    from b24sync.store.lanes import Lanes, Message

    store = open_store(f"sqlite:///{path}")
    Lanes(store, SystemClock()).publish_now([Message("main", "cron:retention", "tick")])
    store.close()


def _wait_for_the_lane(path: Path) -> None:
    from b24sync.clock import SystemClock
    from b24sync.store.engine import open_store
    from b24sync.store.jobs import Jobs

    store = open_store(f"sqlite:///{path}")
    jobs = Jobs(store, "main", SystemClock())
    while not jobs.listed(states=["done"], lane="cron:retention", limit=1):
        time.sleep(0.01)
    store.close()
