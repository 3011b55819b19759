"""`task.item.userfield.*`: fields of tasks that a portal adds for itself.

Docs: api-reference/tasks/user-field/*.md: string, double, datetime and boolean only; administrators only.
"""

from __future__ import annotations

from typing import Any

from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, caller, integer, mapping, sequence

TYPES = ("string", "double", "datetime", "boolean")


def needs_admin(call: Call) -> None:
    if not caller(call).admin:
        raise ApiError("ERROR_CORE", "Access denied")


@rest_method("task.item.userfield.add", scope="task")
def add(call: Call) -> Answer:
    """The code gets its UF_ by itself."""
    needs_admin(call)
    given = {str(key).upper(): value for key, value in mapping(argument(call, "PARAMS")).items()}
    if given.get("USER_TYPE_ID") not in TYPES:
        raise ApiError("ERROR_CORE", "Указан неверный пользовательский тип.<br>")
    name = str(given.get("FIELD_NAME") or "").upper()
    name = name if name.startswith("UF_") else f"UF_{name}"
    known = call.portal.task_user_fields
    if name == "UF_" or name in known:
        raise ApiError("ERROR_CORE", f"Поле {name} для объекта TASKS_TASK уже существует.<br>")
    known[name] = {
        "ID": len(known) + 1,
        "FIELD_NAME": name,
        "ENTITY_ID": "TASKS_TASK",
        "USER_TYPE_ID": given["USER_TYPE_ID"],
        "MANDATORY": str(given.get("MANDATORY") or "N"),
        "MULTIPLE": str(given.get("MULTIPLE") or "N"),
        "XML_ID": str(given.get("XML_ID") or ""),
        "SORT": str(given.get("SORT") or "100"),
    }
    return Answer(known[name]["ID"])


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "ID": str(row["ID"])}


@rest_method("task.item.userfield.getlist", scope="task")
def get_list(call: Call) -> Answer:
    wanted = {str(key).upper(): value for key, value in mapping(argument(call, "FILTER")).items()}
    rows = [shown(row) for row in call.portal.task_user_fields.values()]
    return Answer(
        [
            row
            for row in rows
            if all(str(row.get(key)) in {str(one) for one in sequence(value)} for key, value in wanted.items())
        ]
    )


def found(call: Call) -> dict[str, Any]:
    needs_admin(call)
    wanted = integer(argument(call, "ID"))
    row = next((one for one in call.portal.task_user_fields.values() if one["ID"] == wanted), None)
    if row is None:
        raise ApiError("ERROR_CORE", "Пользовательское поле не найдено")
    return row


@rest_method("task.item.userfield.get", scope="task")
def get(call: Call) -> Answer:
    return Answer(shown(found(call)))


@rest_method("task.item.userfield.delete", scope="task")
def delete(call: Call) -> Answer:
    del call.portal.task_user_fields[found(call)["FIELD_NAME"]]
    return Answer(True)
