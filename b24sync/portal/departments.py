"""The company's structure: who heads whose department (api-reference/departments/department-get.md)."""

from __future__ import annotations

from typing import Any

from b24sync.portal.pages import items_of
from b24sync.transport.client import PortalClient

MAX_LEVELS = 20


def head_of(client: PortalClient, user_id: int) -> int | None:
    """The head of a user's department; of the department above for a head. None where nobody is.

    Cost: one request, and one per level of departments.
    """
    users = items_of(client.call("user.get", {"FILTER": {"ID": user_id}}).result)
    own = users[0].get("UF_DEPARTMENT") if users else None
    department = _first(own)
    for _ in range(MAX_LEVELS):
        if department is None:
            return None
        rows = items_of(client.call("department.get", {"ID": department}).result)
        if not rows:
            return None
        head = _number(rows[0].get("UF_HEAD"))
        if head is not None and head != user_id:
            return head
        department = _number(rows[0].get("PARENT"))
    return None


def _first(value: Any) -> int | None:
    return _number(value[0] if isinstance(value, list) and value else value)


def _number(value: Any) -> int | None:
    try:
        return int(value) or None
    except (TypeError, ValueError):
        return None
