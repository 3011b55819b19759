"""Which stages deals passed: append-only rows, read by id (api-reference/crm/crm-stage-history-list.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from b24sync.portal.items import DEAL
from b24sync.portal.pages import items_of, walk_by_id
from b24sync.transport.client import PortalClient
from b24sync.transport.protocol import Command

METHOD = "crm.stagehistory.list"
SELECT = ["ID", "OWNER_ID", "STAGE_ID"]


def newest_id(client: PortalClient) -> int:
    """The id of the newest row of deals; 0 where there is none. Cost: one request."""
    params = {"entityTypeId": DEAL, "order": {"ID": "DESC"}, "select": ["ID"], "start": 0}
    rows = items_of(client.call(METHOD, params).result)
    return int(rows[0]["ID"]) if rows else 0


def rows_after(client: PortalClient, after: int) -> Iterator[tuple[int, int, str]]:
    """(row id, deal id, stage id) of every row above `after`, oldest first. Cost: one request per 2,500 rows.

    Ids arrive as numbers or as text (recorded answers and the documentation differ).
    """

    def page_after(cursor: int | str) -> Command:
        params: dict[str, Any] = {
            "entityTypeId": DEAL,
            "filter": {">ID": cursor},
            "order": {"ID": "ASC"},
            "select": SELECT,
            "start": -1,
        }
        return Command(METHOD, params)

    for row in walk_by_id(client, page_after, id_key="ID", after=after):
        yield int(row["ID"]), int(row["OWNER_ID"]), str(row["STAGE_ID"])
