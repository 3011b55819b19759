"""Reading long lists whole: by an id cursor, pages chained inside a batch (settings/performance/huge-data.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from b24sync.errors import AskedTooMuch, PortalRefused, PortalUnreachable
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Priority
from b24sync.transport.outcomes import Done, Outcome, Refused
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command

PAGE = 50
WRAPPERS = ("items", "productRows", "tasks", "categories", "types", "fields")

PageAfter = Callable[[int | str], Command]
"""The command for the page of 50 after an id (or after a reference to one), by id ascending, `start=-1`."""


def items_of(result: Any) -> list[dict[str, Any]]:
    """The rows of a list answer, whichever wrapper the method uses; PHP may make a map of a list."""
    if isinstance(result, Mapping):
        result = next((result[name] for name in WRAPPERS if isinstance(result.get(name), list | Mapping)), result)
    rows = result.values() if isinstance(result, Mapping) else result
    return [row for row in rows if isinstance(row, dict)] if isinstance(result, list | Mapping) else []


def walk_by_id(
    client: PortalClient,
    page_after: PageAfter,
    *,
    id_key: str,
    after: int,
    priority: Priority = "bulk",
    expected: int = 0,
) -> Iterator[dict[str, Any]]:
    """Every row with an id above `after`, ascending, each once. Cost: one request per 2,500 rows.

    `expected`: about how many there will be; they are asked for at once then.

    Raises PortalRefused, and PortalUnreachable when the cursor does not advance: a method that ignores its
    filter would answer the same page for ever.
    """
    last, ended = after, False
    while not ended:
        rows, ended = _some_pages(client, page_after, id_key, last, priority, expected)
        expected = 2 * len(rows)  # of what was long so far, there is likely much more
        for row in rows:
            row_id = int(row[id_key])
            if row_id <= last:
                raise PortalUnreachable(f"{page_after(0).method} ignores its id cursor (stalled at {last}).")
            last = row_id
            yield row


def _some_pages(
    client: PortalClient, page_after: PageAfter, id_key: str, after: int, priority: Priority, expected: int
) -> tuple[list[dict[str, Any]], bool]:
    """Up to 2,500 rows after an id, and whether the end was seen: a page that came, and was short."""
    if expected >= PAGE:
        pages = min(BATCH_MAX_COMMANDS, expected // PAGE + 2)
        return _chained(client, page_after, id_key, after, priority, pages)
    command = page_after(after)
    first = client.read_all({"p00": command}, priority=priority)["p00"]
    if isinstance(first, Refused):
        raise PortalRefused(command.method, first.code, first.text)
    rows = items_of(first.result)
    if len(rows) < PAGE:
        return rows, True
    last = int(rows[-1][id_key])
    more, ended = _chained(client, page_after, id_key, last, priority, BATCH_MAX_COMMANDS - 1)
    return rows + more, ended


def _chained(
    client: PortalClient, page_after: PageAfter, id_key: str, after: int, priority: Priority, pages: int
) -> tuple[list[dict[str, Any]], bool]:
    while True:
        commands = chained_commands(page_after, id_key, after, min(pages, client.reads_at_once))
        with suppress(AskedTooMuch):  # the client knows how many then
            return chained_rows(commands, client.batch(commands, write=False, priority=priority, halt=True))


def chained_commands(
    page_after: PageAfter, id_key: str, after: int, pages: int, *, prefix: str = "p"
) -> dict[str, Command]:
    """Pages for one batch, each filtered by the last id of the one before (`$result[p01][items][49][id]`).

    A short page leaves the next reference unresolved, which the portal does not call an error: what such a page holds
    is not to be used (`chained_rows` does not).
    """
    commands: dict[str, Command] = {}
    cursor: int | str = after
    for index in range(1, pages + 1):
        commands[f"{prefix}{index:02d}"] = page_after(cursor)
        cursor = f"$result[{prefix}{index:02d}][items][{PAGE - 1}][{id_key}]"
    return commands


def chained_rows(commands: Mapping[str, Command], answers: Mapping[str, Outcome]) -> tuple[list[dict[str, Any]], bool]:
    """The rows of chained pages, and whether the end was seen: a short page. Raises PortalRefused."""
    rows: list[dict[str, Any]] = []
    for number, (name, command) in enumerate(commands.items()):
        outcome = answers.get(name)
        if isinstance(outcome, Refused) and number == 0:
            raise PortalRefused(command.method, outcome.code, outcome.text)
        if not isinstance(outcome, Done):
            break
        page = items_of(outcome.result)
        rows.extend(page)
        if len(page) < PAGE:
            return rows, True
    return rows, False
