"""The rules of one portal at work: loaded, resolved, with everything that their lanes need."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from b24sync.automation.causes import ENTERED, Cause
from b24sync.automation.context import Site
from b24sync.automation.dispatch import Dispatcher, Pace
from b24sync.automation.engine import Work
from b24sync.automation.items import Item
from b24sync.automation.params import WorkflowTemplate
from b24sync.automation.portals import resolve_rules
from b24sync.automation.rule_jobs import RuleJobs
from b24sync.automation.rulebook import RuleBook, load_rules
from b24sync.automation.sweeps import Sweeps
from b24sync.bulk.client_groups import ClientGroups
from b24sync.bulk.workflow_starts import StartRule, WorkflowStarts
from b24sync.bulk.workflow_starts import resolve_rules as resolve_starts
from b24sync.clock import Clock
from b24sync.config import Config, seconds_of
from b24sync.errors import (
    GiveUp,
    OutcomeUnknown,
    PortalBlocked,
    PortalRefused,
    PortalUnreachable,
    RetryLater,
)
from b24sync.portal.directory import read_directory
from b24sync.portal.items import DEAL
from b24sync.portal.workflows import deal_templates
from b24sync.store.cursors import save_cursor_in
from b24sync.store.engine import Store
from b24sync.store.lanes import Lanes, Message
from b24sync.transport.client import PortalClient

LOG = logging.getLogger("b24sync.rules")

ITEM_LANES = ("deal", "lead", "contact", "company", "item")
"""What stands before the colon of lanes that rules' jobs are in."""
START_LANE = "rules"
WATCHING = "rules: watching"
"""Cursor: `yes` since every kind of item that rules wait for has its baseline."""
START_AGAIN_S = 0.2
REFRESH_S = 600.0
"""How long names are believed: a renamed stage or a new colleague is seen after that."""


class PortalRules:
    """Rules of one portal. `client` gives the calling thread's client."""

    def __init__(
        self,
        client: Callable[[], PortalClient],
        store: Store,
        portal: str,
        clock: Clock,
        config: Config,
        zone: ZoneInfo,
        stage_plan: Callable[[Callable[[str], Any]], Mapping[str, Any]] = lambda _: {},
        pace: Pace | None = None,
    ) -> None:
        self._stage_plan = stage_plan
        self._client = client
        self._store = store
        self._portal = portal
        self._clock = clock
        self._config = config
        self._zone = zone
        self._lanes = Lanes(store, clock)
        self._pace = pace or Pace(clock)
        self._lock = threading.Lock()
        self._book: RuleBook | None = None
        self._read_at = 0.0
        self._starts: tuple[float, list[StartRule]] | None = None

    # -- what the engine runs -----------------------------------------------------------------------

    def dispatch(self, work: Work) -> None:
        """The lane `dispatch`."""
        self.dispatcher().run(work)

    def run_job(self, work: Work) -> None:
        """A lane of an item."""
        RuleJobs(self._client, self.site()).run(work)

    def sweep(self, work: Work) -> None:
        """The lane `cron:sweep`."""
        self.start()
        dispatcher = self.dispatcher()
        sweeps = Sweeps(self._client, self._store, self._portal, dispatcher.observer, self._lanes)
        sweeps.run(seconds_of(self._config.sweep.deleted_every))

    def start_watching(self, work: Work) -> None:
        """The lane `rules`: ask for the baseline of what is not watched yet, and come again until it is."""
        self.start()
        if not self.dispatcher().ready():
            work.publish(Message(self._portal, START_LANE, "start", run_at=self._clock.wall_s() + START_AGAIN_S))
            return
        work.store(lambda connection: save_cursor_in(self._store, connection, self._portal, WATCHING, "yes"))

    def start(self) -> None:
        """Ask for the baseline of what is not watched yet."""
        self.dispatcher().start()

    # -- building -----------------------------------------------------------------------------------

    def book(self) -> RuleBook:
        """The rules, resolved against the portal. Cost: a few requests at first and every ten minutes.

        Raises what the client raises at first; later the names known so far stay when the portal is away.
        """
        with self._lock:
            if self._book is not None and time.monotonic() - self._read_at < REFRESH_S:
                return self._book
            loaded = load_rules(self._config)
            wanted = any(rule.enabled for rule in loaded.rules)
            book = self._resolved(loaded) if wanted else loaded
            complaints = book.complaints()
            if self._book is None or complaints != self._book.complaints():
                for complaint in complaints:
                    LOG.error("portal=%s a rule does not run: %s", self._portal, complaint)
            self._book, self._read_at = book, time.monotonic()
            return book

    def _resolved(self, loaded: RuleBook) -> RuleBook:
        try:
            return resolve_rules(self._client(), loaded)
        except PortalUnreachable:
            if self._book is None:
                raise
            return self._book
        except PortalRefused as error:
            # Not the events' fault: they wait until somebody has given the webhook its rights.
            raise PortalBlocked(f"The rules' names cannot be resolved: {error}") from error

    def dispatcher(self, book: RuleBook | None = None) -> Dispatcher:
        """The dispatcher over these rules; over the configured ones by default."""
        return Dispatcher(
            self._client, self._store, self._portal, self._clock, book or self.book(), self._lanes, self._pace
        )

    def site(self, book: RuleBook | None = None) -> Site:
        """What jobs work with."""
        dispatcher = self.dispatcher(book)
        return Site(
            portal=self._portal,
            store=self._store,
            zone=self._zone,
            observer=dispatcher.observer,
            tasks=dispatcher.tasks,
            start_workflows=self._start_workflows,
            client_group=self._client_group,
            public_url=self._config.daemon.public_url,
            stage_plan=self._stage_plan,
        )

    # -- bulk jobs that rules share with commands ---------------------------------------------------

    def _start_workflows(
        self,
        client: PortalClient,
        deal: Item,
        cause: Cause,
        template: WorkflowTemplate | None,
        parameters: Mapping[str, Any],
    ) -> int:
        """Start a template, or what `[[workflows.start]]` says for the stage that the deal entered, once per entry."""
        if cause.kind != ENTERED:
            raise GiveUp("ctx.start_workflow needs a handler that waits for entered(...).")
        if template is not None and template.template is not None:
            rules = [StartRule(int(deal["categoryId"] or 0), cause.subject, template.template, None, parameters)]
        else:
            rules = [rule for rule in self._start_rules(client) if rule.stage_id == cause.subject]
        if not rules:
            return 0
        starts = WorkflowStarts(client, self._store, self._portal, self._clock, rules)
        row: dict[str, Any] = {"id": deal.id, "categoryId": deal["categoryId"], "stageId": deal["stageId"]}
        row |= {rule.trace: deal[rule.trace] for rule in rules if rule.trace}
        result = starts.perform(starts.of_deal(row, (cause.subject, cause.n)))
        if result.unknown:
            raise OutcomeUnknown(f"A workflow of deal {deal.id} was sent and not answered; it is looked for again.")
        if result.refused:
            raise GiveUp(f"A workflow of deal {deal.id} was refused; b24sync workflows status says why.")
        if result.not_sent:
            raise RetryLater(f"A workflow of deal {deal.id} is still to be sent.")
        return result.started

    def _start_rules(self, client: PortalClient) -> list[StartRule]:
        """`[[workflows.start]]` with ids; read anew as often as the rules' own names."""
        with self._lock:
            if self._starts is None or self._starts[0] != self._read_at:
                lines = self._config.workflows.start
                directory = read_directory(client, DEAL, users=False)
                self._starts = (self._read_at, resolve_starts(lines, directory, deal_templates(client)))
            return self._starts[1]

    def _client_group(self, client: PortalClient, company_id: int, needed: bool, members: Sequence[int]) -> int | None:
        """What `groups sync` does for one company; the group's id. `needed`: whatever the company's type."""
        groups = ClientGroups(client, self._store, self._portal, self._clock, self._config.groups)
        plan = groups.plan(company_id, any_type=needed)
        plan.members += members
        if not plan.groups:
            return None
        result = groups.sync(plan)
        if result.unknown:
            raise OutcomeUnknown(
                f"The group of company {company_id} was sent and not answered; it is looked for again."
            )
        one = plan.groups[0]
        if one.group is None:
            raise GiveUp(f"Company {company_id} has no group: {'; '.join(result.problems) or 'the portal made none'}.")
        for problem in result.problems:
            LOG.warning("portal=%s company=%d %s", self._portal, company_id, problem)
        return one.group.id
