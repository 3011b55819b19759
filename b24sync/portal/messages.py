"""Notifications to the portal's people (api-reference/chats/notifications/im-notify-personal-add.md)."""

from __future__ import annotations

from collections.abc import Callable

from b24sync.transport.client import PortalClient

CLIENT_ID = "b24sync"
"""A webhook has to name one where it uses tags."""


def notify(
    client: PortalClient, user_id: int, text: str, tag: str, *, before_send: Callable[[], None] = lambda: None
) -> str:
    """Notify a user; the notification's id. One with the same tag is replaced. Cost: one request."""
    params = {"USER_ID": user_id, "MESSAGE": text, "TAG": tag, "CLIENT_ID": CLIENT_ID}
    answer = client.call("im.notify.personal.add", params, write=True, before_send=before_send)
    return str(answer.result)
