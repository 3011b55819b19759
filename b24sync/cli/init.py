"""`b24sync init`."""

from __future__ import annotations

from pathlib import Path

import click

from b24sync.cli.wiring import print_json
from b24sync.errors import ConfigError

NEXT_STEPS = (
    "put the portal's webhook into config.toml, or rehearse: `b24sync sandbox serve` prints a block for it",
    "b24sync doctor",
    "b24sync portal plan, then b24sync portal apply",
    "b24sync import run samples/enquiries-2026-11.csv --dry-run, then without it",
)


@click.command("init", short_help="A folder to start in.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(folder: Path, as_json: bool) -> None:
    """Make DIR with a commented configuration, a blueprint, rules, importers and a sample to try them on.

    What is in DIR already stays as it is.

    Example: b24sync init client-a
    """
    made, kept = write_starter(folder)
    if as_json:
        print_json({"folder": str(folder), "made": made, "kept": kept})
        return
    there = f"; {len(kept)} stood there and stay as they are" if kept else ""
    click.echo(f"{folder}: {len(made)} files made{there}")
    click.echo("Next:")
    for step in (f"cd {folder}", *NEXT_STEPS):
        click.echo(f"  {step}")


def write_starter(folder: Path) -> tuple[list[str], list[str]]:
    """Copy what an integrator edits; names of what was made, and of what stood there. Raises ConfigError."""
    made, kept = [], []
    try:
        for name, source in _starter_files().items():
            target = folder / name
            if target.exists():
                kept.append(name)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            # A file that was cut off by a kill would count as edited by hand the next time.
            unfinished = target.with_name(f"{target.name}.part")
            unfinished.write_bytes(source.read_bytes())
            unfinished.replace(target)
            made.append(name)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder} cannot be written: {error.strerror}.") from None
    return made, kept


def _starter_files() -> dict[str, Path]:
    """Every file by its name in the folder: the starter's own, and the bundled rules and importers for editing."""
    from b24sync.bundled import bundled_file, bundled_folder

    starter = bundled_folder("starter")
    found = {path.relative_to(starter).as_posix(): path for path in sorted(starter.rglob("*")) if _is_own(path)}
    for kind in ("rules", "importers"):
        found |= {f"{kind}/{path.name}": path for path in sorted(bundled_folder(kind).glob("[!_.]*.py"))}
    return found | {"config.example.toml": bundled_file("config.example.toml")}


def _is_own(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts
