"""A portal of projects under norms, and the commands over it: what the tests of recount and reports start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from desk import Desk
from rehearsal import Ended
from sandbox_process import SandboxProcess

PIPELINE = "Проекты"
NEW, EXPERTISE, HANDOVER, WON, LOST = "C1:NEW", "C1:UC_000002", "C1:UC_000003", "C1:WON", "C1:LOSE"
STAGES = [
    {"name": "Новая заявка"},
    {"name": "Экспертиза"},
    {"name": "Передача"},
    {"name": "Завершён", "semantics": "S"},
    {"name": "Отменён", "semantics": "F"},
]
START, PLAN_END = "UF_CRM_B24SYNC_STAGE_START", "UF_CRM_B24SYNC_STAGE_PLAN_END"
LEFT, TOTAL = "UF_CRM_B24SYNC_DAYS_LEFT", "UF_CRM_B24SYNC_OVERDUE_TOTAL"
OWN_DAYS = "UF_CRM_PLAN_DAYS"
RESULTS = (START, PLAN_END, LEFT, TOTAL)
FIELDS = [
    {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": START, "USER_TYPE_ID": "datetime"},
    {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": PLAN_END, "USER_TYPE_ID": "datetime"},
    {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": LEFT, "USER_TYPE_ID": "double"},
    {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": TOTAL, "USER_TYPE_ID": "double"},
    {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": OWN_DAYS, "USER_TYPE_ID": "double"},
]
NORMS = f"""
[[stages.norm]]
pipeline = "{PIPELINE}"
stage = "Новая заявка"
days = 2
calendar = "calendar"

[[stages.norm]]
pipeline = "{PIPELINE}"
stage = "Экспертиза"
days = 5
calendar = "calendar"
field = "{OWN_DAYS}"
"""

ZONE = ZoneInfo("Europe/Moscow")
FAST: dict[str, Any] = {"plan": "custom", "rate_per_s": 100, "burst": 500}


def days_ago(days: float) -> str:
    """A moment in the past as the portal takes it."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")


def deal(stage: str, *, created: float, moved: float | None = None, **fields: Any) -> dict[str, Any]:
    """A deal of a seed, `created` and `moved` days before the portal is made: older than the history, as imported."""
    base = {"title": f"Проект в {stage}", "categoryId": 1, "stageId": stage, "opportunity": 1000}
    ago = {"createdTime": created, "movedTime": created if moved is None else moved}
    return {"entityTypeId": 2, "fields": {**base, **fields}, "ago": ago}


def _dated(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item with its moments counted back from now: tests may come long after their module was read."""
    moments = {name: days_ago(days) for name, days in item.get("ago", {}).items()}
    return {"entityTypeId": item["entityTypeId"], "fields": {**item["fields"], **moments}}


def seed_of(deals: Sequence[Mapping[str, Any]], fields: Sequence[Mapping[str, Any]] = FIELDS) -> dict[str, Any]:
    """A portal with the pipeline, the fields and these deals, oldest first as an import needs them."""
    items = sorted(map(_dated, deals), key=lambda item: str(item["fields"]["createdTime"]))
    return {"categories": [{"name": PIPELINE, "stages": STAGES}], "userfields": list(fields), "items": items}


def a_long_night() -> str:
    """A schedule that ticks half a day from now: the night of a test is not over in the middle of it."""
    return f'[recount]\ncron = "0 {(datetime.now(ZONE).hour + 12) % 24} * * *"\n'


class NightDesk(Desk):
    """A desk with norms in its configuration."""

    def __init__(self, folder: Path, sandbox: SandboxProcess, more: str | None = None) -> None:
        super().__init__(folder, sandbox, NORMS + a_long_night() if more is None else more)

    def shown(self) -> dict[int, dict[str, Any]]:
        """The recounted fields of every deal, from the sandbox's own state."""
        rows = self.items(2, ",".join(["id", "stageId", *RESULTS]))
        return {int(str(row["id"])): row for row in rows}

    def updates(self, since: int = 0) -> int:
        """How many deals were updated, by the sandbox's ledger of calls."""
        return sum(
            row[1] == "crm.item.update" and row[2] == "ok"
            for call in self.sandbox.calls(since=since)
            for row in call["nested"]
        )

    def last_call(self) -> int:
        """The number of the sandbox's latest call."""
        return max((int(call["seq"]) for call in self.sandbox.calls()), default=0)

    def recount(self, *more: str) -> Ended:
        return self.run("recount", "--json", *more)
