"""What client groups need, read from the portal before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from b24sync.bulk.group_choice import ClientGroup, KnownGroups, choose, group_name, marked_for
from b24sync.config import GroupsConfig
from b24sync.errors import ConfigError
from b24sync.portal.companies import (
    GROUP_FIELD,
    Company,
    companies_by_id,
    companies_of_types,
    contacts_by_id,
    titles_shared,
)
from b24sync.portal.directory import Directory, nearest, normal, read_directory
from b24sync.portal.groups import (
    READ_ALL_FROM,
    Group,
    Membership,
    all_groups,
    groups_by_id,
    groups_named,
    memberships,
)
from b24sync.portal.items import COMPANY
from b24sync.portal.users import EMPLOYEE, EXTRANET, Account, accounts_by_email, address
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, Ledger
from b24sync.store.links import Link, Links
from b24sync.transport.client import PortalClient

PROCESS, ENTITY, GROUP_STEP, CONTACT_STEP = "client_group", "company", "group", "contact"
"""How links name what belongs to a client group."""


@dataclass(slots=True)
class GroupsPlan:
    """Every company of the configured types with its group; `left` tells of those that are no longer of them.

    `missing`: groups (ids by the ledger's key) that were made once and are not in the portal any more.
    """

    groups: list[ClientGroup]
    read_at: float
    members: list[int] = field(default_factory=list)
    memberships: dict[int, Membership] = field(default_factory=dict)
    links: dict[int, list[Link]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    lacks_field: bool = False

    def lines(self) -> list[str]:
        """What would be done, in words."""
        said = []
        for one in self.groups:
            acts = [] if one.group else [f"make group {one.name!r}"]
            if one.contact is not None and one.contact.email and not (one.barred or one.blocked):
                if one.account is None:
                    acts.append(f"invite {one.contact.email}")
                elif one.group is None or not self.is_in(one.group, one.account.id):
                    acts.append(f"add {one.contact.email}")
            if acts:
                said.append(f"{one.title}: {', '.join(acts)}")
        return said

    def is_in(self, group: Group, user_id: int) -> bool:
        """Whether a user is in a group or invited to it."""
        known = self.memberships.get(group.id)
        return known is not None and user_id in known.all


class GroupsReader:
    """Reads what a plan is made of. Cost: some eight requests for one company, some forty for a thousand."""

    def __init__(
        self, client: PortalClient, store: Store, portal: str, config: GroupsConfig, group_ledger: Ledger, users: Ledger
    ) -> None:
        self._client = client
        self._config = config
        self._links = Links(store, portal)
        self._ledger = group_ledger
        self._users = users

    def read(self, company_id: int | None, *, any_type: bool = False) -> GroupsPlan:
        """All companies of the configured types, or one; with `any_type` that one whatever its type.

        Raises ConfigError, PortalRefused, RetryLater.
        """
        read_at = self._client.clock.wall_s()
        directory = read_directory(self._client, COMPANY, users=False)
        types = _type_ids(self._config.company_types, directory)
        if company_id is None:
            companies = companies_of_types(self._client, types)
            linked = self._links.of_process(PROCESS)
        else:
            companies = companies_by_id(self._client, [company_id])
            linked = self._links.of_entities(PROCESS, ENTITY, [company_id])
            if not companies:
                raise ConfigError(f"Company {company_id} is not in the portal, or the webhook's user may not read it.")
        of_type = [company for company in companies if any_type or company.type_id in types]
        groups = [ClientGroup(company, group_name(self._config, company)) for company in of_type]
        plan = GroupsPlan(groups, read_at, links=by_company(linked), lacks_field=GROUP_FIELD not in directory.fields)
        plan.left = [_left(link) for link in linked if link.step == GROUP_STEP and link.entity_id not in _ids(of_type)]
        plan.members = self._members()
        self._find_groups(plan)
        self._find_people(plan)
        return plan

    def _members(self) -> list[int]:
        """Configured members -> ids. Raises ConfigError naming those who are no employees at work."""
        emails = [str(member) for member in self._config.members if "@" in str(member)]
        found = accounts_by_email(self._client, emails) if emails else {}
        employees = {key: account for key, account in found.items() if account.kind == EMPLOYEE and account.active}
        unknown = [email for email in emails if address(email) not in employees]
        if unknown:
            raise ConfigError(
                "[groups] members names people who are no employees:", [f"{email}: not found" for email in unknown]
            )
        return [
            employees[address(str(member))].id if "@" in str(member) else int(member) for member in self._config.members
        ]

    # -- groups -----------------------------------------------------------------------------------

    def _find_groups(self, plan: GroupsPlan) -> None:
        writes = self._ledger.states([str(one.company.id) for one in plan.groups])
        ids = {}
        for one in plan.groups:
            write = writes.get(str(one.company.id))
            ledgered = write.portal_id if write is not None and write.state == DONE else None
            linked = [link.portal_id for link in plan.links.get(one.company.id, []) if link.step == GROUP_STEP]
            known = [one.company.group_id, ledgered, *linked]
            ids[one.company.id] = list(dict.fromkeys(int(number) for number in known if number))
        known_groups = KnownGroups(self._groups(plan.groups, ids))
        by_hand = [one for one in plan.groups if known_groups.unmarked(one.name)]
        titles = titles_shared(self._client, [one.company.title for one in by_hand]) if by_hand else set()
        names = Counter(one.name for one in plan.groups)
        done = {key: str(write.portal_id) for key, write in writes.items() if write.state == DONE}
        plan.missing = {key: one_id for key, one_id in done.items() if int(one_id) not in known_groups.by_id}
        for one in plan.groups:
            shared = one.company.title in titles or names[one.name] > 1
            choose(one, known_groups, ids[one.company.id], shared_title=shared)
            one.kept = _kept(plan, one)

    def _groups(self, groups: Sequence[ClientGroup], ids: Mapping[int, Sequence[int]]) -> list[Group]:
        """Groups by id and by name; all of the portal's where that is cheaper, or where a company is without one."""
        wanted = {number for numbers in ids.values() for number in numbers}
        if len(groups) < READ_ALL_FROM:
            named = {group.id: group for group in groups_named(self._client, [one.name for one in groups])}
            found = {**named, **groups_by_id(self._client, wanted - named.keys())}
            marked = {marked_for(group) for group in found.values()}
            if all(one.company.id in marked for one in groups):
                return list(found.values())
        everything = {group.id: group for group in all_groups(self._client)}
        return list({**everything, **groups_by_id(self._client, wanted - everything.keys())}.values())

    # -- people -----------------------------------------------------------------------------------

    def _find_people(self, plan: GroupsPlan) -> None:
        open_ones = [one for one in plan.groups if not one.blocked]
        first = {one.company.id: one.company.contact_ids[0] for one in open_ones if one.company.contact_ids}
        contacts = contacts_by_id(self._client, first.values()) if first else {}
        for one in open_ones:
            one.contact = contacts.get(first.get(one.company.id, 0))
        emails = [one.contact.email for one in open_ones if one.contact and one.contact.email]
        accounts = self.accounts(emails)
        plan.memberships = memberships(self._client, [one.group.id for one in open_ones if one.group])
        for one in open_ones:
            if one.contact and one.contact.email:
                one.account = accounts.get(address(one.contact.email))

    def accounts(self, emails: Sequence[str]) -> dict[str, Account]:
        """Accounts by address: those that the portal shows, and those that we invited.

        A portal may not list people who were invited and never came.
        """
        found = accounts_by_email(self._client, emails) if emails else {}
        for key, write in self._users.states([address(email) for email in emails]).items():
            if key not in found and write.state == DONE and write.portal_id:
                found[key] = Account(int(write.portal_id), key, EXTRANET, active=True)
        return found


def _type_ids(wanted: Sequence[str], directory: Directory) -> list[str]:
    """Company types by id or by name -> ids. Raises ConfigError with the nearest names."""
    known = directory.dictionaries.get("COMPANY_TYPE")
    if known is None:
        return list(wanted)
    by_name = {normal(name): type_id for type_id, name in known.items()}
    found = {one: one if one in known else by_name.get(normal(one)) for one in wanted}
    problems = [
        f"{one!r} is no company type; nearest: {', '.join(nearest(one, [*known.values(), *known])) or 'none'}"
        for one, type_id in found.items()
        if type_id is None
    ]
    if problems:
        raise ConfigError("[groups] company_types does not fit the portal:", problems)
    return [type_id for type_id in found.values() if type_id is not None]


def _kept(plan: GroupsPlan, one: ClientGroup) -> tuple[str, int] | None:
    """Name and owner as we last set them in the group that the company has now."""
    for link in plan.links.get(one.company.id, []):
        if link.step == GROUP_STEP and one.group is not None and link.portal_id == str(one.group.id):
            return str(link.detail["name"]), int(link.detail["owner"])
    return None


def by_company(rows: Iterable[Link]) -> dict[int, list[Link]]:
    """Links of client groups, by company."""
    found: dict[int, list[Link]] = {}
    for link in rows:
        found.setdefault(link.entity_id, []).append(link)
    return found


def _ids(companies: Sequence[Company]) -> set[int]:
    return {company.id for company in companies}


def _left(link: Link) -> str:
    title = link.detail.get("title", "")
    return (
        f"company {link.entity_id} ({title}) is no longer of a configured type: its group {link.portal_id} stays as it "
        "is, with everybody in it"
    )
