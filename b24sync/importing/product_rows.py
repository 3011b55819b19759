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
from b24sync.portal.words import is_yes
from b24sync.store.ledger import Ledger, Write
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Outcome
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, COMMAND_MAX_VARIABLES, Command, count_variables

SET = "crm.item.productrow.set"
OVERHEAD = 4
"""Variables of a call beside its rows."""


@dataclass(frozen=True, slots=True)
class ItemRows:
    """The product rows of one item, as `portal.product_rows.PRODUCT_FIELDS` names them; `key` is the item's own."""

    key: str
    item_id: int
    rows: Sequence[Mapping[str, Any]]

    @property
    def too_many(self) -> str | None:
        """Why one call does not carry the rows; the portal would drop those at the end without a word."""
        values = count_variables(self.for_portal())
        if values + OVERHEAD <= COMMAND_MAX_VARIABLES:
            return None
        return f"{len(self.rows)} rows are {values} values, one call carries {COMMAND_MAX_VARIABLES}: set them by hand"

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
    """Whether rows as we name them are those of the portal, in whichever order: by every field that a row names.

    What a row does not name the portal fills: the name and the measure by the product, the quantity by 1
    (crm/universal/product-rows/crm-item-productrow-set.md).
    """
    if len(wanted) != len(there):
        return False
    left = list(there)
    for row in sorted(wanted, key=len, reverse=True):  # what names more fits fewer
        found = next((index for index, held in enumerate(left) if _is_row(row, held)), None)
        if found is None:
            return False
        del left[found]
    return True


def _is_row(wanted: Mapping[str, Any], held: Mapping[str, Any]) -> bool:
    named = {"quantity": 1, **wanted}
    if not named.get("name"):
        named.pop("name", None)
    return all(_told(name, value) == _told(name, held.get(PRODUCT_FIELDS[name])) for name, value in named.items())


def _told(name: str, value: Any) -> Any:
    """A value in a form that can be compared; what is no number stays a text."""
    if name == "name":
        return str(value or "").strip()
    if name == "tax_included":
        return is_yes(value)
    if value in (None, ""):
        return _DEFAULTS.get(name, 0)
    try:
        return round(float(value), 4 if name == "quantity" else 2)
    except (TypeError, ValueError):
        return str(value)


_DEFAULTS: Mapping[str, Any] = {"quantity": 1, "discount_type": 2, "tax_rate": None}
"""What an empty number means, where it is not 0; no tax rate is "without tax"."""
