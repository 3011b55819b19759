"""Pipelines (categories) of deals and smart processes.

Docs: api-reference/crm/universal/category/*.md. The default deal pipeline has id 0 and no origin keys.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pipeline:
    id: int
    entity_type_id: int
    name: str
    sort: int = 500
    is_default: bool = False
    origin_id: str = ""
    originator_id: str = ""
    is_system: bool = False
    code: str = ""


class Pipelines:
    """Pipelines by type and id. Deal pipelines count by themselves, those of other types share one sequence."""

    def __init__(self) -> None:
        self._by_type: dict[int, dict[int, Pipeline]] = {}
        self._last_id: dict[str, int] = {}

    def add(self, pipeline: Pipeline) -> Pipeline:
        self._by_type.setdefault(pipeline.entity_type_id, {})[pipeline.id] = pipeline
        return pipeline

    def next_id(self, entity_type_id: int) -> int:
        """Next id, with gaps as on recorded portals (1, 5, 23, ...), so that nobody counts on 1, 2, 3."""
        sequence = "deal" if entity_type_id == 2 else "other"
        last = self._last_id.get(sequence, -1)
        self._last_id[sequence] = last + 2
        return last + 2

    def get(self, entity_type_id: int, pipeline_id: int) -> Pipeline | None:
        return self._by_type.get(entity_type_id, {}).get(pipeline_id)

    def of(self, entity_type_id: int) -> list[Pipeline]:
        """In the order of the interface."""
        return sorted(self._by_type.get(entity_type_id, {}).values(), key=lambda row: (row.sort, row.id))

    def default(self, entity_type_id: int) -> Pipeline | None:
        rows = self.of(entity_type_id)
        return next((row for row in rows if row.is_default), rows[0] if rows else None)

    def delete(self, pipeline: Pipeline) -> None:
        del self._by_type[pipeline.entity_type_id][pipeline.id]
