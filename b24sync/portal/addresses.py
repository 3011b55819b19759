"""Postal addresses of companies and contacts: they hang on requisites, the requisites on the items.

Docs: api-reference/crm/requisites/universal/crm-requisite-list.md,
api-reference/crm/requisites/addresses/crm-address-list.md
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
    requisites = _hanging_on(client, LIST_REQUISITES, entity_type_id, ids, "ID")
    owners = {int(row["ID"]): int(row["ENTITY_ID"]) for row in requisites}
    found: dict[int, dict[tuple[int, int], dict[str, Any]]] = {item_id: {} for item_id in ids}
    for row in _hanging_on(client, LIST_ADDRESSES, REQUISITE, owners, "TYPE_ID"):
        place = int(row["ENTITY_ID"]), int(row["TYPE_ID"])
        found[owners[place[0]]][place] = row
    return {item_id: [rows[place] for place in sorted(rows)] for item_id, rows in found.items()}


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
