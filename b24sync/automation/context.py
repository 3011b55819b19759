"""What a handler writes with: every act has a key, so that the same handler run again changes nothing twice.

An act's key is made of the process, the item, the step and the cause. Its outcome, the item's new snapshot and what
follows from it are one transaction; the portal's echo of the act then finds no difference (design 6).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from b24sync.automation.causes import Cause, comparable
from b24sync.automation.field_names import code_of
from b24sync.automation.items import Item
from b24sync.automation.observe import OLD, Observer, Seen, Writer
from b24sync.automation.params import COMPANY, Assign, Field, Stage, Unresolved, User, WorkflowTemplate
from b24sync.automation.portals import type_id_of
from b24sync.automation.questions import PAGE, QUESTION, Questions
from b24sync.automation.rulebook import Rule
from b24sync.automation.task_acts import Tasks
from b24sync.automation.task_looks import TaskLooks
from b24sync.bulk.acts import Acts, Made, Sending
from b24sync.bulk.deal_copies import COPY_ORIGINATOR, DealCopies
from b24sync.errors import GiveUp, RetryLater
from b24sync.portal import item_writes
from b24sync.portal.departments import head_of
from b24sync.portal.items import COMPANY as COMPANY_TYPE
from b24sync.portal.items import CONTACT
from b24sync.portal.mail import find_mail, send_mail
from b24sync.portal.messages import notify
from b24sync.portal.timeline import add_comment, comments_since
from b24sync.store.causes import Act, Causes
from b24sync.store.engine import Store
from b24sync.store.ledger import SETS, highest_number, set_key
from b24sync.store.links import Link, Links
from b24sync.store.turns import next_turn, number_of
from b24sync.transport.client import PortalClient

LOOP_WINDOW_S = 3600.0


@dataclass(frozen=True, slots=True)
class Site:
    """What belongs to a portal and is the same for every job."""

    portal: str
    store: Store
    zone: ZoneInfo
    observer: Observer
    tasks: TaskLooks
    start_workflows: Callable[[PortalClient, Item, Cause, WorkflowTemplate | None, Mapping[str, Any]], int]
    client_group: Callable[[PortalClient, int, bool, Sequence[int]], int | None]
    public_url: str | None = None
    stage_plan: Callable[[Callable[[str], Any]], Mapping[str, Any]] = lambda _: {}


class Context:
    """`ctx` of a handler: the cause, the parameters, and the acts."""

    def __init__(self, site: Site, client: PortalClient, rule: Rule, handler: str, cause: Cause, cause_id: int) -> None:
        self.params: Any = rule.params
        self.cause = cause
        self.acted = False
        self.site = site
        self.client = client
        self.rule = rule
        self.writer = Writer(rule.name, handler)
        self.links = Links(site.store, site.portal)
        self.acts = Acts(client, site.store, site.portal, client.clock)
        self.cause_id = cause_id
        self._causes = Causes(site.store, site.portal)
        self.tasks = Tasks(self)

    # -- time ---------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The moment, in the portal's zone."""
        return datetime.fromtimestamp(self.client.clock.wall_s(), self.site.zone)

    def in_time(self, length: timedelta) -> datetime:
        """A moment that is `length` from now."""
        return self.now + length

    def moment(self, value: Any) -> datetime | None:
        """A date or moment field's value as an aware moment; what has no offset is in the portal's zone."""
        try:
            moment = datetime.fromisoformat(str(value)) if value else None
        except ValueError:
            return None
        return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=self.site.zone)

    # -- the item -----------------------------------------------------------------------------------

    def move(self, item: Item, stage: Stage | str) -> None:
        """Put an item into a stage, a name as well: of its own pipeline where the stage's name is in several."""
        stage = self._named(item, stage)
        status_id = stage if isinstance(stage, str) else self._stage_in(item, stage)
        fields: dict[str, Any] = {"stageId": status_id}
        if isinstance(stage, Stage) and stage.ids.get(int(item["categoryId"] or 0)) != status_id:
            fields["categoryId"] = next(key for key, value in stage.ids.items() if value == status_id)
        self._write(item, fields, f"move to {status_id}")

    def set(self, item: Item, fields: Mapping[str | Field, Any] | None = None, **named: Any) -> None:
        """Write fields of an item, those that differ: `ctx.set(deal, {ctx.params.field: 5}, opportunity=10)`."""
        given = [*(fields or {}).items(), *named.items()]
        values = {key.code if isinstance(key, Field) else code_of(str(key)): value for key, value in given}
        self._write(item, values, f"set {', '.join(values)}")

    def assign(self, item: Item, user: User | int) -> None:
        """Make somebody responsible."""
        user_id = user.id if isinstance(user, User) else user
        self._write(item, {"assignedById": user_id}, f"assign to user {user_id}")

    def _named(self, item: Item, stage: Stage | str) -> Stage | str:
        """A stage that is given by the name that people see. Raises GiveUp where the portal has none of that name."""
        portal = self.rule.portal
        if isinstance(stage, Stage) or portal is None or item.entity != self.rule.process.entity:
            return stage
        if any(known.status_id == stage for known in portal.directory.stages):
            return stage
        try:
            return Stage(stage).resolved(portal, [pipeline.id for pipeline in portal.directory.pipelines])
        except Unresolved as error:
            raise GiveUp(f"{item}: {error}.") from error

    def _stage_in(self, item: Item, stage: Stage) -> str:
        own = stage.ids.get(int(item["categoryId"] or 0))
        if own is not None:
            return own
        if len(stage.ids) == 1:
            return next(iter(stage.ids.values()))
        raise GiveUp(f"{item}: its pipeline has no stage {stage.given!r}, and several others have one.")

    def _write(self, item: Item, fields: Mapping[str, Any], text: str) -> None:
        values = {key: _plain(value) for key, value in fields.items()}
        left = {key: value for key, value in values.items() if comparable(item[key]) != comparable(value)}
        type_id = type_id_of(item.entity)
        self.acted = True
        digest = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]
        name = set_key(item.entity, item.id, self.key(f"set:{digest}"))
        # What the portal carried out late leaves nothing to set, but its outcome is still to be noted.
        if type_id is None or not (left or self.acts.is_open(SETS, name)):
            return

        def find() -> Made | None:
            row = item_writes.get_item(self.client, type_id, item.id)
            held = row is not None and all(comparable(row.get(key)) == comparable(v) for key, v in values.items())
            return Made(str(item.id), row) if held else None

        def make(sending: Sending) -> Made:
            row = item_writes.update_item(self.client, type_id, item.id, left or values, sending)
            if not row:
                row = item_writes.get_item(self.client, type_id, item.id) or {}
            return Made(str(item.id), row)

        def store(connection: Connection, made: Made) -> None:
            last = self.site.observer.snapshots.read(item.entity, [item.id], connection).get(item.id)
            if made.answer:
                seen = [Seen(item.id, made.answer, last, OLD)]
                at, writer = self.client.clock.wall_s(), replace(self.writer, fields=frozenset(values))
                self.site.observer.take(connection, item.entity, seen, source="own", at=at, writer=writer)

        self.act(SETS, name, "set", f"{text} of {item}", find=find, make=make, store=store)
        item.taken(left)

    def item(self, entity: str, item_id: int) -> Item:
        """Another item of the portal. Cost: one request when its fields are asked for."""
        type_id = type_id_of(entity)
        if type_id is None:
            raise GiveUp(f"There are no items of kind {entity!r}.")
        return Item(entity, item_id, {"id": item_id}, lambda: item_writes.get_item(self.client, type_id, item_id))

    # -- people -------------------------------------------------------------------------------------

    def notify(self, user: User | int, text: str, *, step: str = "notify") -> None:
        """A notification in the portal; sent again under its tag it replaces itself (im-notify-personal-add.md)."""
        user_id = user.id if isinstance(user, User) else user
        key = self.key(f"{step}:{user_id}")
        tag = f"b24sync-{hashlib.sha256(key.encode()).hexdigest()[:24]}"

        def make(sending: Sending) -> Made:
            return Made(notify(self.client, user_id, text, tag, before_send=sending))

        # Its tag makes it repeatable: what was not answered is sent once more and replaces itself.
        self.act("notify", key, "notify", f"notify user {user_id}: {text}", find=lambda: make(lambda: None), make=make)

    def ask(self, question: str, *, to: User | int, text: str, options: Sequence[str]) -> None:
        """Ask somebody to choose: a notification with a one-time link to a small form; the answer is a cause.

        `answered("question")` waits for it; `ctx.cause.after` is what was chosen. Needs `[daemon] public_url`.
        """
        if not self.site.public_url:
            raise GiveUp("ctx.ask needs [daemon] public_url: the form must be reachable.")
        if not options:
            raise GiveUp("ctx.ask needs options to choose from.")
        questions = Questions(self.site.store, self.site.portal, self.client.clock)
        token = questions.token(self.key(f"ask:{question}"))
        questions.put(self.link(question, QUESTION, token), text, options)
        self.notify(to, f"{text}\n{self.site.public_url.rstrip('/')}{PAGE}{token}", step=f"ask:{question}")

    def comment(self, item: Item, text: str, *, step: str = "comment") -> None:
        """A comment in an item's timeline."""
        type_id = type_id_of(item.entity) or 0
        key = self.key(f"{step}:{item.entity}:{item.id}")

        def find() -> Made | None:
            found = self.acts.unclaimed(
                "comment", key, lambda sent_at: comments_since(self.client, type_id, item.id, text, sent_at)
            )
            return Made(found) if found else None

        def make(sending: Sending) -> Made:
            return Made(add_comment(self.client, type_id, item.id, text, sending))

        self.act("comment", key, "comment", f"comment {item}: {text}", find=find, make=make)

    def mail(
        self, item: Item, *, to: str, subject: str, text: str, sender: str | None = None, step: str = "mail"
    ) -> None:
        """An e-mail out of an item's card to its contact or company, kept in its timeline (crm-activity-add.md)."""
        key = self.key(f"{step}:{to}")
        origin = hashlib.sha256(key.encode()).hexdigest()[:32]
        type_id = type_id_of(item.entity) or 0

        def find() -> Made | None:
            found = find_mail(self.client, origin)
            return Made(found) if found else None

        def make(sending: Sending) -> Made:
            answer = send_mail(
                self.client,
                (type_id, item.id),
                person=_person_of(item) or (type_id, item.id),
                to=to,
                subject=subject,
                text=text,
                sender=sender,
                responsible=item["assignedById"],
                origin=origin,
                before_send=sending,
            )
            return Made(answer)

        self.act("mail", key, "mail", f"mail about {item}: {subject}", find=find, make=make)

    # -- more than one write ------------------------------------------------------------------------

    def copy(self, deal: Item, *, stage: Stage | str, without: Sequence[str | Field] = ()) -> int:
        """A copy of a deal in another stage, with contacts and product rows; its id. The original stays as it is.

        The copy has an origin pair of its own, `b24sync-refusal` / `<deal>:<n>`, and a comment leads from each to the
        other; n counts the copies of a deal. `without`: fields that are not taken over. Asked again for the same cause
        and stage, it is the same copy. Raises GiveUp for a copy that a rule has just made: rules that copy each other's
        copies would never end.
        """
        made_by = self._causes.find(self.cause_id)
        if self.is_own_copy(deal) and made_by is not None and made_by.source == "own":
            raise GiveUp(f"{deal} is a copy that a rule has just made: it is not copied (ctx.is_own_copy tells them).")
        stage = self._named(deal, stage)
        status_id = stage if isinstance(stage, str) else self._stage_in(deal, stage)
        left_out = [field.code if isinstance(field, Field) else field for field in without]
        copies = DealCopies(self.client)
        counter, name = f"copies of deal {deal.id}", self.key(f"copy:{deal.id}:{status_id}")
        what = f"deal@{COPY_ORIGINATOR}"
        store, portal = self.site.store, self.site.portal
        taken = highest_number(store, portal, what, f"{deal.id}:")
        key = f"{deal.id}:{number_of(store, portal, counter, name, taken=taken)}"

        def find() -> Made | None:
            found = copies.find(key)
            return Made(str(found), item_writes.get_item(self.client, 2, found)) if found else None

        def make(sending: Sending) -> Made:
            row = copies.add(deal.whole(), key, status_id, left_out, sending)
            return Made(str(row.get("id") or ""), row)

        def keep(connection: Connection, made: Made) -> None:
            at = self.client.clock.wall_s()
            if made.answer:
                seen = [Seen(int(made.portal_id), made.answer, None, "new")]
                self.site.observer.take(connection, "deal", seen, source="own", at=at, writer=self.writer)
            self.links.save([self.link(f"copy:{key}", "deal", made.portal_id)], connection)

        copy_id = int(self.act(what, key, "copy", f"copy {deal} to {status_id}", find=find, make=make, store=keep))
        rows = copies.product_rows(deal.id)
        if rows:
            self.act(
                "product rows",
                self.key(f"products:{copy_id}"),
                "products",
                f"product rows of deal {deal.id} to deal {copy_id}",
                find=lambda: Made(str(copy_id)) if copies.has_rows(copy_id, rows) else None,
                make=lambda sending: copies.set_rows(copy_id, rows, sending),
            )
        return copy_id

    def start_workflow(
        self, deal: Item, template: WorkflowTemplate | None = None, parameters: Mapping[str, Any] | None = None
    ) -> int:
        """What `[[workflows.start]]` says for the stage that the deal entered, by the ledger of imports; how many.

        Or this one `template`, with the `parameters` that it has.
        """
        started = self.site.start_workflows(self.client, deal, self.cause, template, parameters or {})
        if started:
            self.note("workflow", f"start {started} workflow(s) of {deal}", None)
        return started

    def stage_dates(self, deal: Item) -> None:
        """Write when the deal's present stage began, its planned days and planned end, as the recount would."""
        fields: Mapping[Any, Any] = self.site.stage_plan(deal.__getitem__)
        self.acted = True
        if fields:
            self.set(deal, fields)

    def client_group(self, company_id: int, *, needed: bool = False, members: Sequence[User | int] = ()) -> int | None:
        """What `b24sync groups sync` does for a company: its extranet group, made and filled; the group's id.

        None where the company's type gets no group, unless it is `needed` all the same. `members`: employees who
        belong into it besides its owner.
        """
        people = [one.id if isinstance(one, User) else one for one in members]
        group = self.site.client_group(self.client, company_id, needed, people)
        self.acted = True
        return group

    def is_own_copy(self, deal: Item) -> bool:
        """Whether a deal was made by `copy`."""
        return bool(deal["originatorId"] == COPY_ORIGINATOR)

    def url(self, item: Item) -> str:
        """The address of an item's card."""
        place = {"lead": "lead", "deal": "deal", "contact": "contact", "company": "company"}.get(item.entity)
        if place is None:
            return f"{self.client.base_url}/crm/type/{type_id_of(item.entity)}/details/{item.id}/"
        return f"{self.client.base_url}/crm/{place}/details/{item.id}/"

    def companies_of(self, contact: Item) -> list[int]:
        """The companies that a contact belongs to."""
        several = contact["companyIds"]
        found = [int(item) for item in several if item] if isinstance(several, list) else []
        return list(dict.fromkeys([*found, *filter(None, [contact.company])]))

    # -- who ----------------------------------------------------------------------------------------

    def chosen(self, assign: Assign, deal: Item, company: Item) -> int:
        """Who `assign` means for this deal. Raises GiveUp where there is nobody."""
        if len(assign.people) == 1:
            return assign.people[0].id
        if assign.people:
            return self.turn(assign.people)
        found = company.assigned_by if assign.given == COMPANY else self.department_head(deal.assigned_by)
        if found is None:
            raise GiveUp(f"{deal}: assign = {assign.given!r} finds nobody.")
        return int(found)

    def department_head(self, user_id: int | None) -> int | None:
        """The head of a user's department, or of the one above where the user heads it. Cost: two or more requests."""
        return head_of(self.client, user_id) if user_id is not None else None

    def turn(self, people: Sequence[User | int], name: str = "turn") -> int:
        """The next of `people` in turn; asked again for the same cause, the same one."""
        if not people:
            raise GiveUp("There is nobody to take turns.")
        n = next_turn(self.site.store, self.site.portal, self.link(name, "turn", ""))
        chosen = people[n % len(people)]
        return chosen.id if isinstance(chosen, User) else chosen

    # -- outcomes -----------------------------------------------------------------------------------

    def again_later(self, why: str, *, seconds: float | None = None) -> NoReturn:
        """End this try; the handler runs again later."""
        raise RetryLater(why, retry_after_s=seconds)

    # -- the way of every act -----------------------------------------------------------------------

    def key(self, step: str) -> str:
        """What names an act of this cause for ever."""
        cause = self.cause
        return f"{self.rule.name}/{cause.entity}:{cause.entity_id}/{step}/{cause.key}"

    def link(self, step: str, kind: str, portal_id: str, detail: Mapping[str, Any] | None = None) -> Link:
        """What ties a thing of the portal to this process, item and cause."""
        cause, at = self.cause, self.client.clock.wall_s()
        return Link(
            self.rule.name,
            cause.entity,
            cause.entity_id,
            step,
            kind,
            portal_id,
            self.cause_id,
            detail or {},
            at,
        )

    def act(
        self,
        what: str,
        key: str,
        kind: str,
        text: str,
        *,
        find: Callable[[], Made | None],
        make: Callable[[Sending], Made],
        store: Callable[[Connection, Made], None] = lambda connection, made: None,
    ) -> str:
        """Perform one write through the ledger and note it. Raises what `Acts.once` raises; GiveUp for a loop."""

        self.acted = True

        def guarded(sending: Sending) -> Made:
            self._stop_loop()
            return make(sending)

        def noted(connection: Connection, made: Made) -> None:
            store(connection, made)
            self.note(kind, text, made.portal_id, connection)

        return self.acts.once(what, key, find=find, make=guarded, store=noted)

    def note(self, kind: str, text: str, portal_id: str | None, connection: Connection | None = None) -> None:
        """Say what was written and why: `rules explain` tells it."""
        cause, at = self.cause, self.client.clock.wall_s()
        handler = self.writer.handler
        act = Act(self.rule.name, cause.entity, cause.entity_id, self.cause_id, handler, kind, text, portal_id, at)
        self.acted = True
        if connection is not None:
            self._causes.note_act(connection, act)
            return
        with self.site.store.write() as own:
            self._causes.note_act(own, act)

    def _stop_loop(self) -> None:
        """A process that writes again and again on one item is stopped before it writes more."""
        cause = self.cause
        since = self.client.clock.wall_s() - LOOP_WINDOW_S
        count = self._causes.count_acts(self.rule.name, cause.entity, cause.entity_id, since)
        if count >= self.rule.max_acts_per_hour:
            raise GiveUp(
                f"{self.rule.name} has written {count} times on {cause.entity} {cause.entity_id} within an hour: taken "
                "for a loop. Mend the rule or raise max_acts_per_hour, then retry the job."
            )


def _person_of(item: Item) -> tuple[int, int] | None:
    """The contact or company that a letter about a deal or a lead goes to, (entity type, id)."""
    if item.entity in ("contact", "company"):
        return None
    found = [(CONTACT, item.contact), (COMPANY_TYPE, item.company)]
    return next(((type_id, int(one)) for type_id, one in found if one), None)


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
