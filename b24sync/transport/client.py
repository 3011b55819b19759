"""The one place that talks to a portal over HTTP (requests, one Session, keep-alive).

A call books at the gate, is sent, judged by `outcomes`, and repeated only where that is safe: NotSent
always, Unknown only for reads. Whether is decided by the table in `outcomes`, when by tenacity.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential, wait_random
from tenacity.wait import wait_base

from b24sync.clock import Clock
from b24sync.errors import AskedTooMuch, OutcomeUnknown, PortalBlocked, PortalRefused, PortalUnreachable
from b24sync.transport.address import Address
from b24sync.transport.gate import Gate, MethodUse, Priority
from b24sync.transport.outcomes import (
    Done,
    NotSent,
    Outcome,
    Reaction,
    Refused,
    Unknown,
    Verdict,
    judge_failure,
    judge_unreadable,
)
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command, Timing, batch_body, failure_of, json_body, section

if TYPE_CHECKING:
    import requests

    from b24sync.transport.session import PortalSession

READ_TIMEOUT_OF_CAP = 1.25
TRIES = 7
FIRST_WAIT_OF_CAP, LONGEST_WAIT_OF_CAP = 1 / 120, 1 / 4
"""Between tries: half a second at first and 15 s at most, with the cloud's request cap of 60 s."""

OVERLONG_OF_CAP, QUICK_OF_CAP = 0.9, 0.25
"""Reads that got no answer for so much of the request cap were too many; of those that took less, twice as many may."""

BatchOutcomes = dict[str, Outcome]


@dataclass(frozen=True, slots=True)
class _Reply:
    """A decoded success body, or the verdict on what came instead."""

    body: Mapping[str, Any] | None
    verdict: Verdict | None
    of_cap: float = 0.0
    """How much of the request cap it took."""

    @property
    def overlong(self) -> bool:
        return self.of_cap >= OVERLONG_OF_CAP

    @property
    def timing(self) -> Timing:
        return Timing.of(self.body.get("time") if self.body else None)


class PortalClient:
    """One portal by one incoming webhook. Thread-safe as far as requests.Session is: use one per thread."""

    def __init__(self, address: Address, gate: Gate, clock: Clock, *, session: requests.Session | None = None) -> None:
        self.gate = gate
        self.clock = clock
        self.address = self._address = address
        self._own_session = session
        self._read_timeout_s = gate.limits.request_cap_s * READ_TIMEOUT_OF_CAP
        self.server_skew_s: float | None = None
        self.reads_at_once = BATCH_MAX_COMMANDS
        """Reading commands of one request; fewer once the portal has not ended a request of so many in time."""

    @property
    def host(self) -> str:
        """Host of the portal, with its port where it has one of its own."""
        return self._address.host

    @property
    def base_url(self) -> str:
        """The portal's address for people: scheme and host."""
        parts = urlsplit(self._address.url("server.time"))
        return f"{parts.scheme}://{parts.netloc}"

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | Sequence[Any],
        *,
        write: bool = False,
        priority: Priority = "interactive",
        before_send: Callable[[], None] = lambda: None,
    ) -> Done:
        """One call. Cost: one request, more while the portal says "slow down".

        `before_send` runs after every wait at the gate, right before the request leaves.

        Raises PortalRefused, PortalUnreachable, PortalBlocked; OutcomeUnknown for a write without an answer.
        """
        use = {method: self._predict([Command(method, params)])[method]}
        reply = self._deliver(
            method, json_body(params), use, priority, repeat_unknown=not write, before_send=before_send
        )
        timing = reply.timing
        self.gate.observe(
            [MethodUse(method, 1.0, timing.duration_s, timing.operating_s, timing.reset_in_s, use[method])]
        )
        if reply.body is not None:
            body = reply.body
            return Done(body["result"], _int(body.get("total")), _int(body.get("next")), timing)
        assert reply.verdict is not None
        raise self._exception(method, reply.verdict, write=write)

    def batch(
        self, commands: Mapping[str, Command], *, write: bool, priority: Priority, halt: bool = False
    ) -> BatchOutcomes:
        """One `batch` of up to 50 named commands; an outcome for every name. Cost: one request.

        Raises PortalUnreachable and PortalBlocked only when proven that nothing was executed, or when a batch of
        reads got no answer after all tries (AskedTooMuch when one of several took too long: `reads_at_once` is half
        of it then); everything else is in the outcomes.
        Docs: settings/how-to-call-rest-api/batch.md
        """
        predicted = self._predict(commands.values())
        predicted["batch"] = sum(predicted.values())
        divisible = not write and len(commands) > 1
        reply = self._deliver(
            *("batch", batch_body(commands, halt=halt), predicted, priority),
            repeat_unknown=not write,
            divisible=divisible,
        )
        if reply.body is None:
            assert reply.verdict is not None
            if divisible and reply.overlong:
                self._count_unanswered(predicted)
                self.reads_at_once = len(commands) // 2
                raise AskedTooMuch(f"{len(commands)} reading commands were too much for one request.")
            return self._failed_batch(commands, reply.verdict, predicted, write=write)
        if not write and reply.of_cap <= QUICK_OF_CAP and len(commands) >= self.reads_at_once:
            self.reads_at_once = min(BATCH_MAX_COMMANDS, 2 * self.reads_at_once)
        return self._take_batch(commands, reply, predicted, halt=halt)

    def one(self, command: Command, *, write: bool, before_send: Callable[[], None] = lambda: None) -> Any:
        """The result of one command sent inside a batch: there a missing right is the method's own answer.

        Alone, INVALID_CREDENTIALS would mean that the webhook is dead, and stop everybody. Cost: one request.

        Raises PortalRefused, PortalUnreachable, PortalBlocked; OutcomeUnknown for a write without an answer.
        """
        if write:
            booked = self.book({command.method: command.units}, "interactive")
            before_send()
            outcome = self.send_booked({"one": command}, booked)["one"]
        else:
            outcome = self.read_all({"one": command}, priority="interactive")["one"]
        if isinstance(outcome, Done):
            return outcome.result
        if isinstance(outcome, Refused):
            raise PortalRefused(command.method, outcome.code, outcome.text)
        if isinstance(outcome, NotSent):
            raise PortalUnreachable(
                f"{command.method} was not taken by {self._address.host} ({outcome.code}); try again."
            )
        raise OutcomeUnknown(f"{command.method} was sent to {self._address.host} and not answered: {outcome.text}.")

    def _take_batch(
        self, commands: Mapping[str, Command], reply: _Reply, predicted: Mapping[str, float], *, halt: bool
    ) -> BatchOutcomes:
        result = reply.body["result"] if reply.body else None
        if not isinstance(result, Mapping):
            self._count_unanswered(predicted)
            return dict.fromkeys(commands, Unknown("the batch answered without its sections"))
        outcomes = _read_batch(commands, result, halt=halt)
        self._observe_batch(commands, result, reply.timing, predicted)
        self._react_to_nested(commands, outcomes)
        return outcomes

    def book(self, units: Mapping[str, float], priority: Priority) -> dict[str, float]:
        """Wait at the gate for one batch that will use `units` of each method; what was booked, for `send_booked`.

        Writes book first, then record themselves as sent, then send: the moment of sending must be true.
        """
        predicted = {method: count * _cost(self.gate, method) for method, count in units.items()}
        predicted["batch"] = sum(predicted.values())
        self.gate.reserve(predicted, priority)
        return predicted

    def send_booked(
        self, commands: Mapping[str, Command], booked: Mapping[str, float], *, halt: bool = False
    ) -> BatchOutcomes:
        """Send one writing batch once, in the slot that `book` got; an outcome for every name, also NotSent.

        With `halt` the commands after one that the portal refuses are not executed.

        Raises PortalBlocked when the portal must not be called any more (nothing of it was executed).
        """
        with self._booked(booked):
            reply = self._react("batch", self._post("batch", batch_body(commands, halt=halt)))
        if reply.body is None:
            assert reply.verdict is not None
            outcome = reply.verdict.outcome
            if isinstance(outcome, NotSent):
                self._end_booking(booked)
            else:
                self._count_unanswered(booked)
            return dict.fromkeys(commands, outcome)
        return self._take_batch(commands, reply, booked, halt=halt)

    def read_all(self, commands: Mapping[str, Command], *, priority: Priority = "bulk") -> dict[str, Done | Refused]:
        """Run reading commands, any number of them, until each has an answer. Cost: one request per 50.

        Raises PortalUnreachable when some stay unanswered after all tries.
        """
        answers: dict[str, Done | Refused] = {}
        waiting = list(commands)
        tries = 0
        while waiting:
            piece = waiting[: self.reads_at_once]
            try:
                outcomes = self.batch({name: commands[name] for name in piece}, write=False, priority=priority)
            except AskedTooMuch:
                continue
            answers |= {name: said for name, said in outcomes.items() if isinstance(said, Done | Refused)}
            left = [name for name in piece if name not in answers]
            waiting = left + waiting[len(piece) :]
            tries = tries + 1 if left else 0
            if tries == TRIES:
                raise PortalUnreachable(
                    f"The portal left {len(left)} of {len(commands)} reading commands unanswered "
                    f"({commands[left[0]].method}): try again later."
                )
        return answers

    # -- sending ----------------------------------------------------------------------------------

    def _deliver(
        self,
        method: str,
        body: bytes,
        predicted: Mapping[str, float],
        priority: Priority,
        *,
        repeat_unknown: bool,
        divisible: bool = False,
        before_send: Callable[[], None] = lambda: None,
    ) -> _Reply:
        def again(reply: _Reply) -> bool:
            if reply.verdict is None:
                return False
            if isinstance(reply.verdict.outcome, Unknown):
                return repeat_unknown and not (divisible and reply.overlong)
            return isinstance(reply.verdict.outcome, NotSent)

        def attempt() -> _Reply:
            # One bulk request in flight is the portal's own advice, and a bulk read is one too.
            with self.gate.bulk_turn(predicted) if priority == "bulk" else nullcontext():
                self.gate.reserve(predicted, priority)
                before_send()
                with self._booked(predicted):
                    reply = self._react(method, self._post(method, body))
            if again(reply):
                self._end_booking(predicted)
            return reply

        retrying: Retrying = Retrying(
            retry=retry_if_result(again),
            stop=stop_after_attempt(TRIES),
            wait=back_off(self.gate.limits.request_cap_s),
            sleep=self.clock.sleep,
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        return retrying(attempt)

    def _react(self, method: str, reply: _Reply) -> _Reply:
        """Tell the gate what the answer means for everybody. Raises PortalBlocked when calling must stop."""
        verdict = reply.verdict
        if verdict is None:
            return reply
        if verdict.reaction is Reaction.SLOW_DOWN:
            self.gate.throttled()
        elif verdict.reaction is Reaction.PAUSE_METHOD:
            self.gate.paused(method, None)
        elif verdict.reaction in (Reaction.STOP, Reaction.REFRESH):
            assert isinstance(verdict.outcome, NotSent)
            advice = verdict.advice or "the access token has expired and a webhook cannot refresh it"
            self.gate.stop(verdict.outcome.code, verdict.outcome.text)
            raise PortalBlocked(
                f"{method}: the portal {self._address.host} said {verdict.outcome.code}: "
                f"{verdict.outcome.text}. What to do: {advice}."
            )
        return reply

    @cached_property
    def _session(self) -> PortalSession:
        from b24sync.transport.session import PortalSession  # requests: what asks no portal begins sooner without it

        return PortalSession(self._own_session, is_loopback=self._address.is_loopback)

    def _post(self, method: str, body: bytes, *, may_move: bool = True) -> _Reply:
        began = self.clock.boot_s()
        response = self._session.post(self._address.url(method), body, self._read_timeout_s)
        of_cap = (self.clock.boot_s() - began) / self.gate.limits.request_cap_s
        if isinstance(response, Verdict):
            return _Reply(None, response, of_cap)
        if response.status_code in (301, 302, 307, 308):
            if not may_move:
                return _Reply(None, Verdict(NotSent("MOVED", "the portal redirects in a circle"), Reaction.NONE))
            # A redirect is answered before anything is executed (change-domen.md); the body goes again, as POST.
            self._address.follow(response.headers.get("Location", ""), self.clock.wall_s())
            self.gate.reserve({}, "interactive")
            return self._post(method, body, may_move=False)
        return replace(self._judge(response), of_cap=of_cap)

    def _judge(self, response: requests.Response) -> _Reply:
        status = response.status_code
        try:
            body = json.loads(response.content)
        except ValueError:
            kind = "HTML" if response.content.lstrip()[:1] == b"<" else "an unreadable body"
            return _Reply(None, judge_unreadable(status=status, what=kind))
        failure = failure_of(body)
        if failure is not None:
            return _Reply(None, judge_failure(failure, status=status))
        if not isinstance(body, Mapping) or "result" not in body or status >= 400:
            return _Reply(None, judge_unreadable(status=status, what="a body without a result"))
        self._address.note(self.clock.wall_s())
        finish = Timing.of(body.get("time")).finish
        if finish is not None:
            self.server_skew_s = finish - self.clock.wall_s()
        return _Reply(body, None)

    # -- predictions and counters -----------------------------------------------------------------

    def _predict(self, commands: Iterable[Command]) -> dict[str, float]:
        """Server seconds by method, from what a unit of it has cost so far (0 while unknown)."""
        units: dict[str, float] = {}
        for command in commands:
            units[command.method] = units.get(command.method, 0.0) + command.units
        return {method: count * _cost(self.gate, method) for method, count in units.items()}

    def _observe_batch(
        self,
        commands: Mapping[str, Command],
        result: Mapping[str, Any],
        outer: Timing,
        predicted: Mapping[str, float],
    ) -> None:
        """Feed the gate: nested counters by method, and the outer counter as the method `batch`.

        Sub-counters are running sums of the method, so the largest counts, never their sum (recorded).
        """
        durations: dict[str, float] = {}
        units: dict[str, float] = {}
        latest: dict[str, Timing] = {}
        for name, block in section(result, "result_time").items():
            if name not in commands:
                continue
            command, timing = commands[name], Timing.of(block)
            durations[command.method] = durations.get(command.method, 0.0) + (timing.duration_s or 0.0)
            units[command.method] = units.get(command.method, 0.0) + command.units
            seen = latest.get(command.method)
            if seen is None or (timing.operating_s or 0.0) >= (seen.operating_s or 0.0):
                latest[command.method] = timing
        uses = [
            MethodUse(
                method,
                units.get(method, 0.0),
                durations.get(method),
                latest[method].operating_s if method in latest else None,
                latest[method].reset_in_s if method in latest else None,
                seconds,
            )
            for method, seconds in predicted.items()
            if method != "batch"
        ]
        uses.append(
            MethodUse("batch", 1.0, outer.duration_s, outer.operating_s, outer.reset_in_s, predicted["batch"])
            if outer.operating_s
            else _ended("batch", predicted["batch"])
        )
        self.gate.observe(uses)

    def _react_to_nested(self, commands: Mapping[str, Command], outcomes: BatchOutcomes) -> None:
        paused = {
            commands[name].method
            for name, outcome in outcomes.items()
            if isinstance(outcome, NotSent) and outcome.code == "OPERATION_TIME_LIMIT"
        }
        for method in paused:
            self.gate.paused(method, None)

    def _failed_batch(
        self, commands: Mapping[str, Command], verdict: Verdict, predicted: Mapping[str, float], *, write: bool
    ) -> BatchOutcomes:
        if isinstance(verdict.outcome, NotSent):
            raise self._exception("batch", verdict, write=write)
        self._count_unanswered(predicted)
        if isinstance(verdict.outcome, Unknown) and not write:
            raise self._exception("batch", verdict, write=write)
        return dict.fromkeys(commands, verdict.outcome)

    @contextmanager
    def _booked(self, predicted: Mapping[str, float]) -> Iterator[None]:
        """A call that ends in an exception (Ctrl-C, a block) must not leave its booking behind for ever."""
        try:
            yield
        except BaseException:
            self._count_unanswered(predicted)
            raise

    def _end_booking(self, predicted: Mapping[str, float]) -> None:
        self.gate.observe([_ended(name, seconds) for name, seconds in predicted.items()])

    def _count_unanswered(self, predicted: Mapping[str, float]) -> None:
        """The portal may have worked and counted: the prediction stands in for its counters."""
        self.gate.observe([MethodUse(name, 0.0, seconds, None, None, seconds) for name, seconds in predicted.items()])

    def _exception(self, method: str, verdict: Verdict, *, write: bool) -> Exception:
        outcome = verdict.outcome
        if isinstance(outcome, Refused):
            return PortalRefused(method, outcome.code, outcome.text, hint=verdict.advice)
        if isinstance(outcome, NotSent):
            return PortalUnreachable(
                f"{method}: the portal {self._address.host} did not take the call after {TRIES} tries "
                f"({outcome.code}: {outcome.text}). Nothing was executed; {verdict.advice or 'try again later'}."
            )
        if not write:
            return PortalUnreachable(
                f"{method}: the portal {self._address.host} did not answer after {TRIES} tries ({outcome.text}); "
                f"{verdict.advice or 'try again later'}."
            )
        return OutcomeUnknown(f"{method} was sent to {self._address.host} and not answered: {outcome.text}.")


def back_off(request_cap_s: float) -> wait_base:
    """Growing pauses between tries, a little apart between processes that were refused together."""
    first_s = request_cap_s * FIRST_WAIT_OF_CAP
    return wait_exponential(first_s, max=request_cap_s * LONGEST_WAIT_OF_CAP) + wait_random(0, first_s)


def credential_of(webhook: str) -> str:
    """A name for the credential that budgets are counted by, without giving the secret away."""
    pieces = [piece for piece in webhook.split("/") if piece]
    return f"webhook {pieces[-2]} {hashlib.sha256(pieces[-1].encode()).hexdigest()[:8]}"


def _read_batch(commands: Mapping[str, Command], result: Mapping[str, Any], *, halt: bool) -> BatchOutcomes:
    """Outcomes by name; a name that stands nowhere was not executed under halt, else nobody knows."""
    results, errors = section(result, "result"), section(result, "result_error")
    totals, nexts, times = (section(result, f"result_{part}") for part in ("total", "next", "time"))
    outcomes: BatchOutcomes = {}
    for name in commands:
        if name in errors:
            failure = failure_of(errors[name]) or failure_of({"error": "", "error_description": str(errors[name])})
            assert failure is not None
            outcomes[name] = judge_failure(failure, status=400, nested=True).outcome
        elif name in results:
            outcomes[name] = Done(
                results[name], _int(totals.get(name)), _int(nexts.get(name)), Timing.of(times.get(name))
            )
        elif halt and errors:
            outcomes[name] = NotSent("HALTED", "an earlier command of the batch failed")
        else:
            outcomes[name] = Unknown("the batch answered without this command")
    return outcomes


def _cost(gate: Gate, method: str) -> float:
    duration_s, counted_s = gate.unit_costs(method)
    return max(duration_s or 0.0, counted_s or 0.0)


def _ended(method: str, predicted_s: float) -> MethodUse:
    return MethodUse(method, 0.0, None, None, None, predicted_s)


def _int(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError):
        return None
