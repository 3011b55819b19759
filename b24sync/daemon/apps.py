"""OAuth applications of the daemon's portals: their installation, their tokens, their offline events.

A local application "uses API only" gets one ONAPPINSTALL when it is saved (settings/app-installation/local-apps/).
It carries tokens and nothing that proves its sender: its grant waits until the portal itself, at the address that
the configuration says, has accepted the token. From then on the application token of that grant is one of ours.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from b24sync.automation.engine import Work
from b24sync.automation.offline import OFFLINE, START, OfflineEvents
from b24sync.daemon.intake import HOOK, OAUTH
from b24sync.daemon.wiring import Daemon
from b24sync.errors import GiveUp
from b24sync.portal.events import INSTALL, UNINSTALL, UPDATE, PortalEvent
from b24sync.store.app_grants import PENDING, AppGrants, Grant
from b24sync.store.lanes import Lanes, Message
from b24sync.transport.oauth import is_accepted

LOG = logging.getLogger("b24sync.apps")

INSTALL_EVERY_S = 5.0
"""So often may somebody claim to install our application: every claim costs the portal a request."""


class Apps:
    """Takes installations in. `take` blocks on the store."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._lanes = Lanes(daemon.store, daemon.clock)
        self._claimed: dict[str, float] = {}

    def take(self, event: PortalEvent) -> str | None:
        """Note the grant of an installation; the portal it is for, or None when nobody expects it."""
        portal = self._portal_of(event)
        if portal is None or event.name not in (INSTALL, UPDATE) or not event.grant.get("refresh_token"):
            return None
        now = self._daemon.clock.boot_s()
        if now - self._claimed.get(portal, -INSTALL_EVERY_S) < INSTALL_EVERY_S:
            return None
        self._claimed[portal] = now
        AppGrants(self._daemon.store, portal).put(_grant(event.grant, self._daemon.clock.wall_s()), PENDING)
        self._lanes.publish_now([Message(portal, OAUTH, INSTALL)])
        return portal

    def _portal_of(self, event: PortalEvent) -> str | None:
        """The portal with an application whose address the event names."""
        domain = str(event.auth.get("domain", "")).lower()
        for name, config in self._daemon.portals.items():
            host = urlsplit(self._daemon.config.webhook_of(name)).netloc.lower()
            if config.oauth is not None and domain in (host, host.partition(":")[0]):
                return name
        return None


def run_oauth_lane(daemon: Daemon, work: Work) -> None:
    """Accept an installation, or forget an application that was removed."""
    grants = AppGrants(daemon.store, work.portal)
    if work.message.kind == UNINSTALL:
        grants.forget("active")
        LOG.warning("portal=%s the application was removed", work.portal)
        return
    grant, oauth = grants.get(PENDING), daemon.portals[work.portal].oauth
    if grant is None or oauth is None:
        return
    client = daemon.app_client(work.portal)
    if not is_accepted(client.address, client.gate, oauth.client_id, grant):
        grants.forget(PENDING)
        raise GiveUp("Somebody claimed to install our application, but the portal does not know the token.")
    grants.put(grant)
    grants.forget(PENDING)
    work.publish(Message(work.portal, OFFLINE, START))  # what it had bound is gone with every installation
    LOG.info("portal=%s the application is installed", work.portal)


def run_offline_lane(daemon: Daemon, work: Work) -> None:
    """Fetch the offline events of an installed application; where there is none, there is nothing to do."""
    if daemon.portals[work.portal].oauth is None or AppGrants(daemon.store, work.portal).get() is None:
        return
    url = daemon.config.daemon.public_url
    OfflineEvents(
        daemon.app_client(work.portal),
        daemon.store,
        work.portal,
        daemon.clock,
        daemon.rules(work.portal).book,
        f"{url.rstrip('/')}{HOOK}" if url else "",
    ).run(work)


def _grant(auth: dict[str, Any], now: float) -> Grant:
    expires_in = str(auth.get("expires_in", ""))
    return Grant(
        str(auth.get("access_token", "")),
        str(auth["refresh_token"]),
        str(auth.get("application_token", "")),
        str(auth.get("member_id", "")),
        str(auth.get("scope", "")),
        now + (float(expires_in) if expires_in.isdigit() else 3600.0),
    )
