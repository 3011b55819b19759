"""`sonet_group.*`: workgroups, their members and invitations. Parameters stand at the top level.

Docs: api-reference/sonet-group/sonet-group-{create,update,delete,get,setowner,user-groups}.md,
api-reference/sonet-group/members/sonet-group-user-{get,add,invite,request,update,delete}.md. Errors have no code.
"""

from __future__ import annotations

import re
from typing import Any

from ..model.filters import Column, Compiler, FilterFault, Plan, compile_order
from ..model.groups import (
    ACTIVE_ROLES,
    BY_USER,
    EXTRANET_SITE,
    INTRANET_SITE,
    MEMBER,
    MODERATOR,
    OWNER,
    PENDING,
    Group,
    Relation,
)
from ..model.listing import listed, start_of
from ..model.moments import iso_moment, parse_moment
from ..portal import Portal
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, caller, integer, is_yes, listed_answer, mapping, sequence

SCOPE = "sonet_group"
SUBJECT_NAME = "Рабочие группы"
TEXTS = {"NAME": "name", "DESCRIPTION": "description", "KEYWORDS": "keywords"}
FLAGS = {"VISIBLE": "visible", "OPENED": "opened", "CLOSED": "closed"}
BETWEEN = re.compile(r"(!)?><(.+)$")


def group_of(call: Call, name: str = "GROUP_ID", wrong: str = "Wrong group ID") -> Group:
    """The group named by a parameter. Raises the texts of the pages: a bad number, or no such group."""
    group_id = integer(argument(call, name))
    if group_id is None or group_id <= 0:
        raise ApiError("", wrong)
    group = call.portal.groups.get(group_id)
    if group is None:
        raise ApiError("", "Socialnetwork group not found")
    return group


def owns(call: Call, group: Group) -> bool:
    """The owner or an administrator (sonet-group-update.md)."""
    return caller(call).admin or group.owner_id == call.user_id


def people_of(call: Call) -> list[int]:
    """USER_ID as a number or a list. Raises `Wrong user IDs`."""
    ids = [integer(one) for one in sequence(argument(call, "USER_ID"))]
    found = [one for one in ids if one is not None and one > 0]
    if not found or len(found) != len(ids):
        raise ApiError("", "Wrong user IDs")
    return found


def touch(portal: Portal, group: Group) -> None:
    group.updated = int(portal.time())
    portal.emit("ONSONETGROUPUPDATE", {"FIELDS": {"ID": group.id}})


# -- create, change, delete -------------------------------------------------------------------
@rest_method("sonet_group.create", scope=SCOPE)
def create(call: Call) -> Answer:
    portal, user = call.portal, caller(call)
    if not user.may("groups"):
        raise ApiError("", "You have no permissions to create a group")
    name = str(argument(call, "NAME") or "").strip()
    if not name or (portal.switches.group_names_unique and any(one.name == name for one in portal.groups)):
        raise ApiError("", "Cannot create group")
    owner_id = integer(argument(call, "OWNER_ID"))
    if owner_id is None or not user.admin:
        owner_id = user.id
    elif owner_id not in portal.users:
        raise ApiError("", "Cannot create group")
    group = portal.groups.add(name, owner_id, int(portal.time()))
    group.project = "Y" if is_yes(argument(call, "PROJECT")) else "N"
    group.initiate_perms = "E" if user.kind == "extranet" else "K"
    fill(call, group)
    portal.emit("ONSONETGROUPADD", {"FIELDS": {"ID": group.id}})
    return Answer(group.id)


def fill(call: Call, group: Group) -> None:
    """Texts, flags, sites; for an extranet caller the group is hidden and closed whatever he says."""
    for name, attribute in TEXTS.items():
        value = argument(call, name)
        if value is not None:
            setattr(group, attribute, str(value))
    for name, attribute in FLAGS.items():
        value = argument(call, name)
        if value is not None:
            setattr(group, attribute, "Y" if is_yes(value) else "N")
    if argument(call, "INITIATE_PERMS") in ("A", "E", "K"):
        group.initiate_perms = argument(call, "INITIATE_PERMS")
    if caller(call).kind == "extranet":
        group.visible = group.opened = "N"
        group.sites = [EXTRANET_SITE]
    sites = [str(one) for one in sequence(argument(call, "SITE_ID"))]
    if EXTRANET_SITE in sites:
        if call.portal.switches.site_id_extranet == "refuse":
            raise ApiError("", "Cannot create group")
        if call.portal.switches.site_id_extranet == "works" and call.portal.switches.extranet == "works":
            group.open_to_guests()


@rest_method("sonet_group.update", scope=SCOPE)
def update(call: Call) -> Answer:
    group = group_of(call, wrong="Wrong group ID")
    if not owns(call, group):
        raise ApiError("", "User has no permissions to update group")
    name = argument(call, "NAME")
    if name is not None and not str(name).strip():
        raise ApiError("", "Cannot update group")
    owner_id = argument(call, "OWNER_ID")
    if owner_id is not None and call.portal.switches.group_update_owner == "works":
        if integer(owner_id) not in call.portal.users:
            raise ApiError("", "Cannot update group")
        group.hand_over(int(owner_id), call.portal.switches.former_owner_role)
    fill(call, group)
    touch(call.portal, group)
    return Answer(group.id)


@rest_method("sonet_group.delete", scope=SCOPE)
def delete(call: Call) -> Answer:
    group = group_of(call)
    if not owns(call, group):
        raise ApiError("", "User has no permissions to delete group")
    call.portal.groups.remove(group)
    call.portal.emit("ONSONETGROUPDELETE", {"FIELDS": {"ID": group.id}})
    return Answer(True)


@rest_method("sonet_group.setowner", scope=SCOPE)
def set_owner(call: Call) -> Answer:
    group = call.portal.groups.get(integer(argument(call, "GROUP_ID")))
    if group is None:
        raise ApiError("", "Invalid workgroup/project ID")
    user_id = integer(argument(call, "USER_ID"))
    if user_id is None or user_id not in call.portal.users:
        raise ApiError("", "Invalid user ID")
    if not owns(call, group):
        raise ApiError("", "Insufficient permissions to complete the operation.")
    group.hand_over(user_id, call.portal.switches.former_owner_role)
    touch(call.portal, group)
    return Answer(True)


# -- reading ----------------------------------------------------------------------------------
def columns(portal: Portal) -> dict[str, Column]:
    """What sonet_group.get and workgroup.list filter and sort by; texts ignore letter case as elsewhere."""
    fold = portal.fold()

    def text(name: str, attribute: str) -> Column:
        return Column(name, lambda row: fold(getattr(row, attribute)) or None, lambda raw: fold(str(raw)) or None)

    def flag(name: str, attribute: str) -> Column:
        return Column(name, lambda row: getattr(row, attribute), lambda raw: "Y" if is_yes(raw) else "N")

    def moment(name: str, attribute: str) -> Column:
        return Column(name, lambda row: getattr(row, attribute), lambda raw: parse_moment(raw, portal.zone))

    found = [
        Column("ID", lambda row: row.id, lambda raw: int(str(raw))),
        Column("OWNER_ID", lambda row: row.owner_id, lambda raw: int(str(raw))),
        Column("SUBJECT_ID", lambda row: row.subject_id, lambda raw: int(str(raw))),
        Column("SITE_ID", lambda row: row.sites, str, multiple=True),
        Column("IS_EXTRANET", lambda row: "Y" if row.is_extranet else "N", lambda raw: "Y" if is_yes(raw) else "N"),
        text("NAME", "name"),
        *(flag(name, name.lower()) for name in ("ACTIVE", "VISIBLE", "OPENED", "CLOSED", "PROJECT")),
        moment("DATE_CREATE", "created"),
        moment("DATE_UPDATE", "updated"),
        moment("DATE_ACTIVITY", "updated"),
    ]
    if portal.switches.group_filter_keywords:
        found.append(text("KEYWORDS", "keywords"))
    return {column.name: column for column in found}


def simple_operators(tree: dict[str, Any]) -> dict[str, Any]:
    """`><` and `!><` as bounds, `?` as a substring: operators that only the groups have (sonet-group-get.md)."""
    plain: dict[str, Any] = {}
    for key, value in tree.items():
        between = BETWEEN.match(key)
        if between and not between[1]:
            low, high = [*sequence(value), None, None][:2]
            plain[f">={between[2]}"], plain[f"<={between[2]}"] = low, high
        elif key.startswith("?"):
            plain[f"%{key[1:]}"] = value
        elif not between:
            plain[key] = value
    return plain


def compiled(call: Call, known: dict[str, Column], tree: dict[str, Any]) -> Plan:
    try:
        return Compiler(known, strict=False, groups=False, ignore_case=True, id_column="ID").compile(
            simple_operators(tree)
        )
    except FilterFault as fault:
        raise ApiError("", "Incorrect input data") from fault


def sees(call: Call, group: Group, *, as_admin: bool) -> bool:
    """Hidden groups are for their members; guests see only their own (sonet-group-get.md)."""
    user = caller(call)
    if (as_admin and user.admin) or group.has_member(user.id):
        return True
    return group.visible == "Y" and user.kind == "employee"


@rest_method("sonet_group.get", scope=SCOPE)
def get(call: Call) -> Answer:
    portal = call.portal
    tree = {str(key).upper(): value for key, value in mapping(argument(call, "FILTER")).items()}
    if argument(call, "GROUP_ID") not in (None, ""):
        tree["ID"] = argument(call, "GROUP_ID")
    known = columns(portal)
    plan = compiled(call, known, tree)
    order = compile_order(argument(call, "ORDER") or {"ID": "DESC"}, known, strict=False, ignore_case=True)
    as_admin = is_yes(argument(call, "IS_ADMIN"))
    groups = [group for group in portal.groups if sees(call, group, as_admin=as_admin)]
    page = listed(groups, plan, order, start_of(argument(call, "start", 0)))
    return listed_answer([row(portal, group) for group in page.rows], page)


def row(portal: Portal, group: Group) -> dict[str, Any]:
    """All texts; empty ones null (sonet-group-get.md)."""
    shown: dict[str, Any] = {
        "ID": str(group.id),
        "SITE_ID": group.sites[0],
        "NAME": group.name,
        "DESCRIPTION": group.description or None,
        "DATE_CREATE": iso_moment(group.created, portal.zone),
        "DATE_UPDATE": iso_moment(group.updated, portal.zone),
        "ACTIVE": group.active,
        "VISIBLE": group.visible,
        "OPENED": group.opened,
        "CLOSED": group.closed,
        "SUBJECT_ID": str(group.subject_id),
        "OWNER_ID": str(group.owner_id),
        "KEYWORDS": group.keywords or None,
        "NUMBER_OF_MEMBERS": str(len(group.with_role(*ACTIVE_ROLES))),
        "DATE_ACTIVITY": iso_moment(group.updated, portal.zone),
        "SUBJECT_NAME": SUBJECT_NAME,
        "PROJECT": group.project,
    }
    if portal.switches.group_is_extranet_shown != "sites":
        shown["IS_EXTRANET"] = "Y" if group.is_extranet else "N"
    return shown


@rest_method("sonet_group.user.groups", scope=SCOPE)
def own_groups(call: Call) -> Answer:
    rows = []
    for group in call.portal.groups:
        relation = group.relations.get(call.user_id)
        if relation is None or relation.role not in ACTIVE_ROLES:
            continue
        shown = {
            "GROUP_ID": str(group.id),
            "GROUP_NAME": group.name,
            "ROLE": relation.role,
            "GROUP_IMAGE_ID": None,
            "GROUP_IMAGE": "",
        }
        if group.is_extranet:
            shown["IS_EXTRANET"] = "Y"
        rows.append(shown)
    return Answer(rows)


# -- members ----------------------------------------------------------------------------------
@rest_method("sonet_group.user.get", scope=SCOPE)
def members(call: Call) -> Answer:
    """Active members only; those invited are not among them."""
    group = group_of(call, "ID", "Wrong socialnetwork group ID")
    if not sees(call, group, as_admin=call.portal.switches.admin_sees_secret_members):
        raise ApiError("", "Socialnetwork group not found")
    return Answer(
        [
            {"USER_ID": str(user_id), "ROLE": relation.role}
            for user_id, relation in group.relations.items()
            if relation.role in ACTIVE_ROLES
        ]
    )


@rest_method("sonet_group.user.add", scope=SCOPE)
def add_members(call: Call) -> Answer:
    """At once, without an invitation; a guest makes the group external (api-reference/user/index.md)."""
    portal = call.portal
    group = group_of(call)
    if not caller(call).admin:
        raise ApiError("", "No permissions to add users")
    added = []
    for user_id in people_of(call):
        user = portal.users.get(user_id)
        if user is None or not user.active or user.kind not in ("employee", "extranet"):
            continue
        relation = group.relations.get(user_id)
        held = relation is not None and (relation.role != PENDING or portal.switches.pending_blocks_add)
        if user.kind == "extranet" and (not held or portal.switches.extranet_group_turns == "call"):
            turn_external(portal, group)
        if not held:
            group.relations[user_id] = Relation(MEMBER)
            added.append(str(user_id))
    return Answer(added)


def turn_external(portal: Portal, group: Group) -> None:
    """Nothing happens on a portal where only people can do it, or where extranet is off."""
    if portal.switches.extranet == "works" and portal.switches.extranet_group_turns != "never":
        group.open_to_guests()


@rest_method("sonet_group.user.invite", scope=SCOPE)
def invite(call: Call) -> Answer:
    group = group_of(call)
    if not sees(call, group, as_admin=True):
        raise ApiError("", "Socialnetwork group not found")
    ids = people_of(call)
    if not (caller(call).admin or group.may_invite(call.user_id)):
        return Answer([])
    invited = []
    for user_id in ids:
        user = call.portal.users.get(user_id)
        if user is not None and user.active and user_id not in group.relations:
            group.relations[user_id] = Relation(PENDING)
            invited.append(str(user_id))
    return Answer(invited)


@rest_method("sonet_group.user.request", scope=SCOPE)
def request(call: Call) -> Answer:
    """The caller asks to join; an open group takes him at once (sonet-group-user-request.md)."""
    group = group_of(call)
    if call.user_id in group.relations:
        raise ApiError("", "Cannot request to join group")
    group.relations[call.user_id] = Relation(MEMBER if group.opened == "Y" else PENDING, BY_USER)
    return Answer(True)


@rest_method("sonet_group.user.update", scope=SCOPE)
def change_role(call: Call) -> Answer:
    group = group_of(call)
    role = str(argument(call, "ROLE") or "").upper()
    if role not in (MODERATOR, MEMBER):
        raise ApiError("", "Incorrect role code")
    if not owns(call, group):
        raise ApiError("", "No permissions to update users role")
    changed = []
    for user_id in people_of(call):
        relation = group.relations.get(user_id)
        if relation is not None and relation.role in (MODERATOR, MEMBER):
            relation.role = role
            changed.append(str(user_id))
    return Answer(changed)


@rest_method("sonet_group.user.delete", scope=SCOPE)
def remove_members(call: Call) -> Answer:
    """The owner stays. A pending invitation goes too, where the switch says so."""
    group = group_of(call)
    if not owns(call, group):
        raise ApiError("", "No permissions to update users role")
    removed = []
    for user_id in people_of(call):
        relation = group.relations.get(user_id)
        if relation is None or relation.role == OWNER:
            continue
        if relation.role == PENDING and not call.portal.switches.delete_removes_pending:
            continue
        del group.relations[user_id]
        removed.append(str(user_id))
    return Answer(removed)


def site_of(call: Call) -> str:
    """Whose site lists are narrowed to: guests always see the extranet (socialnetwork-api-workgroup-list.md)."""
    return EXTRANET_SITE if caller(call).kind == "extranet" else INTRANET_SITE
