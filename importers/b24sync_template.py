"""A workbook that `b24sync import template` made and somebody filled in: it carries its mapping in a hidden sheet.

Writes  what the template was made for; originatorId = the template's own, originId = the row's number
Again?  safe: the same origin becomes Skip or Update in the plan
"""

from __future__ import annotations

from b24sync.importing import Importer, Mapping, PortalWords, SourceFile, parse_mapping


class B24syncTemplate(Importer):
    """The mapping of the hidden sheet is the whole of it."""

    def identify(self, file: SourceFile) -> bool:
        """Whether the workbook carries a mapping."""
        return bool(file.mapping_text)

    def entity_of(self, file: SourceFile) -> str:
        """The mapping's."""
        return self.mapping(file, PortalWords()).entity

    def mapping(self, file: SourceFile, portal: PortalWords) -> Mapping:
        """The mapping of the hidden sheet, checked."""
        return parse_mapping(file.mapping_text, name=f"{file.name}, hidden sheet")
