"""One running sandbox for all contract tests: fast enough for the peers' own limiters, but a portal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from b24pysdk.api.callers import call_method
from b24pysdk.credentials import BitrixWebhook

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sandbox_process import SandboxProcess, running_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    """A portal at scale 60: 120 requests per second, the documented burst."""
    with running_sandbox(scale=60, request_cap_s=3600) as running:
        yield running
        figures = running.figures()
        assert figures["internal_errors"] == 0, figures["internal_errors_texts"]


@pytest.fixture
def token(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> BitrixWebhook:
    """The vendor's SDK pointed at the sandbox; only its https is taken back to http."""
    caller = call_method.__globals__["_MethodCaller"]
    monkeypatch.setattr(caller, "_base_url", property(lambda self: f"http://{self._domain}/rest"))
    address = urlsplit(sandbox.url)
    return BitrixWebhook(domain=address.netloc, webhook_token=address.path.removeprefix("/rest/").strip("/"))
