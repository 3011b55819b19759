"""Reports as JSON and CSV: keys, numbers and ISO moments, for other programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import Any, TextIO

from b24sync.reporting.tables import Column, Report

FLAGS = {True: "true", False: "false"}
_quoted = json.JSONEncoder(ensure_ascii=False).encode


def write_json(report: Report, out: TextIO, *, one_line: bool = False) -> None:
    """A list of objects, one a line, or all of it on one line. Flat memory."""
    columns = report.columns
    # Column by column into a template: a quarter of the time of dumping a dict for each row.
    line = "{" + ", ".join(f"{_quoted(column.key)}: %s" for column in columns) + "}"
    between = ", " if one_line else ",\n"
    out.write("[")
    ahead = ""
    for piece in report.pieces():
        cells = [_json_cells(column, values) for column, values in zip(columns, piece, strict=True)]
        out.write(ahead + between.join(map(line.__mod__, zip(*cells, strict=True))))
        ahead = between
    out.write("]\n")


def _json_cells(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """Values as JSON writes them, or as `%s` makes them JSON: numbers read the same."""
    if column.kind == "moment":
        return ["null" if value is None else f'"{value}"' for value in values]
    if column.kind in ("text", "flag"):
        said = {value: _quoted(value) for value in set(values)}
        return [said[value] for value in values]
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
