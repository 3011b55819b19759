"""One act of a rule, once: recorded before it is sent, looked for by its key after an unclear answer.

Unlike an import, which waits for its look-ups, an act never keeps its worker waiting: what cannot be decided now
is raised, and the same act asked for again later goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from b24sync.bulk.ledgered import LOOK_AGAIN_S, LOOKUP_GRACE_S, OTHERS_POLL_S
from b24sync.clock import Clock
from b24sync.errors import AtWorkElsewhere, LookUpPending, OutcomeUnknown, PortalBlocked, PortalRefused, RetryLater
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, PLANNED, REFUSED, SENT, UNKNOWN, Ledger, Settled, Write
from b24sync.transport.client import PortalClient

STAMP_AFTER_S = 1.0

Sending = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What an act made or found: its id in the portal, and the portal's answer."""

    portal_id: str
    answer: Any = None


class Acts:
    """Performs single writes of one portal, each once for ever by (what, key)."""

    def __init__(self, client: PortalClient, store: Store, portal: str, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self._store = store
        self._portal = portal

    def once(
        self,
        what: str,
        key: str,
        *,
        find: Callable[[], Made | None],
        make: Callable[[Sending], Made],
        store: Callable[[Connection, Made], None] = lambda connection, made: None,
        detail: Mapping[str, Any] | None = None,
    ) -> str:
        """The portal id of what `key` names. `store` runs in the transaction that records the outcome, once.

        `make` sends one write and calls what it is given right before sending; `find` looks for it by its key.
        Cost: that of make; of find only after an unclear answer. Raises PortalRefused, PortalBlocked, RetryLater:
        asked again then, it is looked for first.
        """
        ledger = Ledger(self._store, self._portal, what, self.clock)
        write = self._settled_state(ledger, key)
        if write is not None and write.state == DONE:
            return write.portal_id or ""
        if write is not None and write.state == UNKNOWN:
            found = self._found(ledger, key, find, store)
            if found is not None:
                return found
            self._wait_till_ripe(what, key, write.sent_at)
            ledger.plan_again([write])
        if not ledger.begin(key, detail):
            raise AtWorkElsewhere(f"{what} {key} is being written by another process.", retry_after_s=OTHERS_POLL_S)
        return self._send(ledger, what, key, find, make, store)

    def is_open(self, what: str, key: str) -> bool:
        """Whether this write was begun and its outcome is not known yet."""
        write = Ledger(self._store, self._portal, what, self.clock).states([key]).get(key)
        return write is not None and write.state in (SENT, UNKNOWN)

    def unclaimed(self, what: str, key: str, candidates: Callable[[float], list[str]]) -> str | None:
        """The first of the portal ids that may be what `key` made, by the moment it was sent, and no other key's.

        For what carries no key of ours in the portal.
        """
        ledger = Ledger(self._store, self._portal, what, self.clock)
        found = candidates(ledger.states([key])[key].sent_at or 0.0)
        taken = ledger.made(found)
        return next((one for one in found if one not in taken), None)

    def _send(
        self,
        ledger: Ledger,
        what: str,
        key: str,
        find: Callable[[], Made | None],
        make: Callable[[Sending], Made],
        store: Callable[[Connection, Made], None],
    ) -> str:
        begun_at, sent = self.clock.wall_s(), False

        def sending() -> None:
            nonlocal sent
            sent = True
            # After a wait at the gate the moment of the claim is too early to look for it by.
            if self.clock.wall_s() - begun_at > STAMP_AFTER_S:
                ledger.stamp(key)

        try:
            made = make(sending)
            if not _is_id(made.portal_id):
                raise OutcomeUnknown(f"{what} {key}: the portal answered {made.portal_id[:40]!r} instead of an id.")
            self._settle(ledger, key, made, store)
        except OutcomeUnknown as error:
            ledger.settle([Settled(key, UNKNOWN, message=str(error))])
            self.clock.sleep(LOOK_AGAIN_S)
            found = self._found(ledger, key, find, store)
            if found is not None:
                return found
            self._wait_till_ripe(what, key, self.clock.wall_s())
            raise
        except PortalRefused as error:
            ledger.settle([Settled(key, REFUSED, code=error.code or None, message=error.text)])
            raise
        except (RetryLater, PortalBlocked):
            ledger.settle([Settled(key, PLANNED)])
            raise
        except BaseException as error:
            # A loop that was stopped, a job out of time, a fault of code: this process lives on, and a row that it
            # left `sent` would be waited for without end.
            message = f"broken off: {type(error).__name__}" if sent else None
            ledger.settle([Settled(key, UNKNOWN if sent else PLANNED, message=message)])
            raise
        return made.portal_id

    def _settled_state(self, ledger: Ledger, key: str) -> Write | None:
        write = ledger.states([key]).get(key)
        if write is not None and write.state == SENT and write.owner == ledger.owner:
            # One lane does a key's act, so nobody is at it: the store refused to take its outcome.
            ledger.settle([Settled(key, UNKNOWN, message="its outcome could not be stored")])
            return ledger.states([key]).get(key)
        if write is not None and write.state == SENT and ledger.bury_dead():
            write = ledger.states([key]).get(key)
        return write

    def _found(
        self, ledger: Ledger, key: str, find: Callable[[], Made | None], store: Callable[[Connection, Made], None]
    ) -> str | None:
        made = find()
        if made is None:
            return None
        self._settle(ledger, key, made, store)
        return made.portal_id

    @staticmethod
    def _settle(ledger: Ledger, key: str, made: Made, store: Callable[[Connection, Made], None]) -> None:
        ledger.settle([Settled(key, DONE, portal_id=made.portal_id)], also=lambda connection: store(connection, made))

    def _wait_till_ripe(self, what: str, key: str, sent_at: float | None) -> None:
        """Raise LookUpPending until the portal can no longer be working on it; only then "not found" is final."""
        left_s = (sent_at or 0.0) + self.client.gate.limits.request_cap_s + LOOKUP_GRACE_S - self.clock.wall_s()
        if left_s > 0:
            raise LookUpPending(
                f"{what} {key} was sent and not answered; it is looked for again before it is repeated.",
                retry_after_s=left_s,
            )


def _is_id(value: str) -> bool:
    """Only an id proves that something was made."""
    return value.isdigit() and int(value) > 0
