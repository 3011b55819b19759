"""`crm.dealcategory.*`, deprecated but alive: list, default.get, status, stage.list.

Docs: api-reference/crm/outdated/category-old/*.md.
"""

from __future__ import annotations

from ..model.entities import DEAL
from ..model.moments import iso_moment
from ..registry import Answer, Call, rest_method
from .arguments import argument, integer


@rest_method("crm.dealcategory.list", scope="crm")
def list_categories(call: Call) -> Answer:
    """Without the default pipeline, which has no row of its own."""
    created = iso_moment(call.portal.users[1].registered, call.portal.zone)
    rows = [
        {
            "ID": str(one.id),
            "CREATED_DATE": created,
            "NAME": one.name,
            "IS_LOCKED": "N",
            "SORT": str(one.sort),
            "ORIGIN_ID": one.origin_id,
            "ORIGINATOR_ID": one.originator_id,
        }
        for one in call.portal.pipelines.of(DEAL)
        if one.id != 0
    ]
    return Answer(rows, total=len(rows))


@rest_method("crm.dealcategory.default.get", scope="crm")
def default(call: Call) -> Answer:
    pipeline = call.portal.pipelines.get(DEAL, 0)
    return Answer({"ID": 0, "NAME": pipeline.name if pipeline else ""})


@rest_method("crm.dealcategory.status", scope="crm")
def status(call: Call) -> Answer:
    return Answer(call.portal.types[DEAL].dictionary_of(integer(argument(call, "id")) or 0))


@rest_method("crm.dealcategory.stage.list", scope="crm")
def stages(call: Call) -> Answer:
    """Id 0 or none = the default pipeline; an unknown one = an empty result."""
    dictionary = call.portal.types[DEAL].dictionary_of(integer(argument(call, "id")) or 0)
    return Answer(
        [
            {"NAME": row.name, "SORT": row.sort, "STATUS_ID": row.status_id}
            for row in call.portal.dictionaries.of(dictionary)
        ]
    )
