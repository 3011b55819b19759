"""Workgroups: made, changed, found by name or mark, their members and invitations (api-reference/sonet-group/).

No method makes a group external. It becomes so when an extranet user is added (user/index.md), and only
`IS_EXTRANET`, read back, tells that it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from b24sync.errors import PortalRefused, PortalUnreachable
from b24sync.portal.pages import PAGE, items_of
from b24sync.portal.words import is_yes
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Refused
from b24sync.transport.protocol import Command

CREATE = "sonet_group.create"
UPDATE = "sonet_group.update"
GET = "sonet_group.get"
SET_OWNER = "sonet_group.setowner"
ADD_MEMBERS = "sonet_group.user.add"
REMOVE_MEMBERS = "sonet_group.user.delete"
INVITE_MEMBERS = "sonet_group.user.invite"
ACTIVE_MEMBERS = "sonet_group.user.get"
WORKGROUP = "socialnetwork.api.workgroup.get"

READ_ALL_FROM = 50
"""From so many on it is cheaper to read all groups of the portal than to ask for each."""
READS = 3
"""How often a list is read anew that changed while it was read."""


@dataclass(frozen=True, slots=True)
class Group:
    """One workgroup. `keywords` are its tags; `extranet` tells whether people from outside may be in it."""

    id: int
    name: str
    description: str
    owner_id: int
    keywords: tuple[str, ...]
    extranet: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """User ids: who is in a group, and who was invited and has not accepted yet."""

    members: frozenset[int]
    invited: frozenset[int]

    @property
    def all(self) -> frozenset[int]:
        """Whoever has a tie to the group."""
        return self.members | self.invited


def create_command(fields: Mapping[str, Any]) -> Command:
    """Make a group that is closed to all but its members (sonet-group-create.md); the answer is its id."""
    return Command(CREATE, {**fields, "VISIBLE": "N", "OPENED": "N", "INITIATE_PERMS": "E"})


def update_command(group_id: int, fields: Mapping[str, Any]) -> Command:
    """Change a group's name, description, keywords or owner (sonet-group-update.md)."""
    return Command(UPDATE, {"GROUP_ID": group_id, **fields})


def add_members_command(group_id: int, user_ids: Sequence[int]) -> Command:
    """Put users into a group without asking them (members/sonet-group-user-add.md); an extranet user opens it.

    Whoever is in it or invited to it already is left as he is, so the same call twice changes nothing more.
    """
    return Command(ADD_MEMBERS, {"GROUP_ID": group_id, "USER_ID": list(user_ids)})


def set_owner_command(group_id: int, user_id: int) -> Command:
    """Hand a group over (sonet-group-setowner.md): the other way, for portals where an update does not do it."""
    return Command(SET_OWNER, {"GROUP_ID": group_id, "USER_ID": user_id})


def remove_members_command(group_id: int, user_ids: Sequence[int]) -> Command:
    """Take users out of a group, or their invitations back (members/sonet-group-user-delete.md)."""
    return Command(REMOVE_MEMBERS, {"GROUP_ID": group_id, "USER_ID": list(user_ids)})


def invite_members_command(group_id: int, user_ids: Sequence[int]) -> Command:
    """Invite users of the portal into a group (members/sonet-group-user-invite.md): they may accept or decline."""
    return Command(INVITE_MEMBERS, {"GROUP_ID": group_id, "USER_ID": list(user_ids)})


def groups_by_id(client: PortalClient, ids: Iterable[int]) -> dict[int, Group]:
    """Those of `ids` that exist. Cost: one request per 50; of many, as of all_groups where that is less.

    Raises PortalRefused, PortalUnreachable.
    """
    wanted = list(dict.fromkeys(ids))
    found = {group.id: group for group in all_groups(client)} if len(wanted) >= READ_ALL_FROM else {}
    commands = {f"g{group_id}": _get({"ID": group_id}) for group_id in wanted if group_id not in found}
    found.update((group.id, group) for group in _groups(client, _read(client, commands).values()))
    return {group_id: found[group_id] for group_id in wanted if group_id in found}


def groups_named(client: PortalClient, names: Iterable[str]) -> list[Group]:
    """Groups of exactly these names, by id. Cost: one request per 50 names; more where a name has over 50 groups."""
    wanted = {f"n{index:05d}": {"NAME": name} for index, name in enumerate(dict.fromkeys(names))}
    answers = _read(client, {key: _get(filters) for key, filters in wanted.items()})
    more = {
        f"{key}_{start}": _get(wanted[key], start)
        for key, answer in answers.items()
        for start in range(PAGE, answer.total or 0, PAGE)
    }
    groups = _groups(client, [*answers.values(), *_read(client, more).values()])
    return sorted(groups, key=lambda group: group.id)


def all_groups(client: PortalClient) -> list[Group]:
    """Every group that the webhook's user may see. Cost: one request, and one per 2,500 groups.

    Raises PortalUnreachable when the list is never the same long enough to be read whole: somebody deletes groups.
    """
    for _ in range(READS):
        first = _read(client, {"p00000": _get({})})["p00000"]
        if first.total is None:
            return _groups(client, _page_by_page(client, first))
        pages = {f"p{start:05d}": _get({}, start) for start in range(PAGE, first.total, PAGE)}
        found = _groups(client, [first, *_read(client, pages).values()])
        # Pages are counted from the start: a group deleted meanwhile would hide another one.
        if len(found) >= first.total:
            return found
    raise PortalUnreachable(f"{GET}: groups were deleted while they were read, {READS} times; try again later.")


def memberships(client: PortalClient, group_ids: Iterable[int]) -> dict[int, Membership]:
    """Members and invited users. Cost: one request per 50 groups.

    Without the scope `socialnetwork` the active members alone are known: nobody then counts as invited.
    """
    ids = list(dict.fromkeys(group_ids))
    found = {
        group_id: Membership(_ids(row.get("MEMBERS")), _ids(row.get("INVITED_MEMBERS")))
        for group_id, row in _workgroups(client, ids).items()
    }
    missing = {f"m{one}": Command(ACTIVE_MEMBERS, {"ID": one}) for one in ids if one not in found}
    for name, done in _read(client, missing).items():
        found[int(name[1:])] = Membership(_ids(done.result), frozenset())
    return found


def _get(filters: Mapping[str, Any], start: int = 0) -> Command:
    # IS_ADMIN: hidden groups of others are seen too, if the webhook's user is an administrator.
    return Command(GET, {"ORDER": {"ID": "ASC"}, "FILTER": dict(filters), "IS_ADMIN": "Y", "start": start})


def _page_by_page(client: PortalClient, first: Done) -> list[Done]:
    """All pages, where the portal does not say how many there are."""
    pages = [first]
    while len(items_of(pages[-1].result)) >= PAGE:
        pages += _read(client, {"p": _get({}, len(pages) * PAGE)}).values()
    return pages


def _read(client: PortalClient, commands: Mapping[str, Command]) -> dict[str, Done]:
    answers: dict[str, Done] = {}
    for name, answer in client.read_all(commands).items():
        if isinstance(answer, Refused):
            hint = "The webhook needs the scope sonet_group."
            raise PortalRefused(commands[name].method, answer.code, answer.text, hint=hint)
        answers[name] = answer
    return {name: answers[name] for name in commands}


def _groups(client: PortalClient, answers: Iterable[Done]) -> list[Group]:
    rows = {int(row["ID"]): dict(row) for answer in answers for row in items_of(answer.result)}
    bare = [group_id for group_id, row in rows.items() if not {"KEYWORDS", "IS_EXTRANET"} <= row.keys()]
    for group_id, row in _workgroups(client, bare).items():
        rows[group_id] = {**row, **rows[group_id]}
    return [
        Group(
            group_id,
            str(row.get("NAME") or ""),
            str(row.get("DESCRIPTION") or ""),
            int(row.get("OWNER_ID") or 0),
            (*_words(row.get("KEYWORDS")), *map(str, row.get("TAGS") or [])),
            _is_extranet(row),
        )
        for group_id, row in rows.items()
    ]


def _workgroups(client: PortalClient, ids: Iterable[int]) -> dict[int, Mapping[str, Any]]:
    """The other reader's view of groups, of those that it shows. Cost: one request per 50."""
    commands = {f"w{one}": Command(WORKGROUP, {"params": {"groupId": one, "select": ["TAGS"]}}) for one in ids}
    return {
        int(name[1:]): answer.result
        for name, answer in client.read_all(commands).items()
        if isinstance(answer, Done) and isinstance(answer.result, Mapping)
    }


def _is_extranet(row: Mapping[str, Any]) -> bool:
    """IS_EXTRANET; where a portal shows none, an external group belongs to the extranet's site besides its own."""
    if row.get("IS_EXTRANET") is not None:
        return is_yes(row["IS_EXTRANET"])
    return len(row.get("SITE_IDS") or []) > 1


def _words(value: Any) -> list[str]:
    return [word for part in str(value or "").split(",") if (word := part.strip())]


def _ids(value: Any) -> frozenset[int]:
    """User ids of a list of numbers, texts or rows (the two methods differ)."""
    rows = value.values() if isinstance(value, Mapping) else value or []
    return frozenset(int(row["USER_ID"] if isinstance(row, Mapping) else row) for row in rows)
