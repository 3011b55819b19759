"""The same file imported by two processes at once, and its corrected version by two more: each deal once."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rehearsal import (
    DONE,
    REFUSED,
    ROW_COST_S,
    SANDBOX_OPTIONS,
    Ended,
    Rehearsal,
    Row,
    assert_each_deal_once,
    assert_each_workflow_once,
    rows,
    seed_with,
    side_by_side,
)
from sandbox_process import running_sandbox

pytestmark = pytest.mark.waits

COUNT = 180


def second_config(rehearsal: Rehearsal) -> Path:
    """A configuration of the same store with a webhook of its own, so that the sandbox can tell the calls apart."""
    hook = rehearsal.sandbox.post("webhooks", {"user_id": 1, "secret": "secondsecret0002"})
    return rehearsal.write_config("second.toml", hook["url"])


def two_at_once(rehearsal: Rehearsal, *words: list[str]) -> list[Ended]:
    """Two processes at the same time, with the same words or with those of each."""
    first = rehearsal.start(*words[0])
    second = rehearsal.start(*words[-1], config=second_config(rehearsal))
    return [first.ended(), second.ended()]


def assert_both_were_there(rehearsal: Rehearsal) -> None:
    """By the sandbox's ledger both processes had begun before the last row was written."""
    last_write = rehearsal.write_calls()[-1]["seq"]
    begun = {call["credential"] for call in rehearsal.sandbox.calls() if call["seq"] < last_write}
    assert len(begun) == 2, "they did not run at the same time"


def writers(rehearsal: Rehearsal) -> set[str]:
    """Credentials whose requests wrote something."""
    return {call["credential"] for call in rehearsal.write_calls() if call["executed"]}


def test_two_imports_of_one_file_make_each_deal_once(tmp_path: Path) -> None:
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=rows(COUNT), way="single_import")
        ended = two_at_once(rehearsal, rehearsal.import_words())
        assert [one.code for one in ended] == [DONE, DONE], ended
        assert_each_deal_once(rehearsal)
        assert_both_were_there(rehearsal)


def test_two_imports_share_the_rows_of_a_file_and_its_re_sorted_copy(tmp_path: Path) -> None:
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=rows(COUNT))
        copy = rehearsal.write_file("copy.csv", rehearsal.planned[::-1])
        ended = two_at_once(rehearsal, rehearsal.import_words(), rehearsal.import_words(file=copy))
        assert [one.code for one in ended] == [DONE, DONE], ended
        assert_each_deal_once(rehearsal)
        assert len(writers(rehearsal)) == 2, "one of them wrote nothing"


def test_the_survivor_of_two_imports_takes_the_rows_of_the_killed_one_over(tmp_path: Path) -> None:
    side_by_side([partial(survived, tmp_path / str(history), history=history) for history in (False, True)])


def survived(folder: Path, *, history: bool) -> None:
    """Two processes, one of them killed after a quarter of the rows."""
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(folder, sandbox, planned=rows(COUNT), history=history)
        other = second_config(rehearsal)
        running = [rehearsal.start(*rehearsal.import_words(), config=config) for config in (rehearsal.config, other)]
        while rehearsal.count_held() < COUNT / 4:
            time.sleep(0.02)
        assert running[0].kill()
        assert rehearsal.count_held() < COUNT
        survivor = running[1].ended()
        assert survivor.code == DONE, survivor
        assert_each_deal_once(rehearsal)
        assert_both_were_there(rehearsal)


def test_two_imports_with_creation_times_and_then_of_the_corrected_file(tmp_path: Path) -> None:
    faulty, corrected = corrected_file()
    with running_sandbox(**SANDBOX_OPTIONS) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=faulty, history=True)
        ended = two_at_once(rehearsal, rehearsal.import_words())
        assert [one.code for one in ended] == [REFUSED, REFUSED], ended
        assert_each_deal_once(rehearsal, faulty[:-1])
        before = rehearsal.last_call()
        file = rehearsal.write_file("corrected.csv", corrected)
        ended = two_at_once(rehearsal, rehearsal.import_words(file=file))
        assert [one.code for one in ended] == [DONE, DONE], ended
        assert_each_deal_once(rehearsal, corrected)
        rows_sent = sum(call["seconds"] for call in rehearsal.write_calls(before)) / ROW_COST_S
        assert round(rows_sent, 1) == 4, "more was sent than the corrected and the added rows"


def corrected_file() -> tuple[list[Row], list[Row]]:
    """A file whose last row has an impossible date, and its next version: the date mended, three rows added."""
    good = rows(COUNT + 3)
    faulty = [*good[: COUNT - 1], replace(good[COUNT - 1], created="31.02.2024 10:00")]
    return faulty, good


def test_two_processes_start_each_workflow_once(tmp_path: Path) -> None:
    planned = rows(COUNT)
    with running_sandbox(**{**SANDBOX_OPTIONS, "seed": seed_with(planned)}) as sandbox:
        rehearsal = Rehearsal(tmp_path, sandbox, planned=planned)
        ended = two_at_once(rehearsal, ["workflows", "start", "--all", "--json"])
        assert [one.code for one in ended] == [DONE, DONE], ended
        assert assert_each_workflow_once(rehearsal) == 0
        assert_both_were_there(rehearsal)
