"""A sandbox and the command line as subprocesses: what the demo and the benchmarks are made of.

Figures are read from the sandbox's control API, so that nothing is judged by the connector's own report.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

PROJECT = Path(__file__).resolve().parents[1]
END_TIMEOUT_S = 15.0
CONTROL_TIMEOUT_S = 120.0

Say = Callable[[str], None]


class Failed(Exception):
    """A step did not end as it had to; the text is for the person."""


class Sandbox:
    """A running sandbox and its control API. Use `running_sandbox`."""

    def __init__(self, process: subprocess.Popen[str], base: str) -> None:
        self.base = base
        self._process = process
        # The control API is on this machine: a proxy of the environment has no business with it.
        self._opener = build_opener(ProxyHandler({}))
        self.scale: float = self.get("health")["scale"]
        config = self.get("config")
        self.webhook: str = config["webhook"]
        """Incoming webhook of the portal's administrator, ends with a slash."""
        self.toml_block: str = config["toml"]
        """`[portal]` and `[limits]` for config.toml."""

    def get(self, path: str, **params: Any) -> Any:
        """GET of the control API. Raises OSError when the sandbox is gone."""
        query = f"?{urlencode(params)}" if params else ""
        return self._answer(Request(f"{self.base}/_sandbox/{path}{query}"))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST of the control API."""
        data = json.dumps(dict(body or {})).encode()
        return self._answer(Request(f"{self.base}/_sandbox/{path}", data=data))

    def _answer(self, request: Request) -> Any:
        with self._opener.open(request, timeout=CONTROL_TIMEOUT_S) as answer:
            return json.load(answer)

    def figures(self) -> dict[str, Any]:
        """Counts of requests, refusals, items, duplicates and workflows."""
        return dict(self.get("figures"))

    def state(self, what: str, **params: Any) -> list[Any]:
        """The portal's state, straight from its store."""
        return list(self.get(f"state/{what}", **params))

    def calls(self, *, since: int = 0, method: str = "") -> list[dict[str, Any]]:
        """The ledger of calls, oldest first."""
        return list(self.get("calls", since=since, method=method))

    def wait_idle(self, timeout_s: float = 60.0) -> None:
        """Wait until the portal works on nothing, also on nothing that its client no longer waits for."""
        self.get("idle", timeout_s=timeout_s)

    def end(self) -> None:
        """Stop it; kill it when it does not listen."""
        end_process(self._process)


@contextmanager
def running_sandbox(
    folder: Path,
    *,
    scale: float = 1.0,
    plan: str = "standard",
    costs: Mapping[str, float] | None = None,
    seed: Mapping[str, Any] | None = None,
) -> Iterator[Sandbox]:
    """Start a fresh sandbox on a free port; `folder` takes its seed and its standard error. Raises Failed."""
    words = ["serve", "--port", "0", "--plan", plan, "--scale", f"{scale:g}"]
    for method, seconds in (costs or {}).items():
        words += ["--cost", f"{method}={seconds:g}"]
    if seed is not None:
        seed_file = folder / "sandbox-seed.json"
        seed_file.write_text(json.dumps(seed, ensure_ascii=False, indent=1), encoding="utf-8")
        words += ["--seed", str(seed_file)]
    errors = folder / "sandbox-errors.txt"
    with ExitStack() as ending:
        with errors.open("w", encoding="utf-8") as error_stream, interruption_after():
            process = subprocess.Popen(
                [sys.executable, "-m", "b24sync.sandbox", *words],
                stdout=subprocess.PIPE,
                stderr=error_stream,
                text=True,
                encoding="utf-8",
                cwd=PROJECT,
                start_new_session=True,  # Ctrl-C reaches the caller alone, which then ends its children in order
            )
            assert process.stdout is not None
            ending.callback(process.stdout.close)
            ending.callback(end_process, process)
        first = process.stdout.readline()
        if " listening on " not in first:
            process.wait(END_TIMEOUT_S)
            raise Failed(f"the sandbox did not start: {first}{errors.read_text(encoding='utf-8')}")
        yield Sandbox(process, first.rsplit(" ", 1)[1].strip())


def end_process(process: subprocess.Popen[str]) -> None:
    """Terminate a child; kill it when it does not end in time."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(slots=True)
class Finished:
    """How a command ended. `answer` is the JSON that it printed last, if any; a negative `code` is a signal."""

    words: Sequence[str]
    code: int
    seconds: float
    cpu_s: float
    """User and system time of the process alone."""
    peak_rss_mb: float
    """ru_maxrss: never below what the parent held when it forked."""
    answer: Any = None
    printed: list[str] = field(default_factory=list)
    """Lines of standard output."""
    said: list[str] = field(default_factory=list)
    """Lines of standard error."""


class Command:
    """A started command of b24sync (or any other). Its standard error goes line by line to `say`."""

    def __init__(self, words: Sequence[str], argv: Sequence[str], cwd: Path, say: Say) -> None:
        self.words = list(words)
        self._said: list[str] = []
        self._printed: list[str] = []
        self._finished: Finished | None = None
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=cwd,
            env={**os.environ, "PYTHONUTF8": "1"},
            start_new_session=True,
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._take, args=(self._process.stdout, self._printed, None), daemon=True),
            threading.Thread(target=self._take, args=(self._process.stderr, self._said, say), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _take(stream: IO[str], lines: list[str], say: Say | None) -> None:
        with stream:
            for line in stream:
                lines.append(line.rstrip("\n"))
                if say is not None:
                    say(lines[-1])

    @property
    def pid(self) -> int:
        return self._process.pid

    def over(self) -> bool:
        """Whether it has ended by itself. Its exit is left for `finish` to collect."""
        if self._finished is not None:
            return True
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found is not None

    def kill(self) -> None:
        """kill -9: no handler runs, nothing is tidied up."""
        if not self.over():
            os.kill(self.pid, signal.SIGKILL)

    def finish(self) -> Finished:
        """Wait for its end."""
        if self._finished is None:
            _, status, usage = os.wait4(self.pid, 0)
            seconds = time.perf_counter() - self._began
            self._process.returncode = os.waitstatus_to_exitcode(status)
            for reader in self._readers:
                reader.join(END_TIMEOUT_S)
            self._finished = Finished(
                self.words,
                self._process.returncode,
                seconds,
                usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss / 1024,
                _last_json(self._printed),
                self._printed,
                self._said,
            )
        return self._finished

    def end(self) -> None:
        """Terminate it when it still runs; kill it when it does not end in time."""
        if self._finished is not None:
            return
        if not self.over():
            os.kill(self.pid, signal.SIGTERM)
        until = time.monotonic() + END_TIMEOUT_S
        while not self.over() and time.monotonic() < until:
            time.sleep(0.05)
        self.kill()
        self.finish()


def _last_json(lines: Sequence[str]) -> Any:
    if not lines:
        return None
    try:
        return json.loads(lines[-1])
    except ValueError:
        return None


class Connector:
    """The command line of b24sync with one configuration file."""

    def __init__(self, config: Path, say: Say) -> None:
        self._config = config
        self._say = say

    @contextmanager
    def started(self, *words: str | Path) -> Iterator[Command]:
        """Start a command; it is ended when the block is left."""
        texts = [str(word) for word in words]
        argv = [sys.executable, "-m", "b24sync", "--config", str(self._config), *texts]
        with ExitStack() as ending:
            with interruption_after():
                command = Command(texts, argv, PROJECT, self._say)
                ending.callback(command.end)
            yield command

    def run(self, *words: str | Path) -> Finished:
        """Run a command to its end."""
        with self.started(*words) as command:
            return command.finish()


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruption_after() -> Iterator[None]:
    """Hold Ctrl-C and its like back to the end of the block: a process that is just being started must be known first.

    Without effect outside the main thread, which hears of no signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    before = {number: signal.signal(number, lambda asked_by, _: asked.append(asked_by)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if asked:
            signal.raise_signal(asked[0])


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end this process as Ctrl-C does: by KeyboardInterrupt, through every `finally`."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
