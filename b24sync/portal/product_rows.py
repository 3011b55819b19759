"""Product rows of CRM items: read page by page, and which of their fields can be written.

Docs: api-reference/crm/universal/product-rows/crm-item-productrow-{list,set}.md
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from b24sync.errors import PortalRefused
from b24sync.portal.items import DEAL, FIRST_SMART_PROCESS, LEAD, short_code
from b24sync.portal.pages import items_of
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Priority
from b24sync.transport.outcomes import Refused
from b24sync.transport.protocol import Command

PRODUCT_FIELDS: Mapping[str, str] = {
    "product_id": "productId",
    "name": "productName",
    "price": "price",
    "quantity": "quantity",
    "discount_type": "discountTypeId",
    "discount_rate": "discountRate",
    "discount_sum": "discountSum",
    "tax_rate": "taxRate",
    "tax_included": "taxIncluded",
    "measure_code": "measureCode",
    "sort": "sort",
}
"""What can be written of a product row: our name -> the portal's (crm-item-productrow-set.md)."""
OWNER_NOT_FOUND = "OWNER_NOT_FOUND"


def may_have_product_rows(entity_type_id: int) -> bool:
    """Deals and leads, and smart processes where that is switched on."""
    return entity_type_id in (LEAD, DEAL) or entity_type_id >= FIRST_SMART_PROCESS


def product_rows_command(entity_type_id: int, item_id: int, start: int = 0) -> Command:
    """A page of the product rows of one item, by id; `=ownerType` is the short code of its type."""
    filters = {"=ownerType": short_code(entity_type_id), "=ownerId": item_id}
    return Command("crm.item.productrow.list", {"filter": filters, "order": {"id": "ASC"}, "start": start})


def read_product_rows(
    client: PortalClient, entity_type_id: int, ids: Iterable[int], priority: Priority = "bulk"
) -> dict[int, list[dict[str, Any]]]:
    """All product rows of items, by the item's id; an item that is gone has none.

    Cost: one request per 50 items, and one per 50 further pages of 50 rows. Raises PortalRefused, PortalUnreachable.
    """
    found: dict[int, list[dict[str, Any]]] = {item_id: [] for item_id in ids}
    starts = dict.fromkeys(found, 0)
    while starts:
        commands = {
            f"p{item_id}": product_rows_command(entity_type_id, item_id, start) for item_id, start in starts.items()
        }
        starts = {}
        for name, answer in client.read_all(commands, priority=priority).items():
            item_id = int(name[1:])
            if isinstance(answer, Refused):
                if answer.code == OWNER_NOT_FOUND:
                    continue
                raise PortalRefused(commands[name].method, answer.code, answer.text)
            rows = items_of(answer.result)
            found[item_id] += rows
            if rows and answer.next is not None:
                starts[item_id] = answer.next
    return found
