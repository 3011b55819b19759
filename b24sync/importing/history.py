"""Times and authors of the source: sent in ascending order where the portal takes them, kept aside where it does not.

It takes them from administrators only, no creation time earlier than that of the newest item it has, and nothing in the
future (crm/universal/import/index.md). What it does not take goes without them; the creation time then stands in the
fallback field of the configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from b24sync.errors import ConfigError
from b24sync.importing.fields import api_name
from b24sync.importing.ways import Row

FIELDS = ("createdTime", "updatedTime", "movedTime", "createdBy", "updatedBy", "movedBy")
CREATED = "createdTime"
NO_CREATION_TIME = 1e18
"""Sorts rows without a creation time last: the portal dates them now, and refuses older ones after that."""
TOO_OLD = 2e18
"""The place of a row whose creation time goes to the fallback field: the portal dates it now, too."""
TRIES = 20


class History:
    """What one import does with times and authors. `refused` counts rows that the portal did not take them of."""

    def __init__(self, entity: str, fields_used: Collection[str], *, sent: bool, fallback: str | None) -> None:
        self._entity = entity
        self._sent = sent
        self.fallback = fallback
        self.mapped = [name for name in sorted(fields_used) if api_name(entity, name) in FIELDS]
        self.ordered = sent and "created_time" in fields_used
        self.refused = 0
        self.floor = -NO_CREATION_TIME
        """Creation time of the newest item there is: the portal refuses older ones."""

    def set_floor(self, newest: str | None, known_fields: Collection[str]) -> None:
        """`newest` is the creation time of the newest item there is. Raises ConfigError for an unknown fallback."""
        if self.fallback is not None and self.fallback not in known_fields:
            raise ConfigError(f"[import] history_fallback: the {self._entity} has no field {self.fallback}.")
        if newest is not None:
            self.floor = datetime.fromisoformat(newest).timestamp()

    def place(self, fields: Mapping[str, Any]) -> float | None:
        """Where the row stands in the order of creation; None where there is no order."""
        if not self.ordered:
            return None
        text = fields.get(CREATED)
        created_at = datetime.fromisoformat(text).timestamp() if text else NO_CREATION_TIME
        return TOO_OLD if created_at < self.floor and self.fallback is not None else created_at

    def for_portal(self, fields: dict[str, Any], place: float | None) -> dict[str, Any]:
        """The row's fields as they are sent."""
        if not self._sent:
            return {name: value for name, value in fields.items() if name not in FIELDS}
        return self._aside(fields) if place == TOO_OLD else fields

    def without(self, row: Row) -> Row | None:
        """The row once more without what the portal refused; None where nothing can be kept aside."""
        if self.fallback is None or not any(name in row.fields for name in FIELDS):
            return None
        self.refused += 1
        return Row(row.key, self._aside(row.fields))

    def given_up(self, written: int) -> bool:
        """Whether nobody's times are taken, since the webhook's user is no administrator."""
        return self.refused >= TRIES and not written

    def _aside(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in fields.items() if name not in FIELDS}
        if CREATED in fields and self.fallback is not None:
            kept[self.fallback] = fields[CREATED]
        return kept
