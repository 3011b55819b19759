"""Norms: how many days a deal should stand in a stage, and what a stay is worth against them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from b24sync.reporting.calendars import Calendars, DayCount
from b24sync.reporting.timeline import Stay

LONGEST_PLAN_DAYS = 36_500.0
"""A planned-days field that says more holds something else than days."""
SAME_DAYS = 1e-9
"""A delay of less is arithmetic."""


@dataclass(frozen=True, slots=True)
class Norm:
    """A resolved `[[stages.norm]]`. `field`: the deal's own planned days, which win where they are filled."""

    pipeline_id: int
    stage_id: str
    days: float
    calendar: str = "working"
    field: str | None = None
    valid_from: date | None = None


class Measure(NamedTuple):
    """One stay in days of its norm's calendar; calendar days, and no plan, where no norm covers it."""

    planned_days: float | None
    actual_days: float
    calendar: str

    @property
    def delay_days(self) -> float:
        return 0.0 if self.planned_days is None else over(self.actual_days, self.planned_days)

    @property
    def days_left(self) -> float | None:
        """Negative = overdue."""
        return None if self.planned_days is None else self.planned_days - self.actual_days


def over(actual_days: float, planned_days: float) -> float:
    """Days over the plan, at least 0: sums of parts of days that differ in their last digits only are no delay."""
    days = actual_days - planned_days
    return days if days > SAME_DAYS else 0.0


IN_FINAL_STAGE = Measure(None, 0.0, "calendar")


class NormBook:
    """All norms of a portal. A stay goes by the norm that was valid on the date it began."""

    def __init__(self, norms: Sequence[Norm], calendars: Calendars) -> None:
        self.calendars = calendars
        self._norms: dict[tuple[int, str], list[Norm]] = {}
        for norm in sorted(norms, key=lambda norm: norm.valid_from or date.min):
            self._norms.setdefault((norm.pipeline_id, norm.stage_id), []).append(norm)

    def check_country(self) -> None:
        """Raises ConfigError where a norm counts working days and the country's holidays are not known."""
        if any(norm.calendar == "working" for norms in self._norms.values() for norm in norms):
            _ = self.calendars.working

    @property
    def pipelines(self) -> set[int]:
        return {pipeline_id for pipeline_id, _ in self._norms}

    @property
    def fields(self) -> list[str]:
        """Planned-days fields that some norm names."""
        return sorted({norm.field for norms in self._norms.values() for norm in norms if norm.field})

    def norm_of(self, stay: Stay) -> Norm | None:
        """The norm valid on the date that the stay began; the later `valid_from` wins."""
        known = self._norms.get(stay[:2])
        if known is None or stay.group != "P":
            return None
        if known[-1].valid_from is None:
            return known[-1]
        began = self.calendars.date_of(stay.entered_at)
        return next((norm for norm in reversed(known) if norm.valid_from is None or norm.valid_from <= began), None)

    def measure(self, stay: Stay, as_of: float, own: Mapping[str, Any]) -> Measure:
        """The stay as of a moment; an open one lasts until then, one in a final stage takes no time.

        `own`: the deal's planned-days fields as the portal shows them.
        """
        _, _, group, entered_at, left_at, _ = stay
        if group != "P":
            return IN_FINAL_STAGE
        end = left_at if left_at is not None else max(entered_at, as_of)
        norm = self.norm_of(stay)
        if norm is None:
            return Measure(None, self.calendars.calendar.between(entered_at, end), "calendar")
        planned = norm.days if norm.field is None else planned_days(norm, own)
        return Measure(planned, self.calendars.of(norm.calendar).between(entered_at, end), norm.calendar)

    def same_for_all(self, pipeline_id: int, stage_id: str) -> tuple[float | None, DayCount] | None:
        """(planned days, how to count) of every stay of a deal in work in this stage; None where they differ by the
        date that a stay began, or by the deal.
        """
        known = self._norms.get((pipeline_id, stage_id))
        if known is None:
            return None, self.calendars.calendar
        norm = known[-1]
        if norm.valid_from is not None or norm.field is not None:
            return None
        return norm.days, self.calendars.of(norm.calendar)

    def plan_end(self, stay: Stay, measure: Measure) -> float | None:
        """When the planned days of a stay are over."""
        if measure.planned_days is None:
            return None
        return self.calendars.of(measure.calendar).after(stay.entered_at, measure.planned_days)


def planned_days(norm: Norm, own: Mapping[str, Any]) -> float:
    """The deal's own planned days where they are filled and make sense, else the norm's."""
    said = None if norm.field is None else as_days(own.get(norm.field))
    return norm.days if said is None else said


def as_days(value: Any) -> float | None:
    """A planned-days field: a number or a text such as `5,5`; None where it is empty, 0 (how a portal may show an
    empty number) or no number of days.
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        days = float(str(value).strip().replace(",", "."))
    except ValueError:
        return None
    return days if 0 < days <= LONGEST_PLAN_DAYS else None
