"""Sweeps find what events missed, at the gate's pace, into the same lane as events (design 6).

Changed items by `updatedTime` since the cursor, with overlap; new ones by their ids, since an import may date them
back; stages by the stage history, which also knows moves between pipelines that no outgoing webhook tells
(api-reference/crm/deals/events/on-crm-deal-move-to-category.md); tasks of processes by CHANGED_DATE. What was deleted
shows in none of these: where a rule waits for it, all ids are walked from time to time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from b24sync.automation.causes import DELETED, moment_of
from b24sync.automation.dispatch import WHOLE_SECONDS_S, ask_message, since_cursor
from b24sync.automation.looks import has_stages, look_message
from b24sync.automation.observe import Observer
from b24sync.automation.portals import TASK, type_id_of
from b24sync.errors import PortalRefused
from b24sync.portal.items import walk
from b24sync.portal.tasks import changed_since
from b24sync.store.cursors import read_cursor, save_cursor
from b24sync.store.engine import Store
from b24sync.store.lanes import Lanes, Message
from b24sync.store.links import Links
from b24sync.store.snapshots import Snapshot
from b24sync.transport.client import PortalClient

LOG = logging.getLogger("b24sync.sweeps")

OVERLAP = timedelta(minutes=2)
"""Read again with every sweep: an item saved while a list was read may carry an earlier second."""
A_FEW_GONE, MOST_GONE_SHARE = 100, 0.2
"""More than that, of what there was, is not deleted between two walks without an event."""
PIECE = 2500
PAGE = 50


class Sweeps:
    """Sweeps over one portal."""

    def __init__(
        self, client: Callable[[], PortalClient], store: Store, portal: str, observer: Observer, lanes: Lanes
    ) -> None:
        self._client_of_thread = client
        self._store = store
        self._portal = portal
        self._observer = observer
        self._lanes = lanes

    def run(self, deleted_every_s: float) -> int:
        """One sweep over everything that rules wait for; how many items are to be looked at.

        Cost: per kind of item one request for each 2,500 items changed since the last one, at least two. Every
        `deleted_every_s`, for kinds whose deletion a rule waits for, one more for each 2,500 items that there are.
        """
        found = 0
        for entity in self._observer.book.entities():
            if read_cursor(self._store, self._portal, since_cursor(entity)) is None:
                continue  # its baseline comes first
            try:
                found += self._sweep_items(entity)
                if self._observer.book.hears(entity, DELETED):
                    found += self._sweep_deleted(entity, deleted_every_s)
            except PortalRefused as error:
                LOG.warning("portal=%s kind=%s cannot be swept: %s", self._portal, entity, error)
            if has_stages(entity):
                self._lanes.publish_now([ask_message(self._portal, "history", entity)])
        return found + self._sweep_tasks()

    # -- items --------------------------------------------------------------------------------------

    def _sweep_items(self, entity: str) -> int:
        client, type_id = self._client_of_thread(), type_id_of(entity)
        assert type_id is not None
        name = f"rules: sweep of {entity}"
        cursor = self._cursor(name, entity)
        newest, count, began_s = cursor, 0, client.clock.wall_s()
        filters = {">=updatedTime": (cursor - OVERLAP).isoformat(timespec="seconds")}
        highest = self._observer.snapshots.highest_id(entity)
        for piece in _pieces(walk(client, type_id, filters, ["id", "updatedTime"])):
            newest = max([newest, *filter(None, (moment_of(row.get("updatedTime")) for row in piece))])
            count += self._publish(entity, piece)
            # The cursor moves only when what is up to it has been published; a list by id has no such point.
        for piece in _pieces(walk(client, type_id, {">id": highest}, ["id", "updatedTime"])):
            count += self._publish(entity, piece)
        # What was changed while the walk was past it is older than the newest that the walk then found.
        upto = min(newest, _portal_time(client, began_s))
        save_cursor(self._store, self._portal, name, upto.isoformat())
        return count

    def _cursor(self, name: str, entity: str) -> datetime:
        stored = read_cursor(self._store, self._portal, name) or read_cursor(
            self._store, self._portal, since_cursor(entity)
        )
        return datetime.fromisoformat(str(stored))

    def _publish(self, entity: str, rows: list[Mapping[str, Any]]) -> int:
        """Ask for a look at those that are not as they were last seen."""
        known = self._observer.snapshots.read(entity, [int(row["id"]) for row in rows])
        skew_s = self._client_of_thread().server_skew_s or 0.0
        messages = [
            look_message(self._portal, entity, int(row["id"]))
            for row in rows
            if not _is_as_seen(row, known.get(int(row["id"])), skew_s)
        ]
        self._lanes.publish_now(messages)
        return len(messages)

    def _sweep_deleted(self, entity: str, every_s: float) -> int:
        """Ask for a look at those that were there and that a walk over all ids does not show."""
        client, type_id = self._client_of_thread(), type_id_of(entity)
        assert type_id is not None
        name, now = f"rules: deleted {entity}", client.clock.wall_s()
        walked_at = read_cursor(self._store, self._portal, name)
        missing: set[int] = set()
        if walked_at is not None:
            if 0 <= now - float(walked_at) < every_s:
                return 0
            missing = self._missing(entity, walk(client, type_id, {}, ["id"]))
            self._lanes.publish_now(look_message(self._portal, entity, item_id) for item_id in sorted(missing))
        save_cursor(self._store, self._portal, name, str(now))
        return len(missing)

    def _missing(self, entity: str, rows: Iterable[Mapping[str, Any]]) -> set[int]:
        missing: set[int] = set()
        known = after = 0
        for piece in chain(_pieces(rows), [[]]):
            ids = {int(row["id"]) for row in piece}
            upto = max(ids, default=None)
            standing = self._observer.snapshots.standing(entity, after, upto)
            known, after = known + len(standing), upto or after
            missing.update(set(standing) - ids)
        if len(missing) > max(A_FEW_GONE, known * MOST_GONE_SHARE):
            # A webhook that has lost rights is shown an empty list, not a refusal.
            LOG.error(
                "portal=%s %d of %d items of kind %s are not shown: taken for lost rights, not for deletions",
                *(self._portal, len(missing), known, entity),
            )
            return set()
        return missing

    # -- tasks --------------------------------------------------------------------------------------

    def _sweep_tasks(self) -> int:
        """Tasks that processes made and somebody changed. Cost: one request per 50 changed tasks, at least one."""
        links = Links(self._store, self._portal)
        if not self._observer.snapshots.highest_id(TASK):
            return 0
        client = self._client_of_thread()
        name = "rules: sweep of tasks"
        stored = read_cursor(self._store, self._portal, name)
        began_s = client.clock.wall_s()
        since = datetime.fromisoformat(stored) if stored else _portal_time(client, began_s) - timedelta(days=1)
        messages: list[Message] = []
        after = 0
        while True:
            rows = changed_since(client, (since - OVERLAP).isoformat(timespec="seconds"), after)
            ids = [int(row["id"]) for row in rows]
            messages += [look_message(self._portal, TASK, task_id) for task_id in ids if links.to(TASK, task_id)]
            if len(rows) < PAGE or max(ids) <= after:
                break
            after = max(ids)
        self._lanes.publish_now(messages)
        save_cursor(self._store, self._portal, name, _portal_time(client, began_s).isoformat())
        return len(messages)


def _pieces(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    piece: list[Mapping[str, Any]] = []
    for row in rows:
        piece.append(row)
        if len(piece) == PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _is_as_seen(row: Mapping[str, Any], last: Snapshot | None, skew_s: float) -> bool:
    if last is None or last.gone or last.fields.get("updatedTime") != row.get("updatedTime"):
        return False
    # updatedTime has whole seconds: a second change within the same one does not show.
    updated = moment_of(row.get("updatedTime"))
    return updated is None or updated.timestamp() < last.seen_at + skew_s - WHOLE_SECONDS_S


def _portal_time(client: PortalClient, wall_s: float) -> datetime:
    """A moment of this machine's clock by that of the portal, as its latest answer told it."""
    return datetime.fromtimestamp(wall_s + (client.server_skew_s or 0.0), UTC)
