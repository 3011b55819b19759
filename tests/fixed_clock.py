"""A clock that stands still until somebody sleeps on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar


class FixedClock:
    """Wall and boot time under the test's hand; `sleep` moves both at once and remembers how long."""

    told: ClassVar[Callable[[float], None] | None] = None
    """Hears of every wall time of every such clock: a database that has to tell the same time."""

    def __init__(self, wall_s: float = 1_750_000_000.0, boot_s: float = 5_000.0) -> None:
        self.wall = wall_s
        self.boot = boot_s
        self.boot_name = "boot-1"
        self.slept: list[float] = []

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "wall" and FixedClock.told is not None:
            FixedClock.told(value)

    def wall_s(self) -> float:
        return self.wall

    def boot_s(self) -> float:
        return self.boot

    def boot_id(self) -> str:
        return self.boot_name

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_time(max(seconds, 0.0))

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.boot += seconds
