"""Events out: the portal's outbox to outgoing webhooks, as forms, at most once, never again.

Docs: api-reference/events/index.md (no retry, values are strings), local-integrations/local-webhooks.md,
_includes/auth-params-in-events.md (five keys of `auth`, no tokens). Knobs delay, lose, double and shuffle
deliveries, because order and repetition are undocumented.
"""

from __future__ import annotations

import heapq
import http.client
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import wire
from .auth import MEMBER_ID
from .clock import SandboxClock
from .model.subscriptions import ON_OFFLINE

if TYPE_CHECKING:
    from .portal import Portal

KEPT_DELIVERIES = 10_000


@dataclass(slots=True)
class Handler:
    """An outgoing webhook: events are chosen from a list, its token is shown in the portal's interface."""

    id: int
    url: str
    application_token: str
    events: frozenset[str]
    """Upper-cased names; empty = all."""
    auth: Callable[[], dict[str, Any]] | None = None
    """Tokens for an application's handler; an outgoing webhook gets none."""

    def wants(self, event: str) -> bool:
        return not self.events or event in self.events


@dataclass(slots=True)
class Knobs:
    """How deliveries go wrong. Shares are probabilities, `shuffle_window_s` spreads deliveries at random."""

    delay_s: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    shuffle_window_s: float = 0.0
    timeout_s: float = 5.0
    seed: int = 0


@dataclass(order=True, slots=True)
class Delivery:
    due: float
    order: int
    handler: Handler = field(compare=False)
    event: str = field(compare=False)
    data: Any = field(compare=False)


class Deliveries:
    """The queue server of one portal: a thread that posts what is due."""

    def __init__(self, clock: SandboxClock, domain: str = "127.0.0.1") -> None:
        self._clock = clock
        self.domain = domain
        self.base = ""
        self.handlers: list[Handler] = []
        self.knobs = Knobs()
        self._chance = random.Random(0)
        self._condition = threading.Condition()
        self._queue: list[Delivery] = []
        """A heap by the time when a delivery is due."""
        self.app_auth: Callable[[str, int], dict[str, Any]] | None = None
        self._newest: dict[int, int] = {}
        self._order = 0
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._busy = False
        self.log: deque[dict[str, Any]] = deque(maxlen=KEPT_DELIVERIES)
        self.emitted = self.sent = self.failed = self.dropped = self.doubled = self.delayed = self.overtaken = 0

    def configure(self, row: Mapping[str, Any]) -> Handler:
        """Add an outgoing webhook: url, application_token, events (list, empty = all)."""
        handler = Handler(
            len(self.handlers) + 1,
            str(row["url"]),
            str(row.get("application_token", "sandbox0outgoing0token000000001")),
            frozenset(str(name).upper() for name in row.get("events", [])),
        )
        with self._condition:
            self.handlers.append(handler)
        return handler

    def set_knobs(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Change knobs; a new seed starts the draw again. Raises ValueError for an unknown knob."""
        known = asdict(self.knobs)
        unknown = set(row) - set(known)
        if unknown:
            raise ValueError(f"no knob {', '.join(sorted(unknown))}; known: {', '.join(known)}")
        with self._condition:
            self.knobs = Knobs(**{**known, **row})
            if "seed" in row:
                self._chance = random.Random(int(row["seed"]))
        return asdict(self.knobs)

    def pump(self, portal: Portal) -> None:
        """Take what the portal emitted and queue it for every handler that wants it. Never waits for a handler."""
        outbox = portal.outbox
        while outbox:
            try:
                entry = outbox.popleft()
            except IndexError:
                # another request's thread took the last one
                return
            event, data = (entry["event"], entry["data"]) if isinstance(entry, Mapping) else (entry[0], entry[1])
            name = str(event).upper()
            self._queue_event(name, data, [*self.handlers, *self._bound(portal, name, data)])

    def _bound(self, portal: Portal, event: str, data: Any) -> list[Handler]:
        """Handlers that applications bound with event.bind; ONOFFLINEEVENT is for the application it names."""
        subscriptions = getattr(portal, "subscriptions", None)
        if subscriptions is None or self.app_auth is None:
            return []
        make = self.app_auth
        return [
            Handler(one.id, one.handler, "", frozenset(), partial(make, one.app, one.auth_type))
            for one in subscriptions.online(event)
            if event != ON_OFFLINE or data.get("APP") == one.app
        ]

    def install(self, url: str, auth: dict[str, Any]) -> None:
        """ONAPPINSTALL to an application's address (api-reference/common/events/on-app-install.md)."""
        data = {"VERSION": "1", "ACTIVE": "Y", "INSTALLED": "Y", "LANGUAGE_ID": "ru"}
        self._queue_event("ONAPPINSTALL", data, [Handler(0, url, "", frozenset(), lambda: auth)])

    def _queue_event(self, event: str, data: Any, handlers: list[Handler]) -> None:
        now = time.monotonic()
        with self._condition:
            self.emitted += 1
            for handler in handlers:
                if not handler.wants(event):
                    continue
                if self._chance.random() < self.knobs.drop:
                    self.dropped += 1
                    continue
                copies = 2 if self._chance.random() < self.knobs.duplicate else 1
                self.doubled += copies - 1
                for _ in range(copies):
                    self._order += 1
                    wait_s = self.knobs.delay_s + self._chance.random() * self.knobs.shuffle_window_s
                    self.delayed += wait_s > 0
                    heapq.heappush(self._queue, Delivery(now + wait_s, self._order, handler, event, data))
            if self._queue and self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="event-queue", daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._busy = False
                self._condition.notify_all()
                while not self._stopped and (not self._queue or self._queue[0].due > time.monotonic()):
                    wait_s = None if not self._queue else max(0.0, self._queue[0].due - time.monotonic())
                    self._condition.wait(wait_s)
                if self._stopped:
                    return
                delivery = heapq.heappop(self._queue)
                newest = self._newest.get(delivery.handler.id, 0)
                self.overtaken += delivery.order < newest
                self._newest[delivery.handler.id] = max(newest, delivery.order)
                self._busy = True
            self._post(delivery)

    def form(self, handler: Handler, event: str, data: Any) -> str:
        """The body of one delivery; `ts` is when it leaves the queue."""
        return wire.build_query(
            {
                "event": event,
                "event_handler_id": handler.id,
                "data": "" if event == ON_OFFLINE else data,
                "ts": int(self._clock.time()),
                "auth": handler.auth() if handler.auth else self._plain_auth(handler),
            }
        )

    def _plain_auth(self, handler: Handler) -> dict[str, Any]:
        """The five keys of an outgoing webhook (_includes/auth-params-in-events.md)."""
        return {
            "domain": self.domain,
            "client_endpoint": f"{self.base}/rest/",
            "server_endpoint": "https://oauth.bitrix24.tech/rest/",
            "member_id": MEMBER_ID,
            "application_token": handler.application_token,
        }

    def _post(self, delivery: Delivery) -> None:
        """One POST; whatever happens, it is not repeated (api-reference/events/index.md)."""
        parts = urlsplit(delivery.handler.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=self.knobs.timeout_s)
        path = parts.path or "/"
        if parts.query:
            path += f"?{parts.query}"
        body = self.form(delivery.handler, delivery.event, delivery.data)
        status: int | str
        try:
            connection.request(
                "POST",
                path,
                body.encode(),
                {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Bitrix24 Webhook Engine"},
            )
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
        finally:
            connection.close()
        with self._condition:
            if status == 200:
                self.sent += 1
            else:
                self.failed += 1
            self.log.append(
                {"event": delivery.event, "data": delivery.data, "url": delivery.handler.url, "status": status}
            )

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is queued or being posted."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._queue and not self._busy, timeout_s)

    def figures(self) -> dict[str, int]:
        """Counts since the start or the last reset. What the knobs did: dropped, doubled, delayed, overtaken.

        `events_overtaken` = deliveries that left after a later one to the same handler.
        """
        with self._condition:
            return {
                "events_emitted": self.emitted,
                "events_sent": self.sent,
                "events_failed": self.failed,
                "events_dropped": self.dropped,
                "events_doubled": self.doubled,
                "events_delayed": self.delayed,
                "events_overtaken": self.overtaken,
                "events_queued": len(self._queue),
            }

    def clear(self) -> None:
        """Forget the queue and the counts; handlers and knobs stay."""
        with self._condition:
            self._queue.clear()
            self.log.clear()
            self.emitted = self.sent = self.failed = self.dropped = self.doubled = self.delayed = self.overtaken = 0

    def stop(self) -> None:
        """End the thread; what is queued is lost, as on a real outage."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=self.knobs.timeout_s + 1)
