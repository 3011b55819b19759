"""`b24sync serve`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from b24sync.cli.wiring import log_of_daemon, say


@click.command("serve", short_help="Receive the portals' events and work on them.")
@click.option("--no-worker", is_flag=True, help="Only receive; `b24sync worker` runs elsewhere.")
@click.pass_obj
def command(options: dict[str, Any], no_worker: bool) -> None:
    """Receive events of all configured portals, and work on them in a process beside. Ends on Ctrl-C or SIGTERM.

    Example: b24sync serve
    """
    from b24sync.daemon.serve import run_serve
    from b24sync.daemon.wiring import opened_daemon

    log_of_daemon(options)
    with opened_daemon(Path(options["config"]), options["portal"]) as daemon:
        run_serve(daemon, None if no_worker else _worker_command(options), say)


def _worker_command(options: dict[str, Any]) -> list[str]:
    words = [sys.executable, "-m", "b24sync", "--config", options["config"]]
    if options["portal"] is not None:
        words += ["--portal", options["portal"]]
    if options["verbose"]:
        words.append("--verbose")
    return [*words, "worker", "--under-serve"]
