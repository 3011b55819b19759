"""Envelopes: the `time` block, success, error, HTML pages.

Docs: api-reference/data-types.md (time), error-codes.md, api-reference/rest-v3.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import wire
from .clock import SandboxClock
from .execute import Outcome
from .limits import Plan
from .registry import ApiError, V3Error
from .switches import Switches

JSON_TYPE = "application/json; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
FILE_TYPE = "application/octet-stream"


@dataclass(slots=True)
class Reply:
    """What the server writes. `silent_s` keeps the connection open without a word, `drop` closes it.

    `short_read` announces the whole body and sends half of it.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    silent_s: float = 0.0
    short_read: bool = False


def time_block(outcome: Outcome, clock: SandboxClock, switches: Switches, plan: Plan) -> dict[str, Any]:
    """The eight keys of `time`; `operating` 0 is an int, `operating_reset_at` whole unless scaled."""
    block: dict[str, Any] = {
        "start": outcome.started,
        "finish": outcome.finished,
        "duration": outcome.finished - outcome.started,
        "processing": outcome.processing,
        "date_start": clock.iso(outcome.started),
        "date_finish": clock.iso(outcome.finished),
    }
    if not switches.omit_operating:
        block["operating_reset_at"] = int(outcome.reset_at) if plan.scale == 1 else outcome.reset_at
        block["operating"] = outcome.operating or 0
    return block


def error_body(error: ApiError) -> dict[str, Any]:
    """`{"error": code, "error_description": text}` and what else the page shows."""
    return {"error": error.code, "error_description": error.text, **error.more}


def error_reply(error: ApiError) -> Reply:
    """An error as its own answer."""
    return Reply(error.status, wire.to_json(error_body(error)))


def html_reply(status: int, title: str) -> Reply:
    """A page of the web server in front of the portal: no JSON, no code."""
    page = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Reply(status, page.encode(), HTML_TYPE)


def v3_error_reply(error: ApiError) -> Reply:
    """REST 3.0: the error is an object (api-reference/rest-v3.md)."""
    body: dict[str, Any] = {"code": str(error.code), "message": error.text}
    if isinstance(error, V3Error) and error.fields:
        body["validation"] = [{"field": name, "message": f"{error.text}: {name}"} for name in error.fields]
    return Reply(error.status, wire.to_json({"error": body}))
