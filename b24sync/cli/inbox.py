"""What `jobs` and `events` share: the inbox of a portal, printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from b24sync.cli.wiring import iso, opened, print_json, say
from b24sync.store.jobs import Job, Jobs


@contextmanager
def inbox_of(options: Mapping[str, Any]) -> Iterator[Jobs]:
    with opened(options) as app:
        yield Jobs(app.store, app.portal, app.clock)


def tell(acted_on: Sequence[int], wanted: Sequence[int], done: str, why_not: str, *, as_json: bool) -> None:
    """What became of the chosen ids, in a line."""
    others = sorted(set(wanted) - set(acted_on))
    if as_json:
        print_json({"done": list(acted_on), "left": others})
        return
    said = f"{done.capitalize()}: {', '.join(map(str, acted_on)) or 'nothing'}."
    say(said + (f" Left alone, being {why_not}: {', '.join(map(str, others))}." if others else ""))


AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def as_rows(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Rows of `--json`: times in ISO 8601, UTC."""
    return [_as_row(job) for job in jobs]


def _as_row(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "lane": job.lane,
        "kind": job.kind,
        "state": job.state,
        "received_at": iso(job.received_at),
        "run_at": iso(job.run_at),
        "finished_at": iso(job.finished_at),
        "folded": job.folded,
        "tries": job.tries,
        "message": job.message,
    }


def print_jobs(jobs: Sequence[Job], nothing: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from b24sync.transport.masking import MASK

    table = Table("id", "lane", "kind", "state", "received", "due", "tries", "message")
    for job in jobs:
        due = iso(job.run_at) or ""
        cells = [
            job.lane,
            job.kind,
            job.state,
            iso(job.received_at),
            due,
            str(job.tries),
            MASK.hide(job.message or ""),
        ]
        table.add_row(str(job.id), *map(str, cells))
    Console().print(table if jobs else nothing)


def show_job(options: Mapping[str, Any], job_id: int, *, as_json: bool) -> None:
    """Print one message with its payload. Raises UsageError when there is none."""
    with inbox_of(options) as jobs:
        job = jobs.get(job_id)
    if job is None:
        raise click.UsageError(f"There is no job or event {job_id}; it may be older than 14 days.")
    row = {**_as_row(job), "payload": job.payload}
    if as_json:
        print_json(row)
        return
    from rich.console import Console

    from b24sync.transport.masking import MASK

    console = Console()
    for name, value in row.items():
        if value not in (None, ""):
            console.print(MASK.hide(f"{name}: {value}"), markup=False, highlight=False)
