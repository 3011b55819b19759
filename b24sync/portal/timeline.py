"""Comments in an item's timeline (api-reference/crm/timeline/comments/)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Any

from b24sync.portal.items import ENTITY_NAMES
from b24sync.portal.pages import PAGE
from b24sync.transport.client import PortalClient

MADE_TOLERANCE_S = 2.0
"""CREATED has whole seconds, and the portal's clock is only known from its answers."""
Sending = Callable[[], None]


def add_comment(client: PortalClient, type_id: int, item_id: int, text: str, sending: Sending) -> str:
    """Write a comment into an item's timeline; its id. Cost: one request.

    Only lower-case `fields` are accepted (crm-timeline-comment-add.md).
    """
    fields = {**_owner(type_id, item_id), "COMMENT": text}
    answer = client.call("crm.timeline.comment.add", {"fields": fields}, write=True, before_send=sending)
    return str(answer.result)


def comments_since(client: PortalClient, type_id: int, item_id: int, text: str, sent_at: float) -> list[str]:
    """Ids of comments of exactly this text that were made since `sent_at` (unix seconds of this machine), oldest first.

    The filter knows the item alone, so newer comments are paged through (crm-timeline-comment-list.md). Cost: one
    request per 50 of them.
    """
    found: list[str] = []
    params: dict[str, Any] = {"filter": _owner(type_id, item_id), "select": ["ID", "CREATED", "COMMENT"]}
    for start in count(0, PAGE):
        answer = client.call("crm.timeline.comment.list", {**params, "order": {"ID": "DESC"}, "start": start})
        rows = answer.result or []
        since = sent_at + (client.server_skew_s or 0.0) - MADE_TOLERANCE_S
        recent = [row for row in rows if _made_at(row, since) >= since]
        found += [str(row["ID"]) for row in recent if str(row.get("COMMENT")).strip() == text.strip()]
        if len(rows) < PAGE or len(recent) < len(rows):
            break
    return found[::-1]


def _owner(type_id: int, item_id: int) -> dict[str, Any]:
    return {"ENTITY_ID": item_id, "ENTITY_TYPE": ENTITY_NAMES.get(type_id, f"dynamic_{type_id}")}


def _made_at(row: dict[str, Any], unknown: float) -> float:
    try:
        return datetime.fromisoformat(str(row.get("CREATED"))).timestamp()
    except ValueError:
        return unknown
