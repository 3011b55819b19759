"""`b24sync export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from b24sync.cli.wiring import opened, print_json, say

TELL_EVERY_ROWS = 5000


@click.command("export", short_help="Deals, companies, contacts, leads and items into a file.")
@click.argument("entity")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--filter", "filters", multiple=True, metavar="F", help="Such as stage=Новая; again for one more.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(options: dict[str, Any], entity: str, out: Path, filters: tuple[str, ...], as_json: bool) -> None:
    """Write ENTITY (deal, lead, contact, company, item:<entityTypeId>) to OUT (.csv or .xlsx), complete.

    Example: b24sync export deal deals.csv --filter stage=Новая --filter "opportunity>=100000"
    """
    from b24sync.importing.exporting import Exporter

    if out.suffix.lower() not in (".csv", ".xlsx"):
        raise click.UsageError(f"{out}: the name has to end in .csv or .xlsx")

    def tell(rows: int) -> None:
        if rows % TELL_EVERY_ROWS == 0:
            say(f"{rows} rows written")

    with opened(options) as app:
        result = Exporter(app.client, entity).write(out, filters, tell)
    if result.left_out:
        say(f"Not in the file, because they hold files: {', '.join(result.left_out)}")
    if result.addresses_left:
        say(f"Not in the file, because a row holds one address: {result.addresses_left} more of the same items")
    if as_json:
        told = {"left_out": result.left_out, "addresses_left": result.addresses_left}
        print_json({"entity": entity, "file": str(out), "rows": result.rows, **told})
    else:
        click.echo(f"{out}: {result.rows} rows")
