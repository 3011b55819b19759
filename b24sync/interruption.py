"""Ctrl-C at the right moment.

While a request is out, its answer is waited for, so that nothing is left to look up or to ask a person. In the middle
of a store's BEGIN or COMMIT, KeyboardInterrupt leaves a connection that is closed, or open with the writer's place.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruption_after() -> Iterator[None]:
    """Hold the first Ctrl-C back until the end of the block; a second one ends it at once. Raises KeyboardInterrupt.

    Without effect outside the main thread and in processes with a handler of their own, such as the daemon's.
    """
    on_main = threading.current_thread() is threading.main_thread()
    if not on_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    asked = False

    def hold_back(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, signal.default_int_handler)

    signal.signal(signal.SIGINT, hold_back)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if asked:  # whatever ended the block: who handles that would go on
            raise KeyboardInterrupt
