"""What one would write first: FastAPI, one SQLite insert per request. `bare_receiver.py DATABASE`; prints its port."""

from __future__ import annotations

import json
import sqlite3
import sys
from urllib.parse import parse_qsl

import uvicorn
from fastapi import FastAPI, Request


def build(path: str) -> FastAPI:
    """As durable as ours: WAL, written through to the disk with every commit."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, event TEXT, body TEXT)")
    app = FastAPI()

    @app.post("/hooks/bitrix24")
    async def hook(request: Request) -> str:
        form = dict(parse_qsl((await request.body()).decode()))
        database.execute("INSERT INTO events (event, body) VALUES (?, ?)", (form.get("event"), json.dumps(form)))
        return "ok"

    return app


if __name__ == "__main__":
    config = uvicorn.Config(build(sys.argv[1]), host="127.0.0.1", port=0, log_level="warning", access_log=False)
    socket = config.bind_socket()
    print(f"http://127.0.0.1:{socket.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[socket])
