"""HTML tables, mostly named .xls: what Bitrix24 gives out as "export to Excel". Read as a stream.

The first table that has rows is read; its first row holds the titles. Cells become text: entities resolved, <br> and
paragraphs line breaks, other markup dropped.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from b24sync.importing.encodings import BOMS, EncodingProbe
from b24sync.importing.source import EDGES, MAX_CELL_CHARS, Source, SourceError, check_header

_CHUNK_BYTES = 1 << 16
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]+)", re.IGNORECASE)
_BREAKS = frozenset({"br", "p", "div", "li"})
_MAX_SENTENCE_CHARS = 200


class HtmlSource(Source):
    """One HTML table. Memory: one row. `encoding` says what was found out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.encoding = _encoding(path)
        self.header = self._read_header()

    @property
    def approx_rows(self) -> int:
        """By the file's size: a row of an export takes some 2,000 bytes."""
        return max(1, self.path.stat().st_size // 2000)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """See `Source.rows`; the line is the row's number in the table, the header's being 1."""
        width = len(self.header)
        empty_lines: list[int] = []
        header_seen = False
        for line, cells in self._table_rows():
            if not header_seen:
                header_seen = any(cells)
            elif not any(cells):
                empty_lines.append(line)
            else:
                yield from ((empty, [""] * width) for empty in empty_lines)
                empty_lines.clear()
                yield line, cells

    def close(self) -> None:
        """Nothing to release."""

    def _read_header(self) -> list[str]:
        for line, cells in self._table_rows():
            if any(cells):
                check_header(self.path, line, cells)
                return cells
        sentence = self._sentence()
        said = f', only "{sentence}"' if sentence else ""
        raise SourceError(f"{self.path}: no table with rows in it{said}: an export without rows, nothing to import")

    def _table_rows(self) -> Iterator[tuple[int, list[str]]]:
        parser = _TableParser()
        line = 0
        for text in self._chunks():
            parser.feed(text)
            for cells in parser.taken():
                line += 1
                yield line, cells
            if parser.ended:
                return
            if parser.cell_chars > MAX_CELL_CHARS:
                raise SourceError(
                    f"{self.path}: table row {line + 1}: a cell of more than {MAX_CELL_CHARS:,} characters"
                )
        parser.close()
        for cells in parser.taken():
            line += 1
            yield line, cells
        if parser.in_row:
            raise SourceError(f"{self.path}: ends in the middle of table row {line + 1}: the file is cut off")

    def _chunks(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        try:
            with self.path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield decoder.decode(chunk)
        except UnicodeError as error:
            raise SourceError(f"{self.path}: is not {self.encoding} throughout; export it again") from error

    def _sentence(self) -> str:
        """What a page without a table says."""
        parser = _TextParser()
        for text in self._chunks():
            parser.feed(text)
            if sum(map(len, parser.words)) > _MAX_SENTENCE_CHARS:
                break
        return " ".join(" ".join(parser.words).split())[:_MAX_SENTENCE_CHARS]


class _TableParser(HTMLParser):
    """Collects the rows of the first table that has any; a table inside a cell is text of that cell."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.ended = False
        self.in_row = False
        self.cell_chars = 0
        self._depth = 0
        self._any_row = False
        self._cell: list[str] | None = None
        self._row: list[str] = []
        self._span = 1
        self._ready: list[list[str]] = []

    def taken(self) -> list[list[str]]:
        """The rows finished since the last call."""
        ready, self._ready = self._ready, []
        return ready

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.ended:
            return
        if tag == "table":
            self._depth += 1
        elif self._depth != 1:
            return
        elif tag == "tr":
            self._end_row()
            self.in_row = True
        elif tag in ("td", "th") and self.in_row:
            self._end_cell()
            self._cell, self.cell_chars = [], 0
            span = dict(attrs).get("colspan") or "1"
            self._span = min(int(span), 1000) if span.isdigit() else 1
        elif tag in _BREAKS and self._cell is not None:
            self._cell.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and self._depth:
            if self._depth == 1:
                self._end_row()
                self.ended = self._any_row
            self._depth -= 1
        elif self._depth != 1:
            return
        elif tag in ("td", "th"):
            self._end_cell()
        elif tag == "tr":
            self._end_row()

    def handle_data(self, data: str) -> None:
        if self._cell is not None and not self.ended:
            self._cell.append(data)
            self.cell_chars += len(data)

    def _end_cell(self) -> None:
        if self._cell is not None:
            lines = ("".join(self._cell)).split("\n")
            self._row.append("\n".join(line.strip() for line in lines).strip(EDGES))
            self._row.extend([""] * (self._span - 1))
            self._cell = None

    def _end_row(self) -> None:
        self._end_cell()
        if self.in_row and self._row:
            self._ready.append(self._row)
            self._any_row = True
        self._row, self.in_row = [], False


class _TextParser(HTMLParser):
    """The words of a page, without those of its head."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("style", "script", "title")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script", "title") and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def _encoding(path: Path) -> str:
    """By its mark, by what the page says, else by its bytes. Raises: SourceError."""
    with path.open("rb") as file:
        head = file.read(4096)
    marked = next((name for mark, name in BOMS if head.startswith(mark)), None)
    declared = _CHARSET.search(head)
    if marked is not None:
        return marked
    if declared is not None:
        try:
            return codecs.lookup(declared[1].decode("ascii")).name
        except LookupError as error:
            raise SourceError(f"{path}: says its encoding is {declared[1].decode()}, which is unknown") from error
    probe = EncodingProbe()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            probe.feed(chunk)
    guess = probe.guess()
    if guess.binary or not guess.sure:
        raise SourceError(f"{path}: the encoding cannot be told; save the file as UTF-8")
    return guess.encoding
