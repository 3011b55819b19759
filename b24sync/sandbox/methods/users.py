"""`user.*`, `profile`, `user.admin`, `user.access`, `access.name`, `department.get`, `crm.settings.mode.get`.

Docs: api-reference/user/*.md, api-reference/common/users/*.md, api-reference/departments/department-get.md.
"""

from __future__ import annotations

import re
from typing import Any

from ..model.filters import Column, Compiler, FilterFault, compile_order
from ..model.groups import MEMBER, PENDING, Group, Relation
from ..model.listing import listed, start_of
from ..model.moments import iso_moment
from ..model.planting import plant_user, truth
from ..model.users import User
from ..portal import Portal
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, caller, integer, listed_answer, mapping, sequence

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+$")
RESERVED = frozenset({"filter", "sort", "order", "start", "select", "admin_mode", "image_resize", "auth"})
TITLES = {
    "ID": "ID",
    "XML_ID": "Внешний код",
    "ACTIVE": "Активность",
    "NAME": "Имя",
    "LAST_NAME": "Фамилия",
    "SECOND_NAME": "Отчество",
    "EMAIL": "E-Mail",
    "LAST_LOGIN": "Последняя авторизация",
    "DATE_REGISTER": "Дата регистрации",
    "IS_ONLINE": "IS_ONLINE",
    "TIME_ZONE": "TIME_ZONE",
    "PERSONAL_GENDER": "Пол",
    "PERSONAL_BIRTHDAY": "Дата рождения",
    "PERSONAL_MOBILE": "Личный мобильный",
    "PERSONAL_CITY": "Город проживания",
    "WORK_COMPANY": "Компания",
    "WORK_PHONE": "Телефон компании",
    "WORK_POSITION": "Должность",
    "UF_EMPLOYMENT_DATE": "Дата принятия на работу",
    "UF_DEPARTMENT": "Подразделения",
    "USER_TYPE": "USER_TYPE",
}
BRIEF = frozenset({"ID", "XML_ID", "ACTIVE", "NAME", "LAST_NAME", "SECOND_NAME", "TITLE", "IS_ONLINE", "USER_TYPE"})


def row(portal: Portal, user: User) -> dict[str, Any]:
    """ID is a text, ACTIVE a real boolean, some dates may be {} (api-reference/user/user-get.md)."""
    return {
        "ID": str(user.id),
        "XML_ID": str(user.more.get("XML_ID", "")),
        "ACTIVE": user.active,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "SECOND_NAME": user.second_name,
        "EMAIL": user.email,
        "LAST_LOGIN": iso_moment(user.registered, portal.zone) if user.confirmed else "",
        "DATE_REGISTER": iso_moment(user.registered, portal.zone),
        "TIME_ZONE": "",
        "IS_ONLINE": "N",
        "TIMESTAMP_X": {},
        "LAST_ACTIVITY_DATE": {},
        "PERSONAL_GENDER": str(user.more.get("PERSONAL_GENDER", "")),
        "PERSONAL_BIRTHDAY": "",
        "PERSONAL_MOBILE": str(user.more.get("PERSONAL_MOBILE", "")),
        "PERSONAL_CITY": str(user.more.get("PERSONAL_CITY", "")),
        "WORK_COMPANY": str(user.more.get("WORK_COMPANY", "")),
        "WORK_PHONE": str(user.more.get("WORK_PHONE", "")),
        "WORK_POSITION": user.position,
        "UF_EMPLOYMENT_DATE": "",
        "UF_DEPARTMENT": list(user.departments),
        "USER_TYPE": user.kind,
    }


def visible_fields(call: Call) -> frozenset[str] | None:
    """Scopes user_brief and user_basic show fewer fields (api-reference/user/user-scope.md); None = all."""
    scopes = getattr(call.extra.get("credential"), "scopes", None)
    if scopes is None or "user" in scopes or "*" in scopes:
        return None
    if "user_basic" in scopes:
        return None
    return BRIEF if "user_brief" in scopes else None


def text_key(raw: Any) -> str | None:
    return None if raw in (None, "") else str(raw).lower()


def flag_key(raw: Any) -> str:
    return "Y" if truth(raw) else "N"


def columns() -> dict[str, Column]:
    def text(name: str, attribute: str) -> Column:
        return Column(name, lambda user: getattr(user, attribute).lower() or None, text_key)

    found = [
        Column("ID", lambda user: user.id, lambda raw: int(str(raw))),
        text("NAME", "name"),
        text("LAST_NAME", "last_name"),
        text("SECOND_NAME", "second_name"),
        text("EMAIL", "email"),
        text("WORK_POSITION", "position"),
        text("USER_TYPE", "kind"),
        Column("ACTIVE", lambda user: "Y" if user.active else "N", flag_key),
        Column("IS_ONLINE", lambda user: "N", flag_key),
        Column("UF_DEPARTMENT", lambda user: user.departments, lambda raw: int(str(raw)), multiple=True),
        Column("XML_ID", lambda user: user.more.get("XML_ID"), text_key),
        Column("DATE_REGISTER", lambda user: user.registered, lambda raw: raw),
    ]
    return {column.name: column for column in found}


COLUMNS = columns()


def found_users(call: Call, tree: dict[str, Any], *, search: str = "") -> Answer:
    name_search = str(tree.pop("NAME_SEARCH", "") or search).lower()
    try:
        plan = Compiler(COLUMNS, strict=False, groups=False, ignore_case=True, id_column="ID").compile(tree)
    except FilterFault as fault:
        raise ApiError("ERROR_ARGUMENT", str(fault)) from fault
    if name_search:
        plan.tests.append(lambda user: all(word in haystack(user) for word in name_search.split()))
    sort = str(argument(call, "sort", "ID") or "ID").upper()
    direction = argument(call, "order", "ASC")
    order = compile_order(
        {sort: direction if isinstance(direction, str) else "ASC"}, COLUMNS, strict=False, ignore_case=True
    )
    shows_invited = call.portal.switches.invited_users_listed
    users = [
        user
        for user in call.portal.users.values()
        if (user.kind != "email" or "USER_TYPE" in tree) and (shows_invited or user.confirmed)
    ]
    page = listed(sorted(users, key=lambda user: user.id), plan, order, start_of(argument(call, "start", 0)))
    select = [str(name).upper() for name in sequence(argument(call, "select"))]
    return listed_answer([shown(call, user, select) for user in page.rows], page)


def haystack(user: User) -> str:
    return f"{user.name} {user.last_name} {user.second_name} {user.email} {user.position}".lower()


def shown(call: Call, user: User, select: list[str]) -> dict[str, Any]:
    """Keys that the scope and `select` leave; unknown names are skipped."""
    visible = visible_fields(call)
    full = row(call.portal, user)
    uf_mask = "UF_*" in select
    return {
        key: value
        for key, value in full.items()
        if (visible is None or key in visible)
        and (not select or "*" in select or key in select or (uf_mask and key.startswith("UF_")))
    }


@rest_method("user.get", scope="user")
def get(call: Call) -> Answer:
    """Filter keys in FILTER or at the top level (api-reference/user/user-get.md)."""
    tree = {key.upper(): value for key, value in mapping(argument(call, "filter")).items()}
    for key, value in call.params.items():
        if key.lower() not in RESERVED:
            tree[key.upper()] = value
    return found_users(call, tree)


@rest_method("user.search", scope="user")
def search(call: Call) -> Answer:
    """By FIND (all words anywhere) or by single fields, substrings (api-reference/user/user-search.md)."""
    given = {key.upper(): value for key, value in mapping(argument(call, "filter")).items()}
    for key, value in call.params.items():
        if key.lower() not in RESERVED:
            given[key.upper()] = value
    find = str(given.pop("FIND", "") or "")
    tree = {
        f"%{key}" if isinstance(value, str) and key in ("NAME", "LAST_NAME", "WORK_POSITION") else key: value
        for key, value in given.items()
    }
    return found_users(call, tree, search=find)


@rest_method("user.current", scope="user")
def current(call: Call) -> Answer:
    return Answer(shown(call, caller(call), []))


@rest_method("user.fields", scope="user")
def fields(_call: Call) -> Answer:
    return Answer(dict(TITLES))


@rest_method("user.add", scope="user")
def add(call: Call) -> Answer:
    """Invites a person by e-mail (api-reference/user/user-add.md; guests: api-reference/user/index.md)."""
    given = {key.upper(): value for key, value in call.params.items()}
    portal = call.portal
    if not caller(call).admin:
        raise ApiError("ERROR_CORE", "access_denied")
    email = str(given.get("EMAIL") or "").strip()
    if not EMAIL.match(email):
        raise bad_argument("wrong_email")
    if portal.users.by_email(email) is not None:
        raise bad_argument(portal.switches.duplicate_email_text)
    extranet = truth(given.get("EXTRANET"))
    departments = numbers(given.get("UF_DEPARTMENT"))
    groups = groups_to_join(portal, given.get("SONET_GROUP_ID")) if extranet else []
    if not extranet and not departments:
        raise bad_argument("no_extranet_field")
    limit = portal.switches.user_limit
    if limit and sum(1 for one in portal.users.values() if one.active) >= limit:
        raise bad_argument("user_count_exceeded")
    user = plant_user(portal, {key: given[key] for key in OWN_FIELDS if key in given} | {"EMAIL": email})
    user.kind = "extranet" if extranet else "employee"
    user.departments = departments
    user.confirmed = False
    keep_more(user, given)
    portal.mails.append({"kind": "invitation", "to": email, "user_id": user.id, "text": given.get("MESSAGE_TEXT", "")})
    for group in groups:
        join_by_invitation(portal, group, user)
    portal.emit("ONUSERADD", {"ID": user.id, "EMAIL": user.email, "NAME": user.name})
    return Answer(user.id)


OWN_FIELDS = ("NAME", "LAST_NAME", "SECOND_NAME", "WORK_POSITION")
EXTRANET_REFUSALS = {
    "access_denied": ("ERROR_CORE", "access_denied"),
    "no_extranet_field": ("ERROR_ARGUMENT", "no_extranet_field"),
    "user_count_exceeded": ("ERROR_ARGUMENT", "user_count_exceeded"),
    "ERROR_NO_GROUP": ("ERROR_NO_GROUP", "Группа указана неверно"),
}
NO_GROUP = {
    "no_extranet_field": ("ERROR_ARGUMENT", "no_extranet_field"),
    "ERROR_GROUPID": ("ERROR_GROUPID", "Не указан код группы"),
    "no_sonet_group_for_extranet": ("ERROR_ARGUMENT", "no_sonet_group_for_extranet"),
}


def numbers(raw: Any) -> list[int]:
    """Whole numbers of a list; the rest is left out."""
    return [number for one in sequence(raw) if (number := integer(one)) is not None]


def bad_argument(text: str) -> ApiError:
    return ApiError("ERROR_ARGUMENT", text, argument="")


def groups_to_join(portal: Portal, raw: Any) -> list[Group]:
    """Groups of SONET_GROUP_ID; a portal without guests refuses here (switches extranet, extranet_refusal)."""
    if portal.switches.extranet == "off":
        raise ApiError(*EXTRANET_REFUSALS[portal.switches.extranet_refusal])
    numbers = [integer(one) for one in sequence(raw)]
    if not numbers:
        raise ApiError(*NO_GROUP[portal.switches.extranet_without_group])
    groups = [group for number in numbers if (group := portal.groups.get(number)) is not None]
    if len(groups) != len(numbers):
        raise ApiError("ERROR_NO_GROUP", "Группа указана неверно")
    return groups


def join_by_invitation(portal: Portal, group: Group, user: User) -> None:
    """What user.add itself does to the group; nothing in the documentation says it (switch extranet_invitation)."""
    rule = portal.switches.extranet_invitation
    if rule in ("pending", "member"):
        group.relations[user.id] = Relation(PENDING if rule == "pending" else MEMBER)
    if portal.switches.extranet_group_turns == "invitation" and portal.switches.extranet == "works":
        group.open_to_guests()


def keep_more(user: User, given: dict[str, Any]) -> None:
    for key in ("XML_ID", "PERSONAL_MOBILE", "PERSONAL_CITY", "PERSONAL_GENDER", "WORK_PHONE", "WORK_COMPANY"):
        if key in given:
            user.more[key] = given[key]


@rest_method("user.update", scope="user")
def update(call: Call) -> Answer:
    """One's own row, or anybody's by an administrator; ACTIVE dismisses or takes back (user-update.md)."""
    given = {key.upper(): value for key, value in call.params.items()}
    user_id = integer(given.get("ID"))
    user = call.portal.users.get(user_id) if user_id is not None else None
    if user is None or (not caller(call).admin and user.id != call.user_id):
        raise ApiError("ERROR_CORE", "access_denied")
    allowed = ("NAME", "LAST_NAME", "SECOND_NAME", "EMAIL", "WORK_POSITION", "UF_DEPARTMENT", "ACTIVE")
    changes = {key: given[key] for key in allowed if key in given}
    if "UF_DEPARTMENT" in changes:
        changes["UF_DEPARTMENT"] = numbers(changes["UF_DEPARTMENT"])
    plant_user(call.portal, {"ID": user.id, **changes})
    keep_more(user, given)
    return Answer(True)


@rest_method("profile")
def profile(call: Call) -> Answer:
    user = caller(call)
    return Answer(
        {
            "ID": str(user.id),
            "ADMIN": user.admin,
            "NAME": user.name,
            "LAST_NAME": user.last_name,
            "PERSONAL_GENDER": "",
            "TIME_ZONE": "",
        }
    )


@rest_method("user.admin")
def admin(call: Call) -> Answer:
    return Answer(caller(call).admin)


def codes_of(user: User) -> set[str]:
    """Access codes: the person, departments, everybody signed in."""
    codes = {f"U{user.id}", f"IU{user.id}", "AU", "G2"}
    codes.update(f"D{number}" for number in user.departments)
    codes.update(f"DR{number}" for number in user.departments)
    if user.kind == "employee":
        codes.add("UA")
    return codes | ({"G1"} if user.admin else set())


@rest_method("user.access")
def access(call: Call) -> Answer:
    wanted = {str(code) for code in sequence(argument(call, "ACCESS"))}
    user = caller(call)
    return Answer(user.admin or bool(wanted & codes_of(user)))


ACCESS_NAMES = {
    "G1": "Администраторы",
    "G2": "Все посетители",
    "AU": "Все авторизованные пользователи",
    "UA": "Все сотрудники",
}


@rest_method("access.name")
def access_name(call: Call) -> Answer:
    """Names of access codes; false without codes (api-reference/common/system/access-name.md)."""
    named: dict[str, Any] = {}
    for code in (str(one) for one in sequence(argument(call, "ACCESS"))):
        user = call.portal.users.get(integer(code.removeprefix("I").removeprefix("U")) or 0)
        if code in ACCESS_NAMES:
            named[code] = {"provider": "", "name": ACCESS_NAMES[code], "provider_id": "other"}
        elif re.fullmatch(r"I?U\d+", code) and user is not None:
            named[code] = {"provider": "Пользователь", "name": user.full_name, "provider_id": "user"}
    return Answer(named or False)


@rest_method("department.get", scope="department")
def departments(call: Call) -> Answer:
    """Filter keys at the top level, sort and order as scalars (api-reference/departments/department-get.md)."""
    rows = []
    for department in call.portal.departments:
        keys = {key.upper(): value for key, value in call.params.items() if key.lower() not in RESERVED}
        if all(str(department.get(key)) in {str(one) for one in sequence(value)} for key, value in keys.items()):
            rows.append(dict(department))
    start = max(0, start_of(argument(call, "start", 0)))
    end = start + 50
    return Answer(rows[start:end], total=len(rows), next=end if end < len(rows) else None)


@rest_method("crm.settings.mode.get", scope="crm")
def mode(call: Call) -> Answer:
    return Answer(call.portal.switches.crm_mode)
