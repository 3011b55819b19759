"""CSV files: encoding and separator found out, rows streamed."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from b24sync.importing.encodings import EncodingProbe
from b24sync.importing.source import EDGES, MAX_CELL_CHARS, Source, SourceError, check_header

_CHUNK_BYTES = 1 << 20
_SAMPLE_CHARS = 256 * 1024
_SEPARATORS = (";", ",", "\t", "|")
_SNIFF_ROWS = 50
_DECLARED = re.compile(r"""\ufeff?"?sep=([;,|\t])"?\r?\n""", re.IGNORECASE)
"""A first line that tells spreadsheets the separator."""


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one pass over the bytes tells."""

    sha256: str
    encoding: str
    line_feeds: int


class CsvSource(Source):
    """A CSV file. Memory: one row and the reader's buffer, whatever the file's size.

    `encoding` and `separator` say what was found out. Nothing stays open between `rows()` calls.
    """

    def __init__(self, path: Path, *, encoding: str | None = None, separator: str | None = None) -> None:
        self.path = path
        self.name = path.name
        scan = _scan(path, encoding)
        self.encoding = scan.encoding
        self._line_feeds = scan.line_feeds
        self._sha256 = scan.sha256
        sample = self._sample()
        declared = _DECLARED.match(sample)
        self._declares = declared is not None
        self.separator = separator or (declared[1] if declared else sniff_separator(sample))
        self.header = self._read_header()

    @property
    def approx_rows(self) -> int:
        """Lines below the header; more than the rows where cells hold line breaks."""
        return max(0, self._line_feeds - 1)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """See `Source.rows`; the line is the physical one where the row begins."""
        width = len(self.header)
        below_header = False
        empty_lines: list[int] = []
        with closing(self._records()) as records:
            for line, cells in records:
                if not any(cells):
                    if below_header:
                        empty_lines.append(line)
                elif not below_header:
                    below_header = True
                else:
                    if empty_lines:
                        yield from ((empty, [""] * width) for empty in empty_lines)
                        empty_lines.clear()
                    yield line, cells

    def close(self) -> None:
        """Nothing to release."""

    def _sample(self) -> str:
        with self.path.open(encoding=self.encoding, errors="replace", newline="") as file:
            return file.read(_SAMPLE_CHARS)

    def _read_header(self) -> list[str]:
        with closing(self._records()) as records:
            for line, cells in records:
                if any(cells):
                    check_header(self.path, line, cells)
                    return cells
        raise SourceError(f"{self.path}: no rows, not even a header")

    def _records(self) -> Generator[tuple[int, list[str]]]:
        """Yield (first physical line, stripped cells) of every record, the header too."""
        csv.field_size_limit(MAX_CELL_CHARS)
        with self.path.open(encoding=self.encoding, newline="") as file:
            reader = csv.reader(file, delimiter=self.separator, strict=True)
            line = 1
            try:
                for record in reader:
                    if line > 1 or not self._declares:
                        yield line, [cell.strip(EDGES) for cell in record]
                    line = reader.line_num + 1
            except csv.Error as error:
                raise SourceError(f"{self.path}: line {line}: {_csv_reason(error)}") from error
            except UnicodeError as error:
                raise SourceError(f"{self.path}: {self._broken_place(line)}; save the file as UTF-8") from error

    def _broken_place(self, line: int) -> str:
        """Where the first byte stands that the encoding does not know; decoding runs some kilobytes ahead of rows."""
        if self.encoding.startswith("utf-16"):
            return f"line {line} or soon after is not {self.encoding}"
        with self.path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    raw.decode(self.encoding)
                except UnicodeDecodeError as error:
                    return f"line {number}: byte 0x{raw[error.start]:02x} is not {self.encoding}"
        return f"line {line} or soon after is not {self.encoding}"


def sniff_separator(sample: str) -> str:
    """The separator that gives the first rows most columns, the same number in most of them.

    A file of one column has none; then a comma, which changes nothing.
    """
    best, best_rank = ",", (0.0, 0)
    for separator in _SEPARATORS:
        widths = _widths(sample, separator)
        if not widths or widths[0] < 2:
            continue
        steady = Counter(widths)[widths[0]] / len(widths)
        rank = (steady, widths[0]) if steady < 0.9 else (1.0, widths[0])
        if rank > best_rank:
            best, best_rank = separator, rank
    return best


def _widths(sample: str, separator: str) -> list[int]:
    """Numbers of cells of the first rows of `sample`; the last row may be cut off, so it is left out."""
    widths: list[int] = []
    lines = sample.splitlines(keepends=True)
    complete = lines if len(sample) < _SAMPLE_CHARS else lines[:-1]
    csv.field_size_limit(MAX_CELL_CHARS)
    try:
        for record in csv.reader(complete, delimiter=separator):
            if record:
                widths.append(len(record))
            if len(widths) == _SNIFF_ROWS:
                break
    except csv.Error:
        return widths
    return widths


def _scan(path: Path, encoding: str | None) -> _Scan:
    """One pass: fingerprint, encoding, line count. Memory: one chunk."""
    digest, probe, line_feeds = hashlib.sha256(), EncodingProbe(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            probe.feed(chunk)
            line_feeds += chunk.count(b"\n")
        file.seek(max(0, file.tell() - 1))
        line_feeds += file.read(1) != b"\n"
    if encoding is not None:
        return _Scan(digest.hexdigest(), encoding, line_feeds)
    guess = probe.guess()
    if guess.binary:
        raise SourceError(f"{path}: holds zero bytes: not a text file; expected CSV or XLSX")
    if not guess.sure:
        raise SourceError(
            f"{path}: the encoding cannot be told ({guess.encoding} is only likely); save the file as UTF-8"
        )
    return _Scan(digest.hexdigest(), guess.encoding, line_feeds)


def _csv_reason(error: csv.Error) -> str:
    text = str(error)
    if "field limit" in text:
        return f"a cell of more than {MAX_CELL_CHARS:,} characters; most often a quotation mark that is never closed"
    if "unexpected end" in text:
        return "a quotation mark opens here and is never closed"
    if "expected after" in text:
        return 'text after a closing quotation mark; inside a quoted cell a " must be doubled: ""'
    return text
