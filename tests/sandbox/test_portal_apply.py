"""`portal plan | apply`: what a blueprint says is made once, in order, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from sandbox_process import SandboxProcess, running_sandbox

SEED: dict[str, Any] = {
    "categories": [
        {
            "name": "Чужая",
            "stages": [
                {"name": "Заявка"},
                {"name": "Договор", "semantics": "S"},
                {"name": "Провал", "semantics": "F"},
            ],
        }
    ],
    "userfields": [{"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "TAKEN", "USER_TYPE_ID": "string"}],
}

NOTHING: dict[str, list[str]] = {
    "to_make": [],
    "to_change": [],
    "to_delete": [],
    "left_alone": [],
    "conflicts": [],
}
"""What `portal plan --json` prints where the portal is as its blueprint says."""

BLUEPRINT = """
[[pipelines]]
name = "Школа"
[[pipelines.stages]]
name = "Лид"
[[pipelines.stages]]
name = "Созвон"
[[pipelines.stages]]
name = "Оплата"
[[pipelines.stages]]
name = "Учится"
semantics = "success"
[[pipelines.stages]]
name = "Отказ"
semantics = "failure"
[[pipelines.stages]]
name = "Недозвон"
semantics = "failure"
[[fields]]
entity = "deal"
code = "UF_CRM_LEVEL"
type = "enumeration"
label = "Уровень"
values = ["A1", "B1"]
[[fields]]
entity = "company"
code = "UF_CRM_SINCE"
type = "date"
label = "Клиент с"
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off", seed=SEED) as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    sandbox.reset(SEED)
    return Desk(tmp_path, sandbox, '[paths]\nblueprint = "blueprint.toml"')


def stages(desk: Desk, pipeline: str) -> list[tuple[str, str]]:
    """(name, semantics) in the portal's order."""
    pipeline_id = next(row["id"] for row in desk.sandbox.state("categories") if row["name"] == pipeline)
    rows = [row for row in desk.sandbox.state("stages") if row["entity_id"] == f"DEAL_STAGE_{pipeline_id}"]
    return [(row["name"], row["semantics"]) for row in sorted(rows, key=lambda row: row["sort"])]


def test_a_blueprint_is_made_whole_and_a_second_apply_writes_nothing(desk: Desk) -> None:
    desk.file("blueprint.toml", BLUEPRINT)
    assert "pipeline Школа: make, 6 stages" in desk.run("portal", "plan").stdout
    assert desk.run("portal", "apply", "--yes").code == 0
    wanted = [("Лид", "P"), ("Созвон", "P"), ("Оплата", "P"), ("Учится", "S"), ("Отказ", "F"), ("Недозвон", "F")]
    assert stages(desk, "Школа") == wanted
    fields = str(desk.sandbox.state("userfields"))
    assert all(code in fields for code in ("UF_CRM_LEVEL", "UF_CRM_SINCE", "UF_CRM_TAKEN"))
    before = desk.sandbox.figures()["methods"]
    ended = desk.run("portal", "apply", "--yes")
    assert (ended.code, "everything of the blueprint" in ended.stdout) == (0, True)
    after = desk.sandbox.figures()["methods"]
    writing = [name for name in after if name.endswith((".add", ".update", ".delete"))]
    assert {name: after[name]["calls"] for name in writing} == {name: before[name]["calls"] for name in writing}


def test_a_pipeline_that_was_deleted_in_the_portal_is_made_again_with_its_own_stages_alone(desk: Desk) -> None:
    desk.file("blueprint.toml", BLUEPRINT)
    assert desk.run("portal", "apply", "--yes").code == 0
    first = stages(desk, "Школа")
    made_id = next(row["id"] for row in desk.sandbox.state("categories") if row["name"] == "Школа")
    desk.sandbox.rest("crm.category.delete", {"entityTypeId": 2, "id": made_id})
    assert desk.run("portal", "apply", "--yes").code == 0
    assert stages(desk, "Школа") == first
    assert desk.run("portal", "plan", "--json").result == NOTHING


def test_stages_missing_from_a_pipeline_of_others_are_added_and_the_rest_is_left_alone(desk: Desk) -> None:
    before = stages(desk, "Чужая")
    success = next(name for name, kind in before if kind == "S")
    text = BLUEPRINT.replace('"Школа"', '"Чужая"').replace('"Учится"', f'"{success}"')
    desk.file("blueprint.toml", text)
    assert desk.run("portal", "apply", "--yes").code == 0
    after = stages(desk, "Чужая")
    assert [stage for stage in after if stage in before] == before
    kinds = [kind for _, kind in after]
    assert kinds == sorted(kinds, key="PSF".index)
    assert {name for name, _ in after} - {name for name, _ in before} == {
        "Лид",
        "Созвон",
        "Оплата",
        "Отказ",
        "Недозвон",
    }


def test_enumeration_values_that_are_new_in_the_blueprint_are_added_to_the_field(desk: Desk) -> None:
    desk.file("blueprint.toml", BLUEPRINT)
    assert desk.run("portal", "apply", "--yes").code == 0
    desk.file("blueprint.toml", BLUEPRINT.replace('"B1"]', '"B1", "C2"]'))
    assert desk.run("portal", "apply", "--yes").code == 0
    assert desk.run("portal", "plan", "--json").result == NOTHING
    answer = desk.sandbox.rest("crm.deal.userfield.list", {"filter": {"FIELD_NAME": "UF_CRM_LEVEL"}})
    assert [item["VALUE"] for item in answer["result"][0]["LIST"]] == ["A1", "B1", "C2"]


def test_a_field_of_another_type_is_a_conflict_and_nothing_is_made(desk: Desk) -> None:
    desk.file("blueprint.toml", BLUEPRINT.replace("UF_CRM_LEVEL", "UF_CRM_TAKEN"))
    ended = desk.run("portal", "apply", "--yes")
    assert ended.code == 78
    assert "UF_CRM_TAKEN of deal exists as string" in ended.stderr
    assert [row["name"] for row in desk.sandbox.state("categories")] == ["Общая", "Чужая"]


def test_every_mistake_of_a_blueprint_is_told_at_once(desk: Desk) -> None:
    text = BLUEPRINT.replace('semantics = "success"', 'semantics = "process"').replace('values = ["A1", "B1"]', "")
    desk.file("blueprint.toml", text)
    ended = desk.run("portal", "plan")
    assert ended.code == 78
    assert "exactly one stage is a success" in ended.stderr and "an enumeration needs values" in ended.stderr


METHODS = ("crm.category.add", "crm.status.update", "crm.status.add", "crm.deal.userfield.add")
MANY_STAGES = BLUEPRINT.replace(
    'name = "Недозвон"', 'name = "Недозвон"\nsemantics = "failure"\n[[pipelines.stages]]\nname = "Дубль"'
)


def apply_despite(tmp_path: Path, kind: str, methods: Sequence[str]) -> None:
    """Break the first call of each method; everything stands once all the same."""
    with running_sandbox(seed=SEED, plan="custom", rate_per_s=100, request_cap_s=1) as sandbox:
        desk = Desk(tmp_path, sandbox, '[paths]\nblueprint = "blueprint.toml"')
        desk.file("blueprint.toml", MANY_STAGES)
        for method in methods:
            sandbox.fault(kind, method, nth=1)
        ended = desk.run("portal", "apply", "--yes")
        assert [fault["fired"] for fault in sandbox.faults()] == [1] * len(methods), "a fault did not bite"
        assert ended.code == 0, ended
        assert [row["name"] for row in sandbox.state("categories")] == ["Общая", "Чужая", "Школа"]
        names = [name for name, _ in stages(desk, "Школа")]
        assert names == ["Лид", "Созвон", "Оплата", "Учится", "Отказ", "Недозвон", "Дубль"]


def test_writes_whose_answer_was_lost_are_looked_for_and_not_repeated(tmp_path: Path) -> None:
    apply_despite(tmp_path, "cut_after", METHODS)


@pytest.mark.waits
def test_a_write_that_never_arrived_is_sent_again_once_that_is_certain(tmp_path: Path) -> None:
    apply_despite(tmp_path, "cut_before", ["crm.category.add"])


@pytest.mark.long
@pytest.mark.parametrize("kind", ["cut_before", "hang_after"])
def test_every_kind_of_lost_answer_at_every_method(tmp_path: Path, kind: str) -> None:
    apply_despite(tmp_path, kind, METHODS)


def test_values_whose_answer_was_lost_are_not_added_twice(tmp_path: Path) -> None:
    with running_sandbox(seed=SEED, plan="custom", rate_per_s=100, request_cap_s=1) as sandbox:
        desk = Desk(tmp_path, sandbox, '[paths]\nblueprint = "blueprint.toml"')
        desk.file("blueprint.toml", BLUEPRINT)
        assert desk.run("portal", "apply", "--yes").code == 0
        desk.file("blueprint.toml", BLUEPRINT.replace('"B1"]', '"B1", "C2"]'))
        sandbox.fault("cut_after", "crm.deal.userfield.update", nth=1)
        ended = desk.run("portal", "apply", "--yes")
        assert [fault["fired"] for fault in sandbox.faults()] == [1], "the fault did not bite"
        assert ended.code == 0, ended
        answer = sandbox.rest("crm.deal.userfield.list", {"filter": {"FIELD_NAME": "UF_CRM_LEVEL"}})
        assert [item["VALUE"] for item in answer["result"][0]["LIST"]] == ["A1", "B1", "C2"]
