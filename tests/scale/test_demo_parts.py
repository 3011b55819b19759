"""The demo's generator, its judge and its subprocesses."""

from __future__ import annotations

import csv
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from demo_data import COMPANY_COLUMNS, CONTACT_COLUMNS, DEAL_COLUMNS, STAGES, Generator, latin
from demo_stage import MARKER, Stage
from demo_story import EXAMPLES, PIPELINE, TEMPLATES, TRACE_FIELD
from own_file import Pair, people_of, types_of
from subprocesses import Command, Connector, Failed, ended_by_signals, running_sandbox

from b24sync.importing.mapping import load_mapping
from b24sync.importing.source import open_source
from b24sync.provisioning.blueprint import load_blueprint


def say_nothing(_line: str) -> None:
    """A listener that does not care."""


def table(path: Path) -> list[dict[str, str]]:
    with open_source(path) as source:
        return [dict(zip(source.header, map(str, cells), strict=True)) for _, cells in source.rows()]


def test_each_file_has_the_good_and_the_bad_rows_that_it_says(tmp_path: Path) -> None:
    generator = Generator(tmp_path)
    files = [generator.companies(40), generator.contacts(90), generator.deals(160)]
    for file, good in zip(files, (40, 90, 160), strict=True):
        keys = Counter(next(iter(row.values())) for row in table(file.path))
        assert len(file.good_keys) == good
        assert keys.total() == file.rows == good + len(file.bad)
        assert file.good_keys <= keys.keys()
        assert all(key in keys for key, _ in file.bad)


def test_the_same_seed_makes_the_same_rows_and_another_one_others(tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = tmp_path / name
        folder.mkdir()
        generator = Generator(folder, seed=seed)
        generator.companies(20)
        generator.contacts(30)
        made.append(table(generator.deals(50).path))
    assert made[0] == made[1] != made[2]


def test_deals_know_their_sum_and_their_stages(tmp_path: Path) -> None:
    generator = Generator(tmp_path)
    generator.companies(20)
    generator.contacts(30)
    deals = generator.deals(200)
    first: dict[str, dict[str, str]] = {}
    for row in table(deals.path):
        first.setdefault(row["Номер"], row)
    good = [first[key] for key in deals.good_keys]
    assert sum(round(float(row["Сумма"]) * 100) for row in good) == deals.kopecks
    assert Counter(row["Стадия"] for row in good) == Counter(deals.by_stage)


def test_contacts_name_companies_of_the_companies_file(tmp_path: Path) -> None:
    generator = Generator(tmp_path)
    companies, contacts = generator.companies(30), generator.contacts(80)
    named = {row["Код компании"] for row in table(contacts.path) if row["Код"] in contacts.good_keys} - {""}
    assert named
    assert named <= companies.good_keys


@pytest.mark.parametrize(
    ("name", "columns"),
    [("companies", COMPANY_COLUMNS), ("contacts", CONTACT_COLUMNS), ("deals", DEAL_COLUMNS)],
)
def test_the_mappings_of_the_demo_mention_every_column(name: str, columns: tuple[str, ...]) -> None:
    mapping = load_mapping(EXAMPLES / f"{name}.toml")
    assert {*mapping.columns, mapping.key} == set(columns)


def test_the_blueprint_of_the_demo_has_what_files_and_workflows_need() -> None:
    blueprint = load_blueprint(EXAMPLES / "blueprint.toml")
    (pipeline,) = blueprint.pipelines
    codes = {(field.entity, field.code) for field in blueprint.fields}
    assert pipeline.name == PIPELINE
    assert [stage.name for stage in pipeline.stages] == list(STAGES)
    assert set(TEMPLATES) <= set(STAGES)
    assert ("deal", TRACE_FIELD) in codes
    for name in ("companies", "contacts", "deals"):
        mapping = load_mapping(EXAMPLES / f"{name}.toml")
        used = {(mapping.entity, code) for code in mapping.fields_used if code.startswith("UF_")}
        assert used <= codes


def test_mailboxes_are_latin() -> None:
    assert latin("Воробьёв-Щукин") == "vorobev-schukin"


# -- the judge ----------------------------------------------------------------------------------------------------


def test_one_broken_promise_makes_the_demo_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage(tmp_path, 60.0)
    stage.promise("duplicates", 0, 0)
    assert stage.verdict() == 0
    stage.promise("lost", 3, 0)
    assert stage.verdict() == 1
    said = capsys.readouterr().out
    assert "kept    duplicates" in said
    assert "BROKEN  lost" in said
    assert "expected 0" in said


def test_a_folder_with_files_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years", encoding="utf-8")
    with pytest.raises(Failed, match="--out"):
        Stage(tmp_path, 60.0).empty_folder()
    assert (tmp_path / "thesis.txt").exists()


def test_a_folder_of_an_earlier_demo_is_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "demo-out"
    Stage(folder, 60.0).empty_folder()
    (folder / "deals.xlsx").touch()
    Stage(folder, 60.0).empty_folder()
    assert [path.name for path in folder.iterdir()] == [MARKER]


def test_people_are_those_whom_the_columns_of_people_name_by_mail() -> None:
    columns = {
        "Owner": {
            "field": "assigned_by",
            "map": {"A": "a@example.com", "B": "b@example.com"},
            "default": "a@example.com",
        },
        "Watcher": {"field": "observers", "default": "Пётр Зайцев"},
        "Mail": {"field": "email", "default": "info@example.com"},
        "Title": "title",
    }
    people = people_of([{"columns": columns}, {"columns": "nonsense"}])
    assert [row["EMAIL"] for row in people] == ["a@example.com", "b@example.com"]
    assert len({row["ID"] for row in people}) == 2


def test_smart_processes_are_made_once_each() -> None:
    entities = ("deal", "item:1030", "item:1030", "item:x")
    assert [row["entityTypeId"] for row in types_of([{"entity": entity} for entity in entities])] == [1030]


def test_a_mapping_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("entity = deal", encoding="utf-8")
    with pytest.raises(Failed, match=r"m\.toml"):
        Pair(tmp_path / "f.csv", tmp_path / "m.toml").read()


# -- subprocesses -------------------------------------------------------------------------------------------------


def started(code: str, tmp_path: Path, said: list[str] | None = None) -> Command:
    return Command(["test"], [sys.executable, "-c", code], tmp_path, say_nothing if said is None else said.append)


def test_a_command_tells_its_lines_its_answer_and_its_exit_code(tmp_path: Path) -> None:
    said: list[str] = []
    code = "import sys; print('hello'); print('{\"created\": 3}'); print('so far', file=sys.stderr); sys.exit(3)"
    finished = started(code, tmp_path, said).finish()
    assert finished.code == 3
    assert finished.answer == {"created": 3}
    assert finished.printed == ["hello", '{"created": 3}']
    assert said == finished.said == ["so far"]
    assert finished.seconds > 0


def test_a_killed_command_is_known_by_its_signal(tmp_path: Path) -> None:
    command = started("import time; time.sleep(60)", tmp_path)
    assert not command.over()
    command.kill()
    assert command.finish().code == -signal.SIGKILL
    assert command.over()


def test_ending_a_command_twice_or_after_its_end_does_nothing(tmp_path: Path) -> None:
    command = started("print(1)", tmp_path)
    until = time.monotonic() + 30
    while not command.over() and time.monotonic() < until:
        time.sleep(0.01)
    command.end()
    command.end()
    assert command.finish().code == 0


def test_memory_is_that_of_the_command(tmp_path: Path) -> None:
    # Far above what this process may hold: a child's figure begins with what its parent had when it forked.
    size_mb = 200 + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    large = started(f"block = b'x' * {size_mb << 20}; print(len(block))", tmp_path).finish().peak_rss_mb
    assert size_mb < large < size_mb + 200


def test_a_sandbox_ends_with_its_block(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, scale=60.0, costs={"crm.deal.add": 0.5}) as sandbox:
        assert sandbox.scale == 60
        assert sandbox.figures()["requests"] == 0
        assert sandbox.get("costs") == {"crm.deal.add": 0.5}
        assert sandbox.webhook in sandbox.toml_block
    with pytest.raises(OSError, match="refused"):
        sandbox.figures()


def test_a_sandbox_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="scale"), running_sandbox(tmp_path, scale=-1.0):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interruption_while_a_process_starts_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    started: list[subprocess.Popen[str]] = []

    class Interrupted(subprocess.Popen[str]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            started.append(self)
            signal.raise_signal(number)  # it runs, and nobody has its name yet

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt), ended_by_signals(), running_sandbox(tmp_path):
        pytest.fail("nothing was interrupted")
    command = Connector(tmp_path / "config.toml", say_nothing).started("serve")
    with pytest.raises(KeyboardInterrupt), ended_by_signals(), command:
        pytest.fail("nothing was interrupted")
    assert len(started) == 2
    assert [Path(f"/proc/{process.pid}").exists() for process in started] == [False, False]


def test_nobody_behind_a_generated_mailbox_can_be_reached(tmp_path: Path) -> None:
    companies = Generator(tmp_path).companies(50)
    with companies.path.open(encoding="cp1251", newline="") as file:
        mails = [row["E-mail"] for row in csv.DictReader(file, delimiter=";")]
    assert len(mails) == companies.rows
    assert all(mail.endswith(".example") for mail in mails)
