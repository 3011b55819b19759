"""Builds what a command needs, once: configuration, store, gate, client."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from b24sync.clock import Clock, SystemClock
from b24sync.config import Config, PortalConfig, load_config
from b24sync.errors import NeedsConfirmation
from b24sync.store.engine import Store, open_store
from b24sync.transport.address import Address
from b24sync.transport.client import PortalClient, credential_of
from b24sync.transport.gate import Gate, Limits
from b24sync.transport.masking import MASK, MaskingFilter

MOST = 2**31 - 1


def number(text: str) -> int:
    """The number of a run, an event, an item: no store numbers higher than `MOST`. Raises BadParameter."""
    if not text.isascii() or not text.isdigit() or int(text) > MOST:
        raise click.BadParameter(f"{text!r} is no number of 0 to {MOST}")
    return int(text)


@dataclass(frozen=True, slots=True)
class App:
    """What the commands work with. `portal` is the name that everything stored carries."""

    config: Config
    portal: str
    portal_config: PortalConfig
    store: Store
    clock: Clock
    gate: Gate
    client: PortalClient


def second_client(app: App, webhook: str) -> PortalClient:
    """A client of the same portal with another webhook, whose trouble does not stop the portal's own processes.

    Its gate has rows of its own; who uses it also books at the portal's gate, because the bucket is one.
    """
    MASK.add_webhook(webhook)
    gate = Gate(app.store, f"{app.portal}:role", credential_of(webhook), Limits.of(app.config.limits), app.clock)
    address = Address(app.store, app.portal, webhook, app.portal_config.hosts)
    return PortalClient(address, gate, app.clock)


@contextmanager
def opened(options: Mapping[str, Any], clock: Clock | None = None) -> Iterator[App]:
    """Read the configuration, open the store, build the client. Raises ConfigError, StoreError.

    `clock`: what everything waits on, the machine's where absent.
    """
    config = load_config(Path(options["config"]))
    portal, portal_config = config.portal_named(options["portal"])
    webhook = config.webhook_of(options["portal"])
    MASK.add_webhook(webhook)
    for token in portal_config.application_tokens:
        MASK.add(token.get_secret_value())
    log_to_stderr(verbose=bool(options["verbose"]))
    clock = clock or SystemClock()
    store = open_store(config.store_url())
    try:
        gate = Gate(store, portal, credential_of(webhook), Limits.of(config.limits), clock)
        address = Address(store, portal, webhook, portal_config.hosts)
        yield App(config, portal, portal_config, store, clock, gate, PortalClient(address, gate, clock))
    finally:
        store.close()


def say(text: str = "") -> None:
    """A message for the person: standard error, so that `--json` owns standard output."""
    click.echo(MASK.hide(text), err=True)


class _Answer:
    given = False


def print_json(value: Any) -> None:
    """The one object of `--json`: the last line of standard output."""
    _Answer.given = True
    click.echo(MASK.hide(json.dumps(value, ensure_ascii=False)))


def print_error(message: str, exit_code: int) -> None:
    """The object of `--json` where the command ended before it had one."""
    if not _Answer.given:
        print_json({"error": message, "exit_code": exit_code})


def iso(seconds: float | None) -> str | None:
    """A time in `--json` and listings: ISO 8601, UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before writing. Raises NeedsConfirmation for a no, and without a terminal and without `--yes`."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise NeedsConfirmation(f"{question} There is no terminal to ask on: run it again with --yes.")
    if not click.confirm(question, err=True):
        raise NeedsConfirmation("Not confirmed: nothing was done.")


def log_to_stderr(*, verbose: bool) -> None:
    """Log with secrets hidden: warnings, or everything."""
    handler = logging.StreamHandler()
    handler.addFilter(MaskingFilter())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if verbose else logging.WARNING, force=True)
    # SQL's parameters are clients' data; they are not logged even when asked to be talkative.
    logging.getLogger("sqlalchemy").setLevel(logging.WARNING)


def log_of_daemon(options: Mapping[str, Any]) -> None:
    """A daemon's log says what it did, too."""
    log_to_stderr(verbose=bool(options["verbose"]))
    if not options["verbose"]:
        logging.getLogger("b24sync").setLevel(logging.INFO)
