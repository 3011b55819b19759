"""The demo with somebody's own files: a fresh sandbox made to fit their mappings, a kill, a resume, the figures."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo_stage import TYPE_IDS, TYPE_NAMES, Stage
from subprocesses import Failed

WORTH_A_KILL_ROWS = 100
"""Smaller imports are over before anybody could interrupt them."""
PEOPLE_FIELDS = ("assigned_by", "created_by", "updated_by", "moved_by", "observers")


@dataclass(frozen=True, slots=True)
class Pair:
    """A file and its mapping."""

    file: Path
    mapping: Path

    def read(self) -> dict[str, Any]:
        """The mapping as TOML; b24sync itself says what is wrong with it. Raises Failed."""
        try:
            return tomllib.loads(self.mapping.read_text(encoding="utf-8-sig"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise Failed(f"{self.mapping} is no TOML: {error}") from error


class OwnFiles:
    """Imports each pair in the order given; the last one is killed in the middle where it is large enough."""

    def __init__(self, folder: Path, scale: float, pairs: Sequence[Pair], blueprint: Path | None) -> None:
        self._stage = Stage(folder, scale)
        self._pairs = [Pair(pair.file.resolve(), pair.mapping.resolve()) for pair in pairs]
        self._blueprint = blueprint.resolve() if blueprint else self._beside()
        self._created: dict[str, set[str]] = {}
        self._untold = 0

    def _beside(self) -> Path | None:
        """blueprint.toml in the folder of a mapping."""
        found = (pair.mapping.parent / "blueprint.toml" for pair in self._pairs)
        return next((path for path in found if path.is_file()), None)

    def play(self) -> int:
        """Everything; the exit code. Raises Failed."""
        stage = self._stage
        stage.empty_folder()
        mappings = [pair.read() for pair in self._pairs]
        seed = {"users": people_of(mappings), "types": types_of(mappings)}
        with stage.portal('[store]\nurl = "sqlite:///b24sync.db"\n', seed):
            with stage.step("A portal", "A sandbox stands in for Bitrix24: real HTTP, its documented limits."):
                stage.tell_scale()
                if seed["users"]:
                    stage.say(f"   It knows the {len(seed['users'])} people whom the mapping names by e-mail.")
            self._provision()
            for pair, mapping in zip(self._pairs, mappings, strict=True):
                self._import(pair, str(mapping.get("entity", "")), last=pair is self._pairs[-1])
            self._judge(mappings)
        return stage.verdict()

    def _provision(self) -> None:
        stage = self._stage
        if self._blueprint is None:
            stage.say("\n   No blueprint is given, and no blueprint.toml lies beside a mapping: the portal stays bare.")
            return
        with stage.step("Fields and stages", "The blueprint names what the file needs; what is absent is made."):
            stage.run("portal", "apply", "--blueprint", self._blueprint, "--yes")

    def _import(self, pair: Pair, entity: str, *, last: bool) -> None:
        stage = self._stage
        with stage.step(f"What would happen: {pair.file.name}", "The plan; nothing is written."):
            words = ("import", "run", pair.file, "--mapping", pair.mapping)
            planned = stage.run(*words, "--dry-run", "--json").answer["not_sent"]
            stage.say(f"   -> {planned:,} rows would be created")
        if last and planned >= WORTH_A_KILL_ROWS and entity in TYPE_NAMES:
            with stage.step("The import, killed in the middle", "kill -9: nothing can be tidied up or saved."):
                there = stage.count(TYPE_NAMES[entity])
                if not stage.kill_in_the_middle(pair.file, pair.mapping, TYPE_NAMES[entity], there + planned // 2):
                    stage.say("   It was over before it could be killed.")
        with stage.step(f"Import: {pair.file.name}", "After an interruption the same command goes on."):
            answer = stage.run_import(pair.file, pair.mapping, again=True)
        with stage.step("The fate of every row", "Created, or refused with its reason."):
            fates = stage.fates(answer["run"], f"{pair.file.stem}-fates.csv")
            counts = Counter(fate["state"] for fate in fates)
            stage.say("   " + ", ".join(f"{count:,} {state}" for state, count in counts.items()))
            stage.show_refused(fates)
        made = {fate["key"] for fate in fates if fate["state"] in ("created", "skipped")}
        self._created.setdefault(entity, set()).update(made)
        self._untold += answer["rows"] - counts["created"] - counts["skipped"] - counts["refused"]

    def _judge(self, mappings: Sequence[Mapping[str, Any]]) -> None:
        stage = self._stage
        stage.sandbox.wait_idle()
        with stage.step("Promises", "Read from the sandbox's ledger and state, not from what b24sync says."):
            figures = stage.sandbox.figures()
            stage.say(f"     {figures['requests']:,} requests")
            stage.promise("requests refused for their rate (503)", figures["refused_503"], 0)
            stage.promise("commands refused for the method's budget (429)", figures["refused_429"], 0)
            stage.promise("duplicates", figures["duplicates_total"], 0)
            stage.promise("rows without a clear fate", self._untold, 0)
            originators = {str(mapping.get("originator", "")) for mapping in mappings}
            for entity, keys in self._created.items():
                if entity not in TYPE_IDS:
                    continue
                pairs = stage.sandbox.state("origin_pairs", entityTypeId=TYPE_IDS[entity])
                held = {origin for originator, origin, _ in pairs if originator in originators}
                stage.promise(f"{entity}: rows told as created, and in the portal", len(keys & held), len(keys))
                stage.promise(f"{entity}: in the portal, but not told", len(held - keys), 0)


def people_of(mappings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Users for the sandbox's seed: everybody whom a mapping names by e-mail in a column of people."""
    mails: dict[str, None] = {}
    for mapping in mappings:
        columns = mapping.get("columns")
        for column in columns.values() if isinstance(columns, Mapping) else ():
            if isinstance(column, Mapping) and column.get("field") in PEOPLE_FIELDS:
                map_to = column.get("map")
                named = [column.get("default"), *(map_to.values() if isinstance(map_to, Mapping) else ())]
                mails.update((name, None) for name in named if isinstance(name, str) and "@" in name)
    return [
        {"ID": 100 + number, "NAME": mail.partition("@")[0], "LAST_NAME": "", "EMAIL": mail}
        for number, mail in enumerate(mails)
    ]


def types_of(mappings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Smart processes for the sandbox's seed: each `item:<entityTypeId>` of a mapping."""
    numbers = dict.fromkeys(
        str(mapping.get("entity", "")).removeprefix("item:")
        for mapping in mappings
        if str(mapping.get("entity", "")).startswith("item:")
    )
    return [
        {"title": f"Смарт-процесс {number}", "entityTypeId": int(number), "isStagesEnabled": "Y"}
        for number in numbers
        if number.isdigit()
    ]
