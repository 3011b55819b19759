"""Templates and instances of business processes.

Docs: api-reference/bizproc/bizproc-workflow-start.md, bizproc-workflow-instances.md, template/*.md. The documentation
has no way to see that a workflow ended: finished instances are kept here only for the control API.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

WAITS, ENDS, TRACE, WAITS_THEN_TRACE = "waits", "ends", "trace", "waits_then_trace"
KINDS = (WAITS, ENDS, TRACE, WAITS_THEN_TRACE)
WAITING, COMPLETED, TERMINATED, KILLED = "waiting", "completed", "terminated", "killed"


@dataclass(slots=True)
class Template:
    """`kind` is what its workflows do; `trace_value` None = a value that differs per start (see `trace`)."""

    id: int
    name: str
    document_type: str = "DEAL"
    module: str = "crm"
    entity: str = "CCrmDocumentDeal"
    kind: str = WAITS
    trace_field: str = ""
    trace_value: Any = None
    auto_execute: int = 0
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    description: str = ""
    modified: int = 0
    user_id: int = 1
    system_code: str = ""


@dataclass(slots=True)
class Instance:
    """One started workflow. `stage_entry` = id of the history row that the document stood in (0 without stages)."""

    id: str
    template_id: int
    document_id: str
    started: int
    started_by: int
    modified: int
    entity: str
    state: str = WAITING
    parameters: dict[str, Any] = field(default_factory=dict)
    stage_entry: int = 0
    finished: int | None = None
    auto: bool = False


class Workflows:
    """All templates and instances."""

    def __init__(self) -> None:
        self.templates: dict[int, Template] = {}
        self.instances: dict[str, Instance] = {}
        self._by_document: dict[str, list[Instance]] = {}
        self._last_template_id = 200

    def add_template(self, name: str, **more: Any) -> Template:
        self._last_template_id += 2
        created = Template(self._last_template_id, name, **more)
        if created.kind not in KINDS:
            raise ValueError(f"template kind {created.kind!r}: known are {', '.join(KINDS)}")
        self.templates[created.id] = created
        return created

    def named(self, name: str) -> Template | None:
        return next((item for item in self.templates.values() if item.name == name), None)

    def add_instance(self, template: Template, document_id: str, at: float, user_id: int, **more: Any) -> Instance:
        """A new instance; its id is PHP's uniqid: hex time, then a random number below 10 (66e81a641752f8.56521481)."""
        whole = int(at)
        micro = int((at - whole) * 1_000_000)
        instance_id = f"{whole:08x}{micro:05x}{secrets.randbelow(10)}.{secrets.randbelow(10**8):08d}"
        created = Instance(instance_id, template.id, document_id, whole, user_id, whole, template.entity, **more)
        self.instances[instance_id] = created
        self._by_document.setdefault(document_id, []).append(created)
        return created

    def of(self, document_id: str) -> list[Instance]:
        """Instances of a document, oldest first, finished ones included."""
        return self._by_document.get(document_id, [])

    def waiting(self) -> Iterator[Instance]:
        return (item for item in self.instances.values() if item.state == WAITING)

    def waiting_of(self, document_id: str) -> list[Instance]:
        return [item for item in self.of(document_id) if item.state == WAITING]

    def finish(self, instance: Instance, state: str, at: float) -> None:
        instance.state = state
        instance.finished = int(at)
        instance.modified = int(at)

    def forget_document(self, document_id: str, at: float) -> None:
        """A deleted document takes its waiting workflows with it."""
        for instance in self.waiting_of(document_id):
            self.finish(instance, KILLED, at)
