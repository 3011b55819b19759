"""Runs of a command over a file, and the fate of every row of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, and_, bindparam, case, delete, func, literal, select, update

from b24sync.clock import Clock
from b24sync.store.engine import Store
from b24sync.store.ledger import CHUNK, DONE, REFUSED, SENT, UNKNOWN
from b24sync.store.owners import is_gone, this_owner
from b24sync.store.tables import run_rows, runs, writes

PENDING, UPDATE, SKIPPED = "pending", "update", "skipped"

READING, RUNNING, FINISHED, STOPPED = "reading", "running", "finished", "stopped"
UNDONE = "undone"


def updates_of(what: str) -> str:
    """The ledger's `what` of updates of items that `what` made."""
    return f"update {what}"


def product_rows_of(what: str) -> str:
    """The ledger's `what` of product rows set on items that `what` made."""
    return f"productrows:{what}"


def requisites_of(what: str) -> str:
    """The ledger's `what` of requisites made for the addresses of items that `what` made."""
    return f"requisites:{what}"


def addresses_of(what: str) -> str:
    """The ledger's `what` of addresses of items that `what` made."""
    return f"addresses:{what}"


def update_key(run_id: int, key: str) -> str:
    """The key of a run's update of the item that carries `key`: once per run, whatever it changes."""
    return f"{run_id}/{key}"


@dataclass(frozen=True, slots=True)
class Run:
    id: int
    entity: str
    what: str
    file: str
    fingerprint: str
    state: str
    owner: str
    started_at: float
    finished_at: float | None
    message: str | None


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of the file as it is spooled; `draft` until it is applied."""

    line: int
    key: str | None
    state: str
    draft: str | None = None
    code: str | None = None
    message: str | None = None
    created_at: float | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a row: created | updated | skipped | refused | unknown | not_sent."""

    line: int
    key: str | None
    state: str
    portal_id: str | None
    code: str | None
    message: str | None


class Runs:
    """Runs of one portal."""

    def __init__(self, store: Store, portal: str, clock: Clock) -> None:
        self._store = store
        self._portal = portal
        self._clock = clock
        self._owner = this_owner(clock)

    def start(self, *, command: str, entity: str, what: str, file: str, fingerprint: str) -> Run:
        with self._store.write() as connection:
            row = {
                "portal": self._portal,
                "command": command,
                "entity": entity,
                "what": what,
                "file": file,
                "fingerprint": fingerprint,
                "state": READING,
                "owner": self._owner,
                "started_at": self._clock.wall_s(),
            }
            key = connection.execute(runs.insert().values(**row)).inserted_primary_key
            assert key is not None  # a table with one counted primary key
        return self.get(int(key[0]))

    def interrupted(self, fingerprint: str) -> Run | None:
        """The newest run of the same file and mapping that a dead process left half done."""
        query = (
            select(runs)
            .where(runs.c.portal == self._portal, runs.c.fingerprint == fingerprint)
            .order_by(runs.c.id.desc())
            .limit(1)
        )
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.state not in (READING, RUNNING):
            return None
        run = _run(row)
        return run if run.owner == self._owner or self._is_dead(run) else None

    def _is_dead(self, run: Run) -> bool:
        # A run has no lease of its own: on another machine it counts as alive for a day.
        lease = run.started_at + 86_400
        return is_gone(run.owner, lease_until=lease, now=self._clock.wall_s(), clock=self._clock)

    def told_state(self, run: Run) -> str:
        """reading | running | finished | stopped, and interrupted for one whose process is gone."""
        return "interrupted" if run.state in (READING, RUNNING) and self._is_dead(run) else run.state

    def adopt(self, run: Run) -> bool:
        """Go on with a dead process's run; False when another process was quicker."""
        mine = (runs.c.id == run.id, runs.c.owner == run.owner)
        with self._store.write() as connection:
            return bool(connection.execute(update(runs).where(*mine).values(owner=self._owner, message=None)).rowcount)

    def set_state(self, run_id: int, state: str, message: str | None = None) -> None:
        finished = self._clock.wall_s() if state in (FINISHED, STOPPED, UNDONE) else None
        with self._store.write() as connection:
            connection.execute(
                update(runs).where(runs.c.id == run_id).values(state=state, message=message, finished_at=finished)
            )

    def forget(self, run_id: int) -> None:
        """Remove a run that wrote nothing (a dry run, a plan that nobody confirmed)."""
        with self._store.write() as connection:
            connection.execute(delete(run_rows).where(run_rows.c.run_id == run_id))
            connection.execute(delete(runs).where(runs.c.id == run_id))

    def get(self, run_id: int) -> Run:
        found = self.find(run_id)
        if found is None:
            raise KeyError(run_id)
        return found

    def find(self, run_id: int) -> Run | None:
        with self._store.read() as connection:
            row = connection.execute(
                select(runs).where(runs.c.id == run_id, runs.c.portal == self._portal)
            ).one_or_none()
        return None if row is None else _run(row)

    def all(self) -> list[Run]:
        """Newest first."""
        with self._store.read() as connection:
            rows = connection.execute(
                select(runs).where(runs.c.portal == self._portal).order_by(runs.c.id.desc())
            ).all()
        return [_run(row) for row in rows]

    # -- rows -------------------------------------------------------------------------------------

    def spool(self, run_id: int, rows: Sequence[RunRow]) -> None:
        """Store a piece of the file. The same line again replaces nothing: reading starts over from none."""
        if not rows:
            return
        with self._store.write() as connection:
            self._store.many(
                connection,
                run_rows.insert(),
                [
                    {
                        "run_id": run_id,
                        "portal": self._portal,
                        "line": row.line,
                        "key": row.key,
                        "state": row.state,
                        "draft": row.draft,
                        "code": row.code,
                        "message": row.message,
                        "created_at": row.created_at,
                    }
                    for row in rows
                ],
            )

    def clear_rows(self, run_id: int) -> None:
        with self._store.write() as connection:
            connection.execute(delete(run_rows).where(run_rows.c.run_id == run_id))

    def mark(self, run_id: int, rows: Iterable[RunRow], *, keep_drafts: bool = False) -> None:
        """Set state, code and message of rows by line; their drafts go, unless something of them is still wanted."""
        values = [
            {"b_line": row.line, "b_state": row.state, "b_code": row.code, "b_message": row.message} for row in rows
        ]
        if not values:
            return
        statement = (
            update(run_rows)
            .where(run_rows.c.run_id == run_id, run_rows.c.line == bindparam("b_line"))
            .values(state=bindparam("b_state"), code=bindparam("b_code"), message=bindparam("b_message"))
        )
        with self._store.write() as connection:
            self._store.many(connection, statement if keep_drafts else statement.values(draft=None), values)

    def remark(self, run_id: int, said: Mapping[int, tuple[str | None, str]]) -> None:
        """Add to rows by line what a person should know beside their fate: (code, message)."""
        if not said:
            return
        statement = (
            update(run_rows)
            .where(run_rows.c.run_id == run_id, run_rows.c.line == bindparam("b_line"))
            .values(
                code=bindparam("b_code"),
                message=func.coalesce(run_rows.c.message + "; ", "") + bindparam("b_message", type_=Text),
            )
        )
        values = [{"b_line": line, "b_code": code, "b_message": message} for line, (code, message) in said.items()]
        with self._store.write() as connection:
            self._store.many(connection, statement, values)

    def turn(self, run_id: int, state: str, drafts: Mapping[int, str | None]) -> None:
        """Give rows another state and draft: line -> draft."""
        if not drafts:
            return
        statement = (
            update(run_rows)
            .where(run_rows.c.run_id == run_id, run_rows.c.line == bindparam("b_line"))
            .values(state=state, draft=bindparam("b_draft", type_=Text))
        )
        with self._store.write() as connection:
            self._store.many(connection, statement, [{"b_line": n, "b_draft": text} for n, text in drafts.items()])

    def drop_drafts(self, run_id: int) -> None:
        """Forget the rows' contents once the run is over: fates stay, clients' data need not."""
        with self._store.write() as connection:
            connection.execute(
                update(run_rows).where(run_rows.c.run_id == run_id, run_rows.c.draft.is_not(None)).values(draft=None)
            )

    def pending(self, run_id: int, *, ordered: bool = False, state: str = PENDING) -> Iterator[RunRow]:
        """Rows waiting to be written, by line; with `ordered` by their creation time, then line. Flat memory."""
        columns = (run_rows.c.created_at, run_rows.c.line) if ordered else (run_rows.c.line,)
        base = (
            select(run_rows)
            .where(run_rows.c.run_id == run_id, run_rows.c.state == state)
            .order_by(*columns)
            .limit(CHUNK)
        )
        last: Any = None
        while True:
            query = base
            if last is not None and ordered:
                same = and_(run_rows.c.created_at == last.created_at, run_rows.c.line > last.line)
                query = base.where((run_rows.c.created_at > last.created_at) | same)
            elif last is not None:
                query = base.where(run_rows.c.line > last.line)
            with self._store.read() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                yield RunRow(row.line, row.key, row.state, row.draft, row.code, row.message, row.created_at)
            if len(rows) < CHUNK:
                return
            last = rows[-1]

    def pending_created(self, run_id: int, *, before: float, after: float) -> int:
        """How many rows wait to be written that stand so early or so late in the order of creation."""
        created_at = run_rows.c.created_at
        query = select(func.count()).where(
            run_rows.c.run_id == run_id, run_rows.c.state == PENDING, (created_at < before) | (created_at > after)
        )
        with self._store.read() as connection:
            return int(connection.execute(query).scalar_one())

    def row_states(self, run_id: int) -> dict[str, int]:
        """How many rows are pending, skipped, refused - before the ledger has its say."""
        query = select(run_rows.c.state, func.count()).where(run_rows.c.run_id == run_id).group_by(run_rows.c.state)
        with self._store.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def pending_keys(self, run_id: int) -> Iterator[tuple[int, str]]:
        """(line, key) of the rows waiting to be written, by line. Flat memory."""
        last = -1
        while True:
            query = (
                select(run_rows.c.line, run_rows.c.key)
                .where(run_rows.c.run_id == run_id, run_rows.c.state == PENDING, run_rows.c.line > last)
                .order_by(run_rows.c.line)
                .limit(CHUNK)
            )
            with self._store.read() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                if row.key is not None:
                    yield row.line, row.key
            if len(rows) < CHUNK:
                return
            last = rows[-1].line

    def fates(self, run_id: int, what: str) -> Iterator[Fate]:
        """Every row's fate by line, joined with the ledger of `what` and that of its updates."""
        query = (
            select(
                run_rows.c.line,
                run_rows.c.key,
                _fate_state().label("state"),
                writes.c.portal_id,
                _told("code").label("code"),
                _told("message").label("message"),
            )
            .select_from(_with_writes(run_id, what))
            .where(run_rows.c.run_id == run_id)
            .order_by(run_rows.c.line)
        )
        with self._store.read() as connection:
            for row in connection.execute(query):
                yield Fate(row.line, row.key, row.state, row.portal_id, row.code, row.message)

    def counts(self, run_id: int, what: str) -> dict[str, int]:
        """How many rows of the run had which fate."""
        state = _fate_state().label("state")
        joined = _with_writes(run_id, what)
        query = select(state, func.count()).select_from(joined).where(run_rows.c.run_id == run_id).group_by(state)
        with self._store.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}


_changes = writes.alias("changes")


def _with_writes(run_id: int, what: str) -> Any:
    """Rows of a run beside what made their items, and what the run changed of them."""
    made = and_(writes.c.portal == run_rows.c.portal, writes.c.what == what, writes.c.key == run_rows.c.key)
    changed = and_(
        run_rows.c.state == UPDATE,
        _changes.c.portal == run_rows.c.portal,
        _changes.c.what == updates_of(what),
        _changes.c.key == literal(update_key(run_id, "")) + run_rows.c.key,
    )
    return run_rows.outerjoin(writes, made).outerjoin(_changes, changed)


def _fate_state() -> Any:
    return case(
        (run_rows.c.state == UPDATE, _settled_state(_changes, "updated")),
        (run_rows.c.state != PENDING, run_rows.c.state),
        (and_(writes.c.state == DONE, writes.c.run_id == run_rows.c.run_id), "created"),
        else_=_settled_state(writes, SKIPPED),
    )


def _settled_state(ledger: Any, done: str) -> Any:
    return case(
        (ledger.c.state == DONE, done),
        (ledger.c.state == REFUSED, "refused"),
        (ledger.c.state.in_([SENT, UNKNOWN]), "unknown"),
        else_="not_sent",
    )


def _told(name: str) -> Any:
    """Code or message: the ledger's where it says one of a row that was to be written, else the row's own."""
    own = run_rows.c[name]
    return case(
        (run_rows.c.state == PENDING, func.coalesce(writes.c[name], own)),
        (run_rows.c.state == UPDATE, func.coalesce(_changes.c[name], own)),
        else_=own,
    )


def _run(row: Any) -> Run:
    return Run(
        row.id,
        row.entity,
        row.what,
        row.file,
        row.fingerprint,
        row.state,
        row.owner,
        row.started_at,
        row.finished_at,
        row.message,
    )
