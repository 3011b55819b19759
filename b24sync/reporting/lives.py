"""Deals with their timelines out of the local tables, as they looked at a moment, within a scope."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from b24sync.reporting.timeline import Stay, clipped
from b24sync.store.timelines import EVERY_ID, Timelines

NOTHING: Mapping[str, Any] = {}
NO_MORE: tuple[float, Iterable[Any]] = (float("inf"), ())
make_tuple = tuple.__new__
"""Rows have a stay's columns in its order (SQLite says 0 and 1 for a bool): `Stay(*row)` in a third of its time."""


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
    part: range = EVERY_ID
    """Deals with these ids only: large reports are made in parts."""

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


def cards(tables: Timelines, scope: Scope) -> Iterator[Any]:
    """(id, title, responsible, opportunity in cents, currency, own) of the scope's deals, by id."""
    rows = tables.card_rows(scope.responsible, scope.companies, scope.part)
    return rows if scope.deals is None else (row for row in rows if row[0] in scope.deals)


def lives(tables: Timelines, scope: Scope) -> Iterator[Life]:
    """Deals of the scope that had begun as of its moment, by id. Flat memory."""
    as_of = scope.as_of
    groups = groupby(tables.stay_rows(scope.part), key=itemgetter(0))
    owner, rows = next(groups, NO_MORE)
    for deal_id, title, responsible_id, cents, currency, own in cards(tables, scope):
        while owner < deal_id:
            owner, rows = next(groups, NO_MORE)
        if owner != deal_id:
            continue
        stays = [make_tuple(Stay, row[1:]) for row in rows]
        if stays[-1].entered_at > as_of:
            # Stays are in order and without gaps, the last one is open: else nothing is to be cut.
            stays = clipped(stays, as_of)
        if stays:
            yield Life(deal_id, title, responsible_id, cents, currency, json.loads(own) if own else NOTHING, stays)
