"""The inbox for people: listed, retried, dropped, replayed, counted, forgotten in time."""

from __future__ import annotations

import pytest
from fixed_clock import FixedClock
from sqlalchemy import select

from b24sync.store.engine import Store
from b24sync.store.jobs import DISPATCH, KEEP_DEAD_S, KEEP_DONE_S, Jobs
from b24sync.store.lanes import Claim, Lanes, Message
from b24sync.store.tables import lanes


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
def jobs(store: Store, clock: FixedClock) -> Jobs:
    return Jobs(store, "main", clock)


def claimed(own: Lanes, lane: str) -> Claim:
    claim = own.claim("main", lane)
    assert claim is not None
    return claim


def one_of_each(own: Lanes, clock: FixedClock) -> None:
    """done, dead, retrying, running, waiting, timer; one lane each, and an event."""
    for lane in ("done", "dead", "retrying", "running", "waiting"):
        own.publish_now([Message("main", lane, "job")])
    own.publish_now([Message("main", "timer", "job", run_at=clock.wall + 600), Message("main", DISPATCH, "EVENT:1")])
    own.finish(claimed(own, "done"))
    own.bury(claimed(own, "dead"), "nobody is responsible")
    own.put_off(claimed(own, "retrying"), "not yet", wait_s=60, is_try=True)
    claimed(own, "running")


def ids(jobs: Jobs, *lanes_wanted: str) -> list[int]:
    return [job.id for job in jobs.listed() if job.lane in lanes_wanted]


def test_every_state_is_told_by_its_name(own: Lanes, jobs: Jobs, clock: FixedClock) -> None:
    one_of_each(own, clock)
    assert {job.lane: job.state for job in jobs.listed()} == {
        lane: lane for lane in ("done", "dead", "retrying", "running", "waiting", "timer")
    }
    assert [(job.lane, job.message) for job in jobs.dead()] == [("dead", "nobody is responsible")]
    assert [job.kind for job in jobs.listed(events=True)] == ["EVENT:1"]
    assert [job.id for job in jobs.listed(limit=2)] == sorted((job.id for job in jobs.listed()), reverse=True)[:2]
    assert jobs.counts() == {"waiting": 3, "begun": 2, "dead": 1}
    found = jobs.get(ids(jobs, "dead")[0])
    assert found is not None and found.tries == 1
    assert jobs.get(10**6) is None


def test_a_dead_letter_is_done_again_before_what_waits_in_its_lane(own: Lanes, jobs: Jobs, clock: FixedClock) -> None:
    one_of_each(own, clock)
    own.publish_now([Message("main", "dead", "news"), Message("main", "dead", "job")])
    wanted = ids(jobs, "done", "dead", "running")
    again = jobs.retry(wanted)
    assert len(again) == 1 and len(wanted) == 5
    order = []
    while claim := own.claim("main", "dead"):
        order.append((claim.messages[0].kind, claim.messages[0].tries))
        own.finish(claim)
    assert order == [("job", 0), ("news", 0), ("job", 0)]


def test_a_dead_letter_whose_lane_was_forgotten_can_be_retried(own: Lanes, jobs: Jobs, clock: FixedClock) -> None:
    one_of_each(own, clock)
    clock.pass_time(KEEP_DONE_S + 1)
    jobs.forget_old()
    jobs.retry(ids(jobs, "dead"))
    assert claimed(own, "dead").messages[0].kind == "job"


def test_what_is_dropped_is_never_done_but_can_be_taken_back(own: Lanes, jobs: Jobs, clock: FixedClock) -> None:
    one_of_each(own, clock)
    clock.pass_time(700)
    wanted = ids(jobs, "done", "dead", "retrying", "running", "waiting", "timer")
    dropped = jobs.drop(wanted)
    states = {job.lane: job.state for job in jobs.listed()}
    assert {lane for lane, state in states.items() if state == "dropped"} == {"dead", "retrying", "waiting", "timer"}
    assert len(dropped) == 4
    for lane in ("dead", "retrying", "waiting", "timer"):
        assert own.claim("main", lane) is None
    assert jobs.retry(ids(jobs, "waiting")) == ids(jobs, "waiting")
    assert claimed(own, "waiting").messages[0].kind == "job"


def test_an_event_comes_in_again_with_what_it_brought(own: Lanes, jobs: Jobs) -> None:
    own.publish_now([Message("main", DISPATCH, "EVENT:1", {"data": {"ID": "1"}}), Message("main", "deal:1", "job")])
    [event] = jobs.listed(events=True)
    assert jobs.replay([event.id]) == [], "it waits still"
    own.finish(claimed(own, DISPATCH))
    own.finish(claimed(own, "deal:1"))
    every = [job.id for job in [*jobs.listed(), *jobs.listed(events=True)]]
    assert jobs.replay(every) == [event.id], "a job is no event"
    message = claimed(own, DISPATCH).messages[0]
    assert (message.kind, message.payload) == ("EVENT:1", {"data": {"ID": "1"}})


def test_what_is_over_is_forgotten_in_time_and_the_rest_is_not(
    own: Lanes, jobs: Jobs, clock: FixedClock, store: Store
) -> None:
    one_of_each(own, clock)
    jobs.drop(ids(jobs, "waiting"))
    assert own.claim("main", "waiting") is None
    assert jobs.forget_old() == 0
    clock.pass_time(KEEP_DONE_S + 1)
    assert jobs.forget_old() == 2
    assert {job.lane for job in jobs.listed()} == {"dead", "retrying", "running", "timer"}
    with store.read() as connection:
        kept = set(connection.execute(select(lanes.c.key)).scalars())
    assert kept == {"retrying", "running", "timer", DISPATCH}, "empty lanes are gone, one at work is not"
    clock.pass_time(KEEP_DEAD_S)
    assert jobs.forget_old() == 1


def test_another_portals_messages_are_nobodys_business(own: Lanes, store: Store, clock: FixedClock) -> None:
    own.publish_now([Message("other", "deal:1", "job")])
    own.bury(_claim_of(own, "other"), "x")
    jobs, theirs = Jobs(store, "main", clock), Jobs(store, "other", clock)
    [job] = theirs.dead()
    assert (jobs.listed(), jobs.dead(), jobs.get(job.id)) == ([], [], None)
    assert (jobs.retry([job.id]), jobs.drop([job.id]), jobs.replay([job.id])) == ([], [], [])


def _claim_of(own: Lanes, portal: str) -> Claim:
    claim = own.claim(portal, "deal:1")
    assert claim is not None
    return claim
