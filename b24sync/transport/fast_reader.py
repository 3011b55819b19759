"""fast-bitrix24's reader of long lists, with every one of its requests booked at our gate.

The library decides what is asked: one page, then the others fifty to a batch. How it is asked is ours: its HTTP session
is replaced by one that hands each request to `PortalClient`, which books, sends, judges, repeats and observes it. Its
own limiters never wait, and its writer is not used. Only exports and reports import this module.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from fast_bitrix24 import BitrixAsync

from b24sync.errors import PortalRefused
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Refused
from b24sync.transport.protocol import Command

NOWHERE = "https://portal.invalid/rest/1/none/"
"""The library wants an address; the real one never leaves `PortalClient`."""
UNLIMITED = 10**9
logging.getLogger("fast_bitrix24").setLevel(logging.WARNING)
"""It logs every request and answer, clients' data included, whatever level the root logger has."""


class FastReader:
    """Reads whole lists. One bulk request is in flight at a time, as everywhere."""

    def __init__(self, client: PortalClient) -> None:
        self._session = _GateSession(client)

    def read(self, method: str, params: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int | None]:
        """(rows in no order, the portal's `total` before the first page). Cost: one request, and one per 2,500 rows.

        `params` without `order` and `start`. The rows may be fewer than `total` where the list changes meanwhile: the
        caller compares. Raises PortalRefused, PortalUnreachable, PortalBlocked.
        """
        self._session.total = None
        with warnings.catch_warnings():
            # It warns of long lists and of missing rows; that is what this reader is for, and checked by its caller.
            warnings.simplefilter("ignore")
            rows = asyncio.run(self._get_all(method, dict(params)))
        return [row for row in rows if isinstance(row, dict)], self._session.total

    async def _get_all(self, method: str, params: dict[str, Any]) -> list[Any]:
        reader = BitrixAsync(
            NOWHERE,
            verbose=False,
            respect_velocity_policy=False,
            request_pool_size=UNLIMITED,
            requests_per_second=float(UNLIMITED),
        )
        reader.srh.session = self._session
        reader.srh.client_provided_by_user = True
        found = await reader.get_all(method, params)
        return list(found) if isinstance(found, list) else []


class _GateSession:
    """What the library takes for its HTTP session."""

    closed = False

    def __init__(self, client: PortalClient) -> None:
        self._client = client
        self.total: int | None = None

    def post(self, url: str, json: Mapping[str, Any], ssl: bool = True) -> _Exchange:
        """A request that is sent when it is entered."""
        return _Exchange(self, url.rpartition("/")[2], json)

    def answer(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The body of an answer, without its counters: those are the gate's."""
        if method == "batch":
            return {"result": {"result": self._batch(params["cmd"]), "result_error": []}}
        done = self._client.call(method, params, priority="bulk")
        if self.total is None:
            self.total = done.total
        return {"result": done.result, "total": done.total, "next": done.next}

    def _batch(self, cmd: Mapping[str, str]) -> dict[str, Any]:
        commands = {name: _command(text) for name, text in cmd.items()}
        results: dict[str, Any] = {}
        for name, answer in self._client.read_all(commands).items():
            if isinstance(answer, Refused):
                raise PortalRefused(commands[name].method, answer.code, answer.text)
            results[name] = answer.result
        return results


class _Exchange:
    """One request. It blocks the library's event loop on purpose: nothing else may be in flight."""

    def __init__(self, session: _GateSession, method: str, params: Mapping[str, Any]) -> None:
        self._session = session
        self._method = method
        self._params = params
        self._body: dict[str, Any] = {}

    async def __aenter__(self) -> _Exchange:
        self._body = self._session.answer(self._method, self._params)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays open."""

    async def json(self, encoding: str = "utf-8") -> dict[str, Any]:
        return self._body


def _command(text: str) -> Command:
    """`method?a[b]=1&a[c][0]=2` as a command."""
    method, _, query = text.partition("?")
    params: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        path, _, value = part.partition("=")
        names = unquote(path).replace("]", "").split("[")
        inner = params
        for name in names[:-1]:
            inner = inner.setdefault(name, {})
        inner[names[-1]] = unquote(value)
    return Command(method, params)
