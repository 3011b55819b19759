"""Items taken from an iterator while a request is under way, so that the next one need not wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """An iterator with a shelf: what was read ahead is given out first.

    The thread that reads ahead lives inside `reading` only, so the iterator never runs in two threads at once.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._shelf: deque[T] = deque()
        self._failure: BaseException | None = None

    def take(self, count: int) -> list[T]:
        """The next items, fewer at the end. Raises what the iterator raises, in its place."""
        taken = [self._shelf.popleft() for _ in range(min(count, len(self._shelf)))]
        if len(taken) < count and self._failure is not None:
            if taken:
                return taken
            failure, self._failure = self._failure, None
            raise failure
        taken.extend(islice(self._items, count - len(taken)))
        return taken

    @contextmanager
    def reading(self, count: int) -> Iterator[None]:
        """While the block waits for the portal, have up to `count` items on the shelf."""
        reader = Thread(target=self._read, args=(count - len(self._shelf),), name="b24sync-ahead", daemon=True)
        reader.start()
        try:
            yield
        finally:
            reader.join()

    def _read(self, count: int) -> None:
        if self._failure is not None:
            return
        try:
            for item in islice(self._items, max(0, count)):
                self._shelf.append(item)
        except BaseException as failure:  # noqa: BLE001  handed to the one who takes it, in `take`
            self._failure = failure
