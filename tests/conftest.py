"""Makes the helpers beside this file importable from every folder of tests; guards tests that want real inputs."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from early import EarlyTests, parameters
from fixed_clock import FixedClock
from hypothesis import HealthCheck, settings
from migrated_store import migrated_store

from b24sync.store.engine import Store, open_store

# No deadline, also none for making examples: a busy machine is no failure. Fifty examples a run add up over the runs.
settings.register_profile("project", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """PostgreSQL's forms have a step of their own; of tests with hundreds of transactions they are long ones."""
    for item in items:
        if not isinstance(item, pytest.Function) or parameters(item).get("store_url") != "postgresql":
            continue
        item.add_marker("postgresql")
        if item.get_closest_marker("many_transactions"):
            item.add_marker("long")


def pytest_configure() -> None:
    """A shell that runs the tests in its background has them ignore Ctrl-C; what they start is to hear it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


EARLY = EarlyTests()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin the tests that mostly wait."""
    if not session.config.option.collectonly:
        EARLY.begin(session.items)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that was begun early is not run again."""
    return EARLY.has_outcome_of(pyfuncitem) or None


def pytest_sessionfinish() -> None:
    EARLY.end()


REQUIRE_SHARED = "B24SYNC_REQUIRE_SHARED"
"""Set by `.ci/run` where the real inputs lie beside the project: then a `shared` test must run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """--overwrite-golden writes what importers make of their samples anew (tests/importers)."""
    parser.addoption("--overwrite-golden", action="store_true")


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


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str, None, None]:
    """A migrated store of the test's own, on either database."""
    if request.param == "sqlite":
        migrated_store(tmp_path).close()
        yield f"sqlite:///{tmp_path}/store.db"
        return
    from postgres_server import fresh_database

    with fresh_database() as url:
        yield url


@pytest.fixture
def any_store(store_url: str) -> Generator[Store, None, None]:
    """That store, opened."""
    opened = open_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def any_clock(store_url: str) -> FixedClock:
    """A clock that stands still, for the store's database too."""
    return FixedClock()
