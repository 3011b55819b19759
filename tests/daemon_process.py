"""A daemon on loopback, as a process of its own, for tests that post to it, stop it and kill it."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests
from forked_process import CliProcess

from b24sync.clock import SystemClock
from b24sync.store.engine import Store, open_store
from b24sync.store.jobs import Job, Jobs

PROJECT = Path(__file__).resolve().parents[1]
TOKEN = "outgoing0webhook0token0000000001"
START_S = 60.0
CONFIG = f"""
[portal]
webhook = "http://127.0.0.1:9/rest/1/nobody-is-called/"
application_tokens = ["{TOKEN}"]
[daemon]
port = 0
public_url = "https://b24sync.example.ru"
"""


def update_of(deal: int | str, token: str = TOKEN, **more: str) -> dict[str, str]:
    """The form of an event as an outgoing webhook sends it (local-integrations/local-webhooks.md)."""
    return {
        "event": "ONCRMDEALUPDATE",
        "event_handler_id": "975",
        "data[FIELDS][ID]": str(deal),
        "ts": "1766047124",
        "auth[domain]": "example.bitrix24.ru",
        "auth[member_id]": "0123456789abcdef0123456789abcdef",
        "auth[application_token]": token,
        **more,
    }


class DaemonProcess:
    """`b24sync serve` or another command that runs until it is stopped."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.process = CliProcess(["--config", folder / "config.toml", *words], cwd=PROJECT)
        self.session = requests.Session()
        self.session.trust_env = False

    def said(self) -> str:
        return self.process.said("out") + self.process.said("err")

    def wait_to_say(self, pattern: str) -> re.Match[str]:
        """What it says, as soon as it matches."""
        found: list[re.Match[str]] = []

        def matches() -> bool:
            ended = self.process.poll() is not None  # before what it said last is read
            found[:] = re.finditer(pattern, self.said())
            return bool(found) or ended

        wait_until(matches)
        assert found, f"ended with {self.process.poll()}: {self.said()}"
        return found[0]

    @property
    def url(self) -> str:
        return self.wait_to_say(r"listens on (\S+)\n")[1]

    def post(self, body: dict[str, str] | bytes | str, **options: Any) -> requests.Response:
        """POST to the hook; a dict is sent as a form."""
        data = urlencode(body) if isinstance(body, dict) else body
        headers = {"Content-Type": "application/x-www-form-urlencoded", **options.pop("headers", {})}
        return self.session.post(f"{self.url}/hooks/bitrix24", data=data, headers=headers, timeout=60, **options)

    def get(self, path: str) -> requests.Response:
        return self.session.get(f"{self.url}{path}", timeout=60)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """kill -9, of this process alone."""
        self.process.kill()
        self.process.wait(60)

    def close(self) -> None:
        self.session.close()
        if self.process.poll() is None:
            self.stop()


@contextmanager
def running_daemon(folder: Path, *words: str, config: str = CONFIG) -> Iterator[DaemonProcess]:
    """Start `b24sync WORDS` (`serve` where there are none) in `folder`; stopped afterwards."""
    if not (folder / "config.toml").exists():
        (folder / "config.toml").write_text(config, encoding="utf-8")
    daemon = DaemonProcess(folder, *(words or ("serve",)))
    try:
        yield daemon
    finally:
        daemon.close()


def children(pid: int) -> list[int]:
    """Processes that any thread of a process has started."""
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(one) for one in listed.read_text().split()]
    return found


@contextmanager
def store_of(folder: Path) -> Iterator[Store]:
    """The daemon's store, opened beside it."""
    store = open_store(f"sqlite:///{folder}/var/b24sync.db")
    try:
        yield store
    finally:
        store.close()


def events_of(folder: Path, portal: str = "main") -> list[Job]:
    """Every event that is stored, oldest first."""
    with store_of(folder) as store:
        return Jobs(store, portal, SystemClock()).listed(events=True, limit=100_000)[::-1]


def wait_until(condition: Callable[[], bool], timeout_s: float = START_S) -> None:
    """Wait for a state. Raises AssertionError when it does not come."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not come to this"
        time.sleep(0.02)
