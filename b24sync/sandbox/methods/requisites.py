"""`crm.requisite.*`, `crm.requisite.preset.list`, `crm.address.*`, `crm.enum.addresstype`: legal data of companies.

Docs: api-reference/crm/requisites/universal/*.md, api-reference/crm/requisites/addresses/*.md,
api-reference/crm/requisites/presets/crm-requisite-preset-list.md,
api-reference/crm/auxiliary/enum/crm-enum-address-type.md.
An address has no id: it hangs on a requisite (8) or a lead (1), one of each type.
"""

from __future__ import annotations

from typing import Any

from ..model.entities import COMPANY, CONTACT, LEAD
from ..model.filters import Compiler, FilterFault, compile_order
from ..model.items import Item
from ..model.listing import listed, start_of
from ..model.moments import iso_moment
from ..model.records import MOMENT, NUMBER, TEXT, Row, columns_of
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, integer, listed_answer, mapping, needs_classic_right, sequence

REQUISITE = 8
PRESETS = ((1, "Организация"), (2, "ИП"), (3, "Физ. лицо"), (4, "Организация (доп.)"))
ADDRESS_TYPES = (
    (1, "Фактический адрес"),
    (4, "Адрес регистрации"),
    (6, "Юридический адрес"),
    (8, "Почтовый адрес"),
    (9, "Адрес бенефициара"),
    (11, "Адрес доставки"),
)
PARTS = ("ADDRESS_1", "ADDRESS_2", "CITY", "POSTAL_CODE", "REGION", "PROVINCE", "COUNTRY", "COUNTRY_CODE")
MAX_PART = 255
ADDRESS_KINDS = {
    "TYPE_ID": NUMBER,
    "ENTITY_TYPE_ID": NUMBER,
    "ENTITY_ID": NUMBER,
    "ANCHOR_TYPE_ID": NUMBER,
    "ANCHOR_ID": NUMBER,
    **dict.fromkeys(PARTS, TEXT),
}
REQUISITE_NAMES = """
NAME CODE XML_ID ORIGINATOR_ID ACTIVE SORT RQ_NAME RQ_FIRST_NAME RQ_LAST_NAME RQ_SECOND_NAME RQ_COMPANY_NAME
RQ_COMPANY_FULL_NAME RQ_COMPANY_REG_DATE RQ_DIRECTOR RQ_ACCOUNTANT RQ_CONTACT RQ_EMAIL RQ_PHONE RQ_INN RQ_KPP RQ_OGRN
RQ_OGRNIP RQ_OKPO RQ_OKTMO RQ_OKVED RQ_BIN RQ_IIN RQ_VAT_ID
"""
WRITABLE = tuple(REQUISITE_NAMES.split())
REQUISITE_KINDS = {
    "ID": NUMBER,
    "ENTITY_TYPE_ID": NUMBER,
    "ENTITY_ID": NUMBER,
    "PRESET_ID": NUMBER,
    "DATE_CREATE": MOMENT,
    "DATE_MODIFY": MOMENT,
    "CREATED_BY_ID": NUMBER,
    **dict.fromkeys(WRITABLE, TEXT),
}


def given(call: Call) -> Row:
    return {str(key).upper(): value for key, value in mapping(argument(call, "fields")).items()}


def number_of(fields: Row, name: str, known: tuple[int, ...] = ()) -> int:
    """A positive number among `known` (empty = any). Raises the text of the pages."""
    number = integer(fields.get(name))
    if number is None or number <= 0 or (known and number not in known):
        raise ApiError("", f"{name} is not defined or invalid.")
    return number


def item_of(call: Call, type_id: int, item_id: int, right: str) -> Item:
    item = call.portal.items[type_id].get(item_id)
    if item is None:
        raise ApiError("", "Entity not found.")
    needs_classic_right(call, right, call.portal.types[type_id], item)
    return item


def listing(call: Call, rows: Any, kinds: dict[str, str], show: Any) -> Answer:
    portal = call.portal
    columns = columns_of(kinds, portal.fold(), portal.zone)
    try:
        plan = Compiler(columns, strict=False, groups=False, ignore_case=True, id_column="ID").compile(
            argument(call, "filter")
        )
    except FilterFault as fault:
        raise ApiError("", "Failed to get list. General error.") from fault
    order = compile_order(argument(call, "order"), columns, strict=False, ignore_case=True)
    page = listed(rows, plan, order, start_of(argument(call, "start", 0)))
    select = [str(name).upper() for name in sequence(argument(call, "select"))]
    lines = [show(call, row) for row in page.rows]
    if select and "*" not in select:
        lines = [{name: line[name] for name in select if name in line} for line in lines]
    return listed_answer(lines, page)


# -- requisites -------------------------------------------------------------------------------
def requisite_shown(call: Call, row: Row) -> dict[str, Any]:
    """Everything as text, empty as null."""
    line: dict[str, Any] = {}
    for name, kind in REQUISITE_KINDS.items():
        value = row.get(name)
        if value is None:
            line[name] = "" if kind == MOMENT else None
        else:
            line[name] = iso_moment(value, call.portal.zone) if kind == MOMENT else str(value)
    return line


def found(call: Call, right: str) -> Row:
    row_id = integer(argument(call, "id"))
    if row_id is None:
        raise ApiError("", "ID is not defined or invalid.")
    row = call.portal.requisites.get(row_id)
    if row is None:
        raise ApiError("", f"The Requisite with ID '{row_id}' is not found")
    item_of(call, row["ENTITY_TYPE_ID"], row["ENTITY_ID"], right)
    return row


@rest_method("crm.requisite.add", scope="crm")
def add(call: Call) -> Answer:
    """PRESET_ID is not looked up; fields that the preset lacks are stored all the same (crm-requisite-add.md)."""
    fields = given(call)
    type_id = number_of(fields, "ENTITY_TYPE_ID", (COMPANY, CONTACT))
    item_id = number_of(fields, "ENTITY_ID")
    preset = number_of(fields, "PRESET_ID")
    item_of(call, type_id, item_id, "update")
    row = call.portal.requisites.add(
        {
            "ENTITY_TYPE_ID": type_id,
            "ENTITY_ID": item_id,
            "PRESET_ID": preset,
            "DATE_CREATE": int(call.portal.time()),
            "CREATED_BY_ID": call.user_id,
            "ACTIVE": "Y",
            "SORT": "500",
            **{name: str(fields[name]) for name in WRITABLE if fields.get(name) not in (None, "")},
        }
    )
    call.portal.emit("ONCRMREQUISITEADD", {"FIELDS": {"ID": row["ID"]}})
    return Answer(row["ID"])


@rest_method("crm.requisite.get", scope="crm")
def get(call: Call) -> Answer:
    return Answer(requisite_shown(call, found(call, "read")))


@rest_method("crm.requisite.list", scope="crm")
def list_requisites(call: Call) -> Answer:
    return listing(call, call.portal.requisites, REQUISITE_KINDS, requisite_shown)


@rest_method("crm.requisite.update", scope="crm")
def update(call: Call) -> Answer:
    row, fields = found(call, "update"), given(call)
    row.update({name: str(fields[name]) for name in WRITABLE if name in fields})
    row["DATE_MODIFY"] = int(call.portal.time())
    call.portal.emit("ONCRMREQUISITEUPDATE", {"FIELDS": {"ID": row["ID"]}})
    return Answer(True)


@rest_method("crm.requisite.delete", scope="crm")
def delete(call: Call) -> Answer:
    row = found(call, "update")
    call.portal.requisites.remove(row)
    for address in call.portal.addresses.where(ENTITY_TYPE_ID=REQUISITE, ENTITY_ID=row["ID"]):
        call.portal.addresses.remove(address)
    call.portal.emit("ONCRMREQUISITEDELETE", {"FIELDS": {"ID": row["ID"]}})
    return Answer(True)


@rest_method("crm.requisite.preset.list", scope="crm")
def presets(_call: Call) -> Answer:
    rows = [{"ID": str(number), "NAME": name, "ENTITY_TYPE_ID": "8", "ACTIVE": "Y"} for number, name in PRESETS]
    return Answer(rows, total=len(rows))


# -- addresses --------------------------------------------------------------------------------
@rest_method("crm.enum.addresstype", scope="crm")
def address_types(_call: Call) -> Answer:
    return Answer([{"ID": number, "NAME": name} for number, name in ADDRESS_TYPES])


def anchor(call: Call, fields: Row, right: str) -> tuple[Row, tuple[int, int]]:
    """The key of an address and the item it belongs to in the end."""
    key = {
        "TYPE_ID": number_of(fields, "TYPE_ID", tuple(number for number, _ in ADDRESS_TYPES)),
        "ENTITY_TYPE_ID": number_of(fields, "ENTITY_TYPE_ID", (REQUISITE, LEAD)),
        "ENTITY_ID": number_of(fields, "ENTITY_ID"),
    }
    owner = (LEAD, key["ENTITY_ID"])
    if key["ENTITY_TYPE_ID"] == REQUISITE:
        requisite = call.portal.requisites.get(key["ENTITY_ID"])
        if requisite is None:
            raise ApiError("", "ENTITY_ID is not defined or invalid.")
        owner = (requisite["ENTITY_TYPE_ID"], requisite["ENTITY_ID"])
    item_of(call, *owner, right)
    return key, owner


def parts_of(call: Call, fields: Row) -> Row:
    """How long a part may be the pages do not say: the switch `long_strings`."""
    parts = {name: str(fields[name] or "") for name in PARTS if name in fields}
    if call.portal.switches.long_strings == "refuse" and any(len(text) > MAX_PART for text in parts.values()):
        raise ApiError("", "Failed to save the address.")
    return {name: text[:MAX_PART] for name, text in parts.items()}


@rest_method("crm.address.add", scope="crm")
def add_address(call: Call) -> Answer:
    fields = given(call)
    key, owner = anchor(call, fields, "update")
    if call.portal.addresses.where(**key):
        raise ApiError("", "TypeAddress exists.")
    call.portal.addresses.add({**key, "ANCHOR_TYPE_ID": owner[0], "ANCHOR_ID": owner[1], **parts_of(call, fields)})
    return Answer(True)


def held_address(call: Call, fields: Row) -> Row:
    key, _ = anchor(call, fields, "update")
    rows = call.portal.addresses.where(**key)
    if not rows:
        raise ApiError("", "TypeAddress not found.")
    return rows[0]


@rest_method("crm.address.update", scope="crm")
def update_address(call: Call) -> Answer:
    fields = given(call)
    held_address(call, fields).update(parts_of(call, fields))
    return Answer(True)


@rest_method("crm.address.delete", scope="crm")
def delete_address(call: Call) -> Answer:
    call.portal.addresses.remove(held_address(call, given(call)))
    return Answer(True)


@rest_method("crm.address.list", scope="crm")
def list_addresses(call: Call) -> Answer:
    return listing(call, call.portal.addresses, ADDRESS_KINDS, address_shown)


def address_shown(_call: Call, row: Row) -> dict[str, Any]:
    """Numbers as texts, parts that are empty as null."""
    numbers = {name: str(row[name]) for name, kind in ADDRESS_KINDS.items() if kind == NUMBER}
    return {**numbers, **{name: row.get(name) or None for name in PARTS}, "LOC_ADDR_ID": None}
