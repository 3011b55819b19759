"""The steps of client groups that only set something: what each did, or why not, told per company."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from b24sync.bulk.group_choice import ClientGroup, changed
from b24sync.bulk.ledgered import Progress
from b24sync.bulk.steps import Step, Steps
from b24sync.portal.groups import groups_by_id, memberships
from b24sync.store.ledger import Ledger
from b24sync.transport.client import PortalClient

Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class About:
    """What a step is about: whose group, and the fields or the people that it sets."""

    one: ClientGroup
    fields: Mapping[str, object] | None = None
    people: Sequence[int] = ()

    @property
    def group_id(self) -> int:
        """The group's id; steps are made only where there is one."""
        assert self.one.group is not None
        return self.one.group.id

    @property
    def holds_guest(self) -> bool:
        """Whether the client's person is among the people."""
        return self.one.guest is not None and self.one.guest.id in self.people


class GroupSteps:
    """Performs steps that a plan, read at `read_at`, has shown to be wanted.

    `unknown`: companies of which something was sent and never answered.
    """

    def __init__(self, client: PortalClient, ledger: Ledger, read_at: float, on_progress: Tell) -> None:
        self._client = client
        self._ledger = ledger
        self._read_at = read_at
        self._on_progress = on_progress
        self.unknown: set[int] = set()

    def perform(self, method: str, steps: Sequence[Step], look: Callable[[Mapping[str, Step]], set[str]]) -> set[str]:
        """Send steps of one method; the keys of those that worked. What did not becomes a problem of its company."""
        if not steps:
            return set()
        sender = Steps(self._client, self._ledger, method, look, self._on_progress)
        done, refusals = sender.perform(steps, self._read_at)
        for step in steps:
            one = step.about.one
            if (refusal := refusals.get(step.key)) is not None:
                said = f"{refusal.code}: {refusal.text}" if refusal.code else refusal.text
                one.problems.append(f"{one.title}: {method} was refused: {said}")
            elif step.key not in done:
                self.not_known(one, step.key)
        return done

    def not_known(self, one: ClientGroup, key: str) -> None:
        """Something of this company was sent, not answered and not found."""
        self.unknown.add(one.company.id)
        one.problems.append(f"{one.title}: sent and never answered ({key}); run the same command again later")

    def fields_shown(self, steps: Mapping[str, Step]) -> set[str]:
        """Keys of the steps whose fields the groups have."""
        present = groups_by_id(self._client, [step.about.group_id for step in steps.values()])
        return {
            key
            for key, step in steps.items()
            if (group := present.get(step.about.group_id)) and changed(group, step.about.fields or {}) == group
        }

    def people_shown(self, steps: Mapping[str, Step]) -> set[str]:
        """Keys of the steps whose people are in their groups, or invited to them."""
        present = memberships(self._client, [step.about.group_id for step in steps.values()])
        return {key for key, step in steps.items() if set(step.about.people) <= present[step.about.group_id].all}

    def people_admitted(self, steps: Mapping[str, Step]) -> set[str]:
        """Keys of the steps whose people are in their groups; where the client's person is among them, external ones.

        Somebody who was invited is in the group before he is added, so that alone does not tell.
        """
        shown = {key: steps[key] for key in self.people_shown(steps)}
        groups = groups_by_id(self._client, [step.about.group_id for step in shown.values()])
        return {
            key
            for key, step in shown.items()
            if (group := groups.get(step.about.group_id)) and (group.extranet or not step.about.holds_guest)
        }

    def people_absent(self, steps: Mapping[str, Step]) -> set[str]:
        """Keys of the steps whose people are no longer in their groups."""
        present = memberships(self._client, [step.about.group_id for step in steps.values()])
        return {key for key, step in steps.items() if not set(step.about.people) & present[step.about.group_id].all}
