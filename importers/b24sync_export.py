"""What `b24sync export` writes: recognised by its first title, read back without a difference.

Writes  each item's own originatorId and originId; an item without them is known by its id in the portal it came from
Again?  safe: read into the same portal nothing is created, read into another one the pairs find everything again
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from b24sync.importing import Importer, Mapping, PortalWords, SourceFile, check_mapping
from b24sync.importing import export_format as form
from b24sync.importing.fields import LINKS, MULTIFIELD_TYPES, NUMERIC, Field, Kind, find_field


class B24syncExport(Importer):
    """The columns are fields by their own names; see `export_format`."""

    asks_portal = True
    _is_home = False

    def identify(self, file: SourceFile) -> bool:
        """Whether the first title is that of an export of ours."""
        return form.parse_first_title(file.header[0]) is not None

    def entity_of(self, file: SourceFile) -> str:
        """The first title says it."""
        return self._exported(file).entity

    def mapping(self, file: SourceFile, portal: PortalWords) -> Mapping:
        """Each title is a field."""
        self._is_home = portal.host == self._exported(file).host
        lost = self.left_over(file, portal)
        columns: dict[str, Any] = {title: "-" for title in (form.ORIGINATOR, form.ORIGIN_ID) if title in file.header}
        for title, field in self._fields(file):
            columns[title] = "-" if title in lost else {"field": title, **self._options(field, portal)}
        raw = {
            "entity": self.entity_of(file),
            "originator": f"{form.MIXED}{portal.host}",
            "key": file.header[0],
            "columns": columns,
        }
        return check_mapping(raw, name="the export")

    def left_over(self, file: SourceFile, portal: PortalWords) -> list[str]:
        """User fields that this portal does not have."""
        known = portal.titles or dict.fromkeys(file.header)
        return [title for title, field in self._fields(file) if field.kind is Kind.USER_FIELD and title not in known]

    def rows(self, file: SourceFile) -> Iterator[tuple[int, list[str]]]:
        """The first cell becomes the key; links become ids in their own portal, keys in another one."""
        exported, header = self._exported(file), file.header
        pair = [header.index(title) for title in (form.ORIGINATOR, form.ORIGIN_ID)]
        links = [header.index(title) for title, field in self._fields(file) if field.kind in LINKS]
        as_xml_id = exported.entity.startswith("item:")
        for line, cells in file.rows():
            cells = cells + [""] * (len(header) - len(cells))
            originator, origin_id = (cells[index] for index in pair)
            if origin_id:
                cells[0] = form.pair_key(originator, origin_id)
            elif cells[0]:
                cells[0] = form.own_pair(exported.host, cells[0], as_xml_id=as_xml_id)
            for index in links:
                cells[index] = self._links(cells[index], exported.host)
            yield line, cells

    def _exported(self, file: SourceFile) -> form.Exported:
        found = form.parse_first_title(file.header[0])
        assert found is not None, file.header[0]
        return found

    def _fields(self, file: SourceFile) -> Iterator[tuple[str, Field]]:
        entity = self.entity_of(file)
        for title in file.header[1:]:
            field = find_field(entity, title)
            if field is not None:
                yield title, field

    def _options(self, field: Field, portal: PortalWords) -> dict[str, Any]:
        several = {"separator": form.LINES} if field.multiple or field.name in portal.multiple else {}
        if field.kind in LINKS:
            return {"match": "id" if self._is_home else "origin", **several}
        if field.kind in MULTIFIELD_TYPES:
            return {"value_type": "*", **several}
        return {"decimal": ".", **several} if field.kind in NUMERIC else several

    def _links(self, cell: str, host: str) -> str:
        found = []
        for text in form.split_values(cell):
            item_id, pair = form.parse_link(text)
            found.append(str(item_id) if self._is_home else pair or form.own_pair(host, item_id))
        return form.join_values(found)
