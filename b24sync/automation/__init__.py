"""What a rule file imports: `Process`, `RuleParams` and its types, the triggers, `on`, `ask`, `GiveUp`, `RetryLater`.

See docs/rules.md.
"""

from typing import TYPE_CHECKING

from b24sync.automation.causes import Cause
from b24sync.automation.items import Item
from b24sync.automation.params import (
    Assign,
    Duration,
    Field,
    FirstStage,
    Pipeline,
    RuleParams,
    Stage,
    User,
    WorkflowTemplate,
)
from b24sync.automation.process import Process, ask, on
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

if TYPE_CHECKING:
    from b24sync.automation.context import Context
    from b24sync.automation.task_acts import Task
else:
    from typing import Any as Context  # for annotations: a rule never makes one, and its module is not needed here
    from typing import Any as Task

__all__ = [
    "Assign",
    "Cause",
    "Context",
    "Duration",
    "Field",
    "FirstStage",
    "GiveUp",
    "Item",
    "Pipeline",
    "Process",
    "RetryLater",
    "RuleParams",
    "Stage",
    "Task",
    "User",
    "WorkflowTemplate",
    "answered",
    "ask",
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
