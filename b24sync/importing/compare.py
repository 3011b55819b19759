"""What of a row differs from what the portal holds: the fields that an update has to send, and no other. Pure.

The portal writes values in another form than it takes them: dates as times, numbers as numbers or as text, empty
references as 0 or "" (api-reference/crm/universal/crm-item-get.md, crm/data-types.md). Two forms of one value are equal
here; what cannot be read as the field's type is compared as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from b24sync.importing.fields import MULTIFIELD_TYPES
from b24sync.importing.source import EXACT_DIGITS
from b24sync.portal.directory import FieldInfo
from b24sync.transport.protocol import plain

MULTIFIELDS = frozenset(MULTIFIELD_TYPES.values())
FM = "fm"
NOT_KEPT = "NOT_KEPT"
"""The portal answered that it took a value, and does not show it."""
IMPORT_ONLY = frozenset({"createdTime", "updatedTime", "movedTime", "createdBy", "updatedBy", "movedBy"})
"""Settable by import only, when an item is made (crm/universal/import/index.md)."""
IN_ORDER = frozenset({"contactIds", "companyIds"})
"""The first entry is the primary one (tutorials/crm/how-to-edit-crm-objects/how-to-make-contact-edit-card.md)."""

_PARAGRAPHS = re.compile(r"\[/?p\]|<br\s*/?>|</?p>", re.IGNORECASE)
_YES = frozenset({"y", "1", "true"})
_NUMBERS = frozenset({"double", "integer", "user", "employee", "enumeration"})


class Comparison:
    """Compares the fields of rows with items of the portal, by the types that `fields` gives them."""

    def __init__(self, fields: Mapping[str, FieldInfo], zone: ZoneInfo) -> None:
        self._fields = fields
        self._zone = zone

    def differences(self, wanted: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, Any]:
        """Those of `wanted` that `held` does not hold already, in the form that crm.item.update takes.

        Phones, e-mails and web addresses are only ever added: an address that is in the portal and not in the row stays
        (a plain list would add all of them again, tutorials/.../how-to-change-email-or-phone.md). A file that is there
        stays too, since its content cannot be compared.
        """
        changes: dict[str, Any] = {}
        for name, value in wanted.items():
            if name in IMPORT_ONLY or name in MULTIFIELDS or name in (FM, "productRows"):
                continue
            info = self._fields.get(name)
            if info is not None and info.type == "file":
                if _is_empty(held.get(name)):
                    changes[name] = value
            elif not self.same(name, value, held.get(name)):
                changes[name] = value
        lacking = _lacking_multifields(wanted, held.get(FM))
        if lacking:
            changes[FM] = added(lacking)
        return changes

    def same(self, name: str, wanted: Any, held: Any) -> bool:
        """Whether both are the same value of the field `name`."""
        if _is_empty(wanted) and _is_empty(held):
            return True
        info = self._fields.get(name)
        kind = info.type if info else ""
        if kind == "money" and not isinstance(wanted, list) and "|" not in str(wanted):
            held = str(held).partition("|")[0]  # a bare amount is in the base currency, whichever that is
        form = _FORMS.get(name) or _form_of(kind or _kind_of(wanted, held), self._zone)
        if isinstance(wanted, list) or isinstance(held, list):
            ours, theirs = [[form(one) for one in _as_list(value)] for value in (wanted, held)]
            if name in IN_ORDER and ours[:1] != theirs[:1]:
                return False
            return sorted(map(repr, ours)) == sorted(map(repr, theirs))
        return bool(form(wanted) == form(held))


def added(entries: Sequence[Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """Multifields to be added to an item, in the form of an update."""
    return {f"n{index}": entry for index, entry in enumerate(entries)}


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})


def _kind_of(*values: Any) -> str:
    """The kind of a field that the portal does not describe, by what stands in it."""
    numbers = [isinstance(one, int | float) for value in values for one in _as_list(value)]
    return "double" if any(numbers) else "string"


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return [] if _is_empty(value) else [value]


def _form_of(kind: str, zone: ZoneInfo) -> Callable[[Any], Any]:
    """How values of a type are made comparable."""

    def moment(value: Any) -> Any:
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            return _text(value)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()

    if kind in _NUMBERS or (kind.startswith("crm_") and kind not in ("crm_status", "crm_currency")):
        return _number
    if kind in ("boolean", "char"):
        return _flag
    return {"date": _day, "datetime": moment, "money": _money}.get(kind, _text)


def _number(value: Any) -> Any:
    try:
        return Decimal("0" if _is_empty(value) else str(value).strip()).normalize() + 0
    except InvalidOperation:
        return _text(value)


def _text(value: Any) -> str:
    return str(plain(value)).replace("\r\n", "\n").strip()


def _bare(value: Any) -> str:
    """A comment without the paragraphs and spaces that the portal's editor puts around it."""
    return " ".join(_PARAGRAPHS.sub(" ", _text(value)).split())


def _hundredths(value: Any) -> Any:
    """An amount, of which a portal may keep no more."""
    number = _number(value)
    small = isinstance(number, Decimal) and abs(number) < 10**EXACT_DIGITS
    return number.quantize(Decimal("0.01"), ROUND_HALF_UP) if small else number


_FORMS: Mapping[str, Callable[[Any], Any]] = {"comments": _bare, "opportunity": _hundredths}
"""Of fields whose type does not tell."""


def _flag(value: Any) -> bool:
    return str(value).strip().lower() in _YES


def _day(value: Any) -> str:
    return str(value).strip()[:10]


def _money(value: Any) -> Any:
    amount, _, currency = str(value).partition("|")
    return _number(amount), currency


def _lacking_multifields(wanted: Mapping[str, Any], held: Any) -> list[dict[str, str]]:
    """Entries of the row that the item lacks, as `fm` takes them: without typeId the portal does nothing."""
    there = {(str(row.get("typeId")), _address(str(row.get("value") or ""))) for row in _rows(held)}
    lacking = []
    for entry in multifields_of(wanted):
        mark = entry["typeId"], _address(entry["value"])
        if mark not in there:
            there.add(mark)
            lacking.append(entry)
    return lacking


def _rows(held: Any) -> list[Mapping[str, Any]]:
    return [row for row in _as_list(held) if isinstance(row, Mapping)]


def multifields_of(wanted: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row's phones, e-mails and web addresses as `fm` takes them, whichever of the two forms it has them in."""
    found = [
        {"typeId": str(row["typeId"]), "valueType": str(row["valueType"]), "value": str(row["value"])}
        for row in _rows(wanted.get(FM))
    ]
    for type_id in MULTIFIELD_TYPES.values():
        found += [
            {"typeId": type_id, "valueType": str(row["VALUE_TYPE"]), "value": str(row["VALUE"])}
            for row in _rows(wanted.get(type_id))
        ]
    return found


def _address(value: str) -> str:
    """A phone by its digits, anything else without regard to case."""
    folded = value.strip().casefold()
    digits = "".join(char for char in folded if char.isdigit())
    return digits if digits and not any(char.isalpha() or char in "@/" for char in folded) else folded


def not_kept(left: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    """What to say of values that were sent and that a portal's row does not show."""
    told = "; ".join(
        f'{name}: sent "{_short(value)}", shown "{_short(item.get(name))}"' for name, value in left.items()
    )
    return f"the portal took the update without an error, but does not show all of it: {told}"


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 80 else text[:79] + "…"
