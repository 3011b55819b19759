"""Both limits of a cloud portal and the cap of one request (settings/performance/limits.md).

Intensity: a leaky bucket per (portal, source IP). Load: per (method, credential) ten one-minute buckets;
a bucket leaves ten minutes after the first call counted in it. All figures of a scaled portal are
shortened by its scale; see `Plan.scaled`.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace

WINDOW_S = 600.0
BUCKETS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits of a portal. None = no such limit."""

    name: str
    rate_per_s: float | None = 2.0
    burst: int = 50
    operating_limit_s: float | None = 480.0
    request_cap_s: float | None = 60.0
    window_s: float = WINDOW_S
    scale: float = 1.0

    def scaled(self, scale: float) -> Plan:
        """Rate x scale; window, operating limit and request cap / scale; the burst stays."""
        return replace(
            self,
            rate_per_s=None if self.rate_per_s is None else self.rate_per_s * scale,
            operating_limit_s=None if self.operating_limit_s is None else self.operating_limit_s / scale,
            request_cap_s=None if self.request_cap_s is None else self.request_cap_s / scale,
            window_s=self.window_s / scale,
            scale=scale,
        )


PLANS = {
    "standard": Plan("standard"),
    "enterprise": Plan("enterprise", rate_per_s=5.0, burst=250),
    "off": Plan("off", rate_per_s=None, operating_limit_s=None, request_cap_s=None),
    "custom": Plan("custom"),
}


class LeakyBuckets:
    """One bucket per source address: +1 per request, drained at `rate_per_s`, refused over `burst`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def admit(self, source: str, now: float, *, refuse_over: bool = True, count_refused: bool = False) -> bool:
        """Take one request in at `now` (seconds); False = answer 503 QUERY_LIMIT_EXCEEDED."""
        rate = self.plan.rate_per_s
        if rate is None:
            return True
        with self._lock:
            level, seen = self._levels.get(source, (0.0, now))
            level = max(0.0, level - max(0.0, now - seen) * rate)
            # a hair of tolerance: a client that waits exactly 1 / rate must not lose to float rounding
            top = level + (1 if refuse_over else 0)
            admitted = top <= self.plan.burst + 1e-6
            if admitted or count_refused:
                level += 1
            self._levels[source] = (level, now)
            return admitted

    def level(self, source: str, now: float) -> float:
        """How full the bucket of `source` is."""
        level, seen = self._levels.get(source, (0.0, now))
        return max(0.0, level - max(0.0, now - seen) * (self.plan.rate_per_s or 0.0))

    def clear(self) -> None:
        """Empty every bucket."""
        with self._lock:
            self._levels.clear()


@dataclass(slots=True)
class MinuteBucket:
    minute: int
    expires_at: float
    seconds: float


class OperatingBudgets:
    """Counted seconds per (method, credential) in one-minute buckets.

    The call that crosses the limit completes, the next one is refused until buckets leave the window.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._buckets: dict[tuple[str, str], list[MinuteBucket]] = {}
        self._lock = threading.Lock()

    def used(self, method: str, credential: str, now: float) -> float:
        """Seconds of all live buckets."""
        with self._lock:
            return sum(bucket.seconds for bucket in self._live((method.lower(), credential), now))

    def blocked(self, method: str, credential: str, now: float) -> bool:
        """True if the next call answers 429 OPERATION_TIME_LIMIT: the limit is *exceeded*, not reached."""
        limit = self.plan.operating_limit_s
        return limit is not None and self.used(method, credential, now) > limit

    def count(self, method: str, credential: str, started: float, seconds: float, now: float) -> None:
        """Add a call that started at `started` (portal's unix time) to the bucket of its minute."""
        key = (method.lower(), credential)
        minute = math.floor(started / (self.plan.window_s / BUCKETS))
        with self._lock:
            live = self._live(key, now)
            for bucket in live:
                if bucket.minute == minute:
                    bucket.seconds += seconds
                    return
            self._buckets[key] = [*live, MinuteBucket(minute, self.reset_time(started), seconds)]

    def reset_time(self, started: float) -> float:
        """When a bucket opened at `started` leaves: whole seconds on a real portal, fractional when scaled."""
        return (math.floor(started) if self.plan.scale == 1 else started) + self.plan.window_s

    def standing(self, method: str, credential: str, started: float, now: float) -> tuple[float, float]:
        """(`operating`, `operating_reset_at`) as an answer shows them; without buckets, a window from `started`."""
        with self._lock:
            live = self._live((method.lower(), credential), now)
            if not live:
                return 0.0, self.reset_time(started)
            return sum(bucket.seconds for bucket in live), min(bucket.expires_at for bucket in live)

    def as_dict(self, now: float) -> dict[str, float]:
        """`method credential` to counted seconds, for the control API."""
        with self._lock:
            return {
                f"{method} {credential}": round(sum(b.seconds for b in self._live((method, credential), now)), 6)
                for method, credential in list(self._buckets)
            }

    def clear(self) -> None:
        """Forget every counted second."""
        with self._lock:
            self._buckets.clear()

    def _live(self, key: tuple[str, str], now: float) -> list[MinuteBucket]:
        buckets = self._buckets.get(key)
        if buckets is None:
            return []
        if any(bucket.expires_at <= now for bucket in buckets):
            buckets = self._buckets[key] = [bucket for bucket in buckets if bucket.expires_at > now]
        return buckets
