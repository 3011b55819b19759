"""The deal case's processes, as the bundled rule files do them; judged by the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rules_site import RulesSite
from sandbox_process import SandboxProcess, running_sandbox

CALLBACK, REFUSED = "UF_CRM_CALLBACK", "UF_CRM_REFUSED"
SEED: dict[str, Any] = {
    "userfields": [
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "CALLBACK", "USER_TYPE_ID": "datetime", "LABEL": "Дата перезвона"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "REFUSED", "USER_TYPE_ID": "boolean", "LABEL": "Отказ"},
    ],
}
MARIA, IVAN, PETR, ANNA = 5, 7, 3, 1


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(seed=SEED, scale=60) as running:
        yield running


class Desk:
    """A site with some of the bundled rules switched on, and one deal in the stage before."""

    def __init__(self, folder: Path, sandbox: SandboxProcess, **tables: Any) -> None:
        sandbox.reset()
        self.sandbox = sandbox
        self.deal = self.add(title="Поставка", stageId="PREPARATION", assignedById=MARIA)
        raw = {"workflows": tables.pop("workflows", {})}
        self.site = RulesSite(folder, sandbox, raw=raw, **tables)

    def add(self, **fields: Any) -> int:
        return int(self.sandbox.act("item.add", entityTypeId=2, fields=fields)["id"])

    def tasks(self) -> list[dict[str, Any]]:
        return list(self.sandbox.state("tasks"))

    def edit(self, **fields: Any) -> None:
        self.site.edit(self.deal, **fields)
        self.site.event("ONCRMDEALUPDATE", self.deal)

    def move(self, stage: str) -> None:
        self.site.move(self.deal, stage)
        self.site.event("ONCRMDEALUPDATE", self.deal)
        assert self.site.messages("dead", "begun") == []


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_first_call(tmp_path: Path, sandbox: SandboxProcess) -> None:
    desk = Desk(tmp_path, sandbox, first_call={"stage": "Новая", "deadline": "2h"})
    desk.move("Новая")
    desk.site.sweep()
    desk.site.event("ONCRMDEALUPDATE", desk.deal)
    (task,) = desk.tasks()
    assert (task["TITLE"], int(task["RESPONSIBLE_ID"])) == ("Позвонить клиенту 1 раз", MARIA)
    assert task["UF_CRM_TASK"] == [f"D_{desk.deal}"]
    assert 1.9 * 3600 < task["DEADLINE"] - task["CREATED_DATE"] < 2.1 * 3600
    desk.move("В работе")
    desk.move("Новая")
    assert len(desk.tasks()) == 2


def test_first_call_of_a_new_deal_in_the_first_stage(tmp_path: Path, sandbox: SandboxProcess) -> None:
    desk = Desk(tmp_path, sandbox, first_call={})
    new = desk.add(title="Новая", assignedById=IVAN)
    desk.site.event("ONCRMDEALADD", new)
    desk.site.event("ONCRMDEALUPDATE", new)
    assert [(int(task["RESPONSIBLE_ID"]), task["UF_CRM_TASK"]) for task in desk.tasks()] == [(IVAN, [f"D_{new}"])]


def test_callback(tmp_path: Path, sandbox: SandboxProcess) -> None:
    desk = Desk(tmp_path, sandbox, callback={})
    desk.edit(**{CALLBACK: "2027-03-01T15:30:00+03:00"})
    (task,) = desk.tasks()
    assert (task["TITLE"], int(task["RESPONSIBLE_ID"])) == ("Вы обещали перезвонить клиенту", MARIA)
    assert task["DEADLINE"] == moment("2027-03-01T15:30:00+03:00")
    desk.edit(**{CALLBACK: "2027-03-02T10:00:00+03:00"})
    (task,) = desk.tasks()
    assert task["DEADLINE"] == moment("2027-03-02T10:00:00+03:00")
    desk.edit(**{CALLBACK: ""})
    (task,) = desk.tasks()
    assert int(task["STATUS"]) == 5
    desk.edit(**{CALLBACK: "2027-03-03T10:00:00+03:00"})
    assert [int(task["STATUS"]) for task in desk.tasks()] == [5, 2]


def test_callback_does_not_touch_a_task_that_somebody_finished(tmp_path: Path, sandbox: SandboxProcess) -> None:
    desk = Desk(tmp_path, sandbox, callback={})
    desk.edit(**{CALLBACK: "2027-03-01T15:30:00+03:00"})
    desk.sandbox.act("task.complete", task=desk.tasks()[0]["ID"])
    desk.edit(**{CALLBACK: "2027-03-05T15:30:00+03:00"})
    assert [int(task["STATUS"]) for task in desk.tasks()] == [5, 2]


def test_refusal(tmp_path: Path, sandbox: SandboxProcess) -> None:
    desk = Desk(tmp_path, sandbox, refusal={})
    contact = int(sandbox.act("item.add", entityTypeId=3, fields={"name": "Олег"})["id"])
    rows = [
        {"productName": "Стол", "price": 100.5, "quantity": 3},
        {"productName": "Стул", "price": 20, "quantity": 12},
    ]
    sandbox.rest("crm.item.productrow.set", {"ownerType": "D", "ownerId": desk.deal, "productRows": rows})
    desk.site.edit(desk.deal, contactIds=[contact], comments="важно")

    def copies() -> list[dict[str, Any]]:
        return list(sandbox.state("items", entityTypeId=2, originatorId="b24sync-refusal"))

    desk.edit(**{REFUSED: "Y"})
    desk.site.event("ONCRMDEALUPDATE", desk.deal)
    desk.site.sweep()
    (copy,) = copies()
    original = desk.site.deal(desk.deal, "title,stageId,opportunity,assignedById,comments,contactIds,originId")
    assert (copy["stageId"], original["stageId"]) == ("LOSE", "PREPARATION")
    assert copy["originId"] == f"{desk.deal}:1" and not original["originId"]
    for name in ("title", "opportunity", "assignedById", "comments", "contactIds"):
        assert copy[name] == original[name], name
    copied = sandbox.rest("crm.item.productrow.list", {"filter": {"=ownerType": "D", "=ownerId": copy["id"]}})
    held = [
        (row["productName"], float(row["price"]), float(row["quantity"])) for row in copied["result"]["productRows"]
    ]
    assert held == [("Стол", 100.5, 3.0), ("Стул", 20.0, 12.0)]
    for item_id, other in ((desk.deal, copy["id"]), (copy["id"], desk.deal)):
        comments = sandbox.rest(
            "crm.timeline.comment.list",
            {"filter": {"ENTITY_ID": item_id, "ENTITY_TYPE": "deal"}, "select": ["COMMENT"]},
        )["result"]
        assert [f"/crm/deal/details/{other}/" in row["COMMENT"] for row in comments] == [True]
    desk.edit(**{REFUSED: "N"})
    assert len(copies()) == 1
    desk.edit(**{REFUSED: "Y"})
    assert len({row["originId"] for row in copies()}) == len(copies()) == 2
    assert desk.site.messages("dead") == []


def test_stage_workflow_shares_its_ledger_with_the_command(tmp_path: Path, sandbox: SandboxProcess) -> None:
    start = {"pipeline": 0, "stage": "Новая", "template": "Первый звонок"}
    desk = Desk(tmp_path, sandbox, stage_workflow={}, workflows={"start": [start]})
    desk.move("Новая")
    desk.site.event("ONCRMDEALUPDATE", desk.deal)
    desk.site.sweep()
    assert [(one["template"], one["document_id"]) for one in sandbox.state("workflows")] == [
        ("Первый звонок", f"DEAL_{desk.deal}")
    ]
    desk.move("В работе")
    assert len(sandbox.state("workflows")) == 1
    sandbox.act("workflow.complete", template="Первый звонок")
    desk.move("Новая")
    assert len(sandbox.state("workflows")) == 2


def company_with_contact(sandbox: SandboxProcess, email: str, **fields: Any) -> int:
    fm = [{"typeId": "EMAIL", "valueType": "WORK", "value": email}]
    contact = sandbox.act("item.add", entityTypeId=3, fields={"name": "Олег", "lastName": "Лосев", "fm": fm})["id"]
    values = {"title": "ООО «Ромашка»", "assignedById": IVAN, "contactIds": [int(contact)], **fields}
    return int(sandbox.act("item.add", entityTypeId=4, fields=values)["id"])


@pytest.mark.parametrize(
    ("assign", "expected"),
    [("company", [IVAN, IVAN]), ("department_head", [PETR, PETR]), ([IVAN, ANNA], [IVAN, ANNA]), (ANNA, [ANNA, ANNA])],
)
def test_client_group_task(tmp_path: Path, sandbox: SandboxProcess, assign: Any, expected: list[int]) -> None:
    desk = Desk(tmp_path, sandbox, client_group_task={"stage": "В работе", "assign": assign})
    company = company_with_contact(sandbox, "oleg@client.ru")
    desk.edit(companyId=company)
    second = desk.add(title="Вторая", stageId="PREPARATION", assignedById=MARIA, companyId=company)
    desk.move("В работе")
    desk.site.move(second, "В работе")
    desk.site.event("ONCRMDEALUPDATE", second, desk.deal)
    (group,) = sandbox.state("groups")
    tasks = desk.tasks()
    assert [(task["RESPONSIBLE_ID"], task["GROUP_ID"]) for task in tasks] == [(one, group["id"]) for one in expected]
    assert [sorted(task["UF_CRM_TASK"]) for task in tasks] == [
        sorted([f"D_{deal}", f"CO_{company}"]) for deal in (desk.deal, second)
    ]
    assert [desk.site.deal(deal)["assignedById"] for deal in (desk.deal, second)] == expected
    assert desk.site.messages("dead") == []


def test_client_group(tmp_path: Path, sandbox: SandboxProcess) -> None:
    desk = Desk(tmp_path, sandbox, client_group={})
    supplier = company_with_contact(sandbox, "a@client.ru", typeId="SUPPLIER")
    desk.site.event("ONCRMCOMPANYADD", supplier)
    assert sandbox.state("groups") == []
    desk.site.edit(supplier, 4, typeId="CUSTOMER")
    desk.site.event("ONCRMCOMPANYUPDATE", supplier)
    assert len(sandbox.state("groups")) == 1
    client = company_with_contact(sandbox, "b@client.ru", title="ООО «Лютик»", typeId="CUSTOMER")
    desk.site.sweep()
    assert len(sandbox.state("groups")) == 2
    fm = [{"typeId": "EMAIL", "valueType": "WORK", "value": "c@client.ru"}]
    contact = int(sandbox.act("item.add", entityTypeId=3, fields={"name": "Яна", "fm": fm})["id"])
    desk.site.edit(client, 4, contactIds=[contact])
    desk.site.event("ONCRMCOMPANYUPDATE", client)
    assert "c@client.ru" in {user["email"] for user in sandbox.state("users")}
    assert desk.site.messages("dead", "waiting") == []
