"""From the `fields` of a call to stored values, for both dialects.

Docs: api-reference/crm/universal/crm-item-add.md (unknown names are dropped), import/crm-item-import.md (system fields,
multifields), tutorials/crm/how-to-edit-crm-objects/*.md (empty responsible person, clearing lists, files).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .communications import FM_FIELD, BadMultifield, classic_rows, fm_rows
from .entities import EntityType
from .fields import MULTIFIELD_TYPES, Field
from .items import Item
from .values import FieldFault

if TYPE_CHECKING:
    from ..portal import Portal


def item_fields(
    portal: Portal,
    entity: EntityType,
    fields: dict[str, Any],
    *,
    original: bool,
    user_id: int,
    importing: bool = False,
    held: Item | None = None,
) -> Item:
    """Stored values of `fields` of crm.item.add, update, import. `held` = the item updated. Raises FieldFault."""
    schema = portal.schemas[entity.id]
    names = schema.item_names(original, both=portal.switches.uf_names == "both")
    values: Item = {}
    for name, raw in fields.items():
        field = names.get(name)
        if field is None:
            continue
        if field.read_only:
            if not (importing and field.by_import):
                continue
            if not portal.planting and not portal.users[user_id].admin:
                raise FieldFault("invalid", field)
        if held is not None and _ignored_on_update(field, raw):
            continue
        values[field.code] = _file(portal, field, raw, held) if field.kind == "file" else portal.values.read(field, raw)
    if schema.multifields:
        _multifields(portal, fields, values, importing, held)
    return values


def _ignored_on_update(field: Field, raw: Any) -> bool:
    """An empty responsible person keeps the old one; [] does not clear a multiple list; webformId is set once."""
    if field.code == "assignedById":
        return raw in (None, "", 0, "0")
    if field.kind == "enumeration" and field.multiple:
        return raw in ([], "", None)
    return field.code == "webformId"


def _file(portal: Portal, field: Field, raw: Any, held: Item | None) -> Any:
    """Files: `{"id": n}` keeps a file of the field, another id drops it, what a multiple field does not name is gone.

    Docs: api-reference/files/how-to-update-files.md.
    """
    old = (held or {}).get(field.code) or []
    kept = {one["id"]: one for one in (old if isinstance(old, list) else [old])}
    if not field.multiple:
        if isinstance(raw, dict):
            return kept.get(_id_of(raw))
        return portal.values.read(field, raw)
    entries = list(raw.values()) if isinstance(raw, dict) else raw
    if entries in (None, ""):
        return []
    if not isinstance(entries, list):
        raise FieldFault("not_iterable", field, "string")
    found = [
        kept.get(_id_of(one)) if isinstance(one, dict) else portal.values.read_one_file(field, one) for one in entries
    ]
    return [one for one in found if one is not None]


def _id_of(raw: dict[str, Any]) -> int:
    text = str(raw.get("id", ""))
    return int(text) if text.isdigit() else 0


def _multifields(portal: Portal, fields: dict[str, Any], values: Item, importing: bool, held: Item | None) -> None:
    """`fm`, and in imports also PHONE, EMAIL, ... (crm-item-import.md shows them, the field tables do not)."""
    rows = list((held or {}).get("fm", []))
    form = portal.switches.import_multifields if importing else "fm"
    try:
        if "fm" in fields and form in ("fm", "both"):
            rows = values["fm"] = fm_rows(portal, fields["fm"], rows)
        for type_id in MULTIFIELD_TYPES:
            if type_id in fields and form in ("classic", "both"):
                rows = values["fm"] = classic_rows(portal, type_id, fields[type_id], rows)
    except BadMultifield as error:
        raise FieldFault("invalid", FM_FIELD, error.name) from error


def classic_fields(portal: Portal, entity: EntityType, fields: dict[str, Any], *, held: Item | None = None) -> Item:
    """Stored values of `fields` of crm.deal.add and its siblings. Raises FieldFault, BadMultifield."""
    schema = portal.schemas[entity.id]
    values: Item = {}
    for name, raw in fields.items():
        field = schema.classic.get(name)
        if field is None or field.read_only or field.classic_read_only:
            continue
        if held is not None and (field.immutable or (field.code == "assignedById" and raw in (None, "", 0, "0"))):
            continue
        values[field.code] = portal.values.read_classic(field, raw)
    if schema.multifields:
        rows = list((held or {}).get("fm", []))
        for type_id in MULTIFIELD_TYPES:
            if type_id in fields:
                rows = values["fm"] = classic_rows(portal, type_id, fields[type_id], rows)
    return values
