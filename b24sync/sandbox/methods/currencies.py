"""`crm.currency.list`, `crm.currency.get`, `crm.currency.base.get`.

Docs: api-reference/crm/currency/*.md. `total` of the list is always 0 there.
"""

from __future__ import annotations

from typing import Any

from ..model.moments import iso_moment
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, needs_classic_right


def row(call: Call, currency: dict[str, Any]) -> dict[str, Any]:
    return {
        "AMOUNT_CNT": "1",
        "LID": "ru",
        "FORMAT_STRING": "# " + str(currency["CURRENCY"]),
        "DEC_POINT": ".",
        "THOUSANDS_SEP": "&nbsp;",
        "DECIMALS": "2",
        "DATE_UPDATE": iso_moment(call.portal.users[1].registered, call.portal.zone),
        **currency,
    }


@rest_method("crm.currency.list", scope="crm")
def list_currencies(call: Call) -> Answer:
    needs_classic_right(call, "settings")
    rows = sorted(call.portal.currencies.values(), key=lambda one: int(one.get("SORT", 100)))
    return Answer([row(call, one) for one in rows], total=0)


@rest_method("crm.currency.get", scope="crm")
def get(call: Call) -> Answer:
    currency = call.portal.currencies.get(str(argument(call, "id") or ""))
    if currency is None:
        raise ApiError("", "Not found")
    return Answer(row(call, currency))


@rest_method("crm.currency.base.get", scope="crm")
def base(call: Call) -> Answer:
    return Answer(call.portal.base_currency)
