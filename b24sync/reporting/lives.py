"""Deals with their timelines out of the local tables, as they looked at a moment, within a scope."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from b24sync.reporting.timeline import Stay
from b24sync.store.timelines import Timelines

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is about: all deals where nothing is said.

    Days are counted up to `as_of`; `start` and `end` bound the period (end not included). All in unix seconds.
    """

    as_of: float
    start: float = 0.0
    end: float = float("inf")
    pipelines: frozenset[int] | None = None
    responsible: frozenset[int] | None = None
    companies: frozenset[int] | None = None
    deals: frozenset[int] | None = None

    @property
    def until(self) -> float:
        """The end of what counts: of the period, or `as_of` where that is earlier."""
        return min(self.as_of, self.end)


class Life(NamedTuple):
    """One deal. `stays` as of the scope's moment, oldest first; `own`: its planned-days fields."""

    id: int
    title: str
    responsible_id: int
    opportunity_cents: int
    currency: str
    own: Mapping[str, Any]
    stays: list[Stay]


def lives(tables: Timelines, scope: Scope) -> Iterator[Life]:
    """Deals of the scope that had begun as of its moment, by id. Flat memory."""
    as_of = scope.as_of
    rows = iter(tables.stay_rows())
    row = next(rows, None)
    for deal_id, title, responsible_id, cents, currency, own in tables.card_rows(scope.responsible, scope.companies):
        if scope.deals is not None and deal_id not in scope.deals:
            continue
        while row is not None and row[0] < deal_id:
            row = next(rows, None)
        stays = []
        while row is not None and row[0] == deal_id:
            _, pipeline_id, stage_id, group, entered_at, left_at, estimated = row
            if entered_at <= as_of:
                left_at = None if left_at is not None and left_at > as_of else left_at
                stays.append(Stay(pipeline_id, stage_id, group, entered_at, left_at, bool(estimated)))
            row = next(rows, None)
        if stays:
            yield Life(deal_id, title, responsible_id, cents, currency, json.loads(own) if own else NOTHING, stays)
