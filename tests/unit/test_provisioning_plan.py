"""Comparing a blueprint with a portal: what the portal does not tell is no difference, what it tells is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from b24sync.errors import ConfigError
from b24sync.portal.structure import PipelineRow, StageRow
from b24sync.portal.userfields import FieldHome, UserFieldRow
from b24sync.provisioning.blueprint import Blueprint, load_blueprint, read_blueprint
from b24sync.provisioning.made import FIELD, PIPELINE, SHAPE, STAGE, Made
from b24sync.provisioning.plan import StructurePlan, make_plan
from b24sync.provisioning.present import Entity, Pipeline, Present

TEXT = """
[[pipelines]]
name = "Проекты"
stages = [
  { name = "Заявка", color = "#39A8EF" },
  { name = "Сдано", semantics = "success" },
  { name = "Отказ", semantics = "failure" },
]
[[fields]]
entity = "deal"
code = "UF_CRM_REFUSED"
type = "boolean"
label = "Отказ"
settings = { DISPLAY = "CHECKBOX" }
"""
ROW = UserFieldRow(5, "UF_CRM_REFUSED", "boolean", "Отказ", False, False, True, 100, {"DISPLAY": "CHECKBOX"})
STAGES = (
    StageRow(11, "C3:B1", "Заявка", 10, "process", False, "#39A8EF"),
    StageRow(12, "C3:WON", "Сдано", 1000, "success", True, "#000000"),
    StageRow(13, "C3:LOSE", "Отказ", 1010, "failure", True, "#000000"),
)
MADE_IDS = {FIELD: {"deal/UF_CRM_REFUSED": 5}, PIPELINE: {"Проекты": 3}, STAGE: {"Проекты/Заявка": 11}}
OURS = Made(ids={**MADE_IDS, SHAPE: {"Проекты": 3}}, pipelines={(2, 3)})


def blueprint(text: str = TEXT) -> Blueprint:
    return read_blueprint(text, "test")


def planned(field: UserFieldRow, stages: tuple[StageRow, ...] = STAGES, made: Made = OURS) -> StructurePlan:
    pipeline = Pipeline(PipelineRow(3, "Проекты", 500, False), "DEAL_STAGE_3", stages)
    deal = Entity("deal", 2, FieldHome("deal"), (pipeline,), {field.code: field})
    return make_plan(blueprint(), Present((), {"deal": deal}), made)


def test_a_portal_that_is_as_the_blueprint_says_needs_nothing() -> None:
    assert planned(ROW).as_dict() == StructurePlan().as_dict()


def test_labels_settings_and_colours_that_a_portal_does_not_tell_are_no_difference() -> None:
    silent = tuple(replace(stage, color="") for stage in STAGES)
    assert planned(replace(ROW, label="", settings={}), silent).as_dict() == StructurePlan().as_dict()


def test_what_a_portal_tells_otherwise_is_changed_where_it_is_ours_and_left_alone_where_not() -> None:
    other = replace(ROW, label="Нет", settings={"DISPLAY": "RADIO"})
    coloured = (replace(STAGES[0], color="#FFFFFF"), *STAGES[1:])
    changes = planned(other, coloured).as_dict()
    assert changes["to_change"] == [
        "pipeline Проекты: change Заявка: colour",
        "field UF_CRM_REFUSED of deal: label Нет -> Отказ, DISPLAY 'RADIO' -> 'CHECKBOX'",
    ]
    foreign = planned(other, coloured, Made())
    assert foreign.steps == [] and len(foreign.left_alone) == 2


def test_stages_in_another_order_are_put_in_order_and_a_missing_one_between_them() -> None:
    text = TEXT.replace('  { name = "Сдано"', '  { name = "Экспертиза" },\n  { name = "Сдано"')
    pipeline = Pipeline(PipelineRow(3, "Проекты", 500, False), "DEAL_STAGE_3", STAGES)
    deal = Entity("deal", 2, FieldHome("deal"), (pipeline,), {ROW.code: ROW})
    plan = make_plan(blueprint(text), Present((), {"deal": deal}), OURS)
    assert plan.lines() == ["pipeline Проекты: add Экспертиза"]
    assert plan.as_dict()["to_make"] == plan.lines()


def test_entries_that_are_none_are_mistakes_too() -> None:
    with pytest.raises(ConfigError) as caught:
        read_blueprint('types = 1\npipelines = ["Продажи", 5]\nfields = [7]\n', "test")
    table = "must be a table with keys of its own"
    assert caught.value.problems == [
        "types: must be a list, in square brackets",
        f"pipelines 1: {table}",
        f"pipelines 2: {table}",
        f"fields 1: {table}",
    ]


@pytest.mark.parametrize("encoding", ["cp1251", "utf-16"])
def test_a_blueprint_in_another_encoding_is_told_how_to_save_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "b.toml").write_text('[[pipelines]]\nname = "Продажи"\n', encoding=encoding)
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        load_blueprint(tmp_path / "b.toml")


def test_a_mistake_names_its_entry_and_the_key_that_was_probably_meant() -> None:
    text = """
[[pipeline]]
name = "А"
[[fields]]
entity = "deal"
code = "UF_CRM_X"
type = "enumm"
lable = "Икс"
[[pipelines]]
name = "Продажи"
stages = [{ name = "Новая" }, { name = "Успех", semantic = "success" }]
"""
    with pytest.raises(ConfigError) as caught:
        read_blueprint(text, "test")
    told = caught.value.problems
    assert "pipeline: unknown key; did you mean pipelines?" in told
    assert "fields 1 (UF_CRM_X).lable: unknown key; did you mean label?" in told
    assert "fields 1 (UF_CRM_X).label: is missing" in told
    assert "pipelines 1 (Продажи).stages 2 (Успех).semantic: unknown key; did you mean semantics?" in told
    assert any(one.startswith("fields 1 (UF_CRM_X).type: Input should be") for one in told) and len(told) == 5
