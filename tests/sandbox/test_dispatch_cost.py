"""What a flood of updates costs in requests, and that the echoes of our own jobs cost no more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from rules_site import RulesSite
from sandbox_process import SandboxProcess, running_sandbox

from b24sync.automation.dispatch import WHOLE_SECONDS_S

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


@pytest.mark.waits
@pytest.mark.parametrize("count", [3000, pytest.param(16_000, marks=pytest.mark.long)])
def test_updates_of_many_deals_are_read_in_few_requests(tmp_path: Path, count: int) -> None:
    with running_sandbox(seed=seeded(count), plan="off") as sandbox:
        # Deals that were made just before a look may have moved within that second: their history is read as well.
        time.sleep(WHOLE_SECONDS_S + 1)
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


def test_deals_whose_events_are_still_on_their_way_are_not_read_twice(tmp_path: Path) -> None:
    """An import is faster than the portal tells of it: the stage history has thousands of rows of such deals."""
    count, told_first = 600, 120
    with running_sandbox(plan="off") as sandbox:
        site = RulesSite(tmp_path, sandbox, {"watch.py": RULE})
        for start in range(0, count, 50):
            fields = "entityTypeId=2&fields[title]=D"
            made = sandbox.rest("batch", {"cmd": {f"c{n:02d}": f"crm.item.add?{fields}" for n in range(50)}})
            assert not made["result"]["result_error"], start
        before = len(sandbox.calls())
        site.publish_events(("ONCRMDEALADD", deal_id) for deal_id in range(1, told_first + 1))
        site.run()
        site.publish_events(("ONCRMDEALADD", deal_id) for deal_id in range(told_first + 1, count + 1))
        site.run()
        calls = sandbox.calls()[before:]
        lists = [command for call in calls for command in call["nested"] if command[1] == "crm.item.list"]
        assert len(lists) == told_first // 50 + 1 + -(-(count - told_first) // 50)
        assert len(calls) <= 6
        assert site.messages("dead", "waiting", "begun") == []
        site.close()


@pytest.mark.waits
def test_a_move_without_an_event_is_found_although_the_history_is_long(tmp_path: Path) -> None:
    """It stands in the history behind the rows of deals whose events are on their way."""
    with running_sandbox(seed=seeded(400), plan="off") as sandbox:
        site = RulesSite(tmp_path, sandbox, {"watch.py": RULE.replace('changed("opportunity")', "entered()")})
        for deal_id in range(1, 301):
            site.move(deal_id, "PREPARATION")
        site.publish_events(("ONCRMDEALUPDATE", deal_id) for deal_id in range(1, 150))
        site.run()
        site.publish_events(("ONCRMDEALUPDATE", deal_id) for deal_id in range(150, 300))
        site.run()
        site.event("ONCRMDEALUPDATE", 400)
        jobs = [lane for lane, _, state, _ in site.messages() if lane.startswith("deal:") and state == "done"]
        assert sorted(jobs) == sorted(f"deal:{deal_id}" for deal_id in range(1, 301))
        site.close()
