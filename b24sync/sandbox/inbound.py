"""What came, decoded: an HTTP request as one call with its method, parameters and credential.

Docs: settings/how-to-call-rest-api/general-principles.md, settings/how-to-call-rest-api/authorization.md,
api-reference/rest-v3.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import batch, wire
from .calls import CallRecord


@dataclass(slots=True)
class HttpRequest:
    """A request as it came. `headers` are lower-cased, `listener` is the address it came to."""

    verb: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    source: str
    listener: str = ""


@dataclass(slots=True)
class Decoded:
    """What is asked: where, what and with which parameters."""

    method: str
    params: dict[str, Any]
    commands: list[batch.Command] = field(default_factory=list)
    user_id: int | None = None
    secret: str = ""
    token: str = ""
    v3: bool = False

    def method_names(self) -> list[str]:
        """The outer method and those of the commands."""
        return [self.method, *(command.method for command in self.commands)]


def decode(request: HttpRequest, max_vars: int, record: CallRecord) -> Decoded | None:
    """Path, query and body as one call; None for a path that is no REST address."""
    parts = [part for part in request.path.split("/") if part]
    if not parts or parts[0] != "rest":
        return None
    parts = parts[1:]
    v3 = bool(parts) and parts[0] == "api"
    if v3:
        parts = parts[1:]
    query, dropped = wire.parse_query(request.query, max_vars)
    body, dropped_too = wire.decode_body(request.headers.get("content-type", ""), request.body, max_vars)
    record.dropped_vars += dropped + dropped_too
    params = wire.merge(query, body)
    token = str(params.pop("auth", "") or bearer(request.headers))
    if len(parts) == 3 and parts[0].isdecimal():
        decoded = Decoded(method_name(parts[2]), params, user_id=int(parts[0]), secret=parts[1], v3=v3)
    elif len(parts) == 1:
        decoded = Decoded(method_name(parts[0]), params, token=token, v3=v3)
    else:
        return None
    if decoded.method.lower() == "batch":
        decoded.commands = batch.commands_of(params.get("cmd"))
    return decoded


def method_name(last: str) -> str:
    """The method without its `.json` suffix (settings/how-to-call-rest-api/general-principles.md)."""
    return last.removesuffix(".json")


def bearer(headers: Mapping[str, str]) -> str:
    """The token of an `Authorization: Bearer` header, seen in samples of api-reference/tasks/flow."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
