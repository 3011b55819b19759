"""Companies, the contacts of their cards, and the field that carries a client group's id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from b24sync.portal.items import COMPANY, CONTACT, read_by_ids, walk
from b24sync.portal.pages import items_of
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done
from b24sync.transport.protocol import Command

GROUP_FIELD = "UF_CRM_B24SYNC_GROUP"
CONTACTS = "crm.company.contact.items.get"
UPDATE = "crm.item.update"
SELECT = ["title", "typeId", "assignedById", "contactIds", GROUP_FIELD]


@dataclass(frozen=True, slots=True)
class Company:
    """A company with what its group needs. `contact_ids`: those of its card, the responsible one first."""

    id: int
    title: str
    type_id: str
    owner_id: int
    contact_ids: tuple[int, ...]
    group_id: int | None


@dataclass(frozen=True, slots=True)
class Contact:
    """A person of a company; `email` is the first of the card, None without one."""

    id: int
    name: str
    last_name: str
    email: str | None

    @property
    def full_name(self) -> str:
        """First and last name; the id where there is neither."""
        return f"{self.name} {self.last_name}".strip() or f"contact {self.id}"


def companies_of_types(client: PortalClient, type_ids: Sequence[str]) -> list[Company]:
    """All companies of these types (COMPANY_TYPE), by id. Cost: one request per 2,500, and one per 50 whose row
    names no contact. Raises PortalRefused, PortalUnreachable.
    """
    return _with_contacts(client, list(walk(client, COMPANY, {"@typeId": list(type_ids)}, SELECT)))


def companies_by_id(client: PortalClient, ids: Sequence[int]) -> list[Company]:
    """Those of `ids` that exist. Cost: as of companies_of_types."""
    return _with_contacts(client, list(read_by_ids(client, COMPANY, ids, SELECT).values()))


def titles_shared(client: PortalClient, titles: Iterable[str]) -> set[str]:
    """Those of `titles` that more than one company has. Cost: one request per 50."""
    commands = {
        f"t{index:05d}": Command(
            "crm.item.list",
            {"entityTypeId": COMPANY, "filter": {"=title": title}, "select": ["id", "title"], "start": 0},
        )
        for index, title in enumerate(dict.fromkeys(titles))
    }
    shared = set()
    for name, answer in client.read_all(commands).items():
        if not isinstance(answer, Done) or len(items_of(answer.result)) > 1:
            shared.add(commands[name].params["filter"]["=title"])  # type: ignore[call-overload]
    return shared


def contacts_by_id(client: PortalClient, ids: Iterable[int]) -> dict[int, Contact]:
    """Contacts with their first e-mail. Cost: one request per 2,500.

    Multifields come only with `*` (crm/universal/crm-item-list.md), as `fm` or as flat aliases.
    """
    rows = read_by_ids(client, CONTACT, list(dict.fromkeys(ids)), ["*"])
    return {
        contact_id: Contact(contact_id, str(row.get("name") or ""), str(row.get("lastName") or ""), _email(row))
        for contact_id, row in rows.items()
    }


def set_group_command(company_id: int, group_id: int) -> Command:
    """Put a group's id into its company's card (crm/universal/crm-item-update.md)."""
    fields = {GROUP_FIELD: group_id}
    return Command(UPDATE, {"entityTypeId": COMPANY, "id": company_id, "fields": fields, "useOriginalUfNames": "Y"})


def group_ids(client: PortalClient, company_ids: Sequence[int]) -> dict[int, int | None]:
    """What the field holds now. Cost: one request per 2,500."""
    rows = read_by_ids(client, COMPANY, company_ids, [GROUP_FIELD])
    return {company_id: _number(row.get(GROUP_FIELD)) for company_id, row in rows.items()}


def _with_contacts(client: PortalClient, rows: Sequence[Mapping[str, Any]]) -> list[Company]:
    contacts = {int(row["id"]): [int(one) for one in row.get("contactIds") or []] for row in rows}
    # A row may come without the list: the bindings tell then (companies/contacts/crm-company-contact-items-get.md).
    commands = {f"c{one}": Command(CONTACTS, {"id": one}) for one, known in contacts.items() if not known}
    for name, answer in client.read_all(commands).items():
        if isinstance(answer, Done):
            contacts[int(name[1:])] = _in_order(items_of(answer.result))
    return [
        Company(
            int(row["id"]),
            str(row.get("title") or ""),
            str(row.get("typeId") or ""),
            int(row.get("assignedById") or 0),
            tuple(contacts[int(row["id"])]),
            _number(row.get(GROUP_FIELD)),
        )
        for row in rows
    ]


def _in_order(bindings: Sequence[Mapping[str, Any]]) -> list[int]:
    """Contact ids by SORT. IS_PRIMARY says little here: it is the contact's view, several may carry it (recorded)."""
    return [int(row["CONTACT_ID"]) for row in sorted(bindings, key=lambda row: int(row.get("SORT") or 0))]


def _email(row: Mapping[str, Any]) -> str | None:
    multifields = row.get("fm") or []
    for one in multifields.values() if isinstance(multifields, Mapping) else multifields:
        if str(one.get("typeId") or one.get("TYPE_ID")) == "EMAIL" and (value := _text(one, "value", "VALUE")):
            return value
    return _text(row, "email", "emailWork", "emailHome", "emailMailing", "emailOther")


def _text(row: Mapping[str, Any], *names: str) -> str | None:
    return next((text for name in names if (text := str(row.get(name) or "").strip())), None)


def _number(value: Any) -> int | None:
    return int(value) if str(value or "").isdigit() and int(value) else None
