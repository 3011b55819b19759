"""Large reports are made by two processes: the same report, and no child stays behind."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

import pytest
from migrated_store import migrated_store

from b24sync.reporting import reports as reports_module
from b24sync.reporting.calendars import Calendars
from b24sync.reporting.children import can_have_child, made_by_child, written_by_child
from b24sync.reporting.lives import Scope
from b24sync.reporting.norms import Norm, NormBook
from b24sync.reporting.rendering import plain
from b24sync.reporting.rendering.plain import write_json
from b24sync.reporting.reports import Names, Reporter
from b24sync.reporting.tables import Report
from b24sync.store.engine import Store
from b24sync.store.timelines import Timelines

PORTAL = "main"
MOSCOW = ZoneInfo("Europe/Moscow")
AS_OF = 1_795_000_000.0
DAY_S = 86_400.0
NORMS = [Norm(0, "NEW", 3.0, "calendar"), Norm(0, "TALK", 2.0), Norm(1, "C1:NEW", 1.0, "calendar", field="UF_CRM_D")]


@pytest.fixture
def born(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Processes that were forked by the test."""
    fork, pids = os.fork, []

    def noted() -> int:
        pid = fork()
        pids.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", noted)
    return pids


def is_gone(pid: int) -> bool:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def test_a_child_makes_what_the_parent_waits_for(born: list[int]) -> None:
    with made_by_child(lambda: (os.getpid(), [1, "два"])) as made:
        pass
    with made_by_child(lambda: (os.getpid(), [1, "два"])) as made:
        pid, value = made()
    assert len(born) == 2 and pid == born[1] != os.getpid() and value == [1, "два"]
    assert all(map(is_gone, born))


def test_where_a_child_fails_the_parent_does_it_and_its_error_is_told() -> None:
    parent = os.getpid()

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        if os.getpid() != parent:
            raise MemoryError
        file.write(b" and half")

    with written_by_child(write) as written:
        assert written().read() == b"half and half"
    with made_by_child(lambda: 1 // 0) as made, pytest.raises(ZeroDivisionError):
        made()


@pytest.mark.parametrize("lacking", ["a folder for its file", "a process", "room for what it makes"])
def test_where_there_is_no_room_for_a_child_the_parent_does_it(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    asked: list[str] = []

    def full(*_: object) -> int:
        asked.append(lacking)
        raise OSError(28, "No space left on device")

    class _Full(io.BytesIO):
        write = full

    place, name, put = {
        "a folder for its file": (tempfile, "TemporaryFile", full),
        "a process": (os, "fork", full),
        "room for what it makes": (tempfile, "TemporaryFile", _Full),
    }[lacking]
    monkeypatch.setattr(place, name, put)
    parent = os.getpid()
    with made_by_child(lambda: os.getpid()) as made:
        assert made() == parent
    assert len(asked) == (lacking != "room for what it makes")


def test_a_parent_that_is_interrupted_while_it_waits_leaves_no_child(
    born: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    wait, asked = os.waitpid, []

    def interrupted(pid: int, options: int) -> tuple[int, int]:
        asked.append(pid)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return wait(pid, options)

    monkeypatch.setattr(os, "waitpid", interrupted)
    with pytest.raises(KeyboardInterrupt), made_by_child(lambda: time.sleep(60)) as made:
        made()
    assert asked == [*born, *born]
    assert is_gone(*born)


def test_a_parent_that_is_interrupted_leaves_no_child(born: list[int]) -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), made_by_child(lambda: time.sleep(60)):
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30
    assert is_gone(*born)


def test_a_parent_that_gets_sigterm_leaves_no_child() -> None:
    """The child holds standard output too: it is at its end when nobody is left."""
    code = (
        "import time\nfrom b24sync.interruption import end_in_order\n"
        "from b24sync.reporting.children import made_by_child\nend_in_order()\n"
        "with made_by_child(lambda: time.sleep(600)) as made:\n    print('waiting', flush=True)\n    made()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"waiting\n"
        parent.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert parent.stdout.read() == b""
    assert time.monotonic() - began < 60


def test_a_process_with_threads_does_not_fork() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    assert not can_have_child()
    stop.set()
    thread.join()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = migrated_store(Path(tmp_path_factory.mktemp("children")))
    fill(Timelines(opened, PORTAL))
    yield opened
    opened.close()


def fill(tables: Timelines) -> None:
    """Deals of two pipelines; the stages of the second one are met in its second half only."""
    chance = random.Random(7)
    cards, stays = [], {}
    for number in range(1, 301):
        pipeline, stages = (0, ["NEW", "TALK", "WON"]) if number < 200 else (1, ["C1:NEW", "NEW", "C1:LOSE"])
        made = AS_OF - chance.uniform(1, 300) * DAY_S
        moments = [made, made + chance.uniform(0, 9) * DAY_S, made + chance.uniform(9, 20) * DAY_S][: number % 3 + 1]
        ends = [*moments[1:], None]
        stays[number] = [
            {
                "pipeline_id": pipeline,
                "stage_id": stage,
                "stage_group": {2: "S" if pipeline == 0 else "F"}.get(at, "P"),
                "entered_at": moment,
                "left_at": end,
                "estimated": number % 5 == 0,
            }
            for at, (stage, moment, end) in enumerate(zip(stages, moments, ends, strict=False))
        ]
        last = stays[number][-1]
        cards.append(
            {
                "id": number,
                "title": f'Сделка {number} "{number % 7}"',
                **{name: last[name] for name in ("pipeline_id", "stage_id", "stage_group")},
                "previous_stage_id": "",
                "responsible_id": number % 4,
                "company_id": 0,
                "opportunity_cents": number * 100,
                "currency": "RUB" if number % 9 else "USD",
                "created_at": made,
                "moved_at": moments[-1],
                "updated_at": moments[-1],
                "own": '{"UF_CRM_D": "4,5"}' if number % 2 else "",
                "read_at": AS_OF,
            }
        )
    tables.save_cards(cards)
    while tables.rebuild_some(lambda card, _moves, _seen: (stays[card.id], None)):
        pass


@pytest.mark.parametrize("name", ["delays", "responsible", "stages"])
@pytest.mark.parametrize("pipelines", [None, frozenset({1})])
def test_two_processes_make_the_same_report(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, pipelines: frozenset[int] | None
) -> None:
    scope = Scope(AS_OF, AS_OF - 250 * DAY_S, AS_OF - DAY_S, pipelines)

    def made() -> Report:
        book = NormBook(NORMS, Calendars(MOSCOW, "RU"))
        return Reporter(scope, book, Names([]), MOSCOW, "ru").make(name, Timelines(store, PORTAL))

    def said(report: Report, *, one_line: bool) -> str:
        out = io.StringIO()
        write_json(report, out, one_line=one_line)
        return out.getvalue()

    alone = made()
    forks: list[str] = []

    def can() -> bool:
        forks.append(name)
        return True

    for module in (reports_module, plain):
        monkeypatch.setattr(module, "WORTH_A_CHILD", 2)
        monkeypatch.setattr(module, "can_have_child", can)
    together = made()
    assert len(alone.main.rows) > (50 if name == "delays" else 1)
    assert list(together.main.rows) == list(alone.main.rows)
    assert (together.main.total, together.charts, together.notes) == (alone.main.total, alone.charts, alone.notes)
    assert [table.rows for table in together.more] == [table.rows for table in alone.more]
    in_two = [said(alone, one_line=one_line) for one_line in (True, False)]
    monkeypatch.setattr(plain, "can_have_child", lambda: False)
    assert in_two == [said(alone, one_line=one_line) for one_line in (True, False)]
    assert len(forks) == 3


@pytest.mark.parametrize("name", ["delays", "responsible", "stages"])
def test_the_child_has_a_connection_of_its_own(any_store: Store, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    tables = Timelines(any_store, PORTAL)
    fill(tables)
    book = NormBook(NORMS, Calendars(MOSCOW, "RU"))
    reporter = Reporter(Scope(AS_OF), book, Names([]), MOSCOW, "ru")
    alone = list(reporter.make(name, tables).records())
    monkeypatch.setattr(reports_module, "WORTH_A_CHILD", 2)
    monkeypatch.setattr(reports_module, "can_have_child", lambda: True)
    assert alone and list(reporter.make(name, tables).records()) == alone
    assert tables.middle_deal()[0] == 300
