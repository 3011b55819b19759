"""The client's person of each group: who it is, why nobody can be let in, and the invitation by e-mail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from b24sync.bulk.group_choice import ClientGroup
from b24sync.bulk.group_plan import CONTACT_STEP, GroupsPlan, GroupsReader
from b24sync.bulk.group_writes import Invitation, Inviter
from b24sync.bulk.ledgered import Progress
from b24sync.portal.companies import Contact
from b24sync.portal.users import (
    EMPLOYEE,
    LIMIT_REACHED,
    MAIL,
    Account,
    accounts_by_email,
    address,
    may_be_taken,
)
from b24sync.store.ledger import DONE, PLANNED, REFUSED, Ledger, Write
from b24sync.transport.client import PortalClient

BY_HAND = (
    "By hand: switch the extranet on (in the cloud: Market, Extranet), open the group's settings, "
    "make it external, invite {email} there, save. Then run the same command again: it goes on from there."
)


def check_people(plan: GroupsPlan) -> None:
    """Bar whoever cannot be let in, and say why."""
    for one in plan.groups:
        if (reason := _why_nobody(one)) is not None:
            one.barred = True
            one.problems.append(f"{one.title}: {reason}")
        elif _went_away(plan, one):
            assert one.group is not None and one.contact is not None
            one.barred = True
            one.notes.append(
                f"{one.title}: {who(one.contact)} was in group {one.group.id} and left it or was taken out, so is not "
                "put in again; do it by hand if need be"
            )


def to_invite(plan: GroupsPlan) -> dict[str, list[ClientGroup]]:
    """Groups whose contact has no account yet, by the contact's address."""
    found: dict[str, list[ClientGroup]] = {}
    for one in plan.groups:
        if not (one.barred or one.blocked) and one.account is None and one.contact and one.contact.email:
            found.setdefault(address(one.contact.email), []).append(one)
    return found


def former_people(plan: GroupsPlan, one: ClientGroup) -> list[str]:
    """People of the client who were its responsible contact before and are in the group still."""
    return [
        f"{one.title}: {link.detail.get('email')} was its responsible contact before and is in group {one.group.id} "
        "still; remove this person by hand if need be"
        for link in plan.links.get(one.company.id, [])
        if link.step == CONTACT_STEP
        and not (one.account and link.portal_id == str(one.account.id))
        and one.group
        and plan.is_in(one.group, int(link.portal_id))
    ]


class Invitations:
    """Invites each address once, to all groups that it belongs to."""

    def __init__(self, client: PortalClient, ledger: Ledger, reader: GroupsReader) -> None:
        self._client = client
        self._ledger = ledger
        self._reader = reader

    def send(self, plan: GroupsPlan, on_progress: Callable[[Progress], None]) -> list[tuple[ClientGroup, Write]]:
        """Invite; groups whose invitation was sent and never answered are returned.

        Cost: one request per 50 addresses, and two for those that are taken. Raises RetryLater, PortalBlocked.
        """
        wanted = {key: [one for one in ones if one.group] for key, ones in to_invite(plan).items()}
        wanted = {key: ones for key, ones in wanted.items() if ones}
        if not wanted:
            return []
        inviter = Inviter(self._client, self._ledger, on_progress=on_progress)
        writes = inviter.invite([_invitation(key, ones) for key, ones in wanted.items()])
        unfit = self._take_up_taken(wanted, writes)
        accounts = self._reader.accounts([email for ones in wanted.values() if (email := _email(ones))])
        unknown = []
        for key, ones in wanted.items():
            write = writes[key]
            for one in ones:
                one.account = accounts.get(key) or unfit.get(key)
                if write.state == DONE:
                    one.invited = one is ones[0] and write.message is None
                    continue
                one.barred = True
                if write.state in (REFUSED, PLANNED):
                    one.problems.append(_not_invited(one, write, inviter.stopped))
                else:
                    unknown.append((one, write))
        return unknown

    def _take_up_taken(
        self, wanted: Mapping[str, Sequence[ClientGroup]], writes: dict[str, Write]
    ) -> dict[str, Account]:
        """Refusals that may mean that the address has an account: it is looked for among all kinds of users.

        What is found and fits counts as invited; what does not fit is returned.
        """
        taken = [key for key, one in writes.items() if one.state == REFUSED and may_be_taken(one.code, one.message)]
        emails = [email for key in taken if (email := _email(wanted[key]))]
        if not emails:
            return {}
        found = {**accounts_by_email(self._client, emails, kind=MAIL), **accounts_by_email(self._client, emails)}
        fit = {key: one for key, one in found.items() if key in taken and unfit_reason(one) is None}
        self._ledger.adopt({key: str(account.id) for key, account in fit.items()}, None)
        writes.update(self._ledger.states(list(fit)))
        return {key: account for key, account in found.items() if key not in fit}


def _invitation(key: str, ones: Sequence[ClientGroup]) -> Invitation:
    contact = ones[0].contact
    assert contact is not None and contact.email is not None
    ids = tuple(one.group.id for one in ones if one.group is not None)
    return Invitation(key, contact.email, contact.name, contact.last_name, ones[0].company.title, ids)


def _email(ones: Sequence[ClientGroup]) -> str | None:
    return ones[0].contact.email if ones[0].contact else None


def _why_nobody(one: ClientGroup) -> str | None:
    """Why nobody of the client can be let in, and what to do about it; None where somebody can."""
    if one.blocked:
        return None
    if not one.company.contact_ids:
        open_already = one.group is not None and one.group.extranet
        return None if open_already else "has no contact to invite: add one to the company's card, then run again."
    if one.contact is None:
        return f"the webhook's user may not read its contact {one.company.contact_ids[0]}."
    if one.contact.email is None:
        return f"its responsible contact {who(one.contact)} has no e-mail: add one to the card, then run again."
    reason = unfit_reason(one.account) if one.account is not None else None
    return f"the address of {who(one.contact)} {reason}" if reason else None


def _went_away(plan: GroupsPlan, one: ClientGroup) -> bool:
    """Whether we had put the contact into the group that the company has now, and somebody undid it."""
    if one.group is None or one.account is None or plan.is_in(one.group, one.account.id):
        return False
    return any(
        link.step == CONTACT_STEP and link.portal_id == str(one.account.id) and link.detail.get("group") == one.group.id
        for link in plan.links.get(one.company.id, [])
    )


def unfit_reason(account: Account) -> str | None:
    """Why an account cannot be a guest of a group; None where it can."""
    if account.kind == EMPLOYEE:
        return f"is that of employee {account.id}, who is no guest: give the contact its own address, then run again."
    if account.kind == MAIL:
        return f"is that of mail user {account.id}: invite this person to the extranet by hand, then run again."
    if not account.active:
        return f"is that of dismissed user {account.id}: restore the user or change the address, then run again."
    return None


def _not_invited(one: ClientGroup, write: Write, stopped: str | None) -> str:
    """What the portal said to an invitation, and what to do."""
    assert one.contact is not None and one.group is not None
    reason = said(write) if write.state == REFUSED else stopped or "the portal did not take it"
    head = f"{one.title}: {who(one.contact)} ({one.contact.email}) was not invited to group {one.group.id}: {reason}."
    if one.account is not None and (unfit := unfit_reason(one.account)):
        return f"{head} The address {unfit}"
    if LIMIT_REACHED in reason:
        return f"{head} The plan's number of users is used up: free one or extend it, then run again."
    if reason.endswith("wrong_email"):
        return f"{head} Correct the address in the contact's card, then run again."
    if write.state == REFUSED and may_be_taken(write.code, write.message):
        head += " Somebody has this address whom the portal does not show."
    return f"{head} {BY_HAND.format(email='this person')}"


def who(contact: Contact) -> str:
    """A contact as messages name it."""
    return f"{contact.full_name} (contact {contact.id})"


def said(write: Write) -> str:
    """The portal's words in a row of the ledger."""
    return f"{write.code}: {write.message}" if write.code else str(write.message)
