"""The progress of long writes: a bar on a terminal, a line now and then elsewhere; ETA from the portal's counters."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from b24sync.cli.wiring import say
from b24sync.transport.gate import Limits

if TYPE_CHECKING:
    from b24sync.bulk.ledgered import Progress

QUIET_LINE_EVERY_S = 10.0


@contextmanager
def progress_line(label: str, total: int, limits: Limits) -> Iterator[Callable[[Progress], None]]:
    """Yield a function that shows a `Progress`. On a terminal a bar, else one line every ten seconds."""
    if total and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[eta]}"),
        )
        with Bar(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=total, eta="")

            def show(progress: Progress) -> None:
                done = progress.written + progress.refused
                bar.update(task, completed=done, eta=_eta(progress, total - done, limits))

            yield show
        return
    last = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= QUIET_LINE_EVERY_S:
            last = time.monotonic()
            done = progress.written + progress.refused
            say(f"{label}: {done} of {total} {_eta(progress, total - done, limits)}")

    yield tell


def _eta(progress: Progress, left: int, limits: Limits) -> str:
    from b24sync.importing.ways import Costs, estimate_s

    if progress.pace_s is None:
        return ""
    counted = progress.pace_s if progress.counted_s is None else progress.counted_s
    seconds = estimate_s(
        max(0, left),
        Costs(progress.pace_s, counted, 1 / 1000),
        rate_per_s=limits.rate_per_s,
        limit_s=limits.operating_limit_s,
    )
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"about {hours}:{minutes:02d}:{rest:02d} left by the portal's counters"
