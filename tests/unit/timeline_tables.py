"""Fills the local tables with deals, so that reports are tested without a portal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from b24sync.reporting.refresh import timeline_of
from b24sync.store.engine import Store
from b24sync.store.names import PIPELINE, STAGE, USER, Name, save_names
from b24sync.store.timelines import Timelines

MOSCOW = ZoneInfo("Europe/Moscow")
PORTAL = "main"
NAMES = [
    Name(PIPELINE, "1", "Проекты"),
    Name(PIPELINE, "2", "Сервис"),
    Name(STAGE, "C1:NEW", "Новая заявка", 1, "", "P", 10),
    Name(STAGE, "C1:UC_2", "Экспертиза", 1, "", "P", 20),
    Name(STAGE, "C1:UC_3", "Передача", 1, "", "P", 30),
    Name(STAGE, "C1:WON", "Завершён", 1, "", "S", 40),
    Name(STAGE, "C1:LOSE", "Отменён", 1, "", "F", 50),
    Name(STAGE, "C2:NEW", "Приём", 2, "", "P", 10),
    Name(STAGE, "C2:WON", "Выдано", 2, "", "S", 20),
    Name(USER, "1", "Анна Орлова", email="a.orlova@example.ru"),
    Name(USER, "5", "Мария Кузнецова", email="m.kuznetsova@example.ru", gone=True),
]
GROUPS = {name.id: name.group for name in NAMES if name.kind == STAGE}


def at(text: str, zone: ZoneInfo = MOSCOW) -> float:
    """A moment of the zone's clocks in unix seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@dataclass(frozen=True, slots=True)
class Deal:
    """`moves`: (moment, stage) of the history, the first one its making; none = older than the history."""

    id: int
    title: str
    created: float
    moves: Sequence[tuple[float, str]]
    stage: str = ""
    moved: float | None = None
    responsible: int = 1
    company: int = 0
    opportunity: float = 1000
    currency: str = "RUB"
    own: str | None = None


def pipeline_of(stage: str) -> int:
    return int(stage[1])


def fill(store: Store, deals: Sequence[Deal], *, names: Sequence[Name] = NAMES, read_at: float = 2e9) -> Timelines:
    """Cards, history and timelines of `deals`."""
    tables = Timelines(store, PORTAL)
    save_names(store, PORTAL, names)
    cards: list[dict[str, Any]] = []
    moves: list[dict[str, Any]] = []
    for deal in deals:
        stage = deal.stage or deal.moves[-1][1]
        moved = deal.moved or (deal.moves[-1][0] if deal.moves else deal.created)
        cards.append(
            {
                "id": deal.id,
                "title": deal.title,
                "pipeline_id": pipeline_of(stage),
                "stage_id": stage,
                "stage_group": GROUPS[stage],
                "previous_stage_id": "",
                "responsible_id": deal.responsible,
                "company_id": deal.company,
                "opportunity_cents": round(deal.opportunity * 100),
                "currency": deal.currency,
                "created_at": deal.created,
                "moved_at": moved,
                "updated_at": moved,
                "own": deal.own,
                "read_at": read_at,
            }
        )
        for number, (moment, entered) in enumerate(deal.moves):
            moves.append(
                {
                    "id": len(moves) + 1,
                    "deal_id": deal.id,
                    "kind": 1 if number == 0 else 2,
                    "at": moment,
                    "pipeline_id": pipeline_of(entered),
                    "stage_id": entered,
                    "stage_group": GROUPS[entered],
                }
            )
    tables.save_cards(cards)
    tables.save_moves(moves)
    while tables.rebuild_some(timeline_of):
        pass
    return tables
