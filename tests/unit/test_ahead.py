"""Items read while a request is under way come once each, in their order, and so do failures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from b24sync.bulk.ahead import Ahead


def failing(after: int) -> Iterator[int]:
    yield from range(after)
    raise OSError("the disk is gone")


def test_items_come_once_each_in_their_order_whoever_read_them() -> None:
    items = Ahead(iter(range(10)))
    assert items.take(2) == [0, 1]
    with items.reading(3):
        pass
    with items.reading(3):
        pass
    assert items.take(4) == [2, 3, 4, 5]
    with items.reading(100):
        pass
    assert items.take(100) == [6, 7, 8, 9]
    assert items.take(1) == []


def test_nothing_is_read_beyond_what_was_asked_for() -> None:
    source = iter(range(10))
    with Ahead(source).reading(3):
        pass
    assert next(source) == 3


def test_a_failure_ahead_does_not_disturb_the_request_and_comes_in_its_place() -> None:
    items = Ahead(failing(after=3))
    with items.reading(10):
        answered = True
    assert answered
    assert items.take(2) == [0, 1]
    assert items.take(2) == [2]
    with items.reading(10):
        pass
    with pytest.raises(OSError, match="the disk is gone"):
        items.take(2)


def test_a_request_that_fails_leaves_what_was_read() -> None:
    items = Ahead(iter(range(4)))
    with pytest.raises(ConnectionError), items.reading(2):
        raise ConnectionError
    assert items.take(4) == [0, 1, 2, 3]
