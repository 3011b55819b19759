"""Both limits on a clock of the test (settings/performance/limits.md)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24sync.sandbox.costs import Costs, parse_cost
from b24sync.sandbox.limits import PLANS, LeakyBuckets, OperatingBudgets, Plan

T0 = 1_778_747_160.0  # a full minute
METHOD, HOOK = "crm.item.list", "webhook-1"


def admitted(buckets: LeakyBuckets, count: int, now: float) -> int:
    return sum(buckets.admit("10.0.0.1", now) for _ in range(count))


def test_a_burst_of_fifty_passes_and_the_next_request_does_not() -> None:
    buckets = LeakyBuckets(PLANS["standard"])
    assert admitted(buckets, 60, T0) == 50


def test_the_literal_reading_lets_one_more_request_pass() -> None:
    buckets = LeakyBuckets(PLANS["standard"])
    assert sum(buckets.admit("10.0.0.1", T0, refuse_over=False) for _ in range(60)) == 51


def test_the_bucket_drains_two_requests_a_second() -> None:
    buckets = LeakyBuckets(PLANS["standard"])
    admitted(buckets, 50, T0)
    assert admitted(buckets, 20, T0 + 3.0) == 6


def test_two_requests_a_second_are_never_refused() -> None:
    buckets = LeakyBuckets(PLANS["standard"])
    admitted(buckets, 50, T0)
    assert all(buckets.admit("10.0.0.1", T0 + step * 0.5) for step in range(1, 2000))


def test_each_source_address_has_its_own_bucket() -> None:
    buckets = LeakyBuckets(PLANS["standard"])
    admitted(buckets, 50, T0)
    assert buckets.admit("10.0.0.2", T0)


def test_refused_requests_fill_the_bucket_only_by_the_switch() -> None:
    buckets = LeakyBuckets(PLANS["standard"])
    for _ in range(150):
        buckets.admit("10.0.0.1", T0, count_refused=True)
    assert not buckets.admit("10.0.0.1", T0 + 10)
    buckets.clear()
    admitted(buckets, 150, T0)
    assert buckets.admit("10.0.0.1", T0 + 10)


def test_enterprise_and_off_differ() -> None:
    assert admitted(LeakyBuckets(PLANS["enterprise"]), 300, T0) == 250
    assert admitted(LeakyBuckets(PLANS["off"]), 300, T0) == 300


def test_the_documented_example_twenty_five_calls_of_twenty_seconds() -> None:
    budgets = OperatingBudgets(PLANS["standard"])
    now = T0
    for number in range(25):
        # each call is admitted, also the one that crosses the line
        assert not budgets.blocked(METHOD, HOOK, now), number
        budgets.count(METHOD, HOOK, now, 20.0, now + 20)
        now += 20
    operating, reset_at = budgets.standing(METHOD, HOOK, now, now)
    assert operating == 500
    assert budgets.blocked(METHOD, HOOK, now)
    # the oldest minute holds three calls; in the documentation's example it holds two (40 s)
    assert reset_at == T0 + 600
    assert budgets.blocked(METHOD, HOOK, reset_at - 0.01)
    assert not budgets.blocked(METHOD, HOOK, reset_at)
    assert budgets.used(METHOD, HOOK, reset_at) == 440


def test_a_bucket_of_forty_seconds_leaves_four_hundred_and_sixty() -> None:
    budgets = OperatingBudgets(PLANS["standard"])
    budgets.count(METHOD, HOOK, T0 + 20, 40, T0 + 60)
    budgets.count(METHOD, HOOK, T0 + 120, 460, T0 + 120)
    assert budgets.used(METHOD, HOOK, T0 + 180) == 500
    assert budgets.standing(METHOD, HOOK, T0 + 180, T0 + 180) == (500, T0 + 620)
    assert budgets.used(METHOD, HOOK, T0 + 620) == 460
    assert not budgets.blocked(METHOD, HOOK, T0 + 620)


def test_a_bucket_leaves_ten_minutes_after_its_first_call_not_after_its_minute() -> None:
    budgets = OperatingBudgets(PLANS["standard"])
    budgets.count(METHOD, HOOK, T0 + 20.9, 1, T0 + 21)
    budgets.count(METHOD, HOOK, T0 + 50, 1, T0 + 51)
    assert budgets.standing(METHOD, HOOK, T0 + 55, T0 + 55) == (2, T0 + 620)


def test_exactly_the_limit_is_not_yet_too_much() -> None:
    budgets = OperatingBudgets(PLANS["standard"])
    budgets.count(METHOD, HOOK, T0, 480, T0)
    assert not budgets.blocked(METHOD, HOOK, T0 + 1)
    budgets.count(METHOD, HOOK, T0 + 1, 0.001, T0 + 1)
    assert budgets.blocked(METHOD, HOOK, T0 + 2)


def test_other_methods_and_other_credentials_go_on() -> None:
    budgets = OperatingBudgets(PLANS["standard"])
    budgets.count(METHOD, HOOK, T0, 500, T0)
    assert budgets.blocked(METHOD.upper(), HOOK, T0 + 1)
    assert not budgets.blocked("crm.item.get", HOOK, T0 + 1)
    assert not budgets.blocked(METHOD, "webhook-2", T0 + 1)


def test_without_counted_calls_the_window_starts_now() -> None:
    assert OperatingBudgets(PLANS["standard"]).standing(METHOD, HOOK, T0 + 0.9, T0 + 1) == (0, T0 + 600)


def test_a_scaled_plan_is_a_faster_portal_with_the_same_burst() -> None:
    plan = PLANS["standard"].scaled(60)
    assert (plan.rate_per_s, plan.burst, plan.operating_limit_s, plan.request_cap_s, plan.window_s) == (
        120, 50, 8, 1, 10,
    )  # fmt: skip
    budgets = OperatingBudgets(plan)
    budgets.count(METHOD, HOOK, T0 + 0.25, 0.5, T0 + 0.75)
    budgets.count(METHOD, HOOK, T0 + 1.25, 0.5, T0 + 1.75)
    assert budgets.standing(METHOD, HOOK, T0 + 2, T0 + 2) == (1.0, T0 + 10.25)
    assert budgets.used(METHOD, HOOK, T0 + 10.25) == 0.5


def test_the_off_plan_blocks_nothing() -> None:
    budgets = OperatingBudgets(PLANS["off"])
    budgets.count(METHOD, HOOK, T0, 5000, T0)
    assert not budgets.blocked(METHOD, HOOK, T0 + 1)


def test_costs_are_per_unit_and_per_call_and_scaled() -> None:
    costs = Costs(scale=10)
    costs.set({"crm.item.batchImport": 0.05, "crm.item.list@call": 0.2, "*": 0.01})
    assert costs.of("crm.item.batchimport", 20) == pytest.approx(0.1)
    assert costs.of("crm.item.list", 50) == pytest.approx(0.07)
    assert costs.of("user.get", 1) == pytest.approx(0.001)
    costs.clear()
    assert costs.of("crm.item.batchImport", 20) == 0


def test_a_cost_on_the_command_line_has_a_name_and_a_number() -> None:
    assert parse_cost("crm.item.add=0.05") == ("crm.item.add", 0.05)
    with pytest.raises(ValueError, match="METHOD=SECONDS"):
        parse_cost("0.05")


def test_a_negative_cost_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Costs().set({"crm.item.add": -1})


def test_a_custom_plan_keeps_its_numbers() -> None:
    plan = Plan("custom", rate_per_s=10, burst=5, operating_limit_s=2, request_cap_s=3)
    assert admitted(LeakyBuckets(plan), 10, T0) == 5


gaps = st.lists(st.floats(0, 30), min_size=1, max_size=120)


@given(gaps)
def test_no_stretch_of_time_admits_more_than_its_burst_and_its_drain(waits: list[float]) -> None:
    buckets = LeakyBuckets(Plan("custom", rate_per_s=2, burst=5))
    now, times = T0, []
    for wait in waits:
        now += wait
        if buckets.admit("10.0.0.1", now):
            times.append(now)
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= 5 + 2 * (times[last] - times[first]) + 1e-3


@given(st.lists(st.tuples(st.floats(0, 200), st.floats(0, 50)), max_size=40), st.floats(0, 1000))
def test_used_seconds_are_those_of_the_minutes_that_have_not_left(
    calls: list[tuple[float, float]], later: float
) -> None:
    budgets = OperatingBudgets(PLANS["standard"])
    minutes: dict[int, list[tuple[float, float]]] = {}
    now = T0
    for wait, seconds in calls:
        now += wait
        budgets.count(METHOD, HOOK, now, seconds, now)
        minutes.setdefault(math.floor(now / 60), []).append((now, seconds))
    now += later
    live = [rows for rows in minutes.values() if math.floor(rows[0][0]) + 600 > now]
    assert budgets.used(METHOD, HOOK, now) == pytest.approx(sum(seconds for rows in live for _, seconds in rows))
    if live:
        assert budgets.standing(METHOD, HOOK, now, now)[1] == min(math.floor(rows[0][0]) for rows in live) + 600
