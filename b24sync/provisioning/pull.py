"""A live portal's structure as a blueprint: what `portal plan` on the same portal finds nothing to do about.

What a blueprint cannot say (fields of applications, doubled names) stands in it as a comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from b24sync.portal.directory import normal
from b24sync.portal.items import LEAD
from b24sync.portal.smart_processes import TypeRow
from b24sync.portal.userfields import UserFieldRow
from b24sync.provisioning.blueprint import (
    SEMANTICS,
    FieldSpec,
    FieldType,
    StageSpec,
    stage_problems,
)
from b24sync.provisioning.present import Entity, Pipeline, Present, read_present
from b24sync.transport.client import PortalClient

CLASSIC = ("deal", "lead", "contact", "company")
_ORDER: list[str] = list(SEMANTICS)
MADE_CODE = re.compile("[0-9a-f]{32}")
"""The XML_ID that the portal makes where none is given (crm-deal-userfield-add.md): it says nothing."""


def read_all(client: PortalClient, *, smart_processes: bool = True) -> Present:
    """Everything that a blueprint can describe. Cost: three to five requests for a portal of ordinary size.

    Raises PortalRefused without the right to change CRM settings, RetryLater, PortalBlocked.
    """
    if not smart_processes:
        return read_present(client, CLASSIC, types=False)
    types = read_present(client, [], types=True).types
    return read_present(client, [*CLASSIC, *(f"item:{row.entity_type_id}" for row in types)], types=True)


def blueprint_text(present: Present, *, portal: str) -> str:
    """The blueprint as TOML."""
    parts = [f"# The structure of portal {portal}, written by `b24sync portal pull`."]
    parts += [_type(row) for row in present.types]
    for entity in present.entities.values():
        parts += _pipelines(entity)
    for entity in present.entities.values():
        parts += _fields(entity)
    return "\n\n".join(parts) + "\n"


def _type(row: TypeRow) -> str:
    on = {name: True for name, is_on in sorted(row.switches.items()) if is_on}
    lines = ["[[types]]", f"title = {_toml(row.title)}", f"entity_type_id = {row.entity_type_id}"]
    return "\n".join([*lines, f"switches = {_toml(on)}"] if on else lines)


def _pipelines(entity: Entity) -> list[str]:
    seen: set[str] = set()
    found = []
    for pipeline in entity.pipelines:
        name = normal(pipeline.row.name)
        if name in seen or not pipeline.row.name.strip():
            found.append(f"# Pipeline {pipeline.row.id} of {entity.name} is called {pipeline.row.name!r} too.")
            continue
        seen.add(name)
        found.append(_pipeline(entity, pipeline))
    return found


def _pipeline(entity: Entity, pipeline: Pipeline) -> str:
    lines = ["[[pipelines]]", f"name = {_toml(pipeline.row.name)}"]
    if entity.name != "deal":
        lines.append(f"entity = {_toml(entity.name)}")
    if entity.entity_type_id != LEAD:
        lines.append(f"sort = {pipeline.row.sort}")
    stages, doubled = _stages(pipeline)
    problems = stage_problems(stages)
    if problems:
        return "\n".join([*lines, f"# Its stages are not written: {'; '.join(problems)}."])
    if stages:
        lines += ["stages = [", *(f"  {_stage(stage)}," for stage in stages), "]"]
    return "\n".join([*lines, *(f"# Another stage is called {name!r} too." for name in doubled)])


def _stages(pipeline: Pipeline) -> tuple[list[StageSpec], list[str]]:
    """In a blueprint's order; names that stand twice only once."""
    found: dict[str, StageSpec] = {}
    doubled = []
    for row in sorted(pipeline.stages, key=lambda row: (_ORDER.index(row.semantics), row.sort, row.id)):
        if normal(row.name) in found:
            doubled.append(row.name)
            continue
        raw: dict[str, Any] = {"name": row.name, "semantics": row.semantics}
        try:
            found[normal(row.name)] = StageSpec.model_validate({**raw, "color": row.color or None})
        except ValidationError:
            found[normal(row.name)] = StageSpec.model_validate(raw)  # a colour of some other form
    return list(found.values()), doubled


def _stage(stage: StageSpec) -> str:
    given = {"name": stage.name, "semantics": stage.semantics, "color": stage.color}
    return _toml({key: value for key, value in given.items() if value is not None})


def _fields(entity: Entity) -> list[str]:
    return [_field(entity, row) for row in sorted(entity.fields.values(), key=lambda row: (row.sort, row.id))]


def _field(entity: Entity, row: UserFieldRow) -> str:
    if row.type not in get_args(FieldType):
        return f"# Field {row.code} of {entity.name} has type {row.type!r}, which an application made."
    given = _field_keys(entity, row)
    try:
        FieldSpec.model_validate(given)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return f"# Field {row.code} of {entity.name} is not written: {said}."
    if row.type == "enumeration" and not row.values:
        return f"# Field {row.code} of {entity.name} is an enumeration without values."
    lines = ["[[fields]]", *(f"{key} = {_toml(value)}" for key, value in given.items())]
    return "\n".join([*lines, *(f"# Another value is called {text!r} too." for text in _doubled(row))])


def _field_keys(entity: Entity, row: UserFieldRow) -> dict[str, Any]:
    """The keys of a FieldSpec; those that say the default are left out."""
    given: dict[str, Any] = {
        "entity": entity.name,
        "code": entity.home.blueprint_code(row.code),
        "type": row.type,
        "label": row.label or row.code,
    }
    if row.multiple:
        given["multiple"] = True
    if row.mandatory:
        given["mandatory"] = True
    if not row.in_filter:
        given["in_filter"] = False
    if row.sort > 0:
        given["sort"] = row.sort
    if row.values:
        given["values"] = _values(row)
    settings = {key: value for key, value in row.settings.items() if not _is_empty(value)}
    if settings:
        given["settings"] = {key: _without_empty(value) for key, value in settings.items()}
    return given


def _values(row: UserFieldRow) -> list[Any]:
    """Texts; a table where a value is the default one or has a code that somebody gave it."""
    found: dict[str, Any] = {}
    for value in row.values:
        more: dict[str, Any] = {"default": True} if value.default else {}
        if value.xml_id and not MADE_CODE.fullmatch(value.xml_id):
            more["xml_id"] = value.xml_id
        found.setdefault(normal(value.value), {"value": value.value, **more} if more else value.value)
    return list(found.values())


def _doubled(row: UserFieldRow) -> list[str]:
    """Texts of values that another value before them has: a blueprint names each once."""
    texts = [normal(value.value) for value in row.values]
    return [value.value for place, value in enumerate(row.values) if texts[place] in texts[:place]]


def _is_empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_empty(item) for item in value.values())
    if isinstance(value, list):
        return all(_is_empty(item) for item in value)
    return value is None or value == ""


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: item for key, item in value.items() if not _is_empty(item)}
    if isinstance(value, list):
        return [item for item in value if item is not None]
    return value


def _toml(value: Any) -> str:
    """A value as TOML. JSON's strings are TOML's basic strings, except that TOML wants DEL escaped."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(key))} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return _list(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _list(values: Iterable[Any]) -> str:
    return "[" + ", ".join(_toml(item) for item in values) + "]"


def _key(name: str) -> str:
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else json.dumps(name, ensure_ascii=False)
