"""The recount on real HTTP: fields as norms and history say, written only where they changed; told by the sandbox."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nights import (
    EXPERTISE,
    FAST,
    FIELDS,
    HANDOVER,
    LEFT,
    LOST,
    NEW,
    NORMS,
    OWN_DAYS,
    PLAN_END,
    START,
    TOTAL,
    WON,
    NightDesk,
    deal,
    seed_of,
)
from rehearsal import Running
from sandbox_process import SandboxProcess, running_sandbox

DEALS = [
    deal(WON, created=40, moved=35),  # 1: closed in time
    deal(EXPERTISE, created=30, moved=10),  # 2: five days late
    deal(EXPERTISE, created=20, moved=3, **{OWN_DAYS: 1}),  # 3: two days late by its own plan
    deal(HANDOVER, created=3),  # 4: a stage without a norm
    deal(NEW, created=1),  # 5: a day left
    {"entityTypeId": 2, "fields": {"title": "Чужая", "categoryId": 0}, "ago": {"createdTime": 0.5}},  # 6: no norms
]


@pytest.fixture(scope="module")
def portal() -> Iterator[SandboxProcess]:
    with running_sandbox(seed=seed_of(DEALS), **FAST) as sandbox:
        yield sandbox


@pytest.fixture
def desk(portal: SandboxProcess, tmp_path: Path) -> NightDesk:
    portal.reset(seed_of(DEALS))
    return NightDesk(tmp_path, portal)


def about(value: Any, days: float) -> bool:
    """Within minutes of so many days ago."""
    moment = datetime.fromisoformat(value)
    return abs(datetime.now(moment.tzinfo) - timedelta(days=days) - moment) < timedelta(minutes=5)


def test_a_night_writes_start_planned_end_days_left_and_total(desk: NightDesk) -> None:
    ended = desk.recount()
    assert ended.code == 0, ended
    assert {**ended.result, "duration_s": 0} == {"seen": 5, "changed": 4, "written": 4, "refused": 0, "duration_s": 0}
    assert desk.updates() == 4
    shown = desk.shown()
    assert {one: (row[LEFT], row[TOTAL]) for one, row in shown.items()} == {
        1: (None, None),
        2: (-5, 5),
        3: (-2, 2),
        4: (None, 0),
        5: (1, 0),
        6: (None, None),
    }
    assert about(shown[2][START], 10) and about(shown[2][PLAN_END], 5)
    assert about(shown[3][START], 3) and about(shown[3][PLAN_END], 2)
    assert about(shown[4][START], 3) and shown[4][PLAN_END] is None


def test_the_second_run_of_a_night_writes_nothing_and_a_move_only_its_deal(desk: NightDesk) -> None:
    assert desk.recount().code == 0
    seen = desk.last_call()
    again = desk.recount()
    assert (again.result["seen"], again.result["changed"], desk.updates(seen)) == (5, 0, 0)
    desk.sandbox.act("deal.move", id=2, stage="Передача")
    after = desk.recount()
    assert (after.result["changed"], after.result["written"], desk.updates(seen)) == (1, 1, 1)
    row = desk.shown()[2]
    assert (row[LEFT], row[PLAN_END], row[TOTAL]) == (None, None, 5)
    assert about(row[START], 0)


def test_a_dry_run_counts_and_writes_nothing(desk: NightDesk) -> None:
    ended = desk.recount("--dry-run")
    assert (ended.code, ended.result["changed"], ended.result["written"]) == (0, 4, 0)
    assert desk.updates() == 0
    assert desk.recount().result["written"] == 4


def test_one_pipeline_alone(desk: NightDesk) -> None:
    assert desk.recount("--pipeline", "Общая").result["seen"] == 0
    assert desk.recount("--pipeline", "проекты").result["seen"] == 5
    wrong = desk.recount("--pipeline", "Проект")
    assert wrong.code == 78 and "nearest: Проекты" in wrong.stderr


def test_what_a_person_spoilt_is_repaired_in_the_same_night(desk: NightDesk) -> None:
    assert desk.recount().code == 0
    desk.sandbox.act("item.edit", id=2, fields={LEFT: 99})
    assert desk.recount().result["written"] == 1
    assert desk.shown()[2][LEFT] == -5


def test_a_changed_norm_counts_at_once(desk: NightDesk) -> None:
    assert desk.recount().code == 0
    desk.configure(NORMS.replace("days = 5", "days = 4"))
    assert desk.recount().result["changed"] == 1
    assert (desk.shown()[2][LEFT], desk.shown()[3][LEFT]) == (-6, -2)


def test_a_closed_deal_keeps_its_total_and_loses_its_plan(desk: NightDesk) -> None:
    assert desk.recount().code == 0
    desk.sandbox.act("deal.move", id=2, stage="Отменён")
    assert desk.recount().result["written"] == 1
    row = desk.shown()[2]
    assert (row["stageId"], row[LEFT], row[PLAN_END], row[TOTAL]) == (LOST, None, None, 5)


def test_fields_that_the_portal_lacks_are_named_first(tmp_path: Path, portal: SandboxProcess) -> None:
    portal.reset(seed_of(DEALS[:1], fields=FIELDS[:3]))
    ended = NightDesk(tmp_path, portal).recount()
    assert ended.code == 78
    assert TOTAL in ended.stderr and START not in ended.stderr and "portal apply" in ended.stderr


def test_coarser_fields_of_the_portal_are_served_too(tmp_path: Path, portal: SandboxProcess) -> None:
    kinds = {START: "date", PLAN_END: "date", LEFT: "integer", TOTAL: "string"}
    fields = [{**field, "USER_TYPE_ID": kinds.get(field["FIELD_NAME"], "double")} for field in FIELDS]
    portal.reset(seed_of([deal(EXPERTISE, created=30, moved=10.6)], fields=fields))
    desk = NightDesk(tmp_path, portal)
    assert desk.recount().result["written"] == 1
    row = desk.shown()[1]
    assert (row[LEFT], row[TOTAL]) == (-6, "5.6")
    assert desk.recount().result["changed"] == 0


def stopped_outside_transactions(desk: NightDesk, running: Running) -> bool:
    """Stop a process; go on when it holds the store's one place for writing, which others would wait for in vain."""
    running.process.send_signal(signal.SIGSTOP)
    with closing(sqlite3.connect(desk.folder / "store.db", isolation_level=None, timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            running.process.send_signal(signal.SIGCONT)
            return False
        connection.execute("ROLLBACK")
    return True


def test_two_recounts_never_run_at_once(desk: NightDesk) -> None:
    desk.sandbox.fault("slow", "crm.item.update", nth=1, params={"after_s": 3})
    first = desk.start("recount", "--json")
    while not desk.sandbox.faults()[0]["fired"]:
        assert first.alive
        time.sleep(0.02)
    while not stopped_outside_transactions(desk, first):
        time.sleep(0.02)
    second = desk.recount()  # however long it takes
    first.process.send_signal(signal.SIGCONT)
    assert second.code == 75 and "runs already" in second.stderr
    assert first.alive, "the first had ended: the second was refused for another reason"
    assert first.ended().result["written"] == 4
