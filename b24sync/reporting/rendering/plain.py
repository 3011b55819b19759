"""Reports as JSON and CSV: keys, numbers and ISO moments, for other programs."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from io import TextIOWrapper
from json.encoder import encode_basestring
from typing import Any, BinaryIO, TextIO

from b24sync.reporting.children import can_have_child, written_by_child
from b24sync.reporting.tables import Column, Report

WORTH_A_CHILD = 20_000
"""Rows; a few are written before a child process has begun."""
COPIED_AT_ONCE = 1 << 20
FLAGS = {True: "true", False: "false"}


def write_json(report: Report, out: TextIO, *, one_line: bool = False) -> None:
    """A list of objects, one a line, or all of it on one line. Flat memory."""
    between = ", " if one_line else ",\n"
    rows = len(report.main.rows)
    out.write("[")
    if rows < WORTH_A_CHILD or not can_have_child():
        _write_objects(report, out, 0, rows, between)
    else:
        middle = rows // 2

        def write_second_half(file: BinaryIO) -> None:
            text = TextIOWrapper(file, encoding="utf-8", newline="")
            _write_objects(report, text, middle, rows, between)
            text.detach()

        with written_by_child(write_second_half) as second_half:
            _write_objects(report, out, 0, middle, between)
            out.write(between)
            _copy(second_half(), out)
    out.write("]\n")


def _copy(file: BinaryIO, out: TextIO) -> None:
    """UTF-8 as it is, where `out` is a file that takes it so."""
    if isinstance(out, TextIOWrapper) and out.encoding.lower() in ("utf-8", "utf8"):
        out.flush()
        shutil.copyfileobj(file, out.buffer, COPIED_AT_ONCE)
    else:
        text = TextIOWrapper(file, encoding="utf-8", newline="")
        shutil.copyfileobj(text, out, COPIED_AT_ONCE)
        text.detach()


def _write_objects(report: Report, out: TextIO, start: int, end: int, between: str) -> None:
    columns = report.columns
    # Column by column into a template: a quarter of the time of dumping a dict for each row.
    line = "{" + ", ".join(f"{encode_basestring(column.key)}: %s" for column in columns) + "}"
    ahead = ""
    for piece in report.pieces(start, end):
        cells = [_json_cells(column, values) for column, values in zip(columns, piece, strict=True)]
        out.write(ahead + between.join(map(line.__mod__, zip(*cells, strict=True))))
        ahead = between


def _json_cells(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """Values as JSON writes them, or as `%s` makes them JSON: numbers read the same."""
    if column.kind == "moment":
        return ["null" if value is None else f'"{value}"' for value in values]
    if column.kind == "text":
        return ["null" if value is None else encode_basestring(value) for value in values]
    if column.kind == "flag":
        return [FLAGS[value] for value in values]
    return ["null" if value is None else value for value in values] if None in values else values


def write_csv(report: Report, out: TextIO) -> None:
    """A header of keys, then the rows; nothing where there is no value, true and false as in JSON."""
    columns = report.columns
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.key for column in columns])
    for piece in report.pieces():
        cells = [
            [FLAGS[value] for value in values] if column.kind == "flag" else values
            for column, values in zip(columns, piece, strict=True)
        ]
        writer.writerows(zip(*cells, strict=True))
