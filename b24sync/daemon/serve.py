"""`b24sync serve`: the HTTP side in this process, the worker in one of its own.

Stop order: HTTP server (what it has taken is committed), worker after its current jobs, store.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

import uvicorn

from b24sync.daemon.app import HOOK, PatientProtocol, Probes, create_app
from b24sync.daemon.intake import Intake, Senders
from b24sync.daemon.probes import metrics_text, readiness
from b24sync.daemon.wiring import Daemon, application_tokens
from b24sync.store.group_commit import GroupCommit
from b24sync.store.portals import note_member

LOG = logging.getLogger("b24sync.serve")

STOP_S = 40.0
"""How long the worker may take to finish its current jobs."""
FIRST_RESTART_S = 0.5
LONGEST_RESTART_S = 30.0
MAX_CONNECTIONS = 1000


class WorkerProcess:
    """The worker under our hand: started again when it dies, woken through its standard input."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._stopping = threading.Event()
        self._process = self._start()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, bufsize=0)
        assert process.stdin is not None
        import os

        os.set_blocking(process.stdin.fileno(), False)
        return process

    def _watch(self) -> None:
        pause_s = FIRST_RESTART_S
        while True:
            started = time.monotonic()
            code = self._process.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > LONGEST_RESTART_S:
                pause_s = FIRST_RESTART_S
            LOG.warning("the worker ended with %d; another one starts in %.1f s", code, pause_s)
            if self._stopping.wait(pause_s):
                return
            pause_s = min(pause_s * 2, LONGEST_RESTART_S)
            self._process = self._start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wake(self) -> None:
        """Tell it that something was published. A full pipe means that it knows already."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b".")
        except (BlockingIOError, BrokenPipeError, ValueError):
            return

    def stop(self) -> None:
        """Let it finish what it does; kill it after STOP_S (its lanes come back at once then)."""
        self._stopping.set()
        process = self._process
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            LOG.warning("the worker did not end within %.0f s and is killed", STOP_S)
            process.kill()
            process.wait()


def run_serve(daemon: Daemon, worker_command: Sequence[str] | None, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `worker_command` None = another process works on the lanes."""
    socket = _config(None, daemon).bind_socket()
    worker = WorkerProcess(worker_command) if worker_command is not None else None
    commit = GroupCommit(daemon.store, daemon.clock, worker.wake if worker is not None else lambda: None)
    tokens = application_tokens(daemon)
    intake = Intake(Senders(tokens), commit, on_member=lambda portal, member: note_member(daemon.store, portal, member))
    probes = Probes(
        ready=lambda: readiness(daemon, worker is None or worker.alive),
        metrics=lambda: metrics_text(daemon, intake, commit),
    )
    app = create_app(lambda: intake, probes, commit.close)
    host, port = socket.getsockname()[:2]
    say(f"b24sync listens on http://{host}:{port}")
    for line in how_events_come(daemon, tokens):
        say(line)
    try:
        uvicorn.Server(_config(app, daemon)).run(sockets=[socket])
    finally:
        if worker is not None:
            worker.stop()


def how_events_come(daemon: Daemon, tokens: dict[str, str]) -> list[str]:
    """What a person has to know about the way to us."""
    every = daemon.config.sweep.every
    url = daemon.config.daemon.public_url
    if not url:
        return [f"No [daemon] public_url: the portal cannot reach us, so we work by sweeps alone, every {every}."]
    lines = [f"Events come to {url.rstrip('/')}{HOOK}, sweeps find every {every} what they missed."]
    lines += [
        f"Portal {name} has no application_tokens: its events are refused, it works by sweeps alone."
        for name in daemon.portals
        if name not in tokens.values()
    ]
    return lines


def _config(app: object, daemon: Daemon) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=daemon.config.daemon.host,
        port=daemon.config.daemon.port,
        http=PatientProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )
