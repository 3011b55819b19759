"""The words of `[[stages.norm]]` -> pipelines and stages of the portal, also after these were renamed or deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from b24sync.config import StageNorm
from b24sync.portal.directory import Directory, nearest


class PlacedNorm(NamedTuple):
    """A line of the configuration and the stage it means."""

    line: StageNorm
    pipeline_id: int
    stage_id: str


@dataclass(slots=True)
class ResolvedNorms:
    """`meant`: (pipeline, stage, pipeline id, stage id) of every norm that resolved. The texts are for the person.

    `absent`: norms that nothing goes by; `warnings`: norms that count, though not wholly as written.
    """

    norms: list[PlacedNorm] = field(default_factory=list)
    meant: list[tuple[str, str, int, str]] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def resolve_norms(
    lines: Sequence[StageNorm], directory: Directory, before: Mapping[tuple[str, str], tuple[int, str]]
) -> ResolvedNorms:
    """Resolve names. What resolves no more is told and the rest counts: a night does not stop for a renamed stage.

    `before`: what the words meant when they resolved last; the stage of that id keeps the norm under its new name,
    and what stood in it when it was deleted keeps its delay.
    """
    found = ResolvedNorms()
    for number, line in enumerate(lines, start=1):
        words = str(line.pipeline), line.stage
        where = f"[[stages.norm]] {number} ({words[0]} / {words[1]})"
        pipeline = directory.pipeline(line.pipeline)
        stage = directory.stage(line.stage, pipeline.id) if pipeline else None
        place = (stage.pipeline_id, stage.status_id) if stage else before.get(words)
        if line.field and directory.fields and line.field not in directory.fields:
            found.warnings.append(f"{where}: the deal has no field {line.field}; the norm's days count for all deals")
        if stage is None:
            if place is None:
                found.absent.append(f"{where}: {_absent(line, directory)}; nothing goes by this norm")
                continue
            known = next((one for one in directory.stages if (one.pipeline_id, one.status_id) == place), None)
            if known is not None:
                found.warnings.append(f"{where}: that stage is called {known.name!r} now; put the new name here")
            else:
                found.warnings.append(f"{where}: {_absent(line, directory)}; earlier stays still go by this norm")
        assert place is not None  # resolved now, or found by what it meant before
        found.norms.append(PlacedNorm(line, *place))
        found.meant.append((*words, *place))
    return found


def _absent(line: StageNorm, directory: Directory) -> str:
    pipeline = directory.pipeline(line.pipeline)
    if pipeline is None:
        said, known = f"there is no pipeline {str(line.pipeline)!r}", [one.name for one in directory.pipelines]
        close = nearest(str(line.pipeline), known)
    else:
        said, known = (
            f"there is no such stage in {pipeline.name!r}",
            [one.name for one in directory.stages_of(pipeline.id)],
        )
        close = nearest(line.stage, known)
    return f"{said} (nearest: {', '.join(close)})" if close else said
