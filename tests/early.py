"""Tests that mostly wait are begun early, beside the others: two cores have better to do than to wait in turn.

A test marked `waits` takes `tmp_path` and its parameters and nothing else. Threads of every test process begin such
tests from the start of the run, whichever process is to report them; who comes first has claimed the test, by a file
in a folder of the run, and leaves its outcome there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import pytest

FOLDER = "B24SYNC_TESTS_EARLY"
"""Environment of the run's processes: its folder. Commands that tests start do not see it."""
THREADS = 2
OUTCOME_TIMEOUT_S = 600.0
POLL_S = 0.05


class EarlyTests:
    """The waiting tests of a run, as one of its test processes sees them."""

    def __init__(self) -> None:
        self._is_owner = FOLDER not in os.environ
        self._folder = Path(os.environ.get(FOLDER) or tempfile.mkdtemp(prefix="b24sync-early-"))
        os.environ[FOLDER] = str(self._folder)
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, items: Sequence[pytest.Item]) -> None:
        """Begin what waits, in threads, while the process runs the tests of its own."""
        waiting = [item for item in items if isinstance(item, pytest.Function) and is_early(item)]
        if len(waiting) < 2:
            return
        self._threads = [threading.Thread(target=self._run, args=(waiting,)) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def has_outcome_of(self, item: pytest.Function) -> bool:
        """False: nobody has begun it, so it runs now. Else wait for its end; fails as it did."""
        if not self._threads or not is_early(item) or self._claim(item):
            return False
        outcome, until = self._place(item).with_suffix(".ended"), time.monotonic() + OUTCOME_TIMEOUT_S
        while not outcome.exists():
            if time.monotonic() > until:
                pytest.fail(f"begun early, and not ended for {OUTCOME_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)
        if said := outcome.read_text(encoding="utf-8"):
            pytest.fail(said, pytrace=False)
        return True

    def end(self) -> None:
        """Begin nothing more, wait for what runs; whoever made the folder tidies up, when its workers have ended."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        if self._is_owner:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, items: Sequence[pytest.Function]) -> None:
        for item in items:
            if self._is_over.is_set():
                return
            if self._claim(item):
                self._play(item)

    def _play(self, item: pytest.Function) -> None:
        place, said = self._place(item), ""
        folder = place.with_suffix(".tmp")
        try:
            folder.mkdir()
            item.obj(tmp_path=folder, **parameters(item))
            shutil.rmtree(folder, ignore_errors=True)
        except BaseException:  # noqa: BLE001 - whatever ends a test is its outcome
            said = traceback.format_exc()
        written = place.with_suffix(".new")
        written.write_text(said, encoding="utf-8")
        written.rename(place.with_suffix(".ended"))

    def _place(self, item: pytest.Item) -> Path:
        return self._folder / hashlib.sha256(item.nodeid.encode()).hexdigest()[:24]

    def _claim(self, item: pytest.Item) -> bool:
        try:
            self._place(item).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def is_early(item: pytest.Function) -> bool:
    """Whether it is marked so; such a test needs no other fixture than `tmp_path`. Long ones want the machine."""
    if item.get_closest_marker("waits") is None or item.get_closest_marker("long") is not None:
        return False
    wanted = set(item._fixtureinfo.argnames) - set(parameters(item))
    assert wanted == {"tmp_path"}, f"{item.nodeid} waits, but takes {sorted(wanted)}"
    return True


def parameters(item: pytest.Function) -> dict[str, object]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}
