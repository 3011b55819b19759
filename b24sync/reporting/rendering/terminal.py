"""Reports on a terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from b24sync.reporting.rendering.words import heading, is_number, rows_of, title, total_of
from b24sync.reporting.tables import Report
from b24sync.reporting.texts import word

MOST_ROWS = 50
"""The worst come first; nobody reads ten thousand lines on a terminal."""


def write_table(report: Report, out: TextIO, language: str) -> None:
    """A table with the first rows and the totals."""
    from rich.console import Console
    from rich.table import Table

    # Wide enough for every column where nobody can scroll: the output is a file or a pipe.
    # FORCE_COLOR asks for colours on standard output, which may be piped to a screen, not in a file.
    colours = None if out is sys.stdout else False
    console = Console(file=out, highlight=False, width=None if out.isatty() else 200, force_terminal=colours)
    console.print(heading(report, language), markup=False)
    main = report.main
    if not main.rows:
        console.print(word("nothing", language))
        return
    table = Table()
    for column in main.columns:
        table.add_column(title(column, language), justify="right" if is_number(column) else "left")
    for row in rows_of(report, main, language, MOST_ROWS):
        table.add_row(*map(_plain, row))
    if total := total_of(report, main, language):
        table.add_section()
        table.add_row(*map(_plain, total))
    console.print(table)
    if len(main.rows) > MOST_ROWS:
        console.print(word("more_rows", language).format(count=len(main.rows) - MOST_ROWS))
    for note in report.notes:
        console.print(note, markup=False)


def _plain(text: str) -> str:
    """A title is no markup, whatever brackets it has."""
    from rich.markup import escape

    return escape(text)
