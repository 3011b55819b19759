"""Lines of one key that follow each other are one item, each with a product row of its own.

A portal exports a deal with products so, and imports it so: the fields of the deal stand on every line or on the first
one only, the amount of the deal is the sum of its lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import groupby
from typing import Any

from b24sync.importing import fields
from b24sync.importing.draft import Draft, RowError

_AMOUNT = "opportunity"


def fold_lines(results: Iterable[Draft | RowError]) -> Iterator[Draft | RowError]:
    """One result for the lines of a key; one refused line refuses all of its item. Lines without a key stay apart."""
    apart = 0

    def key_of(result: Draft | RowError) -> str | int:
        nonlocal apart
        apart += not result.key
        return result.key or apart

    for _, lines in groupby(results, key_of):
        yield _folded(list(lines))


def _folded(lines: Sequence[Draft | RowError]) -> Draft | RowError:
    first = lines[0]
    for line in lines:
        if isinstance(line, RowError):
            if line is first or len(lines) == 1:
                return line
            return replace(line, line=first.line, message=f"line {line.line}: {line.message}")
    drafts = [line for line in lines if isinstance(line, Draft)]
    merged: dict[str, Any] = {}
    rows = []
    for draft in drafts:
        row: dict[str, Any] = {}
        for name, value in draft.fields.items():
            part = fields.product_field(name)
            if part is not None:
                row[part] = value
            elif merged.setdefault(name, value) != value and name != _AMOUNT:
                said = f"lines {first.line} and {draft.line} of one key differ in {name}: which one is right?"
                return RowError(first.line, draft.key, None, None, "LINES_DIFFER", said)
        if row.get("name") or row.get("product_id"):
            # one piece is the portal's default too (product-rows/crm-item-productrow-set.md)
            rows.append({"quantity": 1, **row})
        elif ("price" in row and (row["price"] or len(drafts) > 1)) or row.get("quantity", 1) not in (0, 1):
            where = f"line {draft.line}: " if draft.line != first.line else ""
            said = f"{where}a {'price' if 'price' in row else 'quantity'} without a product"
            return RowError(first.line, draft.key, None, None, "PRICE_WITHOUT_PRODUCT", said)
    if rows:
        merged["product_rows"] = rows
    amount = _amount([draft.fields.get(_AMOUNT) for draft in drafts], rows)
    if amount is not None:
        merged[_AMOUNT] = amount
    return Draft(first.line, drafts[0].key, merged)


def _amount(written: Sequence[Any], rows: Sequence[dict[str, Any]]) -> int | float | None:
    """The item's amount: what one line says; of several lines their sum, unless each repeats the whole."""
    stated = [Decimal(str(amount)) for amount in written if amount is not None]
    totals = [Decimal(str(row.get("price", 0))) * Decimal(str(row["quantity"])) for row in rows]
    if not stated:
        return _number(sum(totals)) if totals else None
    if len(written) == 1:
        return _number(stated[0])
    if len(stated) == 1 or (len(set(stated)) == 1 and stated != totals and stated[0] == sum(totals)):
        return _number(stated[0])
    return _number(sum(stated))


def _number(amount: Decimal | int) -> int | float:
    return int(amount) if amount == int(amount) else float(amount)
