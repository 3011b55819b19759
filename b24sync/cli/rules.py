"""`b24sync rules list | check | test | explain`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from b24sync.cli.wiring import App, number, opened, print_json
from b24sync.errors import ConfigError

if TYPE_CHECKING:
    from b24sync.automation.explain import Explanation
    from b24sync.automation.portal_rules import PortalRules
    from b24sync.automation.rulebook import Rule, RuleBook


@click.group("rules", short_help="Business processes that react to the portal.")
def command() -> None:
    """Rule files: which there are, whether they fit the portal, what they would do, what they did and why."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
def list_rules(options: dict[str, Any], as_json: bool) -> None:
    """Show every rule file, whether it is switched on, and what it waits for. Asks the portal nothing.

    Example: b24sync rules list
    """
    from b24sync.automation.rulebook import load_rules
    from b24sync.config import load_config

    book = load_rules(load_config(Path(options["config"])))
    if as_json:
        print_json([_row(rule) for rule in book.rules])
        return
    for rule in book.rules:
        state = "off" if not rule.enabled else "broken" if rule.problems else "on"
        waits = ", ".join(str(handler.trigger) for handler in rule.process.handlers)
        click.echo(f"{rule.name:<20} {state:<6} {rule.process.entity:<8} {waits}")
    for complaint in book.complaints():
        click.echo(f"  ! {complaint}")


def _row(rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "file": str(rule.path),
        "entity": rule.process.entity,
        "enabled": rule.enabled,
        "waits_for": [str(handler.trigger) for handler in rule.process.handlers],
        "problems": list(rule.problems),
    }


@command.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def check(options: dict[str, Any], as_json: bool) -> None:
    """Load every rule file and resolve its parameters against the portal; every mistake at once.

    Example: b24sync rules check
    """
    with opened(options) as app:
        book = _resolved(app)
    complaints = book.complaints()
    names = [rule.name for rule in book.running()]
    if as_json:
        print_json({"running": names, "problems": complaints})
    if complaints:
        raise ConfigError("Some rules do not run:", complaints)
    if not as_json:
        click.echo(f"{len(names)} rules fit the portal: {', '.join(names)}" if names else "No rule is switched on.")


@command.command("test")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--event", "event_text", required=True, help="A file with an event, or NAME:ID.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
def test(options: dict[str, Any], file: Path, event_text: str, as_json: bool) -> None:
    """Say what a rule file would write for an event, and write nothing. Point the configuration at a sandbox.

    Example: b24sync rules test rules/first_call.py --event ONCRMDEALUPDATE:1
    """
    from b24sync.automation.portals import resolve_rules
    from b24sync.automation.rehearse import read_event, rehearse
    from b24sync.automation.rulebook import load_one

    event = read_event(event_text)
    with opened(options) as app:
        book = resolve_rules(app.client, load_one(app.config, file))
        if book.complaints():
            raise ConfigError(f"{file} does not run:", book.complaints())
        site = _rules(app).site(book)
        found = list(rehearse(site, app.client, book, event))
    if as_json:
        print_json([{"handler": name, "why": why, "writes": told} for name, why, told in found])
        return
    for name, why, told in found:
        click.echo(f"{name}: {why}")
        for line in told:
            click.echo(f"  would write: {line}")


@command.command("explain")
@click.argument("entity")
@click.argument("item_id", type=number)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def explain(options: dict[str, Any], entity: str, item_id: int, as_json: bool) -> None:
    """Tell what came about an item, what it started and what not and why, and what was written.

    Example: b24sync rules explain deal 123
    """
    from b24sync.automation.explain import explain as explain_item
    from b24sync.automation.portals import type_id_of

    if type_id_of(entity) is None:
        raise click.UsageError(f"{entity!r} is no kind of item: deal, lead, contact, company or item:<entityTypeId>")
    with opened(options) as app:
        told = explain_item(app.store, app.portal, _resolved(app), entity, item_id)
        zone = app.portal_config.zone
    if as_json:
        print_json(told.as_json())
        return
    for line in _lines(told, zone):
        click.echo(line)


def _lines(told: Explanation, zone: ZoneInfo) -> list[str]:
    if told.snapshot is None and not told.events and not told.causes:
        return [f"Nothing is known of {told.entity} {told.entity_id}: nothing came about it since rules watch."]
    lines = [f"{told.entity} {told.entity_id}"]
    for at, event, state, folded in told.events:
        times = f" ({folded} times)" if folded > 1 else ""
        lines.append(f"{_time(at, zone)}  came: {event}{times}, {state}")
    for cause in told.causes:
        lines.append(f"{_time(cause.at, zone)}  {cause.cause}, seen by {cause.source}")
        for handler, state, message in cause.started:
            lines.append(f"    started {handler}: {state}" + (f": {message}" if message else ""))
        lines += [f"    wrote: {text}" for text in cause.written]
        lines += [f"    not {handler}: {why}" for handler, why in cause.not_started]
    return lines


def _time(at: float, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S")


def _resolved(app: App) -> RuleBook:
    return _rules(app).book()


def _rules(app: App) -> PortalRules:
    from b24sync.automation.portal_rules import PortalRules

    zone = app.portal_config.zone
    return PortalRules(lambda: app.client, app.store, app.portal, app.clock, app.config, zone)
