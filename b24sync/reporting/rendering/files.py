"""A report into a file of any format; what was there before is replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

from b24sync.errors import ConfigError
from b24sync.reporting.rendering.html import html_of
from b24sync.reporting.rendering.plain import write_csv, write_json
from b24sync.reporting.rendering.terminal import write_table
from b24sync.reporting.rendering.xlsx import write_xlsx
from b24sync.reporting.tables import Report

FORMATS = ("table", "csv", "xlsx", "html", "json")


def write_file(report: Report, path: Path, form: str, language: str) -> None:
    """Write `path` in one of FORMATS. Raises ConfigError where the folder or the file cannot be written."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "xlsx":
            write_xlsx(report, beside, language)
        else:
            with beside.open("w", encoding="utf-8", newline="") as out:
                if form == "html":
                    out.write(html_of(report, language))
                elif form == "csv":
                    write_csv(report, out)
                elif form == "json":
                    write_json(report, out)
                else:
                    write_table(report, out, language)
        beside.replace(path)
    except OSError as error:
        if beside.is_file():
            beside.unlink()
        raise ConfigError(f"The report cannot be written to {path}: {error.strerror}.") from None
