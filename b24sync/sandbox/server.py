"""HTTP/1.1 on real sockets: keep-alive, no delay, one thread per connection, no framework.

The server can do what a portal's network does: close without a word, stay silent, promise more than it
sends. Everything about REST is in `engine`, everything under `/_sandbox/` in `control`.
"""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from .answers import Reply, html_reply
from .inbound import HttpRequest

if TYPE_CHECKING:
    from .sandbox import Sandbox

MAX_HEADERS = 200
MAX_BODY = 256 * 1024 * 1024
REASONS = {status.value: status.phrase for status in HTTPStatus}


class BadRequest(Exception):
    """What came is no HTTP/1.x request."""


class Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One address of the sandbox."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, host: str, port: int, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.host = host
        self.stopping = False
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((host, port), Connection)
        # every interface has no address of its own that a client could call
        name = "127.0.0.1" if host in ("", "0.0.0.0") else host
        self.base = f"http://{name}:{self.socket.getsockname()[1]}"
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox-listener", daemon=True
        )

    def start(self) -> None:
        """Accept connections in a thread."""
        self._thread.start()

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, to end it when the server stops."""
        with self._open_lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._open_lock:
            self._open.discard(connection)

    def stop(self) -> None:
        """Stop listening and end every connection."""
        self.stopping = True
        self.shutdown()
        self.server_close()
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news; anything else is the sandbox's fault and must be seen."""
        self.sandbox.connection_failed()


class Connection(socketserver.StreamRequestHandler):
    """Requests of one client, one after the other."""

    disable_nagle_algorithm = True
    rbufsize = 1 << 16
    server: Listener

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        while not self.server.stopping:
            try:
                request, keep = self.read_request()
            except (BadRequest, ValueError):
                self.write(html_reply(400, "Bad Request"), keep=False)
                return
            except OSError:
                return
            if request is None:
                return
            reply, record = self.server.sandbox.answer(request)
            if reply.drop:
                return
            if reply.silent_s:
                self.stay_silent(reply.silent_s)
                return
            try:
                self.write(reply, keep=keep)
            except OSError:
                if record is not None:
                    self.server.sandbox.calls.not_delivered(record)
                return
            if not keep or reply.short_read:
                return

    def read_request(self) -> tuple[HttpRequest | None, bool]:
        """The next request and whether the connection lives on; None where the client has gone."""
        line = self.rfile.readline(1 << 16)
        if not line.strip():
            return None, False
        words = line.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise BadRequest
        verb, target, version = words
        headers: dict[str, str] = {}
        for _ in range(MAX_HEADERS):
            raw = self.rfile.readline(1 << 16)
            if raw in (b"\r\n", b"\n", b""):
                break
            name, _, value = raw.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = self.read_body(headers)
        if target.startswith("http://"):
            target = "/" + target.split("/", 3)[-1]
        path, _, query = target.partition("?")
        wish = headers.get("connection", "").lower()
        keep = wish != "close" and (version == "HTTP/1.1" or wish == "keep-alive")
        request = HttpRequest(verb, unquote(path), query, headers, body, self.client_address[0], self.server.base)
        return request, keep

    def read_body(self, headers: dict[str, str]) -> bytes:
        """The body by its length or in chunks."""
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(iter(self.read_chunk, b""))
        length = int(headers.get("content-length") or 0)
        if length < 0 or length > MAX_BODY:
            raise BadRequest
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            raise ConnectionError("the client left in the middle of its request")
        return body

    def read_chunk(self) -> bytes:
        """One chunk; the last one is empty."""
        size = int(self.rfile.readline(1 << 10).partition(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline(1 << 10)
        return chunk

    def write(self, reply: Reply, *, keep: bool) -> None:
        """The reply in one piece."""
        head = [
            f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Unknown')}",
            "Server: nginx",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body)}",
            f"Connection: {'keep-alive' if keep and not reply.short_read else 'close'}",
            *(f"{name}: {value}" for name, value in reply.headers.items()),
        ]
        body = reply.body[: len(reply.body) // 2] if reply.short_read else reply.body
        self.wfile.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)

    def stay_silent(self, seconds: float) -> None:
        """Say nothing until the client goes, the time is up or the server stops."""
        end = time.monotonic() + seconds
        while not self.server.stopping and time.monotonic() < end:
            ready, _, _ = select.select([self.connection], [], [], 0.05)
            if ready and not self.connection.recv(1 << 12, socket.MSG_PEEK):
                return
            if ready:
                time.sleep(0.05)
