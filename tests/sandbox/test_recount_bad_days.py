"""Nights that go wrong: killed, too short, out of budget, and a portal that changes under the recount."""

from __future__ import annotations

import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from kills import until_it_bites
from night_kills import (
    REQUEST_CAP_S,
    SCALE,
    SLOW_PORTAL,
    UPDATE_COST_S,
    Killed,
    assert_one_night,
    kill_recounts,
    projects,
    written,
)
from nights import EXPERTISE, FAST, LEFT, NEW, NORMS, START, TOTAL, NightDesk, deal, seed_of
from sandbox_process import running_sandbox

pytestmark = pytest.mark.waits


def bit(killed: Killed, kills: int) -> bool:
    return len(killed.kills) == kills and killed.between * 2 > kills


def assert_it_bit(killed: Killed, kills: int) -> None:
    assert bit(killed, kills), killed
    assert killed.updates == killed.deals, "a deal was written twice, or never"


def test_a_killed_night_goes_on_as_of_its_own_moment(tmp_path: Path) -> None:
    assert_it_bit(until_it_bites(partial(kill_recounts, seed=7, kills=2), tmp_path, partial(bit, kills=2)), 2)


@pytest.mark.long
def test_fifty_kills_write_every_deal_once_and_as_of_one_moment(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        chains = list(pool.map(lambda seed: kill_recounts(tmp_path / str(seed), seed=seed, kills=5), range(301, 311)))
    for killed in chains:
        assert_it_bit(killed, 5)


def test_a_night_that_gets_sigterm_ends_after_its_request_and_goes_on_at_once(tmp_path: Path) -> None:
    """The answer is waited for, also on a machine that stands still for longer than a short request cap."""
    with running_sandbox(seed=seed_of(projects(90)), **{**SLOW_PORTAL, "request_cap_s": 30 * SCALE}) as sandbox:
        desk = NightDesk(tmp_path, sandbox)
        running = desk.start("recount", "--json")
        while written(desk) < 5 and running.alive:
            time.sleep(0.02)
        running.process.send_signal(signal.SIGTERM)
        ended = running.ended()
        assert ended.code == 143 and "ended by SIGTERM" in ended.stderr, ended
        assert ended.result == {"error": ended.stderr.strip().removeprefix("b24sync: "), "exit_code": 143}
        assert 0 < written(desk) < 90
        with closing(sqlite3.connect(f"file:{desk.folder / 'store.db'}?mode=ro", uri=True)) as connection:
            states = {state for (state,) in connection.execute("SELECT state FROM writes WHERE what = 'recount'")}
        assert states == {"done", "planned"}, "nothing is left to look up"
        assert desk.recount().code == 0
        assert desk.updates() == 90
        assert_one_night(desk, 90)


def test_an_answer_that_was_lost_is_looked_up_by_reading_the_deals_back(tmp_path: Path) -> None:
    with running_sandbox(seed=seed_of(projects(90)), **SLOW_PORTAL) as sandbox:
        desk = NightDesk(tmp_path, sandbox)
        sandbox.fault("cut_after", "crm.item.update", nth=2)
        sandbox.fault("cut_middle", "crm.item.update", nth=3)
        ended = desk.recount()
        assert [fault["fired"] != [] for fault in sandbox.faults()] == [True, True], "a fault did not bite"
        assert ended.code == 0, ended
        assert (ended.result["written"], desk.updates()) == (90, 90)
        assert_one_night(desk, 90)


def test_a_night_out_of_budget_stops_in_its_window_and_goes_on_from_there(tmp_path: Path) -> None:
    """A window of the portal is three seconds here and takes some sixty updates."""
    scale = 200.0
    options = {"scale": scale, "costs": {"crm.item.update": UPDATE_COST_S * scale}}
    options |= {"request_cap_s": REQUEST_CAP_S * scale, "operating_limit_s": 1.2 * scale}
    with running_sandbox(seed=seed_of(projects(160)), **options) as sandbox:
        desk = NightDesk(tmp_path, sandbox)
        first = desk.recount("--max-duration", "5s")
        assert first.code == 75, first
        assert 0 < first.result["written"] < first.result["changed"] <= 160
        assert f"stopped after {first.result['written']} of {first.result['changed']} changed deals" in first.stderr
        assert written(desk) == first.result["written"]
        while (ended := desk.recount("--max-duration", "20s")).code == 75:
            assert ended.result["written"] > 0, ended
        assert ended.code == 0, ended
        assert sandbox.figures()["refused_429"] == 0, "the budget was overdrawn"
        assert desk.updates() == 160, "what was written before the stop was written again"
        assert_one_night(desk, 160)


@pytest.mark.parametrize("fault", ["refuse", pytest.param("html_503", marks=pytest.mark.long)])
def test_a_portal_that_is_away_ends_the_night_in_its_window(tmp_path: Path, fault: str) -> None:
    with running_sandbox(seed=seed_of(projects(60)), **SLOW_PORTAL) as sandbox:
        desk = NightDesk(tmp_path, sandbox)
        sandbox.fault(fault, "crm.item.update", nth=2, count=1000)
        began = time.monotonic()
        ended = desk.recount("--max-duration", "8s")
        assert sandbox.faults()[0]["fired"] != [], "the fault did not bite"
        assert ended.code == 75 and "stopped after" in ended.stderr, ended
        assert time.monotonic() - began < 60
        assert 0 < written(desk) < 60
        sandbox.clear_faults()
        assert desk.recount().code == 0
        assert_one_night(desk, 60)


def test_a_deal_deleted_during_the_night_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    with running_sandbox(seed=seed_of(projects(80)), **SLOW_PORTAL) as sandbox:
        desk = NightDesk(tmp_path, sandbox)
        running = desk.start("recount")
        while not written(desk):
            assert running.alive
            time.sleep(0.02)
        running.process.send_signal(signal.SIGSTOP)  # the next request is not sent before the deal is gone
        assert sandbox.wait_idle()
        left = [one for one, row in desk.shown().items() if row[START] is None]
        assert left, "all were written already"
        sandbox.act("item.delete", id=left[-1])
        running.process.send_signal(signal.SIGCONT)
        ended = running.ended()
        assert ended.code == 3 and "1 refused: NOT_FOUND" in ended.stderr, ended
        assert f"{79} written, 1 refused" in ended.stdout
        assert written(desk) == 79
        again = desk.recount()
        assert (again.code, again.result["seen"], again.result["changed"]) == (0, 79, 0)


def test_a_portal_that_is_rebuilt_between_two_nights_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    deals = [deal(EXPERTISE, created=30, moved=10), deal(NEW, created=1, assignedById=3), deal(NEW, created=3)]
    more = '[[stages.norm]]\npipeline = "Временная"\nstage = "Новая"\ndays = 1\n'
    with running_sandbox(seed=seed_of(deals), **FAST) as sandbox:
        sandbox.act("category.add", name="Временная")
        desk = NightDesk(tmp_path, sandbox, NORMS + more)
        assert desk.recount().result == {"seen": 3, "changed": 3, "written": 3, "refused": 0} | {
            "duration_s": pytest.approx(0, abs=60)
        }
        totals = {deal_id: row[TOTAL] for deal_id, row in desk.shown().items()}
        sandbox.act("stage.rename", stage="Экспертиза", category="Проекты", new_name="Проверка проекта")
        sandbox.act("stage.delete", stage="Новая заявка", category="Проекты")
        sandbox.act("category.delete", name="Временная")
        sandbox.act("item.delete", id=2)
        sandbox.act("user.dismiss", id=3)
        ended = desk.run("recount")
        assert ended.code == 0, ended
        for said in (
            "that stage is called 'Проверка проекта' now",
            "there is no such stage in 'Проекты'",
            "there is no pipeline 'Временная'",
            "1 deals are no longer in the portal",
            "Пётр Зайцев is dismissed and responsible for 1 open deals",
        ):
            assert said in ended.stderr, ended
        shown = desk.shown()
        late = next(row for row in shown.values() if row["stageId"] == EXPERTISE and row[LEFT] is not None)
        assert late[LEFT] == -5, "the renamed stage lost its norm"
        assert {deal_id: row[TOTAL] for deal_id, row in shown.items()} == {one: totals[one] for one in shown}
        assert 1 in totals.values(), "nobody was late in the stage that was deleted"
        report = desk.run("report", "stages", "--offline", "--format", "csv").stdout
        assert "Проекты,Проверка проекта," in report and "Проекты,Новая заявка," in report, (
            "a deleted stage lost its name"
        )
