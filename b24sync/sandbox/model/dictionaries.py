"""Dictionaries (crm.status.*) and stages: rows, ids, the rules of order.

Docs: api-reference/crm/status/*.md. A stage is a row of the dictionary of its pipeline.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

STAGE_SEMANTICS = {"": "process", "S": "success", "F": "failure"}
PROCESS, SUCCESS, FAILURE = "P", "S", "F"


@dataclass(slots=True)
class Status:
    """One row. `semantics` "" (in progress), "S" or "F"; `category_id` None outside pipelines."""

    id: int
    entity_id: str
    status_id: str
    name: str
    sort: int
    system: bool = False
    semantics: str = ""
    color: str = ""
    category_id: int | None = None
    name_init: str = ""
    apology: bool = False

    @property
    def group(self) -> str:
        """P, S or F."""
        return self.semantics or PROCESS


class Dictionaries:
    """All dictionaries. Ids run over all rows, as in the portal."""

    def __init__(self) -> None:
        self.rows: dict[int, Status] = {}
        self.names: dict[str, str] = {}
        self._by_key: dict[str, dict[str, Status]] = {}
        self._ordered: dict[str, list[Status]] = {}
        self._last_id = 100

    def declare(self, entity_id: str, name: str) -> None:
        """Make a dictionary known although it has no rows yet."""
        self.names[entity_id] = name
        self._by_key.setdefault(entity_id, {})

    def knows(self, entity_id: str) -> bool:
        return entity_id in self._by_key

    def add(self, entity_id: str, status_id: str, name: str, **more: Any) -> Status:
        self._last_id += 2
        status = Status(self._last_id, entity_id, status_id, name, more.pop("sort", 10), **more)
        self.rows[status.id] = status
        self._by_key.setdefault(entity_id, {})[status_id] = status
        self._ordered.pop(entity_id, None)
        return status

    def find(self, entity_id: str, status_id: str) -> Status | None:
        return self._by_key.get(entity_id, {}).get(status_id)

    def of(self, entity_id: str) -> list[Status]:
        """Rows of a dictionary in their order."""
        ordered = self._ordered.get(entity_id)
        if ordered is None:
            ordered = sorted(self._by_key.get(entity_id, {}).values(), key=lambda row: (row.sort, row.id))
            self._ordered[entity_id] = ordered
        return ordered

    def resorted(self, entity_id: str) -> None:
        """Forget the cached order after a SORT changed."""
        self._ordered.pop(entity_id, None)

    def delete(self, status: Status) -> None:
        del self.rows[status.id]
        self._by_key[status.entity_id].pop(status.status_id, None)
        self._ordered.pop(status.entity_id, None)

    def drop(self, entity_id: str) -> None:
        """Remove a dictionary with all rows (a deleted pipeline)."""
        for status in self.of(entity_id):
            self.rows.pop(status.id, None)
        self._by_key.pop(entity_id, None)
        self._ordered.pop(entity_id, None)
        self.names.pop(entity_id, None)

    def first(self, entity_id: str, group: str | None = None) -> Status | None:
        """First row, or the first of a group P / S / F."""
        return next((row for row in self.of(entity_id) if group is None or row.group == group), None)

    def add_stages(
        self, entity_id: str, prefix: str, category_id: int | None, stages: Iterable[dict[str, Any]], max_len: int
    ) -> None:
        """Add the stages of a new pipeline, ids with `prefix`, cut to `max_len` as real portals do."""
        for index, stage in enumerate(stages, start=1):
            self.add(
                entity_id,
                f"{prefix}{stage['status_id']}"[:max_len],
                stage["name"],
                sort=stage.get("sort", index * 10),
                system=stage.get("system", False),
                semantics=stage.get("semantics", "") if stage.get("semantics") in ("S", "F") else "",
                color=stage.get("color", ""),
                category_id=category_id,
                name_init=stage["name"] if stage.get("system") else "",
                apology=stage.get("apology", False),
            )
