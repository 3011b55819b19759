"""The rule stage_dates in the daemon: a deal that enters a stage has its dates at once, and the recount agrees."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from daemon_desk import running_daemon
from nights import FAST, LEFT, NEW, NORMS, OWN_DAYS, PLAN_END, START, a_long_night, deal, seed_of
from sandbox_process import running_sandbox

RULE = "[rules.stage_dates]\n"
SELECT = ",".join(["id", START, PLAN_END, LEFT, OWN_DAYS])


@pytest.mark.waits
def test_a_deal_that_enters_a_stage_has_its_dates_at_once(tmp_path: Path) -> None:
    with (
        running_sandbox(seed=seed_of([deal(NEW, created=1)]), **FAST) as sandbox,
        running_daemon(tmp_path, sandbox, NORMS + RULE + a_long_night()) as daemon,
    ):

        def row() -> dict[str, Any]:
            return dict(sandbox.state("items", entityTypeId=2, select=SELECT)[0])

        assert json.loads(daemon.run("recount", "--json"))["written"] == 1
        sandbox.act("deal.move", id=1, stage="Экспертиза")
        daemon.wait_until(lambda: bool(row()[LEFT] == 5))
        shown = row()
        start, end = (datetime.fromisoformat(shown[code]) for code in (START, PLAN_END))
        assert (end - start, shown[OWN_DAYS]) == (timedelta(days=5), 5)
        assert datetime.now(start.tzinfo) - start < timedelta(minutes=5)
        assert json.loads(daemon.run("recount", "--json"))["changed"] == 0
