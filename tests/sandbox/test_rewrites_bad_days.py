"""`kill -9` and broken requests while deals are updated or an import is undone: each carried out once, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from broken_requests import Place
from kills import Chain, until_it_bites
from rehearsal import side_by_side
from reliability import write_figures
from rewrites import FAULTS, Job, break_rewrite, calm_requests, every_play, kill_rewrites

pytestmark = pytest.mark.waits

JOBS: tuple[Job, ...] = get_args(Job)


def bit(chain: Chain) -> bool:
    return len(chain.kills) == 2 and chain.between >= 1


def test_killed_updates_and_deletions_go_on_where_they_stood(tmp_path: Path) -> None:
    plays = [
        partial(until_it_bites, partial(kill_rewrites, job=job, seed=seed, kills=2), tmp_path / job, bit)
        for seed, job in enumerate(JOBS, start=3)
    ]
    for chain in side_by_side(plays):
        assert bit(chain), chain
        assert (chain.held, chain.duplicates, chain.lost) == (chain.planned, 0, 0), chain


def test_a_broken_request_neither_repeats_nor_loses_an_update_or_a_deletion(tmp_path: Path) -> None:
    faults = {"update": ["cut after commit"], "undo": ["cut in the middle"]}
    plays: list[Callable[[], Any]] = [
        partial(break_rewrite, tmp_path / fault, job=job, fault=fault, place="first", requests=2)
        for job in JOBS
        for fault in faults[job]
    ]
    for verdict in side_by_side(plays):
        assert (verdict.duplicates, verdict.wrong) == (0, 0), verdict


@pytest.mark.long
def test_every_fault_and_forty_kills_of_updates_and_undo(tmp_path: Path) -> None:
    calm = {job: calm_requests(tmp_path / f"calm {job}", job) for job in JOBS}
    plays = list(every_play(calm, FAULTS, get_args(Place)))
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda numbered: numbered[1](tmp_path / str(numbered[0])), enumerate(plays)))
        kills = [partial(kill_rewrites, job=job, seed=seed, kills=5) for job in JOBS for seed in range(301, 305)]
        chains: list[Chain] = list(
            pool.map(lambda numbered: numbered[1](tmp_path / f"kill {numbered[0]}"), enumerate(kills))
        )
    totals = {
        "jobs": len(verdicts),
        "faults_fired": sum(verdict.fired for verdict in verdicts),
        "kills": sum(len(chain.kills) for chain in chains),
        "between_first_and_last_write": sum(chain.between for chain in chains),
        "carried_out_twice": sum(chain.duplicates for chain in chains)
        + sum(max(0, verdict.carried_out - 100) for verdict in verdicts),
        "wrong": sum(verdict.wrong for verdict in verdicts) + sum(chain.lost for chain in chains),
    }
    write_figures("rewrites", [*verdicts, *chains], totals)
    assert totals["faults_fired"] == totals["jobs"]
    assert totals["between_first_and_last_write"] * 2 > totals["kills"]
    assert (totals["carried_out_twice"], totals["wrong"]) == (0, 0)
