"""Counting days: every date, or the working dates of a country, in the portal's time zone.

A day is a date of the zone, whatever its length: 23 or 25 hours on clock changes count as one day, and parts of
a day count in proportion. So the days counted up to a moment are a broken line with its corners at the zone's
midnights; days between two moments are a difference of two points on it, and add up across any split.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from b24sync.working_dates import working_dates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ONE_DAY = timedelta(days=1)
FUZZ_DIGITS = 9
"""Sums of floats are rounded to a billionth of a day before a weekend is jumped over because of them."""


class DayCount:
    """Days in one zone; `counts` says which dates count (all of them where absent). Moments are unix seconds."""

    def __init__(self, zone: ZoneInfo, counts: Callable[[date], bool] | None = None) -> None:
        self._zone = zone
        self._counts = counts or (lambda _: True)
        self._midnights: list[float] = []
        self._days: list[float] = []
        self._first = self._last = date.min
        self._from = self._until = 0.0

    def between(self, start: float, end: float) -> float:
        """Days from `start` to `end`, negative where `end` comes first."""
        if not self._from <= start < self._until or not self._from <= end < self._until:
            self._cover(start)
            self._cover(end)
        return self._at(end) - self._at(start)

    def all_between(self, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """`between` of many pairs of moments; at least one."""
        import numpy as np

        for moment in (starts.min(), ends.min(), starts.max(), ends.max()):
            self._cover(float(moment))
        passed: NDArray[np.float64] = np.interp(ends, self._midnights, self._days)
        return passed - np.interp(starts, self._midnights, self._days)

    def after(self, start: float, days: float) -> float:
        """The first moment, not before `start`, up to which `days` have passed."""
        self._cover(start)
        wanted = round(self._at(start) + days, FUZZ_DIGITS)
        while self._days[-1] < wanted:
            self._append_year()
        index = bisect_left(self._days, wanted)
        if index == 0 or days <= 0:
            return start
        begin, end = self._midnights[index - 1], self._midnights[index]
        share = (wanted - self._days[index - 1]) / (self._days[index] - self._days[index - 1])
        return max(start, begin + share * (end - begin))

    def _at(self, moment: float) -> float:
        midnights, days = self._midnights, self._days
        index = bisect_right(midnights, moment)
        begin, counted = midnights[index - 1], days[index - 1]
        if days[index] == counted:
            return counted
        return counted + (moment - begin) / (midnights[index] - begin)

    def _cover(self, moment: float) -> None:
        if not self._midnights:
            year = datetime.fromtimestamp(moment, self._zone).year
            self._first = self._last = date(year, 1, 1)
            self._midnights, self._days = [self._midnight(self._first)], [0.0]
            self._append_year()
        while moment < self._midnights[0]:
            self._prepend_year()
        while moment >= self._midnights[-1]:
            self._append_year()
        self._from, self._until = self._midnights[0], self._midnights[-1]

    def _append_year(self) -> None:
        end = self._last.replace(year=self._last.year + 1)
        while self._last < end:
            counted = self._days[-1] + self._counts(self._last)
            self._last += ONE_DAY
            midnight = self._midnight(self._last)
            if midnight > self._midnights[-1]:  # a zone that changed sides of the date line has left a date out
                self._midnights.append(midnight)
                self._days.append(counted)

    def _prepend_year(self) -> None:
        begin = self._first.replace(year=self._first.year - 1)
        midnights, days = [self._midnights[0]], [self._days[0]]
        while self._first > begin:
            self._first -= ONE_DAY
            midnight = self._midnight(self._first)
            if midnight < midnights[-1]:
                midnights.append(midnight)
                days.append(days[-1] - self._counts(self._first))
        self._midnights[:1], self._days[:1] = reversed(midnights), reversed(days)

    def _midnight(self, day: date) -> float:
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp()


class Calendars:
    """The two ways to count in one portal."""

    def __init__(self, zone: ZoneInfo, country: str) -> None:
        self.zone = zone
        self.calendar = DayCount(zone)
        self._country = country

    @cached_property
    def working(self) -> DayCount:
        """Looked up when it is wanted: holidays of all countries take a seventh of a second to import.

        Raises ConfigError for a country without known holidays.
        """
        return DayCount(self.zone, working_dates(self._country))

    def of(self, kind: str) -> DayCount:
        return self.working if kind == "working" else self.calendar

    def date_of(self, moment: float) -> date:
        return datetime.fromtimestamp(moment, self.zone).date()
