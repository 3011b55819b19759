"""What Bitrix24 itself exports: deals, leads, companies, contacts; CSV, XLSX, or a page named .xls.

Writes  originatorId = bitrix24, originId = the ID of the exporting portal
Again?  safe: the same origin becomes Skip or Update in the plan

Columns are found by name (Russian, English, Portuguese, objects renamed by the portal), never by position; user fields
by what this portal calls them. A deal with several products has a line for each: they are one deal.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from b24sync.importing import Importer, Mapping, PortalWords, SourceFile
from b24sync.importing.exported_titles import ExportColumns, entity_of_header

_ESCAPED = re.compile(r"&(?:quot|amp|lt|gt|nbsp|apos|laquo|raquo|mdash|ndash|#\d+|#x[0-9a-fA-F]+);")
_LINE_BREAK = re.compile(r"<br\s*/?>\s*", re.IGNORECASE)


class Bitrix24Export(Importer):
    """Its comments stay in BBCode, which is what the portal takes."""

    originator_id = "bitrix24"
    asks_portal = True

    def identify(self, file: SourceFile) -> bool:
        """Whether the titles are those of an export with an ID."""
        return entity_of_header(file.header) is not None

    def entity_of(self, file: SourceFile) -> str:
        """Deal, lead, company or contact, by the titles."""
        return entity_of_header(file.header) or "deal"

    def mapping(self, file: SourceFile, portal: PortalWords) -> Mapping:
        """By the titles; values tell apart what is called the same."""
        return ExportColumns(file.header, self.rows(file), self.entity_of(file), portal).mapping(self.originator_id)

    def left_over(self, file: SourceFile, portal: PortalWords) -> list[str]:
        """Columns that hold values and that this portal has no field for."""
        return ExportColumns(file.header, self.rows(file), self.entity_of(file), portal).left_over

    def rows(self, file: SourceFile) -> Iterator[tuple[int, list[str]]]:
        """The rows with what the export has escaped twice read back."""
        for line, cells in file.rows():
            yield line, [_read_back(cell) if "&" in cell or "<" in cell else cell for cell in cells]


def _read_back(cell: Any) -> Any:
    text = html.unescape(cell) if _ESCAPED.search(cell) else cell
    return _LINE_BREAK.sub("\n", text).strip() if "<" in text else text
