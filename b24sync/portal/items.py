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
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Priority
from b24sync.transport.outcomes import Refused
from b24sync.transport.protocol import Command

LEAD, DEAL, CONTACT, COMPANY = 1, 2, 3, 4
ENTITY_NAMES: Mapping[int, str] = {LEAD: "lead", DEAL: "deal", CONTACT: "contact", COMPANY: "company"}
FIRST_SMART_PROCESS = 128

IDS_PER_COMMAND = 50
KEYS_PER_REQUEST = 2500

BATCH_IMPORT = "crm.item.batchImport"
SINGLE_IMPORT = "crm.item.import"
ADD = "crm.item.add"
UPDATE = "crm.item.update"
DELETE = "crm.item.delete"
BATCH_IMPORT_MAX_ROWS = 20

UPDATED_TIME = "updatedTime"


@dataclass(frozen=True, slots=True)
class Origin:
    """How a kind of item carries our key in the portal."""

    entity_type_id: int
    originator: str

    @property
    def key_field(self) -> str:
        return "xmlId" if self.entity_type_id >= FIRST_SMART_PROCESS else "originId"

    def fields(self, key: str) -> dict[str, str]:
        """The fields that mark an item as ours."""
        if self.key_field == "xmlId":
            return {"xmlId": f"{self.originator}:{key}"}
        return {"originatorId": self.originator, "originId": key}

    def filter(self, keys: Sequence[str]) -> dict[str, Any]:
        if self.key_field == "xmlId":
            return {"@xmlId": [f"{self.originator}:{key}" for key in keys]}
        return {"=originatorId": self.originator, "@originId": list(keys)}

    def key_of(self, row: Mapping[str, Any]) -> str | None:
        """Our key in a row of the portal; None when the row is not ours."""
        if self.key_field == "xmlId":
            prefix = f"{self.originator}:"
            value = str(row.get("xmlId") or "")
            return value.removeprefix(prefix) if value.startswith(prefix) else None
        if row.get("originatorId") != self.originator or row.get("originId") is None:
            return None
        return str(row["originId"])

    @property
    def select(self) -> list[str]:
        return ["id", "xmlId"] if self.key_field == "xmlId" else ["id", "originatorId", "originId"]


def batch_import_command(entity_type_id: int, rows: Sequence[Mapping[str, Any]]) -> Command:
    """Up to 20 rows, no automation run, a positional answer (crm/universal/import/crm-item-batch-import.md)."""
    params = {"entityTypeId": entity_type_id, "useOriginalUfNames": "Y", "data": list(rows)}
    return Command(BATCH_IMPORT, params, units=len(rows))


def single_import_command(entity_type_id: int, row: Mapping[str, Any], method: str = SINGLE_IMPORT) -> Command:
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
    filters = {} if origin.key_field == "xmlId" else {"=originatorId": origin.originator}
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
        chunks = [piece[i : i + IDS_PER_COMMAND] for i in range(0, len(piece), IDS_PER_COMMAND)]
        commands = {
            f"k{index:03d}": list_command(origin.entity_type_id, origin.filter(chunk), origin.select)
            for index, chunk in enumerate(chunks)
        }
        pages = read_pages(client, commands, priority)
        for index, chunk in enumerate(chunks):
            rows = pages[f"k{index:03d}"]
            _collect(origin, rows, found)
            if len(rows) == PAGE and not all(key in found for key in chunk):
                # Duplicates in the portal filled the page: ask again for what it may have hidden.
                missing = [key for key in chunk if key not in found]
                for key in missing:
                    more = read_pages(
                        client,
                        {"k": list_command(origin.entity_type_id, origin.filter([key]), origin.select)},
                        priority,
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
) -> Iterator[dict[str, Any]]:
    """Every item that matches, by id ascending, each once. Cost: one request per 2,500 items.

    Raises PortalRefused, and PortalUnreachable when the portal ignores the cursor.
    """
    columns = list(dict.fromkeys(["id", *select]))

    def page_after(cursor: int | str) -> Command:
        return list_command(entity_type_id, {**filters, ">id": cursor}, columns)

    yield from walk_by_id(client, page_after, id_key="id", after=0, priority=priority)
