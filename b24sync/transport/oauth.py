"""Calls as an OAuth application: what an incoming webhook may not do (settings/oauth/index.md).

The access token lives an hour and is refreshed only when the portal says `expired_token`, never by schedule
(settings/oauth/auto-renewal.md: refreshing per call or by the clock gets an application blocked). Every refresh
gives a new refresh token and ends the old one: it is done under a lock of the store, by one of all processes, and
the new pair is on the disk before it is used.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import requests

from b24sync.clock import Clock
from b24sync.errors import PortalBlocked, PortalUnreachable
from b24sync.store.app_grants import AppGrants, Grant
from b24sync.store.engine import Store
from b24sync.store.locks import NamedLock
from b24sync.transport.address import Address
from b24sync.transport.client import PortalClient, _Reply
from b24sync.transport.gate import Gate
from b24sync.transport.masking import MASK
from b24sync.transport.outcomes import CODES, OF_ITS_USER, OF_THE_APPLICATION, NotSent, Reaction

SERVER = "https://oauth.bitrix24.tech"
TIMEOUT_S = (10.0, 30.0)
REINSTALL = "install the application in the portal again: Developer resources > Integrations > the application > Save"

_REFRESHING = threading.Lock()


class AppTokens:
    """The tokens of one portal's application, shared by all processes of the store."""

    def __init__(
        self, store: Store, portal: str, client_id: str, client_secret: str, clock: Clock, server: str = SERVER
    ) -> None:
        self._grants = AppGrants(store, portal)
        self._lock = NamedLock(store, portal, "oauth", clock)
        self._portal = portal
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._url = f"{server.rstrip('/')}/oauth/token/"
        MASK.add(client_secret)

    def access(self) -> str:
        """The present access token. Raises PortalBlocked when the application is not installed."""
        return self._active().access_token

    def refreshed(self, expired: str) -> str:
        """A token newer than `expired`: another process's, else one request to the OAuth server.

        Raises PortalBlocked when the refresh token is not accepted, PortalUnreachable without a clear answer.
        """
        with _REFRESHING, self._lock.held():  # the store's lock keeps processes apart, not the threads of one
            grant = self._active()
            if grant.access_token != expired:
                return grant.access_token
            answer = self._ask(grant.refresh_token)
            new = Grant(
                str(answer["access_token"]),
                str(answer["refresh_token"]),
                grant.application_token,
                str(answer.get("member_id") or grant.member_id),
                str(answer.get("scope") or grant.scope),
                self._clock.wall_s() + float(answer.get("expires_in") or 3600),
            )
            self._grants.put(new)
        hide(new)
        return new.access_token

    def _active(self) -> Grant:
        grant = self._grants.get()
        if grant is None:
            raise PortalBlocked(f"The application of portal {self._portal} is not installed. What to do: {REINSTALL}.")
        hide(grant)
        return grant

    def _ask(self, refresh_token: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "refresh_token",
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "refresh_token": refresh_token,
        }
        try:
            answer = requests.post(self._url, data=form, timeout=TIMEOUT_S, allow_redirects=False)
            body = json.loads(answer.content)
        except (requests.RequestException, ValueError) as error:
            kind = type(error).__name__
            raise PortalUnreachable(
                f"The OAuth server did not answer ({kind}); the token is refreshed later."
            ) from None
        if not isinstance(body, Mapping) or body.get("error") or not body.get("access_token"):
            code = body.get("error") if isinstance(body, Mapping) else "an unreadable answer"
            if answer.status_code >= 500:
                raise PortalUnreachable(f"The OAuth server said {code}; the token is refreshed later.")
            # settings/oauth/error-codes.md: a refresh token that is not accepted never will be
            raise PortalBlocked(
                f"The OAuth server refused to refresh the token of portal {self._portal}: {code}. "
                f"What to do: check client_id and client_secret, then {REINSTALL}."
            )
        return body


class AppClient(PortalClient):
    """A client that calls as the application: `auth` in the body, refreshed once when it has expired."""

    def __init__(self, address: Address, gate: Gate, clock: Clock, tokens: AppTokens) -> None:
        super().__init__(address, gate, clock)
        self._tokens = tokens

    def _react(self, method: str, reply: _Reply) -> _Reply:
        """As for everybody, but a dead token must not stop the webhook's calls."""
        outcome = reply.verdict.outcome if reply.verdict is not None else None
        if isinstance(outcome, NotSent) and outcome.code in OF_THE_APPLICATION:
            said = f"{outcome.code}: {outcome.text}"
            todo = f"{CODES[outcome.code].advice}; then {REINSTALL}" if outcome.code in OF_ITS_USER else REINSTALL
            raise PortalBlocked(f"{method}: the portal {self.host} said {said}. What to do: {todo}.")
        return super()._react(method, reply)

    def _post(self, method: str, body: bytes, *, may_move: bool = True) -> _Reply:
        token = self._tokens.access()
        reply = super()._post(method, _with_auth(body, token), may_move=may_move)
        if reply.verdict is not None and reply.verdict.reaction is Reaction.REFRESH:
            token = self._tokens.refreshed(token)
            self.gate.reserve({}, "interactive")
            reply = super()._post(method, _with_auth(body, token), may_move=may_move)
        return reply


def _with_auth(body: bytes, token: str) -> bytes:
    """The body with `auth` as its first parameter (settings/how-to-call-rest-api/authorization.md)."""
    if body[:1] != b"{":
        raise ValueError("methods that read their arguments by position are called by the webhook")
    rest = body[1:].lstrip()
    return b'{"auth":' + json.dumps(token).encode() + (b"" if rest[:1] == b"}" else b",") + rest


def is_accepted(address: Address, gate: Gate, client_id: str, grant: Grant) -> bool:
    """Whether the portal itself takes a token of an installation for our application's.

    Cost: one request, at our own configured address, wherever the event said that the portal is. Its refusal
    concerns nobody else, so the gate hears nothing of it. Raises PortalUnreachable without a clear answer.
    Docs: api-reference/common/system/app-info.md.
    """
    hide(grant)
    gate.reserve({}, "interactive")
    try:
        answer = requests.post(
            address.url("app.info"), json={"auth": grant.access_token}, timeout=TIMEOUT_S, allow_redirects=False
        )
        body = json.loads(answer.content)
    except (requests.RequestException, ValueError) as error:
        raise PortalUnreachable(f"app.info: no clear answer ({type(error).__name__})") from None
    if answer.status_code >= 500:
        raise PortalUnreachable(f"app.info: the portal answered {answer.status_code}")
    result = body.get("result") if isinstance(body, Mapping) else None
    if not isinstance(result, Mapping) or body.get("error"):
        return False
    return str(result.get("CODE") or client_id) == client_id


def hide(grant: Grant) -> None:
    """Keep a grant's tokens out of everything that is said."""
    for secret in (grant.access_token, grant.refresh_token, grant.application_token):
        MASK.add(secret)
