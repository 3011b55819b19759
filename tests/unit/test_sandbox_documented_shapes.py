"""Answers of the sandbox have the keys and the kinds of values of the documentation's own samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from portal_calls import Calls

from b24sync.sandbox import wire

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
RECORDED = DATA / "rest_responses"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not RECORDED.is_dir(), reason="the samples (../shared/data) do not lie beside the project"),
]


def sample(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))["result"]


def kinds(row: dict[str, Any]) -> dict[str, str]:
    """Kinds of values by key; null may stand for anything."""
    return {key: type(value).__name__ for key, value in row.items() if value is not None}


def alike(here: dict[str, Any], there: dict[str, Any]) -> None:
    assert set(there) <= set(here)
    mine, theirs = kinds(here), kinds(there)
    assert {key: (mine[key], theirs[key]) for key in mine.keys() & theirs.keys() if mine[key] != theirs[key]} == {}


def test_groups() -> None:
    portal = Calls()
    assert isinstance(portal.result("sonet_group.create", NAME="x"), type(sample("doc_sonet_group_create")))
    alike(portal.result("sonet_group.get")[0], sample("doc_sonet_group_get")[0])


def test_invited_people() -> None:
    made = Calls().result("user.add", EMAIL="n@example.ru", UF_DEPARTMENT=[1])
    assert isinstance(made, type(sample("doc_user_add")))


def test_comments_of_the_old_card() -> None:
    portal = Calls(task_card="old")
    portal.result("tasks.task.add", fields={"TITLE": "x", "RESPONSIBLE_ID": 1})
    portal.act("task.comment", task="x", text="Фото", files=[{"name": "1.png", "text": "x"}])
    here, there = portal.result("task.commentitem.getlist", TASKID=1)[0], sample("doc_task_commentitem_getlist")[0]
    alike(here, there)
    first = next(iter(there["ATTACHED_OBJECTS"].values()))
    alike(next(iter(here["ATTACHED_OBJECTS"].values())), first)


def test_tasks() -> None:
    portal = Calls()
    portal.result("tasks.task.add", fields={"TITLE": "x", "RESPONSIBLE_ID": 1, "UF_CRM_TASK": ["C_1"]})
    there = sample("doc_tasks_task_get")["task"]
    select = ["*", "UF_CRM_TASK"]
    here = portal.result("tasks.task.get", taskId=1, select=select)["task"]
    missing = {"action", "ufTaskWebdavFiles"}
    alike(here, {key: value for key, value in there.items() if key not in missing})
    assert {name for name in there["action"] if "." not in name} <= {*here["action"], "take"}


@pytest.mark.parametrize(
    ("file", "event"),
    [
        ("06_ontaskcommentadd_old_card", "ONTASKCOMMENTADD"),
        ("07_ontaskupdate", "ONTASKUPDATE"),
        ("24_doc_ontaskadd", "ONTASKADD"),
        ("25_doc_ontaskupdate", "ONTASKUPDATE"),
        ("20_doc_oncrmdealadd", "ONCRMDEALADD"),
        ("22_doc_oncrmdealdelete", "ONCRMDEALDELETE"),
    ],
)
def test_events(file: str, event: str) -> None:
    portal = Calls(task_card="old", comment_event_accessible_before="N")
    deal = portal.add()
    portal.result("crm.item.delete", entityTypeId=2, id=deal)
    portal.result("tasks.task.add", fields={"TITLE": "x", "RESPONSIBLE_ID": 1})
    portal.act("task.start", task="x")
    portal.act("task.comment", task="x", text="y")
    data = next(one.data for one in portal.portal.outbox if one.event == event)
    there = dict(parse_qsl((DATA / "events" / f"{file}.form").read_text(encoding="utf-8").strip()))
    here = dict(parse_qsl(wire.build_query({"data": data})))
    words = {key: value for key, value in there.items() if key.startswith("data") and not value.isdecimal()}
    assert {key for key in there if key.startswith("data")} == set(here)
    assert {key: here[key] for key in words} == words
