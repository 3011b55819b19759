"""The worker: a process of its own that runs due lanes, alone (`b24sync worker`) or under `b24sync serve`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from b24sync.automation.runner import LocalRunner
from b24sync.automation.schedule import Crons
from b24sync.daemon.wiring import Daemon, handlers, schedules, watch

REPLACE_ME = 75
"""Exit code of a worker with a job that cannot be ended: start another one."""


def run_worker(daemon: Daemon, *, under_serve: bool, say: Callable[[str], None]) -> int:
    """Work until SIGTERM or SIGINT (under `serve`: until our standard input ends); the exit code.

    What is being done is finished first. A job that cannot be ended does not keep the process.
    """
    crons = Crons(daemon.store, daemon.clock, schedules(daemon))
    runner = LocalRunner(daemon.store, daemon.clock, handlers(daemon), crons, list(daemon.portals), beat=daemon.beat)
    stop = threading.Event()
    watch(daemon)

    def end(*_: Any) -> None:
        stop.set()
        runner.wake()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN if under_serve else end)
    if under_serve:
        threading.Thread(target=_listen, args=(runner.wake, end), daemon=True).start()
    if not under_serve:
        say(f"b24sync works on the lanes of {', '.join(daemon.portals)}")
    if runner.run(stop):
        return 0
    daemon.store.close()
    sys.stderr.flush()
    os._exit(0 if stop.is_set() else REPLACE_ME)  # the job's thread would keep the interpreter


def _listen(wake: Callable[[], None], end: Callable[[], None]) -> None:
    """`serve` writes a byte when it has published; its end is ours."""
    while os.read(sys.stdin.fileno(), 4096):
        wake()
    end()
