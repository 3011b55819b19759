"""The columns of a Bitrix24 export by their titles: which field of this portal each of them is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, permutations
from typing import Any

from b24sync.errors import ConfigError
from b24sync.importing import fields, guessing, values
from b24sync.importing.fields import Kind
from b24sync.importing.importer import PortalWords
from b24sync.importing.mapping import Mapping as ColumnMapping
from b24sync.importing.mapping import check_mapping
from b24sync.importing.portal_titles import KnownTitle, known_title, known_titles, renamed_field
from b24sync.importing.titles import fold

SAMPLE_ROWS = 2000
_ENOUGH_TITLES = 3
_UNFILLABLE_TYPES = frozenset({"file", "crm", "iblock_element", "iblock_section", "resourcebooking"})
"""Types of user fields of which an export holds a name or an address that means nothing elsewhere."""

_CONVERTERS: Mapping[str, values.Converter] = {
    "boolean": values.bool_converter,
    "integer": values.integer_converter(None),
    "double": values.number_converter(None),
    "date": values.date_converter(None),
}

Rows = Iterator[tuple[int, list[str]]]


def entity_of_header(header: Sequence[str]) -> str | None:
    """The entity of an export with these titles; None where it is none, or one without IDs."""
    if "ID" not in header:
        return None
    titles = {fold(title) for title in header if title}
    for entity in ("lead", "deal", "company", "contact"):
        known = {title: known_titles(entity)[title].field for title in titles if title in known_titles(entity)}
        filled = {field for field in known.values() if field}
        if len(filled) >= _ENOUGH_TITLES and _is_named(entity, header, known, filled):
            return entity
    return None


def _is_named(entity: str, header: Sequence[str], known: Mapping[str, str], filled: set[str]) -> bool:
    """Whether the titles hold what the entity is called by, and nothing that only another one has."""
    match entity:
        case "deal":
            if "title" in filled:
                return "stage" in filled or "pipeline" in filled or "opportunity" in filled
            renamed = {renamed_field("deal", title) for title in header if not _names_another(title)}
            return "title" in renamed and ("stage" in filled or "stage" in renamed)
        case "contact":
            return {"name", "last_name"} <= filled and "stage" not in {*filled}
        case _:
            return "title" in filled


def _names_another(title: str) -> bool:
    return any(fold(title) in known_titles(entity) for entity in ("lead", "company", "contact"))


class ExportColumns:
    """What becomes of each column of one export. `rows` are read up to a sample, once."""

    def __init__(self, header: Sequence[str], rows: Rows, entity: str, portal: PortalWords) -> None:
        self._header = list(header)
        self._entity = entity
        self._portal = portal
        self._rows = rows
        self._problems: list[str] = []

    def mapping(self, originator: str) -> ColumnMapping:
        """The mapping. Raises: ConfigError, where two columns of one title cannot be told apart."""
        columns = {self._name(index): self._column(index, known) for index, known in self._known.items()}
        if self._problems:
            raise ConfigError("titles of the export that can be read in several ways", self._problems)
        raw = {
            "entity": self._entity,
            "originator": originator,
            "key": self._name(self._header.index("ID")),
            "columns": columns,
        }
        return check_mapping(raw, name="the export")

    @cached_property
    def left_over(self) -> list[str]:
        """Titles of columns that hold values and have no field in this portal."""
        return [
            self._header[index]
            for index, known in self._known.items()
            if not known.field and known_title(self._entity, self._header[index]) is None and self._values[index]
        ]

    @cached_property
    def _values(self) -> list[list[str]]:
        """The filled cells of each column, of the first rows."""
        found: list[list[str]] = [[] for _ in self._header]
        for _, cells in islice(self._rows, SAMPLE_ROWS):
            for texts, cell in zip(found, cells, strict=False):
                if cell:
                    texts.append(cell)
        return found

    @cached_property
    def _known(self) -> dict[int, KnownTitle]:
        """What each titled column is; "" = left out."""
        by_title: dict[str, list[int]] = {}
        for index, title in enumerate(self._header):
            if title:
                by_title.setdefault(title, []).append(index)
        found: dict[int, KnownTitle] = {}
        for title, indexes in by_title.items():
            found.update(self._assigned(title, indexes, self._candidates(title)))
        for index, known in list(found.items()):
            renamed = renamed_field(self._entity, self._header[index]) if not known.field else None
            if renamed and renamed not in {one.field for one in found.values()} and not self._computed(index):
                found[index] = KnownTitle(renamed)
        return dict(sorted(found.items()))

    def _computed(self, index: int) -> bool:
        return known_title(self._entity, self._header[index]) is not None

    def _candidates(self, title: str) -> list[KnownTitle]:
        """The portal's own field, and user fields that are called so here."""
        system = known_title(self._entity, title)
        exact = [code for code, said in self._portal.titles.items() if code.startswith("UF_") and said == title]
        same = [
            code
            for code, said in self._portal.titles.items()
            if code.startswith("UF_") and fold(said) == fold(title) and said not in self._header
        ]
        own = [KnownTitle(code) for code in exact or same if self._portal.types.get(code) not in _UNFILLABLE_TYPES]
        return [system, *own] if system is not None else own

    def _assigned(self, title: str, indexes: list[int], candidates: list[KnownTitle]) -> dict[int, KnownTitle]:
        """Which of the candidates each column of one title is: the ones that their values fit best."""
        if len(indexes) == 1 and len(candidates) <= 1:
            return {indexes[0]: candidates[0] if candidates else KnownTitle("")}
        slots = [*candidates, *[KnownTitle("")] * len(indexes)]
        ways = {
            way: sum(self._fit(index, slot) for index, slot in zip(indexes, way, strict=True))
            for way in permutations(slots, len(indexes))
        }
        best, score = max(ways.items(), key=lambda item: item[1])
        if sum(abs(other - score) < 1e-9 for other in ways.values()) > 1 and any(
            self._values[index] for index in indexes
        ):
            numbers = ", ".join(f'"column {index + 1}"' for index in indexes)
            meant = ", ".join(known.field or "left out" for known in candidates) or "nothing known"
            self._problems.append(
                f'"{title}" ({numbers}) may be {meant}: say it in a mapping, which `b24sync import suggest` proposes'
            )
        return dict(zip(indexes, best, strict=True))

    def _fit(self, index: int, known: KnownTitle) -> float:
        """How well a column's values fit a field, 0 to 1; 0.3 where nothing speaks for or against it."""
        texts = self._values[index]
        allowed = self._allowed(known.field)
        if not known.field or not texts:
            return 0.2 if not known.field else 0.3
        bonus = 0.0 if known.field.startswith("UF_") else 0.05
        if allowed:
            return bonus + sum(fold(text) in allowed for text in texts) / len(texts)
        convert = _CONVERTERS.get(self._portal.types.get(known.field, ""))
        return bonus + (guessing.share_of(texts, convert) if convert else 0.3)

    def _allowed(self, field: str) -> frozenset[str]:
        """Folded values that a field takes, where it has a list of them."""
        if field.startswith("UF_"):
            return frozenset(map(fold, self._portal.values.get(field, ())))
        known = fields.find_field(self._entity, field) if field else None
        names = self._portal.dictionaries.get(known.dictionary or "", frozenset()) if known else frozenset()
        return frozenset(map(fold, names))

    def _name(self, index: int) -> str:
        title = self._header[index]
        return title if self._header.count(title) == 1 else f"column {index + 1}"

    def _column(self, index: int, known: KnownTitle) -> dict[str, Any] | str:
        """The column as a mapping says it, with what its values tell of dates and decimal marks."""
        if not known.field:
            return "-"
        field = fields.find_field(self._entity, known.field)
        assert field is not None, known.field
        return {"field": known.field, **self._options(index, field, known)}

    def _options(self, index: int, field: fields.Field, known: KnownTitle) -> dict[str, Any]:
        texts = self._values[index]
        kind = field.kind
        of_user = self._portal.types.get(field.name, "") if kind is Kind.USER_FIELD else ""
        if kind in fields.TEMPORAL or of_user in ("date", "datetime"):
            form = guessing.date_form(texts)
            if form is None:
                return {}
            date_only = kind is Kind.DATE or of_user == "date"
            said = form.exact if date_only and form.has_time else form.format  # a format lets the time of day go
            return {"format": said} if said else {}
        if kind in fields.NUMERIC or of_user in ("double", "money", "integer"):
            mark = guessing.decimal_mark(texts)
            return {"decimal": mark} if mark else {}
        if kind in (Kind.PHONE, Kind.EMAIL, Kind.WEB):
            return {"value_type": known.value_type, "separator": ", "}
        if kind is Kind.STAGE and "pipeline" not in {one.field for one in self._known.values()}:
            return {"match": "any_pipeline"} if fields.find_field(self._entity, "pipeline") else {}
        if kind in (Kind.COMPANY, Kind.CONTACT, Kind.CONTACTS):
            return {"match": "title", "create": True}  # an export names the primary one alone
        if field.multiple or field.name in self._portal.multiple:
            return {"separator": ", "}
        return {}
