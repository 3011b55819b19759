"""The blueprint: smart processes, pipelines, stages and user fields that a portal should have, as TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from b24sync.config import in_words_of_toml
from b24sync.errors import ConfigError
from b24sync.portal.directory import nearest, normal

Semantics = Literal["process", "success", "failure"]
SEMANTICS: tuple[Semantics, ...] = ("process", "success", "failure")
FieldType = Literal[
    "string",
    "integer",
    "double",
    "boolean",
    "date",
    "datetime",
    "money",
    "enumeration",
    "url",
    "address",
    "employee",
    "file",
    "crm",
    "crm_status",
    "iblock_section",
    "iblock_element",
]
"""Every type that crm/universal/user-defined-fields/crm-userfield-types.md lists; applications' own are not made."""

EntityName = Annotated[str, Field(pattern=r"^(deal|lead|contact|company|item:.+)$")]
"""`item:` names a smart process by its title or its entityTypeId."""


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TypeSpec(Closed):
    """A smart process. `switches`: categories, stages, client, ... = what crm.type.add calls isCategoriesEnabled."""

    title: str = Field(min_length=1)
    entity_type_id: int | None = Field(None, ge=128)
    switches: dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], bool] = {}

    @field_validator("entity_type_id")
    @classmethod
    def _is_free_range(cls, value: int | None) -> int | None:
        if value is not None and value > 192 and (value < 1030 or value % 2):
            raise ValueError("is 128 to 192, or an even number from 1030 (crm-type-add.md)")
        return value


class StageSpec(Closed):
    name: str = Field(min_length=1)
    semantics: Semantics = "process"
    color: str | None = Field(None, pattern=r"^#[0-9A-Fa-f]{6}$")


class PipelineSpec(Closed):
    """A pipeline. Its stages stand in the order wanted: process, then one success, then failures.

    Leads have one pipeline without a name of its own: what stands here as `name` is not compared.
    """

    name: str = Field(min_length=1, max_length=255)
    entity: EntityName = "deal"
    sort: int | None = Field(None, ge=0)
    stages: tuple[StageSpec, ...] = ()

    @property
    def title(self) -> str:
        """The pipeline in messages."""
        return self.name if self.entity == "deal" else f"{self.name} of {self.entity}"

    @property
    def path(self) -> str:
        """The pipeline in the ledger's keys."""
        return self.name if self.entity == "deal" else f"{self.entity}/{self.name}"


class ValueSpec(Closed):
    """A value of an enumeration; in a blueprint also just its text."""

    value: str = Field(min_length=1)
    xml_id: str | None = None
    default: bool = False


class FieldSpec(Closed):
    """A user field. `code` at most 50 characters with its UF_CRM_ (crm-deal-userfield-add.md).

    A smart process's field is written without the number of its type: UF_CRM_STATE becomes UF_CRM_7_STATE.
    """

    entity: EntityName
    code: Annotated[str, Field(pattern=r"^UF_CRM_[A-Z0-9_]{1,43}$")]
    type: FieldType
    label: str = Field(min_length=1)
    values: tuple[ValueSpec, ...] = ()
    multiple: bool = False
    mandatory: bool = False
    in_filter: bool = True
    sort: int | None = Field(None, gt=0)
    settings: dict[str, Any] = {}

    @field_validator("values", mode="before")
    @classmethod
    def _texts_are_values(cls, given: Any) -> Any:
        if isinstance(given, list | tuple):
            return tuple({"value": item} if isinstance(item, str) else item for item in given)
        return given

    @property
    def path(self) -> str:
        """The field in the ledger's keys."""
        return f"{self.entity}/{self.code}"

    def is_served_by(self, kind: str) -> bool:
        """Whether a field of this type in the portal will do."""
        return kind == self.type


class FeatureField(FieldSpec):
    """A field that the configuration names, not a blueprint: one that is there already may be `also` of these types."""

    also: tuple[FieldType, ...] = ()

    def is_served_by(self, kind: str) -> bool:
        return kind == self.type or kind in self.also


class Blueprint(Closed):
    types: tuple[TypeSpec, ...] = ()
    pipelines: tuple[PipelineSpec, ...] = ()
    fields: tuple[FieldSpec, ...] = ()

    @property
    def entities(self) -> list[str]:
        """What it speaks about, each once."""
        named = [*(item.entity for item in self.pipelines), *(item.entity for item in self.fields)]
        return list(dict.fromkeys([*named, *(f"item:{item.title}" for item in self.types)]))

    def with_fields(self, more: Iterable[FieldSpec]) -> Blueprint:
        """Also these fields; one that the blueprint itself describes stays as it does."""
        own = {field.path for field in self.fields}
        extra = {field.path: field for field in more if field.path not in own}
        return self.model_copy(update={"fields": (*self.fields, *extra.values())})

    def with_labelled(self, more: Iterable[FieldSpec], present: Mapping[tuple[str, str], str]) -> Blueprint:
        """Also those of `more` whose label no other field bears: neither here nor in the portal (`present`: codes)."""
        own = {(field.entity, normal(field.label)) for field in self.fields}
        keyed = [(field, (field.entity, normal(field.label))) for field in more]
        lacking = [field for field, key in keyed if key not in own and present.get(key, field.code) == field.code]
        return self.with_fields(lacking)


SPECS: Mapping[str, type[Closed]] = {
    "types": TypeSpec,
    "pipelines": PipelineSpec,
    "stages": StageSpec,
    "fields": FieldSpec,
    "values": ValueSpec,
}
"""What the entries under a key are."""


def load_blueprint(path: Path) -> Blueprint:
    """Read and check `path`. Raises ConfigError listing every mistake."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"The blueprint {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The blueprint {path} cannot be read: it is no text in UTF-8; save it as UTF-8.") from None
    return read_blueprint(text, str(path))


def read_blueprint(text: str, where: str) -> Blueprint:
    """Check the text of a blueprint. Raises ConfigError listing every mistake."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The blueprint {where} is not valid TOML: {error}") from None
    try:
        blueprint = Blueprint.model_validate(raw)
    except ValidationError as error:
        said = [_mistake(item["loc"], item["type"], item["msg"], raw) for item in error.errors()]
        raise ConfigError(f"The blueprint {where} has mistakes:", said) from None
    found = _problems(blueprint)
    if found:
        raise ConfigError(f"The blueprint {where} has mistakes:", found)
    return blueprint


def _mistake(place: Sequence[str | int], kind: str, said: str, raw: Any) -> str:
    """One sentence: the entry by its number and what it calls itself, the key, what is wrong with it."""
    words: list[str] = []
    spec: type[Closed] = Blueprint
    for part in place:
        if isinstance(part, int):
            raw = raw[part] if isinstance(raw, list) else None
            names = (
                [raw[key] for key in ("code", "name", "title", "value") if key in raw] if isinstance(raw, dict) else []
            )
            words[-1] += f" {part + 1}" + (f" ({names[0]})" if names else "")
        else:
            raw = raw.get(part) if isinstance(raw, dict) else None
            words.append(part)
            spec = SPECS.get(part, spec)
    if kind == "extra_forbidden":
        close = nearest(str(place[-1]), spec.model_fields, 1)
        said = "unknown key" + (f"; did you mean {close[0]}?" if close else "")
    return f"{'.'.join(words)}: {'is missing' if kind == 'missing' else in_words_of_toml(kind, said)}"


def _problems(blueprint: Blueprint) -> list[str]:
    found = []
    for pipeline in blueprint.pipelines:
        found += [f"pipeline {pipeline.name!r}: {said}" for said in stage_problems(pipeline.stages)]
    for field in blueprint.fields:
        found += [f"field {field.code}: {said}" for said in _field_problems(field)]
    found += _twice("pipeline", [pipeline.path for pipeline in blueprint.pipelines])
    found += _twice("field", [field.path for field in blueprint.fields])
    found += _twice("type", [item.title for item in blueprint.types])
    return found


def stage_problems(stages: Sequence[StageSpec]) -> list[str]:
    """What the shape alone cannot say; the order of semantics is the portal's rule (crm-status-add.md)."""
    if not stages:
        return []
    found = []
    kinds = [stage.semantics for stage in stages]
    names = [stage.name.casefold() for stage in stages]
    if kinds.count("success") != 1:
        found.append(f"exactly one stage is a success, not {kinds.count('success')}")
    if "process" not in kinds or "failure" not in kinds:
        found.append("at least one process and one failure stage are needed")
    if kinds != sorted(kinds, key=SEMANTICS.index):
        found.append("stages stand in the order process, success, failure")
    if len(set(names)) != len(names):
        found.append("two stages have the same name")
    return found


def _field_problems(field: FieldSpec) -> list[str]:
    found = []
    if field.type == "enumeration" and not field.values:
        found.append("an enumeration needs values")
    if field.type != "enumeration" and field.values:
        found.append("only an enumeration has values")
    if field.type == "boolean" and field.multiple:
        found.append("a boolean cannot be multiple")
    if len({value.value.casefold() for value in field.values}) != len(field.values):
        found.append("two values have the same text")
    return found


def _twice(kind: str, names: Sequence[str]) -> list[str]:
    folded = [name.casefold() for name in names]
    return [f"{kind} {name!r} stands twice" for name in dict.fromkeys(names) if folded.count(name.casefold()) > 1]
