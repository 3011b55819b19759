"""Activities and timeline comments as belongings of items: bound to several, gone with the last one.

Docs: api-reference/crm/deals/crm-deal-delete.md (what a deletion takes along),
api-reference/crm/timeline/activities/activity-base/crm-activity-add.md (types).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .records import Records, Row

if TYPE_CHECKING:
    from ..portal import Portal

MEETING, CALL, EMAIL, PROVIDED = 1, 2, 4, 6
INCOMING, OUTGOING = 1, 2
TODO_PROVIDER = "CRM_TODO"
PROVIDERS = {MEETING: "CRM_MEETING", CALL: "CRM_CALL", EMAIL: "CRM_EMAIL"}
Owner = tuple[int, int]
"""entityTypeId and item id."""


def bound_to(rows: Records, owner: Owner) -> list[Row]:
    """Rows with this item among their BINDINGS."""
    return [row for row in rows if owner in row["BINDINGS"]]


def remove(portal: Portal, row: Row) -> None:
    """Delete one activity."""
    portal.activities.remove(row)
    portal.emit("ONCRMACTIVITYDELETE", {"FIELDS": {"ID": row["ID"]}})


def release(rows: Records, owner: Owner) -> list[Row]:
    """Take an item out of all bindings; rows bound to nothing else are removed and returned."""
    gone = []
    for row in bound_to(rows, owner):
        if len(row["BINDINGS"]) == 1:
            rows.remove(row)
            gone.append(row)
            continue
        row["BINDINGS"].remove(owner)
        if (row.get("OWNER_TYPE_ID"), row.get("OWNER_ID")) == owner:
            row["OWNER_TYPE_ID"], row["OWNER_ID"] = row["BINDINGS"][0]
    return gone
