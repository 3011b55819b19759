"""Lanes: what is to be done, in order, by one process at a time (design 7).

A lane is (portal, key), key = `deal:42`, `task:7`, `cron:recount`, `dispatch`: the unit of order and of
leasing. Its messages stand in the inbox:

    waiting -> begun -> done | dead (a dead letter) | dropped (by a person)

*Publish*: `publish(connection, messages)` inside any `store.write()`, so that an outcome and what follows from
it are one transaction. A waiting message of the same (lane, kind) is folded into: the newest payload counts.
One that is begun is not. A message with `run_at` is a timer; publishing it again moves it, `cancel` takes it
back. A message that waits to run at once is not made a timer by folding.

*Claim*: one `UPDATE ... RETURNING` sets owner, epoch and lease. What a dead process had begun comes first.
*Finish* and *fail* end a claim in the transaction that stores the results, and only for the (owner, epoch) that
claimed: anybody else gets LaneLost and nothing is stored.

A message that failed stays begun and keeps its place: its lane backs off as a whole, so order holds. Set apart, it
backs off alone, and holds only messages of its own group (a rule's, in the lane of a deal): its `run_at` is to come.
Cost: no requests; every method is one short transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)

from b24sync.clock import Clock
from b24sync.errors import B24SyncError
from b24sync.store.engine import Store
from b24sync.store.owners import is_gone, this_owner
from b24sync.store.tables import inbox, lanes

WAITING, BEGUN, DONE, DEAD, DROPPED = "waiting", "begun", "done", "dead", "dropped"

LEASE_S = 60.0
"""How long a lane belongs to a process of another machine without a sign of life."""
MAX_BACKOFF_S = 600.0
CHUNK = 500
"""Ids per statement: SQLite of 2020 takes 999 variables."""

_IS_WAITING = inbox.c.state == literal_column("'waiting'")
_IS_BEGUN = inbox.c.state == literal_column("'begun'")
"""Written out, not bound: SQLite uses a partial index only where it can read that the condition holds."""
_IS_OPEN = inbox.c.state.in_([literal_column("'waiting'"), literal_column("'begun'")])

Group = Callable[[Mapping[str, Any]], str]
"""The group of a message by its payload: order holds within a group where one of its messages was set apart."""


class LaneLost(B24SyncError):
    """The lane was taken over meanwhile (a lease ran out, a job was given up): its results must not be stored."""


@dataclass(frozen=True, slots=True)
class Message:
    """Something to do. `kind` names it within its lane and is what folds; `run_at` in unix seconds, None = at once."""

    portal: str
    lane: str
    kind: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    run_at: float | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it stands in the inbox. `folded`: how many publications became this one, itself included.

    `message`: what it failed on last.
    """

    id: int
    kind: str
    payload: dict[str, Any]
    run_at: float
    received_at: float
    folded: int
    tries: int
    crashes: int
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A lane that is ours until finished: its messages, oldest first, and what fences us (owner, epoch).

    `waits`: how often in a row it was put off. `group`: None where its messages are never set apart.
    """

    portal: str
    key: str
    owner: str
    epoch: int
    waits: int
    messages: list[Received]
    group: Group | None = None


@dataclass(frozen=True, slots=True)
class DueLane:
    portal: str
    key: str


class Lanes:
    """The lanes of one store, as one process sees them. Thread-safe."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.owner = this_owner(clock)
        self._inserting = _inserting(store)
        self._announcing = _announcing(store)

    def now(self, connection: Connection) -> float:
        """Unix seconds; on PostgreSQL those of the database, so that every machine reads the same clock."""
        if self._store.is_sqlite:
            return self._clock.wall_s()
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    # -- publish ----------------------------------------------------------------------------------

    def publish(self, connection: Connection, messages: Iterable[Message]) -> None:
        """Put messages into the inbox, within the caller's transaction. Order within a lane is that of `messages`."""
        messages = list(messages)
        if not messages:
            return
        now = self.now(connection)
        self._store.many(connection, self._inserting, [_inbox_row(message, now) for message in messages])
        due: dict[tuple[str, str], float] = {}
        for message in messages:
            lane = message.portal, message.lane
            due[lane] = min(due.get(lane, now if message.run_at is None else message.run_at), message.run_at or now)
        self._store.many(
            connection,
            self._announcing,
            [
                {"portal": portal, "key": key, "due_at": at, "backoff_until": 0.0, "waits": 0, "epoch": 0}
                for (portal, key), at in sorted(due.items())
            ],
        )

    def publish_now(self, messages: Iterable[Message]) -> None:
        """`publish` in a durable transaction of its own."""
        with self._store.write() as connection:
            self.publish(connection, messages)

    def make_due(self, connection: Connection, portal: str, key: str) -> None:
        """Let a lane run now, whatever it was put off for."""
        now = self.now(connection)
        values = {"due_at": now, "backoff_until": 0.0, "waits": 0}
        insert = self._store.insert(lanes).values(portal=portal, key=key, epoch=0, **values)
        connection.execute(insert.on_conflict_do_update(index_elements=["portal", "key"], set_=values))

    def cancel(self, connection: Connection, portal: str, lane: str, kind: str) -> bool:
        """Take back what waits; False when nothing of that kind waits (done, begun, never published)."""
        result = connection.execute(
            delete(inbox).where(inbox.c.portal == portal, inbox.c.lane == lane, inbox.c.kind == kind, _IS_WAITING)
        )
        return bool(result.rowcount)

    # -- claim ------------------------------------------------------------------------------------

    def due(self, portals: Sequence[str], limit: int) -> list[DueLane]:
        """Lanes that somebody could run now, the longest waiting first: those of dead processes included."""
        with self._store.read() as connection:
            now = self.now(connection)
            rows = connection.execute(
                select(lanes.c.portal, lanes.c.key, lanes.c.owner, lanes.c.lease_until)
                .where(lanes.c.due_at <= now, lanes.c.portal.in_(portals))
                .order_by(lanes.c.due_at, lanes.c.portal, lanes.c.key)
                .limit(limit)
            ).all()
        gone = {owner: self._is_gone(owner, until, now) for _, _, owner, until in rows if owner is not None}
        return [DueLane(row.portal, row.key) for row in rows if row.owner is None or gone[row.owner]]

    def are_due(self, portal: str, key: str, count: int) -> bool:
        """Whether at least so many messages of a lane wait to run now, beside those that are begun."""
        with self._store.read() as connection:
            mine = and_(inbox.c.portal == portal, inbox.c.lane == key, _IS_WAITING)
            due = select(inbox.c.id).where(mine, inbox.c.run_at <= self.now(connection)).limit(count).subquery()
            return connection.execute(select(func.count()).select_from(due)).scalar_one() >= count

    def claim(self, portal: str, key: str, *, batch: int = 1, group: Group | None = None) -> Claim | None:
        """Make a due lane ours, with up to `batch` messages. None: not due, or another one's.

        A batch that has failed is claimed in smaller pieces with every try, until what fails stands alone.
        """
        # Not durable: a claim that a power cut undoes belonged to a process that the power cut ended.
        with self._store.quick_write() as connection:
            now = self.now(connection)
            lane = connection.execute(select(lanes).where(*_lane(portal, key))).one_or_none()
            if lane is None or lane.due_at is None or lane.due_at > now:
                return None
            if lane.owner is not None and not self._is_gone(lane.owner, lane.lease_until, now):
                return None
            won = connection.execute(
                update(lanes)
                .where(*_lane(portal, key), lanes.c.epoch == lane.epoch, lanes.c.due_at <= now)
                .values(owner=self.owner, epoch=lanes.c.epoch + 1, lease_until=now + LEASE_S)
                .returning(lanes.c.epoch)
            ).one_or_none()
            if won is None:
                return None
            if lane.owner is not None:
                begun = and_(inbox.c.portal == portal, inbox.c.lane == key, _IS_BEGUN, inbox.c.run_at <= now)
                connection.execute(update(inbox).where(begun).values(crashes=inbox.c.crashes + 1))
            messages = self._begin(connection, portal, key, now, batch, group)
            claim = Claim(portal, key, self.owner, won.epoch, lane.waits, messages, group)
            if not messages:
                self._let_go(connection, claim, now)
                return None
            return claim

    def _begin(
        self, connection: Connection, portal: str, key: str, now: float, batch: int, group: Group | None
    ) -> list[Received]:
        mine = and_(inbox.c.portal == portal, inbox.c.lane == key)
        is_due = inbox.c.run_at <= now
        begun = connection.execute(select(inbox).where(mine, _IS_BEGUN, is_due).order_by(inbox.c.id).limit(batch)).all()
        if begun:
            smaller = 2 * max(row.tries + row.crashes for row in begun)
            return [_received(row) for row in begun[: max(1, batch >> smaller)]]
        waiting = select(inbox).where(mine, _IS_WAITING, is_due).order_by(inbox.c.run_at, inbox.c.id)
        held = {} if group is None else self._held_until(connection, mine, now, group)
        if held and group is not None:
            rows = connection.execute(waiting).all()
            due = [row for row in rows if group(json.loads(row.payload)) not in held][:batch]
        else:
            due = list(connection.execute(waiting.limit(batch)).all())
        self._set(connection, [row.id for row in due], state=BEGUN)
        return [_received(row) for row in due]

    def _held_until(
        self, connection: Connection, mine: ColumnElement[bool], now: float, group: Group
    ) -> dict[str, float]:
        """Groups of a lane that wait for a message which was set apart, and until when."""
        apart = connection.execute(
            select(inbox.c.payload, inbox.c.run_at).where(mine, _IS_BEGUN, inbox.c.run_at > now)
        ).all()
        return {group(json.loads(row.payload)): row.run_at for row in apart}

    def _is_gone(self, owner: str, lease_until: float, now: float) -> bool:
        return is_gone(owner, lease_until=lease_until, now=now, clock=self._clock)

    def renew(self) -> None:
        """Tell other machines that this process is at work on all the lanes it has claimed."""
        with self._store.quick_write() as connection:
            until = self.now(connection) + LEASE_S
            connection.execute(update(lanes).where(lanes.c.owner == self.owner).values(lease_until=until))

    def mend_clock(self) -> None:
        """After a jump of the clock: what waits to run at once, or backs off for longer than anything may, is due."""
        set_apart = and_(_IS_BEGUN, inbox.c.run_at != 0)
        waits_for_nothing = exists().where(
            inbox.c.portal == lanes.c.portal, inbox.c.lane == lanes.c.key, _IS_OPEN, inbox.c.run_at == 0
        )
        with self._store.write() as connection:
            now = self.now(connection)
            connection.execute(update(inbox).where(set_apart, inbox.c.run_at > now + MAX_BACKOFF_S).values(run_at=0.0))
            late = lanes.c.due_at > now
            jumped = or_(lanes.c.backoff_until > now + MAX_BACKOFF_S, lanes.c.backoff_until <= now)
            connection.execute(
                update(lanes).where(late, jumped, waits_for_nothing).values(due_at=now, backoff_until=0.0)
            )

    # -- release ----------------------------------------------------------------------------------

    def hold(self, connection: Connection, claim: Claim) -> None:
        """Fence a transaction in the middle of a job. Raises LaneLost when the lane is no longer `claim`'s."""
        found = connection.execute(select(lanes.c.epoch).where(*_held(claim))).one_or_none()
        if found is None:
            raise LaneLost(f"Lane {claim.key} of {claim.portal} was taken over; this result is not stored.")

    def finish(
        self,
        claim: Claim,
        *,
        results: Sequence[Callable[[Connection], object]] = (),
        messages: Sequence[Message] = (),
    ) -> None:
        """Done: store `results` and publish `messages` in the transaction that ends the claim. Raises LaneLost."""
        with self._ending(claim) as (connection, now):
            for write in results:
                write(connection)
            self.publish(connection, messages)
            self._set(connection, _ids(claim), state=DONE, finished_at=now, message=None)
            self._let_go(connection, claim, now)

    def put_off(self, claim: Claim, message: str, *, wait_s: float, is_try: bool) -> None:
        """Not now: the lane backs off for `wait_s` and begins with the same messages again. Raises LaneLost."""
        with self._ending(claim) as (connection, now):
            self._set(connection, _ids(claim), tries=inbox.c.tries + int(is_try), message=message, updated_at=now)
            until = now + min(wait_s, MAX_BACKOFF_S)
            self._let_go(connection, claim, now, backoff_until=until, waits=claim.waits + 1)

    def set_apart(self, claim: Claim, message: str, *, wait_s: float) -> None:
        """A try that failed: again in `wait_s`, and meanwhile the lane goes on with other groups. Raises LaneLost."""
        with self._ending(claim) as (connection, now):
            run_at = now + min(wait_s, MAX_BACKOFF_S)
            tries = inbox.c.tries + 1
            self._set(connection, _ids(claim), tries=tries, message=message, updated_at=now, run_at=run_at)
            self._let_go(connection, claim, now)

    def bury(self, claim: Claim, message: str) -> None:
        """Never: the messages become dead letters and the lane goes on with the next ones. Raises LaneLost."""
        with self._ending(claim) as (connection, now):
            self._set(connection, _ids(claim), state=DEAD, finished_at=now, message=message, tries=inbox.c.tries + 1)
            self._let_go(connection, claim, now)

    @contextmanager
    def _ending(self, claim: Claim) -> Iterator[tuple[Connection, float]]:
        with self._store.write() as connection:
            self.hold(connection, claim)
            yield connection, self.now(connection)

    def _let_go(
        self, connection: Connection, claim: Claim, now: float, *, backoff_until: float = 0.0, waits: int = 0
    ) -> None:
        mine = and_(inbox.c.portal == claim.portal, inbox.c.lane == claim.key)
        held = {} if claim.group is None else self._held_until(connection, mine, now, claim.group)
        if held and claim.group is not None:
            rows = connection.execute(select(inbox.c.payload, inbox.c.run_at).where(mine, _IS_OPEN)).all()
            first = min(max(row.run_at, held.get(claim.group(json.loads(row.payload)), 0.0)) for row in rows)
        else:
            at = case((_IS_BEGUN, 0), else_=inbox.c.run_at)
            first = connection.execute(select(func.min(at)).where(mine, _IS_OPEN)).scalar()
        due_at = None if first is None else max(first or now, backoff_until)
        connection.execute(
            update(lanes)
            .where(*_held(claim))
            .values(owner=None, lease_until=None, due_at=due_at, backoff_until=backoff_until, waits=waits)
        )

    def _set(self, connection: Connection, ids: Sequence[int], **values: Any) -> None:
        for start in range(0, len(ids), CHUNK):
            connection.execute(update(inbox).where(inbox.c.id.in_(ids[start : start + CHUNK])).values(**values))


def _inserting(store: Store) -> Any:
    insert = store.insert(inbox)
    at_once = inbox.c.run_at == literal_column("0")
    return insert.on_conflict_do_update(
        index_elements=["portal", "lane", "kind"],
        index_where=_IS_WAITING,
        set_={
            "payload": insert.excluded.payload,
            "run_at": case((at_once, literal_column("0")), else_=insert.excluded.run_at),
            "updated_at": insert.excluded.updated_at,
            "folded": inbox.c.folded + literal_column("1"),
        },
    )


def _announcing(store: Store) -> Any:
    insert = store.insert(lanes)
    new = insert.excluded.due_at
    not_before = case((new < lanes.c.backoff_until, lanes.c.backoff_until), else_=new)
    sooner = or_(lanes.c.due_at.is_(None), new < lanes.c.due_at)
    return insert.on_conflict_do_update(
        index_elements=["portal", "key"], set_={"due_at": case((sooner, not_before), else_=lanes.c.due_at)}
    )


def _lane(portal: str, key: str) -> tuple[ColumnElement[bool], ...]:
    return lanes.c.portal == portal, lanes.c.key == key


def _held(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return (*_lane(claim.portal, claim.key), lanes.c.owner == claim.owner, lanes.c.epoch == claim.epoch)


def _ids(claim: Claim) -> list[int]:
    return [message.id for message in claim.messages]


def _inbox_row(message: Message, now: float) -> dict[str, Any]:
    return {
        "portal": message.portal,
        "lane": message.lane,
        "kind": message.kind,
        "state": WAITING,
        "payload": json.dumps(message.payload, ensure_ascii=False),
        "run_at": message.run_at or 0.0,
        "received_at": now,
        "updated_at": now,
        "folded": 1,
        "tries": 0,
        "crashes": 0,
    }


def _received(row: Any) -> Received:
    return Received(
        row.id,
        row.kind,
        json.loads(row.payload),
        row.run_at,
        row.received_at,
        row.folded,
        row.tries,
        row.crashes,
        row.message,
    )
