"""A portal with three methods, for tests of the sandbox's kernel without a CRM."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from b24sync.sandbox.clock import SandboxClock
from b24sync.sandbox.registry import Answer, ApiError, Call, Method
from b24sync.sandbox.sandbox import Sandbox
from b24sync.sandbox.switches import Switches

if TYPE_CHECKING:
    from b24sync.sandbox.portal import Portal


class TinyPortal:
    """Notes by id, and whoever is asked about."""

    def __init__(self, switches: Switches, clock: SandboxClock) -> None:
        self.switches = switches
        self.clock = clock
        self.lock = threading.RLock()
        self.users = {1: {"ID": 1, "ADMIN": True, "ACTIVE": True}, 7: {"ID": 7, "ADMIN": False, "ACTIVE": True}}
        self.outbox: deque[dict[str, Any]] = deque()
        self.notes: list[dict[str, Any]] = []
        self.seen: list[Call] = []

    def emit(self, event: str, data: Mapping[str, Any]) -> None:
        self.outbox.append({"event": event, "data": data})

    def figures(self) -> dict[str, Any]:
        return {"notes": len(self.notes)}

    def dump(self, what: str, params: Mapping[str, Any]) -> Any:
        if what != "notes":
            raise LookupError(what)
        return self.notes


def store(call: Call) -> TinyPortal:
    portal = cast(TinyPortal, call.portal)
    portal.seen.append(call)
    return portal


def note_add(call: Call) -> Answer:
    portal = store(call)
    if not call.params.get("TEXT"):
        raise ApiError("", "TEXT is empty")
    portal.notes.append({"ID": str(len(portal.notes) + 1), "TEXT": call.params["TEXT"]})
    portal.emit("ONNOTEADD", {"FIELDS": {"ID": len(portal.notes)}})
    return Answer(len(portal.notes))


def note_import(call: Call) -> Answer:
    portal = store(call)
    items = []
    for row in call.params.get("data", []):
        portal.notes.append({"ID": str(len(portal.notes) + 1), "TEXT": row["TEXT"]})
        items.append({"item": {"id": len(portal.notes)}})
    return Answer({"items": items}, units=len(items))


def note_list(call: Call) -> Answer:
    notes = store(call).notes
    start = int(call.params.get("start", 0))
    page = notes[start : start + 50]
    more = start + 50 < len(notes)
    return Answer(page, total=len(notes), next=start + 50 if more else None)


def echo(call: Call) -> Answer:
    store(call)
    return Answer({"params": call.params, "args": call.args, "user": call.user_id})


def broken(call: Call) -> Answer:
    raise RuntimeError("a mistake of the sandbox")


METHODS = {
    method.name.lower(): method
    for method in (
        Method("note.add", note_add, "crm", False, True, False),
        Method("note.import", note_import, "crm", False, True, False),
        Method("note.list", note_list, "crm", False, True, False),
        Method("note.app", echo, "crm", True, True, False),
        Method("note.single", echo, None, False, False, False),
        Method("echo", echo, None, False, True, False),
        Method("task.echo", echo, "task", False, True, True),
        Method("note.broken", broken, None, False, True, False),
    )
}


class NotingClock(SandboxClock):
    """Notes how long it is asked to wait: a busy machine makes any wait longer, but no wish."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale=scale)
        self.wished_s: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.wished_s.append(max(seconds, 0.0))
        super().sleep(seconds)


class HeldClock(SandboxClock):
    """Lets whoever waits wait until it is let go. `waiting` has a place for each of `count` of them."""

    def __init__(self, count: int = 1) -> None:
        super().__init__()
        self.waiting = threading.Barrier(count + 1)
        self._go = threading.Event()

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.waiting.wait(30)
        assert self._go.wait(30)

    def let_go(self) -> None:
        self._go.set()


def tiny_sandbox(**options: Any) -> Sandbox:
    """A sandbox of the tiny portal, not yet listening; options as of Sandbox."""

    def make(switches: Switches, clock: SandboxClock, seed: dict[str, Any] | None) -> Portal:
        return cast("Portal", TinyPortal(switches, clock))

    return Sandbox(make_portal=make, methods=METHODS, **options)


def tiny(sandbox: Sandbox) -> TinyPortal:
    """The portal behind the sandbox."""
    return cast(TinyPortal, sandbox.portal)
