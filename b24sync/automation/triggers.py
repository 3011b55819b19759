"""What a rule waits for: `entered("start")`, `changed("callback")`, `task_completed("documents")`, ...

Names are those of the rule's parameters (whose values are stages and fields), or stage and field codes as the
portal has them. `why_not` says why a cause does not match, which `rules explain` shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from b24sync.automation import causes as kinds
from b24sync.automation.causes import Cause
from b24sync.automation.params import Field, RuleParams, Stage

ANY = "*"
TASK_KINDS = frozenset(
    {kinds.TASK_STARTED, kinds.TASK_COMPLETED, kinds.TASK_APPROVED, kinds.TASK_COMMENTED},
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A kind of cause and the subjects that count. `entity`: another kind of item than the process's own."""

    kind: str
    names: tuple[str, ...]
    entity: str | None = None

    def of(self, entity: str) -> Trigger:
        """The same, of another kind of item: `changed("email").of("contact")`."""
        return replace(self, entity=entity)

    def subjects(self, params: RuleParams) -> frozenset[str]:
        """Stage ids, field codes or steps; `*` = any."""
        found: set[str] = set()
        for name in self.names:
            found.update(_subjects(getattr(params, name) if name in type(params).model_fields else name))
        return frozenset(found)

    def why_not(self, cause: Cause, params: RuleParams) -> str | None:
        """None when the cause matches, else the reason why it does not."""
        if cause.kind != self.kind:
            return f"waits for {self}, not for {cause.kind}"
        subjects = self.subjects(params)
        if self.names and ANY not in subjects and cause.subject not in subjects:
            return f"waits for {self.kind}({', '.join(sorted(subjects)) or 'nothing configured'}), not {cause.subject}"
        return None

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(self.names)})"


def _subjects(value: Any) -> Iterable[str]:
    if isinstance(value, Stage):
        return (value.ids or {}).values()
    if isinstance(value, Field):
        return (value.code,)
    if isinstance(value, list | tuple):
        return [subject for item in value for subject in _subjects(item)]
    if isinstance(value, RuleParams):
        return [subject for _, item in value if isinstance(item, Stage) for subject in _subjects(item)]
    return (str(value),) if value is not None else ()


def created() -> Trigger:
    """The item is new."""
    return Trigger(kinds.CREATED, ())


def deleted() -> Trigger:
    """The item is gone."""
    return Trigger(kinds.DELETED, ())


def entered(*stages: str) -> Trigger:
    """The item has come into one of these stages, also when it has left it again meanwhile."""
    return Trigger(kinds.ENTERED, stages)


def left(*stages: str) -> Trigger:
    """The item has left one of these stages."""
    return Trigger(kinds.LEFT, stages)


def changed(*fields: str) -> Trigger:
    """One of these fields differs from the last observation (`ctx.cause.before`, `ctx.cause.after`)."""
    return Trigger(kinds.CHANGED, fields)


def task_started(*steps: str) -> Trigger:
    """Somebody has begun the task that this process made in one of these steps."""
    return Trigger(kinds.TASK_STARTED, steps)


def task_completed(*steps: str) -> Trigger:
    """The step's task is done (or waits for control, where it is controlled)."""
    return Trigger(kinds.TASK_COMPLETED, steps)


def task_approved(*steps: str) -> Trigger:
    """The step's controlled task was approved."""
    return Trigger(kinds.TASK_APPROVED, steps)


def task_commented(*steps: str) -> Trigger:
    """Somebody has commented the step's task."""
    return Trigger(kinds.TASK_COMMENTED, steps)


def answered(*questions: str) -> Trigger:
    """A question of `ctx.ask` was answered (`ctx.cause.after`)."""
    return Trigger(kinds.ANSWERED, questions)


def due(*fields: str) -> Trigger:
    """The moment in one of these fields has come."""
    return Trigger(kinds.DUE, fields)
