"""Any spreadsheet whose columns a mapping file explains: `--mapping M.toml`, or a mapping of the same name beside it.

Writes  what the mapping says; originatorId and the column of originId are the mapping's
Again?  safe: the same origin becomes Skip or Update in the plan
"""

from __future__ import annotations

from pathlib import Path

from b24sync.importing import Importer, Mapping, PortalWords, SourceFile, load_mapping


class Mapped(Importer):
    """`deals.xlsx` with `deals.toml` beside it; or any file with the mapping that was named."""

    def __init__(self, mapping: Path | None = None) -> None:
        self._named = mapping

    def identify(self, file: SourceFile) -> bool:
        """Whether a mapping of the same name lies beside the file."""
        return self._path(file).is_file()

    def entity_of(self, file: SourceFile) -> str:
        """The mapping's entity."""
        return load_mapping(self._path(file)).entity

    def mapping(self, file: SourceFile, portal: PortalWords) -> Mapping:
        """The mapping file, checked."""
        return load_mapping(self._path(file))

    def _path(self, file: SourceFile) -> Path:
        return self._named or file.path.with_suffix(".toml")
