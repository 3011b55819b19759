"""One request goes wrong, in each way a request can; the same command is run again. Nothing twice, nothing lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
from broken_requests import (
    BREAKS,
    Calm,
    Import,
    Place,
    Starts,
    Verdict,
    calm_import,
    calm_starts,
    play_import,
    play_starts,
)
from rehearsal import STARTS, WAYS, side_by_side
from reliability import write_figures

pytestmark = pytest.mark.waits

CALM: Calm = {"batch_import": 5, "single_import": 5, STARTS: 8}
"""The short tests break a request in the middle, so these need not be exact."""


def in_turn() -> Iterator[Import]:
    """Each fault once, in both ways and with both kinds of history in turn."""
    turns = itertools.cycle(itertools.product(WAYS, (False, True)))
    for fault, broken in BREAKS.items():
        way, created_time = next(turns)
        if not broken.kin:
            yield Import(fault, way if broken.of_starts else "batch_import", created_time)


JOBS = list(in_turn())
AT_ONCE = [JOBS[start : start + 4] for start in range(0, len(JOBS), 4)]
"""Four jobs and their starts side by side: most of their time is waiting for what may still be executed."""


@pytest.mark.parametrize("jobs", AT_ONCE, ids=lambda jobs: " + ".join(job.fault for job in jobs))
def test_a_broken_request_costs_no_deal_and_no_workflow(jobs: list[Import], tmp_path: Path) -> None:
    plays: list[Callable[[], Verdict]] = []
    for job in jobs:
        plays.append(partial(play_import, job, tmp_path / f"import {job.fault}", CALM))
        starts = Starts(job.fault)
        if starts.applies:
            plays.append(partial(play_starts, starts, tmp_path / f"starts {job.fault}", CALM))
    for verdict in side_by_side(plays):
        assert (verdict.lost, verdict.duplicates, verdict.started_twice) == (0, 0, 0), verdict


@pytest.mark.long
def test_every_fault_at_the_first_a_middle_and_the_last_request(tmp_path: Path) -> None:
    calm = {way: calm_import(way, tmp_path / f"calm {way}") for way in WAYS}
    calm[STARTS] = calm_starts(tmp_path / "calm starts")
    plays = list(every_play(calm))
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda numbered: numbered[1](tmp_path / str(numbered[0])), enumerate(plays)))
    totals = {
        "jobs": len(verdicts),
        "faults_fired": sum(verdict.fired for verdict in verdicts),
        "deals": sum(verdict.deals for verdict in verdicts),
        "duplicates": sum(verdict.duplicates for verdict in verdicts),
        "lost": sum(verdict.lost for verdict in verdicts),
        "workflows": sum(verdict.workflows for verdict in verdicts),
        "started_twice": sum(verdict.started_twice for verdict in verdicts),
        "left_unknown": sum(verdict.left_unknown for verdict in verdicts),
    }
    write_figures("broken_requests", verdicts, totals)
    assert totals["faults_fired"] >= len(plays)
    assert (totals["duplicates"], totals["lost"], totals["started_twice"]) == (0, 0, 0)


def every_play(calm: Calm) -> Iterator[Callable[[Path], Verdict]]:
    """Every job, to be called with a folder of its own."""
    for fault, place in itertools.product(BREAKS, get_args(Place)):
        for way, created_time in itertools.product(WAYS, (False, True)):
            job = Import(fault, way, created_time, place)
            if job.applies:
                yield partial(play_import, job, calm=calm)
        starts = Starts(fault, place)
        if starts.applies:
            yield partial(play_starts, starts, calm=calm)
