"""Reports as JSON and CSV: keys, numbers and ISO moments, for other programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, TextIO

from b24sync.reporting.tables import Report

ROWS_AT_ONCE = 1_000


def write_json(report: Report, out: TextIO, *, one_line: bool = False) -> None:
    """A list of objects, one a line, or all of it on one line. Flat memory."""
    records = report.records()
    out.write("[")
    ahead = ""
    while piece := list(islice(records, ROWS_AT_ONCE)):
        # Encoded together, which takes half the time; within a text the quote would stand behind a backslash.
        text = json.dumps(piece, ensure_ascii=False)[1:-1]
        out.write(ahead + (text if one_line else text.replace('}, {"', '},\n{"')))
        ahead = ", " if one_line else ",\n"
    out.write("]\n")


def write_csv(report: Report, out: TextIO) -> None:
    """A header of keys, then the rows; nothing where there is no value, true and false as in JSON."""
    columns = [column for column in report.main.columns if not column.derived]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.key for column in columns])
    writer.writerows(_cells(report))


def _cells(report: Report) -> Iterator[list[Any]]:
    for record in report.records():
        yield [
            "" if value is None else str(value).lower() if isinstance(value, bool) else value
            for value in record.values()
        ]
