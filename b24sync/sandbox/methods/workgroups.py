"""`socialnetwork.api.workgroup.{get,list}`: the newer way to read groups.

Docs: api-reference/sonet-group/socialnetwork-api-workgroup-{get,list}.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..model.filters import compile_order
from ..model.groups import ACTIVE_ROLES, MEMBER, MODERATOR, OWNER, PENDING, Group
from ..model.listing import PAGE, listed, start_of
from ..portal import Portal
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, caller, integer, is_yes, mapping, sequence
from .groups import columns, compiled, sees, site_of

CHAT_OFFSET = 1000
LISTED_NAMES = """
ID NAME DESCRIPTION KEYWORDS ACTIVE CLOSED VISIBLE OPENED PROJECT LANDING OWNER_ID SUBJECT_ID INITIATE_PERMS TYPE
NUMBER_OF_MEMBERS NUMBER_OF_MODERATORS DATE_CREATE DATE_UPDATE DATE_ACTIVITY IMAGE_ID AVATAR_TYPE
"""
LISTED = frozenset(LISTED_NAMES.split())
"""Fields that `select` of the list knows."""


def local(portal: Portal, seconds: int) -> str:
    """`17.04.2025 19:37:55`, not ISO (socialnetwork-api-workgroup-get.md)."""
    return datetime.fromtimestamp(seconds, portal.zone).strftime("%d.%m.%Y %H:%M:%S")


def chat_id(group: Group) -> int:
    return CHAT_OFFSET + group.id


@rest_method("socialnetwork.api.workgroup.get", scope="socialnetwork")
def get(call: Call) -> Answer:
    """Everything about one group; those invited stand in INVITED_MEMBERS."""
    params = mapping(argument(call, "params"))
    raw = params.get("groupId")
    if raw in (None, ""):
        raise ApiError("SONET_CONTROLLER_WORKGROUP_EMPTY", "Не передано значение ID рабочей группы.")
    group = call.portal.groups.get(integer(raw))
    if group is None or not sees(call, group, as_admin=True):
        raise ApiError("SONET_CONTROLLER_WORKGROUP_NOT_FOUND", "Рабочая группа не найдена.")
    select = {str(name).upper() for name in sequence(params.get("select"))}
    return Answer({**whole(call.portal, group), **blocks(call, group, select)})


def whole(portal: Portal, group: Group) -> dict[str, Any]:
    tags = [tag.strip() for tag in group.keywords.split(",") if tag.strip()]
    shown: dict[str, Any] = {
        "ID": group.id,
        "ACTIVE": group.active,
        "SITE_ID": group.sites[0],
        "SUBJECT_ID": group.subject_id,
        "NAME": group.name,
        "DESCRIPTION": group.description,
        "KEYWORDS": group.keywords,
        "CLOSED": group.closed,
        "VISIBLE": group.visible,
        "OPENED": group.opened,
        "DATE_CREATE": local(portal, group.created),
        "DATE_UPDATE": local(portal, group.updated),
        "DATE_ACTIVITY": local(portal, group.updated),
        "IMAGE_ID": 0,
        "AVATAR_TYPE": "",
        "OWNER_ID": group.owner_id,
        "INITIATE_PERMS": group.initiate_perms,
        "NUMBER_OF_MEMBERS": len(group.with_role(*ACTIVE_ROLES)),
        "NUMBER_OF_MODERATORS": len(group.with_role(OWNER, MODERATOR)),
        "PROJECT": group.project,
        "PROJECT_DATE_START": None,
        "PROJECT_DATE_FINISH": None,
        "LANDING": "N",
        "SCRUM_OWNER_ID": 0,
        "SCRUM_SPRINT_DURATION": 0,
        "SCRUM_TASK_RESPONSIBLE": "",
        "TYPE": "project" if group.project == "Y" else "group",
        "MEMBERS": group.with_role(*ACTIVE_ROLES),
        "CHAT_ID": chat_id(group),
        "DIALOG_ID": f"chat{chat_id(group)}",
        "ORDINARY_MEMBERS": group.with_role(MEMBER),
        "INVITED_MEMBERS": group.with_role(PENDING),
        "MODERATOR_MEMBERS": group.with_role(MODERATOR),
        "SITE_IDS": list(group.sites),
        "TAGS": tags,
        "DEPARTMENTS": [],
        "NUMBER_OF_MEMBERS_PLURAL": 0,
    }
    if portal.switches.group_is_extranet_shown == "both":
        shown["IS_EXTRANET"] = "Y" if group.is_extranet else "N"
    return shown


def blocks(call: Call, group: Group, select: set[str]) -> dict[str, Any]:
    """What `select` adds."""
    relation = group.relations.get(call.user_id)
    users = call.portal.users
    owner = users.get(group.owner_id)
    makers: dict[str, tuple[str, Any]] = {
        "OWNER_DATA": (
            "OWNER_DATA",
            {"ID": group.owner_id, "PHOTO": "", "FORMATTED_NAME": owner.full_name if owner else ""},
        ),
        "PRIVACY_TYPE": (
            "PRIVACY_CODE",
            "secret" if group.visible == "N" else "open" if group.opened == "Y" else "closed",
        ),
        "USER_DATA": (
            "USER_DATA",
            {
                "ROLE": relation.role if relation else False,
                "INITIATED_BY_TYPE": relation.initiated_by if relation else False,
                "IS_SUBSCRIBED": False,
            },
        ),
        "LIST_OF_MEMBERS_AWAITING_INVITE": (
            "LIST_OF_MEMBERS_AWAITING_INVITE",
            [
                {"id": user_id, "name": users[user_id].full_name, "photo": ""}
                for user_id in group.with_role(PENDING)
                if user_id in users
            ],
        ),
        "GROUP_MEMBERS_LIST": (
            "GROUP_MEMBERS_LIST",
            [
                {
                    "id": user_id,
                    "invited": one.role == PENDING and one.initiated_by == "G",
                    "isAwaiting": one.role == PENDING and one.initiated_by == "U",
                    "isMember": one.role in ACTIVE_ROLES,
                }
                for user_id, one in group.relations.items()
            ],
        ),
        "COUNTERS": (
            "COUNTERS",
            {"workgroup_requests_out": len(group.with_role(PENDING)), "workgroup_requests_in": 0},
        ),
    }
    return dict(makers[name] for name in makers if name in select)


def camel(name: str) -> str:
    """NUMBER_OF_MEMBERS -> numberOfMembers."""
    first, *rest = name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)


@rest_method("socialnetwork.api.workgroup.list", scope="socialnetwork")
def list_groups(call: Call) -> Answer:
    """Always narrowed to one site; keys in camelCase, values as texts; default select ID."""
    portal = call.portal
    params = mapping(argument(call, "params"))
    known = columns(portal)
    del known["IS_EXTRANET"]
    plan = compiled(call, known, mapping(argument(call, "filter")))
    order = compile_order(argument(call, "order"), known, strict=False, ignore_case=True)
    site = site_of(call)
    if caller(call).kind != "extranet":
        site = str(params.get("siteId") or site)
    groups = [
        group
        for group in portal.groups
        if site in group.sites and sees(call, group, as_admin=is_yes(params.get("IS_ADMIN")))
    ]
    start = start_of(argument(call, "start", 0))
    page = listed(groups, plan, order, start)
    select = [str(name).upper() for name in sequence(argument(call, "select"))] or ["ID"]
    rows = []
    for group in page.rows:
        full = whole(portal, group)
        shown: dict[str, Any] = {camel(name): str(full[name]) for name in select if name in LISTED}
        if is_yes(params.get("shouldSelectDialogId")):
            shown["dialogId"] = f"chat{chat_id(group)}"
        rows.append(shown)
    if start < 0:
        return Answer({"workgroups": rows})
    following = page.next
    if following is None and portal.switches.workgroup_next_on_full_page and len(rows) == PAGE:
        following = start + PAGE
    return Answer({"workgroups": rows}, total=page.total, next=following)
