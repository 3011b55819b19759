"""`b24sync doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from b24sync.cli.wiring import App, opened, print_json, say, second_client
from b24sync.errors import (
    B24SyncError,
    ConfigError,
    OutcomeUnknown,
    PortalBlocked,
    PortalRefused,
    RetryLater,
    StoreError,
)

if TYPE_CHECKING:
    from b24sync.provisioning.findings import Finding
    from b24sync.provisioning.probe import Answer

PORTAL_ERRORS = (PortalBlocked, PortalRefused, RetryLater, OutcomeUnknown)
SIGNS = {"ok": "ok", "warning": "WARNING", "error": "ERROR", "not checked": "not checked", "to do": "to do"}


@click.command("doctor", short_help="Is everything there that the enabled features need?")
@click.option("--probe", is_flag=True, help="Also ask the portal what the documentation leaves open; undone again.")
@click.option("--report", type=click.Path(path_type=Path), help="Where its report goes; a dated file otherwise.")
@click.option("--roles", is_flag=True, help="How to set up a call centre's role; what [portal] role_webhook may do.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(options: dict[str, Any], probe: bool, report: Path | None, roles: bool, as_json: bool) -> int | None:
    """Look at the configuration, the store and the portal; each finding says what to do.

    Exit 0 without errors (warnings are none), 78 something is to be set right, 75 the portal does not answer,
    69 the portal blocks us.

    Example: b24sync doctor
    """
    from b24sync.provisioning.findings import exit_code_of

    shown = _Shown(as_json=as_json)
    try:
        with opened(options) as app:
            shown.portal = app.portal
            _examine(app, options, shown)
            if probe and not shown.stopped:
                _probe(app, shown, report)
            if roles:
                _roles(app, options, shown)
    except (ConfigError, StoreError) as cause:
        from b24sync.provisioning.doctor import failed_to_open

        shown.findings([failed_to_open(cause)])
    shown.end()
    return exit_code_of(shown.found) or None


class _Shown:
    """Findings as they come, or all of them at the end as JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.portal = ""
        self.found: list[Finding] = []
        self.answers: list[Answer] = []
        self.report: Path | None = None

    @property
    def stopped(self) -> bool:
        """Whether the portal could not be asked."""
        return any(finding.check == "portal" for finding in self.found)

    def findings(self, found: Iterable[Finding]) -> None:
        for finding in found:
            self.found.append(finding)
            if self.as_json:
                continue
            click.echo(f"{SIGNS[finding.state]:<11} {finding.check}: {finding.said}")
            if finding.todo:
                click.echo(f"{'':<11} -> {finding.todo}")

    def end(self) -> None:
        counts = {state: sum(finding.state == state for finding in self.found) for state in ("error", "warning")}
        if self.as_json:
            shape: dict[str, Any] = {
                "portal": self.portal,
                "errors": counts["error"],
                "warnings": counts["warning"],
                "findings": [finding.as_dict() for finding in self.found],
            }
            if self.answers:
                shape["probes"] = [answer.as_dict() for answer in self.answers]
                shape["report"] = str(self.report)
            print_json(shape)
        else:
            click.echo(f"{counts['error']} errors, {counts['warning']} warnings")


def _examine(app: App, options: dict[str, Any], shown: _Shown) -> None:
    from b24sync.provisioning.doctor import Patient, examine

    webhook = app.config.webhook_of(options["portal"])
    patient = Patient(app.config, app.portal, app.portal_config, webhook, app.store, app.clock, app.gate, app.client)
    shown.findings(examine(patient))
    if app.config.rules:
        shown.findings([_rule_files(app)])
    if app.portal_config.oauth is not None and not shown.stopped:
        shown.findings(_offline_events(app))


def _rule_files(app: App) -> Finding:
    """Whether the rule files load and know their tables; their names in the portal are for `rules check`."""
    from b24sync.automation.rulebook import load_rules
    from b24sync.provisioning.findings import error, ok

    book = load_rules(app.config)
    complaints = book.complaints()
    if complaints:
        return error("rules", "; ".join(complaints), "mend the rule file, or its table [rules.NAME]")
    return ok("rules", f"{', '.join(rule.name for rule in book.running()) or 'none'} would run")


def _offline_events(app: App) -> Iterator[Finding]:
    """How offline events stand. Cost: three requests."""
    from b24sync.automation.offline import ADMINISTRATOR, NOT_EXTENDED, events_of
    from b24sync.automation.rulebook import load_rules
    from b24sync.daemon.wiring import Daemon
    from b24sync.portal import offline_events as queue
    from b24sync.provisioning.findings import error, ok, warning
    from b24sync.store.app_grants import AppGrants
    from b24sync.transport.oauth import REINSTALL

    check = "offline events"
    if AppGrants(app.store, app.portal).get() is None:
        yield warning(check, "the application of [portal.oauth] is not installed", REINSTALL)
        return
    try:
        client = Daemon(app.config, {app.portal: app.portal_config}, app.store, app.clock).app_client(app.portal)
        standing = queue.look(client, "interactive")
        waiting, wrong = (queue.count(client, wrong=wrong) for wrong in (False, True))
    except PortalRefused as refused:
        yield error(check, str(refused), ADMINISTRATOR)
        return
    except (*PORTAL_ERRORS, ConfigError) as cause:
        yield _ended(check, cause, "check [portal.oauth] and the application's card in the portal")
        return
    lacking = sorted(set(events_of(load_rules(app.config))) - standing.bound)
    if wrong:
        todo = "the daemon's log has each of them as an error; sweeps find what they were about"
        yield warning(check, f"{wrong} could not be understood and are kept in the portal, marked as wrong", todo)
    if not standing.extended:
        yield warning(check, NOT_EXTENDED, "nothing, or a plan that has it")
    elif lacking:
        yield warning(
            check, f"not bound: {', '.join(lacking)}", "start `b24sync serve`: it binds them, or says why not"
        )
    else:
        yield ok(check, f"{len(standing.bound)} kinds bound, {waiting} wait in the portal")


def _ended(check: str, cause: B24SyncError, todo: str) -> Finding:
    """What ended a probe before its end."""
    from b24sync.provisioning.findings import error

    return error(check, str(cause), todo, cause.exit_code)


def _probe(app: App, shown: _Shown, report: Path | None) -> None:
    from b24sync.provisioning.probe import Probe, report_text

    try:
        for answer in Probe(app.client, app.store, app.portal, app.clock).run():
            shown.answers.append(answer)
            if not shown.as_json:
                click.echo(f"{answer.state:<11} {answer.question}: {answer.seen}")
    except PORTAL_ERRORS as cause:
        shown.findings([_ended("probe", cause, "run doctor again: it removes what the probe has left behind")])
    now = app.clock.wall_s()
    day = datetime.fromtimestamp(now, UTC).date().isoformat()
    path = report or Path(f"doctor-{app.portal}-{day}.md")
    text = report_text(shown.answers, portal=app.portal, host=app.client.host, at=now)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as cause:
        raise ConfigError(f"The report {path} cannot be written: {cause.strerror}.") from None
    shown.report = path
    say(f"The report is in {path}; keep it.")


def _roles(app: App, options: dict[str, Any], shown: _Shown) -> None:
    from b24sync.provisioning.findings import unchecked
    from b24sync.provisioning.roles import RoleProbe, checklist

    shown.findings(checklist())
    webhook = app.config.role_webhook_of(options["portal"])
    if webhook is None:
        todo = "make an incoming webhook as a user who has the role, and set [portal] role_webhook"
        shown.findings([unchecked("role: proof", "no webhook of such a user is configured", todo)])
        return
    if shown.stopped:
        return
    user = second_client(app, webhook)
    try:
        shown.findings(RoleProbe(app.client, user, app.store, app.portal, app.clock, app.gate).run())
    except PORTAL_ERRORS as cause:
        todo = "check both webhooks' rights and [portal] role_webhook, then run doctor --roles again"
        shown.findings([_ended("role: proof", cause, todo)])
