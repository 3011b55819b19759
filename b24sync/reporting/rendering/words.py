"""Cells as people read them: numbers and dates by language."""

from __future__ import annotations

from datetime import time
from typing import Any

from b24sync.reporting.tables import Column, Report, Table
from b24sync.reporting.texts import ABSENT, EN, RU, word

NARROW_SPACE = "\u202f"
DATES = {RU: "%d.%m.%Y", EN: "%Y-%m-%d"}


def title(column: Column, language: str) -> str:
    """A column's heading; a column of the matrix is headed by its stage."""
    try:
        return word(column.key, language)
    except KeyError:
        return column.key


def heading(report: Report, language: str) -> str:
    """`Просрочки по стадиям, по состоянию на 25.11.2026 02:00, период 01.10.2026 - 31.10.2026`."""
    said = f"{word(report.name, language)}, {word('as_of', language)} {_edge(report, report.as_of, 1, language)}"
    if report.start is None and report.end is None:
        return said
    begin = word("since_ever", language) if report.start is None else _edge(report, report.start, 0, language)
    end = "" if report.end is None else _edge(report, report.end, 1, language)
    return f"{said}, {word('period', language)} {begin} - {end}".rstrip(" -")


def _edge(report: Report, value: float, back_s: int, language: str) -> str:
    """A moment, or a whole day where it is a midnight: with `back_s` the day that ends with it."""
    if report.moment(value).time() != time.min:
        return moment(report, value, language)
    return report.moment(value - back_s).strftime(DATES[language])


def moment(report: Report, value: float, language: str) -> str:
    """Date and time in the portal's zone."""
    return report.moment(value).strftime(f"{DATES[language]} %H:%M")


def cell(report: Report, column: Column, value: Any, language: str) -> str:
    """One cell as text."""
    if value is None:
        return word(ABSENT[column.key], language) if column.key in ABSENT else ""
    if column.kind == "moment":
        return moment(report, value, language)
    if column.kind == "flag":
        return word("yes", language) if value else ""
    if column.kind == "share":
        return number(value * 100, 1, language) + f"{NARROW_SPACE}%"
    if column.kind in ("days", "money"):
        return number(value, 2, language)
    return number(value, 0, language) if column.kind == "count" else str(value)


def number(value: float, digits: int, language: str) -> str:
    """`12 345,60` in Russian, `12,345.60` in English."""
    text = f"{value:,.{digits}f}"
    return text if language == EN else text.replace(",", NARROW_SPACE).replace(".", ",")


def is_number(column: Column) -> bool:
    return column.kind in ("days", "count", "money", "share")


def rows_of(report: Report, table: Table, language: str, limit: int | None = None) -> list[list[str]]:
    """All cells as text, at most `limit` rows."""
    return [
        [cell(report, column, value, language) for column, value in zip(table.columns, row, strict=True)]
        for row in table.rows[:limit]
    ]


def total_of(report: Report, table: Table, language: str) -> list[str] | None:
    """The line of totals; its first cell says so."""
    if table.total is None:
        return None
    cells = [
        "" if value is None else value if isinstance(value, str) else cell(report, column, value, language)
        for column, value in zip(table.columns, table.total, strict=True)
    ]
    return [cells[0] or word("total", language), *cells[1:]]
