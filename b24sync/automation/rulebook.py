"""Rule files: loaded by path, configured by `[rules.<name>]`, resolved against the portal.

A file that is broken, or whose parameters do not fit, is reported and left out; the others go on.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from b24sync.automation.causes import CHANGED, DUE, ENTERED, LEFT
from b24sync.automation.field_names import code_of
from b24sync.automation.params import (
    Field,
    Portal,
    Reference,
    RuleParams,
    Stage,
    Unresolved,
    read_params,
    resolve_params,
)
from b24sync.automation.process import Handler, Process
from b24sync.automation.triggers import ANY
from b24sync.bundled import bundled_folder
from b24sync.config import Config
from b24sync.errors import ConfigError

MAX_ACTS_PER_HOUR = 20
"""A process that writes more often than this on one item within an hour is taken for a loop."""
OF_THE_FILE = ("enabled", "imported", "max_acts_per_hour")
"""Keys of every `[rules.<name>]`, beside the rule's own parameters."""
_PREFIX = "b24sync_rules_"


@dataclass(frozen=True, slots=True)
class Rule:
    """One process of a rule file, as configured. `problems` keep it from running.

    `portal`: what names of its kind of item mean there; None before it was resolved.
    """

    process: Process
    path: Path
    params: RuleParams
    enabled: bool
    imported: bool
    max_acts_per_hour: int
    problems: tuple[str, ...] = ()
    portal: Portal | None = None

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def runs(self) -> bool:
        return self.enabled and not self.problems

    def handler(self, name: str) -> Handler | None:
        return next((handler for handler in self.process.handlers if handler.name == name), None)

    def entities(self) -> set[str]:
        """Kinds of items that it waits for."""
        return {self.process.entity_of(handler) for handler in self.process.handlers}

    def references(self) -> list[Reference]:
        """Every name among its parameters, those in lists and tables too."""
        return [item for _, value in self.params for item in _references(value)]


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A rule file that cannot be loaded; `text` says where and why."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rule files of a configuration."""

    rules: Sequence[Rule] = ()
    broken: Sequence[BrokenFile] = ()
    problems: Sequence[str] = field(default=())

    def running(self) -> list[Rule]:
        return [rule for rule in self.rules if rule.runs]

    def rule(self, name: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.name == name), None)

    def handlers(self, entity: str) -> Iterator[tuple[Rule, Handler]]:
        """Handlers of running rules for one kind of item."""
        for rule in self.running():
            for handler in rule.process.handlers:
                if rule.process.entity_of(handler) == entity:
                    yield rule, handler

    def entities(self) -> list[str]:
        """Kinds of items that running rules wait for."""
        return sorted({entity for rule in self.running() for entity in rule.entities()})

    def hears(self, entity: str, kind: str) -> bool:
        """Whether a running rule waits for this kind of cause of this kind of item."""
        return any(handler.trigger.kind == kind for _, handler in self.handlers(entity))

    def watched(self, entity: str) -> list[str]:
        """Fields of one kind of item that rules wait for changes of."""
        found: set[str] = set()
        for rule, handler in self.handlers(entity):
            if handler.trigger.kind in (CHANGED, DUE):
                found |= handler.trigger.subjects(rule.params)
        return sorted(found)

    def resolved(self, portals: Mapping[str, Portal]) -> RuleBook:
        """The same with ids, each rule against the kind of item that it is about."""
        return replace(self, rules=[_resolved(rule, portals) if rule.enabled else rule for rule in self.rules])

    def complaints(self) -> list[str]:
        """Everything that keeps something from running."""
        said = [f"{item.path}: {item.text}" for item in self.broken]
        said += [f"[rules.{rule.name}] {text}" for rule in self.rules if rule.enabled for text in rule.problems]
        return [*said, *self.problems]


def load_rules(config: Config) -> RuleBook:
    """Load every rule file of `[paths] rules`, and the bundled ones where the default folder does not exist.

    Nothing is asked of the portal. Broken files and wrong parameters are in the answer, not raised.
    """
    rules: list[Rule] = []
    broken: list[BrokenFile] = []
    for path in rule_files(config):
        try:
            rules += [_configured(process, path, config.rules) for process in load_file(path)]
        except ConfigError as error:
            broken.append(BrokenFile(path, str(error)))
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [f"[rules.{name}]: several files have a process of this name" for name in twice]
    lacking = sorted(set(config.rules) - set(names)) if not broken else []
    problems += [f"[rules.{name}]: no rule file has a process of this name" for name in lacking]
    return RuleBook([rule for rule in rules if rule.name not in twice], broken, problems)


def load_one(config: Config, path: Path) -> RuleBook:
    """The rules of one file, as if all of them were switched on. Broken, it is in the answer."""
    try:
        rules = [_configured(process, path, config.rules) for process in load_file(path)]
    except ConfigError as error:
        return RuleBook(broken=[BrokenFile(path, str(error))])
    return RuleBook([replace(rule, enabled=True) for rule in rules])


def rule_files(config: Config) -> list[Path]:
    """The rule files in their order: of each folder by name."""
    folders = [config.resolve(path) for path in config.paths.rules]
    if folders == [config.resolve(Path("rules"))] and not folders[0].exists():
        folders = [bundled_folder("rules")]
    found: list[Path] = []
    for folder in folders:
        found += [folder] if folder.is_file() else sorted(folder.glob("[!_.]*.py"))
    return found


def load_file(path: Path) -> list[Process]:
    """The processes of one rule file. Raises ConfigError that names the line."""
    name = f"{_PREFIX}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    # dataclasses and pydantic look a class's module up by name while the class is being made.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - whatever a rule file does, the other files go on
        raise ConfigError(f"cannot be loaded: {where(error, path)}") from None
    found = [value for value in vars(module).values() if isinstance(value, Process)]
    for value in vars(module).values():
        implicit = getattr(value, "__b24sync_process__", None)
        if isinstance(implicit, Process):
            found.append(implicit)
    if not found:
        raise ConfigError("defines no Process and no function with @on(...)")
    return list({id(process): process for process in found}.values())


def where(error: Exception, path: Path) -> str:
    """What a rule file raised, and at which of its lines."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    place = f"line {lines[-1]}: " if lines else ""
    return f"{place}{type(error).__name__}: {error}"


def _configured(process: Process, path: Path, tables: Mapping[str, Mapping[str, Any]]) -> Rule:
    table = dict(tables.get(process.name, {}))
    problems: list[str] = []
    common = {key: table.pop(key) for key in OF_THE_FILE if key in table}
    enabled = common.get("enabled", process.enabled or process.name in tables)
    imported = common.get("imported", process.imported)
    most = common.get("max_acts_per_hour", MAX_ACTS_PER_HOUR)
    for key, value in (("enabled", enabled), ("imported", imported)):
        if not isinstance(value, bool):
            problems.append(f"{key}: must be true or false")
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        problems.append("max_acts_per_hour: must be a number, 1 or more")
        most = MAX_ACTS_PER_HOUR
    problems += [f"{path}: {text}" for handler in process.handlers if (text := handler.why_not_callable())]
    params = read_params(process.params, table)
    if isinstance(params, list):
        problems += params
        params = RuleParams()
    return Rule(process, path, params, bool(enabled), bool(imported), most, tuple(problems))


def _resolved(rule: Rule, portals: Mapping[str, Portal]) -> Rule:
    if rule.problems:
        return rule
    portal = portals.get(rule.process.entity)
    if portal is None:
        return replace(rule, problems=(f"there are no items of kind {rule.process.entity!r}",))
    params = resolve_params(rule.params, portal)
    if isinstance(params, list):
        return replace(rule, problems=tuple(params))
    problems: list[str] = []
    handlers = [_in_codes(handler, rule.process, params, portals, problems) for handler in rule.process.handlers]
    process = replace(rule.process, handlers=handlers)
    return replace(rule, process=process, params=params, problems=tuple(problems), portal=portal)


def _in_codes(
    handler: Handler, process: Process, params: RuleParams, portals: Mapping[str, Portal], problems: list[str]
) -> Handler:
    """The handler with the portal's codes in place of stages and fields that its trigger itself names."""
    trigger, portal = handler.trigger, portals.get(process.entity_of(handler))
    names: list[str] = []
    for name in trigger.names:
        if name in type(params).model_fields or name == ANY or portal is None:
            names.append(name)
            if trigger.kind in (CHANGED, DUE) and isinstance(getattr(params, name, None), Stage):
                problems.append(f"{handler.name}: {trigger} waits for a field, {name} is a stage")
            continue
        try:
            names += _codes(trigger.kind, name, portal)
        except Unresolved as error:
            problems.append(f"{handler.name}: {trigger}: {name} is no parameter, and {error}")
    return replace(handler, trigger=replace(trigger, names=tuple(names)))


def _codes(kind: str, name: str, portal: Portal) -> Sequence[str]:
    """Codes of what a trigger names without a parameter. Raises Unresolved."""
    directory = portal.directory
    if kind in (ENTERED, LEFT) and all(stage.status_id != name for stage in directory.stages):
        return list(Stage(name).resolved(portal, [pipeline.id for pipeline in directory.pipelines]).ids.values())
    if kind in (CHANGED, DUE):
        try:
            return [Field(name).resolved(portal, ()).code]
        except Unresolved:
            if name.startswith("UF_") or not (name.isascii() and name.isidentifier()):
                raise
            return [code_of(name)]  # a field that the portal does not list
    return [name]


def _references(value: Any) -> Iterable[Reference]:
    if isinstance(value, Reference):
        return [value]
    if isinstance(value, list | tuple):
        return [found for item in value for found in _references(item)]
    if isinstance(value, dict):
        return [found for item in value.values() for found in _references(item)]
    if isinstance(value, RuleParams):
        return [found for _, item in value for found in _references(item)]
    return []


def field_codes(rule: Rule) -> list[str]:
    """Codes of the fields among a rule's parameters."""
    return [item.code for item in rule.references() if isinstance(item, Field) and item.code]
