"""What has to happen to a pipeline's stages, purely. The portal's order: process, one success, failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from b24sync.portal.directory import normal
from b24sync.portal.structure import StageRow, in_order
from b24sync.provisioning.blueprint import SEMANTICS, PipelineSpec, StageSpec
from b24sync.provisioning.made import STAGE, Made

SUCCESS_SORT = 1000
"""The portal refuses a process stage that sorts above the success one: this leaves room for 99 of them."""


@dataclass(frozen=True, slots=True)
class AddStage:
    stage: StageSpec
    sort: int


@dataclass(frozen=True, slots=True)
class SetStage:
    """Rename, reorder, colour. `takes_over`: a default stage of a fresh pipeline becomes this one."""

    row: StageRow
    stage: StageSpec
    sort: int
    takes_over: bool = False

    @property
    def words(self) -> str:
        if self.takes_over:
            return f"{self.stage.name} (was {self.row.name})"
        if normal(self.row.name) != normal(self.stage.name) or self.row.name != self.stage.name:
            return f"{self.row.name} -> {self.stage.name}"
        return f"{self.stage.name}: {'place' if self.sort != self.row.sort else 'colour'}"


@dataclass(slots=True)
class StageChanges:
    """`drop`: default stages that a fresh pipeline does not need; `surplus`: stages of ours that nobody wants now."""

    add: list[AddStage] = field(default_factory=list)
    set: list[SetStage] = field(default_factory=list)
    drop: list[StageRow] = field(default_factory=list)
    surplus: list[StageRow] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.add or self.set or self.drop)


def stage_changes(
    spec: PipelineSpec, rows: Sequence[StageRow], made: Made, pipeline_id: int, *, ours: bool
) -> StageChanges:
    """Compare. `ours`: b24sync made the pipeline, so the stages that came with it are ours too."""
    if not spec.stages:
        return StageChanges()
    if ours:
        return _Own(spec, rows, made, shaped=made.is_shaped(spec.path, pipeline_id)).changes()
    return _Foreign(spec, rows, made).changes()


class _Compare:
    def __init__(self, spec: PipelineSpec, rows: Sequence[StageRow], made: Made) -> None:
        self.spec = spec
        self.rows = in_order(rows)
        self.made = made
        self.found = StageChanges()
        self.matched: dict[str, StageRow] = {}
        self.taken_over: set[int] = set()

    def is_ours(self, row: StageRow) -> bool:
        return self.made.has(STAGE, row.id)

    def free_rows(self) -> list[StageRow]:
        used = {row.id for row in self.matched.values()}
        return [row for row in self.rows if row.id not in used]

    def match(self) -> None:
        """By name, then by the id under which it was made: somebody has renamed that one."""
        for stage in self.spec.stages:
            row = next((row for row in self.free_rows() if normal(row.name) == normal(stage.name)), None)
            if row is not None:
                self.matched[stage.name] = row
        for stage in self.spec.stages:
            made_id = self.made.id_of(STAGE, f"{self.spec.path}/{stage.name}")
            row = next((row for row in self.free_rows() if row.id == made_id), None)
            if stage.name not in self.matched and row is not None:
                self.matched[stage.name] = row

    def in_wanted_order(self) -> bool:
        order = [row.id for row in self.rows]
        places = [order.index(self.matched[stage.name].id) for stage in self.spec.stages if stage.name in self.matched]
        return places == sorted(places)

    def check_semantics(self) -> None:
        self.found.conflicts += [
            f"pipeline {self.spec.title}: stage {stage.name} is {self.matched[stage.name].semantics}"
            for stage in self.spec.stages
            if stage.name in self.matched and self.matched[stage.name].semantics != stage.semantics
        ]


class _Own(_Compare):
    """A pipeline of ours: default stages are taken over until it is shaped, what others added to it stays."""

    def __init__(self, spec: PipelineSpec, rows: Sequence[StageRow], made: Made, *, shaped: bool) -> None:
        super().__init__(spec, rows, made)
        self.shaped = shaped

    def is_ours(self, row: StageRow) -> bool:
        return row.is_default or super().is_ours(row)

    def changes(self) -> StageChanges:
        self.match()
        self._take_over()
        self.check_semantics()
        missing = [stage for stage in self.spec.stages if stage.name not in self.matched]
        resort = bool(missing) or bool(self.taken_over) or not self.in_wanted_order()
        sorts = canonical_sorts(self.spec.stages)
        for stage in sorted(self.spec.stages, key=lambda stage: stage.semantics != "success"):
            row = self.matched.get(stage.name)
            if row is None:
                self.found.add.append(AddStage(stage, sorts[stage.name]))
            else:
                self._set(row, stage, sorts[stage.name] if resort else row.sort)
        spare = [row for row in self.free_rows() if self.is_ours(row)]
        if self.shaped:
            self.found.surplus = spare
        else:
            self.found.drop = spare
        return self.found

    def _take_over(self) -> None:
        for stage in self.spec.stages:
            if stage.name in self.matched or (self.shaped and stage.semantics != "success"):
                continue
            row = next((row for row in self.free_rows() if row.is_default and row.semantics == stage.semantics), None)
            if row is not None:
                self.matched[stage.name] = row
                self.taken_over.add(row.id)

    def _set(self, row: StageRow, stage: StageSpec, sort: int) -> None:
        if not self.is_ours(row):
            return
        colour_differs = _other_colour(stage, row)
        if row.name != stage.name or row.sort != sort or colour_differs:
            self.found.set.append(SetStage(row, stage, sort, row.id in self.taken_over))


class _Foreign(_Compare):
    """A pipeline that we did not make: only what is missing is added, nothing of others is renamed or moved."""

    def changes(self) -> StageChanges:
        self.match()
        self.check_semantics()
        for stage in self.spec.stages:
            row = self.matched.get(stage.name)
            if row is None:
                self._missing(stage)
            else:
                self._present(row, stage)
        if not self.in_wanted_order():
            self.found.left_alone.append(f"pipeline {self.spec.title}: its stages stand in another order")
        wanted = {stage.name for stage in self.spec.stages}
        self.found.surplus = [row for row in self.free_rows() if self.is_ours(row) and row.name not in wanted]
        return self.found

    def _missing(self, stage: StageSpec) -> None:
        if stage.semantics == "success":
            self.found.conflicts.append(
                f"pipeline {self.spec.title} was not made by b24sync and has another success stage than "
                f"{stage.name!r}: rename it in the portal, or use the portal's name"
            )
            return
        self.found.add.append(AddStage(stage, free_sort(self.rows, stage.semantics)))

    def _present(self, row: StageRow, stage: StageSpec) -> None:
        colour_differs = _other_colour(stage, row)
        if row.name == stage.name and not colour_differs:
            return
        if self.is_ours(row):
            self.found.set.append(SetStage(row, stage, row.sort))
        else:
            self.found.left_alone.append(f"pipeline {self.spec.title}: stage {row.name} has another name or colour")


def _other_colour(stage: StageSpec, row: StageRow) -> bool:
    """Whether the portal tells another colour than the blueprint; telling none is no difference."""
    return stage.color is not None and row.color.upper() not in ("", stage.color.upper())


def canonical_sorts(stages: Sequence[StageSpec]) -> dict[str, int]:
    """SORT of each stage in a pipeline of ours."""
    following = {"process": 10, "success": SUCCESS_SORT, "failure": SUCCESS_SORT + 10}
    found = {}
    for stage in sorted(stages, key=lambda stage: SEMANTICS.index(stage.semantics)):
        found[stage.name] = following[stage.semantics]
        following[stage.semantics] += 10
    return found


def free_sort(rows: Sequence[StageRow], semantics: str) -> int:
    """A place at the end of its group in a pipeline of others."""
    if semantics == "failure":
        return max(row.sort for row in rows) + 10
    success = next((row.sort for row in rows if row.semantics == "success"), SUCCESS_SORT)
    return max([row.sort for row in rows if row.semantics == "process" and row.sort < success] + [0]) + 1
