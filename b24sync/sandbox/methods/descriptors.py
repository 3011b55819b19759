"""Descriptors of fields for `*.fields` of both dialects.

Docs: api-reference/crm/data-types.md#crm_rest_field_description, api-reference/crm/deals/crm-deal-fields.md.
"""

from __future__ import annotations

from typing import Any

from ..model.entities import EntityType
from ..model.fields import Field
from ..model.userfields import UserField
from ..portal import Portal

RECORDED: dict[str, dict[str, bool]] = {
    "opened": {"isRequired": False},
    "closed": {"isReadOnly": False},
    "lastActivityTime": {"isReadOnly": False},
    "lastActivityBy": {"isReadOnly": False},
}
"""Where recorded descriptors of the classic dialect differ from those of the item dialect."""


def flags(field: Field, *, immutable: bool) -> dict[str, Any]:
    return {
        "type": field.kind,
        "isRequired": field.required,
        "isReadOnly": field.read_only,
        "isImmutable": immutable,
        "isMultiple": field.multiple,
        "isDynamic": field.is_user_field,
    }


def definition_of(portal: Portal, entity: EntityType, field: Field) -> UserField | None:
    return portal.user_fields.find(entity.uf_entity, field.code) if field.is_user_field else None


def extras(portal: Portal, entity: EntityType, field: Field) -> dict[str, Any]:
    """statusType, settings, and for user fields labels and list elements (ids are texts)."""
    found: dict[str, Any] = {}
    if field.deprecated:
        found["isDeprecated"] = True
    if field.status_type:
        found["statusType"] = field.status_type
    elif field.code == "stageId" and entity.is_dynamic:
        default = portal.pipelines.default(entity.id)
        found["statusType"] = entity.dictionary_of(default.id if default else 0)
    if field.parent_type and not field.multiple and not field.deprecated:
        found["settings"] = {"parentEntityTypeId": field.parent_type}
    definition = definition_of(portal, entity, field)
    if definition is not None:
        if definition.type == "enumeration":
            found["items"] = elements(portal, definition)
        found["settings"] = dict(definition.settings)
        label = definition.label() or definition.name
        found.update(listLabel=label, formLabel=label, filterLabel=label)
    return found


def elements(portal: Portal, definition: UserField) -> list[dict[str, str]] | dict[str, dict[str, str]]:
    """The elements of a list field, each with its id as text."""
    rows = [{"ID": str(value.id), "VALUE": value.value} for value in definition.values]
    return {row["ID"]: row for row in rows} if portal.switches.enum_items_shape == "map" and rows else rows


def item_descriptor(portal: Portal, entity: EntityType, field: Field) -> dict[str, Any]:
    """Item dialect: the title of a user field is its label."""
    return {
        **flags(field, immutable=field.immutable and field.code != "categoryId"),
        **extras(portal, entity, field),
        "title": field.title,
        "upperName": field.upper_name,
    }


def classic_descriptor(portal: Portal, entity: EntityType, field: Field) -> dict[str, Any]:
    """Classic dialect: the title of a user field is its code, flags are of type char."""
    described = {**flags(field, immutable=field.immutable), **extras(portal, entity, field)}
    if field.kind == "boolean" and not field.is_user_field:
        described["type"] = "char"
    if field.kind == "text":
        described["type"] = "string"
    described.update(RECORDED.get(field.code, {}))
    described["isReadOnly"] = described["isReadOnly"] or field.classic_read_only
    described["title"] = field.code if field.is_user_field else field.title
    return described
