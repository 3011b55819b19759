"""What a flood of updates costs in requests, and that the echoes of our own jobs cost no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from rules_site import RulesSite
from sandbox_process import SandboxProcess, running_sandbox

RULE = (
    'from b24sync.automation import *\n@on("deal", changed("opportunity"))\n'
    'def watch(deal, ctx):\n    if ctx.cause.after == 7:\n        ctx.set(deal, title="seven")\n'
)
PER_LIST = 50 * 50
"""Deals that one request reads: 50 list commands of 50 ids."""


def seeded(count: int) -> dict[str, object]:
    items = [{"entityTypeId": 2, "fields": {"title": f"Сделка {n}", "opportunity": 1}} for n in range(count)]
    return {"items": items}


def requests_of(sandbox: SandboxProcess) -> int:
    return int(sandbox.figures()["requests"])


@pytest.mark.parametrize("count", [3000, pytest.param(16_000, marks=pytest.mark.long)])
def test_updates_of_many_deals_are_read_in_few_requests(tmp_path: Path, count: int) -> None:
    with running_sandbox(seed=seeded(count), plan="off") as sandbox:
        site = RulesSite(tmp_path, sandbox, {"watch.py": RULE})
        sandbox.rest(
            "batch",
            {"cmd": {"a": "crm.item.update?entityTypeId=2&id=1&fields[opportunity]=7"}},
        )
        for _ in range(2):
            before = requests_of(sandbox)
            site.publish_events(("ONCRMDEALUPDATE", deal_id) for deal_id in range(1, count + 1))
            site.run()
            used = requests_of(sandbox) - before
            assert used <= -(-count // PER_LIST) + 3, used
            assert used <= 40
        assert site.deal(1, "title")["title"] == "seven"
        assert site.messages("dead", "waiting", "begun") == []
        site.close()
