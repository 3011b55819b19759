"""Tokens of an OAuth application in a portal. The only credential that the store holds: keep its file private.

A grant that came with an installation is `pending` until the portal itself has accepted its token; then it is the
`active` one. Refresh tokens rotate: the new pair is written through to the disk before it is used.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, select

from b24sync.store.engine import Store
from b24sync.store.tables import app_grants

PENDING, ACTIVE = "pending", "active"


@dataclass(frozen=True, slots=True)
class Grant:
    """A pair of tokens and whom they belong to. `expires_at` in unix seconds."""

    access_token: str
    refresh_token: str
    application_token: str
    member_id: str
    scope: str
    expires_at: float


class AppGrants:
    """The grants of one portal's application."""

    def __init__(self, store: Store, portal: str) -> None:
        self._store = store
        self._portal = portal

    def get(self, state: str = ACTIVE) -> Grant | None:
        with self._store.read() as connection:
            row = connection.execute(select(app_grants).where(*self._where(state))).one_or_none()
        return None if row is None else _grant(row)

    def put(self, grant: Grant, state: str = ACTIVE) -> None:
        """Write through to the disk."""
        values = asdict(grant)
        with self._store.write() as connection:
            insert = self._store.insert(app_grants).values(portal=self._portal, state=state, **values)
            connection.execute(insert.on_conflict_do_update(index_elements=["portal", "state"], set_=values))

    def forget(self, state: str) -> None:
        with self._store.write() as connection:
            connection.execute(delete(app_grants).where(*self._where(state)))

    def _where(self, state: str) -> tuple[Any, ...]:
        return app_grants.c.portal == self._portal, app_grants.c.state == state


def app_tokens(store: Store) -> dict[str, str]:
    """Portal name by the application token of its active grant."""
    with store.read() as connection:
        rows = connection.execute(select(app_grants).where(app_grants.c.state == ACTIVE)).all()
    return {row.application_token: row.portal for row in rows if row.application_token}


def _grant(row: Any) -> Grant:
    return Grant(row.access_token, row.refresh_token, row.application_token, row.member_id, row.scope, row.expires_at)
