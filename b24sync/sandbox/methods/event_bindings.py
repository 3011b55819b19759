"""`event.{bind,unbind,get}`, `event.offline.*`, `events`: what an application wants to know. All need an application.

Docs: api-reference/events/event-{bind,unbind,get}.md, api-reference/events/event-offline-{get,list,clear,error}.md,
api-reference/events/events.md, api-reference/events/offline-events.md.
"""

from __future__ import annotations

import re
from typing import Any

from ..model.filters import Compiler, FilterFault, compile_order
from ..model.listing import page_of, start_of
from ..model.moments import iso_moment
from ..model.records import MOMENT, NUMBER, TEXT, Row, columns_of
from ..model.subscriptions import ON_OFFLINE, Subscription
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, caller, integer, listed_answer, mapping, sequence

OBJECTS = ("DEAL", "LEAD", "CONTACT", "COMPANY", "QUOTE", "ACTIVITY", "TIMELINECOMMENT", "DYNAMICITEM")
CRM = (
    *(f"ONCRM{name}{action}" for name in OBJECTS for action in ("ADD", "UPDATE", "DELETE")),
    "ONCRMDEALMOVETOCATEGORY",
)
BY_SCOPE = {
    "": ("ONAPPINSTALL", "ONAPPUNINSTALL", "ONAPPUPDATE", "ONAPPTEST", ON_OFFLINE),
    "user": ("ONUSERADD",),
    "crm": CRM,
    "task": ("ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE", "ONTASKCOMMENTADD", "ONTASKCOMMENTUPDATE"),
    "sonet_group": ("ONSONETGROUPADD", "ONSONETGROUPUPDATE", "ONSONETGROUPDELETE"),
}
KNOWN = frozenset(name for names in BY_SCOPE.values() for name in names)
DYNAMIC = re.compile(r"ONCRMDYNAMICITEM(ADD|UPDATE|DELETE)_\d+$")
QUEUE_KINDS = {
    "ID": NUMBER,
    "TIMESTAMP_X": MOMENT,
    "EVENT_NAME": TEXT,
    "MESSAGE_ID": TEXT,
    "PROCESS_ID": TEXT,
    "ERROR": NUMBER,
}


def is_offline(call: Call) -> bool:
    return str(argument(call, "event_type") or "online").lower() == "offline"


def auth_type(call: Call) -> int:
    """Whose tokens a handler gets. Only an administrator may name somebody else; a user gets his own."""
    raw = argument(call, "auth_type")
    user = caller(call)
    if raw in (None, ""):
        return 0 if user.admin else user.id
    number = integer(raw) or 0
    if not user.admin and number != user.id:
        text = "Access denied! Event binding with AUTH_TYPE requires administrator access rights"
        raise ApiError("ACCESS_DENIED", text, status=403)
    return number


@rest_method("event.bind", app_only=True)
def bind(call: Call) -> Answer:
    event = str(argument(call, "event") or "").upper()
    if event not in KNOWN and not DYNAMIC.match(event):
        raise ApiError("ERROR_EVENT_NOT_FOUND", "Event not found")
    offline = is_offline(call)
    if offline and not caller(call).admin:
        text = "Access denied! Offline events binding requires administrator access rights"
        raise ApiError("ACCESS_DENIED", text, status=403)
    handler = str(argument(call, "handler") or "")
    if not offline and not re.match(r"https?://", handler):
        raise ApiError("ERROR_ARGUMENT", "Wrong handler URL")
    options = mapping(argument(call, "options"))
    call.portal.subscriptions.bind(
        call.credential,
        event,
        "" if offline else handler,
        auth_type=0 if offline else auth_type(call),
        offline=offline,
        connector=str(argument(call, "auth_connector") or ""),
        min_timeout_s=float(integer(options.get("minTimeout", 1)) or 0),
    )
    return Answer(True)


def own(call: Call) -> list[Subscription]:
    """Bindings of the calling application; those of himself only for a user without admin rights."""
    user = caller(call)
    rows = [one for one in call.portal.subscriptions.rows if one.app == call.credential]
    return rows if user.admin else [one for one in rows if one.auth_type == user.id and not one.offline]


@rest_method("event.unbind", app_only=True)
def unbind(call: Call) -> Answer:
    """Parameters that are not given match everything (event-unbind.md)."""
    event = str(argument(call, "event") or "").upper()
    handler, raw_auth = argument(call, "handler"), argument(call, "auth_type")
    if is_offline(call) and not caller(call).admin:
        text = "Access denied! Offline events unbinding requires administrator access rights"
        raise ApiError("ACCESS_DENIED", text, status=403)
    gone = [
        one
        for one in own(call)
        if one.event == event
        and one.offline == is_offline(call)
        and handler in (None, "", one.handler)
        and (raw_auth is None or (integer(raw_auth) or 0) == one.auth_type)
    ]
    call.portal.subscriptions.unbind(gone)
    return Answer({"count": len(gone)})


@rest_method("event.get", app_only=True)
def get(call: Call) -> Answer:
    return Answer(
        [
            {
                "event": one.event,
                "handler": one.handler,
                "auth_type": str(one.auth_type),
                "offline": int(one.offline),
                **({"connector_id": one.connector} if one.connector else {}),
            }
            for one in own(call)
        ]
    )


@rest_method("events", app_only=True)
def known_events(call: Call) -> Answer:
    scope = argument(call, "SCOPE")
    if scope is not None:
        return Answer(list(BY_SCOPE.get(str(scope), ())))
    return Answer([name for names in BY_SCOPE.values() for name in names])


# -- the queue --------------------------------------------------------------------------------
def for_administrators(call: Call) -> None:
    """Everything about the queue is; what was abandoned is gone before anybody looks."""
    if not caller(call).admin:
        raise ApiError("ACCESS_DENIED", "Access denied!", status=403)
    call.portal.subscriptions.drop_abandoned(call.portal.time())


def of_extended_mode(call: Call) -> None:
    """Reserving, confirming and marking are not in every plan (offline-events.md)."""
    if not call.portal.switches.offline_extended:
        raise ApiError("ACCESS_DENIED", "Extended offline events handling is not available", status=403)


def queued(call: Call) -> list[Row]:
    """Rows of the calling application and its connector; administrators only."""
    for_administrators(call)
    connector = str(argument(call, "auth_connector") or "")
    return call.portal.subscriptions.queue.where(APP=call.credential, CONNECTOR=connector)


def filtered(call: Call, rows: list[Row], default: dict[str, str]) -> list[Row]:
    columns = columns_of(QUEUE_KINDS, call.portal.fold(), call.portal.zone)
    try:
        plan = Compiler(columns, strict=False, groups=False, ignore_case=True, id_column="").compile(
            argument(call, "filter")
        )
    except FilterFault as fault:
        raise ApiError("ERROR_ARGUMENT", str(fault)) from fault
    order = compile_order(argument(call, "order") or default, columns, strict=False, ignore_case=True)
    return order.sort(row for row in rows if plan.passes(row))


def shown(call: Call, row: Row) -> dict[str, Any]:
    return {
        "ID": str(row["ID"]),
        "TIMESTAMP_X": iso_moment(row["TIMESTAMP_X"], call.portal.zone),
        "EVENT_NAME": row["EVENT_NAME"],
        "EVENT_DATA": row["EVENT_DATA"],
        "EVENT_ADDITIONAL": False,
        "MESSAGE_ID": row["MESSAGE_ID"],
    }


@rest_method("event.offline.get", app_only=True)
def offline_get(call: Call) -> Answer:
    """Takes rows out, or with clear=0 reserves them under a process_id; a process_id gives its rows once more."""
    rows = queued(call)
    subscriptions = call.portal.subscriptions
    clear = str(argument(call, "clear", 1)) not in ("0", "false", "N")
    if not clear:
        of_extended_mode(call)
    limit = integer(argument(call, "limit")) or 50
    process_id = str(argument(call, "process_id") or "")
    with_errors = str(argument(call, "error") or "0") == "1"
    free = [row for row in rows if row["PROCESS_ID"] == process_id and bool(row["ERROR"]) <= with_errors]
    chosen = filtered(call, free, {"TIMESTAMP_X": "ASC"})[:limit]
    if clear:
        for row in chosen:
            subscriptions.queue.remove(row)
    elif chosen and not process_id:
        process_id = subscriptions.reserve(chosen, call.portal.time())
    return Answer({"process_id": process_id or None, "events": [shown(call, row) for row in chosen]})


@rest_method("event.offline.list", app_only=True)
def offline_list(call: Call) -> Answer:
    rows = filtered(call, queued(call), {"ID": "ASC"})
    page = page_of(rows, start_of(argument(call, "start", 0)))
    lines = [{**shown(call, row), "PROCESS_ID": row["PROCESS_ID"], "ERROR": str(row["ERROR"])} for row in page.rows]
    return listed_answer(lines, page)


def package(call: Call) -> list[Row]:
    """Rows of `process_id`, narrowed by `id` or else by `message_id`."""
    for_administrators(call)
    of_extended_mode(call)
    rows = call.portal.subscriptions.of_process(call.credential, str(argument(call, "process_id") or ""))
    ids = {str(one) for one in sequence(argument(call, "id"))}
    messages = {str(one) for one in sequence(argument(call, "message_id"))}
    if ids:
        return [row for row in rows if str(row["ID"]) in ids]
    return [row for row in rows if not messages or row["MESSAGE_ID"] in messages]


@rest_method("event.offline.clear", app_only=True)
def offline_clear(call: Call) -> Answer:
    for row in package(call):
        call.portal.subscriptions.queue.remove(row)
    return Answer(True)


@rest_method("event.offline.error", app_only=True)
def offline_error(call: Call) -> Answer:
    for row in package(call):
        row.update(ERROR=1, PROCESS_ID="")
    return Answer(True)
