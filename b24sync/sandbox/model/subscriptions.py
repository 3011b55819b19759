"""What applications bound to events, and the queue of those that they fetch themselves.

Docs: api-reference/events/event-bind.md, api-reference/events/offline-events.md: the queue keeps one row per event and
object, with the time of the last change; reserved rows are hidden from other readers.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from .records import Records, Row

ON_OFFLINE = "ONOFFLINEEVENT"
KEPT_S = 30 * 86400.0
"""How long a reserved package is kept (offline-events.md)."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One binding of an application. `auth_type` 0 = tokens of whoever caused the event."""

    id: int
    app: str
    event: str
    handler: str
    auth_type: int
    offline: bool
    connector: str
    min_timeout_s: float


class Subscriptions:
    """Bindings of all applications and their offline queues."""

    def __init__(self) -> None:
        self.rows: list[Subscription] = []
        self.queue = Records()
        self._last_id = 100
        self._told_at: dict[str, float] = {}

    def bind(self, app: str, event: str, handler: str, **more: Any) -> bool:
        """False when the very same binding is there already."""
        wanted = (app, event, handler, more["auth_type"], more["offline"], more["connector"])
        known = ((one.app, one.event, one.handler, one.auth_type, one.offline, one.connector) for one in self.rows)
        if wanted in known:
            return False
        self._last_id += 1
        self.rows.append(Subscription(self._last_id, app, event, handler, **more))
        return True

    def unbind(self, gone: list[Subscription]) -> None:
        self.rows = [one for one in self.rows if one not in gone]

    def online(self, event: str) -> list[Subscription]:
        """Handlers to be called for an event."""
        return [one for one in self.rows if one.event == event and not one.offline]

    def record(self, event: str, data: dict[str, Any], now: float, cause: tuple[str, str]) -> list[str]:
        """Put an event into the offline queues that want it; apps to be told by ONOFFLINEEVENT.

        `cause` = credential and auth_connector of the call behind it: a queue with a connector does not get what its
        own application changed with that connector (offline-events.md, how to avoid cycles).
        """
        told = []
        for one in self.rows:
            if one.offline and one.event == event and not (one.connector and cause == (one.app, one.connector)):
                self._put(one, data, now)
                told.append(one.app)
        return [app for app in dict.fromkeys(told) if self._may_tell(app, now)]

    def _put(self, one: Subscription, data: dict[str, Any], now: float) -> None:
        key = json.dumps(data, sort_keys=True, default=str)
        fields = {"APP": one.app, "CONNECTOR": one.connector, "EVENT_NAME": one.event, "KEY": key}
        for row in self.queue.where(**fields, PROCESS_ID="", ERROR=0):
            row["TIMESTAMP_X"] = int(now)
            return
        row = self.queue.add({**fields, "EVENT_DATA": data, "TIMESTAMP_X": int(now), "PROCESS_ID": "", "ERROR": 0})
        row["MESSAGE_ID"] = secrets.token_hex(16)

    def _may_tell(self, app: str, now: float) -> bool:
        timeouts = [one.min_timeout_s for one in self.online(ON_OFFLINE) if one.app == app]
        if not timeouts or now < self._told_at.get(app, 0.0) + min(timeouts):
            return False
        self._told_at[app] = now
        return True

    def reserve(self, rows: list[Row], now: float) -> str:
        """Mark rows as being worked on; the id of the package."""
        process_id = secrets.token_hex(16)
        for row in rows:
            row.update(PROCESS_ID=process_id, RESERVED_AT=now)
        return process_id

    def drop_abandoned(self, now: float) -> None:
        """Packages that nobody has confirmed for thirty days are gone."""
        for row in list(self.queue):
            if row["PROCESS_ID"] and row["RESERVED_AT"] < now - KEPT_S:
                self.queue.remove(row)

    def of_process(self, app: str, process_id: str) -> list[Row]:
        return self.queue.where(APP=app, PROCESS_ID=process_id) if process_id else []
