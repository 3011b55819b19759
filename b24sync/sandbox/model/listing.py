"""Pages of list methods: which rows, in which order, which 50 of them.

Docs: settings/how-to-call-rest-api/list-methods-pecularities.md (pages of 50, next, total),
settings/performance/huge-data.md (start = -1 counts nothing).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .filters import Order, Plan

PAGE = 50


@dataclass(slots=True)
class Page:
    """Rows of one page; `next` None on the last page and when counting is off, `total` 0 then."""

    rows: list[Any]
    total: int
    next: int | None


def start_of(raw: Any) -> int:
    """The `start` parameter; anything that is no number counts as 0."""
    try:
        return int(str(raw))
    except (TypeError, ValueError):
        return 0


def page_of(rows: Sequence[Any], start: int) -> Page:
    """A page out of rows that are already filtered and sorted."""
    if start < 0:
        return Page(list(rows[:PAGE]), 0, None)
    end = start + PAGE
    return Page(list(rows[start:end]), len(rows), end if end < len(rows) else None)


def scan(rows: Iterable[Any], plan: Plan, start: int) -> Page:
    """A page of rows that come in the right order already; without counting it stops at 50 hits."""
    if start >= 0:
        return page_of([row for row in rows if plan.passes(row)], start)
    found: list[Any] = []
    for row in rows:
        if plan.passes(row):
            found.append(row)
            if len(found) == PAGE:
                break
    return Page(found, 0, None)


def listed(
    rows: Iterable[Any], plan: Plan, order: Order, start: int, *, presorted: Callable[[Order], bool] | None = None
) -> Page:
    """A page of any rows: sorted unless `presorted` says that they come in that order."""
    if not order.keys or (presorted is not None and presorted(order)):
        return scan(rows, plan, start)
    return page_of(order.sort(row for row in rows if plan.passes(row)), start)
