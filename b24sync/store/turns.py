"""Numbers that are drawn once: whose turn it is, per process and cause; which copy of a deal it is."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from b24sync.store.cursors import read_cursor, save_cursor_in
from b24sync.store.engine import Store
from b24sync.store.links import Link, Links


def next_turn(store: Store, portal: str, link: Link) -> int:
    """The number drawn for this link: 0, 1, 2, ...; the same one when asked again."""
    links, name = Links(store, portal), f"turn: {link.process[:40]}/{link.step[:10]}"
    for known in links.of_entity(link.entity, link.entity_id, link.process):
        if (known.step, known.kind, known.n) == (link.step, link.kind, link.n):
            return int(known.portal_id)
    with store.write() as connection:
        n = int(read_cursor(store, portal, name, connection) or 0)
        save_cursor_in(store, connection, portal, name, str(n + 1))
        links.save([replace(link, portal_id=str(n))], connection)
    return n


def number_of(store: Store, portal: str, counter: str, key: str, *, taken: int = 0) -> int:
    """The number that `key` has in a counter: 1, 2, ...; the same one when asked again. `taken`: the highest before."""
    name = f"{counter[:23]}/{hashlib.sha256(key.encode()).hexdigest()[:40]}"
    with store.write() as connection:
        drawn = read_cursor(store, portal, name, connection)
        if drawn is not None:
            return int(drawn)
        n = max(int(read_cursor(store, portal, counter, connection) or 0), taken) + 1
        for one in (counter, name):
            save_cursor_in(store, connection, portal, one, str(n))
    return n
