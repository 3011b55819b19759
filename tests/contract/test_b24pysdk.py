"""The vendor's own SDK works against the sandbox; only its https is taken back to http."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from b24pysdk import errors
from b24pysdk.client import Client
from b24pysdk.credentials import BitrixWebhook
from families import FAMILIES, Family
from sandbox_process import SandboxProcess

COUNT = 120
"""More than two pages."""


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_it_adds_reads_changes_and_pages(token: BitrixWebhook, family: Family) -> None:
    mark = uuid.uuid4().hex[:8]
    calls = [(f"{family.prefix}.add", family.record(f"{mark} {n:03}")) for n in range(COUNT)]
    added = token.call_batches(methods=calls)["result"]["result"]
    ids = {family.added_id(row) for row in (added.values() if isinstance(added, dict) else added)}
    assert len(ids) == COUNT
    first = min(ids)
    assert (
        family.got(token.call_method(f"{family.prefix}.get", family.one(first))["result"])[family.title]
        == f"{mark} 000"
    )
    assert token.call_method(f"{family.prefix}.update", family.change(first, f"{mark} changed"))["result"]
    again = family.got(token.call_method(f"{family.prefix}.get", family.one(first))["result"])
    assert again[family.title] == f"{mark} changed"
    pages = rows(family, token.call_list(f"{family.prefix}.list", family.listing(mark))["result"])
    assert {int(row[family.id_key]) for row in pages} == ids
    assert len(pages) == COUNT
    fast = rows(family, token.call_list_fast(f"{family.prefix}.list", family.listing(mark))["result"])
    assert [int(row[family.id_key]) for row in fast] == sorted(ids)


def rows(family: Family, result: Any) -> list[dict[str, Any]]:
    """Records of a list, whatever wrapper they came in."""
    if isinstance(result, dict):
        result = result["items"]
    return list(result)


def test_its_typed_client_works(token: BitrixWebhook) -> None:
    client = Client(token)
    deal_id = client.crm.deal.add(fields={"TITLE": "typed", "OPPORTUNITY": 10.5}).result
    deal = client.crm.deal.get(bitrix_id=deal_id).result
    assert (deal["TITLE"], deal["ID"]) == ("typed", str(deal_id))
    item = client.crm.item.get(bitrix_id=deal_id, entity_type_id=2).result["item"]
    assert (item["title"], item["opportunity"]) == ("typed", 10.5)


def test_nested_values_keep_their_shape_through_its_encoding(token: BitrixWebhook) -> None:
    phones = [{"VALUE": "+7 495 000-00-00", "VALUE_TYPE": "WORK"}, {"VALUE": "+49&1", "VALUE_TYPE": "HOME"}]
    calls: dict[str, Any] = {
        "add": ("crm.contact.add", {"fields": {"NAME": "Ёж & Co?", "PHONE": phones}}),
        "get": ("crm.contact.get", {"id": "$result[add]"}),
    }
    answer = token.call_batch(methods=calls, halt=True)["result"]["result"]
    assert answer["get"]["NAME"] == "Ёж & Co?"
    assert [row["VALUE"] for row in answer["get"]["PHONE"]] == ["+7 495 000-00-00", "+49&1"]


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("crm.nothing.list", {}, errors.BitrixAPINotFound),
        ("crm.deal.get", {"id": 999999999}, errors.BitrixAPIBadRequest),
    ],
)
def test_it_recognises_errors(
    token: BitrixWebhook, method: str, params: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        token.call_method(method, params)


def test_it_recognises_a_wrong_secret(token: BitrixWebhook) -> None:
    stranger = BitrixWebhook(domain=token.domain, webhook_token="1/wrong")
    with pytest.raises(errors.BitrixAPIUnauthorized):
        stranger.call_method("crm.deal.list")


def test_it_recognises_both_limits(token: BitrixWebhook, sandbox: SandboxProcess) -> None:
    sandbox.fault("refuse", "crm.status.list", count=3)
    with pytest.raises(errors.BitrixAPIQueryLimitExceeded):
        token.call_method("crm.status.list", max_retries=1)
    sandbox.clear_faults()
    sandbox.fault("nested_429", "crm.status.list")
    with pytest.raises(errors.BitrixAPIOperationTimeLimit):
        token.call_method("crm.status.list", max_retries=1)
    sandbox.clear_faults()
