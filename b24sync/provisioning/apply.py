"""Make a portal have what a blueprint says. Creates and completes; deletes nothing that it did not make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from b24sync.bulk.ensure import Ensurer
from b24sync.clock import Clock
from b24sync.errors import ConfigError
from b24sync.portal.directory import Directory, normal, read_directory, stage_dictionary
from b24sync.portal.items import COMPANY, CONTACT, DEAL, LEAD
from b24sync.portal.structure import (
    StageRow,
    add_field,
    add_field_values,
    add_pipeline,
    add_stage,
    delete_stage,
    field_rows,
    find_pipeline,
    set_stage,
    stage_rows,
)
from b24sync.provisioning.blueprint import Blueprint, FieldSpec, PipelineSpec, StageSpec
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, Ledger
from b24sync.transport.client import PortalClient

WHAT = "structure"
ENTITY_TYPE_IDS: Mapping[str, int] = {"lead": LEAD, "deal": DEAL, "contact": CONTACT, "company": COMPANY}
SUCCESS_SORT = 1000
"""The portal refuses a process stage that sorts above the success one: this leaves room for 99 of them."""


@dataclass(slots=True)
class StructurePlan:
    """What is missing. `conflicts` are differences that cannot be mended by adding."""

    pipelines: list[PipelineSpec] = field(default_factory=list)
    stages: list[tuple[PipelineSpec, list[StageSpec]]] = field(default_factory=list)
    fields: list[FieldSpec] = field(default_factory=list)
    values: list[tuple[FieldSpec, list[str]]] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.pipelines or self.stages or self.fields or self.values)

    def lines(self) -> list[str]:
        """The plan in words."""
        said = [f"pipeline {item.name}: make, {len(item.stages)} stages" for item in self.pipelines]
        for pipeline, stages in self.stages:
            said.append(f"pipeline {pipeline.name}: add {', '.join(stage.name for stage in stages)}")
        said += [f"field {item.code} of {item.entity} ({item.type}): make" for item in self.fields]
        said += [f"field {item.code} of {item.entity}: add {', '.join(values)}" for item, values in self.values]
        return said


def make_plan(blueprint: Blueprint, directories: Mapping[str, Directory], own_pipelines: set[str]) -> StructurePlan:
    """Compare, purely. `own_pipelines`: names of pipelines that we have made (their stages may be unfinished)."""
    plan = StructurePlan()
    for pipeline in blueprint.pipelines:
        present = directories["deal"].pipeline(pipeline.name)
        if present is None:
            plan.pipelines.append(pipeline)
            continue
        names = {normal(stage.name): stage for stage in directories["deal"].stages_of(present.id)}
        missing = [stage for stage in pipeline.stages if normal(stage.name) not in names]
        if missing:
            plan.stages.append((pipeline, missing))
        if pipeline.name in own_pipelines:
            continue
        plan.conflicts += [
            f"pipeline {pipeline.name}: stage {stage.name} is {names[normal(stage.name)].semantics}"
            for stage in pipeline.stages
            if normal(stage.name) in names and names[normal(stage.name)].semantics != stage.semantics
        ]
    for wanted in blueprint.fields:
        info = directories[wanted.entity].fields.get(wanted.code)
        if info is None:
            plan.fields.append(wanted)
        elif info.type != wanted.type or info.multiple != wanted.multiple:
            shape = f"{info.type}{', multiple' if info.multiple else ''}"
            plan.conflicts.append(f"field {wanted.code} of {wanted.entity} exists as {shape}: type cannot change")
        else:
            known = {normal(value) for value in info.items.values()}
            new = [value for value in wanted.values if normal(value) not in known]
            if new:
                plan.values.append((wanted, new))
    return plan


class Provisioner:
    """Plans and applies one blueprint to one portal."""

    def __init__(self, client: PortalClient, store: Store, portal: str, clock: Clock, blueprint: Blueprint) -> None:
        self._client = client
        self._blueprint = blueprint
        self._ledger = Ledger(store, portal, WHAT, clock)
        self._ensurer = Ensurer(client, self._ledger)

    def plan(self) -> StructurePlan:
        """Cost: one request per kind of item that the blueprint names. Raises PortalRefused, RetryLater."""
        entities: set[str] = {wanted.entity for wanted in self._blueprint.fields}
        if self._blueprint.pipelines:
            entities.add("deal")
        directories = {
            entity: read_directory(self._client, ENTITY_TYPE_IDS[entity], users=False) for entity in sorted(entities)
        }
        return make_plan(self._blueprint, directories, self._own_pipelines())

    def apply(self, plan: StructurePlan, tell: Callable[[str], None] = lambda _: None) -> None:
        """Make what is missing, in the order pipelines, stages, fields. Idempotent; a kill is gone on from.

        Cost: one to two requests per thing made. Raises ConfigError on conflicts, PortalRefused, RetryLater.
        """
        if plan.conflicts:
            raise ConfigError("The portal has other things under these names:", plan.conflicts)
        for pipeline in plan.pipelines:
            tell(f"pipeline {pipeline.name}")
            self._pipeline(pipeline)
        for pipeline, _ in plan.stages:
            tell(f"stages of {pipeline.name}")
            self._pipeline(pipeline)
        for wanted in plan.fields:
            tell(f"field {wanted.code}")
            self._field(wanted)
        for wanted, values in plan.values:
            tell(f"values of {wanted.code}")
            self._values(wanted, values)

    def _own_pipelines(self) -> set[str]:
        prefix = "pipeline:"
        return {
            write.key.removeprefix(prefix)
            for write in self._ledger.in_state(DONE)
            if write.key.startswith(prefix) and write.message is None
        }

    def _pipeline(self, pipeline: PipelineSpec) -> None:
        pipeline_id = self._ensurer.ensure(
            f"pipeline:{pipeline.name}",
            lambda: find_pipeline(self._client, pipeline.name),
            lambda sending: add_pipeline(self._client, pipeline.name, 500, sending),
        )
        if not pipeline.stages:
            return
        dictionary = stage_dictionary(DEAL, int(pipeline_id))
        if pipeline.name in self._own_pipelines():
            self._shape_own(pipeline, dictionary)
        else:
            self._complete_foreign(pipeline, dictionary)

    def _shape_own(self, pipeline: PipelineSpec, dictionary: str) -> None:
        """A pipeline of ours: its default stages are renamed where they serve, and removed where they do not."""
        rows = stage_rows(self._client, dictionary)
        success = next(row for row in rows if row.semantics == "success")
        wanted_success = next(stage for stage in pipeline.stages if stage.semantics == "success")
        set_stage(self._client, success.id, name=wanted_success.name, sort=SUCCESS_SORT)
        by_name = {normal(row.name): row for row in rows}
        spare = {
            kind: [
                row
                for row in rows
                if row.semantics == kind and normal(row.name) not in {normal(s.name) for s in pipeline.stages}
            ]
            for kind in ("process", "failure")
        }
        sorts = {"process": 10, "failure": SUCCESS_SORT + 10}
        for stage in pipeline.stages:
            if stage.semantics == "success":
                continue
            sort = sorts[stage.semantics]
            sorts[stage.semantics] += 10
            row = by_name.get(normal(stage.name))
            if row is None and spare[stage.semantics] and spare[stage.semantics][0].system:
                row = spare[stage.semantics].pop(0)
            if row is not None:
                set_stage(self._client, row.id, name=stage.name, sort=sort)
            else:
                self._add_stage(pipeline, stage, dictionary, sort)
        for row in [*spare["process"], *spare["failure"]]:
            if not row.system:
                delete_stage(self._client, row.id)

    def _complete_foreign(self, pipeline: PipelineSpec, dictionary: str) -> None:
        """A pipeline that we did not make: only what is missing is added, nothing is renamed or removed."""
        rows = stage_rows(self._client, dictionary)
        names = {normal(row.name) for row in rows}
        for stage in pipeline.stages:
            if normal(stage.name) in names:
                continue
            if stage.semantics == "success":
                raise ConfigError(
                    f"Pipeline {pipeline.name!r} was not made by b24sync and has another success stage "
                    f"than {stage.name!r}: rename it in the portal, or use the portal's name."
                )
            self._add_stage(pipeline, stage, dictionary, self._free_sort(rows, stage))

    def _free_sort(self, rows: Sequence[StageRow], stage: StageSpec) -> int:
        if stage.semantics == "failure":
            return max(row.sort for row in rows) + 10
        success = next(row.sort for row in rows if row.semantics == "success")
        return max([row.sort for row in rows if row.semantics == "process" and row.sort < success] + [0]) + 1

    def _add_stage(self, pipeline: PipelineSpec, stage: StageSpec, dictionary: str, sort: int) -> None:
        def find() -> str | None:
            rows = stage_rows(self._client, dictionary)
            return next((str(row.id) for row in rows if normal(row.name) == normal(stage.name)), None)

        self._ensurer.ensure(
            f"stage:{pipeline.name}/{stage.name}",
            find,
            lambda sending: add_stage(
                self._client, dictionary, stage.name, sort=sort, semantics=stage.semantics, sending=sending
            ),
        )

    def _field(self, wanted: FieldSpec) -> None:
        def find() -> str | None:
            rows = field_rows(self._client, wanted.entity, wanted.code)
            return str(rows[0]["ID"]) if rows else None

        self._ensurer.ensure(
            f"field:{wanted.entity}/{wanted.code}",
            find,
            lambda sending: add_field(
                self._client,
                wanted.entity,
                code=wanted.code,
                type_id=wanted.type,
                label=wanted.label,
                values=wanted.values,
                multiple=wanted.multiple,
                mandatory=wanted.mandatory,
                sending=sending,
            ),
        )

    def _values(self, wanted: FieldSpec, values: Sequence[str]) -> None:
        """Add enumeration values that are still missing: a repeat of the call would add them twice."""

        def state() -> tuple[int, list[str], int]:
            row = field_rows(self._client, wanted.entity, wanted.code)[0]
            listed = row.get("LIST") or []
            known = {normal(str(item["VALUE"])) for item in listed}
            top = max([int(item.get("SORT") or 0) for item in listed] + [0])
            return int(row["ID"]), [value for value in values if normal(value) not in known], top

        def find() -> str | None:
            field_id, missing, _ = state()
            return None if missing else str(field_id)

        def make(sending: Callable[[], None]) -> str:
            field_id, missing, top = state()
            return add_field_values(self._client, wanted.entity, field_id, missing, top + 10, sending)

        self._ensurer.ensure(f"values:{wanted.entity}/{wanted.code}/{'|'.join(values)}", find, make)
