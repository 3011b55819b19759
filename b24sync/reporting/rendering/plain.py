"""Reports as JSON and CSV: keys, numbers and ISO moments, for other programs."""

from __future__ import annotations

import csv
import shutil
from io import BytesIO, TextIOWrapper
from typing import BinaryIO, TextIO

import orjson

from b24sync.reporting.children import can_have_child, written_by_child
from b24sync.reporting.tables import Report

WORTH_A_CHILD = 20_000
"""Rows; a few are written before a child process has begun."""
COPIED_AT_ONCE = 1 << 20
FLAGS = {True: "true", False: "false"}


def write_json(report: Report, out: TextIO, *, one_line: bool = False) -> None:
    """A list of objects, one a line, or all of it on one line: UTF-8, whatever else is written to `out`.

    Flat memory where `out` is a file.
    """
    between = b"," if one_line else b",\n"
    if isinstance(out, TextIOWrapper):
        out.flush()
        _write_list(report, out.buffer, between)
    else:
        whole = BytesIO()
        _write_list(report, whole, between)
        out.write(whole.getvalue().decode())


def _write_list(report: Report, out: BinaryIO, between: bytes) -> None:
    rows = len(report.main.rows)
    out.write(b"[")
    if rows < WORTH_A_CHILD or not can_have_child():
        _write_objects(report, out, 0, rows, between)
    else:
        middle = rows // 2
        with written_by_child(lambda file: _write_objects(report, file, middle, rows, between)) as second_half:
            _write_objects(report, out, 0, middle, between)
            out.write(between)
            shutil.copyfileobj(second_half(), out, COPIED_AT_ONCE)
    out.write(b"]\n")


def _write_objects(report: Report, out: BinaryIO, start: int, end: int, between: bytes) -> None:
    keys = [column.key for column in report.columns]
    ahead = b""
    for piece in report.pieces(start, end):
        objects = [orjson.dumps(dict(zip(keys, row, strict=True))) for row in zip(*piece, strict=True)]
        out.write(ahead + between.join(objects))
        ahead = between


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
