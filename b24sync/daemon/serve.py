"""`b24sync serve`: the HTTP side in this process, the worker in one of its own.

Stop order: HTTP server (what it has taken is committed), worker after its current jobs, store.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import uvicorn

from b24sync.automation.offline import STATE
from b24sync.daemon.app import PatientProtocol, Probes, create_app
from b24sync.daemon.apps import Apps
from b24sync.daemon.intake import HOOK, Intake, Senders
from b24sync.daemon.probes import metrics_text, readiness
from b24sync.daemon.questions import question_pages
from b24sync.daemon.wiring import Daemon, application_tokens, questions_of
from b24sync.errors import ConfigError
from b24sync.store.app_grants import AppGrants
from b24sync.store.cursors import read_cursor
from b24sync.store.group_commit import GroupCommit
from b24sync.store.portals import note_member
from b24sync.transport.oauth import REINSTALL

LOG = logging.getLogger("b24sync.serve")

STOP_S = 40.0
"""How long the worker may take to finish its current jobs."""
FIRST_RESTART_S = 0.5
LONGEST_RESTART_S = 30.0
MAX_CONNECTIONS = 1000
KEEP_ALIVE_S = 30


class WorkerProcess:
    """The worker under our hand: started again when it dies, woken through its standard input.

    Without a command there is none: it runs elsewhere, and nothing is known of it.
    """

    def __init__(self, command: Sequence[str] | None) -> None:
        self._command = command
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._command is not None:
            self._process = self._spawn(self._command)
            threading.Thread(target=self._watch, args=(self._command,), daemon=True).start()

    @staticmethod
    def _spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return process

    def _watch(self, command: Sequence[str]) -> None:
        pause_s = FIRST_RESTART_S
        while True:
            started = time.monotonic()
            assert self._process is not None
            code = self._process.wait()
            if time.monotonic() - started > LONGEST_RESTART_S:
                pause_s = FIRST_RESTART_S
            if self._stopping.is_set():
                return
            LOG.warning("the worker ended with %d; another one starts in %.1f s", code, pause_s)
            if self._stopping.wait(pause_s):
                return
            pause_s = min(pause_s * 2, LONGEST_RESTART_S)
            self._process = self._spawn(command)

    @property
    def alive(self) -> bool:
        return self._command is None or (self._process is not None and self._process.poll() is None)

    def wake(self) -> None:
        """Tell it that something was published. A full pipe means that it knows already."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with suppress(BlockingIOError, BrokenPipeError, ValueError):
            self._process.stdin.write(b".")

    def stop(self) -> None:
        """Let it finish what it does; kill it after STOP_S (its lanes come back at once then)."""
        self._stopping.set()
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            LOG.warning("the worker did not end within %.0f s and is killed", STOP_S)
            self._process.kill()
            self._process.wait()


class _Server(uvicorn.Server):
    """uvicorn's server, without its signal handling: it ends the process by the signal that it got."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run_serve(daemon: Daemon, worker_command: Sequence[str] | None, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `worker_command` None = another process works on the lanes."""
    worker = WorkerProcess(worker_command)
    commit = GroupCommit(daemon.store, daemon.clock, worker.wake)
    tokens = application_tokens(daemon)
    intake = Intake(
        Senders(tokens),
        commit,
        on_member=lambda portal, member: note_member(daemon.store, portal, member),
        installs=Apps(daemon).take,
        tokens=lambda: application_tokens(daemon),
    )
    probes = Probes(ready=lambda: readiness(daemon, worker.alive), metrics=lambda: metrics_text(daemon, intake, commit))
    config = uvicorn.Config(
        create_app(intake, probes, commit.close, [question_pages(partial(questions_of, daemon))]),
        http=PatientProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=10,
    )
    server = _Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    # From here on clients wait for us instead of being refused.
    listener = listening(daemon.config.daemon.host, daemon.config.daemon.port)
    worker.start()
    try:
        host, port = listener.getsockname()[:2]
        say(f"b24sync listens on http://{host}:{port}")
        for line in how_events_come(daemon, tokens):
            say(line)
        server.run(sockets=[listener])
    finally:
        worker.stop()


def listening(host: str, port: int) -> socket.socket:
    """The socket that clients come to. Raises ConfigError where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    except OSError as error:
        raise ConfigError(f"[daemon] {host}:{port} cannot be listened on: {error.strerror or error}.") from None


def how_events_come(daemon: Daemon, tokens: dict[str, str]) -> list[str]:
    """What a person has to know about the way to us."""
    every = daemon.config.sweep.every
    url = daemon.config.daemon.public_url
    offline = [line for name in daemon.portals for line in _offline_events(daemon, name)]
    if not url:
        sweeps = "sweeps" if offline else "sweeps alone"
        return [f"No [daemon] public_url: the portal cannot reach us, so we work by {sweeps}, every {every}.", *offline]
    lines = [f"Events come to {url.rstrip('/')}{HOOK}, sweeps find every {every} what they missed."]
    lines += [
        f"Portal {name} has no application_tokens: its events are refused, it works by sweeps alone."
        for name in daemon.portals
        if name not in tokens.values()
    ]
    return lines + offline


def _offline_events(daemon: Daemon, portal: str) -> list[str]:
    """How those of a portal with an application stood when the worker last looked."""
    if daemon.portals[portal].oauth is None:
        return []
    if AppGrants(daemon.store, portal).get() is None:
        return [f"Portal {portal}: no offline events: its application is not installed. To do: {REINSTALL}."]
    state = read_cursor(daemon.store, portal, STATE)
    return [f"Portal {portal}: {state or 'offline events are about to be bound'}."]
