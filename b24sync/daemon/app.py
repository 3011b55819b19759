"""The daemon's HTTP side: intake, health, readiness, metrics. Pages of later features are routers beside these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from b24sync.daemon.intake import BODY_S, MAX_BODY_BYTES, Answer, Intake

HOOK = "/hooks/bitrix24"
HEADERS_S = 10.0
"""How long a client may take to send its headers."""

_EVENT = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "description": "ONCRMDEALUPDATE, ...; absent in robots' calls"},
        "data": {"type": "object"},
        "ts": {"type": "string"},
        "auth": {
            "type": "object",
            "properties": {"application_token": {"type": "string"}, "domain": {"type": "string"}},
            "required": ["application_token"],
        },
    },
    "required": ["auth"],
}
_HOOK_DOCS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/x-www-form-urlencoded": {"schema": _EVENT}, "application/json": {"schema": _EVENT}},
    },
    "responses": {
        "200": {"description": "The event is on the disk."},
        "400": {"description": "Not readable as an event, or too large, or too slow."},
        "403": {"description": "The application token is not known here."},
        "503": {"description": "The event may not be stored."},
    },
}


@dataclass(frozen=True, slots=True)
class Probes:
    """What the daemon tells about itself; called in a thread."""

    ready: Callable[[], tuple[bool, dict[str, Any]]]
    metrics: Callable[[], str]


def create_app(intake: Intake, probes: Probes, close: Callable[[], Awaitable[None]]) -> FastAPI:
    """Build the application. `close` is awaited when it ends, after the last answer."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await close()

    app = FastAPI(title="b24sync", lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.post(HOOK, openapi_extra=_HOOK_DOCS, response_class=PlainTextResponse)
    async def hook(request: Request) -> Response:
        """Events of outgoing webhooks and applications."""
        status, text = await _take(intake, request)
        # After a body that was not read to its end the connection is of no more use.
        headers = None if status in (200, 403) else {"Connection": "close"}
        return PlainTextResponse(text, status, headers=headers)

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """The process answers."""
        return "ok"

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        """Events can be stored, and somebody works on them."""
        ready, report = probes.ready()
        return JSONResponse(report, 200 if ready else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> str:
        """Figures in the text format of Prometheus."""
        return probes.metrics()

    return app


async def _take(intake: Intake, request: Request) -> Answer:
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        return intake.refuse(400, f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        async with asyncio.timeout(BODY_S):
            body = await _read(request)
    except TimeoutError:
        return intake.refuse(400, f"the body did not come within {BODY_S:.0f} s")
    except ClientDisconnect:
        return intake.refuse(400, "the client has gone")
    if body is None:
        return intake.refuse(400, f"the body is larger than {MAX_BODY_BYTES} bytes")
    return await intake.take(body, request.headers.get("content-type", ""))


async def _read(request: Request) -> bytes | None:
    """The body; None as soon as it is too large."""
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > MAX_BODY_BYTES:
            return None
    return bytes(chunks)


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with an end to its patience: whoever does not finish the headers is cut off."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait_for_headers()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_headers(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(HEADERS_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
