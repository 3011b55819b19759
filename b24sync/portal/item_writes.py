"""Single writes to CRM items, for acts of rules (api-reference/crm/universal/crm-item-update.md, crm-item-add.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from b24sync.errors import PortalRefused
from b24sync.portal.items import Origin, find_by_origin, short_code
from b24sync.transport.client import PortalClient

NOT_FOUND = "NOT_FOUND"
Sending = Callable[[], None]


def get_item(client: PortalClient, entity_type_id: int, item_id: int) -> dict[str, Any] | None:
    """All fields of one item; None when it does not exist. Cost: one request."""
    params = {"entityTypeId": entity_type_id, "id": item_id, "useOriginalUfNames": "Y"}
    try:
        return _item(client.call("crm.item.get", params).result)
    except PortalRefused as error:
        if error.code == NOT_FOUND:
            return None
        raise


def update_item(
    client: PortalClient, entity_type_id: int, item_id: int, fields: Mapping[str, Any], sending: Sending
) -> dict[str, Any]:
    """Change fields; all fields as they are afterwards. Cost: one request.

    Raises PortalRefused, OutcomeUnknown and what the client raises.
    """
    params = {"entityTypeId": entity_type_id, "id": item_id, "useOriginalUfNames": "Y", "fields": dict(fields)}
    answer = client.call("crm.item.update", params, write=True, before_send=sending)
    return _item(answer.result) or {}


def add_item(client: PortalClient, entity_type_id: int, fields: Mapping[str, Any], sending: Sending) -> dict[str, Any]:
    """Add an item, with the portal's automation; all its fields. Cost: one request."""
    params = {"entityTypeId": entity_type_id, "useOriginalUfNames": "Y", "fields": dict(fields)}
    answer = client.call("crm.item.add", params, write=True, before_send=sending)
    return _item(answer.result) or {}


def find_item(client: PortalClient, origin: Origin, key: str) -> int | None:
    """The id of the item that carries one of our keys. Cost: one request."""
    ids = find_by_origin(client, origin, [key], priority="interactive").get(key)
    return min(ids) if ids else None


def set_product_rows(
    client: PortalClient, entity_type_id: int, item_id: int, rows: Sequence[Mapping[str, Any]], sending: Sending
) -> None:
    """Replace all product rows of an item. Cost: one request (crm-item-productrow-set.md)."""
    params = {"ownerType": short_code(entity_type_id), "ownerId": item_id, "productRows": [dict(row) for row in rows]}
    client.call("crm.item.productrow.set", params, write=True, before_send=sending)


def _item(result: Any) -> dict[str, Any] | None:
    item = result.get("item") if isinstance(result, Mapping) else None
    return dict(item) if isinstance(item, Mapping) else None
