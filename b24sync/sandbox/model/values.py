"""Values of fields: from the wire into the store, and out in each dialect.

Stored: whole seconds for times, "YYYY-MM-DD" for dates, Y/N for flags, int or float for numbers, int for references.
Docs: api-reference/crm/data-types.md, api-reference/crm/universal/crm-item-add.md (typed answers, errors),
api-reference/crm/deals/crm-deal-get.md (text answers).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from sys import intern
from typing import TYPE_CHECKING, Any

from . import drive_links
from .fields import Field
from .moments import iso_day, iso_moment, parse_day, parse_moment
from .text import php_text

if TYPE_CHECKING:
    from ..portal import Portal

YES = frozenset({"Y", "y", "1", "true", "yes", "on"})
NO = frozenset({"N", "n", "0", "false", "no", "off", ""})
CRM_BINDING = re.compile(r"(L|D|C|CO|Q|SI|O|T[0-9a-f]+)_\d+$")
LINK_KINDS = frozenset(
    {"crm_company", "crm_contact", "crm_lead", "crm_deal", "crm_quote", "crm_entity", "crm_category", "location"}
)
INT_KINDS = frozenset({"integer", "user", "employee", "enumeration", "iblock_element", "iblock_section"}) | LINK_KINDS
PHP_TYPES = {str: "string", int: "integer", float: "double", bool: "boolean", type(None): "NULL"}


def flag_key(raw: Any) -> str:
    """`Y` or `N` of whatever a flag may be sent as. Raises ValueError."""
    if isinstance(raw, bool):
        return "Y" if raw else "N"
    text = str(raw)
    if text in YES:
        return "Y"
    if text in NO:
        return "N"
    raise ValueError(f"no flag: {text!r}")


class FieldFault(Exception):
    """A value that the portal does not take. `reason`: invalid | required | not_iterable."""

    def __init__(self, reason: str, field: Field, got: str = "") -> None:
        super().__init__(f"{reason}: {field.code}")
        self.reason = reason
        self.field = field
        self.got = got


class Values:
    """Reads and writes values by the kind of their field; switches decide where the documentation is silent."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self._readers: dict[str, Callable[[Field, Any], Any]] = {
            "string": self._line,
            "text": self._text,
            "char": self._text,
            "integer": self._integer,
            "double": self._double,
            "boolean": self._flag,
            "date": self._day,
            "datetime": self._moment,
            "user": self._user,
            "employee": self._user,
            "crm_status": self._status,
            "crm_currency": self._currency,
            "crm_category": self._integer,
            "crm_company": self._link,
            "crm_contact": self._link,
            "crm_lead": self._link,
            "crm_deal": self._link,
            "crm_quote": self._link,
            "crm_entity": self._link,
            "location": self._integer,
            "enumeration": self._enumeration,
            "crm": self._binding,
            "money": self._money,
            "file": self._file,
            "url": self._text,
            "address": self._text,
            "iblock_element": self._integer,
            "iblock_section": self._integer,
        }

    # -- in -----------------------------------------------------------------------------------
    def read(self, field: Field, raw: Any) -> Any:
        """The stored form of `raw`; None = empty. Raises FieldFault."""
        if not field.multiple:
            if isinstance(raw, (list, dict)) and field.kind != "file":
                raise FieldFault("invalid", field)
            return self._one(field, raw)
        if raw is None or raw == "" or raw is False:
            return []
        if isinstance(raw, dict):
            raw = list(raw.values())
        if not isinstance(raw, list):
            raise FieldFault("not_iterable", field, PHP_TYPES.get(type(raw), "string"))
        found = [self._one(field, value) for value in raw]
        return [value for value in found if value is not None]

    def _one(self, field: Field, raw: Any) -> Any:
        if raw is None or raw == "":
            return None
        reader: Callable[[Field, Any], Any] = self._readers.get(field.kind, self._text)
        try:
            return reader(field, raw)
        except (ValueError, OverflowError) as error:
            raise FieldFault("invalid", field) from error

    def _line(self, field: Field, raw: Any) -> str:
        text = php_text(raw)
        if field.is_user_field:
            self._check_length(field, text)
        elif field.max_len and len(text) > field.max_len:
            if self.portal.switches.long_strings == "refuse":
                raise FieldFault("invalid", field)
            text = text[: field.max_len]
        return text

    @staticmethod
    def _check_length(field: Field, text: str) -> None:
        max_len = int(field.settings.get("MAX_LENGTH") or 0)
        min_len = int(field.settings.get("MIN_LENGTH") or 0)
        if (max_len and len(text) > max_len) or len(text) < min_len:
            raise FieldFault("invalid", field)

    @staticmethod
    def _text(_field: Field, raw: Any) -> str:
        return php_text(raw)

    def _integer(self, field: Field, raw: Any) -> int:
        number = self._double(field, raw)
        return int(number)

    def _double(self, field: Field, raw: Any) -> int | float:
        try:
            # PHP knows no digit separators, Python does
            number = float(raw.replace("_", "?") if isinstance(raw, str) else raw)
        except (TypeError, ValueError):
            if self.portal.switches.bad_number == "zero":
                return 0
            raise
        if math.isnan(number) or math.isinf(number):
            raise FieldFault("invalid", field)
        precision = field.settings.get("PRECISION") if field.is_user_field and field.kind == "double" else None
        if precision is not None:
            number = round(number, int(precision))
        return int(number) if number.is_integer() else number

    @staticmethod
    def _flag(_field: Field, raw: Any) -> str:
        return flag_key(raw)

    @staticmethod
    def _day(_field: Field, raw: Any) -> str:
        return parse_day(raw)

    def _moment(self, _field: Field, raw: Any) -> int:
        return parse_moment(raw, self.portal.zone)

    def _user(self, field: Field, raw: Any) -> int | None:
        user_id = int(str(raw))
        if user_id == 0:
            return None
        user = self.portal.users.get(user_id)
        if user is None or (not user.active and self.portal.switches.dismissed_assignee == "refuse"):
            raise FieldFault("invalid", field)
        return user_id

    def _status(self, field: Field, raw: Any) -> str | None:
        text = php_text(raw)
        if field.code == "stageId" or not field.status_type:
            return text
        row = self.portal.dictionaries.find(field.status_type, text)
        if row is not None:
            return row.status_id
        rule = self.portal.switches.unknown_status_value
        if rule == "refuse":
            raise FieldFault("invalid", field)
        return text if rule == "keep" else None

    def _currency(self, field: Field, raw: Any) -> str:
        code = intern(str(raw))
        if code not in self.portal.currencies:
            raise FieldFault("invalid", field)
        return code

    def _link(self, field: Field, raw: Any) -> int | None:
        target = int(str(raw))
        if target == 0:
            return None
        store = self.portal.items.get(field.parent_type)
        if store is not None and target in store.items:
            return target
        rule = self.portal.switches.unknown_link_value
        if rule == "refuse":
            raise FieldFault("invalid", field)
        return target if rule == "keep" else None

    def _enumeration(self, field: Field, raw: Any) -> int | None:
        try:
            value_id = int(str(raw))
        except ValueError:
            value_id = -1
        if value_id in field.enum_ids:
            return value_id
        if value_id == 0:
            return None
        if self.portal.switches.unknown_enum_value == "refuse":
            raise FieldFault("invalid", field)
        return None

    @staticmethod
    def _binding(field: Field, raw: Any) -> str:
        text = str(raw)
        if not CRM_BINDING.match(text):
            raise FieldFault("invalid", field)
        return text

    def _money(self, field: Field, raw: Any) -> str | None:
        """`300|RUB`; a bare number gets the base currency, no amount clears, the code is not checked."""
        amount, _, currency = str(raw).partition("|")
        if not amount or not re.match(r"-?\d", amount):
            return None
        float(amount)
        return f"{amount}|{currency or self.portal.base_currency}"

    def _file(self, field: Field, raw: Any) -> dict[str, Any] | None:
        """`["name", base64]`; another wrapper silently leaves the field empty (files/how-to-upload-files.md)."""
        if isinstance(raw, list) and len(raw) == 2 and all(isinstance(part, str) for part in raw):
            return self.portal.keep_file(raw[0], raw[1])
        return None

    def read_one_file(self, field: Field, raw: Any) -> dict[str, Any] | None:
        """One new file of a multiple field."""
        return self._file(field, raw)

    def read_classic(self, field: Field, raw: Any) -> Any:
        """Like `read`; files come as `{"fileData": [name, base64]}` (files/how-to-upload-files.md)."""
        if field.kind != "file":
            return self.read(field, raw)
        entries = raw if field.multiple and isinstance(raw, list) else [raw]
        found = [
            self._file(field, entry["fileData"]) for entry in entries if isinstance(entry, dict) and "fileData" in entry
        ]
        kept = [one for one in found if one is not None]
        return kept if field.multiple else kept[0] if kept else None

    # -- out: item dialect --------------------------------------------------------------------
    def item_value(self, field: Field, stored: Any) -> Any:
        """As crm.item.* returns it: numbers as numbers, times as ISO text, empty as null (crm-item-add.md)."""
        if field.multiple:
            return [self._item_one(field, value) for value in stored or ()]
        if stored is None:
            return field.empty
        return self._item_one(field, stored)

    def _item_one(self, field: Field, stored: Any) -> Any:
        if field.kind == "datetime":
            return iso_moment(stored, self.portal.zone)
        if field.kind == "date":
            return iso_day(stored, self.portal.zone)
        if field.kind == "file":
            return self._file_value(stored)
        return stored

    def _file_value(self, stored: dict[str, Any]) -> dict[str, Any]:
        """`urlMachine` carries its own token and really answers (api-reference/files/index.md)."""
        path = f"/bitrix/services/main/ajax.php?action=crm.controller.item.getFile&fileId={stored['id']}"
        return {"id": stored["id"], "url": path, "urlMachine": drive_links.crm_file_url(self.portal, stored["id"])}

    # -- out: classic dialect -----------------------------------------------------------------
    def classic_value(self, field: Field, stored: Any) -> Any:
        """The value as classic methods return it: everything is text, empty dates are "" (crm-deal-get.md)."""
        if field.multiple:
            return [self._classic_one(field, value) for value in stored or ()]
        if stored is None:
            return self._classic_empty(field)
        return self._classic_one(field, stored)

    def _classic_one(self, field: Field, stored: Any) -> Any:
        kind = field.kind
        if kind == "double":
            return f"{stored:.2f}" if not field.is_user_field else php_text(stored)
        if kind == "datetime":
            return iso_moment(stored, self.portal.zone)
        if kind == "date":
            return iso_day(stored, self.portal.zone)
        if kind == "boolean" and field.is_user_field:
            return "1" if stored == "Y" else "0"
        if kind == "file":
            return self._file_value(stored)
        return str(stored)

    @staticmethod
    def _classic_empty(field: Field) -> Any:
        if field.kind in ("date", "datetime"):
            return ""
        if field.kind == "double" and not field.is_user_field:
            return "0.00"
        if field.is_user_field:
            return "0" if field.kind == "boolean" else ""
        if field.empty is None:
            return None
        return str(field.empty)
