"""Workgroups of the portal: who belongs to one, in which role, on which sites it is seen.

A group is external when the portal's extranet site is among its sites; no field of create or update says so
(api-reference/sonet-group/sonet-group-create.md, api-reference/user/index.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

OWNER, MODERATOR, MEMBER, PENDING = "A", "E", "K", "Z"
ACTIVE_ROLES = (OWNER, MODERATOR, MEMBER)
INTRANET_SITE, EXTRANET_SITE = "s1", "co"
BY_GROUP, BY_USER = "G", "U"


@dataclass(slots=True)
class Relation:
    """One person's tie to a group; `initiated_by` G = invited by the group, U = asked to join."""

    role: str
    initiated_by: str = BY_GROUP


@dataclass(slots=True)
class Group:
    """One workgroup or project; times in unix seconds."""

    id: int
    name: str
    owner_id: int
    created: int
    updated: int
    description: str = ""
    keywords: str = ""
    visible: str = "Y"
    opened: str = "N"
    closed: str = "N"
    active: str = "Y"
    project: str = "N"
    initiate_perms: str = "K"
    subject_id: int = 1
    sites: list[str] = field(default_factory=lambda: [INTRANET_SITE])
    relations: dict[int, Relation] = field(default_factory=dict)

    @property
    def is_extranet(self) -> bool:
        return EXTRANET_SITE in self.sites

    def with_role(self, *roles: str) -> list[int]:
        """Ids of people in one of these roles, in the order in which they came."""
        return [user_id for user_id, relation in self.relations.items() if relation.role in roles]

    def has_member(self, user_id: int) -> bool:
        relation = self.relations.get(user_id)
        return relation is not None and relation.role in ACTIVE_ROLES

    def may_invite(self, user_id: int) -> bool:
        """INITIATE_PERMS: A = the owner, E = moderators too, K = every member."""
        relation = self.relations.get(user_id)
        allowed = {"A": (OWNER,), "E": (OWNER, MODERATOR)}.get(self.initiate_perms, ACTIVE_ROLES)
        return relation is not None and relation.role in allowed

    def open_to_guests(self) -> None:
        """Make the group external."""
        if not self.is_extranet:
            self.sites.append(EXTRANET_SITE)

    def hand_over(self, user_id: int, former_role: str) -> None:
        """Another owner; the former one stays in `former_role`, or goes where that is empty."""
        if user_id == self.owner_id:
            return
        if former_role:
            self.relations[self.owner_id] = Relation(former_role)
        else:
            self.relations.pop(self.owner_id, None)
        self.owner_id = user_id
        self.relations[user_id] = Relation(OWNER)


class Groups:
    """All groups by id; ids are never used again."""

    def __init__(self) -> None:
        self._groups: dict[int, Group] = {}
        self._last_id = 0

    def add(self, name: str, owner_id: int, now: int) -> Group:
        self._last_id += 1
        group = Group(self._last_id, name, owner_id, now, now)
        group.relations[owner_id] = Relation(OWNER)
        self._groups[group.id] = group
        return group

    def get(self, group_id: int | None) -> Group | None:
        return None if group_id is None else self._groups.get(group_id)

    def remove(self, group: Group) -> None:
        del self._groups[group.id]

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def __len__(self) -> int:
        return len(self._groups)
