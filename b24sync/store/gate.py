"""The gate's rows: a leaky bucket, one budget per method, who waits. The rules stand in `transport/gate.py`.

Times are on the gate's clock: boot seconds on SQLite (one machine), the database's clock on PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection as Connection
from sqlalchemy import Table, bindparam, delete, select, text, update

from b24sync.clock import Clock
from b24sync.store.engine import Store
from b24sync.store.owners import is_gone, this_owner
from b24sync.store.tables import gate_bucket, gate_methods, gate_waiters

WAITER_LEASE_S = 180.0
"""After this long without a sign a waiter on another machine is taken for dead."""


_BUDGETS = select(gate_methods).where(
    gate_methods.c.portal == bindparam("portal"),
    gate_methods.c.credential == bindparam("credential"),
    gate_methods.c.epoch == bindparam("epoch"),
)
_BUDGETS_OF = _BUDGETS.where(gate_methods.c.method.in_(bindparam("methods", expanding=True)))


@dataclass(frozen=True, slots=True)
class Bucket:
    tat: float
    blocked_until: float
    stopped_code: str | None
    stopped_text: str | None
    stopped_at: float | None


@dataclass(frozen=True, slots=True)
class MethodBudget:
    """What is known of one method's counter. `observed` False: the portal has shown no counter yet.

    `in_flight_since`: when the first of what is in flight was booked.
    """

    method: str
    used_s: float = 0.0
    in_flight_s: float = 0.0
    in_flight_since: float = 0.0
    reset_at: float = 0.0
    paused_until: float = 0.0
    foreign_use: bool = False
    unit_duration_s: float | None = None
    unit_counted_s: float | None = None
    observed: bool = False


@dataclass(frozen=True, slots=True)
class Waiter:
    id: int
    owner: str
    priority: str
    methods: list[str]
    since: float
    holds_bulk: bool


class GateRows:
    """Transactions on the gate's rows of one portal. Every method is one short transaction."""

    def __init__(self, store: Store, portal: str, credential: str, clock: Clock) -> None:
        self._store = store
        self._portal = portal
        self._credential = credential
        self._clock = clock
        self.owner = this_owner(clock)
        self._statements: dict[str, Any] = {}

    def now(self, connection: Connection | None = None) -> float:
        """The gate's clock. On PostgreSQL a query, so that every machine reads the same one."""
        if self._store.is_sqlite:
            return self._clock.boot_s()
        if connection is None:
            with self._store.read() as own:
                return self.now(own)
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def _saving(self, table: Table) -> Any:
        """Insert a whole row or replace it. Kept: building it anew would cost more than running it."""
        if table.name not in self._statements:
            insert = self._store.insert(table)
            keys = [column.name for column in table.primary_key]
            rest = {column.name: insert.excluded[column.name] for column in table.c if column.name not in keys}
            self._statements[table.name] = insert.on_conflict_do_update(index_elements=keys, set_=rest)
        return self._statements[table.name]

    @property
    def _epoch(self) -> str:
        return self._clock.boot_id() if self._store.is_sqlite else "database"

    def bucket(self, connection: Connection) -> Bucket:
        """The bucket's row; a full bucket when there is none or the machine was booted since."""
        row = connection.execute(select(gate_bucket).where(gate_bucket.c.portal == self._portal)).one_or_none()
        if row is None:
            return Bucket(0.0, 0.0, None, None, None)
        if row.epoch != self._epoch:
            return Bucket(0.0, 0.0, row.stopped_code, row.stopped_text, row.stopped_at)
        return Bucket(row.tat, row.blocked_until, row.stopped_code, row.stopped_text, row.stopped_at)

    def save_bucket(self, connection: Connection, **values: Any) -> None:
        present = self.bucket(connection)
        row = {
            "portal": self._portal,
            "epoch": self._epoch,
            "tat": present.tat,
            "blocked_until": present.blocked_until,
            "stopped_code": present.stopped_code,
            "stopped_text": present.stopped_text,
            "stopped_at": present.stopped_at,
            **values,
        }
        self._store.many(connection, self._saving(gate_bucket), [row])

    def budgets(
        self, connection: Connection, methods: Sequence[str] | None = None, *, in_flight_after: float = 0.0
    ) -> dict[str, MethodBudget]:
        """Budgets by method; every asked method has one, unknown ones being empty.

        What has been in flight since before `in_flight_after` does not count any more.
        """
        mine = {"portal": self._portal, "credential": self._credential, "epoch": self._epoch}
        if methods is None:
            rows = connection.execute(_BUDGETS, mine)
        else:
            rows = connection.execute(_BUDGETS_OF, {**mine, "methods": list(methods)})
        known = {
            row.method: MethodBudget(
                row.method,
                row.used_s,
                row.in_flight_s if row.in_flight_since >= in_flight_after else 0.0,
                row.in_flight_since,
                row.reset_at,
                row.paused_until,
                bool(row.foreign_use),
                row.unit_duration_s,
                row.unit_counted_s,
                bool(row.observed),
            )
            for row in rows
        }
        return known if methods is None else {m: known.get(m, MethodBudget(m)) for m in methods}

    def save_budgets(self, connection: Connection, budgets: Sequence[MethodBudget]) -> None:
        rows = [
            {
                "portal": self._portal,
                "credential": self._credential,
                "method": budget.method,
                "epoch": self._epoch,
                "used_s": budget.used_s,
                "in_flight_s": max(0.0, budget.in_flight_s),
                "in_flight_since": budget.in_flight_since,
                "reset_at": budget.reset_at,
                "paused_until": budget.paused_until,
                "foreign_use": budget.foreign_use,
                "unit_duration_s": budget.unit_duration_s,
                "unit_counted_s": budget.unit_counted_s,
                "observed": budget.observed,
            }
            for budget in budgets
        ]
        self._store.many(connection, self._saving(gate_methods), rows)

    def join_queue(self, priority: str, methods: Mapping[str, float]) -> tuple[int, bool]:
        """Stand in the queue: (ticket, whether the bulk slot was free and is taken with it)."""
        with self._store.quick_write() as connection:
            now = self.now(connection)
            free = priority == "bulk" and self._first_bulk(connection) is None
            inserted = connection.execute(
                gate_waiters.insert().values(
                    portal=self._portal,
                    owner=self.owner,
                    priority=priority,
                    methods=json.dumps(sorted(methods)),
                    since=now,
                    lease_until=now + WAITER_LEASE_S,
                    holds_bulk=free,
                )
            )
            key = inserted.inserted_primary_key
            assert key is not None  # a table with one counted primary key
            return int(key[0]), free

    def _first_bulk(self, connection: Connection) -> int | None:
        waiting = (gate_waiters.c.portal == self._portal, gate_waiters.c.priority == "bulk")
        return connection.execute(
            select(gate_waiters.c.id).where(*waiting).order_by(gate_waiters.c.id).limit(1)
        ).scalar()

    def leave_queue(self, ticket: int) -> None:
        with self._store.quick_write() as connection:
            connection.execute(delete(gate_waiters).where(gate_waiters.c.id == ticket))

    def take_bulk(self, ticket: int) -> bool:
        """Take the one bulk slot if it is this ticket's turn. First come, first served among the living."""
        with self._store.quick_write() as connection:
            now = self.now(connection)
            self._bury_dead(connection, now)
            first = self._first_bulk(connection)
            mine = gate_waiters.c.id == ticket
            values: dict[str, Any] = {"lease_until": now + WAITER_LEASE_S}
            if first == ticket:
                values["holds_bulk"] = True
            connection.execute(update(gate_waiters).where(mine).values(**values))
            return bool(first == ticket)

    def waiters(self, connection: Connection) -> list[Waiter]:
        query = select(gate_waiters).where(gate_waiters.c.portal == self._portal).order_by(gate_waiters.c.id)
        return [
            Waiter(row.id, row.owner, row.priority, json.loads(row.methods), row.since, bool(row.holds_bulk))
            for row in connection.execute(query)
        ]

    def _bury_dead(self, connection: Connection, now: float) -> None:
        query = select(gate_waiters.c.id, gate_waiters.c.owner, gate_waiters.c.lease_until, gate_waiters.c.holds_bulk)
        dead = [
            row
            for row in connection.execute(query.where(gate_waiters.c.portal == self._portal))
            if row.owner != self.owner and is_gone(row.owner, lease_until=row.lease_until, now=now, clock=self._clock)
        ]
        if not dead:
            return
        connection.execute(delete(gate_waiters).where(gate_waiters.c.id.in_([row.id for row in dead])))
        if any(row.holds_bulk for row in dead):
            # Its request died with it: what it had in flight is no longer ours to count.
            connection.execute(
                update(gate_methods).where(gate_methods.c.portal == self._portal).values(in_flight_s=0.0)
            )
