"""A recount that is killed (`kill -9`) again and again while it writes, and run once more to its end."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nights import EXPERTISE, LEFT, PLAN_END, START, TOTAL, NightDesk, deal, seed_of
from sandbox_process import running_sandbox

SCALE = 60.0
REQUEST_CAP_S = 2.0
UPDATE_COST_S = 0.02
"""Wall-clock seconds: some 33 deals fit a request, so a kill falls into one of several."""
DEALS_PER_KILL = 60
FIRST_WRITE_TIMEOUT_S = 40.0
NORM_DAYS = 5
SLOW_PORTAL: dict[str, Any] = {
    "scale": SCALE,
    "request_cap_s": REQUEST_CAP_S * SCALE,
    "costs": {"crm.item.update": UPDATE_COST_S * SCALE},
}


@dataclass(slots=True)
class Killed:
    """What became of one portal: deals that carried their values at each kill, and updates executed in all."""

    seed: int
    deals: int
    kills: list[int] = field(default_factory=list)
    updates: int = 0

    @property
    def between(self) -> int:
        return sum(0 < written < self.deals for written in self.kills)


def projects(count: int) -> list[dict[str, Any]]:
    """Deals in expertise for 0 to 12 days, each from another minute on."""
    return [deal(EXPERTISE, created=40, moved=12 * number / count) for number in range(1, count + 1)]


def written(desk: NightDesk) -> int:
    """How many deals carry what a recount writes."""
    return sum(row[START] is not None for row in desk.shown().values())


def kill_recounts(folder: Path, *, seed: int, kills: int) -> Killed:
    """Kill a recount `kills` times, run it to its end, judge by the portal. Raises AssertionError."""
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    found = Killed(seed, DEALS_PER_KILL * (kills + 1))
    with running_sandbox(seed=seed_of(projects(found.deals)), **SLOW_PORTAL) as sandbox:
        desk = NightDesk(folder, sandbox)
        while len(found.kills) < kills:
            enough = written(desk) + chance.randint(1, 40)
            running = desk.start("recount", "--json")
            began = time.monotonic()
            while written(desk) < enough and running.alive and time.monotonic() - began < FIRST_WRITE_TIMEOUT_S:
                time.sleep(0.02)
            time.sleep(chance.uniform(0.0, 0.4))
            held = written(desk)
            if not running.kill():
                break  # it had come to its end before its kill
            found.kills.append(held)
        ended = desk.recount()
        assert ended.code == 0, ended
        assert sandbox.wait_idle()
        found.updates = desk.updates()
        assert_one_night(desk, found.deals)
        seen = desk.last_call()
        assert desk.recount().result["changed"] == 0
        assert desk.updates(seen) == 0
    return found


def assert_one_night(desk: NightDesk, deals: int) -> None:
    """Every deal carries the values of one moment, the one that the store calls the night's."""
    with closing(sqlite3.connect(f"file:{desk.folder / 'store.db'}?mode=ro", uri=True)) as connection:
        nights = connection.execute("SELECT as_of, written FROM nights").fetchall()
    assert len(nights) == 1
    as_of = nights[0][0]
    shown = desk.shown()
    assert len(shown) == deals
    for one, row in shown.items():
        start, end = (datetime.fromisoformat(row[code]).timestamp() for code in (START, PLAN_END))
        assert end - start == NORM_DAYS * 86_400
        left = NORM_DAYS - (as_of - start) / 86_400
        assert abs(row[LEFT] - left) < 0.011, f"deal {one} was written as of another moment"
        assert abs(row[TOTAL] - max(0.0, -left)) < 0.011
