"""A server of raw sockets that does to each request what a script says: for breaks that no mock has."""

from __future__ import annotations

import atexit
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

OK = b'{"result": true, "time": {"start": 1, "finish": 1, "duration": 0}}'


def reply(body: bytes, *, status: str = "200 OK", length: int | None = None) -> bytes:
    """A whole HTTP answer; `length` lies about the body's length."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length or len(body)}\r\n\r\n"
    return head.encode() + body


class ScriptedServer:
    """`answers`: what each request gets, in order; None closes the connection instead, "hang" says nothing.

    `greeting` is said before anything is asked, which no TLS client understands.
    """

    def __init__(self, answers: list[bytes | str | None], greeting: bytes) -> None:
        self.answers = answers
        self.greeting = greeting
        self.requests: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed: the test is over
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the client has gone, or the test is over
            connection.sendall(self.greeting)
            while (request := _read_request(connection)) is not None:
                self.requests.append(request)
                answer = self.answers.pop(0) if self.answers else None
                if answer is None:
                    return
                if isinstance(answer, str):
                    connection.recv(1)  # until the client has had enough
                    return
                connection.sendall(answer)
                if b"Content-Length: 9999" in answer:
                    return

    def close(self) -> None:
        self._socket.close()
        for connection in self._open:
            connection.close()


def _read_request(connection: socket.socket) -> bytes | None:
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        wanted = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(body) < wanted:
            body += connection.recv(65536)
    except OSError:
        return None
    return head + b"\r\n\r\n" + body


@contextmanager
def scripted_server(*answers: bytes | str | None, greeting: bytes = b"") -> Iterator[ScriptedServer]:
    server = ScriptedServer(list(answers), greeting)
    try:
        yield server
    finally:
        server.close()


@cache
def closed_port() -> int:
    """A port of this machine that nobody listens on, nor can until this process ends: it is taken, and refuses."""
    taken = socket.socket()
    atexit.register(taken.close)
    taken.bind(("127.0.0.1", 0))
    return int(taken.getsockname()[1])
