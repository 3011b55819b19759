"""Nights and local tables on both databases, and the recorded stage history of a real portal."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fixed_clock import FixedClock
from timeline_tables import MOSCOW, NAMES, PORTAL, Deal, at, fill

from b24sync.bulk.window import WindowClock
from b24sync.errors import WindowOver
from b24sync.portal.stage_history import read_row
from b24sync.reporting.lives import Scope, lives
from b24sync.reporting.recount import last_tick
from b24sync.reporting.timeline import Card, Move, stays_of
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, Ledger, Settled
from b24sync.store.names import USER, Name, read_names, save_names
from b24sync.store.nights import FINISHED, Nights, Tally

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "rest_responses" / "stagehistory.json"
NO_RECORDING = "the recorded answers (../shared/data) do not lie beside the project"


# -- nights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "began"),
    [
        ("2026-11-25T02:00:00", "2026-11-25T02:00:00"),
        ("2026-11-25T02:00:31", "2026-11-25T02:00:00"),
        ("2026-11-25T01:59:59", "2026-11-24T02:00:00"),
        ("2026-11-25T23:10:00", "2026-11-25T02:00:00"),
    ],
)
def test_a_night_begins_with_the_schedules_last_tick(now: str, began: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=MOSCOW)
    assert last_tick("0 2 * * *", moment).timestamp() == at(began)


def test_every_run_of_a_night_has_its_moment_and_the_next_night_another(any_store: Store) -> None:
    clock = FixedClock(wall_s=at("2026-11-25T02:00:07"))
    nights = Nights(any_store, PORTAL, clock)
    assert nights.look(at("2026-11-25T02:00")).as_of == clock.wall_s()
    clock.pass_time(60)
    first = nights.begin(at("2026-11-25T02:00"))
    nights.end(first, FINISHED, Tally(seen=5, changed=2, written=2))
    clock.pass_time(3_600)
    again = nights.begin(at("2026-11-25T02:00"))
    assert (again.id, again.as_of, first.resumed, again.resumed) == (first.id, first.as_of, False, True)
    assert nights.look(at("2026-11-25T02:00")) == again
    clock.pass_time(86_400)
    assert nights.begin(at("2026-11-26T02:00")).as_of == clock.wall_s()
    assert not Nights(any_store, "other", clock).begin(0.0).resumed


def test_a_window_wakes_whoever_waits_past_its_end() -> None:
    fixed = FixedClock()
    clock = WindowClock(fixed)
    clock.sleep(5)
    clock.close_at(clock.wall_s() + 10)
    clock.sleep(4)
    assert not clock.is_over
    with pytest.raises(WindowOver):
        clock.sleep(60)
    assert clock.is_over and sum(fixed.slept) == pytest.approx(15)


def test_a_lock_is_kept_while_somebody_waits_for_a_budget() -> None:
    fixed = FixedClock()
    clock = WindowClock(fixed)
    beats: list[float] = []
    clock.keep_alive(lambda: beats.append(fixed.boot))
    for _ in range(600):
        clock.sleep(1.0)
    assert 9 <= len(beats) <= 10


def test_the_ledger_forgets_what_other_nights_settled_but_not_what_is_open(any_store: Store) -> None:
    ledger = Ledger(any_store, PORTAL, "recount", FixedClock())
    ledger.plan([("1/1/a", None), ("2/1/b", None), ("3/1/c", None)], 1)
    ledger.claim(["1/1/a", "2/1/b"])
    ledger.settle([Settled("1/1/a", DONE, portal_id="1")])
    ledger.plan([("4/2/d", None)], 2)
    ledger.prune(2)
    assert set(ledger.states(["1/1/a", "2/1/b", "3/1/c", "4/2/d"])) == {"2/1/b", "4/2/d"}


# -- local tables -----------------------------------------------------------------------------------------------

DEALS = [
    Deal(1, "Склад", at("2026-10-01T09:00"), [(at("2026-10-01T09:00"), "C1:NEW"), (at("2026-10-08T09:00"), "C1:WON")]),
    Deal(2, "Котельная", at("2026-11-01T09:00"), [(at("2026-11-01T09:00"), "C1:NEW")], responsible=5, company=7),
]


def test_lives_come_by_deal_as_they_were_then(any_store: Store) -> None:
    tables = fill(any_store, DEALS)
    now, then = at("2026-11-25T00:00"), at("2026-10-05T00:00")
    stages = {life.id: [stay.stage_id for stay in life.stays] for life in lives(tables, Scope(now))}
    assert stages == {1: ["C1:NEW", "C1:WON"], 2: ["C1:NEW"]}
    left = {life.id: [stay.left_at for stay in life.stays] for life in lives(tables, Scope(then))}
    assert left == {1: [None]}
    assert [life.id for life in lives(tables, Scope(2e9, responsible=frozenset({5})))] == [2]
    assert [life.id for life in lives(tables, Scope(2e9, companies=frozenset({7})))] == [2]
    assert [life.id for life in lives(tables, Scope(2e9, deals=frozenset({1, 99})))] == [1]


def test_a_deleted_deal_leaves_and_comes_back_with_its_history(any_store: Store) -> None:
    tables = fill(any_store, DEALS)
    tables.mark_deleted([1])
    assert tables.ids() == {2} and [life.id for life in lives(tables, Scope(2e9))] == [2]
    fill(any_store, DEALS)
    assert [len(life.stays) for life in lives(tables, Scope(2e9))] == [2, 1]


def test_those_recounted_longest_ago_come_first(any_store: Store) -> None:
    tables = fill(any_store, [*DEALS, Deal(3, "Третья", at("2026-11-02T09:00"), [(at("2026-11-02T09:00"), "C2:NEW")])])
    tables.set_recounted([1], 200.0)
    tables.set_recounted([2], 100.0)
    assert [card.id for piece in tables.cards_by_age(None, piece=2) for card in piece] == [3, 2, 1]
    assert [card.id for piece in tables.cards_by_age(2) for card in piece] == [3]
    assert tables.open_deals_of([1, 5], None) == {1: 1, 5: 1}


def test_an_unchanged_card_does_not_build_its_timeline_anew(any_store: Store) -> None:
    tables = fill(any_store, DEALS)
    card = {**_card_of(any_store, 1), "title": "Другое название"}
    tables.save_cards([card])
    assert tables.rebuild_some(lambda *_: pytest.fail("built anew")) == 0
    tables.save_cards([{**card, "moved_at": card["moved_at"] + 5}])
    assert tables.rebuild_some(lambda *_: ([], None)) == 1


def _card_of(store: Store, deal_id: int) -> dict[str, Any]:
    from sqlalchemy import select

    from b24sync.store.tables import deal_cards
    from b24sync.store.timelines import CARD_COLUMNS

    with store.read() as connection:
        row = connection.execute(select(deal_cards).where(deal_cards.c.id == deal_id)).one()
    return {"id": deal_id, **{name: row._mapping[name] for name in CARD_COLUMNS}}


def test_names_that_are_gone_are_kept_and_marked(any_store: Store) -> None:
    save_names(any_store, PORTAL, NAMES)
    save_names(any_store, PORTAL, [Name(USER, "1", "Анна Иванова")])
    known = {(name.kind, name.id): name for name in read_names(any_store, PORTAL)}
    assert len(known) == len(NAMES)
    assert (known[USER, "1"].name, known[USER, "1"].gone) == ("Анна Иванова", False)
    assert known["stage", "C1:NEW"].gone and known["stage", "C1:NEW"].name == "Новая заявка"


# -- a real portal's history ------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.skipif(not RECORDED.exists(), reason=NO_RECORDING)
def test_timelines_of_490_recorded_stage_changes() -> None:
    """Every change is in one timeline, at its moment; the times between are those of a plain grouping."""
    page, batch = json.loads(RECORDED.read_text(encoding="utf-8"))
    results = batch["result"]["result"]
    pages = [page["result"], *(results.values() if isinstance(results, dict) else results)]
    raw = [row for one in pages for row in one["items"]]
    assert len(raw) == 490
    rows = [read_row(row) for row in raw]
    by_deal: dict[int, list[Move]] = defaultdict(list)
    for row in rows:
        moment = datetime.fromisoformat(row.created_time).timestamp()
        by_deal[row.deal_id].append(Move(row.id, row.kind, moment, row.pipeline_id, row.stage_id, row.semantics))
    frame = pd.DataFrame(raw)
    frame["at"] = pd.to_datetime(frame["CREATED_TIME"], utc=True).astype("int64")
    frame["ID"] = frame["ID"].astype(int)
    frame = frame.sort_values(["at", "ID"])
    place = frame["CATEGORY_ID"] + "/" + frame["STAGE_ID"]
    entries = frame[place.groupby(frame["OWNER_ID"]).shift() != place]
    counted = entries.groupby("OWNER_ID").size()
    first = frame.groupby("OWNER_ID")["CREATED_TIME"].first()
    for deal_id, moves in by_deal.items():
        last = max(moves, key=lambda move: (move.at, move.id))
        created = min(move.at for move in moves)
        card = Card(created, last.at, last.pipeline_id, last.stage_id, last.group, 2e9)
        stays = stays_of(card, moves)
        assert len(stays) == counted[str(deal_id)]
        assert not any(stay.estimated for stay in stays)
        assert stays[0].entered_at == datetime.fromisoformat(first[str(deal_id)]).timestamp()
        assert sum((stay.left_at or 2e9) - stay.entered_at for stay in stays) == 2e9 - created
        assert {stay.entered_at for stay in stays} <= {move.at for move in moves}
        older = stays_of(Card(created - 86_400, last.at, last.pipeline_id, last.stage_id, last.group, 2e9), moves)
        assert older[0].entered_at == created - 86_400 and older[0].estimated, "a deal older than the history"
    assert sum(counted) > 400 and len(by_deal) > 100
