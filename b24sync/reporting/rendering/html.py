"""Reports as one HTML file: no script, no address to load anything from, prints on A4 landscape."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from b24sync.reporting.rendering.words import cell, heading, is_number, rows_of, title, total_of
from b24sync.reporting.tables import Chart, Report, Table
from b24sync.reporting.texts import word

MOST_ROWS = 2_000
"""A page that people read and print; XLSX and CSV have all rows."""
HEAT_ROWS = 40
COLOURS = ("#2F6DB5", "#E08A1E", "#8A8A8A")
INCH_PER_BAR = 0.32

PAGE = Path(__file__).with_name("report.html.j2")


def html_of(report: Report, language: str) -> str:
    """The whole page."""
    from jinja2 import Environment, StrictUndefined

    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(PAGE.read_text(encoding="utf-8"))
    said = heading(report, language)
    name = word(report.name, language)
    return page.render(
        language=language,
        title=name,
        about=said.removeprefix(f"{name}, "),
        charts=[{"title": word(chart.name, language), "svg": svg_of(chart, language)} for chart in report.charts],
        tables=[*(_heat(report, table, language) for table in report.more), _table(report, report.main, language)],
        notes=report.notes,
        nothing=word("nothing", language),
        made_by=word("made_by", language),
    )


def _table(report: Report, table: Table, language: str) -> dict[str, Any]:
    numbers = [is_number(column) for column in table.columns]
    total = total_of(report, table, language)
    hidden = len(table.rows) - MOST_ROWS
    return {
        "title": word(table.name, language),
        "heads": [
            {"text": title(column, language), "number": number}
            for column, number in zip(table.columns, numbers, strict=True)
        ],
        "rows": [
            [{"text": text, "number": number, "colour": None} for text, number in zip(row, numbers, strict=True)]
            for row in rows_of(report, table, language, MOST_ROWS)
        ],
        "total": total and [{"text": text, "number": number} for text, number in zip(total, numbers, strict=True)],
        "more": word("more_rows", language).format(count=hidden) if hidden > 0 else "",
    }


def _heat(report: Report, table: Table, language: str) -> dict[str, Any]:
    """The matrix as a heat map: the later, the redder."""
    shown = Table(table.name, table.columns, table.rows[:HEAT_ROWS])
    made = _table(report, shown, language)
    first = next(index for index, column in enumerate(table.columns) if column.key == "total") + 1
    most = max((value or 0.0 for row in shown.rows for value in row[first:]), default=0.0) or 1.0
    made["rows"] = [
        [
            {
                "text": cell(report, column, value, language),
                "number": is_number(column),
                "colour": _red(value / most) if index >= first and value else None,
            }
            for index, (column, value) in enumerate(zip(table.columns, row, strict=True))
        ]
        for row in shown.rows
    ]
    hidden = len(table.rows) - len(shown.rows)
    made["more"] = word("more_rows", language).format(count=hidden) if hidden > 0 else ""
    return made


def _red(share: float) -> str:
    """From near white to a red that black text is still read on."""
    fade = round(235 - 110 * min(share, 1.0))
    return f"#ff{fade:02x}{fade:02x}"


def svg_of(chart: Chart, language: str) -> str:
    """Horizontal bars as SVG, the first label on top; text stays text, so that it is found and printed sharp."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    count, wide = len(chart.labels), len(chart.series)
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "b24sync", "font.size": 9, "text.parse_math": False}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(10, 0.9 + INCH_PER_BAR * count * (1 + 0.5 * (wide - 1))), layout="constrained")
        axes = figure.add_subplot()
        height = 0.8 / wide
        for index, (key, values) in enumerate(chart.series):
            places = [number + index * height for number in range(count)]
            axes.barh(places, values, height, label=word(key, language), color=COLOURS[index])
        axes.set_yticks(
            [number + 0.4 - height / 2 for number in range(count)], [_short(label) for label in chart.labels]
        )
        axes.margins(y=0.01)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
        if wide > 1:
            axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=wide)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _short(label: str) -> str:
    return label if len(label) <= 48 else f"{label[:47]}…"
