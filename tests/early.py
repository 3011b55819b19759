"""Tests that mostly wait are begun early, beside the others: two cores have better to do than to wait in turn.

A test marked `waits` takes `tmp_path` and its parameters and nothing else. Beside every test process a child of it
begins such tests, two at a time, from the start of the run, whichever process is to report them; who comes first has
claimed the test, by a file in a folder of the run, and leaves its outcome there. A child and no thread: what a test
puts in the place of a module's function, of the environment or of standard input is so for the whole process.
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
from typing import NoReturn

import pytest
from forked_process import close_nurseries

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
        self._child: tuple[int, int] | None = None

    def begin(self, items: Sequence[pytest.Item]) -> None:
        """Begin what waits, in a child, while the process runs the tests of its own."""
        waiting = [item for item in items if isinstance(item, pytest.Function) and is_early(item)]
        if len(waiting) < 2:
            return
        run_goes_on, run_is_over = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(run_is_over)
            self._be_the_child(waiting, run_goes_on)
        os.close(run_goes_on)
        self._child = (pid, run_is_over)

    def has_outcome_of(self, item: pytest.Function) -> bool:
        """False: nobody has begun it, so it runs now. Else wait for its end; fails as it did."""
        if self._child is None or not is_early(item) or self._claim(item):
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
        if self._child is not None:
            pid, run_is_over = self._child
            os.close(run_is_over)
            os.waitpid(pid, 0)
        if self._is_owner:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _be_the_child(self, items: Sequence[pytest.Function], run_goes_on: int) -> NoReturn:
        code = 1
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(nothing, stream)
            is_over = threading.Event()
            threads = [threading.Thread(target=self._run, args=(items, is_over)) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            os.read(run_goes_on, 1)  # ends with the run, also with one that was killed
            is_over.set()
            for thread in threads:
                thread.join()
            close_nurseries()
            code = 0
        finally:
            os._exit(code)  # what the parent would do at its end is not for the child

    def _run(self, items: Sequence[pytest.Function], is_over: threading.Event) -> None:
        for item in items:
            if is_over.is_set():
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
