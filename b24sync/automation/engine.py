"""The engine: runs one lane at a time through `run_lane(portal, key)` (design 7).

    engine = Engine(store, clock, {"dispatch": Handler(dispatch, batch=2500), "deal": Handler(run_rule)})
    engine.lanes.publish_now([Message("main", "deal:42", "first_call:entered:NEW:1", {"stage": "NEW"})])
    engine.run_lane("main", "deal:42")

A handler is found by the lane's whole key (`dispatch`, `cron:recount`), else by what stands before its colon
(`deal`, `cron`). It gets a `Work`: the messages, and where to leave what is to be stored with them. It may call
the portal as long as it likes (up to its `limit_s`); no transaction is open meanwhile.

What a handler's end means:

    returns            done; results, new messages and the messages' end are one transaction
    RetryLater         a try: again after `retry_after_s` or a growing back-off
    OutcomeUnknown     a try, after the portal may have ended the request: the look-up comes first then
    PortalUnreachable, PortalBlocked,
    StoreError         no try: the portal is away or closed, the store locked; the job waits for it
    GiveUp, PortalRefused   dead letter at once
    any other error         a try; the last one makes a dead letter

A lane that fails stays in order: later messages of it wait, other lanes go on. Where a handler says what belongs
together (`apart`: the rule of a job), a fault of the job holds only what belongs to it, and the lane goes on with the
rest. Dead letters wait for a person (`b24sync jobs`), and their lane goes on.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from b24sync.clock import Clock
from b24sync.errors import (
    AtWorkElsewhere,
    B24SyncError,
    GiveUp,
    LookUpPending,
    OutcomeUnknown,
    PortalBlocked,
    PortalRefused,
    PortalUnreachable,
    RetryLater,
    StoreError,
)
from b24sync.store.engine import Store
from b24sync.store.lanes import MAX_BACKOFF_S, Claim, Group, LaneLost, Lanes, Message, Received
from b24sync.transport.masking import MASK

LOG = logging.getLogger("b24sync.engine")

FIRST_BACKOFF_S = 5.0
LOOK_UP_AFTER_S = 65.0
"""The portal's request cap and 5 s: before that nobody can say that a sent write did nothing (design 4)."""
STORE_PAUSE_S = 2.0
NO_TRY = (PortalUnreachable, PortalBlocked, StoreError, AtWorkElsewhere)
"""Not the job's fault: the portal is away or closed, the store is locked."""
MAX_CRASHES = 20
"""So often may the process die over a message before it is taken for the cause."""


class TookTooLong(BaseException):
    """Raised inside a handler that runs past its limit. No Exception: a rule's `except Exception` must not eat it."""

    def __str__(self) -> str:
        return "the job ran longer than it may and was interrupted"


@dataclass(slots=True)
class Work:
    """What a handler works on and leaves behind."""

    claim: Claim
    _lanes: Lanes
    results: list[Callable[[Connection], object]] = field(default_factory=list)
    follow_ups: list[Message] = field(default_factory=list)

    @property
    def portal(self) -> str:
        return self.claim.portal

    @property
    def key(self) -> str:
        return self.claim.key

    @property
    def messages(self) -> Sequence[Received]:
        """Oldest first; one, unless the handler takes batches."""
        return self.claim.messages

    @property
    def message(self) -> Received:
        return self.claim.messages[0]

    def store(self, write: Callable[[Connection], object]) -> None:
        """Run `write` in the transaction that ends the messages: all of it is stored, or none."""
        self.results.append(write)

    def publish(self, message: Message) -> None:
        """Publish in the transaction that ends the messages."""
        self.follow_ups.append(message)

    def hold(self, connection: Connection) -> None:
        """Fence a transaction of the handler's own. Raises LaneLost when somebody took the lane over."""
        self._lanes.hold(connection, self.claim)


@dataclass(frozen=True, slots=True)
class Handler:
    """`run` does the work of a lane; `batch` messages at once; `limit_s` is enforced by the runner.

    `apart`: the group of a message by its payload, where messages of other groups need not wait for one that fails.
    """

    run: Callable[[Work], object]
    batch: int = 1
    max_tries: int = 8
    limit_s: float = 900.0
    apart: Group | None = None


class Engine:
    """The lanes of a store and who handles them. Thread-safe as far as the handlers are."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        handlers: Mapping[str, Handler],
        *,
        on_begin: Callable[[Claim, Handler], None] = lambda claim, handler: None,
        on_end: Callable[[Claim], None] = lambda claim: None,
    ) -> None:
        self.lanes = Lanes(store, clock)
        self._clock = clock
        self._handlers = handlers
        self._on_begin = on_begin
        self._on_end = on_end

    def handler_of(self, key: str) -> Handler:
        return self._handlers.get(key) or self._handlers.get(key.partition(":")[0]) or Handler(_nobody)

    def run_lane(self, portal: str, key: str) -> bool:
        """Do what is due in a lane, once. False = nothing was due, or somebody else is at it.

        Safe to call twice, from anywhere: the claim decides. Raises nothing that a handler raises.
        """
        handler = self.handler_of(key)
        claim = self.lanes.claim(portal, key, batch=handler.batch, group=handler.apart)
        if claim is None:
            return False
        try:
            if claim.messages[0].crashes >= MAX_CRASHES:
                self.lanes.bury(claim, f"The worker died {MAX_CRASHES} times while it did this.")
            else:
                self._run(handler, claim)
        except LaneLost as lost:
            LOG.warning("portal=%s lane=%s %s", portal, key, lost)
        return True

    def _run(self, handler: Handler, claim: Claim) -> None:
        work = Work(claim, self.lanes)
        try:
            self._on_begin(claim, handler)
            try:
                handler.run(work)
            finally:
                self._on_end(claim)
            self._insist(lambda: self.lanes.finish(claim, results=work.results, messages=work.follow_ups))
        except LaneLost:
            raise
        except (Exception, TookTooLong) as error:  # noqa: BLE001 - the one boundary between a job and the engine
            failure = error
            self._insist(lambda: self.failed(handler, claim, failure))

    def _insist(self, end: Callable[[], None]) -> None:
        """End a claim although the store is locked or its disk full: a lane of a living process stays ours."""
        while True:
            try:
                return end()
            except StoreError as error:
                LOG.error("lane cannot be released, again in %.0f s: %s", STORE_PAUSE_S, error)  # noqa: TRY400
                self._clock.sleep(STORE_PAUSE_S)

    def failed(self, handler: Handler, claim: Claim, error: BaseException) -> None:
        """Put the claim's messages off, or bury them. Raises LaneLost."""
        said = MASK.hide(_told(error))
        is_try = not isinstance(error, NO_TRY) and not _another_unknown(claim, error, said)
        tries = max(message.tries for message in claim.messages) + int(is_try)
        hopeless = isinstance(error, GiveUp | PortalRefused) or tries >= handler.max_tries
        if is_try and hopeless:
            LOG.error("portal=%s lane=%s tries=%d dead letter: %s", claim.portal, claim.key, tries, said)
            self.lanes.bury(claim, said)
            return
        # A write of unknown outcome, or one that somebody else is at, concerns whatever comes next.
        is_apart = handler.apart is not None and is_try and not isinstance(error, OutcomeUnknown | LookUpPending)
        wait_s = _back_off_s(error, tries - 1 if is_apart else claim.waits)
        LOG.warning("portal=%s lane=%s tries=%d again_in_s=%.0f: %s", claim.portal, claim.key, tries, wait_s, said)
        if is_apart:
            self.lanes.set_apart(claim, said, wait_s=wait_s)
        else:
            self.lanes.put_off(claim, said, wait_s=wait_s, is_try=is_try)


def _another_unknown(claim: Claim, error: BaseException, said: str) -> bool:
    """A write of unknown outcome, and not the one of last time: that was settled, so a rule of many acts goes on."""
    return isinstance(error, OutcomeUnknown | LookUpPending) and all(
        message.message != said for message in claim.messages
    )


def _back_off_s(error: BaseException, waits: int) -> float:
    """5 s, 10 s, 20 s ... 10 min, unless the error knows better."""
    if isinstance(error, RetryLater) and error.retry_after_s is not None:
        return error.retry_after_s
    grown: float = min(FIRST_BACKOFF_S * 2 ** min(waits, 10), MAX_BACKOFF_S)
    return max(grown, LOOK_UP_AFTER_S) if isinstance(error, OutcomeUnknown) else grown


def _told(error: BaseException) -> str:
    """The error in one line; a fault of code also says where."""
    if isinstance(error, B24SyncError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _nobody(work: Work) -> None:
    raise GiveUp(
        f"Nothing handles lane {work.key}: its rule or feature is gone; drop it, or bring that back and retry."
    )
