"""What can go wrong with one request, and one import with workflow starts that meets it twice.

Every scenario runs the same command two times and judges by the sandbox: each deal once, each workflow once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rehearsal import (
    DONE,
    SANDBOX_OPTIONS,
    UNKNOWN_LEFT,
    Ended,
    Rehearsal,
    assert_each_deal_once,
    assert_workflows,
    rows,
)
from sandbox_process import SandboxProcess, running_sandbox

Place = Literal["first", "middle", "last"]
Proof = Literal["not executed", "answered", "none"]
"""What the client can know: proven not executed; executed and answered; or nothing at all."""

DEALS = 120


@dataclass(frozen=True, slots=True)
class Break:
    """A fault of the sandbox. `proof` is what a client can tell of a workflow start that met it."""

    kind: str
    proof: Proof
    params: Mapping[str, Any] = field(default_factory=dict)
    of_starts: bool = True
    """Whether a request of workflow starts can meet it too."""


BREAKS: dict[str, Break] = {
    "refused before": Break("refuse", "not executed"),
    "cut before": Break("cut_before", "none"),
    "cut after commit": Break("cut_after", "none"),
    "cut in the middle": Break("cut_middle", "none"),
    "late": Break("late", "none", {"after_s": 1.2}),
    "hang before": Break("hang_before", "none"),
    "hang after commit": Break("hang_after", "none"),
    "over the request cap": Break("slow", "none", {"after_s": 1.9}),
    "HTML 502": Break("html_502", "none"),
    "HTML 503, not executed": Break("html_503", "none"),
    "HTML 503, executed": Break("html_503", "none", {"executed": True}),
    "error 500, executed": Break("error_500", "none", {"executed": True}),
    "nested OPERATION_TIME_LIMIT": Break("nested_429", "not executed"),
    "truncated JSON": Break("truncate", "none"),
    "truncated JSON, short read": Break("truncate", "none", {"short_read": True}),
    "redirect": Break("redirect", "not executed"),
    "wrong length": Break("wrong_length", "answered", of_starts=False),
    "shuffled items": Break("shuffle_items", "answered", {}, of_starts=False),
}

WRITES, STARTS = "import", "workflow.start"
"""Parts of the names of the methods that write."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault in one way of importing, at one request of the import and one of the workflow starts."""

    name: str
    way: str
    history: bool
    place: Place = "middle"

    def __str__(self) -> str:
        return f"{self.name}, {self.way}, {'with' if self.history else 'without'} created_time, {self.place} request"

    @property
    def applies(self) -> bool:
        """Only batchImport answers rows by their position."""
        return BREAKS[self.name].of_starts or self.way == "batch_import"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of one scenario, all of them from the sandbox."""

    name: str
    way: str
    created_time: bool
    place: str
    fired_in_import: int
    fired_in_starts: int
    deals: int
    duplicates: int
    lost: int
    workflows: int
    started_twice: int
    left_unknown: int


def play(scenario: Scenario, folder: Path, *, calm: Mapping[str, int]) -> Verdict:
    """Run the scenario and judge it. `calm`: how many requests of each kind a calm day takes.

    Raises AssertionError naming the scenario.
    """
    broken = BREAKS[scenario.name]
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=rows(DEALS), way=scenario.way, history=scenario.history)
        arm(sandbox, broken, WRITES, place_of(scenario.place, calm[f"{scenario.way} {WRITES}"]))
        if broken.of_starts:
            arm(sandbox, broken, STARTS, place_of(scenario.place, calm[f"{scenario.way} {STARTS}"]))
        try:
            return judge(scenario, rehearsal)
        except AssertionError as error:
            error.add_note(str(scenario))
            raise


def arm(sandbox: SandboxProcess, broken: Break, method: str, nth: int) -> None:
    """Arm one fault for the nth request of a kind."""
    sandbox.fault(broken.kind, method, nth=nth, params=dict(broken.params))


def place_of(place: Place, requests: int) -> int:
    """Which request it is, counted from 1."""
    return {"first": 1, "middle": (requests + 1) // 2, "last": requests}[place]


def judge(scenario: Scenario, rehearsal: Rehearsal) -> Verdict:
    """Two runs of the same command; everything that must hold afterwards."""
    sandbox, broken = rehearsal.sandbox, BREAKS[scenario.name]
    first = rehearsal.run_import("--workflows")
    fired = [fault["fired"] for fault in sandbox.faults()]
    assert all(count == 1 for count in fired), f"did not bite: {fired}\n{first}"
    assert sandbox.wait_idle()
    seen = len(sandbox.calls())
    second = rehearsal.run_import("--workflows")
    assert second.code in (DONE, UNKNOWN_LEFT), second
    assert_each_deal_once(rehearsal)
    assert_workflows(rehearsal, unknown=None)
    left = left_unknown(rehearsal)
    assert_told(broken, first, second, left, after_first=seen, rehearsal=rehearsal)
    figures = sandbox.figures()
    assert figures["internal_errors"] == 0, figures["internal_errors_texts"]
    return Verdict(
        name=scenario.name,
        way=scenario.way,
        created_time=scenario.history,
        place=scenario.place,
        fired_in_import=fired[0],
        fired_in_starts=sum(fired[1:]),
        deals=figures["items"]["DEAL"],
        duplicates=figures["duplicates"]["DEAL"],
        lost=DEALS - len(rehearsal.held()),
        workflows=figures["workflows"]["started"],
        started_twice=figures["workflows"]["surplus_starts"],
        left_unknown=left,
    )


def left_unknown(rehearsal: Rehearsal) -> int:
    """Starts that the store lists as unknown."""
    return sum(state == "unknown" for state, _ in rehearsal.ledger("workflow").values())


def assert_told(
    broken: Break, first: Ended, second: Ended, left: int, *, after_first: int, rehearsal: Rehearsal
) -> None:
    """Exit codes and words fit; the second run sent no write, since the first had settled everything it can."""
    if broken.proof != "none":
        assert left == 0
    expected = UNKNOWN_LEFT if left else DONE
    assert (first.code, second.code) == (expected, expected), f"{first}\n{second}"
    assert ("they are not restarted" in second.stderr) == (left > 0), second
    later = rehearsal.sandbox.calls()[after_first:]
    assert later, "the second run asked nothing"
    names = {nested[1] for call in later for nested in call["nested"]}
    assert not [name for name in names if WRITES in name.lower() or STARTS in name], names


def calm_day(folder: Path, way: str) -> dict[str, int]:
    """How many requests an import and its workflow starts take when nothing goes wrong."""
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=rows(DEALS), way=way)
        ended = rehearsal.run_import("--workflows")
        assert ended.code == DONE, ended
        assert_each_deal_once(rehearsal)
        assert_workflows(rehearsal)
        return {f"{way} {method}": len(sandbox.calls(method=method)) for method in (WRITES, STARTS)}


def as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict for docs/reliability."""
    return asdict(verdict)
