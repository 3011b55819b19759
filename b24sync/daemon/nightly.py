"""The nightly recount as a lane of the daemon, with the delivery of reports behind it.

A night that is killed with the daemon is begun again by its lane and goes on with its own moment; one that its
window ends goes on with the next tick.
"""

from __future__ import annotations

import logging

from b24sync.bulk.window import WindowClock
from b24sync.clock import Clock
from b24sync.config import Config, PortalConfig, seconds_of
from b24sync.errors import RetryLater
from b24sync.reporting.delivery import DELIVERY_S, Delivery
from b24sync.reporting.recount import Recount
from b24sync.store.engine import Store
from b24sync.transport.address import Address
from b24sync.transport.client import PortalClient, credential_of
from b24sync.transport.gate import Gate, Limits

LOG = logging.getLogger("b24sync.recount")


def is_wanted(config: Config) -> bool:
    """Whether there is anything to recount or to deliver."""
    return bool(config.stages.norm or config.reports.deliver)


def limit_s(config: Config) -> float:
    """How long the lane may take before it counts as stuck: the recount's window, the delivery, and some air."""
    return seconds_of(config.recount.max_duration) + 2 * DELIVERY_S


def recount(config: Config, store: Store, machine: Clock, portal: str, portal_config: PortalConfig) -> None:
    """One night of one portal. Raises RetryLater when the portal was away while there was time left."""
    clock = WindowClock(machine)
    close_at = clock.wall_s() + seconds_of(config.recount.max_duration)
    clock.close_at(close_at)
    webhook = config.webhook_of(portal)
    gate = Gate(store, portal, credential_of(webhook), Limits.of(config.limits), clock)
    client = PortalClient(Address(store, portal, webhook, portal_config.hosts), gate, clock)
    summary = Recount(client, store, portal, clock, config).run()
    for note in summary.notes:
        LOG.warning("portal=%s %s", portal, note)
    LOG.info(
        "portal=%s recount seen=%d changed=%d written=%d refused=%d duration_s=%.1f stopped=%s",
        *(portal, summary.seen, summary.changed, summary.written, summary.refused, summary.duration_s),
        summary.stopped or "no",
    )
    if summary.read_all:
        clock.close_at(clock.wall_s() + DELIVERY_S)
        Delivery(client, store, portal, clock, config).all(
            summary.as_of, lambda text: LOG.info("portal=%s %s", portal, text)
        )
    if summary.stopped and clock.wall_s() < close_at:
        raise RetryLater(summary.stopped)
