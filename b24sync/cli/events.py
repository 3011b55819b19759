"""`b24sync events`."""

from __future__ import annotations

from typing import Any

import click

from b24sync.cli.inbox import AS_JSON, as_rows, inbox_of, print_jobs, show_job, tell
from b24sync.cli.wiring import number, print_json


@click.group("events", short_help="What the portal has sent.")
def command() -> None:
    """Events of the portal as they came in; they are kept for 14 days."""


@command.command("list")
@click.option("--limit", default=100, show_default=True, help="At most so many, the newest ones.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
def list_events(options: dict[str, Any], limit: int, as_json: bool) -> None:
    """List events, newest first. Repeated ones that waited together are one line.

    Example: b24sync events list
    """
    with inbox_of(options) as jobs:
        found = jobs.listed(events=True, limit=limit)
    if as_json:
        print_json(as_rows(found))
    else:
        print_jobs(found, "No event has come in yet.")


@command.command("show")
@click.argument("event_id", type=number)
@AS_JSON
@click.pass_obj
def show(options: dict[str, Any], event_id: int, as_json: bool) -> None:
    """Show one event with what the portal sent; its secrets were never stored.

    Example: b24sync events show 17
    """
    show_job(options, event_id, as_json=as_json)


@command.command("replay")
@click.argument("event_ids", type=number, nargs=-1, required=True)
@AS_JSON
@click.pass_obj
def replay(options: dict[str, Any], event_ids: tuple[int, ...], as_json: bool) -> None:
    """Work on events once more, as if the portal had sent them again. What rules did already is not done twice.

    Example: b24sync events replay 17
    """
    with inbox_of(options) as jobs:
        again = jobs.replay(event_ids)
    tell(again, event_ids, "came in again", "no event, or waiting still", as_json=as_json)
