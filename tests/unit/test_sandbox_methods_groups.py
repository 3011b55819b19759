"""Workgroups, guests and invitations of the sandbox, and the switches for what the documentation leaves open."""

from __future__ import annotations

from typing import Any

import pytest
from portal_calls import Calls

GUEST = {"EMAIL": "client@example.ru", "NAME": "Клиент", "EXTRANET": "Y"}


def with_group(**switches: Any) -> tuple[Calls, int]:
    portal = Calls(**switches)
    return portal, portal.result("sonet_group.create", NAME="ООО Ромашка", VISIBLE="N", KEYWORDS="b24sync,co-7")


def invited(portal: Calls, group_id: int) -> int:
    return int(portal.result("user.add", **GUEST, SONET_GROUP_ID=[group_id]))


def group_row(portal: Calls, group_id: int) -> dict[str, Any]:
    return dict(portal.result("sonet_group.get", GROUP_ID=group_id)[0])


def workgroup(portal: Calls, group_id: int, **more: Any) -> dict[str, Any]:
    return dict(portal.result("socialnetwork.api.workgroup.get", params={"groupId": group_id, **more}))


def test_a_group_is_created_and_read_in_two_shapes() -> None:
    portal, group_id = with_group()
    row = group_row(portal, group_id)
    assert (row["ID"], row["OWNER_ID"], row["NUMBER_OF_MEMBERS"], row["DESCRIPTION"]) == (str(group_id), "1", "1", None)
    assert (row["VISIBLE"], row["KEYWORDS"], row["IS_EXTRANET"], row["SITE_ID"]) == ("N", "b24sync,co-7", "N", "s1")
    whole = workgroup(portal, group_id, select=["USER_DATA", "PRIVACY_TYPE"])
    assert (whole["ID"], whole["MEMBERS"], whole["TAGS"]) == (group_id, [1], ["b24sync", "co-7"])
    assert (whole["DATE_CREATE"], whole["PRIVACY_CODE"]) == ("01.01.2026 12:00:00", "secret")
    assert whole["USER_DATA"]["ROLE"] == "A"
    assert portal.events() == [("ONSONETGROUPADD", group_id)]


@pytest.mark.parametrize(
    ("tree", "names"),
    [
        ({"NAME": "ооо ромашка"}, ["ООО Ромашка"]),
        ({"%NAME": "ромаш"}, ["ООО Ромашка"]),
        ({"?NAME": "ромаш"}, ["ООО Ромашка"]),
        ({"><ID": [2, 3]}, ["Третья", "Вторая"]),
        ({"OWNER_ID": 5}, ["Третья"]),
        ({"KEYWORDS": "no such"}, ["Третья", "Вторая", "ООО Ромашка"]),
    ],
)
def test_groups_are_filtered(tree: dict[str, Any], names: list[str]) -> None:
    portal, _ = with_group()
    portal.result("sonet_group.create", NAME="Вторая")
    portal.result("sonet_group.create", NAME="Третья", OWNER_ID=5)
    assert [row["NAME"] for row in portal.result("sonet_group.get", FILTER=tree, IS_ADMIN="Y")] == names


def test_keywords_filter_where_the_switch_opens_them() -> None:
    portal, group_id = with_group(group_filter_keywords=True)
    portal.result("sonet_group.create", NAME="Вторая")
    assert [row["ID"] for row in portal.result("sonet_group.get", FILTER={"%KEYWORDS": "co-7"})] == [str(group_id)]


def test_hidden_groups_are_for_members_and_for_administrators_who_say_so() -> None:
    portal, group_id = with_group()
    portal.result("sonet_group.update", GROUP_ID=group_id, OWNER_ID=3)
    portal.result("sonet_group.user.delete", GROUP_ID=group_id, USER_ID=1)
    assert portal.result("sonet_group.get") == []
    assert len(portal.result("sonet_group.get", IS_ADMIN="Y")) == 1
    portal.user_id = 5
    assert portal.result("sonet_group.get", IS_ADMIN="Y") == []
    assert portal.refusal("sonet_group.user.get", ID=group_id)[1] == "Socialnetwork group not found"
    missing = portal.refusal("socialnetwork.api.workgroup.get", params={"groupId": group_id})
    assert missing[0] == "SONET_CONTROLLER_WORKGROUP_NOT_FOUND"
    portal.user_id = 3
    assert [row["GROUP_ID"] for row in portal.result("sonet_group.user.groups")] == [str(group_id)]


def test_another_owner_leaves_the_former_one_a_member() -> None:
    portal, group_id = with_group()
    assert portal.result("sonet_group.update", GROUP_ID=group_id, NAME="ООО Василёк", OWNER_ID=5) == group_id
    assert (group_row(portal, group_id)["NAME"], group_row(portal, group_id)["OWNER_ID"]) == ("ООО Василёк", "5")
    assert {"USER_ID": "1", "ROLE": "K"} in portal.result("sonet_group.user.get", ID=group_id)
    kept, other = with_group(group_update_owner="ignore")
    kept.result("sonet_group.update", GROUP_ID=other, OWNER_ID=5)
    assert group_row(kept, other)["OWNER_ID"] == "1"
    assert kept.result("sonet_group.setowner", GROUP_ID=other, USER_ID=5) is True
    assert group_row(kept, other)["OWNER_ID"] == "5"


def test_a_guest_is_invited_pending_and_makes_the_group_external_when_added() -> None:
    portal, group_id = with_group()
    guest = invited(portal, group_id)
    assert portal.portal.dump("mails") == [
        {"kind": "invitation", "to": "client@example.ru", "user_id": guest, "text": ""}
    ]
    assert (workgroup(portal, group_id)["INVITED_MEMBERS"], group_row(portal, group_id)["IS_EXTRANET"]) == (
        [guest],
        "N",
    )
    assert portal.result("sonet_group.user.add", GROUP_ID=group_id, USER_ID=[guest]) == []
    assert group_row(portal, group_id)["IS_EXTRANET"] == "Y"
    assert workgroup(portal, group_id)["SITE_IDS"] == ["s1", "co"]
    assert str(guest) not in {row["USER_ID"] for row in portal.result("sonet_group.user.get", ID=group_id)}
    portal.act("user.accept", user="client@example.ru")
    assert workgroup(portal, group_id)["INVITED_MEMBERS"] == [guest]
    portal.act("group.accept", group=group_id, user=guest)
    assert workgroup(portal, group_id)["MEMBERS"] == [1, guest]
    figures = portal.portal.figures()
    assert (figures["groups"]["extranet"], figures["groups"]["pending"], figures["people"]["extranet"]) == (1, 0, 1)


def test_the_doubtful_ways_of_guests_are_switches() -> None:
    portal, group_id = with_group(extranet_invitation="member", extranet_group_turns="invitation")
    guest = invited(portal, group_id)
    assert group_row(portal, group_id)["IS_EXTRANET"] == "Y"
    assert guest in workgroup(portal, group_id)["MEMBERS"]

    portal, group_id = with_group(extranet_group_turns="membership")
    guest = invited(portal, group_id)
    portal.result("sonet_group.user.add", GROUP_ID=group_id, USER_ID=guest)
    assert group_row(portal, group_id)["IS_EXTRANET"] == "N"
    portal.result("sonet_group.user.delete", GROUP_ID=group_id, USER_ID=guest)
    assert portal.result("sonet_group.user.add", GROUP_ID=group_id, USER_ID=guest) == [str(guest)]
    assert group_row(portal, group_id)["IS_EXTRANET"] == "Y"

    portal, group_id = with_group(portal_invitation_joins_groups=True, pending_blocks_add=False)
    guest = invited(portal, group_id)
    assert portal.act("user.accept", user=guest)["groups"] == [group_id]

    portal, group_id = with_group(extranet_invitation="none", group_is_extranet_shown="sites")
    guest = invited(portal, group_id)
    assert portal.result("sonet_group.user.add", GROUP_ID=group_id, USER_ID=guest) == [str(guest)]
    assert "IS_EXTRANET" not in group_row(portal, group_id)
    assert "IS_EXTRANET" not in workgroup(portal, group_id)


@pytest.mark.parametrize(("rule", "external"), [("ignore", "N"), ("works", "Y")])
def test_the_site_of_guests_may_be_named_or_not(rule: str, external: str) -> None:
    portal = Calls(site_id_extranet=rule)
    group_id = portal.result("sonet_group.create", NAME="x", SITE_ID=["s1", "co"])
    assert group_row(portal, group_id)["IS_EXTRANET"] == external
    portal.switches.site_id_extranet = "refuse"
    assert portal.refusal("sonet_group.create", NAME="y", SITE_ID=["co"])[1] == "Cannot create group"


def test_more_doubts_about_members_are_switches() -> None:
    portal, group_id = with_group(extranet_group_turns="never", delete_removes_pending=False)
    guest = invited(portal, group_id)
    portal.result("sonet_group.user.add", GROUP_ID=group_id, USER_ID=guest)
    assert portal.result("sonet_group.user.delete", GROUP_ID=group_id, USER_ID=guest) == []
    assert group_row(portal, group_id)["IS_EXTRANET"] == "N"

    portal, group_id = with_group(former_owner_role="", admin_sees_secret_members=False)
    portal.result("sonet_group.setowner", GROUP_ID=group_id, USER_ID=5)
    assert portal.refusal("sonet_group.user.get", ID=group_id)[1] == "Socialnetwork group not found"
    assert portal.portal.dump("groups")[0]["members"] == {"5": "A"}

    portal = Calls(workgroup_next_on_full_page=False)
    for number in range(50):
        portal.result("sonet_group.create", NAME=f"Группа {number}")
    assert portal.call("socialnetwork.api.workgroup.list").next is None


def test_a_portal_where_only_people_make_groups_external() -> None:
    portal, group_id = with_group(extranet="by_hand")
    guest = invited(portal, group_id)
    portal.result("sonet_group.user.add", GROUP_ID=group_id, USER_ID=guest)
    assert group_row(portal, group_id)["IS_EXTRANET"] == "N"
    portal.act("group.extranet", group="ООО Ромашка")
    assert group_row(portal, group_id)["IS_EXTRANET"] == "Y"
    # as the command line gives it
    portal.act("group.extranet", group=str(group_id), extranet="false")
    assert group_row(portal, group_id)["IS_EXTRANET"] == "N"


@pytest.mark.parametrize(
    ("refusal", "answer"),
    [
        ("access_denied", ("ERROR_CORE", "access_denied")),
        ("no_extranet_field", ("ERROR_ARGUMENT", "no_extranet_field")),
        ("user_count_exceeded", ("ERROR_ARGUMENT", "user_count_exceeded")),
        ("ERROR_NO_GROUP", ("ERROR_NO_GROUP", "Группа указана неверно")),
    ],
)
def test_a_portal_without_guests_refuses_in_each_documented_way(refusal: str, answer: tuple[str, str]) -> None:
    portal, group_id = with_group(extranet="off", extranet_refusal=refusal)
    assert portal.refusal("user.add", **GUEST, SONET_GROUP_ID=[group_id])[:2] == answer


def test_invitations_have_their_errors() -> None:
    portal, group_id = with_group(duplicate_email_text="A user with this e-mail exists")
    invited(portal, group_id)
    again = portal.refusal("user.add", **{**GUEST, "EMAIL": "CLIENT@example.ru"}, SONET_GROUP_ID=[group_id])
    assert again[:2] == ("ERROR_ARGUMENT", "A user with this e-mail exists")
    other = {**GUEST, "EMAIL": "other@example.ru"}
    assert portal.refusal("user.add", **{**other, "EMAIL": ""}, SONET_GROUP_ID=[group_id])[1] == "wrong_email"
    assert portal.refusal("user.add", **other, SONET_GROUP_ID=[999])[0] == "ERROR_NO_GROUP"
    assert portal.refusal("user.add", **other)[:2] == ("ERROR_ARGUMENT", "no_extranet_field")
    assert portal.refusal("user.add", EMAIL="other@example.ru")[1] == "no_extranet_field"
    portal.switches.extranet_without_group = "ERROR_GROUPID"
    assert portal.refusal("user.add", **other)[0] == "ERROR_GROUPID"
    portal.switches.user_limit = 7
    assert portal.refusal("user.add", **other, SONET_GROUP_ID=[group_id])[1] == "user_count_exceeded"
    portal.user_id = 5
    assert portal.refusal("user.add", **other, SONET_GROUP_ID=[group_id])[:2] == ("ERROR_CORE", "access_denied")


def test_invited_people_are_listed_or_not() -> None:
    portal, group_id = with_group()
    guest = invited(portal, group_id)
    found = portal.result("user.get", FILTER={"EMAIL": "client@example.ru"})
    assert [(row["ID"], row["USER_TYPE"], row["LAST_LOGIN"]) for row in found] == [(str(guest), "extranet", "")]
    portal.switches.invited_users_listed = False
    assert portal.result("user.get", FILTER={"EMAIL": "client@example.ru"}) == []
    portal.act("user.accept", user=guest)
    assert len(portal.result("user.get", FILTER={"USER_TYPE": "extranet"})) == 1


def test_dismissed_people_and_strangers_are_not_added() -> None:
    portal, group_id = with_group()
    assert portal.result("sonet_group.user.add", GROUP_ID=group_id, USER_ID=[5, 13, 999]) == ["5"]
    assert portal.refusal("sonet_group.user.add", GROUP_ID=group_id, USER_ID=[])[1] == "Wrong user IDs"
    assert portal.refusal("sonet_group.user.add", GROUP_ID=0, USER_ID=5)[1] == "Wrong group ID"
    assert portal.refusal("sonet_group.user.add", GROUP_ID=99, USER_ID=5)[1] == "Socialnetwork group not found"
    portal.user_id = 7
    assert portal.refusal("sonet_group.user.add", GROUP_ID=group_id, USER_ID=7)[1] == "No permissions to add users"


def test_members_are_invited_promoted_and_removed() -> None:
    portal, group_id = with_group()
    assert portal.result("sonet_group.user.invite", GROUP_ID=group_id, USER_ID=[5, 1]) == ["5"]
    assert portal.result("sonet_group.user.invite", GROUP_ID=group_id, USER_ID=5) == []
    portal.act("group.decline", group=group_id, user=5)
    portal.result("sonet_group.user.add", GROUP_ID=group_id, USER_ID=5)
    assert portal.result("sonet_group.user.update", GROUP_ID=group_id, USER_ID=[5, 1], ROLE="E") == ["5"]
    assert portal.refusal("sonet_group.user.update", GROUP_ID=group_id, USER_ID=5, ROLE="A")[1] == "Incorrect role code"
    assert portal.result("sonet_group.user.delete", GROUP_ID=group_id, USER_ID=[1, 5]) == ["5"]
    portal.user_id = 7
    assert portal.result("sonet_group.user.request", GROUP_ID=group_id) is True
    assert portal.refusal("sonet_group.user.request", GROUP_ID=group_id)[1] == "Cannot request to join group"


def test_the_newer_list_is_camel_case_and_may_promise_a_page_too_many() -> None:
    portal, group_id = with_group()
    listed = portal.call("socialnetwork.api.workgroup.list", filter={"%NAME": "ромаш"}, select=["ID", "NAME", "TYPE"])
    assert listed.result == {"workgroups": [{"id": str(group_id), "name": "ООО Ромашка", "type": "group"}]}
    assert (listed.total, listed.next) == (1, None)
    for number in range(49):
        portal.result("sonet_group.create", NAME=f"Группа {number}")
    full = portal.call("socialnetwork.api.workgroup.list")
    assert (len(full.result["workgroups"]), full.total, full.next) == (50, 50, 50)
    assert portal.result("socialnetwork.api.workgroup.list", start=50) == {"workgroups": []}
    assert portal.call("socialnetwork.api.workgroup.list", start=-1).total is None


def test_a_group_is_deleted_by_its_owner_only() -> None:
    portal, group_id = with_group()
    portal.user_id = 5
    assert portal.refusal("sonet_group.delete", GROUP_ID=group_id)[1] == "User has no permissions to delete group"
    assert portal.refusal("sonet_group.update", GROUP_ID=group_id)[1] == "User has no permissions to update group"
    portal.user_id = 1
    assert portal.result("sonet_group.delete", GROUP_ID=group_id) is True
    assert portal.refusal("sonet_group.delete", GROUP_ID=group_id)[1] == "Socialnetwork group not found"
    portal.act("user.rights", id=5, rights={"groups": False})
    portal.user_id = 5
    assert portal.refusal("sonet_group.create", NAME="Моя")[1] == "You have no permissions to create a group"


def test_a_seed_plants_groups_and_names_may_have_to_be_unique() -> None:
    portal = Calls({"groups": [{"NAME": "Старая", "EXTRANET": True, "members": {"5": "Z"}}]}, group_names_unique=True)
    assert portal.portal.dump("groups")[0]["members"] == {"1": "A", "5": "Z"}
    assert portal.refusal("sonet_group.create", NAME="Старая")[1] == "Cannot create group"
    assert portal.portal.figures()["groups"] == {
        "total": 1,
        "extranet": 1,
        "members": 1,
        "pending": 1,
        "surplus_names": 0,
    }
