"""What every demo does: a fresh folder, a sandbox, a configuration, steps that are explained and timed, promises."""

from __future__ import annotations

import csv
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from subprocesses import PROJECT, Command, Connector, Failed, Finished, Sandbox, running_sandbox

MARKER = ".b24sync-demo"
"""Marks a folder as ours to empty."""
COST_S = 0.1
"""Portal work per imported row or workflow start, at the dear end of what portals show (0 to 0.1 s per deal)."""
METHODS_WITH_COST = ("crm.item.batchImport", "crm.item.import", "bizproc.workflow.start")
WATCH_S = 0.05
TELL_EVERY_S = 5.0
REFUSED_EXIT = 3
TYPE_NAMES: Mapping[str, str] = {"deal": "DEAL", "contact": "CONTACT", "company": "COMPANY", "lead": "LEAD"}
TYPE_IDS: Mapping[str, int] = {"lead": 1, "deal": 2, "contact": 3, "company": 4}


class Stage:
    """One demo's folder, sandbox and command line, and the list of its promises."""

    def __init__(self, folder: Path, scale: float, cost_s: float = COST_S) -> None:
        self.folder = folder
        self.scale = scale
        self._cost_s = cost_s
        self.broken: list[str] = []
        self._step = 0
        self._reasons_told = False
        self._began = time.perf_counter()
        self.sandbox: Sandbox
        self.connector: Connector

    # -- telling ----------------------------------------------------------------------------------

    def say(self, text: str = "") -> None:
        """A line for the person who watches."""
        print(text, flush=True)

    def _relay(self, line: str) -> None:
        if not (self._reasons_told and line.startswith("  line ")):
            self.say(f"    {line}")

    @contextmanager
    def step(self, title: str, why: str) -> Iterator[None]:
        """A numbered, explained, timed step."""
        self._step += 1
        self.say(f"\n{self._step}. {title}")
        self.say(f"   {why}")
        began = time.perf_counter()
        yield
        self.say(f"   ({time.perf_counter() - began:.1f} s)")

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began

    # -- the portal -------------------------------------------------------------------------------

    def empty_folder(self) -> None:
        """Empty the demo's folder; a folder that no demo made is left alone. Raises Failed."""
        if self.folder.exists():
            ours = (self.folder / MARKER).exists() or not any(self.folder.iterdir())
            if not ours:
                raise Failed(f"{self.folder} holds files that no demo made: name another folder with --out")
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        (self.folder / MARKER).touch()

    @contextmanager
    def portal(self, config: str, seed: Mapping[str, Any] | None = None) -> Iterator[None]:
        """A fresh sandbox and a config.toml for it; `config` is appended to the sandbox's own block."""
        costs = dict.fromkeys(METHODS_WITH_COST, self._cost_s)
        with running_sandbox(self.folder, scale=self.scale, costs=costs, seed=seed) as sandbox:
            self.sandbox = sandbox
            path = self.folder / "config.toml"
            path.write_text(f"{sandbox.toml_block}\n\n{config}", encoding="utf-8")
            self.connector = Connector(path, self._relay)
            yield

    def use(self, config: Path) -> None:
        """Commands read this configuration from now on."""
        self.connector = Connector(config, self._relay)

    def tell_scale(self) -> None:
        """What the scale means in this run."""
        scale = self.scale
        self.say(
            f"   The sandbox runs at --scale {scale:g}: {2 * scale:g} requests per second instead of 2, "
            f"{480 / scale:g} s of portal work per {600 / scale:g} s"
        )
        self.say(
            f"   instead of 480 s per 10 minutes, and {self._cost_s:g} s of work per row become "
            f"{self._cost_s / scale * 1000:.2g} ms. A second here is {scale:g} s of a real portal."
        )

    # -- the command line -------------------------------------------------------------------------

    def show_command(self, words: Sequence[str | Path]) -> None:
        self.say(f"   $ b24sync {shlex.join(_short(word) for word in words)}")

    def run(self, *words: str | Path, ends: Sequence[int] = (0,)) -> Finished:
        """Show and run a command of b24sync. Raises Failed unless its exit code is one of `ends`."""
        self.show_command(words)
        finished = self.connector.run(*words)
        if finished.answer is None:
            for line in finished.printed:
                self._relay(line)
        return self._checked(finished, ends)

    def _checked(self, finished: Finished, ends: Sequence[int]) -> Finished:
        if finished.code not in ends:
            said = "\n".join(finished.said[-15:])
            raise Failed(f"`b24sync {' '.join(finished.words)}` ended with exit code {finished.code}\n{said}")
        return finished

    def run_import(self, file: Path, mapping: Path, *, again: bool = False) -> dict[str, Any]:
        """Import a file to its end; what `--json` answered. Progress is told from the sandbox's figures.

        `again`: this file's bad rows have been told before.
        """
        words = ("import", "run", file, "--mapping", mapping, "--yes", "--json")
        self.show_command(words)
        self._reasons_told = again
        with self.connector.started(*words) as command:
            self._watch(command)
            finished = self._checked(command.finish(), (0, REFUSED_EXIT))
        self._reasons_told = False
        answer: dict[str, Any] = finished.answer
        self.say(f"   -> {told(answer)}")
        return answer

    def kill_in_the_middle(self, file: Path, mapping: Path, entity: str, at: int) -> int:
        """Start an import and kill -9 it once the sandbox holds `at` items; how many it held then. 0 = too late."""
        words = ("import", "run", file, "--mapping", mapping, "--yes", "--json")
        self.show_command(words)
        with self.connector.started(*words) as command:
            if not self._wait_for(command, entity, at):
                self._checked(command.finish(), (0, REFUSED_EXIT))
                return 0
            command.kill()
            finished = command.finish()
        self.sandbox.wait_idle()
        held = self.count(entity)
        self.say(f"   kill -9 {command.pid}: the process is gone (exit code {finished.code}).")
        self.say(f"   The portal finished the request that nobody waited for any more: it holds {held:,} of them now.")
        return held

    def _wait_for(self, command: Command, entity: str, at: int) -> bool:
        """Wait until `at` items are there and a request is being worked on; False when the command was quicker."""
        told_at = time.perf_counter()
        while not command.over():
            figures = self.sandbox.figures()
            held = figures["items"][entity]
            if held >= at and figures["in_flight"]:
                return True
            told_at = self._progress(held, told_at)
            time.sleep(WATCH_S)
        return False

    def _watch(self, command: Command) -> None:
        told_at = time.perf_counter()
        while not command.over():
            time.sleep(2 * WATCH_S)
            if time.perf_counter() - told_at >= TELL_EVERY_S:
                told_at = self._progress(sum(self.sandbox.figures()["items"].values()), told_at)

    def _progress(self, held: int, told_at: float) -> float:
        now = time.perf_counter()
        if now - told_at < TELL_EVERY_S:
            return told_at
        self.say(f"     ... the portal holds {held:,}")
        return now

    def count(self, entity: str) -> int:
        """Items of a type that the sandbox holds."""
        return int(self.sandbox.figures()["items"][entity])

    def fates(self, run_id: int, name: str) -> list[dict[str, str]]:
        """Every row's fate, from `import report`."""
        out = self.folder / name
        self.run("import", "report", str(run_id), out)
        with out.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def show_refused(self, fates: Sequence[Mapping[str, str]], most: int = 12) -> None:
        """The refused rows with their reasons."""
        refused = [fate for fate in fates if fate["state"] != "created" and fate["state"] != "skipped"]
        for fate in refused[:most]:
            key = fate["key"] or "(no key)"
            self.say(f"     line {fate['line']:>6}  {key:<10} {fate['state']}: {fate['message'][:110]}")
        if len(refused) > most:
            self.say(f"     ... and {len(refused) - most} more")

    # -- promises ---------------------------------------------------------------------------------

    def promise(self, text: str, found: object, wanted: object) -> None:
        """Check one promise and tell it."""
        kept = found == wanted
        told_found = f"{found:,}" if isinstance(found, int) else str(found)
        expected = "" if kept else f"   BROKEN: expected {wanted}"
        self.say(f"   {'kept  ' if kept else 'BROKEN'}  {text:<58} {told_found:>10}{expected}")
        if not kept:
            self.broken.append(text)

    def verdict(self) -> int:
        """The last line and the exit code."""
        self.say()
        if self.broken:
            self.say(f"BROKEN in {self.elapsed_s:.0f} s: {'; '.join(self.broken)}")
            return 1
        self.say(f"All promises kept, in {self.elapsed_s:.0f} s. What was made lies in {_short(self.folder)}.")
        return 0


def told(answer: Mapping[str, Any]) -> str:
    """`import run --json` in words."""
    names = ("created", "updated", "skipped", "refused", "unknown", "not_sent")
    counts = ", ".join(f"{answer[name]:,} {name.replace('_', ' ')}" for name in names if answer.get(name))
    return f"{answer['rows']:,} rows: {counts or 'nothing to do'}"


def _short(word: str | Path) -> str:
    """Paths inside the project as they would be typed there."""
    if isinstance(word, Path) and word.is_relative_to(PROJECT):
        return str(word.relative_to(PROJECT))
    return str(word)
