"""The rule stage_overdue over what recounts write: each stay that runs out is told once, to two people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nights import EXPERTISE, FAST, FIELDS, LEFT, NEW, NORMS, NightDesk, deal, seed_of
from rules_site import RulesSite
from sandbox_process import SandboxProcess, running_sandbox

SELLER, HEAD = 5, 3
UPDATED = "ONCRMDEALUPDATE"


def told(sandbox: SandboxProcess) -> list[tuple[int, str]]:
    return sorted((note["USER_ID"], note["MESSAGE"]) for note in sandbox.state("notifications"))


def left(site: RulesSite, days: float) -> None:
    """What a recount writes, and the event of it."""
    fields: dict[str, Any] = {LEFT: days}
    site.edit(1, **fields)
    site.event(UPDATED, 1)


def test_a_stage_that_runs_out_is_told_once_to_responsible_and_head(tmp_path: Path) -> None:
    deals = [
        deal(EXPERTISE, created=30, moved=6, assignedById=SELLER),  # 1: a day late
        deal(EXPERTISE, created=20, moved=19, assignedById=SELLER),  # 2: late for a fortnight: the report's matter
        deal(NEW, created=1, assignedById=SELLER),  # 3: in time
    ]
    with running_sandbox(seed=seed_of(deals, FIELDS), **FAST) as sandbox:
        (tmp_path / "site").mkdir()
        site = RulesSite(tmp_path / "site", sandbox, stage_overdue={})
        site.sweep()
        desk = NightDesk(tmp_path, sandbox, NORMS)
        assert desk.recount().result["written"] == 3
        site.event(UPDATED, 1, 2, 3)
        notes = told(sandbox)
        assert [user_id for user_id, _ in notes] == [HEAD, SELLER]
        assert all("просрочка 1,0 дн." in text and "/crm/deal/details/1/" in text for _, text in notes)

        left(site, -2)
        assert told(sandbox) == notes, "told again a night later"

        left(site, 3)
        left(site, -0.5)
        assert len(told(sandbox)) == 4, "the next stay that runs out is told anew"
        assert site.messages("dead") == []
        site.close()
