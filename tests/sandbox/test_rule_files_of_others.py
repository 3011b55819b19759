"""Rule files as somebody writes them from the page alone: every name, every documented form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_desk import running_daemon
from desk import Desk
from rules_site import RulesSite
from sandbox_process import SandboxProcess, running_sandbox

SEED = {
    "userfields": [
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "NOTE", "USER_TYPE_ID": "string", "LABEL": "Заметка"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "WHEN", "USER_TYPE_ID": "datetime", "LABEL": "Когда"},
    ],
    "templates": [{"NAME": "Звонок", "kind": "waits"}],
}

LEADS = '''
"""Лид -> лаборатория."""
from b24sync.automation import *

class Params(RuleParams):
    start: Stage = "Начали работу"
    invoiced: Stage = "Выставлен счёт"
    office_manager: User
    delivery_types: list[str] = ["Курьер", "Самовывоз"]

order = Process("lab_order", entity="lead", params=Params)

@order.on(entered("start"))
def prepare_documents(lead, ctx):
    ctx.tasks.ensure("documents", title=f"Подготовить документы: {lead.title}",
                     responsible=lead.assigned_by, about=lead)

@order.on(task_completed("documents"), check_every="30m", give_up_after="24h")
def invoice(lead, task, ctx):
    if ctx.tasks.has_comment_with_files(task):
        ctx.move(lead, ctx.params.invoiced)

@order.on(entered("invoiced"))
def ask_delivery(lead, ctx):
    ctx.ask("delivery", to=ctx.params.office_manager, text=f"Выберите тип доставки для Лида «{lead.title}»",
            options=ctx.params.delivery_types)

@order.on(answered("delivery"))
def chosen(lead, ctx):
    ctx.set(lead, comments=ctx.cause.after)
'''

ALL = """
from b24sync.automation import (
    Assign, Cause, Context, Duration, Field, FirstStage, GiveUp, Item, Pipeline, Process, RetryLater, RuleParams, Stage,
    Task, User, WorkflowTemplate, answered, ask, changed, created, deleted, due, entered, left, on, task_approved,
    task_commented, task_completed, task_started,
)

class Params(RuleParams):
    pipeline: Pipeline = 0
    first: FirstStage = "(first)"
    work: Stage = "В работе"
    failed: Stage = "Сделка провалена"
    boss: User = 5
    note: Field = "Заметка"
    when: Field = "UF_CRM_WHEN"
    closes: Field = "close_date"
    template: WorkflowTemplate = "Звонок"
    assign: Assign = [5, 7]
    pause: Duration = "2h"

every = Process("every", "deal", Params, enabled=True, imported=False)

def say(deal: Item, ctx: Context, word: str) -> None:
    ctx.comment(deal, word, step=word)

@every.on(created())
def is_new(deal: Item, ctx: Context) -> None:
    say(deal, ctx, "created")

@every.on(entered("work"))
def works(deal: Item, ctx: Context) -> None:
    cause: Cause = ctx.cause
    ctx.tasks.ensure("call", title="Звонок", responsible=ctx.params.boss, about=[deal], deadline=ctx.params.pause,
                     description="по телефону", TASK_CONTROL="Y")
    ctx.tasks.set_deadline("call", ctx.in_time(ctx.params.pause))
    ctx.tasks.ensure("short", title="Короткая", responsible=5, about=deal, deadline=ctx.now)
    ctx.tasks.complete("short")
    ctx.start_workflow(deal)
    ctx.start_workflow(deal, ctx.params.template)
    ctx.notify(ctx.params.boss, "в работе")
    ctx.notify(5, "в работе", step="second")
    ctx.mail(deal, to="anna@client.ru", subject="Заказ", text="Принят", sender="Отдел <sales@example.ru>")
    ctx.set(deal, {ctx.params.note: "a", "additional_info": "b"}, opportunity=10, source_description="c")
    ctx.set(deal, UF_CRM_WHEN="2030-01-01T10:00:00+03:00")
    ctx.assign(deal, ctx.turn([5, 7]))
    ctx.copy(deal, stage=ctx.params.failed, without=[ctx.params.note, "comments"])

@every.on(changed("opportunity", "assigned_by"))
def is_changed(deal, ctx):
    say(deal, ctx, f"changed {ctx.cause.subject} {ctx.cause.before}>{ctx.cause.after}")

@every.on(changed("Заметка"))
def titled(deal, ctx):
    say(deal, ctx, f"note {deal['UF_CRM_NOTE']} {deal.uf_crm_note} {deal['created_time'] == deal.createdTime}")

@every.on(entered("Финальный счет", "failed"))
def by_name(deal, ctx):
    say(deal, ctx, "final")

@every.on(left("*"))
def gone_from(deal, ctx):
    say(deal, ctx, "left")

@every.on(due("when"))
def is_due(deal, ctx):
    raise RetryLater("later")

@every.on(deleted())
def is_gone(deal, ctx):
    ctx.notify(ctx.params.boss, f"deleted {deal.id}")

@every.on(task_started("call"))
def started(deal: Item, task: Task, ctx: Context) -> None:
    say(deal, ctx, f"started {task.step}")

@every.on(task_commented("call"))
def commented(deal, task, ctx):
    said = [comment.text for comment in ctx.tasks.comments(task)]
    say(deal, ctx, f"commented {ctx.tasks.has_comment_with_files('call')}")

@every.on(task_completed("call"), check_every="1m", give_up_after="1d")
def completed(deal, task, ctx):
    say(deal, ctx, "completed")

@every.on(task_approved("call"))
def approved(deal, task, ctx):
    ask(ctx, "way", to=ctx.params.boss, text="Как?", options=["Так", "Иначе"])

@every.on(answered("way"))
def told(deal, ctx):
    ctx.again_later("no") if ctx.cause.after == "Иначе" else say(deal, ctx, "answered")

@on("deal", changed("title"))
def renamed(deal, ctx):
    raise GiveUp("enough")

@on("contact", changed("email"))
def other_kind(contact, ctx):
    ctx.comment(contact, "email")
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(seed=SEED, scale=60) as running:
        yield running


def rules_in(folder: Path, **files: str) -> None:
    (folder / "rules").mkdir()
    for name, text in files.items():
        (folder / "rules" / f"{name}.py").write_text(text, encoding="utf-8")


def deal_of(sandbox: SandboxProcess, **fields: object) -> int:
    return int(sandbox.act("item.add", entityTypeId=2, fields={"title": "Стол", "assignedById": 1, **fields})["id"])


def comments_on(sandbox: SandboxProcess, item_id: int) -> list[str]:
    return [row["COMMENT"] for row in sandbox.state("timeline_comments") if int(row["ENTITY_ID"]) == item_id]


def test_every_name_of_the_page_does_what_it_says(tmp_path: Path, sandbox: SandboxProcess) -> None:
    sandbox.reset()
    contact = int(sandbox.act("item.add", entityTypeId=3, fields={"name": "Анна"})["id"])
    rules_in(tmp_path, all=ALL)
    desk = Desk(tmp_path, sandbox, "")
    checked = desk.run("rules", "check")
    assert checked.code == 0, checked
    more = "[rules.every]\nmax_acts_per_hour = 100\n"
    with running_daemon(tmp_path, sandbox, more) as daemon:
        deal = deal_of(sandbox, contactIds=[contact])
        daemon.wait_until(lambda: "created" in comments_on(sandbox, deal))
        sandbox.act("deal.move", id=deal, stage="В работе")
        expected = {"created", "left", "changed opportunity 0>10", "note a a True"}

        def said() -> set[str]:
            return {text.replace("None>", "0>") for text in comments_on(sandbox, deal)}

        daemon.wait_until(lambda: expected <= said() and "final" in comments_on(sandbox, deal + 1))
        tasks = {task["TITLE"]: task for task in sandbox.state("tasks")}
        assert int(tasks["Короткая"]["STATUS"]) == 5
        assert len(sandbox.state("workflows")) == 1
        row = sandbox.state("items", entityTypeId=2, ids=deal, select="additionalInfo,sourceDescription,assignedById")
        assert [row[0][name] for name in ("additionalInfo", "sourceDescription", "assignedById")] == ["b", "c", 5]
        call = tasks["Звонок"]["ID"]
        for act, word in (
            ("task.start", "started call"),
            ("task.comment", "commented True"),
            ("task.complete", "completed"),
        ):
            files = {"text": "вот", "files": [{"name": "a.pdf", "text": "x"}]} if act == "task.comment" else {}
            sandbox.act(act, task=call, **files)
            daemon.wait_until(lambda word=word: word in said())  # type: ignore[misc]
        sandbox.act("task.approve", task=call)
        daemon.wait_until(lambda: any("Как?" in note["MESSAGE"] for note in sandbox.state("notifications")))
        sandbox.act("item.delete", entityTypeId=2, id=deal + 1)
        daemon.wait_until(
            lambda: any(f"deleted {deal + 1}" in note["MESSAGE"] for note in sandbox.state("notifications"))
        )
        dead = json.loads(daemon.run("jobs", "list", "--state", "dead", "--json").splitlines()[-1])
        assert {job["message"] for job in dead} == {"enough"}


def test_the_process_of_leads_runs_as_it_is_drawn(tmp_path: Path, sandbox: SandboxProcess) -> None:
    sandbox.reset()
    found = sandbox.rest("crm.status.list", {"filter": {"ENTITY_ID": "STATUS"}, "order": {"SORT": "ASC"}})["result"]
    names = [row["NAME"] for row in found]
    lab = {"start": names[1], "invoiced": names[2], "office_manager": 1}
    raw = {"daemon": {"public_url": "https://b24sync.example.ru"}}
    site = RulesSite(tmp_path, sandbox, {"lab_order.py": LEADS}, raw=raw, lab_order=lab)
    lead = int(sandbox.act("item.add", entityTypeId=1, fields={"title": "Анализ", "assignedById": 5})["id"])
    sandbox.act("deal.move", id=lead, stage=names[1], entityTypeId=1)
    site.event("ONCRMLEADUPDATE", lead)
    (task,) = sandbox.state("tasks")
    assert task["TITLE"] == "Подготовить документы: Анализ"
    sandbox.act("task.comment", task=task["ID"], text="вот", files=[{"name": "a.pdf", "text": "x"}])
    sandbox.act("task.complete", task=task["ID"])
    site.task_event("ONTASKUPDATE", int(task["ID"]))
    (row,) = sandbox.state("items", entityTypeId=1, ids=lead, select="stageId")
    assert row["stageId"] == found[2]["STATUS_ID"]
    assert "Выберите тип доставки для Лида «Анализ»" in sandbox.state("notifications")[0]["MESSAGE"]
    assert site.messages("dead") == []
    site.close()


def test_what_names_nothing_in_a_trigger_is_told_by_the_check(tmp_path: Path, sandbox: SandboxProcess) -> None:
    rules_in(
        tmp_path,
        wrong='from b24sync.automation import *\n@on("deal", entered("В работу"))\ndef a(deal, ctx): pass\n'
        '@on("deal", changed("UF_CRM_NOPE"))\ndef b(deal, ctx): pass\n'
        '@on("deal", left("WON"))\ndef c(deal, ctx): pass\n',
    )
    ended = Desk(tmp_path, sandbox, "").run("rules", "check")
    assert ended.code == 78
    for expected in ("[rules.a] a: entered(В работу): В работу is no parameter", "stage 'В работу' does not exist"):
        assert expected in ended.stderr.replace("\n", " ")
    assert "UF_CRM_NOPE" in ended.stderr and "rules.c" not in ended.stderr


def test_a_rehearsal_tells_of_deletions_departures_and_mistakes(tmp_path: Path, sandbox: SandboxProcess) -> None:
    sandbox.reset()
    deal = deal_of(sandbox, title="Стол", opportunity=3)
    desk = Desk(tmp_path, sandbox, "")
    file = desk.file(
        "rule.py",
        'from b24sync.automation import *\np = Process("p", "deal")\n'
        '@p.on(deleted())\ndef gone(deal, ctx):\n    ctx.notify(1, f"нет {deal.id}")\n'
        '@p.on(left("В работе"))\ndef away(deal, ctx):\n    ctx.notify(1, "ушла")\n'
        '@p.on(changed("opportunity"))\ndef wrong(deal, ctx):\n    ctx.nothing()\n',
    )

    def told(event: str) -> dict[str, list[str]]:
        ended = desk.run("rules", "test", file, "--event", event, "--json")
        assert ended.code == 0, ended
        return {row["handler"]: row["writes"] for row in json.loads(ended.stdout.splitlines()[-1])}

    now = told(f"ONCRMDEALUPDATE:{deal}")
    assert (now["p.gone"], now["p.away"]) == ([], ["notify user 1: ушла"])
    (fails,) = now["p.wrong"]
    assert fails.startswith("the handler fails: line 11: AttributeError"), fails
    assert told("ONCRMDEALDELETE:987654")["p.gone"] == ["notify user 1: нет 987654"]
