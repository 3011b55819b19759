"""Product rows of items: what the portal computes of a price, and what rows do to the item's sum.

Docs: api-reference/crm/universal/product-rows/*.md (defaults, computed prices),
tutorials/crm/how-to-edit-crm-objects/how-to-generate-edit-form-for-deal.md (isManualOpportunity).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .items import Item

PERCENT, ABSOLUTE = 2, 1
MEASURES = {796: "шт", 6: "м", 112: "л", 163: "г", 166: "кг"}
DEFAULT_MEASURE = 796
CUSTOM_TYPE = 4
Row = dict[str, Any]
Owner = tuple[int, int]
"""entityTypeId and item id."""


class ProductRows:
    """Rows by owner."""

    def __init__(self) -> None:
        self._by_owner: dict[Owner, list[Row]] = {}
        self._owners: dict[int, Owner] = {}
        self._last_id = 0

    def of(self, owner: Owner) -> list[Row]:
        """Rows of one item by SORT and id, as its card shows them."""
        return sorted(self._by_owner.get(owner, []), key=lambda row: (row["sort"], row["id"]))

    def find(self, row_id: int | None) -> tuple[Owner, Row] | None:
        owner = self._owners.get(row_id or 0)
        rows = self._by_owner.get(owner, []) if owner is not None else []
        row = next((row for row in rows if row["id"] == row_id), None)
        return None if owner is None or row is None else (owner, row)

    def add(self, owner: Owner, given: Row) -> Row:
        self._last_id += 1
        rows = self._by_owner.setdefault(owner, [])
        row = computed({"id": self._last_id, "sort": (len(rows) + 1) * 10, **given})
        rows.append(row)
        self._owners[row["id"]] = owner
        return row

    def replace(self, owner: Owner, given: list[Row]) -> None:
        """All rows of an item anew; those not named are gone. A row that names its id keeps it."""
        held = {row["id"] for row in self._by_owner.pop(owner, [])}
        for row in given:
            kept = row.pop("id", None)
            made = self.add(owner, row)
            if kept in held:
                made["id"] = kept

    def change(self, row: Row, changes: Row) -> None:
        row.update(computed({**row, **changes}))

    def remove(self, owner: Owner, row: Row) -> None:
        self._by_owner[owner].remove(row)

    def take(self, owner: Owner) -> list[Row]:
        """Remove and return all rows of an item."""
        return self._by_owner.pop(owner, [])

    def put_back(self, owner: Owner, rows: list[Row]) -> None:
        if rows:
            self._by_owner[owner] = rows
            self._owners.update(dict.fromkeys((row["id"] for row in rows), owner))

    def __iter__(self) -> Iterator[tuple[Owner, Row]]:
        return ((owner, row) for owner, rows in self._by_owner.items() for row in rows)


def computed(row: Row) -> Row:
    """A row with defaults and the prices that follow from `price`, discount and tax.

    `price` is what one piece costs in the end, with discount and taxes; priceExclusive is without tax, priceNetto
    without tax and before the discount, priceBrutto the same with tax.
    """
    price = float(row.get("price") or 0)
    tax = 0.0 if row.get("taxRate") is None else float(row["taxRate"]) / 100
    exclusive = price / (1 + tax)
    kind = int(row.get("discountTypeId") or PERCENT)
    rate, amount = float(row.get("discountRate") or 0), float(row.get("discountSum") or 0)
    if kind == ABSOLUTE:
        netto = exclusive + amount
        rate = amount / netto * 100 if netto else 0.0
    else:
        netto = exclusive / (1 - rate / 100) if rate < 100 else exclusive + amount
        amount = netto - exclusive
    measure = int(row.get("measureCode") or DEFAULT_MEASURE)
    return {
        "id": row["id"],
        "productId": int(row.get("productId") or 0),
        "productName": str(row.get("productName") or ""),
        "price": rounded(price),
        "priceAccount": rounded(price),
        "priceExclusive": rounded(exclusive),
        "priceNetto": rounded(netto),
        "priceBrutto": rounded(netto * (1 + tax)),
        "quantity": rounded(float(1 if row.get("quantity") is None else row["quantity"])),
        "discountTypeId": kind,
        "discountRate": rounded(rate),
        "discountSum": rounded(amount),
        "taxRate": row.get("taxRate"),
        "taxIncluded": "Y" if row.get("taxIncluded") in ("Y", True, "1", 1) else "N",
        "customized": "Y",
        "measureCode": measure,
        "measureName": str(row.get("measureName") or MEASURES.get(measure, "шт")),
        "sort": int(row["sort"]),
        "xmlId": str(row.get("xmlId") or ""),
        "type": CUSTOM_TYPE,
        "storeId": None,
    }


def rounded(number: float) -> int | float:
    """Two digits; whole numbers without a point."""
    short = round(float(number), 2)
    return int(short) if short.is_integer() else short


def total_of(rows: list[Row]) -> int | float:
    """Sum of an item with these rows."""
    return rounded(sum(float(row["price"]) * float(row["quantity"]) for row in rows))


def follows_rows(item: Item) -> bool:
    """Whether the item's sum is that of its rows: unless isManualOpportunity is Y."""
    return bool(item.get("isManualOpportunity", "N") != "Y")
