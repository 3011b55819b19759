"""`b24sync portal plan | apply | drift | pull`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from b24sync.cli.wiring import App, confirm, opened, print_json, say
from b24sync.errors import ConfigError

if TYPE_CHECKING:
    from b24sync.provisioning.apply import Provisioner
    from b24sync.provisioning.plan import StructurePlan

SOME_REFUSED = 3
DRIFTED = 3

BLUEPRINT = click.option(
    "--blueprint", "blueprint_path", type=click.Path(path_type=Path), help="Instead of [paths] blueprint."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("portal", short_help="Fields, pipelines and stages as code.")
def command() -> None:
    """Make the portal have the fields, pipelines, stages and smart processes of a blueprint."""


@command.command("plan")
@BLUEPRINT
@JSON
@click.pass_obj
def plan(options: dict[str, Any], blueprint_path: Path | None, as_json: bool) -> None:
    """Show what the portal lacks, what changed, and what --destroy would delete. Writes nothing.

    Example: b24sync portal plan --blueprint examples/school_x_crm/blueprint.toml
    """
    with opened(options) as app:
        found = _provisioner(app, blueprint_path).plan()
    if as_json:
        print_json(found.as_dict())
    else:
        _show(found, destroy=False)


@command.command("apply")
@BLUEPRINT
@click.option("--yes", is_flag=True, help="Do not ask before writing.")
@click.option("--destroy", is_flag=True, help="Also delete what b24sync made and the blueprint no longer names.")
@JSON
@click.pass_obj
def apply(options: dict[str, Any], blueprint_path: Path | None, yes: bool, destroy: bool, as_json: bool) -> int | None:
    """Make what the portal lacks. Run it again at any time: what is there stays.

    Example: b24sync portal apply --blueprint examples/school_x_crm/blueprint.toml --yes
    """
    with opened(options) as app:
        provisioner = _provisioner(app, blueprint_path)
        found = provisioner.plan()
        if as_json:
            print_json(found.as_dict())
        else:
            _show(found, destroy=destroy)
        deletes = destroy and bool(found.deletes)
        if found.empty and not deletes and not found.conflicts:
            return None
        if not found.conflicts:
            confirm(f"Make this in the portal{' and DELETE what is named' if deletes else ''}?", yes=yes)
        refused = provisioner.apply(found, say, destroy=destroy)
        left = provisioner.plan()
    if left.makes:
        raise ConfigError("The portal still lacks:", [step.line for step in left.makes])
    not_taken = [f"the portal did not take: {line}" for line in left.lines()]
    for line in (*not_taken, *(f"not deleted: {line}" for line in refused)):
        say(line)
    return SOME_REFUSED if not_taken or refused else None


@command.command("drift")
@BLUEPRINT
@JSON
@click.pass_obj
def drift(options: dict[str, Any], blueprint_path: Path | None, as_json: bool) -> int | None:
    """Show where the portal and the blueprint have come apart, and by whose hand. Writes nothing; exit 3 on drift.

    Example: b24sync portal drift --blueprint examples/school_x_crm/blueprint.toml
    """
    from b24sync.provisioning.drift import drift_of

    with opened(options) as app:
        provisioner = _provisioner(app, blueprint_path)
        made_before = provisioner.made()
        found = drift_of(provisioner.plan(), made_before)
    if as_json:
        print_json({"drift": [{"kind": kind, "what": what} for kind, what in found]})
    else:
        for kind, what in found:
            click.echo(f"{kind}: {what}")
        if not found:
            click.echo("The portal is as the blueprint says.")
    return DRIFTED if found else None


@command.command("pull")
@click.option("--out", "out", type=click.Path(path_type=Path), help="The file to write; standard output where absent.")
@click.option("--yes", is_flag=True, help="Overwrite a file that exists without asking.")
@click.pass_obj
def pull(options: dict[str, Any], out: Path | None, yes: bool) -> None:
    """Write the portal's structure as a blueprint. `portal plan` with it finds nothing to do on the same portal.

    Example: b24sync portal pull --out blueprint.toml
    """
    from b24sync.errors import PortalRefused
    from b24sync.provisioning.pull import blueprint_text, read_all

    if out is not None and out.exists():
        confirm(f"{out} exists. Overwrite it?", yes=yes)
    with opened(options) as app:
        try:
            present = read_all(app.client)
        except PortalRefused as error:
            say(f"Without smart processes: {error}")
            present = read_all(app.client, smart_processes=False)
        text = blueprint_text(present, portal=app.portal)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}.") from None
    fields = sum(len(entity.fields) for entity in present.entities.values())
    pipelines = sum(len(entity.pipelines) for entity in present.entities.values())
    say(f"{out}: {len(present.types)} smart processes, {pipelines} pipelines, {fields} user fields")


def _provisioner(app: App, path: Path | None) -> Provisioner:
    from b24sync.provisioning.apply import Provisioner
    from b24sync.provisioning.blueprint import Blueprint, load_blueprint
    from b24sync.provisioning.features import feature_fields, labelled_fields

    configured = app.config.paths.blueprint
    chosen = path or (app.config.resolve(configured) if configured else None)
    needed, labelled = feature_fields(app.config), labelled_fields(app.config)
    if chosen is None and not needed and not labelled:
        raise ConfigError("No blueprint is named.", ["give --blueprint FILE, or set [paths] blueprint"])
    blueprint = load_blueprint(chosen) if chosen else Blueprint()
    return Provisioner(app.client, app.store, app.portal, app.clock, blueprint.with_fields(needed), labelled)


def _show(found: StructurePlan, *, destroy: bool) -> None:
    for line in found.lines():
        click.echo(line)
    for step in found.deletes:
        click.echo(f"{step.line}" if destroy else f"no longer in the blueprint (apply --destroy): {step.line}")
    for line in found.left_alone:
        click.echo(f"left alone, not made by b24sync: {line}")
    for line in found.conflicts:
        click.echo(f"conflict: {line}")
    if found.empty and not found.conflicts and not (destroy and found.deletes):
        click.echo("The portal has everything of the blueprint.")
