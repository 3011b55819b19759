"""Answers in place of a portal, for the transport's own tests."""

from __future__ import annotations

from typing import Any

import responses

LOOPBACK = "http://127.0.0.1"


def answered_calls(**options: Any) -> responses.RequestsMock:
    """Answers what is added to it. It takes the place of every session's adapter, of those too that a test which was
    begun early (tests/early.py) uses in its thread to speak with a sandbox: these calls go through.
    """
    return responses.RequestsMock(passthru_prefixes=(LOOPBACK,), **options)
