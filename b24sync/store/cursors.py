"""How far an incremental reading of a portal got."""

from __future__ import annotations

from sqlalchemy import select

from b24sync.store.engine import Store
from b24sync.store.tables import cursors


def read_cursor(store: Store, portal: str, name: str) -> str | None:
    """The stored position; None before the first reading."""
    with store.read() as connection:
        query = select(cursors.c.value).where(cursors.c.portal == portal, cursors.c.name == name)
        return connection.execute(query).scalar()


def save_cursor(store: Store, portal: str, name: str, value: str) -> None:
    with store.write() as connection:
        statement = store.insert(cursors).values(portal=portal, name=name, value=value)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["portal", "name"], set_={"value": statement.excluded.value})
        )
