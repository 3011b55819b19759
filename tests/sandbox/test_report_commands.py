"""Reports on real HTTP: brought up to date from the portal, narrowed by anything, in files of every format."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nights import EXPERTISE, FAST, HANDOVER, NEW, OWN_DAYS, WON, ZONE, NightDesk, deal, seed_of
from sandbox_process import PROJECT, SandboxProcess, running_sandbox

DEALS = [
    deal(WON, created=40, moved=35, assignedById=3),  # 1
    deal(EXPERTISE, created=30, moved=10, opportunity=500_000),  # 2
    deal(EXPERTISE, created=20, moved=3, assignedById=3, **{OWN_DAYS: 1}),  # 3
    deal(HANDOVER, created=5),  # 4
    deal(NEW, created=1.5),  # 5
]


@pytest.fixture(scope="module")
def portal() -> Iterator[SandboxProcess]:
    with running_sandbox(seed=seed_of(DEALS), **FAST) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def desk(portal: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> NightDesk:
    """With everything read once: any test may come first, and some report from the store alone."""
    made = NightDesk(Path(tmp_path_factory.mktemp("reports")), portal)
    assert made.run("report", "delays").code == 0
    return made


def rows(desk: NightDesk, name: str, *more: str) -> list[dict[str, Any]]:
    ended = desk.run("report", name, "--json", *more)
    assert ended.code == 0, ended
    found: list[dict[str, Any]] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")


def test_old_deals_that_lack_the_stages_reach_the_report_without_a_recount(desk: NightDesk) -> None:
    """The client's complaint: the portal's history of these deals begins with their import a moment ago."""
    late = {row["deal_id"]: row for row in rows(desk, "delays") if row["delay_days"]}
    assert {one: (row["stage"], row["delay_days"], row["estimated"]) for one, row in late.items()} == {
        2: ("Экспертиза", 5.0, True),
        3: ("Экспертиза", 2.0, True),
    }
    assert (late[3]["planned_days"], late[2]["pipeline"]) == (1.0, "Проекты")


def test_a_move_of_a_minute_ago_is_in_the_next_report(desk: NightDesk, portal: SandboxProcess) -> None:
    before = len(portal.calls())
    portal.act("deal.move", id=5, stage="Передача")
    added = portal.act("item.add", fields={"title": "Новая", "categoryId": 1, "stageId": NEW})["id"]
    found = {(row["deal_id"], row["stage"]): row for row in rows(desk, "delays")}
    assert found[5, "Новая заявка"]["left_at"] is not None
    assert not found[5, "Передача"]["estimated"] and not found[added, "Новая заявка"]["estimated"]
    assert len(portal.calls()) - before <= 6
    offline = len(portal.calls())
    assert len(rows(desk, "delays", "--offline")) == len(found)
    assert len(portal.calls()) == offline


def test_a_report_is_narrowed_by_anything(desk: NightDesk) -> None:
    def deals(*more: str) -> set[int]:
        return {row["deal_id"] for row in rows(desk, "delays", *more)}

    everything = deals()
    assert everything >= {2, 3, 4, 5}
    assert deals("--responsible", "p.zaitsev@example.ru") == {1, 3}
    assert deals("--pipeline", "Общая") == set()
    assert deals("--filter", "opportunity>=100000") == {2}
    assert deals("--filter", "stage=Экспертиза", "--filter", "assigned_by=Пётр Зайцев") == {3}
    assert deals("--from", ago(4), "--to", ago(2)) == {2, 3, 4}
    assert deals("--company", "77") == set()


def test_mistakes_are_told_with_what_is_near(desk: NightDesk) -> None:
    for words, said, code in (
        (["--filter", "opportunty>1"], "there is no field opportunty; nearest: opportunity", 78),
        (["--filter", "stage"], "write FIELD, one of", 78),
        (["--pipeline", "Проект"], "nearest: Проекты", 78),
        (["--responsible", "Зайцева"], "There is no user 'Зайцева'", 78),
        (["--as-of", "2099-01-01"], "lies in the future", 78),
        (["--from", "2099-01-01"], "lies in the future", 78),
        (["--from", "2099-01-01", "--to", "2099-01-31"], "lies in the future", 78),
        (["--from", "25.11.2026", "--to", "24.11.2026"], "ends before it begins", 78),
        (["--format", "xlsx"], "needs --out", 2),
    ):
        ended = desk.run("report", "delays", "--offline" if "--filter" not in words else "--json", *words)
        assert (ended.code, said in ended.stderr) == (code, True), ended


def test_as_of_today_is_now_and_a_past_day_knows_nothing_later(desk: NightDesk) -> None:
    today = datetime.now(ZONE).date().isoformat()
    now, same = (rows(desk, "delays", "--offline", *more) for more in ([], ["--as-of", today]))
    assert [row | {"actual_days": 0, "delay_days": 0} for row in now] == [
        row | {"actual_days": 0, "delay_days": 0} for row in same
    ]
    assert all(abs(one["actual_days"] - two["actual_days"]) < 0.011 for one, two in zip(now, same, strict=True))
    then = {row["deal_id"]: row for row in rows(desk, "delays", "--offline", "--as-of", ago(7)) if row["stage"]}
    assert (then[2]["actual_days"], then[2]["delay_days"]) == (3.0, 0.0)
    assert 5 not in then


def test_responsible_and_stages(desk: NightDesk) -> None:
    people = {row["user_id"]: row for row in rows(desk, "responsible", "--offline", "--to", ago(1))}
    assert (people[3]["name"], people[3]["deals"], people[3]["won"], people[3]["overdue_deals"]) == (
        "Пётр Зайцев",
        2,
        1,
        1,
    )
    assert people[1]["opportunity"] == 501_000 + 1_000
    assert people[3]["minutes_in_work"] == pytest.approx((5 + 19) * 1440, abs=10)
    stages = {row["stage"]: row for row in rows(desk, "stages", "--offline", "--pipeline", "Проекты")}
    assert [stages[name]["standing"] for name in ("Экспертиза", "Завершён", "Отменён")] == [2, 1, 0]


def test_the_suffix_of_a_file_says_its_format(desk: NightDesk) -> None:
    out = desk.folder / "out" / "stages.xlsx"
    ended = desk.run("report", "stages", "--offline", "--out", out)
    assert ended.code == 0 and "rows written to" in ended.stderr, ended
    assert out.read_bytes().startswith(b"PK")
    assert desk.run("report", "stages", "--offline", "--format", "csv").stdout.startswith("pipeline,stage,")


def test_never_is_the_last_day_there_is(desk: NightDesk) -> None:
    assert len(rows(desk, "delays", "--offline", "--from", "0001-01-01", "--to", "9999-12-31")) >= len(DEALS)
    for name in ("table", "html"):
        ended = desk.run(
            "report", "delays", "--offline", "--from", "01.01.0001", "--to", "31.12.9999", "--format", name
        )
        assert ended.code == 0, ended


@pytest.mark.parametrize("form", ["--json", "--format=csv", "--format=table", "--format=html"])
def test_a_terminal_that_lacks_a_letter_and_a_full_disk(desk: NightDesk, form: str) -> None:
    report = [sys.executable, "-m", "b24sync", "--config", str(desk.folder / "config.toml")]
    report += ["report", "delays", "--offline", form]
    plain = subprocess.run(report, cwd=PROJECT, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True)
    assert plain.returncode == 0, plain
    if form == "--json":
        assert "Экспертиза" in {row["stage"] for row in json.loads(plain.stdout)}
    else:
        assert b"\\u042d" in plain.stdout
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(report, cwd=PROJECT, stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 78, ended
    assert b"The report cannot be written to standard output: No space left" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_title_that_no_store_takes(desk: NightDesk, portal: SandboxProcess) -> None:
    portal.act("item.add", fields={"title": "a\0b", "categoryId": 1, "stageId": NEW})
    assert "ab" in {row["title"] for row in rows(desk, "delays")}


def test_without_the_portal_the_report_tells_what_was_known(tmp_path: Path) -> None:
    with running_sandbox(seed=seed_of(DEALS[:2]), **FAST) as sandbox:
        desk = NightDesk(tmp_path, sandbox)
        known = rows(desk, "delays")
        sandbox.fault("overload")
        ended = desk.run("report", "delays", "--json")
        assert ended.code == 0, ended
        assert "the report tells what was known before" in ended.stderr and "OVERLOAD_LIMIT" in ended.stderr
        assert len(json.loads(ended.stdout)) == len(known)
