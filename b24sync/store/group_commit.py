"""Group commit: what waits is published in one transaction, with no fixed delay (design 7).

While one transaction is written through to the disk, the next messages gather; so a single message waits for
one fsync and a thousand share one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from b24sync.clock import Clock
from b24sync.errors import StoreError
from b24sync.store.engine import Store
from b24sync.store.lanes import Lanes, Message

MAX_WAITING = 10_000
MAX_BATCH = 500


class GroupCommit:
    """Publishes for one event loop. `on_commit` runs in the loop after every commit: the worker is woken there."""

    def __init__(self, store: Store, clock: Clock, on_commit: Callable[[], None]) -> None:
        self._lanes = Lanes(store, clock)
        self._on_commit = on_commit
        self._pool = ThreadPoolExecutor(1, "commit")
        self._waiting: list[tuple[Message, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self.commits = 0
        self.messages = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def publish(self, message: Message) -> None:
        """Return when the message is on the disk. Raises StoreError: it may not be stored."""
        if len(self._waiting) >= MAX_WAITING:
            raise StoreError(f"{MAX_WAITING} events wait for the store already.")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        await future

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                messages = [message for message, _ in batch]
                error: BaseException | None = None
                try:
                    await loop.run_in_executor(self._pool, self._lanes.publish_now, messages)
                except Exception as raised:  # noqa: BLE001 - it is raised again in everybody who waits for this commit
                    error = raised
                self._tell([future for _, future in batch], error)
        finally:
            self._task = None

    def _tell(self, futures: list[asyncio.Future[None]], error: BaseException | None) -> None:
        for future in futures:
            if future.done():  # its client has gone
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
        if error is None:
            self.commits += 1
            self.messages += len(futures)
            self._on_commit()

    async def close(self) -> None:
        """Commit what waits, then stop."""
        if self._task is not None:
            await self._task
        self._pool.shutdown()
