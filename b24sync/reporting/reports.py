"""The three reports, out of deals with their timelines. Definitions: design 10; shapes: the columns below.

delays        deal x stage: every stay that lasted into the period, worst first
responsible   what each person's deals did in the period
stages        what happened at each stage in the period
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import takewhile
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from b24sync.reporting.lives import Life, Scope, cards, lives
from b24sync.reporting.norms import NormBook, over
from b24sync.reporting.tables import Chart, Column, Report, Table
from b24sync.reporting.texts import word
from b24sync.reporting.timeline import UNKNOWN, Stay
from b24sync.store.names import PIPELINE, STAGE, USER, Name
from b24sync.store.timelines import Timelines

DELAYS = (
    Column("deal_id", "id"),
    Column("title", "text"),
    Column("pipeline", "text"),
    Column("stage", "text"),
    Column("entered_at", "moment"),
    Column("left_at", "moment"),
    Column("planned_days", "days"),
    Column("actual_days", "days"),
    Column("delay_days", "days"),
    Column("estimated", "flag"),
)
RESPONSIBLE = (
    Column("user_id", "id"),
    Column("name", "text"),
    Column("deals", "count"),
    Column("opportunity", "money"),
    Column("won", "count"),
    Column("lost", "count"),
    Column("minutes_in_work", "count"),
    Column("hours_in_work", "days", derived=True),
    Column("days_in_work", "days", derived=True),
    Column("overdue_deals", "count"),
)
STAGES = (
    Column("pipeline", "text"),
    Column("stage", "text"),
    Column("entered", "count"),
    Column("left", "count"),
    Column("standing", "count"),
    Column("conversion", "share"),
    Column("median_days", "days"),
    Column("p90_days", "days"),
)
DELAY = [column.key for column in DELAYS].index("delay_days")
DAY_S, HOUR_S, MINUTE_S = 86_400.0, 3_600.0, 60.0
WORST_DEALS = 1_000
"""Deals in the matrix beside the delays: what a person can look at."""
BARS = 20

Place = tuple[int, str]
"""Pipeline and stage."""
_InWork = tuple[str, str | None, float | None, float | None, Callable[[float, float], float] | None]
"""A stage of work: its names, its planned days, also as they are shown, how to count days (None: stays differ)."""


class Names:
    """Names of pipelines, stages and users; what has none goes by its id."""

    def __init__(self, names: Iterable[Name]) -> None:
        self._pipelines: dict[int, Name] = {}
        self.stages: dict[Place, Name] = {}
        self._users: dict[int, str] = {}
        for name in names:
            if name.kind == PIPELINE:
                self._pipelines[int(name.id)] = name
            elif name.kind == STAGE:
                self.stages[name.parent_id, name.id] = name
            elif name.kind == USER:
                self._users[int(name.id)] = name.name

    def pipeline(self, pipeline_id: int) -> str:
        return self._pipelines[pipeline_id].name if pipeline_id in self._pipelines else str(pipeline_id)

    def stage(self, pipeline_id: int, stage_id: str) -> str | None:
        if stage_id == UNKNOWN:
            return None
        known = self.stages.get((pipeline_id, stage_id))
        return known.name if known else stage_id

    def user(self, user_id: int) -> str | None:
        """None where a deal has nobody."""
        return self._users.get(user_id, str(user_id)) if user_id else None


class Reporter:
    """Makes reports of one scope."""

    def __init__(self, scope: Scope, book: NormBook, names: Names, zone: ZoneInfo, language: str) -> None:
        self._scope = scope
        self._book = book
        self._names = names
        self._zone = zone
        self._language = language

    def make(self, name: str, tables: Timelines) -> Report:
        """The report `delays`, `responsible` or `stages`, out of the local tables."""
        if name == "delays":
            report = self.delays(tables)
        else:
            report = {"responsible": self.responsible, "stages": self.stages}[name](lives(tables, self._scope))
        report.start = self._scope.start or None
        report.end = self._scope.end if self._scope.end != float("inf") else None
        return report

    def _new(self, name: str, columns: Sequence[Column], rows: list[tuple[Any, ...]]) -> Report:
        return Report(Table(name, columns, rows), self._scope.as_of, self._zone)

    # -- delays -------------------------------------------------------------------------------------

    def delays(self, tables: Timelines) -> Report:
        """Every stay in work that lasted into the period, with its days as of the scope's moment; worst first.

        Half a million stays: they are rows of the table rather than lives, and what a stage's stays share is
        looked up once.
        """
        scope, pipelines, as_of = self._scope, self._scope.pipelines, self._scope.as_of
        titles: dict[int, str] = {}
        own: dict[int, str] = {}
        for deal_id, title, _, _, _, said in cards(tables, scope):
            titles[deal_id] = title
            if said:
                own[deal_id] = said
        rows: list[tuple[Any, ...]] = []
        late_deals: dict[int, float] = defaultdict(float)
        late_stages: dict[Place, float] = defaultdict(float)
        known: dict[Place, _InWork] = {}
        for deal_id, pipeline_id, stage_id, entered_at, left_at, estimated in tables.stays_in_work(
            as_of, scope.start, scope.end
        ):
            if deal_id not in titles or (pipelines is not None and pipeline_id not in pipelines):
                continue
            place = pipeline_id, stage_id
            if place not in known:
                known[place] = self._in_work(place)
            pipeline, stage, planned, shown, between = known[place]
            if between is not None:
                actual = between(entered_at, as_of if left_at is None else left_at)
            else:
                stay = Stay(pipeline_id, stage_id, "P", entered_at, left_at, bool(estimated))
                planned, actual, _ = self._book.measure(stay, as_of, json.loads(own.get(deal_id, "{}")))
                shown = _two(planned)
            delay = 0.0
            if planned is not None and actual > planned and (delay := over(actual, planned)):
                late_deals[deal_id] += delay
                late_stages[place] += delay
                delay = round(delay, 2)
            title, actual = titles[deal_id], round(actual, 2)
            rows.append(
                (deal_id, title, pipeline, stage, entered_at, left_at, shown, actual, delay, bool(estimated)),
            )
        # A stable sort: deals and their stays keep their order where they are equally late.
        rows.sort(key=itemgetter(DELAY), reverse=True)
        report = self._new("delays", DELAYS, rows)
        said = f"{word('late_deals', self._language)}: {len(late_deals)}"
        report.main.total = (None, said, *[None] * 6, round(sum(late_deals.values()), 2), None)
        if late_deals:
            stages = sorted(late_stages, key=lambda place: -late_stages[place])
            report.more.append(self._matrix(rows, late_deals, [known[place][:2] for place in stages]))
            bars = stages[:BARS]
            values = [round(late_stages[place], 2) for place in bars]
            report.charts.append(Chart("delay_by_stage", list(map(self._label, bars)), [("delay_days", values)]))
        return report

    def _in_work(self, place: Place) -> _InWork:
        planned, days = self._book.same_for_all(*place) or (None, None)
        names = self._names.pipeline(place[0]), self._names.stage(*place)
        return *names, planned, _two(planned), days.between if days else None

    def _matrix(
        self, rows: Sequence[tuple[Any, ...]], late: Mapping[int, float], stages: Sequence[tuple[str, str | None]]
    ) -> Table:
        """Deal x stage, delays in days: the worst deals and stages first."""
        columns = [Column("deal_id", "id"), Column("title", "text"), Column("total", "days")]
        columns += [Column(self._words(*stage), "days") for stage in stages]
        worst = nsmallest(WORST_DEALS, late, key=lambda deal_id: (-late[deal_id], deal_id))
        found: dict[int, dict[Any, float]] = {deal_id: defaultdict(float) for deal_id in worst}
        titles: dict[int, str] = {}
        for row in takewhile(itemgetter(DELAY), rows):
            if row[0] in found:
                found[row[0]][row[2:4]] += row[DELAY]
                titles[row[0]] = row[1]
        cells = [
            (
                deal_id,
                titles.get(deal_id, ""),
                round(late[deal_id], 2),
                *(round(found[deal_id][stage], 2) if stage in found[deal_id] else None for stage in stages),
            )
            for deal_id in worst
        ]
        return Table("deals_by_delay", columns, cells)

    def _label(self, place: Place) -> str:
        return self._words(self._names.pipeline(place[0]), self._names.stage(*place))

    def _words(self, pipeline: str, stage: str | None) -> str:
        return f"{pipeline}: {stage or word('unknown_stage', self._language)}"

    # -- responsible --------------------------------------------------------------------------------

    def responsible(self, deals: Iterable[Life]) -> Report:
        """By present responsible: deals in work or closed in the period, and what became of them."""
        found: dict[int, _Work] = defaultdict(_Work)
        currencies: set[str] = set()
        for life in deals:
            work_s, won, lost, overdue, counts = self._work_of(life)
            if not counts:
                continue
            work = found[life.responsible_id]
            work.deals += 1
            work.cents += life.opportunity_cents
            work.won += won
            work.lost += lost
            work.seconds += work_s
            work.overdue += overdue
            if life.opportunity_cents:
                currencies.add(life.currency)
        ordered = sorted(found.items(), key=lambda item: (-item[1].deals, item[0]))
        rows = [(user_id, self._names.user(user_id), *work.cells()) for user_id, work in ordered]
        report = self._new("responsible", RESPONSIBLE, rows)
        everybody = _Work()
        for work in found.values():
            everybody.add(work)
        report.main.total = (None, None, *everybody.cells())
        if len(currencies) > 1:
            report.notes.append(word("currencies", self._language).format(list=", ".join(sorted(currencies))))
        shown = ordered[:BARS]
        people = [self._names.user(user_id) or word("nobody", self._language) for user_id, _ in shown]
        if people:
            hours = [round(work.seconds / HOUR_S, 1) for _, work in shown]
            report.charts.append(Chart("hours_by_person", people, [("hours_in_work", hours)]))
            won_and_lost = [(key, [float(getattr(work, key)) for _, work in shown]) for key in ("won", "lost")]
            report.charts.append(Chart("won_and_lost", people, won_and_lost))
        return report

    def _work_of(self, life: Life) -> tuple[float, int, int, int, bool]:
        """(seconds in work within the period, won, lost, overdue, whether it counts) of one deal."""
        scope, pipelines = self._scope, self._scope.pipelines
        start, end, until = scope.start, scope.end, scope.until
        seconds = 0.0
        counts, overdue, closed = False, 0, ""
        for stay in life.stays:
            pipeline_id, _, group, entered_at, left_at, _ = stay
            if entered_at >= end or (pipelines is not None and pipeline_id not in pipelines):
                continue
            if group != "P":
                closed = group if entered_at >= start else ""
                counts = counts or bool(closed)
                continue
            closed = ""
            if left_at is not None and left_at <= start:
                continue
            counts = True
            left_at = until if left_at is None or left_at > until else left_at
            seconds += max(0.0, left_at - (entered_at if entered_at > start else start))
            if not overdue and self._book.measure(stay, scope.as_of, life.own).delay_days > 0:
                overdue = 1
        return seconds, int(closed == "S"), int(closed == "F"), overdue, counts

    # -- stages -------------------------------------------------------------------------------------

    def stages(self, deals: Iterable[Life]) -> Report:
        """Stays that were entered and left in the period, those that stand at its end, and how long they took."""
        scope, pipelines = self._scope, self._scope.pipelines
        start, end = scope.start, scope.end
        found: dict[Place, _Passing] = defaultdict(_Passing)
        sorts = {place: (name.sort, name.group) for place, name in self._names.stages.items()}
        for life in deals:
            furthest = _furthest(life.stays, sorts)
            for stay, advanced in zip(life.stays, furthest, strict=True):
                pipeline_id, stage_id, _, entered_at, left_at, _ = stay
                if stage_id == UNKNOWN or (pipelines is not None and pipeline_id not in pipelines):
                    continue
                passing = found[pipeline_id, stage_id]
                if start <= entered_at < end:
                    passing.entered += 1
                    passing.advanced += advanced
                if left_at is None or left_at >= end:
                    passing.standing += entered_at < end
                elif left_at >= start:
                    passing.left += 1
                    passing.days.append((left_at - entered_at) / DAY_S)
        for place, name in self._names.stages.items():
            if not name.gone and (scope.pipelines is None or place[0] in scope.pipelines):
                # A stage that nobody passed is a row as well.
                found.setdefault(place, _Passing())
        ordered = sorted(found, key=lambda place: (place[0], *self._place_order(place)))
        rows = [self._stage_row(place, found[place]) for place in ordered]
        report = self._new("stages", STAGES, rows)
        shown = [place for place in ordered if found[place].entered or found[place].standing or found[place].left][
            :BARS
        ]
        if shown:
            self._stage_charts(report, shown, found)
        return report

    def _place_order(self, place: Place) -> Place:
        known = self._names.stages.get(place)
        return (known.sort if known else 1_000_000), place[1]

    def _stage_row(self, place: Place, passing: _Passing) -> tuple[Any, ...]:
        known = self._names.stages.get(place)
        final = known is not None and known.group != "P"
        share = None if final or not passing.entered else round(passing.advanced / passing.entered, 4)
        median, p90 = quantile(passing.days, 0.5), quantile(passing.days, 0.9)
        return (
            self._names.pipeline(place[0]),
            self._names.stage(*place),
            passing.entered,
            passing.left,
            passing.standing,
            share,
            _two(median),
            _two(p90),
        )

    def _stage_charts(self, report: Report, shown: Sequence[Place], found: dict[Place, _Passing]) -> None:
        labels = [self._label(place) for place in shown]
        counts = [
            (key, [float(getattr(found[place], key)) for place in shown]) for key in ("entered", "left", "standing")
        ]
        report.charts.append(Chart("funnel", labels, counts))
        times = [
            (name, [round(quantile(found[place].days, share) or 0.0, 2) for place in shown])
            for name, share in (("median", 0.5), ("p90", 0.9))
        ]
        report.charts.append(Chart("time_by_stage", labels, times))


@dataclass(slots=True)
class _Work:
    """Sums of one person's deals."""

    deals: int = 0
    cents: int = 0
    won: int = 0
    lost: int = 0
    seconds: float = 0.0
    overdue: int = 0

    def cells(self) -> tuple[Any, ...]:
        amount = self.cents / 100
        times = round(self.seconds / MINUTE_S), round(self.seconds / HOUR_S, 2), round(self.seconds / DAY_S, 2)
        return self.deals, amount, self.won, self.lost, *times, self.overdue

    def add(self, other: _Work) -> None:
        self.deals += other.deals
        self.cents += other.cents
        self.won += other.won
        self.lost += other.lost
        self.seconds += other.seconds
        self.overdue += other.overdue


@dataclass(slots=True)
class _Passing:
    """What happened at one stage; `days` of the stays that ended in the period."""

    entered: int = 0
    left: int = 0
    standing: int = 0
    advanced: int = 0
    days: list[float] = field(default_factory=list)


def _furthest(stays: Sequence[Stay], sorts: dict[Place, tuple[int, str]]) -> list[bool]:
    """For each stay whether the deal later entered a next stage of the pipeline, or was won."""
    advanced = [False] * len(stays)
    won = False
    highest: dict[int, int] = {}
    for index in range(len(stays) - 1, -1, -1):
        pipeline_id, stage_id, group, _, _, _ = stays[index]
        sort = sorts.get((pipeline_id, stage_id), (0, ""))[0]
        reached = highest.get(pipeline_id, -1)
        advanced[index] = won or reached > sort
        won = won or group == "S"
        if group == "P" and sort > reached:
            highest[pipeline_id] = sort
    return advanced


def _two(days: float | None) -> float | None:
    return None if days is None else round(days, 2)


def quantile(values: list[float], share: float) -> float | None:
    """The value below which `share` of them lie, between two of them in proportion; None where there are none."""
    if not values:
        return None
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
