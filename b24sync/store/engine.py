"""Opening a store: SQLite by default, PostgreSQL by one line; the same SQL on both.

SQLite: WAL, `synchronous=FULL`, `BEGIN IMMEDIATE` for writes, busy timeout 30 s. The gate's rows use a
second pool with `synchronous=NORMAL`: they describe a running minute and need no fsync.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Executable, Table, create_engine, event, exc
from sqlalchemy.dialects import sqlite

from b24sync.errors import StoreError
from b24sync.interruption import interruption_after

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

BUSY_TIMEOUT_S = 30
WRITER_POLL_S = 0.001
_WRITER_LOCK = 0x62323477  # "b24w"
OLDEST_SQLITE = (3, 35, 0)  # UPDATE ... RETURNING


class Store:
    """An opened, migrated store. `write()` and `quick_write()` are transactions; `read()` is a snapshot."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self._compiled: WeakKeyDictionary[Executable, SQLCompiler] = WeakKeyDictionary()
        self._durable = _engine(url, synchronous="FULL")
        self._quick = _engine(url, synchronous="NORMAL")

    @property
    def engine(self) -> Engine:
        return self._durable

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A durable transaction: committed means on disk. Raises StoreError when the disk or the file refuses."""
        with interruption_after(), _said(self.url), self._durable.begin() as connection:
            self._be_the_only_writer(connection)
            yield connection

    @contextmanager
    def quick_write(self) -> Iterator[Connection]:
        """A transaction that a power cut may undo: for the gate's rows, which describe the running minute."""
        with interruption_after(), _said(self.url), self._quick.begin() as connection:
            if not self.is_sqlite:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            self._be_the_only_writer(connection)
            yield connection

    def _be_the_only_writer(self, connection: Connection) -> None:
        """SQLite has one writer at a time by itself; what reads and then writes relies on it, so here too."""
        if not self.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with _said(self.url):
            with interruption_after():
                connection = self._durable.connect().execution_options(b24sync_read=True)
            try:
                yield connection
            finally:
                with interruption_after():
                    connection.close()

    def close(self) -> None:
        self._durable.dispose()
        self._quick.dispose()

    def many(self, connection: Connection, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run one statement for many rows of plain values (texts, numbers, None), each with the same keys.

        SQLAlchemy's own executemany processes every value of every row; here the statement is compiled once, for as
        long as its owner keeps it, and the driver gets the rows: half the processor time of an import's ledger.
        """
        if not rows:
            return
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = cast("SQLCompiler", statement.compile(dialect=connection.dialect, column_keys=list(rows[0])))  # type: ignore[attr-defined]
            self._compiled[statement] = compiled
        fixed, names = compiled.params, compiled.positiontup
        whole = rows if fixed.keys() <= rows[0].keys() else [{**fixed, **row} for row in rows]
        if names is None:
            connection.exec_driver_sql(compiled.string, whole)
        elif len(names) == 1:
            connection.exec_driver_sql(compiled.string, [(row[names[0]],) for row in whole])
        else:
            connection.exec_driver_sql(compiled.string, list(map(itemgetter(*names), whole)))

    def insert(self, table: Table) -> Any:
        """`INSERT` of this dialect, which knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
        if self.is_sqlite:
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # takes a twentieth of a second to import

        return postgresql.insert(table)


def open_store(url: str) -> Store:
    """Open and migrate the store at `url`. Raises StoreError naming the path and what to do."""
    if url.startswith("sqlite"):
        _prepare_sqlite(url)
    from b24sync.store.migrate import migrate

    store = Store(url)
    try:
        with _said(url):
            migrate(store)
    except BaseException:
        store.close()
        raise
    return store


def sqlite_path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _prepare_sqlite(url: str) -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old for the store: 3.35 or newer is needed.")
    path = sqlite_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The store's folder {path.parent} cannot be made: {error.strerror}. Make it, or set another [store] url."
        ) from None
    place = path if path.exists() else path.parent
    if not os.access(place, os.W_OK):
        raise StoreError(f"The store {path} is not writable: give this user the right to write {place}.")


def _engine(url: str, *, synchronous: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own BEGIN is switched off: it would be deferred, and a deferred reader that turns
        # writer fails at once with "database is locked" whatever the busy timeout is.
        connection.isolation_level = None
        write_ahead(connection)
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("b24sync_read", False):
            connection.exec_driver_sql("BEGIN")
        else:
            _begin_to_write(connection)

    return engine


def write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a file to WAL. Of two first starts that do so at once, SQLite lets one not wait, but says busy."""
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(WRITER_POLL_S)


def _is_busy(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _begin_to_write(connection: Connection) -> None:
    """Wait for the one writer's place. SQLite's own waiting sleeps up to 100 ms at a time: too long for the intake."""
    driver = connection.connection.driver_connection
    assert driver is not None
    until = time.monotonic() + BUSY_TIMEOUT_S
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except exc.OperationalError as error:
                if not _is_busy(error.orig) or time.monotonic() > until:
                    raise
                time.sleep(WRITER_POLL_S)
    finally:
        if not connection.invalidated:  # as a second Ctrl-C leaves it
            driver.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")


@contextmanager
def _said(url: str) -> Iterator[None]:
    try:
        yield
    except exc.DBAPIError as error:
        where = sqlite_path(url) if url.startswith("sqlite") else "the database server"
        text = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
        if isinstance(error, exc.IntegrityError | exc.ProgrammingError):
            raise
        raise StoreError(
            f"The store at {where} cannot be used: {text}. Nothing was sent that is not recorded; "
            "free the disk or mend the rights, then run the same command again."
        ) from error
