"""Who calls: incoming webhooks, applications and their tokens.

Docs: local-integrations/local-webhooks.md, settings/oauth/index.md, settings/oauth/auto-renewal.md,
settings/oauth/error-codes.md, _includes/system-errors.md.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .clock import SandboxClock
from .registry import ApiError
from .switches import Switches

DEFAULT_SECRET = "sandboxsecret0001"
ALL_SCOPES = "*"
LESSER_SCOPES = {"user": ("user_basic", "user_brief"), "sonet_group": ("sonet",)}
"""Other names that open a method. Group pages say `sonet`, the list of scopes `sonet_group` (scopes/permissions.md)."""
CODE_LIFE_S = 30.0
ACCESS_LIFE_S = 3600.0
REFRESH_LIFE_S = 180 * 86400.0


@dataclass(frozen=True, slots=True)
class Credential:
    """What a call is made with. `scopes` holds names, or `*` for all."""

    name: str
    user_id: int
    scopes: frozenset[str]
    is_app: bool

    def allows(self, scope: str | None) -> bool:
        """True if every scope of a comma list was ticked (api-reference/scopes/permissions.md).

        The lesser user scopes open the methods of `user` with fewer fields (api-reference/user/user-scope.md).
        """
        if scope is None or ALL_SCOPES in self.scopes:
            return True
        return all(self.scopes & {name, *LESSER_SCOPES.get(name, ())} for name in scope.split(","))


@dataclass(slots=True)
class App:
    """An installed local application (local-integrations/local-apps.md)."""

    client_id: str
    client_secret: str
    user_id: int = 1
    scopes: frozenset[str] = frozenset({ALL_SCOPES})
    application_token: str = "sandbox0application0token0000001"


@dataclass(slots=True)
class Token:
    app: App
    user_id: int
    expires_at: float


@dataclass(slots=True)
class Tokens:
    """Live tokens by their text."""

    access: dict[str, Token] = field(default_factory=dict)
    refresh: dict[str, Token] = field(default_factory=dict)
    codes: dict[str, Token] = field(default_factory=dict)


class Auth:
    """Webhooks and applications of one portal."""

    def __init__(self, clock: SandboxClock, switches: Switches, seed: Mapping[str, Any] | None = None) -> None:
        self._clock = clock
        self._switches = switches
        self._lock = threading.Lock()
        self._webhooks: dict[tuple[int, str], Credential] = {}
        self.apps: dict[str, App] = {}
        self.tokens = Tokens()
        seed = seed or {}
        self.add_webhook(1, DEFAULT_SECRET)
        for hook in seed.get("webhooks", []):
            self.add_webhook(int(hook["user_id"]), str(hook["secret"]), hook.get("scopes", [ALL_SCOPES]))
        for app in seed.get("apps", [{"client_id": "local.sandbox0001", "client_secret": "sandboxclientsecret0001"}]):
            self.add_app(app)

    def add_webhook(self, user_id: int, secret: str, scopes: Any = (ALL_SCOPES,)) -> Credential:
        """An incoming webhook; acts as its owner (local-integrations/local-webhooks.md)."""
        credential = Credential(f"webhook-{len(self._webhooks) + 1}", user_id, frozenset(scopes), is_app=False)
        self._webhooks[user_id, secret] = credential
        return credential

    def add_app(self, row: Mapping[str, Any]) -> App:
        """Install an application."""
        app = App(
            str(row["client_id"]),
            str(row["client_secret"]),
            int(row.get("user_id", 1)),
            frozenset(row.get("scopes", [ALL_SCOPES])),
            str(row.get("application_token", "sandbox0application0token0000001")),
        )
        self.apps[app.client_id] = app
        return app

    def webhook_paths(self) -> list[str]:
        """`/rest/1/secret/` of every incoming webhook."""
        return [f"/rest/{user_id}/{secret}/" for user_id, secret in self._webhooks]

    def by_webhook(self, user_id: int, secret: str, users: Mapping[Any, Any]) -> Credential:
        """The webhook's credential, or the portal's 401."""
        credential = self._webhooks.get((user_id, secret))
        if credential is not None and self._known_user(user_id, users):
            return credential
        if not self._known_user(user_id, users):
            raise ApiError(
                "INVALID_CREDENTIALS",
                "Invalid request credentials",
                status=self._switches.invalid_credentials_status,
            )
        raise ApiError("NO_AUTH_FOUND", "Wrong authorization data", status=401)

    def by_token(self, access_token: str, users: Mapping[Any, Any]) -> Credential:
        """The application's credential behind an access token, or the portal's 401."""
        token = self.tokens.access.get(access_token)
        if token is None:
            raise ApiError("NO_AUTH_FOUND", "Wrong authorization data", status=401)
        if token.expires_at <= self._clock.time():
            raise ApiError("expired_token", "The access token provided has expired.", status=401)
        if not self._known_user(token.user_id, users):
            raise ApiError("authorization_error", "Unable to authorize user", status=401)
        return Credential(f"app-{token.app.client_id}", token.user_id, token.app.scopes, is_app=True)

    @staticmethod
    def _known_user(user_id: int, users: Mapping[Any, Any]) -> bool:
        user = users.get(user_id, users.get(str(user_id)))
        return user is not None and user.get("ACTIVE", True) not in (False, "N")

    # -- OAuth server ---------------------------------------------------------------------------

    def issue_code(self, client_id: str, user_id: int | None = None) -> str:
        """A one-time authorisation code, good for 30 s (settings/oauth/index.md)."""
        app = self.apps[client_id]
        code = secrets.token_hex(35)
        with self._lock:
            self.tokens.codes[code] = Token(app, user_id or app.user_id, self._clock.time() + CODE_LIFE_S)
        return code

    def exchange(self, params: Mapping[str, Any], base: str) -> dict[str, Any]:
        """Answer of `/oauth/token/`. Raises ApiError with the codes of settings/oauth/error-codes.md."""
        app = self.apps.get(str(params.get("client_id", "")))
        if app is None:
            # recorded: the body has no description
            raise ApiError("wrong_client", "", status=self._switches.wrong_client_status)
        if not hmac.compare_digest(str(params.get("client_secret", "")).encode(), app.client_secret.encode()):
            raise ApiError("invalid_client", "Invalid client secret", status=400)
        grants = {
            "authorization_code": ("code", self.tokens.codes),
            "refresh_token": ("refresh_token", self.tokens.refresh),
        }
        grant = grants.get(str(params.get("grant_type", "")))
        if grant is None:
            raise ApiError("invalid_request", "Invalid grant_type parameter or parameter missing", status=400)
        name, store = grant
        with self._lock:
            token = store.pop(str(params.get(name, "")), None)
        if token is None or token.app is not app or token.expires_at <= self._clock.time():
            raise ApiError("invalid_grant", "Invalid grant", status=400)
        return self.issue_tokens(app, token.user_id, base)

    def issue_tokens(self, app: App, user_id: int, base: str) -> dict[str, Any]:
        """A new pair; the refresh token is good once (settings/oauth/index.md)."""
        now = self._clock.time()
        access, refresh = secrets.token_hex(35), secrets.token_hex(35)
        with self._lock:
            self.tokens.access[access] = Token(app, user_id, now + ACCESS_LIFE_S)
            self.tokens.refresh[refresh] = Token(app, user_id, now + REFRESH_LIFE_S)
        return {
            "access_token": access,
            "expires": int(now + ACCESS_LIFE_S),
            "expires_in": int(ACCESS_LIFE_S),
            "scope": ",".join(sorted(app.scopes)) if ALL_SCOPES not in app.scopes else "app",
            "domain": "oauth.bitrix24.tech",
            "server_endpoint": "https://oauth.bitrix24.tech/rest/",
            "status": "L",
            "client_endpoint": f"{base}/rest/",
            "member_id": MEMBER_ID,
            "user_id": user_id,
            "refresh_token": refresh,
        }

    def expire_access(self) -> int:
        """Make every live access token expired; returns how many."""
        now = self._clock.time()
        with self._lock:
            for token in self.tokens.access.values():
                token.expires_at = min(token.expires_at, now)
            return len(self.tokens.access)

    def revoke_refresh(self) -> int:
        """Forget every refresh token, as after 180 idle days; returns how many."""
        with self._lock:
            count = len(self.tokens.refresh)
            self.tokens.refresh.clear()
            return count


MEMBER_ID = "5a4db0c5a4db0c5a4db0c5a4db0c0001"
"""The stable key of the sandbox portal (settings/oauth/index.md)."""
