"""`groups sync`: one extranet group for each client, its contact invited; each awkward case as it is defined."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clients import (
    COMPANY,
    CONTACT,
    FIELD,
    RESPONSIBLE,
    SUPPLIER,
    Client,
    field_values,
    groups_of,
    guests_of,
    seed_of,
)
from desk import Desk
from office import office
from rehearsal import Ended
from sandbox_process import SandboxProcess, running_sandbox

from b24sync.bulk.client_groups import ClientGroups, GroupsResult
from b24sync.bulk.group_list import ListedGroup, list_groups
from b24sync.config import GroupsConfig
from b24sync.errors import ConfigError, PortalRefused

DEFAULTS = GroupsConfig()


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: SandboxProcess) -> Iterator[SandboxProcess]:
    switches = running.get("switches")
    yield running
    running.switch(**switches)


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    return Desk(tmp_path, sandbox)


def plant(desk: Desk, *clients: Client, **seed: Any) -> None:
    desk.sandbox.reset(seed_of(clients, **seed))


def sync(desk: Desk, config: GroupsConfig = DEFAULTS, webhook: str | None = None) -> GroupsResult:
    """What the command does, without starting it."""
    with office(desk.folder, desk.sandbox, webhook=webhook) as our:
        groups = ClientGroups(our.client, our.store, our.portal, our.clock, config)
        return groups.sync(groups.plan())


def listed(desk: Desk) -> list[ListedGroup]:
    with office(desk.folder, desk.sandbox) as our:
        return list_groups(our.client, our.store, our.portal)


def run(desk: Desk, *words: str) -> Ended:
    """The command itself."""
    return desk.run("groups", "sync", "--json", *words)


def counts(done: GroupsResult | Ended) -> tuple[int, ...]:
    """companies, created, existing, invited, pending, refused."""
    names = ["companies", "created", "existing", "invited", "pending", "refused"]
    if isinstance(done, GroupsResult):
        assert done.unknown == 0
        return tuple(getattr(done, name) for name in names)
    assert list(done.result) == names, done
    return tuple(done.result.values())


def said(result: GroupsResult) -> str:
    return "\n".join([*result.notes, *result.problems])


def writes_since(desk: Desk, seen: int) -> list[str]:
    """Methods of the writes that the sandbox was asked for after one of its calls."""
    reading = ("get", "list", "fields", "profile")
    calls = desk.sandbox.calls(since=seen)
    names = [str(row[1]) for call in calls for row in (call["nested"] or [["", call["method"]]])]
    return [name for name in names if not name.endswith(reading)]


def edit(desk: Desk, entity_type_id: int, item_id: int, **fields: Any) -> None:
    desk.sandbox.act("item.edit", entityTypeId=entity_type_id, id=item_id, fields=fields)


ROMASHKA = Client("ООО «Ромашка»", ("anna@romashka.ru",))


# -- the usual --------------------------------------------------------------------------------------------------


def test_a_client_gets_a_closed_external_group_with_its_responsible_and_its_contact(desk: Desk) -> None:
    plant(desk, ROMASHKA, Client("Поставщик", ("s@supplier.ru",), SUPPLIER))
    ended = run(desk)
    assert (ended.code, counts(ended)) == (0, (1, 1, 0, 1, 1, 0)), ended
    (group,) = groups_of(desk.sandbox)[1]
    assert (group["name"], group["owner_id"], group["extranet"]) == ("Клиент: ООО «Ромашка»", RESPONSIBLE, True)
    assert (group["visible"], group["opened"], group["initiate_perms"]) == ("N", "N", "E")
    assert "Ромашка" in group["description"]
    assert guests_of(desk.sandbox, group) == {"anna@romashka.ru": "Z"}
    assert field_values(desk.sandbox)[1] == group["id"]
    (mail,) = desk.sandbox.state("mails")
    assert "anna@romashka.ru" in str(mail)


def test_a_second_run_finds_everything_and_writes_nothing(desk: Desk) -> None:
    plant(desk, ROMASHKA)
    sync(desk)
    seen = max(call["seq"] for call in desk.sandbox.calls())
    again = sync(desk)
    assert counts(again) == (1, 0, 1, 0, 1, 0), again
    assert writes_since(desk, seen) == []
    assert len(desk.sandbox.state("mails")) == 1


def test_a_lost_store_makes_nothing_twice(desk: Desk) -> None:
    plant(desk, ROMASHKA, Client("ИП Лист", ("list@mail.ru",)))
    sync(desk)
    edit(desk, COMPANY, 2, **{FIELD: ""})
    (desk.folder / "store.db").unlink()
    again = sync(desk)
    assert counts(again) == (2, 0, 2, 0, 2, 0), again
    assert {company: len(groups) for company, groups in groups_of(desk.sandbox).items()} == {1: 1, 2: 1}
    assert len(desk.sandbox.state("mails")) == 2
    assert None not in field_values(desk.sandbox).values()


def test_a_dry_run_says_what_would_be_done_and_does_nothing(desk: Desk) -> None:
    plant(desk, ROMASHKA, Client("Без почты", (None,)))
    ended = run(desk, "--dry-run")
    assert (ended.code, counts(ended)) == (0, (2, 2, 0, 1, 0, 1)), ended
    assert "make group 'Клиент: ООО «Ромашка»', invite anna@romashka.ru" in ended.stderr
    assert groups_of(desk.sandbox) == {} and desk.sandbox.state("mails") == []
    assert writes_since(desk, 0) == []


def test_one_company_can_be_chosen(desk: Desk) -> None:
    plant(desk, ROMASHKA, Client("ИП Лист", ("list@mail.ru",)), Client("Поставщик", (), SUPPLIER))
    assert counts(run(desk, "--company", "2")) == (1, 1, 0, 1, 1, 0)
    assert list(groups_of(desk.sandbox)) == [2]
    other = run(desk, "--company", "3")
    assert (other.code, counts(other)) == (0, (0, 0, 0, 0, 0, 0)), other
    missing = run(desk, "--company", "99")
    assert missing.code == 78 and "Company 99 is not in the portal" in missing.stderr


def test_types_by_name_members_and_texts_come_from_the_configuration(desk: Desk) -> None:
    config = GroupsConfig(
        company_types=("Поставщик",),
        name="№{company.id} {company.title}",
        description="Склад",
        members=("petr@example.ru",),
    )
    plant(desk, ROMASHKA, Client("Рога", ("rog@a.ru",), SUPPLIER))
    assert counts(sync(desk, config)) == (1, 1, 0, 1, 1, 0)
    (group,) = groups_of(desk.sandbox)[2]
    assert (group["name"], group["description"]) == ("№2 Рога", "Склад")
    assert group["members"]["6"] == "K"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (GroupsConfig(company_types=("Клент",)), "nearest: Клиент"),
        (GroupsConfig(members=("nobody@example.ru",)), "nobody@example.ru: not found"),
    ],
)
def test_names_that_the_portal_does_not_know_are_refused_before_anything_is_written(
    desk: Desk, config: GroupsConfig, reason: str
) -> None:
    plant(desk, ROMASHKA)
    with pytest.raises(ConfigError, match=reason):
        sync(desk, config)
    assert groups_of(desk.sandbox) == {}


def test_the_list_shows_who_has_not_accepted_yet(desk: Desk) -> None:
    plant(desk, ROMASHKA, Client("ИП Лист", ("list@mail.ru",)))
    assert "No client groups yet" in desk.run("groups", "list").stdout
    sync(desk)
    desk.sandbox.act("user.accept", user="anna@romashka.ru", groups=True)
    rows = {row["company_id"]: row for row in desk.listed("groups", "list", "--json")}
    assert [rows[one]["people"][0]["state"] for one in (1, 2)] == ["member", "pending"]
    assert rows[2]["people"][0]["email"] == "list@mail.ru" and rows[2]["extranet"] is True
    text = desk.run("groups", "list").stdout
    assert "company 2 (ИП Лист): group" in text and "list@mail.ru: pending" in text
    assert counts(sync(desk)) == (2, 0, 2, 0, 1, 0)


# -- groups that are there --------------------------------------------------------------------------------------


def test_two_companies_of_one_title_get_a_group_each(desk: Desk) -> None:
    plant(desk, ROMASHKA, Client("ООО «Ромашка»", ("boris@romashka.ru",)))
    assert counts(sync(desk)) == (2, 2, 0, 2, 2, 0)
    groups = groups_of(desk.sandbox)
    assert [guests_of(desk.sandbox, groups[one][0]) for one in (1, 2)] == [
        {"anna@romashka.ru": "Z"},
        {"boris@romashka.ru": "Z"},
    ]


def test_where_names_must_be_unique_the_second_group_carries_the_companys_number(desk: Desk) -> None:
    desk.sandbox.switch(group_names_unique=True)
    plant(desk, ROMASHKA, Client("ООО «Ромашка»", ("boris@romashka.ru",)))
    ended = sync(desk)
    assert counts(ended) == (2, 2, 0, 2, 2, 0), ended
    names = sorted(group["name"] for group in desk.sandbox.state("groups"))
    assert names[0] == "Клиент: ООО «Ромашка»" and names[1].startswith("Клиент: ООО «Ромашка» (")
    assert counts(sync(desk)) == (2, 0, 2, 0, 2, 0)


def test_an_external_group_made_by_hand_under_the_name_is_taken_over(desk: Desk) -> None:
    by_hand = {"NAME": "Клиент: ООО «Ромашка»", "OWNER_ID": 6, "EXTRANET": True, "KEYWORDS": "важное"}
    plant(desk, ROMASHKA, groups=[by_hand])
    ended = sync(desk)
    assert counts(ended) == (1, 0, 1, 1, 1, 0), ended
    (group,) = desk.sandbox.state("groups")
    assert group["keywords"].split(",") == ["важное", "b24sync-company-1"]
    assert group["owner_id"] == RESPONSIBLE
    assert field_values(desk.sandbox)[1] == group["id"]


def test_an_internal_group_made_by_hand_is_not_opened_to_the_client_until_a_person_does(desk: Desk) -> None:
    plant(desk, ROMASHKA, groups=[{"NAME": "Клиент: ООО «Ромашка»", "OWNER_ID": 6}])
    ended = sync(desk)
    assert counts(ended) == (1, 0, 1, 0, 0, 1), ended
    assert "was made by hand and is internal" in said(ended)
    (group,) = desk.sandbox.state("groups")
    assert group["keywords"] in ("", None) and desk.sandbox.state("mails") == []
    desk.sandbox.act("group.extranet", group=group["id"])
    again = sync(desk)
    assert counts(again) == (1, 0, 1, 1, 1, 0), again
    assert len(desk.sandbox.state("groups")) == 1


def test_a_group_whose_name_fits_two_companies_is_nobodys(desk: Desk) -> None:
    by_hand = {"NAME": "Клиент: ООО «Ромашка»", "OWNER_ID": 6, "EXTRANET": True}
    plant(desk, ROMASHKA, Client("ООО «Ромашка»", ("b@r.ru",), SUPPLIER), groups=[by_hand])
    ended = sync(desk)
    assert counts(ended) == (1, 1, 0, 1, 1, 0), ended
    assert "its name fits several" in said(ended)
    assert len(groups_of(desk.sandbox)[0]) == 1


def test_the_group_that_a_person_put_into_the_card_is_used(desk: Desk) -> None:
    plant(desk, ROMASHKA, groups=[{"NAME": "Наши с ними дела", "OWNER_ID": RESPONSIBLE}])
    chosen = desk.sandbox.state("groups")[0]["id"]
    desk.sandbox.act("userfield.add", ENTITY_ID="CRM_COMPANY", FIELD_NAME="B24SYNC_GROUP", USER_TYPE_ID="integer")
    edit(desk, COMPANY, 1, **{FIELD: chosen})
    ended = sync(desk)
    assert counts(ended) == (1, 0, 1, 1, 1, 0), ended
    (group,) = desk.sandbox.state("groups")
    assert group["extranet"] is True and "b24sync-company-1" in group["keywords"]


def test_a_card_that_names_the_group_of_another_company_is_corrected(desk: Desk) -> None:
    plant(desk, ROMASHKA)
    sync(desk)
    first = field_values(desk.sandbox)[1]
    copy = {"title": "Копия карточки", "typeId": "CUSTOMER", "assignedById": RESPONSIBLE, FIELD: first}
    desk.sandbox.act("item.add", entityTypeId=COMPANY, fields=copy)
    ended = sync(desk)
    assert counts(ended)[:3] == (2, 1, 1), ended
    values = field_values(desk.sandbox)
    assert values[1] == first and values[2] not in (None, first)


def test_a_deleted_group_is_made_anew(desk: Desk) -> None:
    plant(desk, ROMASHKA)
    sync(desk)
    desk.sandbox.act("group.delete", group=field_values(desk.sandbox)[1])
    ended = sync(desk)
    assert counts(ended) == (1, 1, 0, 0, 0, 0), ended
    (group,) = groups_of(desk.sandbox)[1]
    assert guests_of(desk.sandbox, group) == {"anna@romashka.ru": "K"}
    assert field_values(desk.sandbox)[1] == group["id"]


# -- what changes -----------------------------------------------------------------------------------------------


def test_a_renamed_company_renames_its_group_and_a_new_responsible_owns_it(desk: Desk) -> None:
    plant(desk, ROMASHKA)
    sync(desk)
    edit(desk, COMPANY, 1, title="ООО «Василёк»", assignedById=6)
    ended = sync(desk)
    assert counts(ended) == (1, 0, 1, 0, 1, 0), ended
    (group,) = desk.sandbox.state("groups")
    assert (group["name"], group["owner_id"]) == ("Клиент: ООО «Василёк»", 6)
    edit(desk, COMPANY, 1, title="ООО «Ромашка»", assignedById=RESPONSIBLE)
    sync(desk)
    (group,) = desk.sandbox.state("groups")
    assert (group["name"], group["owner_id"]) == ("Клиент: ООО «Ромашка»", RESPONSIBLE)


def test_a_portal_that_ignores_the_owner_of_an_update_is_told_by_its_own_method(desk: Desk) -> None:
    desk.sandbox.switch(group_update_owner="ignore")
    plant(desk, ROMASHKA)
    sync(desk)
    edit(desk, COMPANY, 1, assignedById=6)
    assert sync(desk).refused == 0
    assert desk.sandbox.state("groups")[0]["owner_id"] == 6


def test_what_people_changed_in_a_group_stays(desk: Desk) -> None:
    plant(desk, ROMASHKA)
    sync(desk)
    desk.sandbox.act("group.edit", group=field_values(desk.sandbox)[1], NAME="Ромашковые")
    for _ in range(2):
        assert sync(desk).refused == 0
        assert desk.sandbox.state("groups")[0]["name"] == "Ромашковые"


def test_a_company_that_is_no_client_any_more_keeps_its_group_untouched(desk: Desk) -> None:
    plant(desk, ROMASHKA)
    sync(desk)
    edit(desk, COMPANY, 1, typeId=SUPPLIER, title="Другое")
    seen = max(call["seq"] for call in desk.sandbox.calls())
    ended = sync(desk)
    assert counts(ended) == (0, 0, 0, 0, 0, 0), ended
    assert "is no longer of a configured type: its group" in said(ended)
    assert writes_since(desk, seen) == []
    edit(desk, COMPANY, 1, typeId="CUSTOMER")
    assert counts(sync(desk)) == (1, 0, 1, 0, 1, 0)
    assert desk.sandbox.state("groups")[0]["name"] == "Клиент: Другое"


def test_another_responsible_contact_is_invited_and_the_former_one_is_told_of(desk: Desk) -> None:
    plant(desk, ROMASHKA, Client("Чужие", ("vera@romashka.ru",), SUPPLIER))
    sync(desk)
    edit(desk, COMPANY, 1, contactIds=[2, 1])
    ended = sync(desk)
    assert counts(ended) == (1, 0, 1, 1, 1, 0), ended
    assert "anna@romashka.ru was its responsible contact before and is in group" in said(ended)
    assert guests_of(desk.sandbox, desk.sandbox.state("groups")[0]) == {
        "anna@romashka.ru": "Z",
        "vera@romashka.ru": "Z",
    }


def test_somebody_who_left_the_group_is_not_put_in_again(desk: Desk) -> None:
    plant(desk, ROMASHKA)
    sync(desk)
    desk.sandbox.act("group.decline", group=field_values(desk.sandbox)[1], user="anna@romashka.ru")
    ended = sync(desk)
    assert counts(ended) == (1, 0, 1, 0, 0, 0), ended
    assert "left it or was taken out" in said(ended)
    assert guests_of(desk.sandbox, desk.sandbox.state("groups")[0]) == {}
    assert listed(desk)[0].people[0]["state"] == "gone"


# -- people -----------------------------------------------------------------------------------------------------


def test_of_several_contacts_the_first_of_the_card_is_invited(desk: Desk) -> None:
    plant(desk, Client("Трое", ("one@three.ru", "two@three.ru", "three@three.ru")))
    assert counts(sync(desk)) == (1, 1, 0, 1, 1, 0)
    assert guests_of(desk.sandbox, desk.sandbox.state("groups")[0]) == {"one@three.ru": "Z"}


def test_a_contact_without_an_address_and_a_company_without_a_contact_are_told(desk: Desk) -> None:
    plant(desk, Client("Без почты", (None, "second@x.ru")), Client("Без людей"))
    ended = sync(desk)
    assert counts(ended) == (2, 2, 0, 0, 0, 2), ended
    assert "company 1 (Без почты): its responsible contact" in said(ended) and "has no e-mail" in said(ended)
    assert "company 2 (Без людей): has no contact to invite" in said(ended)
    edit(desk, CONTACT, 1, fm=[{"typeId": "EMAIL", "valueType": "WORK", "value": "first@x.ru"}])
    again = sync(desk)
    assert counts(again) == (2, 0, 2, 1, 1, 1), again
    assert guests_of(desk.sandbox, groups_of(desk.sandbox)[1][0]) == {"first@x.ru": "Z"}


def test_a_guest_of_the_portal_is_a_member_at_once(desk: Desk) -> None:
    guest = {"ID": 50, "EMAIL": "Anna@Romashka.ru", "USER_TYPE": "extranet", "ACTIVE": True}
    seed = seed_of([ROMASHKA])
    desk.sandbox.reset({**seed, "users": [*seed["users"], guest]})
    ended = sync(desk)
    assert counts(ended) == (1, 1, 0, 0, 0, 0), ended
    (group,) = desk.sandbox.state("groups")
    assert (group["members"]["50"], group["extranet"]) == ("K", True)
    assert desk.sandbox.state("mails") == []


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({"USER_TYPE": "employee", "UF_DEPARTMENT": [1]}, "is that of employee 50"),
        ({"USER_TYPE": "extranet", "ACTIVE": False}, "is that of dismissed user 50"),
        ({"USER_TYPE": "email"}, "is that of mail user 50"),
    ],
)
def test_an_address_that_is_somebody_elses_is_not_let_in(desk: Desk, user: dict[str, Any], reason: str) -> None:
    seed = seed_of([ROMASHKA])
    desk.sandbox.reset({**seed, "users": [*seed["users"], {"ID": 50, "EMAIL": "anna@romashka.ru", **user}]})
    ended = sync(desk)
    assert counts(ended) == (1, 1, 0, 0, 0, 1), ended
    assert reason in said(ended), ended
    assert "50" not in desk.sandbox.state("groups")[0]["members"]


@pytest.mark.parametrize("text", ["Пользователь с таким email уже существует", "El usuario con este correo ya existe"])
def test_an_address_taken_by_nobody_that_is_shown_is_told_in_any_language(desk: Desk, text: str) -> None:
    desk.sandbox.switch(duplicate_email_text=text, invited_users_listed=False)
    plant(desk, ROMASHKA)
    desk.sandbox.rest("user.add", {"EMAIL": "anna@romashka.ru", "EXTRANET": "Y", "SONET_GROUP_ID": [other_group(desk)]})
    ended = sync(desk)
    assert counts(ended) == (1, 1, 0, 0, 0, 1), ended
    assert text in said(ended) and "Somebody has this address whom the portal does not show" in said(ended)
    desk.sandbox.act("user.accept", user="anna@romashka.ru")
    again = sync(desk)
    assert counts(again) == (1, 0, 1, 0, 0, 0), again


def other_group(desk: Desk) -> int:
    return int(desk.sandbox.act("group.add", NAME="Другая", EXTRANET=True)["id"])


def test_one_person_of_two_companies_is_invited_once_and_is_in_both_groups(desk: Desk) -> None:
    plant(desk, ROMASHKA, Client("ИП Лист", ("ANNA@romashka.ru",)))
    ended = sync(desk)
    assert counts(ended) == (2, 2, 0, 1, 2, 0), ended
    assert len(desk.sandbox.state("mails")) == 1
    for group in desk.sandbox.state("groups"):
        assert list(guests_of(desk.sandbox, group).values()) == ["Z"] and group["extranet"] is True


def test_the_limit_of_users_stops_invitations_and_not_groups(desk: Desk) -> None:
    plant(desk, *(Client(f"К{number}", (f"k{number}@k.ru",)) for number in range(1, 13)))
    people = sum(one["active"] for one in desk.sandbox.state("users"))
    desk.sandbox.switch(user_limit=people + 3)
    ended = sync(desk)
    assert counts(ended) == (12, 12, 0, 3, 3, 9), ended
    assert said(ended).count("number of users is used up") == 9
    asked = desk.sandbox.figures()["methods"]["user.add"]["calls"]
    assert asked < 12, "the portal was asked for everybody"
    desk.sandbox.switch(user_limit=0)
    again = sync(desk)
    assert counts(again) == (12, 0, 12, 9, 12, 0), again


# -- portals that do it in their own way ------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", ["access_denied", "no_extranet_field", "user_count_exceeded", "ERROR_NO_GROUP"])
def test_a_portal_without_an_extranet_says_what_to_do_by_hand_and_goes_on_when_it_is_done(
    desk: Desk, refusal: str
) -> None:
    desk.sandbox.switch(extranet="off", extranet_refusal=refusal)
    plant(desk, ROMASHKA)
    ended = sync(desk)
    assert counts(ended) == (1, 1, 0, 0, 0, 1), ended
    assert "anna@romashka.ru) was not invited to group" in said(ended)
    assert ("By hand: switch the extranet on" in said(ended)) == (refusal != "user_count_exceeded"), ended
    desk.sandbox.switch(extranet="works")
    again = sync(desk)
    assert counts(again) == (1, 0, 1, 1, 1, 0), again
    assert desk.sandbox.state("groups")[0]["extranet"] is True


def test_a_group_that_the_portal_does_not_open_is_opened_by_hand_and_then_all_is_well(desk: Desk) -> None:
    desk.sandbox.switch(extranet="by_hand")
    plant(desk, ROMASHKA)
    ended = run(desk)
    assert (ended.code, counts(ended)) == (3, (1, 1, 0, 1, 1, 1)), ended
    group = desk.sandbox.state("groups")[0]
    assert f"group {group['id']} is not external" in ended.stderr and "make it external" in ended.stderr
    assert guests_of(desk.sandbox, group) == {"anna@romashka.ru": "Z"}, "the invitation was lost"
    assert "not external" in listed(desk)[0].problem
    desk.sandbox.act("group.extranet", group=group["id"])
    again = run(desk)
    assert (again.code, counts(again)) == (0, (1, 0, 1, 0, 1, 0)), again
    assert len(desk.sandbox.state("mails")) == 1
    assert listed(desk)[0].problem == ""


def test_an_invitation_that_is_given_back_and_not_answered_is_found_in_the_group_that_did_not_open(desk: Desk) -> None:
    desk.sandbox.switch(extranet="by_hand")
    plant(desk, ROMASHKA)
    desk.sandbox.fault("cut_after", "sonet_group.user.invite")
    ended = sync(desk)
    assert desk.sandbox.faults()[-1]["fired"] == 1
    assert counts(ended) == (1, 1, 0, 1, 1, 1), ended
    assert "never answered" not in said(ended)
    assert desk.sandbox.figures()["methods"]["sonet_group.user.invite"]["calls"] == 1, "it was sent again"
    assert guests_of(desk.sandbox, desk.sandbox.state("groups")[0]) == {"anna@romashka.ru": "Z"}


@pytest.mark.parametrize(
    ("switches", "pending"),
    [
        ({"extranet_invitation": "member"}, 0),
        ({"extranet_invitation": "none"}, 0),
        ({"extranet_group_turns": "invitation"}, 1),
        ({"group_is_extranet_shown": "get"}, 1),
        ({"group_is_extranet_shown": "sites"}, 1),
        ({"pending_blocks_add": False}, 0),
        ({"extranet_group_turns": "membership"}, 0),
    ],
)
def test_portals_that_do_it_in_their_own_way_end_with_an_external_group(
    desk: Desk, switches: dict[str, Any], pending: int
) -> None:
    desk.sandbox.switch(**switches)
    plant(desk, ROMASHKA)
    ended = sync(desk)
    assert counts(ended) == (1, 1, 0, 1, pending, 0), ended
    assert desk.sandbox.state("groups")[0]["extranet"] is True
    again = sync(desk)
    assert counts(again) == (1, 0, 1, 0, pending, 0), again


def test_without_the_scope_socialnetwork_whoever_has_not_accepted_counts_as_pending(desk: Desk) -> None:
    plant(desk, ROMASHKA)
    added = desk.sandbox.post("webhooks", {"user_id": 1, "secret": "few", "scopes": ["crm", "user", "sonet_group"]})
    ended = sync(desk, webhook=added["url"])
    assert counts(ended) == (1, 1, 0, 1, 1, 0), ended
    assert counts(sync(desk, webhook=added["url"])) == (1, 0, 1, 0, 1, 0)
    desk.sandbox.act("user.accept", user="anna@romashka.ru", groups=True)
    assert counts(sync(desk, webhook=added["url"])) == (1, 0, 1, 0, 0, 0)
    assert len(desk.sandbox.state("mails")) == 1


def test_a_webhook_that_may_not_write_groups_is_told_by_its_first_refusal(desk: Desk) -> None:
    plant(desk, ROMASHKA)
    added = desk.sandbox.post("webhooks", {"user_id": 1, "secret": "less", "scopes": ["crm", "user"]})
    with pytest.raises(PortalRefused, match="scope sonet_group"):
        sync(desk, webhook=added["url"])
