"""Start the right workflow for each deal by its stage, exactly once per (deal, template, stage entry).

What an `Unknown` start became is read from `bizproc.workflow.instances` or from the trace field that the
template writes. A trace that did not change proves that nothing was started, unless the field was filled before
and the template may have written the same again. Without a trace, "no instance" proves that nothing was started
only while workflows of the same template that surely were started at about that time still wait: if those are
gone too, this one may have come and gone as well. A start that stays unknown is listed and never restarted by
itself (design 5).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from b24sync.bulk.ledgered import LedgeredSender, Progress, Settlement
from b24sync.clock import Clock
from b24sync.config import WorkflowStart
from b24sync.errors import ConfigError, PortalRefused
from b24sync.portal.directory import Directory, nearest, normal
from b24sync.portal.items import DEAL, read_by_ids, walk
from b24sync.portal.stage_history import newest_id, rows_after
from b24sync.portal.workflows import START, Template, instances_of, start_command, waiting_on
from b24sync.store.cursors import read_cursor, save_cursor, save_cursor_in
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, PLANNED, REFUSED, SENT, UNKNOWN, Ledger, Settled, Write
from b24sync.store.stage_entries import Sighting, note_entries, note_moves
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Outcome, Unknown
from b24sync.transport.protocol import Command

WHAT = "workflow"
MAX_WAITING_PER_DEAL = 2
"""At most two workflows may wait on one deal; a third is refused by us before the portal has to."""
MAX_STARTS_PER_REQUEST = 25
"""The head of a workflow runs inside the call, and the whole batch must end in 60 s (limits.md)."""
PEERS = 20
HISTORY_CURSOR = "stage history of deals"
HISTORY_PIECE = 2500
NO_TRACE: tuple[Any, ...] = (None, "", [], False)
"""What an empty field reads as, whatever its type."""
STARTED_TOLERANCE_S = 2.0
"""STARTED has whole seconds, and the portal's clock is only known from its answers."""


@dataclass(frozen=True, slots=True)
class StartRule:
    """A resolved line of `[[workflows.start]]`."""

    pipeline_id: int
    stage_id: str
    template: Template
    trace: str | None
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Start:
    """One workflow to be started. `key` = deal/template/stage#n, n the deal's n-th stay in that stage."""

    key: str
    deal_id: int
    rule: StartRule
    trace_before: Any


@dataclass(slots=True)
class StartResult:
    """What `workflows start` answers; `unknown_keys` are the starts that a person has to look at."""

    planned: int = 0
    started: int = 0
    skipped: int = 0
    refused: int = 0
    unknown: int = 0
    not_sent: int = 0
    unknown_keys: list[str] = field(default_factory=list)


def resolve_rules(
    lines: Sequence[WorkflowStart], directory: Directory, templates: Sequence[Template]
) -> list[StartRule]:
    """Names of the configuration -> ids. Raises ConfigError listing every name that does not resolve."""
    rules: list[StartRule] = []
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        where = f"[[workflows.start]] {number}"
        pipeline = directory.pipeline(line.pipeline)
        if pipeline is None:
            known = nearest(str(line.pipeline), [item.name for item in directory.pipelines])
            problems.append(f"{where}: pipeline {line.pipeline!r} does not exist{_hint(known)}")
            continue
        stage = directory.stage(line.stage, pipeline.id)
        if stage is None:
            known = nearest(line.stage, [item.name for item in directory.stages_of(pipeline.id)])
            problems.append(f"{where}: stage {line.stage!r} is not in pipeline {pipeline.name!r}{_hint(known)}")
        found = [t for t in templates if normal(t.name) == normal(str(line.template))]
        found = found or [t for t in templates if str(t.id) == str(line.template)]
        if len(found) != 1:
            known = nearest(str(line.template), [item.name for item in templates])
            said = "does not exist for deals" if not found else f"means {len(found)} templates, give its id"
            problems.append(f"{where}: template {line.template!r} {said}{_hint(known)}")
        if line.trace and line.trace not in directory.fields:
            problems.append(f"{where}: the deal has no field {line.trace} for the trace")
        if stage is not None and len(found) == 1:
            twin = [
                rule for rule in rules if line.trace and rule.trace == line.trace and rule.stage_id == stage.status_id
            ]
            if twin:
                problems.append(
                    f"{where}: {line.trace} is the trace of {twin[0].template.name!r} in this stage too, "
                    "and neither could be told from the other: give each a field of its own"
                )
            rules.append(StartRule(pipeline.id, stage.status_id, found[0], line.trace, line.parameters))
    if problems:
        raise ConfigError("The workflows to start do not fit the portal:", problems)
    return rules


def _hint(known: Sequence[str]) -> str:
    return f"; nearest: {', '.join(known)}" if known else ""


class WorkflowStarts:
    """Plans and performs the starts of one portal."""

    def __init__(
        self, client: PortalClient, store: Store, portal: str, clock: Clock, rules: Sequence[StartRule]
    ) -> None:
        self._client = client
        self._store = store
        self._portal = portal
        self._clock = clock
        self._rules = rules
        self._ledger = Ledger(store, portal, WHAT, clock)
        self.warnings: list[str] = []

    def deals_by_id(self, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Rows of these deals, read when they are asked for. Cost: one request per 2,500."""
        yield from read_by_ids(self._client, DEAL, ids, self._select).values()

    def deals_in(self, stages: Iterable[tuple[int, str]]) -> Iterator[dict[str, Any]]:
        """Rows of all deals that stand in these (pipeline, stage). Cost: one request per 2,500."""
        for pipeline_id, stage_id in dict.fromkeys(stages):
            filters = {"=categoryId": pipeline_id, "=stageId": stage_id}
            yield from walk(self._client, DEAL, filters, self._select)

    def stages(self) -> list[tuple[int, str]]:
        return [(rule.pipeline_id, rule.stage_id) for rule in self._rules]

    @property
    def _select(self) -> list[str]:
        traces = dict.fromkeys(rule.trace for rule in self._rules if rule.trace)
        return ["id", "categoryId", "stageId", *traces]

    def plan(self, deals: Iterable[Mapping[str, Any]]) -> list[Start]:
        """What would be started for these deals, also what is started already. Notes their stage entries.

        `deals` is read only after the stage history was: a stage that was seen before a later move in the
        history would look like a return to it.
        """
        self._note_history()
        rows = list(deals)
        seen = [(int(row["id"]), str(row["stageId"])) for row in rows]
        numbers = note_entries(self._store, self._portal, "deal", seen, source="start", at=self._clock.wall_s())
        by_stage: dict[tuple[int, str], list[StartRule]] = {}
        for rule in self._rules:
            by_stage.setdefault((rule.pipeline_id, rule.stage_id), []).append(rule)
        starts = []
        for row in rows:
            deal_id, stage_id = int(row["id"]), str(row["stageId"])
            for rule in by_stage.get((int(row["categoryId"]), stage_id), []):
                key = f"{deal_id}/{rule.template.id}/{stage_id}#{numbers[deal_id]}"
                starts.append(Start(key, deal_id, rule, row.get(rule.trace) if rule.trace else None))
        return list({start.key: start for start in starts}.values())

    def of_deal(self, deal: Mapping[str, Any], entry: tuple[str, int]) -> list[Start]:
        """What would be started for one deal's stay in a stage: (stage id, n) as the stage entries number it."""
        deal_id, (stage_id, n) = int(deal["id"]), entry
        return [
            Start(
                f"{deal_id}/{rule.template.id}/{stage_id}#{n}", deal_id, rule, deal[rule.trace] if rule.trace else None
            )
            for rule in self._rules
            if rule.stage_id == stage_id
        ]

    def _note_history(self) -> None:
        """Stages that deals passed since the last look: a deal that left a stage and came back has a new entry.

        The first look only notes where the history stands: what was before it started nothing of ours.
        Cost: one request per 2,500 changes of stage.
        """
        try:
            self._read_history()
        except PortalRefused as error:
            self.warnings.append(f"{error} Deals that left a stage and came back unseen are not started anew.")

    def _read_history(self) -> None:
        cursor = read_cursor(self._store, self._portal, HISTORY_CURSOR)
        if cursor is None:
            save_cursor(self._store, self._portal, HISTORY_CURSOR, str(newest_id(self._client)))
            return
        rows = rows_after(self._client, int(cursor))
        while piece := list(islice(rows, HISTORY_PIECE)):
            seen = [Sighting(deal_id, stage_id, row_id) for row_id, deal_id, stage_id in piece]
            now = self._clock.wall_s()
            with self._store.write() as connection:
                note_moves(self._store, connection, self._portal, "deal", seen, source="history", at=now)
                save_cursor_in(self._store, connection, self._portal, HISTORY_CURSOR, str(piece[-1][0]))

    def open_starts(self, starts: Sequence[Start]) -> list[Start]:
        """Those that are not known to be started yet."""
        known = self._ledger.states([start.key for start in starts])
        return [start for start in starts if start.key not in known or known[start.key].state != DONE]

    def perform(self, starts: Sequence[Start], on_progress: Callable[[Progress], None] = lambda _: None) -> StartResult:
        """Start what is open. Cost: one request per 25 starts and per 2,500 waiting instances.

        Raises RetryLater, PortalBlocked, StoreError; running it again goes on.
        """
        wanted = self.open_starts(starts)
        result = StartResult(planned=len(wanted), skipped=len(starts) - len(wanted))
        before = self._ledger.states([start.key for start in wanted])
        self._ledger.plan(
            (
                (
                    start.key,
                    {
                        "deal": start.deal_id,
                        "template": start.rule.template.id,
                        "trace": start.rule.trace,
                        "before": start.trace_before,
                    },
                )
                for start in wanted
            ),
            None,
        )
        progress = Progress()
        try:
            self._in_rounds(wanted, before, progress, on_progress)
        finally:
            self._tally(wanted, result)
        return result

    def _in_rounds(
        self,
        wanted: Sequence[Start],
        before: Mapping[str, Write],
        progress: Progress,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """At most two per deal wait at a time: what would be a third is asked again after the others."""
        left = list(wanted)
        while left:
            waiting = Counter(
                instance.document for instance in waiting_on(self._client, {start.deal_id for start in left})
            )
            now: list[Start] = []
            later: list[Start] = []
            full: list[Start] = []
            taken: Counter[str] = Counter()
            for start in left:
                document = f"DEAL_{start.deal_id}"
                unsettled = start.key in before and before[start.key].state in (SENT, UNKNOWN)
                if unsettled or waiting[document] + taken[document] < MAX_WAITING_PER_DEAL:
                    now.append(start)
                    taken[document] += 0 if unsettled else 1
                elif waiting[document] >= MAX_WAITING_PER_DEAL:
                    full.append(start)
                else:
                    later.append(start)
            self._refuse_full(full)
            if now:
                starter = _Starter(self._client, self._ledger, progress, on_progress)
                starter.send(iter(now))
            before = {}
            left = later

    def _refuse_full(self, starts: Sequence[Start]) -> None:
        """Two workflows wait on these deals already."""
        if not starts:
            return
        claimed = self._ledger.claim([start.key for start in starts])
        text = f"{MAX_WAITING_PER_DEAL} workflows wait on the deal already; finish one and run the command again"
        self._ledger.settle([Settled(key, REFUSED, code="TWO_WAITING", message=text) for key in claimed])

    def _tally(self, wanted: Sequence[Start], result: StartResult) -> None:
        states = self._ledger.states([start.key for start in wanted])
        counts = Counter(write.state for write in states.values())
        result.started = counts[DONE]
        result.refused = counts[REFUSED]
        result.not_sent = counts[PLANNED]
        result.unknown_keys = [key for key, write in states.items() if write.state in (UNKNOWN, SENT)]
        result.unknown = len(result.unknown_keys)


class _Starter(LedgeredSender[Start]):
    """Sends starts; the first of a template that was never started goes alone, as evidence for the others."""

    what_for = "workflow starts"

    def __init__(
        self,
        client: PortalClient,
        ledger: Ledger,
        progress: Progress,
        on_progress: Callable[[Progress], None],
    ) -> None:
        super().__init__(client, ledger, on_progress=on_progress)
        self.progress = progress
        done = list(ledger.in_state(DONE))
        self._proven = {write.detail.get("template") for write in done}

    def _source(self) -> tuple[str, deque[Start]]:
        return START, self._queue

    def _packets(self, method: str, source: Sequence[Start], allowance_s: float) -> list[list[Start]]:
        most = MAX_STARTS_PER_REQUEST
        duration_s, counted_s = self._gate.unit_costs(START)
        if duration_s:
            most = min(most, int(self._gate.limits.request_target_s / duration_s))
        dearest = max(duration_s or 0.0, counted_s or 0.0)
        if dearest:
            most = min(most, int(min(allowance_s / dearest, most)))
        packets: list[list[Start]] = []
        for start in islice(source, max(1, most)):
            unproven = start.rule.trace is None and start.rule.template.id not in self._proven
            if unproven and packets:
                break
            packets.append([start])
            if unproven:
                break
        return packets

    def _command(self, method: str, packet: Sequence[Start]) -> Command:
        start = packet[0]
        return start_command(start.deal_id, start.rule.template.id, start.rule.parameters)

    def _settlements(self, method: str, packet: Sequence[Start], outcome: Outcome) -> list[Settlement[Start]]:
        if isinstance(outcome, Done) and not (isinstance(outcome.result, str) and outcome.result):
            outcome = Unknown("the portal answered without a workflow id")
        return [Settlement(packet[0], outcome)]

    def _created(self, done: Sequence[tuple[Start, str]]) -> None:
        self._proven.update(start.rule.template.id for start, _ in done)

    def _after_request(self, method: str, size: int) -> None:
        self.progress.pace_s, self.progress.counted_s = self._gate.unit_costs(method)

    def _find(self, items: Mapping[str, Start], writes: Mapping[str, Write]) -> dict[str, str]:
        """Started ones, by an instance that began after sending, or by a trace that changed."""
        if not items:
            return {}
        found: dict[str, str] = {}
        taken = {write.portal_id for write in self._ledger.in_state(DONE)}
        instances = instances_of(self._client, [(s.deal_id, s.rule.template.id) for s in items.values()])
        for key, start in items.items():
            sent_at = (writes[key].sent_at or 0.0) + (self._client.server_skew_s or 0.0) - STARTED_TOLERANCE_S
            for instance in instances[start.deal_id, start.rule.template.id]:
                if instance.id not in taken and (instance.started is None or instance.started >= sent_at):
                    found[key] = instance.id
                    taken.add(instance.id)
                    break
        found.update(self._traced([start for key, start in items.items() if key not in found], writes))
        return found

    def _traced(self, starts: Sequence[Start], writes: Mapping[str, Write]) -> dict[str, str]:
        traced = [start for start in starts if start.rule.trace]
        if not traced:
            return {}
        fields = dict.fromkeys(start.rule.trace for start in traced if start.rule.trace)
        rows = read_by_ids(self._client, DEAL, list({start.deal_id for start in traced}), list(fields))
        found = {}
        for start in traced:
            value = rows.get(start.deal_id, {}).get(start.rule.trace or "")
            if value not in NO_TRACE and value != writes[start.key].detail.get("before"):
                found[start.key] = f"trace {start.rule.trace}"
        return found

    def _absent_is_final(self, rows: Sequence[Write]) -> list[Write]:
        """A trace that must have changed proves; else peers of the same template must all wait still (see the top)."""
        peers: dict[int, list[Write]] = {}
        done = [write for write in self._ledger.in_state(DONE) if write.sent_at is not None]
        unproven = [row for row in rows if not row.detail.get("trace") or row.detail.get("before") not in NO_TRACE]
        for row in unproven:
            template = row.detail["template"]
            if template not in peers:
                near = [write for write in done if write.detail.get("template") == template]
                near.sort(key=lambda write: abs((write.sent_at or 0.0) - (row.sent_at or 0.0)))
                peers[template] = near[:PEERS]
        telling = self._all_wait(peers) | self._traces_differ(peers)
        silent = {row.key for row in unproven if row.detail["template"] not in telling}
        return [row for row in rows if row.key not in silent]

    def _all_wait(self, peers: Mapping[int, Sequence[Write]]) -> set[int]:
        """Templates whose peers all wait still: one more of them would be seen."""
        asked = [(int(write.detail["deal"]), template) for template, group in peers.items() for write in group]
        waiting = {i.id for group in instances_of(self._client, asked).values() for i in group} if asked else set()
        return {t for t, group in peers.items() if group and all(write.portal_id in waiting for write in group)}

    def _traces_differ(self, peers: Mapping[int, Sequence[Write]]) -> set[int]:
        """Templates that left another trace than the one before, on every peer that had one before.

        A template that always writes the same value shows nothing the second time that it starts on a deal.
        """
        marked = {
            template: [w for w in group if w.detail.get("trace") and w.detail.get("before") not in NO_TRACE]
            for template, group in peers.items()
        }
        marked = {template: group for template, group in marked.items() if group}
        fields = dict.fromkeys(write.detail["trace"] for group in marked.values() for write in group)
        ids = list({int(write.detail["deal"]) for group in marked.values() for write in group})
        rows = read_by_ids(self._client, DEAL, ids, list(fields)) if ids else {}

        def differs(write: Write) -> bool:
            present = rows.get(int(write.detail["deal"]), {}).get(write.detail["trace"])
            return present not in (*NO_TRACE, write.detail["before"])

        return {template for template, group in marked.items() if all(map(differs, group))}
