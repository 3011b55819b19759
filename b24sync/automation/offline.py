"""Offline events: what the portal kept for our application while nobody listened, into the same lane as events.

What rules wait for is bound once and found bound afterwards; what we bound and no rule waits for any more is unbound.
A reservation of up to 500 rows is stored in the inbox, in one transaction with its id, and confirmed only then:

    asked      stored before the request: an answer may get lost, and with it the id of what was reserved
    taken      stored with the rows: they are ours, and still to be confirmed in the portal

So a kill or a cut connection anywhere loses nothing: what was taken is confirmed by the next run, what was asked for
and not answered is found in the list of the queue by its PROCESS_ID. An event that comes twice, or online as well,
folds with itself, and a look at an item that did not change raises no cause.

Nothing is read where the plan cannot reserve: reading would delete rows before they are stored, and what they tell,
sweeps find. The changes that we make ourselves go through the webhook, so `auth_connector` cannot mark them: the
snapshots of our own writes tell echoes apart, as with online events (design 6).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from b24sync.automation.dispatch import item_of
from b24sync.automation.engine import Work
from b24sync.automation.portals import TYPE_IDS
from b24sync.automation.rulebook import RuleBook
from b24sync.automation.triggers import TASK_KINDS
from b24sync.bulk.ledgered import LOOKUP_GRACE_S
from b24sync.clock import Clock
from b24sync.errors import LookUpPending, PortalBlocked, PortalRefused, PortalUnreachable
from b24sync.portal import offline_events as queue
from b24sync.portal.events import PortalEvent
from b24sync.portal.offline_events import Package, Standing
from b24sync.store.cursors import read_cursor, save_cursor, save_cursor_in
from b24sync.store.engine import Store
from b24sync.store.jobs import DISPATCH
from b24sync.store.lanes import Lanes, Message
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Refused
from b24sync.transport.php_forms import NotReadable

LOG = logging.getLogger("b24sync.offline")

OFFLINE = "cron:offline"
"""The lane: ticks of its schedule, and messages that ask for a run at once."""
START, WAKE, AFTER = "start", "wake", "after"
"""Kinds of such messages: a start or a new installation, the portal's call, a look after what came with a call."""
STATE = "offline events: state"
"""Cursor: what a person is told about them."""
ASKED, TAKEN = "offline events: asked", "offline events: taken"
"""Cursors: unix seconds of a reservation that is not answered; process and message ids of a stored one."""
BOUND = "offline events: bound"
"""Cursor: the events, and the addresses to be called at, that we bound: what others did is theirs."""
ADMINISTRATOR = (
    "let an administrator save the application's card in the portal (only his installation may read them, and only "
    "where the plan has rest_offline_extended)"
)
NOT_EXTENDED = (
    "the portal's plan cannot reserve offline events (rest_offline_extended), and reading them otherwise deletes them "
    "before they are stored: they are left alone, sweeps find what changed"
)


def events_of(book: RuleBook) -> list[str]:
    """Names of the events that running rules need (api-reference/crm/deals/events/index.md, .../universal/events/)."""
    found: set[str] = set()
    for entity in book.entities():
        word = entity.upper() if entity in TYPE_IDS else "DYNAMICITEM"
        found |= {f"ONCRM{word}{verb}" for verb in ("ADD", "UPDATE", "DELETE")}
        if entity == "deal":
            found.add("ONCRMDEALMOVETOCATEGORY")
    if any(handler.trigger.kind in TASK_KINDS for rule in book.running() for handler in rule.process.handlers):
        found |= {"ONTASKUPDATE", "ONTASKCOMMENTADD"}
    return sorted(found)


class OfflineEvents:
    """The queue of one portal's application. `client` is the application's; `hook`: where WAKE_UP may be posted."""

    def __init__(
        self, client: PortalClient, store: Store, portal: str, clock: Clock, book: Callable[[], RuleBook], hook: str
    ) -> None:
        self._client = client
        self._store = store
        self._portal = portal
        self._clock = clock
        self._book = book
        self._hook = hook
        self._lanes = Lanes(store, clock)
        self._starts = False

    def run(self, work: Work) -> None:
        """Bind what is lacking (not on a mere wake-up call), then empty the queue into the inbox.

        Cost: one request for what is bound, two per 500 rows, at least one; at a start one more. Raises LookUpPending
        while a reservation may still be made whose answer was lost; what the client raises.
        """
        self._starts = any(message.kind == START for message in work.messages)
        try:
            if any(message.kind not in (WAKE, AFTER) for message in work.messages) and not self._bind():
                return
            self._confirm()
            self._find_abandoned(work)
            if self._empty(work) and self._hook:
                again_at = self._clock.wall_s() + 1 + queue.WAKE_EVERY_S
                work.publish(Message(self._portal, OFFLINE, AFTER, run_at=again_at))
        except PortalRefused as refused:
            said = f"the portal refuses offline events, sweeps find what changed: {refused} What to do: {ADMINISTRATOR}"
            self._tell(said, logging.ERROR)

    def _empty(self, work: Work) -> int:
        """Take all that is there; how many rows."""
        taken = 0
        while True:
            package = self._reserve()
            self._take(package, work)
            taken += len(package.rows)
            if not package.is_full:
                return taken

    # -- binding ------------------------------------------------------------------------------------

    def _bind(self) -> bool:
        """Whether there is something to fetch."""
        standing = queue.look(self._client)
        if not standing.extended:
            self._tell(NOT_EXTENDED, logging.WARNING)
            return False
        book = self._book()
        wanted = events_of(book)
        known = read_cursor(self._store, self._portal, BOUND) or "[]"
        ours = (standing.bound | standing.wakes) & set(json.loads(known))
        if not book.complaints():  # what a broken rule waits for is wanted again when it is mended
            ours -= self._unbind(ours - {*wanted, self._hook}, standing)
        lacking = [event for event in wanted if event not in standing.bound]
        wake = self._hook if self._hook and self._hook not in standing.wakes else None
        noted = json.dumps(sorted(ours.union(lacking, [wake] if wake else [])))
        if noted != known:
            self._note(BOUND, noted)
        outcomes = queue.bind(self._client, lacking, wake) if lacking or wake else {}
        refused = {event: said for event, said in outcomes.items() if isinstance(said, Refused)}
        for event, said in refused.items():
            if said.code == "ACCESS_DENIED":  # of a user who is no administrator, whatever the event
                raise PortalRefused("event.bind", said.code, said.text)
            LOG.warning(
                "portal=%s %s cannot be bound, sweeps find it: %s: %s (are the application's scopes crm and task?)",
                *(self._portal, event, said.code, said.text),
            )
        new = [event for event, said in outcomes.items() if isinstance(said, Done)]
        if new:
            LOG.info("portal=%s bound: %s", self._portal, ", ".join(new))
        failed = {event for event, said in outcomes.items() if not isinstance(said, Done)}
        kinds = len(set(wanted) - failed)
        calls = self._hook and queue.WAKE_UP not in failed
        how = "when the portal calls and with every sweep" if calls else "with every sweep"
        self._tell(f"offline events of {kinds} kinds are fetched {how}", logging.INFO)
        return True

    def _unbind(self, surplus: frozenset[str], standing: Standing) -> set[str]:
        """Unbind what we bound and nobody wants any more; what is gone."""
        events = sorted(surplus & standing.bound - standing.of_connectors)
        urls = sorted(surplus & standing.wakes)
        outcomes = queue.unbind(self._client, events, urls) if events or urls else {}
        refused = [said for said in outcomes.values() if isinstance(said, Refused)]
        for said in refused[:1]:
            LOG.warning("portal=%s events stay bound: %s: %s", self._portal, said.code, said.text)
        gone = {name for name, said in outcomes.items() if isinstance(said, Done)}
        if gone:
            LOG.info("portal=%s no longer bound, nobody needs them: %s", self._portal, ", ".join(sorted(gone)))
        return gone

    def _tell(self, said: str, level: int) -> None:
        """Say it at a start, and when it is news."""
        known = read_cursor(self._store, self._portal, STATE)
        if self._starts or known != said:
            LOG.log(level, "portal=%s %s", self._portal, said)
        if known != said:
            self._note(STATE, said)

    # -- reading ------------------------------------------------------------------------------------

    def _reserve(self) -> Package:
        try:
            return queue.reserve(self._client, lambda: self._note(ASKED, str(self._clock.wall_s())))
        except (PortalRefused, PortalUnreachable, PortalBlocked):
            self._note(ASKED, "")  # proven not executed
            raise

    def _take(self, package: Package, work: Work, *, answered: bool = True) -> None:
        """Store a package in the inbox, then confirm it. `answered`: it is the answer to what was asked."""
        messages, understood, wrong = self._sorted(package)
        taken = {"process_id": package.process_id, "message_ids": understood, "wrong": wrong}

        with self._store.write() as connection:
            work.hold(connection)
            self._lanes.publish(connection, messages)
            if package.process_id and (understood or wrong):
                save_cursor_in(self._store, connection, self._portal, TAKEN, json.dumps(taken))
            if answered:
                save_cursor_in(self._store, connection, self._portal, ASKED, "")
        if package.rows:
            LOG.info("portal=%s offline events taken=%d wrong=%d", self._portal, len(understood), len(wrong))
        if package.rows and not package.process_id:
            LOG.warning("portal=%s the portal gave offline events without reserving them", self._portal)
        self._confirm()

    def _sorted(self, package: Package) -> tuple[list[Message], list[str], list[str]]:
        """Messages for the inbox; message ids of the rows behind them; those of rows that are not understood."""
        messages: list[Message] = []
        understood: list[str] = []
        wrong: list[str] = []
        for row in package.rows:
            event = _event_of(row)
            message_id = str(row.get("MESSAGE_ID") or "") if isinstance(row, Mapping) else ""
            if event is None:
                LOG.error("portal=%s an offline event is not understood: %.500r", self._portal, row)
            else:
                messages.append(Message(self._portal, DISPATCH, event.kind, event.body))
            if message_id:
                (wrong if event is None else understood).append(message_id)
        return messages, understood, wrong

    # -- ending what was begun ----------------------------------------------------------------------

    def _confirm(self) -> None:
        """Tell the portal what is stored. A second time changes nothing, and finds nothing."""
        stored = read_cursor(self._store, self._portal, TAKEN)
        if not stored:
            return
        taken = json.loads(stored)
        for tell, ids in ((queue.mark_wrong, taken["wrong"]), (queue.confirm, taken["message_ids"])):
            try:
                if ids:
                    tell(self._client, taken["process_id"], ids)
            except PortalRefused as refused:
                LOG.warning("portal=%s offline events are stored, but stay reserved: %s", self._portal, refused)
        self._note(TAKEN, "")

    def _find_abandoned(self, work: Work) -> None:
        """Take what was reserved for an answer that never came.

        At a start we look whatever the store says, which may be a backup: what is reserved then is nobody's work.
        """
        asked = read_cursor(self._store, self._portal, ASKED)
        if asked == "" and not self._starts:
            return
        for process_id in queue.abandoned(self._client):
            LOG.warning("portal=%s offline events of a lost answer are taken: %s", self._portal, process_id)
            self._take(queue.reserved(self._client, process_id), work, answered=False)
        wait_s = float(asked or 0.0) + self._client.gate.limits.request_cap_s + LOOKUP_GRACE_S - self._clock.wall_s()
        if wait_s > 0:  # though some were found: a confirmation that was refused leaves some, too
            raise LookUpPending(
                "A reservation of offline events got no answer; it may still be made.", retry_after_s=wait_s
            )
        self._note(ASKED, "")

    def _note(self, cursor: str, value: str) -> None:
        save_cursor(self._store, self._portal, cursor, value)


def _event_of(row: Any) -> PortalEvent | None:
    """None when nobody can say what it is about."""
    if not isinstance(row, Mapping):
        return None
    try:
        event = PortalEvent.queued(row)
    except NotReadable:
        return None
    entity, item_id = item_of(event)
    is_foreign = not entity and not event.name.startswith("ONCRMDYNAMICITEM")
    return event if is_foreign or (entity and item_id is not None) else None
