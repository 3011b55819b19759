"""The field's most used Python client works against the sandbox without any change."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from families import FAMILIES, Family
from fast_bitrix24 import BitrixAsync
from fast_bitrix24.server_response import ErrorInServerResponseException
from sandbox_process import SandboxProcess

COUNT = 120
"""More than two pages."""


def client(sandbox: SandboxProcess) -> BitrixAsync:
    return BitrixAsync(sandbox.url, verbose=False, requests_per_second=100.0)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_it_adds_reads_changes_and_pages(sandbox: SandboxProcess, family: Family) -> None:
    mark = uuid.uuid4().hex[:8]

    async def story() -> tuple[list[Any], dict[str, Any], Any, dict[str, Any], list[dict[str, Any]]]:
        b24 = client(sandbox)
        added = await b24.call(f"{family.prefix}.add", [family.record(f"{mark} {n:03}") for n in range(COUNT)])
        first = min(family.added_id(row) for row in added)
        got = await b24.call(f"{family.prefix}.get", family.one(first), raw=True)
        changed = await b24.call(f"{family.prefix}.update", family.change(first, f"{mark} changed"), raw=True)
        again = await b24.call(f"{family.prefix}.get", family.one(first), raw=True)
        everything = await b24.get_all(f"{family.prefix}.list", family.listing(mark))
        return added, got["result"], changed["result"], again["result"], everything

    added, got, changed, again, everything = asyncio.run(story())
    ids = {family.added_id(row) for row in added}
    assert len(ids) == COUNT
    # its batches run side by side, so the least id may belong to any of them
    first_title = family.got(got)[family.title]
    assert first_title.startswith(mark)
    assert changed
    assert family.got(again)[family.title] == f"{mark} changed"
    assert {int(row[family.id_key]) for row in everything} == ids
    assert len(everything) == COUNT
    titles = {row[family.title] for row in everything}
    assert titles == {f"{mark} changed", *(f"{mark} {n:03}" for n in range(COUNT))} - {first_title}


def test_its_batches_and_reads_by_id_work(sandbox: SandboxProcess) -> None:
    async def story() -> tuple[dict[str, Any], dict[Any, Any]]:
        b24 = client(sandbox)
        commands = {
            "halt": 1,
            "cmd": {
                "add": "crm.deal.add?fields[TITLE]=batched",
                "get": "crm.deal.get?id=$result[add]",
                "item": "crm.item.get?entityTypeId=2&id=$result[get][ID]",
            },
        }
        answers = await b24.call_batch(commands)
        other = await b24.call("crm.deal.add", {"fields": {"TITLE": "alone"}})
        by_id = await b24.get_by_ID("crm.deal.get", [answers["add"], other])
        return answers, by_id

    answers, by_id = asyncio.run(story())
    assert answers["get"]["TITLE"] == answers["item"]["item"]["title"] == "batched"
    assert int(answers["get"]["ID"]) == answers["item"]["item"]["id"] == answers["add"]
    assert [row["TITLE"] for row in by_id.values()] == ["batched", "alone"]


def test_it_recognises_a_refused_batch(sandbox: SandboxProcess) -> None:
    async def story() -> None:
        await client(sandbox).call_batch({"halt": 0, "cmd": {"bad": "crm.deal.get?id=999999999"}})

    with pytest.raises(ErrorInServerResponseException, match="Not found"):
        asyncio.run(story())


def test_it_reads_the_time_block_for_its_own_limiter(sandbox: SandboxProcess) -> None:
    async def story() -> BitrixAsync:
        b24 = client(sandbox)
        await b24.get_all("crm.status.list")
        return b24

    b24 = asyncio.run(story())
    assert "crm.status.list" in b24.srh.method_throttlers
