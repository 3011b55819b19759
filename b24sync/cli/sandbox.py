"""`b24sync sandbox`: starts the sandbox portal as a process of its own (it shares no code with the connector)."""

from __future__ import annotations

import os
import sys

import click


@click.command(
    "sandbox",
    short_help="A local portal to rehearse on.",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Run the sandbox's own command line: serve, act, figures. See docs/sandbox.md."""
    os.execv(sys.executable, [sys.executable, "-m", "b24sync.sandbox", *ctx.args])
