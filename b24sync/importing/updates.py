"""Rows whose items the portal holds already, with conflict = "overwrite": only what differs is sent, and read back.

An update is settled when the portal shows what was sent, not when it answers: some values it drops without a word
(crm/universal/crm-item-update.md). An update whose answer was lost is looked up by reading its item: it is applied
whole or not at all, so one field that holds the new value tells.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from b24sync.bulk.ledgered import LedgeredSender, Progress, Settlement
from b24sync.importing.addresses import ItemAddress, address_of, other_addresses, still_asked
from b24sync.importing.compare import FM, MULTIFIELDS, NOT_KEPT, Comparison, added, multifields_of, not_kept
from b24sync.importing.fields import ADDRESS
from b24sync.importing.files import with_contents
from b24sync.importing.links import Links
from b24sync.importing.product_rows import same_rows
from b24sync.importing.resolve import Link, fields_from_json
from b24sync.portal.items import (
    FIRST_SMART_PROCESS,
    KEYS_PER_REQUEST,
    UPDATE,
    UPDATED_TIME,
    read_by_ids,
    update_command,
)
from b24sync.portal.product_rows import read_product_rows
from b24sync.portal.words import is_yes
from b24sync.store.ledger import DONE, REFUSED, SENT, UNKNOWN, Ledger, Settled, Write
from b24sync.store.runs import RunRow, update_key
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Outcome, Refused
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command

PRODUCT_ROWS, MANUAL_SUM = "productRows", "isManualOpportunity"
GONE, FOREIGN_STAGE = "GONE", "FOREIGN_STAGE"
MOST_UNREAD = 1000
"""Updates that wait to be read back: what is not kept should be told before all of a file is sent."""


@dataclass(frozen=True, slots=True)
class Change:
    """An item to be changed: `fields` differ, `also` goes along unchanged because the portal wants it."""

    key: str
    item_id: int
    fields: Mapping[str, Any]
    also: Mapping[str, Any]
    product_rows: Sequence[Mapping[str, Any]] = ()
    """All of the item's rows, where they differ."""
    address: ItemAddress | None = None
    """The item's address, where it differs."""

    @property
    def note(self) -> dict[str, Any]:
        """What the ledger keeps of it: names and a fingerprint; the values are a client's data."""
        content = json.dumps(self.fields, sort_keys=True, ensure_ascii=False, default=str)
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        return {"item": self.item_id, "fields": list(self.fields), "content": digest}


@dataclass(frozen=True, slots=True)
class Hanging:
    """What hangs on an item and differs from its row: all product rows; the address, packed."""

    product_rows: Sequence[Mapping[str, Any]] = ()
    address: Sequence[Any] = ()

    @property
    def names(self) -> list[str]:
        return [name for name, value in ((PRODUCT_ROWS, self.product_rows), (ADDRESS, self.address)) if value]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a row that is in the portal: to be updated (`draft`), refused or skipped, with a reason."""

    state: str
    draft: str | None = None
    code: str | None = None
    message: str | None = None


class UpdatePlanner:
    """Compares rows with their items. `by_field` counts what will change, for the plan."""

    def __init__(
        self,
        client: PortalClient,
        entity_type_id: int,
        comparison: Comparison,
        links: Links,
        ledger: Ledger,
        addresses: Ledger,
        *,
        run_id: int,
        pipeline_id: int,
    ) -> None:
        self._client = client
        self._entity_type_id = entity_type_id
        self._comparison = comparison
        self._links = links
        self._ledger = ledger
        self._addresses = addresses
        self._run_id = run_id
        self._pipeline_id = pipeline_id
        self.by_field: Counter[str] = Counter()

    def verdicts(self, rows: Sequence[RunRow], ids: Mapping[str, int]) -> dict[int, Verdict]:
        """By line; `ids` are the items' by key. Cost: one request per 2,500 rows, with addresses three."""
        parsed = {row.line: fields_from_json(row.draft or "[{}]") for row in rows}
        hanging = self._hanging({row.key or "": (ids[row.key or ""], parsed[row.line][0]) for row in rows})
        names = {name for fields, _ in parsed.values() for name in fields}
        names.update(link.api for _, links in parsed.values() for link in links)
        held = read_items(self._client, self._entity_type_id, [ids[str(row.key)] for row in rows], names)
        before = self._ledger.states([update_key(self._run_id, str(row.key)) for row in rows])
        found = {}
        for row in rows:
            earlier = before.get(update_key(self._run_id, str(row.key)))
            item_id, (fields, links) = ids[str(row.key)], parsed[row.line]
            found[row.line] = self._verdict(item_id, fields, links, hanging[item_id], held, earlier)
        return found

    def _hanging(self, rows: Mapping[str, tuple[int, dict[str, Any]]]) -> dict[int, Hanging]:
        """Of (item, fields) by key, what is to be written beside the fields, by item; it is taken out of them.

        Cost: one request per 50 items with product rows, two per 2,500 with an address.
        """
        products, addresses = dict[int, Sequence[Mapping[str, Any]]](), dict[int, ItemAddress]()
        for key, (item_id, fields) in rows.items():
            if wanted := fields.pop(PRODUCT_ROWS, None):
                products[item_id] = wanted
            address = address_of(update_key(self._run_id, key), item_id, fields.pop(ADDRESS, {}))
            if address is not None:
                addresses[item_id] = address
        there = read_product_rows(self._client, self._entity_type_id, products)
        others = {item_id: wanted for item_id, wanted in products.items() if not same_rows(wanted, there[item_id])}
        asked = still_asked(self._addresses, addresses.values())
        differ = other_addresses(self._client, self._entity_type_id, addresses, asked) if addresses else {}
        return {
            item_id: Hanging(others.get(item_id, ()), differ[item_id].packed if item_id in differ else ())
            for item_id, _ in rows.values()
        }

    def _verdict(
        self,
        item_id: int,
        fields: dict[str, Any],
        links: Sequence[Link],
        hanging: Hanging,
        held: Mapping[int, Mapping[str, Any]],
        earlier: Write | None,
    ) -> Verdict:
        item = held.get(item_id)
        if item is None:
            return Verdict("refused", code=GONE, message=f"was {item_id}, which somebody deleted in the portal")
        if earlier is not None and earlier.state == DONE and hanging.names:
            # Killed between the update and what follows it.
            return self._update(item_id, {}, item, [], hanging)
        if earlier is not None and earlier.state in (DONE, REFUSED):
            return Verdict("update")
        waiting = [link for link in links if self._links.waits(link)]
        fields = self._links.attach(fields, links)
        if earlier is not None and earlier.state in (SENT, UNKNOWN):
            # Killed while it was under way: what it sent is looked for, not what differs now.
            return self._update(item_id, _sent_before(fields, earlier), item, waiting, hanging)
        later = {link.api for link in waiting}
        changes = self._comparison.differences({n: v for n, v in fields.items() if n not in later}, item)
        changes.update({link.api: fields.get(link.api, []) for link in waiting if link.multiple})
        if not changes and not waiting and not hanging.names:
            return Verdict("skipped", message=f"already in the portal as {item_id}, and nothing differs")
        if "stageId" in changes and "categoryId" not in fields and self._stands_elsewhere(item):
            said = f"the item stands in pipeline {item['categoryId']}, the stage was looked up in {self._pipeline_id}"
            return Verdict("refused", code=FOREIGN_STAGE, message=f"{said}: map the pipeline too")
        if "opportunity" in changes and not is_yes(item.get(MANUAL_SUM)):
            # Without it the portal overwrites the sum by product rows (crm/universal/crm-item-update.md).
            changes.setdefault(MANUAL_SUM, "Y")
        self.by_field.update(dict.fromkeys([*changes, *later, *hanging.names], 1))
        return self._update(item_id, changes, item, waiting, hanging)

    def _update(
        self,
        item_id: int,
        fields: Mapping[str, Any],
        item: Mapping[str, Any],
        waiting: Sequence[Link],
        hanging: Hanging,
    ) -> Verdict:
        """A smart process item that is updated without its pipeline moves to the main one (crm-item-update.md)."""
        dynamic = self._entity_type_id >= FIRST_SMART_PROCESS and item.get("categoryId") is not None
        also = {"categoryId": item["categoryId"]} if dynamic else {}
        packed = [link.packed for link in waiting]
        parts = [item_id, fields, also, packed, hanging.product_rows, hanging.address]
        return Verdict("update", json.dumps(parts, ensure_ascii=False, separators=(",", ":")))

    def _stands_elsewhere(self, item: Mapping[str, Any]) -> bool:
        category = item.get("categoryId")
        return category is not None and int(category) != self._pipeline_id


def change_of(row: RunRow, run_id: int, links: Links) -> Change:
    """The change that a row's draft describes, with the ids of what was made for it."""
    item_id, fields, also, packed, product_rows, address = json.loads(row.draft or "[0,{},{},[],[],[]]")
    fields, key = links.attach(fields, [Link(*parts) for parts in packed]), update_key(run_id, str(row.key))
    return Change(key, item_id, fields, also, product_rows, ItemAddress(key, item_id, *address) if address else None)


def _sent_before(fields: Mapping[str, Any], earlier: Write) -> dict[str, Any]:
    names = [str(name) for name in earlier.detail.get("fields", ())]
    known = {MANUAL_SUM: "Y", **fields}  # which the row itself need not name
    asked = {name: known[name] for name in names if name in known}
    entries = multifields_of(fields)
    if FM in names and entries:
        asked[FM] = added(entries)
    return asked


def read_items(
    client: PortalClient, entity_type_id: int, ids: Sequence[int], names: set[str]
) -> dict[int, dict[str, Any]]:
    """Items with the fields `names`, their pipeline and when they were changed. Cost: one request per 2,500.

    `fm` comes only with every field (crm/universal/crm-item-list.md).
    """
    everything = FM in names or bool(names & MULTIFIELDS)
    select = ["*"] if everything else sorted(names | {"categoryId", MANUAL_SUM, UPDATED_TIME})
    return read_by_ids(client, entity_type_id, ids, select)


class ItemUpdater(LedgeredSender[Change]):
    """Sends changes, each as one command; each is settled by what the portal shows afterwards."""

    what_for = "updates of the import"

    def __init__(
        self,
        client: PortalClient,
        ledger: Ledger,
        entity_type_id: int,
        comparison: Comparison,
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        super().__init__(client, ledger, on_progress=on_progress)
        self._entity_type_id = entity_type_id
        self._comparison = comparison
        self._unread: list[Settlement[Change]] = []

    def _source(self) -> tuple[str, deque[Change]]:
        return UPDATE, self._queue

    def _packets(self, method: str, source: Sequence[Change], allowance_s: float) -> list[list[Change]]:
        most = self._affordable(method, BATCH_MAX_COMMANDS, allowance_s)
        return [[change] for change in islice(source, most)]

    def _command(self, method: str, packet: Sequence[Change]) -> Command:
        change = packet[0]
        return update_command(self._entity_type_id, change.item_id, with_contents({**change.also, **change.fields}))

    def _settlements(self, method: str, packet: Sequence[Change], outcome: Outcome) -> list[Settlement[Change]]:
        return [Settlement(packet[0], outcome, sure=not isinstance(outcome, Done))]

    def _unsure(self, settlements: list[Settlement[Change]]) -> None:
        self._unread.extend(settlements)

    def _after_request(self, method: str, size: int) -> None:
        self.progress.pace_s, self.progress.counted_s = self._gate.unit_costs(method)
        if len(self._unread) >= MOST_UNREAD:
            self._read_back()

    def _idle(self) -> bool:
        if not self._unread:
            return False
        self._read_back()
        return True

    def _read_back(self) -> None:
        """Settle what the portal answered to by what it shows. Cost: one request per 2,500 updates."""
        unread, self._unread = [entry.item for entry in self._unread], []
        held = self._held(unread)
        settled, done = [], []
        for change in unread:
            item = held.get(change.item_id)
            if item is None:
                settled.append(self._refused(change, Refused(GONE, "was deleted in the portal right after")))
                continue
            # A field that the portal does not show at all cannot be checked.
            left = self._comparison.differences({n: v for n, v in change.fields.items() if n == FM or n in item}, item)
            if left:
                settled.append(self._refused(change, Refused(NOT_KEPT, not_kept(left, item))))
            else:
                note = {**change.note, UPDATED_TIME: item.get(UPDATED_TIME)}
                settled.append(Settled(change.key, DONE, portal_id=str(change.item_id), detail=note))
                done.append((change, str(change.item_id)))
        self._ledger.settle(settled)
        self._count_done(done)

    def _find(self, items: Mapping[str, Change], writes: Mapping[str, Write]) -> dict[str, str]:
        held = self._held(list(items.values()))
        return {
            key: str(change.item_id)
            for key, change in items.items()
            if (item := held.get(change.item_id)) is not None
            and (not change.fields or len(self._comparison.differences(change.fields, item)) < len(change.fields))
        }

    def _held(self, changes: Sequence[Change]) -> dict[int, dict[str, Any]]:
        names = {name for change in changes for name in change.fields}
        return read_items(self._client, self._entity_type_id, [change.item_id for change in changes], names)


def plan_changes(ledger: Ledger, changes: Iterator[Change], run_id: int) -> None:
    """Record the changes in the ledger before the first is sent; where only what hangs on an item differs none is."""
    while piece := list(islice(changes, KEYS_PER_REQUEST)):
        ledger.plan([(change.key, change.note) for change in piece if change.fields], run_id)
        ledger.adopt({change.key: str(change.item_id) for change in piece if not change.fields}, run_id, message=None)
