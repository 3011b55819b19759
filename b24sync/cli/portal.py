"""`b24sync portal plan | apply`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from b24sync.cli.wiring import App, confirm, opened, print_json, say
from b24sync.errors import ConfigError

if TYPE_CHECKING:
    from b24sync.provisioning.apply import Provisioner, StructurePlan

BLUEPRINT = click.option(
    "--blueprint", "blueprint_path", type=click.Path(path_type=Path), help="Instead of [paths] blueprint."
)


@click.group("portal", short_help="Fields, pipelines and stages as code.")
def command() -> None:
    """Make the portal have the fields, pipelines and stages of a blueprint."""


@command.command("plan")
@BLUEPRINT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def plan(options: dict[str, Any], blueprint_path: Path | None, as_json: bool) -> None:
    """Show what the portal lacks. Writes nothing.

    Example: b24sync portal plan --blueprint examples/school_x_crm/blueprint.toml
    """
    with opened(options) as app:
        found = _provisioner(app, blueprint_path).plan()
    _show(found, as_json=as_json)


@command.command("apply")
@BLUEPRINT
@click.option("--yes", is_flag=True, help="Do not ask before writing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def apply(options: dict[str, Any], blueprint_path: Path | None, yes: bool, as_json: bool) -> None:
    """Make what the portal lacks. Run it again at any time: what is there stays.

    Example: b24sync portal apply --blueprint examples/school_x_crm/blueprint.toml --yes
    """
    with opened(options) as app:
        provisioner = _provisioner(app, blueprint_path)
        found = provisioner.plan()
        _show(found, as_json=as_json)
        if found.empty and not found.conflicts:
            return
        if not found.conflicts:
            confirm("Make this in the portal?", yes=yes)
        provisioner.apply(found, say)
        left = provisioner.plan()
    if not left.empty:
        raise ConfigError("The portal still lacks:", left.lines())


def _provisioner(app: App, path: Path | None) -> Provisioner:
    from b24sync.provisioning.apply import Provisioner
    from b24sync.provisioning.blueprint import load_blueprint

    configured = app.config.paths.blueprint
    chosen = path or (app.config.resolve(configured) if configured else None)
    if chosen is None:
        raise ConfigError("No blueprint is named.", ["give --blueprint FILE, or set [paths] blueprint"])
    return Provisioner(app.client, app.store, app.portal, app.clock, load_blueprint(chosen))


def _show(found: StructurePlan, *, as_json: bool) -> None:
    if as_json:
        print_json({"to_make": found.lines(), "conflicts": found.conflicts})
        return
    for line in found.lines():
        click.echo(line)
    for line in found.conflicts:
        click.echo(f"conflict: {line}")
    if found.empty and not found.conflicts:
        click.echo("The portal has everything of the blueprint.")
