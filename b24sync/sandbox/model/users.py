"""People of the portal and what each may do in the CRM.

Rights are those that methods name: read, add, update, delete, import, stage (move), settings, groups (create a
workgroup); administrators pass unless a right is taken away by name. `deal.add` narrows a right to one type, "own" to
items that one is responsible for, `pipelines` deals to some pipelines.
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

    def right(self, right: str, entity: str = "") -> Any:
        """A right as it is held: true, false or "own". `deal.update` goes before `update`; nobody's role is unlimited.

        `entity` is the name of a type: DEAL, COMPANY, DYNAMIC_1030.
        """
        named = f"{entity.lower()}.{right}"
        if entity and named in self.rights:
            return self.rights[named]
        if right in self.rights:
            return self.rights[right]
        return self.admin or EMPLOYEE_RIGHTS[right]

    def may(self, right: str, entity: str = "") -> bool:
        """Whether a right is held at all; one that is "own" is narrowed by `may_with`."""
        return bool(self.right(right, entity))

    def may_with(self, right: str, entity: str, item: dict[str, Any]) -> bool:
        """Whether a right is held for this item: "own" = he is responsible, and for deals his pipelines."""
        held = self.right(right, entity)
        if held == "own" and item.get("assignedById") != self.id:
            return False
        return bool(held) and (entity != "DEAL" or self.uses_pipeline(item.get("categoryId", 0)))

    def uses_pipeline(self, category_id: int) -> bool:
        """Whether the role opens a pipeline of deals; `rights.pipelines` lists them, without it all are open."""
        pipelines = self.rights.get("pipelines")
        return pipelines is None or category_id in pipelines

    def is_limited(self, entity: str) -> bool:
        """Whether there may be items of this type that he does not see."""
        return self.right("read", entity) is not True or (entity == "DEAL" and "pipelines" in self.rights)

    def get(self, key: str, default: Any = None) -> Any:
        """One key of the row of user.get that the kernel asks for: `ACTIVE`."""
        return self.active if key == "ACTIVE" else default


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
