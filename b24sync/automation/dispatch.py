"""Dispatch: everything that waits about an item is one look at it, and what changed becomes jobs (design 6).

The lane `dispatch` holds events of the portal as the intake stored them, and messages of our own:

    look       an item that a sweep found, or that was busy at the last look
    baseline   all items of a kind are looked at for the first time: snapshots, no causes
    history    the stage history may have rows that no event told of

One claim takes up to 2,500 of them. Cost: one request per 2,500 items, and two per 2,500 changes of stage.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from b24sync.automation.causes import ANSWERED, moment_of
from b24sync.automation.engine import Work
from b24sync.automation.looks import (
    BUSY_AGAIN_S,
    BUSY_AT_MOST_S,
    COMMON,
    STAGED,
    Look,
    columns,
    has_stages,
    kept,
    look_at,
    look_message,
)
from b24sync.automation.observe import IMPORTED, NEW, OLD, Observer, Seen
from b24sync.automation.portals import TASK, entity_of, type_id_of
from b24sync.automation.questions import Questions
from b24sync.automation.rulebook import RuleBook
from b24sync.automation.task_looks import TaskLooks
from b24sync.clock import Clock
from b24sync.errors import PortalRefused
from b24sync.portal.events import PortalEvent
from b24sync.portal.items import newest_item_id, walk
from b24sync.portal.pages import PAGE
from b24sync.portal.stage_history import newest_id, pages_after, rows_after, rows_of
from b24sync.store.cursors import read_cursor, save_cursor_in
from b24sync.store.engine import Store
from b24sync.store.jobs import DISPATCH
from b24sync.store.lanes import Lanes, Message, Received
from b24sync.store.ledger import SENT, UNKNOWN, Ledger, busy_items
from b24sync.store.snapshots import Snapshot
from b24sync.store.stage_entries import Sighting, note_moves
from b24sync.transport.client import PortalClient
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command

LOG = logging.getLogger("b24sync.dispatch")

BATCH = 2500
BASELINE_PIECE = 2500
PENDING_AGAIN_S = 10.0
UNREAD_AGAIN_S = 60.0
"""Rows of the stage history that were read wait so long for an item that the portal refuses to show."""
WHOLE_SECONDS_S = 2.0
"""The portal's times have whole seconds: what it shows of so short a time before a look is not all of it."""
A_FEW, FLOOD_PER_S = 3, 40.0
FLOOD_WINDOW_S, FLOOD_PAUSE_S = 30.0, 25.0
OWN_ORIGIN = "b24sync-"

_ENTITIES = {"DEAL": "deal", "LEAD": "lead", "CONTACT": "contact", "COMPANY": "company"}
_VERBS = ("ADD", "UPDATE", "DELETE", "MOVETOCATEGORY")


class Pace:
    """Few and large looks while a flood of events comes in, at once while a few do.

    A look costs a request whether it reads one item or 2,500. Several events in one look mean that they come faster
    than looks are taken: the more of them lately, the longer the next look waits for others.
    """

    def __init__(self, clock: Clock, longest_s: float = FLOOD_PAUSE_S) -> None:
        self._clock = clock
        self._longest_s = longest_s
        self._excess: deque[tuple[float, int]] = deque()

    def pause_s(self, messages: int, *, are_more: bool) -> float:
        """How long to wait after a look at so many; 0 when this is no flood, or another full look waits already."""
        now = self._clock.boot_s()
        self._excess.append((now, max(0, messages - A_FEW)))
        while self._excess[0][0] < now - FLOOD_WINDOW_S:
            self._excess.popleft()
        lately = sum(count for _, count in self._excess)
        return 0.0 if are_more else min(self._longest_s, lately / FLOOD_PER_S)


@dataclass(slots=True)
class Wanted:
    """What a claim's messages ask for."""

    items: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    """Ids by kind, with the moment since when each is waited for (0 = just now)."""
    rows: dict[str, list[Sighting]] = field(default_factory=lambda: defaultdict(list))
    """Rows of the stage history that were read before, of items that were busy then."""
    histories: set[str] = field(default_factory=set)
    baselines: set[str] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)
    """Tokens of questions that were answered."""
    events: int = 0


def wanted_by(messages: Iterable[Received], entities: Iterable[str]) -> Wanted:
    """Sort messages; events about kinds that no rule waits for are none of ours."""
    watched = {*entities, TASK}
    wanted = Wanted()
    for message in messages:
        own = message.payload.get("b24sync")
        if own is not None:
            _take_own(own, wanted, watched)
            continue
        event = PortalEvent.stored(message.payload)
        entity, item_id = item_of(event)
        if item_id is not None and entity in watched:
            wanted.items[entity].setdefault(item_id, 0.0)
            wanted.events += 1
    return wanted


def _take_own(own: Mapping[str, Any], wanted: Wanted, watched: set[str]) -> None:
    entity = str(own["entity"])
    if entity not in watched:
        return
    if own["do"] == "look":
        item_id = int(own["id"])
        wanted.items[entity][item_id] = float(own.get("since") or 0.0)
        wanted.rows[entity] += [Sighting(item_id, stage, history_id) for history_id, stage in own.get("rows", [])]
    elif own["do"] == "answer":
        wanted.answers.append(str(own["token"]))
    elif own["do"] == "history":
        wanted.histories.add(entity)
    elif own["do"] == "baseline":
        wanted.baselines.add(entity)


def item_of(event: PortalEvent) -> tuple[str, int | None]:
    """The kind and id of the item that an event is about (api-reference/events/index.md)."""
    name = event.name
    if name.startswith("ONTASK"):
        return TASK, event.number("TASK_ID") or event.entity_id
    if name.startswith("ONCRMDYNAMICITEM"):
        type_id = event.number("ENTITY_TYPE_ID") or _suffix(name)
        return (entity_of(type_id) if type_id else "", event.entity_id)
    for word, entity in _ENTITIES.items():
        if name.removeprefix("ONCRM" + word) in _VERBS:
            return entity, event.entity_id
    return "", None


def _suffix(name: str) -> int | None:
    end = name.rpartition("_")[2]
    return int(end) if end.isdigit() else None


def ask_message(portal: str, do: str, entity: str) -> Message:
    """`history` or `baseline` of a kind of item."""
    return Message(portal, DISPATCH, f"{do}:{entity}", {"b24sync": {"do": do, "entity": entity}})


class Dispatcher:
    """The handler of the lane `dispatch` of one portal."""

    def __init__(
        self,
        client: Callable[[], PortalClient],
        store: Store,
        portal: str,
        clock: Clock,
        book: RuleBook,
        lanes: Lanes,
        pace: Pace | None = None,
    ) -> None:
        self._client_of_thread = client
        self._pace = pace or Pace(clock)
        self._store = store
        self._portal = portal
        self._clock = clock
        self._book = book
        self._lanes = lanes
        self.observer = Observer(store, portal, book, lanes)
        self._questions = Questions(store, portal, clock)
        self.tasks = TaskLooks(store, portal, clock, self.observer, lanes)

    @property
    def _client(self) -> PortalClient:
        return self._client_of_thread()

    def start(self) -> None:
        """Ask for the baseline of every kind of item that rules wait for and that is not watched (so) yet."""
        lacking = [entity for entity in self._book.entities() if not self._is_baseline_of(entity)]
        self._lanes.publish_now([ask_message(self._portal, "baseline", entity) for entity in lacking])

    def ready(self) -> bool:
        """Whether every kind of item has its baseline: from then on nothing is missed."""
        return all(self._is_baseline_of(entity) for entity in self._book.entities())

    def run(self, work: Work) -> None:
        """One claim: look, compare, publish. Raises what the client raises; nothing is stored then."""
        wanted = wanted_by(work.messages, self._book.entities())
        asked_for = {entity for entity in wanted.items if entity != TASK} | wanted.baselines
        for entity in sorted(asked_for):
            self._take_baseline(entity, work)
        tasks = wanted.items.pop(TASK, {})
        ids = {entity: list(found) for entity, found in wanted.items.items()}
        lasts = {entity: self.observer.snapshots.read(entity, found) for entity, found in ids.items()}
        ahead = self._history_ahead(ids, lasts)
        look = look_at(
            self._client, self._book, ids, {name: one for pages in ahead.values() for name, one in pages.items()}
        )
        for entity in self._book.entities():
            self._add_history(entity, wanted, look, lasts, ahead.get(entity))
        now = self._clock.wall_s()
        pieces = [_Piece(entity, look, lasts.get(entity, {}), wanted, now) for entity in look.asked]
        for token in wanted.answers:
            work.store(partial(self._answered, token=token))
        if tasks:
            self.tasks.look(self._client, tasks, work)
        self._store_looks(pieces, work)

    def _store_looks(self, pieces: Sequence[_Piece], work: Work) -> None:
        """With the end of the messages, or before a pause: what was found is not held up by what may still come."""
        are_more = len(work.messages) >= BATCH and self._lanes.are_due(self._portal, DISPATCH, BATCH)
        pause_s = self._pace.pause_s(len(work.messages), are_more=are_more)
        if pause_s <= 0:
            for piece in pieces:
                work.store(partial(self._settle, piece=piece))
            return
        with self._store.write() as connection:
            work.hold(connection)
            for piece in pieces:
                self._settle(connection, piece)
        self._clock.sleep(pause_s)

    def _answered(self, connection: Connection, token: str) -> None:
        first = self._questions.cause(token, 0)
        if first is None:
            return
        counts = self.observer.causes.counts(connection, first.entity, [first.entity_id], (ANSWERED,))
        so_far = counts.get(first.entity_id, {}).get((ANSWERED, first.subject), 0)
        cause = self._questions.cause(token, so_far)
        assert cause is not None
        self.observer.raise_causes(connection, [cause], source="answer", at=self._clock.wall_s())

    # -- stages passed ----------------------------------------------------------------------------

    def _history_ahead(
        self, ids: Mapping[str, Sequence[int]], lasts: Mapping[str, Mapping[int, Snapshot]]
    ) -> dict[str, dict[str, Command]]:
        """Pages of the stage history to be read in the same request: of new items there are rows, and with a few items
        one page more costs less than asking again.
        """
        room = BATCH_MAX_COMMANDS - sum(-(-len(found) // PAGE) for found in ids.values())
        ahead: dict[str, dict[str, Command]] = {}
        for entity, found in ids.items():
            cursor = read_cursor(self._store, self._portal, history_cursor(entity)) if has_stages(entity) else None
            unseen = sum(item_id not in lasts[entity] for item_id in found)
            pages = unseen // PAGE + 1
            if cursor is not None and (unseen or len(found) <= PAGE) and pages <= room:
                ahead[entity] = pages_after(int(cursor), type_id_of(entity) or 0, pages)
                room -= pages
        return ahead

    def _add_history(
        self,
        entity: str,
        wanted: Wanted,
        look: Look,
        lasts: dict[str, dict[int, Snapshot]],
        ahead: Mapping[str, Command] | None,
    ) -> None:
        """Read the stage history where something may have moved, and look at what moved without an event.

        The history is read after the items: it then tells every stage that the look shows. A long one is read as far
        as it tells these: the rest is of items whose events are on their way, thousands of them while an import runs.
        """
        if not has_stages(entity) or entity in look.refused:
            return
        cursor = read_cursor(self._store, self._portal, history_cursor(entity))
        moved = self._moved(look.rows.get(entity, {}), lasts.get(entity, {}))
        if cursor is None or not (moved or ahead or entity in wanted.histories):
            return
        type_id = type_id_of(entity)
        assert type_id is not None
        try:
            found, ended = rows_of(ahead, look.also) if ahead else ([], False)
            if not ended:
                after = found[-1][0] if found else int(cursor)
                left = max(0, moved - len(found))
                more = rows_after(self._client, after, type_id, priority="interactive", expected=left)
                is_asked_for = entity in wanted.histories
                awaited = set() if is_asked_for else _new_places(look.rows.get(entity, {}), lasts.get(entity, {}))
                found = list(_up_to(chain(found, more), awaited))
            rows = [Sighting(owner, stage, row_id) for row_id, owner, stage in found]
        except PortalRefused as error:
            LOG.warning("portal=%s stages passed between two looks are not seen: %s", self._portal, error)
            return
        unseen = sorted({row.entity_id for row in rows} - set(look.asked.get(entity, [])))
        if unseen:
            # Before the look: what a write of ours stores meanwhile is newer than what the look shows.
            before = self.observer.snapshots.read(entity, unseen)
            others = look_at(self._client, self._book, {entity: unseen})
            if entity in others.refused:
                return  # the cursor stays: these rows are read again
            lasts.setdefault(entity, {}).update(before)
            look.rows.setdefault(entity, {}).update(others.rows[entity])
            look.asked.setdefault(entity, []).extend(others.asked[entity])
        wanted.rows[entity] += rows
        look.history[entity] = (cursor, max([int(cursor), *(row.history_id or 0 for row in rows)]))

    def _moved(self, rows: Mapping[int, Mapping[str, Any]], lasts: Mapping[int, Snapshot]) -> int:
        """How many items stand elsewhere, or may have moved away and back since their last look."""
        skew_s = self._client.server_skew_s or 0.0
        return sum(_may_have_moved(row, lasts.get(item_id), skew_s) for item_id, row in rows.items())

    # -- storing a look ---------------------------------------------------------------------------

    def _settle(self, connection: Connection, piece: _Piece) -> None:
        """Store one kind's part of a look; what is busy or was looked at by somebody else meanwhile comes again."""
        entity, look = piece.entity, piece.look
        ids = look.asked[entity]
        busy = self._busy(connection, piece)
        stale = self._stale(connection, piece)
        rows = sorted(piece.wanted.rows.get(entity, []), key=lambda row: row.history_id or 0)
        unread = {row.entity_id for row in rows} if entity in look.refused else set()
        again = dict.fromkeys(unread, UNREAD_AGAIN_S) | dict.fromkeys(stale, BUSY_AGAIN_S) | busy
        self._lanes.publish(connection, list(self._once_more(piece, again, rows)))
        seen = [piece.seen(item_id, self._first_seen_as(piece, item_id)) for item_id in ids if item_id not in again]
        known = {item.entity_id for item in seen if item.row is not None}
        self.observer.take(
            connection,
            entity,
            [item for item in seen if item.row is not None or item.last is not None],
            [row for row in rows if row.entity_id in known],
            source="event",
            at=piece.now,
        )
        if entity in look.history:
            self._move_cursor(connection, entity, *look.history[entity])

    def _once_more(self, piece: _Piece, again: Mapping[int, float], rows: Sequence[Sighting]) -> Iterator[Message]:
        for item_id, wait_s in again.items():
            own_rows = [[row.history_id, row.stage] for row in rows if row.entity_id == item_id]
            more: dict[str, Any] = {"since": piece.since(item_id)}
            if own_rows:
                more["rows"] = own_rows
            yield look_message(self._portal, piece.entity, item_id, run_at=piece.now + wait_s, **more)

    def _busy(self, connection: Connection, piece: _Piece) -> dict[int, float]:
        """Items with a write of ours under way: the look may show half of it. With the pause until the next look."""
        late = {
            item_id for item_id in piece.look.asked[piece.entity] if piece.now - piece.since(item_id) > BUSY_AT_MOST_S
        }
        acting = busy_items(connection, self._portal, piece.entity)
        busy = dict.fromkeys(acting.intersection(piece.look.asked[piece.entity]), BUSY_AGAIN_S)
        busy.update(dict.fromkeys(self._pending(piece), PENDING_AGAIN_S))
        return {item_id: wait_s for item_id, wait_s in busy.items() if item_id not in late}

    def _pending(self, piece: _Piece) -> list[int]:
        """Items never seen before whose making is recorded as sent or unknown: an import is at it."""
        pending = []
        for item_id, state in self._origin_states(piece).items():
            if state in (SENT, UNKNOWN):
                pending.append(item_id)
        return pending

    def _origin_states(self, piece: _Piece) -> dict[int, str]:
        """State in the ledger of items that are seen for the first time and carry an origin pair of ours."""
        if piece.origin_states is None:
            piece.origin_states = {}
            by_what: dict[str, dict[str, int]] = defaultdict(dict)
            for item_id, row in piece.look.rows[piece.entity].items():
                origin = _origin(row)
                if origin is not None and item_id not in piece.lasts:
                    by_what[f"{piece.entity}@{origin[0]}"][origin[1]] = item_id
            for what, ids in by_what.items():
                for key, write in Ledger(self._store, self._portal, what, self._clock).states(list(ids)).items():
                    piece.origin_states[ids[key]] = write.state
        return piece.origin_states

    def _stale(self, connection: Connection, piece: _Piece) -> set[int]:
        """Items whose snapshot is newer than the look: a write of ours was settled meanwhile."""
        ids = piece.look.asked[piece.entity]
        versions = self.observer.snapshots.versions(connection, piece.entity, ids)
        return {
            item_id
            for item_id in ids
            if versions.get(item_id, 0) != (piece.lasts[item_id].version if item_id in piece.lasts else 0)
        }

    def _first_seen_as(self, piece: _Piece, item_id: int) -> str:
        row = piece.look.rows[piece.entity].get(item_id)
        if row is None or item_id in piece.lasts:
            return OLD
        origin = _origin(row)
        if item_id in self._origin_states(piece) and origin is not None and not origin[0].startswith(OWN_ORIGIN):
            return IMPORTED
        newest = self._newest_at_first(piece.entity)
        return NEW if newest is not None and item_id > newest else OLD

    def _move_cursor(self, connection: Connection, entity: str, before: str, after: int) -> None:
        name = history_cursor(entity)
        if read_cursor(self._store, self._portal, name, connection) == before:
            save_cursor_in(self._store, connection, self._portal, name, str(after))

    # -- baseline ---------------------------------------------------------------------------------

    def _is_baseline_of(self, entity: str) -> bool:
        return read_cursor(self._store, self._portal, _fields_cursor(entity)) == _fields_text(self._book, entity)

    def _newest_at_first(self, entity: str) -> int | None:
        """The newest item when rules began to watch: what has a higher id is new (ids only grow)."""
        value = read_cursor(self._store, self._portal, newest_cursor(entity))
        return None if value is None else int(value)

    def _take_baseline(self, entity: str, work: Work) -> None:
        """Look at all items of a kind: what is there when rules begin to watch it is no cause.

        Fields that are watched from now on are added to the snapshots that there are. Cost: one request per 2,500
        items.
        """
        if self._is_baseline_of(entity):
            return
        type_id = type_id_of(entity)
        if type_id is None:
            return
        try:
            self._begin_watching(entity, type_id, work)
            self._look_at_all(entity, type_id, work)
        except PortalRefused as error:
            # Events must not wait for a right that may never be given; what is seen is a baseline then, item by item.
            LOG.error("portal=%s there is no first look at %s: %s", self._portal, entity, error)  # noqa: TRY400
        with self._store.write() as connection:
            work.hold(connection)
            text = _fields_text(self._book, entity)
            save_cursor_in(self._store, connection, self._portal, _fields_cursor(entity), text)

    def _look_at_all(self, entity: str, type_id: int, work: Work) -> None:
        newest = self._newest_at_first(entity)
        piece: list[dict[str, Any]] = []
        for row in walk(self._client, type_id, {"<=id": newest}, columns(self._book, entity)):
            piece.append(row)
            if len(piece) >= BASELINE_PIECE:
                self._store_baseline(entity, piece, work)
                piece = []
        self._store_baseline(entity, piece, work)

    def _begin_watching(self, entity: str, type_id: int, work: Work) -> None:
        """Note since when, and where the stage history stands: what comes after is a cause."""
        if self._newest_at_first(entity) is not None:
            return
        newest_item = newest_item_id(self._client, type_id)
        newest: int | None = None
        if has_stages(entity):
            try:
                newest = newest_id(self._client, type_id)
            except PortalRefused as error:
                LOG.warning("portal=%s the stage history cannot be read: %s", self._portal, error)
        portal_now = self._clock.wall_s() + (self._client.server_skew_s or 0.0)
        since = datetime.fromtimestamp(int(portal_now), UTC).isoformat()
        with self._store.write() as connection:
            work.hold(connection)
            save_cursor_in(self._store, connection, self._portal, since_cursor(entity), since)
            save_cursor_in(self._store, connection, self._portal, newest_cursor(entity), str(newest_item))
            if newest is not None:
                save_cursor_in(self._store, connection, self._portal, history_cursor(entity), str(newest))

    def _store_baseline(self, entity: str, rows: Sequence[Mapping[str, Any]], work: Work) -> None:
        if not rows:
            return
        now = self._clock.wall_s()
        with self._store.write() as connection:
            work.hold(connection)
            known = self.observer.snapshots.read(entity, [int(row["id"]) for row in rows], connection)
            fresh = []
            for row in rows:
                item_id, fields = int(row["id"]), kept(self._book, entity, row)
                last = known.get(item_id)
                if last is None:
                    fresh.append(Snapshot(item_id, fields))
                elif set(fields) - set(last.fields):
                    fresh.append(Snapshot(item_id, {**fields, **last.fields}, last.version))
            self.observer.snapshots.save(connection, entity, fresh, now)
            if has_stages(entity):
                looks = [
                    Sighting(int(row["id"]), str(row["stageId"]))
                    for row in rows
                    if row.get("stageId") and int(row["id"]) not in known
                ]
                note_moves(self._store, connection, self._portal, entity, looks, source="baseline", at=now)


@dataclass(slots=True)
class _Piece:
    """One kind's part of a claim."""

    entity: str
    look: Look
    lasts: Mapping[int, Snapshot]
    wanted: Wanted
    now: float
    origin_states: dict[int, str] | None = None

    def since(self, item_id: int) -> float:
        return self.wanted.items.get(self.entity, {}).get(item_id) or self.now

    def seen(self, item_id: int, first_seen_as: str) -> Seen:
        return Seen(item_id, self.look.rows[self.entity].get(item_id), self.lasts.get(item_id), first_seen_as)


def _new_places(rows: Mapping[int, Mapping[str, Any]], lasts: Mapping[int, Snapshot]) -> set[tuple[int, str]]:
    """(item, stage) of what stands elsewhere than at its last look, or is seen for the first time."""
    return {
        (item_id, str(row.get("stageId")))
        for item_id, row in rows.items()
        if item_id not in lasts or row.get("stageId") != lasts[item_id].fields.get("stageId")
    }


def _up_to(rows: Iterable[tuple[int, int, str]], awaited: set[tuple[int, str]]) -> Iterator[tuple[int, int, str]]:
    """Rows of the stage history until each (item, stage) was told; all of them where none is awaited."""
    left = set(awaited)
    for row in rows:
        yield row
        left.discard(row[1:])
        if awaited and not left:
            return


def _may_have_moved(row: Mapping[str, Any], last: Snapshot | None, skew_s: float) -> bool:
    moved = moment_of(row.get("movedTime"))
    if last is None or moved is None:
        return True
    if any(row.get(name) != last.fields.get(name) for name in ("stageId", "movedTime", "categoryId")):
        return True
    # movedTime has whole seconds: a second move within the same one does not show.
    return moved.timestamp() >= last.seen_at + skew_s - WHOLE_SECONDS_S


def history_cursor(entity: str) -> str:
    """How far the rules have read the stage history of a kind of item."""
    return f"rules: stage history of {entity}"


def since_cursor(entity: str) -> str:
    """Since when (the portal's clock) a kind of item is watched."""
    return f"rules: {entity} watched since"


def newest_cursor(entity: str) -> str:
    """The newest item of a kind when rules began to watch it."""
    return f"rules: newest {entity} at first"


def _fields_cursor(entity: str) -> str:
    return f"rules: fields of {entity}"


def _fields_text(book: RuleBook, entity: str) -> str:
    ignored = {*COMMON, *STAGED}
    return " ".join(sorted(set(columns(book, entity)) - ignored))


def _origin(row: Mapping[str, Any]) -> tuple[str, str] | None:
    if row.get("xmlId") and ":" in str(row["xmlId"]):
        originator, _, key = str(row["xmlId"]).partition(":")
        return originator, key
    if row.get("originatorId") and row.get("originId"):
        return str(row["originatorId"]), str(row["originId"])
    return None
