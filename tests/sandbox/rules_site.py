"""Rules at work against a sandbox, in this process: what the daemon's worker does, step by step.

What became of it is read from the sandbox. Tests of the daemon itself start it as a subprocess.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from migrated_store import migrated_store
from sandbox_process import SandboxProcess
from sqlalchemy import select

from b24sync.automation.dispatch import Pace
from b24sync.automation.engine import Engine, Handler
from b24sync.automation.portal_rules import PortalRules
from b24sync.automation.sweeps import Sweeps
from b24sync.clock import SystemClock
from b24sync.config import Config, LimitsConfig, build_config
from b24sync.store.lanes import Message
from b24sync.store.tables import inbox
from b24sync.transport.address import Address
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Gate, Limits

PORTAL = "main"
ITEM_LANES = ("deal", "lead", "contact", "company", "item")
WAIT_S = 120.0


class OwnClock(SystemClock):
    """The machine's clock, put forward where a test does not want to wait: in time for what else it does before."""

    ahead_s = 0.0

    def wall_s(self) -> float:
        return super().wall_s() + self.ahead_s


class RulesSite:
    """A store, a folder of rule files and their configuration, against one sandbox."""

    def __init__(
        self,
        folder: Path,
        sandbox: SandboxProcess,
        files: Mapping[str, str] | None = None,
        *,
        raw: Mapping[str, Any] | None = None,
        **tables: Mapping[str, Any],
    ) -> None:
        self.sandbox = sandbox
        self.clock = OwnClock()
        self.store = migrated_store(folder)
        if files is not None:
            (folder / "rules").mkdir(exist_ok=True)
            for name, text in files.items():
                (folder / "rules" / name).write_text(text, encoding="utf-8")
        webhook = {"webhook": sandbox.url, "timezone": "Europe/Moscow"}
        limits = tomllib.loads(sandbox.toml_block)["limits"]
        parsed = {"portal": webhook, "limits": limits, "rules": dict(tables), **(raw or {})}
        self.config: Config = build_config(parsed, folder)
        self.client = self._client(self.config.limits)
        zone, pace = ZoneInfo("Europe/Moscow"), Pace(self.clock, longest_s=0.0)
        self.rules = PortalRules(lambda: self.client, self.store, PORTAL, self.clock, self.config, zone, pace=pace)
        handlers = {"dispatch": Handler(self.rules.dispatch, batch=2500)}
        handlers |= {name: Handler(self.rules.run_job, max_tries=3) for name in ITEM_LANES}
        self.engine = Engine(self.store, self.clock, handlers)
        self.rules.start()
        self.run()

    def _client(self, limits: LimitsConfig) -> PortalClient:
        gate = Gate(self.store, PORTAL, "webhook 1 test", Limits.of(limits), self.clock)
        return PortalClient(Address(self.store, PORTAL, self.sandbox.url, ()), gate, self.clock)

    def close(self) -> None:
        self.store.close()

    def run(self) -> None:
        """Run what is due until nothing is."""
        while due := self.engine.lanes.due([PORTAL], limit=100):
            for lane in due:
                self.engine.run_lane(lane.portal, lane.key)

    def run_until(self, reached: Callable[[], bool]) -> None:
        """Run what is due, and wait for what will be, until something holds."""
        until = time.monotonic() + WAIT_S
        while not reached():
            assert time.monotonic() < until, self.messages()
            self.run()
            time.sleep(0.05)

    def sweep(self, *, deleted_every_s: float = 3600.0) -> None:
        """One sweep and what follows from it."""
        dispatcher = self.rules.dispatcher()
        Sweeps(lambda: self.client, self.store, PORTAL, dispatcher.observer, self.engine.lanes).run(deleted_every_s)
        self.run()

    def event(self, name: str, *ids: int) -> None:
        """Events as the intake stores them, and what follows from them."""
        self.publish_events([(name, item_id) for item_id in ids])
        self.run()

    def task_event(self, name: str, task_id: int) -> None:
        """An event about a task, as the portal writes it."""
        data = {"FIELDS_BEFORE": {"ID": str(task_id)}, "FIELDS_AFTER": {"ID": str(task_id)}}
        self.engine.lanes.publish_now([Message(PORTAL, "dispatch", f"{name}:{task_id}", {"event": name, "data": data})])
        self.run()

    def publish_events(self, events: Iterable[tuple[str, int]]) -> None:
        messages = [
            Message(PORTAL, "dispatch", f"{name}:{item_id}", {"event": name, "data": {"FIELDS": {"ID": str(item_id)}}})
            for name, item_id in events
        ]
        self.engine.lanes.publish_now(messages)

    def messages(self, *states: str) -> list[tuple[str, str, str, str | None]]:
        """(lane, kind, state, message) of the inbox, oldest first."""
        with self.store.read() as connection:
            rows = connection.execute(select(inbox).order_by(inbox.c.id)).all()
        return [(row.lane, row.kind, row.state, row.message) for row in rows if not states or row.state in states]

    # -- the portal ---------------------------------------------------------------------------------

    def add_deal(self, **fields: Any) -> int:
        """A deal made by hand."""
        return int(self.sandbox.act("item.add", entityTypeId=2, fields=fields)["id"])

    def edit(self, item_id: int, entity_type_id: int = 2, **fields: Any) -> None:
        self.sandbox.act("item.edit", entityTypeId=entity_type_id, id=item_id, fields=fields)

    def move(self, deal_id: int, stage: str, **more: Any) -> None:
        self.sandbox.act("deal.move", id=deal_id, stage=stage, **more)

    def deal(self, deal_id: int, select: str = "title,stageId,assignedById,opportunity") -> dict[str, Any]:
        rows = self.sandbox.state("items", entityTypeId=2, ids=deal_id, select=f"id,{select}")
        return dict(rows[0])
