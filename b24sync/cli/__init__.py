"""The command line: one file per command group, loaded when called; this file is the only error boundary.

Exit codes (design 10): 0 done; 3 done, some rows refused; 75 try again later, or unknown rows are left;
69 the portal blocks us; 78 configuration; 2 usage; 1 a fault of ours.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from b24sync.interruption import Terminated, end_in_order

COMMANDS = {
    "doctor": ("b24sync.cli.doctor", "Is everything there that the enabled features need? What to do about it."),
    "events": ("b24sync.cli.events", "What the portal has sent: list, show, replay."),
    "export": ("b24sync.cli.export", "Deals, companies, contacts, leads and items out of the portal into a file."),
    "gate": ("b24sync.cli.gate", "The portal's budget: bucket, method budgets, blocks, who waits."),
    "groups": ("b24sync.cli.groups", "One extranet group for each client, its contact invited."),
    "import": ("b24sync.cli.imports", "Deals, companies and contacts from a spreadsheet into the portal."),
    "init": ("b24sync.cli.init", "A folder to start in: configuration, blueprint, rules, importers, a sample."),
    "jobs": ("b24sync.cli.jobs", "What is to be done and what failed: list, show, retry, drop."),
    "portal": ("b24sync.cli.portal", "Fields, pipelines and stages as code."),
    "recount": ("b24sync.cli.recount", "Days left and overdue of every deal, written where they changed."),
    "report": ("b24sync.cli.report", "Delays, work of the responsible, stages: table, CSV, XLSX, HTML, JSON."),
    "rules": ("b24sync.cli.rules", "Business processes that react to the portal."),
    "sandbox": ("b24sync.cli.sandbox", "A local portal to rehearse on."),
    "serve": ("b24sync.cli.serve", "Receive the portals' events and work on them."),
    "worker": ("b24sync.cli.worker", "Work on events, timers and schedules, without receiving."),
    "workflows": ("b24sync.cli.workflows", "Start the right business process for each deal by its stage."),
}

INTERRUPTED_EXIT, TERMINATED_EXIT = 130, 143


class LazyGroup(click.Group):
    """Loads a command's module when it is called, so that `--help` costs no imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "config_path", default="config.toml", show_default=True, help="The configuration file.")
@click.option("--portal", "portal_name", default=None, help="Which of several configured portals.")
@click.option("--verbose", "-v", is_flag=True, help="Log every request (secrets are hidden).")
@click.version_option(package_name="b24sync")
@click.pass_context
def cli(ctx: click.Context, config_path: str, portal_name: str | None, verbose: bool) -> None:
    """b24sync: deals, companies and contacts into Bitrix24.

    Nothing twice, nothing lost, never over the portal's limits. Start with `b24sync init DIR`, rehearse with
    `b24sync sandbox serve`, ask `b24sync doctor` what is lacking.
    """
    ctx.obj = {"config": config_path, "portal": portal_name, "verbose": verbose}
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        click.echo(f"\n{_what_next(Path(config_path))}")


def _what_next(config_path: Path) -> str:
    """One line for somebody who typed nothing but our name."""
    if config_path.is_file():
        return f"{config_path} is here: `b24sync doctor` says whether it fits the portal."
    return f"There is no {config_path} here: `b24sync init DIR` makes a folder with one to start from."


def main() -> None:
    """Run the command line; every error becomes one message on standard error and an exit code."""
    sys.excepthook = _masked_traceback
    end_in_order()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a title that the terminal cannot show is no fault
    # Rows of a file live long and hold no cycles: looking for some every 700 objects is a quarter of an import's time.
    gc.set_threshold(50_000, 20, 100)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort as abort:
        code = _interrupted(abort.__context__)
    except click.ClickException as error:
        error.show()
        code = _ended(error.format_message(), error.exit_code)
    except KeyboardInterrupt as interruption:
        code = _interrupted(interruption)
    except Exception as error:
        code = _say(error)
    gc.freeze()  # the interpreter looks through all objects once more before it ends: a tenth of a second for nothing
    sys.exit(_after_last_words(code if isinstance(code, int) else 0))


def _after_last_words(code: int) -> int:
    """The exit code: not 0 where standard output took not all of it, such as a file on a full disk."""
    try:
        sys.stdout.flush()
    except OSError as error:
        click.echo(f"b24sync: standard output took not everything: {error.strerror}.", err=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter will try again
        return code or 1
    return code


def _say(error: Exception) -> int:
    from b24sync.errors import B24SyncError
    from b24sync.transport.masking import MASK

    if isinstance(error, B24SyncError):
        click.echo(MASK.hide(f"b24sync: {error}"), err=True)
        return _ended(str(error), error.exit_code)
    _masked_traceback(type(error), error, error.__traceback__)
    click.echo("b24sync: this is a fault of b24sync; what was sent is recorded, the same command goes on.", err=True)
    return _ended(f"{type(error).__name__}: {error}", 1)


def _interrupted(how: BaseException | None) -> int:
    by, code = "interrupted", INTERRUPTED_EXIT
    if isinstance(how, Terminated):
        by, code = "ended by SIGTERM", TERMINATED_EXIT
    said = f"{by}. What was sent is recorded; run the same command again to go on."
    click.echo(f"b24sync: {said}", err=True)
    return _ended(said, code)


def _ended(message: str, code: int) -> int:
    """The exit code; with `--json` standard output has its object however the command ends."""
    if "--json" in sys.argv:
        from contextlib import suppress

        from b24sync.cli.wiring import print_error

        with suppress(OSError):  # that standard output takes nothing is told by its last flush
            print_error(message, code)
    return code


def _masked_traceback(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    import traceback

    from b24sync.transport.masking import MASK

    click.echo(MASK.hide("".join(traceback.format_exception(kind, error, trace))), err=True, nl=False)
