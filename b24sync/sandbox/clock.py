"""The portal's clock: wall time in the server's zone, with a virtual offset that a test may push forward.

Answers and limits of one portal read the same clock, so pushing it forward lets minute buckets expire
(settings/performance/limits.md) and timestamps move at once. Waiting (`sleep`) is always real.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta, timezone

MOSCOW_OFFSET_S = 3 * 3600


class SandboxClock:
    """Time of the portal. `scale` only tells others how limits are shortened; time itself is not scaled."""

    def __init__(self, *, utc_offset_s: int = MOSCOW_OFFSET_S, scale: float = 1.0) -> None:
        self.zone = timezone(timedelta(seconds=utc_offset_s))
        self.scale = scale
        self._offset_s = 0.0
        self._lock = threading.Lock()

    def time(self) -> float:
        """Unix time of the portal in seconds."""
        return time.time() + self._offset_s

    def now(self) -> datetime:
        """The same as an aware datetime in the server's zone (api-reference/data-types.md)."""
        return datetime.fromtimestamp(self.time(), self.zone)

    def iso(self, moment: float | datetime | None = None) -> str:
        """`YYYY-MM-DDThh:mm:ss+03:00`, seconds only, server offset (api-reference/data-types.md)."""
        if moment is None:
            moment = self.now()
        elif not isinstance(moment, datetime):
            moment = datetime.fromtimestamp(moment, self.zone)
        elif moment.tzinfo is None:
            moment = moment.replace(tzinfo=self.zone)
        return moment.astimezone(self.zone).replace(microsecond=0).isoformat()

    def utc(self) -> datetime:
        """Now in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Push the portal's time forward. Going back is refused: buckets and ids rely on order."""
        if seconds < 0:
            raise ValueError("the portal's clock only goes forward")
        with self._lock:
            self._offset_s += seconds

    def sleep(self, seconds: float) -> None:
        """Really wait; nothing for zero or less."""
        if seconds > 0:
            time.sleep(seconds)
