"""How far an incremental reading of a portal got."""

from __future__ import annotations

from sqlalchemy import Connection, select

from b24sync.store.engine import Store
from b24sync.store.tables import cursors


def read_cursor(store: Store, portal: str, name: str, connection: Connection | None = None) -> str | None:
    """The stored position; None before the first reading. In the caller's transaction where given."""
    if connection is None:
        with store.read() as own:
            return read_cursor(store, portal, name, own)
    query = select(cursors.c.value).where(cursors.c.portal == portal, cursors.c.name == name)
    return connection.execute(query).scalar()


def save_cursor(store: Store, portal: str, name: str, value: str) -> None:
    with store.write() as connection:
        save_cursor_in(store, connection, portal, name, value)


def save_cursor_in(store: Store, connection: Connection, portal: str, name: str, value: str) -> None:
    """`save_cursor` in the caller's transaction: a position and what was read up to it belong together."""
    statement = store.insert(cursors).values(portal=portal, name=name, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["portal", "name"], set_={"value": statement.excluded.value})
    )
