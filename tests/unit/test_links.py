"""Links: found by what they belong to and by what they lead to; saved again they are replaced, not doubled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from b24sync.store.engine import Store
from b24sync.store.links import Link, Links

TASK = Link("first_call", "deal", 42, "call", "task", "7", n=1, detail={"title": "Позвонить"}, linked_at=10.0)


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


def test_a_link_is_found_from_both_ends(store: Store) -> None:
    links = Links(store, "main")
    links.save([TASK, replace(TASK, entity_id=43, portal_id="8")])
    assert links.of_entity("deal", 42) == [TASK]
    assert links.to("task", 7) == [TASK]
    assert links.to("group", 7) == []
    assert [link.entity_id for link in links.of_process("first_call")] == [42, 43]


def test_saving_again_replaces_and_n_tells_things_of_one_step_apart(store: Store) -> None:
    links = Links(store, "main")
    links.save([TASK, replace(TASK, n=2, portal_id="9")])
    links.save([replace(TASK, portal_id="70", detail={})])
    assert [(link.n, link.portal_id, link.detail) for link in links.of_entity("deal", 42, "first_call")] == [
        (1, "70", {}),
        (2, "9", {"title": "Позвонить"}),
    ]


def test_a_task_and_a_question_of_one_step_are_two_things(store: Store) -> None:
    links = Links(store, "main")
    question = replace(TASK, kind="question", portal_id="token")
    links.save([TASK])
    links.save([question])
    assert links.of_entity("deal", 42) == [question, TASK]


def test_links_of_many_entities_are_read_in_pieces(store: Store) -> None:
    links = Links(store, "main")
    links.save(replace(TASK, entity_id=number, portal_id=str(number)) for number in range(1200))
    found = links.of_entities("first_call", "deal", range(100, 1300))
    assert sorted(link.entity_id for link in found) == list(range(100, 1200))


def test_portals_do_not_see_each_other(store: Store) -> None:
    Links(store, "main").save([TASK])
    assert Links(store, "other").of_process("first_call") == []


def test_a_link_belongs_to_the_transaction_it_is_saved_in(store: Store) -> None:
    links = Links(store, "main")

    def undone() -> None:
        with store.write() as connection:
            links.save([TASK], connection)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        undone()
    assert links.of_process("first_call") == []
