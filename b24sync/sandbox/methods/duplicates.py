"""`crm.duplicate.findbycomm`: leads, contacts, companies by phone or e-mail.

Docs: api-reference/crm/duplicates/crm-duplicate-find-by-comm.md.
"""

from __future__ import annotations

from typing import Any

from ..model.communications import search_key
from ..model.entities import COMPANY, CONTACT, LEAD
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, needs_classic_right, sequence

ORDER = {"LEAD": LEAD, "CONTACT": CONTACT, "COMPANY": COMPANY}
KINDS = ("PHONE", "EMAIL")
VALUES_MAX = 20
CUT_OFF = 20


@rest_method("crm.duplicate.findbycomm", scope="crm")
def find_by_communication(call: Call) -> Answer:
    """Only non-empty keys; nothing found = []. A type with 20 hits or more keeps later types from being asked."""
    kind = str(argument(call, "type") or "").upper()
    values = [str(value) for value in sequence(argument(call, "values")) if str(value or "").strip()]
    if not kind:
        raise ApiError("", "Communication type is not defined")
    if kind not in KINDS:
        raise ApiError("", f"Communication type '{kind}' is not supported in current context")
    if not values:
        raise ApiError("", "Communication values is not defined")
    needs_classic_right(call, "read")
    wanted = str(argument(call, "entity_type") or "").upper()
    found: dict[str, Any] = {}
    for name, type_id in ORDER.items():
        if wanted and wanted != name:
            continue
        index = call.portal.items[type_id].communications
        ids: set[int] = set()
        for value in values[:VALUES_MAX]:
            ids |= index.get(search_key(kind, value), set())
        if ids:
            found[name] = sorted(ids)[:CUT_OFF]
        if len(ids) >= CUT_OFF:
            break
    return Answer(found or [])
