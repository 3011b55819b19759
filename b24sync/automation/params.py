"""A rule's parameters: `[rules.<name>]` of the configuration, typed, resolved against the portal.

Names of stages, pipelines, users, fields and workflow templates are written as people see them in the portal;
`resolve_params` turns them into ids and lists every mistake at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from b24sync.automation.field_names import code_of
from b24sync.config import seconds_of
from b24sync.portal.directory import Directory, FieldInfo, nearest, normal
from b24sync.portal.workflows import Template

YES = frozenset({"да", "yes", "y", "1", "true"})

R = TypeVar("R", bound="Reference")


class RuleParams(BaseModel):
    """Base of a rule's `Params`: closed, immutable, every mistake at once."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


@dataclass(frozen=True, slots=True)
class Portal:
    """What names are resolved against: the directory of one kind of item, and the templates of deals."""

    directory: Directory
    templates: Sequence[Template] = ()


class Unresolved(ValueError):
    """A name that the portal does not know; the text says what is known."""


@dataclass(frozen=True)
class Reference(ABC):
    """A name of the configuration that means something in the portal."""

    given: str

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls._taken)

    @classmethod
    def _taken(cls: type[R], value: Any) -> R:
        if isinstance(value, cls):
            return value
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise ValueError("must be a name or an id")
        return cls(str(value).strip())

    @abstractmethod
    def resolved(self: R, portal: Portal, pipelines: Sequence[int]) -> R:
        """The same with its ids. Raises Unresolved."""


@dataclass(frozen=True)
class Pipeline(Reference):
    """A pipeline by name or id."""

    id: int = -1

    def resolved(self, portal: Portal, pipelines: Sequence[int]) -> Pipeline:
        found = portal.directory.pipeline(self.given)
        if found is None:
            known = [item.name for item in portal.directory.pipelines]
            raise Unresolved(f"pipeline {self.given!r} does not exist{_hint(nearest(self.given, known))}")
        return replace(self, id=found.id)


@dataclass(frozen=True)
class Stage(Reference):
    """A stage by name or STATUS_ID: in the `pipeline` parameter's pipeline where there is one, else in every one.

    `ids`: STATUS_ID by pipeline id.
    """

    ids: Mapping[int, str] = field(default_factory=dict, hash=False)

    def resolved(self, portal: Portal, pipelines: Sequence[int]) -> Stage:
        found = {
            pipeline_id: stage.status_id
            for pipeline_id in pipelines
            if (stage := portal.directory.stage(self.given, pipeline_id)) is not None
        }
        if not found:
            known = [stage.name for pipeline_id in pipelines for stage in portal.directory.stages_of(pipeline_id)]
            raise Unresolved(f"stage {self.given!r} does not exist{_hint(nearest(self.given, known))}")
        return replace(self, ids=found)

    def __contains__(self, status_id: str) -> bool:
        return status_id in self.ids.values()


FIRST_STAGE = "(first)"


@dataclass(frozen=True)
class FirstStage(Stage):
    """A stage that is by default the first one of its pipeline."""

    def resolved(self, portal: Portal, pipelines: Sequence[int]) -> FirstStage:
        if self.given != FIRST_STAGE:
            return replace(self, ids=super().resolved(portal, pipelines).ids)
        stages = {pipeline_id: portal.directory.stages_of(pipeline_id) for pipeline_id in pipelines}
        return replace(self, ids={pipeline_id: found[0].status_id for pipeline_id, found in stages.items() if found})


@dataclass(frozen=True)
class User(Reference):
    """A working user by e-mail, id or name."""

    id: int = 0

    def resolved(self, portal: Portal, pipelines: Sequence[int]) -> User:
        found = portal.directory.users_by(self.given)
        working = [user for user in found if user.active]
        if len(working) == 1:
            return replace(self, id=working[0].id)
        if working:
            raise Unresolved(f"user {self.given!r} means {len(working)} people: give an e-mail or an id")
        if found:
            raise Unresolved(f"user {self.given!r} is dismissed")
        known = [name for user in portal.directory.users if user.active for name in (user.email, user.name)]
        raise Unresolved(f"user {self.given!r} does not exist{_hint(nearest(self.given, known))}")


@dataclass(frozen=True)
class Field(Reference):
    """A field by code (`UF_CRM_...`, `opportunity`, `close_date`) or by its title in the portal."""

    code: str = ""
    info: FieldInfo | None = field(default=None, hash=False)
    """A mapping is in it; a rule writes `ctx.set(deal, {ctx.params.field: 5})`."""

    def resolved(self, portal: Portal, pipelines: Sequence[int]) -> Field:
        fields = portal.directory.fields
        found = [fields[code] for code in (self.given, code_of(self.given)) if code in fields][:1]
        found = found or [info for info in fields.values() if normal(info.title) == normal(self.given)]
        if len(found) == 1:
            return replace(self, code=found[0].code, info=found[0])
        if found:
            codes = ", ".join(info.code for info in found)
            raise Unresolved(f"field {self.given!r} means several ({codes}): give the code")
        known = [name for info in fields.values() for name in (info.code, info.title) if name]
        raise Unresolved(f"field {self.given!r} does not exist{_hint(nearest(self.given, known))}")

    def is_yes(self, value: Any) -> bool:
        """Whether a yes/no field, or a list with an element "Да", says yes."""
        if isinstance(value, list):
            return any(self.is_yes(item) for item in value)
        if value in (None, "", False):
            return False
        if value is True:
            return True
        text = str(value)
        if self.info is not None and text.isdigit() and int(text) in self.info.items:
            text = self.info.items[int(text)]
        return normal(text) in YES


@dataclass(frozen=True)
class WorkflowTemplate(Reference):
    """A workflow template of deals by name or id."""

    template: Template | None = field(default=None, hash=False)

    def resolved(self, portal: Portal, pipelines: Sequence[int]) -> WorkflowTemplate:
        found = [item for item in portal.templates if normal(item.name) == normal(self.given)]
        found = found or [item for item in portal.templates if str(item.id) == self.given]
        if len(found) == 1:
            return replace(self, template=found[0])
        if found:
            raise Unresolved(f"template {self.given!r} means {len(found)} templates: give its id")
        known = [item.name for item in portal.templates]
        raise Unresolved(f"template {self.given!r} does not exist{_hint(nearest(self.given, known))}")


COMPANY, DEPARTMENT_HEAD = "company", "department_head"


@dataclass(frozen=True)
class Assign(Reference):
    """Who becomes responsible: a person, a list of people in turn, `company` or `department_head`.

    `people`: one or more users; empty for the two words.
    """

    names: tuple[str, ...] = ()
    people: tuple[User, ...] = ()

    @classmethod
    def _taken(cls, value: Any) -> Assign:
        if isinstance(value, cls):
            return value
        names = value if isinstance(value, list | tuple) else [value]
        users = [User._taken(name) for name in names]
        if not users:
            raise ValueError("must name somebody")
        return cls(users[0].given, tuple(user.given for user in users))

    def resolved(self, portal: Portal, pipelines: Sequence[int]) -> Assign:
        if self.names in ((COMPANY,), (DEPARTMENT_HEAD,)):
            return self
        return replace(self, people=tuple(User(name).resolved(portal, pipelines) for name in self.names))


class Duration(timedelta):
    """A length of time, written as `30m`, `2h`, `1d`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(parse_duration)


def parse_duration(value: Any) -> Duration:
    """`30m` as a length of time. Raises ValueError."""
    if isinstance(value, timedelta):
        return Duration(seconds=value.total_seconds())
    return Duration(seconds=seconds_of("".join(str(value).split())))


def read_params(model: type[RuleParams], raw: Mapping[str, Any]) -> RuleParams | list[str]:
    """The parameters, or every mistake in them (keys only: a value may be somebody's address)."""
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        return [_say(item) for item in error.errors()]


def resolve_params(params: RuleParams, portal: Portal) -> RuleParams | list[str]:
    """The same parameters with ids, or every name that the portal does not know."""
    problems: list[str] = []
    chosen = _pipelines(params, portal, problems)

    def take(key: str, reference: Reference) -> Reference:
        try:
            return reference.resolved(portal, chosen)
        except Unresolved as error:
            problems.append(f"{key}: {error}")
            return reference

    values = {key: _mapped(value, key, take) for key, value in params}
    return problems or params.model_copy(update=values)


def _pipelines(params: RuleParams, portal: Portal, problems: list[str]) -> list[int]:
    """The pipelines that stages are looked for in."""
    named = [value for _, value in params if isinstance(value, Pipeline)]
    try:
        chosen = [pipeline.resolved(portal, ()).id for pipeline in named]
    except Unresolved:
        chosen = []  # said once, by the parameter itself
    return chosen or [pipeline.id for pipeline in portal.directory.pipelines]


def _mapped(value: Any, key: str, take: Callable[[str, Reference], Reference]) -> Any:
    if isinstance(value, Reference):
        return take(key, value)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(item, key, take) for item in value)
    if isinstance(value, dict):
        return {name: _mapped(item, f"{key}.{name}", take) for name, item in value.items()}
    if isinstance(value, RuleParams):
        return value.model_copy(update={name: _mapped(item, f"{key}.{name}", take) for name, item in value})
    return value


def _say(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "(all)"
    words = {"extra_forbidden": "unknown parameter", "missing": "missing"}
    return f"{where}: {words.get(item['type'], item['msg'].removeprefix('Value error, '))}"


def _hint(known: Sequence[str]) -> str:
    return f"; nearest: {', '.join(known)}" if known else ""
