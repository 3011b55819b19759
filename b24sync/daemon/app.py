"""The daemon's HTTP side: intake, health, readiness, metrics. Pages of later features are routers beside these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from b24sync.daemon.intake import BODY_S, HOOK, MAX_BODY_BYTES, Answer, Intake

DISCARDED_BYTES = 16 * 1024 * 1024
"""So much of a body that is too large is taken off the line, unkept: a client still sending hears no answer."""
DISCARD_S = 2.0
HEADERS_S = 5.0
"""How long a client may take to send its headers."""

TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES} bytes"

_EVENT = {
    "type": "object",
    "properties": {
        "event": {
            "type": "string",
            "pattern": "^[A-Z][A-Z0-9_.]{2,99}$",
            "description": "ONCRMDEALUPDATE, ...; a robot's call has event_token and document_id instead",
        },
        "data": {"type": "object"},
        "ts": {"type": "string"},
        "auth": {
            "type": "object",
            "properties": {"application_token": {"type": "string"}, "domain": {"type": "string"}},
            "required": ["application_token"],
        },
    },
    "required": ["event", "auth"],
}
_HOOK_DOCS: dict[str, Any] = {
    "summary": "Events of outgoing webhooks and applications",
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


class DaemonApp(FastAPI):
    """FastAPI, with the hook answered before its routing: that takes longer than reading and checking an event."""

    def __init__(self, intake: Intake, **options: Any) -> None:
        super().__init__(**options)
        self._hook = Hook(intake)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == HOOK:
            await self._hook(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The schema, with the hook in it."""
        schema = super().openapi()
        schema["paths"].setdefault(HOOK, {"post": _HOOK_DOCS})
        return schema


def create_app(
    intake: Intake, probes: Probes, close: Callable[[], Awaitable[None]], pages: Sequence[APIRouter] = ()
) -> DaemonApp:
    """Build the application. `close` is awaited when it ends, after the last answer; `pages` are for people."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await close()

    app = DaemonApp(intake, title="b24sync", lifespan=lifespan, docs_url=None, redoc_url=None)

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

    for router in pages:
        app.include_router(router)
    return app


class Hook:
    """`POST /hooks/bitrix24` as an ASGI application."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        body, answer = await self._read(headers.get(b"content-length", b"0"), receive)
        if body is not None:
            answer = await self._intake.take(body, headers.get(b"content-type", b"").decode("latin-1"))
        elif b"expect" not in headers:  # such a client sends nothing before it is told to
            await self._discard(receive)
        status, text = answer
        said = text.encode()
        out = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(said)).encode())]
        if body is None:  # the rest of what was not read is of no use to the next request
            out.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": out})
        await send({"type": "http.response.body", "body": said})

    async def _read(self, length: bytes, receive: Receive) -> tuple[bytes | None, Answer]:
        """The body, or None and what to answer instead."""
        if not length.isdigit() or int(length[:20]) > MAX_BODY_BYTES:
            return None, self._intake.refuse(400, TOO_LARGE)
        body = b""
        try:
            async with asyncio.timeout(BODY_S):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None, self._intake.refuse(400, "the client has gone")
                    body += message.get("body", b"")
                    if len(body) > MAX_BODY_BYTES:
                        return None, self._intake.refuse(400, TOO_LARGE)
                    if not message.get("more_body", False):
                        return body, (200, "")
        except TimeoutError:
            return None, self._intake.refuse(400, f"the body did not come within {BODY_S:.0f} s")

    async def _discard(self, receive: Receive) -> None:
        """Read on without keeping anything, up to a length and a time: closed at once, the line would be reset."""
        left = DISCARDED_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_S):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return


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
