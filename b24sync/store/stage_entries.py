"""Stage entries: (deal, stage, n), shared by workflow starts and rules (design 5).

Two sightings of a stage with no other stage between them are one entry. A row of the portal's stage history is
known by its id for ever, so several readers of the history, each with a cursor of its own, number alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from b24sync.store.engine import Store
from b24sync.store.ledger import CHUNK
from b24sync.store.tables import stage_entries

FIRST_LOOK = "first look"
"""Source of a look at an item that was made while its history is read: every row of it is still to come."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """An item seen in a stage: by a row of the stage history (`history_id`), or by a look at the item itself."""

    entity_id: int
    stage: str
    history_id: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """What a sighting was: the n-th stay in `stage`, after the stay before it. `fresh`: not noted before."""

    entity_id: int
    stage: str
    n: int
    left: tuple[str, int] | None
    fresh: bool


@dataclass(slots=True)
class _Entry:
    stage: str
    n: int
    history_id: int | None
    is_first_look: bool = False
    stored_seq: int | None = None
    """Where it stands in the table; None = new."""
    stored_history_id: int | None = None


def note_entries(
    store: Store, portal: str, entity: str, seen: Sequence[tuple[int, str]], *, source: str, at: float
) -> dict[int, int]:
    """Note that items were seen in stages, in this order; returns each item's n for its latest stage.

    `seen`: (item id, stage id). The same item may come several times, oldest first.
    """
    with store.write() as connection:
        sightings = [Sighting(item_id, stage) for item_id, stage in seen]
        moves = note_moves(store, connection, portal, entity, sightings, source=source, at=at)
    return {move.entity_id: move.n for move in moves}


def note_moves(
    store: Store,
    connection: Connection,
    portal: str,
    entity: str,
    seen: Iterable[Sighting],
    *,
    source: str,
    at: float,
) -> list[Move]:
    """Note sightings within the caller's transaction; a Move for each, items in the order of their ids.

    Of one item, rows of the history come in the order of their ids, and a look at the item after them.
    """
    by_item: dict[int, list[Sighting]] = {}
    for sighting in seen:
        by_item.setdefault(sighting.entity_id, []).append(sighting)
    ids = sorted(by_item)
    moves: list[Move] = []
    for start in range(0, len(ids), CHUNK):
        piece = ids[start : start + CHUNK]
        entries = _read(connection, portal, entity, piece)
        for item_id in piece:
            moves += _note(entries[item_id], by_item[item_id], is_first_look=source == FIRST_LOOK)
        _write(store, connection, {"portal": portal, "entity": entity}, entries, source, at)
    return moves


def note_created(
    store: Store, portal: str, entity: str, seen: Sequence[tuple[int, str]], *, source: str, at: float
) -> None:
    """Note the first stage of items that were made a moment ago: nothing is known of them yet."""
    if not seen:
        return
    first = {"portal": portal, "entity": entity, "seq": 1, "n": 1, "source": source, "seen_at": at}
    rows = [{**first, "entity_id": item_id, "stage": stage} for item_id, stage in seen]
    with store.write() as connection:
        store.many(connection, store.insert(stage_entries).on_conflict_do_nothing(), rows)


def _note(entries: list[_Entry], seen: Sequence[Sighting], *, is_first_look: bool) -> list[Move]:
    """Work the sightings of one item into its entries."""
    known = {entry.history_id: entry for entry in entries if entry.history_id is not None}
    moves = []
    for sighting in seen:
        fresh = False
        entry = known.get(sighting.history_id) if sighting.history_id is not None else None
        if entry is None:
            place = _told(entries) if sighting.history_id is not None else len(entries)
            entry = _noted_before(entries, place, sighting)
            if entry is None:
                n = 1 + max((other.n for other in entries if other.stage == sighting.stage), default=0)
                entry, fresh = _Entry(sighting.stage, n, sighting.history_id, is_first_look), True
                entries.insert(place, entry)
            elif sighting.history_id is not None:
                entry.history_id = entry.history_id or sighting.history_id
                known[sighting.history_id] = entry
        at = _index(entries, entry)
        left = (entries[at - 1].stage, entries[at - 1].n) if at else None
        moves.append(Move(sighting.entity_id, entry.stage, entry.n, left, fresh))
    return moves


def _told(entries: Sequence[_Entry]) -> int:
    """Where the next row of the history belongs: before the stays that were only looked at and not told yet.

    An item's first entry is not one of these, unless it is a first look: its row is older than all that is read.
    """
    rows = [index for index, entry in enumerate(entries) if entry.history_id is not None]
    is_older = bool(entries) and not entries[0].is_first_look
    return max(rows[-1] + 1 if rows else 0, int(is_older))


def _noted_before(entries: list[_Entry], place: int, sighting: Sighting) -> _Entry | None:
    """The entry that the sighting shows again, moved to `place` if a look was quicker than its row."""
    if place and entries[place - 1].stage == sighting.stage:
        return entries[place - 1]
    if sighting.history_id is None:
        return None
    older = [entry for entry in entries if entry.history_id is not None and entry.history_id < sighting.history_id]
    if older and older[-1].stage == sighting.stage:
        return older[-1]  # a second row of one stay, read by a reader that comes later
    waiting = next((entry for entry in entries[place:] if entry.stage == sighting.stage), None)
    if waiting is not None:
        del entries[_index(entries, waiting)]
        entries.insert(place, waiting)
    return waiting


def _index(entries: Sequence[_Entry], wanted: _Entry) -> int:
    return next(index for index, entry in enumerate(entries) if entry is wanted)


def _read(connection: Connection, portal: str, entity: str, ids: Sequence[int]) -> dict[int, list[_Entry]]:
    table = stage_entries
    found: dict[int, list[_Entry]] = {item_id: [] for item_id in ids}
    columns = (table.c.entity_id, table.c.seq, table.c.stage, table.c.n, table.c.history_id, table.c.source)
    query = select(*columns).where(table.c.portal == portal, table.c.entity == entity, table.c.entity_id.in_(ids))
    for row in connection.execute(query.order_by(table.c.entity_id, table.c.seq)):
        is_first_look = row.source == FIRST_LOOK
        found[row.entity_id].append(_Entry(row.stage, row.n, row.history_id, is_first_look, row.seq, row.history_id))
    return found


def _write(
    store: Store,
    connection: Connection,
    mine: dict[str, Any],
    entries: dict[int, list[_Entry]],
    source: str,
    at: float,
) -> None:
    """Store what is new. An entry that changed its place moves, by way of a place below zero that nobody has."""
    table = stage_entries
    moved, noted, fresh = [], [], []
    for item_id, listed in entries.items():
        for seq, entry in enumerate(listed, start=1):
            if entry.stored_seq is None:
                row = {**mine, "entity_id": item_id, "seq": seq, "stage": entry.stage, "n": entry.n}
                fresh.append({**row, "source": source, "seen_at": at, "history_id": entry.history_id})
                continue
            if entry.stored_seq != seq:
                moved.append({"b_id": item_id, "b_seq": entry.stored_seq, "b_new": -seq})
            if entry.stored_history_id != entry.history_id:
                noted.append({"b_id": item_id, "b_seq": seq, "b_history": entry.history_id})
    where = (
        table.c.portal == mine["portal"],
        table.c.entity == mine["entity"],
        table.c.entity_id == bindparam("b_id"),
        table.c.seq == bindparam("b_seq"),
    )
    if moved:
        connection.execute(update(table).where(*where).values(seq=bindparam("b_new")), moved)
        aside = (*where[:2], table.c.entity_id.in_({row["b_id"] for row in moved}), table.c.seq < 0)
        connection.execute(update(table).where(*aside).values(seq=-table.c.seq))
    if noted:
        connection.execute(update(table).where(*where).values(history_id=bindparam("b_history")), noted)
    store.many(connection, store.insert(table), fresh)
