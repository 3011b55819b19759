"""`b24sync report delays | responsible | stages`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from b24sync.cli.wiring import App, opened, say
from b24sync.errors import ConfigError, PortalBlocked, RetryLater

if TYPE_CHECKING:
    from b24sync.portal.directory import Directory
    from b24sync.reporting.lives import Scope
    from b24sync.reporting.tables import Report

FORMATS = ("table", "csv", "xlsx", "html", "json")

OPTIONS = (
    click.option("--from", "said_from", metavar="DATE", help="First day of the period."),
    click.option("--to", "said_to", metavar="DATE", help="Last day of the period."),
    click.option("--as-of", "said_as_of", metavar="DATE", help="Count days up to this date; now, if not said."),
    click.option("--pipeline", "pipelines", multiple=True, help="Stages of this pipeline (name or id); repeatable."),
    click.option("--responsible", "people", multiple=True, help="Deals of this user (e-mail, id, name); repeatable."),
    click.option("--company", "companies", multiple=True, help="Deals of this company (id or title); repeatable."),
    click.option("--filter", "conditions", multiple=True, help='Any field: "opportunity>=100000"; repeatable.'),
    click.option("--format", "form", type=click.Choice(FORMATS), help="By --out's suffix if not said, else a table."),
    click.option("--out", type=click.Path(path_type=Path), help="Write to this file; .xlsx needs one."),
    click.option("--lang", "language", type=click.Choice(("ru", "en")), help="[reports] language if not said."),
    click.option("--offline", is_flag=True, help="Do not ask the portal what is new."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON list as the last line."),
)


@click.group("report", short_help="Delays, work of the responsible, stages.")
def command() -> None:
    """Report on deals by their stage timelines: as a table, CSV, XLSX, HTML or JSON."""


def _report(name: str, text: str) -> None:
    def run(options: dict[str, Any], /, **said: Any) -> None:
        _run(name, options, **said)

    run.__doc__ = f"{text}\n\n    Example: b24sync report {name} --from 2026-01-01 --out {name}.xlsx\n    "
    decorated: Callable[..., Any] = click.pass_obj(run)
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    command.command(name)(decorated)


_report("delays", "Every stay of a deal in a stage against its norm, the worst first.")
_report("responsible", "Deals, amounts, won and lost, time in work and overdue deals of each responsible person.")
_report("stages", "Entered, left, standing, conversion and times of each stage.")


def _run(
    name: str,
    options: dict[str, Any],
    *,
    said_from: str | None,
    said_to: str | None,
    said_as_of: str | None,
    pipelines: tuple[str, ...],
    people: tuple[str, ...],
    companies: tuple[str, ...],
    conditions: tuple[str, ...],
    form: str | None,
    out: Path | None,
    language: str | None,
    offline: bool,
    as_json: bool,
) -> None:
    form = form or _form_of(out, as_json=as_json)
    if form == "xlsx" and out is None:
        raise click.UsageError("--format xlsx needs --out FILE")
    if offline and conditions:
        raise click.UsageError("--filter asks the portal: it does not go with --offline")
    import gc

    from b24sync.reporting.lives import Scope
    from b24sync.reporting.sources import as_of_moment, period

    # Hundreds of thousands of rows, none of them in a cycle: looking for cycles is a third of the time.
    gc.disable()
    with opened(options) as app:
        zone = app.portal_config.zone
        now = app.clock.wall_s()
        as_of = as_of_moment(said_as_of, zone, now)
        start, end = period(said_from, said_to, zone, now)
        live = None if offline else _refreshed(app)
        scope = _chosen(app, Scope(as_of, start, end), pipelines, people, companies)
        if conditions:
            scope = _filtered(app, scope, conditions, live)
        language = language or app.config.reports.language
        report = made(app, name, scope, language)
    if out is not None:
        from b24sync.reporting.rendering.files import write_file

        write_file(report, out, form, language)
        say(f"{len(report.main.rows)} rows written to {out}")
    if as_json or out is None:
        _print(report, form, language, as_json=as_json)


def _form_of(out: Path | None, *, as_json: bool) -> str:
    suffix = out.suffix.lower().removeprefix(".") if out else ""
    if suffix in FORMATS:
        return suffix
    return "json" if as_json else "table"


def made(app: App, name: str, scope: Scope, language: str) -> Report:
    """A report out of the local tables; norms that mean nothing are told."""
    from b24sync.reporting.sources import local_report

    notes: list[str] = []
    report = local_report(app.config, app.store, app.portal, name, scope, language, notes)
    for note in notes:
        say(f"b24sync: {note}")
    return report


def _refreshed(app: App) -> Directory | None:
    """Bring the local tables up to date; what the portal's directory says. None where the portal is away."""
    from b24sync.reporting.sources import directory_with_users, refresher_of

    notes: list[str] = []
    try:
        directory = directory_with_users(app.client, notes)
        refresher_of(app.client, app.store, app.portal, app.clock, app.config, directory).changes()
    except (RetryLater, PortalBlocked) as error:
        from b24sync.store.timelines import Timelines

        if not Timelines(app.store, app.portal).newest()[0]:
            raise
        say(f"b24sync: {error}")
        say("b24sync: the report tells what was known before.")
        return None
    for note in notes:
        say(f"b24sync: {note}")
    return directory


def _chosen(
    app: App, scope: Scope, pipelines: tuple[str, ...], people: tuple[str, ...], companies: tuple[str, ...]
) -> Scope:
    """The scope narrowed by names, as the portal knew them last."""
    from dataclasses import replace

    from b24sync.reporting.sources import chosen_companies, chosen_pipeline, chosen_users, directory_of
    from b24sync.store.names import read_names

    known = directory_of(read_names(app.store, app.portal))
    if pipelines:
        scope = replace(scope, pipelines=frozenset(chosen_pipeline(known, name) for name in pipelines))
    if people:
        scope = replace(scope, responsible=frozenset(one for name in people for one in chosen_users(known, name)))
    if companies:
        scope = replace(scope, companies=frozenset(chosen_companies(app.client, companies)))
    return scope


def _filtered(app: App, scope: Scope, conditions: tuple[str, ...], directory: Directory | None) -> Scope:
    """The scope narrowed to the deals that the portal finds. Cost: one request per 2,500 of them."""
    from dataclasses import replace

    from b24sync.portal.criteria import filter_of
    from b24sync.portal.items import DEAL, walk

    if directory is None:
        raise ConfigError("--filter asks the portal, which is away.", ["leave it out, or try again later"])
    found = walk(app.client, DEAL, filter_of(conditions, directory), ["id"])
    return replace(scope, deals=frozenset(int(row["id"]) for row in found))


def _print(report: Report, form: str, language: str, *, as_json: bool) -> None:
    """Onto standard output. Raises ConfigError where it takes no more: a file on a full disk."""
    from b24sync.reporting.rendering.html import html_of
    from b24sync.reporting.rendering.plain import write_csv, write_json
    from b24sync.reporting.rendering.terminal import write_table

    try:
        if as_json or form == "json":
            write_json(report, sys.stdout, one_line=as_json)
        elif form == "table":
            write_table(report, sys.stdout, language)
        elif form == "html":
            sys.stdout.write(html_of(report, language))
        else:
            write_csv(report, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # who reads has seen enough
    except OSError as error:
        raise ConfigError(f"The report cannot be written to standard output: {error.strerror}.") from None
