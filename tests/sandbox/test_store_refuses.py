"""The store cannot be written: a clear error, and nothing was sent that is not recorded."""

from __future__ import annotations

import resource
import time
from collections import Counter
from pathlib import Path

import pytest
from rehearsal import (
    CONFIG,
    DONE,
    SANDBOX_OPTIONS,
    UNKNOWN_LEFT,
    Rehearsal,
    assert_each_deal_once,
    rows,
)
from sandbox_process import running_sandbox

pytestmark = pytest.mark.waits

COUNT = 400
FULL_AFTER = 60
"""The disk is full when the sandbox holds that many deals."""


@pytest.mark.parametrize("store", ["folder", "/proc/b24sync/store.db", "read-only file"])
def test_a_store_that_cannot_be_written_stops_the_import_before_the_first_request(store: str, tmp_path: Path) -> None:
    path = tmp_path / "folder" if store == "folder" else Path(store)
    if store == "folder":
        path.mkdir()
    if store == "read-only file":
        path = Path("/proc/version")
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(tmp_path / "work", sandbox, planned=rows(40), store=path)
        ended = rehearsal.run_import()
        assert ended.code == CONFIG, ended
        assert str(path) in ended.stderr or str(path.parent) in ended.stderr
        assert sandbox.calls() == []
        assert rehearsal.count_held() == 0


def test_a_disk_that_is_full_in_the_middle_stops_the_import_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=rows(COUNT))
        running = rehearsal.start(*rehearsal.import_words())
        while rehearsal.count_held() < FULL_AFTER and running.alive:
            time.sleep(0.02)
        # No file of the process may grow any more: to SQLite a full disk, with errno EFBIG instead of ENOSPC.
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        ended = running.ended()
        assert ended.code in (CONFIG, UNKNOWN_LEFT), ended
        assert "cannot be used" in ended.stderr and "free the disk" in ended.stderr, ended
        assert sandbox.wait_idle()
        held = rehearsal.held()
        assert FULL_AFTER <= len(held) < COUNT, "the disk was not full in the middle"
        recorded = rehearsal.ledger()
        states = Counter(recorded[key][0] for key in held)
        assert set(states) <= {"sent", "done", "unknown"}, f"sent and not recorded: {states}"
        again = rehearsal.run_import()
        assert again.code == DONE, again
        assert_each_deal_once(rehearsal)
