"""Workflow starts of which only a trace tells: what a trace proves, and what it does not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rehearsal import (
    BLOCKED,
    DONE,
    SANDBOX_OPTIONS,
    SEED,
    STAGE_OF,
    STARTS,
    TRACE,
    TRACE_FIELD,
    UNKNOWN_LEFT,
    Ended,
    Rehearsal,
    assert_each_workflow_once,
    rows,
    seed_with,
)
from sandbox_process import SandboxProcess, running_sandbox

pytestmark = pytest.mark.waits

COUNT = 40
WORDS = ["workflows", "start", "--all", "--json"]
TRACED = [replace(row, stage=STAGE_OF[TRACE]) for row in rows(COUNT)]


def portal(**template: Any) -> dict[str, Any]:
    """Options of a portal whose deals all stand in the stage of the tracing template."""
    others = [one for one in SEED["templates"] if one["NAME"] != TRACE]
    tracing = {"NAME": TRACE, "kind": "trace", "trace_field": TRACE_FIELD, **template}
    return {**SANDBOX_OPTIONS, "seed": {**seed_with(TRACED), "templates": [*others, tracing]}}


def deal_ids(sandbox: SandboxProcess) -> list[int]:
    """Ids of all deals."""
    return [deal["id"] for deal in sandbox.state("items", select="id")]


def test_a_trace_that_a_person_changed_before_the_start_is_no_proof_of_it(tmp_path: Path) -> None:
    with running_sandbox(**portal()) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=TRACED)
        sandbox.fault("overload", STARTS)
        ended = rehearsal.run(*WORDS)
        assert (ended.code, rehearsal.count_started()) == (BLOCKED, 0), ended
        for deal_id in deal_ids(sandbox):
            sandbox.act("item.edit", id=deal_id, fields={TRACE_FIELD: "рукой"})
        sandbox.fault("cut_before", STARTS)
        ended = rehearsal.run(*WORDS)
        assert sandbox.faults()[-1]["fired"] == 1
        assert assert_each_workflow_once(rehearsal) == 0
        assert ended.code == DONE, ended


def second_stay(folder: Path, kind: str, template: dict[str, Any]) -> tuple[Ended, Counter[int]]:
    """All deals leave their stage and come back; the first request of their second starts meets a fault.

    Returns how the command ended, and by how many deals how many starts the sandbox has of each.
    """
    with running_sandbox(**portal(**template)) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=TRACED)
        ended = rehearsal.run(*WORDS)
        assert (ended.code, rehearsal.count_started()) == (DONE, COUNT), ended
        stage = sandbox.state("items", select="stageId")[0]["stageId"]
        for deal_id in deal_ids(sandbox):
            sandbox.act("deal.move", id=deal_id, stage="C1:NEW")
            sandbox.act("deal.move", id=deal_id, stage=stage)
        sandbox.fault(kind, STARTS)
        first = rehearsal.run(*WORDS)
        assert sandbox.faults()[-1]["fired"] == 1
        second = rehearsal.run(*WORDS)
        assert second.code == first.code, f"{first}\n{second}"
        return second, Counter(Counter(deal for _, deal, _ in rehearsal.starts().elements()).values())


def test_a_trace_that_looks_the_same_after_every_start_proves_nothing_the_second_time(tmp_path: Path) -> None:
    ended, starts = second_stay(tmp_path, "cut_after", {"trace_value": "да"})
    assert starts == {2: COUNT}, "started a third time, or lost"
    assert ended.code == UNKNOWN_LEFT and 0 < ended.result["unknown"] <= 25, ended


def test_a_trace_that_differs_from_start_to_start_proves_it_the_second_time_too(tmp_path: Path) -> None:
    ended, starts = second_stay(tmp_path, "cut_before", {})
    assert starts == {2: COUNT}, "started a third time, or lost"
    assert ended.code == DONE, ended
