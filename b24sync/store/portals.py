"""Which host a portal was reached at, so that a rehearsal never passes for the client's portal."""

from __future__ import annotations

from sqlalchemy import select, update

from b24sync.store.engine import Store
from b24sync.store.tables import portals


def known_addresses(store: Store, portal: str) -> tuple[str, str] | None:
    """(address last used, address configured then), each `host[:port]`; None before the first contact."""
    with store.read() as connection:
        row = connection.execute(select(portals).where(portals.c.portal == portal)).one_or_none()
    return None if row is None else (row.host, row.configured_host)


def note_address(store: Store, portal: str, *, address: str, configured: str, at: float) -> None:
    """Remember where the portal answers now."""
    values = {"host": address, "configured_host": configured, "noted_at": at}
    with store.write() as connection:
        statement = store.insert(portals).values(portal=portal, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["portal"], set_=values))


def note_member(store: Store, portal: str, member_id: str) -> None:
    """Remember the portal's stable key, once it was reached (settings/oauth/index.md: the domain may change)."""
    with store.write() as connection:
        connection.execute(update(portals).where(portals.c.portal == portal).values(member_id=member_id[:64]))
