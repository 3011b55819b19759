"""What came about an item, what it caused, which handlers it started and which not and why, what was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import or_, select

from b24sync.automation.observe import Writer, cause_of, why_not
from b24sync.automation.rulebook import RuleBook
from b24sync.store.causes import CauseRow, Causes
from b24sync.store.engine import Store
from b24sync.store.jobs import DISPATCH
from b24sync.store.snapshots import Snapshots
from b24sync.store.tables import inbox

LIKE_ALL = 200
EVENT_WORDS = {"deal": "DEAL", "lead": "LEAD", "contact": "CONTACT", "company": "COMPANY"}


@dataclass(frozen=True, slots=True)
class Told:
    """One cause and what became of it. `started`: (handler, state, message) of its jobs; `not_started`: reasons."""

    at: float
    cause: str
    source: str
    started: list[tuple[str, str, str | None]]
    not_started: list[tuple[str, str]]
    written: list[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that the store knows of an item."""

    entity: str
    entity_id: int
    snapshot: dict[str, Any] | None
    events: list[tuple[float, str, str, int]]
    """(received, event, state, folded)."""
    causes: list[Told] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "id": self.entity_id,
            "snapshot": self.snapshot,
            "events": [dict(zip(("at", "event", "state", "folded"), row, strict=True)) for row in self.events],
            "causes": [
                {
                    "at": told.at,
                    "cause": told.cause,
                    "source": told.source,
                    "started": [dict(zip(("handler", "state", "message"), row, strict=True)) for row in told.started],
                    "not_started": [dict(zip(("handler", "why"), row, strict=True)) for row in told.not_started],
                    "written": told.written,
                }
                for told in self.causes
            ],
        }


def explain(store: Store, portal: str, book: RuleBook, entity: str, entity_id: int) -> Explanation:
    """Read it from the store. Cost: no requests."""
    last = Snapshots(store, portal).read(entity, [entity_id]).get(entity_id)
    causes = Causes(store, portal)
    jobs = _jobs(store, portal, f"{entity}:{entity_id}")
    written: dict[int, list[str]] = {}
    for act in causes.acts_of(entity, entity_id):
        written.setdefault(act.cause_id, []).append(act.text)
    told = [_told(row, book, jobs, written.get(row.id, [])) for row in causes.of_item(entity, entity_id)]
    return Explanation(
        entity, entity_id, dict(last.fields) if last else None, _events(store, portal, entity, entity_id), told
    )


def _told(row: CauseRow, book: RuleBook, jobs: Sequence[Any], written: list[str]) -> Told:
    cause = cause_of(row)
    process, _, own_handler = str(row.detail.get("writer") or "").partition(".")
    writer = Writer(process, own_handler) if process else None
    mine = [job for job in jobs if job.kind.endswith(f":{row.id}")]
    started = [(job.kind.partition(":")[0], job.state, job.message) for job in mine]
    names = {handler for handler, _, _ in started}
    reasons = [
        (f"{rule.name}.{handler.name}", why_not(rule, handler, cause, writer) or "did not run when it happened")
        for rule, handler in book.handlers(row.entity)
        if f"{rule.name}.{handler.name}" not in names
    ]
    return Told(row.at, str(cause), row.source, started, reasons, written)


def _jobs(store: Store, portal: str, lane: str) -> list[Any]:
    query = select(inbox).where(inbox.c.portal == portal, inbox.c.lane == lane).order_by(inbox.c.id)
    with store.read() as connection:
        return list(connection.execute(query))


def _events(store: Store, portal: str, entity: str, entity_id: int) -> list[tuple[float, str, str, int]]:
    kinds = [f"look:{entity}:{entity_id}", *(f"{name}:{entity_id}" for name in _event_names(entity))]
    query = (
        select(inbox.c.received_at, inbox.c.kind, inbox.c.state, inbox.c.folded)
        .where(
            inbox.c.portal == portal,
            inbox.c.lane == DISPATCH,
            or_(inbox.c.kind.in_(kinds), inbox.c.kind.like(f"look:{entity}:{entity_id}:%")),
        )
        .order_by(inbox.c.id.desc())
        .limit(LIKE_ALL)
    )
    with store.read() as connection:
        return [(row.received_at, row.kind, row.state, row.folded) for row in reversed(connection.execute(query).all())]


def _event_names(entity: str) -> Iterator[str]:
    """Events about a kind of item, as the inbox names them (`portal/events.py`)."""
    verbs = ("ADD", "UPDATE", "DELETE", "MOVETOCATEGORY")
    if entity in EVENT_WORDS:
        yield from (f"ONCRM{EVENT_WORDS[entity]}{verb}" for verb in verbs)
        return
    type_id = entity.partition(":")[2]
    yield from (f"ONCRMDYNAMICITEM{verb}{end}:{type_id}" for verb in verbs for end in ("", f"_{type_id}"))
