"""Rows of a run's file, as they stand in it: to be mended and imported again with the same mapping or importer.

Nothing is added to the rows: a column that the mapping does not know would be a mistake in the next import. The reasons
go beside them, in a workbook as notes on the first cell.
"""

from __future__ import annotations

import bisect
import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from b24sync.errors import ConfigError
from b24sync.importing.source import EXACT_DIGITS, DateCell, NumberCell, Source, open_source


def fingerprint(file_sha256: str, mapping_sha256: str) -> str:
    """What a run is recognised by: half of its file's fingerprint, half of its mapping's."""
    return file_sha256[:32] + mapping_sha256[:32]


def file_of_run(path: Path, run_fingerprint: str, *, sheet: str | None = None) -> Source:
    """The file of a run, unchanged since. Raises ConfigError, SourceError where it is gone, changed or unreadable."""
    source = open_source(path, sheet=sheet)
    if run_fingerprint[:32] != source.sha256[:32]:
        source.close()
        raise ConfigError(f"{path} is not the file of that run any more: its contents have changed since.")
    return source


def excerpt(source: Source, known: Sequence[int], wanted: Mapping[int, str]) -> Iterator[tuple[int, str, list[str]]]:
    """(line, reason, cells) of the rows whose line is in `wanted`.

    `known` are the lines of all rows of the run, ascending: a line between two of them belongs to the one before, as
    lines of one deal with several products do.
    """
    for line, cells in source.rows():
        place = bisect.bisect_right(known, line) - 1
        if place >= 0 and known[place] in wanted:
            yield line, wanted[known[place]], cells


@contextmanager
def written(out: Path) -> Iterator[None]:
    """Around what writes `out`. Raises ConfigError where its folder or the file cannot be written."""
    try:
        with out.open("ab"):
            pass  # a workbook is opened only when all its rows were read
        yield
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror or error}.") from None


def write_excerpt(out: Path, header: Sequence[str], separator: str, rows: Iterator[tuple[int, str, list[str]]]) -> int:
    """Write them as .csv or .xlsx; how many. Raises ConfigError where CSV would change what a workbook means."""
    if out.suffix.lower() == ".xlsx":
        return _write_workbook(out, header, rows)
    count = 0
    with out.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(header)
        for line, _, cells in rows:
            if any(_means_more(cell) for cell in cells):
                raise ConfigError(
                    f"Line {line} holds dates or fractions of a workbook, which a text would not keep.",
                    ["write to a file that ends in .xlsx"],
                )
            writer.writerow(cells)
            count += 1
    return count


def _means_more(cell: str) -> bool:
    """Whether a cell is more than its text: a mapping reads texts by its `decimal` and `format`."""
    return isinstance(cell, DateCell) or (isinstance(cell, NumberCell) and not cell.lstrip("-").isdigit())


def _write_workbook(out: Path, header: Sequence[str], rows: Iterator[tuple[int, str, list[str]]]) -> int:
    import xlsxwriter  # only where a workbook is written

    count = 0
    options = {"constant_memory": True, "strings_to_urls": False, "strings_to_formulas": False}
    with closing(xlsxwriter.Workbook(out, options)) as book:
        sheet = book.add_worksheet("rows")
        day, moment = (
            book.add_format({"num_format": "dd.mm.yyyy"}),
            book.add_format({"num_format": "dd.mm.yyyy hh:mm:ss"}),
        )
        for place, title in enumerate(header):
            sheet.write_string(0, place, title)
        for count, (line, reason, cells) in enumerate(rows, start=1):
            for place, cell in enumerate(cells):
                _write_cell(sheet, count, place, cell, day, moment)
            if reason:
                sheet.write_comment(count, 0, f"line {line}: {reason}"[:1000])
        sheet.freeze_panes(1, 0)
    return count


def _write_cell(sheet: Any, row: int, place: int, cell: str, day: Any, moment: Any) -> None:
    if not cell:
        return
    if isinstance(cell, DateCell):
        sheet.write_datetime(row, place, datetime.fromisoformat(cell), moment if "T" in cell else day)
    elif isinstance(cell, NumberCell) and sum(char.isdigit() for char in cell) <= EXACT_DIGITS:
        sheet.write_number(row, place, float(cell))
    else:
        sheet.write_string(row, place, cell)
