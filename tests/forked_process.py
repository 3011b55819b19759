"""A program as a process of its own, quickly: forked from one that has imported everything already.

What is forked is what `python -m PROGRAM` would be after its imports, a second of processor time later: own pid, own
memory, own signals, nothing open and nothing built. Some hundred commands and sandboxes make a run of the tests. The
connector and the sandbox come from two processes: neither has the other's modules.
"""

from __future__ import annotations

import atexit
import codecs
import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
POLL_S = 0.01


CONNECTOR = "b24sync"
SANDBOX = "b24sync.sandbox"


class ForkedProcess:
    """A running program with the face of `subprocess.Popen` (text, UTF-8; no standard input)."""

    program = CONNECTOR

    def __init__(self, words: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="b24sync-forked-"))
        weakref.finalize(self, shutil.rmtree, self._place, ignore_errors=True)
        self.returncode: int | None = None
        order = {"words": [str(word) for word in words], "cwd": str(cwd), "env": clean_environment(env)}
        self.pid = _nursery(self.program).born({**order, "place": str(self._place)})

    def poll(self) -> int | None:
        """The exit code; None while it runs; minus the signal that ended it."""
        if self.returncode is None:
            with contextlib.suppress(FileNotFoundError):
                self.returncode = int((self._place / "ended").read_text())
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired(self.program, timeout or 0.0)
            time.sleep(POLL_S)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end: (standard output, standard error). Raises subprocess.TimeoutExpired."""
        self.wait(timeout)
        return self.said("out"), self.said("err")

    def said(self, stream: str) -> str:
        """What it has written so far; `stream` is out or err."""
        path = self._place / stream
        # While it writes, the last letter may be there by half.
        return codecs.getincrementaldecoder("utf-8")().decode(path.read_bytes()) if path.exists() else ""

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # ended, and about to be noted as such
                os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)


class CliProcess(ForkedProcess):
    """`b24sync WORDS`."""


class SandboxServer(ForkedProcess):
    """`python -m b24sync.sandbox WORDS`."""

    program = SANDBOX


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what configures b24sync, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("B24SYNC_")}
    return {**kept, "PYTHONUTF8": "1", **(more or {})}


class _Nursery:
    """The process that forks; asked over its standard input, one line of JSON each way."""

    def __init__(self, program: str) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=PROJECT,
            env=clean_environment(),
            text=True,
            start_new_session=True,
        )

    def born(self, order: Mapping[str, object]) -> int:
        """Fork one command; its pid."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it: it stops when nobody can ask any more."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


_started: dict[str, _Nursery] = {}
_starting = threading.Lock()


def _nursery(program: str) -> _Nursery:
    with _starting:
        if program not in _started:
            _started[program] = _Nursery(program)
        return _started[program]


@atexit.register
def close_nurseries() -> None:
    """End the processes that fork for this one."""
    while _started:
        _started.popitem()[1].close()


# -- the process that forks -------------------------------------------------------------------------------------------


def _import_connector() -> Callable[[], object]:
    from b24sync.cli import COMMANDS, main

    later = [
        "b24sync.transport.session",
        "b24sync.importing.job",
        "b24sync.bulk.workflow_starts",
        "b24sync.provisioning.apply",
    ]
    for name in [
        *(module for module, *_ in COMMANDS.values()),
        *later,
        "sqlalchemy.dialects.sqlite",
        "alembic.command",
    ]:
        importlib.import_module(name)
    return main


def _import_sandbox() -> Callable[[], object]:
    from b24sync.sandbox.__main__ import main

    return lambda: sys.exit(main())


def _serve(program: str) -> None:
    main = {CONNECTOR: _import_connector, SANDBOX: _import_sandbox}[program]()
    places: dict[int, Path] = {}
    answers = os.dup(1)
    signal.signal(signal.SIGCHLD, lambda *_: _note_the_dead(places))
    for line in sys.stdin:
        order = json.loads(line)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            _become(program, main, order, answers)
        places[pid] = Path(order["place"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        os.write(answers, f"{pid}\n".encode())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for pid in places:  # the tests are over, or were broken off: nobody can ask for them any more
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _note_the_dead(places: dict[int, Path]) -> None:
    while places:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        place = places.pop(pid)
        with contextlib.suppress(FileNotFoundError):  # a test that is over does not ask any more
            (place / "ended.new").write_text(str(os.waitstatus_to_exitcode(status)))
            (place / "ended.new").rename(place / "ended")


def _become(program: str, main: Callable[[], object], order: dict[str, object], answers: int) -> None:
    """In the child: take the place of `python -m PROGRAM WORDS`."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    os.close(answers)
    place = Path(str(order["place"]))
    streams: list[tuple[Path | str, int]] = [
        (os.devnull, os.O_RDONLY),
        *((place / name, os.O_WRONLY | os.O_CREAT) for name in ("out", "err")),
    ]
    for number, (path, flags) in enumerate(streams):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
    environment, words = order["env"], order["words"]
    assert isinstance(environment, dict) and isinstance(words, list)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(order["cwd"]))
    sys.argv = [program, *words]
    random.seed()
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001  the interpreter's own last act for an exception that nobody caught
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
