"""The ways to import rows: how they become the commands of a batch, and its answers each row's outcome. Pure.

`batch_import`   crm.item.batchImport x 20 rows, up to 50 of them in a batch: fewest requests; its answer has
                 no names, so what it says stays provisional until ids are read back
`single_import`  crm.item.import x 50 in a batch: each row is named
`add`            crm.item.add x 50: automation runs on every row; only on request
Docs: crm/universal/import/index.md, .../crm-item-batch-import.md, .../crm-item-import.md, crm-item-add.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from b24sync.bulk.ledgered import Settlement
from b24sync.importing.files import file_bytes, holds_files, with_contents
from b24sync.portal.items import (
    ADD,
    BATCH_IMPORT,
    BATCH_IMPORT_MAX_ROWS,
    SINGLE_IMPORT,
    batch_import_command,
    single_import_command,
)
from b24sync.transport.outcomes import Done, Outcome, Unknown, judge_failure
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command, EncodedRow, failure_of, variable_chunks

FILE_BYTES_PER_REQUEST = 8_000_000

WayName = Literal["batch_import", "single_import", "add"]


@dataclass(frozen=True, slots=True)
class Row:
    """A row ready to be written: our key and the portal's fields, encoded when it is made, ahead of its request.

    `file_bytes`: size of its files, whose contents are read only when the request is made up; None where it has none.
    """

    key: str
    fields: Mapping[str, Any]
    encoded: EncodedRow = field(init=False, repr=False, compare=False)
    file_bytes: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoded", EncodedRow(self.fields))
        object.__setattr__(self, "file_bytes", file_bytes(self.fields) if holds_files(self.fields) else None)

    def on_the_wire(self) -> EncodedRow:
        """The row with the contents of its files. Raises ConfigError for one that went away."""
        return self.encoded if self.file_bytes is None else EncodedRow(with_contents(self.fields))


@dataclass(frozen=True, slots=True)
class Way:
    name: WayName
    method: str
    rows_per_command: int

    @property
    def rows_per_request(self) -> int:
        return self.rows_per_command * BATCH_MAX_COMMANDS

    def packets(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Rows by command: at most 50 commands, each under the portal's limit of variables."""
        rows = rows[: _rows_of_one_request(rows)]
        if self.rows_per_command == 1:
            return [[row] for row in rows[:BATCH_MAX_COMMANDS]]
        slices = variable_chunks([row.encoded for row in rows], max_rows=self.rows_per_command)
        return [list(rows[piece]) for piece, _ in zip(slices, range(BATCH_MAX_COMMANDS), strict=False)]

    def command(self, entity_type_id: int, packet: Sequence[Row]) -> Command:
        if self.name == "batch_import":
            return batch_import_command(entity_type_id, [row.on_the_wire() for row in packet])
        return single_import_command(entity_type_id, packet[0].on_the_wire(), self.method)

    def outcomes(self, packet: Sequence[Row], outcome: Outcome) -> list[Settlement[Row]]:
        """Each row's outcome out of its command's."""
        if not isinstance(outcome, Done):
            return [Settlement(row, outcome, sure=True) for row in packet]
        if self.name != "batch_import":
            created = _id_of(outcome.result)
            if isinstance(created, Done):
                created = replace(created, timing=outcome.timing)
            return [Settlement(packet[0], created, sure=True)]
        items = _by_position(outcome.result.get("items") if isinstance(outcome.result, Mapping) else None)
        if not isinstance(items, list) or len(items) != len(packet):
            said = f"{len(items)} answers" if isinstance(items, list) else "no list of answers"
            lost = Unknown(f"crm.item.batchImport got {len(packet)} rows and gave {said}")
            return [Settlement(row, lost, sure=True) for row in packet]
        return [Settlement(row, _item_outcome(item), sure=False) for row, item in zip(packet, items, strict=True)]


WAYS: Mapping[WayName, Way] = {
    "batch_import": Way("batch_import", BATCH_IMPORT, BATCH_IMPORT_MAX_ROWS),
    "single_import": Way("single_import", SINGLE_IMPORT, 1),
    "add": Way("add", ADD, 1),
}


def _rows_of_one_request(rows: Sequence[Row]) -> int:
    """How many of `rows` go into one request: all, unless their files are large; at least one."""
    total = 0
    for index, row in enumerate(rows):
        total += row.file_bytes or 0
        if index and total > FILE_BYTES_PER_REQUEST:
            return index
    return len(rows)


def _by_position(items: Any) -> Any:
    """`items` as a list: PHP makes a map of one whose positions it has not put in order."""
    if isinstance(items, Mapping) and all(str(place) in items for place in range(len(items))):
        return [items[str(place)] for place in range(len(items))]
    return items


def _item_outcome(item: Any) -> Outcome:
    """One element of items[]: {"item": {"id": 15}} or {"error", "error_description"}."""
    failure = failure_of(item)
    if failure is not None:
        return judge_failure(failure, status=400, nested=True).outcome
    return _id_of(item)


def _id_of(result: Any) -> Outcome:
    item = result.get("item") if isinstance(result, dict) else None
    found = item.get("id") if isinstance(item, dict) else None
    if isinstance(found, int | str) and str(found).isdigit():
        return Done(int(found))
    return Unknown("the portal answered without an id")


@dataclass(frozen=True, slots=True)
class Costs:
    """What one row costs by one way: wall seconds, counted seconds, requests."""

    duration_s: float
    counted_s: float
    requests: float


REQUEST_OVERHEAD_S = 0.05
"""What a request takes beside the portal's work: the way there and back, and our own bookkeeping."""
TOLD_APART = 1.1
"""A trial of fifty rows does not tell ways apart that differ by less."""


def estimate_s(rows: int, costs: Costs, *, rate_per_s: float | None, limit_s: float | None) -> float:
    """How long `rows` will take: server time, pauses for the method's budget, or the request rate.

    The bound of the documented limits: `limit_s` counted seconds per window of ten minutes
    (settings/performance/limits.md); the window is only used for this estimate, never for pacing.
    """
    requests = rows * costs.requests
    work = rows * costs.duration_s + requests * REQUEST_OVERHEAD_S
    if limit_s:
        full_windows = max(0, -int(-(rows * costs.counted_s) // limit_s) - 1)
        work = max(work, full_windows * limit_s * 1.25 + rows * costs.counted_s - full_windows * limit_s)
    return max(work, requests / rate_per_s if rate_per_s else 0.0)


def cheaper(rows: int, by_way: Mapping[WayName, Costs], *, rate_per_s: float | None, limit_s: float | None) -> WayName:
    """The way that finishes `rows` first; of those that cannot be told apart the one with fewer requests."""
    estimates = {
        name: estimate_s(rows, costs, rate_per_s=rate_per_s, limit_s=limit_s) for name, costs in by_way.items()
    }
    best = min(estimates.values())
    close = [name for name, seconds in estimates.items() if seconds <= best * TOLD_APART + 1e-9]
    return min(close, key=lambda name: by_way[name].requests)
