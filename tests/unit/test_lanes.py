"""Lanes on both databases: order, folding, one owner at a time, fencing, takeover, back-off, timers."""

from __future__ import annotations

import pytest
from fixed_clock import FixedClock
from sqlalchemy import select

from b24sync.store.cursors import read_cursor
from b24sync.store.engine import Store
from b24sync.store.lanes import BEGUN, DONE, LEASE_S, WAITING, Claim, LaneLost, Lanes, Message
from b24sync.store.tables import cursors, inbox

PORTAL = "main"
DEAL = "deal:42"
DEAD_OWNER = "elsewhere|boot-9|17|123"


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


@pytest.fixture
def clock(any_clock: FixedClock) -> FixedClock:
    return any_clock


@pytest.fixture
def own(store: Store, clock: FixedClock) -> Lanes:
    return Lanes(store, clock)


@pytest.fixture
def other(store: Store, clock: FixedClock) -> Lanes:
    """A process of another machine."""
    elsewhere = Lanes(store, clock)
    elsewhere.owner = DEAD_OWNER
    return elsewhere


def publish(own: Lanes, *kinds: str, lane: str = DEAL, run_at: float | None = None) -> None:
    own.publish_now([Message(PORTAL, lane, kind, {"kind": kind}, run_at) for kind in kinds])


def claimed(own: Lanes, *, lane: str = DEAL, batch: int = 1) -> Claim:
    claim = own.claim(PORTAL, lane, batch=batch)
    assert claim is not None
    return claim


def kinds(claim: Claim) -> list[str]:
    return [message.kind for message in claim.messages]


def states(store: Store) -> dict[str, list[str]]:
    with store.read() as connection:
        found: dict[str, list[str]] = {}
        for row in connection.execute(select(inbox).order_by(inbox.c.id)):
            found.setdefault(row.kind, []).append(row.state)
    return found


def due(own: Lanes) -> list[str]:
    return [lane.key for lane in own.due([PORTAL], 100)]


# -- order and folding -------------------------------------------------------------------------------------------


def test_a_lane_gives_out_its_messages_in_the_order_of_publishing(own: Lanes) -> None:
    publish(own, "c", "a", "b")
    done = []
    while claim := own.claim(PORTAL, DEAL):
        done += kinds(claim)
        own.finish(claim)
    assert done == ["c", "a", "b"]


def test_a_waiting_message_of_the_same_kind_is_folded_into_and_the_newest_payload_counts(own: Lanes) -> None:
    publish(own, "a", "b")
    own.publish_now([Message(PORTAL, DEAL, "a", {"kind": "newest"}), Message("other", DEAL, "a")])
    claim = claimed(own, batch=10)
    assert kinds(claim) == ["a", "b"]
    assert (claim.messages[0].payload, claim.messages[0].folded) == ({"kind": "newest"}, 2)
    assert own.claim("other", DEAL) is not None, "another portal has lanes of its own"


def test_a_message_that_is_begun_is_not_folded_into(own: Lanes, store: Store) -> None:
    publish(own, "a")
    claim = claimed(own)
    publish(own, "a")
    assert states(store) == {"a": [BEGUN, WAITING]}
    own.finish(claim)
    assert kinds(claimed(own)) == ["a"]


def test_a_batch_takes_as_many_as_it_may(own: Lanes) -> None:
    publish(own, *"abcde")
    assert kinds(claimed(own, batch=3)) == ["a", "b", "c"]


def test_whether_another_full_batch_waits_does_not_count_timers_and_what_is_begun(own: Lanes) -> None:
    publish(own, "a", "b", "c")
    publish(own, "later", run_at=own._clock.wall_s() + 60)
    claimed(own)
    assert own.are_due(PORTAL, DEAL, 2)
    assert not own.are_due(PORTAL, DEAL, 3)
    assert not own.are_due(PORTAL, "deal:43", 1)


def test_publishing_and_what_led_to_it_are_one_transaction(own: Lanes, store: Store) -> None:
    def fail() -> None:
        with store.write() as connection:
            own.publish(connection, [Message(PORTAL, DEAL, "a")])
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert (due(own), states(store)) == ([], {})


# -- one owner at a time -----------------------------------------------------------------------------------------


def test_a_lane_is_claimed_once_and_free_again_when_finished(own: Lanes, other: Lanes) -> None:
    publish(own, "a", "b")
    claim = claimed(own)
    assert own.claim(PORTAL, DEAL) is None
    assert other.claim(PORTAL, DEAL) is None
    assert due(own) == []
    own.finish(claim)
    assert due(own) == [DEAL]
    own.finish(claimed(other))
    assert due(own) == []


def test_the_lanes_of_another_machine_come_back_after_the_lease_and_not_before(
    own: Lanes, other: Lanes, clock: FixedClock, store: Store
) -> None:
    publish(own, "a", "b")
    late = claimed(other)
    clock.pass_time(LEASE_S - 1)
    assert own.claim(PORTAL, DEAL) is None
    other.renew()
    clock.pass_time(LEASE_S - 1)
    assert (due(own), own.claim(PORTAL, DEAL)) == ([], None)
    clock.pass_time(2)
    assert due(own) == [DEAL]
    claim = claimed(own)
    assert kinds(claim) == ["a"], "what was begun comes first"
    assert claim.messages[0].crashes == 1
    with pytest.raises(LaneLost):
        other.finish(late)
    own.finish(claim)
    assert states(store) == {"a": [DONE], "b": [WAITING]}


def test_who_lost_a_lane_stores_nothing(own: Lanes, other: Lanes, clock: FixedClock, store: Store) -> None:
    publish(own, "a")
    late = claimed(other)
    clock.pass_time(LEASE_S + 1)
    claimed(own)

    def result(connection: object) -> None:
        raise AssertionError("the fence comes before the results")

    with pytest.raises(LaneLost):
        other.finish(late, results=[result], messages=[Message(PORTAL, "deal:7", "b")])
    with pytest.raises(LaneLost):
        other.put_off(late, "x", wait_s=1, is_try=True)
    with pytest.raises(LaneLost):
        other.bury(late, "x")
    assert states(store) == {"a": [BEGUN]}


def test_results_messages_and_the_end_of_a_job_are_one_transaction(own: Lanes, store: Store) -> None:
    publish(own, "a")
    note = cursors.insert().values(portal=PORTAL, name="n", value="1")

    def fail(connection: object) -> None:
        raise InterruptedError

    claim = claimed(own)
    with pytest.raises(InterruptedError):
        own.finish(claim, results=[lambda c: c.execute(note), fail], messages=[Message(PORTAL, "deal:7", "b")])
    assert (read_cursor(store, PORTAL, "n"), states(store)) == (None, {"a": [BEGUN]})
    own.finish(claim, results=[lambda c: c.execute(note)], messages=[Message(PORTAL, "deal:7", "b")])
    assert (read_cursor(store, PORTAL, "n"), states(store)) == ("1", {"a": [DONE], "b": [WAITING]})
    assert due(own) == ["deal:7"]


# -- timers ------------------------------------------------------------------------------------------------------


def test_a_timer_is_due_at_its_time_and_does_not_hold_up_what_comes_meanwhile(own: Lanes, clock: FixedClock) -> None:
    publish(own, "timer", run_at=clock.wall + 60)
    assert due(own) == []
    publish(own, "a")
    claim = claimed(own, batch=10)
    assert kinds(claim) == ["a"]
    own.finish(claim)
    assert due(own) == []
    clock.pass_time(61)
    assert due(own) == [DEAL]
    assert kinds(claimed(own)) == ["timer"]


def test_a_timer_that_is_set_again_moves_and_one_that_is_cancelled_never_comes(
    own: Lanes, clock: FixedClock, store: Store
) -> None:
    publish(own, "moved", "gone", run_at=clock.wall + 60)
    publish(own, "moved", run_at=clock.wall + 600)
    with store.write() as connection:
        assert own.cancel(connection, PORTAL, DEAL, "gone")
        assert not own.cancel(connection, PORTAL, DEAL, "gone")
    clock.pass_time(61)
    assert own.claim(PORTAL, DEAL) is None
    assert due(own) == []
    clock.pass_time(600)
    assert kinds(claimed(own, batch=10)) == ["moved"]


def test_what_waits_to_run_at_once_is_not_made_a_timer(own: Lanes, clock: FixedClock) -> None:
    publish(own, "a")
    publish(own, "a", run_at=clock.wall + 60)
    assert kinds(claimed(own)) == ["a"]


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_clock_that_jumps_by_an_hour_stops_no_lane(own: Lanes, clock: FixedClock, jump_s: float) -> None:
    publish(own, "a", lane="deal:1")
    publish(own, "b", lane="deal:2")
    own.put_off(claimed(own, lane="deal:2"), "x", wait_s=60, is_try=True)
    publish(own, "c", lane="deal:3")
    held = claimed(own, lane="deal:3")
    clock.wall += jump_s
    own.mend_clock()
    assert set(due(own)) == {"deal:1", "deal:2"}, "and the lane of a living process stays its own"
    own.finish(held)
