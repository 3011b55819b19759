"""Activities and timeline comments as belongings of items: bound to several, gone with the last one.

Docs: api-reference/crm/deals/crm-deal-delete.md (what a deletion takes along),
api-reference/crm/timeline/activities/activity-base/crm-activity-add.md (types).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .filters import Plan
from .records import Records, Row

if TYPE_CHECKING:
    from ..portal import Portal

MEETING, CALL, EMAIL, PROVIDED = 1, 2, 4, 6
INCOMING, OUTGOING = 1, 2
TODO_PROVIDER = "CRM_TODO"
PROVIDERS = {MEETING: "CRM_MEETING", CALL: "CRM_CALL", EMAIL: "CRM_EMAIL"}
Owner = tuple[int, int]
"""entityTypeId and item id."""


class BoundRecords(Records):
    """Rows that are bound to items by BINDINGS, found by item."""

    def __init__(self) -> None:
        super().__init__()
        self._of: dict[Owner, dict[int, Row]] = {}

    def put_back(self, row: Row) -> None:
        super().put_back(row)
        for owner in row["BINDINGS"]:
            self._of.setdefault(owner, {})[row["ID"]] = row

    def remove(self, row: Row) -> None:
        super().remove(row)
        for owner in row["BINDINGS"]:
            del self._of[owner][row["ID"]]

    def rebind(self, row: Row, owners: list[Owner]) -> None:
        """Other bindings; the first of them owns the row."""
        self.remove(row)
        row["BINDINGS"] = list(dict.fromkeys(owners))
        if "OWNER_TYPE_ID" in row:
            row["OWNER_TYPE_ID"], row["OWNER_ID"] = row["BINDINGS"][0]
        self.put_back(row)

    def of(self, owner: Owner) -> list[Row]:
        """Rows of one item by id."""
        return sorted(self._of.get(owner, {}).values(), key=lambda row: int(row["ID"]))

    def candidates(self, plan: Plan) -> Iterable[Row]:
        """Rows that a filter can match: those of one item where it names OWNER_TYPE_ID and OWNER_ID, else all."""
        equals = dict(plan.equals)
        types, ids = equals.get("OWNER_TYPE_ID"), equals.get("OWNER_ID")
        if types is None or ids is None:
            return self
        return [row for type_id in sorted(types) for item_id in sorted(ids) for row in self.of((type_id, item_id))]


def remove(portal: Portal, row: Row) -> None:
    """Delete one activity."""
    portal.activities.remove(row)
    portal.emit("ONCRMACTIVITYDELETE", {"FIELDS": {"ID": row["ID"]}})


def release(rows: BoundRecords, owner: Owner) -> list[Row]:
    """Take an item out of all bindings; rows bound to nothing else are removed and returned."""
    gone = []
    for row in rows.of(owner):
        others = [one for one in row["BINDINGS"] if one != owner]
        if others:
            rows.rebind(row, others)
        else:
            rows.remove(row)
            gone.append(row)
    return gone
