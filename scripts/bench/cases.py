"""The cases. Each returns its results; the promises they are compared with stand in docs/benchmarks.md."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subprocesses import PROJECT, Command, Finished

from bench.bounds import bound_s
from bench.daemon_cases import intake, open_processes
from bench.files import write_csv, write_xlsx
from bench.group_cases import client_groups
from bench.measure import Bench, Result, bench, client_part
from bench.night_cases import night_memory, recount, reports
from bench.rules_cases import event_to_act, flood

HERE = Path(__file__).resolve().parent
Say = Callable[[str], None]

NESTED_LIMIT_S = 30.0
SINGLE_FLOOR_S = 135.0
OVER_BOUND = 1.05
INTERACTIVE_LIMIT_S = 5.0
CALL_EVERY_S = 4.0
CPU_LIMIT_S_PER_1000 = 0.15
CPU_SCALE = 60.0
"""Waiting costs no processor time worth naming, so the wait is kept short."""
HELP_LIMIT_S = 0.3
CSV_LIMIT_MB = 200.0
XLSX_LIMIT_MB = 350.0
MILLION_LIMIT_MB = 250.0
XLSX_READ_LIMIT_S = 30.0
PEER_LIMIT_S = 900.0
"""A peer that takes longer is ended."""
SCALE_OF_COST = {0.02: 2.0, 0.05: 4.0, 0.1: 6.0}
"""Counted seconds per row -> scale. Start-up, reading and the work between requests take 5 to 9 s of a run at any
scale: the scales are such that this stays under the 5 % that are measured; on a real portal it is about 1 %."""
TOGETHER_SCALE = 3.0


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what it shows, and how it is run. `run(quick, say)`."""

    name: str
    about: str
    run: Callable[[bool, Say], list[Result]]


WRITERS = ("crm.item.batchImport", "crm.item.import", "crm.deal.add")


def row_costs(cost_s: float) -> dict[str, float]:
    """The same cost per row whichever way it comes."""
    return {name: cost_s for name in WRITERS if cost_s}


def imported(made: Bench, finished: Finished, rows: int) -> dict[str, Any]:
    """Details of one import. Raises RuntimeError unless it did what it should: a wrong run has no speed."""
    raw = made.raw()
    if finished.code != 0 or raw["deals"] != rows or raw["duplicates_total"]:
        said = "\n".join(finished.said[-10:])
        raise RuntimeError(f"exit code {finished.code}, {raw['deals']} of {rows} deals in the portal\n{said}")
    return {"rows": rows, "scale": made.sandbox.scale, "client": client_part(finished), "sandbox": raw}


# -- zero portal work ---------------------------------------------------------------------------------------------


def zero_work(quick: bool, say: Say) -> list[Result]:
    """Both ways of ours and the peers at the documented limits.

    All of them by one measure, from the first writing request to the last answer, as the sandbox saw it; beside
    it our whole command, which also starts, reads and checks the file.
    """
    rows = 3_000 if quick else 16_000
    results = []
    limits = {"batch_import": NESTED_LIMIT_S, "single_import": None if quick else OVER_BOUND * SINGLE_FLOOR_S}
    for way, limit_s in limits.items():
        say(f"b24sync, {way}, {rows:,} deals")
        name = f"b24sync, {way}"
        with bench(way=way) as made:
            finished = made.run_import(write_csv(made.folder / "deals.csv", rows))
            details = imported(made, finished, rows)
            seconds = writing_s(made)
        bound = bound_s(rows, 0.0, details["sandbox"]["requests"]) or None
        results.append(Result(name, "s", seconds, limit_s, bound, details))
        results.append(Result(f"{name}: the whole command", "s", finished.seconds, None, bound, {"scale": 1.0}))
        results.extend(_refusals(name, details))
    for peer in ("fast_bitrix24", "fast_bitrix24_slow", "b24pysdk"):
        say(f"{peer}, {rows:,} deals")
        results.append(_peer(peer, rows))
    return results


def writing_s(made: Bench) -> float:
    """From the first request that writes deals to the end of the last one, by the sandbox's ledger of calls."""
    calls = [call for call in made.sandbox.calls() if any(row[1] in WRITERS for row in call["nested"])]
    if not calls:
        return 0.0
    return float(max(call["t_finish"] for call in calls) - min(call["t_start"] for call in calls))


def _refusals(name: str, details: dict[str, Any]) -> list[Result]:
    raw = details["sandbox"]
    refused = raw["refused_503"] + raw["refused_429"]
    return [Result(f"{name}: refused with 503 or 429", "requests", refused, 0)]


def _peer(name: str, rows: int) -> Result:
    with bench() as made:
        file = write_csv(made.folder / "deals.csv", rows)
        argv = [sys.executable, str(HERE / "peer.py"), name, made.sandbox.webhook, str(file)]
        command = Command([name], argv, PROJECT, lambda _: None)
        began = time.perf_counter()
        while not command.over() and time.perf_counter() - began < PEER_LIMIT_S:
            time.sleep(0.2)
        ended = command.over()
        command.end()
        finished = command.finish()
        raw, seconds = made.raw(), writing_s(made)
    answer = finished.answer or {"ids": 0, "died": f"exit code {finished.code}: {' '.join(finished.said[-3:])[:300]}"}
    if not ended:
        answer["died"] = f"ended by us after {PEER_LIMIT_S:.0f} s"
    # What is refused does not fill the bucket.
    bound = bound_s(rows, 0.0, raw["requests"] - raw["refused_503"])
    details = {"rows": rows, "scale": 1.0, **answer, "client": client_part(finished), "sandbox": raw}
    return Result(name, "s", seconds, None, bound or None, details)


# -- portal work --------------------------------------------------------------------------------------------------


def portal_work(quick: bool, say: Say) -> list[Result]:
    """16,000 deals that cost the portal something, against the bound of its budget."""
    rows = 16_000
    results = []
    for cost_s, scale in SCALE_OF_COST.items():
        chosen = 60.0 if quick else scale
        say(f"{cost_s:g} s per deal, scale {chosen:g}: the bound is {bound_s(rows, cost_s, 0, scale=chosen):.0f} s")
        with bench(scale=chosen, costs=row_costs(cost_s)) as made:
            finished = made.run_import(write_csv(made.folder / "deals.csv", rows))
            details = {"cost_s_per_row": cost_s, **imported(made, finished, rows)}
        bound = bound_s(rows, cost_s, details["sandbox"]["requests"], scale=chosen)
        name = f"b24sync, {cost_s:g} s per deal, scale {chosen:g}"
        results.append(Result(name, "s", finished.seconds, OVER_BOUND * bound, bound, details))
        results.extend(_refusals(name, details))
    return results


# -- several processes --------------------------------------------------------------------------------------------


def together(quick: bool, say: Say) -> list[Result]:
    """Three imports at once, with interactive calls in between: bound by the request rate, then by the budget."""
    rate_rows = 1_500 if quick else 6_000
    scale = 60.0 if quick else TOGETHER_SCALE
    by_rate = _three("bound by the rate", rate_rows, 0.0, 1.0, "single_import", say)
    return by_rate + _three("bound by the budget", 6_000, 0.05, scale, "auto", say)


def _three(name: str, rows_each: int, cost_s: float, scale: float, way: str, say: Say) -> list[Result]:
    say(f"three processes, {name}: 3 x {rows_each:,} deals, scale {scale:g}")
    with bench(scale=scale, costs=row_costs(cost_s), way=way) as made, ExitStack() as running:
        files = [
            write_csv(made.folder / f"deals{index}.csv", rows_each, first=1 + index * rows_each) for index in range(3)
        ]
        argv = [sys.executable, str(HERE / "caller.py"), str(made.config), f"{CALL_EVERY_S:g}"]
        caller = Command(["caller"], argv, PROJECT, lambda _: None)
        running.callback(caller.end)
        began = time.perf_counter()
        commands = [running.enter_context(made.connector.started(*made.import_words(file))) for file in files]
        finished = [command.finish() for command in commands]
        seconds = time.perf_counter() - began
        caller.end()
        waits = caller.finish().answer["waits_s"]
        raw = made.raw()
    rows = 3 * rows_each
    failed = [one for one in finished if one.code != 0]
    if failed or raw["deals"] != rows or raw["duplicates_total"]:
        said = "\n".join(line for one in failed for line in one.said[-10:])
        raise RuntimeError(f"{len(failed)} of 3 failed, {raw['deals']} of {rows} deals in the portal\n{said}")
    bound = bound_s(rows, cost_s, raw["requests"], scale=scale)
    details: dict[str, Any] = {"rows": rows, "scale": scale, "cost_s_per_row": cost_s, "way": way}
    details |= {"clients": [client_part(one) for one in finished], "sandbox": raw, "interactive_waits_s": waits}
    return [
        Result(f"three at once, {name}", "s", seconds, OVER_BOUND * bound, bound, details),
        *_refusals(f"three at once, {name}", details),
        Result(f"longest of {len(waits)} interactive calls beside them, {name}", "s", max(waits), INTERACTIVE_LIMIT_S),
    ]


# -- the client itself --------------------------------------------------------------------------------------------


def client_cpu(quick: bool, say: Say) -> list[Result]:
    """Processor time of the command line per 1,000 rows; the limit is that of the way that `auto` prefers.

    The writing (encode, send, parse, ledger) is what an import takes beyond a dry run of the same file, which
    reads, checks, resolves and spools it; beside it all but the start-up, that is beyond an import of one row.
    """
    rows = 4_000 if quick else 16_000
    results = []
    for way, limit_s in (("batch_import", CPU_LIMIT_S_PER_1000), ("single_import", None)):
        say(f"processor time, {way}, {rows:,} deals")
        one, dry, many = _cpu(way, 1), _cpu(way, rows, "--dry-run"), _cpu(way, rows)
        details = {"rows": rows, "scale": CPU_SCALE, "client": client_part(many)}
        details |= {"dry_run": client_part(dry), "one_row": client_part(one)}
        writing, all_of_it = ((many.cpu_s - less.cpu_s) / rows * 1000 for less in (dry, one))
        name = f"processor time per 1,000 rows, {way}"
        results.append(Result(f"{name}: encode, send, parse, ledger", "s", writing, limit_s, None, details))
        results.append(Result(f"{name}: all but the start-up", "s", all_of_it, details={"scale": CPU_SCALE}))
    return results


def _cpu(way: str, rows: int, *options: str) -> Finished:
    with bench(scale=CPU_SCALE, way=way) as made:
        finished = made.connector.run(*made.import_words(write_csv(made.folder / "deals.csv", rows)), *options)
        imported(made, finished, 0 if options else rows)
    return finished


def start_up(quick: bool, say: Say) -> list[Result]:
    """`b24sync --help`."""
    say("b24sync --help")
    seconds = []
    for _ in range(3 if quick else 15):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "b24sync", "--help"], check=True, capture_output=True, cwd=PROJECT)
        seconds.append(round(time.perf_counter() - began, 4))
    return [Result("b24sync --help, median", "s", statistics.median(seconds), HELP_LIMIT_S, None, {"all_s": seconds})]


def memory(quick: bool, say: Say) -> list[Result]:
    """Peak memory of the command line with a large file."""
    rows = 10_000 if quick else 100_000
    results = []
    for suffix, write, limit_mb in (("csv", write_csv, CSV_LIMIT_MB), ("xlsx", write_xlsx, XLSX_LIMIT_MB)):
        say(f"memory, {rows:,} deals from {suffix}")
        with bench(scale=60.0) as made:
            file = write(made.folder / f"deals.{suffix}", rows)
            finished = made.run_import(file)
            details = {"file_mb": round(file.stat().st_size / 2**20, 1), **imported(made, finished, rows)}
        results.append(Result(f"peak memory, {suffix}", "MB", finished.peak_rss_mb, limit_mb, None, details))
    return results


def large_files(quick: bool, say: Say) -> list[Result]:
    """A million rows planned and applied; a workbook read. The portal's work costs nothing."""
    rows, sheet_rows = (50_000, 10_000) if quick else (1_000_000, 100_000)
    say(f"a CSV of {rows:,} rows, planned and applied")
    with bench(scale=CPU_SCALE, way="batch_import") as made:
        finished = made.run_import(write_csv(made.folder / "deals.csv", rows))
        details = imported(made, finished, rows)
    results = [
        Result(f"peak memory, CSV of {rows:,} rows", "MB", finished.peak_rss_mb, MILLION_LIMIT_MB, None, details),
        Result(f"CSV of {rows:,} rows: the whole command", "s", finished.seconds),
    ]
    say(f"a workbook of {sheet_rows:,} rows, read, checked, resolved and spooled (--dry-run)")
    with bench(scale=CPU_SCALE) as made:
        file = write_xlsx(made.folder / "deals.xlsx", sheet_rows)
        finished = made.connector.run(*made.import_words(file), "--dry-run")
        details = imported(made, finished, 0)
    name = f"XLSX of {sheet_rows:,} rows read by a dry run"
    results.append(Result(name, "s", finished.seconds, XLSX_READ_LIMIT_S, None, details))
    return results


CASES: Sequence[Case] = (
    Case(
        "zero_work",
        "16,000 deals at the documented limits; the portal's work costs nothing, so only requests per second count.",
        zero_work,
    ),
    Case(
        "portal_work", "16,000 deals that cost the portal work: its budget of 480 s in ten minutes counts.", portal_work
    ),
    Case("event_to_act", "From a user's act on an idle portal to the rule's.", event_to_act),
    Case("flood", "Requests of the daemon for a change of every deal, and for the echoes of an import.", flood),
    Case("together", "Three imports at once on one store, and interactive calls beside them.", together),
    Case("client_cpu", "Processor time of the command line.", client_cpu),
    Case("start_up", "Start of the command line.", start_up),
    Case("intake", "Durable events per second at the daemon's hook, the poster on the same two cores.", intake),
    Case("open_processes", "What 16,000 open processes cost while nothing happens.", open_processes),
    Case("memory", "Peak memory of the command line while it imports 100,000 deals.", memory),
    Case("recount", "The first recount of 16,000 deals, and the second run of its night.", recount),
    Case("night_memory", "Peak memory of a recount of 100,000 deals.", night_memory),
    Case("reports", "Reports on 100,000 deals.", reports),
    Case("large_files", "A CSV of a million rows planned and applied; a workbook of 100,000 rows read.", large_files),
    Case("client_groups", "1,000 companies get an extranet group each, their contacts invited.", client_groups),
)
