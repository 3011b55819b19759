"""E-mail out of a CRM card: sent and kept in its timeline.

Docs: api-reference/crm/timeline/activities/activity-base/crm-activity-add.md,
tutorials/crm/how-to-add-crm-objects/how-to-send-email.md: TYPE_ID 4 with DIRECTION 2 and COMPLETED Y sends, anything
else makes a silent draft.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from b24sync.transport.client import PortalClient

ORIGINATOR = "b24sync"


def send_mail(
    client: PortalClient,
    owner: tuple[int, int],
    *,
    to: str,
    subject: str,
    text: str,
    sender: str | None,
    responsible: int | None,
    origin: str,
    before_send: Callable[[], None],
) -> str:
    """Send one letter about an item, (entity type, id); the activity's id. Cost: one request."""
    fields: dict[str, Any] = {
        "OWNER_TYPE_ID": owner[0],
        "OWNER_ID": owner[1],
        "TYPE_ID": 4,
        "DIRECTION": 2,
        "COMPLETED": "Y",
        "SUBJECT": subject,
        "DESCRIPTION": text,
        "DESCRIPTION_TYPE": 1,
        "COMMUNICATIONS": [{"VALUE": to, "ENTITY_ID": owner[1], "ENTITY_TYPE_ID": owner[0]}],
        "ORIGINATOR_ID": ORIGINATOR,
        "ORIGIN_ID": origin,
    }
    if responsible is not None:
        fields["RESPONSIBLE_ID"] = responsible
    if sender is not None:
        fields["SETTINGS"] = {"MESSAGE_FROM": sender}
    answer = client.call("crm.activity.add", {"fields": fields}, write=True, before_send=before_send)
    return str(answer.result)


def find_mail(client: PortalClient, origin: str) -> str | None:
    """The activity that carries our key. Cost: one request."""
    params = {"filter": {"ORIGINATOR_ID": ORIGINATOR, "ORIGIN_ID": origin}, "select": ["ID"], "start": 0}
    rows = client.call("crm.activity.list", params).result
    return str(rows[0]["ID"]) if rows else None
