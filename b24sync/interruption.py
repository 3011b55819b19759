"""Ctrl-C, and SIGTERM of systemd or docker, at the right moment.

While a request is out, its answer is waited for, so that nothing is left to look up or to ask a person. In the middle
of a store's BEGIN or COMMIT, KeyboardInterrupt leaves a connection that is closed, or open with the writer's place.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM: whoever supervises us wants us to end, in the same order as after Ctrl-C."""


def end_in_order() -> None:
    """Let SIGTERM end this process as Ctrl-C does, unless whoever started it decided otherwise."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


@contextmanager
def interruption_after() -> Iterator[None]:
    """Hold the first Ctrl-C or SIGTERM back until the end of the block; a second one ends it at once.

    Raises KeyboardInterrupt, Terminated. Without effect outside the main thread and in processes with handlers of
    their own, such as the daemon's.
    """
    on_main = threading.current_thread() is threading.main_thread()
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _terminate}
    ours = {number: handler for number, handler in usual.items() if on_main and signal.getsignal(number) is handler}
    asked: list[int] = []

    def hold_back(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        be_usual()

    def be_usual() -> None:
        for number, handler in ours.items():
            signal.signal(number, handler)

    for number in ours:
        signal.signal(number, hold_back)
    try:
        yield
    finally:
        be_usual()
        if asked:  # whatever ended the block: who handles that would go on
            raise Terminated if asked[0] == signal.SIGTERM else KeyboardInterrupt
