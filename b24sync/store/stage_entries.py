"""Stage entries: (deal, stage, n), shared by workflow starts and rules (design 5).

Two sightings of a stage with no other stage between them are one entry.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select, tuple_

from b24sync.store.engine import Store
from b24sync.store.ledger import CHUNK
from b24sync.store.tables import stage_entries


def note_entries(
    store: Store, portal: str, entity: str, seen: Sequence[tuple[int, str]], *, source: str, at: float
) -> dict[int, int]:
    """Note that items were seen in stages, in this order; returns each item's n for its latest stage.

    `seen`: (item id, stage id). The same item may come several times, oldest first (stage history).
    """
    numbers: dict[int, int] = {}
    for start in range(0, len(seen), CHUNK):
        numbers.update(_note_piece(store, portal, entity, seen[start : start + CHUNK], source, at))
    return numbers


def note_created(
    store: Store, portal: str, entity: str, seen: Sequence[tuple[int, str]], *, source: str, at: float
) -> None:
    """Note the first stage of items that were made a moment ago: nothing is known of them yet."""
    if not seen:
        return
    first = {"portal": portal, "entity": entity, "seq": 1, "n": 1, "source": source, "seen_at": at}
    rows = [{**first, "entity_id": item_id, "stage": stage} for item_id, stage in seen]
    with store.write() as connection:
        store.many(connection, store.insert(stage_entries).on_conflict_do_nothing(), rows)


def _note_piece(
    store: Store, portal: str, entity: str, seen: Sequence[tuple[int, str]], source: str, at: float
) -> dict[int, int]:
    table = stage_entries
    ids = list({item_id for item_id, _ in seen})
    mine = (table.c.portal == portal, table.c.entity == entity, table.c.entity_id.in_(ids))
    last_seq = select(table.c.entity_id, func.max(table.c.seq)).where(*mine).group_by(table.c.entity_id)
    with store.write() as connection:
        latest = {
            row.entity_id: (row.seq, row.stage)
            for row in connection.execute(
                select(table.c.entity_id, table.c.seq, table.c.stage).where(
                    *mine, tuple_(table.c.entity_id, table.c.seq).in_(last_seq)
                )
            )
        }
        counts = {
            (row.entity_id, row.stage): row.n
            for row in connection.execute(
                select(table.c.entity_id, table.c.stage, func.max(table.c.n).label("n"))
                .where(*mine)
                .group_by(table.c.entity_id, table.c.stage)
            )
        }
        fresh = []
        for item_id, stage in seen:
            seq, present = latest.get(item_id, (0, None))
            if present == stage:
                continue
            n = counts.get((item_id, stage), 0) + 1
            latest[item_id], counts[item_id, stage] = (seq + 1, stage), n
            fresh.append(
                {
                    "portal": portal,
                    "entity": entity,
                    "entity_id": item_id,
                    "seq": seq + 1,
                    "stage": stage,
                    "n": n,
                    "source": source,
                    "seen_at": at,
                }
            )
        if fresh:
            connection.execute(store.insert(table).on_conflict_do_nothing(), fresh)
    return {item_id: counts[item_id, stage] for item_id, stage in seen}
