"""`import rows`: what was refused comes out as it stood in the file, is mended, and goes in with the same mapping."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from desk import Desk
from sandbox_process import SandboxProcess, running_sandbox

SEED: dict[str, Any] = {"categories": [{"name": "Продажи", "stages": [{"name": "Новая"}]}]}
MAPPING = """
entity = "deal"
originator = "old-crm"
key = "Id"
[columns]
"Название" = "title"
"Стадия" = "stage"
"Сумма" = { field = "opportunity", decimal = "," }
"Создана" = { field = "created_time", format = "%d.%m.%Y %H:%M" }
[constants]
pipeline = "Продажи"
currency = "RUB"
"""
HEADER = ["Id", "Название", "Стадия", "Сумма", "Создана"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off", seed=SEED) as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    sandbox.reset(SEED)
    desk = Desk(tmp_path, sandbox)
    desk.file("m.toml", MAPPING)
    return desk


def rows_of(desk: Desk, run: int, out: str) -> str:
    ended = desk.run("import", "rows", str(run), "--state", "refused", "--out", desk.folder / out)
    assert ended.code == 0, ended
    return ended.stderr


def held(desk: Desk) -> dict[str, float]:
    found: list[Any] = desk.sandbox.state("items", originatorId="old-crm", select="originId,opportunity")
    return {deal["originId"]: deal["opportunity"] for deal in found}


def test_refused_rows_of_a_csv_come_out_as_they_stood_and_go_in_when_mended(desk: Desk) -> None:
    lines = [
        "Id;Название;Стадия;Сумма;Создана",
        '1;"Точка; с запятой";Новая;1 000,50;05.03.2024 10:00',
        '2;"Две\nстроки";Новоя;2 000,25;06.03.2024 10:00',
        "3;Третья;Новая;много;07.03.2024 10:00",
    ]
    (desk.folder / "d.csv").write_bytes("\r\n".join(lines).encode("cp1251"))
    first = desk.run_import(desk.folder / "d.csv", desk.folder / "m.toml")
    assert (first.code, first.result["created"], first.result["refused"]) == (3, 1, 2), first
    said = rows_of(desk, first.result["run"], "fix.csv")
    assert 'row 1 of fix.csv, line 3 of d.csv: column "Стадия": stage "Новоя"' in said
    fix = desk.folder / "fix.csv"
    text = fix.read_text(encoding="utf-8-sig")
    assert text.splitlines()[0] == lines[0] and '2;"Две\nстроки";Новоя;2 000,25;06.03.2024 10:00' in text
    fix.write_text(text.replace("Новоя", "Новая").replace("много", "3"), encoding="utf-8-sig", newline="")
    second = desk.run_import(fix, desk.folder / "m.toml")
    assert (second.code, second.result["created"]) == (0, 2), second
    assert held(desk) == {"1": 1000.5, "2": 2000.25, "3": 3}


def test_a_workbook_stays_a_workbook_with_its_numbers_dates_and_the_reasons_as_notes(desk: Desk) -> None:
    file = desk.folder / "d.xlsx"
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADER)
        day = book.add_format({"num_format": "dd.mm.yyyy hh:mm"})
        for number in (1, 2, 3):
            sheet.write_row(number, 0, [number, f"Сделка {number}", "Новоя" if number == 2 else "Новая", 1000.5])
            sheet.write_datetime(number, 4, dt.datetime(2024, 3, 9 if number == 2 else number, 10, 30), day)
    first = desk.run_import(file, desk.folder / "m.toml")
    assert (first.code, first.result["created"]) == (3, 2), first
    rows_of(desk, first.result["run"], "fix.xlsx")
    refused = desk.run("import", "rows", str(first.result["run"]), "--state", "refused", "--out", desk.folder / "f.csv")
    assert refused.code == 78 and "write to a file that ends in .xlsx" in refused.stderr
    desk.sandbox.act("stage.rename", stage="Новая", new_name="Новоя", category="Продажи")
    again = desk.run_import(desk.folder / "fix.xlsx", desk.folder / "m.toml")
    assert (again.code, again.result["rows"], again.result["created"]) == (0, 1, 1), again
    assert held(desk) == {"1": 1000.5, "2": 1000.5, "3": 1000.5}


def test_a_file_that_changed_since_is_not_taken_for_the_one_of_the_run(desk: Desk) -> None:
    file = desk.table("d.csv", HEADER, [["1", "А", "Новоя", "1", ""]])
    run = desk.run_import(file, desk.folder / "m.toml").result["run"]
    desk.table("d.csv", HEADER, [["1", "Б", "Новоя", "1", ""]])
    ended = desk.run("import", "rows", str(run), "--state", "refused", "--out", desk.folder / "fix.csv")
    assert ended.code == 78 and "its contents have changed since" in ended.stderr, ended


def test_where_nothing_can_be_written_is_told_and_not_a_traceback(desk: Desk) -> None:
    table = desk.table("d.csv", ["Id", "Название", "Стадия", "Сумма", "Создана"], [["1", "А", "Новоя", "1", ""]])
    run = str(desk.run_import(table, desk.folder / "m.toml").result["run"])
    for name in ("none/out.csv", "none/out.xlsx"):
        out = desk.folder / name
        rows = ("import", "rows", run, "--state", "refused", "--out", out)
        for command in (("import", "report", run, out), rows):
            ended = desk.run(*command)
            assert (ended.code, "cannot be written: No such file or directory" in ended.stderr) == (78, True), ended
            assert "Traceback" not in ended.stderr


def test_what_is_written_is_told_as_json_and_a_run_that_is_not_there_is_a_wrong_argument(desk: Desk) -> None:
    file = desk.table("d.csv", HEADER, [["1", "а", "Новая", "5", "01.02.2025 10:00"], ["2", "б", "Новоя", "", ""]])
    run = str(desk.run_import(file, desk.folder / "m.toml").result["run"])
    fates, fix = desk.folder / "fates.csv", desk.folder / "fix.csv"
    assert desk.run("import", "report", run, fates, "--json").result == {"run": 1, "file": str(fates), "rows": 2}
    written = desk.run("import", "rows", run, "--state", "refused", "--out", fix, "--json")
    assert written.result == {"run": 1, "file": str(fix), "rows": 1}
    out = desk.folder / "t.xlsx"
    template = desk.run("import", "template", "deal", out, "--json")
    assert (template.result["entity"], template.result["file"]) == ("deal", str(out))
    for words in (
        ["import", "show", "99"],
        ["import", "report", "99", fates],
        ["import", "rows", "99", "--state", "refused", "--out", fix],
        ["import", "undo", "99", "--yes"],
    ):
        ended = desk.run(*words)
        assert ended.code == 2 and "There is no run 99 of this portal" in ended.stderr, ended
    for wrong in ("9" * 20, "x", "1.5"):
        ended = desk.run("import", "show", wrong)
        assert ended.code == 2 and f"'{wrong}' is no number of 0 to 2147483647" in ended.stderr, ended
