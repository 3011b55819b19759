"""A copy of a deal: its fields, contacts and product rows, under an origin pair of its own.

The portal has no method for it: the fields are read, stripped of what the portal keeps for itself, and added
(api-reference/crm/universal/crm-item-add.md, object-fields.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from b24sync.bulk.acts import Made, Sending
from b24sync.portal import item_writes
from b24sync.portal.items import DEAL, Origin
from b24sync.portal.product_rows import PRODUCT_FIELDS, read_product_rows
from b24sync.transport.client import PortalClient

COPY_ORIGINATOR = "b24sync-refusal"
ORIGIN = Origin(DEAL, COPY_ORIGINATOR)
COPIED = (
    *("title", "typeId", "categoryId", "currencyId", "isManualOpportunity", "opportunity", "taxValue"),
    *("companyId", "contactIds", "begindate", "closedate", "opened", "comments", "assignedById", "sourceId"),
    *("sourceDescription", "additionalInfo", "observers", "locationId", "probability"),
    *("utmSource", "utmMedium", "utmCampaign", "utmContent", "utmTerm"),
)
"""Fields of a deal that can be written (object-fields.md), without its stage and its origin."""


class DealCopies:
    """Copies deals of one portal."""

    def __init__(self, client: PortalClient) -> None:
        self._client = client

    def find(self, key: str) -> int | None:
        """The copy of a key, if it exists. Cost: one request."""
        return item_writes.find_item(self._client, ORIGIN, key)

    def add(
        self, original: Mapping[str, Any], key: str, stage_id: str, without: Sequence[str], sending: Sending
    ) -> dict[str, Any]:
        """Add the copy; its fields. Cost: one request."""
        fields = {name: original[name] for name in COPIED if original.get(name) not in (None, "", [])}
        fields |= {name: value for name, value in original.items() if name.startswith(("UF_", "parentId")) and value}
        fields = {name: value for name, value in fields.items() if name not in without and not _is_file(value)}
        return item_writes.add_item(self._client, DEAL, {**fields, "stageId": stage_id, **ORIGIN.fields(key)}, sending)

    def product_rows(self, deal_id: int) -> list[dict[str, Any]]:
        """What can be written of a deal's product rows. Cost: one request per 50."""
        rows = read_product_rows(self._client, DEAL, [deal_id], "interactive")[deal_id]
        return [{name: row[name] for name in PRODUCT_FIELDS.values() if row.get(name) is not None} for row in rows]

    def has_rows(self, deal_id: int, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a deal has as many rows as these."""
        return len(self.product_rows(deal_id)) == len(rows)

    def set_rows(self, deal_id: int, rows: Sequence[Mapping[str, Any]], sending: Sending) -> Made:
        """Write product rows of a copy. Cost: one request."""
        item_writes.set_product_rows(self._client, DEAL, deal_id, rows, sending)
        return Made(str(deal_id))


def _is_file(value: Any) -> bool:
    """Files are shown as objects with addresses and cannot be handed on as they are (data-types.md, file)."""
    if isinstance(value, list):
        return any(map(_is_file, value))
    return isinstance(value, Mapping) and "urlMachine" in value
