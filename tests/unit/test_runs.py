"""Runs and the fate of every row: what the file said, joined with what the ledger knows."""

from __future__ import annotations

import pytest
from fixed_clock import FixedClock

from b24sync.store.engine import Store
from b24sync.store.ledger import CHUNK, DONE, REFUSED, UNKNOWN, Ledger, Settled
from b24sync.store.runs import FINISHED, PENDING, RUNNING, SKIPPED, UPDATE, Run, RunRow, Runs, update_key, updates_of

WHAT = "deal@first-steps"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


@pytest.fixture
def runs(store: Store, clock: FixedClock) -> Runs:
    return Runs(store, "main", clock)


def start(runs: Runs, fingerprint: str = "f1") -> Run:
    return runs.start(command="import", entity="deal", what=WHAT, file="deals.csv", fingerprint=fingerprint)


def test_a_row_has_the_fate_that_the_ledger_knows_or_the_one_it_had_before(
    store: Store, runs: Runs, clock: FixedClock
) -> None:
    run = start(runs)
    ledger = Ledger(store, "main", WHAT, clock)
    keys = ["created", "earlier", "refused", "unknown", "sent", "planned", "never"]
    rows = [RunRow(line, key, PENDING, "{}") for line, key in enumerate(keys, start=2)]
    rows += [
        RunRow(9, "skipped", SKIPPED, message="there"),
        RunRow(10, None, "refused", code="NO_KEY", message="no key"),
    ]
    runs.spool(run.id, rows)
    ledger.plan([("earlier", None)], run.id + 100)
    ledger.claim(["earlier"])
    ledger.settle([Settled("earlier", DONE, portal_id="3")])
    ledger.plan([(key, None) for key in keys if key not in ("earlier", "never")], run.id)
    ledger.claim(["created", "refused", "unknown", "sent"])
    ledger.settle(
        [
            Settled("created", DONE, portal_id="5"),
            Settled("refused", REFUSED, code="X", message="why"),
            Settled("unknown", UNKNOWN, message="cut"),
        ]
    )
    fates = {
        fate.line: (fate.key, fate.state, fate.portal_id, fate.code, fate.message) for fate in runs.fates(run.id, WHAT)
    }
    assert fates == {
        2: ("created", "created", "5", None, None),
        3: ("earlier", "skipped", "3", None, None),
        4: ("refused", "refused", None, "X", "why"),
        5: ("unknown", "unknown", None, None, "cut"),
        6: ("sent", "unknown", None, None, None),
        7: ("planned", "not_sent", None, None, None),
        8: ("never", "not_sent", None, None, None),
        9: ("skipped", "skipped", None, None, "there"),
        10: (None, "refused", None, "NO_KEY", "no key"),
    }
    counts = runs.counts(run.id, WHAT)
    assert counts == {"created": 1, "skipped": 2, "refused": 2, "unknown": 2, "not_sent": 2}


def test_a_file_of_many_rows_is_read_back_whole_by_line_or_by_time(runs: Runs) -> None:
    run = start(runs)
    rows = [RunRow(line, str(line), PENDING, "{}", created_at=float(-line // 3)) for line in range(2, 2 * CHUNK + 9)]
    runs.spool(run.id, rows)
    assert [row.line for row in runs.pending(run.id)] == [row.line for row in rows]
    ordered = list(runs.pending(run.id, ordered=True))
    assert sorted(row.line for row in ordered) == [row.line for row in rows]
    times = [(row.created_at, row.line) for row in ordered]
    assert times == sorted(times, key=lambda entry: (entry[0] or 0.0, entry[1]))


def test_an_interrupted_run_is_found_by_its_file_and_taken_over_once(
    store: Store, runs: Runs, clock: FixedClock
) -> None:
    theirs = Runs(store, "main", clock)
    theirs._owner = f"{theirs._owner.split('|')[0]}|an-earlier-boot|17|1"
    run = start(theirs)
    theirs.set_state(run.id, RUNNING)
    assert runs.interrupted("another file") is None
    found = runs.interrupted("f1")
    assert found is not None and found.id == run.id
    assert runs.told_state(found) == "interrupted"
    assert runs.adopt(found) is True
    assert Runs(store, "main", clock).adopt(found) is False, "the second taker comes too late"
    runs.set_state(run.id, FINISHED)
    assert runs.interrupted("f1") is None


def test_the_run_of_a_living_process_is_not_interrupted(store: Store, runs: Runs, clock: FixedClock) -> None:
    theirs = Runs(store, "main", clock)
    theirs._owner = "elsewhere|boot-9|17|1"
    run = start(theirs)
    assert runs.interrupted("f1") is None
    assert runs.told_state(run) == "reading"


def test_a_plan_that_is_not_carried_out_leaves_nothing(runs: Runs) -> None:
    run = start(runs)
    runs.spool(run.id, [RunRow(2, "a", PENDING, "{}")])
    runs.forget(run.id)
    assert runs.all() == []
    assert list(runs.fates(run.id, WHAT)) == []


def test_contents_of_rows_are_dropped_and_their_fates_stay(runs: Runs) -> None:
    run = start(runs)
    runs.spool(run.id, [RunRow(2, "a", PENDING, '{"PHONE": "+7..."}'), RunRow(3, "b", PENDING, "{}")])
    runs.mark(run.id, [RunRow(3, "b", "refused", code="X", message="why")])
    runs.drop_drafts(run.id)
    assert [row.draft for row in runs.pending(run.id)] == [None]
    assert [fate.state for fate in runs.fates(run.id, WHAT)] == ["not_sent", "refused"]


def test_runs_are_listed_newest_first_and_by_portal(store: Store, runs: Runs, clock: FixedClock) -> None:
    first, second = start(runs), start(runs, "f2")
    other = Runs(store, "other", clock)
    assert [run.id for run in runs.all()] == [second.id, first.id]
    assert other.all() == []
    assert other.find(first.id) is None


def test_a_row_that_updates_has_the_fate_of_this_runs_update(store: Store, runs: Runs, clock: FixedClock) -> None:
    run = start(runs)
    made, changes = Ledger(store, "main", WHAT, clock), Ledger(store, "main", updates_of(WHAT), clock)
    keys = ["changed", "dropped", "open", "waiting", "other run's"]
    runs.spool(run.id, [RunRow(line, key, PENDING, "{}") for line, key in enumerate(keys, start=2)])
    runs.turn(run.id, UPDATE, {line: "[7]" if line == 2 else None for line in range(2, 7)})
    made.adopt({key: str(number) for number, key in enumerate(keys, start=70)}, None)
    changes.plan([(update_key(run.id, key), {"item": 7}) for key in keys[:4]], run.id)
    changes.plan([(update_key(run.id + 1, keys[4]), None)], run.id + 1)
    changes.claim([update_key(run.id, key) for key in keys[:3]] + [update_key(run.id + 1, keys[4])])
    changes.settle(
        [
            Settled(update_key(run.id, "changed"), DONE, portal_id="70", detail={"updatedTime": "2026-01-01"}),
            Settled(update_key(run.id, "dropped"), REFUSED, code="NOT_KEPT", message="why"),
            Settled(update_key(run.id + 1, keys[4]), DONE, portal_id="74"),
        ]
    )
    assert [(fate.key, fate.state, fate.portal_id, fate.code) for fate in runs.fates(run.id, WHAT)] == [
        ("changed", "updated", "70", None),
        ("dropped", "refused", "71", "NOT_KEPT"),
        ("open", "unknown", "72", None),
        ("waiting", "not_sent", "73", None),
        ("other run's", "not_sent", "74", None),
    ]
    assert runs.counts(run.id, WHAT) == {"updated": 1, "refused": 1, "unknown": 1, "not_sent": 2}
    assert [(row.line, row.draft) for row in runs.pending(run.id, state=UPDATE)][:2] == [(2, "[7]"), (3, None)]
