"""Acts of rules whose request goes wrong: each is done exactly once, as the sandbox holds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rehearsal import REQUEST_CAP_S, SCALE, side_by_side
from rules_site import PORTAL, RulesSite
from sandbox_process import SandboxProcess, running_sandbox

from b24sync.store.jobs import Jobs
from b24sync.store.ledger import count_open

pytestmark = pytest.mark.waits

MARIA, IVAN = 5, 7
DEAL, CONTACT = 2, 3
ACTS = f'''
"""Everything that a rule can write, for one deal."""
from b24sync.automation import *

class Params(RuleParams):
    stage: Stage = "В работе"
    failed: Stage = "Сделка провалена"

acts = Process("acts", entity="deal", params=Params)

@acts.on(entered("stage"))
def everything(deal, ctx):
    ctx.tasks.ensure("call", title="Звонок", responsible={MARIA}, about=deal, deadline=ctx.now)
    task = ctx.tasks.open("call")
    if task is not None:
        ctx.tasks.set_deadline(task, "2027-03-01T15:30:00+03:00")
        ctx.tasks.complete(task)
    ctx.notify({MARIA}, "Сделка в работе")
    ctx.comment(deal, "Взята в работу")
    ctx.mail(deal, to="anna@client.ru", subject="Ваш заказ", text="Принят", sender="Отдел <sales@example.ru>")
    ctx.copy(deal, stage=ctx.params.failed)
    ctx.set(deal, additional_info="проверено")
    ctx.assign(deal, {IVAN})
'''
TASK, DEADLINE, FINISH = "tasks.task.add", "tasks.task.update", "tasks.task.complete"
NOTIFY, COMMENT, MAIL = "im.notify", "crm.timeline.comment.add", "crm.activity.add"
COPY, PRODUCTS, SET = "crm.item.add", "crm.item.productrow.set", "crm.item.update"
METHODS = (TASK, DEADLINE, FINISH, NOTIFY, COMMENT, MAIL, COPY, PRODUCTS, SET)


def play(folder: Path, kind: str, methods: Sequence[str], **params: Any) -> None:
    """One deal enters the stage; the first request of each of `methods` meets a fault."""
    folder.mkdir()
    with running_sandbox(scale=SCALE, request_cap_s=REQUEST_CAP_S * SCALE) as sandbox:
        fm = [{"typeId": "EMAIL", "valueType": "WORK", "value": "anna@client.ru"}]
        contact = add(sandbox, CONTACT, name="Анна", fm=fm)
        deal = add(sandbox, DEAL, title="Поставка", stageId="NEW", assignedById=MARIA, contactIds=[contact])
        rows = [{"productName": "Стол", "price": 100, "quantity": 3}]
        sandbox.rest("crm.item.productrow.set", {"ownerType": "D", "ownerId": deal, "productRows": rows})
        site = RulesSite(folder, sandbox, {"acts.py": ACTS})
        for method in methods:
            sandbox.fault(kind, method, params=params)
        site.move(deal, "В работе")
        site.event("ONCRMDEALUPDATE", deal)
        site.run_until(lambda: site.deal(deal)["assignedById"] == IVAN and not site.messages("waiting", "begun"))
        assert [fault["fired"] for fault in sandbox.faults()] == [1] * len(methods), "not every fault bit"
        assert site.messages("dead") == []
        assert sandbox.wait_idle()
        assert_each_once(site, deal)
        assert count_open(site.store, PORTAL) == {}, "what was sent keeps its item busy"
        site.event("ONCRMDEALUPDATE", deal)
        site.sweep()
        assert_each_once(site, deal)
        site.close()


def add(sandbox: SandboxProcess, entity_type_id: int, **fields: Any) -> int:
    return int(sandbox.act("item.add", entityTypeId=entity_type_id, fields=fields)["id"])


def assert_each_once(site: RulesSite, deal: int) -> None:
    sandbox = site.sandbox
    (task,) = sandbox.state("tasks")
    assert (task["TITLE"], int(task["STATUS"]), task["UF_CRM_TASK"]) == ("Звонок", 5, [f"D_{deal}"])
    assert [row["MESSAGE"] for row in sandbox.state("notifications", user_id=MARIA)].count("Сделка в работе") == 1
    comments = Counter(row["COMMENT"] for row in sandbox.state("timeline_comments") if int(row["ENTITY_ID"]) == deal)
    assert comments["Взята в работу"] == 1
    mails = [one for one in sandbox.state("activities") if int(one["TYPE_ID"]) == 4]
    assert [one["SUBJECT"] for one in mails] == ["Ваш заказ"]
    assert int(mails[0]["COMMUNICATIONS"][0]["ENTITY_TYPE_ID"]) == CONTACT
    assert len([mail for mail in sandbox.state("mails") if "anna@client.ru" in str(mail)]) == 1
    (copy,) = sandbox.state("items", entityTypeId=DEAL, originatorId="b24sync-refusal")
    assert (copy["originId"], copy["stageId"], copy["title"]) == (f"{deal}:1", "LOSE", "Поставка")
    held = sandbox.rest("crm.item.productrow.list", {"filter": {"=ownerType": "D", "=ownerId": copy["id"]}})
    assert [row["productName"] for row in held["result"]["productRows"]] == ["Стол"]
    now = site.deal(deal, "additionalInfo,assignedById")
    assert (now["additionalInfo"], now["assignedById"]) == ("проверено", IVAN)


def test_every_act_whose_answer_is_lost_is_done_once(tmp_path: Path) -> None:
    side_by_side(
        [
            partial(play, tmp_path / "lost", "cut_after", METHODS),
            partial(play, tmp_path / "never", "cut_before", (TASK,)),
            partial(play, tmp_path / "late", "late", (COMMENT, COPY), after_s=1.2),
            partial(play, tmp_path / "late_sets", "late", (FINISH, SET), after_s=1.2),
        ]
    )


LETTER = """
from b24sync.automation import *

letter = Process("letter", entity="deal", params=RuleParams)

@letter.on(changed("comments"))
def write(deal, ctx):
    ctx.mail(deal, to="anna@client.ru", subject="Ваш заказ", text="Принят")
"""


def test_a_letter_that_did_not_go_leaves_nothing_behind_and_goes_when_it_is_tried_again(tmp_path: Path) -> None:
    """The portal refuses a letter without a sender, and keeps its activity all the same (how-to-send-email.md)."""
    with running_sandbox(scale=SCALE, switches={"crm_mailbox": ""}) as sandbox:
        deal = add(sandbox, DEAL, title="Поставка", assignedById=MARIA)
        site = RulesSite(tmp_path, sandbox, {"letter.py": LETTER})
        site.edit(deal, comments="Напишите ей")
        site.event("ONCRMDEALUPDATE", deal)
        (dead,) = site.messages("dead")
        assert '"From" is not found' in str(dead[3])
        assert sandbox.state("activities") == [] and sandbox.state("mails") == []
        sandbox.switch(crm_mailbox="crm@example.ru")
        jobs = Jobs(site.store, PORTAL, site.clock)
        jobs.retry([job.id for job in jobs.dead()])
        site.run_until(lambda: sandbox.state("mails") != [])
        assert len(sandbox.state("activities")) == len(sandbox.state("mails")) == 1
        site.close()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["cut_before", "html_503", "error_500", "truncate", "nested_429", "refuse"])
def test_every_act_under_every_fault(tmp_path: Path, kind: str) -> None:
    play(tmp_path / kind, kind, METHODS)
