"""Conditions on any field, as a person types them after --filter, as a filter of crm.item.list.

`opportunity>=100000`, `assigned_by=a.orlova@example.ru`, `pipeline=Проекты`, `UF_CRM_REGION=Москва|Казань`,
`title~договор`, `company=`: a field, one of = != > >= < <= ~ (or %: contains), a value, several with | between them, or
none. Names of pipelines, stages, users and list elements are resolved. Docs: crm/universal/crm-item-list.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from b24sync.errors import ConfigError
from b24sync.portal.directory import Directory, FieldInfo, nearest, normal
from b24sync.portal.words import NO, YES

_FORM = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*(!=|>=|<=|=|>|<|~|%)\s*(.*?)\s*", re.DOTALL)
PEOPLE = ("user", "employee")
PREFIXES: Mapping[str, str] = {"=": "=", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<=", "~": "%", "%": "%"}
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
    known = _names(field, directory)
    if known is not None and said and sign not in ("=", "!="):
        raise ValueError(f"{name} is a name: = and != are possible")
    words = [word.strip() for word in said.split("|")]
    values = [value for word in words for value in _values(field, word, known, directory)]
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
    close = nearest(name, [*NAMES, *directory.fields])
    raise ValueError(f"there is no field {name}" + (f"; nearest: {', '.join(close)}" if close else ""))


def _values(field: FieldInfo, word: str, names: Sequence[tuple[Any, str]] | None, directory: Directory) -> list[Any]:
    """What a word means in a field: ids of what it names, else the word. Raises ValueError with the nearest names."""
    if field.type == "boolean" and word:
        # Filters on a yes-or-no field take 1 and 0 only (crm-item-list.md).
        if normal(word) not in YES | NO:
            raise ValueError(f"{field.code} is yes or no, not {word!r}")
        return [int(normal(word) in YES)]
    if names is None or not word:
        return [word]
    wanted = normal(word)
    ids: list[Any] = [one for one, name in names if normal(name) == wanted]
    if field.type in PEOPLE:
        ids = [user.id for user in directory.users_by(word)]
    ids = ids or [one for one, _ in names if normal(str(one)) == wanted]
    if not ids:
        close = nearest(word, [name for _, name in names])
        raise ValueError(f"{field.code} knows no {word!r}" + (f"; nearest: {', '.join(close)}" if close else ""))
    return list(dict.fromkeys(ids))


def _names(field: FieldInfo, directory: Directory) -> list[tuple[Any, str]] | None:
    """(id, name) of what a field can hold; None where it holds plain values."""
    if field.code == "categoryId":
        return [(one.id, one.name) for one in directory.pipelines]
    if field.code == "stageId":
        return [(one.status_id, one.name) for one in directory.stages]
    if field.type in PEOPLE:
        return [(one.id, name) for one in directory.users for name in (one.name, one.email)]
    if field.type == "enumeration":
        return list(field.items.items())
    statuses = directory.dictionaries.get(field.dictionary)
    return list(statuses.items()) if statuses else None
