"""The blueprint: pipelines, stages and user fields that a portal should have, as TOML."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from b24sync.errors import ConfigError

Semantics = Literal["process", "success", "failure"]
EntityName = Literal["deal", "lead", "contact", "company"]
FieldType = Literal[
    "string", "integer", "double", "boolean", "date", "datetime", "money", "enumeration", "url", "address", "employee"
]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StageSpec(Closed):
    name: str = Field(min_length=1)
    semantics: Semantics = "process"


class PipelineSpec(Closed):
    """A deal pipeline. Its stages stand in the order wanted: process, then one success, then failures."""

    name: str = Field(min_length=1, max_length=255)
    stages: tuple[StageSpec, ...] = ()


class FieldSpec(Closed):
    """A user field. `code` at most 50 characters with its UF_CRM_ (crm-deal-userfield-add.md)."""

    entity: EntityName
    code: Annotated[str, Field(pattern=r"^UF_CRM_[A-Z0-9_]{1,43}$")]
    type: FieldType
    label: str = Field(min_length=1)
    values: tuple[str, ...] = ()
    multiple: bool = False
    mandatory: bool = False


class Blueprint(Closed):
    pipelines: tuple[PipelineSpec, ...] = ()
    fields: tuple[FieldSpec, ...] = ()


def load_blueprint(path: Path) -> Blueprint:
    """Read and check `path`. Raises ConfigError listing every mistake."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The blueprint {path} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The blueprint {path} is not valid TOML: {error}") from None
    try:
        blueprint = Blueprint.model_validate(raw)
    except ValidationError as error:
        said = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ConfigError(f"The blueprint {path} has mistakes:", said) from None
    problems = _problems(blueprint)
    if problems:
        raise ConfigError(f"The blueprint {path} has mistakes:", problems)
    return blueprint


def _problems(blueprint: Blueprint) -> list[str]:
    """What the shape alone cannot say; the order of semantics is the portal's rule (crm-status-add.md)."""
    found = []
    order = {"process": 0, "success": 1, "failure": 2}
    for pipeline in blueprint.pipelines:
        kinds = [stage.semantics for stage in pipeline.stages]
        names = [stage.name.casefold() for stage in pipeline.stages]
        if pipeline.stages and kinds.count("success") != 1:
            found.append(f"pipeline {pipeline.name!r}: exactly one stage is a success, not {kinds.count('success')}")
        if pipeline.stages and ("process" not in kinds or "failure" not in kinds):
            found.append(f"pipeline {pipeline.name!r}: at least one process and one failure stage are needed")
        if kinds != sorted(kinds, key=order.__getitem__):
            found.append(f"pipeline {pipeline.name!r}: stages stand in the order process, success, failure")
        if len(set(names)) != len(names):
            found.append(f"pipeline {pipeline.name!r}: two stages have the same name")
    for field in blueprint.fields:
        if field.type == "enumeration" and not field.values:
            found.append(f"field {field.code}: an enumeration needs values")
        if field.type != "enumeration" and field.values:
            found.append(f"field {field.code}: only an enumeration has values")
        if field.type == "boolean" and field.multiple:
            found.append(f"field {field.code}: a boolean cannot be multiple")
    return found
