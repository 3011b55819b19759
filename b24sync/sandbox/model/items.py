"""Items of one entity type and the indexes that keep list filters fast with 100,000 of them.

An item is a dict of field code -> stored value that holds only what is set. Ids ascend and are never used again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .columns import item_columns
from .filters import Column, Order, Plan
from .listing import Page, listed, page_of
from .schema import Schema
from .text import Fold

Item = dict[str, Any]
DENSE_FROM, DENSE_SHARE = 1000, 20
"""An index whose hits are over a twentieth of all items saves nothing over a walk by id that stops at 50 hits."""
INDEXED = ("originId", "xmlId", "title", "stageId", "companyId", "companyIds", "contactIds", "lastName")


class ItemStore:
    """All items of a type. `max_created` is the floor of createdTime for imports (import/index.md)."""

    def __init__(self, schema: Schema, fold: Callable[[], Fold], zone: Any) -> None:
        self.items: dict[int, Item] = {}
        self._ids: list[int] = []
        self._fold = fold
        self._zone = zone
        self.last_id = 0
        self._max_created: int | None = 0
        self.communications: dict[tuple[str, str], set[int]] = {}
        self._indexes: dict[str, dict[Any, int | set[int]]] = {}
        self.use(schema)

    def use(self, schema: Schema) -> None:
        """Take a new set of fields (user fields were added or removed)."""
        self.schema = schema
        self.columns: dict[str, Column] = item_columns(schema, self._fold, self._zone)
        for code in INDEXED:
            if code in self.columns and code not in self._indexes:
                self._indexes[code] = {}

    # -- writing ------------------------------------------------------------------------------
    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def insert(self, item: Item) -> None:
        item_id = item["id"]
        self.items[item_id] = item
        if self._ids and item_id < self._ids[-1]:
            insort(self._ids, item_id)
        else:
            self._ids.append(item_id)
        self.last_id = max(self.last_id, item_id)
        if self._max_created is not None:
            self._max_created = max(self._max_created, item["createdTime"])
        for code in self._indexes:
            for key in self._keys(code, item):
                self._index(code, key, item_id)

    def change(self, item: Item, changes: Item) -> None:
        """Set fields of a stored item (None or [] unsets) and keep the indexes."""
        touched = [code for code in changes if code in self._indexes]
        item_id = item["id"]
        for code in touched:
            for key in self._keys(code, item):
                self._unindex(code, key, item_id)
        for code, value in changes.items():
            if value is None or value == []:
                item.pop(code, None)
            else:
                item[code] = value
        for code in touched:
            for key in self._keys(code, item):
                self._index(code, key, item_id)

    def remove(self, item: Item) -> None:
        item_id = item["id"]
        for code in self._indexes:
            for key in self._keys(code, item):
                self._unindex(code, key, item_id)
        del self.items[item_id]
        if item["createdTime"] == self._max_created:
            self._max_created = None
        del self._ids[bisect_left(self._ids, item_id)]

    def max_created(self) -> int:
        """Newest createdTime in unix seconds, 0 without items; recounted only after the newest is deleted."""
        if self._max_created is None:
            self._max_created = max((item["createdTime"] for item in self.items.values()), default=0)
        return self._max_created

    def _keys(self, code: str, item: Item) -> list[Any]:
        value = self.columns[code].of_row(item)
        if isinstance(value, list):
            return value
        return [] if value is None else [value]

    def _index(self, code: str, key: Any, item_id: int) -> None:
        index = self._indexes[code]
        held = index.get(key)
        if held is None:
            index[key] = item_id
        elif isinstance(held, set):
            held.add(item_id)
        elif held != item_id:
            index[key] = {held, item_id}

    def _unindex(self, code: str, key: Any, item_id: int) -> None:
        index = self._indexes[code]
        held = index.get(key)
        if isinstance(held, set):
            held.discard(item_id)
        elif held == item_id:
            del index[key]

    # -- reading ------------------------------------------------------------------------------
    def get(self, item_id: int) -> Item | None:
        return self.items.get(item_id)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items.values())

    def ids_with(self, code: str, keys: Iterable[Any]) -> set[int]:
        """Ids of items that have one of `keys` (comparables) in an indexed column."""
        index = self._indexes[code]
        found: set[int] = set()
        for key in keys:
            held = index.get(key)
            if isinstance(held, set):
                found |= held
            elif held is not None:
                found.add(held)
        return found

    def select(self, plan: Plan, order: Order, start: int) -> Page:
        """A page of items. Fast: equality on id and indexed columns, and walks by id; anything else scans."""
        if not plan.tests and by_id(order):
            descending = is_descending(order)
            page = page_of(self._ids[::-1] if descending else self._ids, start)
            page.rows = [self.items[item_id] for item_id in page.rows]
            return page
        exact = self._exact(plan) if by_id(order) else None
        if exact is not None:
            page = page_of(sorted(exact, reverse=is_descending(order)), start)
            page.rows = [self.items[item_id] for item_id in page.rows]
            return page
        return listed(self._candidates(plan, is_descending(order)), plan, order, start, presorted=by_id)

    def _exact(self, plan: Plan) -> set[int] | None:
        """Ids of a filter that is one equality on an indexed column: the index alone answers and counts it."""
        if len(plan.tests) != 1 or len(plan.equals) != 1:
            return None
        code, wanted = plan.equals[0]
        return None if self._size_of(code, wanted) is None else self._found_by(code, wanted)

    def _candidates(self, plan: Plan, descending: bool) -> Iterable[Item]:
        narrowest = self._narrowest(plan)
        if narrowest is not None:
            return (self.items[item_id] for item_id in sorted(narrowest, reverse=descending))
        low = 0 if plan.above is None else bisect_right(self._ids, plan.above)
        high = len(self._ids) if plan.below is None else bisect_left(self._ids, plan.below)
        span = range(high - 1, low - 1, -1) if descending else range(low, high)
        return (self.items[self._ids[index]] for index in span)

    def _narrowest(self, plan: Plan) -> set[int] | None:
        best: tuple[int, str, frozenset[Any]] | None = None
        for code, wanted in plan.equals:
            size = self._size_of(code, wanted)
            if size is not None and (best is None or size < best[0]):
                best = (size, code, wanted)
        if best is None or (best[0] > DENSE_FROM and best[0] * DENSE_SHARE > len(self.items)):
            return None
        found = self._found_by(best[1], best[2])
        if plan.above is not None:
            found = {item_id for item_id in found if item_id > plan.above}
        return found

    def _size_of(self, code: str, wanted: frozenset[Any]) -> int | None:
        if code == "id":
            return len(wanted)
        if code not in self._indexes or None in wanted:
            return None
        index = self._indexes[code]
        return sum(len(held) if isinstance(held := index.get(key, 0), set) else 1 for key in wanted)

    def _found_by(self, code: str, wanted: frozenset[Any]) -> set[int]:
        if code == "id":
            return {item_id for item_id in wanted if item_id in self.items}
        return self.ids_with(code, wanted)


def by_id(order: Order) -> bool:
    """Whether sorting by id decides alone: then rows are walked in the order in which they are kept."""
    return not order.keys or order.keys[0][0].name == "id"


def is_descending(order: Order) -> bool:
    """Whether the first key runs downwards."""
    return bool(order.keys) and order.keys[0][1]
