"""`b24sync serve` as a process, with a sandbox that posts its events to it: for the demo and the benchmarks."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

from subprocesses import PROJECT, Failed, Sandbox, end_process, interruption_after

SECRET = "daemonwebhook0001"
TOKEN = "sandbox0outgoing0token000000001"
READY_S = 120.0


@contextmanager
def serving(config: Path, sandbox: Sandbox, more: str = "") -> Iterator[str]:
    """A daemon over the store of `config`, once its rules miss nothing; the credential that it calls with.

    It has a webhook of its own, so that the sandbox can tell its requests; `more` is added to the configuration.
    Raises Failed when it does not become ready.
    """
    webhook = sandbox.post("webhooks", {"user_id": 1, "secret": SECRET})
    text = re.sub(
        r'^webhook = ".*"$',
        f'webhook = "{webhook["url"]}"\napplication_tokens = ["{TOKEN}"]',
        config.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    own = config.with_name("daemon.toml")
    own.write_text(f'{text}\n[daemon]\nport = 0\npublic_url = "http://127.0.0.1"\n{more}', encoding="utf-8")
    argv = [sys.executable, "-m", "b24sync", "--config", str(own), "serve"]
    with tempfile.NamedTemporaryFile("r", suffix=".txt", encoding="utf-8") as said, ExitStack() as ending:
        with interruption_after():
            process = subprocess.Popen(argv, stdout=said.fileno(), stderr=said.fileno(), text=True, cwd=PROJECT)
            ending.callback(end_process, process)
        url = _when_ready(process, Path(said.name))
        sandbox.post("outgoing", {"url": f"{url}/hooks/bitrix24", "application_token": TOKEN, "events": []})
        yield str(webhook["credential"])


def _when_ready(process: subprocess.Popen[str], said: Path) -> str:
    until = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < until:
        found = re.search(r"listens on (http://\S+)", said.read_text(encoding="utf-8"))
        if found is not None and _is_ready(found[1]):
            return found[1]
        time.sleep(0.05)
    raise Failed(f"b24sync serve did not become ready: {said.read_text(encoding='utf-8')[-2000:]}")


def _is_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/readyz", timeout=10):
            return True
    except OSError:
        return False
