"""`b24sync import ...`: run, list, show, report, rows, undo."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from b24sync.cli.progress import progress_line
from b24sync.cli.wiring import App, confirm, iso, number, opened, print_json, say
from b24sync.errors import B24SyncError, NeedsConfirmation, PortalBlocked, RetryLater

if TYPE_CHECKING:
    from b24sync.importing.choosing import ChosenSource
    from b24sync.importing.job import ImportJob, Plan
    from b24sync.store.runs import Run

REFUSED_EXIT = 3
UNKNOWN_EXIT = 75

MOST_REASONS = 50
FATES = ("created", "updated", "skipped", "refused", "unknown", "not_sent")


@click.group("import", short_help="Spreadsheets into the portal.")
def command() -> None:
    """Bring deals, companies and contacts from a spreadsheet into the portal."""


@command.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--importer", "importer_name", help="Which importer; found out from the file, if not said.")
@click.option("--mapping", "mapping_path", type=click.Path(path_type=Path), help="What columns become.")
@click.option("--sheet", help="Which sheet of a workbook (the first, if not said).")
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
@click.option("--strict", is_flag=True, help="Stop before the first write if any row would be refused.")
@click.option("--yes", is_flag=True, help="Do not ask before writing.")
@click.option("--workflows", is_flag=True, help="Then start the workflows of [[workflows.start]] for these deals.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.pass_context
def run(
    ctx: click.Context,
    file: Path,
    importer_name: str | None,
    mapping_path: Path | None,
    sheet: str | None,
    dry_run: bool,
    strict: bool,
    yes: bool,
    workflows: bool,
    as_json: bool,
) -> None:
    """Import FILE. Run the same command again after an interruption: it goes on where it stood.

    Example: b24sync import run deals.xlsx --mapping deals.toml --dry-run
    """
    from b24sync.importing.job import ImportJob, Settings

    if importer_name and mapping_path:
        raise click.UsageError("Say --importer or --mapping, not both.")
    with opened(ctx.obj) as app, _source(app, file, importer_name, mapping_path, sheet) as chosen:
        imports = app.config.imports
        mapping = chosen.mapping
        if workflows and mapping.entity != "deal":
            raise click.UsageError(f"--workflows starts workflows of deals; this file holds {mapping.entity}.")
        if workflows:
            from b24sync.cli.workflows import check_configured

            check_configured(app)
        settings = Settings(imports.way, imports.history, imports.history_fallback, imports.conflict)
        zone = app.portal_config.zone
        job = ImportJob(app.client, app.store, app.portal, app.clock, mapping, settings, zone, chosen.importer)
        plan = job.prepare(chosen.source)
        _show_plan(plan, file, mapping.entity)
        if plan.too_old and not plan.resumed:
            fate = "their creation time goes to the fallback field"
            if job.history.fallback is None:
                fate = "the portal refuses such times; see [import] history_fallback and history"
            say(f"  {plan.too_old} are older than the newest {mapping.entity} there: {fate}")
        for title in chosen.left_over:
            say(f'  column "{title}" is not imported: the portal has no field of that name')
        if dry_run:
            if plan.change_share > app.config.imports.max_change_share:
                say(f"  {_share(plan)}: more than max_change_share allows without a question")
            job.forget()
            _finish(ctx, _result(job, plan, dry_run=True), as_json=as_json)
            return
        if strict and (plan.refuse or chosen.left_over):
            lost = f" and {len(chosen.left_over)} columns left out" if chosen.left_over else ""
            say(f"b24sync: --strict: {plan.refuse} of {plan.rows} rows would be refused{lost}; nothing was written.")
            job.forget()
            _finish(ctx, _result(job, plan, dry_run=True), as_json=as_json, code=REFUSED_EXIT)
            return
        _stop_large_change(job, plan, app.config.imports.max_change_share)
        if to_write := plan.left + plan.incomplete:
            _confirmed(job, f"Write {to_write} {mapping.entity} rows to the portal?", yes=yes)
        code = _apply(app, job, plan)
        if workflows:
            code = _start_workflows(app, job.run.id, code)
        _finish(ctx, _result(job, plan), as_json=as_json, code=code)


@contextmanager
def _source(
    app: App, file: Path, importer: str | None, mapping: Path | None, sheet: str | None
) -> Iterator[ChosenSource]:
    """The opened file with the importer that was named, or that knows it."""
    from b24sync.importing.choosing import choose

    folders = [app.config.resolve(path) for path in app.config.paths.importers]
    with choose(app.client, folders, file, importer=importer, mapping=mapping, sheet=sheet) as chosen:
        for problem in chosen.problems:
            say(f"b24sync: {problem}")
        yield chosen


def _show_plan(plan: Plan, file: Path, entity: str) -> None:
    if plan.resumed:
        say(f"This file was interrupted before: going on; {plan.written_before} rows are written already.")
    told = [f"{plan.create} to create", f"{plan.skip} there", f"{plan.refuse} refused"]
    if plan.update:
        told.insert(1, f"{plan.update} to update")
    say(f"{file.name}: {plan.rows} rows -> {entity}: {', '.join(told)}")
    if plan.changes:
        say(f"  changes: {', '.join(f'{name} {count}' for name, count in plan.changes.items())}")
    for name, count in (("companies", plan.companies_to_create), ("contacts", plan.contacts_to_create)):
        if count:
            say(f"  {count} {name} to create because rows name them")
    if plan.incomplete:
        say(f"  {plan.incomplete} of those there lack product rows or addresses that were refused before: tried again")
    if plan.duplicates:
        say(f"  the portal holds {plan.duplicates} duplicates of this file's keys; the lowest id counts")
    for told_line in (*plan.doubts, *plan.problems):
        say(f"  {told_line}")


def _stop_large_change(job: ImportJob, plan: Plan, most: float) -> None:
    """A plan that changes much of what is there is more often a wrong file than an intention: `--yes` is no answer."""
    if plan.change_share <= most:
        return
    share, limit = _share(plan), f"more than [import] max_change_share = {most:g}"
    if sys.stdin.isatty():
        _confirmed(job, f"{share}, {limit}. Change them all the same?", yes=False)
        return
    job.forget()
    raise NeedsConfirmation(
        f"Stopped, nothing was written: {share}, {limit}. Look at them with --dry-run; if it is meant, raise "
        "max_change_share in the configuration, or answer on a terminal. --yes alone does not allow it."
    )


def _share(plan: Plan) -> str:
    return f"{plan.update} of {plan.known} existing items would change ({plan.change_share:.0%})"


def _confirmed(job: ImportJob, question: str, *, yes: bool) -> None:
    try:
        confirm(question, yes=yes)
    except BaseException:
        job.forget()
        raise


def _apply(app: App, job: ImportJob, plan: Plan) -> int:
    """Write, with a progress line; the exit code. Errors that leave a resumable run are told and counted."""
    try:
        with progress_line(f"{job.run.entity} rows", plan.left, app.gate.limits) as advance:
            result = job.apply(advance)
    except (RetryLater, PortalBlocked) as error:
        say(f"b24sync: {error}")
        return error.exit_code
    if result.stopped:
        say(f"b24sync: {result.stopped}")
    if job.history.refused:
        kept = f"; the creation time stands in {job.history.fallback}"
        say(f"b24sync: {job.history.refused} rows without their times and authors, which the portal refused{kept}")
    elif job.refused_for_history():
        say(
            "b24sync: the portal takes creation times only in ascending order and not older than its newest item, and "
            "times and authors only from administrators: [import] history_fallback keeps them in a field, history = "
            "false leaves them out."
        )
    if result.rows_refused:
        say(
            f"b24sync: the portal refused the product rows of {result.rows_refused} items; the items are there. "
            "The reasons stand in `b24sync import report`; mend the cause and run the same command again."
        )
    if result.addresses_refused:
        say(f"b24sync: the portal refused the addresses of {len(result.addresses_refused)} items; the items are there.")
    for item_id, said in list(result.addresses_refused.items())[:20]:
        say(f"b24sync: address of {job.run.entity} {item_id}: {said}")
    for key, ids in list(result.duplicates.items())[:20]:
        say(f"b24sync: key {key} stands {len(ids)} times in the portal (ids {', '.join(map(str, ids))})")
    counts, left_out = job.counts(), result.rows_refused or result.addresses_refused
    if counts.get("unknown") or (counts.get("not_sent") and not result.stopped):
        return UNKNOWN_EXIT
    return REFUSED_EXIT if counts.get("refused") or counts.get("not_sent") or left_out else 0


def _start_workflows(app: App, run_id: int, code: int) -> int:
    """Behind an import that ended with `code`; the exit code of both. What is written is told whatever happens here."""
    from b24sync.cli.workflows import start_for_run

    if code not in (0, REFUSED_EXIT):
        say("b24sync: no workflows are started: rows are left. Run the same command again.")
        return code
    try:
        return max(code, start_for_run(app, run_id, say_result=True))
    except B24SyncError as error:
        say(f"b24sync: the rows are written, their workflows are not all started: {error}")
        say(f"b24sync: then run: b24sync workflows start --run {run_id}")
        return error.exit_code


def _result(job: ImportJob, plan: Plan, *, dry_run: bool = False) -> dict[str, Any]:
    """The object of `import run --json` (design 10)."""
    planned = plan.create + plan.update
    counts = {"skipped": plan.skip, "refused": plan.refuse, "not_sent": planned} if dry_run else job.counts()
    return {
        "run": None if dry_run else job.run.id,
        "entity": job.run.entity,
        "rows": plan.rows,
        "planned": planned,
        **{fate: counts.get(fate, 0) for fate in FATES},
    }


def _finish(ctx: click.Context, result: dict[str, Any], *, as_json: bool, code: int = 0) -> None:
    if as_json:
        print_json(result)
    else:
        told = ", ".join(f"{result[fate]} {fate.replace('_', ' ')}" for fate in FATES if result[fate])
        said = f"Run {result['run']}" if result["run"] else "Dry run"
        click.echo(f"{said}: {result['rows']} rows: {told or 'nothing to do'}")
    ctx.exit(code)


@command.command("template")
@click.argument("entity")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def template(options: dict[str, Any], entity: str, out: Path, as_json: bool) -> None:
    """Write a workbook to be filled in for ENTITY (deal, lead, contact, company, item:177) to OUT.xlsx.

    Example: b24sync import template deal deals.xlsx
    """
    from b24sync.importing.fields import entity_type_id
    from b24sync.importing.template import Template, write_template
    from b24sync.portal.directory import read_directory

    if out.suffix.lower() != ".xlsx":
        raise click.UsageError("OUT must end with .xlsx")
    number = entity_type_id(entity)
    if number is None:
        raise click.UsageError(f"ENTITY is deal, lead, contact, company or item:<entityTypeId>, not {entity}.")
    with opened(options) as app:
        directory = read_directory(app.client, number, currencies=True)
    made = Template(entity, directory, f"template-{uuid4().hex[:8]}")
    write_template(made, out)
    say(f"{out}: {len(made.columns) + 1} columns; fill it in and run: b24sync import run {out}")
    if as_json:
        print_json({"entity": entity, "file": str(out), "columns": len(made.columns) + 1})


@command.command("suggest")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--entity", help="What the rows are: deal, lead, contact, company, item:177; guessed, if not said.")
@click.option("--sheet", help="Which sheet of a workbook (the first, if not said).")
@click.pass_obj
def suggest(options: dict[str, Any], file: Path, entity: str | None, sheet: str | None) -> None:
    """Propose a mapping for FILE, guessed from titles and values; doubtful lines are marked with `# ?`.

    Example: b24sync import suggest deals.xlsx > deals.toml
    """
    from b24sync.importing.fields import entity_type_id
    from b24sync.importing.source import open_source, refuse_heading
    from b24sync.importing.suggest import Suggestion
    from b24sync.portal.directory import read_directory

    number = entity_type_id(entity) if entity else None
    if entity and number is None:
        raise click.UsageError(f"--entity is deal, lead, contact, company or item:<entityTypeId>, not {entity}.")
    with open_source(file, sheet=sheet) as source:
        refuse_heading(source)
        suggestion = Suggestion(source, entity=entity)
        if Path(options["config"]).exists():
            with opened(options) as app:
                number = number or entity_type_id(suggestion.entity)
                directory = read_directory(app.client, number or 0)
            suggestion = Suggestion(source, directory, suggestion.entity, entity_guessed=entity is None)
        else:
            say(f"There is no {options['config']}: the portal's stages, people and fields could not be compared.")
        for line in suggestion.lines(file.name):
            click.echo(line)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.pass_obj
def list_runs(options: dict[str, Any], as_json: bool) -> None:
    """List the runs, newest first.

    Example: b24sync import list
    """
    from b24sync.store.runs import Runs

    with opened(options) as app:
        runs = Runs(app.store, app.portal, app.clock)
        found = [_run_object(runs, run) for run in runs.all()]
    if as_json:
        print_json(found)
        return
    for row in found:
        told = ", ".join(f"{row[fate]} {fate}" for fate in FATES if row[fate])
        click.echo(f"{row['run']:>5}  {row['started_at']}  {row['entity']:<8} {row['state']:<12} {row['file']}  {told}")
    if not found:
        click.echo("No runs yet.")


@command.command("show")
@click.argument("run_id", metavar="RUN", type=number)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def show(options: dict[str, Any], run_id: int, as_json: bool) -> None:
    """Show one run: counts, and the reasons of what was refused.

    Example: b24sync import show 1
    """
    from b24sync.store.runs import Runs

    with opened(options) as app:
        runs = Runs(app.store, app.portal, app.clock)
        found = _found(runs, run_id)
        shown = _run_object(runs, found)
        reasons: dict[str, int] = {}
        for fate in runs.fates(run_id, found.what):
            if fate.state in ("refused", "unknown"):
                reason = f"{fate.state}: {fate.code or ''} {fate.message or ''}".strip()
                reasons[reason] = reasons.get(reason, 0) + 1
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    if as_json:
        print_json({**shown, "reasons": [{"reason": text, "rows": count} for text, count in ordered]})
        return
    for name, value in shown.items():
        click.echo(f"{name:<12} {value}")
    for text, count in ordered[:30]:
        click.echo(f"{count:>7} x {text}")


@command.command("report")
@click.argument("run_id", metavar="RUN", type=number)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def report(options: dict[str, Any], run_id: int, out: Path, as_json: bool) -> None:
    """Write every row's fate to OUT (.csv, or .xlsx for people): line, key, state, portal_id, code, message.

    Example: b24sync import report 1 fates.csv
    """
    from b24sync.importing.excerpt import written
    from b24sync.store.runs import Runs

    with opened(options) as app:
        runs = Runs(app.store, app.portal, app.clock)
        found = _found(runs, run_id)
        rows = (
            (fate.line, fate.key, fate.state, fate.portal_id, fate.code, fate.message)
            for fate in runs.fates(run_id, found.what)
        )
        with written(out):
            count = _writer_for(out)(out, rows)
    _tell_written(run_id, out, count, as_json=as_json)


REPORT_COLUMNS = ("line", "key", "state", "portal_id", "code", "message")


def _writer_for(out: Path) -> Callable[[Path, Any], int]:
    return _write_xlsx if out.suffix.lower() == ".xlsx" else _write_csv


def _write_csv(out: Path, rows: Any) -> int:
    count = 0
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(REPORT_COLUMNS)
        for row in rows:
            writer.writerow(["" if cell is None else cell for cell in row])
            count += 1
    return count


def _write_xlsx(out: Path, rows: Any) -> int:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(REPORT_COLUMNS)).astype({"key": "string", "portal_id": "string"})
    with pd.ExcelWriter(out, engine="xlsxwriter", engine_kwargs={"options": {"strings_to_urls": False}}) as book:
        frame.to_excel(book, sheet_name="rows", index=False, freeze_panes=(1, 0))
        frame.groupby(["state", "code"], dropna=False).size().rename("rows").reset_index().to_excel(
            book, sheet_name="totals", index=False
        )
    return len(frame)


def _tell_written(run_id: int, out: Path, count: int, *, as_json: bool) -> None:
    say(f"{out}: {count} rows")
    if as_json:
        print_json({"run": run_id, "file": str(out), "rows": count})


def _found(runs: Any, run_id: int) -> Run:
    found: Run | None = runs.find(run_id)
    if found is None:
        raise click.UsageError(f"There is no run {run_id} of this portal; b24sync import list shows them.")
    return found


def _run_object(runs: Any, run: Run) -> dict[str, Any]:
    counts = runs.counts(run.id, run.what)
    return {
        "run": run.id,
        "file": run.file,
        "entity": run.entity,
        "state": runs.told_state(run),
        "rows": sum(counts.values()),
        **{fate: counts.get(fate, 0) for fate in FATES},
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "message": run.message,
    }


@command.command("rows")
@click.argument("run_id", metavar="RUN", type=number)
@click.option("--state", required=True, type=click.Choice(FATES), help="Rows of which fate.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Where to (.csv or .xlsx).")
@click.option("--sheet", help="Which sheet of a workbook, if the import said so too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def rows(options: dict[str, Any], run_id: int, state: str, out: Path, sheet: str | None, as_json: bool) -> None:
    """Write the rows of one fate as they stand in the file of the run: mend them, import them with the same mapping.

    Example: b24sync import rows 1 --state refused --out fix.csv
    """
    from b24sync.importing.excerpt import excerpt, file_of_run, write_excerpt, written
    from b24sync.store.runs import Runs

    with opened(options) as app:
        runs = Runs(app.store, app.portal, app.clock)
        found = _found(runs, run_id)
        fates = list(runs.fates(run_id, found.what))
    wanted = {fate.line: fate.message or "" for fate in fates if fate.state == state}
    with file_of_run(Path(found.file), found.fingerprint, sheet=sheet) as source:
        separator = getattr(source, "separator", ",")
        taken = excerpt(source, [fate.line for fate in fates], wanted)
        with written(out):
            count = write_excerpt(out, source.header, separator, _told(taken, out, found.file))
    _tell_written(run_id, out, count, as_json=as_json)


def _told(taken: Iterator[tuple[int, str, list[str]]], out: Path, file: str) -> Iterator[tuple[int, str, list[str]]]:
    """The same rows; the reasons of the first ones are said."""
    for place, (line, reason, cells) in enumerate(taken, start=1):
        if place <= MOST_REASONS:
            say(f"  row {place} of {out.name}, line {line} of {Path(file).name}: {reason}")
        yield line, reason, cells


@command.command("undo")
@click.argument("run_id", metavar="RUN", type=number)
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.pass_context
def undo(ctx: click.Context, run_id: int, yes: bool, as_json: bool) -> None:
    """Delete what a run created and nobody touched since; list the rest. Run it again after an interruption.

    Example: b24sync import undo 1
    """
    from b24sync.importing.undo import Undo
    from b24sync.store.runs import Runs

    with opened(ctx.obj) as app:
        job = Undo(app.client, app.store, app.portal, app.clock, _found(Runs(app.store, app.portal, app.clock), run_id))
        plan = job.plan()
        say(f"Run {run_id}: {plan.delete} of its {job.run.entity} items to delete, {len(plan.kept)} touched since stay")
        if plan.made_for_it:
            say(f"  {plan.made_for_it} companies and contacts made for it: deleted where nothing else names them")
        if plan.updated:
            say(f"  {plan.updated} rows updated items that were there before: an update is not undone")
        if plan.delete or plan.made_for_it:
            confirm(f"Delete what run {run_id} created?", yes=yes)
        code = 0
        try:
            with progress_line("deletions", plan.delete + plan.made_for_it, app.gate.limits) as advance:
                job.apply(advance)
        except (RetryLater, PortalBlocked) as error:
            say(f"b24sync: {error}")
            code = error.exit_code
    result = job.result
    for kept in result.kept:
        say(f"  kept: {kept.entity} {kept.item_id} (key {kept.key}): {kept.reason}")
    counts = {"deleted": result.deleted, "gone": result.gone, "kept": len(result.kept)}
    counts |= {"refused": result.refused, "unknown": result.unknown}
    if as_json:
        print_json({"run": run_id, **counts})
    else:
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        click.echo(f"Run {run_id}: {told or 'nothing to delete'}")
    ctx.exit(code or (UNKNOWN_EXIT if result.unknown else REFUSED_EXIT if result.kept else 0))
