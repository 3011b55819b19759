"""Reports in every format and both languages: golden files for texts, typed cells of the workbook read back.

Golden files stand in `golden/` and are written anew with --overwrite-golden.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from migrated_store import migrated_store
from python_calamine import CalamineWorkbook
from timeline_tables import MOSCOW, PORTAL, Deal, at, fill

from b24sync.errors import ConfigError
from b24sync.reporting.calendars import Calendars
from b24sync.reporting.lives import Scope
from b24sync.reporting.norms import Norm, NormBook
from b24sync.reporting.rendering.files import write_file
from b24sync.reporting.rendering.html import html_of
from b24sync.reporting.rendering.plain import write_csv, write_json
from b24sync.reporting.rendering.terminal import write_table
from b24sync.reporting.reports import Names, Reporter
from b24sync.reporting.tables import Column, Report, Table
from b24sync.store.names import PIPELINE, STAGE, USER, Name, read_names

GOLDEN = Path(__file__).parent / "golden"
AS_OF = at("2026-11-25T12:00")
DEALS = [
    Deal(
        1,
        'Склад "Север", секция [3]}, {"x"',
        at("2026-10-05T09:00"),
        [(at("2026-10-05T09:00"), "C1:NEW"), (at("2026-10-07T09:00"), "C1:UC_2"), (at("2026-10-26T18:30"), "C1:WON")],
        opportunity=1_250_000.5,
    ),
    Deal(
        2,
        "=СУММ(A1); <b>Котельная</b>",
        at("2026-11-02T10:00"),
        [(at("2026-11-02T10:00"), "C1:NEW"), (at("2026-11-10T10:00"), "C1:UC_2")],
        responsible=5,
        own='{"UF_CRM_PLAN_DAYS": "4"}',
    ),
    Deal(3, "Старая сделка", at("2024-03-01T00:00"), [], stage="C1:UC_3", moved=at("2026-11-20T00:00"), responsible=5),
    Deal(
        4,
        "Ремонт",
        at("2026-11-16T08:00"),
        [(at("2026-11-16T08:00"), "C2:NEW"), (at("2026-11-17T16:00"), "C2:WON")],
        opportunity=700,
        currency="EUR",
    ),
    Deal(
        5,
        "Отказались",
        at("2026-11-01T12:00"),
        [(at("2026-11-01T12:00"), "C1:NEW"), (at("2026-11-03T12:00"), "C1:LOSE")],
        responsible=0,
    ),
]
NORMS = [Norm(1, "C1:NEW", 3, "calendar"), Norm(1, "C1:UC_2", 10, "working", field="UF_CRM_PLAN_DAYS")]
REPORTS = ("delays", "responsible", "stages")
LANGUAGES = ("ru", "en")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A function (name, language, period) -> report of the deals above."""
    store = migrated_store(Path(tmp_path_factory.mktemp("formats")))
    tables, names = fill(store, DEALS), Names(read_names(store, PORTAL))
    book = NormBook(NORMS, Calendars(MOSCOW, "RU"))

    def make(name: str, language: str = "ru", start: float = 0.0, end: float = float("inf")) -> Report:
        scope = Scope(AS_OF, start, end)
        return Reporter(scope, book, names, MOSCOW, language).make(name, tables)

    yield make
    store.close()


def golden(request: pytest.FixtureRequest, name: str, text: str) -> None:
    """Compare with the golden file, or write it."""
    path = GOLDEN / name
    if request.config.getoption("--overwrite-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def json_of(report: Report, **options: bool) -> str:
    out = io.StringIO()
    write_json(report, out, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", REPORTS)
def test_json_has_the_keys_of_the_contract_and_these_values(
    made: Any, name: str, request: pytest.FixtureRequest
) -> None:
    text = json_of(made(name))
    golden(request, f"{name}.json", text)
    keys = {
        "delays": "deal_id title pipeline stage entered_at left_at planned_days actual_days delay_days estimated",
        "responsible": "user_id name deals opportunity won lost minutes_in_work overdue_deals",
        "stages": "pipeline stage entered left standing conversion median_days p90_days",
    }
    rows = json.loads(text)
    assert [" ".join(row) for row in rows] == [keys[name]] * len(rows)
    one_line = json_of(made(name), one_line=True)
    assert one_line.count("\n") == 1 and json.loads(one_line) == rows


def test_the_worst_delay_is_that_of_a_deal_by_its_own_plan(made: Any) -> None:
    """10 November 10:00 to 25 November noon: 11 working days and two hours, against four of its own."""
    worst = next(made("delays").records())
    assert worst == {
        "deal_id": 2,
        "title": "=СУММ(A1); <b>Котельная</b>",
        "pipeline": "Проекты",
        "stage": "Экспертиза",
        "entered_at": "2026-11-10T10:00:00+03:00",
        "left_at": None,
        "planned_days": 4.0,
        "actual_days": 11.08,
        "delay_days": 7.08,
        "estimated": False,
    }


def test_an_old_deal_without_history_reaches_every_report(made: Any) -> None:
    old = [row for row in made("delays").records() if row["deal_id"] == 3]
    assert [(row["stage"], row["estimated"], row["actual_days"]) for row in old] == [
        (None, True, 994.0),
        ("Передача", True, 5.5),
    ]
    responsible = {row["user_id"]: row for row in made("responsible").records()}
    assert responsible[5]["deals"] == 2
    assert responsible[0]["name"] is None and Names([]).user(9) == "9"
    standing = {row["stage"]: row["standing"] for row in made("stages").records()}
    assert standing["Передача"] == 1


@pytest.mark.parametrize("name", REPORTS)
def test_csv_has_the_same_values(made: Any, name: str, request: pytest.FixtureRequest) -> None:
    out = io.StringIO()
    write_csv(made(name), out)
    golden(request, f"{name}.csv", out.getvalue())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", REPORTS)
def test_tables_for_people(made: Any, name: str, language: str, request: pytest.FixtureRequest) -> None:
    out = io.StringIO()
    write_table(made(name, language, start=at("2026-10-01T00:00"), end=at("2026-12-01T00:00")), out, language)
    golden(request, f"{name}.{language}.txt", "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", REPORTS)
def test_html_is_one_file_that_prints(made: Any, name: str, language: str, request: pytest.FixtureRequest) -> None:
    """The charts' paths belong to the drawing library: the golden file has the page without them."""
    page = html_of(made(name, language), language)
    assert page.count("<svg") == page.count("<figure>") == (1 if name == "delays" else 2)
    assert "size: A4 landscape" in page and f'<html lang="{language}">' in page
    assert re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"|@import|url\((?!#)", page) == [], "it loads something"
    assert "<script" not in page and "<b>Котельная" not in page
    golden(request, f"{name}.{language}.html", re.sub(r"<svg.*?</svg>", "<svg/>", page, flags=re.DOTALL))


def test_charts_keep_their_texts_and_are_the_same_every_time(made: Any) -> None:
    pages = [html_of(made("stages"), "ru") for _ in range(2)]
    assert pages[0] == pages[1]
    svg = re.findall(r"<svg.*?</svg>", pages[0], flags=re.DOTALL)[0]
    texts = "".join(ElementTree.fromstring(svg).itertext())
    assert "Проекты: Экспертиза" in texts and "Вошло" in texts


@pytest.mark.parametrize("name", REPORTS)
def test_a_workbook_has_typed_cells_and_the_values_of_json(made: Any, name: str, tmp_path: Path) -> None:
    report = made(name)
    path = tmp_path / "report.xlsx"
    write_file(report, path, "xlsx", "ru")
    sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    cells = sheet.to_python(skip_empty_area=False)
    rows = cells[3 : 3 + len(report.main.rows)]
    records = list(report.records())
    for row, record in zip(rows, records, strict=True):
        for column, cell in zip(report.main.columns, row, strict=False):
            if column.derived:
                assert isinstance(cell, float)
                continue
            wanted = record[column.key]
            if wanted is None:
                assert cell == {"stage": "(неизвестно)", "name": "(не назначен)"}.get(column.key, "")
            elif column.kind == "moment":
                # The reader shows a midnight as a bare date.
                assert isinstance(cell, date)
                assert datetime.fromisoformat(cell.isoformat()).replace(tzinfo=MOSCOW) == datetime.fromisoformat(wanted)
            else:
                assert cell == wanted and isinstance(cell, bool) == isinstance(wanted, bool)
    total = cells[3 + len(report.main.rows)] if report.main.total else None
    if name == "delays":
        assert total is not None
        assert total[8] == pytest.approx(sum(row["delay_days"] for row in records), abs=0.02)


def test_a_workbook_freezes_its_header_filters_and_draws(made: Any, tmp_path: Path) -> None:
    for name, sheets, charts in (("delays", 3, 1), ("responsible", 2, 2), ("stages", 2, 2)):
        path = tmp_path / f"{name}.xlsx"
        write_file(made(name), path, "xlsx", "en")
        with zipfile.ZipFile(path) as book:
            names = book.namelist()
            first = book.read("xl/worksheets/sheet1.xml").decode()
        assert sum(one.startswith("xl/worksheets/sheet") for one in names) == sheets
        assert sum(one.startswith("xl/charts/chart") for one in names) == charts
        assert 'state="frozen"' in first and "<autoFilter" in first and "<f>" not in first, "a formula"
        assert 'paperSize="9"' in first and 'orientation="landscape"' in first


@pytest.mark.parametrize("form", ["table", "csv", "xlsx", "html", "json"])
def test_an_empty_report_is_a_report_too(made: Any, form: str, tmp_path: Path) -> None:
    nothing = made("delays", start=at("2020-01-01T00:00"), end=at("2020-02-01T00:00"))
    assert len(nothing.main.rows) == 0
    write_file(nothing, tmp_path / f"empty.{form}", form, "ru")
    text = (tmp_path / f"empty.{form}").read_bytes()
    assert text
    if form == "json":
        assert json.loads(text) == []
    if form in ("table", "html"):
        assert "Ничего нет за этот период." in text.decode()


def test_a_file_that_cannot_be_written_is_told_and_the_old_one_stays(made: Any, tmp_path: Path) -> None:
    (tmp_path / "delays.csv").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be written to .*delays\.csv"):
        write_file(made("delays"), tmp_path / "delays.csv", "csv", "ru")
    assert [path.name for path in tmp_path.iterdir()] == ["delays.csv"]


def test_a_table_in_a_file_has_no_colours(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    write_file(made("delays"), tmp_path / "delays.txt", "table", "ru")
    assert b"\x1b" not in (tmp_path / "delays.txt").read_bytes()


def test_as_of_a_past_day_later_moves_have_not_happened(made: Any) -> None:
    rows = [row for row in made("stages", end=at("2026-10-10T00:00")).records() if row["entered"] or row["standing"]]
    assert [(row["stage"], row["entered"], row["left"], row["standing"]) for row in rows] == [
        ("Новая заявка", 1, 1, 0),
        ("Экспертиза", 1, 0, 1),
    ]


def test_a_text_longer_than_a_cell_is_cut_there(tmp_path: Path) -> None:
    path = tmp_path / "long.xlsx"
    columns = [Column("deal_id", "id"), Column("title", "text")]
    write_file(Report(Table("delays", columns, [(1, "L" * 40_000)]), AS_OF, MOSCOW), path, "xlsx", "ru")
    assert CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()[-1] == [1, "L" * 32_767]


def test_what_has_no_name_goes_by_its_id() -> None:
    names = Names([Name(PIPELINE, "1", ""), Name(STAGE, "C1:NEW", "", 1), Name(USER, "5", "Пётр Зайцев")])
    assert (names.pipeline(1), names.pipeline(9)) == ("1", "9")
    assert (names.stage(1, "C1:NEW"), names.stage(9, "C9:NEW"), names.stage(1, "")) == ("C1:NEW", "C9:NEW", None)
    assert (names.user(5), names.user(9), names.user(0)) == ("Пётр Зайцев", "9", None)
