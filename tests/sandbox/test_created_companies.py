"""Companies that the rows of deals name and the portal lacks: each is made once, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rehearsal import DONE, IMPORTS, SANDBOX_OPTIONS, SCALE, Rehearsal, Row, assert_each_deal_once, rows, side_by_side
from sandbox_process import running_sandbox

pytestmark = pytest.mark.waits

COMPANIES = [f"ООО «Ромашка {number}»" for number in range(1, 8)]
NOTE_FIELD = '{ field = "company", match = "title", create = true }'


def planned() -> list[Row]:
    """Deals of the companies in turn."""
    return [replace(row, note=COMPANIES[number % len(COMPANIES)]) for number, row in enumerate(rows(90))]


def assert_each_company_once(rehearsal: Rehearsal, deals: Sequence[Row]) -> None:
    """The sandbox has every company once, and every deal belongs to the one that its row names."""
    assert_each_deal_once(rehearsal)
    title_of = {one["id"]: one["title"] for one in rehearsal.sandbox.state("items", entityTypeId=4, select="id,title")}
    assert sorted(title_of.values()) == sorted(COMPANIES)
    company_of = {row.key: row.note for row in deals}
    for deal in rehearsal.sandbox.state("items", select="originId,companyId"):
        assert title_of[deal["companyId"]] == company_of[deal["originId"]]


def broken(kind: str, folder: Path) -> None:
    """The request that makes the companies meets a fault."""
    deals = planned()
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=deals, note_field=NOTE_FIELD)
        sandbox.fault(kind, IMPORTS, params={"after_s": 1.2} if kind == "late" else {})
        ended = rehearsal.run_import()
        assert sandbox.faults()[0]["fired"] == 1
        assert ended.code == DONE, ended
        assert_each_company_once(rehearsal, deals)


def test_a_broken_request_that_makes_companies_makes_none_twice(tmp_path: Path) -> None:
    side_by_side([partial(broken, kind, tmp_path / kind) for kind in ("cut_before", "cut_after", "late")])


def killed(folder: Path) -> None:
    """Killed while the companies are made, and run again."""
    deals = planned()
    with running_sandbox(**{**SANDBOX_OPTIONS, "request_cap_s": 5 * SCALE}) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=deals, note_field=NOTE_FIELD)
        sandbox.fault("slow", IMPORTS, params={"after_s": 3.5})
        running = rehearsal.start(*rehearsal.import_words())
        while not sandbox.faults()[0]["fired"]:
            assert running.alive
            time.sleep(0.02)
        assert running.kill()
        assert sandbox.figures()["items"]["COMPANY"] == 0
        ended = rehearsal.run_import()
        assert ended.code == DONE, ended
        assert_each_company_once(rehearsal, deals)


def made_by_two(folder: Path) -> None:
    """Two imports at once that name the same companies."""
    deals = planned()
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=deals, note_field=NOTE_FIELD)
        running = [rehearsal.start(*rehearsal.import_words()) for _ in range(2)]
        assert [one.ended().code for one in running] == [DONE, DONE]
        assert_each_company_once(rehearsal, deals)


def test_a_killed_import_and_two_imports_at_once_make_each_company_once(tmp_path: Path) -> None:
    side_by_side([partial(killed, tmp_path / "killed"), partial(made_by_two, tmp_path / "two")])
