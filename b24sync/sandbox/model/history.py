"""Stage history: one row per stage entered, never edited.

Docs: api-reference/crm/crm-stage-history-list.md (TYPE_ID 1 created, 2 intermediate, 3 final, 5 pipeline changed).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .filters import Column, Order, Plan
from .listing import Page, listed

CREATED, MOVED, FINISHED, PIPELINE_CHANGED = 1, 2, 3, 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One row; `at` in unix seconds, `group` P, S or F."""

    id: int
    type: int
    owner_id: int
    at: int
    category_id: int
    group: str
    stage_id: str


class History:
    """Rows of one entity type in the order of their ids; ids of forgotten rows stay in `_ids` as gaps."""

    def __init__(self) -> None:
        self._rows: dict[int, Entry] = {}
        self._ids: list[int] = []
        self._by_owner: dict[int, list[Entry]] = {}
        self._last_id = 0

    def add(self, kind: int, owner_id: int, at: int, category_id: int, group: str, stage_id: str) -> Entry:
        self._last_id += 1
        entry = Entry(self._last_id, kind, owner_id, at, category_id, group, stage_id)
        self._rows[entry.id] = entry
        self._ids.append(entry.id)
        self._by_owner.setdefault(owner_id, []).append(entry)
        return entry

    def of(self, owner_id: int) -> list[Entry]:
        """Rows of one item, oldest first."""
        return self._by_owner.get(owner_id, [])

    def forget(self, owner_id: int) -> None:
        """Remove the rows of a deleted item (api-reference/crm/deals/crm-deal-delete.md)."""
        for entry in self._by_owner.pop(owner_id, ()):
            del self._rows[entry.id]

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> Iterable[Entry]:
        """All rows by id."""
        return iter(self._rows.values())

    def select(self, plan: Plan, order: Order, start: int) -> Page:
        """A page; a walk by id with `>ID` and start -1 starts where it left off."""
        return listed(self._candidates(plan), plan, order, start, presorted=ascending_by_id)

    def _candidates(self, plan: Plan) -> Iterable[Entry]:
        owners = next((wanted for name, wanted in plan.equals if name == "OWNER_ID"), None)
        if owners is not None:
            found = [entry for owner in owners for entry in self._by_owner.get(owner, ())]
            return sorted(found, key=lambda entry: entry.id)
        if plan.above is None:
            return self._rows.values()
        low = bisect_right(self._ids, plan.above)
        ids = (self._ids[index] for index in range(low, len(self._ids)))
        return (self._rows[entry_id] for entry_id in ids if entry_id in self._rows)


def ascending_by_id(order: Order) -> bool:
    """Rows are kept in this order."""
    return not order.keys or (order.keys[0][0].name == "ID" and not order.keys[0][1])


def history_columns(stage_key: str, zone_key: Any) -> dict[str, Column]:
    """Columns by the names of the answer; `stage_key` is STAGE or STATUS (leads), `zone_key` reads times."""

    def number(raw: Any) -> int | None:
        return None if raw in (None, "") else int(str(raw))

    def text(raw: Any) -> str | None:
        return None if raw in (None, "") else str(raw)

    columns = [
        Column("ID", lambda row: row.id, number),
        Column("TYPE_ID", lambda row: row.type, number),
        Column("OWNER_ID", lambda row: row.owner_id, number),
        Column("CREATED_TIME", lambda row: row.at, zone_key),
        Column(f"{stage_key}_SEMANTIC_ID", lambda row: row.group, text),
        Column(f"{stage_key}_ID", lambda row: row.stage_id, text),
    ]
    if stage_key == "STAGE":
        columns.append(Column("CATEGORY_ID", lambda row: row.category_id, number))
    return {column.name: column for column in columns}
