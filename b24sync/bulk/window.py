"""A window of time for a long job: whoever waits past its end is woken up and stops in good order."""

from __future__ import annotations

from collections.abc import Callable

from b24sync.clock import Clock
from b24sync.errors import WindowOver

BEAT_EVERY_S = 60.0


class WindowClock:
    """The machine's clocks, whose `sleep` raises once the window set by `close_at` is over.

    Whoever waits for the portal wakes up then: what was sent is recorded, what was not is planned still.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._close_at: float | None = None
        self._beat: Callable[[], None] = lambda: None
        self._beaten_at = clock.boot_s()

    def close_at(self, moment: float | None) -> None:
        """Set the end of the window in unix seconds; None = open."""
        self._close_at = moment

    def keep_alive(self, beat: Callable[[], None]) -> None:
        """Call `beat` about once a minute while somebody sleeps: a wait for a budget may outlast a lease."""
        self._beat = beat

    @property
    def is_over(self) -> bool:
        return self._close_at is not None and self._clock.wall_s() >= self._close_at

    def wall_s(self) -> float:
        return self._clock.wall_s()

    def boot_s(self) -> float:
        return self._clock.boot_s()

    def boot_id(self) -> str:
        return self._clock.boot_id()

    def sleep(self, seconds: float) -> None:
        """Sleep, at most to the end of the window. Raises WindowOver then."""
        if self._clock.boot_s() - self._beaten_at >= BEAT_EVERY_S:
            self._beaten_at = self._clock.boot_s()
            self._beat()
        if self._close_at is None:
            self._clock.sleep(seconds)
            return
        left_s = self._close_at - self._clock.wall_s()
        self._clock.sleep(min(seconds, max(left_s, 0.0)))
        if seconds > left_s:
            raise WindowOver("The time that was given is over; the same command goes on where it stood.")
