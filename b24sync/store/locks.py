"""Named locks between processes: held by a living owner, taken over from a dead one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import ColumnElement, delete, select, update

from b24sync.clock import Clock
from b24sync.store.engine import Store
from b24sync.store.owners import is_gone, this_owner
from b24sync.store.tables import locks

LEASE_S = 300.0
POLL_S = 0.3


class NamedLock:
    """One lock of one portal. `keep()` from time to time tells other machines that the holder lives."""

    def __init__(self, store: Store, portal: str, name: str, clock: Clock) -> None:
        self._store = store
        self._portal = portal
        self._name = name
        self._clock = clock
        self._owner = this_owner(clock)

    def take(self) -> bool:
        """Take it if it is free or its holder is gone; False = somebody living holds it."""
        with self._store.write() as connection:
            now = self._clock.wall_s()
            row = connection.execute(
                select(locks).where(locks.c.portal == self._portal, locks.c.name == self._name)
            ).one_or_none()
            if row is not None and self._is_of_another(row.owner, row.lease_until, now):
                return False
            values = {"owner": self._owner, "lease_until": now + LEASE_S}
            statement = self._store.insert(locks).values(portal=self._portal, name=self._name, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["portal", "name"], set_=values))
            return True

    def _is_of_another(self, owner: str, lease_until: float, now: float) -> bool:
        return owner != self._owner and not is_gone(owner, lease_until=lease_until, now=now, clock=self._clock)

    def keep(self) -> None:
        with self._store.quick_write() as connection:
            connection.execute(update(locks).where(*self._mine).values(lease_until=self._clock.wall_s() + LEASE_S))

    def free(self) -> None:
        with self._store.write() as connection:
            connection.execute(delete(locks).where(*self._mine))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, hold it, free it."""
        while not self.take():
            self._clock.sleep(POLL_S)
        try:
            yield
        finally:
            self.free()

    @property
    def _mine(self) -> tuple[ColumnElement[bool], ...]:
        return (locks.c.portal == self._portal, locks.c.name == self._name, locks.c.owner == self._owner)
