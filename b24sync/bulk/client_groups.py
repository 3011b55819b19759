"""One extranet group for each client: made, opened to its contact, read back. Called by the CLI and by rules.

Every step looks first and is keyed (design 5): a group by its company, an invitation by its address. Whatever
happens, the same call goes on where it stood and makes nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from b24sync.bulk.ensure import Ensurer
from b24sync.bulk.group_choice import ClientGroup, changed, changes, fill, mark, own_name
from b24sync.bulk.group_opening import GroupOpening
from b24sync.bulk.group_people import Invitations, check_people, former_people, said, to_invite
from b24sync.bulk.group_plan import CONTACT_STEP, ENTITY, GROUP_STEP, PROCESS, GroupsPlan, GroupsReader
from b24sync.bulk.group_steps import About, GroupSteps, Tell
from b24sync.bulk.group_writes import GroupMaker, NewGroup
from b24sync.bulk.steps import Step
from b24sync.clock import Clock
from b24sync.config import GroupsConfig
from b24sync.portal.companies import GROUP_FIELD, UPDATE, group_ids, set_group_command
from b24sync.portal.directory import read_directory
from b24sync.portal.groups import (
    SET_OWNER,
    Group,
    groups_named,
    set_owner_command,
    update_command,
)
from b24sync.portal.groups import UPDATE as GROUP_UPDATE
from b24sync.portal.items import COMPANY
from b24sync.portal.userfields import FieldHome, field_params
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, REFUSED, Ledger
from b24sync.store.links import Link, Links
from b24sync.transport.client import PortalClient

GROUPS, USERS, STEPS = "group", "invited user", "group step"
"""Kinds of writes in the ledger."""
GROUP_LABEL = "Группа клиента (b24sync)"


@dataclass(slots=True)
class GroupsResult:
    """What `groups sync` answers, in companies; `unknown` = something of them was sent and never answered.

    `problems` are for a person to mend, `notes` are worth telling.
    """

    companies: int = 0
    created: int = 0
    existing: int = 0
    invited: int = 0
    pending: int = 0
    refused: int = 0
    unknown: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class ClientGroups:
    """The client groups of one portal."""

    def __init__(self, client: PortalClient, store: Store, portal: str, clock: Clock, config: GroupsConfig) -> None:
        self._client = client
        self._clock = clock
        self._config = config
        self._links = Links(store, portal)
        self._groups = Ledger(store, portal, GROUPS, clock)
        self._users = Ledger(store, portal, USERS, clock)
        self._steps = Ledger(store, portal, STEPS, clock)
        self._reader = GroupsReader(client, store, portal, config, self._groups, self._users)
        self._opening = GroupOpening(client, store, portal, clock)

    def plan(self, company_id: int | None = None, *, any_type: bool = False) -> GroupsPlan:
        """Read what there is; writes nothing. Cost: some eight requests for one company, some forty for 1,000.

        `any_type`: the one company counts as a client whatever its type.

        Raises ConfigError, PortalRefused, RetryLater.
        """
        return self._reader.read(company_id, any_type=any_type)

    def preview(self, plan: GroupsPlan) -> GroupsResult:
        """What `sync` would do, as far as it can be told before."""
        check_people(plan)
        result = _result(plan, set())
        result.created = sum(one.group is None for one in plan.groups)
        result.invited = len(to_invite(plan))
        return result

    def sync(self, plan: GroupsPlan, on_progress: Tell = lambda _: None) -> GroupsResult:
        """Do it. Cost: at most four writes per company, in batches; nothing for what is as it should be.

        Raises PortalRefused, RetryLater, PortalBlocked, StoreError; running it again goes on.
        """
        steps = GroupSteps(self._client, self._steps, plan.read_at, on_progress)
        if plan.lacks_field and plan.groups:
            self._make_field()
        self._make(plan, steps, on_progress)
        self._save_groups(plan)
        self._adjust(plan, steps)
        self._note_in_cards(plan, steps)
        check_people(plan)
        for one, write in Invitations(self._client, self._users, self._reader).send(plan, on_progress):
            steps.not_known(one, write.key)
        self._opening.admit(plan, steps)
        self._opening.read_back(plan)
        self._opening.open_outright(plan, steps)
        self._hand_over(plan, steps)
        self._opening.say_closed(plan)
        self._save_people(plan)
        return _result(plan, steps.unknown)

    # -- groups -----------------------------------------------------------------------------------

    def _make_field(self) -> None:
        """The card's field, where `portal apply` has not made it; never one that `--destroy` could take for its own."""
        home = FieldHome(ENTITY)

        def find() -> str | None:
            fields = read_directory(self._client, COMPANY, users=False).fields
            return GROUP_FIELD if GROUP_FIELD in fields else None

        def make(sending: Callable[[], None]) -> str:
            command = home.add_command(GROUP_FIELD, "integer", field_params(label=GROUP_LABEL))
            return str(self._client.call(command.method, command.params, write=True, before_send=sending).result)

        Ensurer(self._client, self._steps).ensure(f"field:{GROUP_FIELD}", find, make)

    def _make(self, plan: GroupsPlan, steps: GroupSteps, on_progress: Tell) -> None:
        # Somebody deleted the group, and the company still is a client.
        self._groups.gone_as(plan.missing)
        # What a request without an answer made, or another store, needs no look-up any more.
        marked = [one for one in plan.groups if one.group and mark(one.company.id) in one.group.keywords]
        self._groups.adopt({str(one.company.id): str(one.group.id) for one in marked if one.group}, None)
        refused = self._make_named([one for one in plan.groups if one.group is None], steps, on_progress)
        names = [one.name for one in refused]
        taken = {group.name for group in groups_named(self._client, names)} if names else set()
        again = [one for one in refused if one.name in taken]
        for one in again:
            one.name = own_name(one)
            one.problems.clear()
        self._make_named(again, steps, on_progress)

    def _make_named(self, wanted: Sequence[ClientGroup], steps: GroupSteps, on_progress: Tell) -> list[ClientGroup]:
        """Make groups under their names; those that the portal refused."""
        if not wanted:
            return []
        maker = GroupMaker(self._client, self._groups, on_progress=on_progress)
        rows = [
            NewGroup(one.company.id, one.name, fill(self._config.description, one.company), one.company.owner_id)
            for one in wanted
        ]
        writes = maker.make(rows)
        refused = []
        for one, row in zip(wanted, rows, strict=True):
            write = writes[row.key]
            if write.state == DONE and write.portal_id:
                one.created = one.touched = True
                one.kept = (one.name, row.owner_id)
                one.group = Group(
                    int(write.portal_id), one.name, row.description, row.owner_id, (mark(one.company.id),), False
                )
            elif write.state == REFUSED:
                one.problems.append(f"{one.title}: no group was made: {said(write)}")
                refused.append(one)
            else:
                steps.not_known(one, row.key)
        return refused

    def _adjust(self, plan: GroupsPlan, steps: GroupSteps) -> None:
        """Mark, name and owner where they differ from what the company says."""
        wanted = []
        for one in plan.groups:
            if one.group is not None and not one.blocked and (fields := changes(one, self._config)):
                key = f"{one.group.id}:{sorted(fields)}"
                wanted.append(Step(key, update_command(one.group.id, fields), About(one, fields)))
        self._note_set(wanted, steps.perform(GROUP_UPDATE, wanted, steps.fields_shown))

    def _hand_over(self, plan: GroupsPlan, steps: GroupSteps) -> None:
        """Owners that the portal did not take with the other fields, by the method that is made for it."""
        wanted = []
        for one in plan.groups:
            if one.touched and one.group and one.kept and one.kept[1] not in (0, one.group.owner_id):
                command = set_owner_command(one.group.id, one.kept[1])
                fields = {"OWNER_ID": one.kept[1]}
                wanted.append(Step(f"{one.group.id}:owner", command, About(one, fields)))
        self._note_set(wanted, steps.perform(SET_OWNER, wanted, steps.fields_shown))

    def _note_set(self, steps: Sequence[Step], done: set[str]) -> None:
        for step in steps:
            one, fields = step.about.one, step.about.fields
            if step.key in done:
                name, owner = one.kept or (one.group.name, one.group.owner_id)
                one.kept = (str(fields.get("NAME", name)), int(fields.get("OWNER_ID", owner)))
                one.group = changed(one.group, fields)
                one.touched = True

    def _note_in_cards(self, plan: GroupsPlan, steps: GroupSteps) -> None:
        """The group's id into the company's card."""
        wanted = [
            Step(f"card:{one.company.id}", set_group_command(one.company.id, one.group.id), About(one))
            for one in plan.groups
            if not one.blocked and one.group is not None and one.company.group_id != one.group.id
        ]

        def look(steps: Mapping[str, Step]) -> set[str]:
            present = group_ids(self._client, [step.about.one.company.id for step in steps.values()])
            return {key for key, step in steps.items() if present.get(step.about.one.company.id) == step.about.group_id}

        steps.perform(UPDATE, wanted, look)

    # -- the end ----------------------------------------------------------------------------------

    def _save_groups(self, plan: GroupsPlan) -> None:
        self._links.save(self._group_link(one) for one in plan.groups if one.group and not one.blocked)

    def _group_link(self, one: ClientGroup) -> Link:
        assert one.group is not None
        name, owner = one.kept or (one.group.name, one.group.owner_id)
        detail = {"title": one.company.title, "name": name, "owner": owner, "problem": "; ".join(one.problems)}
        return Link(
            PROCESS,
            ENTITY,
            one.company.id,
            GROUP_STEP,
            "group",
            str(one.group.id),
            detail=detail,
            linked_at=self._clock.wall_s(),
        )

    def _save_people(self, plan: GroupsPlan) -> None:
        rows = []
        for one in plan.groups:
            if one.group is None or one.blocked:
                continue
            link = self._group_link(one)
            rows.append(link)
            if one.guest is not None and one.contact is not None and plan.is_in(one.group, one.guest.id):
                detail = {"email": one.contact.email, "contact": one.contact.id, "group": one.group.id}
                guest = one.guest.id
                rows.append(replace(link, step=CONTACT_STEP, kind="user", portal_id=str(guest), n=guest, detail=detail))
        self._links.save(rows)


def _result(plan: GroupsPlan, unknown: set[int]) -> GroupsResult:
    result = GroupsResult(companies=len(plan.groups), unknown=len(unknown), notes=list(plan.left))
    for one in plan.groups:
        result.created += one.created
        result.existing += one.group is not None and not one.created
        result.invited += one.invited
        result.pending += _is_pending(plan, one)
        result.refused += bool(one.problems) and one.company.id not in unknown
        result.problems += one.problems
        result.notes += [*one.notes, *former_people(plan, one)]
    return result


def _is_pending(plan: GroupsPlan, one: ClientGroup) -> bool:
    known = plan.memberships.get(one.group.id) if one.group else None
    return one.guest is not None and known is not None and one.guest.id not in known.members
