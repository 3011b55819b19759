"""Rows that cannot be written: the others are, and each refused one is told with its reason."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rehearsal import (
    DONE,
    REFUSED,
    SANDBOX_OPTIONS,
    SCALE,
    SEED,
    WAYS,
    Ended,
    Rehearsal,
    Row,
    assert_each_deal_once,
    rows,
)
from sandbox_process import running_sandbox

COUNT = 1000
BAD = 613
"""Which of them is bad."""

NOTE = {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "NOTE", "USER_TYPE_ID": "string", "LABEL": "Заметка", "MANDATORY": "Y"}
FAST: dict[str, Any] = {
    **SANDBOX_OPTIONS,
    "seed": {**SEED, "userfields": [*SEED["userfields"], NOTE]},
    "costs": {"crm.item.batchImport": 0.001 * SCALE, "crm.item.import": 0.001 * SCALE},
}


def fates(rehearsal: Rehearsal, run: int) -> list[dict[str, str]]:
    """What `import report` says of every row."""
    out = rehearsal.folder / "fates.csv"
    ended = rehearsal.run("import", "report", str(run), str(out))
    assert ended.code == DONE, ended
    with out.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def assert_one_refused(rehearsal: Rehearsal, ended: Ended, bad: Row, code: str, words: Sequence[str]) -> None:
    """All but one are in the sandbox, and the report gives that one's reason."""
    assert ended.code == REFUSED, ended
    assert (ended.result["created"], ended.result["refused"]) == (COUNT - 1, 1)
    assert_each_deal_once(rehearsal, [row for row in rehearsal.planned if row is not bad])
    refused = [fate for fate in fates(rehearsal, ended.result["run"]) if fate["state"] != "created"]
    assert [(fate["key"], fate["state"], fate["code"]) for fate in refused] == [(bad.key, "refused", code)]
    assert all(word in refused[0]["message"] for word in words), refused


@pytest.mark.parametrize("way", WAYS)
def test_one_row_that_the_portal_refuses_among_a_thousand(way: str, tmp_path: Path) -> None:
    planned = rows(COUNT)
    bad = planned[BAD] = replace(planned[BAD], note="")
    with running_sandbox(**FAST) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=planned, way=way, note_field='"UF_CRM_NOTE"', history=True)
        assert_one_refused(rehearsal, rehearsal.run_import(), bad, "CRM_FIELD_ERROR_REQUIRED", ["Заметка"])


def test_one_row_with_an_impossible_date_among_a_thousand(tmp_path: Path) -> None:
    planned = rows(COUNT)
    bad = planned[BAD] = replace(planned[BAD], created="31.02.2024 10:00")
    with running_sandbox(**FAST) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=planned, note_field='"UF_CRM_NOTE"', history=True)
        assert_one_refused(rehearsal, rehearsal.run_import(), bad, "BAD_DATE", ["31.02.2024", "Created"])


def test_an_import_that_the_portal_refuses_row_by_row_stops_after_two_hundred(tmp_path: Path) -> None:
    forbidden = {"ID": 5, "rights": {"import": False}}
    with running_sandbox(**{**FAST, "seed": {**FAST["seed"], "users": [forbidden]}}) as sandbox:
        hook = sandbox.post("webhooks", {"user_id": 5, "secret": "norightsecret01"})
        rehearsal = Rehearsal(tmp_path, sandbox, planned=rows(COUNT), webhook=hook["url"], note_field='"UF_CRM_NOTE"')
        ended = rehearsal.run_import()
        assert ended.code == REFUSED, ended
        assert "Stopped: 200 of the first 200 rows were refused with ACCESS_DENIED" in ended.stderr
        assert (ended.result["refused"], ended.result["not_sent"]) == (200, COUNT - 200)
        tried = [nested for call in rehearsal.write_calls() for nested in call["nested"]]
        assert {outcome for _, _, outcome, _ in tried} == {"ACCESS_DENIED"}
        carriers = [nested for nested in tried if nested[1] == "crm.item.batchImport"]
        assert len(tried) - len(carriers) == 200 and len(carriers) < 20, "it went on after the first 200 rows"
        assert rehearsal.count_held() == 0
        rehearsal.config = rehearsal.write_config("config.toml", sandbox.url)
        again = rehearsal.run_import()
        assert again.code == DONE, again
        assert_each_deal_once(rehearsal)
