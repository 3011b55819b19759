"""Keep secrets out of everything that a person or a log can see.

An incoming webhook's URL is a full credential (local-integrations/local-webhooks.md); tokens travel as
`auth`, `AUTH_ID`, `REFRESH_ID`, `access_token`, `refresh_token`, `application_token`, `client_secret`.
"""

from __future__ import annotations

import logging
import re

_WEBHOOK = re.compile(r"(/rest/(?:api/)?\d+/)[^/\s\"'<>\\]+", re.IGNORECASE)
_TOKEN = re.compile(
    r"""((?:\b|_)(?:auth|auth_id|refresh_id|access_token|refresh_token|application_token|client_secret|token)
        (?:\]|%5D)?["']?\s*[=:]\s*["']?)[^\s"'&,}\])]{6,}""",
    re.IGNORECASE | re.VERBOSE,
)
_PASSWORD_IN_URL = re.compile(r"(\w+://[^:/\s]+:)[^@/\s]+(@)")

HIDDEN = "***"


class Mask:
    """Replaces known secrets and everything that has the shape of one."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def add(self, secret: str) -> None:
        """Hide this very string from now on. Strings under 6 characters are left: they would eat words."""
        if len(secret) >= 6 and secret not in self._secrets:
            self._secrets.append(secret)
            self._secrets.sort(key=len, reverse=True)

    def add_webhook(self, url: str) -> None:
        """Hide the secret part of `https://host/rest/<user>/<secret>/`."""
        pieces = [piece for piece in url.split("/") if piece]
        self.add(pieces[-1])

    def hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _WEBHOOK.sub(rf"\1{HIDDEN}", text)
        text = _TOKEN.sub(rf"\1{HIDDEN}", text)
        return _PASSWORD_IN_URL.sub(rf"\1{HIDDEN}\2", text)


MASK = Mask()
"""The process's mask: secrets are added when the configuration is read, before anything is called."""


class MaskingFilter(logging.Filter):
    """A handler's filter that hides secrets in messages, arguments and tracebacks alike."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = MASK.hide(record.getMessage())
        record.args = None
        if record.exc_info:
            formatter = logging.Formatter()
            record.exc_text = MASK.hide(formatter.formatException(record.exc_info))
            record.exc_info = None
        return True
