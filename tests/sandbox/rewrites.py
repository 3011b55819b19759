"""Updates and deletions on bad days: an import with conflict = "overwrite", and `import undo`, killed or cut off.

Both start from a portal that holds a file's deals, and deals of somebody else that nothing may touch. The sandbox says
how often each command was carried out: once for each deal, whatever happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from broken_requests import BREAKS, Place, place_of
from kills import WRITES_PER_KILL, Chain, kill_again_and_again
from rehearsal import DONE, SANDBOX_OPTIONS, SCALE, Rehearsal, Row, rows
from sandbox_process import SandboxProcess, running_sandbox

UPDATE, DELETE = "crm.item.update", "crm.item.delete"
WRITE_COST_S = 0.02
"""Wall-clock seconds: some 33 fit a third of the request cap."""
DEALS = 100
STRANGERS = 5
Job = Literal["update", "undo"]
METHOD_OF: dict[Job, str] = {"update": UPDATE, "undo": DELETE}
FAULTS = [name for name, broken in BREAKS.items() if broken.of_starts]
"""Those that do not need an answer in the order of its rows."""

OPTIONS = {
    **SANDBOX_OPTIONS,
    "costs": {UPDATE: WRITE_COST_S * SCALE, DELETE: WRITE_COST_S * SCALE},
    "seed": {
        **SANDBOX_OPTIONS["seed"],
        "items": [{"entityTypeId": 2, "fields": {"title": f"Чужая {n}"}} for n in range(STRANGERS)],
    },
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of one job under one fault, from the sandbox."""

    job: str
    fired: int
    deals: int
    carried_out: int
    duplicates: int
    wrong: int


@dataclass(slots=True)
class Rewrite:
    """A rehearsal whose deals are in the portal, and what is now done to them."""

    rehearsal: Rehearsal
    job: Job
    changed: list[Row]
    words: list[str]

    @property
    def sandbox(self) -> SandboxProcess:
        return self.rehearsal.sandbox

    def carried_out(self) -> int:
        """How often the portal carried the job's command out."""
        methods: dict[str, Any] = self.sandbox.figures()["methods"]
        return int(methods.get(METHOD_OF[self.job], {}).get("ok", 0))

    def wrong(self) -> int:
        """Deals that are not as the job should have left them."""
        held = self.sandbox.state("items", entityTypeId=2, select="originId,title,opportunity")
        strangers = [deal for deal in held if not deal["originId"]]
        ours = {deal["originId"]: (deal["title"], float(deal["opportunity"])) for deal in held if deal["originId"]}
        wanted = {row.key: (row.title, float(row.amount)) for row in self.changed}
        keys = wanted.keys() | ours.keys()
        return sum(ours.get(key) != wanted.get(key) for key in keys) + abs(len(strangers) - STRANGERS)

    def assert_done(self, count: int) -> None:
        """Every deal is as it should be, by exactly one command."""
        assert self.sandbox.wait_idle()
        assert (self.wrong(), self.carried_out()) == (0, count)
        figures = self.sandbox.figures()
        assert figures["duplicates_total"] == 0
        assert figures["internal_errors"] == 0, figures["internal_errors_texts"]


@contextmanager
def rewriting(folder: Path, job: Job, count: int) -> Iterator[Rewrite]:
    """A portal with `count` deals of ours, ready for the job."""
    with running_sandbox(**OPTIONS) as sandbox:
        planned = rows(count)
        rehearsal = Rehearsal(folder, sandbox, planned=planned)
        first = rehearsal.run_import()
        assert first.code == DONE, first
        if job == "undo":
            yield Rewrite(rehearsal, job, [], ["import", "undo", str(first.result["run"]), "--yes", "--json"])
            return
        text = rehearsal.config.read_text(encoding="utf-8")
        overwrite = '[import]\nconflict = "overwrite"\nmax_change_share = 1.0\n'
        rehearsal.config.write_text(text.replace("[import]\n", overwrite), encoding="utf-8")
        changed = [replace(row, title=f"{row.title}, иначе", amount=str(2 * int(row.amount))) for row in planned]
        file = rehearsal.write_file("changed.csv", changed)
        yield Rewrite(rehearsal, job, changed, rehearsal.import_words(file=file))


def kill_rewrites(folder: Path, *, job: Job, seed: int, kills: int) -> Chain:
    """Kill the job `kills` times, run it to its end, judge. Raises AssertionError that names the chain."""
    count = WRITES_PER_KILL * kills
    chain = Chain(job, seed, count)
    with rewriting(folder, job, count) as rewrite:
        try:
            start = partial(rewrite.rehearsal.start, *rewrite.words)
            kill_again_and_again(start, chain, kills, rewrite.carried_out)
            ended = rewrite.rehearsal.run(*rewrite.words)
            assert ended.code == DONE, ended
            rewrite.assert_done(count)
            _assert_quiet(rewrite)
        except AssertionError as error:
            error.add_note(f"{chain}")
            raise
        chain.held = rewrite.carried_out()
        chain.duplicates = rewrite.carried_out() - count
        chain.lost = rewrite.wrong()
    return chain


def break_rewrite(folder: Path, *, job: Job, fault: str, place: Place, requests: int) -> Verdict:
    """Run the job under a fault, and once more. Raises AssertionError that names both."""
    broken = BREAKS[fault]
    with rewriting(folder, job, DEALS) as rewrite:
        sandbox = rewrite.sandbox
        sandbox.fault(broken.kind, METHOD_OF[job], nth=place_of(place, requests), params=dict(broken.params))
        try:
            ended = rewrite.rehearsal.run(*rewrite.words)
            fired = [one["fired"] for one in sandbox.faults()]
            assert fired == [1], f"the fault did not bite\n{ended}"
            assert ended.code == DONE, ended
            rewrite.assert_done(DEALS)
            _assert_quiet(rewrite)
        except AssertionError as error:
            error.add_note(f"{job}: {fault} at the {place} request")
            raise
        figures = sandbox.figures()
        return Verdict(
            f"{job}: {fault} at the {place} request",
            sum(fired),
            figures["items"]["DEAL"],
            rewrite.carried_out(),
            figures["duplicates_total"],
            rewrite.wrong(),
        )


def calm_requests(folder: Path, job: Job) -> int:
    """How many requests the job takes when nothing goes wrong."""
    with rewriting(folder, job, DEALS) as rewrite:
        ended = rewrite.rehearsal.run(*rewrite.words)
        assert ended.code == DONE, ended
        rewrite.assert_done(DEALS)
        return len(rewrite.sandbox.calls(method=METHOD_OF[job]))


def _assert_quiet(rewrite: Rewrite) -> None:
    """Once more: nothing is left to do."""
    before = rewrite.carried_out()
    seen = rewrite.rehearsal.last_call()
    rewrite.rehearsal.run(*rewrite.words)
    assert rewrite.sandbox.calls(since=seen) or rewrite.job == "undo", "the last run asked nothing"
    assert rewrite.sandbox.calls(since=seen, method=METHOD_OF[rewrite.job]) == []
    assert rewrite.carried_out() == before


Play = Callable[[Path], Verdict]


def every_play(calm: dict[Job, int], faults: list[str], places: tuple[Place, ...]) -> Iterator[Play]:
    """Every job under every fault at every place, to be called with a folder of its own."""
    for job, requests in calm.items():
        for fault in faults:
            for place in places:
                yield partial(break_rewrite, job=job, fault=fault, place=place, requests=requests)
