"""A thousand random timelines: the three reports against an independent computation with plain pandas.

The computation here shares no code with the reports: days are counted by walking over dates, stays by shifting rows,
quantiles and groups by pandas.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import pandas as pd
import pytest
from migrated_store import migrated_store
from timeline_tables import MOSCOW, PORTAL, Deal, at, fill

from b24sync.reporting.calendars import Calendars
from b24sync.reporting.lives import Scope
from b24sync.reporting.norms import Norm, NormBook
from b24sync.reporting.reports import Names, Reporter
from b24sync.store.names import read_names
from b24sync.store.timelines import Timelines

COUNT = 1_000
STAGES = ["C1:NEW", "C1:UC_2", "C1:UC_3", "C2:NEW", "C1:WON", "C1:LOSE", "C2:WON"]
FINAL = {"C1:WON": "S", "C2:WON": "S", "C1:LOSE": "F"}
ORDER = {"C1:NEW": 10, "C1:UC_2": 20, "C1:UC_3": 30, "C1:WON": 40, "C1:LOSE": 50, "C2:NEW": 10, "C2:WON": 20}
NORMS = {"C1:NEW": (2.5, "calendar"), "C1:UC_2": (5.0, "working"), "C2:NEW": (1.0, "working")}
AS_OF, START, END = at("2026-06-17T13:37:00"), at("2026-02-01T00:00:00"), at("2026-05-01T00:00:00")
WEEKENDS = holidays.country_holidays("RU", years=[2025, 2026])


def random_deals(seed: int) -> list[Deal]:
    """Deals with one to seven stays between September 2025 and July 2026; some had no history at all."""
    pick = random.Random(seed)
    found = []
    for number in range(1, COUNT + 1):
        moment = at("2025-09-01T00:00:00") + pick.randrange(250 * 86_400)
        moves: list[tuple[float, str]] = []
        for _ in range(pick.randint(1, 7)):
            stage = pick.choice([one for one in STAGES if not moves or one != moves[-1][1]])
            moves.append((float(moment), stage))
            moment += pick.randrange(600, 40 * 86_400)
        silent = pick.random() < 0.1
        found.append(
            Deal(
                number,
                f"Сделка {number}",
                moves[0][0],
                [] if silent else moves,
                stage=moves[-1][1],
                moved=moves[-1][0],
                responsible=pick.choice([1, 5, 7]),
                opportunity=pick.randrange(0, 500_000) / 100,
            )
        )
    return found


class Reports:
    """What the product says about the random deals."""

    def __init__(self, tables: Timelines, names: Names) -> None:
        book = NormBook([Norm(int(one[1]), one, *NORMS[one]) for one in NORMS], Calendars(MOSCOW, "RU"))
        self._tables, self._names, self._book = tables, names, book

    def __call__(self, name: str, start: float = 0.0, end: float = float("inf")) -> list[dict[str, Any]]:
        scope = Scope(AS_OF, start, end)
        report = Reporter(scope, self._book, self._names, MOSCOW, "ru").make(name, self._tables)
        return list(report.records())


@pytest.fixture(scope="module")
def deals() -> list[Deal]:
    return random_deals(20_261_125)


@pytest.fixture(scope="module")
def reports(deals: list[Deal], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reports]:
    store = migrated_store(Path(tmp_path_factory.mktemp("pandas")))
    yield Reports(fill(store, deals), Names(read_names(store, PORTAL)))
    store.close()


@pytest.fixture(scope="module")
def stays(deals: list[Deal]) -> pd.DataFrame:
    """One row per stay as of AS_OF, by plain pandas."""
    rows = []
    for deal in deals:
        history = list(deal.moves) or [(deal.created, "?"), (deal.moved or deal.created, deal.stage)]
        if not deal.moves and deal.created == deal.moved:
            history = [(deal.created, deal.stage)]
        rows += [
            {
                "deal": deal.id,
                "stage": stage,
                "entered": moment,
                "responsible": deal.responsible,
                "sum": deal.opportunity,
            }
            for moment, stage in history
        ]
    frame = pd.DataFrame(rows)
    frame = frame[frame["entered"] <= AS_OF].copy()
    frame["left"] = frame.groupby("deal")["entered"].shift(-1)
    frame["end"] = frame["left"].fillna(AS_OF)
    frame["final"] = frame["stage"].map(FINAL).fillna("")
    return frame.reset_index(drop=True)


def days_by_dates(start: float, end: float, *, working: bool) -> float:
    """Date by date: the part of it that lies between, where it counts."""
    begin, finish = (datetime.fromtimestamp(moment, MOSCOW) for moment in (start, end))
    total, day = 0.0, begin.date()
    while day <= finish.date():
        midnight = datetime(day.year, day.month, day.day, tzinfo=MOSCOW)
        next_one: date = day + timedelta(days=1)
        following = datetime(next_one.year, next_one.month, next_one.day, tzinfo=MOSCOW)
        part = min(finish, following) - max(begin, midnight)
        if not working or WEEKENDS.is_working_day(day):
            total += max(0.0, part / (following - midnight))
        day = next_one
    return total


def test_delays(stays: pd.DataFrame, reports: Reports) -> None:
    own = stays[stays["final"] == ""].copy()
    own["planned"] = own["stage"].map(lambda stage: NORMS[stage][0] if stage in NORMS else None)
    own["actual"] = [
        days_by_dates(entered, end, working=NORMS.get(stage, (0, "calendar"))[1] == "working")
        for entered, end, stage in zip(own["entered"], own["end"], own["stage"], strict=True)
    ]
    own["delay"] = (own["actual"] - own["planned"]).clip(lower=0).fillna(0)
    said = pd.DataFrame(reports("delays"))
    assert len(said) == len(own) > 2_000
    assert said["delay_days"].is_monotonic_decreasing
    said["entered"] = said["entered_at"].map(lambda text: datetime.fromisoformat(text).timestamp())
    both = own.merge(said, left_on=["deal", "entered"], right_on=["deal_id", "entered"], how="outer", indicator=True)
    assert (both["_merge"] == "both").all()
    assert ((both["actual"] - both["actual_days"]).abs() < 0.0051).all()
    assert ((both["delay"] - both["delay_days"]).abs() < 0.0051).all()
    assert ((both["planned"] - both["planned_days"]).abs().fillna(0) == 0).all()
    assert (both["planned"].isna() == both["planned_days"].isna()).all()
    silent = both.groupby("deal")["stage_x"].transform(lambda column: (column == "?").any())
    assert both.loc[silent, "estimated"].all() and (~both["estimated"]).sum() > 1_000
    assert (both["delay_days"] > 0).sum() > 500


def test_delays_of_a_period_are_the_stays_that_reach_into_it(stays: pd.DataFrame, reports: Reports) -> None:
    own = stays[(stays["final"] == "") & (stays["entered"] < END) & ~(stays["left"] <= START)]
    said = reports("delays", start=START, end=END)
    assert 0 < len(own) < len(stays)
    assert sorted(row["deal_id"] for row in said) == sorted(own["deal"])


@pytest.mark.parametrize(("start", "end"), [(0.0, float("inf")), (START, END), (START, float("inf"))])
def test_responsible(stays: pd.DataFrame, reports: Reports, start: float, end: float) -> None:
    own = stays[stays["entered"] < end].copy()
    until = min(end, AS_OF)
    own["seconds"] = (own["end"].clip(upper=until) - own["entered"].clip(lower=start)).clip(lower=0)
    own.loc[own["final"] != "", "seconds"] = 0
    own["working"] = (own["final"] == "") & ~(own["left"] <= start)
    own["closed_in"] = (own["final"] != "") & (own["entered"] >= start)
    planned = own["stage"].map(lambda stage: NORMS.get(stage, (float("inf"), "calendar"))[0])
    over = [
        stage in NORMS and days_by_dates(entered, finish, working=NORMS[stage][1] == "working") > plan
        for stage, entered, finish, plan in zip(own["stage"], own["entered"], own["end"], planned, strict=True)
    ]
    own["late"] = own["working"] & pd.Series(over, index=own.index)
    last = own.groupby("deal").tail(1).set_index("deal")
    by_deal = own.groupby("deal").agg(
        responsible=("responsible", "first"),
        total=("sum", "first"),
        seconds=("seconds", "sum"),
        counts=("working", "any"),
        closes=("closed_in", "any"),
        late=("late", "any"),
    )
    for kind, letter in (("won", "S"), ("lost", "F")):
        by_deal[kind] = (last["final"] == letter) & last["closed_in"]
    by_deal = by_deal[by_deal["counts"] | by_deal["closes"]]
    wanted = by_deal.groupby("responsible").agg(
        deals=("total", "size"),
        opportunity=("total", "sum"),
        won=("won", "sum"),
        lost=("lost", "sum"),
        seconds=("seconds", "sum"),
        overdue=("late", "sum"),
    )
    said = {row["user_id"]: row for row in reports("responsible", start=start, end=end)}
    assert set(said) == set(wanted.index) == {1, 5, 7}
    for user_id, row in wanted.iterrows():
        told = said[int(str(user_id))]
        assert (told["deals"], told["won"], told["lost"]) == (row["deals"], row["won"], row["lost"])
        assert told["opportunity"] == pytest.approx(row["opportunity"], abs=0.005)
        assert told["minutes_in_work"] == pytest.approx(row["seconds"] / 60, abs=0.51)
        assert told["overdue_deals"] == row["overdue"]


@pytest.mark.parametrize(("start", "end"), [(0.0, float("inf")), (START, END)])
def test_stages(stays: pd.DataFrame, reports: Reports, start: float, end: float) -> None:
    own = stays[stays["stage"] != "?"].copy()
    own["entered_in"] = (own["entered"] >= start) & (own["entered"] < end)
    own["left_in"] = (own["left"] >= start) & (own["left"] < end)
    own["stands"] = (own["entered"] < end) & ~(own["left"] < end)
    own["days"] = (own["left"] - own["entered"]) / 86_400
    # Pairs of a stay and a later one of the same deal; the later one is further on, or won.
    pairs = own.merge(own, on="deal", suffixes=("", "_later"))
    pairs = pairs[pairs["entered_later"] > pairs["entered"]]
    further = (
        (pairs["final_later"] == "")
        & (pairs["stage_later"].str[:2] == pairs["stage"].str[:2])
        & (pairs["stage_later"].map(ORDER) > pairs["stage"].map(ORDER))
    )
    ahead = pairs[(pairs["final_later"] == "S") | further][["deal", "entered"]].drop_duplicates()
    own = own.merge(ahead.assign(advanced=True), on=["deal", "entered"], how="left")
    own["advanced"] = own["advanced"].notna()
    said = {row["stage"]: row for row in reports("stages", start=start, end=end)}
    names = {"C1:NEW": "Новая заявка", "C1:UC_2": "Экспертиза", "C1:UC_3": "Передача", "C2:NEW": "Приём"}
    names |= {"C1:WON": "Завершён", "C1:LOSE": "Отменён", "C2:WON": "Выдано"}
    assert set(said) == set(names.values())
    for stage, group in own.groupby("stage"):
        told = said[names[str(stage)]]
        counts = [int(group[column].sum()) for column in ("entered_in", "left_in", "stands")]
        assert [told["entered"], told["left"], told["standing"]] == counts
        entered = group[group["entered_in"]]
        share = None if stage in FINAL else pytest.approx(entered["advanced"].mean(), abs=0.0001)
        assert told["conversion"] == share
        days = group.loc[group["left_in"], "days"]
        assert told["median_days"] == pytest.approx(days.quantile(0.5), abs=0.0051)
        assert told["p90_days"] == pytest.approx(days.quantile(0.9), abs=0.0051)


def test_a_stay_over_a_change_of_clocks_takes_as_many_days_in_every_report(tmp_path: Path) -> None:
    """From noon to noon, two dates later and 47 hours: two days."""
    berlin = ZoneInfo("Europe/Berlin")
    moves = [(at("2026-03-28T12:00:00", berlin), "C1:UC_2"), (at("2026-03-30T12:00:00", berlin), "C1:UC_3")]
    store = migrated_store(tmp_path)
    tables = fill(store, [Deal(1, "Сделка", moves[0][0], moves)])
    book = NormBook([], Calendars(berlin, "DE"))
    scope = Scope(at("2026-04-10T00:00:00", berlin))
    said = {
        name: list(Reporter(scope, book, Names(read_names(store, PORTAL)), berlin, "en").make(name, tables).records())
        for name in ("delays", "stages")
    }
    store.close()
    [stay] = [row for row in said["delays"] if row["stage"] == "Экспертиза"]
    [stage] = [row for row in said["stages"] if row["stage"] == "Экспертиза"]
    assert (stay["actual_days"], stage["median_days"], stage["p90_days"]) == (2.0, 2.0, 2.0)
