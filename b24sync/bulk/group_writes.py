"""The two writes of client groups that must not happen twice: making a group, inviting a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from b24sync.bulk.group_choice import mark, marked_for
from b24sync.bulk.ledgered import Settlement
from b24sync.bulk.steps import CommandSender
from b24sync.portal.groups import CREATE, Group, all_groups, create_command, groups_named
from b24sync.portal.users import ADD, LIMIT_REACHED, NO_RIGHT, accounts_by_email, invite_command
from b24sync.store.ledger import Settled, Write
from b24sync.transport.outcomes import Done, Outcome, Refused, Unknown
from b24sync.transport.protocol import Command


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group to be made for a company; its mark is how it is found again."""

    company_id: int
    name: str
    description: str
    owner_id: int

    @property
    def key(self) -> str:
        return str(self.company_id)


class GroupMaker(CommandSender[NewGroup]):
    """Makes groups. What was sent and not answered is found by name, then verified by its mark (design 5)."""

    what_for = "groups"
    method = CREATE

    def make(self, groups: Sequence[NewGroup]) -> dict[str, Write]:
        """Make them; their rows of the ledger, by company. Cost: one request per 50, fewer where they are dear."""
        self._ledger.plan(((group.key, {"name": group.name}) for group in groups), None)
        self.send(iter(groups))
        return self._ledger.states([group.key for group in groups])

    def _command(self, method: str, packet: Sequence[NewGroup]) -> Command:
        group = packet[0]
        fields = {"NAME": group.name, "DESCRIPTION": group.description, "KEYWORDS": mark(group.company_id)}
        return create_command({**fields, "OWNER_ID": group.owner_id} if group.owner_id else fields)

    def _settlements(self, method: str, packet: Sequence[NewGroup], outcome: Outcome) -> list[Settlement[NewGroup]]:
        return [Settlement(packet[0], _with_id(outcome))]

    def _find(self, items: Mapping[str, NewGroup], writes: Mapping[str, Write]) -> dict[str, str]:
        # The name that was sent: the company may have been renamed since.
        names = [name for key, item in items.items() for name in {item.name, writes[key].detail.get("name", item.name)}]
        found = _marked(groups_named(self._client, names), items)
        if len(found) < len(items):
            # A portal may keep a name in a form of its own; the mark it keeps.
            found |= _marked(all_groups(self._client), items)
        return found


def _marked(groups: Iterable[Group], items: Mapping[str, NewGroup]) -> dict[str, str]:
    """Ids of the groups that carry the mark of one of `items`, by its key; the oldest where there are several."""
    found: dict[str, str] = {}
    for group in groups:
        key = str(marked_for(group))
        if key in items:
            found.setdefault(key, str(group.id))
    return found


@dataclass(frozen=True, slots=True)
class Invitation:
    """A person from outside to be invited; `key` is the address as it is compared."""

    key: str
    email: str
    name: str
    last_name: str
    company: str
    group_ids: tuple[int, ...]


class Inviter(CommandSender[Invitation]):
    """Invites people. What was sent and not answered is found by its address.

    Stops by itself where the portal takes nobody any more: no free account, or no right to invite.
    """

    what_for = "invitations"
    method = ADD

    def invite(self, invitations: Sequence[Invitation]) -> dict[str, Write]:
        """Invite them; their rows of the ledger by address. Cost: one request per 50, fewer where they are dear."""
        self._ledger.plan(((one.key, None) for one in invitations), None)
        self.send(iter(invitations))
        return self._ledger.states([one.key for one in invitations])

    def _command(self, method: str, packet: Sequence[Invitation]) -> Command:
        one = packet[0]
        return invite_command(
            one.email, name=one.name, last_name=one.last_name, company=one.company, group_ids=one.group_ids
        )

    def _settlements(self, method: str, packet: Sequence[Invitation], outcome: Outcome) -> list[Settlement[Invitation]]:
        return [Settlement(packet[0], _with_id(outcome))]

    def _refused(self, item: Invitation, outcome: Refused) -> Settled:
        if outcome.text.strip() in (LIMIT_REACHED, NO_RIGHT):
            self.stopped = f"{outcome.code}: {outcome.text}"
        return super()._refused(item, outcome)

    def _find(self, items: Mapping[str, Invitation], writes: Mapping[str, Write]) -> dict[str, str]:
        found = accounts_by_email(self._client, [one.email for one in items.values()]) if items else {}
        return {key: str(account.id) for key, account in found.items() if key in items}


def _with_id(outcome: Outcome) -> Outcome:
    """Only an id proves that something was made."""
    if isinstance(outcome, Done) and not (str(outcome.result).isdigit() and int(outcome.result)):
        return Unknown(f"the portal answered {str(outcome.result)[:40]!r} instead of an id")
    return outcome
