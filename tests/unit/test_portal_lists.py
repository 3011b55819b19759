"""Lists as other portals give them: without a total, and asked for without a filter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from wired import Wired, wired

from b24sync.portal.groups import all_groups
from b24sync.portal.workflows import INSTANCES, waiting_on

ROW = {"ID": "a.1", "DOCUMENT_ID": "DEAL_7", "TEMPLATE_ID": "5", "STARTED": "2026-01-10T10:00:00+03:00"}


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Wired]:
    with wired(tmp_path) as ready, responses.mock:
        yield ready


def batch_answers(ready: Wired, **results: Any) -> None:
    body = {"result": {"result": results, "result_error": [], "result_total": [], "result_next": []}}
    responses.add(responses.POST, ready.url("batch"), json=body)


def test_waiting_workflows_are_found_where_the_portal_does_not_count_them(portal: Wired) -> None:
    responses.add(responses.POST, portal.url(INSTANCES), json={"result": [ROW]})
    batch_answers(portal, d00000=[ROW])
    assert [instance.id for instance in waiting_on(portal.client, [7])] == ["a.1"]


def test_all_groups_are_asked_for_without_a_filter(portal: Wired) -> None:
    batch_answers(portal, p00000=[])
    assert all_groups(portal.client) == []
    [command] = json.loads(responses.calls[0].request.body or "")["cmd"].values()
    assert "FILTER" not in command
