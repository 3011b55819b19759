"""`b24sync groups sync | list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from b24sync.cli.progress import progress_line
from b24sync.cli.wiring import App, number, opened, print_json, say

if TYPE_CHECKING:
    from b24sync.bulk.client_groups import ClientGroups, GroupsResult

REFUSED_EXIT = 3
UNKNOWN_EXIT = 75


@click.group("groups", short_help="One extranet group for each client.")
def command() -> None:
    """One extranet group for each client, its responsible contact invited by e-mail."""


@command.command("sync")
@click.option("--company", "company_id", type=number, help="Only this company.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def sync(ctx: click.Context, company_id: int | None, dry_run: bool, as_json: bool) -> None:
    """Make the groups of [groups] and invite whoever is missing; run it again at any time.

    Example: b24sync groups sync --dry-run
    """
    with opened(ctx.obj) as app:
        groups = _wired(app)
        plan = groups.plan(company_id)
        if dry_run:
            result = groups.preview(plan)
            for line in plan.lines():
                say(line)
        else:
            with progress_line("client groups", len(plan.groups), app.gate.limits) as advance:
                result = groups.sync(plan, advance)
    _tell(result, as_json=as_json)
    ctx.exit(UNKNOWN_EXIT if result.unknown else REFUSED_EXIT if result.refused and not dry_run else 0)


def _wired(app: App) -> ClientGroups:
    from b24sync.bulk.client_groups import ClientGroups

    return ClientGroups(app.client, app.store, app.portal, app.clock, app.config.groups)


def _tell(result: GroupsResult, *, as_json: bool) -> None:
    for line in [*result.notes, *result.problems]:
        say(line)
    counts = {
        "companies": result.companies,
        "created": result.created,
        "existing": result.existing,
        "invited": result.invited,
        "pending": result.pending,
        "refused": result.refused,
    }
    if as_json:
        print_json(counts)
    else:
        click.echo(f"Groups: {', '.join(f'{count} {name}' for name, count in counts.items())}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@click.pass_obj
def listed(options: dict[str, Any], as_json: bool) -> None:
    """Show the groups made so far, who of the client was invited and who has not accepted yet.

    Example: b24sync groups list
    """
    from b24sync.bulk.group_list import list_groups

    with opened(options) as app:
        rows = [row.as_dict() for row in list_groups(app.client, app.store, app.portal)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("No client groups yet: b24sync groups sync makes them.")
    for row in rows:
        people = ", ".join(f"{one['email']}: {one['state']}" for one in row["people"]) or "nobody invited"
        click.echo(f"company {row['company_id']} ({row['company']}): group {row['group_id']}: {people}")
        if row["problem"]:
            click.echo(f"  {row['problem']}")
