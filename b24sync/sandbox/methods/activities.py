"""`crm.activity.{add,get,list,update,delete}` and `crm.activity.todo.*`: what is planned or done about an item.

Docs: api-reference/crm/timeline/activities/activity-base/crm-activity-{add,get,list,update,delete}.md,
api-reference/crm/timeline/activities/todo/*.md, tutorials/crm/how-to-add-crm-objects/how-to-send-email.md.
"""

from __future__ import annotations

from typing import Any

from ..model import drive_links
from ..model.activities import CALL, EMAIL, MEETING, OUTGOING, PROVIDERS, TODO_PROVIDER, remove
from ..model.filters import Compiler, FilterFault, compile_order
from ..model.items import Item
from ..model.listing import listed, start_of
from ..model.moments import iso_moment, parse_moment
from ..model.records import FLAG, MOMENT, NUMBER, TEXT, Row, columns_of
from ..portal import Portal
from ..registry import Answer, ApiError, Call, Handler, rest_method
from .arguments import (
    argument,
    integer,
    is_yes,
    listed_answer,
    mapping,
    needs_classic_right,
    needs_right,
    sequence,
)

KINDS = {
    "ID": NUMBER,
    "OWNER_ID": NUMBER,
    "OWNER_TYPE_ID": NUMBER,
    "TYPE_ID": NUMBER,
    "PROVIDER_ID": TEXT,
    "PROVIDER_TYPE_ID": TEXT,
    "ASSOCIATED_ENTITY_ID": NUMBER,
    "SUBJECT": TEXT,
    "CREATED": MOMENT,
    "LAST_UPDATED": MOMENT,
    "START_TIME": MOMENT,
    "END_TIME": MOMENT,
    "DEADLINE": MOMENT,
    "COMPLETED": FLAG,
    "STATUS": NUMBER,
    "RESPONSIBLE_ID": NUMBER,
    "PRIORITY": NUMBER,
    "NOTIFY_TYPE": NUMBER,
    "DESCRIPTION": TEXT,
    "DESCRIPTION_TYPE": NUMBER,
    "DIRECTION": NUMBER,
    "LOCATION": TEXT,
    "ORIGINATOR_ID": TEXT,
    "ORIGIN_ID": TEXT,
    "AUTHOR_ID": NUMBER,
    "EDITOR_ID": NUMBER,
}
MOMENTS = tuple(name for name, kind in KINDS.items() if kind == MOMENT)
WRITABLE = frozenset(KINDS) - {"ID", "CREATED", "LAST_UPDATED", "AUTHOR_ID", "EDITOR_ID", "DEADLINE", "STATUS"}


def owner(portal: Portal, type_id: Any, item_id: Any) -> Item | None:
    store = portal.items.get(integer(type_id) or 0)
    return None if store is None else store.get(integer(item_id) or 0)


def read_values(portal: Portal, given: dict[str, Any]) -> Row:
    """Writable keys by kind; a bad date answers an error without a code."""
    values: Row = {}
    for name in WRITABLE & set(given):
        raw = given[name]
        try:
            if raw in (None, ""):
                values[name] = None
            elif KINDS[name] == MOMENT:
                values[name] = parse_moment(raw, portal.zone)
            elif KINDS[name] == NUMBER:
                values[name] = int(str(raw))
            elif KINDS[name] == FLAG:
                values[name] = "Y" if is_yes(raw) else "N"
            else:
                values[name] = str(raw)
        except ValueError as error:
            raise ApiError("", f"The field {name} is not defined or invalid") from error
    return values


def set_deadline(row: Row) -> None:
    """Taken from START_TIME of calls and meetings, else from END_TIME (crm-activity-add.md)."""
    first, second = ("START_TIME", "END_TIME") if row["TYPE_ID"] in (CALL, MEETING) else ("END_TIME", "START_TIME")
    row["DEADLINE"] = row.get(first) or row.get(second)
    row["STATUS"] = 2 if row.get("COMPLETED") == "Y" else 1


@rest_method("crm.activity.add", scope="crm")
def add(call: Call) -> Answer:
    portal = call.portal
    given = {str(key).upper(): value for key, value in mapping(argument(call, "fields")).items()}
    values = read_values(portal, given)
    communications = [mapping(one) for one in sequence(given.get("COMMUNICATIONS"))]
    for name, bad in (
        ("SUBJECT", not values.get("SUBJECT")),
        ("RESPONSIBLE_ID", values.get("RESPONSIBLE_ID") not in portal.users),
        ("TYPE_ID", values.get("TYPE_ID") not in (MEETING, CALL, EMAIL, 6)),
        ("COMMUNICATIONS", values.get("TYPE_ID") in (CALL, EMAIL) and not communications),
    ):
        if bad:
            text = "not defined or empty" if name == "SUBJECT" else "not defined or invalid"
            raise ApiError("", f"The field {name} is {text}")
    if values["TYPE_ID"] == CALL and len(communications) > 1:
        raise ApiError("", "The only one communication is allowed for activity of specified type")
    item = owner(portal, values.get("OWNER_TYPE_ID"), values.get("OWNER_ID"))
    if item is None:
        raise ApiError(
            "", "Could not build binding. Please ensure that owner info and communications are defined correctly"
        )
    needs_classic_right(call, "update", portal.types[values["OWNER_TYPE_ID"]], item)
    row = new_activity(portal, call.user_id, values, communications, given)
    if values["TYPE_ID"] == EMAIL:
        send(portal, row)
    return Answer(row["ID"])


def new_activity(
    portal: Portal, user_id: int, values: Row, communications: list[dict[str, Any]], given: dict[str, Any]
) -> Row:
    now = int(portal.time())
    owners = [(values["OWNER_TYPE_ID"], values["OWNER_ID"])]
    for one in communications:
        type_id, item_id = integer(one.get("ENTITY_TYPE_ID")) or 0, integer(one.get("ENTITY_ID")) or 0
        if owner(portal, type_id, item_id) is not None:
            owners.append((type_id, item_id))
    pairs = [mapping(one).get("fileData") for one in sequence(given.get("FILES"))]
    files = [portal.keep_file(str(one[0]), str(one[1])) for one in pairs if isinstance(one, list) and len(one) == 2]
    row = portal.activities.add(
        {
            "COMPLETED": "N",
            "PRIORITY": 2,
            "NOTIFY_TYPE": 0,
            "DESCRIPTION": "",
            "DESCRIPTION_TYPE": 1,
            "DIRECTION": 0,
            "LOCATION": "",
            "PROVIDER_ID": PROVIDERS.get(values["TYPE_ID"], ""),
            **values,
            "SETTINGS": mapping(given.get("SETTINGS")),
            "COMMUNICATIONS": communications,
            "FILES": [one for one in files if one is not None],
            "BINDINGS": list(dict.fromkeys(owners)),
            "CREATED": now,
            "LAST_UPDATED": now,
            "AUTHOR_ID": user_id,
            "EDITOR_ID": user_id,
        }
    )
    set_deadline(row)
    portal.emit("ONCRMACTIVITYADD", {"FIELDS": {"ID": row["ID"]}})
    return row


def send(portal: Portal, row: Row) -> None:
    """A letter leaves only with TYPE_ID 4, DIRECTION 2 and COMPLETED Y; else it is a silent draft.

    A failure is answered although the activity is there (how-to-send-email.md).
    """
    if row["DIRECTION"] != OUTGOING or row["COMPLETED"] != "Y":
        return
    sender = row["SETTINGS"].get("MESSAGE_FROM") or portal.switches.crm_mailbox
    if not sender:
        raise ApiError("", 'Email send error. "From" is not found')
    to = [str(one.get("VALUE") or "") for one in row["COMMUNICATIONS"]]
    if not all("@" in one for one in to):
        raise ApiError("", "Email send error. Invalid email is specified")
    portal.mails.append(
        {
            "kind": "crm",
            "to": ", ".join(to),
            "from": str(sender),
            "subject": row["SUBJECT"],
            "text": row["DESCRIPTION"],
            "activity_id": row["ID"],
            "files": [one["name"] for one in row["FILES"]],
        }
    )


def found(call: Call, name: str = "id") -> Row:
    row = call.portal.activities.get(integer(argument(call, name)))
    if row is None:
        raise ApiError("", "Activity is not found")
    return row


def shown(portal: Portal, row: Row) -> dict[str, Any]:
    """Everything as text, empty as null (crm-activity-list.md)."""
    full: dict[str, Any] = {name: text_of(portal, name, row.get(name)) for name in KINDS}
    return {
        **full,
        "PROVIDER_GROUP_ID": None,
        "SETTINGS": row["SETTINGS"] or [],
        "PROVIDER_PARAMS": [],
        "PROVIDER_DATA": None,
        "RESULT_MARK": "0",
        "RESULT_STATUS": "0",
        "RESULT_STREAM": "0",
        "AUTOCOMPLETE_RULE": "0",
    }


def text_of(portal: Portal, name: str, value: Any) -> Any:
    if value is None:
        return "0" if name == "ASSOCIATED_ENTITY_ID" else None
    return iso_moment(value, portal.zone) if name in MOMENTS else str(value)


@rest_method("crm.activity.get", scope="crm")
def get(call: Call) -> Answer:
    return Answer(shown(call.portal, found(call)))


@rest_method("crm.activity.list", scope="crm")
def list_rows(call: Call) -> Answer:
    """Also by BINDINGS; COMMUNICATIONS and FILES only when selected (crm-activity-list.md)."""
    portal = call.portal
    tree = {str(key).upper(): value for key, value in mapping(argument(call, "filter")).items()}
    bindings = [mapping(one) for one in sequence(tree.pop("BINDINGS", None))]
    columns = columns_of(KINDS, portal.fold(), portal.zone)
    try:
        plan = Compiler(columns, strict=False, groups=False, ignore_case=True, id_column="ID").compile(tree)
    except FilterFault as fault:
        raise ApiError("", "Failed to get list. General error.") from fault
    if bindings:
        plan.tests.append(lambda row: any(matches(row, one) for one in bindings))
    order = compile_order(argument(call, "order") or {"START_TIME": "ASC"}, columns, strict=False, ignore_case=True)
    page = listed(portal.activities.candidates(plan), plan, order, start_of(argument(call, "start", 0)))
    select = [str(name).upper() for name in sequence(argument(call, "select"))]
    rows = []
    for row in page.rows:
        full = shown(portal, row)
        line = full if not select or "*" in select else {name: full[name] for name in ("ID", *select) if name in full}
        if "COMMUNICATIONS" in select:
            line["COMMUNICATIONS"] = row["COMMUNICATIONS"]
        if "FILES" in select:
            line["FILES"] = [
                {"id": one["id"], "url": drive_links.crm_file_url(portal, one["id"])} for one in row["FILES"]
            ]
        rows.append(line)
    return listed_answer(rows, page)


def matches(row: Row, wanted: dict[str, Any]) -> bool:
    type_id, item_id = integer(wanted.get("OWNER_TYPE_ID")), integer(wanted.get("OWNER_ID"))
    return any(type_id in (None, one) and item_id in (None, other) for one, other in row["BINDINGS"])


@rest_method("crm.activity.update", scope="crm")
def update(call: Call) -> Answer:
    """The owner stays."""
    row = found(call)
    given = {str(key).upper(): value for key, value in mapping(argument(call, "fields")).items()}
    given = {key: value for key, value in given.items() if not key.startswith("OWNER_")}
    save(call, row, read_values(call.portal, given))
    return Answer(True)


def save(call: Call, row: Row, values: Row) -> None:
    row.update(values, LAST_UPDATED=int(call.portal.time()), EDITOR_ID=call.user_id)
    if row["PROVIDER_ID"] != TODO_PROVIDER:
        set_deadline(row)
    row["STATUS"] = 2 if row["COMPLETED"] == "Y" else 1
    call.portal.emit("ONCRMACTIVITYUPDATE", {"FIELDS": {"ID": row["ID"]}})


@rest_method("crm.activity.delete", scope="crm")
def delete(call: Call) -> Answer:
    remove(call.portal, found(call))
    return Answer(True)


# -- to-dos -----------------------------------------------------------------------------------
def moment(call: Call, raw: Any) -> int:
    try:
        return parse_moment(raw, call.portal.zone)
    except ValueError as error:
        raise ApiError("WRONG_DATETIME_FORMAT", "Wrong datetime format") from error


@rest_method("crm.activity.todo.add", scope="crm")
def todo_add(call: Call) -> Answer:
    """A plan in the item's timeline (crm-activity-todo-add.md)."""
    for name in ("ownerTypeId", "ownerId", "deadline"):
        if call.params.get(name) in (None, ""):
            raise ApiError(100, f"Could not find value for parameter {{{name}}}")
    type_id, item_id = integer(call.params["ownerTypeId"]) or 0, integer(call.params["ownerId"]) or 0
    item = owner(call.portal, type_id, item_id)
    if item is None:
        raise ApiError("OWNER_NOT_FOUND", "Owner was not found")
    needs_right(call, "update", call.portal.types[type_id], item)
    deadline = moment(call, call.params["deadline"])
    values: Row = {
        "OWNER_TYPE_ID": type_id,
        "OWNER_ID": item_id,
        "TYPE_ID": 6,
        "PROVIDER_ID": TODO_PROVIDER,
        "PROVIDER_TYPE_ID": "TODO",
        "SUBJECT": str(call.params.get("title") or ""),
        "DESCRIPTION": str(call.params.get("description") or ""),
        "RESPONSIBLE_ID": integer(call.params.get("responsibleId")) or call.user_id,
        "END_TIME": deadline,
    }
    return Answer({"id": new_activity(call.portal, call.user_id, values, [], {})["ID"]})


def todo_update(parameter: str, key: str) -> Handler:
    """One of the small updates; all take id, ownerTypeId, ownerId beside their own parameter."""

    def handler(call: Call) -> Answer:
        row = call.portal.activities.get(integer(call.params.get("id")))
        if row is None or row["PROVIDER_ID"] != TODO_PROVIDER:
            raise ApiError("NOT_FOUND", "Not found.")
        owner_id = (integer(call.params.get("ownerTypeId")), integer(call.params.get("ownerId")))
        if owner_id not in row["BINDINGS"]:
            raise ApiError("OWNER_NOT_FOUND", "Owner was not found")
        raw = call.params.get(parameter)
        save(call, row, {key: moment(call, raw) if key == "DEADLINE" else integer(raw) if key.endswith("ID") else raw})
        return Answer({"id": row["ID"]})

    return handler


for suffix, parameter_name, row_key in (
    ("Deadline", "value", "DEADLINE"),
    ("Description", "value", "DESCRIPTION"),
    ("ResponsibleUser", "responsibleId", "RESPONSIBLE_ID"),
):
    rest_method(f"crm.activity.todo.update{suffix}", scope="crm")(todo_update(parameter_name, row_key))
