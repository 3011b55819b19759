"""Business processes: templates, instances, starts (api-reference/bizproc/).

A start is not idempotent and no event tells that a workflow ended: it only disappears from
`bizproc.workflow.instances` (bizproc-workflow-instances.md), or leaves a trace that its template writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from b24sync.errors import PortalRefused
from b24sync.portal.pages import PAGE, items_of
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Priority
from b24sync.transport.outcomes import Refused
from b24sync.transport.protocol import Command

START = "bizproc.workflow.start"
INSTANCES = "bizproc.workflow.instances"
TEMPLATES = "bizproc.workflow.template.list"
DEAL_DOCUMENT = ("crm", "CCrmDocumentDeal")


@dataclass(frozen=True, slots=True)
class Template:
    id: int
    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Instance:
    """A workflow that still waits. `started` in unix seconds of the portal; None where it showed none."""

    id: str
    document: str
    template_id: int
    started: float | None


def deal_templates(client: PortalClient) -> list[Template]:
    """Templates for deals. Cost: one request per 50. Raises PortalRefused without admin right or scope."""
    found: list[Template] = []
    start = 0
    while True:
        params = {
            "SELECT": ["ID", "NAME", "PARAMETERS"],
            "FILTER": {"MODULE_ID": DEAL_DOCUMENT[0], "ENTITY": DEAL_DOCUMENT[1]},
            "ORDER": {"ID": "ASC"},
            "start": start,
        }
        answer = client.call(TEMPLATES, params)
        rows = items_of(answer.result)
        for row in rows:
            parameters = row.get("PARAMETERS")
            found.append(
                Template(int(row["ID"]), str(row["NAME"]), parameters if isinstance(parameters, Mapping) else {})
            )
        if len(rows) < PAGE or answer.next is None:
            return found
        start = answer.next


def start_command(deal_id: int, template_id: int, parameters: Mapping[str, Any]) -> Command:
    """Start one workflow on a deal (bizproc-workflow-start.md); the answer is the instance's id, a string."""
    params: dict[str, Any] = {
        "TEMPLATE_ID": template_id,
        "DOCUMENT_ID": [*DEAL_DOCUMENT, f"DEAL_{deal_id}"],
    }
    if parameters:
        params["PARAMETERS"] = dict(parameters)
    return Command(START, params)


def waiting_on(client: PortalClient, deal_ids: Iterable[int], priority: Priority = "bulk") -> list[Instance]:
    """Workflows that wait on these deals. Cost: one request per 50 deals, or per 2,500 instances of the portal,
    whichever is less.
    """
    wanted = {f"DEAL_{deal_id}" for deal_id in deal_ids}
    if not wanted:
        return []
    total = client.call(INSTANCES, _instances_params({}, 0), priority=priority).total
    if total == 0:
        return []
    if total is None or len(wanted) <= total / PAGE:
        commands = {
            f"d{index:05d}": Command(INSTANCES, _instances_params({"DOCUMENT_ID": document}, 0))
            for index, document in enumerate(sorted(wanted))
        }
    else:
        commands = {
            f"p{page:05d}": Command(INSTANCES, _instances_params({}, page * PAGE))
            for page in range((total + PAGE - 1) // PAGE + 1)
        }
    found = _read(client, commands, priority)
    return [instance for instance in found if instance.document in wanted]


def instances_of(
    client: PortalClient, pairs: Sequence[tuple[int, int]], priority: Priority = "bulk"
) -> dict[tuple[int, int], list[Instance]]:
    """Waiting workflows by (deal, template). Cost: one request per 50 pairs."""
    names = {f"i{index:05d}": pair for index, pair in enumerate(dict.fromkeys(pairs))}
    commands = {
        name: Command(INSTANCES, _instances_params({"DOCUMENT_ID": f"DEAL_{deal_id}", "TEMPLATE_ID": template_id}, 0))
        for name, (deal_id, template_id) in names.items()
    }
    found: dict[tuple[int, int], list[Instance]] = {pair: [] for pair in names.values()}
    for instance in _read(client, commands, priority):
        pair = (int(instance.document.removeprefix("DEAL_")), instance.template_id)
        if pair in found and instance not in found[pair]:
            found[pair].append(instance)
    return found


def _instances_params(filters: Mapping[str, Any], start: int) -> dict[str, Any]:
    return {
        "SELECT": ["ID", "DOCUMENT_ID", "TEMPLATE_ID", "STARTED"],
        "FILTER": {"MODULE_ID": DEAL_DOCUMENT[0], "ENTITY": DEAL_DOCUMENT[1], **filters},
        "ORDER": {"ID": "ASC"},
        "start": start,
    }


def _read(client: PortalClient, commands: Mapping[str, Command], priority: Priority) -> list[Instance]:
    found: list[Instance] = []
    for answer in client.read_all(commands, priority=priority).values():
        if isinstance(answer, Refused):
            raise PortalRefused(
                INSTANCES, answer.code, answer.text, hint="The webhook's user must be an administrator."
            )
        for row in items_of(answer.result):
            document = row.get("DOCUMENT_ID")
            name = document[-1] if isinstance(document, list) else document
            found.append(Instance(str(row["ID"]), str(name), int(row["TEMPLATE_ID"]), _moment(row.get("STARTED"))))
    return found


def _moment(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return None
