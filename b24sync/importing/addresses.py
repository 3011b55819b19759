"""Postal addresses of imported companies and contacts: set after the items are there, once each, through the ledger.

An address hangs on a requisite, the requisite on the item (crm/requisites/addresses/crm-address-add.md,
crm/requisites/universal/crm-requisite-add.md). Each new item gets one requisite of ours, known by its XML_ID, with one
address in it; both are looked up before an unanswered call is repeated, and addresses are read back. Of an item that is
there already the address of the same type is changed, in what differs (crm/requisites/addresses/crm-address-update.md),
or one added to its oldest requisite.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from b24sync.bulk.ledgered import LedgeredSender, Settlement
from b24sync.errors import PortalRefused
from b24sync.importing.compare import NOT_KEPT, not_kept
from b24sync.portal.addresses import LIST_ADDRESSES, LIST_REQUISITES, REQUISITE, addresses_in, read_requisites
from b24sync.portal.items import CONTACT
from b24sync.portal.pages import items_of
from b24sync.store.ledger import DONE, SENT, UNKNOWN, Ledger, Settled, Write
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Outcome, Refused
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command

TYPE_ID = "TYPE_ID"
ACTUAL = 1
"""The type of the one address that cards showed before requisites (crm/auxiliary/enum/crm-enum-address-type.md)."""
ADD_REQUISITE, ADD_ADDRESS, PRESETS = "crm.requisite.add", "crm.address.add", "crm.requisite.preset.list"
UPDATE_ADDRESS = "crm.address.update"


@dataclass(frozen=True, slots=True)
class Preset:
    """The template that our requisites follow, with its name, which becomes theirs."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class ItemAddress:
    """The address of one item, its parts named as crm.address.add names them."""

    key: str
    """In the ledgers of requisites and of addresses."""
    item_id: int
    type_id: int
    parts: Mapping[str, str]
    requisite_id: int = 0
    """What it hangs on; 0 = a requisite is to be made."""
    changed: Sequence[str] = ()
    """The parts to be changed of the address that is there; none = there is none of this type."""

    @property
    def xml_id(self) -> str:
        return f"b24sync-{self.item_id}"

    @property
    def packed(self) -> list[Any]:
        """It without its key and item, for JSON: `ItemAddress(key, item_id, *packed)` is the same."""
        return [self.type_id, self.parts, self.requisite_id, self.changed]

    @property
    def note(self) -> dict[str, Any]:
        """What the ledger keeps of it: the values are a client's data."""
        return {"item": self.item_id, "fields": list(self.changed or self.parts)}


def address_of(key: str, item_id: int, value: Mapping[str, Any]) -> ItemAddress | None:
    """The address out of a prepared row; None where nothing but its type is told."""
    parts = {name: str(text) for name, text in value.items() if name != TYPE_ID}
    return ItemAddress(key, item_id, int(value.get(TYPE_ID, ACTUAL)), parts) if parts else None


def other_addresses(
    client: PortalClient, entity_type_id: int, wanted: Mapping[int, ItemAddress], asked: Collection[str]
) -> dict[int, ItemAddress]:
    """By item, those of `wanted` that the portal does not show: what to send, and where.

    `asked`: keys that were sent and never answered; they are looked for, so they are told whatever the portal shows.
    Cost: two requests per 2,500. Raises PortalRefused, PortalUnreachable.
    """
    requisites = read_requisites(client, entity_type_id, wanted)
    there = addresses_in(client, requisites)
    oldest = {item_id: requisite_id for requisite_id, item_id in reversed(requisites.items())}
    found = {}
    for item_id, address in wanted.items():
        alike = [row for row in there.get(item_id, ()) if int(row[TYPE_ID]) == address.type_id]
        held = next((row for row in alike if not _differing(address, row)), None)
        if held is None and not alike:
            found[item_id] = replace(address, requisite_id=oldest.get(item_id, 0))
        elif held is None or address.key in asked:
            row = held or alike[0]
            changed = _differing(address, row) or list(address.parts)
            found[item_id] = replace(address, requisite_id=int(row["ENTITY_ID"]), changed=changed)
    return found


def still_asked(ledger: Ledger, wanted: Iterable[ItemAddress]) -> set[str]:
    """Keys of addresses that were sent and never answered."""
    writes = ledger.states([address.key for address in wanted])
    return {key for key, write in writes.items() if write.state in (SENT, UNKNOWN)}


def _differing(wanted: ItemAddress, row: Mapping[str, Any]) -> list[str]:
    return [name for name, text in wanted.parts.items() if _folded(row.get(name)) != _folded(text)]


def _folded(part: Any) -> str:
    return " ".join(str(part or "").split())


def read_preset(client: PortalClient, entity_type_id: int) -> Preset:
    """The template for companies (the first one) or contacts (that of a person). Cost: one request.

    Docs: crm/requisites/presets/crm-requisite-preset-list.md. Raises PortalRefused.
    """
    answer = client.read_all({"presets": Command(PRESETS, {"order": {"ID": "ASC"}})})["presets"]
    if isinstance(answer, Refused):
        raise PortalRefused(PRESETS, answer.code, answer.text)
    rows = sorted(items_of(answer.result), key=lambda row: int(row["ID"]))
    rows = [row for row in rows if str(row.get("ACTIVE", "Y")).upper() not in ("N", "0", "FALSE")]
    if not rows:
        raise PortalRefused(PRESETS, "NO_PRESETS", "no requisite template is active, and addresses hang on requisites")
    persons = [row for row in rows if _is_of_persons(row)] if entity_type_id == CONTACT else []
    chosen = (persons or rows)[0]
    return Preset(int(chosen["ID"]), str(chosen.get("NAME") or "b24sync"))


def _is_of_persons(row: Mapping[str, Any]) -> bool:
    return "PERSON" in str(row.get("XML_ID")).upper() or str(row.get("NAME")).casefold().startswith("физ")


def write_addresses(
    client: PortalClient,
    requisites: Ledger,
    addresses: Ledger,
    entity_type_id: int,
    preset: Preset,
    items: Sequence[ItemAddress],
    run_id: int,
) -> dict[int, str]:
    """Give `items` their addresses; what the portal said of those that got none, by the item's id.

    Cost: two requests per 50 items, one of those that have a requisite. Raises PortalUnreachable, PortalBlocked,
    PortalRefused, StoreError.
    """
    bare = [item for item in items if not item.requisite_id]
    requisites.plan([(item.key, None) for item in bare], run_id)
    RequisiteWriter(client, requisites, entity_type_id, preset).send(iter(bare))
    held = requisites.states([item.key for item in items])
    found = {item.key: str(item.requisite_id) for item in items if item.requisite_id and item.key in held}
    requisites.adopt(found, run_id)  # made by this run before it was killed, and never answered
    ready = [item for item in items if item.requisite_id] + [
        replace(item, requisite_id=int(write.portal_id))
        for item in bare
        if (write := held[item.key]).state == DONE and write.portal_id
    ]
    addresses.plan([(item.key, item.note) for item in ready], run_id)
    AddressWriter(client, addresses).send(item for item in ready if not item.changed)
    AddressUpdater(client, addresses).send(item for item in ready if item.changed)
    last = {**held, **addresses.states([item.key for item in ready])}
    return {item.item_id: last[item.key].refusal for item in items if last[item.key].state != DONE}


class _Writer(LedgeredSender[ItemAddress]):
    """One command for each address; what was not answered is found among what hangs on its owner."""

    method: str

    def _source(self) -> tuple[str, deque[ItemAddress]]:
        return self.method, self._queue

    def _packets(self, method: str, source: Sequence[ItemAddress], allowance_s: float) -> list[list[ItemAddress]]:
        most = self._affordable(method, BATCH_MAX_COMMANDS, allowance_s)
        return [[item] for item in islice(source, most)]

    def _settlements(
        self, method: str, packet: Sequence[ItemAddress], outcome: Outcome
    ) -> list[Settlement[ItemAddress]]:
        return [Settlement(packet[0], outcome)]

    def _find(self, items: Mapping[str, ItemAddress], writes: Mapping[str, Write]) -> dict[str, str]:
        commands = {f"i{key}": self._look(item) for key, item in items.items()}
        found: dict[str, str] = {}
        for name, answer in self._client.read_all(commands).items():
            if isinstance(answer, Refused):
                raise PortalRefused(commands[name].method, answer.code, answer.text)
            item = items[name[1:]]
            ids = [there for row in items_of(answer.result) if (there := self._held(item, row))]
            if ids:
                found[item.key] = min(ids, key=int)
        return found

    @abstractmethod
    def _look(self, item: ItemAddress) -> Command:
        """The command that lists what hangs on the owner."""

    @abstractmethod
    def _held(self, item: ItemAddress, row: Mapping[str, Any]) -> str | None:
        """The requisite's id, where `row` is what was to be written."""


class RequisiteWriter(_Writer):
    """Makes a requisite for each item of one kind. Cost: one request per 50."""

    what_for = "requisites for addresses"
    method = ADD_REQUISITE

    def __init__(self, client: PortalClient, ledger: Ledger, entity_type_id: int, preset: Preset) -> None:
        super().__init__(client, ledger)
        self._entity_type_id = entity_type_id
        self._preset = preset

    def _owner(self, item: ItemAddress) -> dict[str, Any]:
        return {"ENTITY_TYPE_ID": self._entity_type_id, "ENTITY_ID": item.item_id}

    def _command(self, method: str, packet: Sequence[ItemAddress]) -> Command:
        named = {"PRESET_ID": self._preset.id, "NAME": self._preset.name, "XML_ID": packet[0].xml_id}
        return Command(method, {"fields": {**self._owner(packet[0]), **named}})

    def _look(self, item: ItemAddress) -> Command:
        """Docs: crm/requisites/universal/crm-requisite-list.md"""
        wanted = {**self._owner(item), "XML_ID": item.xml_id}
        return Command(LIST_REQUISITES, {"filter": wanted, "select": ["ID", "XML_ID"]})

    def _held(self, item: ItemAddress, row: Mapping[str, Any]) -> str | None:
        return str(row["ID"]) if row.get("XML_ID") == item.xml_id else None


class AddressWriter(_Writer):
    """Puts addresses into their requisites; settled by what the portal shows afterwards.

    Cost: one request per 50, and one per 2,500 to read them back.
    """

    what_for = "addresses"
    method = ADD_ADDRESS

    def __init__(self, client: PortalClient, ledger: Ledger) -> None:
        super().__init__(client, ledger)
        self._unread: list[ItemAddress] = []

    def _owner(self, item: ItemAddress) -> dict[str, Any]:
        return {TYPE_ID: item.type_id, "ENTITY_TYPE_ID": REQUISITE, "ENTITY_ID": item.requisite_id}

    def _command(self, method: str, packet: Sequence[ItemAddress]) -> Command:
        return Command(method, {"fields": {**self._owner(packet[0]), **packet[0].parts}})

    def _settlements(
        self, method: str, packet: Sequence[ItemAddress], outcome: Outcome
    ) -> list[Settlement[ItemAddress]]:
        return [Settlement(packet[0], outcome, sure=not isinstance(outcome, Done))]

    def _unsure(self, settlements: list[Settlement[ItemAddress]]) -> None:
        self._unread.extend(entry.item for entry in settlements)

    def _idle(self) -> bool:
        if not self._unread:
            return False
        unread, self._unread = self._unread, []
        there = addresses_in(self._client, {item.requisite_id: item.item_id for item in unread})
        settled, done = [], []
        for item in unread:
            shown = next((row for row in there.get(item.item_id, ()) if self._is_place(item, row)), {})
            if left := _differing(item, shown):
                said = not_kept({name: item.parts[name] for name in left}, shown)
                settled.append(self._refused(item, Refused(NOT_KEPT, said)))
            else:
                settled.append(Settled(item.key, DONE, portal_id=str(item.requisite_id)))
                done.append((item, str(item.requisite_id)))
        self._ledger.settle(settled)
        self._count_done(done)
        return True

    def _look(self, item: ItemAddress) -> Command:
        """Docs: crm/requisites/addresses/crm-address-list.md"""
        return Command(LIST_ADDRESSES, {"filter": self._owner(item)})

    def _held(self, item: ItemAddress, row: Mapping[str, Any]) -> str | None:
        return str(item.requisite_id) if self._is_place(item, row) and not _differing(item, row) else None

    def _is_place(self, item: ItemAddress, row: Mapping[str, Any]) -> bool:
        return all(str(row.get(name)) == str(value) for name, value in self._owner(item).items())


class AddressUpdater(AddressWriter):
    """Changes parts of addresses that are there. Docs: crm/requisites/addresses/crm-address-update.md"""

    what_for = "changes of addresses"
    method = UPDATE_ADDRESS

    def _command(self, method: str, packet: Sequence[ItemAddress]) -> Command:
        item = packet[0]
        return Command(method, {"fields": {**self._owner(item), **{name: item.parts[name] for name in item.changed}}})
