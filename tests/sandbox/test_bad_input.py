"""Bad files and bad rows: each is told clearly, by line and column, and nothing is sent."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from rehearsal import CONFIG, REFUSED, Ended
from sandbox_process import SandboxProcess, running_sandbox

SEED: dict[str, Any] = {
    "categories": [{"name": "Продажи", "stages": [{"name": "Новая"}, {"name": "Отказ"}]}],
    "userfields": [
        {
            "ENTITY_ID": "CRM_DEAL",
            "FIELD_NAME": "LEVEL",
            "USER_TYPE_ID": "enumeration",
            "LABEL": "Уровень",
            "LIST": [{"VALUE": "B1"}, {"VALUE": "B2"}],
        },
    ],
}
MAPPING = """
entity = "deal"
originator = "bad"
key = "Id"
[columns]
"Title" = "title"
"Stage" = "stage"
"Sum" = "opportunity"
"Currency" = "currency"
"Begin" = "begin_date"
"Level" = "UF_CRM_LEVEL"
[constants]
pipeline = "Продажи"
"""
HEADER = ["Id", "Title", "Stage", "Sum", "Currency", "Begin", "Level"]
GOOD = ["1", "Насос", "Новая", "100", "RUB", "12.03.2025", "B1"]


def csv_text(*rows: list[str]) -> str:
    return "".join(";".join(row) + "\n" for row in [HEADER, *rows])


def with_cell(**cells: str) -> list[str]:
    """The good row with other cells."""
    return [cells.get(title, cell) for title, cell in zip(HEADER, GOOD, strict=True)]


def write(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return make


def workbook(fill: Callable[[Any, Any], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import xlsxwriter

        path = folder / "bad.xlsx"
        with xlsxwriter.Workbook(str(path)) as book:
            sheet = book.add_worksheet("Deals")
            for index, row in enumerate([HEADER, GOOD]):
                sheet.write_row(index, 0, row)
            fill(book, sheet)
        return path

    return make


def bomb(folder: Path) -> Path:
    path = folder / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("xl/worksheets/sheet1.xml", "w") as part:
            for _ in range(120):
                part.write(b"0" * 1_000_000)
    return path


def merged(book: Any, sheet: Any) -> None:
    sheet.merge_range(1, 2, 2, 2, "Новая")
    sheet.write_row(2, 0, ["2", "Клапан"])


def uncalculated(book: Any, sheet: Any) -> None:
    sheet.write_formula(1, 3, "=1+1", value="")


def all_hidden(book: Any, sheet: Any) -> None:
    book.add_worksheet("Notes").activate()
    sheet.hide()


def long_numbers(book: Any, sheet: Any) -> None:
    sheet.write_number(1, 0, 4876876000000000111)
    sheet.write_row(2, 0, with_cell())
    sheet.write_number(2, 0, 4876876000000000112)


FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "an empty file": (write("a.csv", ""), "the file is empty"),
    "only spaces": (write("a.csv", " \n\n"), "no rows, not even a header"),
    "no header": (write("a.csv", "1;100,50;12.03.2025\n2;200;13.03.2025\n"), "no header: line 1 looks like data"),
    "two columns of one title": (
        write("a.csv", "Id;Title;Title\n1;a;b\n"),
        '"Title" stands 2 times; name them "column 2"',
    ),
    "an encoding that is not text": (write("a.csv", bytes(range(256)) * 20), "zero bytes"),
    "a broken place in UTF-8": (
        write("a.csv", csv_text(GOOD).encode() + b"2;\xff\xfe\xfa;x\n" + "ж".encode() * 99),
        "line 3: byte 0xff",
    ),
    "a cell of 10 MB": (
        write("a.csv", csv_text(with_cell(Title='"' + "x" * 10_000_000 + '"'))),
        "line 2: a cell of more than 1,000,000",
    ),
    "a quotation mark that is never closed": (write("a.csv", csv_text(with_cell(Title='"Насос'))), "never closed"),
    "a zip bomb": (bomb, "unpacks to 120 MB; refused"),
    "a workbook that is none": (write("a.xlsx", b"PK\x03\x04 nothing"), "not a readable .xlsx"),
    "an old workbook": (write("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)), "save it as .xlsx"),
    "only hidden sheets that hold rows": (workbook(all_hidden), "sheet Notes is empty"),
    "a title in look-alike letters": (
        write("a.csv", csv_text(GOOD).replace("Title", "Тitle")),
        "CYRILLIC CAPITAL LETTER TE in the file",
    ),
    "a picture": (write("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(99)), "not a table"),
}
ROWS: dict[str, tuple[Callable[[Path], Path], int, list[str]]] = {
    "the header again": (write("a.csv", csv_text(GOOD, HEADER)), 1, ["line 3", "the header stands here again"]),
    "a formula that was never calculated": (workbook(uncalculated), 1, ["line 2", '"Sum": "#FORMULA!"']),
    "merged cells": (workbook(merged), 1, ["line 3", '"Stage": "#MERGED!"']),
    "ids of 19 digits kept as numbers": (
        workbook(long_numbers),
        1,
        ["line 3", "write ids as text", 'column "Id": 2 keys are numbers of more than 15 digits (lines 2, 3)'],
    ),
    "a duplicate id": (write("a.csv", csv_text(GOOD, GOOD)), 1, ["line 3", 'key "1" stands in line 2 already']),
    "no id": (write("a.csv", csv_text(with_cell(Id=""))), 1, ["line 2", 'column "Id" is empty']),
    "an impossible date": (
        write("a.csv", csv_text(with_cell(Begin="31.02.2025"))),
        1,
        ["line 2", '"31.02.2025"', "exists"],
    ),
    "a negative amount": (write("a.csv", csv_text(with_cell(Sum="-5"))), 1, ["line 2", '"-5"', "not negative"]),
    "a huge amount": (write("a.csv", csv_text(with_cell(Sum="9" * 19))), 1, ["line 2", "below 1,000,000,000,000,000"]),
    "an amount that can be read in two ways": (write("a.csv", csv_text(with_cell(Sum="1,234"))), 1, ["say decimal"]),
    "a currency that the portal lacks": (
        write("a.csv", csv_text(with_cell(Currency="XAU"))),
        1,
        ["line 2", 'column "Currency": currency "XAU" is not in the portal'],
    ),
    "no currency at all": (write("a.csv", csv_text(with_cell(Currency="рупь"))), 1, ["line 2", "currency code"]),
    "a value in look-alike letters": (
        write("a.csv", csv_text(with_cell(Level="В1"))),
        1,
        ["line 2", "nearest: B1", "CYRILLIC CAPITAL LETTER VE in the file"],
    ),
    "a separator inside a value": (
        write("a.csv", csv_text([*GOOD, "лишнее"])),
        1,
        ["more cells than the header has titles"],
    ),
    "a thousand misses": (
        write("a.csv", csv_text(*[with_cell(Id=str(n), Stage=f"Стадия {n}") for n in range(1000)])),
        1000,
        ['stage "Стадия 0" is not in pipeline "Продажи"', "and 950 more names"],
    ),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(scale=60, seed=SEED) as running:
        yield running


def run(folder: Path, sandbox: SandboxProcess, file: Path) -> Ended:
    """`import run --strict`; what was called meanwhile must be reading alone."""
    desk = Desk(folder, sandbox)
    before = len(sandbox.calls())
    ended = desk.run("import", "run", file, "--mapping", desk.file("bad.toml", MAPPING), "--strict", "--yes", "--json")
    written = [call for call in sandbox.calls(since=before) if "import" in str(call) or "add" in call["method"]]
    assert not written and not desk.items(2, "id"), "something was sent"
    return ended


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_refused_with_its_reason(case: str, tmp_path: Path, sandbox: SandboxProcess) -> None:
    make, told = FILES[case]
    file = make(tmp_path)
    ended = run(tmp_path, sandbox, file)
    assert ended.code == CONFIG, ended
    assert told in ended.stderr, ended.stderr[:2000]
    assert len(ended.stderr) < 3000


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_is_refused_with_its_line_and_reason(case: str, tmp_path: Path, sandbox: SandboxProcess) -> None:
    make, refused, told = ROWS[case]
    ended = run(tmp_path, sandbox, make(tmp_path))
    assert (ended.code, ended.result["refused"]) == (REFUSED, refused), ended
    for words in told:
        assert words in ended.stderr, ended.stderr[:3000]


def test_hidden_sheets_and_text_formulas_do_no_harm(tmp_path: Path, sandbox: SandboxProcess) -> None:
    def fill(book: Any, sheet: Any) -> None:
        hidden = book.add_worksheet("Old")
        hidden.write_row(0, 0, ["Id", "Secret"])
        hidden.hide()
        sheet.write_string(1, 1, '=HYPERLINK("https://example.ru")')

    desk = Desk(tmp_path, sandbox)
    file = workbook(fill)(tmp_path)
    ended = desk.run("import", "run", file, "--mapping", desk.file("bad.toml", MAPPING), "--dry-run", "--json")
    assert (ended.code, ended.result["planned"], ended.result["refused"]) == (0, 1, 0), ended
