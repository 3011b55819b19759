"""`crm.timeline.comment.{add,get,list,update,delete}`: comments in the card of an item.

Docs: api-reference/crm/timeline/comments/crm-timeline-comment-{add,get,list,update,delete}.md. Only `fields` in lower
case is taken; the type of the owner is a word: deal, company, dynamic_1046.
"""

from __future__ import annotations

import base64
from typing import Any

from ..model import drive_links
from ..model.filters import compile_order
from ..model.listing import page_of, start_of
from ..model.moments import iso_moment
from ..model.records import MOMENT, NUMBER, Row, columns_of
from ..portal import Portal
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, caller, integer, listed_answer, mapping, sequence
from .task_comments import store_file

ORDERS = {"ID": NUMBER, "CREATED": MOMENT, "AUTHOR_ID": NUMBER}


def owner_of(portal: Portal, type_word: Any, item_id: Any) -> tuple[int, int] | None:
    """entityTypeId and id of the item named by a word and a number, None when there is no such item."""
    entity = next((one for one in portal.types.values() if one.name.lower() == str(type_word).lower()), None)
    number = integer(item_id) or 0
    if entity is None or portal.items[entity.id].get(number) is None:
        return None
    return entity.id, number


def may(call: Call, right: str, owner: tuple[int, int]) -> bool:
    entity, item = call.portal.types[owner[0]], call.portal.items[owner[0]].get(owner[1])
    return item is not None and caller(call).may_with(right, entity.name, item)


def files_of(call: Call, raw: Any) -> list[int]:
    """`[["name", base64], ...]` put on the author's drive; others are dropped (files/how-to-upload-files.md)."""
    found = []
    for one in sequence(raw):
        if isinstance(one, list) and len(one) == 2:
            try:
                body = base64.b64decode(str(one[1]))
            except ValueError:
                continue
            found.append(store_file(call.portal, call.user_id, str(one[0]), body))
    return found


def needed_fields(call: Call) -> dict[str, Any]:
    if "fields" not in call.params:
        raise ApiError(100, "Could not find value for parameter {fields}")
    return mapping(call.params["fields"])


@rest_method("crm.timeline.comment.add", scope="crm")
def add(call: Call) -> Answer:
    portal = call.portal
    fields = needed_fields(call)
    if not str(fields.get("COMMENT") or "").strip():
        raise ApiError("INVALID_ARG_VALUE", "Empty comment message")
    owner = owner_of(portal, fields.get("ENTITY_TYPE"), fields.get("ENTITY_ID"))
    if owner is None:
        raise ApiError("OWNER_NOT_FOUND", "Owner was not found")
    if not may(call, "update", owner):
        raise ApiError("ACCESS_DENIED", "Access denied.")
    row = portal.comments.add(
        {
            "ENTITY_TYPE": str(fields["ENTITY_TYPE"]).lower(),
            "ENTITY_ID": owner[1],
            "COMMENT": str(fields["COMMENT"]),
            "AUTHOR_ID": author(call, fields),
            "CREATED": int(portal.time()),
            "FILES": files_of(call, fields.get("FILES")),
            "BINDINGS": [owner],
        }
    )
    portal.emit("ONCRMTIMELINECOMMENTADD", {"FIELDS": {"ID": row["ID"]}})
    return Answer(row["ID"])


def author(call: Call, fields: dict[str, Any]) -> int:
    """AUTHOR_ID is not among the fields of the page, so the caller wrote it (switch comment_author)."""
    if call.portal.switches.comment_author:
        return integer(fields.get("AUTHOR_ID")) or call.user_id
    return call.user_id


def found(call: Call, code: str = "") -> Row:
    row_id = integer(call.params.get("id"))
    if row_id is None:
        raise ApiError(code and 100, "ID is not defined or invalid.")
    row = call.portal.comments.get(row_id)
    if row is None:
        raise ApiError(code, "Not found.")
    return row


def shown(portal: Portal, row: Row) -> dict[str, Any]:
    """Numbers as texts; FILES a map by id, {} without any."""
    created = iso_moment(row["CREATED"], portal.zone)
    return {
        "ID": str(row["ID"]),
        "ENTITY_ID": str(row["ENTITY_ID"]),
        "ENTITY_TYPE": row["ENTITY_TYPE"],
        "CREATED": created,
        "COMMENT": row["COMMENT"],
        "AUTHOR_ID": str(row["AUTHOR_ID"]),
        "FILES": {str(one): file_shown(portal, row, one) for one in row["FILES"]},
    }


def file_shown(portal: Portal, row: Row, object_id: int) -> dict[str, Any]:
    file = portal.disk.objects.get(object_id)
    url = drive_links.download_url(portal, object_id)
    return {
        "id": object_id,
        "date": iso_moment(row["CREATED"], portal.zone),
        "type": "file",
        "name": file["NAME"] if file else "",
        "size": file["SIZE"] if file else 0,
        "authorId": row["AUTHOR_ID"],
        "urlShow": url,
        "urlDownload": url,
    }


@rest_method("crm.timeline.comment.get", scope="crm")
def get(call: Call) -> Answer:
    return Answer(shown(call.portal, found(call)))


@rest_method("crm.timeline.comment.list", scope="crm")
def list_rows(call: Call) -> Answer:
    """The filter needs ENTITY_ID and ENTITY_TYPE; another one is not looked at."""
    portal = call.portal
    tree = {str(key).upper().lstrip("="): value for key, value in mapping(argument(call, "filter")).items()}
    owner = owner_of(portal, tree.get("ENTITY_TYPE"), tree.get("ENTITY_ID"))
    if owner is None or not may(call, "read", owner):
        raise ApiError("", "Access denied.")
    rows = portal.comments.of(owner)
    columns = columns_of(ORDERS, portal.fold(), portal.zone)
    order = compile_order(argument(call, "order"), columns, strict=False, ignore_case=True)
    page = page_of(order.sort(rows), start_of(argument(call, "start", 0)))
    select = [str(name).upper() for name in sequence(argument(call, "select"))]
    lines = [shown(portal, row) for row in page.rows]
    if select and "*" not in select:
        lines = [{name: line[name] for name in select if name in line} for line in lines]
    return listed_answer(lines, page)


@rest_method("crm.timeline.comment.update", scope="crm")
def update(call: Call) -> Answer:
    row = found(call, "NOT_FOUND")
    fields = needed_fields(call)
    if "COMMENT" in fields:
        row["COMMENT"] = str(fields["COMMENT"])
    if "FILES" in fields:
        row["FILES"] = files_of(call, fields["FILES"])
    call.portal.emit("ONCRMTIMELINECOMMENTUPDATE", {"FIELDS": {"ID": row["ID"]}})
    return Answer(True)


@rest_method("crm.timeline.comment.delete", scope="crm")
def delete(call: Call) -> Answer:
    row = found(call, "NOT_FOUND")
    call.portal.comments.remove(row)
    call.portal.emit("ONCRMTIMELINECOMMENTDELETE", {"FIELDS": {"ID": row["ID"]}})
    return Answer(None)
