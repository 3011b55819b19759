"""Which group is a company's, and what of it is to be set: by mark, card, name; never another client's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from b24sync.bulk.group_choice import (
    NAME_MAX,
    ClientGroup,
    KnownGroups,
    changes,
    choose,
    group_name,
    mark,
    marked_for,
    own_name,
)
from b24sync.config import GroupsConfig
from b24sync.portal.companies import Company
from b24sync.portal.groups import Group

CONFIG = GroupsConfig()
COMPANY = Company(5, "Ромашка", "CUSTOMER", 7, (1,), None)
NAME = "Клиент: Ромашка"
OWN = Group(10, NAME, "", 7, (mark(5),), True)


def chosen(*groups: Group, ids: tuple[int, ...] = (), shared: bool = False) -> ClientGroup:
    one = ClientGroup(COMPANY, group_name(CONFIG, COMPANY))
    choose(one, KnownGroups(groups), ids, shared_title=shared)
    return one


def test_the_mark_decides_over_card_and_name() -> None:
    by_hand = Group(3, NAME, "", 1, (), True)
    one = chosen(by_hand, OWN, ids=(3,))
    assert one.group == OWN and one.notes == []


def test_of_two_marked_groups_the_one_in_the_card_is_used_else_the_oldest_and_it_is_told() -> None:
    second = replace(OWN, id=12)
    assert chosen(second, OWN).group == OWN
    one = chosen(second, OWN, ids=(12,))
    assert one.group == second
    assert one.notes == ["company 5 (Ромашка): groups 10, 12 all carry its mark; 12 is used"]


def test_a_card_may_name_any_group_but_another_companys() -> None:
    other = replace(OWN, keywords=(mark(6),))
    assert chosen(other, ids=(10,)).group is None
    assert chosen(replace(OWN, keywords=("важное",), extranet=False), ids=(10,)).group is not None
    assert chosen(ids=(10,)).group is None


@pytest.mark.parametrize(
    ("groups", "shared", "taken"),
    [
        ([Group(3, NAME, "", 1, (), True)], False, True),
        ([Group(3, NAME, "", 1, (), True)], True, False),
        ([Group(3, NAME, "", 1, (), True), Group(4, NAME, "", 1, (), True)], False, False),
        ([Group(3, f"{NAME} и К", "", 1, (), True)], False, False),
        ([Group(3, NAME, "", 1, (mark(6),), True)], False, False),
    ],
)
def test_a_name_counts_only_where_one_company_and_one_unmarked_group_have_it(
    groups: list[Group], shared: bool, taken: bool
) -> None:
    assert (chosen(*groups, shared=shared).group is not None) == taken


def test_an_internal_group_made_by_hand_is_blocked() -> None:
    one = chosen(Group(3, NAME, "", 1, (), False))
    assert one.blocked and one.guest is None and "internal" in one.problems[0]


def test_only_what_the_company_changed_is_set_not_what_people_did() -> None:
    one = ClientGroup(COMPANY, "Клиент: Лютик", group=OWN, kept=(NAME, 7))
    assert changes(one, CONFIG) == {"NAME": "Клиент: Лютик", "DESCRIPTION": "Задачи, файлы и переписка: Ромашка"}
    one.group = replace(OWN, name="Наши ромашки", owner_id=9)
    assert changes(one, CONFIG) == {}
    one.group = replace(OWN, owner_id=9, keywords=("важное",))
    one.kept = None
    assert changes(one, CONFIG) == {"KEYWORDS": f"важное,{mark(5)}", "NAME": "Клиент: Лютик", "OWNER_ID": 7}


def test_names_fit_the_portal_and_a_name_of_its_own_is_left_alone() -> None:
    long = replace(COMPANY, title="Очень " * 60)
    one = ClientGroup(long, group_name(CONFIG, long))
    assert len(one.name) <= NAME_MAX and len(own_name(one)) <= NAME_MAX and own_name(one).endswith(" (5)")
    one.group = replace(OWN, name=own_name(one))
    assert "NAME" not in changes(one, CONFIG)
    assert group_name(CONFIG, replace(COMPANY, title="  Ромашка \n плюс ")) == "Клиент: Ромашка плюс"


@pytest.mark.parametrize(("words", "company"), [((mark(5),), 5), (("x", mark(12)), 12), (("b24sync-company-",), None)])
def test_a_mark_is_read_back(words: tuple[str, ...], company: int | None) -> None:
    assert marked_for(replace(OWN, keywords=words)) == company
