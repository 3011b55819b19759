"""Writes recounted fields: crm.item.update, fifty deals a request at most, through gate and ledger.

An update that is sent twice changes nothing the second time; an Unknown one is looked up by reading the deal back.
Docs: api-reference/crm/universal/crm-item-update.md
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from b24sync.bulk.ledgered import LedgeredSender, Progress, Settlement
from b24sync.bulk.window import WindowClock
from b24sync.portal.items import DEAL, UPDATE, read_by_ids, update_command
from b24sync.portal.stage_fields import RECOUNTED
from b24sync.reporting.recounted import Fields, Update
from b24sync.store.ledger import Ledger, Settled, Write
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Outcome, Refused
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command


class UpdateSender(LedgeredSender[Update]):
    """Sends updates until they are settled or the clock's window is over.

    `on_written` gets the ids of deals that now carry their values; `refusals` has the portal's words by deal.
    """

    what_for = "recounted deals"

    def __init__(
        self,
        client: PortalClient,
        ledger: Ledger,
        fields: Fields,
        clock: WindowClock,
        *,
        on_written: Callable[[Sequence[int]], None],
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        super().__init__(client, ledger, on_progress=on_progress)
        self._fields = fields
        self._clock = clock
        self._on_written = on_written
        self.refusals: dict[int, Refused] = {}

    def _source(self) -> tuple[str, deque[Update]]:
        return UPDATE, self._queue

    def _packets(self, method: str, source: Sequence[Update], allowance_s: float) -> list[list[Update]]:
        most = BATCH_MAX_COMMANDS
        duration_s, counted_s = self._gate.unit_costs(method)
        if duration_s:
            most = min(most, int(self._gate.limits.request_target_s / duration_s))
        if dearest := max(duration_s or 0.0, counted_s or 0.0):
            most = min(most, int(min(allowance_s / dearest, most)))
        return [[update] for update in islice(source, max(1, most))]

    def _command(self, method: str, packet: Sequence[Update]) -> Command:
        return update_command(DEAL, packet[0].deal_id, packet[0].fields)

    def _settlements(self, method: str, packet: Sequence[Update], outcome: Outcome) -> list[Settlement[Update]]:
        if isinstance(outcome, Done):
            outcome = Done(packet[0].deal_id)
        return [Settlement(packet[0], outcome)]

    def _refused(self, item: Update, outcome: Refused) -> Settled:
        self.refusals[item.deal_id] = outcome
        return super()._refused(item, outcome)

    def _created(self, done: Sequence[tuple[Update, str]]) -> None:
        self._on_written([update.deal_id for update, _ in done])

    def _after_request(self, method: str, size: int) -> None:
        self.progress.pace_s, self.progress.counted_s = self._gate.unit_costs(method)
        if self._clock.is_over:
            self.stopped = "the time given is over"

    def _find(self, items: Mapping[str, Update], writes: Mapping[str, Write]) -> dict[str, str]:
        """Those whose deals show the values."""
        rows = read_by_ids(self._client, DEAL, list({item.deal_id for item in items.values()}), RECOUNTED)
        return {
            key: str(item.deal_id)
            for key, item in items.items()
            if item.deal_id in rows and self._fields.hold(item.fields, rows[item.deal_id])
        }
