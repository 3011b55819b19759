"""A deal's stage timeline out of everything that is known of it: pure.

What is known, surest first: rows of the portal's stage history; where the deal stood, and since when, each time
its card was read (`movedTime`); when it was made. The history cannot be written (crm/crm-stage-history-list.md), so a
deal that was imported, or is older than the history, has gaps: they are filled from the rest and marked estimated,
so that old deals reach every report. What nothing tells is the stage UNKNOWN, never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

UNKNOWN = ""
"""The stage of a time before the first known stage."""
SAME_MOMENT_S = 120.0
"""The card's moment of a move and the history's differ by less: they are written by one save."""
CREATED = 1
"""TYPE_ID of the row that the portal writes when a deal is made; others are moves (crm-stage-history-list.md)."""


@dataclass(frozen=True, slots=True)
class Move:
    """One row of the stage history, or (id 0) a sighting of a card. `group`: P in work, S won, F lost.

    `kind`: TYPE_ID, 0 where the row does not tell.
    """

    id: int
    kind: int
    at: float
    pipeline_id: int
    stage_id: str
    group: str

    @property
    def place(self) -> tuple[int, str]:
        return self.pipeline_id, self.stage_id


@dataclass(frozen=True, slots=True)
class Card:
    """What a deal's card says of its stages; `read_at` is when it said so.

    `previous_stage_id` is empty where the portal does not tell.
    """

    created_at: float
    moved_at: float
    pipeline_id: int
    stage_id: str
    group: str
    read_at: float
    previous_stage_id: str = ""


class Stay(NamedTuple):
    """One stay in one stage. `left_at` None = still there. Moments are unix seconds.

    A tuple: reports make hundreds of thousands of them.
    """

    pipeline_id: int
    stage_id: str
    group: str
    entered_at: float
    left_at: float | None
    estimated: bool

    @property
    def in_work(self) -> bool:
        """Whether the deal's life goes on in it: time in a final stage is nobody's work and nobody's delay."""
        return self.group == "P"


def sighting_of(card: Card, history: Sequence[Move], sightings: Sequence[Move] = ()) -> Move | None:
    """The entry that the card tells of and nothing else does: worth remembering, a later move overwrites it."""
    known = _events(sorted(history, key=_order), sightings)
    seen = Move(0, 0, card.moved_at, card.pipeline_id, card.stage_id, card.group)
    if not known:
        return seen
    first, last = known[0], known[-1]
    if seen.at < first.at - SAME_MOMENT_S:
        return seen if seen.place == last.place else None
    if seen.place == last.place or card.read_at < last.at + SAME_MOMENT_S:
        # Known already; or the card was read before the deal moved on.
        return None
    return seen if seen.at > last.at else replace(seen, at=card.read_at)


def stays_of(card: Card, history: Sequence[Move], sightings: Sequence[Move] = ()) -> list[Stay]:
    """Every stay since the deal was made, without gaps, in order; the last one is open.

    `sightings`: what earlier readings of the card found and the history lacks.
    """
    new = sighting_of(card, history, sightings)
    events = _events(sorted(history, key=_order), [*sightings, *([new] if new else [])])
    first = events[0]
    if card.created_at < first.at - SAME_MOMENT_S:
        events.insert(0, _before(card, events))
    elif card.created_at < first.at:
        events[0] = replace(first, at=card.created_at)
    entries: list[Move] = []
    for event in events:
        if not entries or entries[-1].place != event.place:
            entries.append(event)
    ends = [*[entry.at for entry in entries[1:]], None]
    return [
        Stay(entry.pipeline_id, entry.stage_id, entry.group, entry.at, end, entry.id == 0)
        for entry, end in zip(entries, ends, strict=True)
    ]


def _order(move: Move) -> tuple[float, int]:
    return move.at, move.id


def _events(facts: Sequence[Move], sightings: Sequence[Move]) -> list[Move]:
    """The history with the sightings that tell more: before its first row, or after its last."""
    if not facts:
        return sorted(sightings, key=_order)
    first, last = facts[0], facts[-1]
    before = [seen for seen in sightings if seen.at < first.at - SAME_MOMENT_S]
    after = [seen for seen in sightings if seen.at > last.at]
    return [*sorted(before, key=_order), *facts, *sorted(after, key=_order)]


def _before(card: Card, events: Sequence[Move]) -> Move:
    """Where the deal stood from its making to the first event.

    A row "created" that is younger than the deal was written by an import: it stood in that stage all along.
    """
    first = events[0]
    stage_id = UNKNOWN
    if first.kind == CREATED:
        stage_id = first.stage_id
    elif len(events) == 1 and card.previous_stage_id != first.stage_id:
        stage_id = card.previous_stage_id
    group = first.group if stage_id == first.stage_id else "P"
    return Move(0, 0, card.created_at, first.pipeline_id, stage_id, group)


def clipped(stays: Sequence[Stay], as_of: float) -> list[Stay]:
    """The timeline as it looked at `as_of`: what came later has not happened."""
    return [
        stay._replace(left_at=None) if stay.left_at is not None and stay.left_at > as_of else stay
        for stay in stays
        if stay.entered_at <= as_of
    ]
