"""A sandbox portal as a subprocess, for every test that wants real HTTP.

with running_sandbox(scale=60, costs={"crm.item.batchImport": 0.05}) as sandbox:
    requests.post(sandbox.url + "crm.item.list", json={"entityTypeId": 2})
    assert sandbox.figures()["refused_503"] == 0
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from forked_process import POLL_S, SandboxServer

START_TIMEOUT_S = 60.0
PROJECT = Path(__file__).resolve().parents[1]


class SandboxProcess:
    """A running sandbox and its control API."""

    def __init__(self, process: SandboxServer, base: str) -> None:
        self.process = process
        self.base = base
        self._session = requests.Session()
        self._session.trust_env = False
        config = self.get("config")
        self.url: str = config["webhook"]
        """Incoming webhook of user 1, ends with a slash."""
        self.toml_block: str = config["toml"]
        """`[portal]` and `[limits]` for config.toml."""

    def get(self, path: str, **params: Any) -> Any:
        """GET of the control API."""
        return self._answer("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST of the control API."""
        return self._answer("POST", path, json=dict(body or {}))

    def figures(self) -> dict[str, Any]:
        """Counts of the kernel and of the portal's state."""
        return dict(self.get("figures"))

    def calls(self, *, since: int = 0, method: str = "") -> list[dict[str, Any]]:
        """The ledger of calls, oldest first."""
        return list(self.get("calls", since=since, method=method))

    def fault(self, kind: str, method: str = "", **options: Any) -> dict[str, Any]:
        """Arm a fault; options: nth, count, every, probability, seed, params."""
        return dict(self.post("faults", {"kind": kind, "method": method, **options}))

    def faults(self) -> list[dict[str, Any]]:
        """Armed faults; `fired` says how often each one bit."""
        return list(self.get("faults"))

    def clear_faults(self) -> None:
        """Disarm every fault."""
        self._answer("DELETE", "faults")

    def act(self, name: str, /, **values: Any) -> Any:
        """Do something as a user of the portal."""
        return self.post(f"act/{name}", values)["result"]

    def state(self, what: str, **params: Any) -> Any:
        """The portal's state, straight from its store."""
        return self.get(f"state/{what}", **params)

    def switch(self, **values: Any) -> None:
        """Set switches."""
        self.post("switches", values)

    def costs(self, values: Mapping[str, float]) -> None:
        """Set costs: seconds per row at scale 1."""
        self.post("costs", values)

    def wait_idle(self, timeout_s: float = 30.0) -> bool:
        """Wait until no request is worked on (late work too) and no event is queued."""
        return bool(self.get("idle", timeout_s=timeout_s)["idle"])

    def reset(self, seed: Mapping[str, Any] | None = None) -> None:
        """A fresh portal; ledger, faults and limits emptied. Costs and switches stay."""
        self.post("reset", {"seed": seed} if seed else {})

    def rest(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """One plain REST call by JSON; returns the decoded answer, errors included."""
        return self._session.post(self.url + method, json=dict(params or {}), timeout=120).json()

    def _answer(self, verb: str, path: str, **options: Any) -> Any:
        answer = self._session.request(verb, f"{self.base}/_sandbox/{path}", timeout=120, **options)
        if answer.status_code != 200:
            raise AssertionError(f"{verb} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def close(self) -> None:
        """Close the helper's own connections."""
        self._session.close()


def arguments(
    *,
    plan: str = "standard",
    scale: float = 1.0,
    port: int = 0,
    seed: Path | None = None,
    costs: Mapping[str, float] | None = None,
    switches: Mapping[str, Any] | None = None,
    **custom: float,
) -> list[str]:
    """Command line of `serve`; `custom` are rate_per_s, burst, operating_limit_s, request_cap_s."""
    words = ["serve", "--port", str(port), "--plan", "custom" if custom else plan, "--scale", str(scale)]
    if seed is not None:
        words += ["--seed", str(seed)]
    for name, value in (costs or {}).items():
        words += ["--cost", f"{name}={value}"]
    for name, setting in (switches or {}).items():
        words += ["--switch", f"{name}={setting}"]
    for name, number in custom.items():
        words += [f"--{name.replace('_', '-')}", str(number)]
    return words


@contextmanager
def running_sandbox(*, seed: Mapping[str, Any] | Path | None = None, **options: Any) -> Iterator[SandboxProcess]:
    """Start a sandbox on a free port, yield it when it is ready, end it afterwards.

    Options: plan, scale, costs, switches, rate_per_s, burst, operating_limit_s, request_cap_s; `seed` is a
    JSON file or a mapping.
    """
    with tempfile.TemporaryDirectory() as folder:
        seed_file: Path | None
        if isinstance(seed, Mapping):
            seed_file = Path(folder) / "seed.json"
            seed_file.write_text(json.dumps(seed, ensure_ascii=False), encoding="utf-8")
        else:
            seed_file = seed
        server = SandboxServer(arguments(seed=seed_file, **options), cwd=PROJECT)
        sandbox: SandboxProcess | None = None
        try:
            sandbox = SandboxProcess(server, _base_of(server))
            yield sandbox
        finally:
            if sandbox is not None:
                sandbox.close()
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()


def lasting_port() -> int:
    """A free port of loopback for a server that ends and comes back there, or that is started a moment later.

    The kernel gives it to nobody meanwhile: it lies below those that it gives to whoever asks for any.
    """
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                port = _chance.randrange(20_000, 32_768)
                probe.bind(("127.0.0.1", port))
                return port


_chance = random.SystemRandom()
"""A forked test process has its parent's state of any other."""


def _base_of(server: SandboxServer) -> str:
    """Where it listens, as soon as it says so."""
    until = time.monotonic() + START_TIMEOUT_S
    while (found := re.search(r" listening on (\S+)\n", server.said("out"))) is None:
        if server.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"the sandbox did not start: {server.said('out')}{server.said('err')}")
        time.sleep(POLL_S)
    return found[1]


__all__ = ["SandboxProcess", "arguments", "lasting_port", "running_sandbox"]
