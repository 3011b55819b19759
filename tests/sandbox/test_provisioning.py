"""Provisioning: what b24sync made is kept in line and deleted on request, what others made is left alone."""

from __future__ import annotations

import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from sandbox_process import SandboxProcess, running_sandbox
from test_portal_apply import NOTHING, stages

WRITES = (".add", ".update", ".delete")
BLUEPRINT = """
[[pipelines]]
name = "Проекты"
stages = [
  { name = "Заявка", color = "#39A8EF" },
  { name = "Экспертиза" },
  { name = "Передача" },
  { name = "Сдано", semantics = "success" },
  { name = "Сделка провалена", semantics = "failure" },
]

[[fields]]
entity = "deal"
code = "UF_CRM_CALL_BACK"
type = "datetime"
label = "Дата перезвона"

[[fields]]
entity = "deal"
code = "UF_CRM_GRADE"
type = "enumeration"
label = "Класс"
values = ["A", "B", "C"]
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off") as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    sandbox.reset({"categories": []})  # a seed, so that none of another test's stays
    found = Desk(tmp_path, sandbox, '[paths]\nblueprint = "blueprint.toml"')
    found.file("blueprint.toml", BLUEPRINT)
    return found


def applied(desk: Desk, *more: str) -> None:
    ended = desk.run("portal", "apply", "--yes", *more)
    assert ended.code == 0, ended


def writes(desk: Desk) -> Counter[str]:
    """Calls of writing methods so far."""
    methods = desk.sandbox.figures()["methods"]
    return Counter({name: row["calls"] for name, row in methods.items() if name.endswith(WRITES)})


def fields(desk: Desk, entity: str = "deal", **filters: str) -> dict[str, dict[str, Any]]:
    answer = desk.sandbox.rest(f"crm.{entity}.userfield.list", {"filter": {"LANG": "ru", **filters}})
    return {row["FIELD_NAME"]: row for row in answer["result"]}


def stage_ids(desk: Desk, pipeline: str) -> dict[str, str]:
    pipeline_id = next(row["id"] for row in desk.sandbox.state("categories") if row["name"] == pipeline)
    rows = desk.sandbox.rest("crm.status.list", {"filter": {"ENTITY_ID": f"DEAL_STAGE_{pipeline_id}"}})["result"]
    return {row["NAME"]: row["ID"] for row in rows}


def test_what_people_changed_by_hand_is_drift_and_is_mended_but_what_they_added_stays(desk: Desk) -> None:
    applied(desk)
    rest = desk.sandbox.rest
    ids = stage_ids(desk, "Проекты")
    pipeline_id = next(row["id"] for row in desk.sandbox.state("categories") if row["name"] == "Проекты")
    assert desk.run("portal", "drift").code == 0
    rest("crm.status.update", {"id": ids["Экспертиза"], "fields": {"NAME": "Проверка", "SORT": 5}})
    added = {"ENTITY_ID": f"DEAL_STAGE_{pipeline_id}", "STATUS_ID": "MINE", "NAME": "Своя", "SORT": 35}
    rest("crm.status.add", {"fields": added})
    rest("crm.deal.userfield.delete", {"id": fields(desk)["UF_CRM_CALL_BACK"]["ID"]})
    rest("crm.deal.userfield.update", {"id": fields(desk)["UF_CRM_GRADE"]["ID"], "fields": {"MANDATORY": "Y"}})
    ended = desk.run("portal", "drift")
    assert ended.code == 3
    assert "gone from the portal: field UF_CRM_CALL_BACK" in ended.stdout
    assert "changed: field UF_CRM_GRADE of deal: not mandatory" in ended.stdout
    assert "Проверка -> Экспертиза" in ended.stdout
    applied(desk)
    assert desk.run("portal", "drift", "--json").result == {"drift": []}
    names = [name for name, _ in stages(desk, "Проекты")]
    assert [name for name in names if name != "Своя"] == [
        "Заявка",
        "Экспертиза",
        "Передача",
        "Сдано",
        "Сделка провалена",
    ]
    assert "Своя" in names and fields(desk)["UF_CRM_GRADE"]["MANDATORY"] == "N"
    assert stage_ids(desk, "Проекты")["Экспертиза"] == ids["Экспертиза"], "renamed back, not made anew"


def test_destroy_deletes_what_b24sync_made_and_the_blueprint_no_longer_names_and_nothing_else(desk: Desk) -> None:
    desk.sandbox.rest("crm.category.add", {"entityTypeId": 2, "fields": {"name": "Чужая"}})
    desk.sandbox.rest("crm.deal.userfield.add", {"fields": {"FIELD_NAME": "THEIRS", "USER_TYPE_ID": "string"}})
    more = BLUEPRINT + '[[pipelines]]\nname = "Лишняя"\n'
    desk.file("blueprint.toml", more.replace('"Передача" },', '"Передача" },\n  { name = "Пауза" },'))
    applied(desk)
    assert {"Лишняя", "Проекты"} <= {row["name"] for row in desk.sandbox.state("categories")}
    less = BLUEPRINT.replace('["A", "B", "C"]', '["A", "B"]')
    start = less.index('[[fields]]\nentity = "deal"\ncode = "UF_CRM_CALL_BACK"')
    desk.file("blueprint.toml", less[:start] + less[less.rindex("[[fields]]") :])
    before = writes(desk)
    applied(desk)
    assert writes(desk) == before, "without --destroy nothing is deleted"
    planned = desk.run("portal", "plan", "--json").result["to_delete"]
    assert planned == [
        "field UF_CRM_CALL_BACK of deal: delete with its values in all items",
        "field UF_CRM_GRADE of deal: delete C",
        "stage Пауза of pipeline Проекты: delete",
        "pipeline Лишняя: delete",
    ]
    applied(desk, "--destroy")
    assert {row["name"] for row in desk.sandbox.state("categories")} == {"Общая", "Чужая", "Проекты"}
    assert set(fields(desk)) == {"UF_CRM_THEIRS", "UF_CRM_GRADE"}
    assert [value["VALUE"] for value in fields(desk)["UF_CRM_GRADE"]["LIST"]] == ["A", "B"]
    assert "Пауза" not in dict(stages(desk, "Проекты"))
    assert desk.run("portal", "plan", "--json").result == NOTHING


def test_a_pipeline_that_holds_deals_is_not_deleted_and_that_is_said(desk: Desk) -> None:
    applied(desk)
    pipeline_id = next(row["id"] for row in desk.sandbox.state("categories") if row["name"] == "Проекты")
    desk.sandbox.rest("crm.item.add", {"entityTypeId": 2, "fields": {"title": "Живая", "categoryId": pipeline_id}})
    desk.file("blueprint.toml", BLUEPRINT[BLUEPRINT.index("[[fields]]") :])
    ended = desk.run("portal", "apply", "--destroy", "--yes")
    assert ended.code == 3
    assert "not deleted: pipeline Проекты" in ended.stderr
    assert "Проекты" in {row["name"] for row in desk.sandbox.state("categories")}


FEATURES = """
[paths]
blueprint = "blueprint.toml"
[groups]
company_types = ["CUSTOMER"]
[[stages.norm]]
pipeline = "Проекты"
stage = "Экспертиза"
days = 5
field = "UF_CRM_PLAN_REVIEW"
[[workflows.start]]
pipeline = "Проекты"
stage = "Заявка"
template = "Первый звонок"
trace = "UF_CRM_CALLED"
[rules.refusal]
field = "UF_CRM_REFUSED"
"""


def test_the_fields_that_enabled_features_need_are_made_too(desk: Desk) -> None:
    desk.configure(FEATURES)
    applied(desk)
    made = {code: row["USER_TYPE_ID"] for code, row in fields(desk).items()}
    assert made == {
        "UF_CRM_CALL_BACK": "datetime",
        "UF_CRM_GRADE": "enumeration",
        "UF_CRM_CALLED": "string",
        "UF_CRM_B24SYNC_STAGE_START": "datetime",
        "UF_CRM_B24SYNC_STAGE_PLAN_END": "datetime",
        "UF_CRM_B24SYNC_DAYS_LEFT": "double",
        "UF_CRM_B24SYNC_OVERDUE_TOTAL": "double",
        "UF_CRM_PLAN_REVIEW": "double",
        "UF_CRM_REFUSED": "boolean",
    }
    assert list(fields(desk, "company")) == ["UF_CRM_B24SYNC_GROUP"]


def test_a_field_that_the_configuration_names_and_the_portal_has_is_taken_as_it_is(desk: Desk) -> None:
    desk.configure(FEATURES.replace('blueprint = "blueprint.toml"\n', "", 1))
    theirs = {"CALLED": "datetime", "PLAN_REVIEW": "integer", "REFUSED": "enumeration"}
    for name, kind in theirs.items():
        desk.sandbox.rest(
            "crm.deal.userfield.add", {"fields": {"FIELD_NAME": name, "USER_TYPE_ID": kind, "LABEL": f"Их {name}"}}
        )
    ended = desk.run("portal", "apply", "--yes")
    assert ended.code == 0, ended
    kinds = {code: row["USER_TYPE_ID"] for code, row in fields(desk).items()}
    assert {f"UF_CRM_{name}": kind for name, kind in theirs.items()}.items() <= kinds.items()
    assert desk.run("portal", "plan", "--json").result == NOTHING
    assert desk.run("portal", "drift").code == 0


def test_a_rule_that_knows_its_field_by_the_label_gets_one_only_where_nothing_is_called_so(desk: Desk) -> None:
    desk.configure("[rules.callback]\n[rules.refusal]\n")
    desk.sandbox.rest(
        "crm.deal.userfield.add", {"fields": {"FIELD_NAME": "NO", "USER_TYPE_ID": "boolean", "LABEL": "Отказ"}}
    )
    applied(desk)
    assert {code: row["EDIT_FORM_LABEL"] for code, row in fields(desk).items()} == {
        "UF_CRM_NO": "Отказ",
        "UF_CRM_CALLBACK_AT": "Дата перезвона",
    }
    assert desk.run("portal", "plan", "--json").result == NOTHING, "what is made by label stays wanted"


EVERY_KIND = (
    "string", "integer", "double", "boolean", "date", "datetime", "money", "enumeration", "url", "address",
    "employee", "file", "crm", "crm_status", "iblock_section", "iblock_element",
)  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "string": {"ROWS": 3, "REGEXP": '/^"\\d+"$/'},
    "boolean": {"DEFAULT_VALUE": 1},
    "datetime": {"DEFAULT_VALUE": {"TYPE": "NOW", "VALUE": ""}},
    "double": {"PRECISION": 0},
    "crm": {"DEAL": "Y", "LEAD": "N"},
    "crm_status": {"ENTITY_TYPE": "SOURCE"},
    "file": {"EXTENSIONS": {"pdf": True, "doc x": True}},
}


def seed_of_a_grown_portal() -> dict[str, Any]:
    """Every type of field, labels with quotes, doubled names, colours, leads, smart processes with pipelines."""
    values = [
        {"VALUE": 'Да "почти"', "SORT": 20, "DEF": "Y"},
        {"VALUE": "Нет\\n", "SORT": 10, "XML_ID": "no"},
        {"VALUE": "НЕТ\\N", "SORT": 30},
    ]
    userfields = [
        {
            "ENTITY_ID": f"CRM_{entity}",
            "FIELD_NAME": f"{kind.upper()}_{number}",
            "USER_TYPE_ID": kind,
            "LABEL": f'Поле «{kind}» "{number}"',
            "MULTIPLE": "Y" if kind in ("string", "crm") else "N",
            "MANDATORY": "Y" if kind == "url" else "N",
            "SHOW_FILTER": "N" if kind == "file" else "Y",
            "SORT": 100 + number,
            "LIST": values if kind == "enumeration" else [],
            "SETTINGS": SETTINGS.get(kind, {}),
        }
        for entity in ("DEAL", "COMPANY")
        for number, kind in enumerate(EVERY_KIND)
    ]
    ending = [
        {"name": "Успех", "semantics": "S", "color": "#7BD500"},
        {"name": "Провал", "semantics": "F", "color": "#FF0000"},
    ]
    return {
        "userfields": [*userfields, {"ENTITY_ID": "CRM_LEAD", "FIELD_NAME": "1712074666", "USER_TYPE_ID": "string"}],
        "types": [{"title": "Заказы", "entityTypeId": 1040, "isStagesEnabled": "Y", "isCategoriesEnabled": "Y"}],
        "categories": [
            {
                "name": "Сложная",
                "sort": 30,
                "stages": [{"name": "Одна", "color": "#111111"}, {"name": "ОДНА"}, *ending],
            },
            {"name": "сложная", "sort": 40},
            {"entityTypeId": 1040, "name": "Вторая", "stages": [{"name": "Сбор", "color": "#123ABC"}, *ending]},
        ],
    }


def test_a_pulled_blueprint_finds_nothing_to_do_on_its_portal_and_makes_another_one_alike(
    desk: Desk, tmp_path: Path
) -> None:
    desk.sandbox.reset(seed_of_a_grown_portal())
    assert desk.run("portal", "pull", "--out", tmp_path / "pulled.toml").code == 0
    pulled = (tmp_path / "pulled.toml").read_text(encoding="utf-8")
    assert "is called 'сложная' too" in pulled and "Another stage is called 'ОДНА' too" in pulled
    assert "Another value is called 'НЕТ\\\\N' too" in pulled
    found = tomllib.loads(pulled)
    kinds = {row["type"]: row for row in found["fields"]}
    assert kinds["double"]["settings"]["PRECISION"] == 0
    assert [value["xml_id"] for value in kinds["enumeration"]["values"] if "xml_id" in value] == ["no"]
    assert Counter(row["type"] for row in found["fields"])["crm"] == 2
    assert {row["type"] for row in found["fields"]} == set(EVERY_KIND)
    before = writes(desk)
    assert desk.run("portal", "plan", "--blueprint", tmp_path / "pulled.toml", "--json").result == NOTHING
    assert writes(desk) == before
    with running_sandbox(plan="off") as empty:
        (tmp_path / "other").mkdir()
        other = Desk(tmp_path / "other", empty)
        ended = other.run("portal", "apply", "--blueprint", tmp_path / "pulled.toml", "--yes")
        assert ended.code == 0, ended
        assert tomllib.loads(other.run("portal", "pull").stdout) == found


def test_a_smart_process_is_made_with_its_pipeline_and_fields_and_removed_again(desk: Desk) -> None:
    types = '[[types]]\ntitle = "Заявки лаборатории"\nswitches = { client = true }\n'
    pipeline = BLUEPRINT[: BLUEPRINT.index("[[fields]]")].replace(
        'name = "Проекты"', 'name = "Анализы"\nentity = "item:Заявки лаборатории"'
    )
    field = '[[fields]]\nentity = "item:Заявки лаборатории"\ncode = "UF_CRM_STATE"\ntype = "enumeration"\n'
    desk.file("blueprint.toml", f'{types}{pipeline}{field}label = "Состояние"\nvalues = ["Новая", "Готова"]\n')
    applied(desk)
    row = desk.sandbox.rest("crm.type.list")["result"]["types"][0]
    assert (row["title"], row["isClientEnabled"], row["isStagesEnabled"]) == ("Заявки лаборатории", "Y", "Y")
    described = desk.sandbox.rest("crm.item.fields", {"entityTypeId": row["entityTypeId"], "useOriginalUfNames": "Y"})[
        "result"
    ]["fields"][f"UF_CRM_{row['id']}_STATE"]
    assert [item["VALUE"] for item in described["items"]] == ["Новая", "Готова"]
    before = writes(desk)
    applied(desk)
    assert writes(desk) == before, "the second time nothing is written"
    desk.file("blueprint.toml", BLUEPRINT)
    applied(desk, "--destroy")
    assert desk.sandbox.rest("crm.type.list")["result"]["types"] == []


@pytest.mark.waits
def test_a_killed_apply_goes_on_and_makes_nothing_twice(tmp_path: Path) -> None:
    kill_apply(tmp_path, at=[1, 3, 6])


@pytest.mark.long
def test_an_apply_killed_after_every_single_write_makes_nothing_twice(tmp_path: Path) -> None:
    kill_apply(tmp_path, at=list(range(1, 11)))  # eleven writes make it all


def kill_apply(tmp_path: Path, at: list[int]) -> None:
    """kill -9 each time that so many writes have reached the portal, while the next one is on its way."""
    slow = dict.fromkeys(("crm.category.add", "crm.status.add", "crm.status.update", "crm.deal.userfield.add"), 0.2)
    with running_sandbox(plan="custom", rate_per_s=100, request_cap_s=1, costs=slow) as sandbox:
        desk = Desk(tmp_path, sandbox, '[paths]\nblueprint = "blueprint.toml"')
        desk.file("blueprint.toml", BLUEPRINT)
        killed = 0
        for wanted in at:
            running = desk.start("portal", "apply", "--yes")
            while sum(writes(desk).values()) < wanted and running.alive:
                time.sleep(0.02)
            killed += running.kill()
        # A machine that is busy may look too late, when the command has come to its end.
        assert killed * 3 >= len(at) * 2, f"{killed} of {len(at)} kills fell in the middle"
        applied(desk)
        assert sandbox.wait_idle()
        names = [row["name"] for row in sandbox.state("categories")]
        assert names == ["Общая", "Проекты"]
        wanted_stages = ["Заявка", "Экспертиза", "Передача", "Сдано", "Сделка провалена"]
        assert [name for name, _ in stages(desk, "Проекты")] == wanted_stages
        assert set(fields(desk)) == {"UF_CRM_CALL_BACK", "UF_CRM_GRADE"}
        assert [value["VALUE"] for value in fields(desk)["UF_CRM_GRADE"]["LIST"]] == ["A", "B", "C"]
        before = writes(desk)
        applied(desk)
        assert writes(desk) == before
        assert desk.run("portal", "plan", "--json").result == NOTHING
