"""A daemon as a subprocess against a sandbox that posts its events to it; what it did is read from the sandbox."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from forked_process import CliProcess
from rehearsal import CLI_TIMEOUT_S
from sandbox_process import PROJECT, SandboxProcess, lasting_port

TOKEN = "sandbox0outgoing0token000000001"
WAIT_S = 90.0
LISTENS = re.compile(r"listens on (http://\S+)\n")


class DaemonDesk:
    """A folder with a configuration, and `b24sync serve` over it; at the same port again after a restart."""

    def __init__(
        self,
        folder: Path,
        sandbox: SandboxProcess,
        more: str,
        *,
        port: int | None = None,
        sweep: str = "1h",
        public_url: str = "http://127.0.0.1",
    ) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self._more = more
        self._sweep = sweep
        self.port = port or lasting_port()
        self._public_url = public_url
        self.process: CliProcess | None = None
        self.url = ""

    def configure(self) -> None:
        portal = self.sandbox.toml_block.replace("[limits]", f'application_tokens = ["{TOKEN}"]\n\n[limits]')
        store = f'[store]\nurl = "sqlite:///{self.folder / "store.db"}"\n'
        daemon = f'[daemon]\nport = {self.port}\npublic_url = "{self._public_url}"\n[sweep]\nevery = "{self._sweep}"\n'
        text = "\n\n".join([portal, store, daemon, self._more])
        (self.folder / "config.toml").write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start it and wait until its rules miss nothing."""
        self.configure()
        self.process = CliProcess(["--config", self.folder / "config.toml", "serve"], cwd=PROJECT)
        self.wait_until(lambda: LISTENS.search(self.said()) is not None)
        found = LISTENS.search(self.said())
        assert found is not None
        self.url = found[1]
        self.wait_until(lambda: self.ready())

    def post_events_here(self, *events: str) -> None:
        """Have the sandbox post its events to us, and wait for our answers however slow this machine is."""
        self.sandbox.post("knobs", {"timeout_s": 30.0})
        body = {"url": f"{self.url}/hooks/bitrix24", "application_token": TOKEN, "events": list(events)}
        self.sandbox.post("outgoing", body)

    def ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=10).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def said(self) -> str:
        assert self.process is not None
        return self.process.said("out") + self.process.said("err")

    def wait_until(self, reached: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        until = time.monotonic() + timeout_s
        while not reached():
            assert self.process is not None and self.process.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.02)

    def run(self, *words: str) -> str:
        """Another command over the same store; what it printed."""
        command = CliProcess(["--config", self.folder / "config.toml", *words], cwd=PROJECT)
        out, err = command.communicate(timeout=CLI_TIMEOUT_S)
        assert command.returncode == 0, out + err
        return out

    def kill(self) -> None:
        """kill -9 of the receiver; its worker sees the end of its input."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


@contextmanager
def running_daemon(folder: Path, sandbox: SandboxProcess, more: str, **options: Any) -> Iterator[DaemonDesk]:
    """A daemon that is ready, with the sandbox's events posted to it."""
    desk = DaemonDesk(folder, sandbox, more, **options)
    try:
        desk.start()
        desk.post_events_here()
        yield desk
    finally:
        desk.stop()
