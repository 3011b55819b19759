"""What happens with a POST of a portal: size, form and token are checked, the event is committed, then 200.

Nothing else happens in the request (design 6). 400: not readable as an event. 403: no token that we know.
503: the event may not be stored. The portal does not repeat a refused event; sweeps find what it was about.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping

from b24sync.automation.offline import OFFLINE, WAKE
from b24sync.errors import StoreError
from b24sync.portal.events import UNINSTALL, PortalEvent
from b24sync.portal.offline_events import WAKE_UP
from b24sync.store.group_commit import GroupCommit
from b24sync.store.jobs import DISPATCH
from b24sync.store.lanes import Message
from b24sync.transport.php_forms import NotReadable

LOG = logging.getLogger("b24sync.intake")

HOOK = "/hooks/bitrix24"
MAX_BODY_BYTES = 256 * 1024
"""Events carry ids; the largest known ones, of bots and robots, take some kilobytes."""
BODY_S = 5.0
"""How long a client may take to send its body."""
TOKENS_EVERY_S = 2.0
"""So often may an unknown token make us read the known ones again: the worker may have accepted an installation."""
OAUTH = "oauth"
"""The lane of installations (`daemon/apps.py`)."""
COMMIT_S = 20.0
"""How long a client waits for a store that is locked; what is committed later is no harm."""

Answer = tuple[int, str]


class Senders:
    """Who may post: application tokens and the portals that they name."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        """`tokens`: portal name by token."""
        self._known = [(token.encode(), portal) for token, portal in tokens.items() if token]

    def portal_of(self, token: str) -> str | None:
        """The portal of a token; every known one is compared, in constant time, whichever it is."""
        sent = token.encode("utf-8", "replace")
        found = None
        for known, portal in self._known:
            if hmac.compare_digest(known, sent):
                found = portal
        return found


def _nobody_expects_it(_event: PortalEvent) -> str | None:
    return None


class Intake:
    """Takes events in. `counts`: answers by (portal or empty, status), for `/metrics`."""

    def __init__(
        self,
        senders: Senders,
        commit: GroupCommit,
        *,
        on_member: Callable[[str, str], None] = lambda portal, member_id: None,
        installs: Callable[[PortalEvent], str | None] = _nobody_expects_it,
        tokens: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        """`on_member` hears a portal's member_id, `installs` takes the grant of an installation, `tokens` reads the
        known ones anew. All of them block.
        """
        self._senders = senders
        self._commit = commit
        self._on_member = on_member
        self._installs = installs
        self._tokens = tokens
        self._tokens_read_s = 0.0
        self._members: dict[str, str] = {}
        self.counts: Counter[tuple[str, int]] = Counter()

    async def take(self, body: bytes, content_type: str) -> Answer:
        """Check and commit one body; status and text of the answer. Raises nothing."""
        portal, answer = await self._take(body, content_type)
        self.counts[portal, answer[0]] += 1
        return answer

    def refuse(self, status: int, text: str) -> Answer:
        """Count and answer what cannot even be read."""
        self.counts["", status] += 1
        return status, text

    async def _take(self, body: bytes, content_type: str) -> tuple[str, Answer]:
        try:
            event = PortalEvent.received(body, content_type)
        except NotReadable as error:
            return "", (400, str(error))
        portal = ""
        try:
            async with asyncio.timeout(COMMIT_S):
                if event.grant and (installed := await asyncio.to_thread(self._installs, event)):
                    return installed, (200, "ok")
                sender = await self._sender(event.token)
                if sender is None:
                    return "", (403, "the application token is not known here")
                portal = sender
                await self._publish(portal, event)
                await self._note_member(portal, event.member_id)
        except (StoreError, TimeoutError) as error:
            LOG.error("portal=%s event=%s not stored: %s", portal, event.name, error or "locked")  # noqa: TRY400
            return portal, (503, "the event was not stored")
        except Exception:
            LOG.exception("portal=%s event=%s was not stored", portal, event.name)
            return portal, (503, "the event was not stored")
        return portal, (200, "ok")

    async def _publish(self, portal: str, event: PortalEvent) -> None:
        if event.name == UNINSTALL:
            await self._commit.publish(Message(portal, OAUTH, UNINSTALL))
        if event.name == WAKE_UP:  # it carries nothing: what happened is fetched
            await self._commit.publish(Message(portal, OFFLINE, WAKE))
        else:
            await self._commit.publish(Message(portal, DISPATCH, event.kind, event.body))

    async def _sender(self, token: str) -> str | None:
        """The portal that a token names. An unknown one makes us read the known ones again, but not too often."""
        portal = self._senders.portal_of(token)
        if portal is None and self._tokens is not None and token:
            now = time.monotonic()
            if now - self._tokens_read_s > TOKENS_EVERY_S:
                self._tokens_read_s = now
                self._senders = Senders(await asyncio.to_thread(self._tokens))
                portal = self._senders.portal_of(token)
        return portal

    async def _note_member(self, portal: str, member_id: str) -> None:
        known = self._members.get(portal)
        if not member_id or known == member_id:
            return
        if known is not None:
            LOG.warning("portal=%s events come from another member_id than before: is its token used twice?", portal)
        self._members[portal] = member_id
        await asyncio.to_thread(self._on_member, portal, member_id)
