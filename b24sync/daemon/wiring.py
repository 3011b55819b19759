"""Builds everything that `serve` and `worker` work with, once.

`handlers` says who works on which lane, `schedules` what ticks when: a feature that wants lanes of its own adds
itself in these two places. Never imports pandas or fast-bitrix24: they cost a hundred megabytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from b24sync.automation.dispatch import BATCH
from b24sync.automation.engine import Handler, Work
from b24sync.automation.offline import OFFLINE, START
from b24sync.automation.portal_rules import ITEM_LANES, START_LANE, PortalRules
from b24sync.automation.questions import Questions
from b24sync.automation.rule_jobs import rule_of
from b24sync.automation.schedule import Schedule
from b24sync.clock import Clock, SystemClock
from b24sync.config import Config, PortalConfig, load_config
from b24sync.daemon.intake import OAUTH
from b24sync.daemon.nightly import is_wanted, limit_s, recount
from b24sync.reporting.stage_begins import StageBegins
from b24sync.store.app_grants import app_tokens
from b24sync.store.causes import Causes
from b24sync.store.cursors import save_cursor
from b24sync.store.engine import Store, open_store
from b24sync.store.jobs import DISPATCH, KEEP_DEAD_S, Jobs
from b24sync.store.lanes import Lanes, Message
from b24sync.transport.address import Address
from b24sync.transport.client import PortalClient, credential_of
from b24sync.transport.gate import Gate, Limits
from b24sync.transport.masking import MASK
from b24sync.transport.oauth import AppClient, AppTokens

BEAT = "worker_beat"
RETENTION_LINE = "30 3 * * *"


@dataclass(frozen=True, slots=True)
class Daemon:
    """Configuration, store and portals of a daemon; clients are made when first asked for, one per thread."""

    config: Config
    portals: Mapping[str, PortalConfig]
    store: Store
    clock: Clock
    _clients: threading.local = field(default_factory=threading.local)
    _rules: dict[str, PortalRules] = field(default_factory=dict)

    def client(self, portal: str) -> PortalClient:
        """The calling thread's client of a portal. Raises ConfigError for a portal without a webhook."""
        clients: dict[str, PortalClient] = self._clients.__dict__.setdefault("by_portal", {})
        if portal not in clients:
            webhook = self.config.webhook_of(portal)
            limits = Limits.of(self.config.limits)
            gate = Gate(self.store, portal, credential_of(webhook), limits, self.clock)
            address = Address(self.store, portal, webhook, self.portals[portal].hosts)
            clients[portal] = PortalClient(address, gate, self.clock)
        return clients[portal]

    def app_client(self, portal: str) -> AppClient:
        """The calling thread's client as the portal's application. Raises ConfigError without `[portal.oauth]`."""
        clients: dict[str, AppClient] = self._clients.__dict__.setdefault("apps", {})
        if portal not in clients:
            secret, oauth = self.config.client_secret_of(portal), self.portals[portal].oauth
            assert oauth is not None
            host = urlsplit(self.config.webhook_of(portal))
            base = f"{host.scheme}://{host.netloc}/rest/"
            gate = Gate(self.store, portal, f"app {oauth.client_id}", Limits.of(self.config.limits), self.clock)
            address = Address(self.store, portal, base, self.portals[portal].hosts)
            tokens = AppTokens(self.store, portal, oauth.client_id, secret, self.clock, oauth.server)
            clients[portal] = AppClient(address, gate, self.clock, tokens)
        return clients[portal]

    def rules(self, portal: str) -> PortalRules:
        """The rules of a portal; nothing is asked of it before they are needed."""
        if portal not in self._rules:
            zone = self.portals[portal].zone
            client = partial(self.client, portal)
            plan = StageBegins(self.config, self.store, portal).fields
            rules = PortalRules(client, self.store, portal, self.clock, self.config, zone, plan)
            self._rules.setdefault(portal, rules)
        return self._rules[portal]

    def beat(self) -> None:
        """Leave a sign of life of the worker."""
        for portal in self.portals:
            save_cursor(self.store, portal, BEAT, str(self.clock.wall_s()))


@contextmanager
def opened_daemon(config_path: Path, portal: str | None) -> Iterator[Daemon]:
    """Read the configuration, open the store. `portal` = that one only. Raises ConfigError, StoreError."""
    config = load_config(config_path)
    portals = config.all_portals() if portal is None else dict([config.portal_named(portal)])
    for name, portal_config in portals.items():
        MASK.add_webhook(config.webhook_of(name))
        for token in portal_config.application_tokens:
            MASK.add(token.get_secret_value())
    store = open_store(config.store_url())
    try:
        yield Daemon(config, portals, store, SystemClock())
    finally:
        store.close()


def application_tokens(daemon: Daemon) -> dict[str, str]:
    """Portal name by token: those of the configuration, and those of installed applications."""
    installed = {token: name for token, name in app_tokens(daemon.store).items() if name in daemon.portals}
    for token in installed:
        MASK.add(token)
    return installed | {
        token.get_secret_value(): name for name, portal in daemon.portals.items() for token in portal.application_tokens
    }


def handlers(daemon: Daemon) -> dict[str, Handler]:
    """Who works on which lane: by its whole key, else by what stands before its colon (`automation/engine.py`)."""

    def forget_old(work: Work) -> None:
        Jobs(daemon.store, work.portal, daemon.clock).forget_old()
        Causes(daemon.store, work.portal).forget_old(daemon.clock.wall_s() - KEEP_DEAD_S)

    def of_rules(run: Callable[[PortalRules, Work], None]) -> Callable[[Work], None]:
        return lambda work: run(daemon.rules(work.portal), work)

    from b24sync.daemon.apps import run_oauth_lane, run_offline_lane

    def count_days(work: Work) -> None:
        recount(daemon.config, daemon.store, daemon.clock, work.portal, daemon.portals[work.portal])

    job = Handler(of_rules(PortalRules.run_job), apart=rule_of)
    return {
        DISPATCH: Handler(of_rules(PortalRules.dispatch), batch=BATCH),
        "cron:recount": Handler(count_days, limit_s=limit_s(daemon.config)),
        OAUTH: Handler(lambda work: run_oauth_lane(daemon, work)),
        OFFLINE: Handler(lambda work: run_offline_lane(daemon, work)),
        "cron:retention": Handler(forget_old),
        "cron:sweep": Handler(of_rules(PortalRules.sweep)),
        START_LANE: Handler(of_rules(PortalRules.start_watching)),
        **dict.fromkeys(ITEM_LANES, job),
    }


def schedules(daemon: Daemon) -> list[Schedule]:
    """What ticks when, in the portals' zones."""
    lines = {"retention": RETENTION_LINE, "sweep": daemon.config.sweep.every}
    if is_wanted(daemon.config):
        lines["recount"] = daemon.config.recount.cron
    of_applications = {"offline": daemon.config.sweep.every}
    return [
        Schedule(portal, name, line, config.zone)
        for portal, config in daemon.portals.items()
        for name, line in (lines | of_applications if config.oauth else lines).items()
    ]


def questions_of(daemon: Daemon) -> list[Questions]:
    """The questions of every portal."""
    return [Questions(daemon.store, portal, daemon.clock) for portal in daemon.portals]


def watch(daemon: Daemon) -> None:
    """Ask for what rules need before they can miss nothing (`ready` says when it is there), and for what was missed."""
    messages = [Message(name, START_LANE, "start") for name in daemon.portals]
    messages += [Message(name, OFFLINE, START) for name, config in daemon.portals.items() if config.oauth]
    Lanes(daemon.store, daemon.clock).publish_now(messages)
