"""Snapshots: the fields that rules watch, as they were last seen (design 6)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from b24sync.store.engine import Store
from b24sync.store.ledger import CHUNK
from b24sync.store.tables import snapshots


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One item as last seen. `version` tells whether somebody stored a newer look meanwhile."""

    entity_id: int
    fields: Mapping[str, Any]
    version: int = 0
    gone: bool = False
    seen_at: float = 0.0


class Snapshots:
    """The snapshots of one portal."""

    def __init__(self, store: Store, portal: str) -> None:
        self._store = store
        self._portal = portal

    def read(self, entity: str, ids: Sequence[int], connection: Connection | None = None) -> dict[int, Snapshot]:
        """Those that exist; in the caller's transaction where given."""
        if connection is None:
            with self._store.read() as own:
                return self.read(entity, ids, own)
        found: dict[int, Snapshot] = {}
        for start in range(0, len(ids), CHUNK):
            query = select(snapshots).where(
                snapshots.c.portal == self._portal,
                snapshots.c.entity == entity,
                snapshots.c.entity_id.in_(ids[start : start + CHUNK]),
            )
            for row in connection.execute(query):
                found[row.entity_id] = Snapshot(
                    row.entity_id, json.loads(row.fields), row.version, row.gone, row.seen_at
                )
        return found

    def versions(self, connection: Connection, entity: str, ids: Sequence[int]) -> dict[int, int]:
        """Present versions of those that exist."""
        found: dict[int, int] = {}
        for start in range(0, len(ids), CHUNK):
            query = select(snapshots.c.entity_id, snapshots.c.version).where(
                snapshots.c.portal == self._portal,
                snapshots.c.entity == entity,
                snapshots.c.entity_id.in_(ids[start : start + CHUNK]),
            )
            found.update({row.entity_id: row.version for row in connection.execute(query)})
        return found

    def save(self, connection: Connection, entity: str, seen: Iterable[Snapshot], at: float) -> None:
        """Store newer looks; a look's `version` is the one that it follows."""
        rows = [
            {
                "portal": self._portal,
                "entity": entity,
                "entity_id": item.entity_id,
                "fields": json.dumps(item.fields, ensure_ascii=False, sort_keys=True),
                "version": item.version + 1,
                "gone": item.gone,
                "seen_at": at,
            }
            for item in seen
        ]
        insert = self._store.insert(snapshots)
        changed = {name: insert.excluded[name] for name in ("fields", "version", "gone", "seen_at")}
        statement = insert.on_conflict_do_update(index_elements=["portal", "entity", "entity_id"], set_=changed)
        self._store.many(connection, statement, rows)

    def standing(self, entity: str, after: int, upto: int | None) -> list[int]:
        """Ids above `after`, up to `upto` where given, that were not gone when they were last seen."""
        query = select(snapshots.c.entity_id).where(
            snapshots.c.portal == self._portal,
            snapshots.c.entity == entity,
            snapshots.c.gone.is_(False),
            snapshots.c.entity_id > after,
        )
        if upto is not None:
            query = query.where(snapshots.c.entity_id <= upto)
        with self._store.read() as connection:
            return list(connection.execute(query).scalars())

    def highest_id(self, entity: str) -> int:
        """The highest id ever seen; 0 where none was."""
        query = select(func.max(snapshots.c.entity_id)).where(
            snapshots.c.portal == self._portal, snapshots.c.entity == entity
        )
        with self._store.read() as connection:
            return connection.execute(query).scalar() or 0
