"""One running sandbox for all contract tests: fast enough for the peers' own limiters, but a portal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sandbox_process import SandboxProcess, running_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    """A portal at scale 60: 120 requests per second, the documented burst."""
    with running_sandbox(scale=60, request_cap_s=3600) as running:
        yield running
        figures = running.figures()
        assert figures["internal_errors"] == 0, figures["internal_errors_texts"]
