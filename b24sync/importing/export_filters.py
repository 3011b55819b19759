"""What to export, as a person says it: `stage=Новая`, `opportunity>=100000`, `assigned_by=anna@example.ru`.

Fields are the mapping's names or user field codes; names of stages, people and list elements become ids. Several
filters must all hold (api-reference/crm/universal/crm-item-list.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from b24sync.errors import ConfigError
from b24sync.importing.fields import MULTIFIELD_TYPES, Field, Kind, find_field, nearest_field
from b24sync.portal.directory import Directory, nearest, normal

_FILTER = re.compile(r"\s*(?P<name>\w+)\s*(?P<sign>!=|>=|<=|=|>|<|%)\s*(?P<value>.*?)\s*", re.DOTALL)
_SIGNS = "= != > >= < <= %"


def portal_filter(entity: str, filters: Sequence[str], directory: Directory) -> dict[str, Any]:
    """The filter of crm.item.list. Raises ConfigError listing every one that is not understood."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    for text in filters:
        try:
            key, value = _one(entity, text, directory)
        except ValueError as error:
            problems.append(f'"{text}": {error}')
            continue
        if key in found:
            problems.append(f'"{text}": the same field and sign stand twice')
        found[key] = value
    if problems:
        raise ConfigError("Filters that are not understood:", problems)
    return found


def _one(entity: str, text: str, directory: Directory) -> tuple[str, Any]:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise ValueError(f"write field, sign ({_SIGNS}), value, such as stage=Новая")
    name, sign, value = match["name"], match["sign"], match["value"]
    field = Field("id", Kind.INTEGER, "id") if name == "id" else find_field(entity, name)
    if field is None or field.kind in MULTIFIELD_TYPES or field.api == "productRows":
        guess = nearest_field(entity, name)
        raise ValueError(f"{entity} has no field {name} to filter by" + (f"; did you mean {guess}?" if guess else ""))
    resolved = _resolved(field, value, directory)
    if isinstance(resolved, list):
        signs = {"=": "@", "!=": "!@"}
        if sign not in signs:
            raise ValueError(f"{name} is a name: = and != are possible")
        return signs[sign] + field.api, resolved
    return sign + field.api, resolved


def _resolved(field: Field, value: str, directory: Directory) -> Any:
    """The text itself, or the ids that it names. Raises ValueError with the nearest names."""
    names = _names(field, directory)
    if names is None or value == "":
        return value
    wanted = normal(value)
    ids = [one for one, name in names if normal(name) == wanted] or [one for one, _ in names if str(one) == value]
    if not ids:
        close = nearest(value, [name for _, name in names])
        raise ValueError(f"{field.name} has no {value}" + (f"; nearest: {', '.join(close)}" if close else ""))
    return list(dict.fromkeys(ids))


def _names(field: Field, directory: Directory) -> list[tuple[Any, str]] | None:
    """(id, name) of what a field can hold; None where it holds plain values."""
    match field.kind:
        case Kind.USER | Kind.USERS:
            people = directory.users
            return [(user.id, user.email) for user in people] + [(user.id, user.name) for user in people]
        case Kind.PIPELINE:
            return [(pipeline.id, pipeline.name) for pipeline in directory.pipelines]
        case Kind.STAGE:
            return [(stage.status_id, stage.name) for stage in directory.stages]
        case Kind.STATUS:
            return list(directory.dictionaries.get(field.dictionary or "", {}).items())
        case Kind.USER_FIELD:
            info = directory.fields.get(field.name)
            if info is None:
                raise ValueError(f"the portal has no field {field.name}")
            items: Mapping[int, str] = info.items
            return list(items.items()) if items else None
        case _:
            return None
