"""Conditions on any field, as a person types them, as a filter of crm.item.list.

`opportunity>=100000`, `assigned_by=a.orlova@example.ru`, `pipeline=Проекты`, `UF_CRM_REGION=Москва|Казань`,
`title~договор`: a field, one of = != > >= < <= ~ (contains), a value or several with | between them. Names of
pipelines, stages, users and list elements are resolved. Docs: crm/universal/crm-item-list.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from b24sync.errors import ConfigError
from b24sync.portal.directory import Directory, FieldInfo, nearest, normal

_FORM = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*(!=|>=|<=|=|>|<|~)\s*(.*?)\s*", re.DOTALL)
PREFIXES: Mapping[str, str] = {"=": "=", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<=", "~": "%"}
NAMES: Mapping[str, str] = {
    "stage": "stageId",
    "pipeline": "categoryId",
    "assigned_by": "assignedById",
    "responsible": "assignedById",
    "currency": "currencyId",
    "company": "companyId",
    "contact": "contactId",
    "source": "sourceId",
    "type": "typeId",
    "begin_date": "begindate",
    "close_date": "closedate",
}
"""Fields whose names differ from the portal's by more than their case."""


def filter_of(conditions: Sequence[str], directory: Directory) -> dict[str, Any]:
    """The filter of all `conditions` together. Raises ConfigError listing every one that means nothing here."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    for condition in conditions:
        try:
            key, value = _condition(condition, directory)
        except ValueError as error:
            problems.append(f"{condition!r}: {error}")
            continue
        if key in found:
            problems.append(f"{condition!r}: there is such a condition already; several values: a|b")
        found[key] = value
    if problems:
        raise ConfigError("The filter does not fit the portal:", problems)
    return found


def _condition(text: str, directory: Directory) -> tuple[str, Any]:
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError("write FIELD, one of = != > >= < <= ~, and a value")
    name, sign, said = form.groups()
    field = _field(name, directory)
    values = [value for word in said.split("|") for value in _values(field, word.strip(), directory)]
    if len(values) == 1:
        return f"{PREFIXES[sign]}{field.code}", values[0]
    if sign not in ("=", "!="):
        raise ValueError(f"{sign} takes one value")
    return f"{'@' if sign == '=' else '!@'}{field.code}", values


def _field(name: str, directory: Directory) -> FieldInfo:
    camel = re.sub(r"_([a-z])", lambda letter: letter[1].upper(), name)
    for code in (NAMES.get(name.lower()), name, name.upper(), camel):
        if code is not None and code in directory.fields:
            return directory.fields[code]
    close = nearest(name, directory.fields)
    raise ValueError(f"there is no field {name}" + (f"; nearest: {', '.join(close)}" if close else ""))


def _values(field: FieldInfo, word: str, directory: Directory) -> list[Any]:
    """What a word means in a field: ids of what it names, else the word."""
    if field.type == "boolean":
        # Filters on a yes-or-no field take 1 and 0 only (crm-item-list.md).
        return [int(normal(word) in ("1", "y", "yes", "да", "true"))]
    known = _named(field, word, directory)
    if known is None:
        return [word]
    if not known:
        raise ValueError(f"{field.code} knows no {word!r}")
    return known


def _named(field: FieldInfo, word: str, directory: Directory) -> list[Any] | None:
    """Ids of what `word` names in a field that holds ids; None for other fields."""
    wanted = normal(word)
    if field.code == "categoryId":
        return [one.id for one in directory.pipelines if wanted in (normal(one.name), str(one.id))]
    if field.code == "stageId":
        return [one.status_id for one in directory.stages if wanted in (normal(one.name), normal(one.status_id))]
    if field.type in ("user", "employee"):
        return [one.id for one in directory.users_by(word)] or ([int(word)] if word.isdigit() else [])
    if field.type == "enumeration":
        return [key for key, text in field.items.items() if wanted in (normal(text), str(key))]
    return None
