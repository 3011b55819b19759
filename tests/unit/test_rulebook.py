"""Rule files: loaded by path, parameters typed and resolved with every mistake at once, broken files left out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from b24sync.automation.causes import CHANGED, ENTERED, Cause
from b24sync.automation.observe import Writer, why_not
from b24sync.automation.offline import events_of
from b24sync.automation.params import Portal
from b24sync.automation.rulebook import Rule, RuleBook, load_rules
from b24sync.config import build_config
from b24sync.portal.directory import Directory, FieldInfo, Pipeline, Stage, User
from b24sync.portal.workflows import Template

ORDER = """
from b24sync.automation import *

class Params(RuleParams):
    pipeline: Pipeline = "Продажи"
    start: Stage = "Новая"
    first: FirstStage = "(first)"
    field: Field = "Дата перезвона"
    boss: User
    template: WorkflowTemplate = "Первый звонок"
    wait: Duration = "2h"
    people: list[User] = []

order = Process("order", entity="deal", params=Params)

@order.on(entered("start"))
def begin(deal, ctx): ...

@order.on(changed("field", "opportunity"), check_every="30m", give_up_after="1d")
def call(deal, ctx): ...
"""


def directory() -> Directory:
    def field(code: str, title: str, **more: Any) -> FieldInfo:
        return FieldInfo(code, "string", False, False, False, title, **more)

    fields = [
        field("UF_CRM_CALL", "Дата перезвона"),
        field("opportunity", "Сумма"),
        field("UF_CRM_NO", "Отказ", items={44: "Да", 45: "Нет"}),
    ]
    return Directory(
        2,
        [User(1, "Анна Орлова", "a@x.ru", True), User(3, "Пётр Зайцев", "p@x.ru", False)],
        [Pipeline(0, "Продажи"), Pipeline(4, "Проекты")],
        [
            Stage("NEW", "Новая", 0, "process", 10),
            Stage("LOSE", "Провал", 0, "failure", 20),
            Stage("C4:NEW", "Новая", 4, "process", 10),
        ],
        {},
        {item.code: item for item in fields},
    )


NO: list[Any] = [None, "", False, "N", "0", 45, []]
PORTALS = {"deal": Portal(directory(), [Template(5, "Первый звонок", {})])}


def book(folder: Path, files: dict[str, str], **tables: dict[str, Any]) -> RuleBook:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return load_rules(build_config({"paths": {"rules": ["."]}, "rules": tables}, folder))


def order(folder: Path, **table: Any) -> Rule:
    found = book(folder, {"order.py": ORDER}, order=table).resolved(PORTALS).rule("order")
    assert found is not None
    return found


def test_names_become_ids(tmp_path: Path) -> None:
    rule = order(tmp_path, boss="a@x.ru", people=[1, "Орлова Анна"])
    params: Any = rule.params
    assert rule.problems == () and rule.runs
    assert params.pipeline.id == 0
    assert params.start.ids == {0: "NEW"}
    assert params.first.ids == {0: "NEW"}
    assert params.field.code == "UF_CRM_CALL"
    assert [user.id for user in (params.boss, *params.people)] == [1, 1, 1]
    assert params.template.template.id == 5
    assert params.wait == timedelta(hours=2)
    call = rule.process.handlers[1]
    assert (call.check_every, call.give_up_after) == (timedelta(minutes=30), timedelta(days=1))


def test_every_name_that_does_not_resolve_is_told_at_once_with_the_nearest(tmp_path: Path) -> None:
    rule = order(tmp_path, pipeline="Продажа", start="Новые", boss="p@x.ru", field="Перезвон", template="Звонок")
    assert not rule.runs
    told = "\n".join(rule.problems)
    for expected in ("pipeline 'Продажа'", "nearest: Продажи", "stage 'Новые'", "'p@x.ru' is dismissed", "'Перезвон'"):
        assert expected in told
    assert "template 'Звонок'" in told


def test_wrong_keys_and_missing_ones_are_told_at_once_without_values(tmp_path: Path) -> None:
    rule = order(tmp_path, colour="red", wait="soon", max_acts_per_hour=0, imported="yes")
    told = "\n".join(rule.problems)
    for expected in ("colour: unknown parameter", "boss: missing", "wait: ", "max_acts_per_hour", "imported: must be"):
        assert expected in told
    assert "red" not in told


WRAPPED = """
from functools import wraps
from b24sync.automation import *

def with_word(function):
    @wraps(function)
    def called(item, ctx):
        function(item, ctx, "word")
    return called

wrapped = Process("wrapped", "deal")

@wrapped.on(created())
@with_word
def begin(deal, ctx, word): ...

@wrapped.on(task_completed("begin"))
def any_number(*args): ...
"""


def test_a_handler_with_other_arguments_than_it_gets_is_told_with_its_line(tmp_path: Path) -> None:
    wrong = ORDER.replace("def begin(deal, ctx)", "def begin(deal)").replace(
        "def call(deal, ctx)", 'def done(deal, ctx): ...\n\n@order.on(task_completed("begin"))\ndef call(deal, ctx)'
    )
    lines = wrong.splitlines()
    loaded = book(tmp_path, {"order.py": wrong, "wrapped.py": WRAPPED}, order={"boss": 1})
    begin, call = (
        lines.index(line) + 1 for line in ('@order.on(entered("start"))', '@order.on(task_completed("begin"))')
    )
    assert [rule.name for rule in loaded.running()] == ["wrapped"]
    assert loaded.complaints() == [
        f"[rules.order] {tmp_path / 'order.py'}: line {begin}: begin(deal) waits for entered(start), "
        "so it has to be begin(item, ctx)",
        f"[rules.order] {tmp_path / 'order.py'}: line {call}: call(deal, ctx) waits for task_completed(begin), "
        "so it has to be call(item, task, ctx)",
    ]


def test_a_stage_without_a_pipeline_is_looked_for_in_every_one(tmp_path: Path) -> None:
    text = ORDER.replace('    pipeline: Pipeline = "Продажи"\n', "")
    rule = book(tmp_path, {"order.py": text}, order={"boss": 1}).resolved(PORTALS).rule("order")
    params: Any = rule.params if rule else None
    assert params.start.ids == {0: "NEW", 4: "C4:NEW"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def broken(:\n", "line 1"),
        ("\n\nraise RuntimeError('no')\n", "line 3: RuntimeError: no"),
        ("from b24sync.automation import nothing\n", "line 1: ImportError"),
        ("x = 1\n", "defines no Process"),
    ],
)
def test_a_broken_file_is_told_and_the_others_go_on(tmp_path: Path, text: str, said: str) -> None:
    loaded = book(tmp_path, {"a.py": text, "order.py": ORDER}, order={"boss": 1})
    assert [rule.name for rule in loaded.resolved(PORTALS).running()] == ["order"]
    assert len(loaded.complaints()) == 1
    assert said in loaded.complaints()[0] and "a.py" in loaded.complaints()[0]


def test_rules_run_when_they_say_so_or_the_configuration_names_them(tmp_path: Path) -> None:
    text = 'from b24sync.automation import *\nrule = Process("{}", entity="deal", enabled={})\n'
    files = {f"{name}.py": text.format(name, flag) for name, flag in [("own", True), ("off", False), ("named", False)]}
    loaded = book(tmp_path, files, named={}).resolved(PORTALS)
    assert [rule.name for rule in loaded.running()] == ["named", "own"]
    loaded = book(tmp_path, files, own={"enabled": False}, named={"enabled": True}).resolved(PORTALS)
    assert [rule.name for rule in loaded.running()] == ["named"]


def test_tables_without_a_rule_and_two_rules_of_one_name_are_told(tmp_path: Path) -> None:
    text = 'from b24sync.automation import *\nrule = Process("twice", entity="deal")\n'
    loaded = book(tmp_path, {"a.py": text, "b.py": text}, gone={})
    told = "\n".join(loaded.complaints())
    assert "[rules.twice]: several files" in told and "[rules.gone]: no rule file" in told
    assert loaded.rules == []


def test_a_function_alone_is_a_rule(tmp_path: Path) -> None:
    text = 'from b24sync.automation import *\n@on("deal", changed("opportunity"))\ndef watch(deal, ctx): ...\n'
    loaded = book(tmp_path, {"a.py": text}).resolved(PORTALS)
    assert loaded.watched("deal") == ["opportunity"]
    assert [(rule.name, handler.name) for rule, handler in loaded.handlers("deal")] == [("watch", "watch")]


def test_a_trigger_that_names_nothing_is_told(tmp_path: Path) -> None:
    text = 'from b24sync.automation import *\n@on("deal", changed("UF_CRM_ABSENT"))\ndef watch(deal, ctx): ...\n'
    rule = book(tmp_path, {"a.py": text}).resolved(PORTALS).rules[0]
    assert "UF_CRM_ABSENT is no parameter, and field 'UF_CRM_ABSENT' does not exist" in rule.problems[0]


def test_a_cause_matches_or_the_reason_why_not_is_told(tmp_path: Path) -> None:
    rule = order(tmp_path, boss=1)
    begin, call = rule.process.handlers
    assert why_not(rule, begin, Cause("deal", 1, ENTERED, "NEW", 1)) is None
    assert why_not(rule, begin, Cause("deal", 1, ENTERED, "LOSE", 1)) == "waits for entered(NEW), not LOSE"
    assert why_not(rule, call, Cause("deal", 1, CHANGED, "UF_CRM_CALL", 1)) is None
    assert "imported" in (why_not(rule, begin, Cause("deal", 1, ENTERED, "NEW", 1, imported=True)) or "")
    assert why_not(rule, begin, Cause("deal", 1, ENTERED, "NEW", 1), Writer("order", "begin")) == "its own write"
    assert why_not(rule, call, Cause("deal", 1, CHANGED, "opportunity", 1), Writer("order", "begin")) is None


def test_yes_is_yes_in_yes_no_fields_and_in_lists(tmp_path: Path) -> None:
    params: Any = order(tmp_path, boss=1, field="Отказ").params
    assert [params.field.is_yes(value) for value in (True, "Y", "1", 44, "44", [44])] == [True] * 6
    assert [params.field.is_yes(value) for value in NO] == [False] * len(NO)


def test_the_portal_keeps_what_running_rules_wait_for(tmp_path: Path) -> None:
    lab = """
from b24sync.automation import *

lab = Process("lab", entity="item:130")

@lab.on(task_completed("documents"))
def go(item, task, ctx): ...
"""
    files = {"order.py": ORDER, "lab.py": lab}
    assert events_of(book(tmp_path, files, lab={"enabled": False}, order={"enabled": False})) == []
    kept = events_of(book(tmp_path, files, order={"boss": "a@x.ru"}))
    deals = ["ONCRMDEALADD", "ONCRMDEALDELETE", "ONCRMDEALMOVETOCATEGORY", "ONCRMDEALUPDATE"]
    items = [f"ONCRMDYNAMICITEM{verb}" for verb in ("ADD", "DELETE", "UPDATE")]
    assert kept == [*deals, *items, "ONTASKCOMMENTADD", "ONTASKUPDATE"]
