"""Keys of several sources: which filters ask for them, and which row is whose."""

from __future__ import annotations

from b24sync.portal.items import DEAL, Origin
from b24sync.portal.pairs import MIXED, own_pair, pair_key

HOME = "example.bitrix24.ru"


def test_pairs_are_asked_for_by_originator_and_items_without_one_by_their_id_at_home() -> None:
    origin = Origin(DEAL, MIXED + HOME)
    keys = [pair_key("old", "1"), pair_key("new", "1"), own_pair(HOME, 42), own_pair("other.bitrix24.ru", 42)]
    asked = list(origin.filters(keys))
    assert ({"=originatorId": "old", "@originId": ["1"]}, [keys[0]]) in asked
    assert ({"@id": [42]}, [keys[2]]) in asked
    assert ({"=originatorId": "b24sync:other.bitrix24.ru", "@originId": ["42"]}, [keys[3]]) in asked
    assert [filters for filters, _ in asked if "@id" in filters] == [{"@id": [42]}]


def test_a_row_of_the_portal_has_the_key_that_it_was_asked_by() -> None:
    origin = Origin(DEAL, MIXED + HOME)
    assert origin.key_of({"id": 5, "originatorId": "old", "originId": "1"}) == pair_key("old", "1")
    assert origin.key_of({"id": 42, "originatorId": None, "originId": ""}) == own_pair(HOME, 42)
    for key in (pair_key("old|x", "a|b"), own_pair("other", 7)):
        assert origin.key_of({"id": 9, **origin.fields(key)}) == key


def test_a_smart_process_keeps_its_whole_key_in_xml_id() -> None:
    origin = Origin(177, MIXED + HOME)
    foreign = own_pair("other", 7, as_xml_id=True)
    assert origin.fields(foreign) == {"xmlId": "b24sync:other:7"}
    assert origin.key_of({"id": 3, "xmlId": "b24sync:other:7"}) == foreign
    assert origin.key_of({"id": 3, "xmlId": ""}) == own_pair(HOME, 3, as_xml_id=True)
    assert [filters for filters, _ in origin.filters([own_pair(HOME, 3, as_xml_id=True)])][-1] == {"@id": [3]}


def test_no_filter_asks_for_more_than_fifty_keys() -> None:
    for origin, keys in (
        (Origin(DEAL, "old"), [str(n) for n in range(120)]),
        (Origin(DEAL, MIXED + HOME), [own_pair(HOME, n) for n in range(1, 121)]),
    ):
        assert all(len(asked) <= 50 for _, asked in origin.filters(keys))
        assert {key for _, asked in origin.filters(keys) for key in asked} == set(keys)
