"""Our side of a portal within the test's own process: a migrated store, a gate, a client over real HTTP.

For tests of many small cases, each of which would otherwise spend a second on starting the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from migrated_store import migrated_store
from sandbox_process import SandboxProcess

from b24sync.clock import Clock, SystemClock
from b24sync.store.engine import Store
from b24sync.transport.address import Address
from b24sync.transport.client import PortalClient, credential_of
from b24sync.transport.gate import Gate, Limits

PORTAL = "main"
UNLIMITED = Limits(None, 50.0, None, 60.0)
"""Plan "off"."""


class Office:
    """What jobs are built from. `portal` is the name that everything stored carries."""

    def __init__(self, store: Store, client: PortalClient, clock: Clock) -> None:
        self.store = store
        self.client = client
        self.clock = clock
        self.portal = PORTAL


@contextmanager
def office(
    folder: Path, sandbox: SandboxProcess, *, webhook: str | None = None, limits: Limits = UNLIMITED
) -> Iterator[Office]:
    """Open `folder`/store.db, new or as it is, for a webhook of the sandbox; its first one where none is given."""
    url = webhook or sandbox.url
    clock = SystemClock()
    store = migrated_store(folder)
    session = requests.Session()
    try:
        gate = Gate(store, PORTAL, credential_of(url), limits, clock)
        address = Address(store, PORTAL, url, ())
        yield Office(store, PortalClient(address, gate, clock, session=session), clock)
    finally:
        session.close()
        store.close()
