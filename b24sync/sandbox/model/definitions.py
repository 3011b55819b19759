"""Defining user fields: the checks and texts shared by crm.*.userfield.* and userfieldconfig.*.

Docs: api-reference/crm/deals/user-defined-fields/crm-deal-userfield-add.md (errors), crm-deal-userfield-update.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .userfields import LABELS, NAME_CHARS, NAME_MAX_LEN, TYPES, UserField

if TYPE_CHECKING:
    from ..portal import Portal

CODE_PREFIX = "UF_CRM_"


class BadDefinition(Exception):
    """A definition that the portal refuses, with its code ("" or ERROR_CORE) and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def prefixed(name: str) -> str:
    """REGION -> UF_CRM_REGION, UF_REGION -> UF_CRM_REGION (crm-deal-userfield-add.md)."""
    upper = name.strip().upper()
    if upper.startswith(CODE_PREFIX):
        return upper
    return CODE_PREFIX + upper.removeprefix("UF_")


def check_name(portal: Portal, entity_id: str, name: str) -> None:
    """Raises BadDefinition for a name that is too long, has other characters or is taken."""
    if len(name) > NAME_MAX_LEN:
        raise BadDefinition("ERROR_CORE", "Имя поля слишком длинное (больше 50-ти символов).")
    if not NAME_CHARS.match(name):
        raise BadDefinition("ERROR_CORE", "Имя поля содержит недопустимые символы. Допустимыми являются: A-Z, 0-9 и _.")
    if portal.user_fields.find(entity_id, name) is not None:
        text = f"Поле {name} для объекта {entity_id} уже существует."
        raise BadDefinition(portal.switches.duplicate_user_field_code, text)


def check_values(values: list[dict[str, Any]], key: str = "XML_ID") -> None:
    """XML_ID must be unique in a list. Raises BadDefinition."""
    seen: set[str] = set()
    for value in values:
        xml_id = str(value.get(key) or "")
        if xml_id and xml_id in seen:
            raise BadDefinition("ERROR_CORE", f"Элемент списка со значением XML_ID={xml_id} уже существует.")
        seen.add(xml_id)


def labels_of(row: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Labels by kind and language; LABEL goes into all of them, a bare text into every language."""
    found: dict[str, dict[str, str]] = {}
    for which in LABELS:
        given = row.get(which) or row.get("LABEL")
        if isinstance(given, dict):
            found[which] = {str(language): str(text) for language, text in given.items()}
        elif given:
            found[which] = {"ru": str(given), "en": str(given)}
    return found


def yes(raw: Any, default: bool = False) -> bool:
    return default if raw in (None, "") else str(raw).upper() in ("Y", "1", "TRUE")


def show_filter(raw: Any) -> str:
    """Written Y/N, read back N/I/E/S."""
    text = str(raw or "N").upper()
    return text if text in ("I", "E", "S") else "I" if text == "Y" else "N"


def listed(raw: Any) -> list[dict[str, Any]]:
    """LIST as a list of rows, whatever way PHP sent it."""
    entries = list(raw.values()) if isinstance(raw, dict) else raw
    return [dict(one) for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []


def define_user_field(portal: Portal, entity_id: str, row: dict[str, Any]) -> UserField:
    """Create a user field from the keys of crm.deal.userfield.add. Raises BadDefinition."""
    name = prefixed(str(row.get("FIELD_NAME") or ""))
    kind = str(row.get("USER_TYPE_ID") or "")
    if not str(row.get("FIELD_NAME") or "").strip():
        raise BadDefinition("", "The 'FIELD_NAME' field is not found.")
    if not kind:
        raise BadDefinition("", "The 'USER_TYPE_ID' field is not found.")
    check_name(portal, entity_id, name)
    if kind not in TYPES:
        raise BadDefinition("ERROR_CORE", "Указан неверный пользовательский тип.")
    values = listed(row.get("LIST"))
    check_values(values)
    created = portal.user_fields.add(
        entity_id,
        name,
        kind,
        xml_id=row.get("XML_ID") or None,
        sort=int(row.get("SORT") or 100),
        # a boolean cannot be multiple (crm-userfield-types.md)
        multiple=yes(row.get("MULTIPLE")) and kind != "boolean",
        mandatory=yes(row.get("MANDATORY")),
        show_filter=show_filter(row.get("SHOW_FILTER")),
        show_in_list=yes(row.get("SHOW_IN_LIST"), True),
        edit_in_list=yes(row.get("EDIT_IN_LIST"), True),
        searchable=yes(row.get("IS_SEARCHABLE")),
        settings=row.get("SETTINGS") if isinstance(row.get("SETTINGS"), dict) else {},
        labels=labels_of(row),
    )
    if kind == "enumeration":
        for value in values:
            add_value(portal, created, value)
    portal.rebuild_schemas()
    return created


def add_value(portal: Portal, user_field: UserField, value: dict[str, Any]) -> None:
    portal.user_fields.add_value(
        user_field,
        str(value.get("VALUE") or ""),
        sort=int(value.get("SORT") or 500),
        default=yes(value.get("DEF")),
        xml_id=str(value.get("XML_ID") or ""),
    )


def change_user_field(portal: Portal, user_field: UserField, row: dict[str, Any]) -> None:
    """Change a definition; FIELD_NAME, USER_TYPE_ID and MULTIPLE stay. Raises BadDefinition."""
    user_field.labels.update(labels_of(row))
    if "MANDATORY" in row:
        user_field.mandatory = yes(row["MANDATORY"])
    if "SHOW_FILTER" in row:
        user_field.show_filter = show_filter(row["SHOW_FILTER"])
    if "SHOW_IN_LIST" in row:
        user_field.show_in_list = yes(row["SHOW_IN_LIST"])
    if "EDIT_IN_LIST" in row:
        user_field.edit_in_list = yes(row["EDIT_IN_LIST"])
    if "SORT" in row:
        user_field.sort = int(row["SORT"] or 100)
    if "XML_ID" in row:
        user_field.xml_id = row["XML_ID"] or None
    if isinstance(row.get("SETTINGS"), dict):
        user_field.settings.update(row["SETTINGS"])
    if user_field.type == "enumeration" and "LIST" in row:
        change_values(portal, user_field, listed(row["LIST"]))
    portal.rebuild_schemas()


def change_values(portal: Portal, user_field: UserField, rows: list[dict[str, Any]]) -> None:
    """With ID changes or deletes an element, without adds one; elements not mentioned stay."""
    check_values(rows)
    for row in rows:
        held = next((value for value in user_field.values if str(value.id) == str(row.get("ID") or "")), None)
        if held is None:
            if str(row.get("VALUE") or ""):
                _check_xml_id(user_field, str(row.get("XML_ID") or ""))
                add_value(portal, user_field, row)
        elif yes(row.get("DEL")):
            user_field.values.remove(held)
        else:
            held.value = str(row.get("VALUE") or held.value)
            held.sort = int(row.get("SORT") or held.sort)
            held.default = yes(row.get("DEF"), held.default)
            held.xml_id = str(row.get("XML_ID") or held.xml_id)
    user_field.values.sort(key=lambda value: (value.sort, value.id))


def _check_xml_id(user_field: UserField, xml_id: str) -> None:
    if xml_id and any(value.xml_id == xml_id for value in user_field.values):
        raise BadDefinition("ERROR_CORE", f"Элемент списка со значением XML_ID={xml_id} уже существует.")


def drop_user_field(portal: Portal, user_field: UserField) -> None:
    """Delete a definition with its values in all items."""
    portal.user_fields.delete(user_field)
    for entity in portal.types.values():
        if entity.uf_entity == user_field.entity_id:
            for item in portal.items[entity.id]:
                item.pop(user_field.name, None)
    portal.rebuild_schemas()
