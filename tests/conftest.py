"""Makes the helpers beside this file importable from every folder of tests; guards tests that want real inputs."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

# No deadline: a busy machine is no failure. Fifty examples a run add up over the runs.
settings.register_profile("project", deadline=None, max_examples=50)
settings.load_profile("project")

REQUIRE_SHARED = "B24SYNC_REQUIRE_SHARED"
"""Set by `.ci/run` where the real inputs lie beside the project: then a `shared` test must run."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test marked `shared` into a failure where skipping is not allowed."""
    report = yield
    if report.skipped and os.environ.get(REQUIRE_SHARED) == "1" and item.get_closest_marker("shared"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} is marked `shared` and was skipped, but {REQUIRE_SHARED}=1: {call.excinfo}"
    return report
