"""The whole sandbox in one object: portal, REST endpoint, OAuth server, control API, one or two addresses.

with Sandbox(plan=PLANS["standard"]) as sandbox:
    requests.post(sandbox.webhook_url + "crm.item.list", json={...})
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import wire
from .answers import FILE_TYPE, HTML_TYPE, Reply, error_body, html_reply
from .auth import App, Auth
from .calls import CallLedger, CallRecord
from .clock import SandboxClock
from .control import Control
from .costs import Costs
from .engine import Engine
from .events import Deliveries
from .faults import FaultBook
from .inbound import HttpRequest
from .limits import PLANS, Plan
from .model import drive_links
from .registry import METHODS, ApiError, Method
from .server import Listener
from .switches import Switches

if TYPE_CHECKING:
    from .portal import Portal

PortalMaker = Callable[[Switches, SandboxClock, dict[str, Any] | None], "Portal"]
HOME_PAGE = (
    "<html><head><title>b24sync sandbox</title></head><body><h1>b24sync sandbox</h1>"
    "<p>A local portal for rehearsals. Figures: <a href='/_sandbox/figures'>/_sandbox/figures</a></p></body></html>"
)


def default_portal(switches: Switches, clock: SandboxClock, seed: dict[str, Any] | None) -> Portal:
    """The CRM portal with all registered methods."""
    from . import methods, system_methods  # noqa: F401 - importing them registers every method
    from .portal import Portal

    return Portal(switches=switches, clock=clock, seed=seed)


class Sandbox:
    """Everything behind the sockets. `scale` shortens the limits (see `Plan.scaled`)."""

    def __init__(
        self,
        *,
        plan: Plan = PLANS["standard"],
        scale: float = 1.0,
        seed: dict[str, Any] | None = None,
        switches: Switches | None = None,
        clock: SandboxClock | None = None,
        costs: Mapping[str, float] | None = None,
        methods: Mapping[str, Method] | None = None,
        make_portal: PortalMaker = default_portal,
        keep_calls: int = 50_000,
    ) -> None:
        self.plan = plan.scaled(scale)
        self.scale = scale
        self.seed = seed
        self.switches = switches or Switches()
        self.clock = clock or SandboxClock(scale=scale)
        self.costs = Costs(scale)
        self.costs.set(costs or {})
        self.calls = CallLedger(keep_calls)
        self.faults = FaultBook()
        self.events = Deliveries(self.clock)
        self._make_portal = make_portal
        self._methods = METHODS if methods is None else methods
        self.portal: Portal
        self.auth: Auth
        self.engine: Engine
        self.new_portal(seed)
        self.control = Control(self)
        self.listeners: list[Listener] = []

    def new_portal(self, seed: dict[str, Any] | None) -> None:
        """A fresh portal from a seed: state, webhooks, applications, outgoing webhooks."""
        self.seed = seed
        self.portal = self._make_portal(self.switches, self.clock, seed)
        self.auth = Auth(self.clock, self.switches, seed)
        self.portal.base = self.listeners[0].base if hasattr(self, "listeners") and self.listeners else ""
        self.events.app_auth = self._app_auth
        self.events.handlers.clear()
        for row in (seed or {}).get("outgoing_webhooks", []):
            self.events.configure(row)
        renamed = self.engine.renamed_to if hasattr(self, "engine") else {}
        self.engine = Engine(
            self.portal,
            self.clock,
            self.switches,
            self.plan,
            self.auth,
            self.costs,
            self.calls,
            self.faults,
            self.events,
            self._methods,
            renamed,
        )

    def _app_auth(self, credential: str, user_id: int) -> dict[str, Any]:
        """`auth` of an event for an application's handler: fresh tokens and the application's token."""
        app = self.auth.apps[credential.removeprefix("app-")]
        return self.event_auth(app, self.auth.issue_tokens(app, user_id or app.user_id, self.base))

    def event_auth(self, app: App, tokens: dict[str, Any]) -> dict[str, Any]:
        """Tokens as an event carries them: the portal's own domain, and the token to check the event by."""
        return {**tokens, "domain": self.events.domain, "application_token": app.application_token}

    # -- addresses ------------------------------------------------------------------------------

    def listen(self, host: str = "127.0.0.1", port: int = 0) -> Listener:
        """Open an address; the first one is the portal's."""
        listener = Listener(host, port, self)
        listener.start()
        self.listeners.append(listener)
        if len(self.listeners) == 1:
            self.events.base = listener.base
            self.events.domain = listener.base.partition("://")[2]
            self.portal.base = listener.base
        return listener

    @property
    def base(self) -> str:
        """`http://127.0.0.1:PORT` of the portal."""
        return self.listeners[0].base

    @property
    def webhook_url(self) -> str:
        """The default incoming webhook (user 1, all scopes)."""
        return self.base + self.auth.webhook_paths()[0]

    def other_address(self) -> str:
        """A second address that serves the same portal; opened when first asked for."""
        if len(self.listeners) == 1:
            self.listen(self.listeners[0].host)
        return self.listeners[1].base

    def rename(self) -> str:
        """From now on the first address answers 302 to the second (settings/how-to-call-rest-api/change-domen.md)."""
        new = self.other_address()
        self.engine.renamed_to[self.base] = new
        return new

    def stop(self) -> None:
        """End listeners, late work and deliveries."""
        self.engine.stopping.set()
        for listener in self.listeners:
            listener.stop()
        self.events.stop()

    def __enter__(self) -> Self:
        if not self.listeners:
            self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- requests -------------------------------------------------------------------------------

    def answer(self, request: HttpRequest) -> tuple[Reply, CallRecord | None]:
        """Route one request: REST, OAuth server, control API."""
        path = request.path
        if path in ("/rest/download.json", "/rest/upload.json"):
            return self._file(request), None
        if path.startswith("/rest/"):
            return self.engine.handle(request)
        if path.startswith("/_sandbox/"):
            return self.control.answer(request), None
        if path.rstrip("/") == "/oauth/token":
            return self._token(request), None
        if path == "/":
            return Reply(200, HOME_PAGE.encode(), HTML_TYPE), None
        return html_reply(404, "Not Found"), None

    def _token(self, request: HttpRequest) -> Reply:
        """The OAuth server (settings/oauth/index.md); GET and form POST."""
        query, _ = wire.parse_query(request.query)
        body, _ = wire.decode_body(request.headers.get("content-type", ""), request.body, None)
        try:
            return Reply(200, wire.to_json(self.auth.exchange(wire.merge(query, body), self.base)))
        except ApiError as error:
            answer = error_body(error)
            if not error.text:
                del answer["error_description"]
            return Reply(error.status, wire.to_json(answer))

    def _file(self, request: HttpRequest) -> Reply:
        """Bodies of files by a link with a token: GET downloads, a multipart POST uploads (disk-folder-upload-file.md).

        These requests are none of REST: they count in no limit and stand in no ledger.
        """
        from .methods.disk import made_row

        query, _ = wire.parse_query(request.query)
        token = str(query.get("token", ""))
        with self.portal.lock:
            if request.path.startswith("/rest/download"):
                found = drive_links.body_of(self.portal, token)
                return html_reply(404, "Not Found") if found is None else Reply(200, found[1], FILE_TYPE)
            form, _ = wire.decode_body(request.headers.get("content-type", ""), request.body, None)
            part = form.get("file") if isinstance(form, dict) else None
            if not isinstance(part, dict):
                return Reply(400, wire.to_json({"error": "ERROR_ARGUMENT", "error_description": "No file"}))
            try:
                row = drive_links.receive(self.portal, token, str(part["name"]), part["content"])
            except drive_links.NameTaken:
                return Reply(400, wire.to_json({"error": "DISK_OBJ_22000", "error_description": "Name is taken"}))
            if row is None:
                return html_reply(404, "Not Found")
            return Reply(200, wire.to_json({"result": made_row(self.portal, row)}))

    def connection_failed(self) -> None:
        """A connection's thread broke: record and print, never hide."""
        text = traceback.format_exc()
        self.calls.internal_error(text)
        sys.stderr.write(text)

    # -- texts ----------------------------------------------------------------------------------

    def config_block(self) -> str:
        """`[portal]` and `[limits]` of a client's config.toml."""
        lines = ["[portal]", f'webhook = "{self.webhook_url}"', 'timezone = "Europe/Moscow"', "", "[limits]"]
        plan = self.plan
        if plan.rate_per_s is None or plan.operating_limit_s is None or plan.request_cap_s is None:
            return "\n".join([*lines, 'plan = "off"'])
        if plan.name in ("standard", "enterprise") and plan.scale == 1:
            return "\n".join([*lines, f'plan = "{plan.name}"'])
        return "\n".join(
            [
                *lines,
                'plan = "custom"',
                f"rate_per_s = {plan.rate_per_s:g}",
                f"burst = {plan.burst}",
                f"operating_limit_s = {plan.operating_limit_s!r}",
                f"request_cap_s = {plan.request_cap_s!r}",
            ]
        )
