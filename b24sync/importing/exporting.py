"""`b24sync export`: items of the portal as a file of `export_format`, complete or not at all.

Read by fast-bitrix24's reader (`transport/fast_reader.py`) in windows of ids; a window counts when it holds as many
rows as the portal said, each once. Links are written with the external keys of what they lead to.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import chain
from pathlib import Path
from typing import Any

from b24sync.errors import ConfigError, PortalRefused, PortalUnreachable
from b24sync.importing import export_format as form
from b24sync.importing.fields import (
    ADDRESS,
    ADDRESS_KINDS,
    LINKS,
    MULTIFIELD_TYPES,
    Field,
    Kind,
    entity_fields,
    entity_type_id,
    find_field,
    parent_entity,
    product_field,
)
from b24sync.importing.values import ADDRESS_TYPES
from b24sync.portal.addresses import may_have_addresses, read_addresses
from b24sync.portal.criteria import filter_of
from b24sync.portal.directory import Directory, FieldInfo, normal, read_directory
from b24sync.portal.items import FIRST_SMART_PROCESS, read_by_ids
from b24sync.portal.pages import items_of
from b24sync.portal.product_rows import may_have_product_rows, read_product_rows
from b24sync.transport.client import PortalClient
from b24sync.transport.fast_reader import FastReader

METHOD = "crm.item.list"
WINDOW_ROWS = 5000
TRIES = 3
OF_THIS_PORTAL_ONLY = frozenset({"lead_id", "quote_id", "webform_id", "location_id"})
"""Plain ids that mean nothing in another portal."""
TOLD_ELSEWHERE = frozenset({("contact", "company"), ("company", "contact")})
"""A contact's `companies` say both: whose contacts a company's are, and which company is the first."""

_ADDRESS_TYPES = {number: word for word, number in ADDRESS_TYPES.items()}
_EMPTY: tuple[Any, ...] = (None, "", [], {}, False)
_REFERRING = frozenset({Kind.USER, Kind.USERS, *LINKS})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file: what the mapping calls the field, its kind, the portal's description of it."""

    name: str
    field: Field
    info: FieldInfo | None


@dataclass(slots=True)
class Exported:
    """What `export --json` tells."""

    rows: int = 0
    columns: int = 0
    left_out: list[str] = field(default_factory=list)
    addresses_left: int = 0
    """Addresses beside the one that an item's row has."""


class Exporter:
    """Exports items of one kind. Raises ConfigError for an unknown entity; PortalRefused, RetryLater, PortalBlocked."""

    def __init__(self, client: PortalClient, entity: str) -> None:
        number = entity_type_id(entity)
        if number is None:
            raise ConfigError(f"{entity} is none of deal, lead, contact, company, item:<entityTypeId>.")
        self._client = client
        self._entity = entity
        self._entity_type_id = number
        self._reader = FastReader(client)
        self._directory = _directory(client, number)
        self._columns = _columns(entity, number, self._directory)
        self._product_rows = may_have_product_rows(number)
        self._addresses_left = 0
        self._words = _Words(self._directory)
        self._pairs: dict[tuple[str, int], str] = {}

    @property
    def left_out(self) -> list[str]:
        """Fields whose content a file cannot hold."""
        return [code for code, info in self._directory.fields.items() if info.type == "file" and not info.read_only]

    def write(self, out: Path, filters: Sequence[str], on_rows: Callable[[int], None] = lambda _: None) -> Exported:
        """Write `out` (.csv or .xlsx). Cost: one request per 2,500 items; one more per 50 with product rows, two more
        per 2,500 with addresses.

        `filters` as `portal.criteria` reads them. `on_rows` is told how many rows are written. The file gets its name
        when it is complete. Raises ConfigError where it cannot be written.
        """
        wanted = filter_of(filters, self._directory)
        header = [form.first_title(self._entity, self._client.host), form.ORIGINATOR, form.ORIGIN_ID]
        header += [column.name for column in self._columns] + ([form.PRODUCT_ROWS] if self._product_rows else [])
        result = Exported(columns=len(header), left_out=self.left_out)

        def counted() -> Iterator[list[str]]:
            for cells in self._rows(wanted):
                result.rows += 1
                on_rows(result.rows)
                yield cells

        part = out.with_name(f".{out.stem}.part{out.suffix}")
        try:
            part.touch()  # a workbook is opened only when all its rows were read
            try:
                write_table(part, header, counted())
                part.replace(out)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{out} cannot be written: {error.strerror or error}.") from None
        result.addresses_left = self._addresses_left
        return result

    def _rows(self, wanted: Mapping[str, Any]) -> Iterator[list[str]]:
        for window in self._windows(wanted):
            items = self._read(window)
            self._look_up_pairs(items)
            products = self._products(items) if self._product_rows else {}
            addresses = self._addresses(items) if may_have_addresses(self._entity_type_id) else {}
            for item in items:
                number = int(item["id"])
                yield self._cells({**item, ADDRESS: addresses.get(number)}, products.get(number, ""))

    def _windows(self, wanted: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Filters that part the items by id into pieces of about `WINDOW_ROWS`. Cost: one request."""
        params = {"filter": dict(wanted), "select": ["id"], "order": {"id": "DESC"}, "start": 0}
        done = self._client.call(METHOD, {**self._common, **params})
        newest = items_of(done.result)
        total = done.total or len(newest)
        if not newest:
            return
        last = int(newest[0]["id"])
        width = math.ceil(last / math.ceil(total / WINDOW_ROWS))
        for low in range(0, last, width):
            yield {**wanted, ">id": low, "<=id": min(low + width, last)}

    @property
    def _common(self) -> dict[str, Any]:
        return {"entityTypeId": self._entity_type_id, "useOriginalUfNames": "Y"}

    def _read(self, window: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The items of a window by id, complete. Raises PortalUnreachable where they change all the time."""
        params: dict[str, Any] = {**self._common, "filter": dict(window)}
        if not any(column.field.kind in MULTIFIELD_TYPES for column in self._columns):
            # `fm` comes only where nothing is selected (crm-item-list.md).
            pair = (
                ["id", "xmlId"] if self._entity_type_id >= FIRST_SMART_PROCESS else ["id", "originatorId", "originId"]
            )
            params["select"] = list(dict.fromkeys([*pair, *(column.field.api for column in self._columns)]))
        for _ in range(TRIES):
            rows, total = self._reader.read(METHOD, params)
            by_id = {int(row["id"]): row for row in rows}
            if len(by_id) == len(rows) and total in (None, len(rows)):
                return [by_id[item_id] for item_id in sorted(by_id)]
        raise PortalUnreachable(
            f"{METHOD}: the portal said {total} items and gave {len(rows)}, {len(by_id)} of them different, {TRIES} "
            "times: they change while they are read. Try again when less is going on."
        )

    def _products(self, items: Sequence[Mapping[str, Any]]) -> dict[int, str]:
        try:
            found = read_product_rows(self._client, self._entity_type_id, [int(item["id"]) for item in items])
        except PortalRefused as error:
            # A kind of items without product rows says so (crm-item-productrow-list.md, ENTITY_TYPE_NOT_SUPPORTED).
            if error.code in ("ENTITY_TYPE_NOT_SUPPORTED", "ERROR_METHOD_NOT_FOUND"):
                return {}
            raise
        return {
            item_id: form.product_rows_text(sorted(rows, key=lambda row: int(row.get("sort") or 0)))
            for item_id, rows in found.items()
        }

    def _addresses(self, items: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
        """By item, the first address that an import can set: it sets one."""
        parts = [column.field.api for column in self._columns if column.field.kind is Kind.ADDRESS]
        told: dict[int, Mapping[str, Any]] = {}
        found = read_addresses(self._client, self._entity_type_id, [int(item["id"]) for item in items])
        for item_id, rows in found.items():
            filled = [row for row in rows if any(row.get(part) for part in parts)]
            known = [row for row in filled if _integer(row["TYPE_ID"]) in _ADDRESS_TYPES]
            if known:
                told[item_id] = known[0]
            self._addresses_left += len(filled) - (item_id in told)
        return told

    # -- links ------------------------------------------------------------------------------------

    def _look_up_pairs(self, items: Sequence[Mapping[str, Any]]) -> None:
        """External keys of what the items lead to. Cost: one request per 2,500 that were not met before."""
        wanted: dict[str, set[int]] = {}
        for column in self._columns:
            if column.field.kind in LINKS:
                entity = _leads_to(column.field)
                wanted.setdefault(entity, set()).update(n for item in items for n in _ids(item.get(column.field.api)))
        for entity, ids in wanted.items():
            number = entity_type_id(entity)
            fresh = sorted(item_id for item_id in ids if (entity, item_id) not in self._pairs)
            if number is None or not fresh:
                continue
            dynamic = number >= FIRST_SMART_PROCESS
            rows = read_by_ids(self._client, number, fresh, ["xmlId"] if dynamic else ["originatorId", "originId"])
            for item_id in fresh:
                self._pairs[entity, item_id] = form.link_text(item_id, *_pair(rows.get(item_id, {}), dynamic))

    # -- cells ------------------------------------------------------------------------------------

    def _cells(self, item: Mapping[str, Any], products: str) -> list[str]:
        dynamic = self._entity_type_id >= FIRST_SMART_PROCESS
        cells = [str(item["id"]), *_pair(item, dynamic)]
        cells += [self._cell(column, item) for column in self._columns]
        return [*cells, products] if self._product_rows else cells

    def _cell(self, column: Column, item: Mapping[str, Any]) -> str:
        kind, value = column.field.kind, item.get(column.field.api)
        if kind in MULTIFIELD_TYPES:
            rows = [row for row in item.get("fm") or () if row.get("typeId") == MULTIFIELD_TYPES[kind]]
            return form.join_values(form.multifield_text(str(r.get("valueType")), str(r.get("value"))) for r in rows)
        if kind in ADDRESS_KINDS:
            address = item.get(ADDRESS) or {}
            part = address.get(column.field.api)
            return _ADDRESS_TYPES.get(_integer(part), "") if kind is Kind.ADDRESS_TYPE else str(part or "")
        if value in _EMPTY or (kind in _REFERRING and value in (0, "0")):
            return ""
        if kind in LINKS:
            entity = _leads_to(column.field)
            texts = [self._pairs.get((entity, item_id), str(item_id)) for item_id in _ids(value)]
        else:
            texts = [self._words.text(column, one, item) for one in _several(value)]
        texts = [text for text in texts if text]
        several = column.field.multiple or (
            column.info is not None and column.info.multiple and kind is Kind.USER_FIELD
        )
        return form.join_values(texts) if several else "".join(texts[:1])


class _Words:
    """Values of the portal as cells: names where they are unique, else ids."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        emails = Counter(normal(user.email) for user in directory.users if user.email)
        self._users = {
            user.id: user.email if emails[normal(user.email)] == 1 else str(user.id) for user in directory.users
        }
        self._pipelines = _unique({pipeline.id: pipeline.name for pipeline in directory.pipelines})
        self._stages: dict[str, str] = {}
        for pipeline in directory.pipelines:
            self._stages |= _unique({stage.status_id: stage.name for stage in directory.stages_of(pipeline.id)})
        self._dictionaries = {name: _unique(rows) for name, rows in directory.dictionaries.items()}
        self._enumerations = {code: _unique(info.items) for code, info in directory.fields.items() if info.items}

    def text(self, column: Column, value: Any, item: Mapping[str, Any]) -> str:
        """One value of a column."""
        kind, info = column.field.kind, column.info
        if kind is Kind.USER_FIELD and info is not None:
            kind = _KIND_OF_USER_FIELD.get(info.type, Kind.TEXT)
            if info.type == "enumeration":
                return self._enumerations.get(column.name, {}).get(_integer(value), str(value))
        match kind:
            case Kind.USER | Kind.USERS:
                return self._users.get(_integer(value)) or str(value)
            case Kind.PIPELINE:
                return self._pipelines.get(_integer(value), str(value))
            case Kind.STAGE:
                return self._stages.get(str(value), str(value))
            case Kind.STATUS:
                dictionary = column.field.dictionary or str((info.settings if info else {}).get("ENTITY_TYPE") or "")
                return self._dictionaries.get(dictionary, {}).get(str(value), str(value))
            case Kind.MONEY | Kind.NUMBER | Kind.INTEGER:
                return _number(value)
            case Kind.BOOL:
                return "Y" if value in (True, "Y", "1", 1, "true") else "N"
            case Kind.DATE:
                return str(value)[:10]
            case _:
                return str(value)


_KIND_OF_USER_FIELD: Mapping[str, Kind] = {
    "employee": Kind.USER,
    "crm_status": Kind.STATUS,
    "integer": Kind.INTEGER,
    "double": Kind.NUMBER,
    "boolean": Kind.BOOL,
    "date": Kind.DATE,
    "datetime": Kind.DATETIME,
}


def _directory(client: PortalClient, number: int) -> Directory:
    """With users, where the webhook may see them: without them people are written as ids."""
    try:
        return read_directory(client, number)
    except PortalRefused as error:
        if not error.method.startswith("user"):
            raise
        return read_directory(client, number, users=False)


def _columns(entity: str, number: int, directory: Directory) -> list[Column]:
    """Every field that an import can fill, in the order of the mapping's table; then parents and user fields."""
    known = directory.fields
    found: list[Column] = []
    for name, one in entity_fields(entity).items():
        if name in OF_THIS_PORTAL_ONLY or name == form.PRODUCT_ROWS or product_field(name):
            continue
        if (entity, name) in TOLD_ELSEWHERE:
            continue
        if number < FIRST_SMART_PROCESS or one.api in known:
            found.append(Column(name, one, known.get(one.api)))
    for code, info in known.items():
        name = f"parent_id_{code.removeprefix('parentId')}" if code.startswith("parentId") else code
        special = find_field(entity, name) if name != code or code.startswith("UF_") else None
        if special is not None and info.type != "file":
            found.append(Column(name, special, info))
    return found


def _unique(names: Mapping[Any, str]) -> dict[Any, str]:
    """Names by id, without those that several ids share as people compare them."""
    counts = Counter(normal(name) for name in names.values())
    return {key: name for key, name in names.items() if counts[normal(name)] == 1 and name.strip() == name and name}


def _leads_to(link: Field) -> str:
    if link.kind is Kind.PARENT:
        return parent_entity(link.name)
    return "company" if link.kind in (Kind.COMPANY, Kind.COMPANIES) else "contact"


def _pair(row: Mapping[str, Any], dynamic: bool) -> tuple[str, str]:
    if dynamic:
        return "", str(row.get("xmlId") or "")
    origin_id = str(row.get("originId") or "")
    return (str(row.get("originatorId") or ""), origin_id) if origin_id else ("", "")


def _several(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else [value]


def _ids(value: Any) -> list[int]:
    return [number for one in _several(value) if (number := _integer(one))]


def _integer(value: Any) -> int:
    text = str(value).strip()
    return int(text) if text.lstrip("-").isdigit() else 0


def _number(value: Any) -> str:
    try:
        return format(Decimal(str(value)).normalize(), "f")
    except InvalidOperation:
        return str(value)


def write_table(out: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A .csv of UTF-8 or an .xlsx whose cells are all text."""
    if out.suffix.lower() != ".xlsx":
        with out.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return
    import xlsxwriter  # only where a workbook is written

    with closing(xlsxwriter.Workbook(out, {"constant_memory": True})) as book:
        sheet = book.add_worksheet("items")
        text = book.add_format({"num_format": "@"})
        for number, cells in enumerate(chain([header], rows)):
            for place, cell in enumerate(cells):
                if cell:
                    sheet.write_string(number, place, cell, text)
        sheet.freeze_panes(1, 1)
