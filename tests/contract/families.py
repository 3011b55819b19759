"""The families of methods that both peers exercise: classic and universal, for deals, companies, contacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """How one kind of record is added, read, changed and listed."""

    name: str
    prefix: str
    title: str
    entity_type_id: int | None = None

    @property
    def common(self) -> dict[str, Any]:
        """Parameters of every call."""
        return {} if self.entity_type_id is None else {"entityTypeId": self.entity_type_id}

    @property
    def id_key(self) -> str:
        """Name of the id in records, orders and filters."""
        return "ID" if self.entity_type_id is None else "id"

    def record(self, title: str, **fields: Any) -> dict[str, Any]:
        """Parameters of add."""
        return {**self.common, "fields": {self.title: title, **fields}}

    def change(self, record_id: int, title: str) -> dict[str, Any]:
        """Parameters of update."""
        return {**self.common, "id": record_id, "fields": {self.title: title}}

    def one(self, record_id: int) -> dict[str, Any]:
        """Parameters of get."""
        return {**self.common, "id": record_id}

    def listing(self, title_part: str) -> dict[str, Any]:
        """Parameters of list: everything whose title contains the text."""
        return {
            **self.common,
            "select": [self.id_key, self.title],
            "filter": {f"%{self.title}": title_part},
        }

    def added_id(self, result: Any) -> int:
        """The id in an answer of add; one of the peers unwraps `item` by itself."""
        return int(result if self.entity_type_id is None else result.get("item", result)["id"])

    def got(self, result: Any) -> dict[str, Any]:
        """The record in an answer of get."""
        return dict(result if self.entity_type_id is None else result.get("item", result))


FAMILIES = (
    Family("classic deals", "crm.deal", "TITLE"),
    Family("classic companies", "crm.company", "TITLE"),
    Family("classic contacts", "crm.contact", "NAME"),
    Family("universal deals", "crm.item", "title", 2),
    Family("universal companies", "crm.item", "title", 4),
    Family("universal contacts", "crm.item", "name", 3),
)
