"""One thing made once: looked for in the portal, made through the ledger, looked for again after an Unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from b24sync.bulk.ledgered import LOOKUP_GRACE_S, OTHERS_POLL_S, UNKNOWN_TRIES
from b24sync.errors import OutcomeUnknown, PortalBlocked, PortalRefused, RetryLater
from b24sync.store.ledger import DONE, PLANNED, REFUSED, SENT, UNKNOWN, Ledger, Settled
from b24sync.transport.client import PortalClient


class Ensurer:
    """Makes single things (a field, a stage, a pipeline) so that two processes or a kill never make two."""

    def __init__(self, client: PortalClient, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger

    def ensure(
        self,
        key: str,
        find: Callable[[], str | None],
        make: Callable[[Callable[[], None]], str],
        detail: Mapping[str, Any] | None = None,
    ) -> str:
        """The portal id of what `key` names, made if need be.

        `find` looks it up in the portal; `make` sends one write and calls what it is given right before
        sending; `detail` is noted beside it. Cost: that of find, and of make where it is missing.
        Raises PortalRefused, RetryLater, PortalBlocked, OutcomeUnknown after several unanswered tries.
        """
        for _ in range(UNKNOWN_TRIES):
            found = self.settled(key, find)
            if found is not None:
                return found
            self._ledger.plan([(key, detail)], None)
            if not self._ledger.claim([key]):
                # Another process is making it: it is looked for again when that one is done.
                self._client.clock.sleep(OTHERS_POLL_S)
                continue
            try:
                made = make(lambda: self._ledger.stamp(key))
            except OutcomeUnknown as error:
                self._ledger.settle([Settled(key, UNKNOWN, message=str(error))])
                continue
            except PortalRefused as error:
                self._ledger.settle([Settled(key, REFUSED, code=error.code or None, message=error.text)])
                raise
            except (RetryLater, PortalBlocked):
                self._ledger.settle([Settled(key, PLANNED)])
                raise
            self._ledger.settle([Settled(key, DONE, portal_id=made)])
            return made
        raise OutcomeUnknown(f"{key} was sent {UNKNOWN_TRIES} times and never answered; look into the portal.")

    def settled(self, key: str, find: Callable[[], str | None]) -> str | None:
        """The id in the portal; None where it is certain that it is not there.

        Waits out an unanswered request that may still be making it.
        """
        while True:
            self._ledger.bury_dead()
            write = self._ledger.states([key]).get(key)
            started = self._client.clock.wall_s()
            found = find()
            if found is not None:
                if write is not None and write.state == UNKNOWN:
                    # Ours: the request that made it was never answered.
                    self._ledger.settle([Settled(key, DONE, portal_id=found)])
                else:
                    self._ledger.adopt({key: found}, None)
                return found
            if write is None or write.state not in (SENT, UNKNOWN):
                if write is not None and write.state == DONE:
                    self._ledger.gone(key)
                return None
            ripe_at = (write.sent_at or 0.0) + self._client.gate.limits.request_cap_s + LOOKUP_GRACE_S
            if write.state == UNKNOWN and started >= ripe_at:
                self._ledger.plan_again([write])
                return None
            self._client.clock.sleep(OTHERS_POLL_S)
