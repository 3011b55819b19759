"""Days counted: they add up across any split, a date is a day whatever its length, holidays and moved days count."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from b24sync.errors import ConfigError
from b24sync.reporting.calendars import Calendars, DayCount
from b24sync.reporting.norms import Norm, NormBook
from b24sync.working_dates import working_dates

MOSCOW, BERLIN, APIA = ZoneInfo("Europe/Moscow"), ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia")
RU = Calendars(MOSCOW, "RU")
COUNTS = [RU.working, RU.calendar, DayCount(BERLIN), DayCount(APIA), DayCount(BERLIN, working_dates("DE"))]

moments = st.integers(1_262_300_400, 1_830_000_000)  # 2010 to 2027
counts = st.sampled_from(COUNTS)


def at(text: str, zone: ZoneInfo = MOSCOW) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@given(counts, moments, moments, moments)
def test_days_add_up_across_any_split(days: DayCount, one: int, two: int, three: int) -> None:
    whole = days.between(one, three)
    assert days.between(one, two) + days.between(two, three) == pytest.approx(whole, abs=1e-7)


@given(counts, st.lists(st.tuples(moments, moments), min_size=1))
def test_many_are_counted_as_each_is(days: DayCount, pairs: list[tuple[int, int]]) -> None:
    starts, ends = np.array(pairs, dtype=np.float64).T
    assert days.all_between(starts, ends) == pytest.approx([days.between(*pair) for pair in pairs], abs=1e-9)


@given(counts, moments, moments)
def test_days_never_run_backwards_and_are_at_most_calendar_days(days: DayCount, one: int, two: int) -> None:
    early, late = sorted((one, two))
    assert 0 <= days.between(early, late) <= (late - early) / (23 * 3600) + 1e-7
    assert days.between(late, early) == pytest.approx(-days.between(early, late), abs=1e-7)


@given(counts, moments, st.floats(0.01, 400))
def test_a_planned_end_is_when_the_days_are_over_and_no_sooner(days: DayCount, start: int, count: float) -> None:
    end = days.after(start, count)
    assert end >= start
    assert days.between(start, end) == pytest.approx(count, abs=1e-6)
    assert days.between(start, end - 60) < count


@given(st.dates(datetime(2011, 1, 2).date(), datetime(2026, 12, 30).date()), st.sampled_from([MOSCOW, BERLIN, APIA]))
def test_a_date_is_one_day_whatever_its_length(day: object, zone: ZoneInfo) -> None:
    """Also where clocks change: Moscow lost an hour for good in 2011 and got one back in 2014."""
    start = at(f"{day}T00:00", zone)
    end = at(f"{datetime.fromisoformat(str(day)).date() + timedelta(days=1)}T00:00", zone)
    assume(end > start)
    assert DayCount(zone).between(start, end) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("first", ["2012-06-01T00:00", "2011-06-01T00:00"])
def test_a_date_that_a_zone_left_out_is_no_day(first: str) -> None:
    """Samoa went from 29 to 31 December 2011."""
    days = DayCount(APIA)
    days.between(at(first, APIA), at(first, APIA))
    last, new = at("2011-12-29T00:00", APIA), at("2011-12-31T00:00", APIA)
    assert new - last == 86_400
    assert days.between(last, new) == 1 and days.after(last, 1.5) == new + 43_200
    assert days.all_between(np.array([last, last]), np.array([new, new + 86_400])).tolist() == [1, 2]


def test_the_days_on_which_clocks_change_have_23_and_25_hours_and_count_as_one() -> None:
    days = DayCount(BERLIN)
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25)):
        start = at(f"{day}T00:00", BERLIN)
        assert days.between(start, start + hours * 3600) == pytest.approx(1.0)
        assert days.between(start, start + 3600) == pytest.approx(1 / hours)


@pytest.mark.parametrize(
    ("start", "end", "working"),
    [
        ("2026-11-23T00:00", "2026-11-28T00:00", 5.0),  # a week without holidays
        ("2026-11-27T12:00", "2026-11-30T12:00", 1.0),  # Friday noon to Monday noon
        ("2026-11-28T09:00", "2026-11-29T21:00", 0.0),  # within a weekend
        ("2026-11-03T00:00", "2026-11-05T00:00", 1.0),  # 4 November is a holiday
        ("2024-04-27T00:00", "2024-04-28T00:00", 1.0),  # a Saturday worked for Monday 29 April 2024 ...
        ("2024-04-29T00:00", "2024-04-30T00:00", 0.0),  # ... which is free
        ("2025-12-31T00:00", "2026-01-12T00:00", 0.0),  # the long New Year holidays
    ],
)
def test_working_days_of_russia(start: str, end: str, working: float) -> None:
    assert RU.working.between(at(start), at(end)) == pytest.approx(working)


def test_other_countries_have_their_own_weekends_and_regions() -> None:
    friday, epiphany = datetime(2026, 11, 27).date(), datetime(2026, 1, 6).date()
    assert working_dates("RU")(friday) and not working_dates("SA")(friday)
    assert working_dates("DE")(epiphany) and not working_dates("DE-BY")(epiphany)


def test_planned_days_end_before_the_weekend_not_after_it() -> None:
    assert RU.working.after(at("2026-11-23T00:00"), 5) == at("2026-11-28T00:00")
    assert RU.working.after(at("2026-11-27T12:00"), 1) == at("2026-11-30T12:00")
    assert RU.working.after(at("2026-11-28T12:00"), 0) == at("2026-11-28T12:00")


def test_a_country_without_known_holidays_is_told() -> None:
    nowhere = Calendars(MOSCOW, "XX")
    NormBook([Norm(1, "C1:NEW", 3.0, "calendar")], nowhere).check_country()
    with pytest.raises(ConfigError, match="country = 'XX'"):
        NormBook([Norm(1, "C1:NEW", 3.0, "working")], nowhere).check_country()
