"""Fields of the portal's objects that an import may fill: their names, kinds and API names.

One table. The lists are those of crm.item.import (api-reference/crm/universal/import/crm-item-import.md); the six
created / updated / moved fields are settable by import only (api-reference/crm/universal/import/index.md);
multifields belong to leads, contacts and companies (api-reference/crm/data-types.md, crm_multifield).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Kind(StrEnum):
    """How a column's text becomes a field's value."""

    TEXT = "text"
    MONEY = "money"
    NUMBER = "number"
    INTEGER = "integer"
    DATE = "date"
    DATETIME = "datetime"
    BOOL = "bool"
    CURRENCY = "currency"
    USER = "user"
    USERS = "users"
    PIPELINE = "pipeline"
    STAGE = "stage"
    STATUS = "status"
    COMPANY = "company"
    COMPANIES = "companies"
    CONTACT = "contact"
    CONTACTS = "contacts"
    PHONE = "phone"
    EMAIL = "email"
    WEB = "web"
    PARENT = "parent"
    PRODUCT_ROWS = "product_rows"
    ADDRESS = "address"
    ADDRESS_TYPE = "address_type"
    USER_FIELD = "user_field"


# Kinds whose value is a list; several columns may feed one such field.
MULTIPLE = frozenset({Kind.USERS, Kind.COMPANIES, Kind.CONTACTS, Kind.PHONE, Kind.EMAIL, Kind.WEB})
# Kinds whose value is a name that only the portal can resolve.
REFERENCES = frozenset(
    {Kind.USER, Kind.USERS, Kind.PIPELINE, Kind.STAGE, Kind.STATUS}
    | {Kind.COMPANY, Kind.COMPANIES, Kind.CONTACT, Kind.CONTACTS, Kind.PARENT}
)
LINKS = frozenset({Kind.COMPANY, Kind.COMPANIES, Kind.CONTACT, Kind.CONTACTS, Kind.PARENT})
"""References to other items: looked up together when the whole file is read."""
NUMERIC = frozenset({Kind.MONEY, Kind.NUMBER, Kind.INTEGER})
TEMPORAL = frozenset({Kind.DATE, Kind.DATETIME})
ADDRESS_KINDS = frozenset({Kind.ADDRESS, Kind.ADDRESS_TYPE})
"""Parts of an address, which hangs on a requisite of the item: `api` is their name in crm.address.add."""
ADDRESS = "address"
"""What a prepared row calls its address, all parts of it."""
MULTIFIELD_TYPES = {Kind.PHONE: "PHONE", Kind.EMAIL: "EMAIL", Kind.WEB: "WEB"}
# api-reference/crm/data-types.md, crm_multifield: VALUE_TYPE by type
VALUE_TYPES = {
    Kind.PHONE: ("WORK", "MOBILE", "FAX", "HOME", "PAGER", "MAILING", "OTHER"),
    Kind.EMAIL: ("WORK", "HOME", "MAILING", "OTHER"),
    Kind.WEB: ("WORK", "HOME", "VK", "LIVEJOURNAL", "TWITTER", "OTHER"),
}

ENTITY_TYPE_IDS = {"lead": 1, "deal": 2, "contact": 3, "company": 4}
USER_FIELD_CODE = re.compile(r"UF_[A-Z0-9_]{1,47}", re.ASCII)
_ITEM = re.compile(r"item:(\d{1,9})", re.ASCII)
_PARENT = re.compile(r"parent_id_(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: the mapping's name, its kind, its name in crm.item.*, for a status its dictionary."""

    name: str
    kind: Kind
    api: str
    dictionary: str | None = None

    @property
    def multiple(self) -> bool:
        """Whether the value is a list that several columns may feed."""
        return self.kind in MULTIPLE


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _table(**kinds: Kind) -> dict[str, Field]:
    return {name: Field(name, kind, _camel(name)) for name, kind in kinds.items()}


def _status(name: str, dictionary: str, api: str = "") -> dict[str, Field]:
    return {name: Field(name, Kind.STATUS, api or _camel(name), dictionary)}


def _named(name: str, kind: Kind, api: str) -> dict[str, Field]:
    return {name: Field(name, kind, api)}


_HISTORY = _table(created_time=Kind.DATETIME, updated_time=Kind.DATETIME, created_by=Kind.USER, updated_by=Kind.USER)
_COMMON = (
    _HISTORY
    | _table(opened=Kind.BOOL, comments=Kind.TEXT, observers=Kind.USERS)
    | _named("assigned_by", Kind.USER, "assignedById")
)
_SOURCE = _status("source", "SOURCE", "sourceId") | _table(source_description=Kind.TEXT)
_UTM = _table(
    utm_source=Kind.TEXT,
    utm_medium=Kind.TEXT,
    utm_campaign=Kind.TEXT,
    utm_content=Kind.TEXT,
    utm_term=Kind.TEXT,
)
_CURRENCY = _named("currency", Kind.CURRENCY, "currencyId")
_MONEY = _CURRENCY | _table(opportunity=Kind.MONEY, is_manual_opportunity=Kind.BOOL)
_TAX = _table(tax_value=Kind.NUMBER)
_DATES = _named("begin_date", Kind.DATE, "begindate") | _named("close_date", Kind.DATE, "closedate")
_COMPANY = _named("company", Kind.COMPANY, "companyId")
_CONTACTS = _named("contact", Kind.CONTACTS, "contactIds")
# contacts and companies have no stages, so nothing moves
# One line of a file is one product row: lines of one key make one item (product-rows/crm-item-productrow-set.md).
PRODUCT_PREFIX = "product_"
_PRODUCTS = (
    _named("product_rows", Kind.PRODUCT_ROWS, "productRows")
    | _table(product_id=Kind.INTEGER, product_name=Kind.TEXT, product_price=Kind.MONEY, product_quantity=Kind.NUMBER)
    | _table(product_discount_rate=Kind.NUMBER, product_discount_sum=Kind.NUMBER, product_tax_rate=Kind.NUMBER)
    | _table(product_tax_included=Kind.BOOL, product_measure_code=Kind.INTEGER)
)
# One address for each item (crm/requisites/addresses/crm-address-add.md).
_ADDRESS = (
    _named("address", Kind.ADDRESS, "ADDRESS_1")
    | _named("address_2", Kind.ADDRESS, "ADDRESS_2")
    | _named("address_city", Kind.ADDRESS, "CITY")
    | _named("address_postal_code", Kind.ADDRESS, "POSTAL_CODE")
    | _named("address_region", Kind.ADDRESS, "REGION")
    | _named("address_province", Kind.ADDRESS, "PROVINCE")
    | _named("address_country", Kind.ADDRESS, "COUNTRY")
    | _named("address_type", Kind.ADDRESS_TYPE, "TYPE_ID")
)
_STAGE = _named("stage", Kind.STAGE, "stageId") | _table(moved_time=Kind.DATETIME, moved_by=Kind.USER)
_PIPELINE = _named("pipeline", Kind.PIPELINE, "categoryId")
_PERSON = _status("honorific", "HONORIFIC") | _table(
    name=Kind.TEXT, second_name=Kind.TEXT, last_name=Kind.TEXT, post=Kind.TEXT, birthdate=Kind.DATE
)
_MULTIFIELDS = _named("phone", Kind.PHONE, "fm") | _named("email", Kind.EMAIL, "fm") | _named("web", Kind.WEB, "fm")

_ENTITIES: dict[str, dict[str, Field]] = {
    "deal": _COMMON
    | _SOURCE
    | _UTM
    | _MONEY
    | _PRODUCTS
    | _TAX
    | _DATES
    | _COMPANY
    | _CONTACTS
    | _PIPELINE
    | _STAGE
    | _status("type", "DEAL_TYPE", "typeId")
    | _table(
        title=Kind.TEXT,
        probability=Kind.INTEGER,
        additional_info=Kind.TEXT,
        is_recurring=Kind.BOOL,
        lead_id=Kind.INTEGER,
        quote_id=Kind.INTEGER,
        location_id=Kind.TEXT,
    ),
    "lead": _COMMON
    | _SOURCE
    | _UTM
    | _MONEY
    | _PRODUCTS
    | _COMPANY
    | _CONTACTS
    | _STAGE
    | _PERSON
    | _MULTIFIELDS
    | _table(title=Kind.TEXT, company_title=Kind.TEXT, status_description=Kind.TEXT, webform_id=Kind.INTEGER),
    "contact": _COMMON
    | _SOURCE
    | _UTM
    | _PERSON
    | _MULTIFIELDS
    | _ADDRESS
    | _COMPANY
    | _named("companies", Kind.COMPANIES, "companyIds")
    | _status("type", "CONTACT_TYPE", "typeId")
    | _table(export=Kind.BOOL, lead_id=Kind.INTEGER, origin_version=Kind.TEXT),
    "company": _COMMON
    | _UTM
    | _CURRENCY
    | _MULTIFIELDS
    | _ADDRESS
    | _CONTACTS
    | _status("type", "COMPANY_TYPE", "typeId")
    | _status("industry", "INDUSTRY")
    | _status("employees", "EMPLOYEES")
    | _table(
        title=Kind.TEXT,
        revenue=Kind.MONEY,
        banking_details=Kind.TEXT,
        is_my_company=Kind.BOOL,
        lead_id=Kind.INTEGER,
        origin_version=Kind.TEXT,
    ),
}
# A smart process keeps its external key in xmlId, which the import itself fills: it is no field here.
_ITEM_FIELDS = (
    _COMMON
    | _SOURCE
    | _MONEY
    | _PRODUCTS
    | _TAX
    | _DATES
    | _COMPANY
    | _CONTACTS
    | _PIPELINE
    | _STAGE
    | _table(title=Kind.TEXT, webform_id=Kind.INTEGER)
    | _named("my_company", Kind.COMPANY, "mycompanyId")
)


def entity_type_id(entity: str) -> int | None:
    """crm's entityTypeId of a mapping's `entity`; None where the name is not one."""
    item = _ITEM.fullmatch(entity)
    if item:
        number = int(item[1])
        return number if number >= 31 else None
    return ENTITY_TYPE_IDS.get(entity)


@cache
def entity_fields(entity: str) -> dict[str, Field]:
    """Every field a mapping may name for `entity` (deal, lead, contact, company, item:<entityTypeId>)."""
    return _ITEM_FIELDS if _ITEM.fullmatch(entity) else _ENTITIES[entity]


def find_field(entity: str, name: str) -> Field | None:
    """The field called `name`; user fields (UF_...) and parent links (parent_id_177) by their pattern."""
    if USER_FIELD_CODE.fullmatch(name):
        return Field(name, Kind.USER_FIELD, name)
    parent = _PARENT.fullmatch(name)
    if parent:
        return Field(name, Kind.PARENT, f"parentId{parent[1]}")
    return entity_fields(entity).get(name)


def parent_entity(name: str) -> str:
    """The entity that a parent link like `parent_id_177` points at."""
    number = int(name.rpartition("_")[2])
    return next((entity for entity, type_id in ENTITY_TYPE_IDS.items() if type_id == number), f"item:{number}")


def product_field(name: str) -> str | None:
    """What `product_price` and the like say of a product row (`portal.product_rows.PRODUCT_FIELDS`); else None."""
    if not name.startswith(PRODUCT_PREFIX) or name == "product_rows":
        return None
    return name if name == "product_id" else name.removeprefix(PRODUCT_PREFIX)


def api_name(entity: str, name: str) -> str:
    """The name crm.item.* uses for a mapping's field; user fields keep their code (useOriginalUfNames=Y)."""
    field = find_field(entity, name)
    if field is None:
        raise KeyError(f"{entity} has no field {name}")
    return field.api


def nearest_field(entity: str, name: str) -> str | None:
    """The known field a mistyped `name` most probably means, also when written the portal's way."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    known = entity_fields(entity)
    by_api = {field.api.lower(): field.name for field in known.values() if field.api != "fm"}
    for guess in (snake, snake.removesuffix("_id"), snake.removesuffix("_ids")):
        if guess in known:
            return guess
    if snake.replace("_", "") in by_api:
        return by_api[snake.replace("_", "")]
    close = difflib.get_close_matches(snake, known, n=1, cutoff=0.6)
    return close[0] if close else None
