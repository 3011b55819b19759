"""The REST endpoint without sockets: one decoded HTTP request in, one reply out.

Order: leaky bucket, decoding, faults, credential, command or batch, envelope. The bucket comes before
everything else, so a refused request is proven not executed (settings/performance/limits.md).
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import batch, wire
from .answers import HTML_TYPE, Reply, error_body, error_reply, html_reply, time_block, v3_error_reply
from .auth import Auth, Credential
from .calls import CallLedger, CallRecord
from .clock import SandboxClock
from .costs import Costs
from .events import Deliveries
from .execute import Executor, Outcome, RequestCapExceeded, Work
from .faults import Fault, FaultBook
from .inbound import Decoded, HttpRequest, decode
from .limits import LeakyBuckets, OperatingBudgets, Plan
from .misbehaviour import INTERNAL_ERROR, Planted, broken_reply, distort, planted_error, slept_s
from .registry import METHODS, V3, ApiError, Method
from .switches import Switches

if TYPE_CHECKING:
    from .portal import Portal

TOO_MANY = ApiError("QUERY_LIMIT_EXCEEDED", "Too many requests", status=503)
OVERLOADED = ApiError("OVERLOAD_LIMIT", "REST API is blocked due to overload.", status=503)
REDIRECT_PAGE = b"<html><head><title>302 Found</title></head><body><center><h1>302 Found</h1></center></body></html>"


@dataclass(slots=True)
class Engine:
    """A portal's REST endpoint."""

    portal: Portal
    clock: SandboxClock
    switches: Switches
    plan: Plan
    auth: Auth
    costs: Costs
    calls: CallLedger
    faults: FaultBook
    events: Deliveries
    methods: Mapping[str, Method] = field(default_factory=lambda: METHODS)
    renamed_to: dict[str, str] = field(default_factory=dict)
    """Old listener address to the new base URL: `/_sandbox/rename`."""
    other_address: str = ""
    buckets: LeakyBuckets = field(init=False)
    budgets: OperatingBudgets = field(init=False)
    executor: Executor = field(init=False)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.buckets = LeakyBuckets(self.plan)
        self.budgets = OperatingBudgets(self.plan)
        self.executor = Executor(
            self.portal,
            self.methods,
            self.clock,
            self.switches,
            self.plan,
            self.costs,
            self.budgets,
            self.calls,
            self.portal.lock,
        )

    def handle(self, request: HttpRequest) -> tuple[Reply, CallRecord]:
        """Answer one REST request and write it into the ledger."""
        began = time.monotonic()
        record = self.calls.open(self.clock.time(), request.source)
        late: Fault | None = None
        try:
            reply, late = self._handle(request, record, began)
        except Exception:  # noqa: BLE001 - a broken kernel must be seen in the figures, not as a cut connection
            self.calls.internal_error(traceback.format_exc())
            reply = error_reply(INTERNAL_ERROR)
        record.status = 0 if reply.drop or reply.silent_s else reply.status
        if late is None:
            self.calls.close(record, self.clock.time())
            self.events.pump(self.portal)
        return reply, record

    def _handle(self, request: HttpRequest, record: CallRecord, began: float) -> tuple[Reply, Fault | None]:
        new_base = self.renamed_to.get(request.listener)
        if new_base:
            record.method, record.status = request.path.rpartition("/")[2], 302
            return self._redirect(request, new_base), None
        now = self.clock.time()
        if not self.buckets.admit(
            request.source,
            now,
            refuse_over=self.switches.bucket_refuses_over,
            count_refused=self.switches.refused_requests_count,
        ):
            record.method = request.path.rstrip("/").rpartition("/")[2]
            return self._refused(record, TOO_MANY), None
        decoded = decode(request, self.switches.max_input_vars, record)
        if decoded is None:
            record.status, record.error = 404, "NO_SUCH_PATH"
            return html_reply(404, "Not Found"), None
        record.method = self._proper_name(decoded.method)
        fired = self.faults.draw(record.seq, decoded.method_names())
        record.fault = "+".join(fault.kind for fault in fired)
        return self._with_faults(request, decoded, record, began, fired)

    def _with_faults(
        self, request: HttpRequest, decoded: Decoded, record: CallRecord, began: float, fired: list[Fault]
    ) -> tuple[Reply, Fault | None]:
        kinds = {fault.kind: fault for fault in fired}
        before = self._before(request, record, kinds)
        if before is not None:
            return before, None
        if "late" in kinds:
            fault = kinds["late"]
            threading.Thread(
                target=self._work_late, args=(request, decoded, record, fault), name="late-work", daemon=True
            ).start()
            return Reply(drop=True), fault
        if "slow" in kinds:
            self.stopping.wait(slept_s(kinds))
        reply = self._execute(decoded, record, began, kinds)
        return self._after(reply, kinds), None

    def _work_late(self, request: HttpRequest, decoded: Decoded, record: CallRecord, fault: Fault) -> None:
        """The connection is gone, the portal still works: everything is executed, only later."""
        self.stopping.wait(float(fault.params.get("after_s", 1.0)))
        try:
            self._execute(decoded, record, time.monotonic(), {})
        finally:
            record.status = 0
            self.calls.close(record, self.clock.time())
            self.events.pump(self.portal)

    def _before(self, request: HttpRequest, record: CallRecord, kinds: Mapping[str, Fault]) -> Reply | None:
        """Faults that keep the request from being executed."""
        if "refuse" in kinds:
            return self._refused(record, TOO_MANY)
        if "overload" in kinds:
            return self._refused(record, OVERLOADED)
        if "cut_before" in kinds:
            return Reply(drop=True)
        if "hang_before" in kinds:
            return Reply(silent_s=self._hang_s(kinds["hang_before"]))
        if "redirect" in kinds:
            record.status = 302
            return self._redirect(request, str(kinds["redirect"].params.get("location") or self.other_address))
        return broken_reply(kinds, executed=False)

    def _after(self, reply: Reply, kinds: Mapping[str, Fault]) -> Reply:
        """Faults that hide the answer of an executed request."""
        if "cut_after" in kinds or "cut_middle" in kinds:
            return Reply(drop=True)
        if "hang_after" in kinds:
            return Reply(silent_s=self._hang_s(kinds["hang_after"]))
        broken = broken_reply(kinds, executed=True)
        if broken is not None:
            return broken
        if "truncate" in kinds:
            if kinds["truncate"].params.get("short_read"):
                reply.short_read = True
            else:
                reply.body = reply.body[: len(reply.body) // 2]
        return reply

    def _execute(self, decoded: Decoded, record: CallRecord, began: float, kinds: Mapping[str, Fault]) -> Reply:
        """Credential, command or batch, envelope; errors become answers here."""
        try:
            credential = self._credential(decoded)
            record.credential = credential.name
            if decoded.v3:
                decoded.method = V3 + decoded.method
            work = Work(record, credential, began, self.plan.request_cap_s, slept_s(kinds))
            if decoded.method.lower() == "batch":
                reply = self._batch(decoded, work, kinds)
            else:
                reply = self._single(decoded, work, kinds)
        except ApiError as error:
            if decoded.v3:
                record.status, record.error = error.status, str(error.code)
                return v3_error_reply(error)
            return self._refused(record, error)
        except RequestCapExceeded:
            record.error, record.status = "REQUEST_CAP", self.switches.request_cap_status
            return html_reply(self.switches.request_cap_status, "Gateway Time-out")
        record.status = reply.status
        return reply

    def _single(self, decoded: Decoded, work: Work, kinds: Mapping[str, Fault]) -> Reply:
        params = decoded.params
        for kind in ("nested_429", "nested_error"):
            if kind in kinds and kinds[kind].wants(decoded.method):
                raise planted_error(kinds[kind])
        data = params.get("data")
        if "cut_middle" in kinds and isinstance(data, list):
            params = {**params, "data": data[: int(kinds["cut_middle"].params.get("commands", len(data) // 2))]}
        outcome = self.executor.run(decoded.method, params, work)
        if outcome.error is not None:
            raise outcome.error
        assert outcome.answer is not None
        distort(decoded.method, outcome, kinds)
        answer = outcome.answer
        body: dict[str, Any] = {"result": answer.result}
        if answer.next is not None:
            body["next"] = answer.next
        if answer.total is not None:
            body["total"] = answer.total
        body["time"] = time_block(outcome, self.clock, self.switches, self.plan)
        return Reply(200, wire.to_json(body))

    def _batch(self, decoded: Decoded, work: Work, kinds: Mapping[str, Fault]) -> Reply:
        """Commands strictly in order; HTTP 200 even if all of them failed (settings/how-to-call-rest-api/batch.md)."""
        started = self.clock.time()
        sections = batch.Sections()
        halt = batch.is_halt(decoded.params.get("halt", 0))
        commands = decoded.commands
        if "cut_middle" in kinds:
            commands = commands[: int(kinds["cut_middle"].params.get("commands", len(commands) // 2))]
        planted = Planted(kinds)
        processing = 0.0
        for index, command in enumerate(commands):
            outcome = self._command(index, command, sections, work, planted)
            processing += outcome.processing
            self._enter(command, outcome, sections, work)
            if outcome.error is not None and halt:
                break
        outer = Outcome(None, None, started, self.clock.time(), processing)
        outer.operating, outer.reset_at = self._outer_standing(work, started)
        body = {
            "result": sections.as_answer(),
            "time": time_block(outer, self.clock, self.switches, self.plan),
        }
        return Reply(200, wire.to_json(body))

    def _outer_standing(self, work: Work, started: float) -> tuple[float, float]:
        """Counted seconds of `batch` itself: none by the documentation, the sum where batch is billed."""
        return self.budgets.standing("batch", work.credential.name, started, self.clock.time())

    def _command(
        self, index: int, command: batch.Command, sections: batch.Sections, work: Work, planted: Planted
    ) -> Outcome:
        now = self.clock.time()
        method = self.methods.get(command.method.lower())
        if index >= batch.MAX_COMMANDS:
            error = ApiError("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
            return Outcome(None, error, now, now)
        if command.method.lower() == "batch" or (method is not None and not method.in_batch):
            error = ApiError("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage", status=405)
            return Outcome(None, error, now, now)
        planted_refusal = planted.refusal(command.method)
        if planted_refusal is not None:
            return Outcome(None, planted_refusal, now, now)
        params, dropped = batch.parameters(
            command,
            sections.result,
            self.switches.max_input_vars,
            inside_text=self.switches.reference_inside_text,
        )
        work.record.dropped_vars += dropped
        billed = "batch" if self.switches.batch_operating == "batch" else ""
        try:
            outcome = self.executor.run(command.method, params, work, billed_to=billed)
        except RequestCapExceeded as cap:
            code = "REQUEST_CAP_EXECUTED" if cap.executed else "REQUEST_CAP"
            work.record.nested.append((command.name, command.method, code, 0.0))
            raise
        planted.distort(command.method, outcome)
        return outcome

    def _enter(self, command: batch.Command, outcome: Outcome, sections: batch.Sections, work: Work) -> None:
        """Put an outcome into the sections; a failed command is in `result_error` only."""
        name = command.name
        row = (name, self._proper_name(command.method), outcome.code, round(outcome.seconds, 6))
        work.record.nested.append(row)
        if outcome.error is not None:
            sections.error[name] = error_body(outcome.error)
            return
        assert outcome.answer is not None
        sections.result[name] = outcome.answer.result
        if outcome.answer.total is not None and self.switches.batch_totals:
            sections.total[name] = outcome.answer.total
        if outcome.answer.next is not None:
            sections.next[name] = outcome.answer.next
        sections.time[name] = time_block(outcome, self.clock, self.switches, self.plan)

    def _credential(self, decoded: Decoded) -> Credential:
        if self.switches.portal_deleted:
            raise ApiError("PORTAL_DELETED", "Portal was deleted", status=self.switches.portal_deleted_status)
        if decoded.user_id is not None:
            return self.auth.by_webhook(decoded.user_id, decoded.secret, self.portal.users)
        return self.auth.by_token(decoded.token, self.portal.users)

    def _refused(self, record: CallRecord, error: ApiError) -> Reply:
        record.status, record.error = error.status, str(error.code) or error.text
        return error_reply(error)

    def _redirect(self, request: HttpRequest, base: str) -> Reply:
        """The portal was renamed: 302, also for POST (settings/how-to-call-rest-api/change-domen.md)."""
        query = f"?{request.query}" if request.query else ""
        location = f"{base.rstrip('/')}{request.path}{query}"
        return Reply(302, REDIRECT_PAGE, HTML_TYPE, {"Location": location})

    def _hang_s(self, fault: Fault) -> float:
        """Silence beyond the request cap, unless told otherwise."""
        return float(fault.params.get("hang_s", 3 * (self.plan.request_cap_s or 60.0)))

    def _proper_name(self, name: str) -> str:
        method = self.methods.get(name.lower())
        return method.name if method is not None else name
