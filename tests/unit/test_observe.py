"""Looks become causes and jobs, each once, on both databases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixed_clock import FixedClock
from sqlalchemy import select, update

from b24sync.automation.dispatch import BATCH, Pace
from b24sync.automation.observe import IMPORTED, NEW, OLD, Observer, Seen, Writer
from b24sync.automation.questions import Questions
from b24sync.automation.rulebook import RuleBook, load_rules
from b24sync.config import build_config
from b24sync.store.causes import Act
from b24sync.store.engine import Store
from b24sync.store.lanes import Lanes
from b24sync.store.ledger import DONE, SETS, Ledger, Settled, busy_items, highest_number, set_key
from b24sync.store.links import Link, Links
from b24sync.store.stage_entries import Sighting
from b24sync.store.tables import inbox
from b24sync.store.turns import next_turn, number_of

PORTAL = "main"
RULES = """
from b24sync.automation import *
one = Process("one", entity="deal")
two = Process("two", entity="deal", imported=True)

@one.on(entered("WON"))
def won(deal, ctx): ...

@one.on(changed("opportunity"))
def sum_changed(deal, ctx): ...

@two.on(created())
def made(deal, ctx): ...

@one.on(due("closedate"))
def overdue(deal, ctx): ...

@two.on(due("closedate"))
def overdue_too(deal, ctx): ...

@two.on(changed("opportunity"))
def sum_changed_too(deal, ctx): ...
"""


@pytest.fixture
def book(tmp_path: Path) -> RuleBook:
    (tmp_path / "rules.py").write_text(RULES, encoding="utf-8")
    return load_rules(build_config({"paths": {"rules": ["rules.py"]}}, tmp_path))


@pytest.fixture
def observer(any_store: Store, any_clock: FixedClock, book: RuleBook) -> Observer:
    return Observer(any_store, PORTAL, book, Lanes(any_store, any_clock))


def row(stage: str = "NEW", opportunity: Any = 0) -> dict[str, Any]:
    return {"id": 1, "stageId": stage, "opportunity": opportunity}


def take(store: Store, observer: Observer, *seen: Seen, history: Any = (), writer: Writer | None = None) -> list[str]:
    """Store a look; the causes that are new."""
    with store.write() as connection:
        found = observer.take(connection, "deal", seen, history, source="event", at=1.0, writer=writer)
    return [cause.key for cause in found]


def last(observer: Observer) -> Any:
    return observer.snapshots.read("deal", [1])[1]


def jobs(store: Store) -> list[str]:
    with store.read() as connection:
        return [kind.partition(":")[0] for (kind,) in connection.execute(select(inbox.c.kind).order_by(inbox.c.id))]


def test_a_look_is_stored_once_and_starts_what_waits_for_it(any_store: Store, observer: Observer) -> None:
    assert take(any_store, observer, Seen(1, row(), None, OLD)) == []
    assert jobs(any_store) == []
    changed = row("WON", 5)
    found = take(any_store, observer, Seen(1, changed, last(observer)))
    assert found == ["changed:opportunity#1", "left:NEW#1", "entered:WON#1"]
    assert jobs(any_store) == ["one.sum_changed", "two.sum_changed_too", "one.won"]
    assert take(any_store, observer, Seen(1, changed, last(observer))) == []
    assert (last(observer).version, last(observer).fields["opportunity"]) == (3, 5)
    assert take(any_store, observer, Seen(1, row("WON", 6), last(observer))) == ["changed:opportunity#2"]


def test_the_history_tells_what_a_look_does_not_show(any_store: Store, observer: Observer) -> None:
    take(any_store, observer, Seen(1, row(), None, OLD))
    history = [Sighting(1, "WON", 11), Sighting(1, "NEW", 12)]
    found = take(any_store, observer, Seen(1, row(), last(observer)), history=history)
    assert found == ["left:NEW#1", "entered:WON#1", "left:WON#1", "entered:NEW#2"]
    assert take(any_store, observer, Seen(1, row(), last(observer)), history=history) == []


def test_imported_items_start_only_rules_that_count_them(any_store: Store, observer: Observer) -> None:
    take(any_store, observer, Seen(1, row("WON", 7), None, IMPORTED))
    assert jobs(any_store) == ["two.made", "two.sum_changed_too"]


def test_a_moment_of_an_imported_item_comes_only_for_rules_that_count_them(
    any_store: Store, observer: Observer
) -> None:
    closing = {"closedate": "2027-03-01T03:00:00+03:00"}
    take(any_store, observer, Seen(1, row() | closing, None, IMPORTED))
    assert jobs(any_store) == ["two.made", "two.overdue_too"]
    take(any_store, observer, Seen(2, {**row(), **closing, "id": 2}, None, NEW))
    assert jobs(any_store)[2:] == ["two.made", "one.overdue", "two.overdue_too"]


def test_new_items_have_changed_from_nothing_and_a_zero_is_nothing(any_store: Store, observer: Observer) -> None:
    assert take(any_store, observer, Seen(1, row("NEW", 0), None, NEW)) == ["created:#1", "entered:NEW#1"]


def test_a_writer_does_not_hear_itself(any_store: Store, observer: Observer) -> None:
    take(any_store, observer, Seen(1, row(), None, OLD))
    take(any_store, observer, Seen(1, row("NEW", 9), last(observer)), writer=Writer("one", "sum_changed"))
    assert jobs(any_store) == ["two.sum_changed_too"]


def test_a_writer_hears_what_somebody_else_changed_meanwhile(any_store: Store, observer: Observer) -> None:
    take(any_store, observer, Seen(1, row(), None, OLD))
    moved = Writer("one", "sum_changed", frozenset({"stageId"}))
    take(any_store, observer, Seen(1, row("WON", 9), last(observer)), writer=moved)
    assert jobs(any_store) == ["one.sum_changed", "two.sum_changed_too", "one.won"]
    take(any_store, observer, Seen(1, row("NEW", 9), last(observer)))
    take(any_store, observer, Seen(1, row("WON", 9), last(observer)), writer=replace(moved, handler="won"))
    assert len(jobs(any_store)) == 3


def test_an_item_that_is_gone_is_deleted_once(any_store: Store, observer: Observer) -> None:
    take(any_store, observer, Seen(1, row(), None, OLD))
    assert take(any_store, observer, Seen(1, None, last(observer))) == ["deleted:#1"]
    assert take(any_store, observer, Seen(1, None, last(observer))) == []


def test_old_causes_are_forgotten_but_not_what_is_still_needed(any_store: Store, observer: Observer) -> None:
    take(any_store, observer, Seen(1, row(), None, OLD))
    for opportunity in (5, 6, 7, 8, 9):
        take(any_store, observer, Seen(1, row("NEW", opportunity), last(observer)))
    rows = observer.causes.of_item("deal", 1)
    waits, linked, acted, newest = (rows[n].id for n in (0, 1, 2, 4))
    task = Link("one", "deal", 1, "call", "task", "7", n=linked)
    Links(any_store, PORTAL).save([task])
    with any_store.write() as connection:
        open_job = inbox.c.kind.like(f"%:{waits}")
        connection.execute(update(inbox).where(~open_job).values(state="done"))
        for cause_id in (acted, newest):
            observer.causes.note_act(connection, Act("one", "deal", 1, cause_id, "sum_changed", "set", "x", None, 1.0))
    assert observer.causes.forget_old(before=1.0) == 0, "none of them is older"
    assert observer.causes.forget_old(before=2.0) == 3
    assert [cause.id for cause in observer.causes.of_item("deal", 1)] == [waits, newest]
    assert Links(any_store, PORTAL).to("task", 7) == [task], "the task is still the process's own"
    assert [act.cause_id for act in observer.causes.acts_of("deal", 1)] == [newest]
    assert take(any_store, observer, Seen(1, row("NEW", 4), last(observer))) == ["changed:opportunity#6"]


def test_acts_are_counted_by_process_item_and_time(any_store: Store, observer: Observer) -> None:
    with any_store.write() as connection:
        for at in (10.0, 20.0, 30.0):
            observer.causes.note_act(connection, Act("one", "deal", 1, 1, "won", "set", "text", "1", at))
    assert [observer.causes.count_acts("one", "deal", 1, since) for since in (0.0, 20.0, 31.0)] == [3, 2, 0]
    assert observer.causes.count_acts("two", "deal", 1, 0.0) == 0
    assert [act.at for act in observer.causes.acts_of("deal", 1)] == [10.0, 20.0, 30.0]


def test_an_item_is_busy_while_a_write_to_it_is_under_way(any_store: Store, any_clock: FixedClock) -> None:
    ledger = Ledger(any_store, PORTAL, SETS, any_clock)
    keys = [set_key("deal", 7, "a"), set_key("item:130", 8, "b")]
    assert [ledger.begin(key, None) for key in (*keys, keys[0])] == [True, True, False]
    with any_store.read() as connection:
        assert busy_items(connection, PORTAL, "deal") == {7}
        assert busy_items(connection, PORTAL, "item:130") == {8}
    ledger.settle([Settled(key, DONE, portal_id="1") for key in keys])
    with any_store.read() as connection:
        assert busy_items(connection, PORTAL, "deal") == set()


def test_turns_are_drawn_once_per_cause(any_store: Store) -> None:
    links = [Link("one", "deal", deal, "turn", "turn", "", cause) for deal, cause in ((1, 10), (2, 11), (1, 12))]
    assert [next_turn(any_store, PORTAL, link) for link in (*links, *links)] == [0, 1, 2, 0, 1, 2]


def test_a_key_keeps_the_number_that_it_drew_first(any_store: Store) -> None:
    drawn = [number_of(any_store, PORTAL, "copies of deal 7", key) for key in ("one", "two", "one", "three")]
    assert drawn == [1, 2, 1, 3]
    assert number_of(any_store, PORTAL, "copies of deal 8", "one") == 1


def test_copies_that_an_older_store_counted_otherwise_are_not_taken_for_new_ones(
    any_store: Store, any_clock: FixedClock
) -> None:
    ledger = Ledger(any_store, PORTAL, "deal@b24sync-refusal", any_clock)
    ledger.plan([("42:1", None), ("42:3", None), ("421:9", None)], None)
    taken = highest_number(any_store, PORTAL, "deal@b24sync-refusal", "42:")
    drawn = [number_of(any_store, PORTAL, "copies of deal 42", key, taken=taken) for key in ("one", "two", "one")]
    assert (taken, drawn) == (3, [4, 5, 4])
    assert highest_number(any_store, PORTAL, "deal@b24sync-refusal", "7:") == 0


def test_the_first_answer_of_a_question_counts(any_store: Store, any_clock: FixedClock) -> None:
    questions = Questions(any_store, PORTAL, any_clock)
    token = questions.token("one/deal:1/ask")
    assert token == questions.token("one/deal:1/ask") != questions.token("one/deal:2/ask")
    link = Link("one", "deal", 1, "way", "question", token, 5)
    questions.put(link, "Как?", ["A", "B"])
    assert questions.answer(token, "C") is None
    assert (questions.answer(token, "B"), questions.answer(token, "A")) == ("B", "B")
    questions.put(link, "Как?", ["A", "B"])
    found = questions.find(token)
    assert found is not None and found.answer == "B"
    assert jobs(any_store) == ["answer"]
    assert questions.find("nothing") is None


@pytest.mark.parametrize(("events_per_s", "looks_at_most"), [(50.0, 30), (110.0, 15), (2_000.0, 20)])
def test_a_flood_is_read_in_few_looks_and_single_events_at_once(events_per_s: float, looks_at_most: int) -> None:
    clock = FixedClock()
    pace = Pace(clock)
    for _ in range(200):
        clock.pass_time(0.2)
        assert pace.pause_s(1, are_more=False) == 0.0
    began, looks, waiting, come = clock.boot_s(), 0, 5.0, 5.0
    while waiting > 0:
        seen = min(waiting, BATCH)
        waiting -= seen
        clock.pass_time(0.1 + pace.pause_s(int(seen), are_more=seen >= BATCH and waiting >= BATCH))
        now_come = min(16_000.0, 5.0 + events_per_s * (clock.boot_s() - began))
        waiting, come, looks = waiting + now_come - come, now_come, looks + 1
    assert looks <= looks_at_most
