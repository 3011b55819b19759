"""Events and sweeps become causes, causes become jobs, each once; judged by what the sandbox holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rules_site import PORTAL, RulesSite
from sandbox_process import SandboxProcess, running_sandbox
from sqlalchemy import select, update

from b24sync.automation.dispatch import ask_message
from b24sync.portal import stage_history
from b24sync.portal.items import walk
from b24sync.portal.pages import items_of
from b24sync.portal.stage_history import history_after, newest_id
from b24sync.store.tables import inbox, lanes, writes

WATCH = '''
"""Counts every cause in the deal's comments, so that the sandbox tells how often it was acted on."""
from b24sync.automation import *

class Params(RuleParams):
    stage: Stage = "В работе"
    field: Field = "UF_CRM_NOTE"

watch = Process("watch", entity="deal", params=Params)

def add(deal, ctx, word):
    ctx.set(deal, additional_info=f"{deal.whole().get('additionalInfo') or ''} {word}".strip())

@watch.on(entered("stage"))
def work_began(deal, ctx):
    add(deal, ctx, "entered")

@watch.on(left("stage"))
def work_ended(deal, ctx):
    add(deal, ctx, "left")

@watch.on(changed("field"))
def note_changed(deal, ctx):
    add(deal, ctx, f"{ctx.cause.before or '-'}>{ctx.cause.after or '-'}")

@watch.on(created())
def is_new(deal, ctx):
    add(deal, ctx, "new")
'''
SEED = {
    "userfields": [
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "NOTE", "USER_TYPE_ID": "string", "LABEL": "Заметка"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "WHEN", "USER_TYPE_ID": "datetime", "LABEL": "Когда"},
    ]
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(seed=SEED, scale=60) as running:
        yield running


@pytest.fixture
def planted(sandbox: SandboxProcess) -> int:
    """A deal that stood in the portal before anybody watched."""
    sandbox.reset()
    return add_deal(sandbox, title="Старая")


@pytest.fixture
def site(tmp_path: Path, sandbox: SandboxProcess, planted: int) -> Iterator[RulesSite]:
    opened = RulesSite(tmp_path, sandbox, {"watch.py": WATCH})
    yield opened
    opened.close()


def add_deal(sandbox: SandboxProcess, **fields: Any) -> int:
    return int(sandbox.act("item.add", entityTypeId=2, fields=fields)["id"])


def told(site: RulesSite, deal_id: int) -> str:
    return str(site.deal(deal_id, "additionalInfo")["additionalInfo"] or "")


def test_what_was_there_before_is_no_cause(site: RulesSite, planted: int) -> None:
    site.event("ONCRMDEALUPDATE", planted)
    site.sweep()
    assert told(site, planted) == ""
    assert site.messages("dead") == []


def test_a_move_is_one_cause_whoever_tells_of_it(site: RulesSite, planted: int) -> None:
    site.move(planted, "В работе")
    for _ in range(2):
        site.event("ONCRMDEALUPDATE", planted)
        site.sweep()
    assert told(site, planted) == "entered"
    site.move(planted, "Новая")
    site.sweep()
    site.event("ONCRMDEALUPDATE", planted)
    assert told(site, planted) == "entered left"


def test_a_change_during_a_sweep_is_found_by_the_next(
    site: RulesSite, planted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def walk_for_ten_minutes(*arguments: Any) -> Iterator[dict[str, Any]]:
        yield from walk(*arguments)
        yield {"id": planted, "updatedTime": (datetime.now(UTC) + timedelta(minutes=10)).isoformat()}

    monkeypatch.setattr("b24sync.automation.sweeps.walk", walk_for_ten_minutes)
    site.sweep()
    monkeypatch.undo()
    site.edit(planted, UF_CRM_NOTE="в пути")
    site.sweep()
    assert told(site, planted) == "->в пути"


def test_stages_passed_between_two_looks_count(site: RulesSite, planted: int) -> None:
    for stage in ("В работе", "Новая", "В работе", "Новая"):
        site.move(planted, stage)
    site.event("ONCRMDEALUPDATE", planted)
    assert told(site, planted) == "entered left entered left"


def test_a_move_to_another_pipeline_sends_no_event_and_is_found(site: RulesSite, planted: int) -> None:
    site.move(planted, "В работе")
    site.sweep()
    site.sandbox.act("category.add", name="Проекты", stages=[{"name": "Начало"}])
    site.move(planted, "Начало", category="Проекты")
    site.sweep()
    assert told(site, planted) == "entered left"


@pytest.mark.parametrize("lacking", ["STAGE_ID", "OWNER_ID", "CREATED_TIME"])
def test_a_row_of_the_stage_history_that_lacks_what_is_needed_ends_nothing(
    site: RulesSite, planted: int, lacking: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for deal_id in (planted, other := add_deal(site.sandbox, title="Вторая")):
        site.event("ONCRMDEALUPDATE", deal_id)
    spoilt = newest_id(site.client) + 1
    whole = items_of

    def spoiling(result: Any) -> list[dict[str, Any]]:
        rows = whole(result)
        for row in rows:
            if str(row.get("ID")) == str(spoilt):
                row.pop(lacking, None)
        return rows

    monkeypatch.setattr("b24sync.portal.pages.items_of", spoiling)
    stage_history._tell_once.cache_clear()
    for deal_id in (planted, other):
        site.move(deal_id, "В работе")
    site.sweep()
    site.event("ONCRMDEALUPDATE", planted, other)
    assert (told(site, planted), told(site, other)) == ("entered", "new entered")
    assert site.messages("dead") == []
    assert [row.deal_id for row in history_after(site.client, spoilt - 1)] == [other]
    said = [record.message for record in caplog.records if "has rows without" in record.message]
    assert said == [f"the portal's stage history has rows without {lacking}: they are left out"]


def test_changes_are_net_and_numbered(site: RulesSite, planted: int) -> None:
    site.edit(planted, UF_CRM_NOTE="a")
    site.event("ONCRMDEALUPDATE", planted)
    site.edit(planted, UF_CRM_NOTE="b")
    site.edit(planted, UF_CRM_NOTE="a")
    site.event("ONCRMDEALUPDATE", planted)
    site.edit(planted, UF_CRM_NOTE="")
    site.event("ONCRMDEALUPDATE", planted, planted)
    assert told(site, planted) == "->a a>-"


def test_a_new_deal_is_new_whether_its_event_came_or_not(site: RulesSite) -> None:
    told_by_event = add_deal(site.sandbox, title="1", UF_CRM_NOTE="x")
    site.event("ONCRMDEALADD", told_by_event)
    missed = add_deal(site.sandbox, title="2", UF_CRM_NOTE="x")
    site.sweep()
    for deal_id in (told_by_event, missed):
        site.event("ONCRMDEALUPDATE", deal_id)
        assert sorted(told(site, deal_id).split()) == ["->x", "new"]


def test_a_deal_that_is_gone_is_no_fault(site: RulesSite, planted: int) -> None:
    site.sandbox.act("item.delete", entityTypeId=2, id=planted)
    site.event("ONCRMDEALUPDATE", planted, 10_000)
    site.event("ONCRMDEALDELETE", planted)
    assert site.messages("dead", "waiting", "begun") == []


DELETED = """
from b24sync.automation import *

@on("deal", deleted())
def tell(deal, ctx):
    ctx.tasks.ensure("tell", title=f"Удалена {deal.title}", responsible=5)

@on("deal", changed("opportunity"))
def sum_changed(deal, ctx): ...
"""


def test_a_deletion_without_an_event_is_found_once(
    tmp_path: Path, sandbox: SandboxProcess, planted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, third = (add_deal(sandbox, title=title) for title in ("Вторая", "Третья"))
    site = RulesSite(tmp_path, sandbox, {"deleted.py": DELETED})

    def told_of() -> list[str]:
        return sorted(task["TITLE"] for task in sandbox.state("tasks"))

    site.sweep()
    for deal_id in (planted, other):
        sandbox.act("item.delete", entityTypeId=2, id=deal_id)
    site.sweep()
    assert told_of() == [], "all ids are walked from time to time only"
    with monkeypatch.context() as few:
        few.setattr("b24sync.automation.sweeps.A_FEW_GONE", 0)
        site.sweep(deleted_every_s=0.0)
        assert told_of() == [], "so many are lost rights"
    for _ in range(2):
        site.sweep(deleted_every_s=0.0)
        assert told_of() == ["Удалена Вторая", "Удалена Старая"]
    monkeypatch.setattr("b24sync.automation.rule_jobs.FRESH_S", -1.0)
    site.edit(third, opportunity=5)
    site.publish_events([("ONCRMDEALUPDATE", third)])
    site.engine.run_lane(PORTAL, "dispatch")
    sandbox.act("item.delete", entityTypeId=2, id=third)
    site.run()
    assert len(told_of()) == 3, "a job that finds its item gone has it looked at"
    assert site.messages("dead") == []
    site.close()


DENIED = {"code": "ACCESS_DENIED", "text": "Access denied", "which": "all"}


def test_what_the_portal_refuses_to_show_is_not_gone_and_its_moves_count_later(site: RulesSite, planted: int) -> None:
    for stage in ("В работе", "Новая"):
        site.move(planted, stage)
    site.sandbox.fault("nested_error", "crm.item.list", count=2, params=DENIED)
    site.event("ONCRMDEALUPDATE", planted)
    site.engine.lanes.publish_now([ask_message(PORTAL, "history", "deal")])
    site.run()
    assert [fault["fired"] for fault in site.sandbox.faults()] == [2]
    assert site.rules.dispatcher().observer.causes.of_item("deal", planted) == []
    site.sweep()
    assert told(site, planted) == "entered left"


def test_a_job_whose_item_is_refused_is_tried_again(
    site: RulesSite, planted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("b24sync.automation.rule_jobs.FRESH_S", -1.0)
    site.move(planted, "В работе")
    site.sandbox.fault("nested_error", "crm.item.list", nth=2, params=DENIED)
    site.event("ONCRMDEALUPDATE", planted)
    assert [fault["fired"] for fault in site.sandbox.faults()] == [1]
    ((lane, _, _, message),) = site.messages("waiting", "begun")
    assert (lane, "ACCESS_DENIED" in str(message)) == (f"deal:{planted}", True)


def test_handlers_do_not_hear_themselves_but_others_do(tmp_path: Path, sandbox: SandboxProcess, planted: int) -> None:
    files = {
        "one.py": 'from b24sync.automation import *\n@on("deal", changed("opportunity"))\n'
        "def one(deal, ctx):\n    ctx.set(deal, opportunity=float(deal.opportunity) + 1)\n",
        "two.py": 'from b24sync.automation import *\n@on("deal", changed("opportunity"))\n'
        'def two(deal, ctx):\n    ctx.set(deal, title=f"{deal.title}+")\n',
    }
    site = RulesSite(tmp_path, sandbox, files)
    site.edit(planted, opportunity=10)
    site.event("ONCRMDEALUPDATE", planted)
    for _ in range(3):
        site.event("ONCRMDEALUPDATE", planted)
        site.sweep()
    assert {key: site.deal(planted)[key] for key in ("title", "opportunity")} == {
        "title": "Старая++",
        "opportunity": 11,
    }
    site.close()


def test_every_copy_of_a_deal_is_one_of_its_own(tmp_path: Path, sandbox: SandboxProcess, planted: int) -> None:
    text = (
        'from b24sync.automation import *\n@on("deal", changed("opportunity"))\n'
        'def {0}(deal, ctx):\n    ctx.copy(deal, stage="LOSE")\n'
    )
    site = RulesSite(tmp_path, sandbox, {"one.py": text.format("one"), "two.py": text.format("two")})
    for opportunity in (10, 20):
        site.edit(planted, opportunity=opportunity)
        site.event("ONCRMDEALUPDATE", planted)

    def copies() -> list[str]:
        found = sandbox.state("items", entityTypeId=2, originatorId="b24sync-refusal")
        return sorted(copy["originId"] for copy in found)

    assert copies() == [f"{planted}:{n}" for n in (1, 2, 3, 4)]
    assert len(site.messages("dead")) == 4 and "is not copied" in str(site.messages("dead")[0][3])
    with site.store.write() as connection:  # as if the process had died before it heard of the copies
        connection.execute(update(writes).where(writes.c.what == "deal@b24sync-refusal").values(state="unknown"))
        connection.execute(update(inbox).where(inbox.c.lane == f"deal:{planted}").values(state="waiting"))
        connection.execute(update(lanes).where(lanes.c.key == f"deal:{planted}").values(due_at=0.0))
    site.run()
    assert copies() == [f"{planted}:{n}" for n in (1, 2, 3, 4)]
    with site.store.read() as connection:
        held = select(writes.c.state).where(writes.c.what == "deal@b24sync-refusal")
        assert connection.execute(held).scalars().all() == ["done"] * 4
    site.close()


def test_two_rules_that_chase_each_other_are_stopped(tmp_path: Path, sandbox: SandboxProcess, planted: int) -> None:
    text = (
        'from b24sync.automation import *\n@on("deal", changed("opportunity"))\n'
        "def {0}(deal, ctx):\n    ctx.set(deal, opportunity=float(deal.opportunity) + 1)\n"
    )
    files = {"one.py": text.format("one"), "two.py": text.format("two")}
    site = RulesSite(tmp_path, sandbox, files, one={"max_acts_per_hour": 5}, two={"max_acts_per_hour": 5})
    other = add_deal(sandbox, title="Другая")
    site.sweep()
    site.edit(planted, opportunity=10)
    site.event("ONCRMDEALUPDATE", planted)
    assert float(site.deal(planted)["opportunity"]) <= 20
    dead = site.messages("dead")
    assert dead and all("taken for a loop" in str(message) for _, _, _, message in dead)
    site.edit(other, opportunity=1)
    site.event("ONCRMDEALUPDATE", other)
    assert float(site.deal(other)["opportunity"]) > 1
    site.close()


def test_a_rule_that_raises_stops_only_its_own_jobs(tmp_path: Path, sandbox: SandboxProcess, planted: int) -> None:
    files = {
        "bad.py": 'from b24sync.automation import *\n@on("deal", changed("opportunity"))\n'
        'def bad(deal, ctx):\n    raise GiveUp("so nicht")\n',
        "broken.py": "def (\n",
        "watch.py": WATCH,
    }
    site = RulesSite(tmp_path, sandbox, files)
    site.edit(planted, opportunity=10, UF_CRM_NOTE="x")
    site.event("ONCRMDEALUPDATE", planted)
    assert told(site, planted) == "->x"
    assert [(kind.split(":")[0], message) for _, kind, _, message in site.messages("dead")] == [("bad.bad", "so nicht")]
    site.close()


WAITS = """
from b24sync.automation import *

class Params(RuleParams):
    moment: Field = "UF_CRM_WHEN"

waits = Process("waits", entity="deal", params=Params)

@waits.on(entered("EXECUTING"))
def ask(deal, ctx):
    ctx.tasks.ensure("papers", title="Документы", responsible=5, about=deal, TASK_CONTROL="Y")

@waits.on(task_started("papers"))
def begun(deal, task, ctx):
    ctx.comment(deal, "начато")

@waits.on(task_completed("papers"), check_every="1s", give_up_after="{give_up}")
def papers_are_there(deal, task, ctx):
    if ctx.tasks.has_comment_with_files(task):
        ctx.comment(deal, "готово")

@waits.on(task_approved("papers"))
def approved(deal, task, ctx):
    ctx.comment(deal, "принято")

@waits.on(task_commented("papers"))
def commented(deal, task, ctx):
    ctx.comment(deal, f"сказано {ctx.cause.n}")

@waits.on(due("moment"))
def moment_has_come(deal, ctx):
    ctx.comment(deal, "пора")
"""


def comments_of(site: RulesSite, deal_id: int) -> list[str]:
    rows = site.sandbox.rest(
        "crm.timeline.comment.list", {"filter": {"ENTITY_ID": deal_id, "ENTITY_TYPE": "deal"}, "order": {"ID": "ASC"}}
    )["result"]
    return [row["COMMENT"] for row in rows]


@pytest.mark.parametrize("new_card", [True, False])
def test_a_task_is_followed_from_its_start_to_its_approval(
    tmp_path: Path, sandbox: SandboxProcess, planted: int, new_card: bool
) -> None:
    sandbox.switch(task_card="new" if new_card else "old")
    site = RulesSite(tmp_path, sandbox, {"waits.py": WAITS.replace("{give_up}", "1h")})
    site.move(planted, "В работе")
    site.event("ONCRMDEALUPDATE", planted)
    (task,) = sandbox.state("tasks")
    sandbox.act("task.start", task=task["ID"])
    site.task_event("ONTASKUPDATE", task["ID"])
    sandbox.act("task.complete", task=task["ID"])
    site.task_event("ONTASKUPDATE", task["ID"])
    assert comments_of(site, planted) == ["начато"]
    sandbox.act("task.comment", task=task["ID"], text="вот", files=[{"name": "a.pdf", "text": "x"}])
    site.task_event("ONTASKCOMMENTADD", task["ID"])
    site.run_until(lambda: "готово" in comments_of(site, planted))
    sandbox.act("task.approve", task=task["ID"])
    site.sweep()
    assert sorted(comments_of(site, planted)) == sorted(["начато", "сказано 1", "готово", "принято"])
    assert site.messages("dead", "waiting", "begun") == []
    site.close()


def test_a_task_whose_cause_was_forgotten_goes_on_and_is_not_made_twice(
    tmp_path: Path, sandbox: SandboxProcess, planted: int
) -> None:
    site = RulesSite(tmp_path, sandbox, {"waits.py": WAITS.replace("{give_up}", "1h")})
    for stage in ("В работе", "Новая", "В работе"):
        site.move(planted, stage)
        site.event("ONCRMDEALUPDATE", planted)
    first, _ = sorted(sandbox.state("tasks"), key=lambda task: int(task["ID"]))
    causes = site.rules.dispatcher().observer.causes
    entered = [cause.key for cause in causes.of_item("deal", planted) if cause.subject == "EXECUTING"]
    assert causes.forget_old(site.clock.wall_s() + 60) > 0
    left = [cause.key for cause in causes.of_item("deal", planted) if cause.subject == "EXECUTING"]
    assert set(entered) - set(left) == {"entered:EXECUTING#1"}, "the first task's cause is forgotten"

    sandbox.act("task.start", task=first["ID"])
    site.task_event("ONTASKUPDATE", first["ID"])
    assert comments_of(site, planted) == ["начато"]
    site.event("ONCRMDEALUPDATE", planted)
    site.sweep()
    assert len(sandbox.state("tasks")) == 2
    for stage in ("Новая", "В работе"):
        site.move(planted, stage)
        site.event("ONCRMDEALUPDATE", planted)
    assert len(sandbox.state("tasks")) == 3, "a new stay is a new cause"
    assert site.messages("dead") == []
    site.close()


def test_what_never_comes_is_given_up(tmp_path: Path, sandbox: SandboxProcess, planted: int) -> None:
    site = RulesSite(tmp_path, sandbox, {"waits.py": WAITS.replace("{give_up}", "2s")})
    site.move(planted, "В работе")
    site.event("ONCRMDEALUPDATE", planted)
    sandbox.act("task.complete", task=sandbox.state("tasks")[0]["ID"])
    site.sweep()
    site.run_until(lambda: bool(site.messages("dead")))
    assert "has waited 0:00:02 for what it waits for" in str(site.messages("dead")[0][3])
    site.close()


def test_a_moment_in_a_field_comes_once_and_only_if_it_stands_there_still(
    tmp_path: Path, sandbox: SandboxProcess, planted: int
) -> None:
    site = RulesSite(tmp_path, sandbox, {"waits.py": WAITS.replace("{give_up}", "1h")})
    soon, later = ((datetime.now(UTC) + timedelta(hours=n)).isoformat(timespec="seconds") for n in (1, 3))
    other = add_deal(sandbox, title="Другая")
    site.sweep()
    for deal_id in (planted, other):
        site.edit(deal_id, UF_CRM_WHEN=soon)
        site.event("ONCRMDEALUPDATE", deal_id)
    site.edit(other, UF_CRM_WHEN=later)
    site.event("ONCRMDEALUPDATE", other)
    assert (comments_of(site, planted), len(site.messages("waiting"))) == ([], 3)
    site.clock.ahead_s = 2 * 3600
    site.run_until(lambda: len(site.messages("waiting")) == 1)
    assert (comments_of(site, planted), comments_of(site, other)) == (["пора"], [])
    site.close()
