"""The control API under `/_sandbox/`: JSON, no credential, loopback only.

It is the test's and the operator's side door: figures, ledger of calls, faults, costs, switches, acts as a
user, the portal's state. Nothing of it exists on a real portal.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from . import wire
from .answers import Reply
from .inbound import HttpRequest
from .registry import ACTS, ApiError

if TYPE_CHECKING:
    from .sandbox import Sandbox

PREFIX = "/_sandbox/"
Params = dict[str, Any]
Route = Callable[["Control", str, Params], Any]


class NoSuchThing(Exception):
    """404 of the control API."""


class Control:
    """Routes of the control API for one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def answer(self, request: HttpRequest) -> Reply:
        """Route; mistakes answer 400 with `{"error": text}`, strangers 403."""
        if not ipaddress.ip_address(request.source).is_loopback:
            return Reply(403, wire.to_json({"error": "the control API answers on loopback only"}))
        name, _, rest = request.path.removeprefix(PREFIX).strip("/").partition("/")
        try:
            params = self._params(request)
            route = ROUTES.get((request.verb, name))
            if route is None:
                raise NoSuchThing(f"no {request.verb} {PREFIX}{name}")
            return Reply(200, wire.to_json(route(self, rest, params)))
        except NoSuchThing as error:
            return Reply(404, wire.to_json({"error": str(error)}))
        except ApiError as error:
            return Reply(400, wire.to_json({"error": str(error.code), "error_description": error.text}))
        except (ValueError, TypeError, KeyError, LookupError) as error:
            return Reply(400, wire.to_json({"error": f"{type(error).__name__}: {error}"}))

    @staticmethod
    def _params(request: HttpRequest) -> Params:
        query, _ = wire.parse_query(request.query)
        if not request.body:
            return query
        body = json.loads(request.body)
        if not isinstance(body, dict):
            raise ValueError("the body must be a JSON object")  # noqa: TRY004 - a bad request, not a bad type here
        return {**query, **body}

    # -- reading --------------------------------------------------------------------------------

    def health(self, rest: str, params: Params) -> Any:
        return {"ok": True, "scale": self.sandbox.scale, "plan": asdict(self.sandbox.plan), "base": self.sandbox.base}

    def config(self, rest: str, params: Params) -> Any:
        return {
            "webhook": self.sandbox.webhook_url,
            "webhooks": [self.sandbox.base + path for path in self.sandbox.auth.webhook_paths()],
            "toml": self.sandbox.config_block(),
            "base": self.sandbox.base,
        }

    def figures(self, rest: str, params: Params) -> Any:
        """The kernel's figures and the portal's in one object."""
        sandbox = self.sandbox
        now = sandbox.clock.time()
        with sandbox.portal.lock:
            state = sandbox.portal.figures()
        return {
            **sandbox.calls.figures(),
            **sandbox.events.figures(),
            "operating": sandbox.engine.budgets.as_dict(now),
            "faults_fired": sum(row["fired"] for row in sandbox.faults.listing()),
            **state,
        }

    def calls(self, rest: str, params: Params) -> Any:
        limit = params.get("limit")
        return self.sandbox.calls.records(
            int(params.get("since") or 0), str(params.get("method") or ""), None if limit is None else int(limit)
        )

    def state(self, rest: str, params: Params) -> Any:
        with self.sandbox.portal.lock:
            return self.sandbox.portal.dump(rest, params)

    def idle(self, rest: str, params: Params) -> Any:
        """Wait until no request is worked on and no event is queued."""
        timeout_s = float(params.get("timeout_s") or 30)
        return {"idle": self.sandbox.calls.wait_idle(timeout_s) and self.sandbox.events.wait_idle(timeout_s)}

    def acts(self, rest: str, params: Params) -> Any:
        return sorted(ACTS)

    def deliveries(self, rest: str, params: Params) -> Any:
        return list(self.sandbox.events.log)

    # -- changing -------------------------------------------------------------------------------

    def arm_fault(self, rest: str, params: Params) -> Any:
        fault = self.sandbox.faults.arm(params)
        if fault.kind == "redirect" and not fault.params.get("location"):
            self.sandbox.engine.other_address = self.sandbox.other_address()
        return fault.as_dict()

    def list_faults(self, rest: str, params: Params) -> Any:
        return self.sandbox.faults.listing()

    def clear_faults(self, rest: str, params: Params) -> Any:
        self.sandbox.faults.clear()
        return {"ok": True}

    def set_costs(self, rest: str, params: Params) -> Any:
        self.sandbox.costs.set(params)
        return self.sandbox.costs.as_dict()

    def get_costs(self, rest: str, params: Params) -> Any:
        return self.sandbox.costs.as_dict()

    def set_switches(self, rest: str, params: Params) -> Any:
        for name, value in params.items():
            self.sandbox.switches.set(name, value)
        return self.sandbox.switches.as_dict()

    def get_switches(self, rest: str, params: Params) -> Any:
        if params.get("describe"):
            return self.sandbox.switches.describe()
        return self.sandbox.switches.as_dict()

    def act(self, rest: str, params: Params) -> Any:
        """Something a user of the portal does by hand, with the events it raises."""
        handler = ACTS.get(rest)
        if handler is None:
            raise NoSuchThing(f"no act {rest!r}; known: {', '.join(sorted(ACTS))}")
        with self.sandbox.portal.lock:
            self.sandbox.portal.cause = ("", "")
            result = handler(self.sandbox.portal, params)
        self.sandbox.events.pump(self.sandbox.portal)
        # What a person does outside of the portal is done without its lock: the other side may call us.
        return {"result": result() if callable(result) else result}

    def reset(self, rest: str, params: Params) -> Any:
        """A fresh portal from `seed` (default: the one given at start); ledger, faults and limits emptied."""
        sandbox = self.sandbox
        sandbox.new_portal(params.get("seed") or sandbox.seed)
        sandbox.calls.clear()
        sandbox.faults.clear()
        sandbox.events.clear()
        return {"ok": True}

    def forget(self, rest: str, params: Params) -> Any:
        """Empty the ledger of calls, the buckets and the budgets; the portal's state stays."""
        self.sandbox.calls.clear()
        self.sandbox.engine.buckets.clear()
        self.sandbox.engine.budgets.clear()
        return {"ok": True}

    def clock(self, rest: str, params: Params) -> Any:
        self.sandbox.clock.advance(float(params["advance_s"]))
        return {"time": self.sandbox.clock.time(), "iso": self.sandbox.clock.iso()}

    def rename(self, rest: str, params: Params) -> Any:
        return {"base": self.sandbox.rename()}

    def webhooks(self, rest: str, params: Params) -> Any:
        """Add an incoming webhook: user_id, secret, scopes."""
        hook = self.sandbox.auth.add_webhook(
            int(params["user_id"]), str(params["secret"]), params.get("scopes") or ["*"]
        )
        return {"credential": hook.name, "url": f"{self.sandbox.base}/rest/{hook.user_id}/{params['secret']}/"}

    def outgoing(self, rest: str, params: Params) -> Any:
        """Add an outgoing webhook: url, application_token, events."""
        return {"event_handler_id": self.sandbox.events.configure(params).id}

    def knobs(self, rest: str, params: Params) -> Any:
        return self.sandbox.events.set_knobs(params)

    def oauth(self, rest: str, params: Params) -> Any:
        """install (tokens of an app; `url` gets ONAPPINSTALL), code, expire (access), revoke (refresh tokens)."""
        auth = self.sandbox.auth
        client_id = str(params.get("client_id") or next(iter(auth.apps)))
        if rest == "install":
            app = auth.apps[client_id]
            tokens = auth.issue_tokens(app, int(params.get("user_id") or app.user_id), self.sandbox.base)
            if params.get("url"):
                self.sandbox.events.install(str(params["url"]), self.sandbox.event_auth(app, tokens))
            return {**tokens, "client_id": client_id, "client_secret": app.client_secret}
        if rest == "code":
            return {"code": auth.issue_code(client_id)}
        if rest == "expire":
            return {"expired": auth.expire_access()}
        if rest == "revoke":
            return {"revoked": auth.revoke_refresh()}
        raise NoSuchThing(f"no oauth/{rest}")


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "health"): Control.health,
    ("GET", "config"): Control.config,
    ("GET", "figures"): Control.figures,
    ("GET", "calls"): Control.calls,
    ("GET", "state"): Control.state,
    ("GET", "idle"): Control.idle,
    ("GET", "acts"): Control.acts,
    ("GET", "deliveries"): Control.deliveries,
    ("POST", "faults"): Control.arm_fault,
    ("GET", "faults"): Control.list_faults,
    ("DELETE", "faults"): Control.clear_faults,
    ("POST", "costs"): Control.set_costs,
    ("GET", "costs"): Control.get_costs,
    ("POST", "switches"): Control.set_switches,
    ("GET", "switches"): Control.get_switches,
    ("POST", "act"): Control.act,
    ("POST", "reset"): Control.reset,
    ("POST", "forget"): Control.forget,
    ("POST", "clock"): Control.clock,
    ("POST", "rename"): Control.rename,
    ("POST", "webhooks"): Control.webhooks,
    ("POST", "outgoing"): Control.outgoing,
    ("POST", "knobs"): Control.knobs,
    ("POST", "oauth"): Control.oauth,
}
