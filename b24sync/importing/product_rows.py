"""Product rows of imported items: set after the items are there, once each, through the ledger.

crm.item.productrow.set replaces all rows of an item (crm/universal/product-rows/crm-item-productrow-set.md), so that
an unanswered call may be looked up and repeated without a row coming twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from b24sync.bulk.ledgered import LedgeredSender, Progress, Settlement
from b24sync.portal.items import short_code
from b24sync.portal.product_rows import PRODUCT_FIELDS, read_product_rows
from b24sync.store.ledger import Ledger, Write
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Outcome
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command

SET = "crm.item.productrow.set"


@dataclass(frozen=True, slots=True)
class ItemRows:
    """The product rows of one item, as `portal.product_rows.PRODUCT_FIELDS` names them; `key` is the item's own."""

    key: str
    item_id: int
    rows: Sequence[Mapping[str, Any]]

    def for_portal(self) -> list[dict[str, Any]]:
        """The rows as the portal takes them, in their order."""
        named = [{PRODUCT_FIELDS[name]: value for name, value in row.items()} for row in self.rows]
        return [{"sort": 10 * place, **row} for place, row in enumerate(named, start=1)]


class ProductRowsWriter(LedgeredSender[ItemRows]):
    """Sets the product rows of items of one kind. Cost: one request per 50 items."""

    what_for = "sets of product rows"

    def __init__(
        self,
        client: PortalClient,
        ledger: Ledger,
        entity_type_id: int,
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        super().__init__(client, ledger, on_progress=on_progress)
        self._entity_type_id = entity_type_id

    def write(self, items: Iterator[ItemRows]) -> None:
        """Write the rows of `items`, all planned in the ledger. Raises PortalUnreachable, PortalBlocked, StoreError."""
        self.send(items)

    def _source(self) -> tuple[str, deque[ItemRows]]:
        return SET, self._queue

    def _packets(self, method: str, source: Sequence[ItemRows], allowance_s: float) -> list[list[ItemRows]]:
        most = self._affordable(method, BATCH_MAX_COMMANDS, allowance_s)
        return [[item] for item in islice(source, most)]

    def _command(self, method: str, packet: Sequence[ItemRows]) -> Command:
        item = packet[0]
        owner = {"ownerType": short_code(self._entity_type_id), "ownerId": item.item_id}
        return Command(method, {**owner, "productRows": item.for_portal()})

    def _settlements(self, method: str, packet: Sequence[ItemRows], outcome: Outcome) -> list[Settlement[ItemRows]]:
        done = Done(str(packet[0].item_id)) if isinstance(outcome, Done) else outcome
        return [Settlement(packet[0], done)]

    def _find(self, items: Mapping[str, ItemRows], writes: Mapping[str, Write]) -> dict[str, str]:
        """Items that hold exactly these rows."""
        there = read_product_rows(self._client, self._entity_type_id, [item.item_id for item in items.values()])
        return {item.key: str(item.item_id) for item in items.values() if same_rows(item.rows, there[item.item_id])}


def same_rows(wanted: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rows as we name them are those of the portal: by name, price and quantity."""

    def told(name: Any, price: Any, quantity: Any) -> tuple[str, float, float]:
        return str(name or ""), round(float(price or 0), 2), round(float(quantity or 0), 4)

    ours = [told(row.get("name"), row.get("price"), row.get("quantity")) for row in wanted]
    theirs = [told(row.get("productName"), row.get("price"), row.get("quantity")) for row in there]
    return sorted(ours) == sorted(theirs)
