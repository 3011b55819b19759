"""Smart-process types (api-reference/crm/universal/user-defined-object-types/*.md). CRM administrator's rights.

`id` numbers the type's record and names its user fields (`UF_CRM_<id>_...`); `entityTypeId` is what everything
else goes by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from b24sync.portal.pages import items_of
from b24sync.portal.words import is_yes
from b24sync.transport.client import PortalClient
from b24sync.transport.protocol import Command

LIST = "crm.type.list"
_SWITCH = re.compile(r"is([A-Z]\w*?)(Enabled)?$")


@dataclass(frozen=True, slots=True)
class TypeRow:
    """One smart process; `switches` by our names: `isCategoriesEnabled` is `categories`."""

    id: int
    entity_type_id: int
    title: str
    switches: Mapping[str, bool]


def list_command(start: int) -> Command:
    return Command(LIST, {"order": {"id": "ASC"}, "start": start})


def type_rows(result: Any) -> list[TypeRow]:
    """The rows of one answer of crm.type.list."""
    return [
        TypeRow(
            int(row["id"]),
            int(row["entityTypeId"]),
            str(row.get("title") or ""),
            {_own_name(key): is_yes(value) for key, value in row.items() if _SWITCH.match(key)},
        )
        for row in items_of(result)
    ]


def add_params(title: str, entity_type_id: int | None, switches: Mapping[str, bool]) -> dict[str, Any]:
    fields: dict[str, Any] = {"title": title, **switch_fields(switches)}
    if entity_type_id is not None:
        fields["entityTypeId"] = entity_type_id
    return {"fields": fields}


def switch_fields(switches: Mapping[str, bool]) -> dict[str, str]:
    """Our names of switches as the portal has them, values Y and N."""
    return {_portal_name(name): "Y" if on else "N" for name, on in switches.items()}


def find_type(client: PortalClient, title: str, entity_type_id: int | None) -> TypeRow | None:
    """By its entityTypeId where one is given, else by title. Cost: one request per 50 types."""
    start = 0
    while True:
        command = list_command(start)
        answer = client.call(command.method, command.params)
        for row in type_rows(answer.result):
            if row.entity_type_id == entity_type_id or (entity_type_id is None and row.title == title):
                return row
        if answer.next is None:
            return None
        start = answer.next


UNSUFFIXED = {"set_open_permissions": "isSetOpenPermissions"}
"""Switches without `Enabled` at the end (crm-type-add.md)."""


def _own_name(key: str) -> str:
    """isBeginCloseDatesEnabled -> begin_close_dates."""
    found = _SWITCH.match(key)
    assert found is not None
    return re.sub(r"(?<!^)(?=[A-Z])", "_", found[1]).lower()


def _portal_name(name: str) -> str:
    if name in UNSUFFIXED:
        return UNSUFFIXED[name]
    return "is" + "".join(part.capitalize() for part in name.split("_")) + "Enabled"
