"""Net differences between two looks, however the portal writes its values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24sync.automation.causes import Cause, Change, changes, comparable, moment_of

SAME = [
    (None, ""),
    (None, []),
    (False, "N"),
    (True, "Y"),
    (True, "1"),
    ("100.00", 100),
    ("0", 0),
    (False, 0),
    ("1e2", "1e2"),
    ("2026-11-25T12:00:00+03:00", "2026-11-25T09:00:00+00:00"),
    ([1, 2], ["1", "2"]),
    ({"id": 1}, {"id": "1"}),
]
DIFFERENT = [
    ("A", "B"),
    ("0", None),
    ("2026-11-25", "2026-11-26"),
    ([1, 2], [2, 1]),
    ("1", "1.5"),
    ("2026-11-25T12:00:00+03:00", "2026-11-25T12:00:00+00:00"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_value_in_two_shapes_is_no_change(one: Any, other: Any) -> None:
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_values_are_a_change(one: Any, other: Any) -> None:
    assert comparable(one) != comparable(other)


values = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.integers(), max_size=3))
rows = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


@given(before=rows, after=rows, watched=st.sets(st.sampled_from("abcde")))
def test_only_watched_fields_that_both_looks_saw_can_change(
    before: dict[str, Any], after: dict[str, Any], watched: set[str]
) -> None:
    found = list(changes(before, after, sorted(watched)))
    assert {change.field for change in found} <= watched & set(before) & set(after)
    assert list(changes(before, before, sorted(watched))) == []
    turned = {
        (change.field, change.before, change.after)
        for change in changes(after, before, sorted(watched))
        if _hashable(change)
    }
    assert turned == {(change.field, change.after, change.before) for change in found if _hashable(change)}


def _hashable(change: Change) -> bool:
    return not isinstance(change.before, list) and not isinstance(change.after, list)


@given(first=rows, middle=rows, last=rows)
def test_what_came_back_within_a_fold_is_no_change(
    first: dict[str, Any], middle: dict[str, Any], last: dict[str, Any]
) -> None:
    """Only the two ends count: folding looks loses nothing but what was undone."""
    whole = dict.fromkeys("abcd")
    ends = [{**whole, **row} for row in (first, middle, last)]
    direct = {change.field for change in changes(ends[0], ends[2], "abcd")}
    in_two = [{change.field for change in changes(ends[i], ends[i + 1], "abcd")} for i in (0, 1)]
    assert direct <= in_two[0] | in_two[1]
    assert in_two[0] ^ in_two[1] <= direct


def test_moments_need_an_offset() -> None:
    assert moment_of("2026-11-25T12:00:00+03:00") == datetime(2026, 11, 25, 9, tzinfo=UTC)
    assert moment_of("2026-11-25T12:00:00") is None
    assert moment_of("") is None


def test_a_cause_is_named_by_what_it_is_and_how_often_it_happened() -> None:
    assert Cause("deal", 7, "entered", "C1:NEW", 2).key == "entered:C1:NEW#2"
    assert Cause("deal", 7, "task_completed", "documents", 1, process="order").key == "task_completed:order/documents#1"
