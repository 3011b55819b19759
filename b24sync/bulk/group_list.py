"""What `groups list` shows: the groups of clients, and who of them was invited and has not accepted yet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from b24sync.bulk.group_plan import CONTACT_STEP, GROUP_STEP, PROCESS, by_company
from b24sync.portal.groups import Membership, groups_by_id, memberships
from b24sync.store.engine import Store
from b24sync.store.links import Link, Links
from b24sync.transport.client import PortalClient

MEMBER, PENDING, GONE = "member", "pending", "gone"


@dataclass(frozen=True, slots=True)
class ListedGroup:
    """One line of `groups list`. `people`: who of the client is meant to be in it, with member | pending | gone."""

    company_id: int
    company: str
    group_id: int
    group: str
    extranet: bool | None
    people: list[dict[str, str]]
    problem: str

    def as_dict(self) -> dict[str, Any]:
        """JSON shape of `groups list`."""
        return asdict(self)


def list_groups(client: PortalClient, store: Store, portal: str) -> list[ListedGroup]:
    """The groups of our links with the portal's present word on them. Cost: two requests per 50 groups.

    Raises PortalRefused, RetryLater.
    """
    links = by_company(Links(store, portal).of_process(PROCESS))
    ids = [int(link.portal_id) for rows in links.values() for link in rows if link.step == GROUP_STEP]
    present = groups_by_id(client, ids)
    known = memberships(client, present)
    found = []
    for company_id, rows in links.items():
        for link in rows:
            if link.step != GROUP_STEP:
                continue
            group = present.get(int(link.portal_id))
            people = [one for one in rows if one.step == CONTACT_STEP]
            found.append(
                ListedGroup(
                    company_id,
                    link.detail["title"],
                    int(link.portal_id),
                    group.name if group else link.detail["name"],
                    group.extranet if group else None,
                    [_person(one, known.get(int(link.portal_id))) for one in people],
                    link.detail["problem"] if group else "the group is not in the portal any more",
                )
            )
    return found


def _person(link: Link, known: Membership | None) -> dict[str, str]:
    user_id = int(link.portal_id)
    state = GONE
    if known is not None:
        state = MEMBER if user_id in known.members else PENDING if user_id in known.invited else GONE
    return {"user_id": link.portal_id, "email": str(link.detail["email"]), "state": state}
