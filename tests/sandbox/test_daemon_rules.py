"""The daemon with its rules, over real HTTP on both sides: users act in the sandbox, tasks appear there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_desk import running_daemon
from sandbox_process import SandboxProcess, running_sandbox

RULES = '[rules.first_call]\nstage = "В работе"\n'


@pytest.fixture
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(scale=60) as running:
        yield running


def tasks(sandbox: SandboxProcess) -> list[dict[str, Any]]:
    return list(sandbox.state("tasks"))


def test_a_user_moves_a_deal_and_a_task_appears(tmp_path: Path, sandbox: SandboxProcess) -> None:
    deal = int(sandbox.act("item.add", entityTypeId=2, fields={"title": "Поставка", "assignedById": 5})["id"])
    with running_daemon(tmp_path, sandbox, RULES) as daemon:
        sandbox.act("deal.move", id=deal, stage="В работе")
        daemon.wait_until(lambda: len(tasks(sandbox)) > 0)
        (task,) = tasks(sandbox)
        assert (task["RESPONSIBLE_ID"], task["UF_CRM_TASK"]) == (5, [f"D_{deal}"])


def test_without_a_public_address_it_works_by_sweeps(tmp_path: Path, sandbox: SandboxProcess) -> None:
    deal = int(sandbox.act("item.add", entityTypeId=2, fields={"title": "Поставка", "assignedById": 5})["id"])
    with running_daemon(tmp_path, sandbox, RULES, sweep="1s") as daemon:
        sandbox.post("knobs", {"drop": 1.0})
        sandbox.act("deal.move", id=deal, stage="В работе")
        daemon.wait_until(lambda: len(tasks(sandbox)) > 0)
        assert sandbox.figures()["events_dropped"] > 0
        assert sandbox.figures()["events_sent"] == 0
