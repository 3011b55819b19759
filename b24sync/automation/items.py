"""An item as a rule sees it: its fields by their names, read whole only when a rule asks for more than it watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from b24sync.automation.field_names import code_of
from b24sync.automation.params import Field

IDS = frozenset({"id", "assignedById", "companyId", "contactId", "createdBy", "updatedBy", "leadId"})


class Item:
    """`item.title`, `item.assigned_by`, `item.company`; user fields and the portal's own names by `item["UF_..."]`.

    Ids are numbers or None, everything else is as the portal wrote it.
    """

    def __init__(
        self,
        entity: str,
        item_id: int,
        row: Mapping[str, Any],
        read: Callable[[], Mapping[str, Any] | None] = lambda: None,
    ) -> None:
        self.entity = entity
        self.id = item_id
        self._row = dict(row)
        self._read = read
        self._whole = False

    def __getitem__(self, field: str | Field) -> Any:
        code = field.code if isinstance(field, Field) else code_of(field)
        if code not in self._row and not self._whole:
            self._row = {**self._row, **(self._read() or {})}
            self._whole = True
        value = self._row.get(code)
        return _id(value) if code in IDS else value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[code_of(name)]

    def __str__(self) -> str:
        return f"{self.entity} {self.id}"

    @property
    def name(self) -> str:
        """What a person calls it: its title, a contact's name."""
        names = [str(self._row.get(key) or "") for key in ("name", "lastName")]
        return str(self["title"] or " ".join(filter(None, names)) or self)

    def whole(self) -> dict[str, Any]:
        """All fields of the portal. Cost: one request the first time."""
        if not self._whole:
            self._row = {**self._row, **(self._read() or {})}
            self._whole = True
        return dict(self._row)

    def taken(self, row: Mapping[str, Any]) -> None:
        """The item has been written: these are its fields now."""
        self._row = {**self._row, **row}


def _id(value: Any) -> int | None:
    if isinstance(value, list):
        value = value[0] if value else None
    try:
        return int(value) or None
    except (TypeError, ValueError):
        return None
