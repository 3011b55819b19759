"""Writes of one command each, in batches sized by what they cost: what jobs of several kinds of writes are made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from b24sync.bulk.ledgered import LedgeredSender, Progress, Settlement, T
from b24sync.store.ledger import UNKNOWN, Ledger, Settled, Write
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Outcome, Refused
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command

FIRST_REQUEST = 5
"""Commands of a method whose cost is not known yet: the whole batch must end within the request cap."""


class CommandSender(LedgeredSender[T]):
    """Sends items of one method, one command each; a subclass says which command and how an item is looked up."""

    method: str

    def _source(self) -> tuple[str, deque[T]]:
        return self.method, self._queue

    def _packets(self, method: str, source: Sequence[T], allowance_s: float) -> list[list[T]]:
        most = BATCH_MAX_COMMANDS if self._gate.unit_costs(method)[0] is not None else FIRST_REQUEST
        return [[item] for item in islice(source, self._affordable(method, most, allowance_s))]

    def _after_request(self, method: str, size: int) -> None:
        self.progress.pace_s, self.progress.counted_s = self._gate.unit_costs(method)

    def _settlements(self, method: str, packet: Sequence[T], outcome: Outcome) -> list[Settlement[T]]:
        return [Settlement(packet[0], outcome)]


@dataclass(frozen=True, slots=True)
class Step:
    """A write that sets something: the same done twice is the same. `about` is what the look-up needs."""

    key: str
    command: Command
    about: Any = None


Look = Callable[[Mapping[str, Step]], set[str]]
"""Keys of the steps whose effect the portal shows."""


class Steps(CommandSender[Step]):
    """Sends steps of one method. `look` settles those that were sent and not answered."""

    def __init__(
        self,
        client: PortalClient,
        ledger: Ledger,
        method: str,
        look: Look,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        super().__init__(client, ledger, on_progress=on_progress)
        self.method = self.what_for = method
        self._look = look
        self._done: set[str] = set()
        self._refusals: dict[str, Refused] = {}

    def perform(self, steps: Sequence[Step], read_at: float) -> tuple[set[str], dict[str, Refused]]:
        """Send them; keys of those that are done, and refusals. The rest was sent and never answered.

        `read_at`: when the portal showed that they are wanted, so that what was done earlier is done again. Cost: one
        request per 50, fewer where they cost the portal much. Raises RetryLater, PortalBlocked.
        """
        keys = [step.key for step in steps]
        self._ledger.gone(*keys, before=read_at)
        self._ledger.plan(((key, None) for key in keys), None)
        self.send(iter(steps))
        # What another process has taken on is done by it, or found to be unknown.
        left = self._ledger.states([key for key in keys if key not in self._done | self._refusals.keys()])
        return self._done | {key for key, write in left.items() if write.state != UNKNOWN}, self._refusals

    def _created(self, done: Sequence[tuple[Step, str]]) -> None:
        self._done.update(step.key for step, _ in done)

    def _refused(self, item: Step, outcome: Refused) -> Settled:
        self._refusals[item.key] = outcome
        return super()._refused(item, outcome)

    def _command(self, method: str, packet: Sequence[Step]) -> Command:
        return packet[0].command

    def _settlements(self, method: str, packet: Sequence[Step], outcome: Outcome) -> list[Settlement[Step]]:
        # The answer may be the whole object: that it was done is all there is to remember.
        return [Settlement(packet[0], Done("set") if isinstance(outcome, Done) else outcome)]

    def _find(self, items: Mapping[str, Step], writes: Mapping[str, Write]) -> dict[str, str]:
        return dict.fromkeys(self._look(items), "set") if items else {}
