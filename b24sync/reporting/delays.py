"""Stays of deals in work against their norms, counted column by column: half a million rows in a second."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from b24sync.reporting.lives import Scope, cards
from b24sync.reporting.norms import SAME_DAYS, NormBook
from b24sync.reporting.timeline import Stay
from b24sync.store.timelines import Timelines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

Place = tuple[int, str]
"""Pipeline and stage."""


class _Numbered(dict[Place, int]):
    """A number for each place, in the order of their appearance."""

    def __missing__(self, place: Place) -> int:
        self[place] = number = len(self)
        return number


@dataclass(slots=True)
class Delays:
    """One entry per stay, by deal and order. NaN: still there (`left_at`), without a norm (`planned_days`)."""

    places: list[Place]
    titles: dict[int, str]
    deal_ids: Integers
    place_numbers: Integers
    """Where in `places` the stay's place stands."""
    entered_at: Floats
    left_at: Floats
    estimated: NDArray[np.bool_]
    planned_days: Floats
    actual_days: Floats

    def add(self, other: Delays) -> None:
        """Deals that come after these."""
        numbers = _Numbered({place: number for number, place in enumerate(self.places)})
        moved = np.array([numbers[place] for place in other.places], dtype=np.int64)
        other.place_numbers = moved[other.place_numbers] if len(moved) else other.place_numbers
        self.places = list(numbers)
        self.titles.update(other.titles)
        for name in COLUMNS:
            setattr(self, name, np.concatenate([getattr(self, name), getattr(other, name)]))

    @property
    def delay_days(self) -> Floats:
        """Days over the plan; sums of parts of days that differ in their last digits only are no delay."""
        over = self.actual_days - self.planned_days
        return np.where(over > SAME_DAYS, over, 0.0)

    def by_place(self, days: Floats) -> dict[Place, float]:
        """Sums of `days` by place, where they are not 0; the largest first."""
        sums = np.bincount(self.place_numbers, weights=days, minlength=len(self.places)).tolist()
        found = {place: total for place, total in zip(self.places, sums, strict=True) if total}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def by_deal(self, days: Floats) -> tuple[Integers, Floats]:
        """Deals for which `days` are not 0, and their sums; the largest first."""
        late = days > 0
        ids, where = np.unique(self.deal_ids[late], return_inverse=True)
        sums: Floats = np.bincount(where, weights=days[late], minlength=len(ids)).astype(np.float64)
        order = np.lexsort((ids, -sums))
        return ids[order], sums[order]

    def stays_of(self, deal_ids: Sequence[int], days: Floats) -> Iterator[tuple[int, Place, float]]:
        """(deal, place, days) of each stay of these deals for which `days` are not 0."""
        chosen = np.flatnonzero((days > 0) & np.isin(self.deal_ids, deal_ids))
        for at in chosen.tolist():
            yield int(self.deal_ids[at]), self.places[self.place_numbers[at]], float(days[at])


COLUMNS = (
    "deal_ids",
    "place_numbers",
    "entered_at",
    "left_at",
    "estimated",
    "planned_days",
    "actual_days",
)


def count_delays(tables: Timelines, scope: Scope, book: NormBook) -> Delays:
    """Every stay in work that lasted into the period, with its days as of the scope's moment."""
    titles: dict[int, str] = {}
    own: dict[int, str] = {}
    for deal_id, title, _, _, _, said in cards(tables, scope):
        titles[deal_id] = title
        if said:
            own[deal_id] = said
    numbers = _Numbered()
    pieces = [_arrays([], numbers)]
    pieces += [_arrays(rows, numbers) for rows in tables.stays_in_work(scope.as_of, scope.start, scope.end, scope.part)]
    columns = [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    chosen = np.isin(columns[0], np.fromiter(titles, dtype=np.int64, count=len(titles)))
    if scope.pipelines is not None:
        chosen &= np.array([place[0] in scope.pipelines for place in numbers] or [False])[columns[1]]
    deal_ids, place_numbers, entered_at, left_at, estimated = (column[chosen] for column in columns)
    nothing = np.full(len(deal_ids), np.nan)
    found = Delays(
        list(numbers), titles, deal_ids, place_numbers, entered_at, left_at, estimated, nothing, nothing.copy()
    )
    for number, place in enumerate(found.places):
        _measure(found, np.flatnonzero(place_numbers == number), place, scope.as_of, book, own)
    return found


def _arrays(rows: Sequence[Any], numbers: _Numbered) -> tuple[Any, ...]:
    deals, pipelines, stages, entered, left, estimated = zip(*rows, strict=True) if rows else [()] * 6
    return (
        np.array(deals, dtype=np.int64),
        np.array([numbers[place] for place in zip(pipelines, stages, strict=True)], dtype=np.int64),
        np.array(entered, dtype=np.float64),
        np.array(left, dtype=np.float64),
        np.array(estimated, dtype=np.bool_),
    )


def _measure(
    found: Delays, mine: NDArray[np.intp], place: Place, as_of: float, book: NormBook, own: Mapping[int, str]
) -> None:
    """Days of the stays in one place: at once where they have one norm, else one by one."""
    if not len(mine):
        return
    shared = book.same_for_all(*place)
    if shared is not None:
        planned, days = shared
        left_at = found.left_at[mine]
        until = np.where(np.isnan(left_at), as_of, left_at)
        found.planned_days[mine] = np.nan if planned is None else planned
        found.actual_days[mine] = days.all_between(found.entered_at[mine], until)
        return
    for at in mine.tolist():
        left = float(found.left_at[at])
        entered, open_end = float(found.entered_at[at]), left != left
        stay = Stay(*place, "P", entered, None if open_end else left, bool(found.estimated[at]))
        measure = book.measure(stay, as_of, json.loads(own.get(int(found.deal_ids[at]), "{}")))
        found.planned_days[at] = np.nan if measure.planned_days is None else measure.planned_days
        found.actual_days[at] = measure.actual_days
