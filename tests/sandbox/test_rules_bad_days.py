"""Bad days of the daemon: events lost, doubled and shuffled, kills, cut connections; each cause acted on once.

The verdict is read from the sandbox: how often users really did something, and what stands there for it.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from daemon_desk import DaemonDesk, running_daemon
from daemon_process import children
from sandbox_process import PROJECT, SandboxProcess, running_sandbox

pytestmark = pytest.mark.waits

SEED: dict[str, Any] = {
    "userfields": [
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "CALLBACK", "USER_TYPE_ID": "datetime", "LABEL": "Дата перезвона"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "REFUSED", "USER_TYPE_ID": "boolean", "LABEL": "Отказ"},
    ],
}
RULES = """
[rules.first_call]
stage = "В работе"
max_acts_per_hour = 1000
[rules.callback]
[rules.refusal]
"""
FIRST_CALL, CALLBACK = "Позвонить клиенту 1 раз", "Вы обещали перезвонить клиенту"
SCALE, REQUEST_CAP_S = 60.0, 2.0
READS_PER_SWEEP = 3
"""Changed deals, new deals, the stage history."""
ON_THE_WAY = ("tasks.task.add", "tasks.task.update", "crm.item.add")


def portal() -> AbstractContextManager[SandboxProcess]:
    return running_sandbox(seed=SEED, scale=SCALE, request_cap_s=REQUEST_CAP_S * SCALE)


def kill(daemon: DaemonDesk, *, whole: bool) -> bool:
    """kill -9 of the process that runs the rules, with `whole` of the receiver too; False when there was none."""
    assert daemon.process is not None
    pids = children(daemon.process.pid)
    if whole:
        daemon.kill()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if whole:
        daemon.start()
    return bool(pids)


class Users:
    """People at work in the portal, and what they did that rules wait for."""

    def __init__(self, sandbox: SandboxProcess, count: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._sandbox = sandbox
        self.deals = [
            int(sandbox.act("item.add", entityTypeId=2, fields={"title": f"Сделка {n}", "assignedById": 5})["id"])
            for n in range(count)
        ]
        self.entered: Counter[int] = Counter()
        self.refused: set[int] = set()
        self.promised: dict[int, str] = {}
        self._stage = dict.fromkeys(self.deals, "Новая")

    def act(self) -> None:
        deal = self._chance.choice(self.deals)
        what = self._chance.random()
        if what < 0.5:
            stage = "Новая" if self._stage[deal] == "В работе" else "В работе"
            self._sandbox.act("deal.move", id=deal, stage=stage)
            self._stage[deal] = stage
            self.entered[deal] += stage == "В работе"
        elif what < 0.8 or deal in self.refused:
            moment = f"2027-03-{self._chance.randint(1, 28):02d}T12:00:00+03:00"
            self._sandbox.act("item.edit", entityTypeId=2, id=deal, fields={"UF_CRM_CALLBACK": moment})
            self.promised[deal] = moment
        else:
            self._sandbox.act("item.edit", entityTypeId=2, id=deal, fields={"UF_CRM_REFUSED": "Y"})
            self.refused.add(deal)

    # -- what stands there for it -------------------------------------------------------------------

    def calls(self) -> Counter[int]:
        return Counter(_deal(task) for task in self._sandbox.state("tasks") if task["TITLE"] == FIRST_CALL)

    def call_backs(self) -> dict[int, list[float]]:
        found: dict[int, list[float]] = {}
        for task in self._sandbox.state("tasks"):
            if task["TITLE"] == CALLBACK:
                found.setdefault(_deal(task), []).append(float(task["DEADLINE"]))
        return found

    def copies(self) -> Counter[int]:
        pairs = self._sandbox.state("origin_pairs", originatorId="b24sync-refusal")
        return Counter(int(key.partition(":")[0]) for _, key, _ in pairs)

    def have_more_than(self, tasks: int) -> bool:
        """Whether a task has come since there were so many, or all have."""
        return len(self._sandbox.state("tasks")) > tasks or self.done()

    def done(self) -> bool:
        """Whether everything that was to come has come (more than that is for the verdict)."""
        call_backs = self.call_backs()
        return (
            all(self.calls()[deal] >= count for deal, count in self.entered.items())
            and all(self.copies()[deal] >= 1 for deal in self.refused)
            and all(seconds(moment) in call_backs.get(deal, []) for deal, moment in self.promised.items())
        )

    def verdict(self) -> None:
        """Exactly what was to come, each once."""
        assert self.calls() == +self.entered
        assert self.copies() == Counter(self.refused)
        assert self.call_backs() == {deal: [seconds(moment)] for deal, moment in self.promised.items()}


def _deal(task: dict[str, Any]) -> int:
    (binding,) = task["UF_CRM_TASK"]
    return int(binding.removeprefix("D_"))


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize(
    ("deals", "acts", "kills", "shuffle_s"),
    [(10, 40, 3, 1.0), pytest.param(60, 600, 20, 60.0, marks=pytest.mark.long)],
)
def test_every_cause_is_acted_on_once(tmp_path: Path, deals: int, acts: int, kills: int, shuffle_s: float) -> None:
    with portal() as sandbox:
        play_bad_days(tmp_path, sandbox, deals, acts, kills, shuffle_s)


def play_bad_days(tmp_path: Path, sandbox: SandboxProcess, deals: int, acts: int, kills: int, shuffle_s: float) -> None:
    users = Users(sandbox, deals, seed=7)
    with running_daemon(tmp_path, sandbox, RULES, sweep="1s") as daemon:
        sandbox.post("knobs", {"drop": 0.2, "duplicate": 0.1, "shuffle_window_s": shuffle_s, "seed": 7})
        for method in ON_THE_WAY:
            sandbox.fault("cut_after", method, probability=0.15, seed=7)
        kills_done = in_the_middle = 0
        for number in range(1, acts + 1):
            users.act()
            if number % (acts // kills) == 0:
                written = len(sandbox.state("tasks"))
                daemon.wait_until(partial(users.have_more_than, written))
                in_the_middle += not users.done()
                kills_done += kill(daemon, whole=kills_done % 3 == 2)
        sandbox.post("knobs", {"drop": 0.0, "duplicate": 0.0, "shuffle_window_s": 0.0})
        daemon.wait_until(users.done)
        daemon.wait_until(lambda: sandbox.wait_idle(5.0), timeout_s=shuffle_s + 60)
        settle(daemon)
        users.verdict()
    figures = sandbox.figures()
    assert figures["events_dropped"] > 0 and figures["events_sent"] > 0
    assert sum(fault["fired"] for fault in sandbox.faults()) > 0
    assert kills_done >= kills - 1 and in_the_middle > 0


def settle(daemon: DaemonDesk) -> None:
    """Wait until two sweeps more have come and nothing is left to do."""
    sweeps = 2 * READS_PER_SWEEP

    def reads() -> int:
        return int(daemon.sandbox.figures()["requests_by_method"]["batch"])

    before = reads()
    daemon.wait_until(lambda: reads() >= before + sweeps)
    daemon.wait_until(lambda: not jobs_of_deals(daemon))


def jobs_of_deals(daemon: DaemonDesk) -> list[str]:
    """What is still to be done about deals; ticks of the schedule come and go."""
    rows = json.loads(daemon.run("jobs", "list", "--json").splitlines()[-1])
    return [row["lane"] for row in rows if row["lane"].startswith("deal:")]


COUNTS_IMPORTS = """
from b24sync.automation import *

counts = Process("counts", entity="deal", imported=True)

@counts.on(entered("PREPARATION"))
def prepare(deal, ctx):
    ctx.tasks.ensure("prepare", title="Подготовить", responsible=deal.assigned_by, about=deal)
"""
PREPARED_EVERY = 10


@pytest.mark.parametrize("count", [300, pytest.param(16_000, marks=pytest.mark.long)])
def test_an_import_makes_no_task_unless_a_rule_says_so(tmp_path: Path, count: int) -> None:
    with portal() as sandbox:
        play_import(tmp_path, sandbox, count)


def play_import(tmp_path: Path, sandbox: SandboxProcess, count: int) -> None:
    """The command imports while the daemon runs; the portal tells of imports by events, which it may."""
    sandbox.switch(import_events=True)
    stages = ["Подготовка документов" if n % PREPARED_EVERY == 0 else "Новая" for n in range(1, count + 1)]
    lines = [f"{n};Сделка {n};{stage};m.kuznetsova@example.ru" for n, stage in enumerate(stages, start=1)]
    (tmp_path / "deals.csv").write_text("\n".join(["Id;Title;Stage;Owner", *lines]), encoding="utf-8")
    mapping = (
        'entity = "deal"\noriginator = "old"\nkey = "Id"\n[columns]\n"Title" = "title"\n"Stage" = "stage"\n'
        '"Owner" = "assigned_by"\n'
    )
    (tmp_path / "deals.toml").write_text(mapping, encoding="utf-8")
    (tmp_path / "counts.py").write_text(COUNTS_IMPORTS, encoding="utf-8")
    files = f'["counts.py", "{PROJECT / "rules" / "first_call.py"}"]'
    rules = f'[paths]\nrules = {files}\n[rules.first_call]\nstage = "Новая"\n'
    with running_daemon(tmp_path, sandbox, rules, sweep="1s") as daemon:
        daemon.run("import", "run", str(tmp_path / "deals.csv"), "--mapping", str(tmp_path / "deals.toml"), "--yes")
        by_hand = int(sandbox.act("item.add", entityTypeId=2, fields={"title": "Руками", "assignedById": 5})["id"])
        daemon.wait_until(lambda: len(sandbox.state("tasks", binding=f"D_{by_hand}")) > 0, timeout_s=600)
        expected = {FIRST_CALL: 1, "Подготовить": count // PREPARED_EVERY}
        daemon.wait_until(lambda: len(sandbox.state("tasks")) >= sum(expected.values()), timeout_s=600)
        daemon.wait_until(lambda: sandbox.wait_idle(5.0), timeout_s=600)
        settle(daemon)
        assert Counter(task["TITLE"] for task in sandbox.state("tasks")) == expected
        assert len(sandbox.state("origin_pairs", originatorId="old")) == count
        assert sandbox.figures()["events_sent"] >= count
