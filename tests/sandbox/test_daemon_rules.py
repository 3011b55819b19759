"""The daemon with its rules, over real HTTP on both sides: users act in the sandbox, tasks appear there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from daemon_desk import running_daemon
from sandbox_process import SandboxProcess, lasting_port, running_sandbox

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


BROKEN = """
from b24sync.automation import *

broken = Process("a_broken_one", entity="deal")

@broken.on(entered("EXECUTING"))
def fail(deal, ctx):
    raise ValueError("boom")
"""
WHOLE = """
from b24sync.automation import *

whole = Process("whole", entity="deal")

@whole.on(entered("EXECUTING"))
def call(deal, ctx):
    ctx.tasks.ensure("call", title="Позвонить", responsible=deal.assigned_by, about=deal)
"""


def test_a_rule_that_raises_stops_only_its_own_jobs(tmp_path: Path, sandbox: SandboxProcess) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a_broken_one.py").write_text(BROKEN, encoding="utf-8")
    (tmp_path / "rules" / "whole.py").write_text(WHOLE, encoding="utf-8")
    deal = int(sandbox.act("item.add", entityTypeId=2, fields={"title": "Поставка", "assignedById": 5})["id"])
    with running_daemon(tmp_path, sandbox, "") as daemon:
        sandbox.act("deal.move", id=deal, stage="В работе")
        daemon.wait_until(lambda: "boom" in daemon.said())
        daemon.wait_until(lambda: len(tasks(sandbox)) > 0)
        assert "dead letter" not in daemon.said(), "it came when the broken rule was given up"


NAMED = """
from b24sync.automation import *

named = Process("named", entity="deal")

@named.on(entered("EXECUTING"))
def go_on(deal, ctx):
    ctx.move(deal, "Финальный счет")
    ctx.copy(deal, stage="Сделка провалена")

@named.on(entered("Финальный счет"))
def mistaken(deal, ctx):
    ctx.move(deal, "Сделка провалина")
"""


def test_stages_are_written_by_the_names_that_people_see(tmp_path: Path, sandbox: SandboxProcess) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "named.py").write_text(NAMED, encoding="utf-8")
    deal = int(sandbox.act("item.add", entityTypeId=2, fields={"title": "Поставка", "assignedById": 5})["id"])
    with running_daemon(tmp_path, sandbox, "") as daemon:
        sandbox.act("deal.move", id=deal, stage="В работе")
        daemon.wait_until(lambda: "dead letter" in daemon.said() and len(sandbox.state("items", entityTypeId=2)) == 2)
        stages = {row["stageId"] for row in sandbox.state("items", entityTypeId=2, select="stageId")}
        assert stages == {"FINAL_INVOICE", "LOSE"}
        assert "stage 'Сделка провалина' does not exist; nearest: Сделка провалена" in daemon.said()


ASKS = """
from b24sync.automation import *

class Params(RuleParams):
    boss: User = "a.orlova@example.ru"
    ways: list[str] = ["Курьер", "Самовывоз"]

asks = Process("asks", entity="deal", params=Params)

@asks.on(entered("EXECUTING"))
def ask(deal, ctx):
    ctx.ask("delivery", to=ctx.params.boss, text=f"Как доставить «{deal.title}»?", options=ctx.params.ways)

@asks.on(answered("delivery"))
def note(deal, ctx):
    ctx.set(deal, additional_info=ctx.cause.after)
"""


def test_a_question_is_answered_once_on_its_page(tmp_path: Path, sandbox: SandboxProcess) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "asks.py").write_text(ASKS, encoding="utf-8")
    deal = int(sandbox.act("item.add", entityTypeId=2, fields={"title": "Стол <б>", "assignedById": 5})["id"])
    port = lasting_port()
    with running_daemon(tmp_path, sandbox, "", port=port, public_url=f"http://127.0.0.1:{port}") as daemon:
        sandbox.act("deal.move", id=deal, stage="В работе")
        daemon.wait_until(lambda: len(sandbox.state("notifications")) > 0)
        (told,) = sandbox.state("notifications")
        assert told["USER_ID"] == 1
        page = daemon.url + "/ask/" + told["MESSAGE"].rpartition("/ask/")[2]
        shown = requests.get(page, timeout=60)
        assert shown.status_code == 200 and "Стол &lt;б&gt;" in shown.text
        assert [way in shown.text for way in ("Курьер", "Самовывоз")] == [True, True]
        assert "Ответ принят" not in requests.post(page, {"answer": "Голубем"}, timeout=60).text
        assert sandbox.act("answer", user=1, button="Самовывоз")["sent"] == {"answer": "Самовывоз"}
        assert "Ответ принят: Самовывоз" in requests.get(page, timeout=60).text
        assert "Ответ принят: Самовывоз" in requests.post(page, {"answer": "Курьер"}, timeout=60).text
        assert requests.get(page[:-1] + "x", timeout=60).status_code == 404

        def noted() -> str:
            (row,) = sandbox.state("items", entityTypeId=2, select="additionalInfo")
            return str(row["additionalInfo"] or "")

        daemon.wait_until(lambda: noted() != "")
        assert noted() == "Самовывоз"
