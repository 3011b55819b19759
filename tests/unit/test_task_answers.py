"""Answers about tasks in either spelling: `id` and `closedDate` as documented, `ID` and `CLOSED_DATE` as written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from wired import Wired, wired

from b24sync.portal import tasks

BOTH = pytest.mark.parametrize(
    "row", [{"id": "8017", "status": "2"}, {"ID": 8017, "STATUS": 2}], ids=["camel", "upper"]
)


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Wired]:
    with wired(tmp_path) as ready, responses.mock:
        yield ready


def answers(ready: Wired, method: str, result: Any) -> None:
    responses.add(responses.POST, ready.url(method), body=json.dumps({"result": result}))


@BOTH
def test_a_task_is_found_by_its_tag_however_its_id_is_spelled(portal: Wired, row: dict[str, Any]) -> None:
    answers(portal, tasks.LIST, {"tasks": [row]})
    assert tasks.find_by_tag(portal.client, "b24sync-1") == "8017"


@BOTH
def test_an_added_task_and_a_changed_one_have_their_ids(portal: Wired, row: dict[str, Any]) -> None:
    answers(portal, tasks.ADD, {"task": row})
    answers(portal, tasks.LIST, {"tasks": {"0": row}})
    assert tasks.add_task(portal.client, {"TITLE": "A"}) == "8017"
    assert [task["id"] for task in tasks.changed_since(portal.client, "2026-01-01T00:00:00+03:00", 0)] == [8017]


@BOTH
def test_a_task_is_read_and_one_that_is_gone_is_none(portal: Wired, row: dict[str, Any]) -> None:
    answers(portal, tasks.GET, {"task": row})
    answers(portal, tasks.GET, [])
    read = tasks.read_task(portal.client, 8017)
    assert read is not None and (read["id"], read["status"]) == (8017, 2)
    assert tasks.read_task(portal.client, 8018) is None


@pytest.mark.parametrize("files", [[5255, 5256], {"0": "5255", "1": "5256"}], ids=["list", "map"])
def test_files_of_a_message_come_as_a_list_or_a_map(portal: Wired, files: Any) -> None:
    message = {"id": 7, "author_id": 3, "date": "2026-01-01T10:00:00+03:00", "text": "", "params": {"FILE_ID": files}}
    system = {"id": 6, "author_id": 0, "date": "2026-01-01T09:00:00+03:00", "text": "closed", "params": []}
    answers(portal, "im.dialog.messages.get", {"chat_id": 9, "messages": [message, system]})
    [found] = tasks.chat_comments(portal.client, 9)
    assert (found.id, found.file_ids) == (7, (5255, 5256))
