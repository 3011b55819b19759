"""What an answer means: (phase, status, code) -> outcome and reaction, each line with its source.

Every command ends as exactly one of Done, Refused, NotSent (proven not executed) and Unknown (sent, no
clear answer). Codes decide, never the status alone: 503 is both "slow down" and "call support".
Paths are pages of the REST documentation; `transport.md 5` is their digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from b24sync.transport.protocol import Failure, Timing


@dataclass(frozen=True, slots=True)
class Done:
    result: Any
    total: int | None = None
    next: int | None = None
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Refused:
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proven not executed; may be sent again by itself."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Sent, and nobody knows: it is looked up by its key before anything else happens to it."""

    text: str


Outcome = Done | Refused | NotSent | Unknown


class Reaction(Enum):
    """What transport does next, besides handing the outcome on."""

    NONE = "none"
    SLOW_DOWN = "slow down everything"
    PAUSE_METHOD = "pause this method until its counter resets"
    TRY_AGAIN = "try again soon"
    REFRESH = "refresh the access token once and repeat"
    STOP = "stop calling, tell a person"


@dataclass(frozen=True, slots=True)
class Line:
    kind: type[NotSent] | type[Refused] | type[Unknown]
    reaction: Reaction
    source: str
    advice: str = ""


_ERRORS = "_includes/system-errors.md"

CODES: Mapping[str, Line] = {
    # code: refused before execution, so safe to repeat
    "QUERY_LIMIT_EXCEEDED": Line(NotSent, Reaction.SLOW_DOWN, "settings/performance/limits.md"),
    "OPERATION_TIME_LIMIT": Line(NotSent, Reaction.PAUSE_METHOD, "settings/performance/limits.md"),
    "EXPIRED_TOKEN": Line(NotSent, Reaction.REFRESH, "settings/oauth/auto-renewal.md"),
    # code: nothing is executed until a person has acted
    "OVERLOAD_LIMIT": Line(
        NotSent,
        Reaction.STOP,
        _ERRORS,
        "the portal is blocked by hand for overload: write to Bitrix24 support",
    ),
    "PORTAL_DELETED": Line(NotSent, Reaction.STOP, _ERRORS, "the portal is deleted or its public part is closed"),
    "NO_AUTH_FOUND": Line(
        NotSent,
        Reaction.STOP,
        _ERRORS,
        "the webhook is deleted or its secret is wrong: make a new one, put it in",
    ),
    "INVALID_CREDENTIALS": Line(
        NotSent,
        Reaction.STOP,
        _ERRORS,
        "the webhook is unknown or its user lacks rights: check it in the portal",
    ),
    "INVALID_TOKEN": Line(NotSent, Reaction.STOP, _ERRORS, "install the application again"),
    "AUTHORIZATION_ERROR": Line(NotSent, Reaction.STOP, _ERRORS, "the token's owner is dismissed or blocked"),
    "APPLICATION_NOT_FOUND": Line(NotSent, Reaction.STOP, _ERRORS, "the application is not installed"),
    "ERROR_OAUTH": Line(NotSent, Reaction.STOP, _ERRORS, "the application is not installed"),
    "PAYMENT_REQUIRED": Line(NotSent, Reaction.STOP, _ERRORS, "the portal's subscription has ended"),
    "USER_ACCESS_ERROR": Line(NotSent, Reaction.STOP, _ERRORS, "the application is not open to this user"),
    # code: the server failed somewhere, nobody says where
    "INTERNAL_SERVER_ERROR": Line(Unknown, Reaction.NONE, _ERRORS),
    "ERROR_UNEXPECTED_ANSWER": Line(Unknown, Reaction.NONE, _ERRORS),
}
"""Codes with a meaning of their own. Any other code: refused with a 2xx or 4xx, unknown with a 5xx."""

OF_ITS_USER = frozenset({"AUTHORIZATION_ERROR", "USER_ACCESS_ERROR"})
OF_THE_APPLICATION = OF_ITS_USER | {
    *("NO_AUTH_FOUND", "INVALID_CREDENTIALS", "INVALID_TOKEN", "EXPIRED_TOKEN"),
    *("APPLICATION_NOT_FOUND", "ERROR_OAUTH"),
}
"""Codes that end an application's calls and nobody else's; with some it is its user who is at fault."""

BATCH_CODES: Mapping[str, Line] = {
    # Inside a batch these are a method's own words, not the credential's end: import documents
    # INVALID_CREDENTIALS for a missing right (crm/universal/import/crm-item-import.md).
    "INVALID_CREDENTIALS": Line(Refused, Reaction.NONE, "api-reference/crm/universal/import/crm-item-import.md"),
    "NO_AUTH_FOUND": Line(Refused, Reaction.NONE, _ERRORS),
}

NO_COMMERCIAL_PLAN = "only on commercial plans"


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: NotSent | Refused | Unknown
    reaction: Reaction
    advice: str = ""


def judge_failure(failure: Failure, *, status: int, nested: bool = False) -> Verdict:
    """Sort one error by its code; the status counts only where the code says nothing."""
    line = (BATCH_CODES.get(failure.code) if nested else None) or CODES.get(failure.code)
    if line is None and failure.code == "ACCESS_DENIED" and NO_COMMERCIAL_PLAN in failure.text:
        line = Line(NotSent, Reaction.STOP, _ERRORS, "REST needs a commercial plan or a Marketplace subscription")
    if line is None:
        line = Line(Unknown if status >= 500 else Refused, Reaction.NONE, _ERRORS)
    if line.kind is Unknown:
        said = f"the portal said {failure.code or 'nothing'} ({failure.text}) with status {status}"
        return Verdict(Unknown(said), line.reaction, line.advice)
    proven: NotSent | Refused = (
        NotSent(failure.code, failure.text) if line.kind is NotSent else Refused(failure.code, failure.text)
    )
    return Verdict(proven, line.reaction, line.advice)


def judge_unreadable(*, status: int, what: str) -> Verdict:
    """A body that is not the portal's JSON: a proxy, a fatal error, a cut answer. Sent, so unknown."""
    said = f"status {status} with {what} instead of JSON"
    return Verdict(Unknown(said), Reaction.NONE, "check that the webhook's address is the portal's, or try again later")


class Phase(Enum):
    """Where a call broke when no answer came."""

    CONNECT = "connecting"
    SEND = "sending, or waiting for the answer"


def judge_break(phase: Phase, text: str) -> Verdict:
    """A broken connection: before the request left = not sent; any later = unknown (transport.md 5.1)."""
    if phase is Phase.CONNECT:
        advice = "check the address, the line and the firewall, or try again later"
        return Verdict(NotSent("NOT_CONNECTED", text), Reaction.TRY_AGAIN, advice)
    return Verdict(Unknown(f"the connection broke while {phase.value}: {text}"), Reaction.NONE)
