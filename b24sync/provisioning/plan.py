"""Compare a blueprint with a portal, purely: what is missing, what changed, what nobody wants any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from b24sync.portal.directory import normal
from b24sync.portal.items import LEAD
from b24sync.portal.smart_processes import TypeRow
from b24sync.portal.structure import PipelineRow, StageRow
from b24sync.portal.userfields import UserFieldRow, ValueRow, field_params
from b24sync.portal.words import is_yes
from b24sync.provisioning.blueprint import Blueprint, FeatureField, FieldSpec, PipelineSpec, TypeSpec
from b24sync.provisioning.made import FIELD, PIPELINE, TYPE, Made
from b24sync.provisioning.present import Entity, Pipeline, Present
from b24sync.provisioning.stages import StageChanges, stage_changes


@dataclass(frozen=True, slots=True)
class MakeType:
    spec: TypeSpec

    @property
    def line(self) -> str:
        return f"smart process {self.spec.title}: make"


@dataclass(frozen=True, slots=True)
class ChangeType:
    spec: TypeSpec
    row: TypeRow
    switches: Mapping[str, bool]

    @property
    def line(self) -> str:
        said = [f"title {self.spec.title}"] if self.row.title != self.spec.title else []
        said += [f"{name} {'on' if on else 'off'}" for name, on in self.switches.items()]
        return f"smart process {self.row.title}: {', '.join(said)}"


@dataclass(frozen=True, slots=True)
class MakePipeline:
    spec: PipelineSpec

    @property
    def line(self) -> str:
        return f"pipeline {self.spec.title}: make, {len(self.spec.stages)} stages"


@dataclass(frozen=True, slots=True)
class ChangePipeline:
    """Name or place of a pipeline of ours."""

    spec: PipelineSpec
    entity: Entity
    row: PipelineRow

    @property
    def line(self) -> str:
        if self.row.name != self.spec.name:
            return f"pipeline {self.row.name}: rename to {self.spec.name}"
        return f"pipeline {self.spec.title}: place"


@dataclass(frozen=True, slots=True)
class ShapeStages:
    """What `changes` says, in the stages of a pipeline that stands."""

    spec: PipelineSpec
    changes: StageChanges

    @property
    def line(self) -> str:
        said = [f"add {', '.join(item.stage.name for item in self.changes.add)}"] if self.changes.add else []
        said += [f"change {', '.join(item.words for item in self.changes.set)}"] if self.changes.set else []
        said += [f"drop {', '.join(row.name for row in self.changes.drop)}"] if self.changes.drop else []
        return f"pipeline {self.spec.title}: {'; '.join(said)}"


@dataclass(frozen=True, slots=True)
class MakeField:
    spec: FieldSpec

    @property
    def line(self) -> str:
        return f"field {self.spec.code} of {self.spec.entity} ({self.spec.type}): make"


@dataclass(frozen=True, slots=True)
class AddValues:
    spec: FieldSpec
    row: UserFieldRow
    values: tuple[str, ...]

    @property
    def line(self) -> str:
        return f"field {self.spec.code} of {self.spec.entity}: add {', '.join(self.values)}"


@dataclass(frozen=True, slots=True)
class ChangeField:
    """Settings of a field of ours; `params` as an update takes them, `words` names what differs."""

    spec: FieldSpec
    row: UserFieldRow
    params: Mapping[str, Any]
    words: tuple[str, ...]

    @property
    def line(self) -> str:
        return f"field {self.spec.code} of {self.spec.entity}: {', '.join(self.words)}"


@dataclass(frozen=True, slots=True)
class DeleteField:
    entity: Entity
    row: UserFieldRow

    @property
    def line(self) -> str:
        return f"field {self.row.code} of {self.entity.name}: delete with its values in all items"


@dataclass(frozen=True, slots=True)
class DeleteValues:
    entity: Entity
    row: UserFieldRow
    values: tuple[ValueRow, ...]

    @property
    def line(self) -> str:
        return f"field {self.row.code} of {self.entity.name}: delete {', '.join(v.value for v in self.values)}"


@dataclass(frozen=True, slots=True)
class DeleteStage:
    pipeline: Pipeline
    row: StageRow

    @property
    def line(self) -> str:
        return f"stage {self.row.name} of pipeline {self.pipeline.row.name}: delete"


@dataclass(frozen=True, slots=True)
class DeletePipeline:
    entity: Entity
    row: PipelineRow

    @property
    def line(self) -> str:
        return f"pipeline {self.row.name}: delete"


@dataclass(frozen=True, slots=True)
class DeleteType:
    row: TypeRow

    @property
    def line(self) -> str:
        return f"smart process {self.row.title}: delete"


Make = MakeType | MakePipeline | MakeField
Change = ChangeType | ChangePipeline | ShapeStages | AddValues | ChangeField
Delete = DeleteField | DeleteValues | DeleteStage | DeletePipeline | DeleteType


@dataclass(slots=True)
class StructurePlan:
    """`left_alone`: differences of what others made. `conflicts`: what cannot be mended, so nothing is done."""

    steps: list[Make | Change] = field(default_factory=list)
    deletes: list[Delete] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Nothing to make or to change; deletions are asked for by name."""
        return not self.steps

    def lines(self) -> list[str]:
        """What would be made or changed, in words and in order."""
        return [step.line for step in self.steps]

    @property
    def makes(self) -> list[Make | Change]:
        """Steps that add what is absent; the others change what is there."""
        return [
            step
            for step in self.steps
            if isinstance(step, MakeType | MakePipeline | MakeField | AddValues)
            or (isinstance(step, ShapeStages) and step.changes.add)
        ]

    def as_dict(self) -> dict[str, list[str]]:
        """The shape of `--json`."""
        makes = self.makes
        return {
            "to_make": [step.line for step in makes],
            "to_change": [step.line for step in self.steps if step not in makes],
            "to_delete": [step.line for step in self.deletes],
            "left_alone": self.left_alone,
            "conflicts": self.conflicts,
        }


def make_plan(blueprint: Blueprint, present: Present, made: Made) -> StructurePlan:
    """Compare, purely. Order of the steps: smart processes, pipelines with their stages, fields."""
    plan = StructurePlan()
    wanted: set[int] = set()
    for spec in blueprint.types:
        row = _type_of(spec, present, made)
        if row is None:
            plan.steps.append(MakeType(with_implied_switches(spec, blueprint)))
        else:
            wanted.add(row.id)
            _compare_type(plan, spec, row, made)
    kept: set[tuple[int, int]] = set()
    for pipeline in blueprint.pipelines:
        _compare_pipeline(plan, pipeline, blueprint, present, made, kept)
    for item in blueprint.fields:
        _compare_field(plan, item, blueprint, present, made)
    _surplus(plan, blueprint, present, made, kept, wanted)
    return plan


# -- smart processes --------------------------------------------------------------------------------------


def _type_of(spec: TypeSpec, present: Present, made: Made) -> TypeRow | None:
    made_id = made.id_of(TYPE, spec.title)
    by_made = next((row for row in present.types if row.id == made_id), None)
    if by_made is not None:
        return by_made
    if spec.entity_type_id is not None:
        return next((row for row in present.types if row.entity_type_id == spec.entity_type_id), None)
    return next((row for row in present.types if normal(row.title) == normal(spec.title)), None)


def with_implied_switches(spec: TypeSpec, blueprint: Blueprint) -> TypeSpec:
    """A blueprint that names a type's pipelines wants pipelines and stages to be switched on."""
    names = {f"item:{spec.title}", f"item:{spec.entity_type_id}"}
    if not any(pipeline.entity in names for pipeline in blueprint.pipelines):
        return spec
    return spec.model_copy(update={"switches": {"categories": True, "stages": True, **spec.switches}})


def _compare_type(plan: StructurePlan, spec: TypeSpec, row: TypeRow, made: Made) -> None:
    differing = {name: on for name, on in spec.switches.items() if row.switches.get(name, on) != on}
    if row.title == spec.title and not differing:
        return
    change = ChangeType(spec, row, differing)
    if made.has(TYPE, row.id):
        plan.steps.append(change)
    else:
        plan.left_alone.append(change.line)


# -- pipelines --------------------------------------------------------------------------------------------


def _compare_pipeline(
    plan: StructurePlan,
    spec: PipelineSpec,
    blueprint: Blueprint,
    present: Present,
    made: Made,
    kept: set[tuple[int, int]],
) -> None:
    entity = present.entities.get(spec.entity)
    if entity is None:
        if not _is_planned(spec.entity, blueprint):
            plan.conflicts.append(f"pipeline {spec.title}: the portal has no smart process {spec.entity[5:]!r}")
        else:
            plan.steps.append(MakePipeline(spec))
        return
    found = pipeline_of(spec, entity, made)
    if found is None:
        plan.steps.append(MakePipeline(spec))
        return
    kept.add((entity.entity_type_id, found.row.id))
    ours = (entity.entity_type_id, found.row.id) in made.pipelines
    if entity.entity_type_id != LEAD:
        _compare_pipeline_row(plan, spec, entity, found.row, ours=ours)
    changes = stage_changes(spec, found.stages, made, found.row.id, ours=ours)
    plan.conflicts += changes.conflicts
    plan.left_alone += changes.left_alone
    plan.deletes += [DeleteStage(found, row) for row in changes.surplus]
    if not changes.empty:
        plan.steps.append(ShapeStages(spec, changes))


def _is_planned(entity: str, blueprint: Blueprint) -> bool:
    names = {f"item:{normal(spec.title)}" for spec in blueprint.types}
    ids = {f"item:{spec.entity_type_id}" for spec in blueprint.types}
    return normal(entity) in names or entity in ids


def pipeline_of(spec: PipelineSpec, entity: Entity, made: Made) -> Pipeline | None:
    """The pipeline of this name, or the one that we made under it and somebody has renamed since."""
    by_name = entity.pipeline(spec.name)
    if by_name is not None:
        return by_name
    made_id = made.id_of(PIPELINE, spec.path)
    if made_id is None or (entity.entity_type_id, made_id) not in made.pipelines:
        return None
    return next((item for item in entity.pipelines if item.row.id == made_id), None)


def _compare_pipeline_row(
    plan: StructurePlan, spec: PipelineSpec, entity: Entity, row: PipelineRow, *, ours: bool
) -> None:
    if row.name == spec.name and spec.sort in (None, row.sort):
        return
    change = ChangePipeline(spec, entity, row)
    if ours:
        plan.steps.append(change)
    else:
        plan.left_alone.append(change.line)


# -- fields -----------------------------------------------------------------------------------------------


def _compare_field(plan: StructurePlan, spec: FieldSpec, blueprint: Blueprint, present: Present, made: Made) -> None:
    entity = present.entities.get(spec.entity)
    if entity is None and not _is_planned(spec.entity, blueprint):
        plan.conflicts.append(f"field {spec.code}: the portal has no smart process {spec.entity[5:]!r}")
        return
    row = entity.fields.get(entity.home.portal_code(spec.code)) if entity is not None else None
    if entity is None or row is None:
        plan.steps.append(MakeField(spec))
        return
    if not spec.is_served_by(row.type) or row.multiple != spec.multiple:
        shape = f"{row.type}{', multiple' if row.multiple else ''}"
        plan.conflicts.append(f"field {spec.code} of {spec.entity} exists as {shape}: type cannot change")
        return
    if isinstance(spec, FeatureField) and not made.has(FIELD, row.id):
        return  # the configuration says which field it is, not how it looks
    known = {normal(value.value) for value in row.values}
    new = tuple(value.value for value in spec.values if normal(value.value) not in known)
    if new:
        plan.steps.append(AddValues(spec, row, new))
    params, words = _field_differences(spec, row, added=bool(new))
    if not words:
        return
    change = ChangeField(spec, row, params, tuple(words))
    if made.has(FIELD, row.id):
        plan.steps.append(change)
    else:
        plan.left_alone.append(change.line)


def _field_differences(spec: FieldSpec, row: UserFieldRow, *, added: bool) -> tuple[dict[str, Any], list[str]]:
    """What an update of the field would have to send, and the same in words.

    What the portal does not tell (a label, a setting that it does not know) is no difference: it would be one for ever.
    """
    found: dict[str, Any] = {}
    words = []
    if row.label and row.label != spec.label:
        found["label"] = spec.label
        words.append(f"label {row.label} -> {spec.label}")
    if row.mandatory != spec.mandatory:
        found["mandatory"] = spec.mandatory
        words.append("mandatory" if spec.mandatory else "not mandatory")
    if row.in_filter != spec.in_filter:
        found["in_filter"] = spec.in_filter
        words.append("in the filter" if spec.in_filter else "not in the filter")
    if spec.sort is not None and row.sort != spec.sort:
        found["sort"] = spec.sort
        words.append(f"place {row.sort} -> {spec.sort}")
    told = {name: value for name, value in spec.settings.items() if name in row.settings}
    settings = {name: value for name, value in told.items() if not _same(row.settings[name], value)}
    if settings:
        found["settings"] = settings
        words += [f"{name} {row.settings[name]!r} -> {value!r}" for name, value in settings.items()]
    values = [] if added else _value_changes(spec, row)
    if values:
        found["values"] = values
        words.append("values: order, default or code")
    return field_params(**found), words


def _value_changes(spec: FieldSpec, row: UserFieldRow) -> list[dict[str, Any]]:
    """Rows of LIST that bring text, order, default and code of the known values into line."""
    by_text = {normal(value.value): value for value in reversed(row.values)}  # of one text the first is meant
    present = [by_text[normal(value.value)] for value in spec.values]
    places = [row.values.index(value) for value in present]
    moved = places != sorted(places)
    rows = []
    for number, (wanted, has) in enumerate(zip(spec.values, present, strict=True), start=1):
        code_differs = wanted.xml_id is not None and wanted.xml_id != has.xml_id
        if moved or code_differs or wanted.value != has.value or wanted.default != has.default:
            one: dict[str, Any] = {"ID": has.id, "VALUE": wanted.value, "DEF": "Y" if wanted.default else "N"}
            one |= {"SORT": 10 * number if moved else has.sort} | ({"XML_ID": wanted.xml_id} if code_differs else {})
            rows.append(one)
    return rows


def _same(has: Any, wanted: Any) -> bool:
    """Settings travel as text, number or letter; what is absent is empty."""
    if isinstance(wanted, Mapping):
        given = has if isinstance(has, Mapping) else {}
        return all(_same(given.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list | tuple):
        listed = list(has.values()) if isinstance(has, Mapping) else has
        return isinstance(listed, list) and list(map(str, listed)) == list(map(str, wanted))
    if isinstance(wanted, bool):
        return is_yes(has) == wanted
    return str("" if has is None else has) == str("" if wanted is None else wanted)


# -- what nobody wants any more ---------------------------------------------------------------------------


def _surplus(
    plan: StructurePlan,
    blueprint: Blueprint,
    present: Present,
    made: Made,
    kept: set[tuple[int, int]],
    wanted_types: set[int],
) -> None:
    """Things of ours that the blueprint does not name: fields, values, stages (above), pipelines, processes."""
    specs = {spec.path: spec for spec in blueprint.fields}
    fields: list[Delete] = []
    pipelines: list[Delete] = []
    for entity in present.entities.values():
        for row in entity.fields.values():
            spec = specs.get(f"{entity.name}/{entity.home.blueprint_code(row.code)}")
            if not made.has(FIELD, row.id):
                continue
            if spec is None:
                fields.append(DeleteField(entity, row))
            elif stale := _stale_values(spec, row, made):
                fields.append(DeleteValues(entity, row, tuple(stale)))
        pipelines += [
            DeletePipeline(entity, item.row)
            for item in entity.pipelines
            if (entity.entity_type_id, item.row.id) in made.pipelines - kept
        ]
    types = [DeleteType(row) for row in present.types if made.has(TYPE, row.id) and row.id not in wanted_types]
    plan.deletes = [*fields, *plan.deletes, *pipelines, *types]


def _stale_values(spec: FieldSpec, row: UserFieldRow, made: Made) -> Sequence[ValueRow]:
    wanted = {normal(value.value) for value in spec.values}
    ours = {normal(text) for text in made.values.get(spec.path, set())}
    return [value for value in row.values if normal(value.value) in ours - wanted]
