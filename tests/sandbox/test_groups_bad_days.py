"""Client groups on bad days: killed, cut off, run twice at once. One group per company, one letter per person."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from broken_requests import BREAKS
from clients import many, seed_of
from desk import Desk
from group_plays import METHODS, WORDS, assert_each_once, play_fault, play_kills, play_two_at_once
from kills import Chain, until_it_bites
from rehearsal import DONE, SCALE, side_by_side
from reliability import write_figures
from sandbox_process import running_sandbox

pytestmark = pytest.mark.waits

OF_GROUPS = [name for name, broken in BREAKS.items() if broken.of_starts]
CREATE, INVITE, ADMIT, CARD = METHODS
SHORT = {
    "cut before": [CREATE],
    "cut after commit": [CREATE, INVITE, ADMIT, CARD],
    "late": [CREATE, INVITE],
    "HTML 503, not executed": [INVITE],
}
"""What is not executed is believed only after the request cap and a grace: seconds for each."""


def test_killed_and_run_again_each_company_has_one_group(tmp_path: Path) -> None:
    def bit(chain: Chain) -> bool:
        return len(chain.kills) == 2 and chain.between >= 1

    chain = until_it_bites(partial(play_kills, seed=7, kills=2), tmp_path, bit)
    assert bit(chain), chain
    assert (chain.held, chain.duplicates, chain.lost) == (chain.planned, 0, 0), chain


def test_a_broken_request_and_two_runs_at_once_make_no_group_and_no_invitation_twice(tmp_path: Path) -> None:
    plays = [
        partial(play_fault, tmp_path / fault, fault, nth=1 + number % 2, methods=methods)
        for number, (fault, methods) in enumerate(SHORT.items())
    ]
    for verdict in side_by_side([*plays, partial(play_two_at_once, tmp_path / "two")]):
        assert (verdict.surplus_groups, verdict.groups, verdict.letters) == (0, verdict.companies, verdict.companies)


@pytest.mark.parametrize("clients", [200, pytest.param(1000, marks=pytest.mark.long)])
def test_many_clients_stay_within_the_limits(tmp_path: Path, clients: int) -> None:
    with running_sandbox(seed=seed_of(many(clients)), scale=SCALE) as sandbox:
        ended = Desk(tmp_path, sandbox).run(*WORDS)
        assert (ended.code, ended.result["created"], ended.result["invited"]) == (DONE, clients, clients), ended
        assert_each_once(sandbox, clients)
        figures = sandbox.figures()
        assert (figures["refused_503"], figures["refused_429"]) == (0, 0)
        assert figures["requests"] < clients * 0.15 + 20, "a batch of 50 for each of the four writes, and some reading"


@pytest.mark.long
def test_every_fault_at_the_first_and_a_later_request_and_forty_kills(tmp_path: Path) -> None:
    plays: list[Callable[[], Any]] = [
        partial(play_fault, tmp_path / f"{fault} {nth}", fault, nth=nth) for fault in OF_GROUPS for nth in (1, 2)
    ]
    kills = [partial(play_kills, tmp_path / f"kills {seed}", seed=seed, kills=5) for seed in range(301, 309)]
    with ThreadPoolExecutor(3) as pool:
        verdicts = list(pool.map(lambda play: play(), plays))
        chains = list(pool.map(lambda play: play(), kills))
    totals = {
        "jobs": len(verdicts),
        "faults_fired": sum(one.fired for one in verdicts),
        "surplus_groups": sum(one.surplus_groups for one in verdicts) + sum(one.duplicates for one in chains),
        "internal_groups": sum(one.internal for one in verdicts),
        "kills": sum(len(one.kills) for one in chains),
        "kills_between_first_and_last_write": sum(one.between for one in chains),
        "lost": sum(one.lost for one in chains),
    }
    write_figures("client_groups", [*verdicts, *chains], totals)
    assert (totals["kills"], totals["surplus_groups"], totals["internal_groups"], totals["lost"]) == (40, 0, 0, 0)
    assert totals["faults_fired"] == 4 * len(plays)
