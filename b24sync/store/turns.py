"""Whose turn it is: a counter per process, drawn once per cause."""

from __future__ import annotations

from dataclasses import replace

from b24sync.store.cursors import read_cursor, save_cursor_in
from b24sync.store.engine import Store
from b24sync.store.links import Link, Links


def next_turn(store: Store, portal: str, link: Link) -> int:
    """The number drawn for this link: 0, 1, 2, ...; the same one when asked again."""
    links, name = Links(store, portal), f"turn: {link.process[:40]}/{link.step[:10]}"
    drawn = [known for known in links.of_entity(link.entity, link.entity_id, link.process) if known.step == link.step]
    for known in drawn:
        if known.n == link.n:
            return int(known.portal_id)
    with store.write() as connection:
        n = int(read_cursor(store, portal, name, connection) or 0)
        save_cursor_in(store, connection, portal, name, str(n + 1))
        links.save([replace(link, portal_id=str(n))], connection)
    return n
