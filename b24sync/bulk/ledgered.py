"""The one write path: many writes through the gate and the ledger, nothing twice, nothing lost.

A write is planned in the ledger, claimed (= recorded as sent) right before it leaves, and settled with its
outcome. An Unknown is looked up by its key; "not there" is believed only when the request that carried it
can no longer be running (the request cap plus a grace). Several processes may work on the same keys.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt

from b24sync.bulk.ahead import Ahead
from b24sync.errors import PortalBlocked, PortalUnreachable
from b24sync.interruption import interruption_after
from b24sync.store.ledger import DONE, PLANNED, REFUSED, SENT, UNKNOWN, Ledger, Settled, Write
from b24sync.transport.client import TRIES, PortalClient, back_off
from b24sync.transport.gate import MethodUse
from b24sync.transport.outcomes import NotSent, Outcome, Refused, Unknown
from b24sync.transport.protocol import Command

LOOKUP_GRACE_S = 5.0
"""Added to the request cap before "not found" is believed (design 4)."""
LOOK_AGAIN_S = 1.0
"""The portal may only just be working on it: the first looks come soon, the pauses between them double."""
UNKNOWN_TRIES = 4
OTHERS_POLL_S = 0.5


class Keyed(Protocol):
    @property
    def key(self) -> str: ...


T = TypeVar("T", bound=Keyed)


@dataclass(slots=True)
class Progress:
    """What a progress line shows. `pace_s` is the server time of one row as the portal's counters show it."""

    written: int = 0
    refused: int = 0
    unknown: int = 0
    pace_s: float | None = None
    counted_s: float | None = None


@dataclass(frozen=True, slots=True)
class Settlement(Generic[T]):
    """One write's outcome. `sure` False: only its position in an answer says that it is this write's."""

    item: T
    outcome: Outcome
    sure: bool = True


class LedgeredSender(ABC, Generic[T]):
    """Sends items in batches, one request after the other. A subclass says how items become commands.

    `ordered`: items must reach the portal in the order given, so an Unknown holds up the rest.
    """

    what_for: str = "writes"

    def __init__(
        self,
        client: PortalClient,
        ledger: Ledger,
        *,
        ordered: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._gate = client.gate
        self._ledger = ledger
        self._ordered = ordered
        self._on_progress = on_progress
        self._queue: deque[T] = deque()
        self._items: Ahead[T] = Ahead(iter(()))
        self._unknown: dict[str, T] = {}
        self._others: dict[str, T] = {}
        self._tries: dict[str, int] = {}
        self._last_words = "no reason given"
        self.progress = Progress()
        self.stopped: str | None = None

    # -- what a subclass says ---------------------------------------------------------------------

    @abstractmethod
    def _source(self) -> tuple[str, deque[T]]:
        """The method of the next request and the queue that feeds it (empty = nothing to send now)."""

    @abstractmethod
    def _packets(self, method: str, source: Sequence[T], allowance_s: float) -> list[list[T]]:
        """The head of `source` as one packet per command; `allowance_s` server seconds may be booked."""

    @abstractmethod
    def _command(self, method: str, packet: Sequence[T]) -> Command: ...

    @abstractmethod
    def _settlements(self, method: str, packet: Sequence[T], outcome: Outcome) -> list[Settlement[T]]:
        """Each item's outcome out of its command's."""

    @abstractmethod
    def _find(self, items: Mapping[str, T], writes: Mapping[str, Write]) -> dict[str, str]:
        """Look items up in the portal by their keys: key -> portal id of those found."""

    def _absent_is_final(self, rows: Sequence[Write]) -> list[Write]:
        """Those of `rows`, absent after the cap and the grace, that are proven never to have been executed."""
        return list(rows)

    def _peek_size(self) -> int:
        """How many items to have at hand before a request is made up."""
        return 1000

    def _unsure(self, settlements: list[Settlement[T]]) -> None:
        """Take settlements that only their position supports. The default has none."""

    def _refused_whole(self, method: str, settlement: Settlement[T], packet_size: int) -> bool:
        """Whether a refusal of a command of several items is taken up by the subclass instead."""
        return False

    def _affordable(self, method: str, most: int, allowance_s: float) -> int:
        """How many of `most` items fit a third of the request cap and `allowance_s`, by what one has cost so far."""
        duration_s, counted_s = self._gate.unit_costs(method)
        if duration_s:
            most = min(most, int(self._gate.limits.request_target_s / duration_s))
        dearest = max(duration_s or 0.0, counted_s or 0.0)
        if dearest:
            most = int(min(allowance_s / dearest, most))
        return max(1, most)

    def _note_of(self, settlement: Settlement[T]) -> dict[str, Any] | None:
        """What the ledger is to keep of an answer besides the id."""
        return None

    def _created(self, done: Sequence[tuple[T, str]]) -> None:
        """Items that the portal now holds, with their ids."""

    def _after_request(self, method: str, size: int) -> None: ...

    def _idle(self) -> bool:
        """Work left when the queues are empty; True when some was done."""
        return False

    # -- the loop ---------------------------------------------------------------------------------

    def send(self, items: Iterator[T]) -> None:
        """Send `items` (all of them planned in the ledger) until each is settled or proven unknowable.

        Raises PortalUnreachable, PortalBlocked, StoreError; what was sent is recorded either way.
        """
        self._ledger.bury_dead()
        self._items = Ahead(items)
        while self.stopped is None:
            self._fill()
            _, source = self._source()
            if source:
                self._send_with_patience()
                if self._ordered and self._unknown:
                    self._look_up()
            elif self._idle():
                continue
            elif self._unknown:
                self._look_up()
            elif self._others:
                self._watch_others()
            else:
                break
        while self.stopped is not None and (self._idle() or self._unknown):
            self._look_up()

    def _fill(self) -> None:
        while (wanted := self._peek_size() - len(self._queue)) > 0:
            fresh = self._items.take(wanted)
            if not fresh:
                return
            self._queue.extend(self._without_loose_ends(fresh) if self._ordered else fresh)

    def _without_loose_ends(self, items: Sequence[T]) -> list[T]:
        """Those of `items` still to be sent, in their order, once it is known what became of all of them.

        A dead process may have left a request that the portal is still working on. Nothing may overtake it: what
        comes later in the order would bar it, or its repetition, from the portal.
        """
        states = {key: write.state for key, write in self._ledger.states([item.key for item in items]).items()}
        loose = [item for item in items if states.get(item.key) in (SENT, UNKNOWN)]
        if not loose:
            return list(items)
        ahead, self._queue = self._queue, deque()
        for item in loose:
            if states[item.key] == UNKNOWN:
                self._note_unknown(item)
            else:
                self._others[item.key] = item
        while self._unknown or self._others:
            self._look_up()
            self._watch_others()
            if self._others:
                self._client.clock.sleep(OTHERS_POLL_S)
        back = {item.key: item for item in self._queue}
        self._queue = ahead
        left = [item for item in items if back.pop(item.key, None) or states.get(item.key) not in (SENT, UNKNOWN)]
        return [*back.values(), *left]

    def _send_with_patience(self) -> None:
        """One request, again with growing pauses while the portal proves that it did not take it."""

        def give_up(_: RetryCallState) -> None:
            raise PortalUnreachable(
                f"The portal did not take the {self.what_for} after {TRIES} tries ({self._last_words}). "
                "What was not sent is planned still: run the same command again later."
            )

        retrying: Retrying = Retrying(
            retry=retry_if_result(lambda executed: not executed),
            stop=stop_after_attempt(TRIES),
            wait=back_off(self._gate.limits.request_cap_s),
            sleep=self._client.clock.sleep,
            retry_error_callback=give_up,
        )
        retrying(self._send_once)

    def _send_once(self) -> bool:
        """Send one request; False when nothing of it was executed."""
        method, source = self._source()
        settlements: list[Settlement[T]] | None = None
        with ExitStack() as until_recorded:
            while settlements is None:
                with self._gate.bulk_turn({method: 0.0}):
                    settlements = self._send_if_allowed(method, source, until_recorded)
                if settlements is None:
                    # The wait for a budget may be long: others may have the one bulk slot meanwhile.
                    self._gate.wait_for_allowance([method, "batch"])
            self._record(method, settlements, source)
        self._on_progress(self.progress)
        return not settlements or not all(isinstance(item.outcome, NotSent) for item in settlements)

    def _send_if_allowed(self, method: str, source: deque[T], until_recorded: ExitStack) -> list[Settlement[T]] | None:
        """Send the head of `source`; None when the method's budget has no room."""
        allowance_s = self._gate.allowance_s([method, "batch"])
        if allowance_s <= 0:
            return None
        if self._others:
            self._leave_to_others(source)
        packets = self._packets(method, source, allowance_s) if source else []
        for _ in range(sum(map(len, packets))):
            source.popleft()
        return self._send_packets(method, packets, until_recorded) if packets else []

    def _leave_to_others(self, source: deque[T]) -> None:
        """Another process works on some of these too: no slot is booked for what it has taken already."""
        states = self._ledger.states([item.key for item in source])
        taken = {key for key, write in states.items() if write.state != PLANNED}
        self._others.update((item.key, item) for item in source if item.key in taken)
        left = [item for item in source if item.key not in taken]
        source.clear()
        source.extend(left)

    def _send_packets(self, method: str, packets: list[list[T]], until_recorded: ExitStack) -> list[Settlement[T]]:
        items = [item for packet in packets for item in packet]
        booked = self._client.book({method: float(len(items))}, "bulk")
        until_recorded.enter_context(interruption_after())
        claimed = self._ledger.claim([item.key for item in items])
        for item in items:
            if item.key not in claimed:
                self._others[item.key] = item
        mine = [kept for packet in packets if (kept := [item for item in packet if item.key in claimed])]
        if not mine:
            self._gate.observe([MethodUse(name, 0.0, None, None, None, s) for name, s in booked.items()])
            return []
        commands = {f"r{index:06d}": self._command(method, packet) for index, packet in enumerate(mine)}
        try:
            # A refused command whose rows are sent again must not be overtaken by the rows after them.
            halt = self._ordered and any(len(packet) > 1 for packet in mine)
            with self._items.reading(self._peek_size()):
                answers = self._client.send_booked(commands, booked, halt=halt)
        except PortalBlocked:
            self._ledger.settle([Settled(key, PLANNED) for key in claimed])
            raise
        return [
            settlement
            for index, packet in enumerate(mine)
            for settlement in self._settlements(method, packet, answers[f"r{index:06d}"])
        ]

    # -- outcomes ---------------------------------------------------------------------------------

    def _record(self, method: str, settlements: Sequence[Settlement[T]], source: deque[T]) -> None:
        """Store what is sure at once; hand on what is not; items not sent go back in their order."""
        settled: list[Settled] = []
        again: list[T] = []
        done: list[tuple[T, str]] = []
        unsure: list[Settlement[T]] = []
        for entry in settlements:
            outcome, key = entry.outcome, entry.item.key
            if isinstance(outcome, NotSent):
                settled.append(Settled(key, PLANNED))
                self._last_words = f"{outcome.code}: {outcome.text}"
                again.append(entry.item)
            elif isinstance(outcome, Unknown):
                settled.append(Settled(key, UNKNOWN, message=outcome.text))
                self._note_unknown(entry.item)
            elif not entry.sure:
                unsure.append(entry)
            elif isinstance(outcome, Refused):
                if self._refused_whole(method, entry, len(settlements)):
                    settled.append(Settled(key, PLANNED))
                else:
                    settled.append(self._refused(entry.item, outcome))
            else:
                settled.append(Settled(key, DONE, portal_id=str(outcome.result), detail=self._note_of(entry)))
                done.append((entry.item, str(outcome.result)))
        self._ledger.settle(settled)
        source.extendleft(reversed(again))
        self._count_done(done)
        if unsure:
            self._unsure(unsure)
        self._after_request(method, len(settlements))

    def _refused(self, item: T, outcome: Refused) -> Settled:
        self.progress.refused += 1
        return Settled(item.key, REFUSED, code=outcome.code or None, message=outcome.text)

    def _count_done(self, done: Sequence[tuple[T, str]]) -> None:
        self.progress.written += len(done)
        if done:
            self._created(done)

    # -- unknown ----------------------------------------------------------------------------------

    def _note_unknown(self, item: T) -> None:
        self._unknown[item.key] = item
        self._tries[item.key] = self._tries.get(item.key, 0) + 1
        self.progress.unknown = len(self._unknown)

    def _look_up(self) -> None:
        """Settle Unknown writes from the portal: found = done; absent for sure = planned again; else unknown."""
        pause_s = LOOK_AGAIN_S
        while self._unknown:
            started = self._client.clock.wall_s()
            writes = self._ledger.states(list(self._unknown))
            for key in [key for key in self._unknown if writes[key].state not in (UNKNOWN, SENT)]:
                # Another process was quicker to look.
                self._others[key] = self._unknown.pop(key)
            found = self._find(self._unknown, {key: writes[key] for key in self._unknown})
            self._ledger.settle([Settled(key, DONE, portal_id=portal_id) for key, portal_id in found.items()])
            self._count_done([(self._unknown.pop(key), portal_id) for key, portal_id in found.items()])
            ripe = [writes[key] for key in self._unknown if self._ripe_at(writes[key]) <= started]
            self._settle_absent(ripe)
            if self._unknown:
                ripe_in_s = min(self._ripe_at(writes[key]) for key in self._unknown) - self._client.clock.wall_s()
                self._client.clock.sleep(max(0.2, min(ripe_in_s, pause_s)))
                pause_s *= 2
        self.progress.unknown = 0

    def _ripe_at(self, row: Write) -> float:
        return (row.sent_at or 0.0) + self._gate.limits.request_cap_s + LOOKUP_GRACE_S

    def _settle_absent(self, rows: Sequence[Write]) -> None:
        """Absent for sure: again. Not sure, or vanished too often (something eats it): it stays unknown.

        Raises PortalUnreachable for what vanished in an ordered job: the rest would bar it from the portal for good.
        """
        proven = {row.key for row in self._absent_is_final(rows)} if rows else set()
        again = [row for row in rows if row.key in proven and self._tries.get(row.key, 0) < UNKNOWN_TRIES]
        self._ledger.plan_again(again)
        for row in reversed(again):
            self._queue.appendleft(self._unknown.pop(row.key))
        vanished = [self._unknown.pop(row.key) for row in rows if row.key in self._unknown]
        if vanished and self._ordered:
            raise PortalUnreachable(
                f"{len(vanished)} {self.what_for} were sent {UNKNOWN_TRIES} times and neither answered nor found. They "
                "must not be overtaken, so the rest waits: run the same command again later."
            )

    def _watch_others(self) -> None:
        """Writes that another process has sent: wait while it lives, take over when it is dead."""
        self._ledger.bury_dead()
        for key, write in self._ledger.states(list(self._others)).items():
            if write.state in (DONE, REFUSED):
                del self._others[key]
            elif write.state == PLANNED:
                self._queue.append(self._others.pop(key))
            elif write.state == UNKNOWN:
                self._note_unknown(self._others.pop(key))
        if self._others and not (self._queue or self._unknown):
            self._client.clock.sleep(OTHERS_POLL_S)
