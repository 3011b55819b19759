"""People of the portal and what each may do in the CRM.

Rights are those that methods name: read, add, update, delete, import, stage (move), settings, groups (create a
workgroup); administrators pass unless a right is taken away by name.
Docs: api-reference/user/user-get.md, api-reference/crm/universal/import/index.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RIGHTS = ("read", "add", "update", "delete", "import", "stage", "settings", "groups")
EMPLOYEE_RIGHTS = {
    "read": True,
    "add": True,
    "update": True,
    "delete": True,
    "import": True,
    "stage": True,
    "settings": False,
    "groups": True,
}


@dataclass(slots=True)
class User:
    """One person. `kind`: employee | extranet | email (USER_TYPE of user.get).

    `confirmed` False = invited by e-mail and never been here.
    """

    id: int
    name: str = ""
    last_name: str = ""
    second_name: str = ""
    email: str = ""
    admin: bool = False
    active: bool = True
    confirmed: bool = True
    kind: str = "employee"
    position: str = ""
    departments: list[int] = field(default_factory=lambda: [1])
    registered: int = 0
    rights: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"{self.name} {self.last_name}".strip()

    def may(self, right: str) -> bool:
        """Whether a right is held at all (`read` may be "own": then it is held, and narrowed by `reads_only_own`)."""
        if right in self.rights:
            return bool(self.rights[right])
        return self.admin or EMPLOYEE_RIGHTS[right]

    def get(self, key: str, default: Any = None) -> Any:
        """One key of the row of user.get that the kernel asks for: `ACTIVE`."""
        return self.active if key == "ACTIVE" else default

    @property
    def reads_only_own(self) -> bool:
        """Sees only items that he is responsible for."""
        return self.rights.get("read") == "own"


class Users(dict[int, User]):
    """All people by id, in the order of their ids."""

    def add(self, user: User) -> User:
        self[user.id] = user
        return user

    def next_id(self) -> int:
        return max(self, default=0) + 2

    def by_email(self, email: str) -> User | None:
        """The person with this address, letter case aside."""
        wanted = email.strip().lower()
        return next((user for user in self.values() if user.email.lower() == wanted), None)
