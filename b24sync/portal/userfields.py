"""User fields: read whole, made, changed, deleted. Writing needs CRM administrator's rights.

Deals, leads, contacts and companies go by `crm.<object>.userfield.*` (scope crm); smart processes by
`userfieldconfig.*` (scope userfieldconfig too), where names carry the type's number: `UF_CRM_7_STATE`.
Docs: api-reference/crm/deals/user-defined-fields/*.md (the same for the others),
api-reference/crm/universal/userfieldconfig/*.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from b24sync.portal.pages import items_of
from b24sync.portal.words import is_yes
from b24sync.transport.protocol import Command

LANGUAGE = "ru"
LABELS = ("EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL")


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One value of an enumeration."""

    id: str
    value: str
    sort: int = 0
    default: bool = False
    xml_id: str = ""


@dataclass(frozen=True, slots=True)
class UserFieldRow:
    """A user field as the portal has it. `code` is the portal's full name; `settings` keep their upper case.

    `label` is empty where the portal does not tell it.
    """

    id: int
    code: str
    type: str
    label: str
    multiple: bool
    mandatory: bool
    in_filter: bool
    sort: int
    settings: Mapping[str, Any]
    values: tuple[ValueRow, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldHome:
    """Which object's fields: `deal` ..., or a smart process by its type's number."""

    entity: str
    type_id: int | None = None

    @property
    def prefix(self) -> str:
        """What every code of this object begins with."""
        return "UF_CRM_" if self.type_id is None else f"UF_CRM_{self.type_id}_"

    def portal_code(self, code: str) -> str:
        """A blueprint's UF_CRM_STATE -> this object's UF_CRM_7_STATE."""
        return self.prefix + code.removeprefix("UF_CRM_")

    def blueprint_code(self, code: str) -> str:
        return "UF_CRM_" + code.removeprefix(self.prefix)

    # -- commands ---------------------------------------------------------------------------------

    def list_command(self, start: int = 0) -> Command:
        """All fields of the object; labels come only with a language."""
        if self.type_id is None:
            params: dict[str, Any] = {"filter": {"LANG": LANGUAGE}, "order": {"ID": "ASC"}}
            return Command(f"crm.{self.entity}.userfield.list", {**params, "start": start} if start else params)
        return Command(
            "userfieldconfig.list",
            {
                "moduleId": "crm",
                "select": {"0": "*", "language": LANGUAGE},
                "filter": {"entityId": f"CRM_{self.type_id}"},
                "order": {"id": "ASC"},
                "start": start,
            },
        )

    def add_command(self, code: str, type_id: str, fields: Mapping[str, Any]) -> Command:
        """`fields` as `field_params` makes them. Takes longer the more items there are: before an import."""
        if self.type_id is None:
            return Command(
                f"crm.{self.entity}.userfield.add",
                {"fields": {"FIELD_NAME": code, "USER_TYPE_ID": type_id, "XML_ID": code, **fields}},
            )
        field = {
            "entityId": f"CRM_{self.type_id}",
            "fieldName": self.portal_code(code),
            "userTypeId": type_id,
            "xmlId": code,
            **_camel(fields),
        }
        return Command("userfieldconfig.add", {"moduleId": "crm", "field": field})

    def update_command(self, field_id: int, type_id: str, fields: Mapping[str, Any]) -> Command:
        """Only what `fields` names changes; enumeration elements that it does not mention stay."""
        if self.type_id is None:
            return Command(f"crm.{self.entity}.userfield.update", {"id": field_id, "fields": dict(fields)})
        # Without userTypeId the portal ignores `enum` (userfieldconfig-update.md).
        field = {"userTypeId": type_id, **_camel(fields)}
        return Command("userfieldconfig.update", {"moduleId": "crm", "id": field_id, "field": field})

    def delete_command(self, field_id: int) -> Command:
        """Deletes the field and its values in all items."""
        if self.type_id is None:
            return Command(f"crm.{self.entity}.userfield.delete", {"id": field_id})
        return Command("userfieldconfig.delete", {"moduleId": "crm", "id": field_id})

    def rows(self, result: Any, described: Mapping[str, Mapping[str, Any]]) -> list[UserFieldRow]:
        """The rows of a list answer. `described`: crm.item.fields by code, for labels and values."""
        found = [_row(row, described) for row in items_of(result)]
        # A portal that ignores the filter by object answers with the fields of all of them.
        return [row for row in found if row.code.startswith(self.prefix)]


def field_params(
    *,
    label: str | None = None,
    multiple: bool | None = None,
    mandatory: bool | None = None,
    in_filter: bool | None = None,
    sort: int | None = None,
    settings: Mapping[str, Any] | None = None,
    values: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """What is given, under the classic names. `values`: rows of LIST (ID, VALUE, SORT, DEF, XML_ID, DEL)."""
    flags = {"MULTIPLE": multiple, "MANDATORY": mandatory, "SHOW_FILTER": in_filter}
    fields: dict[str, Any] = {name: "Y" if flag else "N" for name, flag in flags.items() if flag is not None}
    if label is not None:
        fields.update(dict.fromkeys(LABELS, label))
    if sort is not None:
        fields["SORT"] = sort
    if settings:
        fields["SETTINGS"] = dict(settings)
    if values:
        fields["LIST"] = [dict(value) for value in values]
    return fields


_CAMEL = {
    "MULTIPLE": "multiple",
    "MANDATORY": "mandatory",
    "SHOW_FILTER": "showFilter",
    "SORT": "sort",
    "SETTINGS": "settings",
}
_CAMEL_VALUE = {"ID": "id", "VALUE": "value", "SORT": "sort", "DEF": "def", "XML_ID": "xmlId", "DEL": "del"}


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same for userfieldconfig.*, which takes labels by language and no labels of lists."""
    found = {_CAMEL[name]: value for name, value in fields.items() if name in _CAMEL}
    if "EDIT_FORM_LABEL" in fields:
        found["editFormLabel"] = {"ru": fields["EDIT_FORM_LABEL"], "en": fields["EDIT_FORM_LABEL"]}
    if "LIST" in fields:
        found["enum"] = [{_CAMEL_VALUE[key]: value for key, value in row.items()} for row in fields["LIST"]]
    return found


def _row(row: Mapping[str, Any], described: Mapping[str, Mapping[str, Any]]) -> UserFieldRow:
    def of(classic: str, camel: str) -> Any:
        return row[classic] if classic in row else row.get(camel)

    code = str(of("FIELD_NAME", "fieldName"))
    known = described.get(code, {})
    settings = of("SETTINGS", "settings")
    return UserFieldRow(
        int(of("ID", "id")),
        code,
        str(of("USER_TYPE_ID", "userTypeId")),
        _label(of("EDIT_FORM_LABEL", "editFormLabel"), known),
        is_yes(of("MULTIPLE", "multiple")),
        is_yes(of("MANDATORY", "mandatory")),
        # Written Y or N, read N, I, E or S (crm-deal-userfield-list.md).
        str(of("SHOW_FILTER", "showFilter") or "Y").upper() not in ("N", "FALSE", "0"),
        int(of("SORT", "sort") or 0),
        _settings(settings),
        tuple(_values(of("LIST", "enum") or known.get("items") or [])),
    )


def _label(given: Any, known: Mapping[str, Any]) -> str:
    """What the card shows, where the portal tells (title); else the label in our language, or in any."""
    title = str(known.get("title") or "")
    if title and not title.startswith("UF_"):
        return title
    if isinstance(given, Mapping):
        return str(given.get(LANGUAGE) or next((text for text in given.values() if text), ""))
    return str(given or "")


def _settings(given: Any) -> dict[str, Any]:
    """As they are written: a file's EXTENSIONS are a list, read back as {"pdf": true}."""
    found = dict(given) if isinstance(given, Mapping) else {}
    extensions = found.get("EXTENSIONS")
    if isinstance(extensions, Mapping):
        listed = list(extensions.values())
        found["EXTENSIONS"] = listed if all(isinstance(one, str) and one != "Y" for one in listed) else [*extensions]
    return found


def _values(rows: Any) -> list[ValueRow]:
    listed = list(rows.values()) if isinstance(rows, Mapping) else rows
    found = [
        ValueRow(
            str(row.get("ID") or row.get("id")),
            str(row.get("VALUE") if "VALUE" in row else row.get("value")),
            int(row.get("SORT") or row.get("sort") or index),
            is_yes(row.get("DEF") or row.get("def")),
            str(row.get("XML_ID") or row.get("xmlId") or ""),
        )
        for index, row in enumerate(listed)
    ]
    return sorted(found, key=lambda value: value.sort)
