"""`crm.stagehistory.list`: rows are texts, nothing can be edited.

Docs: api-reference/crm/crm-stage-history-list.md.
"""

from __future__ import annotations

from typing import Any

from ..model.entities import LEAD, QUOTE
from ..model.filters import Compiler, FilterFault, compile_order
from ..model.history import Entry, history_columns
from ..model.listing import start_of
from ..model.moments import iso_moment, parse_moment
from ..portal import Portal
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import bad_filter, entity_of, listed_answer, needs_intranet, sequence


def shown(portal: Portal, entry: Entry, stage_key: str) -> dict[str, str]:
    """Leads have STATUS_ID instead of STAGE_ID and no CATEGORY_ID."""
    row = {
        "ID": str(entry.id),
        "TYPE_ID": str(entry.type),
        "OWNER_ID": str(entry.owner_id),
        "CREATED_TIME": iso_moment(entry.at, portal.zone),
    }
    if stage_key == "STAGE":
        row["CATEGORY_ID"] = str(entry.category_id)
    row[f"{stage_key}_SEMANTIC_ID"] = entry.group
    row[f"{stage_key}_ID"] = entry.stage_id
    return row


@rest_method("crm.stagehistory.list", scope="crm")
def list_rows(call: Call) -> Answer:
    needs_intranet(call)
    entity = entity_of(call)
    portal = call.portal
    if entity.id not in portal.history or entity.id == QUOTE:
        raise ApiError("ENTITY_TYPE_NOT_SUPPORTED", f"Entity type `{entity.name}` is not supported")
    stage_key = "STATUS" if entity.id == LEAD else "STAGE"

    def moment(raw: Any) -> int | None:
        return None if raw in (None, "") else parse_moment(raw, portal.zone)

    columns = history_columns(stage_key, moment)
    try:
        plan = Compiler(columns, id_column="ID").compile(call.params.get("filter"))
        order = compile_order(call.params.get("order"), columns)
    except FilterFault as fault:
        bad_filter(fault)
    page = portal.history[entity.id].select(plan, order, start_of(call.params.get("start")))
    names = [str(name) for name in sequence(call.params.get("select"))]
    rows = [shown(portal, entry, stage_key) for entry in page.rows]
    if names and "*" not in names:
        rows = [{key: value for key, value in row.items() if key in names} for row in rows]
    return listed_answer({"items": rows}, page)
