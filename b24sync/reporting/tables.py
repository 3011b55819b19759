"""What a report is made of: columns with a kind, rows of plain values. Renderers know nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, overload
from zoneinfo import ZoneInfo

DAY_S = 86_400
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
TWO = [f"{number:02d}" for number in range(60)]
MINUTES = [f"T{hour:02d}:{minute:02d}:" for hour in range(24) for minute in range(60)]
ROWS_AT_ONCE = 1_000

Kind = Literal["id", "text", "moment", "days", "count", "money", "share", "flag"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Values by kind: moment in unix seconds, share from 0 to 1, flag a bool; None where there is none.

    `derived`: says again what another column says; for people, not in JSON and CSV.
    """

    key: str
    kind: Kind
    derived: bool = False


class Rows(Sequence[tuple[Any, ...]]):
    """Rows that are kept column by column: hundreds of thousands without an object each.

    A column is a list of values, or an array of numpy's, in which NaN means None.
    """

    def __init__(self, columns: Sequence[Any]) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, at: int) -> tuple[Any, ...]: ...

    @overload
    def __getitem__(self, at: slice) -> list[tuple[Any, ...]]: ...

    def __getitem__(self, at: int | slice) -> tuple[Any, ...] | list[tuple[Any, ...]]:
        if isinstance(at, slice):
            return list(zip(*self.columns(at), strict=True))
        return tuple(values[0] for values in self.columns(slice(at, at + 1 or None)))

    def columns(self, part: slice) -> list[Sequence[Any]]:
        """Values of some rows, column by column."""
        return [_values(column[part]) for column in self._columns]


def _values(column: Any) -> Sequence[Any]:
    if isinstance(column, list):
        return column
    has_nothing = (column != column).any()
    values: list[Any] = column.tolist()
    return [None if value != value else value for value in values] if has_nothing else values


@dataclass(slots=True)
class Table:
    """`total` has a value or None for each column."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[tuple[Any, ...]]
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

    @property
    def columns(self) -> list[Column]:
        """Columns that JSON and CSV have."""
        return [column for column in self.main.columns if not column.derived]

    def records(self) -> Iterator[dict[str, Any]]:
        """Rows by key as JSON has them: moments as ISO texts."""
        keys = [column.key for column in self.columns]
        for piece in self.pieces():
            yield from (dict(zip(keys, row, strict=True)) for row in zip(*piece, strict=True))

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[list[Sequence[Any]]]:
        """Some rows at a time, column by column (`columns`), moments as ISO texts: hundreds of thousands of rows.

        `start` and `end` (not included) count rows.
        """
        end = len(self.main.rows) if end is None else end
        chosen = [(at, column.kind == "moment") for at, column in enumerate(self.main.columns) if not column.derived]
        days = _Days(self.zone)
        for begin in range(start, end, ROWS_AT_ONCE):
            part = slice(begin, min(end, begin + ROWS_AT_ONCE))
            rows = self.main.rows
            whole = rows.columns(part) if isinstance(rows, Rows) else list(zip(*rows[part], strict=True))
            yield [days.iso_texts(whole[at]) if is_moment else whole[at] for at, is_moment in chosen]


class _Days(dict[int, tuple[int, str] | None]):
    """By day of UTC: the zone's offset in seconds, and as ISO texts end; None where it changes on that day."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._dates = _Dates()

    def __missing__(self, day: int) -> tuple[int, str] | None:
        moments = [datetime.fromtimestamp(day * DAY_S + hour * 3600, self._zone) for hour in (0, 12, 24)]
        found = {moment.utcoffset() for moment in moments}
        offset = found.pop()
        self[day] = known = (
            (int(offset.total_seconds()), moments[0].isoformat()[19:]) if offset is not None and not found else None
        )
        return known

    def iso_texts(self, values: Sequence[float | None]) -> list[str | None]:
        """`datetime.fromtimestamp(int(value), zone).isoformat()` for very many."""
        texts: list[str | None] = []
        dates = self._dates
        for value in values:
            if value is None:
                texts.append(None)
                continue
            at = int(value)
            offset = self[at // DAY_S]
            if offset is None:
                texts.append(datetime.fromtimestamp(at, self._zone).isoformat())
                continue
            day, rest = divmod(at + offset[0], DAY_S)
            texts.append(f"{dates[day]}{MINUTES[rest // 60]}{TWO[rest % 60]}{offset[1]}")
        return texts


class _Dates(dict[int, str]):
    """ISO texts of dates by their day since 1970."""

    def __missing__(self, day: int) -> str:
        self[day] = text = date.fromordinal(EPOCH_ORDINAL + day).isoformat()
        return text
