"""The nightly recount and the reports: 16,000 deals against the bound, a hundred thousand in flat memory."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from b24sync.store.engine import open_store
from b24sync.store.names import PIPELINE, STAGE, USER, Name, save_names
from b24sync.store.timelines import Timelines
from bench.bounds import bound_s
from bench.measure import Bench, Result, bench, client_part

Say = Callable[[str], None]

OVER_BOUND = 1.1
CPU_LIMIT_S = 5.0
MEMORY_LIMIT_MB = 300.0
REPORT_LIMIT_S = 3.0
UPDATE_COST_S = 0.05
"""Counted seconds of one crm.item.update: the bound of 16,000 deals is 920 s, with free updates 135 s."""
COSTED_SCALE = 3.0
"""As for imports of this cost: start-up and reading stay under what is measured (see cases.py)."""

STAGES = (("C1:NEW", "Новая заявка", "P"), ("C1:UC_000002", "Экспертиза", "P"), ("C1:WON", "Завершён", "S"))
PIPELINE_NAME = "Проекты"
FIELDS = (
    ("UF_CRM_B24SYNC_STAGE_START", "datetime"),
    ("UF_CRM_B24SYNC_STAGE_PLAN_END", "datetime"),
    ("UF_CRM_B24SYNC_DAYS_LEFT", "double"),
    ("UF_CRM_B24SYNC_OVERDUE_TOTAL", "double"),
)
NORMS = f"""
[[stages.norm]]
pipeline = "{PIPELINE_NAME}"
stage = "Новая заявка"
days = 3
[[stages.norm]]
pipeline = "{PIPELINE_NAME}"
stage = "Экспертиза"
days = 10
calendar = "calendar"
"""
RECOUNT = ("recount", "--json")


def portal(deals: int) -> dict[str, Any]:
    """A seed: deals in work for up to 90 days, oldest first."""
    now = datetime.now(UTC)
    items = []
    for number in range(deals):
        age = timedelta(days=90 * (deals - number) / deals)
        moments = {"createdTime": (now - age).isoformat(timespec="seconds")}
        moments["movedTime"] = (now - age / 2).isoformat(timespec="seconds")
        fields = {"title": f"Проект {number}", "categoryId": 1, "stageId": STAGES[number % 2][0], **moments}
        items.append({"entityTypeId": 2, "fields": fields})
    stages: list[dict[str, Any]] = [
        {"name": name, "status_id": code.removeprefix("C1:"), "semantics": group} for code, name, group in STAGES
    ]
    stages.append({"name": "Отменён", "semantics": "F"})
    user_fields = [{"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": code, "USER_TYPE_ID": kind} for code, kind in FIELDS]
    return {"categories": [{"name": PIPELINE_NAME, "stages": stages}], "userfields": user_fields, "items": items}


# -- the recount --------------------------------------------------------------------------------------------------


def recount(quick: bool, say: Say) -> list[Result]:
    """A first night of 16,000 deals, and the second run of that night."""
    deals = 2_000 if quick else 16_000
    results = []
    for cost_s, scale in ((0.0, 1.0), (UPDATE_COST_S, 60.0 if quick else COSTED_SCALE)):
        say(f"recount, {deals:,} deals, {cost_s:g} s per update, scale {scale:g}")
        costs = {"crm.item.update": cost_s} if cost_s else None
        with bench(scale=scale, costs=costs, config=NORMS) as made:
            made.sandbox.post("reset", {"seed": portal(deals)})
            first = made.connector.run(*RECOUNT)
            details = {"scale": scale, "client": client_part(first), **_checked(made, deals, first.answer)}
            again = made.connector.run(*RECOUNT)
            if again.code != 0 or again.answer["written"]:
                raise RuntimeError(f"the second run of the night: exit code {again.code}, {again.answer}")
        bound = bound_s(deals, cost_s, details["sandbox"]["requests"], scale=scale) or None
        name = f"first recount of {deals:,} deals, {cost_s:g} s per update"
        limit = bound and OVER_BOUND * bound
        results.append(Result(name, "s", first.seconds, limit, bound, details))
        refused = details["sandbox"]["refused_503"] + details["sandbox"]["refused_429"]
        results.append(Result(f"{name}: refused with 503 or 429", "requests", refused, 0))
        second = {"scale": scale, "client": client_part(again)}
        results.append(Result(f"{name}: second run, processor time", "s", again.cpu_s, CPU_LIMIT_S, None, second))
    return results


def _checked(made: Bench, deals: int, answer: Any) -> dict[str, Any]:
    """Details of a first night. Raises RuntimeError unless every deal was written once."""
    raw = made.raw()
    rows = made.sandbox.state("items", select=FIELDS[0][0])
    filled = sum(row[FIELDS[0][0]] is not None for row in rows)
    if answer.get("written") != deals or filled != deals:
        raise RuntimeError(f"{filled} of {deals} deals carry a value: {answer}")
    return {"deals": deals, "sandbox": raw}


# -- the reports --------------------------------------------------------------------------------------------------


def reports(quick: bool, say: Say) -> list[Result]:
    """Reports on 100,000 deals with 300,000 stays, as JSON, out of the local tables."""
    deals = 5_000 if quick else 100_000
    results = []
    with bench(scale=60.0, config=NORMS) as made:
        say(f"filling the store with {deals:,} deals")
        stays = fill(made.folder / "bench.db", deals)
        for name in ("delays", "responsible", "stages"):
            say(f"report {name}, {deals:,} deals")
            out = made.folder / f"{name}.json"
            ended = made.connector.run("report", name, "--offline", "--out", out)
            if ended.code != 0 or out.stat().st_size < 100:
                raise RuntimeError(f"report {name}: exit code {ended.code}: {ended.said[-3:]}")
            details = {"deals": deals, "stays": stays, "client": client_part(ended)}
            results.append(Result(f"report {name}, {deals:,} deals", "s", ended.seconds, REPORT_LIMIT_S, None, details))
            memory = Result(f"report {name}: peak memory", "MB", ended.peak_rss_mb, MEMORY_LIMIT_MB)
            results.append(memory)
    return results


def fill(path: Path, deals: int, *, seed: int = 1) -> int:
    """Cards and timelines straight into the store, as a recount would have left them; how many stays."""
    chance = random.Random(seed)
    now = time.time()
    store = open_store(f"sqlite:///{path}")
    tables = Timelines(store, "main")
    names = [Name(PIPELINE, "1", PIPELINE_NAME)]
    names += [Name(STAGE, code, name, 1, "", group, 10 * at) for at, (code, name, group) in enumerate(STAGES, start=1)]
    save_names(store, "main", [*names, *(Name(USER, str(one), f"Сотрудник {one}") for one in range(1, 21))])
    stays = 0
    for first in range(1, deals + 1, 2_500):
        cards, timelines = [], {}
        for deal_id in range(first, min(first + 2_500, deals + 1)):
            timeline = list(_timeline(chance, now))
            timelines[deal_id] = timeline
            stays += len(timeline)
            cards.append(_card(deal_id, timeline, chance, now))
        tables.save_cards(cards)
        while tables.rebuild_some(lambda card, _moves, _sightings, known=timelines: (known[card.id], None)):
            pass
    store.close()
    return stays


def _timeline(chance: random.Random, now: float) -> Any:
    """One to five stays, the last one open."""
    moment = now - chance.uniform(1, 700) * 86_400
    count = chance.randint(1, 5)
    for number in range(count):
        left = None if number == count - 1 else min(now, moment + chance.expovariate(1 / 10) * 86_400)
        code, _, group = STAGES[2] if left is None and chance.random() < 0.6 else STAGES[number % 2]
        yield {
            "pipeline_id": 1,
            "stage_id": code,
            "stage_group": group,
            "entered_at": moment,
            "left_at": left,
            "estimated": False,
        }
        moment = left or now


def _card(deal_id: int, timeline: list[dict[str, Any]], chance: random.Random, now: float) -> dict[str, Any]:
    first, last = timeline[0], timeline[-1]
    return {
        "id": deal_id,
        "title": f"Поставка оборудования № {deal_id}",
        "pipeline_id": 1,
        "stage_id": last["stage_id"],
        "stage_group": last["stage_group"],
        "previous_stage_id": "",
        "responsible_id": chance.randint(1, 20),
        "company_id": 0,
        "opportunity_cents": chance.randrange(100_000_000),
        "currency": "RUB",
        "created_at": first["entered_at"],
        "moved_at": last["entered_at"],
        "updated_at": last["entered_at"],
        "own": None,
        "read_at": now,
    }


# -- memory of a night ----------------------------------------------------------------------------------------------


def night_memory(quick: bool, say: Say) -> list[Result]:
    """Peak memory of a dry run over 100,000 deals: reading all of them, their history, building their timelines."""
    deals = 5_000 if quick else 100_000
    say(f"memory of a recount, {deals:,} deals")
    with bench(scale=60.0, config=NORMS) as made:
        made.sandbox.post("reset", {"seed": portal(deals)})
        ended = made.connector.run(*RECOUNT, "--dry-run")
        if ended.code != 0 or ended.answer["changed"] != deals:
            raise RuntimeError(f"exit code {ended.code}: {ended.answer} {ended.said[-3:]}")
    details = {"scale": 60.0, "deals": deals, "client": client_part(ended)}
    return [Result(f"recount of {deals:,} deals: peak memory", "MB", ended.peak_rss_mb, MEMORY_LIMIT_MB, None, details)]
