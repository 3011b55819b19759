"""`b24sync jobs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from b24sync.cli.inbox import AS_JSON, as_rows, inbox_of, print_jobs, show_job, tell
from b24sync.cli.wiring import number, print_json
from b24sync.store.jobs import Jobs
from b24sync.store.lanes import BEGUN, DEAD, DONE, DROPPED, WAITING

ALL_DEAD = click.option("--dead", "all_dead", is_flag=True, help="All dead letters.")
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
@click.argument("job_id", type=number)
@AS_JSON
@click.pass_obj
def show(options: dict[str, Any], job_id: int, as_json: bool) -> None:
    """Show one job: its lane, its tries, what it failed on.

    Example: b24sync jobs show 17
    """
    show_job(options, job_id, as_json=as_json)


@command.command("retry")
@click.argument("job_ids", type=number, nargs=-1)
@ALL_DEAD
@AS_JSON
@click.pass_obj
def retry(options: dict[str, Any], job_ids: tuple[int, ...], all_dead: bool, as_json: bool) -> None:
    """Do dead or dropped jobs again, before whatever waits in their lanes.

    Example: b24sync jobs retry 17
    """
    with inbox_of(options) as jobs:
        wanted = _chosen(jobs, job_ids, all_dead=all_dead)
        again = jobs.retry(wanted)
    tell(again, wanted, "will be done again", "neither dead nor dropped", as_json=as_json)


@command.command("drop")
@click.argument("job_ids", type=number, nargs=-1)
@ALL_DEAD
@AS_JSON
@click.pass_obj
def drop(options: dict[str, Any], job_ids: tuple[int, ...], all_dead: bool, as_json: bool) -> None:
    """Never do these jobs: waiting, backing off or dead ones. `jobs retry` takes it back.

    Example: b24sync jobs drop 17
    """
    with inbox_of(options) as jobs:
        wanted = _chosen(jobs, job_ids, all_dead=all_dead)
        dropped = jobs.drop(wanted)
    tell(dropped, wanted, "dropped", "done already, or being done right now", as_json=as_json)


def _chosen(jobs: Jobs, ids: Sequence[int], *, all_dead: bool) -> Sequence[int]:
    """The ids to act on. Raises UsageError when there is no choice, or two."""
    if bool(ids) == all_dead:
        raise click.UsageError("Name ids, or use --dead for all dead letters.")
    return [job.id for job in jobs.dead(10_000)] if all_dead else ids
