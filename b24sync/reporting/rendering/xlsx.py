"""Reports as a workbook: typed cells, frozen headings, filters, totals, native charts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from b24sync.reporting.rendering.words import heading, title
from b24sync.reporting.tables import Chart, Column, Report, Table
from b24sync.reporting.texts import ABSENT, EN, word

HEADER_ROW = 2
"""Above it the heading and an empty row."""
MOST_ROWS = 1_048_570
"""A sheet has 1,048,576 rows."""
LONGEST_TEXT = 32_767
"""A cell takes no longer one, and would stay empty."""
WIDTHS = {"title": 42, "pipeline": 20, "stage": 24, "name": 28, "entered_at": 17, "left_at": 17}
COLOURS = ("#2F6DB5", "#E08A1E", "#8A8A8A")


def write_xlsx(report: Report, path: Path, language: str) -> None:
    """Write `path`. Rows are streamed, so memory does not grow with them."""
    from xlsxwriter import Workbook

    with Workbook(str(path), {"constant_memory": True, "remove_timezone": True}) as book:
        # The same report is the same file, whenever it is written.
        book.set_properties({"title": heading(report, language), "created": report.moment(report.as_of)})
        formats = _formats(book, language)
        for table in [report.main, *report.more]:
            _write_sheet(book, report, table, formats, language)
        if report.charts:
            _write_charts(book, report, formats, language)


def _formats(book: Any, language: str) -> dict[str, Any]:
    when = "yyyy-mm-dd hh:mm" if language == EN else "dd.mm.yyyy hh:mm"
    numbers = {"moment": when, "days": "#,##0.00", "count": "#,##0", "money": "#,##0.00", "share": "0.0%", "id": "0"}
    formats = {kind: book.add_format({"num_format": form}) for kind, form in numbers.items()}
    totals = {
        f"total {kind}": book.add_format({"num_format": form, "bold": True, "top": 1}) for kind, form in numbers.items()
    }
    return {
        **formats,
        **totals,
        "text": None,
        "flag": None,
        "heading": book.add_format({"bold": True, "font_size": 13}),
        "header": book.add_format(
            {"bold": True, "bg_color": "#DCE6F1", "bottom": 1, "text_wrap": True, "valign": "top"}
        ),
        "total": book.add_format({"bold": True, "top": 1}),
    }


def _write_sheet(book: Any, report: Report, table: Table, formats: dict[str, Any], language: str) -> None:
    sheet = book.add_worksheet(word(table.name, language)[:31])
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(HEADER_ROW)
    sheet.freeze_panes(HEADER_ROW + 1, 2)
    for index, column in enumerate(table.columns):
        sheet.set_column(index, index, WIDTHS.get(column.key, 12))
    sheet.write_string(0, 0, heading(report, language), formats["heading"])
    for index, column in enumerate(table.columns):
        sheet.write_string(HEADER_ROW, index, title(column, language), formats["header"])
    row_number = HEADER_ROW
    for row in table.rows[:MOST_ROWS]:
        row_number += 1
        for index, (column, value) in enumerate(zip(table.columns, row, strict=True)):
            _write_cell(sheet, row_number, index, column, value, report, formats, language)
    sheet.autofilter(HEADER_ROW, 0, max(row_number, HEADER_ROW + 1), len(table.columns) - 1)
    if table.total is not None:
        _write_total(sheet, row_number + 1, table, formats, language)
    for offset, note in enumerate(report.notes if table is report.main else [], start=3):
        sheet.write_string(row_number + offset, 0, note)


def _write_cell(
    sheet: Any, row: int, index: int, column: Column, value: Any, report: Report, formats: dict[str, Any], language: str
) -> None:
    if value is None:
        if column.key in ABSENT:
            sheet.write_string(row, index, word(ABSENT[column.key], language))
    elif column.kind == "text":
        # Never a formula or a link, whatever a title begins with.
        sheet.write_string(row, index, value[:LONGEST_TEXT])
    elif column.kind == "flag":
        sheet.write_boolean(row, index, value)
    elif column.kind == "moment":
        sheet.write_datetime(row, index, report.moment(value), formats["moment"])
    else:
        sheet.write_number(row, index, value, formats[column.kind])


def _write_total(sheet: Any, row: int, table: Table, formats: dict[str, Any], language: str) -> None:
    assert table.total is not None  # asked by the caller
    for index, (column, value) in enumerate(zip(table.columns, table.total, strict=True)):
        if isinstance(value, str):
            sheet.write_string(row, index, value, formats["total"])
        elif value is not None:
            sheet.write_number(row, index, value, formats[f"total {column.kind}"])
        elif index == 0:
            sheet.write_string(row, 0, word("total", language), formats["total"])
        else:
            sheet.write_blank(row, index, None, formats["total"])


def _write_charts(book: Any, report: Report, formats: dict[str, Any], language: str) -> None:
    """A sheet with the charts and the numbers that they show."""
    name = {EN: "Charts"}.get(language, "Диаграммы")
    sheet = book.add_worksheet(name)
    sheet.set_column(0, 0, 40)
    row = 0
    for number, chart in enumerate(report.charts):
        sheet.write_string(row, 0, word(chart.name, language), formats["heading"])
        for index, (key, _) in enumerate(chart.series, start=1):
            sheet.write_string(row + 1, index, word(key, language), formats["header"])
        for offset, label in enumerate(chart.labels, start=2):
            sheet.write_string(row + offset, 0, label)
            for index, (_, values) in enumerate(chart.series, start=1):
                sheet.write_number(row + offset, index, values[offset - 2], formats["days"])
        sheet.insert_chart(number * 26, len(chart.series) + 2, _chart(book, chart, name, row, language))
        row += len(chart.labels) + 3


def _chart(book: Any, chart: Chart, sheet: str, row: int, language: str) -> Any:
    made = book.add_chart({"type": "bar"})
    last = row + 1 + len(chart.labels)
    for index, (key, _) in enumerate(chart.series, start=1):
        made.add_series(
            {
                "name": word(key, language),
                "categories": [sheet, row + 2, 0, last, 0],
                "values": [sheet, row + 2, index, last, index],
                "fill": {"color": COLOURS[index - 1]},
            }
        )
    made.set_title({"name": word(chart.name, language)})
    # The first label stands on top, as in the table.
    made.set_y_axis({"reverse": True})
    made.set_legend({"position": "bottom", "none": len(chart.series) == 1})
    made.set_size({"width": 760, "height": 500})
    return made
