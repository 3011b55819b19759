"""What happened to items and what rules did about it: each cause once, each act with its cause."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, exists, func, select

from b24sync.store.engine import Store
from b24sync.store.jobs import DISPATCH
from b24sync.store.lanes import DONE
from b24sync.store.ledger import CHUNK
from b24sync.store.tables import acts, causes, inbox


@dataclass(frozen=True, slots=True)
class CauseRow:
    """One cause as stored. `at` in unix seconds; `detail`: before, after, imported, process, portal_id, writer."""

    id: int
    entity: str
    entity_id: int
    key: str
    kind: str
    subject: str
    n: int
    detail: Mapping[str, Any]
    source: str
    at: float


@dataclass(frozen=True, slots=True)
class Act:
    """One write of a rule into the portal."""

    process: str
    entity: str
    entity_id: int
    cause_id: int
    handler: str
    what: str
    text: str
    portal_id: str | None
    at: float


class Causes:
    """Causes and acts of one portal."""

    def __init__(self, store: Store, portal: str) -> None:
        self._store = store
        self._portal = portal
        self._insert = store.insert(causes).on_conflict_do_nothing().returning(causes.c.id)

    def add(self, connection: Connection, rows: Sequence[Mapping[str, Any]], source: str, at: float) -> list[CauseRow]:
        """Store causes (entity, entity_id, key, kind, subject, n, detail); returns those that were not known."""
        added: list[CauseRow] = []
        for row in rows:
            detail = dict(row["detail"])
            text = json.dumps(detail, ensure_ascii=False) if detail else None
            values = {**row, "portal": self._portal, "source": source, "at": at, "detail": text}
            new = connection.execute(self._insert, values).scalar()
            if new is not None:
                added.append(CauseRow(new, **{**row, "detail": detail}, source=source, at=at))
        return added

    def counts(
        self, connection: Connection, entity: str, ids: Sequence[int], kinds: Sequence[str]
    ) -> dict[int, dict[tuple[str, str], int]]:
        """How often each (kind, subject) happened to each item so far."""
        found: dict[int, dict[tuple[str, str], int]] = defaultdict(dict)
        for start in range(0, len(ids), CHUNK):
            query = (
                select(causes.c.entity_id, causes.c.kind, causes.c.subject, func.max(causes.c.n).label("n"))
                .where(
                    causes.c.portal == self._portal,
                    causes.c.entity == entity,
                    causes.c.entity_id.in_(ids[start : start + CHUNK]),
                    causes.c.kind.in_(kinds),
                )
                .group_by(causes.c.entity_id, causes.c.kind, causes.c.subject)
            )
            for row in connection.execute(query):
                found[row.entity_id][row.kind, row.subject] = row.n
        return found

    def find(self, cause_id: int) -> CauseRow | None:
        with self._store.read() as connection:
            row = connection.execute(
                select(causes).where(causes.c.id == cause_id, causes.c.portal == self._portal)
            ).one_or_none()
        return _cause(row) if row is not None else None

    def of_item(self, entity: str, entity_id: int, limit: int = 200) -> list[CauseRow]:
        """The latest causes of one item, oldest first."""
        query = (
            select(causes)
            .where(causes.c.portal == self._portal, causes.c.entity == entity, causes.c.entity_id == entity_id)
            .order_by(causes.c.id.desc())
            .limit(limit)
        )
        with self._store.read() as connection:
            return [_cause(row) for row in reversed(connection.execute(query).all())]

    def note_act(self, connection: Connection, act: Act) -> None:
        row = {name: getattr(act, name) for name in Act.__slots__}
        connection.execute(acts.insert().values(portal=self._portal, **row))

    def acts_of(self, entity: str, entity_id: int) -> list[Act]:
        """Everything that rules did for one item, oldest first."""
        names = [acts.c[name] for name in Act.__slots__]
        query = select(*names).where(
            acts.c.portal == self._portal, acts.c.entity == entity, acts.c.entity_id == entity_id
        )
        with self._store.read() as connection:
            return [Act(*row) for row in connection.execute(query.order_by(acts.c.id))]

    def count_acts(self, process: str, entity: str, entity_id: int, since: float) -> int:
        """How many acts of a process an item has seen since a moment."""
        query = select(func.count()).where(
            acts.c.portal == self._portal,
            acts.c.entity == entity,
            acts.c.entity_id == entity_id,
            acts.c.process == process,
            acts.c.at >= since,
        )
        with self._store.read() as connection:
            return int(connection.execute(query).scalar_one())

    def latest(self, limit: int) -> Iterable[Act]:
        """The latest acts of all rules, newest first."""
        names = [acts.c[name] for name in Act.__slots__]
        query = select(*names).where(acts.c.portal == self._portal).order_by(acts.c.id.desc()).limit(limit)
        with self._store.read() as connection:
            return [Act(*row) for row in connection.execute(query)]

    def forget_old(self, before: float) -> int:
        """Delete causes of before a moment, and acts of causes that are gone; how many causes.

        What is kept: the latest of each kind and subject of an item, for the next one's number, and what a job that is
        not done belongs to. What rules made is known by its key in the ledger, and a task's steps by its link: neither
        needs the cause.
        """
        with self._store.read() as connection:
            jobs = select(inbox.c.kind).where(
                inbox.c.portal == self._portal, inbox.c.lane != DISPATCH, inbox.c.state != DONE
            )
            needed = {kind.rpartition(":")[2] for kind in connection.execute(jobs).scalars()}
            old = connection.execute(self._old(before)).scalars().all()
        forgotten = [cause_id for cause_id in old if str(cause_id) not in needed]
        self._delete(causes, forgotten)
        orphaned = acts.c.portal == self._portal, acts.c.at < before, ~exists().where(causes.c.id == acts.c.cause_id)
        with self._store.read() as connection:
            written = connection.execute(select(acts.c.id).where(*orphaned)).scalars().all()
        self._delete(acts, written)
        return len(forgotten)

    def _delete(self, table: Table, ids: Sequence[int]) -> None:
        """In small transactions, not durable ones: others write in between, and a row that comes back goes again."""
        for start in range(0, len(ids), CHUNK):
            with self._store.quick_write() as connection:
                connection.execute(delete(table).where(table.c.id.in_(ids[start : start + CHUNK])))

    def _old(self, before: float) -> Any:
        later = causes.alias()
        same = [later.c[name] == causes.c[name] for name in ("portal", "entity", "entity_id", "kind", "subject")]
        return select(causes.c.id).where(
            causes.c.portal == self._portal,
            causes.c.at < before,
            exists().where(*same, later.c.n > causes.c.n),
        )


def _cause(row: Any) -> CauseRow:
    return CauseRow(
        row.id,
        row.entity,
        row.entity_id,
        row.key,
        row.kind,
        row.subject,
        row.n,
        json.loads(row.detail) if row.detail else {},
        row.source,
        row.at,
    )
