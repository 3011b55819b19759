"""`b24sync jobs`."""

from __future__ import annotations

from typing import Any

import click

from b24sync.cli.inbox import as_rows, chosen_ids, inbox_of, print_jobs, show_job, told
from b24sync.cli.wiring import print_json, say
from b24sync.store.lanes import BEGUN, DEAD, DONE, DROPPED, WAITING

STATES = {"open": [WAITING, BEGUN], "dead": [DEAD], "done": [DONE], "dropped": [DROPPED], "all": []}


@click.group("jobs", short_help="What is to be done, what failed.")
def command() -> None:
    """Jobs of rules, timers and schedules; dead letters to retry or drop."""


@command.command("list")
@click.option("--state", type=click.Choice(list(STATES)), default="open", show_default=True, help="Which jobs.")
@click.option("--lane", help="Only those of one lane, such as deal:42.")
@click.option("--limit", default=100, show_default=True, help="At most so many, the newest ones.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
def list_jobs(options: dict[str, Any], state: str, lane: str | None, limit: int, as_json: bool) -> None:
    """List jobs, newest first. `--state dead` shows dead letters, those of events included.

    Example: b24sync jobs list --state dead
    """
    with inbox_of(options) as jobs:
        if state == "dead" and lane is None:
            found = jobs.dead(limit)
        else:
            found = jobs.listed(states=STATES[state], lane=lane, limit=limit)
    if as_json:
        print_json(as_rows(found))
    else:
        print_jobs(found, "No job of that state.")


@command.command("show")
@click.argument("job_id", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def show(options: dict[str, Any], job_id: int, as_json: bool) -> None:
    """Show one job: its lane, its tries, what it failed on.

    Example: b24sync jobs show 17
    """
    show_job(options, job_id, as_json=as_json)


@command.command("retry")
@click.argument("job_ids", type=int, nargs=-1)
@click.option("--dead", "all_dead", is_flag=True, help="All dead letters.")
@click.pass_obj
def retry(options: dict[str, Any], job_ids: tuple[int, ...], all_dead: bool) -> None:
    """Do dead or dropped jobs again, before whatever waits in their lanes.

    Example: b24sync jobs retry 17
    """
    with inbox_of(options) as jobs:
        wanted = chosen_ids(job_ids, [job.id for job in jobs.dead(10_000)] if all_dead else None)
        again = jobs.retry(wanted)
    say(told(again, wanted, "will be done again", "neither dead nor dropped"))


@command.command("drop")
@click.argument("job_ids", type=int, nargs=-1)
@click.option("--dead", "all_dead", is_flag=True, help="All dead letters.")
@click.pass_obj
def drop(options: dict[str, Any], job_ids: tuple[int, ...], all_dead: bool) -> None:
    """Never do these jobs: waiting, backing off or dead ones. `jobs retry` takes it back.

    Example: b24sync jobs drop 17
    """
    with inbox_of(options) as jobs:
        wanted = chosen_ids(job_ids, [job.id for job in jobs.dead(10_000)] if all_dead else None)
        dropped = jobs.drop(wanted)
    say(told(dropped, wanted, "dropped", "done already, or being done right now"))
