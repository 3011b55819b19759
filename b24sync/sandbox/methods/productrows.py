"""`crm.item.productrow.*` and `crm.deal|lead|quote.productrows.{get,set}`: what is sold in an item.

Docs: api-reference/crm/universal/product-rows/crm-item-productrow-{set,list,add,get,update,delete,fields}.md,
api-reference/crm/deals/crm-deal-productrows-{get,set}.md.
"""

from __future__ import annotations

import re
from typing import Any

from ..model import productrows, saving
from ..model.entities import DEAL, LEAD, QUOTE, EntityType
from ..model.fields import upper_name
from ..model.filters import Column, Compiler, FilterFault, compile_order
from ..model.items import Item
from ..model.listing import listed, start_of
from ..registry import Answer, ApiError, Call, Handler, rest_method
from .arguments import argument, bad_filter, caller, integer, listed_answer, mapping, needs_classic_right, sequence

WRITABLE = frozenset(
    {
        "productId",
        "productName",
        "price",
        "quantity",
        "discountTypeId",
        "discountRate",
        "discountSum",
        "taxRate",
        "taxIncluded",
        "measureCode",
        "measureName",
        "sort",
        "xmlId",
    }
)
NUMBERS = WRITABLE - {"productName", "taxIncluded", "measureName", "xmlId"}
CLASSIC = {"deal": DEAL, "lead": LEAD, "quote": QUOTE}
CLASSIC_NAMES = {upper_name(name): name for name in WRITABLE}
Owner = tuple[EntityType, Item]


def owner_of(call: Call, type_code: Any, item_id: Any, right: str) -> Owner:
    """The item by its short type code (`D`, `Tb1`) and id. Raises the codes of the pages."""
    entity = next((one for one in call.portal.types.values() if one.prefix == str(type_code)), None)
    if entity is None or "opportunity" not in call.portal.schemas[entity.id].by_code:
        raise ApiError("ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported")
    item = call.portal.items[entity.id].get(integer(item_id) or 0)
    if item is None:
        raise ApiError("OWNER_NOT_FOUND", "Owner was not found")
    if not caller(call).may_with(right, entity.name, item):
        raise ApiError("ACCESS_DENIED", "Доступ запрещен")
    return entity, item


def needed(call: Call, name: str) -> Any:
    if call.params.get(name) in (None, ""):
        raise ApiError(100, f"Could not find value for parameter {{{name}}}")
    return call.params[name]


def shown(owner: Owner, row: dict[str, Any]) -> dict[str, Any]:
    entity, item = owner
    return {**row, "ownerId": item["id"], "ownerType": entity.prefix}


def writable(given: dict[str, Any]) -> dict[str, Any]:
    """Known names only; numbers as numbers. A text that is none answers 100."""
    values = {}
    for name in WRITABLE & set(given):
        values[name] = number_in(given[name], name) if name in NUMBERS else given[name]
    return {name: value for name, value in values.items() if value is not None or name == "taxRate"}


def number_in(raw: Any, name: str) -> float | None:
    """A number, None for an empty value. Raises 100."""
    if raw in (None, ""):
        return None
    try:
        return float(raw)
    except (TypeError, ValueError) as error:
        raise ApiError(100, f"Invalid value {{{raw}}} to match with parameter {{{name}}}.") from error


def recount(call: Call, owner: Owner) -> None:
    """Rows decide about the item's sum unless it is kept by hand; the item counts as changed."""
    entity, item = owner
    if productrows.follows_rows(item):
        rows = call.portal.product_rows.of((entity.id, item["id"]))
        changes = {"opportunity": productrows.total_of(rows)}
        saving.change(call.portal, entity, item, changes, saving.By(call.user_id))


@rest_method("crm.item.productrow.set", scope="crm")
def set_rows(call: Call) -> Answer:
    """Replaces all rows of the item."""
    owner = owner_of(call, needed(call, "ownerType"), needed(call, "ownerId"), "update")
    if "productRows" not in call.params:
        raise ApiError(100, "Could not find value for parameter {productRows}")
    replace(call, owner, [mapping(row) for row in sequence(call.params["productRows"])])
    entity, item = owner
    rows = call.portal.product_rows.of((entity.id, item["id"]))
    return Answer({"productRows": [shown(owner, row) for row in rows]}, units=float(max(1, len(rows))))


def replace(call: Call, owner: Owner, given: list[dict[str, Any]]) -> None:
    entity, item = owner
    rows = [{**writable(row), **({"id": integer(row["id"])} if row.get("id") else {})} for row in given]
    call.portal.product_rows.replace((entity.id, item["id"]), rows)
    recount(call, owner)


@rest_method("crm.item.productrow.add", scope="crm")
def add_row(call: Call) -> Answer:
    fields = mapping(needed(call, "fields"))
    for name in ("ownerId", "ownerType"):
        if not fields.get(name):
            raise ApiError(100, f"Could not find value for parameter {{{name}}}")
    owner = owner_of(call, fields["ownerType"], fields["ownerId"], "update")
    row = call.portal.product_rows.add((owner[0].id, owner[1]["id"]), writable(fields))
    recount(call, owner)
    return Answer({"productRow": shown(owner, row)})


def found_row(call: Call, right: str) -> tuple[Owner, dict[str, Any]]:
    found = call.portal.product_rows.find(integer(needed(call, "id")))
    if found is None:
        raise ApiError("NOT_FOUND", "Элемент не найден")
    (type_id, item_id), row = found
    return owner_of(call, call.portal.types[type_id].prefix, item_id, right), row


@rest_method("crm.item.productrow.get", scope="crm")
def get_row(call: Call) -> Answer:
    owner, row = found_row(call, "read")
    return Answer({"productRow": shown(owner, row)})


@rest_method("crm.item.productrow.update", scope="crm")
def update_row(call: Call) -> Answer:
    """An unknown field is refused here, unlike elsewhere."""
    owner, row = found_row(call, "update")
    fields = mapping(needed(call, "fields"))
    unknown = set(fields) - WRITABLE
    if unknown:
        raise ApiError("INVALID_ARG_VALUE", f"Field '{min(unknown)}' is unknown or not available for update")
    call.portal.product_rows.change(row, writable(fields))
    recount(call, owner)
    return Answer({"productRow": shown(owner, row)})


@rest_method("crm.item.productrow.delete", scope="crm")
def delete_row(call: Call) -> Answer:
    owner, row = found_row(call, "update")
    call.portal.product_rows.remove((owner[0].id, owner[1]["id"]), row)
    recount(call, owner)
    return Answer(None)


@rest_method("crm.item.productrow.list", scope="crm")
def list_rows(call: Call) -> Answer:
    """`=ownerType` and `=ownerId` must be in the filter (crm-item-productrow-list.md); ids may be a list."""
    tree = mapping(needed(call, "filter"))
    plain = {re.sub(r"^=", "", str(key)): value for key, value in tree.items()}
    for name in ("ownerType", "ownerId"):
        if plain.get(name) in (None, "", []):
            raise ApiError("INVALID_ARG_VALUE", f"Required filter field '={name}' is missing")
    owners = [owner_of(call, plain["ownerType"], one, "read") for one in sequence(plain["ownerId"])]
    rows = [shown(owner, row) for owner in owners for row in call.portal.product_rows.of((owner[0].id, owner[1]["id"]))]
    columns = row_columns()
    try:
        plan = Compiler(columns).compile({key: value for key, value in plain.items() if not key.startswith("owner")})
        order = compile_order(call.params.get("order"), columns)
    except FilterFault as fault:
        bad_filter(fault)
    page = listed(rows, plan, order, start_of(call.params.get("start")))
    return listed_answer({"productRows": page.rows}, page)


def row_columns() -> dict[str, Column]:
    def column(name: str) -> Column:
        if name in ("productName", "measureName", "xmlId", "taxIncluded"):
            return Column(name, lambda row: row[name] or None, lambda raw: None if raw in (None, "") else str(raw))
        return Column(name, lambda row: row[name], lambda raw: None if raw in (None, "") else float(raw))

    return {name: column(name) for name in ("id", "ownerId", *sorted(WRITABLE))}


# -- classic ----------------------------------------------------------------------------------
def classic_owner(call: Call, entity: EntityType, right: str) -> Owner:
    item_id = integer(argument(call, "id"))
    if item_id is None or item_id <= 0:
        raise ApiError("", "The parameter id is invalid or not defined.")
    item = call.portal.items[entity.id].get(item_id)
    if item is None:
        raise ApiError("", "Not found")
    needs_classic_right(call, right, entity, item)
    return entity, item


def check_discount(row: dict[str, Any]) -> None:
    """The three complaints of crm-deal-productrows-set.md."""
    kind, rate, amount = (row.get(name) for name in ("DISCOUNT_TYPE_ID", "DISCOUNT_RATE", "DISCOUNT_SUM"))
    if str(kind) == "2" and rate in (None, ""):
        text = "Discount Rate (DISCOUNT_RATE) is required if Percentage Discount Type (DISCOUNT_TYPE_ID) is defined"
    elif str(kind) == "2" and number_in(rate, "DISCOUNT_RATE") == 100 and amount in (None, ""):
        text = (
            "Discount Sum (DISCOUNT_SUM) is required if Percentage Discount Type (DISCOUNT_TYPE_ID) is defined"
            " and Discount Rate (DISCOUNT_RATE) is 100%"
        )
    elif str(kind) == "1" and amount in (None, ""):
        text = "Discount Sum (DISCOUNT_SUM) is required if Monetary Discount Type (DISCOUNT_TYPE_ID) is defined"
    else:
        return
    raise ApiError("ERROR_CORE", f"{text}<br>")


def classic_set(type_id: int) -> Handler:
    def handler(call: Call) -> Answer:
        owner = classic_owner(call, call.portal.types[type_id], "update")
        rows = [mapping(row) for row in sequence(argument(call, "rows"))]
        for row in rows:
            check_discount(row)
        named = [
            {CLASSIC_NAMES.get(key, "id" if key == "ID" else key): value for key, value in row.items()} for row in rows
        ]
        replace(call, owner, named)
        return Answer(True)

    return handler


def classic_get(type_id: int) -> Handler:
    def handler(call: Call) -> Answer:
        owner = classic_owner(call, call.portal.types[type_id], "read")
        return Answer([classic_row(owner, row) for row in call.portal.product_rows.of((owner[0].id, owner[1]["id"]))])

    return handler


def classic_row(owner: Owner, row: dict[str, Any]) -> dict[str, Any]:
    """Ids as texts, prices as numbers, PRICE_ACCOUNT a text again (crm-deal-productrows-get.md)."""
    return {
        **{upper_name(name): value for name, value in row.items()},
        "ID": str(row["id"]),
        "OWNER_ID": str(owner[1]["id"]),
        "OWNER_TYPE": owner[0].prefix,
        "ORIGINAL_PRODUCT_NAME": row["productName"],
        "PRODUCT_DESCRIPTION": None,
        "PRICE_ACCOUNT": f"{row['priceAccount']:.2f}",
    }


for word, number in CLASSIC.items():
    rest_method(f"crm.{word}.productrows.set", scope="crm")(classic_set(number))
    rest_method(f"crm.{word}.productrows.get", scope="crm")(classic_get(number))
