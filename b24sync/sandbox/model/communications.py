"""Phones, e-mails and other multifields: reading the forms of both dialects, searching by them.

Docs: api-reference/crm/data-types.md (types), api-reference/crm/contacts/crm-contact-update.md (classic rows),
tutorials/crm/how-to-edit-crm-objects/how-to-change-email-or-phone.md (fm).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .fields import MULTIFIELD_TYPES, Field

if TYPE_CHECKING:
    from ..portal import Portal

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+$")
DEFAULT_VALUE_TYPE = "WORK"
FM_FIELD = Field("fm", "", "crm_multifield", "Мультиполя", multiple=True)

Row = dict[str, Any]


class BadMultifield(ValueError):
    """A multifield that the portal refuses; `name` is PHONE, EMAIL, ... or fm."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def normal_phone(value: str) -> str:
    """Digits of a phone without its extension; the plus stays (crm-duplicate-find-by-comm.md: format matters)."""
    main = re.split(r"[;,]|доб|ext", value, maxsplit=1)[0]
    return re.sub(r"[^\d+]", "", main)


def search_key(type_id: str, value: str) -> tuple[str, str]:
    return (type_id, normal_phone(value) if type_id == "PHONE" else value.strip().lower())


def fm_rows(portal: Portal, raw: Any, held: list[Row]) -> list[Row]:
    """The rows after `fm` of crm.item.add / update: a list adds, a map changes by id, `nX` keys add.

    Raises BadMultifield.
    """
    rows = [dict(row) for row in held]
    if isinstance(raw, list):
        entries = [(f"n{index}", one) for index, one in enumerate(raw)]
    elif isinstance(raw, dict):
        entries = [(str(key), one) for key, one in raw.items()]
    elif portal.switches.fm_as_text == "refuse" and raw not in (None, ""):
        raise BadMultifield("fm")
    else:
        return rows
    for key, one in entries:
        if isinstance(one, dict):
            _apply(portal, rows, key, str(one.get("typeId") or ""), one.get("valueType"), one.get("value"))
    return rows


def _apply(portal: Portal, rows: list[Row], key: str, type_id: str, value_type: Any, value: Any) -> None:
    if not type_id:
        # a row without typeId is a success that does nothing (how-to-change-email-or-phone.md)
        return
    _check_type(portal, type_id)
    text = "" if value is None else str(value)
    row = next((row for row in rows if str(row["id"]) == key), None)
    if row is None:
        if text:
            rows.append(new_row(portal, type_id, value_type, text))
    elif text:
        check_value(type_id, text)
        row.update(value=text, valueType=str(value_type or row["valueType"]))
    else:
        rows.remove(row)


def _check_type(portal: Portal, type_id: str) -> None:
    if type_id not in MULTIFIELD_TYPES and portal.switches.fm_bad_type == "refuse":
        raise BadMultifield(type_id)


def new_row(portal: Portal, type_id: str, value_type: Any, value: str) -> Row:
    check_value(type_id, value)
    return {
        "id": portal.next_multifield_id(),
        "typeId": type_id,
        "valueType": str(value_type or DEFAULT_VALUE_TYPE),
        "value": value,
    }


def check_value(type_id: str, value: str) -> None:
    """E-mails must look like ones (api-reference/crm/contacts/crm-contact-add.md, ERROR_CORE)."""
    if type_id == "EMAIL" and not EMAIL.match(value.strip()):
        raise BadMultifield(type_id)


def classic_rows(portal: Portal, type_id: str, raw: Any, held: list[Row]) -> list[Row]:
    """The rows after `PHONE: [{ID?, VALUE, VALUE_TYPE, DELETE?}]`: with ID changes or deletes, without adds."""
    rows = [dict(row) for row in held]
    entries = list(raw.values()) if isinstance(raw, dict) else raw
    if isinstance(entries, str) and entries:
        entries = [{"VALUE": entries}]
    for one in entries if isinstance(entries, list) else ():
        entry = one if isinstance(one, dict) else {"VALUE": one}
        value = str(entry.get("VALUE") or "")
        row = next((row for row in rows if str(row["id"]) == str(entry.get("ID") or "")), None)
        if row is None:
            if value:
                rows.append(new_row(portal, type_id, entry.get("VALUE_TYPE"), value))
        elif not value or entry.get("DELETE") == "Y":
            rows.remove(row)
        else:
            check_value(type_id, value)
            row.update(value=value, valueType=str(entry.get("VALUE_TYPE") or row["valueType"]))
    return rows


FLAT = {
    "phone": ("PHONE", None),
    "phoneWork": ("PHONE", "WORK"),
    "phoneMobile": ("PHONE", "MOBILE"),
    "phoneMailing": ("PHONE", "MAILING"),
    "email": ("EMAIL", None),
    "emailHome": ("EMAIL", "HOME"),
    "emailWork": ("EMAIL", "WORK"),
    "emailMailing": ("EMAIL", "MAILING"),
    "imol": ("IM", "IMOL"),
}


def flat_aliases(rows: list[Row]) -> dict[str, str]:
    """First values by kind, "" where there is none (api-reference/crm/universal/crm-item-get.md)."""
    found = dict.fromkeys(FLAT, "")
    for name, (type_id, value_type) in FLAT.items():
        for row in rows:
            if row["typeId"] == type_id and value_type in (None, row["valueType"]):
                found[name] = row["value"]
                break
    return found
