"""Simple tables of the portal: rows as dicts under upper-case names, with ids that ascend and are never used again.

Activities, comments, notifications, disk objects and messages are kept so; items of the CRM have a store of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import tzinfo
from typing import Any

from .filters import Column
from .moments import parse_moment
from .text import Fold

Row = dict[str, Any]
NUMBER, TEXT, MOMENT, FLAG = "number", "text", "moment", "flag"


class Records:
    """Rows by id. `add` gives a row its ID; `by` names a key that rows are looked up by and that never changes."""

    def __init__(self, first_id: int = 1, by: str = "") -> None:
        self._rows: dict[int, Row] = {}
        self._next_id = first_id
        self._by = by
        self._groups: dict[Any, dict[int, Row]] = {}

    def add(self, row: Row) -> Row:
        row = {"ID": self._next_id, **row}
        self._next_id += 1
        self.put_back(row)
        return row

    def get(self, row_id: int | None) -> Row | None:
        return None if row_id is None else self._rows.get(row_id)

    def put_back(self, row: Row) -> None:
        """A row that was removed, under its old id."""
        self._rows[row["ID"]] = row
        if self._by:
            self._groups.setdefault(row[self._by], {})[row["ID"]] = row

    def remove(self, row: Row) -> None:
        del self._rows[row["ID"]]
        if self._by:
            del self._groups[row[self._by]][row["ID"]]

    def where(self, **wanted: Any) -> list[Row]:
        """Rows whose keys have these values."""
        rows = self._groups.get(wanted[self._by], {}) if self._by in wanted else self._rows
        return [row for row in rows.values() if all(row.get(key) == value for key, value in wanted.items())]

    def __iter__(self) -> Iterator[Row]:
        return iter(list(self._rows.values()))

    def __len__(self) -> int:
        return len(self._rows)


def columns_of(kinds: Mapping[str, str], fold: Fold, zone: tzinfo) -> dict[str, Column]:
    """Filter columns over rows by the kind of each key; lists in a row match any of their values."""
    return {name: column_of(name, kind, fold, zone) for name, kind in kinds.items()}


def column_of(name: str, kind: str, fold: Fold, zone: tzinfo) -> Column:
    def number(raw: Any) -> int | None:
        return None if raw in (None, "") else int(str(raw))

    def text(raw: Any) -> str | None:
        return None if raw in (None, "") else fold(str(raw))

    def moment(raw: Any) -> int | None:
        return None if raw in (None, "") else parse_moment(raw, zone)

    def flag(raw: Any) -> str:
        return "Y" if raw is True or str(raw).upper() in ("Y", "1", "TRUE") else "N"

    keys: dict[str, Callable[[Any], Any]] = {NUMBER: number, TEXT: text, MOMENT: moment, FLAG: flag}

    def of_row(row: Row) -> Any:
        value = row.get(name)
        if isinstance(value, list):
            return [fold(one) if kind == TEXT else one for one in value]
        return fold(value) if kind == TEXT and value else value or None if kind != NUMBER else value

    return Column(name, of_row, keys[kind])
