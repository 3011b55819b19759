"""Clocks. Wall time for people and portals, boot time for pacing, both replaceable in tests."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    def wall_s(self) -> float:
        """Unix seconds; may jump when somebody sets the clock."""

    def boot_s(self) -> float:
        """Seconds since boot, the same for every process of the machine; never jumps."""

    def boot_id(self) -> str:
        """Changes with every boot: boot seconds compare only under one id."""

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clocks. CLOCK_BOOTTIME goes on while a laptop sleeps; other systems use monotonic."""

    def __init__(self) -> None:
        self._boot_clock = getattr(time, "CLOCK_BOOTTIME", None)
        self._boot_id = _read_boot_id()

    def wall_s(self) -> float:
        return time.time()

    def boot_s(self) -> float:
        if self._boot_clock is None:
            return time.monotonic()
        return time.clock_gettime(self._boot_clock)

    def boot_id(self) -> str:
        return self._boot_id

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


def _read_boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    try:
        return path.read_text().strip()
    except OSError:
        # No boot id on this system: the boot moment itself, rounded so that clock drift does not change it.
        return f"{os.uname().nodename}-{round((time.time() - time.monotonic()) / 60)}"


def utc_now() -> datetime:
    return datetime.now(UTC)
