"""People of a portal by e-mail, and inviting one from outside (api-reference/user/)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from b24sync.errors import PortalRefused
from b24sync.portal.pages import items_of
from b24sync.portal.words import is_yes
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Refused
from b24sync.transport.protocol import BATCH_MAX_COMMANDS, Command

ADD = "user.add"
GET = "user.get"
EMPLOYEE, EXTRANET, MAIL = "employee", "extranet", "email"

EMAILS_PER_COMMAND = 25
"""Half a page, so that a page has room for a second account of an address."""

LIMIT_REACHED = "user_count_exceeded"
NO_RIGHT = "access_denied"
WORDS = frozenset({"wrong_email", LIMIT_REACHED, "no_extranet_field", "no_sonet_group_for_extranet", NO_RIGHT})
"""Descriptions of user.add that are machine words. Of a taken address only a localized sentence tells."""


@dataclass(frozen=True, slots=True)
class Account:
    """One user of a portal. `kind`: employee, extranet or email (writes by mail only); not active = dismissed."""

    id: int
    email: str
    kind: str
    active: bool


def accounts_by_email(client: PortalClient, emails: Iterable[str], *, kind: str | None = None) -> dict[str, Account]:
    """Accounts by address as `address` writes it. Cost: one request per 1,250 addresses.

    Mail users are shown only when asked for by `kind` (user-get.md). Of several accounts the active one counts.
    Raises PortalRefused without the scope user.
    """
    wanted = list(dict.fromkeys(email.strip() for email in emails))
    more = {"USER_TYPE": kind} if kind else {}
    rows = _rows(client, [{"EMAIL": piece, **more} for piece in _pieces(wanted)])
    found: dict[str, Account] = {}
    asked = {address(email) for email in wanted}
    for account in map(_account, rows):
        key = address(account.email)
        if key in asked and (key not in found or account.active > found[key].active):
            found[key] = account
    return found


def address(email: str) -> str:
    """An e-mail address as it is compared and kept as a key."""
    return email.strip().casefold()


def invite_command(email: str, *, name: str, last_name: str, company: str, group_ids: Sequence[int]) -> Command:
    """Invite somebody from outside into groups (user-add.md); the portal writes him an e-mail. The answer is his id."""
    return Command(
        ADD,
        {
            "EMAIL": email,
            "NAME": name,
            "LAST_NAME": last_name,
            "WORK_COMPANY": company,
            "EXTRANET": "Y",
            "SONET_GROUP_ID": list(group_ids),
        },
    )


def may_be_taken(code: str | None, text: str | None) -> bool:
    """Whether a refusal of user.add may mean that the address has an account: it is none of the machine words."""
    return code == "ERROR_ARGUMENT" and (text or "").strip() not in WORDS


def _pieces(wanted: Sequence[str]) -> list[Any]:
    """Values of a filter: each for itself as long as one request carries them, lists of them beyond."""
    if len(wanted) <= BATCH_MAX_COMMANDS:
        return list(wanted)
    return [list(wanted[start : start + EMAILS_PER_COMMAND]) for start in range(0, len(wanted), EMAILS_PER_COMMAND)]


def _rows(client: PortalClient, filters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    commands = {
        f"u{index:05d}": Command(GET, {"FILTER": dict(one), "sort": "ID", "order": "ASC", "ADMIN_MODE": "Y"})
        for index, one in enumerate(filters)
    }
    rows: list[dict[str, Any]] = []
    for answer in client.read_all(commands).values():
        if isinstance(answer, Refused):
            raise PortalRefused(GET, answer.code, answer.text, hint="The webhook needs the scope user.")
        rows += items_of(answer.result)
    return rows


def _account(row: Mapping[str, Any]) -> Account:
    kind = str(row.get("USER_TYPE") or (EMPLOYEE if row.get("UF_DEPARTMENT") else EXTRANET))
    return Account(int(row["ID"]), str(row.get("EMAIL") or ""), kind, is_yes(row.get("ACTIVE")))
