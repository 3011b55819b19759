"""crm.item.list and crm.deal.list: operators, groups, paging, selection, indexes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portal_calls import COMPANIES, CONTACTS, DEALS, Calls


@pytest.fixture
def portal() -> Calls:
    """Five deals: titles and amounts that tell operators apart."""
    calls = Calls()
    calls.field("FLAG", "boolean")
    calls.add(title="Молоко", opportunity=10, comments="a", originatorId="S", originId="A-1", UF_CRM_FLAG="Y")
    calls.add(title="молоток", opportunity=20, originatorId="S", originId="a-2")
    calls.add(title="Помол", opportunity=30, stageId="WON", originatorId="T", originId="A-1")
    calls.add(title="Ёлка ", opportunity=40, stageId="WON")
    calls.add(title="Чай", opportunity=50, stageId="LOSE", comments="b")
    return calls


@pytest.mark.parametrize(
    ("tree", "ids"),
    [
        ({"opportunity": 20}, [2]),
        ({"=opportunity": "20"}, [2]),
        ({"!=opportunity": 20}, [1, 3, 4, 5]),
        ({"!opportunity": [10, 20]}, [3, 4, 5]),
        ({">opportunity": 30}, [4, 5]),
        ({">=opportunity": 30}, [3, 4, 5]),
        ({"<opportunity": 20}, [1]),
        ({"<=opportunity": 20}, [1, 2]),
        ({"@opportunity": [10, 50]}, [1, 5]),
        ({"!@opportunity": [10, 50]}, [2, 3, 4]),
        ({"stageId": ["WON", "LOSE"]}, [3, 4, 5]),
        ({"%title": "мол"}, [1, 2, 3]),
        ({"=%title": "мол%"}, [1, 2]),
        ({"%=title": "%мол"}, [3]),
        ({"!%title": "мол"}, [4, 5]),
        ({"!=%title": "мол%"}, [3, 4, 5]),
        ({"!%=title": "%мол"}, [1, 2, 4, 5]),
        ({"=title": "МОЛОТОК"}, [2]),
        ({"title": "елка"}, [4]),
        ({"@originId": ["a-1", "A-2"], "originatorId": "s"}, [1, 2]),
        ({"comments": ""}, [2, 3, 4]),
        ({"!=comments": ""}, [1, 5]),
        ({"!=comments": "a"}, [2, 3, 4, 5]),
        ({"@comments": ["", "a"]}, [1, 2, 3, 4]),
        ({"ufCrmFlag": 1}, [1]),
        ({"ufCrmFlag": "Y"}, []),
        ({"closed": "Y"}, [3, 4, 5]),
        ({"ID": [2, 3]}, [2, 3]),
        ({"companyId": 0}, [1, 2, 3, 4, 5]),
        ({"categoryId": 0}, [1, 2, 3, 4, 5]),
        ({">=createdTime": "2026-01-01T09:00:00Z"}, [1, 2, 3, 4, 5]),
        ({">createdTime": "2026-01-01T12:00:00+03:00"}, []),
        ({"begindate": "2026-01-01"}, [1, 2, 3, 4, 5]),
        ({"0": {"logic": "OR", "0": {"title": "Чай"}, "1": {"opportunity": 10}}, "stageId": "LOSE"}, [5]),
        ({"logic": "OR", "0": {"title": "Чай"}, "1": {"logic": "AND", "0": {">id": 1}, "1": {"<id": 3}}}, [2, 5]),
        ([{"logic": "OR", "=title": "Чай", "=opportunity": 10}], [1, 5]),
        ([], [1, 2, 3, 4, 5]),
        ({">id": 3}, [4, 5]),
        ({">=id": 3, "<id": 5}, [3, 4]),
    ],
)
def test_each_operator_finds_what_the_documentation_says(portal: Calls, tree: Any, ids: list[int]) -> None:
    assert portal.listed(filter=tree, order={"id": "ASC"}) == ids


def test_binary_collation_tells_letter_case_apart() -> None:
    portal = Calls(text_collation="binary")
    portal.add(title="Чай")
    assert portal.listed(filter={"title": "чай"}) == []
    assert portal.listed(filter={"title": "Чай"}) == [1]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"filter": {"noSuch": 1}}, "Invalid filter: field 'noSuch' is not allowed in filter"),
        ({"filter": {"0": {"logic": "OR", "0": {"x": 1}}}}, "Invalid filter: field 'x' is not allowed in filter"),
        ({"filter": {">opportunity": "abc"}}, "Invalid filter: field 'opportunity' has invalid value"),
        ({"filter": {">id": [1]}}, "Invalid filter: field 'id' has invalid value"),
        ({"filter": {">createdTime": "soon"}}, "Invalid filter: field 'createdTime' has invalid value"),
        ({"filter": {"UF_CRM_FLAG": 1}}, "Invalid filter: field 'UF_CRM_FLAG' is not allowed in filter"),
        ({"order": {"noSuch": "ASC"}}, "Invalid order: field 'noSuch' is not allowed in order"),
        (
            {"order": {"id": "UP"}},
            "Invalid order: allowed sort directions are ASC, DESC. But got 'UP' for field 'id'",
        ),
    ],
)
def test_wrong_filters_and_orders_are_refused(portal: Calls, params: dict[str, Any], text: str) -> None:
    assert portal.refusal("crm.item.list", entityTypeId=DEALS, **params) == ("INVALID_ARG_VALUE", text, 400)


def test_rows_are_sorted_by_several_keys_with_empty_ones_first(portal: Calls) -> None:
    assert portal.listed(order={"comments": "ASC", "id": "DESC"}) == [4, 3, 2, 1, 5]
    assert portal.listed(order={"ID": "DESC"}) == [5, 4, 3, 2, 1]


def test_select_keeps_known_names_and_drops_the_rest(portal: Calls) -> None:
    answer = portal.result("crm.item.list", entityTypeId=DEALS, select=["id", "noSuch", "ufCrmFlag"], filter={"id": 1})
    assert answer["items"] == [{"id": 1, "ufCrmFlag": "Y"}]
    answer = portal.result(
        "crm.item.list", entityTypeId=DEALS, select=["UF_CRM_FLAG"], filter={"id": 1}, useOriginalUfNames="Y"
    )
    assert answer["items"] == [{"UF_CRM_FLAG": "Y"}]


def test_fm_comes_only_with_everything(portal: Calls) -> None:
    portal.add(CONTACTS, name="Ира", fm=[{"typeId": "PHONE", "value": "1"}])
    named = portal.result("crm.item.list", entityTypeId=CONTACTS, select=["id", "fm"])["items"]
    assert named == [{"id": 1}]
    assert portal.result("crm.item.list", entityTypeId=CONTACTS, select=["*"])["items"][0]["fm"]
    assert portal.result("crm.item.list", entityTypeId=CONTACTS)["items"][0]["fm"]


def test_pages_have_fifty_rows_and_next_only_while_more_follow() -> None:
    portal = Calls()
    for _ in range(101):
        portal.add(COMPANIES, title="x")
    first = portal.call("crm.item.list", entityTypeId=COMPANIES, select=["id"])
    assert (len(first.result["items"]), first.total, first.next) == (50, 101, 50)
    last = portal.call("crm.item.list", entityTypeId=COMPANIES, select=["id"], start=100)
    assert ([row["id"] for row in last.result["items"]], last.total, last.next) == ([101], 101, None)
    uncounted = portal.call("crm.item.list", entityTypeId=COMPANIES, filter={">id": 60}, order={"id": "ASC"}, start=-1)
    assert (len(uncounted.result["items"]), uncounted.total, uncounted.next) == (41, 0, None)
    exact = portal.call("crm.item.list", entityTypeId=COMPANIES, filter={"<=id": 50}, start="0")
    assert (exact.total, exact.next) == (50, None)


def test_a_walk_by_id_meets_every_item_once_even_when_some_are_deleted_on_the_way() -> None:
    portal = Calls()
    for _ in range(130):
        portal.add(COMPANIES, title="x")
    seen: list[int] = []
    while True:
        last = seen[-1] if seen else 0
        page = portal.listed(COMPANIES, filter={">id": last}, order={"id": "ASC"}, start=-1)
        seen += page
        if len(page) < 50:
            break
        portal.result("crm.item.delete", entityTypeId=COMPANIES, id=page[0])
    assert seen == list(range(1, 131))


def test_indexes_follow_updates_and_deletions() -> None:
    portal = Calls()
    one, two = (
        portal.add(title="A", originatorId="S", originId="1"),
        portal.add(title="A", originatorId="S", originId="1"),
    )
    assert portal.listed(filter={"originatorId": "S", "originId": "1"}) == [one, two]
    portal.update(one, originId="2", title="B")
    assert portal.listed(filter={"originatorId": "S", "originId": "1"}) == [two]
    assert portal.listed(filter={"title": "b"}) == [one]
    portal.result("crm.item.delete", entityTypeId=DEALS, id=two)
    assert portal.listed(filter={"@originId": ["1", "2"]}) == [one]


KEYS = ("originId", "title", "stageId", "originatorId")
VALUES = st.sampled_from(["", "a", "A", "b", "ё", "NEW", "WON"])


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=12),
    wanted=st.dictionaries(st.sampled_from(KEYS), st.lists(VALUES, min_size=1, max_size=3), max_size=3),
    above=st.integers(0, 12),
    start=st.sampled_from([-1, 0]),
    descending=st.booleans(),
)
def test_indexed_lists_equal_a_plain_scan(
    rows: list[tuple[str, str, str]], wanted: dict[str, list[str]], above: int, start: int, descending: bool
) -> None:
    portal = PLAIN
    for item_id in list(portal.portal.items[DEALS].items):
        portal.result("crm.item.delete", entityTypeId=DEALS, id=item_id)
    ids = [portal.add(originId=one, title=two or "t", originatorId=three) for one, two, three in rows]
    base = ids[0] if ids else 0
    tree: dict[str, Any] = {f"@{key}": values for key, values in wanted.items()} | {">id": base + above}
    order = {"id": "DESC" if descending else "ASC"}
    fold = portal.portal.fold()
    expected = [
        item["id"]
        for item in portal.portal.items[DEALS]
        if item["id"] > base + above
        and all(fold(item.get(key) or "") in {fold(value) for value in values} for key, values in wanted.items())
    ]
    assert portal.listed(filter=tree, order=order, start=start) == sorted(expected, reverse=descending)


PLAIN = Calls()


# -- classic ----------------------------------------------------------------------------------
def test_classic_rows_are_texts_with_masks(portal: Calls) -> None:
    row = portal.result("crm.deal.list", filter={"ID": 1})[0]
    assert (row["ID"], row["OPPORTUNITY"], row["CATEGORY_ID"], row["UF_CRM_FLAG"]) == ("1", "10.00", "0", "1")
    assert "CONTACT_IDS" not in row
    assert set(portal.result("crm.deal.list", select=["TITLE"], filter={"ID": 1})[0]) == {"ID", "TITLE"}
    assert "UF_CRM_FLAG" not in portal.result("crm.deal.list", select=["*"], filter={"ID": 1})[0]
    assert set(portal.result("crm.deal.list", select=["UF_*"], filter={"ID": 1})[0]) == {"ID", "UF_CRM_FLAG"}


def test_classic_multifields_must_be_named_and_match_exactly(portal: Calls) -> None:
    portal.result("crm.contact.add", fields={"NAME": "Ира", "PHONE": [{"VALUE": "+79000000001", "VALUE_TYPE": "WORK"}]})
    assert "PHONE" not in portal.result("crm.contact.list")[0]
    assert portal.result("crm.contact.list", select=["PHONE"])[0]["PHONE"][0]["VALUE"] == "+79000000001"
    assert len(portal.result("crm.contact.list", filter={"PHONE": "+79000000001"})) == 1
    assert portal.result("crm.contact.list", filter={"PHONE": "9000000001"}) == []


def test_classic_lists_ignore_unknown_filter_keys_unless_the_switch_refuses(portal: Calls) -> None:
    assert portal.call("crm.deal.list", filter={"NO_SUCH": 1}).total == 5
    portal.switches.classic_unknown_filter = "refuse"
    assert portal.refusal("crm.deal.list", filter={"NO_SUCH": 1})[0] == ""


def test_classic_filters_take_the_same_prefixes_and_no_groups(portal: Calls) -> None:
    rows = portal.result("crm.deal.list", filter={"!STAGE_ID": ["WON", "LOSE"], ">ID": 1}, order={"ID": "ASC"})
    assert [row["ID"] for row in rows] == ["2"]
    answer = portal.call("crm.deal.list", filter={">=DATE_CREATE": "2026-01-01", "id": [1, 2]}, start=-1)
    assert ([row["ID"] for row in answer.result], answer.total, answer.next) == (["1", "2"], 0, None)
