"""XLSX workbooks: cells as text without loss, rows streamed out of calamine's compact sheet."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
    ZipError,
)

from b24sync.importing.source import (
    EDGES,
    MAPPING_SHEET,
    MAX_CELL_CHARS,
    DateCell,
    NumberCell,
    Source,
    SourceError,
    check_header,
)
from b24sync.importing.xlsx_errors import find_lost_cells, refuse_far_cells

# A workbook of 100,000 rows x 20 columns unpacks to about 120 MB; far more is a zip bomb or no import.
MAX_UNPACKED_BYTES = 2_000_000_000
_MAX_RATIO = 200
_RATIO_FROM_BYTES = 50_000_000
_SHORTEST_WHOLE = 1e15


class XlsxSource(Source):
    """One sheet of a workbook.

    Without `sheet` the only visible sheet that holds anything is read; where there are several, a SourceError lists
    them. Memory: about 30 bytes per cell in calamine, plus the distinct texts; rows are turned into lists one by one.
    """

    def __init__(self, path: Path, *, sheet: str | None = None) -> None:
        self.path = path
        self.name = path.name
        _check_size(path)
        try:
            self._workbook: CalamineWorkbook | None = CalamineWorkbook.from_path(str(path))
            self.mapping_text = _mapping_text(self._workbook)
            self._sheet: CalamineSheet | None = _pick_sheet(path, self._workbook, sheet)
        except PasswordError as error:
            raise SourceError(f"{path}: protected by a password; save it without one") from error
        except (CalamineError, ZipError) as error:
            raise SourceError(f"{path}: not a readable .xlsx workbook: {error}") from error
        self.sheet_name = self._sheet.name
        self._rows_total = self._sheet.total_height
        start = self._sheet.start
        self._left = start[1] if start else 0
        self._lost = find_lost_cells(path, self.sheet_name)
        self.header = self._read_header()

    @property
    def approx_rows(self) -> int:
        """Rows of the used range below the header; empty ones at the end are counted too."""
        return max(0, self._rows_total - self._header_line)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """See `Source.rows`; the line is the sheet's row number."""
        empty_lines: list[int] = []
        width = len(self.header)
        for line, cells in self._lines():
            if line <= self._header_line:
                continue
            if not any(cells):
                empty_lines.append(line)
                continue
            if empty_lines:
                yield from ((empty, [""] * width) for empty in empty_lines)
                empty_lines.clear()
            yield line, cells

    def close(self) -> None:
        """Let the sheet's memory go."""
        self._sheet = None
        if self._workbook is not None:
            self._workbook.close()
            self._workbook = None

    def _read_header(self) -> list[str]:
        for line, cells in self._lines():
            if any(cells):
                check_header(self.path, line, cells)
                self._header_line = line
                return [str(cell) for cell in cells]
        raise SourceError(f"{self.path}: sheet {self.sheet_name} is empty")

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        if self._sheet is None:
            raise SourceError(f"{self.path}: is closed")
        left = [""] * self._left
        lost = self._lost
        for line, row in enumerate(self._sheet.iter_rows(), start=1):
            cells = [value.strip(EDGES) if type(value) is str else cell_text(value) for value in row]
            if left:
                cells = left + cells
            if line in lost:
                for column, mark in lost[line].items():
                    cells.extend([""] * (column + 1 - len(cells)))
                    cells[column] = mark
            if cells and len(max(cells, key=len)) > MAX_CELL_CHARS:
                raise SourceError(f"{self.path}: row {line}: a cell of more than {MAX_CELL_CHARS:,} characters")
            yield line, cells


def cell_text(value: Any) -> str:
    """A cell's value as text that says all of it.

    Whole numbers without ".0"; other numbers as the shortest digits that give the same number; dates as ISO text;
    times and durations as [h]:mm:ss; booleans as TRUE and FALSE.
    """
    return _TEXT[type(value)](value)


def _float_text(value: float) -> str:
    if value.is_integer() and abs(value) < _SHORTEST_WHOLE:
        return NumberCell(int(value))
    # a number of 16 and more digits has lost its last ones in the workbook: written as the workbook shows it
    return NumberCell(format(Decimal(repr(value)), "f"))


def _datetime_text(value: dt.datetime) -> str:
    if value.time() == dt.time():
        return DateCell(value.date().isoformat())
    return DateCell(value.isoformat(timespec="seconds"))


def _duration_text(value: dt.timedelta) -> str:
    total_s = round(value.total_seconds())
    sign = "-" if total_s < 0 else ""
    minutes, seconds = divmod(abs(total_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}"


_TEXT: dict[type, Callable[[Any], str]] = {
    str: lambda value: value.strip(EDGES),
    float: _float_text,
    int: NumberCell,
    bool: lambda value: "TRUE" if value else "FALSE",
    dt.date: lambda value: DateCell(value.isoformat()),
    dt.datetime: _datetime_text,
    dt.time: lambda value: value.isoformat(timespec="seconds"),
    dt.timedelta: _duration_text,
}


def _pick_sheet(path: Path, workbook: CalamineWorkbook, wanted: str | None) -> CalamineSheet:
    sheets = [meta for meta in workbook.sheets_metadata if meta.typ == SheetTypeEnum.WorkSheet]
    names = [meta.name for meta in sheets]
    if wanted is not None:
        if wanted not in names:
            raise SourceError(f"{path}: no sheet {wanted}; it has {', '.join(names)}")
        return _opened(path, workbook, wanted)
    visible = [meta.name for meta in sheets if meta.visible == SheetVisibleEnum.Visible]
    if not visible:
        raise SourceError(f"{path}: no visible sheet; name one of {', '.join(names) or 'none'}")
    if len(visible) == 1 or MAPPING_SHEET in names:  # a template's rows are in its first sheet
        return _opened(path, workbook, visible[0])
    filled = [name for name in visible if _opened(path, workbook, name).total_height]
    if len(filled) > 1:
        raise SourceError(f"{path}: several sheets hold data ({', '.join(filled)}); say which one is meant")
    return _opened(path, workbook, filled[0] if filled else visible[0])


def _opened(path: Path, workbook: CalamineWorkbook, name: str) -> CalamineSheet:
    refuse_far_cells(path, name)
    return workbook.get_sheet_by_name(name)


def _mapping_text(workbook: CalamineWorkbook) -> str:
    if MAPPING_SHEET not in workbook.sheet_names:
        return ""
    rows = workbook.get_sheet_by_name(MAPPING_SHEET).iter_rows()
    return "\n".join(str(row[0]) for row in rows if row) + "\n"


def _check_size(path: Path) -> None:
    """Refuse a zip bomb before anything is unpacked. Raises: SourceError."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise SourceError(f"{path}: not a readable .xlsx workbook: {error}") from error
    ratio = unpacked / max(1, path.stat().st_size)
    if unpacked > MAX_UNPACKED_BYTES or (unpacked > _RATIO_FROM_BYTES and ratio > _MAX_RATIO):
        raise SourceError(f"{path}: unpacks to {unpacked / 1e6:,.0f} MB; refused. Save the rows you need as CSV")
