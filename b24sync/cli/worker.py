"""`b24sync worker`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from b24sync.cli.wiring import log_of_daemon, say


@click.command("worker", short_help="Work on events, timers and schedules.")
@click.option("--under-serve", is_flag=True, hidden=True)
@click.pass_obj
def command(options: dict[str, Any], under_serve: bool) -> None:
    """Work on what `serve` has received, on timers and on schedules. Ends on Ctrl-C or SIGTERM.

    Example: b24sync worker
    """
    from b24sync.daemon.wiring import opened_daemon
    from b24sync.daemon.worker import run_worker

    log_of_daemon(options)
    with opened_daemon(Path(options["config"]), options["portal"]) as daemon:
        code = run_worker(daemon, under_serve=under_serve, say=say)
    sys.exit(code)
