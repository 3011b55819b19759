"""`crm.item.import` and `crm.item.batchImport`: no robots, system fields by administrators, ascending createdTime.

Docs: api-reference/crm/universal/import/{index,crm-item-import,crm-item-batch-import}.md.
"""

from __future__ import annotations

from typing import Any

from ..model import intake, saving
from ..model.entities import EntityType
from ..model.values import FieldFault
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import entity_of, item_error, mapping, needs_intranet, needs_right
from .items import fields_of, original_names

BATCH_MAX = 20


def imported(call: Call, entity: EntityType, fields: dict[str, Any]) -> dict[str, Any]:
    """Import one row; the answer has its id only. Raises ApiError."""
    try:
        values = intake.item_fields(
            call.portal, entity, fields, original=original_names(call), user_id=call.user_id, importing=True
        )
        item = saving.create(call.portal, entity, values, saving.By(call.user_id, saving.IMPORT))
    except FieldFault as fault:
        raise item_error(fault) from fault
    return {"item": {"id": item["id"]}}


@rest_method("crm.item.import", scope="crm")
def import_one(call: Call) -> Answer:
    needs_intranet(call)
    entity = entity_of(call)
    needs_right(call, "import", entity)
    return Answer(imported(call, entity, fields_of(call)))


@rest_method("crm.item.batchImport", scope="crm")
def import_batch(call: Call) -> Answer:
    """Up to 20 rows, each with its own outcome under HTTP 200; costs count the rows."""
    needs_intranet(call)
    entity = entity_of(call)
    if "data" not in call.params:
        raise ApiError(100, "Could not find value for parameter {data}")
    data = call.params["data"]
    rows = list(data.values()) if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise ApiError(100, "Invalid value {data} to match with parameter {data}. Should be value of type array.")
    needs_right(call, "import", entity)
    if len(rows) > BATCH_MAX:
        raise ApiError("MAX_IMPORT_BATCH_SIZE_EXCEEDED", f"Вы не можете импортировать больше {BATCH_MAX} элементов")
    answers = [outcome(call, entity, mapping(row)) for row in rows]
    if call.portal.switches.import_answer_order == "reversed":
        answers.reverse()
    return Answer({"items": answers}, units=float(max(1, len(rows))))


def outcome(call: Call, entity: EntityType, row: dict[str, Any]) -> dict[str, Any]:
    try:
        return imported(call, entity, row)
    except ApiError as error:
        return {"error": error.code, "error_description": error.text}
