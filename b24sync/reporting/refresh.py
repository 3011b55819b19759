"""Brings the local tables up to date with the portal: names, deal cards, stage history, timelines.

Resumable at any point: every piece is stored whole, the history goes on after its last stored row, and timelines
whose parts have changed are marked until they are built anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from b24sync.clock import Clock
from b24sync.portal.directory import Directory
from b24sync.portal.items import DEAL, KEYS_PER_REQUEST, read_by_ids, walk
from b24sync.portal.stage_history import HistoryRow, history_after
from b24sync.reporting.timeline import Card, Move, Stay, sighting_of, stays_of
from b24sync.store.engine import Store
from b24sync.store.names import PIPELINE, STAGE, USER, Name, save_names
from b24sync.store.timelines import Timelines
from b24sync.transport.client import PortalClient

CARD_FIELDS = (
    "title",
    "categoryId",
    "stageId",
    "stageSemanticId",
    "previousStageId",
    "assignedById",
    "companyId",
    "opportunity",
    "currencyId",
    "createdTime",
    "movedTime",
    "updatedTime",
    "isRecurring",
)
GROUPS = {"process": "P", "success": "S", "failure": "F"}
OVERLAP_S = 60.0
"""A changed card is looked for from a little before the latest one known: several share a second."""


@dataclass(frozen=True, slots=True)
class Own:
    """User fields to read with each card: `codes` go into `own`; `created` holds a date that the portal refused."""

    codes: Sequence[str] = ()
    created: str | None = None

    @property
    def select(self) -> list[str]:
        return list(dict.fromkeys([*self.codes, *([self.created] if self.created else [])]))


class Refresher:
    """Reads one portal into its local tables. Raises PortalRefused, RetryLater, PortalBlocked, StoreError."""

    def __init__(
        self,
        client: PortalClient,
        store: Store,
        portal: str,
        clock: Clock,
        zone: ZoneInfo,
        directory: Directory,
        own: Own,
    ) -> None:
        self._client = client
        self._store = store
        self._portal = portal
        self._clock = clock
        self._zone = zone
        self._own = own
        self._groups = {(stage.pipeline_id, stage.status_id): GROUPS[stage.semantics] for stage in directory.stages}
        self._directory = directory
        self.tables = Timelines(store, portal)

    def whole(self, pipeline_id: int | None = None) -> list[int]:
        """Read every deal (of a pipeline) and what is new of the history; the ids of deals that are gone.

        Cost: one request per 2,500 deals and per 2,500 changes of stage. The cards come first: a history that is
        read after them knows of every move that they show.
        """
        self._names()
        known = self.tables.ids(pipeline_id)
        filters: dict[str, Any] = {} if pipeline_id is None else {"=categoryId": pipeline_id}
        seen = self._save(walk(self._client, DEAL, filters, self._select))
        gone = self._missing(sorted(known - seen))
        self._history()
        return gone

    def changes(self) -> None:
        """Read what is new since the last reading; deals that were deleted stay until the next `whole`.

        Cost: about four requests where little has changed.
        """
        newest_id, updated_at = self.tables.newest()
        if not newest_id:
            self.whole()
            return
        self._names()
        since = datetime.fromtimestamp(updated_at - OVERLAP_S, self._zone).isoformat(timespec="seconds")
        self._save(walk(self._client, DEAL, {">id": newest_id}, self._select, after=newest_id))
        self._save(walk(self._client, DEAL, {">=updatedTime": since}, self._select))
        self._history()

    def reread(self, ids: Sequence[int]) -> None:
        """Read the cards of these deals again. Cost: one request per 2,500."""
        self._save(read_by_ids(self._client, DEAL, ids, self._select).values())

    # -- pieces -------------------------------------------------------------------------------------

    def _names(self) -> None:
        found = self._directory
        names = [Name(PIPELINE, str(one.id), one.name) for one in found.pipelines]
        for stage in found.stages:
            group = GROUPS[stage.semantics]
            names.append(Name(STAGE, stage.status_id, stage.name, stage.pipeline_id, "", group, stage.sort))
        names += [Name(USER, str(one.id), one.name, email=one.email, gone=not one.active) for one in found.users]
        save_names(self._store, self._portal, names)

    @property
    def _select(self) -> list[str]:
        return [*CARD_FIELDS, *self._own.select]

    def _save(self, items: Iterable[Mapping[str, Any]]) -> set[int]:
        """Store cards piece by piece; their ids. Templates of recurring deals are no deals."""
        seen: set[int] = set()
        deals = (item for item in items if item.get("isRecurring") not in (True, "Y", 1, "1"))
        while piece := list(islice(deals, KEYS_PER_REQUEST)):
            read_at = self._clock.wall_s()
            self.tables.save_cards([self._card(item, read_at) for item in piece])
            seen.update(int(item["id"]) for item in piece)
        return seen

    def _missing(self, ids: Sequence[int]) -> list[int]:
        """Deals that the walk did not meet: moved to another pipeline, or no longer there."""
        found = self._save(read_by_ids(self._client, DEAL, ids, self._select).values()) if ids else set()
        gone = [one for one in ids if one not in found]
        self.tables.mark_deleted(gone)
        return gone

    def _history(self) -> None:
        rows = history_after(self._client, self.tables.last_move())
        while piece := list(islice(rows, KEYS_PER_REQUEST)):
            self.tables.save_moves([self._move(row) for row in piece])
        if unknown := self.tables.owners_without_card():
            self.reread(unknown)
        while self.tables.rebuild_some(timeline_of):
            pass

    def _card(self, item: Mapping[str, Any], read_at: float) -> dict[str, Any]:
        pipeline_id, stage_id = int(item.get("categoryId") or 0), str(item.get("stageId") or "")
        created_at = self._moment(item.get("createdTime")) or read_at
        aside = self._moment(item.get(self._own.created)) if self._own.created else None
        own = {code: item[code] for code in self._own.codes if item.get(code) not in (None, "", [])}
        return {
            "id": int(item["id"]),
            "title": _storable(str(item.get("title") or "")),
            "pipeline_id": pipeline_id,
            "stage_id": stage_id,
            "stage_group": self._group(str(item.get("stageSemanticId") or ""), pipeline_id, stage_id),
            "previous_stage_id": str(item.get("previousStageId") or ""),
            "responsible_id": int(item.get("assignedById") or 0),
            "company_id": int(item.get("companyId") or 0),
            "opportunity_cents": round(float(item.get("opportunity") or 0) * 100),
            "currency": str(item.get("currencyId") or ""),
            "created_at": min(created_at, aside) if aside else created_at,
            "moved_at": self._moment(item.get("movedTime")) or created_at,
            "updated_at": self._moment(item.get("updatedTime")) or created_at,
            "own": json.dumps(own) if own else None,
            "read_at": read_at,
        }

    def _move(self, row: HistoryRow) -> dict[str, Any]:
        return {
            "id": row.id,
            "deal_id": row.deal_id,
            "kind": row.kind,
            "at": self._moment(row.created_time),
            "pipeline_id": row.pipeline_id,
            "stage_id": row.stage_id,
            "stage_group": self._group(row.semantics, row.pipeline_id, row.stage_id),
        }

    def _group(self, said: str, pipeline_id: int, stage_id: str) -> str:
        return said if said in ("P", "S", "F") else self._groups.get((pipeline_id, stage_id), "P")

    def _moment(self, value: Any) -> float | None:
        """Unix seconds of an ISO text; without an offset it is the portal's time."""
        if value in (None, "", []):
            return None
        moment = datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=self._zone)).timestamp()


def _storable(text: str) -> str:
    """PostgreSQL takes no NUL, and half of a surrogate pair is no text to any store: one title must not end a night."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def timeline_of(
    card: Any, moves: Sequence[Any], sightings: Sequence[Any]
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The timeline of rows: stays, and what of the card must be remembered."""
    history = [Move(row.id, row.kind, row.at, row.pipeline_id, row.stage_id, row.stage_group) for row in moves]
    earlier = [Move(0, 0, row.at, row.pipeline_id, row.stage_id, row.stage_group) for row in sightings]
    seen = Card(
        card.created_at,
        card.moved_at,
        card.pipeline_id,
        card.stage_id,
        card.stage_group,
        card.read_at,
        card.previous_stage_id,
    )
    stays: list[dict[str, Any]] = [
        {
            **_place(stay),
            "entered_at": stay.entered_at,
            "left_at": stay.left_at,
            "estimated": stay.estimated,
        }
        for stay in stays_of(seen, history, earlier)
    ]
    new = sighting_of(seen, history, earlier)
    return stays, None if new is None else {"at": new.at, **_place(new)}


def _place(one: Move | Stay) -> dict[str, Any]:
    return {"pipeline_id": one.pipeline_id, "stage_id": one.stage_id, "stage_group": one.group}
