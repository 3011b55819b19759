"""Which group is a company's: pure decisions over what was read. A wrong one would show one client to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from b24sync.config import GroupsConfig
from b24sync.portal.companies import Company, Contact
from b24sync.portal.groups import Group
from b24sync.portal.users import Account

MARK_PREFIX = "b24sync-company-"
NAME_MAX = 255


@dataclass(slots=True)
class ClientGroup:
    """A company, its group as far as there is one, and what became of it.

    `kept`: name and owner as we have set them, which tells what people changed since. `blocked`: the group is not to
    be touched. `barred`: nobody of the client can be let in. `problems` are what a person has to mend; `notes` are
    worth telling.
    """

    company: Company
    name: str
    contact: Contact | None = None
    group: Group | None = None
    account: Account | None = None
    kept: tuple[str, int] | None = None
    created: bool = False
    touched: bool = False
    invited: bool = False
    pending: bool = False
    blocked: bool = False
    barred: bool = False
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def guest(self) -> Account | None:
        """The client's account that belongs into the group."""
        return None if self.barred or self.blocked else self.account

    @property
    def title(self) -> str:
        """The company as messages name it."""
        return f"company {self.company.id} ({self.company.title})"


def mark(company_id: int) -> str:
    """The keyword that a company's group carries."""
    return f"{MARK_PREFIX}{company_id}"


def fill(pattern: str, company: Company) -> str:
    """`{company.title}` and `{company.id}` of a configured text, filled in."""
    return pattern.replace("{company.title}", company.title.strip()).replace("{company.id}", str(company.id))


def group_name(config: GroupsConfig, company: Company) -> str:
    """The group's name in one line, no longer than the portal keeps."""
    return " ".join(fill(config.name, company).split())[:NAME_MAX].strip()


def own_name(one: ClientGroup) -> str:
    """The name for a portal that refuses a second group of one name."""
    suffix = f" ({one.company.id})"
    return one.name[: NAME_MAX - len(suffix)] + suffix


def marked_for(group: Group) -> int | None:
    """The company whose mark a group carries."""
    for word in group.keywords:
        number = word.removeprefix(MARK_PREFIX)
        if number != word and number.isdigit():
            return int(number)
    return None


class KnownGroups:
    """Groups as they were read, by id, by mark and by name."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.by_id = {group.id: group for group in sorted(groups, key=lambda group: group.id)}
        self._marked: dict[int, list[Group]] = {}
        self._named: dict[str, list[Group]] = {}
        for group in self.by_id.values():
            company_id = marked_for(group)
            if company_id is not None:
                self._marked.setdefault(company_id, []).append(group)
            self._named.setdefault(group.name.strip(), []).append(group)

    def marked(self, company_id: int) -> list[Group]:
        """Groups that carry a company's mark, the oldest first: one, or a mistake of somebody's."""
        return self._marked.get(company_id, [])

    def unmarked(self, name: str) -> list[Group]:
        """Groups of this name that carry no company's mark: made by hand."""
        return [group for group in self._named.get(name, []) if marked_for(group) is None]


def choose(one: ClientGroup, known: KnownGroups, known_ids: Sequence[int], *, shared_title: bool) -> None:
    """Set `one.group` where the company has one.

    In this order: a group that carries its mark; the one whose id its card or our ledger names (`known_ids`),
    unless it carries another company's mark; one made by hand under exactly its name, if only one company and one
    group have that name. The latter is left alone while it is internal: what is in it was not meant for clients.
    """
    marked = known.marked(one.company.id)
    by_id = [known.by_id[one_id] for one_id in known_ids if one_id in known.by_id]
    own = [group for group in by_id if marked_for(group) in (None, one.company.id)]
    if marked:
        one.group = next((group for group in marked if group in own), marked[0])
        if len(marked) > 1:
            ids = ", ".join(str(group.id) for group in marked)
            one.notes.append(f"{one.title}: groups {ids} all carry its mark; {one.group.id} is used")
    elif own:
        one.group = own[0]
    else:
        _by_name(one, known, shared_title=shared_title)


def _by_name(one: ClientGroup, known: KnownGroups, *, shared_title: bool) -> None:
    by_hand = known.unmarked(one.name)
    if len(by_hand) != 1 or shared_title:
        if by_hand:
            ids = ", ".join(str(group.id) for group in by_hand)
            one.notes.append(
                f"{one.title}: its name fits several, so group {ids} is not taken for its own; "
                "put a group's id into the company's field to use that one"
            )
        return
    one.group = by_hand[0]
    if not one.group.extranet:
        one.blocked = True
        one.problems.append(
            f"{one.title}: group {one.group.id} of its name was made by hand and is internal, so the client is not let "
            "in. Make it external in its settings, or put its id into the company's field, or rename it; then run again"
        )


def changes(one: ClientGroup, config: GroupsConfig) -> dict[str, object]:
    """Fields of the group to set: mark, name and owner where the company's have changed.

    What people changed in the group since we set it (`one.kept`) is left as it is.
    """
    group, fields = one.group, dict[str, object]()
    if group is None:
        return fields
    if mark(one.company.id) not in group.keywords:
        fields["KEYWORDS"] = ",".join([*group.keywords, mark(one.company.id)])
    name_before, owner_before = one.kept or (group.name, group.owner_id)
    if group.name == name_before and group.name not in (one.name, own_name(one)):
        fields["NAME"] = one.name
        if config.description and one.kept:
            fields["DESCRIPTION"] = fill(config.description, one.company)
    if one.company.owner_id and group.owner_id == owner_before and group.owner_id != one.company.owner_id:
        fields["OWNER_ID"] = one.company.owner_id
    return fields


def changed(group: Group, fields: Mapping[str, object]) -> Group:
    """The group once `fields` are written."""
    words = str(fields["KEYWORDS"]).split(",") if "KEYWORDS" in fields else group.keywords
    return replace(
        group,
        name=str(fields.get("NAME", group.name)),
        owner_id=int(str(fields.get("OWNER_ID", group.owner_id))),
        keywords=tuple(dict.fromkeys([*group.keywords, *words])),
    )
