"""Portals with clients: companies, their contacts, and what became of their groups, read from the sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox_process import SandboxProcess

COMPANY, CONTACT = 4, 3
CUSTOMER, SUPPLIER = "CUSTOMER", "SUPPLIER"
FIELD = "UF_CRM_B24SYNC_GROUP"
RESPONSIBLE = 5
USERS = [
    {"ID": RESPONSIBLE, "NAME": "Ольга", "LAST_NAME": "Смирнова", "EMAIL": "olga@example.ru", "UF_DEPARTMENT": [1]},
    {"ID": 6, "NAME": "Пётр", "LAST_NAME": "Иванов", "EMAIL": "petr@example.ru", "UF_DEPARTMENT": [1]},
]


@dataclass(frozen=True, slots=True)
class Client:
    """A company to be planted, with one contact per address; None = a contact without an e-mail."""

    title: str
    emails: tuple[str | None, ...] = ()
    type_id: str = CUSTOMER


def seed_of(clients: Sequence[Client], **more: Any) -> dict[str, Any]:
    """A seed with these clients, their contacts first; companies and contacts count from 1."""
    contacts: list[dict[str, Any]] = []
    companies: list[dict[str, Any]] = []
    for client in clients:
        ids = []
        for email in client.emails:
            fm = [{"typeId": "EMAIL", "valueType": "WORK", "value": email}] if email else []
            number = len(contacts) + 1
            person = {"name": f"Имя{number}", "lastName": f"Фамилия{number}", "fm": fm}
            contacts.append({"entityTypeId": CONTACT, "fields": person})
            ids.append(number)
        fields = {"title": client.title, "typeId": client.type_id, "assignedById": RESPONSIBLE, "contactIds": ids}
        companies.append({"entityTypeId": COMPANY, "fields": fields})
    return {"users": USERS, "items": [*contacts, *companies], **more}


def many(count: int) -> list[Client]:
    """Clients with a contact each; every fifth has the title of the one before, as happens in real portals."""
    return [
        Client(f"ООО «Клиент {number - (number % 5 == 0)}»", (f"c{number}@client.ru",))
        for number in range(1, count + 1)
    ]


def groups_of(sandbox: SandboxProcess) -> dict[int, list[dict[str, Any]]]:
    """Groups by the company whose mark they carry; those without a mark under 0."""
    found: dict[int, list[dict[str, Any]]] = {}
    for group in sandbox.state("groups"):
        marks = [word for word in str(group["keywords"] or "").split(",") if word.startswith("b24sync-company-")]
        found.setdefault(int(marks[0].rpartition("-")[2]) if marks else 0, []).append(group)
    return found


def guests_of(sandbox: SandboxProcess, group: Mapping[str, Any]) -> dict[str, str]:
    """Who from outside is in a group: role by e-mail, Z = invited."""
    people = {str(one["id"]): one for one in sandbox.state("users")}
    return {
        people[user_id]["email"]: role
        for user_id, role in group["members"].items()
        if people[user_id]["kind"] == "extranet"
    }


def field_values(sandbox: SandboxProcess) -> dict[int, int | None]:
    """What the cards of the companies say."""
    rows = sandbox.state("items", entityTypeId=COMPANY, select=f"id,{FIELD}")
    return {int(row["id"]): int(row[FIELD]) if row.get(FIELD) else None for row in rows}
