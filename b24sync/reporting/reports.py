"""The three reports, out of deals with their timelines. Definitions: design 10; shapes: the columns below.

delays        deal x stage: every stay that lasted into the period, worst first
responsible   what each person's deals did in the period
stages        what happened at each stage in the period
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from zoneinfo import ZoneInfo

from b24sync.reporting.calendars import DayCount
from b24sync.reporting.children import can_have_child, made_by_child
from b24sync.reporting.lives import Life, Scope, lives
from b24sync.reporting.norms import NormBook, over
from b24sync.reporting.tables import Chart, Column, Report, Rows, Table
from b24sync.reporting.texts import word
from b24sync.reporting.timeline import UNKNOWN, Stay
from b24sync.store.names import PIPELINE, STAGE, USER, Name
from b24sync.store.timelines import EVERY_ID, Timelines

if TYPE_CHECKING:
    from b24sync.reporting.delays import Delays

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
WORTH_A_CHILD = 10_000
"""Deals; a few are counted before a child process has begun."""

Place = tuple[int, str]
"""Pipeline and stage."""
Counts = TypeVar("Counts", bound="_Addable")


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
        known = self._pipelines.get(pipeline_id)
        return (known.name if known else "") or str(pipeline_id)

    def stage(self, pipeline_id: int, stage_id: str) -> str | None:
        if stage_id == UNKNOWN:
            return None
        known = self.stages.get((pipeline_id, stage_id))
        return (known.name if known else "") or stage_id

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
        self._shared: dict[Place, tuple[float | None, DayCount] | None] = {}

    def make(self, name: str, tables: Timelines) -> Report:
        """The report `delays`, `responsible` or `stages`, out of the local tables."""
        if name == "delays":
            report = self._delays(self._in_parts(self._count_delays, tables))
        elif name == "responsible":
            report = self._responsible(self._in_parts(self._count_work, tables))
        else:
            report = self._stages(self._in_parts(self._count_passings, tables))
        report.start = self._scope.start or None
        report.end = self._scope.end if self._scope.end != float("inf") else None
        return report

    def _in_parts(self, count: Callable[[Timelines, Scope], Counts], tables: Timelines) -> Counts:
        """What `count` finds in the scope; of many deals a child process counts one half."""
        deals, middle = tables.middle_deal()
        if deals < WORTH_A_CHILD or not can_have_child():
            return count(tables, self._scope)
        first, second = (replace(self._scope, part=part) for part in (range(middle), range(middle, EVERY_ID.stop)))
        tables.disconnect()
        with made_by_child(lambda: count(tables, second)) as counted:
            found = count(tables, first)
            found.add(counted())
        return found

    def _new(self, name: str, columns: Sequence[Column], rows: Sequence[tuple[Any, ...]]) -> Report:
        return Report(Table(name, columns, rows), self._scope.as_of, self._zone)

    # -- delays -------------------------------------------------------------------------------------

    def _count_delays(self, tables: Timelines, scope: Scope) -> Delays:
        from b24sync.reporting.delays import count_delays  # numpy, which other reports and the daemon do without

        return count_delays(tables, scope, self._book)

    def _delays(self, found: Delays) -> Report:
        """Every stay in work that lasted into the period, with its days as of the scope's moment; worst first."""
        delays = found.delay_days
        worst, sums = found.by_deal(delays)
        stages = found.by_place(delays)
        report = self._new("delays", DELAYS, self._delay_rows(found, delays.round(2)))
        said = f"{word('late_deals', self._language)}: {len(worst)}"
        report.main.total = (None, said, *[None] * 6, round(float(sums.sum()), 2), None)
        if stages:
            report.more.append(self._matrix(found, delays, list(stages)))
            bars = list(stages)[:BARS]
            values = [round(stages[place], 2) for place in bars]
            report.charts.append(Chart("delay_by_stage", list(map(self._label, bars)), [("delay_days", values)]))
        return report

    def _delay_rows(self, found: Delays, delays: Any) -> Rows:
        # A stable sort: deals and their stays keep their order where they are equally late.
        order = (-delays).argsort(kind="stable")
        places = [found.places[number] for number in found.place_numbers[order].tolist()]
        pipelines = {pipeline_id: self._names.pipeline(pipeline_id) for pipeline_id, _ in found.places}
        stages = {place: self._names.stage(*place) for place in found.places}
        deal_ids = found.deal_ids[order]
        return Rows(
            [
                deal_ids,
                list(map(found.titles.__getitem__, deal_ids.tolist())),
                [pipelines[place[0]] for place in places],
                [stages[place] for place in places],
                found.entered_at[order],
                found.left_at[order],
                found.planned_days[order].round(2),
                found.actual_days[order].round(2),
                delays[order],
                found.estimated[order],
            ]
        )

    def _matrix(self, found: Delays, delays: Any, stages: Sequence[Place]) -> Table:
        """Deal x stage, delays in days: the worst deals and stages first."""
        columns = [Column("deal_id", "id"), Column("title", "text"), Column("total", "days")]
        columns += [Column(self._label(stage), "days") for stage in stages]
        worst, sums = (column[:WORST_DEALS].tolist() for column in found.by_deal(delays))
        days: dict[int, dict[Place, float]] = {deal_id: defaultdict(float) for deal_id in worst}
        for deal_id, place, delay in found.stays_of(worst, delays):
            days[deal_id][place] += delay
        cells = [
            (deal_id, found.titles[deal_id], round(total, 2), *(_two(days[deal_id].get(stage)) for stage in stages))
            for deal_id, total in zip(worst, sums, strict=True)
        ]
        return Table("deals_by_delay", columns, cells)

    def _label(self, place: Place) -> str:
        stage = self._names.stage(*place) or word("unknown_stage", self._language)
        return f"{self._names.pipeline(place[0])}: {stage}"

    # -- responsible --------------------------------------------------------------------------------

    def _count_work(self, tables: Timelines, scope: Scope) -> _Works:
        """By present responsible: deals in work or closed in the period, and what became of them."""
        found = _Works()
        for life in lives(tables, scope):
            work_s, won, lost, overdue, counts = self._work_of(life)
            if not counts:
                continue
            work = found.people[life.responsible_id]
            work.deals += 1
            work.cents += life.opportunity_cents
            work.won += won
            work.lost += lost
            work.seconds += work_s
            work.overdue += overdue
            if life.opportunity_cents:
                found.currencies.add(life.currency)
        return found

    def _responsible(self, found: _Works) -> Report:
        ordered = sorted(found.people.items(), key=lambda item: (-item[1].deals, item[0]))
        rows = [(user_id, self._names.user(user_id), *work.cells()) for user_id, work in ordered]
        report = self._new("responsible", RESPONSIBLE, rows)
        everybody = _Work()
        for work in found.people.values():
            everybody.add(work)
        report.main.total = (None, None, *everybody.cells())
        if len(found.currencies) > 1:
            listed = ", ".join(sorted(found.currencies))
            report.notes.append(word("currencies", self._language).format(list=listed))
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
            if not overdue and self._is_late(stay, life.own):
                overdue = 1
        return seconds, int(closed == "S"), int(closed == "F"), overdue, counts

    def _is_late(self, stay: Stay, own: Mapping[str, Any]) -> bool:
        place, as_of, left_at = stay[:2], self._scope.as_of, stay.left_at
        if place not in self._shared:
            self._shared[place] = self._book.same_for_all(*place)
        shared = self._shared[place]
        if shared is None:
            return self._book.measure(stay, as_of, own).delay_days > 0
        planned, days = shared
        if planned is None:
            return False
        return over(days.between(stay.entered_at, as_of if left_at is None else left_at), planned) > 0

    # -- stages -------------------------------------------------------------------------------------

    def _count_passings(self, tables: Timelines, scope: Scope) -> _Passings:
        """Stays that were entered and left in the period, those that stand at its end, and how long they took."""
        pipelines, start, end = scope.pipelines, scope.start, scope.end
        days_between = self._book.calendars.calendar.between
        found = _Passings()
        sorts = {place: (name.sort, name.group) for place, name in self._names.stages.items()}
        for life in lives(tables, scope):
            furthest = _furthest(life.stays, sorts)
            for stay, advanced in zip(life.stays, furthest, strict=True):
                pipeline_id, stage_id, _, entered_at, left_at, _ = stay
                if stage_id == UNKNOWN or (pipelines is not None and pipeline_id not in pipelines):
                    continue
                passing = found.places[pipeline_id, stage_id]
                if start <= entered_at < end:
                    passing.entered += 1
                    passing.advanced += advanced
                if left_at is None or left_at >= end:
                    passing.standing += entered_at < end
                elif left_at >= start:
                    passing.left += 1
                    passing.days.append(days_between(entered_at, left_at))
        return found

    def _stages(self, found: _Passings) -> Report:
        pipelines, places = self._scope.pipelines, found.places
        for place, name in self._names.stages.items():
            if not name.gone and (pipelines is None or place[0] in pipelines):
                # A stage that nobody passed is a row as well.
                places.setdefault(place, _Passing())
        ordered = sorted(places, key=lambda place: (place[0], *self._place_order(place)))
        rows = [self._stage_row(place, places[place]) for place in ordered]
        report = self._new("stages", STAGES, rows)
        shown = [one for one in ordered if places[one].entered or places[one].standing or places[one].left][:BARS]
        if shown:
            self._stage_charts(report, shown, places)
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


class _Addable(Protocol):
    """What was counted in a part of the deals."""

    def add(self, other: Self, /) -> None: ...


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
class _Works:
    """Sums by person."""

    people: dict[int, _Work] = field(default_factory=lambda: defaultdict(_Work))
    currencies: set[str] = field(default_factory=set)

    def add(self, other: _Works) -> None:
        for user_id, work in other.people.items():
            self.people[user_id].add(work)
        self.currencies |= other.currencies


@dataclass(slots=True)
class _Passing:
    """What happened at one stage; `days` of the stays that ended in the period."""

    entered: int = 0
    left: int = 0
    standing: int = 0
    advanced: int = 0
    days: list[float] = field(default_factory=list)

    def add(self, other: _Passing) -> None:
        self.entered += other.entered
        self.left += other.left
        self.standing += other.standing
        self.advanced += other.advanced
        self.days += other.days


@dataclass(slots=True)
class _Passings:
    """By stage."""

    places: dict[Place, _Passing] = field(default_factory=lambda: defaultdict(_Passing))

    def add(self, other: _Passings) -> None:
        for place, passing in other.places.items():
            self.places[place].add(passing)


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
