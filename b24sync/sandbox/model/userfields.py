"""User fields: definitions and their lists of values.

Docs: api-reference/crm/deals/user-defined-fields/*.md, api-reference/crm/universal/userfieldconfig/*.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .fields import Field

NAME_MAX_LEN = 50
NAME_CHARS = re.compile(r"[A-Z0-9_]+$")
TYPES: dict[str, str] = {
    "crm": "Привязка к элементам CRM",
    "crm_status": "Привязка к справочникам CRM",
    "money": "Деньги",
    "employee": "Привязка к сотруднику",
    "string": "Строка",
    "integer": "Целое число",
    "double": "Число",
    "datetime": "Дата со временем",
    "date": "Дата",
    "boolean": "Да/Нет",
    "file": "Файл",
    "enumeration": "Список",
    "url": "Ссылка",
    "address": "Адрес",
    "iblock_section": "Привязка к разделам инф. блоков",
    "iblock_element": "Привязка к элементам инф. блоков",
}
DEFAULT_SETTINGS: dict[str, dict[str, Any]] = {
    "string": {"SIZE": 20, "ROWS": 1, "REGEXP": "", "MIN_LENGTH": 0, "MAX_LENGTH": 0, "DEFAULT_VALUE": ""},
    "integer": {"SIZE": 20, "MIN_VALUE": 0, "MAX_VALUE": 0, "DEFAULT_VALUE": None},
    "double": {"PRECISION": 2, "SIZE": 20, "MIN_VALUE": 0, "MAX_VALUE": 0, "DEFAULT_VALUE": None},
    "boolean": {"DEFAULT_VALUE": 0, "DISPLAY": "CHECKBOX", "LABEL": ["", ""], "LABEL_CHECKBOX": ""},
    "date": {"DEFAULT_VALUE": {"TYPE": "NONE", "VALUE": ""}},
    "datetime": {"DEFAULT_VALUE": {"TYPE": "NONE", "VALUE": ""}, "USE_SECOND": "Y", "USE_TIMEZONE": "N"},
    "enumeration": {"DISPLAY": "LIST", "LIST_HEIGHT": 1, "CAPTION_NO_VALUE": "", "SHOW_NO_VALUE": "Y"},
    "url": {"POPUP": "Y", "SIZE": 20, "MIN_LENGTH": 0, "MAX_LENGTH": 0, "ROWS": 1},
    "money": {"DEFAULT_VALUE": ""},
    "crm": {"LEAD": "Y"},
    "crm_status": {"ENTITY_TYPE": ""},
    "file": {
        "SIZE": 20,
        "LIST_WIDTH": 0,
        "LIST_HEIGHT": 0,
        "MAX_SHOW_SIZE": 0,
        "MAX_ALLOWED_SIZE": 0,
        "EXTENSIONS": [],
    },
}
LABELS = ("EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL", "ERROR_MESSAGE", "HELP_MESSAGE")


@dataclass(slots=True)
class EnumValue:
    id: int
    value: str
    sort: int = 500
    default: bool = False
    xml_id: str = ""


@dataclass(slots=True)
class UserField:
    """One definition; labels are by language."""

    id: int
    entity_id: str
    name: str
    type: str
    xml_id: str | None = None
    sort: int = 100
    multiple: bool = False
    mandatory: bool = False
    show_filter: str = "N"
    show_in_list: bool = True
    edit_in_list: bool = True
    searchable: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    values: list[EnumValue] = field(default_factory=list)

    def label(self, which: str = "EDIT_FORM_LABEL", language: str = "ru") -> str:
        texts = self.labels.get(which, {})
        return texts.get(language) or texts.get("en") or ""

    def as_field(self) -> Field:
        """The same as a field of the entity type."""
        return Field(
            self.name,
            self.name,
            self.type,
            self.label() or self.name,
            required=self.mandatory,
            multiple=self.multiple,
            status_type=str(self.settings.get("ENTITY_TYPE", "")) if self.type == "crm_status" else "",
            settings=self.settings,
            enum_ids=frozenset(value.id for value in self.values),
            user_type=self.type,
        )


class UserFields:
    """All definitions; field ids and value ids run over all types, with gaps, so that nobody counts on 1, 2, 3."""

    def __init__(self) -> None:
        self._by_id: dict[int, UserField] = {}
        self._last_id = 300
        self._last_value_id = 40

    def __iter__(self) -> Iterator[UserField]:
        return iter(self._by_id.values())

    def get(self, field_id: int) -> UserField | None:
        return self._by_id.get(field_id)

    def of(self, entity_id: str) -> list[UserField]:
        return [item for item in self._by_id.values() if item.entity_id == entity_id]

    def find(self, entity_id: str, name: str) -> UserField | None:
        return next((item for item in self.of(entity_id) if item.name == name), None)

    def add(self, entity_id: str, name: str, kind: str, **more: Any) -> UserField:
        self._last_id += 2
        given = more.pop("settings", None) or {}
        settings = {**DEFAULT_SETTINGS.get(kind, {}), **given}
        if kind == "crm" and given:
            settings = dict(given)
        created = UserField(self._last_id, entity_id, name, kind, settings=settings, **more)
        self._by_id[created.id] = created
        return created

    def delete(self, user_field: UserField) -> None:
        del self._by_id[user_field.id]

    def add_value(self, user_field: UserField, value: str, **more: Any) -> EnumValue:
        """Append a list element; its XML_ID is an md5 when none is given (crm-deal-userfield-add.md)."""
        self._last_value_id += 2
        xml_id = more.pop("xml_id", "") or hashlib.md5(f"{self._last_value_id}{value}".encode()).hexdigest()
        created = EnumValue(self._last_value_id, value, xml_id=xml_id, **more)
        user_field.values.append(created)
        user_field.values.sort(key=lambda item: (item.sort, item.id))
        return created


def item_name(name: str) -> str:
    """Name of a user field in the item dialect (api-reference/crm/universal/index.md).

    UF_CRM_3_DIGIT -> ufCrm3Digit, UF_CRM_3_1747309727 -> ufCrm3_1747309727, mixed letters and digits
    keep all but the prefix: UF_CRM_1747309879 -> ufCrm_1747309879, UF_CRM_3_DIGIT10 -> ufCrm_3_DIGIT10.
    """
    match = re.match(r"UF_CRM_(?:(\d+)_)?(.+)$", name)
    if match is None:
        return name
    number, rest = match[1] or "", match[2]
    if re.fullmatch(r"[A-Z_]+", rest):
        return f"ufCrm{number}" + "".join(part.capitalize() for part in rest.split("_"))
    if number and re.fullmatch(r"[0-9_]+", rest):
        return f"ufCrm{number}_{rest}"
    return "ufCrm_" + name.removeprefix("UF_CRM_")
