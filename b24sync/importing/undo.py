"""`import undo`: deletes what a run created and nobody touched since; the rest is listed (design 5).

Touched = changed in the portal after our last write of it was read back, or something that is not ours hangs on it.
Companies and contacts that were made because rows named them go last, where nothing names them any more. Every deletion
is a write of the ledger; one whose answer was lost is looked up: what is no longer there is deleted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from b24sync.bulk.ledgered import LOOKUP_GRACE_S, OTHERS_POLL_S, LedgeredSender, Progress, Settlement
from b24sync.clock import Clock
from b24sync.errors import ConfigError
from b24sync.importing.fields import entity_type_id
from b24sync.importing.links import OWN_ORIGINATOR, TYPE_IDS
from b24sync.portal.children import strange_children, users_of
from b24sync.portal.items import (
    DELETE,
    KEYS_PER_REQUEST,
    UPDATED_TIME,
    Origin,
    delete_command,
    find_by_origin,
    read_by_ids,
)
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, FOUND, PLANNED, REFUSED, SENT, UNKNOWN, Ledger, Settled, Write
from b24sync.store.runs import UNDONE, Run, Runs, addresses_of, product_rows_of, requisites_of, updates_of
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Outcome, Refused
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command

PIECE = 500
"""Items whose time is looked at once more right before they are deleted."""
UNDONE_CODE = "UNDONE"
ABSENT = "NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Doomed:
    """An item to be deleted: `key` in the ledger of deletions, `made_as` in that of what made it."""

    key: str
    item_id: int
    made_as: str
    latest: float
    """The latest unix time of a change that was ours."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An item that stays, and why."""

    entity: str
    item_id: int
    key: str
    reason: str


@dataclass(slots=True)
class UndoPlan:
    """What an undo would do. `made_for_it` are companies and contacts that go where nothing names them any more."""

    delete: int = 0
    made_for_it: int = 0
    updated: int = 0
    kept: list[Kept] = field(default_factory=list)


@dataclass(slots=True)
class UndoResult:
    """What `import undo --json` answers, and what stays."""

    deleted: int = 0
    gone: int = 0
    refused: int = 0
    unknown: int = 0
    kept: list[Kept] = field(default_factory=list)


class _Kind:
    """The items of one entity and originator that a run made."""

    def __init__(self, undo: Undo, entity: str, what: str) -> None:
        number = entity_type_id(entity)
        assert number is not None  # a run is only started with a known entity
        self.entity = entity
        self.entity_type_id = number
        self.origin = Origin(number, what.partition("@")[2])
        self.made = undo.ledger(what)
        self.changes = undo.ledger(updates_of(what))
        self.deletions = undo.ledger(f"undo {what}")
        self._product_rows = undo.ledger(product_rows_of(what))
        self._hanging = [self._product_rows, undo.ledger(requisites_of(what)), undo.ledger(addresses_of(what))]
        self.children: dict[int, str] = {}
        """What is not ours and hangs on an item, by the item's id."""
        self._looked_at: set[int] = set()
        self._undo = undo

    def settle_open(self) -> None:
        """What was sent and never answered is looked for until the portal can no longer be working on it."""
        self._settle_deletions()
        client = self._undo.client
        self.made.bury_dead()
        while open_writes := list(self.made.in_state(SENT, UNKNOWN, run_id=self._undo.run.id)):
            started = client.clock.wall_s()
            found = find_by_origin(client, self.origin, [write.key for write in open_writes])
            self.made.settle([Settled(key, DONE, portal_id=str(min(ids))) for key, ids in found.items()])
            absent = [write for write in open_writes if write.key not in found]
            self.made.plan_again([write for write in absent if self._undo.latest(write) <= started])
            if absent:
                client.clock.sleep(OTHERS_POLL_S)

    def _settle_deletions(self) -> None:
        client = self._undo.client
        self.deletions.bury_dead()
        while open_writes := list(self.deletions.in_state(SENT, UNKNOWN)):
            started = client.clock.wall_s()
            there = read_by_ids(client, self.entity_type_id, [int(write.key) for write in open_writes], [])
            gone = [write for write in open_writes if int(write.key) not in there]
            self.deletions.settle([Settled(write.key, DONE, portal_id=write.key) for write in gone])
            left = [write for write in open_writes if int(write.key) in there]
            self.deletions.plan_again([write for write in left if self._undo.latest(write) <= started])
            if left:
                client.clock.sleep(OTHERS_POLL_S)

    def items(self) -> list[Doomed]:
        """What the run made, not what it found. Memory: a few hundred bytes per item."""
        ours = [w for w in self.made.in_state(DONE, run_id=self._undo.run.id) if w.portal_id and w.message != FOUND]
        latest: dict[str, float] = {}
        for change in self.changes.in_state(DONE):
            if change.portal_id:
                latest[change.portal_id] = max(latest.get(change.portal_id, 0.0), self._undo.latest(change))
        return [
            Doomed(str(w.portal_id), int(w.portal_id), w.key, max(self._undo.latest(w), latest.get(w.portal_id, 0.0)))
            for w in ours
            if w.portal_id
        ]

    def look_at(self, items: Sequence[Doomed], *, named: bool) -> None:
        """Find out what hangs on items, once for each; with `named` also which items name them."""
        fresh = {item.made_as: item.item_id for item in items if item.item_id not in self._looked_at}
        self._looked_at.update(fresh.values())
        own_rows = {fresh[key] for key, write in self._product_rows.states(list(fresh)).items() if write.state == DONE}
        ids = list(fresh.values())
        self.children.update(strange_children(self._undo.client, self.entity_type_id, ids, own_rows))
        if named:
            self.children.update(users_of(self._undo.client, self.entity_type_id, ids))

    def forget(self, items: Iterable[Doomed]) -> None:
        """The items are no longer there: the same rows may be imported again."""
        keys = [item.made_as for item in items]
        for ledger in self._hanging:
            ledger.gone(*keys)
        self.made.gone(*keys, code=UNDONE_CODE, message="deleted by import undo")


class Undo:
    """Undoes one run. Use: `plan()`, show it, then `apply()`. Raises ConfigError while the run is at work.

    `result`: what is done so far, also where `apply` was ended by an error.
    """

    def __init__(self, client: PortalClient, store: Store, portal: str, clock: Clock, run: Run) -> None:
        self.client = client
        self.run = run
        self._store = store
        self._portal = portal
        self._clock = clock
        self._runs = Runs(store, portal, clock)
        if self._runs.told_state(run) in ("reading", "running"):
            raise ConfigError(f"Run {run.id} is still at work.", ["wait for its end, or stop it first"])
        self.result = UndoResult()
        self._main = _Kind(self, run.entity, run.what)
        self._made_for_it = [_Kind(self, entity, f"{entity}@{OWN_ORIGINATOR}") for entity in TYPE_IDS]

    def ledger(self, what: str) -> Ledger:
        return Ledger(self._store, self._portal, what, self._clock)

    def latest(self, write: Write) -> float:
        """The latest moment at which a change of the item can have been this write's own.

        As read back after it; where it never was, the last moment at which the portal can have worked on it.
        """
        noted = write.detail.get(UPDATED_TIME)
        if noted:
            return moment(noted)
        return (write.sent_at or 0.0) + self.client.gate.limits.request_cap_s + LOOKUP_GRACE_S

    def plan(self) -> UndoPlan:
        """What would be deleted and what stays; writes nothing. Cost: one request per 2,500 items, four per 50.

        Raises PortalRefused where the webhook may not look for children, RetryLater, PortalBlocked.
        """
        plan = UndoPlan()
        for kind in (self._main, *self._made_for_it):
            kind.settle_open()
        for doomed, kept, gone in self._sorted(self._main, KEYS_PER_REQUEST):
            plan.delete += len(doomed)
            plan.kept += kept
            self.result.gone += len(gone)
            self._main.forget(gone)
        plan.made_for_it = sum(len(kind.items()) for kind in self._made_for_it)
        plan.updated = self._runs.counts(self.run.id, self.run.what).get("updated", 0)
        return plan

    def apply(self, on_progress: Callable[[Progress], None] = lambda _: None) -> UndoResult:
        """Delete. Running it again goes on. Raises like `plan`, and StoreError."""
        result = self.result
        for kind in (self._main, *self._made_for_it):
            self._delete(kind, on_progress)
        left = result.kept or result.refused or result.unknown
        said = f"undo: {result.deleted + result.gone} deleted" + (f", {len(result.kept)} kept" if result.kept else "")
        self._runs.set_state(self.run.id, self.run.state if left and self._is_over else UNDONE, said)
        return result

    @property
    def _is_over(self) -> bool:
        return self.run.finished_at is not None

    def _delete(self, kind: _Kind, on_progress: Callable[[Progress], None]) -> None:
        result = self.result
        for doomed, kept, gone in self._sorted(kind, PIECE):
            result.kept += kept
            result.gone += len(gone)
            kind.forget(gone)
            kind.deletions.bury_dead()
            kind.deletions.plan([(item.key, None) for item in doomed], self.run.id)
            deleter = _Deleter(self.client, kind.deletions, kind.entity_type_id, kind.forget, on_progress)
            deleter.progress.written = result.deleted
            try:
                deleter.send(iter(doomed))
            finally:
                self._tally(kind, doomed)

    def _tally(self, kind: _Kind, doomed: Sequence[Doomed]) -> None:
        result = self.result
        states = kind.deletions.states([item.key for item in doomed])
        kind.forget([item for item in doomed if states[item.key].state == DONE])
        result.deleted += sum(write.state == DONE for write in states.values())
        result.refused += sum(write.state == REFUSED for write in states.values())
        result.unknown += sum(write.state in (SENT, UNKNOWN, PLANNED) for write in states.values())
        for item in doomed:
            write = states[item.key]
            if write.state == REFUSED:
                said = f"the portal refused: {write.code or ''} {write.message or ''}".strip()
                result.kept.append(Kept(kind.entity, item.item_id, item.made_as, said))

    def _sorted(self, kind: _Kind, size: int) -> Iterator[tuple[list[Doomed], list[Kept], list[Doomed]]]:
        """(to delete, to keep, gone already), piece by piece."""
        items = iter(kind.items())
        while piece := list(islice(items, size)):
            ids = [item.item_id for item in piece]
            rows = read_by_ids(self.client, kind.entity_type_id, ids, [UPDATED_TIME, "updatedBy"])
            reasons = {item.item_id: _changed(item, rows[item.item_id]) for item in piece if item.item_id in rows}
            quiet = [item for item in piece if reasons.get(item.item_id) == ""]
            kind.look_at(quiet, named=kind is not self._main)
            reasons.update({i.item_id: kind.children[i.item_id] for i in quiet if i.item_id in kind.children})
            yield (
                [item for item in piece if reasons.get(item.item_id) == ""],
                [Kept(kind.entity, i.item_id, i.made_as, reasons[i.item_id]) for i in piece if reasons.get(i.item_id)],
                [item for item in piece if item.item_id not in rows],
            )


def _changed(item: Doomed, row: Mapping[str, Any]) -> str:
    """Why the item counts as touched; "" where nobody did."""
    told = row.get(UPDATED_TIME)
    if not told:
        return "the portal does not say when it was changed"
    return f"changed at {told} by user {row.get('updatedBy')}" if moment(told) > item.latest else ""


def moment(text: str) -> float:
    """A time of the portal as unix seconds."""
    return datetime.fromisoformat(str(text)).timestamp()


class _Deleter(LedgeredSender[Doomed]):
    """Deletes items. What is not there is deleted, whoever did it."""

    what_for = "deletions"

    def __init__(
        self,
        client: PortalClient,
        ledger: Ledger,
        entity_type_id: int,
        on_deleted: Callable[[Iterable[Doomed]], None],
        on_progress: Callable[[Progress], None],
    ) -> None:
        super().__init__(client, ledger, on_progress=on_progress)
        self._entity_type_id = entity_type_id
        self._on_deleted = on_deleted

    def _source(self) -> tuple[str, deque[Doomed]]:
        return DELETE, self._queue

    def _packets(self, method: str, source: Sequence[Doomed], allowance_s: float) -> list[list[Doomed]]:
        return [[item] for item in islice(source, self._affordable(method, BATCH_MAX_COMMANDS, allowance_s))]

    def _command(self, method: str, packet: Sequence[Doomed]) -> Command:
        return delete_command(self._entity_type_id, packet[0].item_id)

    def _settlements(self, method: str, packet: Sequence[Doomed], outcome: Outcome) -> list[Settlement[Doomed]]:
        done = isinstance(outcome, Done) or (isinstance(outcome, Refused) and outcome.code == ABSENT)
        return [Settlement(packet[0], Done(packet[0].item_id) if done else outcome)]

    def _created(self, done: Sequence[tuple[Doomed, str]]) -> None:
        self._on_deleted([item for item, _ in done])

    def _after_request(self, method: str, size: int) -> None:
        self.progress.pace_s, self.progress.counted_s = self._gate.unit_costs(method)

    def _find(self, items: Mapping[str, Doomed], writes: Mapping[str, Write]) -> dict[str, str]:
        there = read_by_ids(self._client, self._entity_type_id, [item.item_id for item in items.values()], [])
        return {key: key for key, item in items.items() if item.item_id not in there}
