"""An importer: how one source's files become drafts. One file in `importers/` = one source.

`identify` says whether a file is of this source; `mapping` what its columns become, by default from the declared
ones; `rows` may reshape the file's rows, `amend` a finished draft. `extract` puts them together: a Draft or a RowError
for every row, nothing else, and no request is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from b24sync.errors import ConfigError
from b24sync.importing import fields
from b24sync.importing.columns import Declared, Money
from b24sync.importing.draft import Draft, RowError
from b24sync.importing.mapping import Mapping as ColumnMapping
from b24sync.importing.mapping import check_mapping
from b24sync.importing.source import Source

RowReader = Callable[[int, list[str]], Draft | RowError]
"""(line, cells) -> what the mapping makes of them."""


@dataclass(frozen=True, slots=True)
class PortalWords:
    """What a portal calls things, for importers that ask for it; empty where none is asked.

    `host` with its port; `titles` and `types` by field code, user fields by UF_ code, others as in crm.item.fields;
    `values` texts of enumerations by field code; `dictionaries` names by crm.status.list's ENTITY_ID.
    """

    host: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    dictionaries: Mapping[str, frozenset[str]] = field(default_factory=dict)
    multiple: frozenset[str] = frozenset()
    """Codes of user fields that hold several values."""


class Importer:
    """Base of all importers. `name` is what `--importer` calls it: the file's name, where the class says nothing.

    `encoding` and `delimiter` are for files that do not tell by themselves; they count where the importer is named.
    """

    name: ClassVar[str] = ""
    entity: ClassVar[str] = ""
    originator_id: ClassVar[str] = ""
    encoding: ClassVar[str | None] = None
    delimiter: ClassVar[str | None] = None
    sheet: ClassVar[str | None] = None
    asks_portal: ClassVar[bool] = False
    """Whether `mapping` needs the portal's words; costs one request."""

    left_out: ClassVar[Sequence[str]] = ()
    constants: ClassVar[Mapping[str, Any]] = {}
    templates: ClassVar[Mapping[str, str]] = {}
    missing: ClassVar[Mapping[str, str]] = {}

    def identify(self, file: Source) -> bool:
        """Whether `file` (its name, header, first rows) is of this source. Pure; says no where it is not sure."""
        return False

    def entity_of(self, file: Source) -> str:
        """What the file's rows are: deal, lead, contact, company, item:<entityTypeId>."""
        return self.entity

    def mapping(self, file: Source, portal: PortalWords) -> ColumnMapping:
        """What the file's columns become. Raises: ConfigError listing every mistake."""
        return declared_mapping(type(self))

    def left_over(self, file: Source, portal: PortalWords) -> list[str]:
        """Titles that hold values and that the portal has no field for: told before the first write."""
        return []

    def rows(self, file: Source) -> Iterator[tuple[int, list[str]]]:
        """The file's rows; override to mend or reshape them."""
        return file.rows()

    def amend(self, draft: Draft) -> Draft | RowError:
        """A last word on a draft; override to derive a field from others, or to refuse."""
        return draft

    def extract(self, file: Source, read: RowReader) -> Iterator[Draft | RowError]:
        """Yield a Draft or a RowError for every row of `file`."""
        for line, cells in self.rows(file):
            result = read(line, cells)
            yield self.amend(result) if isinstance(result, Draft) else result


class Deals(Importer):
    """An importer of deals."""

    entity = "deal"


class Leads(Importer):
    """An importer of leads."""

    entity = "lead"


class Contacts(Importer):
    """An importer of contacts."""

    entity = "contact"


class Companies(Importer):
    """An importer of companies."""

    entity = "company"


def declared_mapping(importer: type[Importer]) -> ColumnMapping:
    """The mapping that a class's declared columns make. Raises: ConfigError listing every mistake."""
    columns: dict[str, Any] = dict.fromkeys(importer.left_out, "-")
    constants = dict(importer.constants)
    problems: list[str] = []
    key = ""
    for name, column in _declared(importer):
        if name == "origin_id":
            key = column.title
            continue
        if isinstance(column, Money) and column.currency:
            constants.setdefault("currency", column.currency)
        known = fields.find_field(importer.entity, name) if fields.entity_type_id(importer.entity) else None
        if known and column.kinds and known.kind not in column.kinds | {fields.Kind.USER_FIELD}:
            problems.append(f"{name} = {type(column).__name__}(...): {name} is a {known.kind.value} field")
        columns[column.title] = column.raw(name)
    if problems:
        raise ConfigError(f"importer {importer.__name__}: columns that do not fit their fields", problems)
    raw = {
        "entity": importer.entity,
        "originator": importer.originator_id,
        "key": key,
        "columns": columns,
        "constants": constants,
        "templates": dict(importer.templates),
        "missing": dict(importer.missing),
    }
    return check_mapping(raw, name=f"importer {importer.__name__}")


def _declared(importer: type[Importer]) -> Iterator[tuple[str, Declared]]:
    """(attribute, column) of the class and its bases, in the order they are written."""
    found: dict[str, Any] = {}
    for base in reversed(importer.__mro__):
        found.update(vars(base))
    for name, value in found.items():
        for column in value if isinstance(value, tuple) else (value,):
            if isinstance(column, Declared):
                yield name, column
