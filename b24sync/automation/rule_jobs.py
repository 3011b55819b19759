"""A job of a rule: one handler for one cause of one item, in the item's lane.

Payloads: {process, handler, cause, since}; timers of `due(field)` carry {due: {field, value, n}, entity, id} instead of
a cause, which is stored when the moment comes. `task` of task causes is read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from b24sync.automation.causes import DELETED, DUE, Cause, comparable
from b24sync.automation.context import Context, Site
from b24sync.automation.engine import Work
from b24sync.automation.items import Item
from b24sync.automation.looks import look_at, look_message
from b24sync.automation.observe import cause_of
from b24sync.automation.portals import type_id_of
from b24sync.automation.process import Handler
from b24sync.automation.rulebook import Rule, RuleBook
from b24sync.automation.triggers import TASK_KINDS
from b24sync.errors import GiveUp, RetryLater
from b24sync.portal import item_writes
from b24sync.store.lanes import Message
from b24sync.store.links import Link, Links
from b24sync.transport.client import PortalClient

FRESH_S = 5.0
"""A snapshot that is not older is what the item looks like; else it is read again."""


def rule_of(payload: Mapping[str, Any]) -> str:
    """The rule of a job: while one of its jobs fails, its others of that item wait, and those of other rules do not."""
    return str(payload.get("process"))


class RuleJobs:
    """Runs the handlers of one portal's rules: what the engine does with the lanes of items."""

    def __init__(self, client: Callable[[], PortalClient], site: Site) -> None:
        self._client = client
        self._site = site
        self._links = Links(site.store, site.portal)

    @property
    def _book(self) -> RuleBook:
        return self._site.observer.book

    def run(self, work: Work) -> None:
        """Run one handler. Raises what it raises; GiveUp where the rule is gone or switched off."""
        payload = work.message.payload
        rule, handler = self._handler(payload)
        client = self._client()
        found = self._due_cause(client, payload, work) if "due" in payload else self._cause(payload)
        if found is None:
            return
        cause_id, cause = found
        item = self._item(client, cause, work)
        if item is None and cause.kind != DELETED:
            return  # gone meanwhile: nothing is left to act on
        item = item or Item(cause.entity, cause.entity_id, self._last_fields(cause))
        ctx = Context(self._site, client, rule, handler.name, cause, cause_id)
        if cause.kind in TASK_KINDS:
            task = ctx.tasks.get(self._link(cause))
            if task is None:
                return
            handler.function(item, task, ctx)
        else:
            handler.function(item, ctx)
        if handler.check_every is not None and not ctx.acted:
            work.publish(self._next_check(client, work, rule, handler, payload))

    def _handler(self, payload: Mapping[str, Any]) -> tuple[Rule, Handler]:
        rule = self._book.rule(str(payload["process"]))
        handler = rule.handler(str(payload["handler"])) if rule is not None else None
        if rule is None or handler is None:
            raise GiveUp(f"There is no handler {payload['process']}.{payload['handler']} any more.")
        if not rule.runs:
            said = "; ".join(rule.problems) or "it is switched off"
            raise GiveUp(f"The rule {rule.name} does not run: {said}. Mend it, then retry the job.")
        return rule, handler

    def _cause(self, payload: Mapping[str, Any]) -> tuple[int, Cause]:
        row = self._site.observer.causes.find(int(payload["cause"]))
        if row is None:
            raise GiveUp("The cause of this job is no longer stored.")
        return row.id, cause_of(row)

    def _due_cause(self, client: PortalClient, payload: Mapping[str, Any], work: Work) -> tuple[int, Cause] | None:
        """The moment has come; None where the field holds another one by now."""
        due, entity, item_id = payload["due"], str(payload["entity"]), int(payload["id"])
        row = self._read(client, entity, item_id, work)
        if row is None or comparable(row.get(due["field"])) != comparable(due["value"]):
            return None
        cause = Cause(entity, item_id, DUE, due["field"], int(due["n"]), after=due["value"])
        found = [known for known in self._site.observer.causes.of_item(entity, item_id) if known.key == cause.key]
        if not found:
            with self._site.store.write() as connection:
                work.hold(connection)
                detail = {"after": due["value"]}
                row_of = {"entity": entity, "entity_id": item_id, "key": cause.key, "kind": DUE}
                row_of |= {"subject": due["field"], "n": due["n"], "detail": detail}
                now = client.clock.wall_s()
                found = self._site.observer.causes.add(connection, [row_of], "timer", now)
        return found[0].id, cause

    def _item(self, client: PortalClient, cause: Cause, work: Work) -> Item | None:
        """The item as it is now. Cost: none right after the look, else one request."""
        entity, item_id = cause.entity, cause.entity_id
        type_id = type_id_of(entity)
        last = self._site.observer.snapshots.read(entity, [item_id]).get(item_id)
        fields: Mapping[str, Any] | None = None if last is None or last.gone else last.fields
        if fields is not None and last is not None and client.clock.wall_s() - last.seen_at > FRESH_S:
            fields = self._read(client, entity, item_id, work)
        if fields is None or type_id is None:
            return None
        return Item(entity, item_id, fields, lambda: item_writes.get_item(client, type_id, item_id))

    def _read(self, client: PortalClient, entity: str, item_id: int, work: Work) -> Mapping[str, Any] | None:
        """None when it does not exist: then the dispatcher is to look, since its deletion is a cause.

        Raises RetryLater where the portal refuses to show it. Cost: one request.
        """
        look = look_at(client, self._book, {entity: [item_id]})
        refused = look.refused.get(entity)
        if refused is not None:
            raise RetryLater(f"{entity} {item_id} cannot be read: {refused.code} {refused.text}")
        row = look.rows[entity].get(item_id)
        if row is None:
            work.publish(look_message(work.portal, entity, item_id))
        return row

    def _last_fields(self, cause: Cause) -> Mapping[str, Any]:
        last = self._site.observer.snapshots.read(cause.entity, [cause.entity_id]).get(cause.entity_id)
        return last.fields if last is not None else {}

    def _link(self, cause: Cause) -> Link:
        for link in self._links.to("task", cause.portal_id or ""):
            if link.entity == cause.entity and link.entity_id == cause.entity_id:
                return link
        raise GiveUp(f"Task {cause.portal_id} is no longer linked to {cause.entity} {cause.entity_id}.")

    def _next_check(
        self, client: PortalClient, work: Work, rule: Rule, handler: Handler, payload: Mapping[str, Any]
    ) -> Message:
        """Look again in a while. Raises GiveUp when it has been long enough."""
        assert handler.check_every is not None
        now = client.clock.wall_s()
        since = float(payload.get("since") or now)
        if handler.give_up_after is not None and now - since >= handler.give_up_after.total_seconds():
            raise GiveUp(f"{rule.name}.{handler.name} has waited {handler.give_up_after} for what it waits for.")
        run_at = now + handler.check_every.total_seconds()
        return Message(work.portal, work.key, work.message.kind, {**payload, "since": since}, run_at)
