"""Rules: from a user's act to the rule's, what a flood of updates costs, and the echoes of our own import."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from serving import serving

from bench.files import write_csv
from bench.measure import Bench, Result, bench

Say = Callable[[str], None]
RULES = '[sweep]\nevery = "1h"\n[rules.first_call]\nstage = "В работе"\nmax_acts_per_hour = 100000\n'
ACT_LIMIT_S = 1.0
REQUESTS_LIMIT = 40.0
QUIET_S, LONGEST_S = 30.0, 900.0
IDLE_S = 1.5
"""Between two acts: the documented limits leave two requests a second."""


def event_to_act(quick: bool, say: Say) -> list[Result]:
    """On an idle portal: from the moment a user moves a deal to the rule's task, as the sandbox's ledger has it."""
    count = 10 if quick else 30
    say(f"{count} deals moved by hand, one after the other")
    with bench() as made, serving(made.config, made.sandbox, RULES):
        seconds = []
        for number in range(count):
            deal = _act(made, "item.add", entityTypeId=2, fields={"title": f"D{number}", "assignedById": 1})["id"]
            _wait_quiet(made, IDLE_S)
            began = time.time()
            _act(made, "deal.move", id=deal, stage="В работе")
            while len(made.sandbox.state("tasks")) <= number:
                time.sleep(0.005)
            seconds.append(time.time() - began)
    details = {
        "acts": count,
        "p90_s": round(statistics.quantiles(seconds, n=10)[8], 3),
        "max_s": round(max(seconds), 3),
    }
    return [Result("event to act on an idle portal, p50", "s", statistics.median(seconds), ACT_LIMIT_S, None, details)]


def flood(quick: bool, say: Say) -> list[Result]:
    """Every deal of a portal is changed: requests of the daemon until it has looked at all of them."""
    count = 2_000 if quick else 16_000
    say(f"{count:,} deals imported while the daemon runs, then each of them changed")
    with bench(way="batch_import", scale=60.0) as made, serving(made.config, made.sandbox, RULES) as own:
        made.sandbox.post("switches", {"import_events": True})
        before = _requests(made, own)
        finished = made.run_import(write_csv(made.folder / "deals.csv", count))
        if finished.code != 0:
            raise RuntimeError("\n".join(finished.said[-5:]))
        _wait_for_events(made)
        echoes = _requests(made, own) - before
        before = _requests(made, own)
        for deal in range(1, count + 1):
            _act(made, "item.edit", entityTypeId=2, id=deal, fields={"opportunity": deal})
        _wait_for_events(made)
        updates = _requests(made, own) - before
        tasks = len(made.sandbox.state("tasks"))
        if tasks:
            raise RuntimeError(f"{tasks} tasks were made for deals that nobody moved")
        details = {"deals": count, "sandbox": made.raw()}
    return [
        Result(f"requests for {count:,} updates of {count:,} deals", "", float(updates), REQUESTS_LIMIT, None, details),
        Result(f"requests for the echoes of an import of {count:,} deals", "", float(echoes), REQUESTS_LIMIT),
    ]


def _act(made: Bench, name: str, **values: Any) -> Any:
    return made.sandbox.post(f"act/{name}", values)["result"]


def _requests(made: Bench, credential: str) -> int:
    """Requests by the daemon's own webhook so far."""
    return sum(call["credential"] == credential for call in made.sandbox.calls())


def _wait_for_events(made: Bench) -> None:
    """Until the sandbox has posted everything and nobody has asked anything for a while."""
    made.sandbox.wait_idle(LONGEST_S)
    _wait_quiet(made, QUIET_S)


def _wait_quiet(made: Bench, quiet_s: float) -> None:
    def so_far() -> int:
        return int(made.sandbox.figures()["requests"])

    last, since = so_far(), time.monotonic()
    while time.monotonic() - since < quiet_s:
        time.sleep(0.05)
        if (now := so_far()) != last:
            last, since = now, time.monotonic()
