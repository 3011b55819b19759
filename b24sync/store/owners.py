"""Who owns a row: host, boot, process and its start, so that a dead process is told from a slow one."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from b24sync.clock import Clock


def this_owner(clock: Clock) -> str:
    pid = os.getpid()
    return "|".join([socket.gethostname(), clock.boot_id()[:36], str(pid), _started(pid) or "?"])


def is_gone(owner: str, *, lease_until: float, now: float, clock: Clock) -> bool:
    """Whether `owner` can no longer be at work: dead on this machine, or elsewhere and past its lease."""
    host, boot, pid, started = owner.split("|")
    if host != socket.gethostname():
        return now > lease_until
    if boot != clock.boot_id()[:36]:
        return True
    present = _started(int(pid))
    return present is None or (started != "?" and present != started)


def _started(pid: int) -> str | None:
    """The kernel's start time of a process (a pid alone comes round again); None when it is not running."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except ProcessLookupError:
        return None
    else:
        # A zombie has finished its work: only its parent has not looked yet.
        return None if fields[0] == "Z" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return "?"
    return "?"
