"""Postal addresses of companies and contacts: they hang on requisites, the requisites on the items.

Docs: api-reference/crm/requisites/universal/crm-requisite-list.md,
api-reference/crm/requisites/addresses/crm-address-list.md
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from b24sync.errors import PortalRefused
from b24sync.portal.items import COMPANY, CONTACT
from b24sync.portal.pages import PAGE, items_of
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Refused
from b24sync.transport.protocol import Command

LIST_REQUISITES, LIST_ADDRESSES = "crm.requisite.list", "crm.address.list"
REQUISITE = 8
"""The type of what addresses hang on."""


def may_have_addresses(entity_type_id: int) -> bool:
    """Companies and contacts."""
    return entity_type_id in (COMPANY, CONTACT)


def read_addresses(client: PortalClient, entity_type_id: int, ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """All addresses of items as crm.address.list shows them, by the item's id; the oldest requisite's come first.

    Cost: two requests per 2,500 items, and one per 50 further pages of 50 rows. Raises PortalRefused,
    PortalUnreachable.
    """
    found: dict[int, list[dict[str, Any]]] = {item_id: [] for item_id in ids}
    for item_id, rows in addresses_in(client, read_requisites(client, entity_type_id, ids)).items():
        found[item_id] += rows
    return found


def read_requisites(client: PortalClient, entity_type_id: int, ids: Collection[int]) -> dict[int, int]:
    """The item of each requisite of `ids`, by the requisite's id, the oldest first. Cost: one request per 2,500 items,
    and one per 50 further pages. Raises PortalRefused, PortalUnreachable.
    """
    rows = _hanging_on(client, LIST_REQUISITES, entity_type_id, ids, "ID")
    return dict(sorted((int(row["ID"]), int(row["ENTITY_ID"])) for row in rows))


def addresses_in(client: PortalClient, requisites: Mapping[int, int]) -> dict[int, list[dict[str, Any]]]:
    """All addresses in `requisites` (their items by id), by item, the oldest requisite's first. Cost: as of those."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for row in _hanging_on(client, LIST_ADDRESSES, REQUISITE, requisites, "TYPE_ID"):
        found[int(row["ENTITY_ID"]), int(row["TYPE_ID"])] = row
    by_item: dict[int, list[dict[str, Any]]] = {}
    for place in sorted(found):
        by_item.setdefault(requisites[place[0]], []).append(found[place])
    return by_item


def _hanging_on(
    client: PortalClient, method: str, owner_type: int, owners: Collection[int], then: str
) -> Iterator[dict[str, Any]]:
    """Every row of a list that hangs on one of `owners`; `then` orders those of one owner."""
    keys = list(owners)
    pieces = [keys[start : start + PAGE] for start in range(0, len(keys), PAGE)]
    starts = dict.fromkeys(range(len(pieces)), 0)
    order = {"ENTITY_ID": "ASC", then: "ASC"}
    while starts:
        filters = {n: {"ENTITY_TYPE_ID": owner_type, "@ENTITY_ID": pieces[n]} for n in starts}
        commands = {
            f"p{n}": Command(method, {"filter": filters[n], "order": order, "start": start})
            for n, start in starts.items()
        }
        starts = {}
        for name, answer in client.read_all(commands).items():
            if isinstance(answer, Refused):
                raise PortalRefused(method, answer.code, answer.text)
            rows = items_of(answer.result)
            yield from (row for row in rows if int(row["ENTITY_ID"]) in owners)
            if rows and answer.next is not None:
                starts[int(name[1:])] = answer.next
