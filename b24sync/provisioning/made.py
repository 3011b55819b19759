"""What b24sync itself has made in a portal, by its ledger: nothing else is ever changed or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from b24sync.portal.directory import normal
from b24sync.portal.items import DEAL
from b24sync.provisioning.present import Entity, Present, find_type_row
from b24sync.store.ledger import Write

TYPE, PIPELINE, STAGE, FIELD, VALUES, SHAPE = "type", "pipeline", "stage", "field", "values", "shape"


@dataclass(slots=True)
class Made:
    """`ids` by kind and key as the ledger has them; a pipeline's id counts within its kind of item only."""

    ids: dict[str, dict[str, int]] = field(default_factory=dict)
    pipelines: set[tuple[int, int]] = field(default_factory=set)
    values: dict[str, set[str]] = field(default_factory=dict)
    entities: set[str] = field(default_factory=set)

    def id_of(self, kind: str, path: str) -> int | None:
        """The portal's id of what was made under this path."""
        return self.ids.get(kind, {}).get(path)

    def has(self, kind: str, portal_id: int) -> bool:
        return portal_id in self.ids.get(kind, {}).values()

    def is_shaped(self, path: str, pipeline_id: int) -> bool:
        """Whether this pipeline's default stages have become those of its blueprint: one made anew brings others."""
        return self.id_of(SHAPE, path) == pipeline_id


def read_made(writes: Iterable[Write]) -> Made:
    """From the ledger's rows that are done; a row with a message was only found in the portal, not made."""
    made = Made()
    for write in writes:
        kind, _, path = write.key.partition(":")
        if write.message is not None or not (write.portal_id or "").isdigit():
            continue
        made.ids.setdefault(kind, {})[path] = int(write.portal_id or 0)
        if kind == PIPELINE:
            made.pipelines.add((int(write.detail.get("entity_type_id", DEAL)), int(write.portal_id or 0)))
            made.entities.add(str(write.detail.get("entity", "deal")))
        if kind in (FIELD, VALUES):
            home = str(write.detail.get("field", path))
            made.values.setdefault(home, set()).update(map(str, write.detail.get("values", [])))
        if kind == FIELD:
            made.entities.add(path.rpartition("/")[0])
    return made


def find_made(key: str, detail: Mapping[str, Any], present: Present) -> str | None:
    """The portal's id of what this key of the ledger means; None where the portal does not show it."""
    kind, _, path = key.partition(":")
    if kind == TYPE:
        row = find_type_row(present.types, path)
        return str(row.id) if row else None
    if kind == VALUES:
        home, _, code = str(detail.get("field", "")).rpartition("/")
        return _field_id(present, home, code, list(map(str, detail.get("values", []))))
    if kind == FIELD:
        home, _, code = path.rpartition("/")
        return _field_id(present, home, code, [])
    if kind == PIPELINE:
        entity, name = _entity_and_rest(present, path)
        pipeline = entity.pipeline(name) if entity else None
        return str(pipeline.row.id) if pipeline else None
    if kind == STAGE:
        return _stage_id(present, path)
    return None


def _field_id(present: Present, home: str, code: str, values: list[str]) -> str | None:
    entity = present.entities.get(home)
    row = entity.fields.get(entity.home.portal_code(code)) if entity else None
    known = {normal(value.value) for value in row.values} if row else set()
    return str(row.id) if row and all(normal(value) in known for value in values) else None


def _entity_and_rest(present: Present, path: str) -> tuple[Entity | None, str]:
    """Paths of deals carry no entity; those of others begin with it."""
    for name, entity in present.entities.items():
        if name != "deal" and path.startswith(f"{name}/"):
            return entity, path.removeprefix(f"{name}/")
    return present.entities.get("deal"), path


def _stage_id(present: Present, path: str) -> str | None:
    entity, rest = _entity_and_rest(present, path)
    for pipeline in entity.pipelines if entity else ():
        for stage in pipeline.stages:
            # Leads' pipeline has no name of its own to compare.
            ends = entity is not None and entity.name == "lead" and normal(rest).endswith(f"/{normal(stage.name)}")
            if ends or normal(rest) == normal(f"{pipeline.row.name}/{stage.name}"):
                return str(stage.id)
    return None
