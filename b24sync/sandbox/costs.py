"""What a call costs the portal, really waited for: seconds per unit (row) and per call, by method.

Real figures differ per portal (settings/performance/limits.md: the same request may count differently),
so nothing is built in: the default is no cost. `METHOD=S` is seconds per unit (`Answer.units`, e.g. rows of
`crm.item.batchImport`), `METHOD@call=S` seconds per call, `*` stands for every method without an own line.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

PER_CALL = "@call"


class Costs:
    """The table; values are given for scale 1 and shortened by `scale`."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._table: dict[str, float] = {}
        self._lock = threading.Lock()

    def set(self, costs: Mapping[str, float]) -> None:
        """Set or replace lines; 0 takes a line away. Raises ValueError for a negative cost."""
        for name, seconds in costs.items():
            if float(seconds) < 0:
                raise ValueError(f"cost of {name} is negative")
        with self._lock:
            table = dict(self._table)
            table.update({name.lower(): float(seconds) for name, seconds in costs.items()})
            self._table = table

    def clear(self) -> None:
        """No cost any more."""
        with self._lock:
            self._table = {}

    def of(self, method: str, units: float) -> float:
        """Seconds (scaled) of one call of `method` with `units` rows."""
        table = self._table
        if not table:
            return 0.0
        name = method.lower()
        per_unit = table.get(name, table.get("*", 0.0))
        per_call = table.get(name + PER_CALL, table.get("*" + PER_CALL, 0.0))
        return (per_unit * units + per_call) / self.scale

    def as_dict(self) -> dict[str, float]:
        """The table as given (scale 1)."""
        return dict(self._table)


def parse_cost(text: str) -> tuple[str, float]:
    """`crm.item.batchImport=0.05` -> name and seconds. Raises ValueError saying what is wrong."""
    name, equals, seconds = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"a cost is METHOD=SECONDS, not {text!r}")
    return name.strip(), float(seconds)
