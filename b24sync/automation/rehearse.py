"""`rules test`: what a rule file would write for one event, without writing it.

The item is read from the portal as it is. One event does not tell what was before, so everything that it can mean is
tried: the item has entered the stage it stands in or left another, each watched field has changed from nothing, an ADD
is new. A task is that of the step which it was made in, as the store knows it, else of every step of the items that it
is bound to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from b24sync.automation import causes as kinds
from b24sync.automation.causes import Cause
from b24sync.automation.context import Context, Site
from b24sync.automation.dispatch import item_of
from b24sync.automation.items import Item
from b24sync.automation.looks import look_at
from b24sync.automation.observe import why_not
from b24sync.automation.params import User, WorkflowTemplate
from b24sync.automation.portals import TASK, type_id_of
from b24sync.automation.process import Handler
from b24sync.automation.rulebook import Rule, RuleBook, where
from b24sync.automation.task_acts import Task
from b24sync.automation.task_looks import kinds_between
from b24sync.automation.triggers import TASK_KINDS
from b24sync.bulk.acts import Made, Sending
from b24sync.errors import B24SyncError, ConfigError
from b24sync.portal import item_writes
from b24sync.portal.events import PortalEvent
from b24sync.portal.tasks import PENDING, binding, read_task
from b24sync.store.links import Link, Links
from b24sync.transport.client import PortalClient
from b24sync.transport.php_forms import NotReadable


class Rehearsal(Context):
    """A context whose acts are only told."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.told: list[str] = []

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
        self.acted = True
        self.told.append(text)
        return "0"

    def note(self, kind: str, text: str, portal_id: str | None, connection: Connection | None = None) -> None:
        self.told.append(text)

    def ask(self, question: str, *, to: User | int, text: str, options: Sequence[str]) -> None:
        self.told.append(f"ask user {to.id if isinstance(to, User) else to}: {text} ({', '.join(options)})")

    def turn(self, people: Sequence[User | int], name: str = "turn") -> int:
        chosen = people[0]
        return chosen.id if isinstance(chosen, User) else chosen

    def start_workflow(
        self, deal: Item, template: WorkflowTemplate | None = None, parameters: Mapping[str, Any] | None = None
    ) -> int:
        which = f"workflow {template.given!r}" if template else "the workflows of [[workflows.start]]"
        self.told.append(f"start {which} for {deal} in {self.cause.subject}")
        return 0

    def client_group(self, company_id: int, *, needed: bool = False, members: Sequence[User | int] = ()) -> int | None:
        self.told.append(f"see to the group of company {company_id}")
        return None


def read_event(text: str) -> PortalEvent:
    """An event: a file with what a portal posts (form or JSON), or `ONCRMDEALUPDATE:42`. Raises ConfigError."""
    name, _, number = text.partition(":")
    if number.isdigit() and name.upper().startswith("ON"):
        return PortalEvent.stored({"event": name.upper(), "data": {"FIELDS": {"ID": number}}})
    path = Path(text)
    try:
        body = path.read_bytes()
        kind = "application/json" if body.lstrip()[:1] == b"{" else "application/x-www-form-urlencoded"
        return PortalEvent.received(body, kind)
    except (OSError, NotReadable) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{text} is neither a file with an event nor NAME:ID such as ONCRMDEALUPDATE:42: {why}"
        ) from None


def rehearse(
    site: Site, client: PortalClient, book: RuleBook, event: PortalEvent
) -> Iterator[tuple[str, str, list[str]]]:
    """(handler, cause or reason, what it would write) for every handler of the book. Cost: a few reads.

    Raises ConfigError for an event about nothing that can be read.
    """
    entity, item_id = item_of(event)
    if item_id is not None and entity == TASK:
        yield from _rehearse_task(site, client, book, event, item_id)
        return
    if item_id is None or type_id_of(entity) is None:
        raise ConfigError(f"{event.name} is not about an item of the CRM, nor about a task.")
    row = look_at(client, book, {entity: [item_id]}).rows.get(entity, {}).get(item_id)
    if row is None and event.name.endswith("DELETE"):
        row = {"id": item_id}
    if row is None:
        raise ConfigError(f"The portal has no {entity} {item_id}.")
    for rule, handler in book.handlers(entity):
        if handler.trigger.kind in TASK_KINDS:
            yield f"{rule.name}.{handler.name}", f"waits for {handler.trigger}, which events of items do not tell", []
            continue
        yield _try(site, client, rule, handler, _causes(event, entity, item_id, row, rule, handler), row)


def _rehearse_task(
    site: Site, client: PortalClient, book: RuleBook, event: PortalEvent, task_id: int
) -> Iterator[tuple[str, str, list[str]]]:
    row = read_task(client, task_id)
    if row is None:
        raise ConfigError(f"The portal has no task {task_id}, or does not show it to the webhook's user.")
    known = Links(site.store, site.portal).to(TASK, task_id)
    told = [kinds.TASK_COMMENTED] if "COMMENT" in event.name else list(kinds_between({"status": PENDING}, row))
    for rule in book.running():
        for handler in rule.process.handlers:
            name, waits = f"{rule.name}.{handler.name}", f"waits for {handler.trigger}"
            if handler.trigger.kind not in TASK_KINDS:
                yield name, f"{waits}, which events of tasks do not tell", []
                continue
            entity = rule.process.entity_of(handler)
            links = [link for link in known if (link.process, link.entity) == (rule.name, entity)]
            links = links or list(_possible_links(rule, handler, row))
            if not links:
                yield name, f"task {task_id} is not bound to a {entity}", []
            for link in links:
                item = look_at(client, book, {entity: [link.entity_id]}).rows[entity].get(link.entity_id)
                if item is None:
                    yield name, f"the portal has no {entity} {link.entity_id}", []
                    continue
                found = (
                    Cause(entity, link.entity_id, kind, link.step, 1, None, row["status"], portal_id=link.portal_id)
                    for kind in told
                )
                yield _try(site, client, rule, handler, found, item, Task(task_id, link, row))


def _possible_links(rule: Rule, handler: Handler, task: Mapping[str, Any]) -> Iterator[Link]:
    """What the task would belong to, had the process made it in a step that the handler waits for."""
    entity = rule.process.entity_of(handler)
    prefix = binding(type_id_of(entity) or 0, 0).removesuffix("0")
    for bound in task["boundTo"]:
        if bound.startswith(prefix) and bound.removeprefix(prefix).isdigit():
            for step in sorted(handler.trigger.subjects(rule.params)):
                item_id = int(bound.removeprefix(prefix))
                yield Link(rule.name, entity, item_id, step, TASK, str(task["id"]))


def _causes(
    event: PortalEvent, entity: str, item_id: int, row: Mapping[str, Any], rule: Rule, handler: Handler
) -> Iterator[Cause]:
    trigger = handler.trigger
    if event.name.endswith("ADD"):
        yield Cause(entity, item_id, kinds.CREATED, "", 1)
    if event.name.endswith("DELETE"):
        yield Cause(entity, item_id, kinds.DELETED, "", 1)
        return
    if row.get("stageId"):
        yield Cause(entity, item_id, kinds.ENTERED, str(row["stageId"]), 1)
    if trigger.kind == kinds.LEFT:
        for stage in sorted(trigger.subjects(rule.params) - {str(row.get("stageId"))}):
            yield Cause(entity, item_id, kinds.LEFT, stage, 1)
    if trigger.kind in (kinds.CHANGED, kinds.DUE):
        for code in sorted(trigger.subjects(rule.params)):
            if row.get(code) not in (None, "", []):
                yield Cause(entity, item_id, trigger.kind, code, 1, None, row[code])


def _try(
    site: Site,
    client: PortalClient,
    rule: Rule,
    handler: Handler,
    found: Iterator[Cause],
    row: Mapping[str, Any],
    *task: Task,
) -> tuple[str, str, list[str]]:
    name = f"{rule.name}.{handler.name}"
    reasons = []
    for cause in found:
        reason = why_not(rule, handler, cause)
        if reason is not None:
            reasons.append(reason)
            continue
        read = partial(item_writes.get_item, client, type_id_of(cause.entity) or 0, cause.entity_id)
        item = Item(cause.entity, cause.entity_id, row, read)
        context = Rehearsal(site, client, rule, handler.name, cause, 0)
        try:
            handler.function(item, *task, context)
        except B24SyncError as error:
            context.told.append(f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001 - the rule's own mistake, told with its line
            context.told.append(f"the handler fails: {where(error, rule.path)}")
        return name, str(cause), context.told
    return name, reasons[-1] if reasons else f"waits for {handler.trigger}", []
