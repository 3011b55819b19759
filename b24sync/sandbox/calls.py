"""The sandbox's own ledger of calls: what came, what was executed, what was answered.

Tests and benchmarks judge a client by this ledger, never by the client's report.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

NESTED_FIELDS = ("name", "method", "outcome", "seconds")


@dataclass(slots=True)
class CallRecord:
    """One HTTP request. `nested` rows are (name, method, outcome code or "ok", counted seconds)."""

    seq: int
    t_start: float
    source: str
    method: str = ""
    credential: str = ""
    t_finish: float = 0.0
    status: int = 0
    error: str = ""
    fault: str = ""
    executed: bool = False
    delivered: bool = True
    dropped_vars: int = 0
    seconds: float = 0.0
    nested: list[tuple[str, str, str, float]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON shape of the control API."""
        return {
            "seq": self.seq,
            "t_start": self.t_start,
            "t_finish": self.t_finish,
            "source": self.source,
            "method": self.method,
            "credential": self.credential,
            "status": self.status,
            "error": self.error,
            "fault": self.fault,
            "executed": self.executed,
            "delivered": self.delivered,
            "dropped_vars": self.dropped_vars,
            "seconds": round(self.seconds, 6),
            "nested": [list(row) for row in self.nested],
            "violations": self.violations,
        }


@dataclass(slots=True)
class MethodFigures:
    """Sums of one method, alone and nested."""

    calls: int = 0
    ok: int = 0
    seconds: float = 0.0
    units: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)


class CallLedger:
    """Records in memory (the last `keep` of them) and figures over all of them since the last reset."""

    def __init__(self, keep: int = 50_000) -> None:
        self.keep = keep
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._seq = 0
        self._open: dict[int, CallRecord] = {}
        self.clear()

    def clear(self) -> None:
        """Forget records and figures; numbering goes on."""
        with self._lock:
            self._records: deque[CallRecord] = deque(maxlen=self.keep)
            self._methods: dict[str, MethodFigures] = {}
            self._statuses: Counter[int] = Counter()
            self._errors: Counter[str] = Counter()
            self._nested_errors: Counter[str] = Counter()
            self._violations: Counter[str] = Counter()
            self._outer: Counter[str] = Counter()
            self._peak = len(self._open)
            self._requests = self._dropped_vars = self._faulted = self._undelivered = 0
            self.internal_errors: list[str] = []

    def open(self, t_start: float, source: str) -> CallRecord:
        """A record for a request that has just arrived."""
        with self._lock:
            self._seq += 1
            record = CallRecord(self._seq, t_start, source)
            self._open[record.seq] = record
            self._peak = max(self._peak, len(self._open))
            return record

    def close(self, record: CallRecord, t_finish: float) -> None:
        """The request is over (answered, or cut and its late work done)."""
        record.t_finish = t_finish
        with self._lock:
            self._open.pop(record.seq, None)
            self._records.append(record)
            self._requests += 1
            self._outer[record.method] += 1
            self._statuses[record.status] += 1
            self._dropped_vars += record.dropped_vars
            self._faulted += bool(record.fault)
            if record.error:
                self._errors[record.error] += 1
            self._violations.update(record.violations)
            for _, _, outcome, _ in record.nested:
                if outcome != "ok":
                    self._nested_errors[outcome] += 1
            self._idle.notify_all()

    def not_delivered(self, record: CallRecord) -> None:
        """The client had gone when the answer was written."""
        record.delivered = False
        with self._lock:
            self._undelivered += 1

    def count(self, method: str, *, ok: bool, code: str, seconds: float, units: float) -> None:
        """One command (alone or nested) of `method` ended."""
        with self._lock:
            figures = self._methods.setdefault(method, MethodFigures())
            figures.calls += 1
            figures.seconds += seconds
            if ok:
                figures.ok += 1
                figures.units += units
            else:
                figures.errors[code] += 1

    def internal_error(self, text: str) -> None:
        """A handler of the sandbox broke; shown in the figures so that no test can miss it."""
        with self._lock:
            self.internal_errors.append(text)

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no request is being worked on (late work included). False = still busy."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._open, timeout_s)

    def records(self, since: int = 0, method: str = "", limit: int | None = None) -> list[dict[str, Any]]:
        """Records with seq > `since`, oldest first, whose method or a nested one contains `method`."""
        wanted = method.lower()
        with self._lock:
            rows = [row for row in self._records if row.seq > since]
        if wanted:
            rows = [
                row
                for row in rows
                if wanted in row.method.lower() or any(wanted in name.lower() for _, name, _, _ in row.nested)
            ]
        rows.sort(key=lambda row: row.seq)
        return [row.as_dict() for row in rows[:limit]]

    def figures(self) -> dict[str, Any]:
        """Counts since the last reset."""
        with self._lock:
            outer_429 = self._errors["OPERATION_TIME_LIMIT"]
            nested_429 = self._nested_errors["OPERATION_TIME_LIMIT"]
            return {
                "requests": self._requests,
                "requests_by_method": dict(sorted(self._outer.items())),
                "in_flight": len(self._open),
                "peak_in_flight": self._peak,
                "refused_503": self._errors["QUERY_LIMIT_EXCEEDED"],
                "refused_429": outer_429 + nested_429,
                "refused_429_outer": outer_429,
                "refused_429_nested": nested_429,
                "aborted": self._errors["REQUEST_CAP"],
                "faulted_requests": self._faulted,
                "undelivered": self._undelivered,
                "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
                "errors": dict(self._errors),
                "nested_errors": dict(self._nested_errors),
                "variables_dropped": self._dropped_vars,
                "spec_violations": sum(self._violations.values()),
                "spec_violations_by_text": dict(self._violations),
                "internal_errors": len(self.internal_errors),
                "internal_errors_texts": self.internal_errors[:20],
                "methods": {
                    name: {
                        "calls": row.calls,
                        "ok": row.ok,
                        "seconds": round(row.seconds, 6),
                        "units": row.units,
                        "errors": dict(row.errors),
                    }
                    for name, row in sorted(self._methods.items())
                },
            }
