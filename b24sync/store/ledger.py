"""The ledger: every intended write is a row before it is sent (design 5).

States: planned -> sent -> done | refused | unknown -> (looked up) done | planned. `sent` of a living owner
is waited for; of a dead one it is unknown. Keys are unique per (portal, what), over all runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Text, and_, bindparam, delete, func, literal, literal_column, or_, select, update

from b24sync.clock import Clock
from b24sync.store.engine import Store
from b24sync.store.owners import is_gone, this_owner
from b24sync.store.tables import run_rows, writes

PLANNED, SENT, DONE, REFUSED, UNKNOWN = "planned", "sent", "done", "refused", "unknown"

_IS_SENT = writes.c.state == literal_column("'sent'")
"""Written out, not bound: SQLite uses a partial index only where it can read that the condition holds."""

SETS = "rule set"
"""Writes to the item that a rule is about: while one is under way, a look at the item may show half of it."""
FOUND = "found in the portal"
"""The message of a row that a look-up found and no write of ours made."""

CHUNK = 500
"""Keys per statement: SQLite of 2020 takes 999 variables."""
LEASE_S = 300.0
"""How long a row that is `sent` belongs to a process of another machine without a sign of life."""


@dataclass(frozen=True, slots=True)
class Write:
    """One row of the ledger. `sent_at` in unix seconds of this machine; `detail` is the job's own note."""

    key: str
    state: str
    portal_id: str | None
    sent_at: float | None
    owner: str | None
    lease_until: float | None
    run_id: int | None
    code: str | None
    message: str | None
    detail: dict[str, Any]

    @property
    def refusal(self) -> str:
        """What the portal said of a write that is not done."""
        return f"{self.code or ''} {self.message or ''}".strip() or f"{self.state}: no answer"


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one key."""

    key: str
    state: str
    portal_id: str | None = None
    code: str | None = None
    message: str | None = None
    detail: Mapping[str, Any] | None = None
    """The job's new note; None leaves the one there is."""


class Ledger:
    """The ledger of one portal and one kind of write (`what`). Every method is one durable transaction."""

    def __init__(self, store: Store, portal: str, what: str, clock: Clock) -> None:
        self._store = store
        self._portal = portal
        self._what = what
        self._clock = clock
        self.owner = this_owner(clock)

    def plan(self, keys: Iterable[tuple[str, Mapping[str, Any] | None]], run_id: int | None) -> None:
        """Record intentions. A key that is known keeps its state, but what was refused is planned anew."""
        iterator = iter(keys)
        with self._store.write() as connection:
            while chunk := list(islice(iterator, CHUNK)):
                rows = [
                    {
                        "portal": self._portal,
                        "what": self._what,
                        "key": key,
                        "run_id": run_id,
                        "state": PLANNED,
                        "detail": _json(detail),
                    }
                    for key, detail in chunk
                ]
                connection.execute(self._planning(self._store.insert(writes)), rows)

    def plan_run(self, run_id: int) -> None:
        """Record the intention to write every pending row of a run, like `plan`, inside the database."""
        rows = select(
            run_rows.c.portal, literal(self._what), run_rows.c.key, run_rows.c.run_id, literal(PLANNED)
        ).where(run_rows.c.run_id == run_id, run_rows.c.state == "pending", run_rows.c.key.is_not(None))
        names = ["portal", "what", "key", "run_id", "state"]
        with self._store.write() as connection:
            connection.execute(self._planning(self._store.insert(writes).from_select(names, rows)))

    def _planning(self, insert: Any) -> Any:
        return insert.on_conflict_do_update(
            index_elements=["portal", "what", "key"],
            set_={
                "state": PLANNED,
                "run_id": insert.excluded.run_id,
                "code": None,
                "message": None,
                "detail": insert.excluded.detail,
            },
            where=or_(writes.c.state == REFUSED, writes.c.state == PLANNED),  # in_() cannot be expanded row by row
        )

    def empty(self) -> bool:
        """Whether nothing of this kind was ever recorded."""
        with self._store.read() as connection:
            return connection.execute(select(writes.c.id).where(self._mine).limit(1)).first() is None

    def states(self, keys: Sequence[str]) -> dict[str, Write]:
        """The rows of `keys` that exist."""
        found: dict[str, Write] = {}
        with self._store.read() as connection:
            for start in range(0, len(keys), CHUNK):
                chosen = writes.c.key.in_(keys[start : start + CHUNK])
                for row in connection.execute(select(writes).where(self._mine, chosen)):
                    found[row.key] = _write(row)
        return found

    def made(self, portal_ids: Sequence[str]) -> set[str]:
        """Those of `portal_ids` that are what some key made."""
        found: set[str] = set()
        with self._store.read() as connection:
            for start in range(0, len(portal_ids), CHUNK):
                chosen = self._mine, writes.c.state == DONE, writes.c.portal_id.in_(portal_ids[start : start + CHUNK])
                found.update(connection.execute(select(writes.c.portal_id).where(*chosen)).scalars())
        return found

    def claim(self, keys: Sequence[str]) -> set[str]:
        """planned -> sent, ours; returns the keys that were still planned. Call it right before sending."""
        now = self._clock.wall_s()
        claimed: set[str] = set()
        with self._store.write() as connection:
            for start in range(0, len(keys), CHUNK):
                chosen = {"b_keys": keys[start : start + CHUNK], "b_now": now, "b_lease_until": now + LEASE_S}
                result = connection.execute(self._claiming, chosen)
                claimed.update(row.key for row in result)
        return claimed

    def stamp(self, key: str) -> None:
        """The claimed `key` leaves now: after a wait at the gate the moment of the claim is too early."""
        with self._store.write() as connection:
            connection.execute(
                update(writes)
                .where(self._mine, writes.c.key == key, writes.c.state == SENT, writes.c.owner == self.owner)
                .values(sent_at=self._clock.wall_s())
            )

    def gone(
        self, *keys: str, code: str | None = None, message: str | None = None, before: float | None = None
    ) -> None:
        """done -> planned: it was removed in the portal, so that it may be wanted again. `code` says by whom.

        With `before` only what was sent earlier: later writes a reading of that moment did not show.
        """
        earlier = [] if before is None else [or_(writes.c.sent_at.is_(None), writes.c.sent_at < before)]
        with self._store.write() as connection:
            for start in range(0, len(keys), CHUNK):
                connection.execute(
                    update(writes)
                    .where(self._mine, writes.c.key.in_(keys[start : start + CHUNK]), writes.c.state == DONE, *earlier)
                    .values(state=PLANNED, portal_id=None, detail=None, code=code, message=message)
                )

    def note(self, details: Mapping[str, Mapping[str, Any]]) -> None:
        """Put the job's notes on rows that are done: key -> detail."""
        if not details:
            return
        statement = (
            update(writes)
            .where(self._mine, writes.c.key == bindparam("b_key"), writes.c.state == DONE)
            .values(detail=bindparam("b_detail", type_=Text))
        )
        rows = [{"b_key": key, "b_detail": _json(detail)} for key, detail in details.items()]
        with self._store.write() as connection:
            self._store.many(connection, statement, rows)

    def gone_as(self, seen: Mapping[str, str]) -> None:
        """done -> planned for keys that are still done with the portal id that was found missing.

        Another process may have made the thing anew meanwhile: its id is another one, and its row stays.
        """
        if not seen:
            return
        statement = (
            update(writes)
            .where(
                self._mine,
                writes.c.key == bindparam("b_key"),
                writes.c.state == DONE,
                writes.c.portal_id == bindparam("b_portal_id"),
            )
            .values(state=PLANNED, portal_id=None)
        )
        with self._store.write() as connection:
            connection.execute(statement, [{"b_key": key, "b_portal_id": one} for key, one in seen.items()])

    def begin(self, key: str, detail: Mapping[str, Any] | None) -> bool:
        """Plan one write and claim it at once; False when it is done, or another process has it."""
        now = self._clock.wall_s()
        row = {"portal": self._portal, "what": self._what, "key": key, "run_id": None, "state": PLANNED}
        row["detail"] = _json(detail)
        with self._store.write() as connection:
            connection.execute(self._planning(self._store.insert(writes)), [row])
            claimed = connection.execute(
                update(writes)
                .where(self._mine, writes.c.key == key, writes.c.state == PLANNED)
                .values(state=SENT, owner=self.owner, sent_at=now, lease_until=now + LEASE_S)
            )
        return bool(claimed.rowcount)

    def settle(self, settled: Sequence[Settled], *, also: Callable[[Connection], None] | None = None) -> None:
        """Store outcomes of rows that this process has `sent` (or looks up as unknown), in one transaction.

        `also` stores what belongs to them in the same transaction.
        """
        if not settled:
            return
        rows = [
            {
                "b_key": item.key,
                "b_state": item.state,
                "b_portal_id": item.portal_id,
                "b_code": item.code,
                "b_message": item.message,
                "b_detail": _json(item.detail),
            }
            for item in settled
        ]
        with self._store.write() as connection:
            self._store.many(connection, self._settling, rows)
            if also is not None:
                also(connection)

    def adopt(self, found: Mapping[str, str], run_id: int | None, *, message: str | None = FOUND) -> None:
        """Record as done what a look-up found in the portal: key -> portal id. Also for keys never planned."""
        if not found:
            return
        rows = [
            {
                "portal": self._portal,
                "what": self._what,
                "key": key,
                "run_id": run_id,
                "state": DONE,
                "portal_id": portal_id,
                "message": message,
            }
            for key, portal_id in found.items()
        ]
        statement = self._store.insert(writes)
        statement = statement.on_conflict_do_update(
            index_elements=["portal", "what", "key"],
            set_={
                "state": DONE,
                "portal_id": statement.excluded.portal_id,
                "code": None,
                "message": statement.excluded.message,
            },
            where=writes.c.state != DONE,
        )
        with self._store.write() as connection:
            connection.execute(statement, rows)

    def plan_again(self, rows: Iterable[Write]) -> None:
        """unknown -> planned, for rows that a late look-up proved absent. A row re-sent meanwhile is left alone."""
        values = [{"b_key": row.key, "b_sent_at": row.sent_at} for row in rows]
        if not values:
            return
        statement = (
            update(writes)
            .where(
                self._mine,
                writes.c.key == bindparam("b_key"),
                writes.c.state == UNKNOWN,
                writes.c.sent_at == bindparam("b_sent_at"),
            )
            .values(state=PLANNED, message=None)
        )
        with self._store.write() as connection:
            connection.execute(statement, values)

    def bury_dead(self) -> int:
        """`sent` rows of processes that are gone become `unknown`; returns how many."""
        now = self._clock.wall_s()
        with self._store.write() as connection:
            owners = connection.execute(
                select(writes.c.owner, func.max(writes.c.lease_until))
                .where(self._mine, _IS_SENT, writes.c.owner != self.owner)
                .group_by(writes.c.owner)
            ).all()
            gone = [
                owner
                for owner, lease_until in owners
                if is_gone(owner, lease_until=lease_until, now=now, clock=self._clock)
            ]
            if not gone:
                return 0
            result = connection.execute(
                update(writes)
                .where(self._mine, _IS_SENT, writes.c.owner.in_(gone))
                .values(state=UNKNOWN, message="its process died after sending")
            )
            return result.rowcount

    def wait_out(self, seconds: float, *, but_run: int, kin: str | None = None) -> None:
        """Sleep until no request of another run, sent and never answered, can still be carried out.

        `kin`: writes of every `what` that begins so count, not only this ledger's.
        """
        mine = self._mine
        if kin is not None:
            mine = and_(writes.c.portal == self._portal, writes.c.what.startswith(kin, autoescape=True))
        newest = select(func.max(writes.c.sent_at)).where(
            mine, writes.c.state.in_([SENT, UNKNOWN]), or_(writes.c.run_id.is_(None), writes.c.run_id != but_run)
        )
        with self._store.read() as connection:
            sent_at = connection.execute(newest).scalar() or 0.0
        left_s = sent_at + seconds - self._clock.wall_s()
        if left_s > 0:
            self._clock.sleep(left_s)

    def prune(self, run_id: int) -> None:
        """Forget what other runs than `run_id` settled or never sent; what was sent and not answered stays."""
        over = writes.c.state.in_([PLANNED, DONE, REFUSED])
        with self._store.write() as connection:
            connection.execute(delete(writes).where(self._mine, over, writes.c.run_id != run_id))

    def in_state(self, *states: str, run_id: int | None = None) -> Iterator[Write]:
        """Rows in one of `states`, oldest first; of one run where given."""
        query = select(writes).where(self._mine, writes.c.state.in_(states)).order_by(writes.c.id)
        if run_id is not None:
            query = query.where(writes.c.run_id == run_id)
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            yield _write(row)

    @cached_property
    def _settling(self) -> Any:
        """One row's outcome; kept, because building it costs more than running it for fifty rows."""
        return (
            update(writes)
            .where(
                self._mine,
                writes.c.key == bindparam("b_key"),
                or_(and_(writes.c.state == SENT, writes.c.owner == self.owner), writes.c.state == UNKNOWN),
            )
            .values(
                state=bindparam("b_state"),
                portal_id=bindparam("b_portal_id"),
                code=bindparam("b_code"),
                message=bindparam("b_message"),
                detail=func.coalesce(bindparam("b_detail", type_=Text), writes.c.detail),
            )
        )

    @cached_property
    def _claiming(self) -> Any:
        return (
            update(writes)
            .where(self._mine, writes.c.key.in_(bindparam("b_keys", expanding=True)), writes.c.state == PLANNED)
            .values(state=SENT, owner=self.owner, sent_at=bindparam("b_now"), lease_until=bindparam("b_lease_until"))
            .returning(writes.c.key)
        )

    @property
    def _mine(self) -> Any:
        return and_(writes.c.portal == self._portal, writes.c.what == self._what)


def _json(detail: Mapping[str, Any] | None) -> str | None:
    return json.dumps(detail, ensure_ascii=False) if detail else None


def _write(row: Any) -> Write:
    return Write(
        row.key,
        row.state,
        row.portal_id,
        row.sent_at,
        row.owner,
        row.lease_until,
        row.run_id,
        row.code,
        row.message,
        json.loads(row.detail) if row.detail else {},
    )


def count_open(store: Store, portal: str) -> dict[str, int]:
    """How many writes of each kind (`what`) are sent or unknown."""
    query = (
        select(writes.c.what, func.count())
        .where(writes.c.portal == portal, writes.c.state.in_([SENT, UNKNOWN]))
        .group_by(writes.c.what)
    )
    with store.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def set_key(entity: str, entity_id: int, rest: str) -> str:
    """The key of a write to an item itself."""
    return f"{entity}:{entity_id}/{rest}"


def busy_items(connection: Connection, portal: str, entity: str) -> set[int]:
    """Items of a kind that a write of ours is under way to."""
    query = select(writes.c.key).where(
        writes.c.portal == portal, writes.c.what == SETS, writes.c.state.in_([SENT, UNKNOWN])
    )
    found = set()
    for (key,) in connection.execute(query):
        kind, _, number = key.partition("/")[0].rpartition(":")
        if kind == entity:
            found.add(int(number))
    return found


def highest_number(store: Store, portal: str, what: str, prefix: str) -> int:
    """The highest n of the keys `<prefix><n>`; 0 where there is none."""
    query = select(writes.c.key).where(
        writes.c.portal == portal, writes.c.what == what, writes.c.key.startswith(prefix, autoescape=True)
    )
    with store.read() as connection:
        ends = [key.removeprefix(prefix) for (key,) in connection.execute(query)]
    return max((int(end) for end in ends if end.isdigit()), default=0)
