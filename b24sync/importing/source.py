"""A file of rows, whatever its format: header, rows as text, fingerprint.

Cells arrive stripped. What a spreadsheet holds as a number or a date arrives as `NumberCell` or `DateCell`, a text
that says how it must be read, so that a native 1.234 is never taken for one thousand two hundred thirty-four.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from b24sync.errors import ConfigError

MAPPING_SHEET = "b24sync"
"""The hidden sheet of a workbook that `import template` made."""
MAX_CELL_CHARS = 1_000_000
"""No cell is longer: in CSV it is a quotation mark that is never closed, with the rest of the file in it."""
HEADING_ROWS = 20
"""How far down titles are looked for, where the first row holds none."""
_CHUNK_BYTES = 1 << 20
_DATA_LIKE = re.compile(r"[-+]?\d[\d .,:/\-]*|[^@\s]+@[^@\s]+\.[^@\s]+", re.ASCII)


class SourceError(ConfigError):
    """The file as a whole cannot be read: a person has to mend or re-save it."""


UNSEEN = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u00ad"
"""Characters that nobody sees: byte order marks of files put together, zero width spaces of web pages."""
EDGES = UNSEEN + "".join(char for char in map(chr, range(0x3001)) if char.isspace())
"""What is taken off both ends of a cell."""
EXACT_DIGITS = 15
"""So many digits of a number a workbook keeps."""


class NumberCell(str):
    """A number cell of a spreadsheet: plain digits with a decimal point, whatever the column's `decimal`."""

    __slots__ = ()

    @property
    def may_be_rounded(self) -> bool:
        """Whether it is a whole number of more digits than a workbook keeps: an id, whose last ones are lost."""
        return len(self) > EXACT_DIGITS and len(self.lstrip("-")) > EXACT_DIGITS and self.lstrip("-").isdigit()


class DateCell(str):
    """A date cell of a spreadsheet: ISO text, whatever the column's `format`."""

    __slots__ = ()


class Source(ABC):
    """One open file. Use as a context manager; `rows()` may be called again and starts over.

    `name` is the file's name, `header` the stripped titles ("" for an untitled column).
    """

    name: str
    header: list[str]
    path: Path
    mapping_text: str = ""
    """The mapping that the file itself carries (`import template`), as TOML."""
    _sha256: str | None = None

    @abstractmethod
    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line as a person sees it, cells) below the header.

        Empty rows at the end are left out; an empty row in the middle is yielded with empty cells.
        Raises: SourceError, where the file cannot be read on.
        """

    @property
    @abstractmethod
    def approx_rows(self) -> int:
        """About how many rows `rows()` will yield: for progress only."""

    @property
    def sha256(self) -> str:
        """Fingerprint of the file's bytes. Cost: one pass over the file, once."""
        if self._sha256 is None:
            self._sha256 = file_sha256(self.path)
        return self._sha256

    @abstractmethod
    def close(self) -> None:
        """Release what is held; reading on is an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def refuse_heading(source: Source, wanted: str | None = None) -> None:
    """Refuse a table with something above its titles: a row among the first that holds the title `wanted`, or, where
    none is known, several cells under a first row of one.

    Raises: SourceError, which names the line of the titles.
    """
    titles = [title for title in source.header if title]
    if wanted in titles or (wanted is None and (len(titles) > 1 or len(source.header) == 1)):
        return
    for line, cells in islice(source.rows(), HEADING_ROWS):
        if (wanted in cells) if wanted is not None else sum(map(bool, cells)) > 1:
            above = ", ".join(f'"{title}"' for title in titles)
            raise SourceError(f"{source.path}: line {line} seems to hold the titles; delete what is above it ({above})")


def open_source(
    path: Path, *, sheet: str | None = None, encoding: str | None = None, separator: str | None = None
) -> Source:
    """Open a CSV, XLSX or HTML file, told apart by content, not by name.

    `encoding` and `separator` of a CSV file are found out where they are not said.

    Raises: SourceError: not found, empty, not a table, unknown format, no header.
    """
    from b24sync.importing.csv_source import CsvSource  # here, because both formats build on this module

    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise SourceError(f"{path}: cannot be opened: {error.strerror or error}") from error
    if not head:
        raise SourceError(f"{path}: the file is empty")
    if head.startswith(b"PK\x03\x04"):
        from b24sync.importing.xlsx_source import XlsxSource  # calamine only where a workbook is read

        return XlsxSource(path, sheet=sheet)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise SourceError(
            f"{path}: an old .xls workbook or one protected by a password; save it as .xlsx without password"
        )
    if head.startswith((b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b")):
        raise SourceError(f"{path}: not a table; expected CSV or XLSX")
    if looks_like_html(path):
        from b24sync.importing.html_source import HtmlSource

        return HtmlSource(path)
    if sheet is not None:
        raise SourceError(f"{path}: a sheet was named ({sheet}), but the file is CSV and has none")
    return CsvSource(path, encoding=encoding, separator=separator)


_HTML_BEGIN = re.compile(rb"\s*<(?:!doctype\s+html|html|head|meta|body|table|\?xml[^>]*>\s*<html)\b", re.IGNORECASE)


def looks_like_html(path: Path) -> bool:
    """Whether a page begins here: what Bitrix24 and others save as .xls."""
    with path.open("rb") as file:
        head = file.read(1024)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.replace(b"\0", b"")[2:]
    return _HTML_BEGIN.match(head.removeprefix(b"\xef\xbb\xbf")) is not None


def file_sha256(path: Path) -> str:
    """Hex digest of the file. Memory: one chunk."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def check_header(path: Path, line: int, titles: Sequence[str]) -> None:
    """Refuse a first row that holds data instead of titles. Raises: SourceError."""
    named = [title for title in titles if title]
    if not named:
        raise SourceError(f"{path}: no header: line {line} has no titles")
    data_like = [title for title in named if _DATA_LIKE.fullmatch(title)]
    if len(data_like) * 2 > len(named):
        shown = ", ".join(f'"{title}"' for title in data_like[:3])
        raise SourceError(
            f"{path}: no header: line {line} looks like data ({shown}); the first row must hold the titles"
        )
