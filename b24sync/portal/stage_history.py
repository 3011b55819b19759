"""Which stages deals passed: append-only rows, read by id (api-reference/crm/crm-stage-history-list.md)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from b24sync.portal.items import DEAL, LEAD
from b24sync.portal.pages import PageAfter, chained_commands, chained_rows, items_of, walk_by_id
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Priority
from b24sync.transport.outcomes import Outcome
from b24sync.transport.protocol import Command

LOG = logging.getLogger("b24sync.stage_history")

METHOD = "crm.stagehistory.list"
WHOLE = ["ID", "TYPE_ID", "OWNER_ID", "CREATED_TIME", "CATEGORY_ID", "STAGE_SEMANTIC_ID", "STAGE_ID"]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One change of stage. `kind`: 1 made, 2 moved, 3 to a final stage, 5 to another pipeline; 0 where not said."""

    id: int
    kind: int
    deal_id: int
    created_time: str
    pipeline_id: int
    stage_id: str
    semantics: str


def newest_id(client: PortalClient, entity_type_id: int = DEAL) -> int:
    """The id of the newest row of a kind of item; 0 where there is none. Cost: one request."""
    params = {"entityTypeId": entity_type_id, "order": {"ID": "DESC"}, "select": ["ID"], "start": 0}
    rows = items_of(client.call(METHOD, params).result)
    return int(rows[0]["ID"]) if rows else 0


def rows_after(
    client: PortalClient, after: int, entity_type_id: int = DEAL, *, priority: Priority = "bulk", expected: int = 0
) -> Iterator[tuple[int, int, str]]:
    """(row id, item id, stage id) of every row above `after`, oldest first. Cost: one request per 2,500 rows.

    `expected`: about how many there will be.

    Ids arrive as numbers or as text (recorded answers and the documentation differ). Leads have STATUS_ID.
    Rows that do not tell whose they are and which stage it was are left out, and told of once.
    """
    stage = "STATUS_ID" if entity_type_id == LEAD else "STAGE_ID"
    for row in _walk(client, after, ["ID", "OWNER_ID", stage], entity_type_id, priority, expected):
        if _tells(row, "OWNER_ID"):
            yield _place(row)


def pages_after(after: int, entity_type_id: int, pages: int) -> dict[str, Command]:
    """Commands for so many pages of 50 rows above `after`, to be put into one batch with others."""
    select = ["ID", "OWNER_ID", "STATUS_ID" if entity_type_id == LEAD else "STAGE_ID"]
    return chained_commands(_pages(select, entity_type_id), "ID", after, pages, prefix=f"h{entity_type_id}_")


def rows_of(commands: Mapping[str, Command], answers: Mapping[str, Outcome]) -> tuple[list[tuple[int, int, str]], bool]:
    """What `pages_after` brought, as `rows_after` has it, and whether that is all. Raises PortalRefused."""
    rows, ended = chained_rows(commands, answers)
    return [_place(row) for row in rows if _tells(row, "OWNER_ID")], ended


def history_after(client: PortalClient, after: int) -> Iterator[HistoryRow]:
    """Every row above `after` whole, oldest first, of all kinds. Cost: one request per 2,500 rows.

    Rows that do not tell whose they are, when and which stage it was are left out, and told of once.
    """
    for row in _walk(client, after, WHOLE):
        if _tells(row, "OWNER_ID", "CREATED_TIME"):
            yield read_row(row)


def _tells(row: Mapping[str, Any], *names: str) -> bool:
    """Whether a row has a stage and these keys, as the documentation promises of all."""
    lacking = [name for name in names if not row.get(name)]
    if not (row.get("STAGE_ID") or row.get("STATUS_ID")):
        lacking.append("STAGE_ID")
    if lacking:
        _tell_once(", ".join(lacking))
    return not lacking


@cache
def _tell_once(lacking: str) -> None:
    LOG.warning("the portal's stage history has rows without %s: they are left out", lacking)


def _place(row: Mapping[str, Any]) -> tuple[int, int, str]:
    return int(row["ID"]), int(row["OWNER_ID"]), str(row.get("STAGE_ID") or row["STATUS_ID"])


def read_row(row: Mapping[str, Any]) -> HistoryRow:
    """A row as the portal sends it: numbers or texts, and leads with STATUS_ instead of STAGE_."""
    stage_id = row.get("STAGE_ID") or row.get("STATUS_ID")
    semantics = row.get("STAGE_SEMANTIC_ID", row.get("STATUS_SEMANTIC_ID"))
    return HistoryRow(
        int(row["ID"]),
        int(row.get("TYPE_ID") or 0),
        int(row["OWNER_ID"]),
        str(row["CREATED_TIME"]),
        int(row.get("CATEGORY_ID") or 0),
        str(stage_id or ""),
        str(semantics or ""),
    )


def _walk(
    client: PortalClient,
    after: int,
    select: Sequence[str],
    entity_type_id: int = DEAL,
    priority: Priority = "bulk",
    expected: int = 0,
) -> Iterator[dict[str, Any]]:
    page_after = _pages(select, entity_type_id)
    return walk_by_id(client, page_after, id_key="ID", after=after, priority=priority, expected=expected)


def _pages(select: Sequence[str], entity_type_id: int) -> PageAfter:
    def page_after(cursor: int | str) -> Command:
        params: dict[str, Any] = {
            "entityTypeId": entity_type_id,
            "filter": {">ID": cursor},
            "order": {"ID": "ASC"},
            "select": list(select),
            "start": -1,
        }
        return Command(METHOD, params)

    return page_after
