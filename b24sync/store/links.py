"""Links: which task, group, user or answer in the portal belongs to which process, entity and step (design 8).

Processes keep their state in the portal; a link is how they find it again. Several things of one step are told
apart by `n`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from b24sync.store.engine import Store
from b24sync.store.ledger import CHUNK
from b24sync.store.tables import links


@dataclass(frozen=True, slots=True)
class Link:
    """One thing in the portal (`kind`: task, group, user, question, ...) and what it belongs to.

    `detail` is the process's own note; `linked_at` unix seconds.
    """

    process: str
    entity: str
    entity_id: int
    step: str
    kind: str
    portal_id: str
    n: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)
    linked_at: float = 0.0


class Links:
    """The links of one portal."""

    def __init__(self, store: Store, portal: str) -> None:
        self._store = store
        self._portal = portal

    def save(self, rows: Iterable[Link], connection: Connection | None = None) -> None:
        """Insert or replace by (process, entity, entity_id, step, kind, n); in the caller's transaction where given."""
        values = [self._values(row) for row in rows]
        if not values:
            return
        statement = self._store.insert(links)
        changed = {name: statement.excluded[name] for name in ("portal_id", "detail", "linked_at")}
        statement = statement.on_conflict_do_update(
            index_elements=["portal", "process", "entity", "entity_id", "step", "kind", "n"], set_=changed
        )
        if connection is not None:
            connection.execute(statement, values)
            return
        with self._store.write() as own:
            own.execute(statement, values)

    def of_process(self, process: str) -> list[Link]:
        """All links of a process, by entity and step."""
        return self._read([links.c.process == process])

    def of_entity(self, entity: str, entity_id: int, process: str | None = None) -> list[Link]:
        """What belongs to one entity, in one process or in all."""
        where = [links.c.entity == entity, links.c.entity_id == entity_id]
        return self._read([*where, links.c.process == process] if process else where)

    def of_entities(self, process: str, entity: str, ids: Sequence[int]) -> list[Link]:
        """What belongs to these entities in one process."""
        where = [links.c.process == process, links.c.entity == entity]
        found: list[Link] = []
        for start in range(0, len(ids), CHUNK):
            found += self._read([*where, links.c.entity_id.in_(ids[start : start + CHUNK])])
        return found

    def to(self, kind: str, portal_id: int | str) -> list[Link]:
        """What a task, group, ... of the portal belongs to."""
        return self._read([links.c.kind == kind, links.c.portal_id == str(portal_id)])

    def _read(self, where: Sequence[ColumnElement[bool]]) -> list[Link]:
        query = select(links).where(links.c.portal == self._portal, *where)
        query = query.order_by(
            links.c.process, links.c.entity, links.c.entity_id, links.c.step, links.c.kind, links.c.n
        )
        with self._store.read() as connection:
            return [_link(row) for row in connection.execute(query)]

    def _values(self, row: Link) -> dict[str, Any]:
        return {
            "portal": self._portal,
            "process": row.process,
            "entity": row.entity,
            "entity_id": row.entity_id,
            "step": row.step,
            "n": row.n,
            "kind": row.kind,
            "portal_id": row.portal_id,
            "detail": json.dumps(row.detail, ensure_ascii=False) if row.detail else None,
            "linked_at": row.linked_at,
        }


def _link(row: Any) -> Link:
    return Link(
        row.process,
        row.entity,
        row.entity_id,
        row.step,
        row.kind,
        row.portal_id,
        row.n,
        json.loads(row.detail) if row.detail else {},
        row.linked_at,
    )
