"""The least time that the documented limits allow (settings/performance/limits.md): what results are compared with.

At most `LIMIT_S` seconds of work per method in any ten minutes, and requests drain at two per second once a
burst of 50 is used up. One bulk request in flight.
"""

from __future__ import annotations

import math

LIMIT_S = 480.0
WINDOW_S = 600.0
RATE_PER_S = 2.0
BURST = 50


def bound_s(rows: int, cost_s: float, requests: int, *, scale: float = 1.0) -> float:
    """Seconds on a sandbox of this scale. `cost_s` = counted seconds per row, `requests` = the client's own."""
    work_s = rows * cost_s
    full_windows = max(0, math.ceil(work_s / LIMIT_S) - 1)
    by_work_s = WINDOW_S * full_windows + work_s - LIMIT_S * full_windows
    by_rate_s = max(0.0, (requests - BURST) / RATE_PER_S)
    return max(by_work_s, by_rate_s) / scale
