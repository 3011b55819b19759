"""Offline events: what happened in the portal, kept there until an application fetches it.

Docs: api-reference/events/offline-events.md, event-bind.md, event-unbind.md, event-get.md, event-offline-get.md,
-list.md, -clear.md, -error.md, on-offline-event.md; api-reference/common/system/feature-get.md. The client is an
application's, its user an administrator: otherwise the portal refuses with ACCESS_DENIED. The queue has one row per
event and object, with the time of the last change. Only reserving (`clear=0`) loses nothing: what is read otherwise is
deleted with the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from b24sync.errors import PortalUnreachable
from b24sync.portal.pages import PAGE
from b24sync.portal.words import is_yes
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Priority
from b24sync.transport.outcomes import Done, Outcome
from b24sync.transport.protocol import Command

WAKE_UP = "ONOFFLINEEVENT"
GET, LIST = "event.offline.get", "event.offline.list"
AT_ONCE = 500
"""Rows of a reservation. A portal that gives fewer gives at least its documented 50."""
WAKE_EVERY_S = 5
"""So often may the portal call us at most: a run costs two requests. What happens in between nobody is told of."""
PRIORITY: Priority = "bulk"
"""As sweeps: a queue that filled up over a week must not starve the daemon's single calls."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How offline events stand. `extended`: they can be reserved. `wakes`: addresses that ONOFFLINEEVENT goes to.

    `of_connectors`: events that somebody who shares our application has bound with an `auth_connector` of his own.
    """

    extended: bool
    bound: frozenset[str]
    wakes: frozenset[str]
    of_connectors: frozenset[str]


@dataclass(frozen=True, slots=True)
class Package:
    """Rows of the queue as they came. `process_id`: whom they are reserved for; empty = they are not (any more)."""

    process_id: str
    rows: list[Any]

    @property
    def is_full(self) -> bool:
        """Whether there may be more of them."""
        return len(self.rows) >= PAGE


def look(client: PortalClient, priority: Priority = PRIORITY) -> Standing:
    """What the plan allows and what is bound. Cost: one request. A portal that cannot tell is believed to allow."""
    commands = {"feature": Command("feature.get", {"CODE": "rest_offline_extended"}), "bound": Command("event.get", {})}
    answers = client.read_all(commands, priority=priority)
    feature, bound = answers["feature"], answers["bound"]
    told = feature.result.get("value") if isinstance(feature, Done) and isinstance(feature.result, Mapping) else None
    rows = _rows(bound.result) if isinstance(bound, Done) else []
    offline = [row for row in rows if is_yes(row.get("offline"))]
    online = [row for row in rows if not is_yes(row.get("offline"))]
    return Standing(
        told is None or is_yes(told),
        frozenset(_name(row) for row in offline if not row.get("connector_id")),
        frozenset(str(row.get("handler", "")) for row in online if _name(row) == WAKE_UP),
        frozenset(_name(row) for row in offline if row.get("connector_id")),
    )


def bind(client: PortalClient, events: Iterable[str], wake_url: str | None) -> dict[str, Outcome]:
    """Have events kept for us; with `wake_url` be told there when there are new ones. An outcome by event.

    Cost: one request. Binding what is bound changes nothing for the worse: `look` again tells how it ended.
    """
    commands = {event: Command("event.bind", {"event": event, "event_type": "offline"}) for event in events}
    if wake_url is not None:
        options = {"minTimeout": WAKE_EVERY_S}
        commands[WAKE_UP] = Command("event.bind", {"event": WAKE_UP, "handler": wake_url, "options": options})
    return client.batch(commands, write=True, priority=PRIORITY)


def unbind(client: PortalClient, events: Iterable[str], wake_urls: Iterable[str]) -> dict[str, Outcome]:
    """Have events no longer kept, and be told no longer at these addresses. An outcome by event or address.

    Cost: one request. Docs: event-unbind.md; an event goes with every connector that it is bound for.
    """
    commands = {event: Command("event.unbind", {"event": event, "event_type": "offline"}) for event in events}
    urls = dict(enumerate(wake_urls))
    commands |= {
        f"{WAKE_UP}{number}": Command("event.unbind", {"event": WAKE_UP, "handler": url})
        for number, url in urls.items()
    }
    outcomes = client.batch(commands, write=True, priority=PRIORITY)
    names = {f"{WAKE_UP}{number}": url for number, url in urls.items()}
    return {names.get(name, name): outcome for name, outcome in outcomes.items()}


def reserve(client: PortalClient, before_send: Callable[[], None]) -> Package:
    """The oldest rows that nobody has reserved, as ours. Cost: one request.

    Raises OutcomeUnknown without an answer: they may be reserved under an id that nobody knows (`abandoned` does).
    """
    params = {"clear": 0, "limit": AT_ONCE}
    return _package(client.call(GET, params, write=True, priority=PRIORITY, before_send=before_send))


def reserved(client: PortalClient, process_id: str) -> Package:
    """The rows of a reservation once more. Cost: one request."""
    params = {"clear": 0, "limit": AT_ONCE, "process_id": process_id}
    return Package(process_id, _package(client.call(GET, params, priority=PRIORITY)).rows)


def confirm(client: PortalClient, process_id: str, message_ids: Sequence[str]) -> None:
    """Delete rows of a reservation. Cost: one request, repeated until it is answered: it may be done twice."""
    client.call("event.offline.clear", {"process_id": process_id, "message_id": message_ids}, priority=PRIORITY)


def mark_wrong(client: PortalClient, process_id: str, message_ids: Sequence[str]) -> None:
    """Keep rows of a reservation, marked as not understood. Cost: as `confirm`."""
    client.call("event.offline.error", {"process_id": process_id, "message_id": message_ids}, priority=PRIORITY)


def abandoned(client: PortalClient) -> list[str]:
    """Ids of all reservations that there are. Cost: one request, one more per 2,500 rows of the queue.

    All rows are read: which operators find a filled PROCESS_ID no page says.
    """
    first = client.call(LIST, {"start": 0}, priority=PRIORITY)
    rows, total = _rows(first.result), first.total or 0
    pages = {f"p{start}": Command(LIST, {"start": start}) for start in range(PAGE, total, PAGE)}
    for answer in client.read_all(pages, priority=PRIORITY).values():
        if not isinstance(answer, Done):
            raise PortalUnreachable(f"{LIST} was refused on a later page: {answer.code}: {answer.text}")
        rows += _rows(answer.result)
    ids = [str(row.get("PROCESS_ID") or "") for row in rows if not is_yes(row.get("ERROR"))]
    return list(dict.fromkeys(filter(None, ids)))


def count(client: PortalClient, *, wrong: bool) -> int:
    """Rows that are marked as not understood, or all the others. Cost: one request."""
    answer = client.call(LIST, {"filter": {"=ERROR": int(wrong)}, "start": 0})
    return answer.total if answer.total is not None else len(_rows(answer.result))


def _package(answer: Done) -> Package:
    result = answer.result if isinstance(answer.result, Mapping) else {}
    events = result.get("events")
    rows = list(events.values()) if isinstance(events, Mapping) else events if isinstance(events, list) else []
    return Package(str(result.get("process_id") or ""), rows)


def _rows(result: Any) -> list[Mapping[str, Any]]:
    return [row for row in result if isinstance(row, Mapping)] if isinstance(result, list) else []


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get("event", "")).upper()
