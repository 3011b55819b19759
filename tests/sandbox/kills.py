"""A command that is killed (`kill -9`) again and again at random moments, and run once more to its end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from rehearsal import (
    DONE,
    SANDBOX_OPTIONS,
    STAGE_OF,
    UNKNOWN_LEFT,
    Rehearsal,
    Row,
    Running,
    assert_each_deal_once,
    assert_each_workflow_once,
    rows,
    seed_with,
)
from sandbox_process import running_sandbox

WRITES_PER_KILL = 60
"""Writes that are planned for each kill: enough that some are left whenever a slow machine kills late."""
WRITES_BEFORE_KILL = 20
"""A kill comes once its run has added at least one and at most that many to what the portal held."""
LONGEST_WAIT_S = 0.4
"""Then it waits up to that long, so that it falls anywhere in a request or between two."""
EARLY_SHARE = 0.2
"""Of the kills: any time from the process's first moment on, so also while it reads, looks up, plans."""
EARLY_WAIT_S = 2.0
FIRST_WRITE_TIMEOUT_S = 40.0
POLL_S = 0.02
PLAYS = 3


@dataclass(slots=True)
class Kill:
    """One kill: what the sandbox held at that moment, and for how long the process had lived."""

    held: int
    lived_s: float


@dataclass(slots=True)
class Chain:
    """A command killed several times. Counts are the sandbox's; `left_unknown` are starts nobody can tell of."""

    job: str
    seed: int
    planned: int
    kills: list[Kill] = field(default_factory=list)
    ended_before: int = 0
    """Runs that had come to their end before their moment came."""
    held: int = 0
    duplicates: int = 0
    lost: int = 0
    left_unknown: int = 0

    @property
    def between(self) -> int:
        """Kills that fell between the first and the last row."""
        return sum(0 < kill.held < self.planned for kill in self.kills)


def kill_imports(folder: Path, *, way: str, created_time: bool, seed: int, kills: int) -> Chain:
    """Kill an import `kills` times, run it to its end, judge. Raises AssertionError that names the chain."""
    planned = rows(WRITES_PER_KILL * kills)
    dates = "with" if created_time else "without"
    chain = Chain(f"import, {way}, {dates} created_time", seed, len(planned))
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=planned, way=way, history=created_time)
        words = rehearsal.import_words()
        try:
            kill_again_and_again(partial(rehearsal.start, *words), chain, kills, rehearsal.count_held)
            ended = rehearsal.run(*words)
            assert ended.code == DONE, ended
            assert_each_deal_once(rehearsal)
            _assert_quiet(rehearsal, words)
        except AssertionError as error:
            error.add_note(f"{chain}")
            raise
        chain.held = rehearsal.count_held()
        chain.duplicates = sandbox.figures()["duplicates"]["DEAL"]
        chain.lost = len({row.key for row in planned} - set(rehearsal.held()))
    return chain


def kill_starts(folder: Path, *, seed: int, kills: int) -> Chain:
    """Kill `workflows start` `kills` times, run it to its end, judge. Raises AssertionError that names the chain.

    Which template comes first goes by the seed, so that kills meet those that wait, leave a trace and end at once.
    """
    planned = rows(WRITES_PER_KILL * kills)
    templates = [*STAGE_OF, *STAGE_OF][seed % 3 :][:3]
    chain = Chain(f"workflow starts: {', '.join(templates)}", seed, len(planned))
    with running_sandbox(**{**SANDBOX_OPTIONS, "seed": seed_with(planned), "costs": START_COSTS}) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=planned, templates=templates)
        words = ["workflows", "start", "--all", "--json"]
        try:
            kill_again_and_again(partial(rehearsal.start, *words), chain, kills, rehearsal.count_started)
            ended = rehearsal.run(*words)
            chain.left_unknown = assert_each_workflow_once(rehearsal)
            assert ended.code == (UNKNOWN_LEFT if chain.left_unknown else DONE), ended
            assert ended.result["unknown"] == chain.left_unknown
            _assert_quiet(rehearsal, words)
        except AssertionError as error:
            error.add_note(f"{chain}")
            raise
        chain.held = rehearsal.count_started()
        chain.duplicates = sandbox.figures()["workflows"]["surplus_starts"]
        chain.lost = len(planned) - chain.left_unknown - _known_started(rehearsal, planned)
    return chain


START_COSTS = {"bizproc.workflow.start": 0.02 * float(SANDBOX_OPTIONS["scale"])}


def _known_started(rehearsal: Rehearsal, planned: list[Row]) -> int:
    """Deals that the store calls started and the sandbox has one workflow of."""
    started = {deal for _, deal, _ in rehearsal.starts()}
    done = {int(key.split("/")[0]) for key, (state, _) in rehearsal.ledger("workflow").items() if state == "done"}
    return len(started & done & {ids[0] for ids in rehearsal.held().values()})


def kill_again_and_again(start: Callable[[], Running], chain: Chain, kills: int, count: Callable[[], int]) -> None:
    """Start a command and kill it, until it was killed `kills` times or nothing is left to write.

    The moment goes by what the portal holds, not by the clock alone: a busy machine is slow in both.
    """
    chance = random.Random(chain.seed)
    while len(chain.kills) < kills and chain.ended_before < 2:
        early = chance.random() < EARLY_SHARE
        wait_s = chance.uniform(0.0, EARLY_WAIT_S if early else LONGEST_WAIT_S)
        enough = count() + chance.randint(1, WRITES_BEFORE_KILL)
        began = time.monotonic()
        running = start()
        if not early:
            while count() < enough and running.alive and time.monotonic() - began < FIRST_WRITE_TIMEOUT_S:
                time.sleep(POLL_S)
        time.sleep(wait_s)
        held = count()
        if running.kill():
            chain.kills.append(Kill(held, round(time.monotonic() - began, 2)))
        else:
            chain.ended_before += 1


Played = TypeVar("Played")


def until_it_bites(play: Callable[[Path], Played], folder: Path, bit: Callable[[Played], bool]) -> Played:
    """Play it, with a folder of its own each time, until its kills fell where they were to fall; three times at most.

    A machine that stands still for seconds, the tests and not the command, kills when all is written. What a play
    itself asserts holds each time.
    """
    for attempt in range(PLAYS):
        played = play(folder / str(attempt))
        if bit(played):
            break
    return played


def _assert_quiet(rehearsal: Rehearsal, words: list[str]) -> None:
    """Once more: nothing is left to write."""
    seen = rehearsal.last_call()
    rehearsal.run(*words)
    assert rehearsal.sandbox.calls(since=seen), "the last run asked nothing"
    assert rehearsal.write_calls(seen) == [], "the last run wrote something"
