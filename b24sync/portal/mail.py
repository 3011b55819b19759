"""E-mail out of a CRM card: sent and kept in its timeline.

Docs: api-reference/crm/timeline/activities/activity-base/crm-activity-add.md,
tutorials/crm/how-to-add-crm-objects/how-to-send-email.md: TYPE_ID 4 with DIRECTION 2 and COMPLETED Y sends, anything
else makes a silent draft. "Email send error" means that the activity was made and the letter did not go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from b24sync.errors import OutcomeUnknown, PortalRefused, RetryLater
from b24sync.portal.pages import items_of
from b24sync.transport.client import PortalClient

ORIGINATOR = "b24sync"
NOT_GONE = "Email send error"
REMOVE_TRIES = 3


def send_mail(
    client: PortalClient,
    owner: tuple[int, int],
    *,
    person: tuple[int, int],
    to: str,
    subject: str,
    text: str,
    sender: str | None,
    responsible: int | None,
    origin: str,
    before_send: Callable[[], None],
) -> str:
    """Send one letter about an item, (entity type, id), to a `person`, the one who has the address; the activity's id.

    Cost: one request, two more where the letter did not go: its activity is removed, so that trying again leaves one.
    Raises PortalRefused with the portal's words, OutcomeUnknown and what the client raises.
    """
    fields: dict[str, Any] = {
        "OWNER_TYPE_ID": owner[0],
        "OWNER_ID": owner[1],
        "TYPE_ID": 4,
        "DIRECTION": 2,
        "COMPLETED": "Y",
        "SUBJECT": subject,
        "DESCRIPTION": text,
        "DESCRIPTION_TYPE": 1,
        "COMMUNICATIONS": [{"VALUE": to, "ENTITY_ID": person[1], "ENTITY_TYPE_ID": person[0]}],
        "ORIGINATOR_ID": ORIGINATOR,
        "ORIGIN_ID": origin,
    }
    if responsible is not None:
        fields["RESPONSIBLE_ID"] = responsible
    if sender is not None:
        fields["SETTINGS"] = {"MESSAGE_FROM": sender}
    try:
        answer = client.call("crm.activity.add", {"fields": fields}, write=True, before_send=before_send)
    except PortalRefused as error:
        if NOT_GONE in error.text:
            _remove_mail(client, origin)
        raise
    return str(answer.result)


def _remove_mail(client: PortalClient, origin: str) -> None:
    """Take away the activity of a letter that did not go, as far as the portal lets us: it is refused either way.

    An unanswered deletion is settled by the next look: what is left would pass for a letter that went.
    """
    for _ in range(REMOVE_TRIES):
        try:
            made = find_mail(client, origin)
            if made is None:
                return
            client.call("crm.activity.delete", {"id": made}, write=True)
        except (OutcomeUnknown, RetryLater, PortalRefused):
            continue


def find_mail(client: PortalClient, origin: str) -> str | None:
    """The activity that carries our key. Cost: one request."""
    params = {"filter": {"ORIGINATOR_ID": ORIGINATOR, "ORIGIN_ID": origin}, "select": ["ID"], "start": 0}
    rows = items_of(client.call("crm.activity.list", params).result)
    return str(rows[0]["ID"]) if rows else None
