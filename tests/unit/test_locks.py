"""Named locks: one holder at a time, a dead holder's lock is free."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from fixed_clock import FixedClock

from b24sync.clock import SystemClock
from b24sync.store.engine import Store
from b24sync.store.locks import LEASE_S, NamedLock

HOLDER = """
import sys
from b24sync.clock import SystemClock
from b24sync.store.engine import open_store
from b24sync.store.locks import NamedLock
with NamedLock(open_store(sys.argv[1]), "main", "import", SystemClock()).held():
    print("held", flush=True)
    sys.stdin.readline()
print("freed", flush=True)
"""


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


@pytest.fixture
def holder(store: Store) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it is told to go on."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, store.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_that_a_living_process_holds_is_not_given_out(store: Store, holder: subprocess.Popen[str]) -> None:
    assert not NamedLock(store, "main", "import", SystemClock()).take()
    assert NamedLock(store, "main", "recount", SystemClock()).take(), "another name is another lock"
    assert NamedLock(store, "other", "import", SystemClock()).take(), "another portal has locks of its own"


def test_a_lock_is_free_when_its_holder_lets_go(store: Store, holder: subprocess.Popen[str]) -> None:
    assert holder.communicate("go\n", timeout=60)[0] == "freed\n"
    assert NamedLock(store, "main", "import", SystemClock()).take()


def test_a_lock_is_free_when_its_holder_is_killed(store: Store, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait(60)
    assert NamedLock(store, "main", "import", SystemClock()).take()


def test_who_waits_gets_the_lock_after_the_holder(store: Store, holder: subprocess.Popen[str]) -> None:
    class ImpatientClock(FixedClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            holder.kill()
            holder.wait(60)

    clock = ImpatientClock()
    clock.boot_name = SystemClock().boot_id()
    with NamedLock(store, "main", "import", clock).held():
        assert len(clock.slept) >= 1
        assert not _elsewhere(store, clock).take()
    assert _elsewhere(store, clock).take()


def _elsewhere(store: Store, clock: FixedClock) -> NamedLock:
    lock = NamedLock(store, "main", "import", clock)
    lock._owner = "elsewhere|boot-9|17|123"
    return lock


def test_a_holder_on_another_machine_keeps_the_lock_as_long_as_it_gives_signs_of_life(store: Store) -> None:
    clock = FixedClock()
    theirs = _elsewhere(store, clock)
    assert theirs.take()
    ours = NamedLock(store, "main", "import", clock)
    for _ in range(4):
        clock.pass_time(LEASE_S * 0.8)
        theirs.keep()
        assert not ours.take()
    clock.pass_time(LEASE_S + 1)
    assert ours.take()
    theirs.free()
    assert not _elsewhere(store, clock).take(), "a late holder does not free what is no longer its own"
