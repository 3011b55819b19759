"""`b24sync rules`: what is there, what fits, what would be written, what was written and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_desk import running_daemon
from desk import Desk
from sandbox_process import PROJECT, SandboxProcess, running_sandbox

CONFIG = """
[rules.first_call]
stage = "В работе"
[rules.refusal]
field = "UF_CRM_NO"
"""
SEED = {"userfields": [{"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "NO", "USER_TYPE_ID": "boolean", "LABEL": "Отказ"}]}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(seed=SEED, scale=60) as running:
        yield running


@pytest.fixture
def deal(sandbox: SandboxProcess) -> int:
    sandbox.reset()
    return int(sandbox.act("item.add", entityTypeId=2, fields={"title": "Поставка", "assignedById": 5})["id"])


def test_the_list_names_every_bundled_rule(tmp_path: Path, sandbox: SandboxProcess) -> None:
    desk = Desk(tmp_path, sandbox, CONFIG)
    rows = json.loads(desk.run("rules", "list", "--json").stdout.splitlines()[-1])
    assert {row["rule"]: row["enabled"] for row in rows} == {
        "callback": False,
        "client_group": False,
        "client_group_task": False,
        "first_call": True,
        "refusal": True,
        "stage_dates": False,
        "stage_overdue": False,
        "stage_workflow": False,
    }
    text = desk.run("rules", "list").stdout
    assert "first_call           on     deal     entered(stage)" in text
    assert "client_group_task    off    deal" in text, "what nobody wants is not broken"


def test_the_check_tells_every_mistake_at_once(tmp_path: Path, sandbox: SandboxProcess) -> None:
    assert Desk(tmp_path, sandbox, CONFIG).run("rules", "check").code == 0
    wrong = '[rules.first_call]\nstage = "Нова"\ncolour = 1\n[rules.callback]\n[rules.nothing]\n'
    ended = Desk(tmp_path, sandbox, wrong).run("rules", "check")
    assert ended.code == 78
    for expected in (
        "[rules.first_call] colour: unknown parameter",
        "[rules.callback] field: field 'Дата перезвона' does not exist",
        "[rules.nothing]: no rule file",
    ):
        assert expected in ended.stderr


def test_what_a_rule_would_write_is_told_and_not_written(tmp_path: Path, sandbox: SandboxProcess, deal: int) -> None:
    desk = Desk(tmp_path, sandbox, CONFIG)
    sandbox.act("deal.move", id=deal, stage="В работе")
    before = sandbox.figures()
    told = json.loads(
        desk.run(
            "rules", "test", PROJECT / "rules" / "first_call.py", "--event", f"ONCRMDEALUPDATE:{deal}", "--json"
        ).stdout.splitlines()[-1]
    )
    (row,) = told
    assert row["handler"] == "first_call.call_the_client"
    assert "task «Позвонить клиенту 1 раз» for user 5" in row["writes"][0]
    event = desk.file("event.form", f"event=ONCRMDEALUPDATE&data%5BFIELDS%5D%5BID%5D={deal}&auth%5Bdomain%5D=x")
    sandbox.act("item.edit", entityTypeId=2, id=deal, fields={"UF_CRM_NO": "Y"})
    text = desk.run("rules", "test", PROJECT / "rules" / "refusal.py", "--event", event).stdout
    assert f"would write: copy deal {deal} to LOSE" in text
    assert (sandbox.state("tasks"), sandbox.figures()["items"]) == ([], before["items"])
    assert desk.run("rules", "test", PROJECT / "rules" / "refusal.py", "--event", "nonsense").code == 78


PAPERS = """
from b24sync.automation import *

papers = Process("papers", entity="deal")

@papers.on(entered("В работе"))
def ask(deal, ctx):
    ctx.tasks.ensure("papers", title="Документы", responsible=5, about=deal, TASK_CONTROL="Y")

@papers.on(task_started("papers"))
def begun(deal, task, ctx):
    ctx.comment(deal, f"{task.row['title']} начаты")

@papers.on(task_completed("papers", "copies"))
def there(deal, task, ctx):
    ctx.comment(deal, f"готово {task.step}: {ctx.tasks.has_comment_with_files(task)}")

@papers.on(task_approved("*"))
def good(deal, task, ctx):
    ctx.comment(deal, "принято")

@papers.on(task_commented("papers"))
def said(deal, task, ctx):
    ctx.tasks.complete(task)
"""


def test_what_a_rule_would_write_for_events_of_tasks(tmp_path: Path, sandbox: SandboxProcess, deal: int) -> None:
    desk = Desk(tmp_path, sandbox)
    file = desk.file("papers.py", PAPERS)
    fields = {"TITLE": "Документы", "RESPONSIBLE_ID": 5, "UF_CRM_TASK": [f"D_{deal}"], "TASK_CONTROL": "Y"}
    task = sandbox.rest("tasks.task.add", {"fields": fields})["result"]["task"]["id"]

    def would(event: str) -> list[tuple[str, str]]:
        ended = desk.run("rules", "test", file, "--event", event, "--json")
        assert ended.code == 0, ended
        rows = json.loads(ended.stdout.splitlines()[-1])
        return [(row["handler"].removeprefix("papers."), write) for row in rows for write in row["writes"]]

    assert would(f"ONTASKUPDATE:{task}") == []
    sandbox.act("task.start", task=task)
    before = sandbox.state("tasks")
    assert would(f"ONTASKUPDATE:{task}") == [("begun", f"comment deal {deal}: Документы начаты")]
    assert would(f"ONTASKCOMMENTADD:{task}") == [("said", f"finish task {task} «Документы»")]
    assert sandbox.state("tasks") == before, "nothing was written"
    sandbox.act("task.complete", task=task)
    done = [("there", f"comment deal {deal}: готово {step}: False") for step in ("copies", "papers")]
    assert would(f"ONTASKUPDATE:{task}") == done
    sandbox.act("task.approve", task=task)
    assert would(f"ONTASKUPDATE:{task}") == [*done, ("good", f"comment deal {deal}: принято")]
    form = f"event=ONTASKUPDATE&data%5BFIELDS_BEFORE%5D%5BID%5D={task}&data%5BFIELDS_AFTER%5D%5BID%5D={task}"
    assert would(str(desk.file("event.form", form))) == [*done, ("good", f"comment deal {deal}: принято")]
    assert "no task 999" in desk.run("rules", "test", file, "--event", "ONTASKUPDATE:999").stderr


def test_what_happened_is_explained(tmp_path: Path, sandbox: SandboxProcess, deal: int) -> None:
    with running_daemon(tmp_path, sandbox, CONFIG) as daemon:
        sandbox.act("deal.move", id=deal, stage="В работе")
        daemon.wait_until(lambda: len(sandbox.state("tasks")) > 0)

        def explained() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(
                daemon.run("rules", "explain", "deal", str(deal), "--json").splitlines()[-1]
            )
            return found

        daemon.wait_until(lambda: all(one["state"] == "done" for c in explained()["causes"] for one in c["started"]))
        found = explained()
        assert [row["event"] for row in found["events"]] == [f"ONCRMDEALUPDATE:{deal}"]
        by_cause = {cause["cause"]: cause for cause in found["causes"]}
        entered = by_cause["entered(EXECUTING)"]
        assert [row["handler"] for row in entered["started"]] == ["first_call.call_the_client"]
        assert entered["written"][0].startswith("task «Позвонить клиенту 1 раз» for user 5")
        assert {row["handler"]: row["why"] for row in entered["not_started"]} == {
            "refusal.keep_a_copy": "waits for changed(field), not for entered"
        }
        assert [row["why"] for row in by_cause["left(NEW)"]["not_started"]] != []
        text = daemon.run("rules", "explain", "deal", str(deal))
        assert "wrote: task «Позвонить клиенту 1 раз»" in text
        assert "not refusal.keep_a_copy: waits for changed(field), not for entered" in text
        assert "Nothing is known of deal 999" in daemon.run("rules", "explain", "deal", "999")
