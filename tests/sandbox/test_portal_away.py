"""The portal is blocked, gone, or down: a clear end with its exit code, and the same command completes later."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from rehearsal import (
    BLOCKED,
    DONE,
    IMPORTS,
    SANDBOX_OPTIONS,
    SCALE,
    STARTS,
    UNKNOWN_LEFT,
    WAYS,
    Rehearsal,
    assert_each_deal_once,
    assert_each_workflow_once,
    rows,
    seed_with,
    side_by_side,
)
from sandbox_process import lasting_port, running_sandbox

pytestmark = pytest.mark.waits

COUNT = 120
STARTS_WORDS = ["workflows", "start", "--all", "--json"]


def test_an_overloaded_portal_stops_every_process_and_both_go_on_later(tmp_path: Path) -> None:
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=rows(COUNT))
        sandbox.fault("overload", IMPORTS, nth=3)
        running = [rehearsal.start(*rehearsal.import_words()) for _ in range(2)]
        ended = [one.ended() for one in running]
        assert [one.code for one in ended] == [BLOCKED, BLOCKED], str(ended)
        assert all("OVERLOAD_LIMIT" in one.stderr for one in ended), ended
        assert "Bitrix24 support" in ended[0].stderr + ended[1].stderr
        [fault] = sandbox.faults()
        assert fault["fired"] == 1
        assert rehearsal.write_calls(fault["fired_calls"][0]) == [], "somebody went on calling a blocked portal"
        assert 0 < rehearsal.count_held() < COUNT
        again = rehearsal.run_import()
        assert again.code == DONE, again
        assert_each_deal_once(rehearsal)


def test_workflow_starts_stop_at_an_overloaded_portal_and_go_on_later(tmp_path: Path) -> None:
    planned = rows(COUNT)
    with running_sandbox(**{**SANDBOX_OPTIONS, "seed": seed_with(planned)}) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=planned)
        sandbox.fault("overload", STARTS, nth=3)
        ended = rehearsal.run(*STARTS_WORDS)
        assert ended.code == BLOCKED, ended
        [fault] = sandbox.faults()
        assert sandbox.calls(since=fault["fired_calls"][0]) == []
        assert 0 < rehearsal.count_started() < COUNT
        again = rehearsal.run(*STARTS_WORDS)
        assert again.code == DONE, again
        assert assert_each_workflow_once(rehearsal) == 0


def test_a_dead_webhook_is_told_and_nothing_is_sent(tmp_path: Path) -> None:
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        wrong = sandbox.url.replace("sandboxsecret", "forgottensecret")
        assert wrong != sandbox.url
        rehearsal = Rehearsal(tmp_path, sandbox, planned=rows(COUNT), webhook=wrong)
        ended = rehearsal.run_import()
        assert ended.code == BLOCKED, ended
        assert "forgottensecret" not in ended.stdout + ended.stderr
        assert rehearsal.write_calls() == []
        assert len(sandbox.calls()) == 1, "one call is enough to know"


def test_a_redirect_to_a_strange_host_is_not_followed(tmp_path: Path) -> None:
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=rows(COUNT), way="single_import")
        sandbox.fault("redirect", IMPORTS, nth=2, params={"location": "https://portal.example.net"})
        ended = rehearsal.run_import()
        assert ended.code == BLOCKED, ended
        assert "portal.example.net" in ended.stderr and "hosts" in ended.stderr
        assert 0 < rehearsal.count_held() < COUNT
        again = rehearsal.run_import()
        assert again.code == DONE, again
        assert_each_deal_once(rehearsal)


def test_a_portal_that_is_deleted_in_the_middle_and_comes_back(tmp_path: Path) -> None:
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=rows(COUNT))
        running = rehearsal.start(*rehearsal.import_words())
        while rehearsal.count_held() == 0 and running.alive:
            time.sleep(0.02)
        sandbox.switch(portal_deleted=True)
        ended = running.ended()
        assert ended.code == BLOCKED, ended
        assert "PORTAL_DELETED" in ended.stderr
        assert 0 < rehearsal.count_held() < COUNT
        sandbox.switch(portal_deleted=False)
        again = rehearsal.run_import()
        assert again.code == DONE, again
        assert_each_deal_once(rehearsal)


def down_for_a_whole_run(folder: Path) -> None:
    """Nothing listens at the portal's address, then it does."""
    port = lasting_port()
    with running_sandbox(**SANDBOX_OPTIONS, port=port) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=rows(COUNT))
    ended = rehearsal.run_import()
    assert ended.code == UNKNOWN_LEFT, ended
    assert "try again later" in ended.stderr
    with running_sandbox(**SANDBOX_OPTIONS, port=port) as sandbox:
        rehearsal.sandbox = sandbox
        again = rehearsal.run_import()
        assert again.code == DONE, again
        assert_each_deal_once(rehearsal)


def away_in_the_middle(kind: str, folder: Path) -> None:
    """From the third writing request on every request meets the fault, reading ones too, until it is cleared."""
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=rows(COUNT))
        sandbox.fault(kind, IMPORTS, nth=3, every=1)
        running = rehearsal.start(*rehearsal.import_words())
        while not sandbox.faults()[0]["fired"] and running.alive:
            time.sleep(0.02)
        sandbox.fault(kind, every=1)
        ended = running.ended()
        assert ended.code == UNKNOWN_LEFT, ended
        assert sandbox.faults()[1]["fired"] > 1
        assert 0 < rehearsal.count_held() < COUNT
        sandbox.clear_faults()
        again = rehearsal.run_import()
        assert again.code == DONE, again
        assert_each_deal_once(rehearsal)


def writes_vanish(folder: Path, *, history: bool) -> None:
    """Reading works, but nothing that writes gets through after the second request, until it does."""
    with running_sandbox(**{**SANDBOX_OPTIONS, "request_cap_s": 0.5 * SCALE}) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=rows(60), way="single_import", history=history)
        sandbox.fault("cut_before", IMPORTS, nth=2, every=1)
        ended = rehearsal.run_import()
        assert ended.code == UNKNOWN_LEFT, ended
        held = rehearsal.count_held()
        assert 0 < held < 60
        assert {state for state, _ in rehearsal.ledger().values()} <= {"done", "unknown", "planned"}
        sandbox.clear_faults()
        again = rehearsal.run_import()
        assert again.code == DONE, again
        assert_each_deal_once(rehearsal)


def test_a_portal_that_is_away_for_long_ends_the_run_and_the_next_one_completes(tmp_path: Path) -> None:
    plays: list[Callable[[Path], None]] = [
        down_for_a_whole_run,
        partial(away_in_the_middle, "refuse"),
        partial(away_in_the_middle, "cut_before"),
    ]
    side_by_side(partial(play, tmp_path / str(number)) for number, play in enumerate(plays))


STORM = ("refuse", "cut_before", "cut_after", "cut_middle", "html_502", "truncate", "nested_429", "redirect")


def stormy_day(way: str, seed: int, folder: Path) -> int:
    """Every second request breaks, reading or writing, in one way after the other; some runs later all is well.

    Returns how many faults fired.
    """
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=rows(COUNT // 2), way=way, history=bool(seed % 2))
        for number, kind in enumerate(random.Random(seed).sample(STORM, len(STORM))):
            sandbox.fault(kind, nth=2 * number + 1, every=2 * len(STORM) + 1)
        for _ in range(8):
            ended = rehearsal.run_import()
            assert ended.code in (DONE, UNKNOWN_LEFT), ended
            if ended.code == DONE:
                break
        assert ended.code == DONE, ended
        fired = sum(int(fault["fired"]) for fault in sandbox.faults())
        sandbox.clear_faults()
        assert_each_deal_once(rehearsal)
        return fired


@pytest.mark.long
def test_twenty_stormy_days(tmp_path: Path) -> None:
    fired: list[int] = []
    for first in range(10, 30, 4):
        days = [partial(stormy_day, WAYS[n // 2 % 2], n, tmp_path / str(n)) for n in range(first, first + 4)]
        fired += side_by_side(days)
    assert min(fired) >= 2, "the weather was fine"


@pytest.mark.long
def test_an_import_whose_writes_vanish_gives_up_and_goes_on_later(tmp_path: Path) -> None:
    plays = [partial(writes_vanish, history=True), partial(writes_vanish, history=False)]
    side_by_side(partial(play, tmp_path / str(number)) for number, play in enumerate(plays))
