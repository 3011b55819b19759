"""Tasks, groups, guests, messages and what hangs on deals: both peers find in the sandbox what they know of portals."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from b24pysdk.client import Client
from b24pysdk.credentials import BitrixWebhook
from fast_bitrix24 import BitrixAsync
from sandbox_process import SandboxProcess


@pytest.fixture
def client(token: BitrixWebhook) -> Client:
    return Client(token)


def test_the_sdk_leads_a_task_to_its_end(client: Client) -> None:
    fields = {"TITLE": "Позвонить", "RESPONSIBLE_ID": 1, "TAGS": ["b24sync-c1"], "UF_CRM_TASK": ["D_1"]}
    made = int(client.tasks.task.add(fields=fields).result["task"]["id"])
    found = client.tasks.task.list(filter={"TAG": "b24sync-c1"}, select=["ID", "STATUS"]).result["tasks"]
    assert [int(row["id"]) for row in found] == [made]
    client.tasks.task.start(made).result  # noqa: B018 - reading the result sends the call
    assert client.tasks.task.complete(made).result["task"]["status"] == "5"
    changes = client.tasks.task.history.list(made, filter={"FIELD": "STATUS"}).result["list"]
    assert [row["value"]["to"] for row in changes] == [3, 5]


def test_the_sdk_comments_in_both_cards(client: Client, sandbox: SandboxProcess) -> None:
    fields = {"TITLE": "Смета", "RESPONSIBLE_ID": 1}
    new = client.tasks.task.add(fields=fields).result["task"]
    client.task.commentitem.add(int(new["id"]), {"POST_MESSAGE": "Раз"}).result  # noqa: B018 - see above
    dialog = client.im.dialog.messages.get(f"chat{new['chatId']}").result
    assert [row["text"] for row in dialog["messages"]] == ["Раз"]
    sandbox.switch(task_card="old")
    try:
        old = int(client.tasks.task.add(fields=fields).result["task"]["id"])
        comment = client.task.commentitem.add(old, {"POST_MESSAGE": "Два"}).result
        rows = client.task.commentitem.getlist(old).result
        assert [(row["ID"], row["POST_MESSAGE"]) for row in rows] == [(str(comment), "Два")]
    finally:
        sandbox.switch(task_card="new")


def test_the_sdk_makes_a_group_external_by_a_guest(client: Client) -> None:
    name = f"ООО {uuid.uuid4().hex[:8]}"
    group = client.sonet_group.create(name, visible=False, keywords="b24sync").result
    guest = client.user.add({"EMAIL": f"{group}@example.ru", "EXTRANET": "Y", "SONET_GROUP_ID": [group]}).result
    assert client.sonet_group.user.add(group, [guest]).result == []
    row = client.sonet_group.get(filter={"%NAME": name}).result[0]
    assert (row["ID"], row["IS_EXTRANET"], row["VISIBLE"]) == (str(group), "Y", "N")
    whole = client.socialnetwork.api.workgroup.get({"groupId": group}).result
    assert (whole["INVITED_MEMBERS"], whole["MEMBERS"]) == ([guest], [1])
    assert [one["USER_ID"] for one in client.sonet_group.user.get(group).result] == ["1"]


def test_the_sdk_hangs_rows_comments_and_plans_on_a_deal(client: Client, token: BitrixWebhook) -> None:
    deal = client.crm.deal.add(fields={"TITLE": "d"}).result
    rows = [{"productName": "Болт", "price": 10, "quantity": 3}]
    assert client.crm.item.productrow.set(deal, "D", rows).result["productRows"][0]["price"] == 10
    assert client.crm.deal.get(bitrix_id=deal).result["OPPORTUNITY"] == "30.00"
    owner = {"=ownerType": "D", "=ownerId": deal}
    assert len(client.crm.item.productrow.list(filter=owner).result["productRows"]) == 1
    fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": deal, "COMMENT": "Готово"}
    comment = client.crm.timeline.comment.add(fields).result
    listed = client.crm.timeline.comment.list({"ENTITY_TYPE": "deal", "ENTITY_ID": deal}).result
    assert [row["ID"] for row in listed] == [str(comment)]
    # its typed class wants a datetime here and cannot encode one
    plan = token.call_method(
        "crm.activity.todo.add", {"ownerTypeId": 2, "ownerId": deal, "deadline": "2030-02-03T15:00:00+03:00"}
    )["result"]["id"]
    found = client.crm.activity.list(filter={"OWNER_TYPE_ID": 2, "OWNER_ID": deal}).result
    assert [row["ID"] for row in found] == [str(plan)]
    number = client.im.notify.personal.add(1, "Отчёт готов", tag="t", client_id="b24sync").result
    assert isinstance(number, int)


def test_the_bulk_reader_reads_every_task_once(sandbox: SandboxProcess) -> None:
    mark = f"b24sync-{uuid.uuid4().hex[:8]}"

    async def story() -> tuple[list[Any], list[dict[str, Any]]]:
        b24 = BitrixAsync(sandbox.url, verbose=False, requests_per_second=100.0)
        fields = {"TITLE": "t", "RESPONSIBLE_ID": 1, "TAGS": [mark]}
        made = await b24.call("tasks.task.add", [{"fields": fields} for _ in range(70)])
        return made, await b24.get_all("tasks.task.list", {"filter": {"TAG": mark}, "select": ["ID"]})

    made, everything = asyncio.run(story())
    assert len(made) == 70
    assert len({row["id"] for row in everything}) == len(everything) == 70
