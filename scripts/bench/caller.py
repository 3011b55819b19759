"""Interactive calls beside running imports: python scripts/bench/caller.py CONFIG EVERY_S; ends on SIGTERM.

Prints one JSON line at the end: the seconds that each call took from asking the gate to having the answer.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from types import FrameType

from b24sync.cli.wiring import opened


def main() -> int:
    """Call until a signal comes."""
    config, every_s = sys.argv[1], float(sys.argv[2])
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    waits: list[float] = []
    with opened({"config": config, "portal": None, "verbose": False}) as app:
        while not stop.is_set():
            began = time.perf_counter()
            app.client.call("crm.deal.list", {"select": ["ID"], "start": -1}, write=False, priority="interactive")
            waits.append(round(time.perf_counter() - began, 4))
            stop.wait(every_s)
    print(json.dumps({"waits_s": waits}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
