"""`workflows start`: the right template by pipeline and stage, once per stay in the stage, two waiting at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import Desk
from sandbox_process import SandboxProcess, running_sandbox

SEED = {
    "categories": [{"name": "Продажи", "stages": [{"name": "Новая"}, {"name": "В работе"}]}],
    "userfields": [{"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "TRACE", "USER_TYPE_ID": "string"}],
    "templates": [
        {"NAME": "Звонок", "kind": "waits"},
        {"NAME": "Письмо", "kind": "waits"},
        {"NAME": "Проверка", "kind": "waits"},
        {"NAME": "Мгновенный", "kind": "ends"},
        {
            "NAME": "С параметром",
            "kind": "waits",
            "parameters": {"Manager": {"Name": "Менеджер", "Type": "user", "Required": "1"}},
        },
    ],
}

MAPPING = """
entity = "deal"
originator = "old-crm"
key = "Id"
[columns]
"Название" = "title"
"Стадия" = "stage"
[constants]
pipeline = "Продажи"
"""


def start_table(template: str, stage: str = "Новая", more: str = "") -> str:
    return f'[[workflows.start]]\npipeline = "Продажи"\nstage = "{stage}"\ntemplate = "{template}"\n{more}\n'


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off", seed=SEED) as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    sandbox.reset(SEED)
    return Desk(tmp_path, sandbox, start_table("Звонок"))


def import_deals(desk: Desk, count: int = 3, *more: str) -> dict[str, int]:
    rows = [[str(number), f"Сделка {number}", "Новая" if number % 3 else "В работе"] for number in range(count)]
    ended = desk.run_import(
        desk.table("d.csv", ["Id", "Название", "Стадия"], rows), desk.file("m.toml", MAPPING), *more
    )
    assert ended.result["created"] == count, ended
    return ended.result


def started(desk: Desk) -> Counter[str]:
    return Counter(str(row["template"]) for row in desk.sandbox.state("workflows"))


def deal_in(desk: Desk, key: str) -> int:
    return next(int(str(deal["id"])) for deal in desk.items(2, "id,originId") if deal["originId"] == key)


def test_only_deals_of_the_configured_stage_get_the_template_and_only_once(desk: Desk) -> None:
    run = import_deals(desk, 30)["run"]
    dry = desk.run("workflows", "start", "--run", str(run), "--dry-run", "--json")
    assert dry.result == {"planned": 20, "started": 0, "skipped": 0, "refused": 0, "unknown": 0}
    assert started(desk) == {}
    first = desk.run("workflows", "start", "--run", str(run), "--json")
    assert (first.code, first.result["started"], first.result["planned"]) == (0, 20, 20)
    again = desk.run("workflows", "start", "--all", "--json")
    assert (again.code, again.result["started"], again.result["skipped"]) == (0, 0, 20)
    assert started(desk) == {"Звонок": 20}
    assert desk.sandbox.figures()["workflows"]["started_twice"] == 0
    assert desk.run("workflows", "status", "--json").result["started"] == 20


def test_import_run_starts_workflows_itself_when_asked(desk: Desk) -> None:
    import_deals(desk, 6, "--workflows")
    assert started(desk) == {"Звонок": 4}


def test_workflows_that_cannot_start_do_not_hide_what_was_imported(desk: Desk) -> None:
    file = desk.table("d.csv", ["Id", "Название", "Стадия"], [["1", "Сделка", "Новая"]])
    mapping = desk.file("m.toml", MAPPING)
    desk.configure("")
    ended = desk.run_import(file, mapping, "--workflows")
    assert ended.code == 78 and "No workflows are configured" in ended.result["error"]
    assert desk.items(2, "title") == [], "nothing is written where nothing could be started"
    desk.configure(start_table("Звнок"))
    ended = desk.run_import(file, mapping, "--workflows")
    assert (ended.code, ended.result["created"]) == (78, 1), ended
    assert "nearest: Звонок" in ended.stderr and "b24sync workflows start --run" in ended.stderr
    desk.configure(start_table("Звонок"))
    assert desk.run("workflows", "start", "--run", str(ended.result["run"])).code == 0
    assert started(desk) == {"Звонок": 1}


def test_a_deal_that_left_a_stage_and_came_back_is_a_new_entry(desk: Desk) -> None:
    import_deals(desk)
    assert desk.run("workflows", "start", "--all", "--json").result["started"] == 2
    deal_id = deal_in(desk, "1")
    pipeline = next(row["id"] for row in desk.sandbox.state("categories") if row["name"] == "Продажи")
    stages = {
        row["name"]: row["status_id"] for row in desk.sandbox.state("stages") if f"_{pipeline}" in row["entity_id"]
    }
    for stage in ("В работе", "Новая"):
        desk.sandbox.act("deal.move", id=deal_id, stage=stages[stage])
    ended = desk.run("workflows", "start", "--all", "--json")
    assert (ended.result["started"], ended.result["skipped"]) == (1, 1), ended
    assert Counter(row["document_id"] for row in desk.sandbox.state("workflows"))[f"DEAL_{deal_id}"] == 2


def test_deals_of_one_stage_can_be_chosen(desk: Desk) -> None:
    desk.configure(start_table("Звонок") + start_table("Письмо", "В работе"))
    import_deals(desk, 6)
    assert desk.run("workflows", "start", "--stage", "В работе", "--json").result["started"] == 2
    assert started(desk) == {"Письмо": 2}
    assert desk.run("workflows", "start", "--stage", "Нет такой").code == 78
    assert desk.run("workflows", "start").code == 2


def test_a_third_waiting_workflow_is_refused_by_us_and_started_when_one_has_ended(desk: Desk) -> None:
    desk.configure("".join(start_table(name) for name in ("Звонок", "Письмо", "Проверка")))
    import_deals(desk, 3)
    ended = desk.run("workflows", "start", "--all", "--json")
    assert (ended.code, ended.result["started"], ended.result["refused"]) == (3, 4, 2), ended
    assert "bizproc.workflow.start" not in desk.sandbox.figures()["nested_errors"], "the portal had to refuse"
    assert "2 workflows wait on the deal" in desk.run("workflows", "status").stdout
    waiting = [row for row in desk.sandbox.state("workflows") if row["template"] == "Звонок"]
    for row in waiting:
        desk.sandbox.act("workflow.complete", id=row["id"])
    ended = desk.run("workflows", "start", "--all", "--json")
    assert (ended.code, ended.result["started"], ended.result["skipped"]) == (0, 2, 4), ended
    assert started(desk) == {"Звонок": 2, "Письмо": 2, "Проверка": 2}


def test_templates_that_end_at_once_do_not_count_as_waiting(desk: Desk) -> None:
    desk.configure("".join(start_table(name) for name in ("Мгновенный", "Звонок", "Письмо")))
    import_deals(desk, 3)
    ended = desk.run("workflows", "start", "--all", "--json")
    assert (ended.code, ended.result["started"]) == (0, 6), ended


def test_parameters_reach_the_template_and_a_missing_one_is_refused_with_the_portals_words(desk: Desk) -> None:
    desk.configure(start_table("С параметром"))
    import_deals(desk, 3)
    refused = desk.run("workflows", "start", "--all", "--json")
    assert (refused.code, refused.result["refused"], refused.result["started"]) == (3, 2, 0), refused
    desk.configure(start_table("С параметром", more='parameters = { Manager = "user_1" }'))
    ended = desk.run("workflows", "start", "--all", "--json")
    assert (ended.code, ended.result["started"]) == (0, 2), ended


def test_names_that_do_not_resolve_are_told_all_at_once(desk: Desk) -> None:
    desk.configure(
        start_table("Звонак") + start_table("Звонок", "Новоя") + start_table("Звонок", more='trace = "UF_CRM_NO_SUCH"')
    )
    ended = desk.run("workflows", "start", "--all")
    assert ended.code == 78
    for word in ("'Звонак' does not exist for deals; nearest: Звонок", "'Новоя'", "UF_CRM_NO_SUCH"):
        assert word in ended.stderr
    assert started(desk) == {}


def test_two_templates_of_one_stage_cannot_share_a_trace(desk: Desk) -> None:
    trace = 'trace = "UF_CRM_TRACE"'
    desk.configure(start_table("Звонок", more=trace) + start_table("Письмо", more=trace))
    ended = desk.run("workflows", "start", "--all")
    assert ended.code == 78 and "UF_CRM_TRACE is the trace of 'Звонок' in this stage too" in ended.stderr, ended
    desk.configure(start_table("Звонок", more=trace) + start_table("Письмо", "В работе", more=trace))
    assert desk.run("workflows", "start", "--all").code == 0
