"""Stage entries: a deal's n-th stay in a stage, however often it is seen there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from migrated_store import migrated_store
from sqlalchemy import select

from b24sync.store.engine import Store
from b24sync.store.stage_entries import FIRST_LOOK, Move, Sighting, note_created, note_entries, note_moves
from b24sync.store.tables import stage_entries


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = migrated_store(tmp_path)
    yield opened
    opened.close()


def note(store: Store, *seen: tuple[int, str], portal: str = "main") -> dict[int, int]:
    return note_entries(store, portal, "deal", seen, source="test", at=1.0)


def entries(store: Store, deal: int, portal: str = "main") -> list[tuple[str, int]]:
    table = stage_entries
    query = select(table.c.stage, table.c.n).where(table.c.entity_id == deal, table.c.portal == portal)
    with store.read() as connection:
        return [(row.stage, row.n) for row in connection.execute(query.order_by(table.c.seq))]


def test_two_sightings_with_no_other_stage_between_them_are_one_entry(store: Store) -> None:
    assert note(store, (1, "NEW"), (1, "NEW")) == {1: 1}
    assert note(store, (1, "NEW")) == {1: 1}
    assert entries(store, 1) == [("NEW", 1)]


def test_a_deal_that_comes_back_to_a_stage_has_a_second_entry(store: Store) -> None:
    note(store, (1, "NEW"))
    assert note(store, (1, "WON"), (1, "NEW")) == {1: 2}
    assert note(store, (1, "WON")) == {1: 2}
    assert entries(store, 1) == [("NEW", 1), ("WON", 1), ("NEW", 2), ("WON", 2)]


def test_deals_and_portals_are_counted_apart(store: Store) -> None:
    note(store, (1, "NEW"), (2, "NEW"), (1, "WON"))
    note(store, (1, "NEW"), portal="other")
    assert entries(store, 2) == [("NEW", 1)]
    assert entries(store, 1, "other") == [("NEW", 1)]


def test_what_was_just_made_is_noted_once_and_joins_the_later_sightings(store: Store) -> None:
    for _ in range(2):
        note_created(store, "main", "deal", [(1, "NEW"), (2, "NEW")], source="import", at=1.0)
    assert note(store, (1, "NEW"), (2, "WON")) == {1: 1, 2: 1}
    assert entries(store, 2) == [("NEW", 1), ("WON", 1)]


def test_thousands_of_sightings_are_noted_in_pieces(store: Store) -> None:
    seen = [(deal, stage) for deal in range(1, 701) for stage in ("NEW", "WON", "NEW")]
    assert set(note(store, *seen).values()) == {2}
    assert entries(store, 700) == [("NEW", 1), ("WON", 1), ("NEW", 2)]


sightings = st.lists(st.tuples(st.integers(1, 3), st.sampled_from("ABC")), min_size=1, max_size=25)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30)
@given(pieces=st.lists(sightings, min_size=1, max_size=4))
def test_entries_are_the_runs_of_equal_stages_however_the_sightings_are_cut(
    store: Store, pieces: list[list[tuple[int, str]]]
) -> None:
    with store.write() as connection:
        connection.execute(stage_entries.delete())
    for piece in pieces:
        last = note(store, *piece)
    history = [sighting for piece in pieces for sighting in piece]
    for deal in {deal for deal, _ in history}:
        runs = [stage for stage, _ in groupby(stage for seen, stage in history if seen == deal)]
        expected = [(stage, runs[: index + 1].count(stage)) for index, stage in enumerate(runs)]
        assert entries(store, deal) == expected
        assert last.get(deal, expected[-1][1]) == expected[-1][1]


def note_rows(store: Store, *rows: tuple[int, str]) -> list[Move]:
    """Rows (id, stage) of deal 1's stage history."""
    seen = [Sighting(1, stage, history_id) for history_id, stage in rows]
    with store.write() as connection:
        return note_moves(store, connection, "main", "deal", seen, source="history", at=1.0)


def test_stages_passed_before_a_deal_was_looked_at_stand_before_what_the_look_showed(store: Store) -> None:
    note(store, (1, "A"))
    note(store, (1, "D"))  # the look was quicker than the history, which then tells A -> C -> D
    moves = note_rows(store, (11, "C"), (12, "D"))
    assert entries(store, 1) == [("A", 1), ("C", 1), ("D", 1)]
    assert [(move.stage, move.n, move.left, move.fresh) for move in moves] == [
        ("C", 1, ("A", 1), True),
        ("D", 1, ("C", 1), False),
    ]


def test_a_deal_that_left_its_first_known_stage_and_came_back_entered_it_again(store: Store) -> None:
    note(store, (1, "A"))
    assert [(move.stage, move.n) for move in note_rows(store, (11, "B"), (12, "A"))] == [("B", 1), ("A", 2)]


def test_several_looks_that_were_quicker_than_the_history_are_each_told_by_their_own_row(store: Store) -> None:
    note_rows(store, (1, "B"))
    for stage in "ABA":
        note(store, (1, stage))
    moves = note_rows(store, (2, "A"), (3, "B"))
    moves += note_rows(store, (4, "A"))
    assert [(move.stage, move.n, move.fresh) for move in moves] == [("A", 1, False), ("B", 2, False), ("A", 2, False)]
    assert entries(store, 1) == [("B", 1), ("A", 1), ("B", 2), ("A", 2)]


def test_a_row_of_a_stay_before_the_one_that_was_looked_at_is_the_first_of_its_stage(store: Store) -> None:
    note_rows(store, (1, "A"))
    note(store, (1, "C"))
    note(store, (1, "B"))  # in truth A -> B -> C -> B
    moves = note_rows(store, (2, "B"), (3, "C"), (4, "B"))
    assert [(move.stage, move.n, move.fresh) for move in moves] == [("B", 1, False), ("C", 1, False), ("B", 2, True)]
    assert entries(store, 1) == [("A", 1), ("B", 1), ("C", 1), ("B", 2)]


def test_stages_passed_before_the_first_look_at_a_new_deal_are_told_by_rows_that_come_late(store: Store) -> None:
    """Made in A, moved to B, seen in B; its rows come later: B was entered once."""
    with store.write() as connection:
        note_moves(store, connection, "main", "deal", [Sighting(1, "B")], source=FIRST_LOOK, at=1.0)
    moves = note_rows(store, (11, "A"), (12, "B"))
    assert [(move.stage, move.n, move.left) for move in moves] == [("A", 1, None), ("B", 1, ("A", 1))]
    assert entries(store, 1) == [("A", 1), ("B", 1)]


steps = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["look", "first", "second"])), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(passed=st.lists(st.sampled_from("ABC"), min_size=1, max_size=12), steps=steps, first=st.integers(0, 12))
def test_two_readers_of_the_history_and_any_looks_number_every_stay_alike(
    store: Store, passed: list[str], steps: list[tuple[int, str]], first: int
) -> None:
    """Row k of the history is the k-th stay; both readers have cursors of their own, looks come at any time.

    `first`: the stay in which a new deal is first looked at; 0 for one whose first row was read.
    """
    stages = [stage for stage, _ in groupby(passed)]
    expected = [(stage, stages[: index + 1].count(stage)) for index, stage in enumerate(stages)]
    with store.write() as connection:
        connection.execute(stage_entries.delete())
    now = min(max(first, 1), len(stages))
    cursors = {"first": 0 if first else 1, "second": 0}
    if first:
        with store.write() as connection:
            note_moves(store, connection, "main", "deal", [Sighting(1, stages[now - 1])], source=FIRST_LOOK, at=1.0)
    else:
        note_rows(store, (1, stages[0]))
    for moved, who in [*steps, (len(stages), "look"), (0, "first"), (0, "second")]:
        now = min(now + moved, len(stages))
        if who == "look":
            note(store, (1, stages[now - 1]))
            continue
        moves = note_rows(store, *((index + 1, stages[index]) for index in range(cursors[who], now)))
        assert [(move.stage, move.n) for move in moves] == expected[cursors[who] : now]
        cursors[who] = now
    assert entries(store, 1) == expected
