"""One request goes wrong, in each way a request can; the same command is run again. Nothing twice, nothing lost."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest
from broken_requests import (
    BREAKS,
    STARTS,
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
from reliability import write_figures

WAYS = ("batch_import", "single_import")
CALM: Calm = {"batch_import": 5, "single_import": 5, STARTS: 8}
"""Only the middle ones count in the short tests, so these need not be exact."""


def in_turn() -> Iterator[Import]:
    """Each fault once, both ways and both kinds of history in turn."""
    turns = itertools.cycle(itertools.product(WAYS, (False, True)))
    for fault in BREAKS:
        way, created_time = next(turns)
        yield Import(fault, way if BREAKS[fault].of_starts else "batch_import", created_time)


@pytest.mark.parametrize("job", in_turn(), ids=lambda job: job.fault)
def test_a_broken_request_costs_no_deal_and_no_workflow(job: Import, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        imported = pool.submit(play_import, job, tmp_path / "import", CALM)
        started = pool.submit(play_starts, Starts(job.fault), tmp_path / "starts", CALM) if _of_starts(job) else None
        assert imported.result().lost == 0
        assert started is None or started.result().started_twice == 0


def _of_starts(job: Import) -> bool:
    return BREAKS[job.fault].of_starts


@pytest.mark.long
def test_every_fault_at_the_first_a_middle_and_the_last_request(tmp_path: Path) -> None:
    calm = {way: calm_import(way, tmp_path / f"calm {way}") for way in WAYS}
    calm[STARTS] = calm_starts(tmp_path / "calm starts")
    plays: list[Callable[[Path], Verdict]] = []
    for fault, place in itertools.product(BREAKS, get_args(Place)):
        for way, created_time in itertools.product(WAYS, (False, True)):
            job = Import(fault, way, created_time, place)
            if job.applies:
                plays.append(lambda folder, job=job: play_import(job, folder, calm))
        start = Starts(fault, place)
        if start.applies:
            plays.append(lambda folder, start=start: play_starts(start, folder, calm))
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda numbered: numbered[1](tmp_path / str(numbered[0])), enumerate(plays)))
    write_figures("broken_requests", verdicts)
    assert len(verdicts) == len(plays)
    assert all(verdict.fired for verdict in verdicts)
    assert json.dumps([verdict.duplicates + verdict.lost + verdict.started_twice for verdict in verdicts])
