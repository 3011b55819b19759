"""What a report is made of: columns with a kind, rows of plain values. Renderers know nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import compress
from typing import Any, Literal
from zoneinfo import ZoneInfo

DAY_S = 86_400
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
TWO = [f"{number:02d}" for number in range(60)]

Kind = Literal["id", "text", "moment", "days", "count", "money", "share", "flag"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Values by kind: moment in unix seconds, share from 0 to 1, flag a bool; None where there is none.

    `derived`: says again what another column says; for people, not in JSON and CSV.
    """

    key: str
    kind: Kind
    derived: bool = False


@dataclass(slots=True)
class Table:
    """`total` has a value or None for each column."""

    name: str
    columns: Sequence[Column]
    rows: list[tuple[Any, ...]]
    total: tuple[Any, ...] | None = None


@dataclass(slots=True)
class Chart:
    """Bars: `series` are (name, one value per label)."""

    name: str
    labels: list[str]
    series: list[tuple[str, list[float]]]


@dataclass(slots=True)
class Report:
    """`main` is the report; `more` are tables beside it, for people. `notes` are said below it."""

    main: Table
    as_of: float
    zone: ZoneInfo
    start: float | None = None
    end: float | None = None
    more: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.main.name

    def moment(self, value: float) -> datetime:
        """A moment in the portal's zone, to the second."""
        return datetime.fromtimestamp(int(value), self.zone)

    def records(self) -> Iterator[dict[str, Any]]:
        """Rows by key as JSON has them: moments as ISO texts."""
        columns = [column for column in self.main.columns if not column.derived]
        keys = [column.key for column in columns]
        whole = len(columns) == len(self.main.columns)
        chosen = [not column.derived for column in self.main.columns]
        moments = [column.key for column in columns if column.kind == "moment"]
        iso = self._iso_moments()
        for row in self.main.rows:
            record = dict(zip(keys, row if whole else compress(row, chosen), strict=True))
            for key in moments:
                if record[key] is not None:
                    record[key] = iso(record[key])
            yield record

    def _iso_moments(self) -> Callable[[float], str]:
        """`moment(...).isoformat()` for very many: the offset and the date are looked up once a day."""
        offsets: dict[int, int | None] = {}
        dates: dict[int, str] = {}
        suffixes: dict[int, str] = {}

        def iso(value: float) -> str:
            at = int(value)
            day = at // DAY_S
            if day not in offsets:
                offsets[day] = self._offset_of(day)
            offset = offsets[day]
            if offset is None:
                return self.moment(at).isoformat()
            local, rest = divmod(at + offset, DAY_S)
            if local not in dates:
                dates[local] = date.fromordinal(EPOCH_ORDINAL + local).isoformat()
            if offset not in suffixes:
                suffixes[offset] = self.moment(at).isoformat()[19:]
            minute, second = divmod(rest, 60)
            return f"{dates[local]}T{TWO[minute // 60]}:{TWO[minute % 60]}:{TWO[second]}{suffixes[offset]}"

        return iso

    def _offset_of(self, day: int) -> int | None:
        """The zone's offset in seconds on a day of UTC; None where it changes on that day."""
        moments = [datetime.fromtimestamp(day * DAY_S + hour * 3600, self.zone) for hour in (0, 12, 24)]
        found = {moment.utcoffset() for moment in moments}
        offset = found.pop()
        return int(offset.total_seconds()) if offset is not None and not found else None
