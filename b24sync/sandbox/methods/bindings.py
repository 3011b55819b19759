"""Contacts of deals, leads and companies, companies of contacts: `crm.deal.contact.*` and its siblings.

Docs: api-reference/crm/deals/contacts/*.md, api-reference/crm/companies/contacts/*.md.
"""

from __future__ import annotations

from typing import Any

from ..model import saving
from ..model.entities import COMPANY, CONTACT, DEAL, LEAD
from ..model.items import Item
from ..registry import Answer, ApiError, Call, Handler, rest_method
from .arguments import argument, integer, is_yes, mapping, needs_classic_right, sequence

RELATIONS = (
    ("crm.deal.contact", DEAL, "contactIds", CONTACT, "CONTACT_ID"),
    ("crm.lead.contact", LEAD, "contactIds", CONTACT, "CONTACT_ID"),
    ("crm.company.contact", COMPANY, "contactIds", CONTACT, "CONTACT_ID"),
    ("crm.contact.company", CONTACT, "companyIds", COMPANY, "COMPANY_ID"),
)


class Relation:
    """One kind of binding. The first id is the primary one; SORT is (place + 1) * 10."""

    def __init__(self, owner_type: int, code: str, target_type: int, key: str) -> None:
        self.owner_type = owner_type
        self.code = code
        self.target_type = target_type
        self.key = key

    def owner(self, call: Call) -> Item:
        item_id = integer(argument(call, "id"))
        if item_id is None or item_id <= 0:
            raise ApiError("", "The parameter 'ownerEntityID' is invalid or not defined.")
        item = call.portal.items[self.owner_type].get(item_id)
        if item is None:
            raise ApiError("", "Not found.")
        return item

    def target(self, call: Call, entry: Any) -> int:
        target_id = integer(mapping(entry).get(self.key))
        if target_id is None or target_id <= 0:
            raise ApiError("", "The parameter 'fields' is not valid.")
        if call.portal.items[self.target_type].get(target_id) is None:
            raise ApiError("", "Not found.")
        return target_id

    def save(self, call: Call, item: Item, ids: list[int]) -> None:
        needs_classic_right(call, "update")
        entity = call.portal.types[self.owner_type]
        saving.change(call.portal, entity, item, {self.code: ids}, saving.By(call.user_id))

    def add(self, call: Call) -> Answer:
        """false when it is bound already."""
        item = self.owner(call)
        entry = mapping(argument(call, "fields"))
        target_id = self.target(call, entry)
        ids = list(item.get(self.code, []))
        if target_id in ids:
            return Answer(False)
        ids = [target_id, *ids] if is_yes(entry.get("IS_PRIMARY")) else [*ids, target_id]
        self.save(call, item, ids)
        return Answer(True)

    def delete(self, call: Call) -> Answer:
        item = self.owner(call)
        target_id = integer(mapping(argument(call, "fields")).get(self.key))
        ids = list(item.get(self.code, []))
        if target_id not in ids:
            return Answer(False)
        self.save(call, item, [one for one in ids if one != target_id])
        return Answer(True)

    def items_get(self, call: Call) -> Answer:
        """Integers, as documented."""
        ids = self.owner(call).get(self.code, [])
        return Answer(
            [
                {self.key: one, "SORT": (place + 1) * 10, "ROLE_ID": 0, "IS_PRIMARY": "N" if place else "Y"}
                for place, one in enumerate(ids)
            ]
        )

    def items_set(self, call: Call) -> Answer:
        """Replaces all; the first is primary unless one says so."""
        item = self.owner(call)
        entries = [mapping(entry) for entry in sequence(argument(call, "items"))]
        primary = [self.target(call, entry) for entry in entries if is_yes(entry.get("IS_PRIMARY"))]
        rest = [self.target(call, entry) for entry in entries if not is_yes(entry.get("IS_PRIMARY"))]
        self.save(call, item, list(dict.fromkeys([*primary, *rest])))
        return Answer(True)

    def items_delete(self, call: Call) -> Answer:
        self.save(call, self.owner(call), [])
        return Answer(True)

    def fields(self, _call: Call) -> Answer:
        kinds = {self.key: "integer", "SORT": "integer", "ROLE_ID": "integer", "IS_PRIMARY": "char"}
        return Answer(
            {
                name: {
                    "type": kind,
                    "isRequired": name == self.key,
                    "isReadOnly": False,
                    "isMultiple": False,
                    "title": name,
                }
                for name, kind in kinds.items()
            }
        )


def register() -> None:
    for prefix, owner_type, code, target_type, key in RELATIONS:
        relation = Relation(owner_type, code, target_type, key)
        handlers: dict[str, Handler] = {
            "add": relation.add,
            "delete": relation.delete,
            "items.get": relation.items_get,
            "items.set": relation.items_set,
            "items.delete": relation.items_delete,
            "fields": relation.fields,
        }
        for name, handler in handlers.items():
            rest_method(f"{prefix}.{name}", scope="crm")(handler)


register()
