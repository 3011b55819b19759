"""`kill -9` at random moments, the same command again: each deal once, each workflow once."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kills import Chain, kill_imports, kill_starts, until_it_bites
from rehearsal import (
    DONE,
    IMPORTS,
    ROW_COST_S,
    SANDBOX_OPTIONS,
    SCALE,
    WAYS,
    Rehearsal,
    assert_each_deal_once,
    rows,
    side_by_side,
)
from reliability import write_figures
from sandbox_process import running_sandbox

pytestmark = pytest.mark.waits


def bit(chain: Chain, kills: int) -> bool:
    """It was killed that often, mostly between the first and the last row."""
    return len(chain.kills) == kills and chain.between * 2 > kills


def played(play: Callable[..., Chain], folder: Path, kills: int) -> Chain:
    chain: Chain = until_it_bites(partial(play, kills=kills), folder, partial(bit, kills=kills))
    return chain


def assert_it_bit(chain: Chain, kills: int) -> None:
    assert bit(chain, kills), chain
    assert (chain.held, chain.duplicates, chain.lost) == (chain.planned, 0, 0), chain


def test_killed_imports_go_on_where_they_stood(tmp_path: Path) -> None:
    with_history = partial(kill_imports, way="batch_import", created_time=True, seed=3)
    without = partial(kill_imports, way="single_import", created_time=False, seed=4)
    plays = enumerate((with_history, without))
    for chain in side_by_side(partial(played, play, tmp_path / str(number), kills=3) for number, play in plays):
        assert_it_bit(chain, 3)


def test_killed_workflow_starts_go_on_where_they_stood(tmp_path: Path) -> None:
    chain = played(partial(kill_starts, seed=5), tmp_path, kills=4)
    assert bit(chain, 4), chain
    assert (chain.duplicates, chain.lost) == (0, 0), chain


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_import_that_is_asked_to_end_waits_for_its_answer_says_so_and_goes_on(
    tmp_path: Path, number: int, code: int
) -> None:
    with running_sandbox(**{**SANDBOX_OPTIONS, "request_cap_s": 30 * SCALE}) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=rows(160), way="single_import", history=True)
        running = rehearsal.start(*rehearsal.import_words())
        while rehearsal.count_held() < 40 and running.alive:
            time.sleep(ROW_COST_S)
        running.process.send_signal(number)
        ended = running.ended()
        assert ended.code == code and "run the same command again" in ended.stderr, ended
        assert 0 < rehearsal.count_held() < 160
        states = Counter(state for state, _ in rehearsal.ledger().values())
        assert states == {"done": rehearsal.count_held(), "planned": 160 - rehearsal.count_held()}, "the answer counts"
        again = rehearsal.run_import()
        assert again.code == DONE, again
        assert_each_deal_once(rehearsal)


def test_nothing_overtakes_the_request_that_a_killed_import_left_in_flight(tmp_path: Path) -> None:
    """The portal takes no creation time earlier than its newest: rows sent too early would bar those in flight."""
    executed_later = partial(overtaken, "batch_import", {"kind": "slow", "params": {"after_s": 3.5}}, tmp_path / "1")
    never_executed = partial(overtaken, "single_import", {"kind": "hang_before"}, tmp_path / "2")
    side_by_side([executed_later, never_executed])


def overtaken(way: str, fault: dict[str, Any], folder: Path) -> None:
    """Kill an import with creation times while its third request is in flight, and run it again at once."""
    options = {**SANDBOX_OPTIONS, "request_cap_s": 5 * SCALE}
    with running_sandbox(**options) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=rows(160), way=way, history=True)
        sandbox.fault(fault["kind"], IMPORTS, nth=3, params=fault.get("params", {}))
        running = rehearsal.start(*rehearsal.import_words())
        while not sandbox.faults()[0]["fired"] and running.alive:
            time.sleep(ROW_COST_S)
        assert running.kill()
        held = rehearsal.count_held()
        assert 0 < held < 160
        ended = rehearsal.run_import()
        assert ended.code == DONE, ended
        assert_each_deal_once(rehearsal)


def test_another_file_does_not_overtake_the_request_that_a_killed_import_left_in_flight(tmp_path: Path) -> None:
    with running_sandbox(**{**SANDBOX_OPTIONS, "request_cap_s": 5 * SCALE}) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=rows(160), history=True)
        sandbox.fault("slow", IMPORTS, nth=3, params={"after_s": 3.5})
        running = rehearsal.start(*rehearsal.import_words())
        while not sandbox.faults()[0]["fired"] and running.alive:
            time.sleep(ROW_COST_S)
        assert running.kill()
        held = rehearsal.count_held()
        assert 0 < held < 160
        later = rehearsal.write_file("later.csv", rows(30, first=1000))
        ended = rehearsal.run_import(file=later)
        assert ended.code == DONE and ended.result["created"] == 30, ended
        assert sandbox.wait_idle()
        assert rehearsal.count_held() > held + 30, "what was in flight was barred by later rows"


@pytest.mark.long
def test_a_hundred_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    plays: list[Callable[[Path], Chain]] = [
        partial(kill_imports, way=way, created_time=created_time, seed=seed, kills=5)
        for seed in (101, 102, 103)
        for way in WAYS
        for created_time in (False, True)
    ]
    plays += [partial(kill_starts, seed=seed, kills=5) for seed in range(201, 209)]
    with ThreadPoolExecutor(3) as pool:
        chains = list(pool.map(lambda numbered: numbered[1](tmp_path / str(numbered[0])), enumerate(plays)))
    totals = {
        "kills": sum(len(chain.kills) for chain in chains),
        "between_first_and_last_row": sum(chain.between for chain in chains),
        "before_the_first_row": sum(kill.held == 0 for chain in chains for kill in chain.kills),
        "runs_that_ended_before_their_kill": sum(chain.ended_before for chain in chains),
        "rows_planned": sum(chain.planned for chain in chains),
        "duplicates": sum(chain.duplicates for chain in chains),
        "lost": sum(chain.lost for chain in chains),
        "starts_left_unknown": sum(chain.left_unknown for chain in chains),
    }
    write_figures("kills", chains, totals)
    assert totals["kills"] == 100
    assert totals["between_first_and_last_row"] > 50
    assert (totals["duplicates"], totals["lost"]) == (0, 0)
