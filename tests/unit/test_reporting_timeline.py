"""Stage timelines: no gaps, nothing lost, and what only the card tells is marked as estimated."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24sync.reporting.timeline import SAME_MOMENT_S, UNKNOWN, Card, Move, Stay, clipped, sighting_of, stays_of

DAY = 86_400.0
NOW = 1_000 * DAY
A, B, C, WON = "C1:NEW", "C1:UC_2", "C1:UC_3", "C1:WON"


def move(number: int, day: float, stage: str, *, kind: int = 2, pipeline: int = 1) -> Move:
    return Move(number, kind, day * DAY, pipeline, stage, "S" if stage == WON else "P")


def card(stage: str, *, created: float, moved: float, previous: str = "", read: float = 1_000) -> Card:
    return Card(created * DAY, moved * DAY, 1, stage, "S" if stage == WON else "P", read * DAY, previous)


def told(stays: list[Stay]) -> list[tuple[str, float, float | None, bool]]:
    """(stage, day entered, day left, estimated)."""
    return [
        (stay.stage_id, stay.entered_at / DAY, None if stay.left_at is None else stay.left_at / DAY, stay.estimated)
        for stay in stays
    ]


def test_a_deal_that_the_history_knows_whole_is_not_estimated() -> None:
    history = [move(1, 10, A, kind=1), move(2, 12, B), move(3, 15, WON, kind=3)]
    assert told(stays_of(card(WON, created=10, moved=15), history)) == [
        (A, 10, 12, False),
        (B, 12, 15, False),
        (WON, 15, None, False),
    ]


def test_rows_that_do_not_tell_their_type_are_history_all_the_same() -> None:
    history = [move(1, 10, A, kind=0), move(2, 12, B, kind=0)]
    assert told(stays_of(card(B, created=10, moved=12), history)) == [(A, 10, 12, False), (B, 12, None, False)]


def test_a_deal_without_any_history_stands_in_its_stage_since_its_last_move() -> None:
    assert told(stays_of(card(B, created=10, moved=40), [])) == [(UNKNOWN, 10, 40, True), (B, 40, None, True)]
    assert told(stays_of(card(B, created=10, moved=40, previous=A), [])) == [(A, 10, 40, True), (B, 40, None, True)]
    assert told(stays_of(card(B, created=10, moved=10), [])) == [(B, 10, None, True)]


def test_an_imported_deal_is_as_old_as_its_source_says_not_as_its_import() -> None:
    """The portal writes the row "created" at the moment of the import (crm-stage-history-list.md)."""
    imported = [move(1, 900, B, kind=1)]
    assert told(stays_of(card(B, created=10, moved=40), imported)) == [(UNKNOWN, 10, 40, True), (B, 40, None, True)]
    assert told(stays_of(card(B, created=10, moved=10), imported)) == [(B, 10, None, True)]


def test_an_imported_deal_that_moved_on_stood_in_its_imported_stage_before() -> None:
    history = [move(1, 900, B, kind=1), move(2, 910, C)]
    assert told(stays_of(card(C, created=10, moved=910), history)) == [(B, 10, 910, True), (C, 910, None, False)]


def test_what_an_earlier_reading_saw_outlives_the_next_move() -> None:
    first = card(B, created=10, moved=40, read=905)
    seen = sighting_of(first, [move(1, 900, B, kind=1)])
    assert seen is not None and seen.at == 40 * DAY
    history = [move(1, 900, B, kind=1), move(2, 910, C)]
    later = card(C, created=10, moved=910)
    assert told(stays_of(later, history, [seen])) == [
        (UNKNOWN, 10, 40, True),
        (B, 40, 910, True),
        (C, 910, None, False),
    ]
    assert sighting_of(later, history, [seen]) is None


def test_a_deal_older_than_the_history_keeps_its_unknown_past() -> None:
    history = [move(7, 500, B), move(8, 510, C)]
    assert told(stays_of(card(C, created=10, moved=510), history)) == [
        (UNKNOWN, 10, 500, True),
        (B, 500, 510, False),
        (C, 510, None, False),
    ]


def test_a_move_between_pipelines_is_a_stay_of_its_own() -> None:
    history = [move(1, 10, A, kind=1), move(2, 20, "C2:NEW", kind=5, pipeline=2), move(3, 25, "C2:NEW", pipeline=2)]
    seen = Card(10 * DAY, 25 * DAY, 2, "C2:NEW", "P", NOW)
    stays = stays_of(seen, history)
    assert told(stays) == [(A, 10, 20, False), ("C2:NEW", 20, None, False)]
    assert [stay.pipeline_id for stay in stays] == [1, 2]


def test_a_stage_of_the_same_name_in_two_pipelines_is_two_places() -> None:
    history = [move(1, 10, "NEW", kind=1, pipeline=0), move(2, 20, "NEW", kind=5, pipeline=7)]
    assert len(stays_of(Card(10 * DAY, 20 * DAY, 7, "NEW", "P", NOW), history)) == 2


def test_a_move_after_the_card_was_read_is_not_undone_by_the_card() -> None:
    history = [move(1, 10, A, kind=1), move(2, 999.9999, B)]
    assert told(stays_of(card(A, created=10, moved=10, read=999.9999), history)) == [
        (A, 10, 999.9999, False),
        (B, 999.9999, None, False),
    ]


def test_a_stage_that_only_the_card_knows_comes_last() -> None:
    """Somebody moved it while the history was not written, or its stage was deleted under it."""
    history = [move(1, 10, A, kind=1)]
    assert told(stays_of(card(B, created=10, moved=30), history)) == [(A, 10, 30, False), (B, 30, None, True)]
    lagging = card(B, created=10, moved=10)
    assert told(stays_of(lagging, history)) == [(A, 10, 1_000, False), (B, 1_000, None, True)]
    seen = sighting_of(lagging, history)
    assert seen is not None
    assert told(stays_of(card(B, created=10, moved=10, read=1_001), history, [seen])) == told(
        stays_of(lagging, history)
    )


def test_the_row_of_the_making_may_be_some_seconds_younger_than_the_deal() -> None:
    history = [Move(1, 1, 10 * DAY + 2, 1, A, "P")]
    assert told(stays_of(card(A, created=10, moved=10), history)) == [(A, 10, None, False)]


stages = st.sampled_from([A, B, C, WON])
days = st.floats(0, 990, allow_nan=False)


@st.composite
def deals(draw: st.DrawFn) -> tuple[Card, list[Move], list[Move]]:
    """Any card, any history (late, early, out of order, or none) and any sightings."""
    created = draw(days)
    history = [
        move(number, draw(days), draw(stages), kind=draw(st.sampled_from([0, 1, 2, 3, 5])))
        for number in range(1, draw(st.integers(0, 6)) + 1)
    ]
    sightings = [Move(0, 0, draw(days) * DAY, 1, draw(stages), "P") for _ in range(draw(st.integers(0, 2)))]
    return card(draw(stages), created=created, moved=draw(st.floats(created, 995))), history, sightings


@given(deals())
def test_stage_times_sum_to_the_deals_life(drawn: tuple[Card, list[Move], list[Move]]) -> None:
    seen, history, sightings = drawn
    stays = stays_of(seen, history, sightings)
    began = stays[0].entered_at
    known = [event.at for event in [*history, *sightings]]
    assert began <= seen.created_at + 1e-6
    # A sighting just before the first row of the history is the same moment, told less exactly.
    earliest = min([seen.created_at, *known])
    assert began == pytest.approx(earliest, abs=SAME_MOMENT_S) or began == pytest.approx(seen.created_at)
    assert stays[-1].left_at is None
    assert all(one.left_at == two.entered_at for one, two in pairwise(stays)), "a gap"
    total = sum((NOW if stay.left_at is None else stay.left_at) - stay.entered_at for stay in stays)
    assert total == pytest.approx(NOW - began)


@given(deals())
def test_two_stays_after_each_other_are_in_two_stages(drawn: tuple[Card, list[Move], list[Move]]) -> None:
    stays = stays_of(*drawn)
    assert all((one.pipeline_id, one.stage_id) != (two.pipeline_id, two.stage_id) for one, two in pairwise(stays))


@given(deals(), days)
def test_as_of_a_moment_nothing_later_has_happened(drawn: tuple[Card, list[Move], list[Move]], day: float) -> None:
    stays = stays_of(*drawn)
    then = clipped(stays, day * DAY)
    assert all(stay.entered_at <= day * DAY and (stay.left_at is None or stay.left_at <= day * DAY) for stay in then)
    assert sum(stay.left_at is None for stay in then) == (1 if then else 0)
    assert clipped(stays, NOW) == stays


@given(deals())
def test_building_again_with_what_was_remembered_changes_nothing(drawn: tuple[Card, list[Move], list[Move]]) -> None:
    seen, history, sightings = drawn
    new = sighting_of(seen, history, sightings)
    remembered = [*sightings, *([new] if new else [])]
    assert stays_of(seen, history, remembered) == stays_of(seen, history, sightings)
    assert sighting_of(seen, history, remembered) is None
