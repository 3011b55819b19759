"""A client over a store in a temporary folder and a clock that stands still; answers come from `responses`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from fixed_clock import FixedClock
from migrated_store import migrated_store

from b24sync.store.engine import Store
from b24sync.transport.address import Address
from b24sync.transport.client import PortalClient, credential_of
from b24sync.transport.gate import Gate, Limits

SECRET = "s3cr3tS3cr3tS3cr3t"
WEBHOOK = f"https://example.bitrix24.ru/rest/1/{SECRET}/"
STANDARD = Limits(2.0, 50.0, 480.0, 60.0)


@dataclass
class Wired:
    """What a test works with."""

    client: PortalClient
    gate: Gate
    store: Store
    clock: FixedClock
    webhook: str = WEBHOOK

    def url(self, method: str) -> str:
        return f"{self.webhook}{method}.json"


@contextmanager
def wired(
    folder: Path,
    *,
    webhook: str = WEBHOOK,
    hosts: tuple[str, ...] = (),
    limits: Limits = STANDARD,
    session: requests.Session | None = None,
) -> Iterator[Wired]:
    """Open a store in `folder` and build a client for `webhook` on it."""
    clock = FixedClock()
    store = migrated_store(folder)
    own = session or requests.Session()
    try:
        gate = Gate(store, "main", credential_of(webhook), limits, clock)
        address = Address(store, "main", webhook, hosts)
        yield Wired(PortalClient(address, gate, clock, session=own), gate, store, clock, webhook)
    finally:
        own.close()
        store.close()
