"""Work in a child process, beside one's own: reports of a hundred thousand deals keep two cores busy."""

from __future__ import annotations

import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO, TypeVar

T = TypeVar("T")


def can_have_child() -> bool:
    """Whether there is a core for one. Only a process without threads may fork: not the daemon."""
    return hasattr(os, "fork") and threading.active_count() == 1 and _cores() > 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def written_by_child(write: Callable[[BinaryIO], object]) -> Iterator[Callable[[], BinaryIO]]:
    """Let a child run `write` meanwhile; what is yielded, once, waits for its end and gives the file, at its beginning.

    `write` must not use what the parent has open. Where it fails, or there is no room for a child or its file, the
    parent runs it, in memory, for its result or its error.
    """
    child = _begun(write)
    if child is None:
        yield lambda: _written(write)
        return
    pid, file = child
    is_awaited = True

    def result() -> BinaryIO:
        nonlocal is_awaited
        status = os.waitpid(pid, 0)[1]
        is_awaited = False
        if status != 0:
            return _written(write)
        file.seek(0)
        return file

    with file:
        try:
            yield result
        finally:
            if is_awaited:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _begun(write: Callable[[BinaryIO], object]) -> tuple[int, BinaryIO] | None:
    """The child and its file; None where the machine has no room for one of them."""
    try:
        file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - whoever gets it closes it
    except OSError:
        return None
    try:
        pid = os.fork()
    except OSError:
        file.close()
        return None
    if pid == 0:
        _be_the_child(write, file)
    return pid, file


def _written(write: Callable[[BinaryIO], object]) -> BinaryIO:
    file = BytesIO()
    write(file)
    file.seek(0)
    return file


def _be_the_child(write: Callable[[BinaryIO], object], file: BinaryIO) -> None:
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        write(file)
        file.flush()
        code = 0
    finally:
        os._exit(code)  # what the parent does at its end is not for the child: no traceback, no second goodbye


@contextmanager
def made_by_child(make: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Let a child run `make` meanwhile; what is yielded waits for its end and gives what it returned."""
    with written_by_child(lambda file: pickle.dump(make(), file, pickle.HIGHEST_PROTOCOL)) as result:
        yield lambda: pickle.load(result())
