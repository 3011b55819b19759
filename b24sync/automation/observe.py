"""Observations become causes, causes become jobs: one transaction per look (design 6).

A look compares items with their snapshots; rows of the stage history tell which stages they passed. Whatever was
looked at, by whom and how often: a cause is stored once, and its jobs are published in the same transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from b24sync.automation.causes import (
    CHANGED,
    CREATED,
    DELETED,
    DUE,
    ENTERED,
    LEFT,
    Cause,
    changes,
    comparable,
    moment_of,
)
from b24sync.automation.looks import has_stages, kept
from b24sync.automation.process import Handler
from b24sync.automation.rulebook import Rule, RuleBook
from b24sync.store.causes import CauseRow, Causes
from b24sync.store.engine import Store
from b24sync.store.lanes import Lanes, Message
from b24sync.store.snapshots import Snapshot, Snapshots
from b24sync.store.stage_entries import FIRST_LOOK, Move, Sighting, note_moves

_PLACE = ("stageId", "categoryId")
OLD, NEW, IMPORTED = "old", "new", "imported"
"""What an item is when it is seen for the first time."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One item of a look: its row (None: it does not exist), its last snapshot, what it is if there is none."""

    entity_id: int
    row: Mapping[str, Any] | None
    last: Snapshot | None
    first_seen_as: str = OLD


@dataclass(frozen=True, slots=True)
class Writer:
    """The handler whose own write was looked at: it gets no cause of it. `fields`: what it wrote; None = all of it.

    The portal's answer also shows what somebody else changed since the last look: that the writer has to hear.
    """

    process: str
    handler: str
    fields: frozenset[str] | None = None

    def wrote(self, cause: Cause) -> bool:
        """Whether a difference is of its own making."""
        if self.fields is None:
            return True
        if cause.kind in (ENTERED, LEFT):
            return not self.fields.isdisjoint(_PLACE)
        return cause.kind == CHANGED and cause.subject in self.fields


@dataclass(slots=True)
class _Draft:
    """Causes of one item before they have numbers."""

    entity_id: int
    imported: bool
    net: list[tuple[str, str, Any, Any]] = field(default_factory=list)


class Observer:
    """Stores looks of one portal and publishes the jobs of their causes."""

    def __init__(self, store: Store, portal: str, book: RuleBook, lanes: Lanes) -> None:
        self.book = book
        self.snapshots = Snapshots(store, portal)
        self.causes = Causes(store, portal)
        self._store = store
        self._portal = portal
        self._lanes = lanes

    def take(
        self,
        connection: Connection,
        entity: str,
        seen: Sequence[Seen],
        history: Sequence[Sighting] = (),
        *,
        source: str,
        at: float,
        writer: Writer | None = None,
    ) -> list[CauseRow]:
        """Store a look: snapshots, stage entries, causes, jobs. Returns the causes that are new.

        `history`: rows of the stage history in the order of their ids; of items of `seen` only.
        """
        drafts = [_draft(item, self.book.watched(entity)) for item in seen]
        counts = self.causes.counts(
            connection, entity, [draft.entity_id for draft in drafts if draft.net], (CHANGED, CREATED, DELETED)
        )
        imported = {draft.entity_id for draft in drafts if draft.imported}
        found = [cause for draft in drafts for cause in _numbered(entity, draft, counts.get(draft.entity_id, {}))]
        if has_stages(entity):
            moves = self._moves(connection, entity, seen, history, source, at)
            found += [cause for move in moves for cause in _of_move(entity, move, move.entity_id in imported)]
        self.snapshots.save(connection, entity, [self._snapshot(entity, item) for item in seen], at)
        return self.raise_causes(connection, found, source=source, at=at, writer=writer, seen=seen)

    def raise_causes(
        self,
        connection: Connection,
        found: Sequence[Cause],
        *,
        source: str,
        at: float,
        writer: Writer | None = None,
        seen: Sequence[Seen] = (),
    ) -> list[CauseRow]:
        """Store causes and publish the jobs of those that are new."""
        by_key = {(cause.entity_id, cause.key): cause for cause in found}
        writers = {key: writer for key, cause in by_key.items() if writer is not None and writer.wrote(cause)}
        rows = [_row(cause, writers.get(key)) for key, cause in by_key.items()]
        new = self.causes.add(connection, rows, source, at)
        messages: list[Message] = []
        for row in new:
            key = row.entity_id, row.key
            messages += self.jobs_of(row, by_key[key], at, writers.get(key))
        of_items: dict[int, list[CauseRow]] = defaultdict(list)
        for row in new:
            of_items[row.entity_id].append(row)
        messages += [message for item in seen for message in self._timers(item, of_items[item.entity_id])]
        self._lanes.publish(connection, messages)
        return new

    def jobs_of(self, row: CauseRow, cause: Cause, at: float, writer: Writer | None = None) -> Iterator[Message]:
        """A job for every handler that the cause matches."""
        for rule, handler in self.book.handlers(cause.entity):
            if why_not(rule, handler, cause, writer) is None:
                payload = {"process": rule.name, "handler": handler.name, "cause": row.id, "since": at}
                yield Message(self._portal, lane_of(cause), f"{rule.name}.{handler.name}:{row.id}", payload)

    def _timers(self, item: Seen, new: Sequence[CauseRow]) -> Iterator[Message]:
        """`due(field)`: a timer for the moment that a field holds now; one for every value that it ever had."""
        fresh = {(row.entity, row.subject): row for row in new}
        for (entity, subject), row in fresh.items():
            moment = moment_of(row.detail.get("after"))
            if row.kind != CHANGED or moment is None:
                continue
            imported = bool(row.detail.get("imported"))
            for rule, handler in self.book.handlers(entity):
                if imported and not rule.imported:
                    continue
                if handler.trigger.kind == DUE and subject in handler.trigger.subjects(rule.params):
                    payload = {
                        "process": rule.name,
                        "handler": handler.name,
                        "due": {"field": subject, "value": row.detail["after"], "n": row.n},
                        "entity": entity,
                        "id": item.entity_id,
                    }
                    kind = f"{rule.name}.{handler.name}:due:{row.id}"
                    yield Message(self._portal, f"{entity}:{item.entity_id}", kind, payload, moment.timestamp())

    def _moves(
        self,
        connection: Connection,
        entity: str,
        seen: Sequence[Seen],
        history: Sequence[Sighting],
        source: str,
        at: float,
    ) -> list[Move]:
        """What the history tells; where it tells nothing of an item, what the look itself shows."""
        told = {sighting.entity_id for sighting in history}
        silent = {item.entity_id: item for item in seen if item.entity_id not in told and item.row is not None}
        looks: dict[str, list[Sighting]] = {source[:16]: [], FIRST_LOOK: []}
        for item_id, item in silent.items():
            if item.row is not None and item.row.get("stageId"):
                known = item.first_seen_as == OLD
                looks[source[:16] if known else FIRST_LOOK].append(Sighting(item_id, str(item.row["stageId"])))
        rows = note_moves(self._store, connection, self._portal, entity, history, source="history", at=at)
        moves = [
            move
            for name, seen_so in looks.items()
            for move in note_moves(self._store, connection, self._portal, entity, seen_so, source=name, at=at)
        ]
        # What is seen for the first time entered its stage, although whoever made it has noted that stage already:
        # else its row of the history, read later, would count as a move of a known item.
        telling = [
            move
            for move in moves
            if silent[move.entity_id].first_seen_as != OLD or (move.fresh and move.left is not None)
        ]
        return rows + telling

    def _snapshot(self, entity: str, item: Seen) -> Snapshot:
        version = item.last.version if item.last else 0
        if item.row is None:
            return Snapshot(item.entity_id, item.last.fields if item.last else {}, version, gone=True)
        return Snapshot(item.entity_id, kept(self.book, entity, item.row), version)


def why_not(rule: Rule, handler: Handler, cause: Cause, writer: Writer | None = None) -> str | None:
    """None when a cause starts a handler, else the reason why not."""
    if cause.process is not None and cause.process != rule.name:
        return f"belongs to {cause.process}"
    if writer is not None and (writer.process, writer.handler) == (rule.name, handler.name):
        return "its own write"
    if cause.imported and not rule.imported:
        return "the item was imported (imported = true would count it)"
    return handler.trigger.why_not(cause, rule.params)


def lane_of(cause: Cause) -> str:
    """Jobs about one item run one after the other."""
    return f"{cause.entity}:{cause.entity_id}"


def _draft(item: Seen, watched: Iterable[str]) -> _Draft:
    """The net difference between two looks at one item."""
    last, row = item.last, item.row
    draft = _Draft(item.entity_id, imported=last is None and item.first_seen_as == IMPORTED)
    if row is None:
        if last is not None and not last.gone:
            draft.net.append((DELETED, "", None, None))
        return draft
    if last is None or last.gone:
        if item.first_seen_as == OLD:
            return draft
        # New since we watch: what it was made with has changed from nothing. A 0 or a no is what the portal fills in.
        draft.net.append((CREATED, "", None, None))
        row = {name: value for name, value in row.items() if comparable(value) != "0"}
        last = Snapshot(item.entity_id, dict.fromkeys(watched))
    for change in changes(last.fields, _whole(row, watched), watched):
        draft.net.append((CHANGED, change.field, change.before, change.after))
    return draft


def _whole(row: Mapping[str, Any], watched: Iterable[str]) -> dict[str, Any]:
    """Absent keys are empty: the portal leaves out what has no value (crm_multifield, data-types.md)."""
    return {**dict.fromkeys(watched), **row}


def _numbered(entity: str, draft: _Draft, counts: Mapping[tuple[str, str], int]) -> Iterator[Cause]:
    for kind, subject, before, after in draft.net:
        n = counts.get((kind, subject), 0) + 1
        yield Cause(entity, draft.entity_id, kind, subject, n, before, after, imported=draft.imported)


def _of_move(entity: str, move: Move, imported: bool) -> Iterator[Cause]:
    if move.left is not None:
        stage, n = move.left
        yield Cause(entity, move.entity_id, LEFT, stage, n, imported=imported)
    yield Cause(entity, move.entity_id, ENTERED, move.stage, move.n, imported=imported)


def _row(cause: Cause, writer: Writer | None) -> dict[str, Any]:
    detail: dict[str, Any] = {"before": cause.before, "after": cause.after, "imported": cause.imported}
    detail |= {"process": cause.process, "portal_id": cause.portal_id}
    if writer is not None:
        detail["writer"] = f"{writer.process}.{writer.handler}"
    return {
        "entity": cause.entity,
        "entity_id": cause.entity_id,
        "key": cause.key,
        "kind": cause.kind,
        "subject": cause.subject,
        "n": cause.n,
        "detail": {key: value for key, value in detail.items() if value not in (None, False)},
    }


def cause_of(row: CauseRow) -> Cause:
    """A stored cause as rules see it."""
    detail = row.detail
    return Cause(
        row.entity,
        row.entity_id,
        row.kind,
        row.subject,
        row.n,
        detail.get("before"),
        detail.get("after"),
        bool(detail.get("imported")),
        detail.get("process"),
        detail.get("portal_id"),
    )
