"""Pipelines and stages: read, made, changed, deleted. Writing needs CRM administrator's rights.

Docs: crm/universal/category/crm-category-*.md, crm/status/crm-status-*.md
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from b24sync.portal.pages import items_of
from b24sync.portal.words import is_yes
from b24sync.transport.client import PortalClient
from b24sync.transport.protocol import Command

Sending = Callable[[], None]


@dataclass(frozen=True, slots=True)
class StageRow:
    """One row of a stage dictionary, with what an update needs."""

    id: int
    status_id: str
    name: str
    sort: int
    semantics: str
    system: bool
    color: str = ""

    @property
    def code(self) -> str:
        """STATUS_ID without its pipeline's prefix."""
        return self.status_id.rpartition(":")[2]

    @property
    def is_default(self) -> bool:
        """Whether the portal itself made it, with its pipeline: the documented codes, also cut ones."""
        return len(self.code) > 2 and any(code.startswith(self.code) for code in DEFAULT_CODES)


DEFAULT_CODES = (
    # deals and leads (crm/status/crm-status-list.md, crm/leads/crm-lead-add.md), smart processes (category/index.md)
    *("NEW", "PREPARATION", "PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE", "WON", "LOSE", "APOLOGY"),
    *("IN_PROCESS", "PROCESSED", "CONVERTED", "JUNK", "CLIENT", "SUCCESS", "FAIL"),
)


@dataclass(frozen=True, slots=True)
class PipelineRow:
    id: int
    name: str
    sort: int
    is_default: bool


def pipelines_command(entity_type_id: int) -> Command:
    return Command("crm.category.list", {"entityTypeId": entity_type_id})


def pipeline_rows(result: Any) -> list[PipelineRow]:
    """The rows of one answer of crm.category.list, in the interface's order."""
    rows = [
        PipelineRow(int(row["id"]), str(row["name"]), int(row.get("sort") or 0), is_yes(row.get("isDefault")))
        for row in items_of(result)
    ]
    return sorted(rows, key=lambda row: (row.sort, row.id))


def add_pipeline(client: PortalClient, entity_type_id: int, name: str, sort: int, sending: Sending) -> str:
    """Make a pipeline; the portal gives it its default stages. Cost: one request."""
    params = {"entityTypeId": entity_type_id, "fields": {"name": name, "sort": sort}}
    answer = client.call("crm.category.add", params, write=True, before_send=sending)
    return str(answer.result["category"]["id"])


def find_pipelines(client: PortalClient, entity_type_id: int) -> list[PipelineRow]:
    """All pipelines of a kind of item. Cost: one request."""
    command = pipelines_command(entity_type_id)
    return pipeline_rows(client.call(command.method, command.params).result)


def set_pipeline(
    client: PortalClient, entity_type_id: int, pipeline_id: int, *, name: str, sort: int, sending: Sending
) -> None:
    """Rename or reorder: the same call twice changes nothing more. Cost: one request."""
    params = {"entityTypeId": entity_type_id, "id": pipeline_id, "fields": {"name": name, "sort": sort}}
    client.call("crm.category.update", params, write=True, before_send=sending)


def delete_pipeline(client: PortalClient, entity_type_id: int, pipeline_id: int, sending: Sending) -> None:
    """Delete an empty pipeline that is not the default one; the portal refuses any other."""
    params = {"entityTypeId": entity_type_id, "id": pipeline_id}
    client.call("crm.category.delete", params, write=True, before_send=sending)


def stages_command(dictionary: str, start: int = 0) -> Command:
    """A page of 50 stages of one dictionary."""
    return Command("crm.status.list", {"filter": {"ENTITY_ID": dictionary}, "order": {"SORT": "ASC"}, "start": start})


def stage_rows_of(result: Any) -> list[StageRow]:
    """The rows of one answer of crm.status.list."""
    found = []
    for row in items_of(result):
        extra = row.get("EXTRA")
        said = str(extra.get("SEMANTICS") or "") if isinstance(extra, Mapping) else ""
        kind = said or {"S": "success", "F": "failure"}.get(str(row.get("SEMANTICS") or ""), "process")
        color = row.get("COLOR") or (extra.get("COLOR") if isinstance(extra, Mapping) else None)
        found.append(
            StageRow(
                int(row["ID"]),
                str(row["STATUS_ID"]),
                str(row["NAME"]),
                int(row.get("SORT") or 0),
                "failure" if kind == "apology" else kind,
                is_yes(row.get("SYSTEM")),
                str(color or ""),
            )
        )
    return found


def stage_rows(client: PortalClient, dictionary: str) -> list[StageRow]:
    """A pipeline's stages in their order. Cost: one request per 50."""
    rows: dict[int, StageRow] = {}
    start = 0
    while True:
        command = stages_command(dictionary, start)
        answer = client.call(command.method, command.params)
        rows.update({row.id: row for row in stage_rows_of(answer.result)})
        if answer.next is None:
            return in_order(rows.values())
        start = answer.next


def in_order(rows: Iterable[StageRow]) -> list[StageRow]:
    """As the interface shows them."""
    return sorted(rows, key=lambda stage: (stage.sort, stage.id))


def stage_code(name: str, taken: Container[str]) -> str:
    """A STATUS_ID of 9 characters for a new stage: with its `C12:` prefix the portal cuts at 21."""
    for number in count():
        code = "B" + hashlib.sha256(f"{name.casefold()}{number or ''}".encode()).hexdigest()[:8].upper()
        if code not in taken:
            return code
    raise AssertionError("count() ends never")


def add_stage(
    client: PortalClient,
    dictionary: str,
    name: str,
    *,
    code: str,
    sort: int,
    semantics: str,
    color: str,
    sending: Sending,
) -> str:
    """Add a stage; returns the row's id (its STATUS_ID is read back, never built). Cost: one request."""
    letter = {"process": "", "success": "S", "failure": "F"}[semantics]
    fields = {
        "ENTITY_ID": dictionary,
        "STATUS_ID": code,
        "NAME": name,
        "SORT": sort,
        "SEMANTICS": letter,
        **({"COLOR": color} if color else {}),
    }
    return str(client.call("crm.status.add", {"fields": fields}, write=True, before_send=sending).result)


def set_stage(client: PortalClient, stage_id: int, *, name: str, sort: int, color: str, sending: Sending) -> None:
    """Rename, reorder or colour: the same call twice changes nothing more. Cost: one request."""
    fields = {"NAME": name, "SORT": sort, **({"COLOR": color} if color else {})}
    client.call("crm.status.update", {"id": stage_id, "fields": fields}, write=True, before_send=sending)


def delete_stage(client: PortalClient, stage_id: int, sending: Sending) -> None:
    """Delete a stage that holds no item; the portal refuses any other."""
    client.call("crm.status.delete", {"id": stage_id, "params": {"FORCED": "Y"}}, write=True, before_send=sending)
