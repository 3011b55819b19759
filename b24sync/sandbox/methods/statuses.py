"""`crm.status.*`: dictionaries and stages.

Docs: api-reference/crm/status/*.md. Stage order: P stages, one S, then F stages.
"""

from __future__ import annotations

import re
from typing import Any

from ..model.dictionaries import FAILURE, PROCESS, STAGE_SEMANTICS, SUCCESS, Status
from ..model.entities import EntityType
from ..model.filters import Column, Compiler, FilterFault, compile_order
from ..model.listing import listed, start_of
from ..portal import Portal
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, integer, listed_answer, mapping, needs_classic_right

STAGE_CHARS = re.compile(r"[A-Za-z0-9_:\-]+$")


def stage_owner(portal: Portal, entity_id: str) -> tuple[EntityType, int] | None:
    """The type and category whose stages a dictionary holds; None for ordinary dictionaries."""
    for entity in portal.types.values():
        if not entity.has_stages:
            continue
        if not entity.has_categories:
            if entity_id == entity.stage_dictionary:
                return entity, 0
            continue
        for pipeline in portal.pipelines.of(entity.id):
            if entity.dictionary_of(pipeline.id) == entity_id:
                return entity, pipeline.id
    return None


def row(portal: Portal, status: Status) -> dict[str, Any]:
    """All values are texts; EXTRA only for stages."""
    shown: dict[str, Any] = {
        "ID": str(status.id),
        "ENTITY_ID": status.entity_id,
        "STATUS_ID": status.status_id,
        "NAME": status.name,
        "NAME_INIT": status.name_init,
        "SORT": str(status.sort),
        "SYSTEM": "Y" if status.system else "N",
        "CATEGORY_ID": None if status.category_id is None else str(status.category_id),
        "COLOR": status.color or None,
        "SEMANTICS": status.semantics or None,
    }
    owner = stage_owner(portal, status.entity_id)
    if owner is not None and not owner[0].is_dynamic:
        semantics = "apology" if status.apology else STAGE_SEMANTICS[status.semantics]
        shown["EXTRA"] = {"SEMANTICS": semantics, "COLOR": status.color}
    return shown


def text_or_none(raw: Any) -> str | None:
    return None if raw in (None, "") else str(raw)


def columns() -> dict[str, Column]:
    found = [
        Column("ID", lambda status: status.id, lambda raw: int(str(raw))),
        Column("ENTITY_ID", lambda status: status.entity_id, text_or_none),
        Column("STATUS_ID", lambda status: status.status_id, text_or_none),
        Column("NAME", lambda status: status.name, text_or_none),
        Column("SORT", lambda status: status.sort, lambda raw: int(str(raw))),
        Column("SYSTEM", lambda status: "Y" if status.system else "N", text_or_none),
        Column("SEMANTICS", lambda status: status.semantics or None, text_or_none),
        Column(
            "CATEGORY_ID", lambda status: status.category_id, lambda raw: None if raw in (None, "") else int(str(raw))
        ),
    ]
    return {column.name: column for column in found}


COLUMNS = columns()


@rest_method("crm.status.list", scope="crm")
def list_statuses(call: Call) -> Answer:
    tree = mapping(argument(call, "filter"))
    for key, value in tree.items():
        if key.lstrip("=@!").upper() == "ENTITY_ID" and isinstance(value, (list, dict)):
            raise ApiError("", "Filter by ENTITY_ID must be a string")
    try:
        plan = Compiler(COLUMNS, strict=False, groups=False, ignore_case=True, id_column="ID").compile(tree)
    except FilterFault as fault:
        raise ApiError("", "Failed to get list. General error.") from fault
    order = compile_order(argument(call, "order"), COLUMNS, strict=False, ignore_case=True)
    page = listed(call.portal.dictionaries.rows.values(), plan, order, start_of(argument(call, "start", 0)))
    return listed_answer([row(call.portal, status) for status in page.rows], page)


def found(call: Call) -> Status:
    status_id = integer(argument(call, "id"))
    if status_id is None or status_id <= 0:
        raise ApiError("", "Invalid identifier.")
    status = call.portal.dictionaries.rows.get(status_id)
    if status is None:
        raise ApiError("", "Status is not found.")
    return status


@rest_method("crm.status.get", scope="crm")
def get(call: Call) -> Answer:
    shown = row(call.portal, found(call))
    shown.pop("EXTRA", None)
    return Answer(shown)


@rest_method("crm.status.add", scope="crm")
def add(call: Call) -> Answer:
    raw = argument(call, "fields")
    if not isinstance(raw, dict):
        raise ApiError("", "Parameter 'fields' must be array.")
    needs_classic_right(call, "settings")
    entity_id, status_id = str(raw.get("ENTITY_ID") or ""), str(raw.get("STATUS_ID") or "")
    missing = [name for name, value in (("ENTITY_ID", entity_id), ("STATUS_ID", status_id)) if not value]
    if missing:
        raise ApiError("", " ".join(f"The field {name} is required." for name in missing))
    if not call.portal.dictionaries.knows(entity_id):
        raise ApiError("", "Specified entity type is not supported.")
    if not str(raw.get("NAME") or "").strip():
        raise ApiError("", 'Не заполнено обязательное поле "Заголовок"')
    return Answer(new_status(call.portal, entity_id, status_id, raw).id)


def new_status(portal: Portal, entity_id: str, status_id: str, raw: dict[str, Any]) -> Status:
    """Check and add one row. Raises ApiError."""
    owner = stage_owner(portal, entity_id)
    semantics = str(raw.get("SEMANTICS") or "")
    sort = integer(raw.get("SORT"))
    sort = 10 if sort is None else sort
    if owner is not None:
        if not STAGE_CHARS.match(status_id):
            raise ApiError("", "Error on creating status.")
        status_id = full_stage_id(portal, owner, status_id)
        check_stage_order(portal, entity_id, semantics, sort)
    if portal.dictionaries.find(entity_id, status_id) is not None:
        raise ApiError("ERROR_CORE", "Указанный идентификатор статуса, уже существует.")
    is_pipeline = owner is not None and owner[0].has_categories and owner[0].stage_prefix(owner[1]) != ""
    return portal.dictionaries.add(
        entity_id,
        status_id,
        str(raw["NAME"]),
        sort=sort,
        semantics=semantics if semantics in (SUCCESS, FAILURE) else "",
        color=str(raw.get("COLOR") or ""),
        category_id=owner[1] if is_pipeline and owner else None,
    )


def full_stage_id(portal: Portal, owner: tuple[EntityType, int], status_id: str) -> str:
    """The pipeline's prefix is added unless it is there; the whole is cut (crm-status-add.md, tutorials: 21)."""
    prefix = owner[0].stage_prefix(owner[1])
    if prefix and not status_id.startswith(prefix):
        status_id = prefix + status_id
    return status_id[: portal.switches.stage_id_max_len]


def check_stage_order(portal: Portal, entity_id: str, semantics: str, sort: int) -> None:
    """No P stage after the S stage; one S stage only (crm-status-add.md)."""
    won = portal.dictionaries.first(entity_id, SUCCESS)
    if won is None:
        return
    if semantics not in (SUCCESS, FAILURE) and sort > won.sort:
        raise ApiError("", "Нельзя создать промежуточную стадию после успешной")
    if semantics == SUCCESS:
        raise ApiError("", "Error on creating status.")


@rest_method("crm.status.update", scope="crm")
def update(call: Call) -> Answer:
    """NAME, SORT and COLOR only; the rest is immutable (crm-status-fields.md)."""
    status = found(call)
    needs_classic_right(call, "settings")
    fields = mapping(argument(call, "fields"))
    if str(fields.get("NAME") or "").strip():
        status.name = str(fields["NAME"])
    sort = integer(fields.get("SORT"))
    if sort is not None:
        if stage_owner(call.portal, status.entity_id) is not None and status.group == PROCESS:
            won = call.portal.dictionaries.first(status.entity_id, SUCCESS)
            if won is not None and sort > won.sort:
                raise ApiError("", "Error on updating status.")
        status.sort = sort
        call.portal.dictionaries.resorted(status.entity_id)
    if fields.get("COLOR"):
        status.color = str(fields["COLOR"])
    return Answer(True)


@rest_method("crm.status.delete", scope="crm")
def delete(call: Call) -> Answer:
    status = found(call)
    needs_classic_right(call, "settings")
    params = mapping(argument(call, "params"))
    if status.system and str(params.get("FORCED") or "") != "Y":
        text = 'CRM System Status can be deleted only if parameter FORCED is specified and equal to "Y".'
        raise ApiError("", text)
    owner = stage_owner(call.portal, status.entity_id)
    if owner is not None:
        store = call.portal.items[owner[0].id]
        if any(item.get("stageId") == status.status_id and item.get("categoryId", 0) == owner[1] for item in store):
            raise ApiError("", "There are active items in this status.")
        same_group = [one for one in call.portal.dictionaries.of(status.entity_id) if one.group == status.group]
        if len(same_group) == 1:
            raise ApiError("", "Error on deleting status.")
    call.portal.dictionaries.delete(status)
    return Answer(True)


@rest_method("crm.status.entity.items", scope="crm")
def entity_items(call: Call) -> Answer:
    rows = [
        {"NAME": status.name, "SORT": status.sort, "STATUS_ID": status.status_id}
        for status in call.portal.dictionaries.of(str(argument(call, "entityId") or ""))
    ]
    return Answer(rows)


@rest_method("crm.status.entity.types", scope="crm")
def entity_types(call: Call) -> Answer:
    return Answer(
        [entity_type(call.portal, entity_id, name) for entity_id, name in call.portal.dictionaries.names.items()]
    )


def entity_type(portal: Portal, entity_id: str, name: str) -> dict[str, Any]:
    owner = stage_owner(portal, entity_id)
    if owner is None:
        return {"ID": entity_id, "NAME": name}
    entity, category_id = owner
    shown: dict[str, Any] = {"ID": entity_id, "NAME": name, "SEMANTIC_INFO": semantic_info(portal, entity, entity_id)}
    prefix = entity.stage_prefix(category_id).rstrip(":")
    if prefix:
        shown.update(PREFIX=prefix, FIELD_ATTRIBUTE_SCOPE=f"category_{category_id}")
        if not entity.is_dynamic:
            shown["PARENT_ID"] = entity.stage_dictionary
    shown["ENTITY_TYPE_ID"] = entity.id
    if entity.has_categories:
        # a text for deal pipelines, a number for the default one and for smart processes (crm-status-entity-types.md)
        shown["CATEGORY_ID"] = str(category_id) if prefix and not entity.is_dynamic else category_id
    if entity.is_dynamic:
        shown["IS_ENABLED"] = True
    return shown


def semantic_info(portal: Portal, entity: EntityType, entity_id: str) -> Any:
    if entity.is_dynamic:
        return []
    firsts = {group: portal.dictionaries.first(entity_id, group) for group in (PROCESS, SUCCESS, FAILURE)}
    names = {PROCESS: "START_FIELD", SUCCESS: "FINAL_SUCCESS_FIELD", FAILURE: "FINAL_UNSUCCESS_FIELD"}
    info: dict[str, Any] = {names[group]: first.status_id if first else "" for group, first in firsts.items()}
    info["FINAL_SORT"] = 0
    return info


FIELD_KINDS = (
    ("ID", "integer", False, True, False, "ID"),
    ("ENTITY_ID", "string", True, False, True, "ID элемента сущности"),
    ("STATUS_ID", "string", True, False, True, "Статус"),
    ("SORT", "integer", False, False, False, "Сортировка"),
    ("NAME", "string", True, False, False, "Название"),
    ("NAME_INIT", "string", False, True, False, "Название по умолчанию"),
    ("SYSTEM", "char", False, True, False, "Системный"),
    ("CATEGORY_ID", "integer", False, False, True, "CATEGORY_ID"),
    ("COLOR", "string", False, False, False, "COLOR"),
    ("SEMANTICS", "char", False, False, True, "SEMANTICS"),
    ("EXTRA", "crm_status_extra", False, True, False, "EXTRA"),
)


@rest_method("crm.status.fields", scope="crm")
def fields(_call: Call) -> Answer:
    return Answer(
        {
            name: {
                "type": kind,
                "isRequired": required,
                "isReadOnly": read_only,
                "isImmutable": immutable,
                "isMultiple": False,
                "isDynamic": False,
                "title": title,
            }
            for name, kind, required, read_only, immutable, title in FIELD_KINDS
        }
    )
