"""The gate: no process sends before it has booked here; all processes of a store share it (design 4).

Bucket (settings/performance/limits.md): +1 per HTTP request, blocked above `burst`, drains `rate_per_s`.
A reservation is made in the future: `tat = max(tat, now, blocked_until) + 1 / rate`, and the caller sleeps
`tat - burst / rate - now`. Bulk work stops at 84 % of the burst and interactive calls at 96 %, on the same
row, so that a night job never starves the daemon.

Method budgets (same page): the portal counts server seconds per (method, credential) in ten one-minute
buckets and refuses the *next* call above the limit. `time.operating` shows the sum and
`time.operating_reset_at` when the oldest bucket leaves; both are believed over our own sums, nothing
assumes the length of the window, and an absent counter means unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from b24sync.clock import Clock
from b24sync.config import LimitsConfig
from b24sync.errors import PortalBlocked
from b24sync.store.engine import Store
from b24sync.store.gate import Bucket, Connection, GateRows, MethodBudget

Priority = Literal["bulk", "interactive"]

BURST_SHARE: Mapping[Priority, float] = {"bulk": 0.84, "interactive": 0.96}
OWN_SHARE = 0.98
FOREIGN_SHARE = 0.90
PROBE_SHARE = 0.02
"""How much of a method's limit may be risked right after a reset, before the portal has shown the new sum."""
FOREIGN_TOLERANCE_S = 1.0
QUEUE_POLL_S = 0.05
THROTTLED_PAUSE_S = 2.0
IN_FLIGHT_OF_CAP = 2.0
"""In flight for longer than two request caps: its process was killed, the portal has long ended the request."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A portal's published limits; None = not limited (plan "off": on-premise, limits.md)."""

    rate_per_s: float | None
    burst: float
    operating_limit_s: float | None
    request_cap_s: float

    @classmethod
    def of(cls, config: LimitsConfig) -> Limits:
        plans = {
            "standard": cls(2.0, 50.0, 480.0, 60.0),
            "enterprise": cls(5.0, 250.0, 480.0, 60.0),
            "off": cls(None, 50.0, None, 60.0),
            "custom": cls(2.0, 50.0, 480.0, 60.0),
        }
        base = plans[config.plan]
        if config.plan != "custom":
            return base
        return cls(
            config.rate_per_s or base.rate_per_s,
            config.burst or base.burst,
            config.operating_limit_s or base.operating_limit_s,
            config.request_cap_s or base.request_cap_s,
        )

    @property
    def request_target_s(self) -> float:
        """Server time that one bulk request should stay under: a third of the cap (20 s of 60)."""
        return self.request_cap_s / 3


@dataclass(frozen=True, slots=True)
class MethodUse:
    """What one answer showed of one method. `predicted_s` is what was booked for it."""

    method: str
    units: float
    duration_s: float | None
    operating_s: float | None
    reset_in_s: float | None
    predicted_s: float = 0.0


class Gate:
    """Books slots before sending and learns from answers. Cost: short transactions, no requests.

    Raises PortalBlocked when the portal has said that it must not be called.
    """

    def __init__(self, store: Store, portal: str, credential: str, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self._store = store
        self._clock = clock
        self._rows = GateRows(store, portal, credential, clock)
        self._started_wall_s = clock.wall_s()
        self._stopped_before = False
        self._costs: dict[str, tuple[float | None, float | None]] = {}

    # -- before sending ---------------------------------------------------------------------------

    @contextmanager
    def bulk_turn(self, methods: Mapping[str, float]) -> Iterator[None]:
        """Hold the portal's one bulk slot: one bulk request in flight is the portal's own advice."""
        ticket, taken = self._rows.join_queue("bulk", methods)
        try:
            while not (taken or self._rows.take_bulk(ticket)):
                self._refuse_when_stopped(self._bucket())
                self._clock.sleep(QUEUE_POLL_S)
            yield
        finally:
            self._rows.leave_queue(ticket)

    def reserve(self, predicted: Mapping[str, float], priority: Priority) -> None:
        """Wait for room in the method budgets, then book and wait for a slot of the bucket.

        `predicted`: server seconds by method, the outer `batch` included. The same mapping goes into the
        `predicted_s` of what is observed afterwards.
        """
        at = self._book(predicted, priority)
        try:
            while (wait_s := at - self._rows.now()) > 0:
                self._clock.sleep(min(wait_s, 1.0))
                bucket = self._bucket()
                self._refuse_when_stopped(bucket)
                at = max(at, bucket.blocked_until)
        except BaseException:
            # Interrupted before sending: what was booked is free again.
            self.observe([MethodUse(method, 0.0, None, None, None, s) for method, s in predicted.items()])
            raise

    def allowance_s(self, methods: list[str]) -> float:
        """Server seconds that may be booked now for work that uses all of `methods`; 0 = wait first."""
        with self._store.read() as connection:
            now = self._rows.now(connection)
            budgets = self._budgets(connection, now, methods)
        return min((self._room_s(budget, now, "bulk") for budget in budgets.values()), default=float("inf"))

    def wait_for_allowance(self, methods: list[str]) -> None:
        """Sleep until every one of `methods` has room for some bulk work."""
        while True:
            with self._store.read() as connection:
                self._refuse_when_stopped(self._rows.bucket(connection))
                now = self._rows.now(connection)
                short = self._short(self._budgets(connection, now, methods), dict.fromkeys(methods, 0.0), now, "bulk")
            if not short:
                return
            self._sleep_until_free(short, now)

    def unit_costs(self, method: str) -> tuple[float | None, float | None]:
        """(wall seconds, counted seconds) that one unit of `method` costs the portal, as learnt so far."""
        if method not in self._costs:
            with self._store.read() as connection:
                budget = self._rows.budgets(connection, [method])[method]
            if budget.unit_duration_s is None:
                return None, budget.unit_counted_s
            self._costs[method] = budget.unit_duration_s, budget.unit_counted_s
        return self._costs[method]

    # -- after the answer -------------------------------------------------------------------------

    def observe(self, uses: list[MethodUse]) -> None:
        """Note what an answer showed of each method. A use without counters only ends its reservation."""
        if not uses:
            return
        with self._store.quick_write() as connection:
            now = self._rows.now(connection)
            known = self._budgets(connection, now, [use.method for use in uses])
            learnt = [self._learn(known[use.method], use, now) for use in uses]
            self._rows.save_budgets(connection, learnt)
            if self._stopped_before and any(use.units and use.duration_s is not None for use in uses):
                self._note_that_it_answers(connection)
        self._costs.update({b.method: (b.unit_duration_s, b.unit_counted_s) for b in learnt if b.unit_duration_s})

    def throttled(self) -> None:
        """The portal said QUERY_LIMIT_EXCEEDED: push everybody back and empty the burst."""
        with self._store.quick_write() as connection:
            now = self._rows.now(connection)
            bucket = self._rows.bucket(connection)
            rate = self.limits.rate_per_s or 2.0
            until = max(now, bucket.blocked_until) + max(THROTTLED_PAUSE_S / rate, 1.0 / rate)
            burst = self.limits.burst * BURST_SHARE["interactive"]
            self._rows.save_bucket(connection, blocked_until=until, tat=max(bucket.tat, until + burst / rate))

    def paused(self, method: str, reset_in_s: float | None) -> None:
        """The portal said OPERATION_TIME_LIMIT: leave this one method alone until its counter resets."""
        with self._store.quick_write() as connection:
            now = self._rows.now(connection)
            budget = self._rows.budgets(connection, [method])[method]
            known = budget.reset_at if budget.reset_at > now else None
            until = now + reset_in_s if reset_in_s is not None else known or now + self.limits.request_cap_s
            self._rows.save_budgets(
                connection,
                [replace(budget, paused_until=until, reset_at=until, foreign_use=True, observed=True)],
            )

    def stop(self, code: str, text: str) -> None:
        """Every process of this store stops calling; a command started later may try again.

        Its first answer ends the stop.
        """
        with self._store.quick_write() as connection:
            self._rows.save_bucket(connection, stopped_code=code, stopped_text=text, stopped_at=self._clock.wall_s())

    def snapshot(self) -> dict[str, object]:
        """Everything `b24sync gate` shows: bucket, budgets, blocks, waiters. Seconds, relative to now."""
        with self._store.read() as connection:
            now = self._rows.now(connection)
            bucket = self._rows.bucket(connection)
            budgets = self._budgets(connection, now)
            waiters = self._rows.waiters(connection)
        rate = self.limits.rate_per_s
        level = max(0.0, bucket.tat - now) * rate if rate else 0.0
        return {
            "bucket": {
                "rate_per_s": rate,
                "burst": self.limits.burst,
                "level": round(level, 2),
                "bulk_wait_s": round(self._wait_s(bucket.tat, now, "bulk"), 2),
                "interactive_wait_s": round(self._wait_s(bucket.tat, now, "interactive"), 2),
                "blocked_for_s": round(max(0.0, bucket.blocked_until - now), 2),
            },
            "stopped": {"code": bucket.stopped_code, "text": bucket.stopped_text} if bucket.stopped_code else None,
            "methods": [
                {
                    "method": budget.method,
                    "used_s": round(budget.used_s, 2),
                    "in_flight_s": round(budget.in_flight_s, 2),
                    "limit_s": self.limits.operating_limit_s,
                    "reset_in_s": round(max(0.0, budget.reset_at - now), 2),
                    "paused_for_s": round(max(0.0, budget.paused_until - now), 2),
                    "foreign_use": budget.foreign_use,
                    "unit_duration_s": budget.unit_duration_s,
                    "unit_counted_s": budget.unit_counted_s,
                }
                for budget in sorted(budgets.values(), key=lambda b: b.method)
            ],
            "waiters": [
                {
                    "owner": waiter.owner.replace("|", " "),
                    "priority": waiter.priority,
                    "methods": waiter.methods,
                    "waits_s": round(now - waiter.since, 2),
                    "in_flight": waiter.holds_bulk,
                }
                for waiter in waiters
            ],
        }

    # -- rules ------------------------------------------------------------------------------------

    def _budgets(self, connection: Connection, now: float, methods: list[str] | None = None) -> dict[str, MethodBudget]:
        return self._rows.budgets(
            connection, methods, in_flight_after=now - IN_FLIGHT_OF_CAP * self.limits.request_cap_s
        )

    def _room_s(self, budget: MethodBudget, now: float, priority: Priority) -> float:
        """Seconds that may still be booked for one method."""
        limit = self.limits.operating_limit_s
        if limit is None:
            return float("inf")
        if now < budget.paused_until:
            return 0.0
        if budget.observed and now >= budget.reset_at:
            # The oldest minute has left the portal's window and the new sum is not known yet.
            return max(limit * PROBE_SHARE - budget.in_flight_s, 0.0)
        share = FOREIGN_SHARE if budget.foreign_use else OWN_SHARE
        if priority == "interactive":
            share = 1.0
        return max(0.0, share * limit - budget.used_s - budget.in_flight_s)

    def _book(self, predicted: Mapping[str, float], priority: Priority) -> float:
        """Wait for the budgets, then book seconds and a slot at once; when it may leave, on the gate's clock."""
        while True:
            with self._store.quick_write() as connection:
                bucket = self._rows.bucket(connection)
                self._refuse_when_stopped(bucket)
                now = self._rows.now(connection)
                budgets = self._budgets(connection, now, list(predicted))
                short = self._short(budgets, predicted, now, priority)
                if not short:
                    self._rows.save_budgets(connection, _with_in_flight(budgets, predicted, now))
                    return self._book_slot(connection, bucket, now, priority)
            self._sleep_until_free(short, now)

    def _short(
        self, budgets: Mapping[str, MethodBudget], predicted: Mapping[str, float], now: float, priority: Priority
    ) -> list[MethodBudget]:
        """The budgets that have no room for what is predicted."""
        return [b for b in budgets.values() if not self._fits(b, predicted[b.method], now, priority)]

    def _sleep_until_free(self, short: list[MethodBudget], now: float) -> None:
        until = max(self._free_at(budget, now) for budget in short)
        self._clock.sleep(min(max(until - now, 0.02), 1.0))

    def _fits(self, budget: MethodBudget, predicted_s: float, now: float, priority: Priority) -> bool:
        room = self._room_s(budget, now, priority)
        if room <= 0:
            return False
        # Something must be sent to learn the new sum, however dear one row is.
        probing = budget.observed and now >= budget.reset_at
        fresh = budget.used_s + budget.in_flight_s == 0
        return predicted_s <= room or probing or fresh

    def _free_at(self, budget: MethodBudget, now: float) -> float:
        if now < budget.paused_until:
            return budget.paused_until
        return budget.reset_at if budget.reset_at > now else now + QUEUE_POLL_S

    def _book_slot(self, connection: Connection, bucket: Bucket, now: float, priority: Priority) -> float:
        """Book one request; returns when it may leave, on the gate's clock."""
        rate = self.limits.rate_per_s
        if rate is None:
            return max(now, bucket.blocked_until)
        tat = max(bucket.tat, now, bucket.blocked_until) + 1.0 / rate
        self._rows.save_bucket(connection, tat=tat)
        return max(now + self._wait_s(tat, now, priority), bucket.blocked_until)

    def _wait_s(self, tat: float, now: float, priority: Priority) -> float:
        rate = self.limits.rate_per_s
        if rate is None:
            return 0.0
        burst = max(1.0, int(self.limits.burst * BURST_SHARE[priority]))
        return max(0.0, tat - burst / rate - now)

    def _bucket(self) -> Bucket:
        with self._store.read() as connection:
            return self._rows.bucket(connection)

    def _note_that_it_answers(self, connection: Connection) -> None:
        """Who was stopped before this process began may call again, and nobody is told of it any more."""
        if (self._rows.bucket(connection).stopped_at or 0.0) < self._started_wall_s:
            self._rows.save_bucket(connection, stopped_code=None, stopped_text=None, stopped_at=None)
        self._stopped_before = False

    def _refuse_when_stopped(self, bucket: Bucket) -> None:
        self._stopped_before = bucket.stopped_code is not None
        if bucket.stopped_code and (bucket.stopped_at or 0.0) >= self._started_wall_s:
            raise PortalBlocked(
                f"The portal must not be called now: {bucket.stopped_code}: {bucket.stopped_text}. "
                "Everything recorded stays recorded; run the same command again when this is solved."
            )

    def _learn(self, budget: MethodBudget, use: MethodUse, now: float) -> MethodBudget:
        in_flight = max(0.0, budget.in_flight_s - use.predicted_s)
        unit_duration = _smooth(budget.unit_duration_s, use.duration_s, use.units)
        if use.operating_s is None:
            # No counter in the answer: unknown, not zero. Only within a window that is known is it added up.
            known = budget.observed and now < budget.reset_at
            used = budget.used_s + (use.duration_s or 0.0) if known else budget.used_s
            return replace(budget, in_flight_s=in_flight, used_s=used, unit_duration_s=unit_duration)
        grown = use.operating_s - budget.used_s
        same_window = budget.observed and now < budget.reset_at and grown >= 0
        counted = grown if same_window else min(use.operating_s, use.duration_s or use.operating_s)
        expected = (budget.used_s if budget.observed else 0.0) + (use.duration_s or 0.0) + in_flight
        foreign = use.operating_s > expected * 1.05 + FOREIGN_TOLERANCE_S
        reset_in = use.reset_in_s if use.reset_in_s is not None else self.limits.request_cap_s
        return replace(
            budget,
            used_s=use.operating_s,
            in_flight_s=in_flight,
            reset_at=now + reset_in,
            foreign_use=foreign or (budget.foreign_use and use.operating_s > FOREIGN_TOLERANCE_S),
            unit_duration_s=unit_duration,
            unit_counted_s=_smooth(budget.unit_counted_s, counted, use.units),
            observed=True,
        )


def _with_in_flight(
    budgets: Mapping[str, MethodBudget], predicted: Mapping[str, float], now: float
) -> list[MethodBudget]:
    """The budgets that change by what is booked."""
    return [
        replace(
            budget,
            in_flight_s=budget.in_flight_s + predicted[budget.method],
            in_flight_since=budget.in_flight_since if budget.in_flight_s > 0 else now,
        )
        for budget in budgets.values()
        if predicted[budget.method] > 0
    ]


def _smooth(known: float | None, seconds: float | None, units: float) -> float | None:
    """Half old, half new; a dearer unit counts at once, so that the next request is not too large."""
    if seconds is None or units <= 0:
        return known
    fresh = max(0.0, seconds) / units
    return fresh if known is None else max(fresh, (known + fresh) / 2)
