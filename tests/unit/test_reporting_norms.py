"""Norms: which one counts for a stay, the deal's own days, what is late and by how much; fields only where changed."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24sync.config import StageNorm
from b24sync.portal.directory import Directory, FieldInfo, Pipeline, Stage
from b24sync.portal.norm_names import resolve_norms
from b24sync.portal.stage_fields import DAYS_LEFT, OVERDUE_TOTAL, PLAN_END, RECOUNTED, STAGE_START
from b24sync.reporting.calendars import Calendars
from b24sync.reporting.norms import Norm, NormBook, as_days
from b24sync.reporting.recounted import Fields, wanted_values
from b24sync.reporting.timeline import Stay

ZONE = ZoneInfo("Europe/Moscow")
CALENDARS = Calendars(ZONE, "RU")
A, B, WON = "C1:NEW", "C1:UC_2", "C1:WON"
NORMS = [
    Norm(1, A, 5, "working", field="UF_CRM_A"),
    Norm(1, B, 3, "calendar"),
    Norm(1, B, 2, "calendar", valid_from=date(2026, 11, 1)),
]
BOOK = NormBook(NORMS, CALENDARS)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()


def stay(stage: str, entered: str, left: str | None = None, group: str = "P") -> Stay:
    return Stay(1, stage, group, at(entered), None if left is None else at(left), False)


def test_a_stay_goes_by_the_norm_that_was_valid_when_it_began() -> None:
    long, short = stay(B, "2026-10-31T23:59"), stay(B, "2026-11-01T00:00")
    assert BOOK.measure(long, at("2026-11-20T00:00"), {}).planned_days == 3
    assert BOOK.measure(short, at("2026-11-20T00:00"), {}).planned_days == 2
    later = NormBook([Norm(1, B, 2, valid_from=date(2026, 11, 1))], CALENDARS)
    assert later.measure(long, at("2026-11-20T00:00"), {}).planned_days is None


def test_a_stay_of_exactly_the_planned_days_is_not_late() -> None:
    """Whatever time of day it began: parts of days are no sums of powers of two."""
    book = NormBook([Norm(1, B, 10, "calendar")], CALENDARS)
    began = [at("2026-02-24T00:02") + second for second in range(60)]
    measured = [book.measure(Stay(1, B, "P", one, one + 10 * 86_400, False), 2e9, {}) for one in began]
    assert any(one.actual_days > 10 for one in measured)
    assert not any(one.delay_days for one in measured)


@pytest.mark.parametrize(
    ("value", "days"),
    [
        *[(7, 7.0), ("7", 7.0), ("2,5", 2.5), (0.5, 0.5)],
        *[(0, None), ("0", None), ("", None), (None, None), ([], None)],
        *[("soon", None), (-1, None), (True, None), (1e9, None), (float("nan"), None)],
    ],
)
def test_the_deals_own_planned_days_win_where_they_are_days(value: object, days: float | None) -> None:
    assert as_days(value) == days
    measured = BOOK.measure(stay(A, "2026-11-23T00:00"), at("2026-11-24T00:00"), {"UF_CRM_A": value})
    assert measured.planned_days == (5 if days is None else days)


def test_days_are_counted_in_the_norms_calendar() -> None:
    friday = stay(A, "2026-11-20T00:00")
    measured = BOOK.measure(friday, at("2026-12-01T00:00"), {})
    assert (measured.actual_days, measured.delay_days, measured.days_left) == (7.0, 2.0, -2.0)
    assert BOOK.plan_end(friday, measured) == at("2026-11-27T00:00")


def test_a_stay_without_a_norm_has_calendar_days_and_no_delay() -> None:
    measured = BOOK.measure(stay("C1:UC_9", "2026-11-20T00:00"), at("2026-11-30T12:00"), {})
    assert (measured.planned_days, measured.actual_days, measured.delay_days) == (None, 10.5, 0.0)
    assert measured.days_left is None


def test_time_in_a_final_stage_is_no_work_and_the_total_stays_as_at_closing() -> None:
    stays = [stay(B, "2026-09-01T00:00", "2026-09-08T12:00"), stay(WON, "2026-09-08T12:00", group="S")]
    for as_of in ("2026-09-09T00:00", "2027-09-09T00:00"):
        wanted = wanted_values(stays, BOOK, at(as_of), {})
        assert wanted[OVERDUE_TOTAL] == pytest.approx(4.5)
        assert (wanted[PLAN_END], wanted[DAYS_LEFT]) == (None, None)
        assert wanted[STAGE_START] == datetime(2026, 9, 8, 12, tzinfo=ZONE)


def test_every_late_stay_adds_to_the_total_and_an_early_one_makes_up_for_nothing() -> None:
    stays = [
        stay(B, "2026-09-01T00:00", "2026-09-06T00:00"),
        stay(A, "2026-09-06T00:00", "2026-09-07T00:00"),
        stay(B, "2026-09-07T00:00"),
    ]
    wanted = wanted_values(stays, BOOK, at("2026-09-11T00:00"), {})
    assert [wanted[OVERDUE_TOTAL], wanted[DAYS_LEFT]] == pytest.approx([3.0, -1.0])


def test_a_stage_entered_after_as_of_has_all_its_days_left() -> None:
    assert wanted_values([stay(B, "2026-09-09T00:00")], BOOK, at("2026-09-08T00:00"), {})[DAYS_LEFT] == 3


@given(st.floats(0, 2_000), st.floats(0, 60), st.sampled_from(["working", "calendar"]))
def test_overdue_and_days_left_are_two_sides_of_one_number(hours: float, planned: float, calendar: str) -> None:
    book = NormBook([Norm(1, B, planned, calendar)], CALENDARS)
    open_stay = stay(B, "2026-01-05T10:00")
    as_of = open_stay.entered_at + hours * 3600
    measured = book.measure(open_stay, as_of, {})
    assert measured.days_left is not None
    assert measured.delay_days == pytest.approx(max(0.0, -measured.days_left), abs=1e-6)
    end = book.plan_end(open_stay, measured)
    assert end is not None
    if measured.delay_days > 1e-6:
        assert as_of > end
    if measured.days_left > 1e-6:
        assert as_of < end + 1e-3


# -- names ------------------------------------------------------------------------------------------------------


def directory(*, stage_name: str = "Экспертиза", stages: bool = True) -> Directory:
    known = [Stage("C1:UC_2", stage_name, 1, "process", 20)] if stages else []
    return Directory(2, [], [Pipeline(1, "Проекты")], known, {}, {})


LINE = StageNorm(pipeline="Проекты", stage="Экспертиза", days=5)


def test_a_renamed_stage_keeps_its_norm_and_so_do_stays_in_a_deleted_one() -> None:
    first = resolve_norms([LINE], directory(), {})
    assert [norm.stage_id for norm in first.norms] == ["C1:UC_2"] and first.warnings == []
    before = {(pipeline, stage): (one, two) for pipeline, stage, one, two in first.meant}
    renamed = resolve_norms([LINE], directory(stage_name="Проверка"), before)
    assert renamed.norms == first.norms
    assert renamed.warnings == [
        "[[stages.norm]] 1 (Проекты / Экспертиза): that stage is called 'Проверка' now; put the new name here"
    ]
    deleted = resolve_norms([LINE], directory(stages=False), before)
    assert deleted.norms == first.norms and deleted.absent == []
    assert deleted.warnings == [
        "[[stages.norm]] 1 (Проекты / Экспертиза): there is no such stage in 'Проекты'; "
        "earlier stays still go by this norm"
    ]
    never_there = resolve_norms([LINE], directory(stages=False), {})
    assert never_there.norms == [] and "no such stage in 'Проекты'" in never_there.absent[0]


def test_a_mistyped_norm_is_told_with_the_nearest_names_and_the_others_count() -> None:
    wrong = [LINE.model_copy(update={"stage": "Експертиза"}), LINE.model_copy(update={"pipeline": "Проектыы"}), LINE]
    found = resolve_norms(wrong, directory(), {})
    assert len(found.norms) == 1
    assert "(nearest: Экспертиза)" in found.absent[0] and "(nearest: Проекты)" in found.absent[1]


# -- fields -----------------------------------------------------------------------------------------------------


def fields(**types: str) -> Fields:
    default = {STAGE_START: "datetime", PLAN_END: "datetime", DAYS_LEFT: "double", OVERDUE_TOTAL: "double"}
    infos = {code: FieldInfo(code, kind, False, False, False, "") for code, kind in {**default, **types}.items()}
    return Fields(infos, ZONE)


STAYS = [stay(A, "2026-11-20T00:00")]
WANTED = wanted_values(STAYS, BOOK, at("2026-12-01T12:00"), {})


def test_fields_are_written_by_their_types() -> None:
    assert fields().changes(WANTED, {}, closed=False) == {
        STAGE_START: "2026-11-20T00:00:00+03:00",
        PLAN_END: "2026-11-27T00:00:00+03:00",
        DAYS_LEFT: -2.5,
        OVERDUE_TOTAL: 2.5,
    }
    coarse = fields(**{STAGE_START: "date", PLAN_END: "date", DAYS_LEFT: "integer", OVERDUE_TOTAL: "string"})
    assert coarse.changes(WANTED, {}, closed=False) == {
        STAGE_START: "2026-11-20",
        PLAN_END: "2026-11-26",  # the last planned day, which ends at midnight
        DAYS_LEFT: -3,
        OVERDUE_TOTAL: "2.5",
    }


@pytest.mark.parametrize("kind", ["datetime", "date"])
def test_what_the_portal_shows_already_is_not_written(kind: str) -> None:
    known = fields(**{STAGE_START: kind, PLAN_END: kind})
    written = known.changes(WANTED, {}, closed=False)
    shown: dict[str, Any] = {**written, DAYS_LEFT: "-2.50", OVERDUE_TOTAL: "2.5"}
    if kind == "date":
        shown[PLAN_END] = f"{written[PLAN_END]}T03:00:00+03:00"
    else:
        shown[STAGE_START] = "2026-11-19T21:00:00+00:00"  # the same moment elsewhere
        shown[PLAN_END] = "2026-11-27T00:00"  # a field that hides seconds and zone
    assert known.changes(WANTED, shown, closed=False) == {}
    assert known.hold(written, shown)
    assert known.changes(WANTED, {**shown, DAYS_LEFT: -2.49}, closed=False) == {DAYS_LEFT: -2.5}


def test_a_deal_that_was_closed_in_time_and_shows_nothing_is_left_alone() -> None:
    closed = wanted_values([stay(WON, "2026-09-08T12:00", group="S")], BOOK, at("2026-10-01T00:00"), {})
    assert fields().changes(closed, {}, closed=True) == {}
    shown = {STAGE_START: "2026-09-01T00:00:00+03:00", PLAN_END: "2026-09-03T00:00:00+03:00", DAYS_LEFT: 1.5}
    written = fields().changes(closed, shown, closed=True)
    assert written == {
        STAGE_START: "2026-09-08T12:00:00+03:00",
        PLAN_END: "",
        DAYS_LEFT: "",
        OVERDUE_TOTAL: 0.0,
    }
    emptied = {**shown, **written, PLAN_END: None, DAYS_LEFT: "0"}
    assert fields().changes(closed, emptied, closed=True) == {}


def test_a_number_field_that_keeps_fewer_decimals_is_not_written_every_night() -> None:
    info = FieldInfo(DAYS_LEFT, "double", False, False, False, "", settings={"PRECISION": 1})
    coarse = Fields({DAYS_LEFT: info}, ZONE)
    assert coarse.lacking == [code for code in RECOUNTED if code != DAYS_LEFT]
    assert coarse.changes({DAYS_LEFT: -2.449}, {DAYS_LEFT: -2.4}, closed=False) == {}
    assert coarse.changes({DAYS_LEFT: -2.47}, {DAYS_LEFT: -2.4}, closed=False) == {DAYS_LEFT: -2.5}
