"""Deals walk about while others flood the stage history: what was entered and left is told once, whoever is late.

The oracle is the sandbox's own stage history. Between it and the dispatcher stands what a portal does on a bad day:
rows that come later than the card shows them, and answers that are refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rules_site import RulesSite
from sandbox_process import SandboxProcess, running_sandbox
from sqlalchemy import select

from b24sync.automation import dispatch
from b24sync.errors import PortalRefused
from b24sync.portal import stage_history
from b24sync.store.tables import causes

RULE = (
    'from b24sync.automation import *\np = Process("p", "deal", imported=True)\n'
    "@p.on(entered())\ndef came(deal, ctx): pass\n@p.on(left())\ndef went(deal, ctx): pass\n"
)
STAGES = ("NEW", "PREPARATION", "EXECUTING", "FINAL_INVOICE")
WALKERS, OTHERS, STEPS = 4, 60, 30
BAD_DAYS = ("rows are late", "history is refused", "history is long")


class BadHistory:
    """The stage history as the dispatcher gets it. `late_after`: rows with a higher id do not show yet."""

    def __init__(self) -> None:
        self.late_after: int | None = None
        self.refused = False
        self.bitten: Counter[str] = Counter()

    def rows_of(self, *args: Any) -> tuple[list[tuple[int, int, str]], bool]:
        rows, ended = stage_history.rows_of(*args)
        shown = list(self._shown(iter(rows)))
        return shown, ended or len(shown) < len(rows)

    def rows_after(self, *args: Any, **options: Any) -> Iterator[tuple[int, int, str]]:
        self.bitten["history is long"] += 1
        return self._shown(stage_history.rows_after(*args, **options))

    def _shown(self, rows: Iterator[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
        if self.refused:
            self.bitten["history is refused"] += 1
            raise PortalRefused(stage_history.METHOD, "ACCESS_DENIED", "")
        for row in rows:
            if self.late_after is not None and row[0] > self.late_after:
                self.bitten["rows are late"] += 1
                return
            yield row


class Walk:
    """One run of random moves, looks and bad days."""

    def __init__(self, site: RulesSite, history: BadHistory, random: Random, watched: list[int]) -> None:
        self.site, self.history, self.random = site, history, random
        self.old = frozenset(watched[:WALKERS])
        self.deals, self.others = watched[:WALKERS], watched[WALKERS:]
        self.gone: set[int] = set()

    def step(self) -> None:
        acts = [self.move] * 6 + [self.look] * 4 + [self.flood] * 2 + [self.be_late, self.refuse, self.relent]
        self.random.choice([*acts, self.add, self.delete, self.site.sweep])()

    def move(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.site.move(self.random.choice(self.deals), self.random.choice(STAGES))

    def flood(self) -> None:
        """Moves that no event tells of yet: more rows than one page has."""
        for stage in self.random.sample(STAGES, 2):
            update = f"crm.item.update?entityTypeId=2&fields[stageId]={stage}&id="
            for some in (self.others[:50], self.others[50:]):
                self.site.sandbox.rest("batch", {"cmd": {f"c{deal_id}": f"{update}{deal_id}" for deal_id in some}})

    def look(self) -> None:
        self.site.event("ONCRMDEALUPDATE", *self.random.sample([*self.deals, *self.others], self.random.randint(1, 9)))

    def add(self) -> None:
        self.deals.append(self.site.add_deal(title="Новая", stageId=self.random.choice(STAGES)))

    def delete(self) -> None:
        if len(self.deals) > 2:
            deal_id = self.deals.pop(self.random.randrange(len(self.deals)))
            self.gone.add(deal_id)
            self.site.sandbox.act("item.delete", entityTypeId=2, id=deal_id)

    def be_late(self) -> None:
        self.history.late_after = max([row_id for row_id, _, _ in self.told()], default=0)

    def refuse(self) -> None:
        self.history.refused = True

    def relent(self) -> None:
        self.history.late_after, self.history.refused = None, False

    def told(self) -> list[tuple[int, int, str]]:
        """(id, deal, stage) of the whole history, as the sandbox holds it."""
        return list(stage_history.rows_after(self.site.client, 0))

    def expected(self) -> tuple[Counter[tuple[str, int, str]], Counter[tuple[str, int, str]]]:
        """What all were to hear of walkers that are still there, and of the others."""
        stays: dict[int, list[str]] = {}
        for _, deal_id, stage in self.told():
            stays.setdefault(deal_id, []).append(stage)
        found: Counter[tuple[str, int, str]] = Counter()
        for deal_id, stages in stays.items():
            passed = [stage for stage, _ in groupby(stages)]
            is_old = deal_id in self.old or deal_id in self.others
            found.update(("entered", deal_id, stage) for stage in passed[1 if is_old else 0 :])
            found.update(("left", deal_id, stage) for stage in passed[:-1])
        return self._standing(found), found

    def _standing(self, found: Counter[tuple[str, int, str]]) -> Counter[tuple[str, int, str]]:
        return Counter({cause: count for cause, count in found.items() if cause[1] not in self.gone})

    def heard(self) -> Counter[tuple[str, int, str]]:
        with self.site.store.read() as connection:
            rows = connection.execute(select(causes).where(causes.c.kind.in_(("entered", "left")))).all()
        return self._standing(Counter((row.kind, row.entity_id, row.subject) for row in rows))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off") as running:
        yield running


@pytest.mark.long
def test_what_was_passed_is_told_once(
    tmp_path_factory: pytest.TempPathFactory, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    bitten: Counter[str] = Counter()

    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def walk(seed: int) -> None:
        sandbox.reset()
        add = "crm.item.add?entityTypeId=2&fields[stageId]=NEW"
        for count in (50, WALKERS + OTHERS - 50):
            sandbox.rest("batch", {"cmd": {f"c{number:02d}": add for number in range(count)}})
        history = BadHistory()
        monkeypatch.setattr(dispatch, "rows_of", history.rows_of)
        monkeypatch.setattr(dispatch, "rows_after", history.rows_after)
        folder: Path = tmp_path_factory.mktemp("walk")
        site = RulesSite(folder, sandbox, {"p.py": RULE})
        one = Walk(site, history, Random(seed), list(range(1, WALKERS + OTHERS + 1)))
        for _ in range(STEPS):
            one.step()
        one.relent()
        site.sweep()
        site.sweep()
        expected, heard = one.expected()[0], one.heard()
        assert (heard - expected, expected - heard) == (Counter(), Counter())
        assert site.messages("dead", "begun") == []
        bitten.update(history.bitten)
        site.close()

    walk()
    assert set(bitten) == set(BAD_DAYS), bitten
