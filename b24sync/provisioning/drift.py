"""Where a portal and its blueprint have come apart, told by whose hand it happened."""

from __future__ import annotations

from b24sync.provisioning.made import FIELD, PIPELINE, TYPE, Made
from b24sync.provisioning.plan import Change, Make, MakeField, MakePipeline, MakeType, StructurePlan

GONE = "gone from the portal"
NOT_MADE = "not made yet"
CHANGED = "changed"
UNWANTED = "no longer in the blueprint"
FOREIGN = "differs, not made by b24sync"
CONFLICT = "conflict"


def drift_of(plan: StructurePlan, made: Made) -> list[tuple[str, str]]:
    """(kind, what) of every difference. `made` is the ledger as it was before the portal was read."""
    found = [(_kind(step, made), step.line) for step in plan.steps]
    found += [(UNWANTED, step.line) for step in plan.deletes]
    found += [(FOREIGN, line) for line in plan.left_alone]
    return [*found, *((CONFLICT, line) for line in plan.conflicts)]


def _kind(step: Make | Change, made: Made) -> str:
    if isinstance(step, MakeType):
        known = made.id_of(TYPE, step.spec.title)
    elif isinstance(step, MakePipeline):
        known = made.id_of(PIPELINE, step.spec.path)
    elif isinstance(step, MakeField):
        known = made.id_of(FIELD, step.spec.path)
    else:
        return CHANGED
    return NOT_MADE if known is None else GONE
