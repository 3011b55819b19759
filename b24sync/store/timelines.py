"""Deal cards, stage history and stage timelines: the local tables that the recount and the reports read."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, delete, func, or_, select, update

from b24sync.store.engine import Store
from b24sync.store.ledger import CHUNK
from b24sync.store.tables import deal_cards, stage_moves, stage_sightings, stage_stays

Row = Mapping[str, Any]

CARD_COLUMNS = (
    "title",
    "pipeline_id",
    "stage_id",
    "stage_group",
    "previous_stage_id",
    "responsible_id",
    "company_id",
    "opportunity_cents",
    "currency",
    "created_at",
    "moved_at",
    "updated_at",
    "own",
    "read_at",
)
ROWS_AT_ONCE = 5_000
EVERY_ID = range(sys.maxsize)
_SHAPES_THE_TIMELINE = ("pipeline_id", "stage_id", "stage_group", "created_at", "moved_at", "deleted")


class Timelines:
    """The tables of one portal. Every writing method is one durable transaction."""

    def __init__(self, store: Store, portal: str) -> None:
        self._store = store
        self._portal = portal

    # -- what the portal said ---------------------------------------------------------------------

    def save_cards(self, rows: Sequence[Row]) -> None:
        """Store cards (CARD_COLUMNS and id). A card whose stage or times differ makes its timeline dirty."""
        if not rows:
            return
        table = deal_cards
        statement = self._store.insert(table)
        fresh = statement.excluded
        differs = or_(*(table.c[name] != fresh[name] for name in _SHAPES_THE_TIMELINE))
        values: dict[str, Any] = {name: fresh[name] for name in (*CARD_COLUMNS, "deleted")}
        values["dirty"] = or_(table.c.dirty, differs)
        statement = statement.on_conflict_do_update(index_elements=["portal", "id"], set_=values)
        fixed = {"portal": self._portal, "deleted": False, "dirty": True}
        with self._store.write() as connection:
            self._store.many(connection, statement, [{**fixed, **row} for row in rows])

    def save_moves(self, rows: Sequence[Row]) -> None:
        """Store rows of the stage history (id, deal_id, kind, at, pipeline_id, stage_id, stage_group), each once."""
        if not rows:
            return
        statement = self._store.insert(stage_moves).on_conflict_do_nothing()
        owners = sorted({row["deal_id"] for row in rows})
        with self._store.write() as connection:
            self._store.many(connection, statement, [{"portal": self._portal, **row} for row in rows])
            self._mark_dirty(connection, owners)

    def _mark_dirty(self, connection: Connection, ids: Sequence[int]) -> None:
        table = deal_cards
        for start in range(0, len(ids), CHUNK):
            chosen = table.c.id.in_(ids[start : start + CHUNK])
            connection.execute(update(table).where(table.c.portal == self._portal, chosen).values(dirty=True))

    def mark_deleted(self, ids: Sequence[int]) -> None:
        """The portal no longer shows these deals. Their rows stay: it may only be a right that was taken away."""
        table = deal_cards
        with self._store.write() as connection:
            for start in range(0, len(ids), CHUNK):
                chosen = table.c.id.in_(ids[start : start + CHUNK])
                connection.execute(update(table).where(table.c.portal == self._portal, chosen).values(deleted=True))

    def ids(self, pipeline_id: int | None = None) -> set[int]:
        """Deals that the portal showed last."""
        table = deal_cards
        query = select(table.c.id).where(table.c.portal == self._portal, table.c.deleted.is_(False))
        if pipeline_id is not None:
            query = query.where(table.c.pipeline_id == pipeline_id)
        with self._store.read() as connection:
            return {row.id for row in connection.execute(query)}

    def newest(self) -> tuple[int, float]:
        """(highest deal id, latest updated_at) known; (0, 0.0) before the first reading."""
        table = deal_cards
        query = select(func.max(table.c.id), func.max(table.c.updated_at)).where(table.c.portal == self._portal)
        with self._store.read() as connection:
            newest_id, updated_at = connection.execute(query).one()
        return newest_id or 0, updated_at or 0.0

    def last_move(self) -> int:
        """The highest id of the stage history stored."""
        query = select(func.max(stage_moves.c.id)).where(stage_moves.c.portal == self._portal)
        with self._store.read() as connection:
            return connection.execute(query).scalar() or 0

    def owners_without_card(self) -> list[int]:
        """Deals that the history names and that were never read."""
        known = select(deal_cards.c.id).where(deal_cards.c.portal == self._portal)
        query = select(stage_moves.c.deal_id).distinct()
        query = query.where(stage_moves.c.portal == self._portal, stage_moves.c.deal_id.not_in(known))
        with self._store.read() as connection:
            return [row.deal_id for row in connection.execute(query)]

    # -- building timelines -------------------------------------------------------------------------

    def rebuild_some(self, build: Any, limit: int = CHUNK) -> int:
        """Build up to `limit` dirty timelines anew in one transaction; how many there were.

        `build(card row, move rows, sighting rows)` -> (stay rows, sighting row or None), without portal and deal.
        """
        table = deal_cards
        query = select(table).where(table.c.portal == self._portal, table.c.dirty.is_(True)).limit(limit)
        with self._store.write() as connection:
            cards = connection.execute(query).all()
            ids = [card.id for card in cards]
            moves, sightings = (self._by_deal(connection, one, ids) for one in (stage_moves, stage_sightings))
            stays, seen = [], []
            for card in cards:
                built, sighting = build(card, moves.get(card.id, []), sightings.get(card.id, []))
                fixed = {"portal": self._portal, "deal_id": card.id}
                stays += [{**fixed, "seq": seq, **stay} for seq, stay in enumerate(built, start=1)]
                seen += [{**fixed, **sighting}] if sighting else []
            mine = stage_stays.c.portal == self._portal
            connection.execute(delete(stage_stays).where(mine, stage_stays.c.deal_id.in_(ids)))
            self._store.many(connection, self._store.insert(stage_stays), stays)
            self._store.many(connection, self._store.insert(stage_sightings).on_conflict_do_nothing(), seen)
            connection.execute(
                update(table).where(table.c.portal == self._portal, table.c.id.in_(ids)).values(dirty=False)
            )
        return len(ids)

    def _by_deal(self, connection: Connection, table: Any, ids: Sequence[int]) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        mine = select(table).where(table.c.portal == self._portal, table.c.deal_id.in_(ids))
        for row in connection.execute(mine).all():
            found.setdefault(row.deal_id, []).append(row)
        return found

    # -- for the recount ----------------------------------------------------------------------------

    def cards_by_age(self, pipeline_id: int | None, piece: int = CHUNK) -> Iterator[list[Any]]:
        """Cards in pieces, those first whose last recount is longest ago: a short night goes on where one stopped."""
        table = deal_cards
        order = select(table.c.id).where(table.c.portal == self._portal, table.c.deleted.is_(False))
        order = order.order_by(func.coalesce(table.c.recounted_as_of, 0.0), table.c.id)
        if pipeline_id is not None:
            order = order.where(table.c.pipeline_id == pipeline_id)
        with self._store.read() as connection:
            ids = [row.id for row in connection.execute(order)]
        for start in range(0, len(ids), piece):
            chosen = ids[start : start + piece]
            with self._store.read() as connection:
                mine = select(table).where(table.c.portal == self._portal, table.c.id.in_(chosen))
                by_id = {row.id: row for row in connection.execute(mine).all()}
            yield [by_id[one] for one in chosen if one in by_id]

    def stays_of(self, ids: Sequence[int]) -> dict[int, list[Any]]:
        """Stays by deal, in order."""
        with self._store.read() as connection:
            found = self._by_deal(connection, stage_stays, ids)
        return {deal_id: sorted(rows, key=lambda row: row.seq) for deal_id, rows in found.items()}

    def set_recounted(self, ids: Iterable[int], as_of: float) -> None:
        """These deals carry what is right as of this moment."""
        rows = [{"b_id": one, "b_as_of": as_of} for one in ids]
        if not rows:
            return
        table = deal_cards
        statement = (
            update(table)
            .where(table.c.portal == self._portal, table.c.id == bindparam("b_id"))
            .values(recounted_as_of=bindparam("b_as_of"))
        )
        with self._store.write() as connection:
            self._store.many(connection, statement, rows)

    def open_deals_of(self, user_ids: Sequence[int], pipeline_id: int | None) -> dict[int, int]:
        """How many deals in work each of these users is responsible for."""
        table = deal_cards
        query = select(table.c.responsible_id, func.count()).where(
            table.c.portal == self._portal, table.c.deleted.is_(False), table.c.stage_group == "P"
        )
        if pipeline_id is not None:
            query = query.where(table.c.pipeline_id == pipeline_id)
        wanted = set(user_ids)
        with self._store.read() as connection:
            counts = connection.execute(query.group_by(table.c.responsible_id)).all()
        return {row[0]: row[1] for row in counts if row[0] in wanted}

    # -- for the reports ----------------------------------------------------------------------------

    def middle_deal(self) -> tuple[int, int]:
        """(how many deals are known, the id that halves them); (0, 0) where there are none."""
        ids = select(deal_cards.c.id).where(deal_cards.c.portal == self._portal)  # of the primary key alone
        with self._store.read() as connection:
            count = connection.execute(select(func.count()).select_from(ids.subquery())).scalar_one()
            middle = connection.execute(ids.order_by(deal_cards.c.id).offset(count // 2).limit(1)).scalar()
        return count, middle or 0

    def disconnect(self) -> None:
        """Close what is open of the store, to be opened anew: a connection must not be shared with a child process."""
        self._store.close()

    def card_rows(
        self,
        responsible: Collection[int] | None = None,
        companies: Collection[int] | None = None,
        ids: range = EVERY_ID,
    ) -> Iterator[Any]:
        """(id, title, responsible, opportunity in cents, currency, own) of deals that are there, by id."""
        table = deal_cards
        query = select(
            *(table.c.id, table.c.title, table.c.responsible_id, table.c.opportunity_cents, table.c.currency),
            table.c.own,
        ).where(table.c.portal == self._portal, table.c.deleted.is_(False))
        if responsible is not None:
            query = query.where(table.c.responsible_id.in_(sorted(responsible)))
        if companies is not None:
            query = query.where(table.c.company_id.in_(sorted(companies)))
        return self._plain_rows(_within(query, table.c.id, ids).order_by(table.c.id))

    def stay_rows(self, ids: range = EVERY_ID) -> Iterator[Any]:
        """(deal, pipeline, stage, group, entered, left, estimated) of the deals' stays, by deal and order."""
        table = stage_stays
        query = select(
            *(table.c.deal_id, table.c.pipeline_id, table.c.stage_id, table.c.stage_group),
            *(table.c.entered_at, table.c.left_at, table.c.estimated),
        ).where(table.c.portal == self._portal)
        return self._plain_rows(_within(query, table.c.deal_id, ids).order_by(table.c.deal_id, table.c.seq))

    def stays_in_work(self, as_of: float, start: float, end: float, ids: range = EVERY_ID) -> Iterator[Sequence[Any]]:
        """(deal, pipeline, stage, entered, left, estimated) of stays in stages of work as they looked at `as_of`,
        that lasted into the period from `start` up to `end`, by deal and order, some thousands at a time.
        """
        table = stage_stays
        left_at = case((table.c.left_at <= as_of, table.c.left_at))
        query = select(
            *(table.c.deal_id, table.c.pipeline_id, table.c.stage_id, table.c.entered_at),
            *(left_at, table.c.estimated),
        ).where(table.c.portal == self._portal, table.c.stage_group == "P", table.c.entered_at <= as_of)
        if start:
            query = query.where(or_(left_at.is_(None), left_at > start))
        if end != float("inf"):
            query = query.where(table.c.entered_at < end)
        return self._plain_pieces(_within(query, table.c.deal_id, ids).order_by(table.c.deal_id, table.c.seq))

    def _plain_rows(self, query: Select[Any]) -> Iterator[Any]:
        return chain.from_iterable(self._plain_pieces(query))

    def _plain_pieces(self, query: Select[Any]) -> Iterator[Sequence[Any]]:
        """The driver's own tuples: half a million rows of plain values cost SQLAlchemy's four times as much."""
        with self._store.read() as connection:
            cursor = connection.execute(query).cursor
            assert cursor is not None  # a SELECT has one
            while piece := cursor.fetchmany(ROWS_AT_ONCE):
                yield piece


def _within(query: Select[Any], column: Any, ids: range) -> Select[Any]:
    return query if ids == EVERY_ID else query.where(column >= ids.start, column < ids.stop)
