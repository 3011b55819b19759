"""`b24sync gate`."""

from __future__ import annotations

from typing import Any

import click

from b24sync.cli.wiring import opened, print_json


@click.command("gate", short_help="The portal's budget and who waits.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(options: dict[str, Any], as_json: bool) -> None:
    """Show the gate: bucket, method budgets, blocks, waiters. Sends nothing to the portal.

    Example: b24sync gate
    """
    with opened(options) as app:
        snapshot: dict[str, Any] = app.gate.snapshot()
    if as_json:
        print_json(snapshot)
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    bucket = snapshot["bucket"]
    rate = f"{bucket['rate_per_s']}/s" if bucket["rate_per_s"] else "not limited"
    console.print(
        f"Portal {app.portal}: bucket {bucket['level']} of {bucket['burst']}, rate {rate}; "
        f"bulk waits {bucket['bulk_wait_s']} s, interactive {bucket['interactive_wait_s']} s"
    )
    if bucket["blocked_for_s"]:
        console.print(f"The portal asked to slow down: nothing leaves for {bucket['blocked_for_s']} s")
    if snapshot["stopped"]:
        console.print(f"Stopped: {snapshot['stopped']['code']}: {snapshot['stopped']['text']}")
    budgets = Table("method", "used s", "in flight s", "limit s", "resets in s", "paused for s", "foreign use")
    budgets.columns[0].no_wrap = True
    for row in snapshot["methods"]:
        cells = [row["used_s"], row["in_flight_s"], row["limit_s"], row["reset_in_s"], row["paused_for_s"]]
        budgets.add_row(row["method"], *map(str, cells), "yes" if row["foreign_use"] else "")
    console.print(budgets if snapshot["methods"] else "No method has been called yet.")
    for waiter in snapshot["waiters"]:
        doing = "has a request in flight" if waiter["in_flight"] else "waits"
        console.print(f"{waiter['priority']} {doing} since {waiter['waits_s']} s: {', '.join(waiter['methods'])}")
