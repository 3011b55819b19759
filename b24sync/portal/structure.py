"""Writing a portal's structure: pipelines, stages, user fields. All of it needs CRM administrator's rights.

Docs: crm/universal/category/crm-category-add.md, crm/status/crm-status-*.md,
crm/deals/user-defined-fields/crm-deal-userfield-*.md (and the same of leads, contacts, companies)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from b24sync.portal.items import DEAL
from b24sync.portal.pages import items_of
from b24sync.transport.client import PortalClient

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


def add_pipeline(client: PortalClient, name: str, sort: int, sending: Sending) -> str:
    """Make a deal pipeline; the portal gives it its default stages. Cost: one request."""
    params = {"entityTypeId": DEAL, "fields": {"name": name, "sort": sort}}
    answer = client.call("crm.category.add", params, write=True, before_send=sending)
    return str(answer.result["category"]["id"])


def find_pipeline(client: PortalClient, name: str) -> str | None:
    """A deal pipeline's id by its name. Cost: one request."""
    rows = items_of(client.call("crm.category.list", {"entityTypeId": DEAL}).result)
    return next((str(row["id"]) for row in rows if str(row["name"]).casefold() == name.casefold()), None)


def stage_rows(client: PortalClient, dictionary: str) -> list[StageRow]:
    """A pipeline's stages in their order. Cost: one request per 50."""
    rows: dict[int, StageRow] = {}
    start = 0
    while True:
        params = {"filter": {"ENTITY_ID": dictionary}, "order": {"SORT": "ASC"}, "start": start}
        answer = client.call("crm.status.list", params)
        for row in items_of(answer.result):
            extra = row.get("EXTRA")
            said = str(extra.get("SEMANTICS") or "") if isinstance(extra, Mapping) else ""
            kind = said or {"S": "success", "F": "failure"}.get(str(row.get("SEMANTICS") or ""), "process")
            rows[int(row["ID"])] = StageRow(
                int(row["ID"]),
                str(row["STATUS_ID"]),
                str(row["NAME"]),
                int(row.get("SORT") or 0),
                "failure" if kind == "apology" else kind,
                str(row.get("SYSTEM")) == "Y",
            )
        if answer.next is None:
            return sorted(rows.values(), key=lambda stage: stage.sort)
        start = answer.next


def stage_code(name: str) -> str:
    """A STATUS_ID of 9 characters for a new stage: with its `C12:` prefix the portal cuts at 21."""
    return "B" + hashlib.sha256(name.casefold().encode()).hexdigest()[:8].upper()


def add_stage(client: PortalClient, dictionary: str, name: str, *, sort: int, semantics: str, sending: Sending) -> str:
    """Add a stage; returns the row's id (its STATUS_ID is read back, never built). Cost: one request."""
    letter = {"process": "", "success": "S", "failure": "F"}[semantics]
    fields = {
        "ENTITY_ID": dictionary,
        "STATUS_ID": stage_code(name),
        "NAME": name,
        "SORT": sort,
        "SEMANTICS": letter,
    }
    return str(client.call("crm.status.add", {"fields": fields}, write=True, before_send=sending).result)


def set_stage(client: PortalClient, stage_id: int, *, name: str, sort: int) -> None:
    """Rename or reorder: the same call twice changes nothing more. Cost: one request."""
    client.call("crm.status.update", {"id": stage_id, "fields": {"NAME": name, "SORT": sort}}, write=True)


def delete_stage(client: PortalClient, stage_id: int) -> None:
    client.call("crm.status.delete", {"id": stage_id}, write=True)


def field_rows(client: PortalClient, entity: str, code: str) -> list[dict[str, Any]]:
    """User fields of this code (none or one). Cost: one request."""
    answer = client.call(f"crm.{entity}.userfield.list", {"filter": {"FIELD_NAME": code}})
    return [row for row in items_of(answer.result) if str(row.get("FIELD_NAME")) == code]


def add_field(
    client: PortalClient,
    entity: str,
    *,
    code: str,
    type_id: str,
    label: str,
    values: Sequence[str],
    multiple: bool,
    mandatory: bool,
    sending: Sending,
) -> str:
    """Add a user field; takes time proportional to the items there are, so before an import. Cost: one request."""
    fields: dict[str, Any] = {
        "FIELD_NAME": code,
        "USER_TYPE_ID": type_id,
        "LABEL": label,
        "XML_ID": code,
        "MULTIPLE": multiple,
        "MANDATORY": mandatory,
        "SHOW_FILTER": True,
    }
    if values:
        fields["LIST"] = [{"VALUE": value, "SORT": 10 * number} for number, value in enumerate(values, start=1)]
    answer = client.call(f"crm.{entity}.userfield.add", {"fields": fields}, write=True, before_send=sending)
    return str(answer.result)


def add_field_values(
    client: PortalClient, entity: str, field_id: int, values: Sequence[str], first_sort: int, sending: Sending
) -> str:
    """Add enumeration values to a field: elements without ID are new, the others stay. Cost: one request."""
    rows = [{"VALUE": value, "SORT": first_sort + 10 * number} for number, value in enumerate(values)]
    params = {"id": field_id, "fields": {"LIST": rows}}
    client.call(f"crm.{entity}.userfield.update", params, write=True, before_send=sending)
    return str(field_id)
