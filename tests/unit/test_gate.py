"""The gate on a clock that stands still: bucket, two priorities, method budgets, blocks, the queue."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from fixed_clock import FixedClock

from b24sync.clock import SystemClock
from b24sync.config import LimitsConfig
from b24sync.errors import PortalBlocked
from b24sync.store.engine import Store
from b24sync.transport.gate import Gate, Limits, MethodUse, Priority

STANDARD = Limits(2.0, 50.0, 480.0, 60.0)
METHOD = "crm.item.batchImport"


@pytest.fixture
def clock(any_clock: FixedClock) -> FixedClock:
    return any_clock


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


@pytest.fixture
def gate(store: Store, clock: FixedClock) -> Gate:
    return Gate(store, "main", "webhook 1", STANDARD, clock)


def seconds_of(clock: FixedClock, gate: Gate, count: int, priority: Priority) -> float:
    """How long `count` requests take to leave."""
    started = clock.boot_s()
    for _ in range(count):
        gate.reserve({}, priority)
    return clock.boot_s() - started


def work(gate: Gate, method: str, booked: float, *, duration: float, operating: float | None, reset_in: float) -> None:
    """One request of one unit and its answer."""
    gate.reserve({method: booked}, "bulk")
    gate.observe([MethodUse(method, 1.0, duration, operating, reset_in, booked)])


def row(gate: Gate, method: str = METHOD) -> Mapping[str, Any]:
    snapshot: Any = gate.snapshot()
    [found] = [row for row in snapshot["methods"] if row["method"] == method]
    return dict(found)


class PortalBucket:
    """The portal's own count (settings/performance/limits.md): +1 per request, drains, refuses above 50."""

    def __init__(self, rate_per_s: float = 2.0) -> None:
        self.rate = rate_per_s
        self.level = 0.0
        self.last = 0.0
        self.highest = 0.0

    def arrive(self, at: float) -> None:
        self.level = max(0.0, self.level - (at - self.last) * self.rate) + 1
        self.last = at
        self.highest = max(self.highest, self.level)


# -- bucket ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("priority", "burst"), [("bulk", 42), ("interactive", 48)])
def test_a_burst_leaves_at_once_and_then_one_every_half_second(
    gate: Gate, clock: FixedClock, priority: Priority, burst: int
) -> None:
    assert seconds_of(clock, gate, burst, priority) == 0
    assert seconds_of(clock, gate, 10, priority) == pytest.approx(5.0)


@pytest.mark.many_transactions
def test_after_a_pause_the_burst_is_there_again(gate: Gate, clock: FixedClock) -> None:
    seconds_of(clock, gate, 42, "bulk")
    clock.pass_time(10)
    assert seconds_of(clock, gate, 20, "bulk") == 0
    assert seconds_of(clock, gate, 1, "bulk") == pytest.approx(0.5)
    clock.pass_time(3600)
    assert seconds_of(clock, gate, 42, "bulk") == 0


@pytest.mark.many_transactions
def test_a_call_of_a_person_passes_a_bulk_job_that_has_used_up_its_share(gate: Gate, clock: FixedClock) -> None:
    seconds_of(clock, gate, 60, "bulk")
    assert seconds_of(clock, gate, 6, "interactive") == 0
    assert seconds_of(clock, gate, 1, "interactive") > 0


@pytest.mark.many_transactions
@pytest.mark.parametrize("seed", range(4))
def test_the_portals_own_bucket_never_overflows(gate: Gate, clock: FixedClock, seed: int) -> None:
    rng = random.Random(seed)
    bucket = PortalBucket()
    for _ in range(250):
        gate.reserve({}, rng.choice(["bulk", "bulk", "interactive"]))
        bucket.arrive(clock.boot_s())
        if rng.random() < 0.05:
            clock.pass_time(rng.uniform(0, 20))
    assert 30 < bucket.highest <= 50


def test_two_credentials_share_the_portals_bucket_and_two_portals_do_not(store: Store, clock: FixedClock) -> None:
    first, second = (Gate(store, "main", name, STANDARD, clock) for name in ("webhook 1", "webhook 2"))
    other = Gate(store, "other", "webhook 1", STANDARD, clock)
    seconds_of(clock, first, 42, "bulk")
    assert seconds_of(clock, second, 1, "bulk") > 0
    assert seconds_of(clock, other, 42, "bulk") == 0


def test_after_a_reboot_the_bucket_and_the_budgets_are_new(store: Store, gate: Gate, clock: FixedClock) -> None:
    if not store.is_sqlite:
        pytest.skip("on PostgreSQL the gate's clock is the database's, which no reboot of ours sets back")
    seconds_of(clock, gate, 60, "bulk")
    gate.throttled()
    work(gate, METHOD, 0.0, duration=500.0, operating=500.0, reset_in=600.0)
    clock.boot_name, clock.boot = "boot-2", 30.0
    assert seconds_of(clock, gate, 42, "bulk") == 0
    gate.reserve({METHOD: 10.0}, "bulk")
    assert clock.boot_s() < 40


@pytest.mark.many_transactions
def test_without_limits_nothing_waits(store: Store, clock: FixedClock) -> None:
    gate = Gate(store, "main", "webhook 1", Limits.of(LimitsConfig(plan="off")), clock)
    assert seconds_of(clock, gate, 200, "bulk") == 0
    gate.throttled()
    assert seconds_of(clock, gate, 1, "bulk") > 0, "but a portal that says slow down is heard"


@pytest.mark.many_transactions
def test_the_enterprise_plan_has_its_own_numbers(store: Store, clock: FixedClock) -> None:
    gate = Gate(store, "main", "webhook 1", Limits.of(LimitsConfig(plan="enterprise")), clock)
    assert seconds_of(clock, gate, 210, "bulk") == pytest.approx(0.0, abs=0.001)
    assert seconds_of(clock, gate, 10, "bulk") == pytest.approx(2.0)


def test_a_custom_plan_takes_what_is_not_said_from_the_standard_one() -> None:
    assert Limits.of(LimitsConfig(plan="custom", rate_per_s=120, request_cap_s=1)) == Limits(120, 50, 480, 1)


# -- slow down ---------------------------------------------------------------------------------------------------


def test_a_503_holds_everybody_back_and_empties_the_burst(store: Store, gate: Gate, clock: FixedClock) -> None:
    other = Gate(store, "main", "webhook 2", STANDARD, clock)
    gate.throttled()
    assert seconds_of(clock, other, 1, "interactive") >= 1.0
    assert seconds_of(clock, gate, 4, "interactive") == pytest.approx(2.0)


def test_a_503_reaches_who_already_waits_for_a_slot(store: Store, clock: FixedClock) -> None:
    class Interrupting(FixedClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 1:
                other.throttled()

    waiting = Interrupting()
    gate = Gate(store, "main", "webhook 1", STANDARD, waiting)
    other = Gate(store, "main", "webhook 2", STANDARD, waiting)
    for _ in range(42):
        gate.reserve({}, "bulk")
    started = waiting.boot_s()
    gate.reserve({}, "bulk")
    assert waiting.boot_s() - started >= 0.5 + 1.0


# -- method budgets ------------------------------------------------------------------------------------------------


@pytest.mark.many_transactions
def test_a_method_is_used_up_to_98_percent_of_its_limit_and_then_waits_for_its_reset(
    gate: Gate, clock: FixedClock
) -> None:
    used, started = 0.0, clock.boot_s()
    for _ in range(23):
        used += 20.0
        work(gate, METHOD, 20.0, duration=20.0, operating=used, reset_in=600.0 - (clock.boot_s() - started))
    assert used == 460
    assert clock.boot_s() == started, "460 of 480 are free to use"
    gate.reserve({METHOD: 20.0}, "bulk")
    assert clock.boot_s() - started >= 600, "the 24th would make 480, above 98 %"
    assert row(gate)["foreign_use"] is False


@pytest.mark.many_transactions
def test_another_method_does_not_wait(gate: Gate, clock: FixedClock) -> None:
    work(gate, METHOD, 0.0, duration=475.0, operating=475.0, reset_in=600.0)
    started = clock.boot_s()
    gate.reserve({"crm.item.list": 20.0}, "bulk")
    assert clock.boot_s() == started
    gate.reserve({METHOD: 20.0, "crm.item.list": 1.0}, "bulk")
    assert clock.boot_s() > started


def test_what_is_in_flight_counts_before_its_answer_comes(gate: Gate, clock: FixedClock) -> None:
    work(gate, METHOD, 0.0, duration=300.0, operating=300.0, reset_in=600.0)
    gate.reserve({METHOD: 100.0}, "bulk")
    assert row(gate)["in_flight_s"] == 100
    assert gate.allowance_s([METHOD]) == pytest.approx(480 * 0.98 - 400)
    gate.observe([MethodUse(METHOD, 1.0, 90.0, 390.0, 500.0, 100.0)])
    assert (row(gate)["in_flight_s"], row(gate)["used_s"]) == (0, 390)


def test_after_a_reset_one_careful_request_finds_out_the_new_sum(gate: Gate, clock: FixedClock) -> None:
    work(gate, METHOD, 0.0, duration=470.0, operating=470.0, reset_in=30.0)
    clock.pass_time(31)
    assert gate.allowance_s([METHOD]) == pytest.approx(480 * 0.02)
    started = clock.boot_s()
    gate.reserve({METHOD: 20.0}, "bulk")
    assert clock.boot_s() == started, "something must be sent to learn the sum"
    assert gate.allowance_s([METHOD]) == 0, "but only one, until it is answered"
    gate.observe([MethodUse(METHOD, 1.0, 20.0, 60.0, 500.0, 20.0)])
    assert gate.allowance_s([METHOD]) == pytest.approx(480 * 0.98 - 60)


def test_foreign_use_leaves_ten_percent_to_the_others(gate: Gate) -> None:
    work(gate, METHOD, 10.0, duration=10.0, operating=10.0, reset_in=600.0)
    assert row(gate)["foreign_use"] is False
    work(gate, METHOD, 10.0, duration=10.0, operating=120.0, reset_in=590.0)
    assert row(gate)["foreign_use"] is True
    assert gate.allowance_s([METHOD]) == pytest.approx(480 * 0.90 - 120)
    work(gate, METHOD, 10.0, duration=10.0, operating=130.0, reset_in=580.0)
    assert row(gate)["foreign_use"] is True, "once seen, until the counter starts anew"


def test_absent_counters_are_unknown_and_hold_nobody_up(gate: Gate, clock: FixedClock) -> None:
    started = clock.boot_s()
    for _ in range(20):
        gate.reserve({METHOD: 40.0}, "bulk")
        gate.observe([MethodUse(METHOD, 1.0, 40.0, None, None, 40.0)])
    assert clock.boot_s() == started
    assert row(gate)["used_s"] == 0


def test_a_counter_that_stops_coming_is_added_up_within_its_known_window(gate: Gate) -> None:
    work(gate, METHOD, 10.0, duration=10.0, operating=10.0, reset_in=600.0)
    gate.observe([MethodUse(METHOD, 1.0, 15.0, None, None, 0.0)])
    assert row(gate)["used_s"] == 25


@pytest.mark.many_transactions
def test_a_429_pauses_that_one_method_until_its_reset(gate: Gate, clock: FixedClock) -> None:
    work(gate, METHOD, 1.0, duration=1.0, operating=1.0, reset_in=300.0)
    gate.paused(METHOD, None)
    started = clock.boot_s()
    gate.reserve({"crm.item.list": 1.0}, "bulk")
    assert clock.boot_s() == started
    gate.reserve({METHOD: 1.0}, "interactive")
    assert clock.boot_s() - started == pytest.approx(300, abs=1.5)


@pytest.mark.parametrize(("told", "waits"), [(120.0, 120), (None, 60)])
def test_a_429_of_a_method_never_seen_waits_as_told_or_for_the_request_cap(
    gate: Gate, clock: FixedClock, told: float | None, waits: float
) -> None:
    gate.paused(METHOD, told)
    started = clock.boot_s()
    gate.reserve({METHOD: 1.0}, "bulk")
    assert clock.boot_s() - started == pytest.approx(waits, abs=1.5)


def test_a_person_may_use_what_a_job_leaves(gate: Gate, clock: FixedClock) -> None:
    work(gate, METHOD, 0.0, duration=472.0, operating=472.0, reset_in=600.0)
    started = clock.boot_s()
    gate.reserve({METHOD: 5.0}, "interactive")
    assert clock.boot_s() == started


def test_a_unit_dearer_than_the_whole_limit_is_sent_all_the_same_where_nothing_else_counts(
    gate: Gate, clock: FixedClock
) -> None:
    started = clock.boot_s()
    gate.reserve({METHOD: 600.0}, "bulk")
    assert clock.boot_s() == started


def test_the_cost_of_a_unit_is_learnt_at_once_upwards_and_by_halves_downwards(gate: Gate) -> None:
    gate.observe([MethodUse(METHOD, 10.0, 1.0, 1.0, 600.0)])
    assert gate.unit_costs(METHOD) == (0.1, 0.1)
    gate.observe([MethodUse(METHOD, 10.0, 4.0, 5.0, 600.0)])
    assert gate.unit_costs(METHOD) == (0.4, 0.4)
    gate.observe([MethodUse(METHOD, 10.0, 2.0, 7.0, 600.0)])
    assert gate.unit_costs(METHOD) == pytest.approx((0.3, 0.3))


def test_budgets_belong_to_a_credential(store: Store, gate: Gate, clock: FixedClock) -> None:
    work(gate, METHOD, 0.0, duration=470.0, operating=470.0, reset_in=600.0)
    other = Gate(store, "main", "webhook 2", STANDARD, clock)
    assert other.allowance_s([METHOD]) == pytest.approx(480 * 0.98)


def test_a_reservation_that_is_interrupted_in_its_wait_is_given_back(store: Store) -> None:
    class Interrupted(FixedClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    gate = Gate(store, "main", "webhook 1", STANDARD, Interrupted())
    for _ in range(42):
        gate.reserve({METHOD: 1.0}, "bulk")
    with pytest.raises(KeyboardInterrupt):
        gate.reserve({METHOD: 1.0}, "bulk")
    assert row(gate)["in_flight_s"] == 42


def test_what_a_killed_process_had_in_flight_does_not_count_for_ever(gate: Gate, clock: FixedClock) -> None:
    work(gate, METHOD, 1.0, duration=1.0, operating=1.0, reset_in=600.0)
    for _ in range(6):
        gate.reserve({METHOD: 78.0}, "interactive")  # and the process is gone before its answer
    assert gate.allowance_s([METHOD]) < 2
    clock.pass_time(121)  # no request lives that long: the portal cuts it at 60 s
    assert gate.allowance_s([METHOD]) > 400
    started = clock.boot_s()
    gate.reserve({METHOD: 100.0}, "bulk")
    assert clock.boot_s() == started
    assert row(gate)["in_flight_s"] == 100


# -- blocks --------------------------------------------------------------------------------------------------------


def test_a_blocking_code_stops_every_process_and_a_command_started_later_may_try_again(
    store: Store, gate: Gate, clock: FixedClock
) -> None:
    other = Gate(store, "main", "webhook 2", STANDARD, clock)
    gate.stop("OVERLOAD_LIMIT", "REST API is blocked due to overload")
    for stopped in (gate, other):
        with pytest.raises(PortalBlocked, match="OVERLOAD_LIMIT"):
            stopped.reserve({METHOD: 1.0}, "interactive")
    snapshot: Any = gate.snapshot()
    assert snapshot["stopped"]["code"] == "OVERLOAD_LIMIT"
    assert sum(method["in_flight_s"] for method in snapshot["methods"]) == 0
    clock.pass_time(60)
    later = Gate(store, "main", "webhook 1", STANDARD, clock)
    later.reserve({METHOD: 1.0}, "interactive")
    later.observe([MethodUse(METHOD, 0.0, 1.0, None, None, 1.0)])
    still: Any = later.snapshot()
    assert still["stopped"]["code"] == "OVERLOAD_LIMIT"
    later.reserve({METHOD: 1.0}, "interactive")
    later.observe([MethodUse(METHOD, 1.0, 0.1, 0.1, 600.0, 1.0)])
    assert later.snapshot()["stopped"] is None
    gate.reserve({METHOD: 1.0}, "interactive")


def test_an_answer_that_was_on_its_way_ends_no_newer_stop(store: Store, gate: Gate, clock: FixedClock) -> None:
    gate.stop("OVERLOAD_LIMIT", "blocked")
    clock.pass_time(60)
    later = Gate(store, "main", "webhook 1", STANDARD, clock)
    later.reserve({METHOD: 1.0}, "interactive")
    clock.pass_time(1)
    gate.stop("OVERLOAD_LIMIT", "blocked again")
    later.observe([MethodUse(METHOD, 1.0, 0.1, 0.1, 600.0, 1.0)])
    snapshot: Any = later.snapshot()
    assert snapshot["stopped"]["text"] == "blocked again"


def test_a_block_reaches_who_waits_for_a_budget(store: Store) -> None:
    class Blocking(FixedClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            waiter.stop("PORTAL_DELETED", "gone")

    waiter = Gate(store, "main", "webhook 1", STANDARD, Blocking())
    waiter.paused(METHOD, 300.0)
    with pytest.raises(PortalBlocked, match="PORTAL_DELETED"):
        waiter.reserve({METHOD: 1.0}, "bulk")


# -- the bulk queue ------------------------------------------------------------------------------------------------

WAITER = """
import sys
from b24sync.clock import SystemClock
from b24sync.store.engine import open_store
from b24sync.transport.gate import Gate, Limits
gate = Gate(open_store(sys.argv[1]), "main", "webhook 1", Limits(2.0, 50.0, 480.0, 60.0), SystemClock())
gate.reserve({"crm.item.batchImport": 33.0}, "bulk")
with gate.bulk_turn({"crm.item.batchImport": 1.0}):
    print("my turn", flush=True)
    sys.stdin.readline()
"""


def holder(store: Store) -> subprocess.Popen[str]:
    """A process that has the bulk slot, until it is told to go on or killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITER, store.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "my turn\n"
    return process


def real_gate(store: Store) -> Gate:
    return Gate(store, "main", "webhook 1", STANDARD, SystemClock())


def waiting(gate: Gate) -> list[tuple[str, bool]]:
    snapshot: Any = gate.snapshot()
    return [(waiter["priority"], waiter["in_flight"]) for waiter in snapshot["waiters"]]


def test_one_bulk_request_is_in_flight_at_a_time_and_the_next_one_waits_for_its_turn(store: Store) -> None:
    process = holder(store)
    gate = real_gate(store)
    ticket, _ = gate._rows.join_queue("bulk", {METHOD: 1.0})
    assert gate._rows.take_bulk(ticket) is False
    assert waiting(gate) == [("bulk", True), ("bulk", False)]
    gate.reserve({}, "interactive")
    process.communicate("go\n", timeout=60)
    assert gate._rows.take_bulk(ticket) is True
    gate._rows.leave_queue(ticket)
    assert waiting(gate) == []


def test_a_process_killed_with_the_bulk_slot_frees_the_slot_and_what_it_had_in_flight(store: Store) -> None:
    process = holder(store)
    gate = real_gate(store)
    assert row(gate)["in_flight_s"] == 33
    process.kill()
    process.communicate(timeout=60)
    with gate.bulk_turn({METHOD: 1.0}):
        assert waiting(gate) == [("bulk", True)]
        assert row(gate)["in_flight_s"] == 0
    assert waiting(gate) == []


def test_an_error_in_a_turn_frees_the_slot(gate: Gate) -> None:
    def fail_in_turn() -> None:
        with gate.bulk_turn({METHOD: 1.0}):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail_in_turn()
    assert waiting(gate) == []


def test_who_waits_for_a_turn_is_told_when_the_portal_blocks_us(store: Store) -> None:
    process = holder(store)
    gate = real_gate(store)
    gate.stop("OVERLOAD_LIMIT", "blocked")
    with pytest.raises(PortalBlocked), gate.bulk_turn({METHOD: 1.0}):
        pytest.fail("it is not our turn")
    assert waiting(gate) == [("bulk", True)]
    process.communicate("go\n", timeout=60)


# -- several processes ---------------------------------------------------------------------------------------------

BOOKER = """
import sys, time
from b24sync.clock import SystemClock
from b24sync.store.engine import open_store
from b24sync.transport.gate import Gate, Limits
gate = Gate(open_store(sys.argv[1]), "main", "webhook 1", Limits(10.0, 50.0, None, 60.0), SystemClock())
print("ready", flush=True)
sys.stdin.readline()
moments = [time.monotonic()]
for _ in range(int(sys.argv[2])):
    gate.reserve({}, sys.argv[3])
    moments.append(time.monotonic())
print(*moments, flush=True)
"""


@pytest.mark.many_transactions
def test_three_processes_together_keep_to_the_rate_and_use_it(store: Store) -> None:
    """At a rate so low that a slow machine's bookings do not drain away while they are made."""
    bookers = [
        subprocess.Popen(
            [sys.executable, "-c", BOOKER, store.url, "24", priority],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for priority in ("bulk", "bulk", "interactive")
    ]
    for booker in bookers:
        assert booker.stdout is not None
        assert booker.stdout.readline() == "ready\n"
    moments: list[list[float]] = []
    for booker in bookers:
        assert booker.stdin is not None
        booker.stdin.write("go\n")
        booker.stdin.flush()
    for booker in bookers:
        out, _ = booker.communicate(timeout=300)
        moments.append([float(word) for word in out.split()])
    bucket = PortalBucket(rate_per_s=10.0)
    began, together = min(own[0] for own in moments), sorted(moment for own in moments for moment in own[1:])
    assert len(together) == 72
    bucket.last = together[0]
    for moment in together:
        bucket.arrive(moment)
    assert bucket.highest <= 50, "the portal would have refused"
    assert bucket.highest >= 25, "three processes did share one burst"
    assert together[-1] - began >= (72 - 48) / 10
