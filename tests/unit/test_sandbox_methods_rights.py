"""What a role of the CRM lets a person do: the call centre works in its own pipeline and may not add or import."""

from __future__ import annotations

import pytest
from portal_calls import COMPANIES, DEALS, Calls

QUOTES = 7
CALL_CENTRE = {
    "add": False,
    "import": False,
    "delete": False,
    "quote.read": False,
    "deal.update": True,
    "pipelines": [1],
}


@pytest.fixture
def portal() -> Calls:
    """User 5 is of the call centre; deal 1 stands in the general pipeline, deal 2 in the centre's own."""
    portal = Calls({"categories": [{"name": "Колл-центр"}]})
    portal.add(title="чужая")
    portal.add(title="своя", categoryId=1)
    portal.act("user.rights", id=5, rights=CALL_CENTRE)
    portal.user_id = 5
    return portal


def test_only_the_own_pipeline_is_there(portal: Calls) -> None:
    assert [row["id"] for row in portal.result("crm.category.list", entityTypeId=DEALS)["categories"]] == [1]
    assert (portal.listed(), [row["ID"] for row in portal.result("crm.deal.list")]) == ([2], ["2"])
    assert portal.refusal("crm.item.get", entityTypeId=DEALS, id=1)[0] == "ACCESS_DENIED"
    assert portal.refusal("crm.deal.get", id=1)[1] == "Access denied."
    assert portal.update(2, title="правка")["title"] == "правка"
    move = {"entityTypeId": DEALS, "id": 2, "fields": {"categoryId": 0}}
    assert portal.refusal("crm.item.update", **move)[0] == "ACCESS_DENIED"


def test_what_the_role_lacks_is_refused_in_each_dialect(portal: Calls) -> None:
    assert portal.refusal("crm.item.add", entityTypeId=COMPANIES, fields={"title": "К"})[0] == "ACCESS_DENIED"
    assert portal.refusal("crm.company.add", fields={"TITLE": "К"})[1] == "Access denied."
    rows = [{"title": "x", "categoryId": 1}]
    assert portal.refusal("crm.item.batchImport", entityTypeId=DEALS, data=rows)[0] == "ACCESS_DENIED"
    assert portal.refusal("crm.item.delete", entityTypeId=DEALS, id=2)[0] == "ACCESS_DENIED"
    assert portal.refusal("crm.type.list")[0] == "ACCESS_DENIED"
    assert portal.refusal("crm.deal.userfield.add", fields={"FIELD_NAME": "X", "USER_TYPE_ID": "string"})[1]
    assert portal.listed(QUOTES) == []
    assert portal.listed(COMPANIES) == []


def test_rights_on_belongings_follow_their_owner(portal: Calls) -> None:
    fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": 1, "COMMENT": "x"}
    assert portal.refusal("crm.timeline.comment.add", fields=fields)[0] == "ACCESS_DENIED"
    assert portal.result("crm.timeline.comment.add", fields={**fields, "ENTITY_ID": 2}) > 0
    plan = {"ownerTypeId": DEALS, "ownerId": 1, "deadline": "2026-02-03T15:00:00"}
    assert portal.refusal("crm.activity.todo.add", **plan)[0] == "ACCESS_DENIED"
    assert portal.refusal("crm.item.productrow.set", ownerType="D", ownerId=1, productRows=[])[0] == "ACCESS_DENIED"


def test_a_right_may_reach_only_what_one_is_responsible_for() -> None:
    portal = Calls()
    own, foreign = portal.add(assignedById=5), portal.add(assignedById=7)
    portal.act("user.rights", id=5, rights={"deal.update": "own", "deal.delete": "own"})
    portal.user_id = 5
    assert portal.listed() == [own, foreign]
    portal.update(own, title="x")
    assert portal.refusal("crm.deal.update", id=foreign, fields={"TITLE": "x"})[1] == "Access denied."
    assert portal.refusal("crm.item.delete", entityTypeId=DEALS, id=foreign)[0] == "ACCESS_DENIED"
    portal.act("user.rights", id=5, rights={"deal.update": None})
    portal.update(foreign, title="x")


def test_an_administrator_may_lack_the_import_right_alone() -> None:
    portal = Calls({"users": [{"ID": 1, "rights": {"import": False}}]})
    assert portal.refusal("crm.item.import", entityTypeId=DEALS, fields={"title": "x"})[0] == "ACCESS_DENIED"
    assert portal.add(title="x") == 1
