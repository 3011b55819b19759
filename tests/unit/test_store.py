"""Opening a store: migrated under a lock, refused when newer, its troubles told in words."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import exc, func, inspect, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from b24sync.errors import StoreError
from b24sync.store import migrate
from b24sync.store.engine import Store, open_store, write_ahead
from b24sync.store.links import Link, Links
from b24sync.store.tables import cursors, metadata

VERSIONS = Path(migrate.__file__).parent / "migrations" / "versions"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


def cursor_values(store: Store) -> list[str]:
    with store.read() as connection:
        return [row.value for row in connection.execute(select(cursors).order_by(cursors.c.name))]


def cursor(name: str, value: str = "x") -> dict[str, str]:
    return {"portal": "main", "name": name, "value": value}


# -- migrations ------------------------------------------------------------------------------------------------


def test_the_sum_of_the_migrations_is_the_tables(store: Store) -> None:
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        found = inspect(connection)
        assert set(found.get_table_names()) == {*metadata.tables, "alembic_version"}
        for name, table in metadata.tables.items():
            assert found.get_pk_constraint(name)["constrained_columns"] == table.primary_key.columns.keys(), name


def test_the_head_is_the_newest_migration_file_and_files_are_numbered_without_gaps() -> None:
    numbers = sorted(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
    assert numbers[-1] == migrate.HEAD
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]


def test_every_table_carries_the_portal_and_can_be_made_on_postgresql() -> None:
    for table in metadata.tables.values():
        assert "portal" in table.c, table.name
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    first = open_store(url)
    with first.write() as connection:
        connection.execute(cursors.insert(), cursor("a", "kept"))
    first.close()
    second = open_store(url)
    assert cursor_values(second) == ["kept"]
    second.close()


def test_links_of_an_older_store_are_kept(tmp_path: Path) -> None:
    older = Store(f"sqlite:///{tmp_path}/store.db")
    with older.write() as connection:
        migrate._upgrade(connection, "0006")
        values = ("main", "first_call", "deal", 42, "call", 1, "task", "7", 10.0)
        names = "portal, process, entity, entity_id, step, n, kind, portal_id, linked_at"
        connection.exec_driver_sql(f"INSERT INTO links ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    older.close()
    opened = open_store(older.url)
    kept = Link("first_call", "deal", 42, "call", "task", "7", n=1, linked_at=10.0)
    assert Links(opened, "main").to("task", 7) == [kept]
    opened.close()


OPEN = """
import sys
from b24sync.store.engine import open_store
sys.stdin.readline()
store = open_store(sys.argv[1])
store.close()
print("opened")
"""


def test_three_first_starts_at_once_all_find_a_migrated_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/var/store.db"
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    said = [starter.communicate(timeout=300) for starter in starters]
    assert [out for out, _ in said] == ["opened\n"] * 3, said
    with sqlite3.connect(tmp_path / "var" / "store.db") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(migrate.HEAD,)]
    connection.close()


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    open_store(url).close()
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    with pytest.raises(StoreError, match=r"schema 9999.*install the newer b24sync") as caught:
        open_store(url)
    assert caught.value.exit_code == 78
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
    connection.close()


# -- transactions ----------------------------------------------------------------------------------------------


def test_the_ledger_is_written_through_to_the_disk_and_the_gate_is_not(store: Store) -> None:
    def pragma(opened: Any, name: str) -> Any:
        with opened as connection:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

    assert pragma(store.write(), "synchronous") == 2  # FULL
    assert pragma(store.quick_write(), "synchronous") == 1  # NORMAL
    assert pragma(store.write(), "journal_mode") == "wal"
    assert pragma(store.write(), "busy_timeout") == 30_000


def test_an_error_in_a_transaction_undoes_all_of_it(store: Store) -> None:
    def fail_half_way() -> None:
        with store.write() as connection:
            connection.execute(cursors.insert(), cursor("a"))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail_half_way()
    assert cursor_values(store) == []


def test_a_reader_sees_one_moment_and_does_not_hold_up_a_writer(store: Store) -> None:
    count = select(func.count()).select_from(cursors)
    with store.read() as reader:
        assert reader.execute(count).scalar() == 0
        with store.write() as writer:
            writer.execute(cursors.insert(), cursor("a"))
        assert reader.execute(count).scalar() == 0
    assert len(cursor_values(store)) == 1


def test_a_writer_waits_for_another_one_instead_of_failing(store: Store, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom b24sync.store.engine import open_store\nfrom b24sync.store.tables import cursors\n"
        "store = open_store(sys.argv[1])\n"
        "for number in range(60):\n"
        "    with store.write() as connection:\n"
        "        connection.execute(cursors.insert(), {'portal': sys.argv[2], 'name': str(number), 'value': 'x'})\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, f"sqlite:///{tmp_path}/store.db", name]) for name in "abc"
    ]
    assert [writer.wait(300) for writer in writers] == [0, 0, 0]
    assert len(cursor_values(store)) == 180


def test_many_rows_at_once_are_written_like_one_by_one(store: Store) -> None:
    statement = store.insert(cursors)
    statement = statement.on_conflict_do_update(
        index_elements=["portal", "name"], set_={"value": statement.excluded.value}
    )
    with store.write() as connection:
        store.many(connection, statement, [cursor(name, "old") for name in "abc"])
        store.many(connection, statement, [cursor("b", "new"), cursor("d", "it's 100 % «new»")])
        store.many(connection, statement, [])
    assert cursor_values(store) == ["old", "new", "old", "it's 100 % «new»"]


# -- troubles ----------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_made_whatever_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "мой портал 100%" / "var"
    open_store(f"sqlite:///{folder}/store.db").close()
    assert (folder / "store.db").exists()


def test_a_folder_that_cannot_be_made_is_told_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=re.escape(str(tmp_path / "file"))):
        open_store(f"sqlite:///{tmp_path}/file/var/store.db")


def test_a_file_that_is_no_store_is_told_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match=re.escape(str(tmp_path / "store.db"))):
        open_store(f"sqlite:///{tmp_path}/store.db")


def test_a_full_disk_is_told_and_undoes_the_transaction(store: Store) -> None:
    with store.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreError, match=r"disk is full.*free the disk") as caught, store.write() as connection:
        connection.execute(cursors.insert(), cursor("a", "x" * 1_000_000))
    assert "INSERT" not in str(caught.value), "no SQL and no client's data in the message"
    assert cursor_values(store) == []


def test_a_fault_of_ours_is_not_taken_for_a_trouble_of_the_disk(store: Store) -> None:
    with store.write() as connection:
        connection.execute(cursors.insert(), cursor("a"))
    with pytest.raises(exc.IntegrityError), store.write() as connection:
        connection.execute(cursors.insert(), cursor("a"))


def test_an_sqlite_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreError, match=r"3\.35 or newer"):
        open_store(f"sqlite:///{tmp_path}/store.db")


def test_a_new_file_that_another_one_is_switching_to_wal_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself says busy at once there, to one start in a hundred and fifty."""
    path = tmp_path / "store.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as first,
        closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as second,
    ):
        first.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("b24sync.store.engine.time.sleep", lambda _: first.execute("COMMIT"))
        write_ahead(second)
        assert second.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(("presses", "written"), [(1, ["first", "second"]), (2, ["second"])])
def test_ctrl_c_waits_for_the_transaction_and_a_second_one_does_not(
    store: Store, monkeypatch: pytest.MonkeyPatch, presses: int, written: list[str]
) -> None:
    """In the middle of BEGIN it left a closed connection: what came next was called a fault of b24sync."""
    with closing(sqlite3.connect(store.url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        def press_while_it_waits(_: float) -> None:
            for _press in range(presses):
                signal.raise_signal(signal.SIGINT)
            other.execute("COMMIT")

        monkeypatch.setattr("b24sync.store.engine.time.sleep", press_while_it_waits)
        with pytest.raises(KeyboardInterrupt), store.write() as connection:
            connection.execute(cursors.insert(), cursor("a", "first"))
        if presses == 2:
            other.execute("COMMIT")
    with store.write() as connection:
        connection.execute(cursors.insert(), cursor("b", "second"))
    assert cursor_values(store) == written
