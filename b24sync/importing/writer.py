"""Rows into the portal by one of the ways of import, on the one write path (`bulk/ledgered.py`)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from b24sync.bulk.ledgered import LedgeredSender, Progress, Settlement
from b24sync.importing.ways import WAYS, Costs, Row, Way, WayName, cheaper
from b24sync.portal.items import KEYS_PER_REQUEST, UPDATED_TIME, Origin, find_by_origin, read_by_ids
from b24sync.store.ledger import DONE, PLANNED, UNKNOWN, Ledger, Settled, Write
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Outcome, Refused
from b24sync.transport.protocol import Command

FIRST_REQUEST_ROWS = 50
"""Before a row's cost is known: within the request cap of a minute for rows of up to a second."""
GROWTH = 10
TRIAL_ROWS = 50
TRIAL_WORTH_ROWS = 1000
"""Below this many rows `auto` does not try the second way: the trial would cost more than it saves."""
MASS_REFUSAL_ROWS = 200
VALUE_NOT_VALID = "CRM_FIELD_ERROR_VALUE_NOT_VALID"
"""What the portal says to times and authors that it does not take (crm/universal/import/crm-item-import.md)."""
BOTH_WAYS: tuple[WayName, ...] = ("batch_import", "single_import")
BY_METHOD: Mapping[str, Way] = {way.method: way for way in WAYS.values()}


@dataclass(slots=True)
class WriteResult:
    """How the writing ended. `stopped` says why it ended early, with what to do; `duplicates` by key."""

    stopped: str | None = None
    duplicates: dict[str, list[int]] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    rows_refused: int = 0
    """Items that are there without their product rows, which the portal refused."""
    addresses_refused: dict[int, str] = field(default_factory=dict)
    """Items that are there without their address, by id: what the portal said."""


class ItemWriter(LedgeredSender[Row]):
    """Writes the rows of one kind and originator.

    `ordered`: creation times are sent, and the portal refuses a date earlier than that of an item it has
    (crm/universal/import/index.md).
    """

    what_for = "rows of the import"

    def __init__(
        self,
        client: PortalClient,
        ledger: Ledger,
        origin: Origin,
        *,
        way: WayName | None,
        ordered: bool,
        total_rows: int,
        on_progress: Callable[[Progress], None] = lambda _: None,
        on_created: Callable[[Sequence[tuple[Row, int]]], None] = lambda _: None,
        mend: Callable[[Row], Row | None] = lambda _: None,
    ) -> None:
        super().__init__(client, ledger, ordered=ordered, on_progress=on_progress)
        self._origin = origin
        self._way = WAYS[way or "batch_import"]
        self._total = total_rows
        self._on_created = on_created
        self._mend = mend
        self._mended: deque[Row] = deque()
        self._singly: deque[Row] = deque()
        self._provisional: list[list[Settlement[Row]]] = []
        self._largest = 0
        self._codes: dict[str, int] = {}
        self._trials: list[WayName] = []
        self._duplicates: dict[str, list[int]] = {}
        self._adding = way == "add"
        self._dated: set[str] = set()
        self._undated: dict[str, int] = {}
        if way is None:
            self._plan_trials()

    def write(self, rows: Iterator[Row]) -> WriteResult:
        """Write `rows` (all of them planned in the ledger). Cost: one request per 50 to 1,000 rows, and one
        per 2,500 to read back what a batchImport answered by position.

        Raises PortalUnreachable, PortalBlocked, StoreError; what was sent is recorded either way.
        """
        self.send(rows)
        return WriteResult(self.stopped, self._duplicates, self.progress)

    # -- how rows become commands -------------------------------------------------------------------

    def _source(self) -> tuple[str, deque[Row]]:
        if self._singly:
            return WAYS["single_import"].method, self._singly
        way = WAYS[self._trials[0]] if self._trials else self._way
        return way.method, self._queue

    def _peek_size(self) -> int:
        return self._way.rows_per_request

    def _packets(self, method: str, source: Sequence[Row], allowance_s: float) -> list[list[Row]]:
        way = BY_METHOD[method]
        return way.packets(list(islice(source, self._how_many(way, allowance_s))))

    def _command(self, method: str, packet: Sequence[Row]) -> Command:
        return BY_METHOD[method].command(self._origin.entity_type_id, packet)

    def _settlements(self, method: str, packet: Sequence[Row], outcome: Outcome) -> list[Settlement[Row]]:
        return BY_METHOD[method].outcomes(packet, outcome)

    def _how_many(self, way: Way, allowance_s: float) -> int:
        """Rows of the next request: under a third of the request cap, inside the budget, growing tenfold."""
        most = min(way.rows_per_request, max(FIRST_REQUEST_ROWS, self._largest * GROWTH))
        if self._trials:
            most = min(most, TRIAL_ROWS)
        seen = self.progress.written + self.progress.refused + self._provisional_rows()
        if seen < MASS_REFUSAL_ROWS:
            most = min(most, MASS_REFUSAL_ROWS - seen)
        duration_s, counted_s = self._gate.unit_costs(way.method)
        if duration_s:
            most = min(most, int(self._gate.limits.request_target_s / duration_s))
        dearest = max(duration_s or 0.0, counted_s or 0.0)
        if dearest:
            most = min(most, int(min(allowance_s / dearest, most)))
        return max(1, most)

    # -- what their answers mean --------------------------------------------------------------------

    def _refused_whole(self, method: str, settlement: Settlement[Row], packet_size: int) -> bool:
        """A command refused whole may be one row's fault: each of its rows is asked alone."""
        if BY_METHOD[method].rows_per_command == 1 or packet_size == 1:
            return self._mends(settlement)
        self._singly.append(settlement.item)
        return True

    def _mends(self, settlement: Settlement[Row]) -> bool:
        """Whether a refused row goes once more in another form; after all others, as without times it is the newest."""
        assert isinstance(settlement.outcome, Refused)  # only refusals are asked about
        if settlement.outcome.code != VALUE_NOT_VALID:
            return False
        mended = self._mend(settlement.item)
        if mended is not None:
            self._mended.append(mended)
        return mended is not None

    def _unsure(self, settlements: list[Settlement[Row]]) -> None:
        self._provisional.append(settlements)

    def _refused(self, item: Row, outcome: Refused) -> Settled:
        code = outcome.code or outcome.text
        self._codes[code] = self._codes.get(code, 0) + 1
        return super()._refused(item, outcome)

    def _note_of(self, settlement: Settlement[Row]) -> dict[str, Any] | None:
        """When the portal can last have changed the row by itself: import starts no automation, so when it answered.

        Saves the reading back, one request per 2,500 rows, that undo would need otherwise.
        """
        outcome = settlement.outcome
        if self._adding or not isinstance(outcome, Done) or outcome.timing.finish is None:
            return None
        self._dated.add(settlement.item.key)
        answered = datetime.fromtimestamp(math.ceil(outcome.timing.finish), UTC)
        return {UPDATED_TIME: answered.isoformat()}

    def _created(self, done: Sequence[tuple[Row, str]]) -> None:
        self._undated.update((row.key, int(item_id)) for row, item_id in done if row.key not in self._dated)
        self._dated.clear()
        self._on_created([(row, int(item_id)) for row, item_id in done])

    def _after_request(self, method: str, size: int) -> None:
        self._largest = max(self._largest, size)
        self.progress.pace_s, self.progress.counted_s = self._gate.unit_costs(method)
        if self._trials and method == WAYS[self._trials[0]].method:
            self._trials.pop(0)
            if not self._trials:
                self._choose_way()
        if self._provisional_rows() >= KEYS_PER_REQUEST:
            self._confirm()
        if len(self._undated) >= KEYS_PER_REQUEST:
            self._date()
        self._stop_on_mass_refusal()

    def _idle(self) -> bool:
        if self._provisional:
            self._confirm()
        elif self._undated:
            self._date()
        elif self._mended and self.stopped is None:
            self._singly.extend(self._mended)
            self._mended.clear()
        else:
            return False
        return True

    def _date(self) -> None:
        """Note when the portal says it last changed what was written, for undo. Cost: one request per 2,500 rows."""
        undated, self._undated = self._undated, {}
        note_times(self._client, self._ledger, self._origin.entity_type_id, undated)

    def _provisional_rows(self) -> int:
        return sum(map(len, self._provisional))

    def _confirm(self) -> None:
        """Read back the ids that batchImport gave by position. Cost: one request per 2,500 rows."""
        packets = self._provisional
        ids = [entry.outcome.result for packet in packets for entry in packet if isinstance(entry.outcome, Done)]
        select = [*(name for name in self._origin.select if name != "id"), UPDATED_TIME]
        rows = read_by_ids(self._client, self._origin.entity_type_id, ids, select)
        key_of_id = {item_id: self._origin.key_of(row) for item_id, row in rows.items()}
        time_of_id = {item_id: row.get(UPDATED_TIME) for item_id, row in rows.items()}
        self._provisional = []
        for packet in packets:
            self._confirm_packet(packet, key_of_id, time_of_id)

    def _confirm_packet(
        self, packet: Sequence[Settlement[Row]], key_of_id: Mapping[int, str | None], time_of_id: Mapping[int, Any]
    ) -> None:
        in_place = all(
            key_of_id.get(entry.outcome.result) == entry.item.key for entry in packet if isinstance(entry.outcome, Done)
        )
        if not in_place:
            # The answer was not in the order of the rows: only the portal knows which id is whose.
            lost = "crm.item.batchImport answered in another order than it was asked"
            self._ledger.settle([Settled(entry.item.key, UNKNOWN, message=lost) for entry in packet])
            for entry in packet:
                self._note_unknown(entry.item)
            return
        settled: list[Settled] = []
        done: list[tuple[Row, str]] = []
        for entry in packet:
            if isinstance(entry.outcome, Done):
                done.append((entry.item, str(entry.outcome.result)))
                note = {UPDATED_TIME: time_of_id.get(entry.outcome.result)}
                settled.append(Settled(entry.item.key, DONE, portal_id=done[-1][1], detail=note))
            elif isinstance(entry.outcome, Refused) and self._mends(entry):
                settled.append(Settled(entry.item.key, PLANNED))
            elif isinstance(entry.outcome, Refused):
                settled.append(self._refused(entry.item, entry.outcome))
        self._ledger.settle(settled)
        self._count_done(done)
        for row, _ in done:
            self._undated.pop(row.key, None)

    def _find(self, items: Mapping[str, Row], writes: Mapping[str, Write]) -> dict[str, str]:
        found = find_by_origin(self._client, self._origin, items)
        self._duplicates.update({key: ids for key, ids in found.items() if len(ids) > 1})
        return {key: str(min(ids)) for key, ids in found.items()}

    # -- ways and stops -------------------------------------------------------------------------------

    def _plan_trials(self) -> None:
        if self._total < TRIAL_WORTH_ROWS:
            return
        self._trials = [name for name in BOTH_WAYS if self._gate.unit_costs(WAYS[name].method)[0] is None]
        if not self._trials:
            self._choose_way()

    def _choose_way(self) -> None:
        """The cheaper way by what the portal's counters showed (settings/performance/limits.md)."""
        costs: dict[WayName, Costs] = {}
        for name in BOTH_WAYS:
            duration_s, counted_s = self._gate.unit_costs(WAYS[name].method)
            if duration_s is not None:
                counted = duration_s if counted_s is None else counted_s
                costs[name] = Costs(duration_s, counted, 1 / WAYS[name].rows_per_request)
        if len(costs) == len(BOTH_WAYS):
            limits = self._gate.limits
            chosen = cheaper(self._total, costs, rate_per_s=limits.rate_per_s, limit_s=limits.operating_limit_s)
            self._way = WAYS[chosen]

    def _stop_on_mass_refusal(self) -> None:
        """Over half of the first 200 written rows refused with one code: a person has to look."""
        written = self.progress.written + self.progress.refused
        if written > 2 * MASS_REFUSAL_ROWS or written + self._provisional_rows() < MASS_REFUSAL_ROWS:
            return
        self._confirm()
        if not self._codes:
            return
        code, count = max(self._codes.items(), key=lambda entry: entry[1])
        written = self.progress.written + self.progress.refused
        if count * 2 > min(written, MASS_REFUSAL_ROWS):
            self.stopped = (
                f"Stopped: {count} of the first {written} rows were refused with {code}. "
                "The reasons stand in `b24sync import report`; mend the cause and run the same command again."
            )


def note_times(client: PortalClient, ledger: Ledger, entity_type_id: int, ids: Mapping[str, int]) -> None:
    """Put the items' updatedTime beside their writes, id by key. Cost: one request per 2,500."""
    rows = read_by_ids(client, entity_type_id, list(ids.values()), [UPDATED_TIME])
    times = {key: rows[item_id].get(UPDATED_TIME) for key, item_id in ids.items() if item_id in rows}
    ledger.note({key: {UPDATED_TIME: time} for key, time in times.items() if time})
