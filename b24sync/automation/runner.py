"""The local runner: runs due lanes in a few threads, with a watch on jobs that do not end (design 7).

One loop, woken by `wake()` (the publisher's process writes to our standard input) and otherwise looking every
0.2 s for what other processes wrote. A lane that loops or raises stops only itself: after its handler's limit
the job is interrupted, which is a failed try; one that cannot be interrupted gives up its lane and the process
asks to be replaced (`run` returns False, as when a stop did not wait for the last job's end).
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from b24sync.automation.engine import Engine, Handler, TookTooLong
from b24sync.automation.schedule import Crons
from b24sync.clock import Clock
from b24sync.errors import StoreError
from b24sync.store.engine import Store
from b24sync.store.lanes import LEASE_S, Claim, DueLane, LaneLost

LOG = logging.getLogger("b24sync.runner")

POLL_S = 0.2
THREADS = 8
STOP_S = 30.0
"""How long a stop waits for what is being done."""
GATHER_S = 0.1
"""A lane whose handler takes batches rests that long after one: meanwhile a batch gathers, and the disk is free."""
STUCK_S = 30.0
"""How long an interrupted job may take to end."""
STORE_PAUSE_S = 2.0
CRON_EVERY_S = 1.0
BEAT_EVERY_S = 5.0
JUMP_S = 30.0
"""A wall clock that moves by more than this against the boot clock was set by somebody."""


@dataclass(slots=True)
class _Job:
    claim: Claim
    handler: Handler
    thread: int
    started_s: float
    interrupted_s: float | None = None


class LocalRunner:
    """Runs the lanes of `portals`. `handlers`, `schedules`: see `engine.py`, `schedule.py`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        handlers: Mapping[str, Handler],
        crons: Crons,
        portals: Sequence[str],
        *,
        threads: int = THREADS,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.engine = Engine(store, clock, handlers, on_begin=self._begun, on_end=self._ended)
        self._clock = clock
        self._crons = crons
        self._portals = list(portals)
        self._threads = threads
        self._beat = beat
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._running: set[DueLane] = set()
        self._resting: dict[DueLane, float] = {}
        self._jobs: dict[tuple[str, int], _Job] = {}
        self._stuck = 0
        self._due_at: dict[str, float] = {}
        self._offset_s = clock.wall_s() - clock.boot_s()

    def wake(self) -> None:
        """Look at once: something was published."""
        self._wake.set()

    def run(self, stop: threading.Event) -> bool:
        """Work until `stop`; False = a job is still at it, so this process has to be ended the hard way."""
        pool = ThreadPoolExecutor(self._threads, "lane")
        self._mend_clock()
        self._crons.set_up()
        try:
            while not stop.is_set() and not self._stuck:
                try:
                    self._step(pool)
                except StoreError as error:
                    LOG.error("the store cannot be used, again in %.0f s: %s", STORE_PAUSE_S, error)  # noqa: TRY400
                    stop.wait(STORE_PAUSE_S)
                self._wake.wait(POLL_S)
                self._wake.clear()
        finally:
            ended = self._wait_for_jobs()
            pool.shutdown(wait=ended, cancel_futures=True)
        return ended

    def _step(self, pool: ThreadPoolExecutor) -> None:
        if self._every("cron", CRON_EVERY_S):
            self._crons.tick()
            if self._every("beat", BEAT_EVERY_S):
                self._beat()
            if abs(self._clock.wall_s() - self._clock.boot_s() - self._offset_s) > JUMP_S:
                self._mend_clock()
        if self._jobs:
            self._watch()
            if self._every("lease", LEASE_S / 3):
                self.engine.lanes.renew()
        for lane in self._next_lanes():
            with self._lock:
                self._running.add(lane)
            pool.submit(self._run_lane, lane)

    def _next_lanes(self) -> list[DueLane]:
        """As many due lanes as there are free threads; no portal takes more than three quarters of them."""
        with self._lock:
            running = set(self._running)
        free = self._threads - len(running)
        if free <= 0:
            return []
        most = self._threads if len(self._portals) == 1 else max(1, self._threads * 3 // 4)
        used = Counter(lane.portal for lane in running)
        chosen: list[DueLane] = []
        for lane in self.engine.lanes.due(self._portals, limit=len(running) + self._threads * 8):
            if lane in running or used[lane.portal] >= most or self._rests(lane):
                continue
            chosen.append(lane)
            used[lane.portal] += 1
            if len(chosen) == free:
                break
        return chosen

    def _rests(self, lane: DueLane) -> bool:
        until = self._resting.get(lane)
        if until is None:
            return False
        if self._clock.boot_s() < until:
            return True
        del self._resting[lane]
        return False

    def _run_lane(self, lane: DueLane) -> None:
        try:
            self.engine.run_lane(lane.portal, lane.key)
        except StoreError as error:
            LOG.error("portal=%s lane=%s: %s", lane.portal, lane.key, error)  # noqa: TRY400
            self._clock.sleep(STORE_PAUSE_S)
        except Exception:
            LOG.exception("portal=%s lane=%s: a fault of b24sync", lane.portal, lane.key)
            self._clock.sleep(STORE_PAUSE_S)
        finally:
            with self._lock:
                self._running.discard(lane)
                if self.engine.handler_of(lane.key).batch > 1:
                    self._resting[lane] = self._clock.boot_s() + GATHER_S
            self._wake.set()

    def _every(self, what: str, seconds: float) -> bool:
        now = self._clock.boot_s()
        if now < self._due_at.get(what, 0.0):
            return False
        self._due_at[what] = now + seconds
        return True

    def _mend_clock(self) -> None:
        jump_s = self._clock.wall_s() - self._clock.boot_s() - self._offset_s
        if abs(jump_s) > JUMP_S:
            LOG.warning("the clock was set by %.0f s: back-offs and intervals are put right", jump_s)
        self._offset_s += jump_s
        self.engine.lanes.mend_clock()
        self._crons.mend_clock()

    # -- the watch --------------------------------------------------------------------------------

    def _begun(self, claim: Claim, handler: Handler) -> None:
        job = _Job(claim, handler, threading.get_ident(), self._clock.boot_s())
        with self._lock:
            self._jobs[claim.key, claim.epoch] = job

    def _ended(self, claim: Claim) -> None:
        with self._lock:
            self._jobs.pop((claim.key, claim.epoch), None)

    def _watch(self) -> None:
        now = self._clock.boot_s()
        stuck: list[_Job] = []
        with self._lock:  # a job that ends meanwhile must not be interrupted after its end
            for key, job in list(self._jobs.items()):
                if job.interrupted_s is None and now - job.started_s > job.handler.limit_s:
                    _interrupt(job.thread)
                    job.interrupted_s = now
                elif job.interrupted_s is not None and now - job.interrupted_s > STUCK_S:
                    stuck.append(self._jobs.pop(key))
        for job in stuck:
            self._give_up(job)

    def _give_up(self, job: _Job) -> None:
        LOG.error("portal=%s lane=%s cannot be interrupted; the worker restarts", job.claim.portal, job.claim.key)
        self._stuck += 1
        try:
            self.engine.failed(job.handler, job.claim, TookTooLong())
        except LaneLost:
            LOG.warning("lane=%s ended in the last moment", job.claim.key)

    def _wait_for_jobs(self) -> bool:
        until = self._clock.boot_s() + STOP_S
        while self._clock.boot_s() < until:
            with self._lock:
                if len(self._running) <= self._stuck:
                    return not self._running
            self._clock.sleep(0.02)
        return False


def _interrupt(thread: int) -> None:
    """Raise TookTooLong in a thread, at its next step of Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TookTooLong))
