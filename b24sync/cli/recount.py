"""`b24sync recount`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from b24sync.cli.progress import QUIET_LINE_EVERY_S
from b24sync.cli.wiring import App, opened, print_json, say

if TYPE_CHECKING:
    from b24sync.bulk.ledgered import Progress
    from b24sync.bulk.window import WindowClock
    from b24sync.reporting.recount import Summary

REFUSED_EXIT = 3
LATER_EXIT = 75
WORST_FIRST = (69, LATER_EXIT, 78, REFUSED_EXIT)
"""A person acts before anything else; the same command goes on; a file is to be mended; some were refused."""


@click.command("recount", short_help="Days left and overdue of every deal.")
@click.option("--pipeline", help="Only deals of this pipeline (name or id).")
@click.option("--dry-run", is_flag=True, help="Count what would change and write nothing.")
@click.option(
    "--max-duration", help="Stop after 30s, 20m, 4h ... and go on next time; [recount] max_duration if absent."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.pass_context
def command(ctx: click.Context, pipeline: str | None, dry_run: bool, max_duration: str | None, as_json: bool) -> None:
    """Read the stage history, count days against [[stages.norm]], write what changed, deliver reports.

    Example: b24sync recount --dry-run
    """
    from b24sync.bulk.window import WindowClock
    from b24sync.clock import SystemClock
    from b24sync.reporting.recount import Recount

    clock = WindowClock(SystemClock())
    with opened(ctx.obj, clock) as app:
        clock.close_at(clock.wall_s() + _duration_s(max_duration or app.config.recount.max_duration))
        recount = Recount(app.client, app.store, app.portal, clock, app.config)
        summary = recount.run(pipeline=pipeline, dry_run=dry_run, on_progress=_now_and_then())
        code = _code(summary)
        if not dry_run and summary.read_all:
            code = _worst([code, *_delivered(app, clock, summary)])
        _tell(app, summary, dry_run=dry_run, as_json=as_json)
    ctx.exit(code)


def _delivered(app: App, clock: WindowClock, summary: Summary) -> list[int]:
    """Deliver the reports, also after a night that its window ended: they need no more than what was read.

    The exit codes of those that failed.
    """
    from b24sync.errors import PortalBlocked, PortalRefused
    from b24sync.reporting.delivery import DELIVERY_S, Delivery

    clock.close_at(clock.wall_s() + DELIVERY_S)
    delivery = Delivery(app.client, app.store, app.portal, app.clock, app.config)
    try:
        failed = delivery.all(summary.as_of, lambda text: say(f"b24sync: {text}"))
    except PortalBlocked as blocked:
        say(f"b24sync: the reports are not delivered: {blocked}")
        return [blocked.exit_code]
    return [REFUSED_EXIT if isinstance(error, PortalRefused) else error.exit_code for error in failed]


def _worst(codes: list[int]) -> int:
    return next((code for code in WORST_FIRST if code in codes), max(codes))


def _now_and_then() -> Callable[[Progress], None]:
    """A line every ten seconds; how many deals will differ is known only at the end."""
    last = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= QUIET_LINE_EVERY_S:
            last = time.monotonic()
            say(f"recount: {progress.written} deals written, {progress.refused} refused so far")

    return tell


def _duration_s(text: str) -> float:
    from b24sync.config import seconds_of

    try:
        return seconds_of(text)
    except ValueError as error:
        raise click.UsageError(f"--max-duration {text}: {error}") from None


def _tell(app: App, summary: Summary, *, dry_run: bool, as_json: bool) -> None:
    from datetime import datetime

    for note in summary.notes:
        say(f"b24sync: {note}")
    for text, count in summary.refusals.most_common(20):
        say(f"b24sync: {count} refused: {text}")
    if summary.unknown:
        say(f"b24sync: {summary.unknown} deals were sent and not answered; the next run looks them up.")
    if summary.stopped:
        say(f"b24sync: stopped after {summary.written} of {summary.changed} changed deals: {summary.stopped}")
    result = {
        "seen": summary.seen,
        "changed": summary.changed,
        "written": summary.written,
        "refused": summary.refused,
        "duration_s": summary.duration_s,
    }
    if as_json:
        print_json(result)
        return
    as_of = datetime.fromtimestamp(summary.as_of, app.portal_config.zone)
    share = "" if summary.budget_share is None else f", {summary.budget_share:.0%} of the portal's budget for it"
    click.echo(
        f"{'Dry run' if dry_run else 'Recount'} as of {as_of:%d.%m.%Y %H:%M}{' (resumed)' if summary.resumed else ''}: "
        f"{summary.total} deals, {summary.seen} under norms, {summary.changed} changed, {summary.written} written, "
        f"{summary.refused} refused; {summary.duration_s} s{share}"
    )


def _code(summary: Summary) -> int:
    if summary.stopped or summary.unknown:
        return LATER_EXIT
    return REFUSED_EXIT if summary.refused else 0
