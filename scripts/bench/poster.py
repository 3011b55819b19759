"""Posts events over kept connections as fast as they are answered: `poster.py URL TOKEN CONNECTIONS SECONDS`.

Prints one JSON line: how many were answered 200, how many otherwise, and latencies in seconds. Written close to the
socket, so that on two cores the receiver has one of them.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast
from urllib.parse import quote, urlsplit

import uvloop

DEALS = 16_000
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def bodies(token: str) -> Iterator[bytes]:
    """Forms as the portal sends them (local-integrations/local-webhooks.md), one deal after the other."""
    auth = {"domain": "example.bitrix24.ru", "member_id": "0123456789abcdef0123456789abcdef"}
    auth |= {"client_endpoint": "https://example.bitrix24.ru/rest/", "application_token": token}
    tail = "".join(f"&auth%5B{name}%5D={quote(value, safe='')}" for name, value in auth.items())
    number = 0
    while True:
        number += 1
        deal = number % DEALS + 1
        head = f"event=ONCRMDEALUPDATE&event_handler_id=975&data%5BFIELDS%5D%5BID%5D={deal}&ts=1766047124"
        yield (head + tail).encode()


class Poster(asyncio.Protocol):
    """One connection: sends the next event as soon as the last one is answered."""

    def __init__(self, path: str, source: Iterator[bytes], until: float, taken: list[float]) -> None:
        self._head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        self._source = source
        self._until = until
        self._taken = taken
        self.refused = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self._send()

    def _send(self) -> None:
        body = next(self._source)
        self._answer = b""
        self._sent = time.perf_counter()
        self._transport.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, text = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or (length and len(text) < int(length[1])):
            return
        now = time.perf_counter()
        if head.startswith(b"HTTP/1.1 200"):
            self._taken.append(now - self._sent)
        else:
            self.refused += 1
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


def _same(poster: Poster) -> Poster:
    return poster


async def post(url: str, token: str, connections: int, seconds: float) -> dict[str, object]:
    """Post for `seconds`; what came of it."""
    parts = urlsplit(url)
    taken: list[float] = []
    source = bodies(token)
    began = time.perf_counter()
    posters = []
    for _ in range(connections):
        poster = Poster(parts.path, source, began + seconds, taken)
        make: Callable[[], Poster] = partial(_same, poster)
        await asyncio.get_running_loop().create_connection(make, parts.hostname or "", parts.port or 80)
        posters.append(poster)
    await asyncio.gather(*(poster.over for poster in posters))
    lasted = time.perf_counter() - began
    taken.sort()
    share = {name: taken[int(len(taken) * part)] for name, part in (("p50", 0.5), ("p99", 0.99))} if taken else {}
    refused = sum(poster.refused for poster in posters)
    return {"taken": len(taken), "refused": refused, "seconds": lasted, "per_s": len(taken) / lasted, **share}


if __name__ == "__main__":
    uvloop.install()
    print(json.dumps(asyncio.run(post(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
