"""Cells that calamine hands over as empty although they are not: errors, formulas without a result, merged cells.

calamine turns `<c t="e"><v>#REF!</v></c>` into an empty cell, and a formula that was never calculated too; of merged
cells only the first has the value that a person sees in all of them. They would go missing without a word, so the
sheet's XML is searched for them: as bytes, in chunks, nothing is parsed unless found.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from html import unescape
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from b24sync.importing.source import SourceError

FORMULA_WITHOUT_VALUE = "#FORMULA!"
MERGED = "#MERGED!"
MOST_MERGED_CELLS = 100_000
MOST_CELLS = 200_000_000
"""Of the area between a sheet's outermost filled cells, empty ones too: calamine keeps room for each, some 24 bytes."""
_CHUNK_BYTES = 1 << 20
# a cell with an error or a bare formula is far shorter than this
_OVERLAP_BYTES = 1 << 16
_ERROR_CELL = re.compile(rb'<(?:\w+:)?c\b(?P<attributes>[^>]*\bt="e"[^>/]*)>(?P<body>.*?)</(?:\w+:)?c>', re.DOTALL)
_BARE_FORMULA = re.compile(
    rb"<(?:\w+:)?c\b(?P<attributes>[^>]*)>(?P<body><(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>))"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>)?</(?:\w+:)?c>"
)
_POSITION = re.compile(rb'\br="([A-Z]{1,3})(\d+)"')
_MERGE = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*\bref="([A-Z]{1,3})(\d+):([A-Z]{1,3})(\d+)"')
_DIMENSION = re.compile(rb'<(?:\w+:)?dimension\b[^>]*\bref="([A-Z]+)(\d+)(?::([A-Z]+)(\d+))?"')
_FILLED = re.compile(rb'<(?:\w+:)?c\b[^>]*\br="([A-Z]+)(\d+)"[^>/]*><')
_VALUE = re.compile(rb"<(?:\w+:)?v>([^<]*)</")
# LookupError and ValueError: a part claims an encoding that Python does not know, or that its XML does not take.
_DAMAGED = (zipfile.BadZipFile, zlib.error, ElementTree.ParseError, LookupError, ValueError, EOFError, OSError)
LostCells = dict[int, dict[int, str]]


def find_lost_cells(path: Path, sheet: str) -> LostCells:
    """Row number -> column index (0 = A) -> the text that stands for the cell. Cost: one pass over the sheet's XML.

    Raises: SourceError, where such a cell does not say where it stands, or the workbook is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _lost_cells(path, archive, sheet)
    except _DAMAGED as error:
        raise SourceError(f"{path}: not a readable .xlsx workbook: {error}") from error


def refuse_far_cells(path: Path, sheet: str) -> None:
    """A cell that strayed to the sheet's last row and column costs more memory than there is, and calamine would abort.

    Cost: the beginning of the sheet's XML; all of it where the workbook does not tell how far its cells reach, or where
    that is far, as of empty cells with a colour. Raises: SourceError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            part = _sheet_part(archive, sheet)
            if part is None or _told_area(archive, part) <= MOST_CELLS:
                return
            rows: set[int] = set()
            columns: set[int] = set()
            for window in _windows(archive, part):
                for letters, row in _FILLED.findall(window):
                    columns.add(_column(letters))
                    rows.add(int(row))
    except KeyError:  # the relations name a part that is not there: calamine tells of it
        return
    except _DAMAGED as error:
        raise SourceError(f"{path}: not a readable .xlsx workbook: {error}") from error
    if rows and (max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1) > MOST_CELLS:
        raise SourceError(
            f"{path}: sheet {sheet} has cells as far off as row {max(rows)} and column {max(columns) + 1}; "
            "delete what stands far from the table and save it anew"
        )


def _told_area(archive: zipfile.ZipFile, part: str) -> float:
    """Cells of the area that the workbook says is used; infinite where it does not say."""
    with archive.open(part) as stream:
        told = _DIMENSION.search(stream.read(_OVERLAP_BYTES))
    if told is None:
        return float("inf")
    left, top, right, bottom = told.groups()
    return 1.0 if right is None else (_column(right) - _column(left) + 1) * (int(bottom) - int(top) + 1)


def _lost_cells(path: Path, archive: zipfile.ZipFile, sheet: str) -> LostCells:
    lost: LostCells = {}
    merged: set[tuple[bytes, ...]] = set()
    part = _sheet_part(archive, sheet)
    if part is None:
        return lost
    for window in _windows(archive, part):
        if b't="e"' in window:
            for match in _ERROR_CELL.finditer(window):
                value = _VALUE.search(match["body"])
                _note(lost, path, match["attributes"], unescape(value[1].decode()) if value else "#ERROR!")
        if b"f>" in window or b"f " in window:
            for match in _BARE_FORMULA.finditer(window):
                if b't="str"' not in match["attributes"]:
                    _note(lost, path, match["attributes"], FORMULA_WITHOUT_VALUE)
        if b"mergeCell " in window:
            merged.update(match.groups() for match in _MERGE.finditer(window))
    _note_merged(lost, path, merged)
    return lost


def _note_merged(lost: LostCells, path: Path, merged: Iterable[tuple[bytes, ...]]) -> None:
    """Mark every cell of a merged area but the first. Raises: SourceError, where there are too many of them."""
    count = 0
    for left, top, right, bottom in merged:
        columns = range(_column(left), _column(right) + 1)
        rows = range(int(top), int(bottom) + 1)
        count += len(columns) * len(rows)
        if count > MOST_MERGED_CELLS:
            raise SourceError(
                f"{path}: more than {MOST_MERGED_CELLS:,} merged cells; undo the merging and save it anew"
            )
        for row in rows:
            marks = lost.setdefault(row, {})
            marks.update({column: MERGED for column in columns if (row, column) != (rows[0], columns[0])})


def _note(lost: LostCells, path: Path, attributes: bytes, text: str) -> None:
    position = _POSITION.search(attributes)
    if position is None:
        raise SourceError(f"{path}: a cell holds {text}, and the workbook does not say where; save it anew")
    lost.setdefault(int(position[2]), {})[_column(position[1])] = text


def _column(letters: bytes) -> int:
    """Index of a column, A = 0."""
    column = 0
    for letter in letters:
        column = column * 26 + letter - 64
    return column - 1


def _windows(archive: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    """Overlapping stretches of the part, so that each cell lies whole in one of them."""
    tail = b""
    with archive.open(part) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            window = tail + chunk
            yield window
            tail = window[-_OVERLAP_BYTES:]


def _sheet_part(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """The name of the archive's part that holds `sheet`, through xl/workbook.xml and its relations."""
    try:
        workbook = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    except KeyError:
        return None
    targets = {relation.get("Id"): relation.get("Target", "") for relation in relations}
    for element in workbook.iter():
        if element.tag.endswith("}sheet") and element.get("name") == sheet:
            relation_id = next((value for key, value in element.items() if key.endswith("}id")), None)
            target = targets.get(relation_id)
            if not target:
                return None
            return target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
    return None
