"""Bring a store to the present schema, under a lock: several first starts at once are normal.

Alembic is imported only when there is something to migrate: it costs a fifth of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from b24sync.errors import StoreError
from b24sync.store.engine import Store, sqlite_path

HEAD = "0007"
"""The newest migration; a test compares it with the files in `migrations/versions`."""

_POSTGRES_LOCK = 0x62323473  # "b24s"


def migrate(store: Store) -> None:
    """Upgrade to HEAD. Raises StoreError for a store that a newer b24sync has written."""
    if _version(store) == HEAD:
        return
    with _migration_lock(store):
        if (found := _version(store)) == HEAD:
            return
        if found is not None and found > HEAD:
            raise StoreError(
                f"The store has schema {found}, this b24sync knows up to {HEAD}: install the newer b24sync again."
            )
        with store.write() as connection:
            _upgrade(connection)


def _version(store: Store) -> str | None:
    with store.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, to: str = "head") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


@contextmanager
def _migration_lock(store: Store) -> Iterator[None]:
    if not store.is_sqlite:
        with store.engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _POSTGRES_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _POSTGRES_LOCK})
        return
    # Alembic's DDL runs in one BEGIN IMMEDIATE transaction; the file lock keeps a second starter from
    # queueing behind it with a stale idea of the version.
    from b24sync.store.filelock import exclusive_lock

    with exclusive_lock(Path(f"{sqlite_path(store.url)}.lock")):
        yield
