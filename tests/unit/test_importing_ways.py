"""What the answers of the ways to import mean, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from b24sync.importing.ways import WAYS, Row
from b24sync.transport.outcomes import Done, Refused, Unknown

PACKET = [Row("a", {"title": "A"}), Row("b", {"title": "B"})]
SECOND = {"error": "CRM_FIELD_ERROR_REQUIRED", "error_description": "no title"}


@pytest.mark.parametrize(
    "items",
    [[{"item": {"id": 5}}, SECOND], {"0": {"item": {"id": "5"}}, "1": SECOND}, {"1": SECOND, "0": {"item": {"id": 5}}}],
)
def test_a_batch_import_answers_by_position_also_where_php_made_a_map_of_the_list(items: Any) -> None:
    outcomes = [entry.outcome for entry in WAYS["batch_import"].outcomes(PACKET, Done({"items": items}))]
    assert outcomes == [Done(5), Refused("CRM_FIELD_ERROR_REQUIRED", "no title")]


@pytest.mark.parametrize("items", [None, [], [SECOND], {"0": SECOND}, {"a": SECOND, "b": SECOND}, "x"])
def test_an_answer_that_does_not_tell_of_every_row_tells_of_none(items: Any) -> None:
    outcomes = [entry.outcome for entry in WAYS["batch_import"].outcomes(PACKET, Done({"items": items}))]
    assert all(isinstance(outcome, Unknown) for outcome in outcomes) and len(outcomes) == 2
