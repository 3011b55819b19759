"""What a rule file imports: `Process`, `RuleParams` and its types, the triggers, `on`, `GiveUp`, `RetryLater`.

See docs/rules.md.
"""

from b24sync.automation.causes import Cause
from b24sync.automation.params import (
    Duration,
    Field,
    FirstStage,
    Pipeline,
    RuleParams,
    Stage,
    User,
    WorkflowTemplate,
)
from b24sync.automation.process import Process, on
from b24sync.automation.triggers import (
    answered,
    changed,
    created,
    deleted,
    due,
    entered,
    left,
    task_approved,
    task_commented,
    task_completed,
    task_started,
)
from b24sync.errors import GiveUp, RetryLater

__all__ = [
    "Cause",
    "Duration",
    "Field",
    "FirstStage",
    "GiveUp",
    "Pipeline",
    "Process",
    "RetryLater",
    "RuleParams",
    "Stage",
    "User",
    "WorkflowTemplate",
    "answered",
    "changed",
    "created",
    "deleted",
    "due",
    "entered",
    "left",
    "on",
    "task_approved",
    "task_commented",
    "task_completed",
    "task_started",
]
