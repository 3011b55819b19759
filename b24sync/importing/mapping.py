"""The mapping file: what each column of a source becomes. Reference: docs/importers.md."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from b24sync.errors import ConfigError
from b24sync.importing import fields
from b24sync.importing.fields import Kind
from b24sync.importing.values import check_date_format

LEFT_OUT = "-"
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|[{}]")

Match = Literal["title", "origin", "email", "phone", "id", "any_pipeline"]
Constant = str | int | float | bool | dt.datetime | dt.date

_MATCHES: dict[Kind, frozenset[str]] = {
    Kind.USER: frozenset({"title", "email", "id"}),
    Kind.PIPELINE: frozenset({"title", "id"}),
    Kind.STAGE: frozenset({"title", "id", "any_pipeline"}),
    Kind.STATUS: frozenset({"title", "id"}),
    Kind.COMPANY: frozenset({"title", "origin", "email", "phone", "id"}),
}
_MATCHES |= {Kind.USERS: _MATCHES[Kind.USER], Kind.PARENT: frozenset({"title", "origin", "id"})}
_MATCHES |= dict.fromkeys((Kind.COMPANIES, Kind.CONTACT, Kind.CONTACTS), _MATCHES[Kind.COMPANY])
_CREATABLE = frozenset({Kind.COMPANY, Kind.COMPANIES, Kind.CONTACT, Kind.CONTACTS})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """What one column becomes. In the file a bare "field" means {field = "field"}."""

    field: str
    """The field it fills; "-" leaves the column out on purpose."""
    map: dict[str, str] = {}
    """Cell text -> text to use instead; "" stands for an empty cell."""
    other: str | None = None
    """Text for every value that `map` does not list."""
    default: str | None = None
    """Value for an empty cell, and for a name that the portal does not know."""
    format: str | None = None
    """strptime form of dates."""
    tz: str | None = None
    """Zone of the times in this column, where it is not the portal's."""
    decimal: Literal[".", ","] | None = None
    """Decimal mark of numbers."""
    match: Match | None = None
    """What the text of a company, contact or user column is."""
    create: bool = False
    """Make a company or contact that is not found."""
    separator: str | None = Field(default=None, min_length=1)
    """Parts several values in one cell."""
    value_type: str | None = None
    """Kind of a phone, e-mail or web address: WORK, MOBILE, HOME, ..."""
    errors: Literal["refuse", "empty"] = "refuse"
    """What #REF! and other error marks mean: refuse the row, or an empty cell."""
    missing: Literal["refuse", "empty"] | None = None
    """Like [missing] values, for this column alone."""

    @property
    def left_out(self) -> bool:
        """Whether the column is left out on purpose."""
        return self.field == LEFT_OUT


class Missing(_Strict):
    """What to do with names that do not resolve, and with columns that the mapping does not mention."""

    values: Literal["refuse", "empty"] = "refuse"
    columns: Literal["refuse", "ignore"] = "refuse"


class Mapping(_Strict):
    """A checked mapping file. `columns` has an entry for every column mentioned, left out ones too."""

    entity: str
    originator: str = Field(min_length=1)
    key: str = Field(min_length=1)
    columns: dict[str, Column]
    constants: dict[str, Constant] = {}
    templates: dict[str, str] = {}
    missing: Missing = Missing()

    @cached_property
    def entity_type_id(self) -> int:
        """crm's entityTypeId."""
        number = fields.entity_type_id(self.entity)
        if number is None:
            raise ConfigError(f"unknown entity {self.entity}")
        return number

    @cached_property
    def fields_used(self) -> frozenset[str]:
        """Every field that a row may fill, by its name in the mapping."""
        mapped = (column.field for column in self.columns.values() if not column.left_out)
        return frozenset({*mapped, *self.constants, *self.templates})

    @cached_property
    def holds_product_rows(self) -> bool:
        """Whether rows carry product rows, as a field or line by line."""
        return any(name.startswith(fields.PRODUCT_PREFIX) for name in self.fields_used)


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: literals around columns, `len(literals) == len(columns) + 1`."""

    literals: tuple[str, ...]
    columns: tuple[str, ...]


def load_mapping(path: Path) -> Mapping:
    """Read and check `path`. Raises: ConfigError listing every mistake, with its line where it can be told."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: it is no text in UTF-8; save it as UTF-8") from error
    return parse_mapping(text, name=str(path))


def parse_mapping(text: str, *, name: str) -> Mapping:
    """Check a mapping's text. `name` is what messages call it. Raises: ConfigError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML", [str(error)]) from error
    return check_mapping(raw, name=name, text=text)


def check_mapping(raw: dict[str, Any], *, name: str, text: str = "") -> Mapping:
    """Check a mapping as TOML would give it; `text` is where the lines are found. Raises: ConfigError."""
    if isinstance(raw.get("columns"), dict):
        raw = {**raw, "columns": {title: _as_table(value) for title, value in raw["columns"].items()}}
    problems = list(dict.fromkeys(_Problem(path, message) for path, message in _shape_problems(raw)))
    problems += _Checker(raw).problems()
    if problems:
        lines = _Lines(text)
        numbered = sorted(((lines.find(problem.path), problem) for problem in problems), key=lambda pair: pair[0])
        raise ConfigError(f"{name}: {len(problems)} mistake(s) in the mapping", [_shown(*pair) for pair in numbered])
    return Mapping.model_validate(raw)


def parse_template(text: str) -> Template:
    """Split "{Product} / {Id}" into literals and columns; {{ and }} are braces. Raises: ValueError."""
    literals, columns = [""], []
    position = 0
    for match in _PLACEHOLDER.finditer(text):
        literals[-1] += text[position : match.start()]
        position = match.end()
        if match[1] is not None:
            columns.append(match[1].strip())
            literals.append("")
        elif len(match[0]) == 2:
            literals[-1] += match[0][0]
        else:
            raise ValueError(f'a lone "{match[0]}"; a brace is written twice')
    literals[-1] += text[position:]
    return Template(tuple(literals), tuple(columns))


def _as_table(value: Any) -> Any:
    return {"field": value} if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Problem:
    path: tuple[str, ...]
    message: str


def _shown(line: int, problem: _Problem) -> str:
    return f"line {line}: {problem.message}" if line else problem.message


def _shape_problems(raw: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What pydantic finds: unknown and missing keys, wrong types, values that are not allowed."""
    try:
        Mapping.model_validate(raw)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_context=False, include_input=False):
            path = tuple(str(part) for part in found["loc"])
            if path[:1] == ("constants",):
                path = path[:2]
                message = "must be a text, number, yes/no or date"
            elif found["type"] == "extra_forbidden":
                message = "unknown key"
            elif found["type"] == "missing":
                message = "is missing"
            else:
                message = _WANTED.get(found["type"], found["msg"])
            yield path, f"{_dotted(path)}: {message}"


_WANTED = {
    "string_type": 'must be a text, in quotation marks: "7"',
    "dict_type": 'must be a table, like { "a" = "b" }',
    "model_type": 'must be a field\'s name or a table: { field = "title" }',
    "model_attributes_type": 'must be a field\'s name or a table: { field = "title" }',
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}
"""By pydantic's type of mistake, what a TOML file has to say instead."""


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in path)


class _Checker:
    """What the shape alone cannot say: fields of the entity, options that fit the field, nothing fed twice."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw
        self._found: list[_Problem] = []

    def problems(self) -> list[_Problem]:
        entity = self._raw.get("entity")
        if not isinstance(entity, str):
            return []
        if fields.entity_type_id(entity) is None:
            self._add(
                ("entity",),
                f'entity: "{entity}" is none of deal, lead, contact, company, item:<entityTypeId>',
            )
            return self._found
        feeders: dict[str, list[tuple[str, str]]] = {}
        for title, column in self._columns():
            if column.left_out:
                self._check_left_out(title, column)
                continue
            field = self._field(entity, column.field, ("columns", title), f'column "{title}"')
            if field is not None:
                feeders.setdefault(field.name, []).append(("columns", title))
                self._check_options(title, column, field)
        for table in ("constants", "templates"):
            for name in self._table(table):
                field = self._field(entity, name, (table, name), f"[{table}]")
                if field is not None:
                    feeders.setdefault(name, []).append((table, name))
        self._check_templates()
        self._check_feeders(entity, feeders)
        return self._found

    def _add(self, path: tuple[str, ...], message: str) -> None:
        self._found.append(_Problem(path, message))

    def _table(self, name: str) -> dict[str, Any]:
        table = self._raw.get(name)
        return table if isinstance(table, dict) else {}

    def _columns(self) -> Iterator[tuple[str, Column]]:
        for title, raw in self._table("columns").items():
            try:
                yield title, Column.model_validate(raw)
            except ValidationError:
                continue  # reported with the shape

    def _field(self, entity: str, name: str, path: tuple[str, ...], who: str) -> fields.Field | None:
        field = fields.find_field(entity, name)
        if field is None:
            guess = fields.nearest_field(entity, name)
            hint = f'; did you mean "{guess}"?' if guess else ""
            if name.upper().startswith("UF_"):
                hint = "; a user field's code is UF_ and capital Latin letters, digits, _ (at most 50 characters)"
            self._add(path, f'{who}: {entity} has no field "{name}" that an import can fill{hint}')
        return field

    def _check_left_out(self, title: str, column: Column) -> None:
        given = sorted(column.model_fields_set - {"field"})
        if given:
            self._add(("columns", title), f'column "{title}": left out ("-"), so {", ".join(given)} has no effect')

    def _check_options(self, title: str, column: Column, field: fields.Field) -> None:
        def wrong(message: str) -> None:
            self._add(("columns", title), f'column "{title}": {message}')

        kind = field.kind
        user_field = kind is Kind.USER_FIELD
        fits = {
            "format": user_field or kind in fields.TEMPORAL,
            "tz": user_field or kind is Kind.DATETIME,
            "decimal": user_field or kind in fields.NUMERIC,
            "match": kind in _MATCHES,
            "create": kind in _CREATABLE,
            "separator": user_field or field.multiple,
            "value_type": kind in fields.VALUE_TYPES,
            "missing": user_field or kind in fields.REFERENCES,
        }
        for option, fit in fits.items():
            if option in column.model_fields_set and not fit:
                wrong(f"{option} has no meaning for {field.name} (a {kind.value} field)")
        if column.other is not None and not column.map:
            wrong("other needs map")
        if column.format is not None and fits["format"]:
            reason = check_date_format(column.format)
            if reason:
                wrong(f'format "{column.format}": {reason}')
        if column.tz is not None and fits["tz"]:
            try:
                ZoneInfo(column.tz)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                wrong(f'tz "{column.tz}" is no time zone; write it like Europe/Moscow')
        if column.match and kind in _MATCHES and column.match not in _MATCHES[kind]:
            wrong(f"match for {field.name} is one of {', '.join(sorted(_MATCHES[kind]))}")
        if column.create and column.match in ("origin", "id"):
            wrong(f'create with match = "{column.match}" would make objects without a name')
        allowed = fields.VALUE_TYPES.get(kind, ())
        if column.value_type and allowed and column.value_type not in (*allowed, "*"):
            wrong(f"value_type is one of {', '.join(allowed)}")

    def _check_templates(self) -> None:
        for name, text in self._table("templates").items():
            if not isinstance(text, str):
                continue  # reported with the shape
            try:
                template = parse_template(text)
            except ValueError as error:
                self._add(("templates", name), f"[templates] {name}: {error}")
                continue
            if not template.columns:
                self._add(
                    ("templates", name), f"[templates] {name}: names no {{column}}; [constants] is for fixed values"
                )

    def _check_feeders(self, entity: str, feeders: dict[str, list[tuple[str, str]]]) -> None:
        for name, paths in feeders.items():
            field = fields.find_field(entity, name)
            several = field is not None and (field.multiple or field.kind is Kind.USER_FIELD)
            from_columns = all(table == "columns" for table, _ in paths)
            if len(paths) > 1 and not (several and from_columns):
                sources = ", ".join(_source_name(*path) for path in paths)
                self._add(paths[-1], f'field "{name}" is filled more than once: {sources}')


def _source_name(table: str, name: str) -> str:
    return f'column "{name}"' if table == "columns" else f"[{table}] {name}"


class _Lines:
    """Finds the line of a key in TOML text. Best effort: tomllib does not tell."""

    _HEADER = re.compile(r"\s*\[+\s*(?P<path>[^\[\]]+?)\s*\]+\s*(?:#.*)?$")
    _KEY = re.compile(r"""\s*(?P<key>"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*[=.]""")
    _PART = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+""")

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, ...], int] = {}
        section: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), start=1):
            header = self._HEADER.match(line)
            if header:
                section = tuple(_unquoted(part) for part in self._PART.findall(header["path"]))
                self._found.setdefault(section, number)
                continue
            key = self._KEY.match(line)
            if key:
                self._found.setdefault((*section, _unquoted(key["key"])), number)

    def find(self, path: tuple[str, ...]) -> int:
        """The line of `path` or of what it lies in; 0 where nothing is found."""
        while path:
            if path in self._found:
                return self._found[path]
            path = path[:-1]
        return 0


def _unquoted(part: str) -> str:
    if part.startswith("'"):
        return part[1:-1]
    if part.startswith('"'):
        try:
            value = tomllib.loads(f"key = {part}")["key"]
        except tomllib.TOMLDecodeError:
            return part[1:-1]
        return str(value)
    return part
