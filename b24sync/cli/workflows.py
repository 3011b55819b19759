"""`b24sync workflows start | status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from b24sync.cli.progress import progress_line
from b24sync.cli.wiring import App, number, opened, print_json, say
from b24sync.errors import ConfigError

if TYPE_CHECKING:
    from b24sync.bulk.workflow_starts import Start, StartResult, WorkflowStarts
    from b24sync.portal.directory import Directory

REFUSED_EXIT = 3
UNKNOWN_EXIT = 75


@click.group("workflows", short_help="Business processes by stage.")
def command() -> None:
    """Start the right business process for each deal by its stage, exactly once."""


@command.command("start")
@click.option("--run", "run_id", type=number, help="Deals of this import run.")
@click.option("--stage", help="Deals that stand in this stage now.")
@click.option("--all", "all_deals", is_flag=True, help="All deals that stand in a configured stage.")
@click.option("--dry-run", is_flag=True, help="Say what would be started and start nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def start(
    ctx: click.Context,
    run_id: int | None,
    stage: str | None,
    all_deals: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Start what [[workflows.start]] says; run it again after an interruption.

    Example: b24sync workflows start --run 1
    """
    if sum([run_id is not None, stage is not None, all_deals]) != 1:
        raise click.UsageError("say which deals: --run RUN, --stage STAGE or --all")
    with opened(ctx.obj) as app:
        starts, directory = _wired(app)
        if run_id is not None:
            deals: Any = starts.deals_by_id(_deals_of_run(app, run_id))
        else:
            deals = starts.deals_in(starts.stages() if stage is None else _stage_of(starts, directory, stage))
        planned = starts.plan(deals)
        if dry_run:
            wanted = starts.open_starts(planned)
            counts = {"planned": len(wanted), "started": 0, "skipped": len(planned) - len(wanted)}
            _tell({**counts, "refused": 0, "unknown": 0}, as_json=as_json)
            return
        code = _perform(app, starts, planned, as_json=as_json)
        ctx.exit(code)


def start_for_run(app: App, run_id: int, *, say_result: bool) -> int:
    """`import run --workflows`: start for the run's deals; the exit code. The result goes to standard error."""
    starts, _ = _wired(app)
    planned = starts.plan(starts.deals_by_id(_deals_of_run(app, run_id)))
    result = _performed(app, starts, planned)
    if say_result:
        say(f"Workflows: {_words(_object(result))}")
    _say_unknown(result)
    return _code(result)


def check_configured(app: App) -> None:
    """Raises ConfigError where there is nothing to start."""
    if not app.config.workflows.start:
        raise ConfigError("No workflows are configured.", ["add [[workflows.start]] with pipeline, stage, template"])


def _wired(app: App) -> tuple[WorkflowStarts, Directory]:
    from b24sync.bulk.workflow_starts import WorkflowStarts, resolve_rules
    from b24sync.portal.directory import read_directory
    from b24sync.portal.items import DEAL
    from b24sync.portal.workflows import deal_templates

    check_configured(app)
    lines = app.config.workflows.start
    directory = read_directory(app.client, DEAL, users=False)
    rules = resolve_rules(lines, directory, deal_templates(app.client))
    return WorkflowStarts(app.client, app.store, app.portal, app.clock, rules), directory


def _deals_of_run(app: App, run_id: int) -> list[int]:
    from b24sync.store.runs import Runs

    runs = Runs(app.store, app.portal, app.clock)
    run = runs.find(run_id)
    if run is None or run.entity != "deal":
        raise click.UsageError(f"Run {run_id} is no import of deals of this portal; b24sync import list shows them.")
    return [int(fate.portal_id) for fate in runs.fates(run_id, run.what) if fate.portal_id is not None]


def _stage_of(starts: WorkflowStarts, directory: Directory, name: str) -> list[tuple[int, str]]:
    chosen = [
        (pipeline_id, stage_id)
        for pipeline_id, stage_id in starts.stages()
        if (found := directory.stage(name, pipeline_id)) is not None and found.status_id == stage_id
    ]
    if not chosen:
        raise ConfigError(f"No [[workflows.start]] has the stage {name!r}.")
    return chosen


def _performed(app: App, starts: WorkflowStarts, planned: list[Start]) -> StartResult:
    for warning in starts.warnings:
        say(f"b24sync: {warning}")
    with progress_line("workflow starts", len(planned), app.gate.limits) as advance:
        return starts.perform(planned, advance)


def _perform(app: App, starts: WorkflowStarts, planned: list[Start], *, as_json: bool) -> int:
    result = _performed(app, starts, planned)
    _say_unknown(result)
    _tell(_object(result), as_json=as_json)
    return _code(result)


def _object(result: StartResult) -> dict[str, int]:
    return {
        "planned": result.planned,
        "started": result.started,
        "skipped": result.skipped,
        "refused": result.refused,
        "unknown": result.unknown,
    }


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _tell(counts: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        print_json(counts)
    else:
        click.echo(f"Workflows: {_words(counts)}")


def _say_unknown(result: StartResult) -> None:
    if not result.unknown_keys:
        return
    say("These starts were sent and not answered, and the portal shows neither an instance nor a trace:")
    for key in result.unknown_keys[:20]:
        deal, template, stage = key.split("/", 2)
        say(f"  deal {deal}, template {template}, stage {stage}")
    say('Look at them in the portal; they are not restarted. A trace = "UF_..." in [[workflows.start]] settles such.')


def _code(result: StartResult) -> int:
    if result.unknown or result.not_sent:
        return UNKNOWN_EXIT
    return REFUSED_EXIT if result.refused else 0


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def status(options: dict[str, Any], as_json: bool) -> None:
    """Show what became of all starts: counts by state, the refused and unknown ones by reason.

    Example: b24sync workflows status
    """
    from b24sync.bulk.workflow_starts import WHAT
    from b24sync.store.ledger import DONE, PLANNED, REFUSED, SENT, UNKNOWN, Ledger

    told = {DONE: "started", REFUSED: "refused", UNKNOWN: "unknown", SENT: "unknown", PLANNED: "planned"}
    counts = {"planned": 0, "started": 0, "refused": 0, "unknown": 0}
    listed = []
    with opened(options) as app:
        for write in Ledger(app.store, app.portal, WHAT, app.clock).in_state(*told):
            counts[told[write.state]] += 1
            if write.state in (REFUSED, UNKNOWN, SENT):
                reason = write.message or "sent by a process that runs still or died"
                listed.append({"start": write.key, "state": told[write.state], "reason": reason})
    if as_json:
        print_json({**counts, "listed": listed})
        return
    click.echo(f"Workflows: {_words(counts)}")
    for row in listed[:50]:
        click.echo(f"  {row['start']}: {row['state']}: {row['reason']}")
