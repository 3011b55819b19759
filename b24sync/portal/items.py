"""CRM items in the portal's universal dialect: import, look-up by origin, reading by id.

Always with `useOriginalUfNames=Y`: the camelCase names of user fields collide (crm/universal/index.md).
External keys: `originatorId` + `originId` for leads, deals, contacts and companies; `xmlId` for smart
processes (crm/universal/crm-item-add.md). The portal enforces no uniqueness of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from b24sync.errors import PortalRefused
from b24sync.portal.pages import PAGE, items_of, walk_by_id
from b24sync.portal.pairs import MIXED, own_pair, pair_key, split_pair
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Priority
from b24sync.transport.outcomes import Refused
from b24sync.transport.protocol import Command, EncodedRow

LEAD, DEAL, CONTACT, COMPANY = 1, 2, 3, 4
SMART_INVOICE = 31
ENTITY_NAMES: Mapping[int, str] = {LEAD: "lead", DEAL: "deal", CONTACT: "contact", COMPANY: "company"}
FIRST_SMART_PROCESS = 128
SHORT_CODES: Mapping[int, str] = {LEAD: "L", DEAL: "D", CONTACT: "C", COMPANY: "CO", SMART_INVOICE: "SI"}

IDS_PER_COMMAND = 50
KEYS_PER_REQUEST = 2500

BATCH_IMPORT = "crm.item.batchImport"
SINGLE_IMPORT = "crm.item.import"
ADD = "crm.item.add"
UPDATE = "crm.item.update"
DELETE = "crm.item.delete"
BATCH_IMPORT_MAX_ROWS = 20

UPDATED_TIME = "updatedTime"


def short_code(entity_type_id: int) -> str:
    """`D` of a deal, `T` and the number in base 16 of a smart process (crm/data-types.md)."""
    return SHORT_CODES.get(entity_type_id) or f"T{entity_type_id:x}"


@dataclass(frozen=True, slots=True)
class Origin:
    """How a kind of item carries our key in the portal.

    Where `originator` is `*@<host>` (`pairs.MIXED`), every key is a pair of its own: items of several sources, and
    items without an external key that are known by their id in the portal at `host`.
    """

    entity_type_id: int
    originator: str

    @property
    def key_field(self) -> str:
        return "xmlId" if self.entity_type_id >= FIRST_SMART_PROCESS else "originId"

    @property
    def mixed(self) -> bool:
        """Whether every key names its own originator."""
        return self.originator.startswith(MIXED)

    def fields(self, key: str) -> dict[str, str]:
        """The fields that mark an item as ours."""
        originator, origin_id = split_pair(key) if self.mixed else (self.originator, key)
        if self.key_field == "xmlId":
            return {"xmlId": f"{originator}:{origin_id}" if originator else origin_id}
        return {"originatorId": originator, "originId": origin_id}

    def filters(self, keys: Sequence[str]) -> Iterator[tuple[dict[str, Any], list[str]]]:
        """(filter, keys it asks for), at most 50 keys each."""
        if not self.mixed:
            for chunk in _chunks(keys):
                yield self._filter(self.originator, chunk), chunk
            return
        by_originator: dict[str, list[str]] = {}
        home: list[str] = []
        for key in keys:
            by_originator.setdefault(split_pair(key)[0], []).append(key)
            if self._home_id(key):
                home.append(key)
        for originator, own in by_originator.items():
            for chunk in _chunks(own):
                yield self._filter(originator, [split_pair(key)[1] for key in chunk]), chunk
        for chunk in _chunks(home):
            yield {"@id": [self._home_id(key) for key in chunk]}, chunk

    def _filter(self, originator: str, ids: Sequence[str]) -> dict[str, Any]:
        if self.key_field == "xmlId":
            return {"@xmlId": [f"{originator}:{key}" if originator else key for key in ids]}
        return {"=originatorId": originator, "@originId": list(ids)}

    def _home_id(self, key: str) -> int | None:
        """The id of an item of this very portal that has no external key."""
        prefix = own_pair(self.originator.removeprefix(MIXED), "", as_xml_id=self.key_field == "xmlId")
        rest = key.removeprefix(prefix)
        return int(rest) if rest != key and rest.isdigit() else None

    def key_of(self, row: Mapping[str, Any]) -> str | None:
        """Our key in a row of the portal; None when the row is not ours."""
        if self.mixed:
            return self._pair_of(row)
        if self.key_field == "xmlId":
            prefix = f"{self.originator}:"
            value = str(row.get("xmlId") or "")
            return value.removeprefix(prefix) if value.startswith(prefix) else None
        if row.get("originatorId") != self.originator or row.get("originId") is None:
            return None
        return str(row["originId"])

    def _pair_of(self, row: Mapping[str, Any]) -> str:
        as_xml_id = self.key_field == "xmlId"
        origin_id = str(row.get(self.key_field) or "")
        if origin_id:
            return pair_key("" if as_xml_id else str(row.get("originatorId") or ""), origin_id)
        return own_pair(self.originator.removeprefix(MIXED), row["id"], as_xml_id=as_xml_id)

    @property
    def select(self) -> list[str]:
        return ["id", "xmlId"] if self.key_field == "xmlId" else ["id", "originatorId", "originId"]


def _chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    return (list(keys[start : start + IDS_PER_COMMAND]) for start in range(0, len(keys), IDS_PER_COMMAND))


def batch_import_command(entity_type_id: int, rows: Sequence[Mapping[str, Any] | EncodedRow]) -> Command:
    """Up to 20 rows, no automation run, a positional answer (crm/universal/import/crm-item-batch-import.md)."""
    params = {"entityTypeId": entity_type_id, "useOriginalUfNames": "Y", "data": list(rows)}
    return Command(BATCH_IMPORT, params, units=len(rows))


def single_import_command(
    entity_type_id: int, row: Mapping[str, Any] | EncodedRow, method: str = SINGLE_IMPORT
) -> Command:
    """One row by crm.item.import (no automation) or crm.item.add (automation runs)."""
    return Command(method, {"entityTypeId": entity_type_id, "useOriginalUfNames": "Y", "fields": row})


def update_command(entity_type_id: int, item_id: int, fields: Mapping[str, Any]) -> Command:
    """Change some fields; the others stay, automation runs (crm/universal/crm-item-update.md)."""
    params = {"entityTypeId": entity_type_id, "id": item_id, "fields": fields, "useOriginalUfNames": "Y"}
    return Command(UPDATE, params)


def delete_command(entity_type_id: int, item_id: int) -> Command:
    """Delete an item with its timeline, activities and history (crm/universal/crm-item-delete.md)."""
    return Command(DELETE, {"entityTypeId": entity_type_id, "id": item_id})


def list_command(entity_type_id: int, filters: Mapping[str, Any], select: Sequence[str], *, start: int = -1) -> Command:
    """A page of 50 by id ascending; `start=-1` switches counting off (settings/performance/huge-data.md)."""
    return Command(
        "crm.item.list",
        {
            "entityTypeId": entity_type_id,
            "filter": dict(filters),
            "select": list(select),
            "order": {"id": "ASC"},
            "start": start,
            "useOriginalUfNames": "Y",
        },
    )


def count_command(origin: Origin) -> Command:
    """Counts the items that carry our originator: the answer's `total` (of smart processes: all of the kind)."""
    filters = {} if origin.mixed or origin.key_field == "xmlId" else {"=originatorId": origin.originator}
    return list_command(origin.entity_type_id, filters, ["id"], start=0)


def newest_created(client: PortalClient, entity_type_id: int) -> str | None:
    """createdTime of the newest item of a kind, ISO; None where there is none. Cost: one request."""
    params = {
        "entityTypeId": entity_type_id,
        "order": {"createdTime": "DESC"},
        "select": ["id", "createdTime"],
        "start": 0,
    }
    rows = items_of(client.call("crm.item.list", params).result)
    return str(rows[0]["createdTime"]) if rows else None


def newest_item_id(client: PortalClient, entity_type_id: int) -> int:
    """The highest id of a kind of item; 0 where there is none. Cost: one request."""
    params = {"entityTypeId": entity_type_id, "order": {"id": "DESC"}, "select": ["id"], "start": 0}
    rows = items_of(client.call("crm.item.list", params).result)
    return int(rows[0]["id"]) if rows else 0


def find_by_origin(
    client: PortalClient, origin: Origin, keys: Iterable[str], priority: Priority = "bulk"
) -> dict[str, list[int]]:
    """Ids by key for those of `keys` that the portal holds; more than one id means duplicates there.

    Cost: one request per 2,500 keys. Raises PortalUnreachable, PortalBlocked, PortalRefused.
    """
    wanted = list(dict.fromkeys(keys))
    found: dict[str, list[int]] = {}
    for start in range(0, len(wanted), KEYS_PER_REQUEST):
        piece = wanted[start : start + KEYS_PER_REQUEST]
        asked_for = list(origin.filters(piece))
        commands = {
            f"k{index:03d}": list_command(origin.entity_type_id, filters, origin.select)
            for index, (filters, _) in enumerate(asked_for)
        }
        pages = read_pages(client, commands, priority)
        for index, (_, chunk) in enumerate(asked_for):
            rows = pages[f"k{index:03d}"]
            _collect(origin, rows, found)
            if len(rows) == PAGE and not all(key in found for key in chunk):
                # Duplicates in the portal filled the page: ask again for what it may have hidden.
                missing = [key for key in chunk if key not in found]
                for filters, _ in (pair for key in missing for pair in origin.filters([key])):
                    more = read_pages(
                        client, {"k": list_command(origin.entity_type_id, filters, origin.select)}, priority
                    )
                    _collect(origin, more["k"], found)
    asked = set(wanted)
    return {key: ids for key, ids in found.items() if key in asked}


def _collect(origin: Origin, rows: Iterable[Mapping[str, Any]], found: dict[str, list[int]]) -> None:
    for row in rows:
        key = origin.key_of(row)
        if key is not None and int(row["id"]) not in found.setdefault(key, []):
            found[key].append(int(row["id"]))


def read_by_ids(
    client: PortalClient, entity_type_id: int, ids: Sequence[int], select: Sequence[str], priority: Priority = "bulk"
) -> dict[int, dict[str, Any]]:
    """Rows by id for those of `ids` that exist. Cost: one request per 2,500 ids."""
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(ids), KEYS_PER_REQUEST):
        piece = ids[start : start + KEYS_PER_REQUEST]
        commands = {
            f"i{index:03d}": list_command(
                entity_type_id, {"@id": list(piece[index * PAGE : (index + 1) * PAGE])}, ["id", *select]
            )
            for index in range((len(piece) + PAGE - 1) // PAGE)
        }
        for rows in read_pages(client, commands, priority).values():
            for row in rows:
                found[int(row["id"])] = row
    return found


def read_pages(
    client: PortalClient, commands: Mapping[str, Command], priority: Priority
) -> dict[str, list[dict[str, Any]]]:
    """The `items` of every list command. Raises PortalRefused for the first that the portal refuses."""
    pages: dict[str, list[dict[str, Any]]] = {}
    for name, answer in client.read_all(commands, priority=priority).items():
        if isinstance(answer, Refused):
            raise PortalRefused(commands[name].method, answer.code, answer.text)
        pages[name] = items_of(answer.result)
    return pages


def walk(
    client: PortalClient,
    entity_type_id: int,
    filters: Mapping[str, Any],
    select: Sequence[str],
    *,
    priority: Priority = "bulk",
    after: int = 0,
) -> Iterator[dict[str, Any]]:
    """Every item that matches, above the id `after`, by id ascending, each once. Cost: one request per 2,500 items.

    Raises PortalRefused, and PortalUnreachable when the portal ignores the cursor.
    """
    columns = list(dict.fromkeys(["id", *select]))

    def page_after(cursor: int | str) -> Command:
        return list_command(entity_type_id, {**filters, ">id": cursor}, columns)

    yield from walk_by_id(client, page_after, id_key="id", after=after, priority=priority)
