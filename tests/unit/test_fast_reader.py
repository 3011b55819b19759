"""fast-bitrix24 over our client: what it asks for arrives as it was meant, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from fast_bitrix24.utils import http_build_query

from b24sync.errors import PortalRefused
from b24sync.transport.fast_reader import FastReader, _command
from b24sync.transport.outcomes import Done, Refused
from b24sync.transport.protocol import Command, query

PARAMS: dict[str, Any] = {
    "entityTypeId": 2,
    "filter": {">id": 5, "@stageId": ["C1:NEW", "C1:В работе"], "=title": "a=b&c [d] 100%"},
    "select": ["id", "UF_CRM_X"],
    "order": {"ID": "ASC"},
    "start": 50,
}


def test_a_command_of_the_library_is_read_as_it_was_meant() -> None:
    command = _command(f"crm.item.list?{http_build_query(PARAMS)}")
    assert command.method == "crm.item.list"
    assert command.params == {
        "entityTypeId": "2",
        "filter": {">id": "5", "@stageId": {"0": "C1:NEW", "1": "C1:В работе"}, "=title": "a=b&c [d] 100%"},
        "select": {"0": "id", "1": "UF_CRM_X"},
        "order": {"ID": "ASC"},
        "start": "50",
    }
    assert query(command.params) == query(PARAMS)


class Portal:
    """A list of `count` items, in pages of 50, as PortalClient would answer."""

    def __init__(self, count: int, *, refuses: bool = False) -> None:
        self.rows = [{"id": number} for number in range(1, count + 1)]
        self.refuses = refuses
        self.requests = 0

    def call(self, method: str, params: Mapping[str, Any], **_: Any) -> Done:
        self.requests += 1
        return self._page(params)

    def read_all(self, commands: Mapping[str, Command], **_: Any) -> dict[str, Any]:
        self.requests += (len(commands) + 49) // 50
        if self.refuses:
            return dict.fromkeys(commands, Refused("ACCESS_DENIED", "no"))
        return {name: self._page(dict(command.params)) for name, command in commands.items()}

    def _page(self, params: Mapping[str, Any]) -> Done:
        start = int(params.get("start") or 0)
        return Done({"items": self.rows[start : start + 50]}, total=len(self.rows))


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (50, 1), (51, 2), (2550, 2), (2551, 3)])
def test_a_list_comes_whole_with_its_total(count: int, requests: int) -> None:
    portal = Portal(count)
    rows, total = FastReader(portal).read("crm.item.list", {"entityTypeId": 2, "filter": {}})  # type: ignore[arg-type]
    assert (sorted(row["id"] for row in rows), total) == ([row["id"] for row in portal.rows], count)
    assert portal.requests == requests


def test_what_is_read_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    FastReader(Portal(120)).read("crm.item.list", {"entityTypeId": 2})  # type: ignore[arg-type]
    assert [record for record in caplog.records if record.name.startswith("fast_bitrix24")] == []


def test_a_refused_page_is_an_error_and_no_shorter_list() -> None:
    with pytest.raises(PortalRefused, match="ACCESS_DENIED"):
        FastReader(Portal(120, refuses=True)).read("crm.item.list", {"entityTypeId": 2})  # type: ignore[arg-type]
