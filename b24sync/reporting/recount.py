"""The nightly recount: timelines, norms and calendar -> the deals' recounted fields, only where they changed.

A night has one moment `as_of`, fixed when it starts and kept by every run until the schedule's next tick: a second
run finds nothing to write, a killed one goes on with the same values. Deals whose last recount is longest ago come
first, so a night that its window ends is gone on with by the next.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from b24sync.bulk.ledgered import LOOKUP_GRACE_S, Progress
from b24sync.bulk.window import WindowClock
from b24sync.config import Config
from b24sync.errors import ConfigError, RetryLater
from b24sync.portal.directory import Directory
from b24sync.portal.items import DEAL, UPDATE, read_by_ids
from b24sync.portal.stage_fields import RECOUNTED
from b24sync.reporting.norms import NormBook
from b24sync.reporting.recounted import EMPTY, Fields, Update, wanted_values
from b24sync.reporting.refresh import Refresher
from b24sync.reporting.sources import chosen_pipeline, directory_with_users, norm_book, refresher_of
from b24sync.reporting.timeline import Stay
from b24sync.reporting.updates import UpdateSender
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, PLANNED, UNKNOWN, Ledger, Settled
from b24sync.store.locks import NamedLock
from b24sync.store.nights import FINISHED, STOPPED, Night, Nights, Tally
from b24sync.store.timelines import Timelines
from b24sync.transport.client import PortalClient

WHAT = "recount"
NOT_FOUND = "NOT_FOUND"


@dataclass(slots=True)
class Summary:
    """What a run did. `total`: deals it had to look at, `seen`: those it came to that norms cover.

    `read_all`: the local tables are up to date; `notes` are for the person, in words.
    """

    as_of: float
    resumed: bool = False
    total: int = 0
    seen: int = 0
    changed: int = 0
    written: int = 0
    refused: int = 0
    unknown: int = 0
    duration_s: float = 0.0
    budget_share: float | None = None
    stopped: str | None = None
    read_all: bool = False
    notes: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)


class Recount:
    """Recounts one portal. Build one per run; `client` must wait on the same `clock`."""

    def __init__(self, client: PortalClient, store: Store, portal: str, clock: WindowClock, config: Config) -> None:
        self._client = client
        self._store = store
        self._portal = portal
        self._clock = clock
        self._config = config
        self._zone = config.portal_named(portal)[1].zone
        self._lock = NamedLock(store, portal, WHAT, clock)
        self._ledger = Ledger(store, portal, WHAT, clock)
        self._nights = Nights(store, portal, clock)
        self._tables = Timelines(store, portal)

    def run(
        self,
        *,
        pipeline: str | None = None,
        dry_run: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Summary:
        """Recount all deals, or those of one pipeline. Cost: one request per 2,500 deals and per 50 changed ones.

        Raises RetryLater when another recount runs, or the portal is away; PortalBlocked, ConfigError, StoreError.
        """
        since = last_tick(self._config.recount.cron, datetime.fromtimestamp(self._clock.wall_s(), self._zone))
        if not self._lock.take():
            raise RetryLater("A recount of this portal runs already; two never run at once.")
        self._clock.keep_alive(self._lock.keep)
        try:
            return self._night(since.timestamp(), pipeline, dry_run, on_progress)
        finally:
            self._lock.free()

    def _night(
        self, since: float, pipeline: str | None, dry_run: bool, on_progress: Callable[[Progress], None]
    ) -> Summary:
        began = self._clock.boot_s()
        night = self._nights.look(since) if dry_run else self._nights.begin(since)
        summary = Summary(night.as_of, night.resumed)
        try:
            self._recount(night, summary, pipeline, dry_run, on_progress)
        except RetryLater as error:
            summary.stopped = str(error)
        except BaseException as error:
            summary.stopped = type(error).__name__
            raise
        finally:
            summary.duration_s = round(self._clock.boot_s() - began, 1)
            summary.budget_share = self._budget_share()
            tally = Tally(summary.seen, summary.changed, summary.written, summary.refused)
            if not dry_run:
                self._nights.end(night, STOPPED if summary.stopped else FINISHED, tally, summary.stopped)
        return summary

    def _recount(
        self,
        night: Night,
        summary: Summary,
        pipeline: str | None,
        dry_run: bool,
        on_progress: Callable[[Progress], None],
    ) -> None:
        directory = directory_with_users(self._client, summary.notes)
        pipeline_id = None if pipeline is None else chosen_pipeline(directory, pipeline)
        book = norm_book(self._config, self._store, self._portal, directory, summary.notes)
        book.check_country()
        fields = Fields(directory.fields, self._zone)
        if book.pipelines and fields.lacking and not dry_run:
            raise ConfigError(
                "The portal lacks the fields that the recount writes:",
                [*fields.lacking, "`b24sync portal apply` makes them"],
            )
        refresher = refresher_of(self._client, self._store, self._portal, self._clock, self._config, directory)
        gone = refresher.whole(pipeline_id)
        if gone:
            summary.notes.append(f"{len(gone)} deals are no longer in the portal")
        self._lock.keep()
        summary.read_all = pipeline_id is None
        summary.total = len(self._tables.ids(pipeline_id))
        self._note_dismissed(directory, summary, pipeline_id)
        updates = self._updates(night, book, fields, summary, pipeline_id, dry_run=dry_run)
        if dry_run:
            for _ in updates:
                summary.changed += 1
            return
        self._ledger.prune(night.id)
        self._settle_loose_ends(fields, refresher)
        sender = UpdateSender(
            self._client,
            self._ledger,
            fields,
            self._clock,
            on_written=lambda ids: self._tables.set_recounted(ids, night.as_of),
            on_progress=on_progress,
        )
        try:
            sender.send(self._counted(updates, summary))
        finally:
            self._take_stock(sender, summary)
        summary.stopped = sender.stopped

    def _counted(self, updates: Iterator[Update], summary: Summary) -> Iterator[Update]:
        for update in updates:
            summary.changed += 1
            yield update

    # -- what to write ------------------------------------------------------------------------------

    def _updates(
        self,
        night: Night,
        book: NormBook,
        fields: Fields,
        summary: Summary,
        pipeline_id: int | None,
        *,
        dry_run: bool,
    ) -> Iterator[Update]:
        """Updates of deals that norms cover, or that carry our fields; planned in the ledger piece by piece."""
        for cards in self._tables.cards_by_age(pipeline_id):
            stays = self._tables.stays_of([card.id for card in cards])
            piece: list[Update] = []
            right: list[int] = []
            for card in cards:
                shown: dict[str, Any] = json.loads(card.own) if card.own else {}
                if card.id not in stays:
                    continue  # a report read it a moment ago; its timeline is not built yet
                covered = card.pipeline_id in book.pipelines or any(shown.get(code) not in EMPTY for code in RECOUNTED)
                if not covered:
                    continue
                summary.seen += 1
                timeline = [_stay(row) for row in stays[card.id]]
                wanted = wanted_values(timeline, book, night.as_of, shown)
                changes = fields.changes(wanted, shown, closed=not timeline[-1].in_work)
                if changes:
                    piece.append(Update.of(night.id, card.id, changes))
                else:
                    right.append(card.id)
            if not dry_run:
                self._tables.set_recounted(right, night.as_of)
                self._plan(night, piece)
                self._lock.keep()
            yield from piece

    def _plan(self, night: Night, piece: Sequence[Update]) -> None:
        """Plan a piece. What the ledger calls written and the portal does not show is written again."""
        for key, write in self._ledger.states([update.key for update in piece]).items():
            if write.state == DONE:
                self._ledger.gone(key)
        self._ledger.plan(((update.key, {"fields": update.fields}) for update in piece), night.id)

    def _settle_loose_ends(self, fields: Fields, refresher: Refresher) -> None:
        """Updates that a killed run left unanswered: found in the portal, or waited for until they cannot run any more.

        A request still in flight must not overwrite what is written now.
        """
        self._ledger.bury_dead()
        loose = list(self._ledger.in_state(UNKNOWN))
        if not loose:
            return
        deals = list({_deal_of(write.key) for write in loose})
        ripe_at = (
            max((write.sent_at or 0.0) for write in loose) + self._client.gate.limits.request_cap_s + LOOKUP_GRACE_S
        )
        while True:
            rows = read_by_ids(self._client, DEAL, deals, RECOUNTED)
            held = {
                write.key: _deal_of(write.key)
                for write in loose
                if fields.hold(write.detail.get("fields", {}), rows.get(_deal_of(write.key), {}))
            }
            self._ledger.settle([Settled(key, DONE, portal_id=str(deal_id)) for key, deal_id in held.items()])
            loose = [write for write in loose if write.key not in held]
            wait_s = ripe_at - self._clock.wall_s()
            if not loose or wait_s <= 0:
                break
            self._clock.sleep(min(wait_s, 1.0))
        self._ledger.settle([Settled(write.key, PLANNED) for write in loose])
        refresher.reread(deals)

    # -- the summary --------------------------------------------------------------------------------

    def _take_stock(self, sender: UpdateSender, summary: Summary) -> None:
        summary.written = sender.progress.written
        summary.refused = sender.progress.refused
        summary.unknown = sum(1 for _ in self._ledger.in_state(UNKNOWN))
        gone = [deal_id for deal_id, said in sender.refusals.items() if said.code == NOT_FOUND]
        self._tables.mark_deleted(gone)
        for said in sender.refusals.values():
            summary.refusals[f"{said.code}: {said.text}".strip(": ")] += 1

    def _note_dismissed(self, directory: Directory, summary: Summary, pipeline_id: int | None) -> None:
        names = {user.id: user.name for user in directory.users if not user.active}
        for user_id, deals in self._tables.open_deals_of(list(names), pipeline_id).items():
            summary.notes.append(f"{names[user_id]} is dismissed and responsible for {deals} open deals")

    def _budget_share(self) -> float | None:
        """Part of crm.item.update's budget that is used in the portal's present window."""
        limit_s = self._client.gate.limits.operating_limit_s
        snapshot: dict[str, Any] = self._client.gate.snapshot()
        used = [float(row["used_s"]) for row in snapshot["methods"] if row["method"] == UPDATE]
        return used[0] / limit_s if limit_s and used else None


def _stay(row: Any) -> Stay:
    return Stay(row.pipeline_id, row.stage_id, row.stage_group, row.entered_at, row.left_at, row.estimated)


def _deal_of(key: str) -> int:
    return int(key.partition("/")[0])


def last_tick(cron: str, now: datetime) -> datetime:
    """The schedule's latest tick up to `now`, in its zone."""
    from cronsim import CronSim

    # Backwards it gives ticks before a moment, and a run may start with its tick.
    return next(CronSim(cron, now + timedelta(seconds=1), reverse=True))
