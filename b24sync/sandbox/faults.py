"""Faults on request: what goes wrong, when, and whether it really did.

A fault is armed through the control API and fires for requests that match; every firing is recorded with
the request's number, so that a test can assert that it bit. Times in params are wall-clock seconds.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

KINDS = {
    "refuse": "503 QUERY_LIMIT_EXCEEDED, not executed",
    "overload": "503 OVERLOAD_LIMIT, not executed",
    "cut_before": "connection closed, not executed",
    "cut_after": "executed, connection closed without an answer",
    "cut_middle": "the first half of the batch's commands (or of `data`) executed, then closed; params: commands",
    "hang_after": "executed, then silent; params: hang_s",
    "hang_before": "not executed, silent; params: hang_s",
    "slow": "executed after params.after_s seconds, answered",
    "late": "connection closed at once, executed after params.after_s seconds",
    "html_502": "502 with an HTML body; params: executed",
    "html_503": "503 with an HTML body; params: executed",
    "error": "any other error as JSON, e.g. expired_token; params: status, code, text, executed",
    "error_500": "500 INTERNAL_SERVER_ERROR; params: executed",
    "nested_429": "nested commands of the method answer OPERATION_TIME_LIMIT, not executed; params: which = all | one",
    "nested_error": "like nested_429 with params: code, text, which",
    "truncate": "executed, the JSON is cut in half; params: short_read",
    "redirect": "302 to another address, not executed; params: location",
    "wrong_length": "executed, items[] of an import is shorter by one",
    "shuffle_items": "executed, items[] of an import in another order",
}


@dataclass(slots=True)
class Fault:
    """An armed fault. `nth` is the 1-based number of the matching request since arming that fires first."""

    id: int
    kind: str
    method: str = ""
    nth: int = 1
    count: int | None = 1
    every: int | None = None
    probability: float | None = None
    seed: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: list[int] = field(default_factory=list)
    chance: random.Random = field(default_factory=random.Random)

    def matches(self, methods: Sequence[str]) -> bool:
        """True if `method` is a part of the outer or a nested method's name."""
        wanted = self.method.lower()
        return not wanted or any(wanted in name.lower() for name in methods)

    def wants(self, name: str) -> bool:
        """True if a nested command's method is meant."""
        return self.method.lower() in name.lower()

    def due(self) -> bool:
        """Count one matching request; True if it is to fire now."""
        self.seen += 1
        # drawn for every match, so that the sequence depends on the seed and the number of requests only
        lucky = self.probability is None or self.chance.random() < self.probability
        if self.seen < self.nth or (self.count is not None and len(self.fired) >= self.count):
            return False
        if self.every is not None and (self.seen - self.nth) % self.every:
            return False
        return lucky

    def as_dict(self) -> dict[str, Any]:
        """JSON shape of the control API."""
        return {
            "id": self.id,
            "kind": self.kind,
            "method": self.method,
            "nth": self.nth,
            "count": self.count,
            "every": self.every,
            "probability": self.probability,
            "seed": self.seed,
            "params": self.params,
            "seen": self.seen,
            "fired": len(self.fired),
            "fired_calls": list(self.fired),
        }


class FaultBook:
    """All armed faults of one sandbox."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._faults: list[Fault] = []

    def arm(self, row: Mapping[str, Any]) -> Fault:
        """Arm one fault. Raises ValueError for an unknown kind or key."""
        known = {"kind", "method", "nth", "count", "every", "probability", "seed", "params"}
        unknown = set(row) - known
        if unknown:
            raise ValueError(f"unknown keys of a fault: {', '.join(sorted(unknown))}")
        kind = str(row.get("kind", ""))
        if kind not in KINDS:
            raise ValueError(f"no fault {kind!r}; known: {', '.join(KINDS)}")
        every, probability = row.get("every"), row.get("probability")
        endless = every is not None or probability is not None
        count = row.get("count", None if endless else 1)
        seed = int(row.get("seed") or 0)
        fault = Fault(
            next(self._ids),
            kind,
            str(row.get("method") or ""),
            int(row.get("nth") or 1),
            None if count is None else int(count),
            None if every is None else int(every),
            None if probability is None else float(probability),
            seed,
            dict(row.get("params") or {}),
            chance=random.Random(seed),
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def draw(self, seq: int, methods: Sequence[str]) -> list[Fault]:
        """The faults that fire for request number `seq`; each is marked as fired."""
        if not self._faults:
            return []
        with self._lock:
            due = [fault for fault in self._faults if fault.matches(methods) and fault.due()]
            for fault in due:
                fault.fired.append(seq)
            return due

    def listing(self) -> list[dict[str, Any]]:
        """All armed faults with what they did so far."""
        with self._lock:
            return [fault.as_dict() for fault in self._faults]

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._faults.clear()
