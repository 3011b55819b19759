"""Opening client groups to the outside: their people put in, and IS_EXTRANET read back.

An extranet user who is added opens a group (user/index.md). Whether that holds for somebody whose invitation is
pending the documentation does not say: where it does not, the invitation is taken back and the person added
outright. One group is tried first; where that does not open it either, it gets its invitation again, and people
have to open groups by hand.
"""

from __future__ import annotations

from collections.abc import Sequence

from b24sync.bulk.group_choice import ClientGroup
from b24sync.bulk.group_people import BY_HAND
from b24sync.bulk.group_plan import CONTACT_STEP, ENTITY, PROCESS, GroupsPlan
from b24sync.bulk.group_steps import About, GroupSteps
from b24sync.bulk.steps import Step
from b24sync.clock import Clock
from b24sync.portal.groups import (
    ADD_MEMBERS,
    INVITE_MEMBERS,
    REMOVE_MEMBERS,
    add_members_command,
    groups_by_id,
    invite_members_command,
    memberships,
    remove_members_command,
)
from b24sync.store.cursors import read_cursor, save_cursor
from b24sync.store.engine import Store
from b24sync.store.links import Link, Links
from b24sync.transport.client import PortalClient

TRIED = "adding outright opens no group"
"""Cursor: when it was last tried in vain, unix seconds."""
TRY_AGAIN_AFTER_S = 7 * 86400.0
"""Each try sends one person of a client a second invitation."""


class GroupOpening:
    """Puts people into groups and says which groups did not open."""

    def __init__(self, client: PortalClient, store: Store, portal: str, clock: Clock) -> None:
        self._client = client
        self._store = store
        self._portal = portal
        self._clock = clock

    def admit(self, plan: GroupsPlan, steps: GroupSteps) -> None:
        """Put the contact and the configured members into each group that lacks them or is not external.

        Cost: one request per 50 groups, fewer where they are dear.
        """
        wanted = []
        for one in plan.groups:
            if one.blocked or one.group is None:
                continue
            people = [*plan.members, *([one.guest.id] if one.guest else [])]
            lacking = [user_id for user_id in people if not plan.is_in(one.group, user_id)]
            if lacking or (one.guest is not None and not one.group.extranet):
                one.touched = True
                wanted.append(_step("+", one, people, ADD_MEMBERS))
        steps.perform(ADD_MEMBERS, wanted, steps.people_admitted)

    def read_back(self, plan: GroupsPlan) -> None:
        """What the portal says now of the groups that were made or changed. Cost: two requests per 50."""
        touched = [one for one in plan.groups if one.group and one.touched]
        ids = [one.group.id for one in touched if one.group]
        groups = groups_by_id(self._client, ids)
        plan.memberships.update(memberships(self._client, ids))
        for one in touched:
            assert one.group is not None
            one.group = groups.get(one.group.id, one.group)

    def open_outright(self, plan: GroupsPlan, steps: GroupSteps) -> None:
        """Take pending invitations back and add the people, for groups that did not open; one first, as a trial."""
        closed = [one for one in plan.groups if one.touched and _closed(one) and _invited(plan, one)]
        tried = float(read_cursor(self._store, self._portal, TRIED) or 0.0)
        if not closed or self._clock.wall_s() < tried + TRY_AGAIN_AFTER_S:
            return
        self._add_outright(plan, steps, closed[:1])
        if _closed(closed[0]):
            self._invite_again(steps, closed[0])
            save_cursor(self._store, self._portal, TRIED, str(self._clock.wall_s()))
        else:
            self._add_outright(plan, steps, closed[1:])
        self.read_back(plan)

    def say_closed(self, plan: GroupsPlan) -> None:
        """A problem for each group that is not external though the client's person was let in."""
        for one in plan.groups:
            if _closed(one):
                assert one.group is not None and one.contact is not None
                one.problems.append(
                    f"{one.title}: group {one.group.id} is not external, though its contact was added: the portal did "
                    f"not open it. {BY_HAND.format(email=one.contact.email)}"
                )

    def _add_outright(self, plan: GroupsPlan, steps: GroupSteps, groups: Sequence[ClientGroup]) -> None:
        # A process that dies in between leaves people out of their groups: no link may then say that they left.
        self._forget(groups)
        people = [(one, [one.guest.id]) for one in groups if one.guest]
        removed = [_step("-", one, ids, REMOVE_MEMBERS) for one, ids in people]
        steps.perform(REMOVE_MEMBERS, removed, steps.people_absent)
        added = [_step("++", one, ids, ADD_MEMBERS) for one, ids in people]
        steps.perform(ADD_MEMBERS, added, steps.people_admitted)
        self.read_back(plan)

    def _invite_again(self, steps: GroupSteps, one: ClientGroup) -> None:
        assert one.guest is not None
        steps.perform(REMOVE_MEMBERS, [_step("--", one, [one.guest.id], REMOVE_MEMBERS)], steps.people_absent)
        steps.perform(INVITE_MEMBERS, [_step("?", one, [one.guest.id], INVITE_MEMBERS)], steps.people_shown)

    def _forget(self, groups: Sequence[ClientGroup]) -> None:
        Links(self._store, self._portal).save(
            Link(PROCESS, ENTITY, one.company.id, CONTACT_STEP, "user", str(one.guest.id), one.guest.id, {"email": ""})
            for one in groups
            if one.guest
        )


def _closed(one: ClientGroup) -> bool:
    return one.guest is not None and one.group is not None and not one.group.extranet


def _invited(plan: GroupsPlan, one: ClientGroup) -> bool:
    known = plan.memberships.get(one.group.id) if one.group else None
    return one.guest is not None and known is not None and one.guest.id in known.invited


_COMMANDS = {
    ADD_MEMBERS: add_members_command,
    REMOVE_MEMBERS: remove_members_command,
    INVITE_MEMBERS: invite_members_command,
}


def _step(sign: str, one: ClientGroup, people: Sequence[int], method: str) -> Step:
    assert one.group is not None
    key = f"{one.group.id}{sign}{','.join(map(str, sorted(people)))}"
    return Step(key, _COMMANDS[method](one.group.id, people), About(one, people=people))
