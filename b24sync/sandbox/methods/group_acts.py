"""What people do by hand with invitations and workgroups; reached through the control API.

Every act takes one object and raises ValueError for a mistake in it.
"""

from __future__ import annotations

from typing import Any

from ..model.groups import ACTIVE_ROLES, MEMBER, OWNER, PENDING, Group, Relation
from ..model.planting import plant_group, truth
from ..model.users import User
from ..portal import Portal
from ..registry import act

Params = dict[str, Any]


def group_named(portal: Portal, params: Params) -> Group:
    """The group of `group` (id or name)."""
    named = str(params["group"])
    group = next((one for one in portal.groups if named in (str(one.id), one.name)), None)
    if group is None:
        raise ValueError(f"no group {named!r}")
    return group


def user_named(portal: Portal, params: Params) -> User:
    """The person of `user` (id or e-mail)."""
    named = str(params["user"])
    user = portal.users.by_email(named) or portal.users.get(int(named) if named.isdecimal() else 0)
    if user is None:
        raise ValueError(f"no user {named!r}")
    return user


@act("user.accept")
def accept_portal(portal: Portal, params: Params) -> Params:
    """user: follows the link in the invitation to the portal. groups: accepts those of groups too (default: switch)."""
    user = user_named(portal, params)
    user.confirmed = True
    joined = []
    if truth(params.get("groups", portal.switches.portal_invitation_joins_groups)):
        for group in portal.groups:
            relation = group.relations.get(user.id)
            if relation is not None and relation.role == PENDING:
                relation.role = MEMBER
                joined.append(group.id)
    return {"id": user.id, "groups": joined}


@act("group.accept")
def accept_group(portal: Portal, params: Params) -> Params:
    """group, user: accepts the invitation into a group."""
    group, user = group_named(portal, params), user_named(portal, params)
    relation = group.relations.get(user.id)
    if relation is None or relation.role != PENDING:
        raise ValueError(f"user {user.id} is not invited into group {group.id}")
    relation.role = MEMBER
    return {"id": group.id, "user": user.id}


@act("group.decline")
def decline_group(portal: Portal, params: Params) -> Params:
    """group, user: declines an invitation or leaves the group."""
    group, user = group_named(portal, params), user_named(portal, params)
    relation = group.relations.get(user.id)
    if relation is None or relation.role == OWNER:
        raise ValueError(f"user {user.id} cannot leave group {group.id}")
    del group.relations[user.id]
    return {"id": group.id, "user": user.id}


@act("group.join")
def join_group(portal: Portal, params: Params) -> Params:
    """group, user, role (A | E | K, default K): somebody adds a person in the group's own window."""
    group, user = group_named(portal, params), user_named(portal, params)
    role = str(params.get("role") or MEMBER)
    if role not in ACTIVE_ROLES:
        raise ValueError(f"no role {role!r}")
    if role == OWNER:
        group.hand_over(user.id, portal.switches.former_owner_role)
    else:
        group.relations[user.id] = Relation(role)
    return {"id": group.id, "user": user.id}


@act("group.extranet")
def make_external(portal: Portal, params: Params) -> Params:
    """group, extranet (default true): the owner ticks the box in the group's settings, or takes it out."""
    group = group_named(portal, params)
    if truth(params.get("extranet", True)):
        group.open_to_guests()
    else:
        group.sites = [site for site in group.sites if site != "co"]
    return {"id": group.id, "extranet": group.is_extranet}


@act("group.add")
def add_group(portal: Portal, params: Params) -> Params:
    """Keys of a seed group."""
    group = plant_group(portal, params)
    portal.emit("ONSONETGROUPADD", {"FIELDS": {"ID": group.id}})
    return {"id": group.id}


@act("group.edit")
def edit_group(portal: Portal, params: Params) -> Params:
    """group, NAME, DESCRIPTION, KEYWORDS, CLOSED."""
    group = group_named(portal, params)
    for key in ("NAME", "DESCRIPTION", "KEYWORDS", "CLOSED"):
        if key in params:
            setattr(group, key.lower(), str(params[key]))
    portal.emit("ONSONETGROUPUPDATE", {"FIELDS": {"ID": group.id}})
    return {"id": group.id}


@act("group.delete")
def delete_group(portal: Portal, params: Params) -> Params:
    """group."""
    group = group_named(portal, params)
    portal.groups.remove(group)
    portal.emit("ONSONETGROUPDELETE", {"FIELDS": {"ID": group.id}})
    return {"id": group.id}
