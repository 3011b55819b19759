"""Causes: what happened to an item, as rules see it. Pure: observations in, causes out.

An event carries only an id, so what changed is the net difference between two observations of the same item
(api-reference/events/index.md). What was not observed before is a baseline and no change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

CREATED, DELETED, ENTERED, LEFT, CHANGED = "created", "deleted", "entered", "left", "changed"
TASK_STARTED, TASK_COMPLETED, TASK_APPROVED, TASK_COMMENTED = (
    "task_started",
    "task_completed",
    "task_approved",
    "task_commented",
)
ANSWERED, DUE = "answered", "due"

_DECIMALS = frozenset("0123456789.")


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that happened to one item.

    `subject`: the stage id, field code, task's step, question or timer; `n` counts the causes of one kind and
    subject of an item, so that (kind, subject, n) names this one for ever, however often it is observed.
    """

    entity: str
    entity_id: int
    kind: str
    subject: str
    n: int
    before: Any = None
    after: Any = None
    imported: bool = False
    process: str | None = None
    portal_id: str | None = None

    @property
    def key(self) -> str:
        """Unique among the causes of the item."""
        owner = f"{self.process}/" if self.process else ""
        return f"{self.kind}:{owner}{self.subject}#{self.n}"

    def __str__(self) -> str:
        if self.kind == CHANGED:
            return f"changed({self.subject}): {self.before!r} -> {self.after!r}"
        return f"{self.kind}({self.subject})" if self.subject else self.kind


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one item between two observations."""

    field: str
    before: Any
    after: Any


def changes(before: Mapping[str, Any], after: Mapping[str, Any], watched: Iterable[str]) -> Iterator[Change]:
    """Net differences of the watched fields. A field that was not observed before is no difference."""
    for field in watched:
        if field in before and field in after and comparable(before[field]) != comparable(after[field]):
            yield Change(field, before[field], after[field])


def comparable(value: Any) -> Any:
    """A value as it counts in a comparison, whatever shape the portal gave it this time.

    Empty is empty (None, "", []); yes and no are 1 and 0; numbers compare as numbers, moments as moments, ids as
    texts (api-reference/crm/data-types.md; the classic and the universal dialect differ in types).
    """
    if value is None or value in ("", [], {}):
        return None
    if isinstance(value, bool) or value in ("Y", "N"):
        return "1" if value in (True, "Y") else "0"
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), comparable(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return tuple(comparable(item) for item in value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    text = str(value).strip()
    return _number(text) or _moment(text) or text


def _number(text: str) -> str | None:
    if not _DECIMALS.issuperset(text.removeprefix("-")):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return format(number.normalize(), "f") if number else "0"


def _moment(text: str) -> str | None:
    """An ISO moment with an offset, as UTC; a date alone stays a text."""
    if len(text) < 19 or text[4:5] != "-":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC).isoformat() if moment.tzinfo is not None else None


def moment_of(value: Any) -> datetime | None:
    """A field's value as an aware moment; None when it is empty or no moment."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
