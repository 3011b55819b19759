"""Creating, changing and deleting items: the portal's own rules, the same for both dialects, import and people.

Docs: api-reference/crm/universal/crm-item-add.md (defaults), crm-item-update.md, import/index.md (dates),
api-reference/crm/crm-stage-history-list.md, api-reference/crm/deals/events/index.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from . import automation
from .activities import release
from .communications import search_key
from .dictionaries import PROCESS, Status
from .entities import COMPANY, CONTACT, DEAL, LEAD, EntityType
from .fields import Field
from .history import CREATED, FINISHED, MOVED, PIPELINE_CHANGED
from .items import Item
from .productrows import follows_rows, total_of
from .values import FieldFault

if TYPE_CHECKING:
    from ..portal import Portal

IMPORT, REST, CLASSIC, HAND, SYSTEM = "import", "rest", "classic", "hand", "system"
CLOSE_AFTER_DAYS = 7
SIMPLE = 2
"""Mode of a CRM without leads (crm-settings-mode-get.md)."""
NAMELESS = "Без имени"


@dataclass(frozen=True, slots=True)
class By:
    """Who does it and how: rest (crm.item.*), classic, import, hand (a person) or system (a process)."""

    user_id: int
    how: str = REST


class RequiredFault(FieldFault):
    """Fields without which the item is not saved; `names` are their titles."""

    def __init__(self, field: Field, names: list[str]) -> None:
        super().__init__("required", field)
        self.names = names


# -- create -----------------------------------------------------------------------------------
def create(portal: Portal, entity: EntityType, values: Item, by: By) -> Item:
    """Add an item. Raises FieldFault; nothing is stored then."""
    item = {code: value for code, value in values.items() if value is not None and value != []}
    store = portal.items[entity.id]
    now = int(portal.time())
    _defaults(portal, entity, item, by, now)
    stage = _first_stage(portal, entity, item, values)
    _bind(entity, item, values)
    _required(portal, entity, item, by)
    _moments(portal, entity, item, by, now, given=values)
    _stage_marks(portal, entity, item, stage)
    item["id"] = store.next_id()
    _names(entity, item)
    store.insert(item)
    _index_communications(portal, entity, item, [])
    _mirror_links(portal, entity, item, [])
    _created_entry(portal, entity, item, stage, by, now)
    if by.how != IMPORT or portal.switches.import_events:
        _emit(portal, entity, "add", item["id"])
    if by.how != IMPORT:
        automation.run_on_create(portal, entity, item, by.user_id)
    if entity.id == LEAD and portal.switches.crm_mode == SIMPLE:
        _convert(portal, entity, item, by)
    return item


def _convert(portal: Portal, entity: EntityType, lead: Item, by: By) -> None:
    """Without leads in the CRM a new one is a deal at once, and is not to be read any more (crm/leads/index.md)."""
    named = {code: lead[code] for code in ("name", "lastName", "fm") if lead.get(code)}
    contacts = [create(portal, portal.types[CONTACT], named, By(by.user_id, SYSTEM))["id"]] if named else []
    kept = ("title", "opportunity", "isManualOpportunity", "currencyId", "sourceId", "comments", "assignedById")
    values = {code: lead[code] for code in (*kept, "companyId", "originatorId", "originId") if lead.get(code)}
    values["contactIds"] = [*lead.get("contactIds", []), *contacts]
    create(portal, portal.types[DEAL], values, By(by.user_id, SYSTEM))
    remove(portal, entity, dict(lead))
    portal.recycle_bin.pop()


def _defaults(portal: Portal, entity: EntityType, item: Item, by: By, now: int) -> None:
    schema = portal.schemas[entity.id]
    item.setdefault("assignedById", by.user_id)
    item.setdefault("opened", "Y")
    for code in ("typeId", "sourceId"):
        field = schema.by_code.get(code)
        if field is not None and code not in item:
            first = portal.dictionaries.first(field.status_type)
            if first is not None:
                item[code] = first.status_id
    if "currencyId" in schema.by_code:
        item.setdefault("currencyId", portal.base_currency)
    if "begindate" in schema.by_code:
        today = portal.day(now)
        item.setdefault("begindate", today.isoformat())
        item.setdefault("closedate", (today + timedelta(days=CLOSE_AFTER_DAYS)).isoformat())
    for field in schema.with_default:
        if field.code not in item:
            default = _user_field_default(portal, field, now)
            if default is not None:
                item[field.code] = default


def _user_field_default(portal: Portal, field: Field, now: int) -> Any:
    """SETTINGS.DEFAULT_VALUE; dates know NONE, NOW and FIXED (userfieldconfig-add.md)."""
    if field.kind in ("string", "integer", "double", "money", "url"):
        default = field.settings.get("DEFAULT_VALUE")
        return None if default in (None, "") or field.multiple else portal.values.read(field, default)
    if field.kind in ("date", "datetime"):
        rule = field.settings.get("DEFAULT_VALUE")
        if isinstance(rule, dict) and rule.get("TYPE") == "NOW":
            return portal.day(now).isoformat() if field.kind == "date" else now
        if isinstance(rule, dict) and rule.get("TYPE") == "FIXED" and rule.get("VALUE"):
            return portal.values.read(field, rule["VALUE"])
    if field.kind == "enumeration":
        return portal.default_enum_values(field)
    return None


def _first_stage(portal: Portal, entity: EntityType, item: Item, given: Item) -> Status | None:
    """The stage of a new item; puts categoryId and stageId into it."""
    schema = portal.schemas[entity.id]
    category_id = 0
    if "categoryId" in schema.by_code:
        category_id = _category(portal, entity, item)
        item["categoryId"] = category_id
    if not entity.has_stages:
        return None
    dictionary = entity.dictionary_of(category_id)
    wanted = given.get("stageId")
    stage = portal.dictionaries.find(dictionary, wanted) if wanted else portal.dictionaries.first(dictionary)
    if stage is None and portal.switches.foreign_stage_on_add == "first":
        stage = portal.dictionaries.first(dictionary)
    if stage is None:
        raise FieldFault("invalid", schema.by_code["stageId"])
    item["stageId"] = stage.status_id
    return stage


def _category(portal: Portal, entity: EntityType, item: Item) -> int:
    category_id = item.get("categoryId")
    if category_id is None:
        default = portal.pipelines.default(entity.id)
        return default.id if default is not None else 0
    known = portal.pipelines.get(entity.id, category_id) is not None
    if not known and (entity.has_categories or category_id != 0):
        raise FieldFault("invalid", portal.schemas[entity.id].by_code["categoryId"])
    return int(category_id)


def _bind(entity: EntityType, item: Item, given: Item) -> None:
    """Keep contactId / contactIds and companyId / companyIds of one mind: the first is the main one."""
    pairs = [("companyId", "companyIds")] if entity.id == CONTACT else [("contactId", "contactIds")]
    for one, many in pairs:
        if given.get(many) is not None:
            item[many] = list(dict.fromkeys(given[many]))
        elif given.get(one) is not None:
            item[many] = [given[one]]
        elif one in given or many in given:
            item[many] = []
        if many in item and entity.id != COMPANY:
            item[one] = item[many][0] if item[many] else None
    if entity.id == LEAD:
        item["isReturnCustomer"] = "Y" if item.get("companyId") or item.get("contactIds") else "N"
    for code in ("contactId", "companyId", "contactIds", "companyIds"):
        if code in item and not item[code]:
            del item[code]


def _required(portal: Portal, entity: EntityType, item: Item, by: By) -> None:
    if by.how in (HAND, SYSTEM):
        return
    schema = portal.schemas[entity.id]
    missing = [field for field in schema.mandatory if item.get(field.code) in (None, "", [])]
    if not portal.switches.check_mandatory_user_fields:
        missing = []
    title = schema.by_code.get("title")
    if title is not None and not item.get("title") and _title_required(portal, entity, by):
        missing.insert(0, title)
    if entity.id == CONTACT and by.how == CLASSIC and not (item.get("name") or item.get("lastName")):
        missing[:0] = [schema.by_code["name"], schema.by_code["lastName"]]
    if missing:
        raise RequiredFault(missing[0], [field.title for field in missing])


def _title_required(portal: Portal, entity: EntityType, by: By) -> bool:
    if entity.id == COMPANY:
        return by.how in (IMPORT, CLASSIC)
    return by.how == IMPORT and portal.switches.import_needs_title


def _moments(portal: Portal, entity: EntityType, item: Item, by: By, now: int, *, given: Item) -> None:
    """System fields: given by an import, else now and the caller. Raises FieldFault for times out of order."""
    fields = portal.schemas[entity.id].by_code
    created = item.setdefault("createdTime", now)
    if by.how == IMPORT:
        if portal.switches.import_updated_time == "created":
            item.setdefault("updatedTime", created)
        _check_moments(portal, entity, item, now, given)
    item.setdefault("updatedTime", now)
    item.setdefault("createdBy", by.user_id)
    item.setdefault("updatedBy", by.user_id)
    if "movedTime" in fields:
        item.setdefault("movedTime", created)
        item.setdefault("movedBy", item["createdBy"])
    item["lastActivityTime"] = created
    item["lastActivityBy"] = item["createdBy"]


def _check_moments(portal: Portal, entity: EntityType, item: Item, now: int, given: Item) -> None:
    """The date rules of import/index.md: ascending createdTime, nothing in the future, created <= moved <= updated."""
    fields = portal.schemas[entity.id].by_code
    created = item["createdTime"]
    updated = item.get("updatedTime", now)
    moved = item.get("movedTime", created)
    floor = portal.items[entity.id].max_created() if portal.switches.created_time_floor else 0
    if "createdTime" in given and (created > now or created < floor):
        raise FieldFault("invalid", fields["createdTime"])
    if updated > now or updated < created:
        raise FieldFault("invalid", fields["updatedTime"])
    if not created <= moved <= updated and "movedTime" in fields:
        raise FieldFault("invalid", fields["movedTime"])


def _names(entity: EntityType, item: Item) -> None:
    """Default titles: "Сделка #42" (crm-item-add.md); a contact without names gets one."""
    if entity.id == CONTACT:
        if not item.get("name") and not item.get("lastName"):
            item["name"] = NAMELESS
    elif not item.get("title"):
        item["title"] = f"{entity.title} #{item['id']}"


def _stage_marks(portal: Portal, entity: EntityType, item: Item, stage: Status | None) -> None:
    """What the portal derives from the stage: stageSemanticId, closed, isNew, dateClosed."""
    if stage is None:
        return
    fields = portal.schemas[entity.id].by_code
    closed = stage.group != PROCESS
    if "stageSemanticId" in fields:
        item["stageSemanticId"] = stage.group
    if "closed" in fields:
        item["closed"] = "Y" if closed else "N"
    if "isNew" in fields:
        item["isNew"] = "Y" if portal.dictionaries.first(stage.entity_id) is stage else "N"
    if "dateClosed" in fields:
        item["dateClosed"] = item.get("movedTime", int(portal.time())) if closed else None
        if not closed:
            del item["dateClosed"]


def _created_entry(portal: Portal, entity: EntityType, item: Item, stage: Status | None, by: By, now: int) -> None:
    if stage is None or (by.how == IMPORT and not portal.switches.import_history_row):
        return
    at = now
    if by.how == IMPORT:
        at = {"created": item["createdTime"], "moved": item["movedTime"]}.get(portal.switches.import_history_time, now)
    portal.history[entity.id].add(CREATED, item["id"], at, item.get("categoryId", 0), stage.group, stage.status_id)


# -- change -----------------------------------------------------------------------------------
def change(portal: Portal, entity: EntityType, item: Item, values: Item, by: By) -> bool:
    """Set fields of an item; False = nothing differed and nothing was saved. Raises FieldFault."""
    schema = portal.schemas[entity.id]
    wanted = dict(values)
    if wanted.get("categoryId") and not entity.has_categories:
        raise FieldFault("invalid", schema.by_code["categoryId"])
    stage = _next_stage(portal, entity, item, wanted, by)
    _follow_rows(portal, entity, item, wanted)
    draft = {**item, **wanted}
    _bind(entity, draft, wanted)
    for code in ("contactId", "contactIds", "companyId", "companyIds", "isReturnCustomer"):
        if code in schema.by_code and draft.get(code) != item.get(code):
            wanted[code] = draft.get(code)
    changes = {
        code: value for code, value in wanted.items() if not same(item.get(code), value, schema.by_code.get(code))
    }
    if not changes and by.how != CLASSIC:
        return False
    _check_change(portal, entity, item, changes, by)
    before = {code: item.get(code) for code in changes}
    _store_change(portal, entity, item, changes, stage, by)
    _after_change(portal, entity, item, before, stage, by)
    return True


def _follow_rows(portal: Portal, entity: EntityType, item: Item, wanted: Item) -> None:
    """Product rows overrule a sum that is not kept by hand (how-to-generate-edit-form-for-deal.md)."""
    rows = portal.product_rows.of((entity.id, item["id"]))
    if rows and follows_rows({**item, **wanted}) and {"opportunity", "isManualOpportunity"} & set(wanted):
        wanted["opportunity"] = total_of(rows)


def same(held: Any, value: Any, field: Field | None) -> bool:
    """Whether a write would change nothing; empty values are equal among themselves."""
    empty: tuple[Any, ...] = (None, "", [])
    if held in empty and value in empty:
        return True
    if held is None and field is not None and field.empty is not None:
        return bool(field.empty == value)
    return bool(held == value)


def _next_stage(portal: Portal, entity: EntityType, item: Item, wanted: Item, by: By) -> Status | None:
    """The stage entered by this change, None when it stays; puts the final stageId and categoryId into `wanted`.

    A stage of elsewhere becomes the first stage of the same group in the pipeline moved to
    (tutorials/crm/how-to-edit-crm-objects/how-to-generate-edit-form-for-deal.md); classic updates ignore it
    (api-reference/crm/deals/index.md).
    """
    if not entity.has_stages:
        wanted.pop("stageId", None)
        return None
    category_id = wanted.get("categoryId")
    if category_id is None:
        category_id = wanted["categoryId"] = item.get("categoryId", 0)
    if not entity.has_categories:
        wanted.pop("categoryId", None)
    moves = entity.has_categories and category_id != item.get("categoryId", 0)
    if moves:
        _category(portal, entity, wanted)
    asked = wanted.pop("stageId", None)
    dictionary = entity.dictionary_of(category_id)
    stage = portal.dictionaries.find(dictionary, asked) if asked else None
    if stage is None and moves:
        group = _group_of(portal, entity, asked or item.get("stageId", ""))
        stage = portal.dictionaries.first(dictionary, group) or portal.dictionaries.first(dictionary)
    if stage is None and asked and by.how != CLASSIC:
        raise FieldFault("invalid", portal.schemas[entity.id].by_code["stageId"])
    if stage is None or stage.status_id == item.get("stageId"):
        return None
    wanted["stageId"] = stage.status_id
    return stage


def _group_of(portal: Portal, entity: EntityType, stage_id: str) -> str:
    for pipeline in portal.pipelines.of(entity.id):
        stage = portal.dictionaries.find(entity.dictionary_of(pipeline.id), stage_id)
        if stage is not None:
            return stage.group
    return PROCESS


def _check_change(portal: Portal, entity: EntityType, item: Item, changes: Item, by: By) -> None:
    """Required fields: a contact keeps a name; user fields are checked when the stage changes inside a pipeline."""
    if by.how in (HAND, SYSTEM):
        return
    schema = portal.schemas[entity.id]
    after = {**item, **changes}
    if entity.id == CONTACT and not (after.get("name") or after.get("lastName")):
        raise RequiredFault(schema.by_code["name"], [schema.by_code["name"].title, schema.by_code["lastName"].title])
    if entity.id == COMPANY and "title" in changes and not after.get("title"):
        raise RequiredFault(schema.by_code["title"], [schema.by_code["title"].title])
    if "stageId" in changes and "categoryId" not in changes and portal.switches.check_mandatory_user_fields:
        missing = [field for field in schema.mandatory if after.get(field.code) in (None, "", [])]
        if missing:
            raise RequiredFault(missing[0], [field.title for field in missing])


def _store_change(portal: Portal, entity: EntityType, item: Item, changes: Item, stage: Status | None, by: By) -> None:
    now = int(portal.time())
    full = dict(changes)
    full["updatedTime"] = max(now, item["createdTime"])
    full["updatedBy"] = by.user_id
    if stage is not None and "movedTime" in portal.schemas[entity.id].by_code:
        full["movedTime"] = now
        full["movedBy"] = by.user_id
        if entity.is_dynamic:
            full["previousStageId"] = item.get("stageId")
    store = portal.items[entity.id]
    held = item.get("fm", [])
    linked = _links(entity, item)
    store.change(item, full)
    _stage_marks(portal, entity, item, stage)
    if "fm" in changes:
        _index_communications(portal, entity, item, held)
    _mirror_links(portal, entity, item, linked)


def _after_change(portal: Portal, entity: EntityType, item: Item, before: Item, stage: Status | None, by: By) -> None:
    """History row, event, automation."""
    moved_pipeline = "categoryId" in before
    category_id = item.get("categoryId", 0)
    if stage is not None:
        kind = PIPELINE_CHANGED if moved_pipeline else MOVED if stage.group == PROCESS else FINISHED
        portal.history[entity.id].add(kind, item["id"], int(portal.time()), category_id, stage.group, stage.status_id)
    if moved_pipeline and entity.id == DEAL:
        # instead of the update event, not beside it (api-reference/crm/deals/events/index.md)
        fields = {"ID": item["id"], "CATEGORY_ID": category_id, "STAGE_ID": item["stageId"]}
        portal.emit("ONCRMDEALMOVETOCATEGORY", {"FIELDS": fields})
    else:
        _emit(portal, entity, "update", item["id"])
    if by.how != SYSTEM:
        automation.run_on_update(portal, entity, item, by.user_id)


# -- delete -----------------------------------------------------------------------------------
@dataclass(slots=True)
class Deleted:
    """An item in the recycle bin with what went with it."""

    entity: EntityType
    item: Item
    product_rows: list[Item]
    activities: list[Item]
    comments: list[Item]


def remove(portal: Portal, entity: EntityType, item: Item) -> None:
    """Delete an item with its history, rows, activities, comments and waiting workflows (crm-deal-delete.md).

    Activities bound to other items too only lose this binding. People can take the item out of the recycle bin
    (`restore`); no method does that or shows the bin.
    """
    owner = (entity.id, item["id"])
    portal.recycle_bin.append(
        Deleted(
            entity,
            dict(item),
            portal.product_rows.take(owner),
            release(portal.activities, owner),
            release(portal.comments, owner),
        )
    )
    for requisite in portal.requisites.where(ENTITY_TYPE_ID=entity.id, ENTITY_ID=item["id"]):
        portal.requisites.remove(requisite)
    for address in portal.addresses.where(ANCHOR_TYPE_ID=entity.id, ANCHOR_ID=item["id"]):
        portal.addresses.remove(address)
    linked = _links(entity, item)
    held = item.get("fm", [])
    portal.items[entity.id].remove(item)
    gone = {**item, "fm": [], "contactIds": [], "companyIds": []}
    _index_communications(portal, entity, gone, held)
    _mirror_links(portal, entity, gone, linked)
    if entity.id in portal.history:
        portal.history[entity.id].forget(item["id"])
    portal.workflows.forget_document(f"{entity.document_type}_{item['id']}", portal.time())
    _emit(portal, entity, "delete", item["id"])


def restore(portal: Portal, entity: EntityType, item_id: int) -> Item:
    """Take an item out of the recycle bin by hand. Raises ValueError when it is not there.

    Its stage history is lost; it gets a new id unless the switch says that the old one is kept.
    """
    found = next((one for one in portal.recycle_bin if (one.entity.id, one.item["id"]) == (entity.id, item_id)), None)
    if found is None:
        raise ValueError(f"no {entity.name} {item_id} in the recycle bin")
    portal.recycle_bin.remove(found)
    item = found.item
    store = portal.items[entity.id]
    if not portal.switches.restored_item_keeps_id:
        item["id"] = store.next_id()
    store.insert(item)
    _index_communications(portal, entity, item, [])
    _mirror_links(portal, entity, item, [])
    portal.product_rows.put_back((entity.id, item["id"]), found.product_rows)
    for rows, kept in ((portal.activities, found.activities), (portal.comments, found.comments)):
        for row in kept:
            rows.put_back(row)
            rows.rebind(row, [(entity.id, item["id"])])
    _emit(portal, entity, "add", item["id"])
    return item


# -- shared -----------------------------------------------------------------------------------
def _emit(portal: Portal, entity: EntityType, action: str, item_id: int) -> None:
    if entity.is_dynamic:
        data = {"FIELDS": {"ID": item_id, "ENTITY_TYPE_ID": entity.id}}
        portal.emit(entity.event(action), data)
        # a subscription to one smart process has its own event code (api-reference/crm/universal/events/index.md)
        portal.emit(f"{entity.event(action)}_{entity.id}", data)
    else:
        portal.emit(entity.event(action), {"FIELDS": {"ID": item_id}})


def _index_communications(portal: Portal, entity: EntityType, item: Item, held: list[dict[str, Any]]) -> None:
    """Keep the search by phone and e-mail and the has... flags."""
    if not portal.schemas[entity.id].multifields:
        return
    rows = item.get("fm", [])
    if not rows and not held:
        return
    index = portal.items[entity.id].communications
    for row in held:
        index.get(search_key(row["typeId"], row["value"]), set()).discard(item["id"])
    for row in rows:
        index.setdefault(search_key(row["typeId"], row["value"]), set()).add(item["id"])
    kinds = {row["typeId"] for row in rows}
    item["hasPhone"] = "Y" if "PHONE" in kinds else "N"
    item["hasEmail"] = "Y" if "EMAIL" in kinds else "N"


def _links(entity: EntityType, item: Item) -> list[int]:
    code = {CONTACT: "companyIds", COMPANY: "contactIds"}.get(entity.id)
    return list(item.get(code, ())) if code else []


def _mirror_links(portal: Portal, entity: EntityType, item: Item, before: list[int]) -> None:
    """A contact's companies and a company's contacts are one relation seen from two sides."""
    if entity.id not in (CONTACT, COMPANY):
        return
    after = _links(entity, item)
    if after == before:
        return
    other_id, code = (COMPANY, "contactIds") if entity.id == CONTACT else (CONTACT, "companyIds")
    store = portal.items[other_id]
    for linked_id in {*before, *after}:
        other = store.get(linked_id)
        if other is None:
            continue
        ids = [one for one in other.get(code, ()) if one != item["id"] or linked_id in after]
        if linked_id in after and item["id"] not in ids:
            ids.append(item["id"])
        changes: Item = {code: ids}
        if other_id == CONTACT:
            changes["companyId"] = ids[0] if ids else None
        store.change(other, changes)
