"""The engine: what a handler's end means for its messages, its lane and the other lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fixed_clock import FixedClock
from sqlalchemy import select

from b24sync.automation.engine import LOOK_UP_AFTER_S, MAX_CRASHES, Engine, Handler, TookTooLong, Work
from b24sync.automation.rule_jobs import rule_of
from b24sync.errors import (
    AtWorkElsewhere,
    GiveUp,
    LookUpPending,
    OutcomeUnknown,
    PortalBlocked,
    PortalRefused,
    PortalUnreachable,
    RetryLater,
    StoreError,
)
from b24sync.store.cursors import read_cursor
from b24sync.store.engine import Store
from b24sync.store.lanes import BEGUN, DEAD, DONE, LEASE_S, MAX_BACKOFF_S, WAITING, Lanes, Message
from b24sync.store.tables import cursors, inbox, lanes

PORTAL = "main"


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


@pytest.fixture
def clock(any_clock: FixedClock) -> FixedClock:
    return any_clock


class Rule:
    """A handler that raises what it is told to, once each, and remembers what it got."""

    def __init__(self, *endings: BaseException | None) -> None:
        self.endings = list(endings)
        self.got: list[list[str]] = []

    def __call__(self, work: Work) -> None:
        self.got.append([message.kind for message in work.messages])
        error = self.endings.pop(0) if self.endings else None
        if error is not None:
            raise error


def engine_of(store: Store, clock: FixedClock, run: Callable[[Work], None], **options: Any) -> Engine:
    return Engine(store, clock, {"deal": Handler(run, **options), "dispatch": Handler(run, batch=100)})


def publish(engine: Engine, *kinds: str, lane: str = "deal:42") -> None:
    engine.lanes.publish_now([Message(PORTAL, lane, kind) for kind in kinds])


def rows(store: Store) -> dict[str, tuple[str, int, str | None]]:
    with store.read() as connection:
        return {
            row.kind: (row.state, row.tries, row.message)
            for row in connection.execute(select(inbox).order_by(inbox.c.id))
        }


def due_in(store: Store, clock: FixedClock, lane: str = "deal:42") -> float:
    with store.read() as connection:
        return float(connection.execute(select(lanes.c.due_at).where(lanes.c.key == lane)).scalar_one()) - clock.wall


def run_all(engine: Engine, lane: str = "deal:42") -> int:
    count = 0
    while engine.run_lane(PORTAL, lane):
        count += 1
    return count


def test_a_job_that_returns_is_done_and_what_it_leaves_is_stored_with_it(store: Store, clock: FixedClock) -> None:
    def run(work: Work) -> None:
        work.store(lambda c: c.execute(cursors.insert().values(portal=work.portal, name="n", value="1")))
        work.publish(Message(work.portal, "task:7", f"after {work.message.kind}"))

    engine = engine_of(store, clock, run)
    publish(engine, "a")
    assert engine.run_lane(PORTAL, "deal:42")
    assert read_cursor(store, PORTAL, "n") == "1"
    assert rows(store) == {"a": (DONE, 0, None), "after a": (WAITING, 0, None)}


def test_running_a_lane_twice_does_its_work_once(store: Store, clock: FixedClock) -> None:
    again: list[bool] = []

    def run(work: Work) -> None:
        again.append(engine.run_lane(PORTAL, "deal:42"))

    engine = engine_of(store, clock, run)
    publish(engine, "a")
    assert engine.run_lane(PORTAL, "deal:42")
    assert not engine.run_lane(PORTAL, "deal:42")
    assert again == [False], "and not while it runs either"


def test_no_transaction_is_open_while_a_job_runs(store: Store, clock: FixedClock) -> None:
    def run(work: Work) -> None:
        with store.write() as connection:  # would wait for ever behind a transaction of the engine
            work.hold(connection)

    engine = engine_of(store, clock, run)
    publish(engine, "a")
    assert engine.run_lane(PORTAL, "deal:42")
    assert rows(store)["a"][0] == DONE


@pytest.mark.parametrize("error", [RetryLater("not yet"), ValueError("a fault of the rule"), TookTooLong("looped")])
def test_a_failing_job_backs_off_keeps_its_place_and_ends_as_a_dead_letter(
    store: Store, clock: FixedClock, error: BaseException
) -> None:
    rule = Rule(error, error, error)
    engine = engine_of(store, clock, rule, max_tries=3)
    publish(engine, "a", "b")
    waits = []
    while rule.endings:
        assert engine.run_lane(PORTAL, "deal:42")
        assert rule.endings == [] or not engine.run_lane(PORTAL, "deal:42"), "the whole lane backs off"
        if rule.endings:
            waits.append(due_in(store, clock))
            publish(engine, "c")
            assert due_in(store, clock) == waits[-1], "news do not shorten the back-off"
            clock.pass_time(waits[-1])
    assert waits == [pytest.approx(5), pytest.approx(10)]
    assert run_all(engine) == 2
    assert rule.got == [["a"], ["a"], ["a"], ["b"], ["c"]], "order holds, and the lane goes on after a dead letter"
    state, tries, message = rows(store)["a"]
    assert (state, tries) == (DEAD, 3)
    assert message is not None and str(error) in message
    assert rows(store)["b"][0] == rows(store)["c"][0] == DONE


def grouped(engine: Engine, *kinds: str) -> None:
    """Jobs of rules: `bad.1` is one of the rule `bad`."""
    engine.lanes.publish_now([Message(PORTAL, "deal:42", kind, {"process": kind.partition(".")[0]}) for kind in kinds])


def test_a_rule_that_fails_holds_its_own_jobs_of_an_item_and_no_others(store: Store, clock: FixedClock) -> None:
    rule = Rule(ValueError("boom"))
    engine = engine_of(store, clock, rule, max_tries=3, apart=rule_of)
    grouped(engine, "bad.1", "good.1", "bad.2")
    assert run_all(engine) == 2
    assert rule.got == [["bad.1"], ["good.1"]]
    assert due_in(store, clock) == pytest.approx(5)
    grouped(engine, "good.2", "bad.3")
    assert run_all(engine) == 1, "news of another rule are worked on at once"
    clock.pass_time(5)
    rule.endings = [ValueError("boom")]
    assert run_all(engine) == 1 and due_in(store, clock) == pytest.approx(10)
    clock.pass_time(10)
    rule.endings = [GiveUp("no")]
    assert run_all(engine) == 3
    assert rule.got[2:] == [["good.2"], ["bad.1"], ["bad.1"], ["bad.2"], ["bad.3"]], "order holds within the rule"
    assert {kind: row[0] for kind, row in rows(store).items()} == {"bad.1": DEAD} | dict.fromkeys(
        ("good.1", "bad.2", "good.2", "bad.3"), DONE
    )


@pytest.mark.parametrize("error", [OutcomeUnknown("it was sent"), PortalUnreachable("away"), LookUpPending("sent")])
def test_a_write_in_the_balance_and_a_portal_that_is_away_hold_the_whole_lane(
    store: Store, clock: FixedClock, error: BaseException
) -> None:
    rule = Rule(ValueError("boom"), error)
    engine = engine_of(store, clock, rule, apart=rule_of)
    grouped(engine, "bad.1", "good.1", "other.1")
    assert run_all(engine) == 2
    assert rule.got == [["bad.1"], ["good.1"]]
    clock.pass_time(LOOK_UP_AFTER_S + 5)
    assert run_all(engine) == 3
    assert sorted(map(str, rule.got[2:])) == ["['bad.1']", "['good.1']", "['other.1']"]


def test_what_was_set_apart_is_due_again_after_the_clock_was_set_back(store: Store, clock: FixedClock) -> None:
    rule = Rule(ValueError("boom"))
    engine = engine_of(store, clock, rule, apart=rule_of)
    grouped(engine, "bad.1", "bad.2")
    assert run_all(engine) == 1
    clock.wall -= 3600
    engine.lanes.mend_clock()
    assert run_all(engine) == 2
    assert rule.got == [["bad.1"], ["bad.1"], ["bad.2"]]


def test_what_was_set_apart_is_retried_by_the_next_process(store: Store, clock: FixedClock) -> None:
    rule = Rule(ValueError("boom"), SystemExit())
    engine = engine_of(store, clock, rule, apart=rule_of)
    engine.lanes.owner = "elsewhere|boot-9|17|123"
    grouped(engine, "bad.1", "good.1")
    assert engine.run_lane(PORTAL, "deal:42")
    with pytest.raises(SystemExit):
        engine.run_lane(PORTAL, "deal:42")  # and with it the process
    clock.pass_time(LEASE_S + 1)
    assert run_all(engine_of(store, clock, rule, apart=rule_of)) == 2
    assert {kind: row[:2] for kind, row in rows(store).items()} == {"bad.1": (DONE, 1), "good.1": (DONE, 0)}


def test_a_dead_letter_of_faulty_code_says_where_it_was_raised(store: Store, clock: FixedClock) -> None:
    engine = engine_of(store, clock, Rule(KeyError("stage")), max_tries=1)
    publish(engine, "a")
    engine.run_lane(PORTAL, "deal:42")
    message = rows(store)["a"][2]
    assert message is not None and "KeyError: 'stage'" in message and "test_engine.py:" in message


def test_secrets_do_not_get_into_the_store_with_an_error(store: Store, clock: FixedClock) -> None:
    url = "https://x.bitrix24.ru/rest/1/s3cr3ts3cr3t/crm.item.get"
    engine = engine_of(store, clock, Rule(ValueError(f"{url}?auth=abcdef123456")))
    publish(engine, "a")
    engine.run_lane(PORTAL, "deal:42")
    message = rows(store)["a"][2]
    assert message is not None and "s3cr3t" not in message and "abcdef123456" not in message


@pytest.mark.parametrize("error", [GiveUp("nobody is responsible"), PortalRefused("crm.item.update", "NO", "no")])
def test_what_will_not_get_better_is_a_dead_letter_at_once(
    store: Store, clock: FixedClock, error: BaseException
) -> None:
    engine = engine_of(store, clock, Rule(error))
    publish(engine, "a", "b")
    assert run_all(engine) == 2
    assert [rows(store)[kind][0] for kind in "ab"] == [DEAD, DONE]


@pytest.mark.parametrize(
    "error", [PortalUnreachable("away"), PortalBlocked("closed"), StoreError("locked"), AtWorkElsewhere("busy")]
)
def test_a_portal_that_is_away_for_a_night_costs_no_tries(
    store: Store, clock: FixedClock, error: BaseException
) -> None:
    rule = Rule(*[error] * 60)
    engine = engine_of(store, clock, rule)
    publish(engine, "a", "b")
    started = clock.wall
    while rule.endings:
        assert engine.run_lane(PORTAL, "deal:42")
        assert rows(store)["a"][1] == 0
        wait_s = due_in(store, clock)
        assert 0 < wait_s <= MAX_BACKOFF_S
        clock.pass_time(wait_s)
    assert clock.wall - started > 8 * 3600
    assert run_all(engine) == 2
    assert [row[0] for row in rows(store).values()] == [DONE, DONE]


def test_a_write_without_an_answer_is_tried_again_when_it_can_be_looked_up(store: Store, clock: FixedClock) -> None:
    engine = engine_of(store, clock, Rule(OutcomeUnknown("sent")))
    publish(engine, "a")
    engine.run_lane(PORTAL, "deal:42")
    assert due_in(store, clock) == pytest.approx(LOOK_UP_AFTER_S)


def test_only_the_same_write_unknown_again_is_a_try(store: Store, clock: FixedClock) -> None:
    unknown = [LookUpPending(f"act {n}") for n in (1, 2, 3, 4, 5, 5, 5)]
    engine = engine_of(store, clock, Rule(*unknown), max_tries=2)
    publish(engine, "a")
    states = []
    for _ in unknown:
        engine.run_lane(PORTAL, "deal:42")
        states.append(rows(store)["a"][:2])
        clock.pass_time(MAX_BACKOFF_S)
    assert states == [*[(BEGUN, 0)] * 5, (BEGUN, 1), (DEAD, 2)]


def test_a_rule_can_say_when_to_try_again(store: Store, clock: FixedClock) -> None:
    engine = engine_of(store, clock, Rule(RetryLater("at noon", retry_after_s=120)))
    publish(engine, "a")
    engine.run_lane(PORTAL, "deal:42")
    assert due_in(store, clock) == pytest.approx(120)


def test_results_that_cannot_be_stored_are_a_failure_of_the_job(store: Store, clock: FixedClock) -> None:
    def run(work: Work) -> None:
        for _ in range(2):
            work.store(lambda c: c.execute(cursors.insert().values(portal=PORTAL, name="n", value="1")))

    engine = engine_of(store, clock, run)
    publish(engine, "a")
    engine.run_lane(PORTAL, "deal:42")
    assert read_cursor(store, PORTAL, "n") is None
    assert rows(store)["a"][:2] == ("begun", 1)


def test_a_batch_that_fails_is_halved_until_the_message_that_fails_stands_alone(
    store: Store, clock: FixedClock
) -> None:
    got: list[int] = []

    def run(work: Work) -> None:
        got.append(len(work.messages))
        if any(message.kind == "13" for message in work.messages):
            raise ValueError("poison")

    engine = engine_of(store, clock, run)
    publish(engine, *map(str, range(80)), lane="dispatch")
    while "13" not in {kind for kind, row in rows(store).items() if row[0] == DEAD}:
        engine.run_lane(PORTAL, "dispatch")
        clock.pass_time(MAX_BACKOFF_S)
    run_all(engine, "dispatch")
    assert (got[0], min(got)) == (80, 1)
    assert {kind: row[0] for kind, row in rows(store).items() if row[0] != DONE} == {"13": DEAD}


def test_a_message_over_which_the_process_dies_again_and_again_is_a_dead_letter(
    store: Store, clock: FixedClock
) -> None:
    rule = Rule()
    engine = engine_of(store, clock, rule)
    publish(engine, "killer", "b")
    dying = Lanes(store, clock)
    dying.owner = "elsewhere|boot-9|17|123"
    for _ in range(MAX_CRASHES):
        assert dying.claim(PORTAL, "deal:42") is not None
        clock.pass_time(LEASE_S + 1)
        dying.owner += "1"
    assert run_all(engine) == 2
    assert rule.got == [["b"]]
    assert rows(store)["killer"][0] == DEAD


def test_a_lane_that_nothing_handles_says_so_and_can_be_retried_when_its_rule_is_back(
    store: Store, clock: FixedClock
) -> None:
    engine = engine_of(store, clock, Rule())
    publish(engine, "a", lane="robot:9")
    engine.run_lane(PORTAL, "robot:9")
    state, _, message = rows(store)["a"]
    assert state == DEAD and message is not None and "robot:9" in message
