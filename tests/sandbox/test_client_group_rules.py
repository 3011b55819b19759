"""The rules about client groups: the same code as `groups sync`, for one company, when something happens to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clients import CUSTOMER, RESPONSIBLE, SUPPLIER, USERS, groups_of, guests_of
from rules_site import RulesSite
from sandbox_process import SandboxProcess, running_sandbox

COMPANY, CONTACT, DEAL = 4, 3, 2
PETR = 6
ADDED, UPDATED = "ONCRMCOMPANYADD", "ONCRMCOMPANYUPDATE"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(seed={"users": USERS}, scale=60) as running:
        yield running


def add(sandbox: SandboxProcess, entity_type_id: int, **fields: Any) -> int:
    return int(sandbox.act("item.add", entityTypeId=entity_type_id, fields=fields)["id"])


def person(sandbox: SandboxProcess, email: str) -> int:
    fm = [{"typeId": "EMAIL", "valueType": "WORK", "value": email}]
    return add(sandbox, CONTACT, name="Анна", fm=fm)


def test_client_group(tmp_path: Path, sandbox: SandboxProcess) -> None:
    sandbox.reset()
    site = RulesSite(tmp_path, sandbox, client_group={})
    contact = person(sandbox, "anna@romashka.ru")
    supplier = {"title": "Ромашка", "typeId": SUPPLIER, "assignedById": RESPONSIBLE, "contactIds": [contact]}
    company = add(sandbox, COMPANY, **supplier)
    site.event(ADDED, company)
    assert groups_of(sandbox) == {}, "a supplier is no client"
    site.edit(company, COMPANY, typeId=CUSTOMER)
    site.event(UPDATED, company)
    site.event(UPDATED, company)
    site.sweep()
    (group,) = groups_of(sandbox)[company]
    assert (group["owner_id"], guests_of(sandbox, group)) == (RESPONSIBLE, {"anna@romashka.ru": "Z"})
    other = person(sandbox, "boris@romashka.ru")
    site.edit(company, COMPANY, contactIds=[other, contact])
    site.event(UPDATED, company)
    assert "boris@romashka.ru" in guests_of(sandbox, groups_of(sandbox)[company][0])
    assert site.messages("dead") == []
    site.close()


def test_client_group_task_makes_the_group_first(tmp_path: Path, sandbox: SandboxProcess) -> None:
    sandbox.reset()
    contact = person(sandbox, "anna@romashka.ru")
    company = add(sandbox, COMPANY, title="Ромашка", typeId=CUSTOMER, assignedById=RESPONSIBLE, contactIds=[contact])
    deal = add(sandbox, DEAL, title="Поставка", stageId="PREPARATION", assignedById=1, companyId=company)
    site = RulesSite(tmp_path, sandbox, client_group_task={"stage": "Новая", "assign": "petr@example.ru"})
    site.move(deal, "Новая")
    site.event("ONCRMDEALUPDATE", deal)
    site.event("ONCRMDEALUPDATE", deal)
    (group,) = groups_of(sandbox)[company]
    (task,) = sandbox.state("tasks")
    assert int(task["GROUP_ID"]) == group["id"]
    assert int(task["RESPONSIBLE_ID"]) == site.deal(deal)["assignedById"] == PETR
    assert (group["owner_id"], group["members"][str(PETR)]) == (RESPONSIBLE, "K")
    assert sorted(task["UF_CRM_TASK"]) == [f"CO_{company}", f"D_{deal}"]
    assert site.messages("dead") == []
    site.close()
