"""What the benchmarks compute and write; never how fast anything is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench.bounds import bound_s
from bench.cases import CASES
from bench.files import COLUMNS, MAPPING, rows, write_csv, write_mapping, write_xlsx
from bench.measure import RAW, Result, bench, save, surroundings
from bench.report import write_report
from bench.run import main
from subprocesses import PROJECT

from b24sync.importing.mapping import load_mapping
from b24sync.importing.source import open_source


@pytest.mark.parametrize(("cost_s", "seconds"), [(0.02, 320), (0.05, 920), (0.1, 1960)])
def test_the_bound_of_16000_deals_is_that_of_the_design(cost_s: float, seconds: float) -> None:
    assert bound_s(16_000, cost_s, 40) == pytest.approx(seconds)


def test_without_portal_work_only_requests_beyond_a_burst_take_time() -> None:
    assert bound_s(16_000, 0.0, 320) == 135
    assert bound_s(16_000, 0.0, 17) == 0


def test_a_full_budget_does_not_wait_for_a_window_that_nobody_needs() -> None:
    assert bound_s(480, 1.0, 10) == 480
    assert bound_s(481, 1.0, 10) == 601


def test_the_scale_shortens_both_kinds_of_waiting() -> None:
    assert bound_s(16_000, 0.05, 40, scale=10) == pytest.approx(92)
    assert bound_s(16_000, 0.0, 320, scale=10) == 13.5


def test_files_of_other_firsts_share_no_key() -> None:
    keys = [row[0] for first in (1, 101, 201) for row in rows(100, first=first)]
    assert len(set(keys)) == 300
    assert list(rows(3)) == list(rows(3))


def test_csv_and_xlsx_hold_the_same_rows(tmp_path: Path) -> None:
    with (
        open_source(write_csv(tmp_path / "a.csv", 30)) as one,
        open_source(write_xlsx(tmp_path / "a.xlsx", 30)) as other,
    ):
        assert list(one.header) == list(other.header) == list(COLUMNS)
        cells = [[[str(cell) for cell in row] for _, row in source.rows()] for source in (one, other)]
    assert cells[0] == cells[1]
    assert len(cells[0]) == 30


def test_the_mapping_mentions_every_column(tmp_path: Path) -> None:
    mapping = load_mapping(write_mapping(tmp_path / "m.toml"))
    assert {*mapping.columns, mapping.key} == set(COLUMNS)
    assert "created_time" not in mapping.fields_used, MAPPING


def test_a_result_is_kept_up_to_its_limit_and_not_beyond() -> None:
    assert Result("a", "s", 30.0, 30.0).kept is True
    assert Result("a", "s", 30.001, 30.0).kept is False
    assert Result("a", "s", 30.0).kept is None
    assert Result("a", "s", 30.0, bound=20.0).ratio == 1.5


def test_the_page_tells_every_result_and_how_peers_ended(tmp_path: Path) -> None:
    raw: dict[str, Any] = {"requests": 327, "refused_503": 12, "duplicates_total": 0, "deals": 2_600}
    results = [
        Result("ours", "s", 20.5, 30.0, 10.0, {"scale": 1.0, "sandbox": {"requests": 17}}),
        Result("too slow", "s", 31.0, 30.0),
        Result("peer", "s", 9.0, None, None, {"died": "RuntimeError: a | b", "ids": 0, "sandbox": raw}),
    ]
    around = surroundings()
    save(tmp_path / "benchmarks", "second", "What it is.", quick=False, around=around, results=results)
    save(tmp_path / "benchmarks", "first", "Another.", quick=True, around=around, results=results[:1])
    write_report(tmp_path / "benchmarks", tmp_path / "benchmarks.md", ["first", "second"])
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert page.index("## first") < page.index("## second")
    assert "| ours | 1 | 20.5 s | 30 | yes | 10 | 2.05 | 17 |" in page
    assert "| too slow |  | 31 s | 30 | **no** |  |  |  |" in page
    assert "| peer | 2,600 | 0 | 12 | 0 | RuntimeError: a / b |" in page
    assert "quick mode" in page.split("## second", maxsplit=1)[0]


def test_a_saved_case_names_commit_machine_and_python(tmp_path: Path) -> None:
    path = save(tmp_path, "one", "About.", quick=False, around=surroundings(), results=[Result("a", "s", 1.23456789)])
    body = json.loads(path.read_text(encoding="utf-8"))
    assert {"commit", "uncommitted_changes", "machine", "python", "libraries", "measured_at"} <= body.keys()
    assert body["results"][0]["value"] == 1.2346


def test_a_saved_case_does_not_tell_where_the_project_lies(tmp_path: Path) -> None:
    said = [f'  File "{PROJECT}/.venv/lib/x.py", line 1']
    result = Result("a", "s", 1.0, details={"client": {"said": said}})
    text = save(tmp_path, "one", "About.", quick=False, around=surroundings(), results=[result]).read_text("utf-8")
    assert "./.venv/lib/x.py" in text
    assert str(PROJECT) not in text


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


def test_only_the_page_is_written_again_on_request(tmp_path: Path) -> None:
    save(tmp_path / "b", "start_up", "About.", quick=False, around=surroundings(), results=[Result("a", "s", 1.0)])
    assert main(["--report", "--out", str(tmp_path / "b")]) == 0
    assert "## start_up" in (tmp_path / "b.md").read_text(encoding="utf-8")


def test_a_measured_import_reaches_its_sandbox_and_is_counted_there() -> None:
    with bench(scale=60.0, costs={"crm.item.batchImport": 0.01}) as made:
        file = write_csv(made.folder / "deals.csv", 120)
        finished = made.run_import(file)
        raw = made.raw()
    assert finished.code == 0, finished.said
    assert finished.answer["created"] == raw["deals"] == 120
    assert raw["writes"]["crm.item.batchImport"]["units"] == 120
    assert set(RAW) <= raw.keys()
    assert finished.cpu_s > 0
    assert 20 < finished.peak_rss_mb < 2_000
