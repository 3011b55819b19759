"""One command, alone or nested: checks, the wait for its cost, the handler, the counted seconds.

Order of the checks: method known, scope, application context, operating budget (all before anything is
executed; _includes/system-errors.md, settings/performance/limits.md). The cost is waited for before a
write happens, so that a client which left early may look the write up before it is there.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import spec
from .auth import Credential
from .calls import CallLedger, CallRecord
from .clock import SandboxClock
from .costs import Costs
from .limits import OperatingBudgets, Plan
from .registry import Answer, ApiError, Call, Method
from .switches import Switches

if TYPE_CHECKING:
    from .portal import Portal


class RequestCapExceeded(Exception):
    """The request has run into the 60 s cap. `executed`: the command at hand had been executed before it."""

    def __init__(self, *, executed: bool = False) -> None:
        super().__init__("the request cap is exceeded")
        self.executed = executed


@dataclass(slots=True)
class Work:
    """One HTTP request while it is worked on. Times are monotonic seconds.

    Costs are waited for one after the other from `began` on, so the sandbox's own computing is a part of them.
    """

    record: CallRecord
    credential: Credential
    began: float
    cap_s: float | None
    paid_s: float = 0.0
    """Costs so far, and whatever a fault made the request wait."""

    def passes_cap(self, cost_s: float, scale: float) -> bool:
        """True if the request's cap falls before the end of a cost that begins now.

        The sandbox's own computing is no faster on a scaled portal, so it counts shortened.
        """
        own_s = (time.monotonic() - self.began) / scale
        return self.cap_s is not None and max(self.paid_s + cost_s, own_s) > self.cap_s


@dataclass(slots=True)
class Outcome:
    """How a command ended. Exactly one of `answer` and `error` is set; times are unix seconds."""

    answer: Answer | None
    error: ApiError | None
    started: float
    finished: float
    processing: float = 0.0
    seconds: float = 0.0
    operating: float = 0.0
    reset_at: float = 0.0

    @property
    def code(self) -> str:
        """The error's code, or `ok`; an empty code is named by its text, for the ledger."""
        if self.error is None:
            return "ok"
        return str(self.error.code) or self.error.text


@dataclass(slots=True)
class Executor:
    """Runs commands against the portal's methods."""

    portal: Portal
    methods: Mapping[str, Method]
    clock: SandboxClock
    switches: Switches
    plan: Plan
    costs: Costs
    budgets: OperatingBudgets
    calls: CallLedger
    lock: threading.RLock

    def run(self, name: str, params: dict[str, Any], work: Work, *, billed_to: str = "") -> Outcome:
        """Execute one command. `billed_to` names another method whose budget pays (switch batch_operating).

        Raises RequestCapExceeded when the request's cap falls before the command's end.
        """
        started = self.clock.time()
        billed = billed_to or name
        method = self.methods.get(name.lower())
        error = self._refusal(name, method, params, work, billed, started)
        if error is not None or method is None:
            outcome = Outcome(None, error, started, self.clock.time())
        else:
            outcome = self._execute(method, params, work, billed, started)
        self.calls.count(
            method.name if method else name,
            ok=outcome.error is None,
            code=outcome.code,
            seconds=outcome.seconds,
            units=outcome.answer.units if outcome.answer else 0.0,
        )
        return outcome

    def _refusal(
        self, name: str, method: Method | None, params: dict[str, Any], work: Work, billed: str, now: float
    ) -> ApiError | None:
        """The error a command gets before it is executed, if any."""
        if method is None:
            if name.lower() not in spec.load():
                work.record.violations.append(f"{name}: no such method in the official specs")
            return ApiError("ERROR_METHOD_NOT_FOUND", "Method not found!", status=self.switches.method_not_found_status)
        if not work.credential.allows(method.scope):
            return ApiError(
                "insufficient_scope",
                "The request requires higher privileges than provided by the access token",
                status=self.switches.insufficient_scope_status,
            )
        if method.app_only and not work.credential.is_app:
            return ApiError("ACCESS_DENIED", "Application context required", status=403)
        if self.budgets.blocked(billed, work.credential.name, now):
            return ApiError("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.", status=429)
        found = () if method.positional else spec.violations(method.name, params)
        if found:
            work.record.violations.extend(found)
            if self.switches.spec_refuses:
                return ApiError("ERROR_SPEC_VIOLATION", "; ".join(found), status=400)
        return None

    def _execute(self, method: Method, params: dict[str, Any], work: Work, billed: str, started: float) -> Outcome:
        foretold = units_of(method, params)
        paid = self.costs.of(method.name, foretold)
        self._pay(paid, work)
        began = time.perf_counter()
        answer: Answer | None = None
        error: ApiError | None = None
        with self.lock:
            own = time.perf_counter()
            self.portal.cause = (work.credential.name, str(params.get("auth_connector") or ""))
            try:
                answer = method.handler(self._call(method, params, work))
            except ApiError as refused:
                error = refused
            except Exception:  # noqa: BLE001 - a broken handler must look like a portal's fault, and be seen
                error = self._internal_error(method.name)
            own = time.perf_counter() - own
        work.record.executed = True
        rest = 0.0
        if answer is not None and answer.units > foretold:
            rest = self.costs.of(method.name, answer.units) - paid
        seconds = max(paid + rest, own / self.costs.scale)
        if seconds >= self.switches.operating_from_s / self.costs.scale:
            self.budgets.count(billed, work.credential.name, started, seconds, started)
        work.record.seconds += seconds
        try:
            self._pay(rest, work)
        except RequestCapExceeded:
            raise RequestCapExceeded(executed=True) from None
        finished = self.clock.time()
        operating, reset_at = self.budgets.standing(billed, work.credential.name, started, finished)
        processing = time.perf_counter() - began + paid
        return Outcome(answer, error, started, finished, processing, seconds, operating, reset_at)

    def _call(self, method: Method, params: dict[str, Any], work: Work) -> Call:
        args = list(params.values()) if method.positional else []
        return Call(
            method.name,
            params,
            args,
            work.credential.user_id,
            work.credential.name,
            work.credential.is_app,
            self.portal,
            {"credential": work.credential},
        )

    def _internal_error(self, name: str) -> ApiError:
        text = traceback.format_exc()
        self.calls.internal_error(f"{name}: {text}")
        sys.stderr.write(f"handler of {name} failed\n{text}")
        return ApiError("INTERNAL_SERVER_ERROR", "Internal server error", status=500)

    def _pay(self, cost_s: float, work: Work) -> None:
        """Really wait for a cost. Raises RequestCapExceeded at the moment of the cap."""
        if work.passes_cap(cost_s, self.costs.scale):
            self.clock.sleep(work.began + (work.cap_s or 0.0) - time.monotonic())
            raise RequestCapExceeded
        if cost_s > 0:
            work.paid_s += cost_s
            self.clock.sleep(work.began + work.paid_s - time.monotonic())


def units_of(method: Method, params: dict[str, Any]) -> float:
    """Units foretold: the method's own rule, else the rows of a list under `data`, else 1."""
    if method.units is not None:
        return method.units(params)
    data = params.get("data")
    return float(len(data)) if isinstance(data, list | dict) and data else 1.0
