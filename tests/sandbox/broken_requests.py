"""What can go wrong with one request, and a job that meets it: an import, or the workflow starts of deals.

Every job is run two times with the same command and judged by the sandbox: each deal once, each workflow once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rehearsal import (
    DONE,
    IMPORTS,
    SANDBOX_OPTIONS,
    STARTS,
    UNKNOWN_LEFT,
    Ended,
    Rehearsal,
    assert_each_deal_once,
    assert_each_workflow_once,
    rows,
    seed_with,
)
from sandbox_process import SandboxProcess, running_sandbox

Place = Literal["first", "middle", "last"]
DEALS = 120


@dataclass(frozen=True, slots=True)
class Break:
    """A fault of the sandbox. `proven`: its answer, or the lack of one, tells whether it was executed."""

    kind: str
    proven: bool
    params: Mapping[str, Any] = field(default_factory=dict)
    of_starts: bool = True
    """Whether a request of workflow starts can meet it too."""
    kin: bool = False
    """Left to the long tests: it differs from another one in a shade only."""


BREAKS: dict[str, Break] = {
    "refused before": Break("refuse", proven=True),
    "cut before": Break("cut_before", proven=False),
    "cut after commit": Break("cut_after", proven=False),
    "cut in the middle": Break("cut_middle", proven=False),
    "late": Break("late", proven=False, params={"after_s": 1.2}),
    "hang before": Break("hang_before", proven=False, kin=True),
    "hang after commit": Break("hang_after", proven=False),
    "over the request cap": Break("slow", proven=False, params={"after_s": 1.995}, kin=True),
    "HTML 502": Break("html_502", proven=False),
    "HTML 503, not executed": Break("html_503", proven=False),
    "HTML 503, executed": Break("html_503", proven=False, params={"executed": True}),
    "error 500, executed": Break("error_500", proven=False, params={"executed": True}, kin=True),
    "nested OPERATION_TIME_LIMIT": Break("nested_429", proven=True),
    "truncated JSON": Break("truncate", proven=False),
    "truncated JSON, short read": Break("truncate", proven=False, params={"short_read": True}, kin=True),
    "redirect": Break("redirect", proven=True),
    "wrong length": Break("wrong_length", proven=True, of_starts=False),
    "shuffled items": Break("shuffle_items", proven=True, of_starts=False),
}


@dataclass(frozen=True, slots=True)
class Import:
    """An import whose first, middle or last request meets a fault."""

    fault: str
    way: str
    created_time: bool
    place: Place = "middle"

    def __str__(self) -> str:
        dates = "with" if self.created_time else "without"
        return f"import, {self.way}, {dates} created_time: {self.fault} at the {self.place} request"

    @property
    def applies(self) -> bool:
        """Only batchImport answers rows by their position."""
        return BREAKS[self.fault].of_starts or self.way == "batch_import"


@dataclass(frozen=True, slots=True)
class Starts:
    """Workflow starts of three templates, of which the first, the last or three middle requests meet a fault."""

    fault: str
    place: Place = "middle"

    def __str__(self) -> str:
        return f"workflow starts: {self.fault} at the {self.place} request"

    @property
    def applies(self) -> bool:
        return BREAKS[self.fault].of_starts


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of one job, all but the last from the sandbox."""

    job: str
    fired: int
    deals: int
    duplicates: int
    lost: int
    workflows: int = 0
    started_twice: int = 0
    left_unknown: int = 0


Calm = Mapping[str, int]
"""How many requests a job takes when nothing goes wrong, by way of import, and by STARTS."""


def place_of(place: Place, requests: int) -> int:
    """Which request it is, counted from 1."""
    return {"first": 1, "middle": (requests + 1) // 2, "last": requests}[place]


# -- imports --------------------------------------------------------------------------------------------


class FewerRequests(AssertionError):
    """The job took fewer requests than it does in calm: how large they are goes by the pace of a busy machine."""

    def __init__(self, requests: int, ended: Ended) -> None:
        super().__init__(f"the fault did not bite in {requests} requests\n{ended}")
        self.requests = requests


def play_import(job: Import, folder: Path, calm: Calm) -> Verdict:
    """Import a file under a fault and judge. Raises AssertionError that names the job."""
    try:
        return _play_import(job, folder, calm)
    except FewerRequests as fewer:
        if job.place != "last":
            raise
        return _play_import(job, folder / "again", {**calm, job.way: fewer.requests})


def _play_import(job: Import, folder: Path, calm: Calm) -> Verdict:
    broken = BREAKS[job.fault]
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=rows(DEALS), way=job.way, history=job.created_time)
        nth = place_of(job.place, calm[job.way])
        sandbox.fault(broken.kind, IMPORTS, nth=nth, params=dict(broken.params))
        try:
            first, second = _run_twice(rehearsal, rehearsal.import_words(), fired=1)
            assert (first.code, second.code) == (DONE, DONE), f"{first}\n{second}"
            assert_each_deal_once(rehearsal)
        except AssertionError as error:
            error.add_note(str(job))
            raise
        return _verdict(str(job), rehearsal)


def calm_import(way: str, folder: Path) -> int:
    """How many requests write when nothing goes wrong."""
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=rows(DEALS), way=way)
        ended = rehearsal.run_import()
        assert ended.code == DONE, ended
        assert_each_deal_once(rehearsal)
        return len(sandbox.calls(method=IMPORTS))


# -- workflow starts ------------------------------------------------------------------------------------


def play_starts(job: Starts, folder: Path, calm: Calm) -> Verdict:
    """Start workflows under a fault and judge. Raises AssertionError that names the job."""
    broken = BREAKS[job.fault]
    planned = rows(DEALS)
    with running_sandbox(**{**SANDBOX_OPTIONS, "seed": seed_with(planned)}) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=planned)
        fired = _arm_starts(sandbox, broken, job.place, calm[STARTS])
        try:
            first, second = _run_twice(rehearsal, STARTS_WORDS, fired=fired)
            left = assert_each_workflow_once(rehearsal)
            assert left == 0 if broken.proven else left > 0 or job.place == "first"
            expected = UNKNOWN_LEFT if left else DONE
            assert (first.code, second.code) == (expected, expected), f"{first}\n{second}"
            assert second.result["unknown"] == left
            assert ("they are not restarted" in second.stderr) == (left > 0), second
        except AssertionError as error:
            error.add_note(str(job))
            raise
        return _verdict(str(job), rehearsal, left=left)


STARTS_WORDS = ["workflows", "start", "--all", "--json"]


def _arm_starts(sandbox: SandboxProcess, broken: Break, place: Place, requests: int) -> int:
    """Arm the fault; returns how often it is to fire.

    The middle: the 3rd request holds starts that wait and starts that leave a trace, the 6th the first start of the
    template that ends at once, sent alone because nothing is known of it, the 9th some more of those.
    """
    more: dict[str, int] = {"every": 3, "count": 3} if place == "middle" and broken.kind != "nested_429" else {}
    nth = 3 if place == "middle" else place_of(place, requests)
    sandbox.fault(broken.kind, STARTS, nth=nth, params=dict(broken.params), **more)
    return more.get("count", 1)


def calm_starts(folder: Path) -> int:
    """How many requests start workflows when nothing goes wrong."""
    planned = rows(DEALS)
    with running_sandbox(**{**SANDBOX_OPTIONS, "seed": seed_with(planned)}) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=planned)
        ended = rehearsal.run(*STARTS_WORDS)
        assert ended.code == DONE, ended
        assert assert_each_workflow_once(rehearsal) == 0
        return len(sandbox.calls(method=STARTS))


# -- both -----------------------------------------------------------------------------------------------


def _run_twice(rehearsal: Rehearsal, words: list[str], *, fired: int) -> tuple[Ended, Ended]:
    """The same command two times. The fault bit in the first run; the second had nothing left to write."""
    sandbox = rehearsal.sandbox
    first = rehearsal.run(*words)
    if not any(fault["fired"] for fault in sandbox.faults()):
        raise FewerRequests(len(rehearsal.write_calls()), first)
    assert [fault["fired"] for fault in sandbox.faults()] == [fired], f"the fault did not bite\n{first}"
    seen = rehearsal.last_call()
    second = rehearsal.run(*words)
    assert sandbox.calls(since=seen), "the second run asked nothing"
    assert rehearsal.write_calls(seen) == [], "the second run wrote something"
    return first, second


def _verdict(job: str, rehearsal: Rehearsal, *, left: int = 0) -> Verdict:
    sandbox = rehearsal.sandbox
    figures = sandbox.figures()
    assert figures["internal_errors"] == 0, figures["internal_errors_texts"]
    assert figures["variables_dropped"] == figures["spec_violations"] == 0
    return Verdict(
        job=job,
        fired=sum(fault["fired"] for fault in sandbox.faults()),
        deals=figures["items"]["DEAL"],
        duplicates=figures["duplicates"]["DEAL"],
        lost=len({row.key for row in rehearsal.planned} - set(rehearsal.held())),
        workflows=figures["workflows"]["started"],
        started_twice=figures["workflows"]["surplus_starts"],
        left_unknown=left,
    )
