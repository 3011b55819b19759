"""Updates that a lost answer or a killed process left open. Judged by the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sandbox_process import SandboxProcess, running_sandbox
from wired import Wired, wired

from b24sync.importing.compare import Comparison
from b24sync.importing.links import Links
from b24sync.importing.updates import Change, ItemUpdater, UpdatePlanner, plan_changes
from b24sync.portal.items import DEAL
from b24sync.store.ledger import REFUSED, Ledger
from b24sync.store.runs import RunRow, update_key

COMPARISON = Comparison({}, ZoneInfo("Europe/Moscow"))
RUN = 1


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off") as running:
        yield running


@pytest.fixture
def portal(sandbox: SandboxProcess, tmp_path: Path) -> Iterator[Wired]:
    sandbox.reset()
    with wired(tmp_path, webhook=sandbox.url) as ready:
        yield ready


@pytest.fixture
def updates(portal: Wired) -> Ledger:
    return Ledger(portal.store, "main", "update deal@old", portal.clock)


def deal(sandbox: SandboxProcess, **fields: Any) -> int:
    answer = sandbox.rest("crm.item.add", {"entityTypeId": DEAL, "fields": {"title": "Сделка", **fields}})
    return int(answer["result"]["item"]["id"])


def test_an_item_that_went_with_an_unanswered_update_is_not_taken_for_an_emptied_one(
    sandbox: SandboxProcess, portal: Wired, updates: Ledger
) -> None:
    item_id = deal(sandbox, comments="Было")
    sandbox.rest("crm.item.delete", {"entityTypeId": DEAL, "id": item_id})
    change = Change("1/d1", item_id, {"comments": ""}, {})
    plan_changes(updates, iter([change]), RUN)
    sandbox.fault("cut_after", "crm.item.update")
    ItemUpdater(portal.client, updates, DEAL, COMPARISON).send(iter([change]))
    assert sandbox.faults()[-1]["fired"] == 1
    write = updates.states([change.key])[change.key]
    assert (write.state, write.code) == (REFUSED, "NOT_FOUND")


def test_a_killed_update_of_a_sum_keeps_it_from_the_product_rows_when_it_is_sent_again(
    sandbox: SandboxProcess, portal: Wired, updates: Ledger
) -> None:
    item_id = deal(sandbox, opportunity=100, isManualOpportunity="N")
    planner = UpdatePlanner(portal.client, DEAL, COMPARISON, Links(), updates, updates, run_id=RUN, pipeline_id=0)
    row = RunRow(2, "d1", "pending", json.dumps([{"opportunity": 500}]))

    def planned() -> dict[str, Any]:
        return dict(json.loads(planner.verdicts([row], {"d1": item_id})[2].draft or "")[1])

    first = planned()
    assert first == {"opportunity": 500, "isManualOpportunity": "Y"}
    change = Change(update_key(RUN, "d1"), item_id, first, {})
    plan_changes(updates, iter([change]), RUN)
    updates.claim([change.key])
    assert planned() == first
