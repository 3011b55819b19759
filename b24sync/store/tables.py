"""The store's tables. Every table carries `portal`; times are unix seconds as floats unless named otherwise.

The schema is the sum of the migrations; a test compares the two. What makes an index partial on PostgreSQL stands in
the migrations only: naming it here imports that dialect, a twentieth of a second at every start.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# 64-bit ids on PostgreSQL; on SQLite only INTEGER gives a rowid alias that counts by itself.
RowId = BigInteger().with_variant(Integer, "sqlite")

portals = Table(
    "portals",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("configured_host", String(255), nullable=False),
    Column("member_id", String(64)),
    Column("noted_at", Float, nullable=False),
)
"""Where a portal was last reached: `host` differs from `configured_host` after a 302 rename."""

runs = Table(
    "runs",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("portal", String(64), nullable=False),
    Column("command", String(32), nullable=False),
    Column("entity", String(32), nullable=False),
    Column("what", String(255), nullable=False),
    Column("file", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("message", Text),
)
"""One `import run`. fingerprint = file + mapping: the same command after a kill finds its run by it."""
Index("runs_by_fingerprint", runs.c.portal, runs.c.fingerprint)

run_rows = Table(
    "run_rows",
    metadata,
    Column("run_id", RowId, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("portal", String(64), nullable=False),
    Column("key", Text),
    Column("state", String(16), nullable=False),
    Column("code", String(128)),
    Column("message", Text),
    Column("draft", Text),
    Column("created_at", Float),
)
"""Every row of the file and its fate. state: pending (fate is in `writes`), skipped, refused; draft until applied."""
_dated = run_rows.c.created_at.is_not(None)
Index(
    "run_rows_in_order",
    *(run_rows.c.run_id, run_rows.c.created_at, run_rows.c.line),
    sqlite_where=_dated,
)

writes = Table(
    "writes",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("portal", String(64), nullable=False),
    Column("what", String(255), nullable=False),
    Column("key", Text, nullable=False),
    Column("run_id", RowId),
    Column("state", String(16), nullable=False),
    Column("owner", String(200)),
    Column("lease_until", Float),
    Column("sent_at", Float),
    Column("portal_id", String(64)),
    Column("code", String(128)),
    Column("message", Text),
    Column("detail", Text),
    UniqueConstraint("portal", "what", "key", name="writes_once"),
)
"""The ledger: every intended write before it is sent (design 5)."""
# Only what is not settled: a row would otherwise be moved in the index with every change of its state.
_open = writes.c.state.in_(["sent", "unknown"])
Index("writes_open", writes.c.portal, writes.c.what, writes.c.state, sqlite_where=_open)
Index("writes_by_run", writes.c.run_id)

stage_entries = Table(
    "stage_entries",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("entity", String(32), primary_key=True),
    Column("entity_id", RowId, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("stage", String(64), nullable=False),
    Column("n", Integer, nullable=False),
    Column("source", String(16), nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("history_id", RowId),
)
"""(deal, stage, n): the n-th time a deal stood in a stage; seq orders a deal's entries.

history_id: the row of the portal's stage history that tells of it; empty where it was only looked at.
"""

cursors = Table(
    "cursors",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""How far an incremental reading got."""

gate_bucket = Table(
    "gate_bucket",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("epoch", String(80), nullable=False),
    Column("tat", Float, nullable=False),
    Column("blocked_until", Float, nullable=False),
    Column("stopped_code", String(64)),
    Column("stopped_text", Text),
    Column("stopped_at", Float),
)
"""The leaky bucket: theoretical arrival time of the next request, on the clock that `epoch` names."""

gate_methods = Table(
    "gate_methods",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("credential", String(64), primary_key=True),
    Column("method", String(100), primary_key=True),
    Column("epoch", String(80), nullable=False),
    Column("used_s", Float, nullable=False),
    Column("in_flight_s", Float, nullable=False),
    Column("in_flight_since", Float, nullable=False),
    Column("reset_at", Float, nullable=False),
    Column("paused_until", Float, nullable=False),
    Column("foreign_use", Boolean, nullable=False),
    Column("unit_duration_s", Float),
    Column("unit_counted_s", Float),
    Column("observed", Boolean, nullable=False),
)
"""Per (credential, method): the portal's own counter as last seen, what is in flight, what a unit (a row) costs."""

gate_waiters = Table(
    "gate_waiters",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("portal", String(64), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("methods", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("holds_bulk", Boolean, nullable=False),
)
"""Who waits at the gate, in order of arrival; the one that holds the bulk slot has a request in flight."""

locks = Table(
    "locks",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("lease_until", Float, nullable=False),
)
"""Work that only one process may do at a time, e.g. an import in order of creation."""

links = Table(
    "links",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("process", String(64), primary_key=True),
    Column("entity", String(32), primary_key=True),
    Column("entity_id", RowId, primary_key=True, autoincrement=False),
    Column("step", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("n", RowId, primary_key=True, autoincrement=False),
    Column("portal_id", String(64), nullable=False),
    Column("detail", Text),
    Column("linked_at", Float, nullable=False),
)
"""Which task, group, user or answer in the portal belongs to which process, entity and step."""
Index("links_by_thing", links.c.portal, links.c.kind, links.c.portal_id)

lanes = Table(
    "lanes",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("due_at", Float),
    Column("backoff_until", Float, nullable=False),
    Column("waits", Integer, nullable=False),
    Column("owner", String(200)),
    Column("epoch", RowId, nullable=False),
    Column("lease_until", Float),
)
"""A lane is the unit of order and of leasing. due_at: when it has work; epoch: how often it was claimed."""
_is_due = lanes.c.due_at.is_not(None)
Index("lanes_due", lanes.c.due_at, sqlite_where=_is_due)
_is_owned = lanes.c.owner.is_not(None)
Index("lanes_owned", lanes.c.owner, sqlite_where=_is_owned)

inbox = Table(
    "inbox",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("portal", String(64), nullable=False),
    Column("lane", String(200), nullable=False),
    Column("kind", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("payload", Text, nullable=False),
    Column("run_at", Float, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("folded", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("message", Text),
    Column("finished_at", Float),
)
"""What is to be done: events, jobs, timers. run_at 0 = at once; states in `store/lanes.py`."""
_is_waiting = inbox.c.state == "waiting"
Index(
    "inbox_folds",
    *(inbox.c.portal, inbox.c.lane, inbox.c.kind),
    unique=True,
    sqlite_where=_is_waiting,
)
_is_open = inbox.c.state.in_(["waiting", "begun"])
Index(
    "inbox_open",
    *(inbox.c.portal, inbox.c.lane, inbox.c.state, inbox.c.run_at, inbox.c.id),
    sqlite_where=_is_open,
)
_is_dead = inbox.c.state == "dead"
Index("inbox_dead", inbox.c.portal, inbox.c.id, sqlite_where=_is_dead)
_is_finished = inbox.c.finished_at.is_not(None)
Index("inbox_finished", inbox.c.finished_at, sqlite_where=_is_finished)

crons = Table(
    "crons",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("line", String(100), nullable=False),
    Column("next_at", Float, nullable=False),
)
"""When a cron lane ticks next; moved by compare-and-set, so that one process publishes a tick."""

snapshots = Table(
    "snapshots",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("entity", String(32), primary_key=True),
    Column("entity_id", RowId, primary_key=True, autoincrement=False),
    Column("fields", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("gone", Boolean, nullable=False),
    Column("seen_at", Float, nullable=False),
)
"""The fields that rules watch, as last seen. version grows with every look that was stored."""

causes = Table(
    "causes",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("portal", String(64), nullable=False),
    Column("entity", String(32), nullable=False),
    Column("entity_id", RowId, nullable=False),
    Column("key", String(255), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("n", Integer, nullable=False),
    Column("detail", Text),
    Column("source", String(32), nullable=False),
    Column("at", Float, nullable=False),
    UniqueConstraint("portal", "entity", "entity_id", "key", name="causes_once"),
)
"""What happened to items, each once: rules start from these, `rules explain` tells them."""

acts = Table(
    "acts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("portal", String(64), nullable=False),
    Column("process", String(64), nullable=False),
    Column("entity", String(32), nullable=False),
    Column("entity_id", RowId, nullable=False),
    Column("cause_id", RowId, nullable=False),
    Column("handler", String(64), nullable=False),
    Column("what", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("portal_id", String(64)),
    Column("at", Float, nullable=False),
)
"""What rules wrote into the portal and why; the loop breaker counts these."""
Index("acts_by_item", acts.c.portal, acts.c.entity, acts.c.entity_id, acts.c.process, acts.c.at)
deal_cards = Table(
    "deal_cards",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("id", RowId, primary_key=True, autoincrement=False),
    Column("title", Text, nullable=False),
    Column("pipeline_id", Integer, nullable=False),
    Column("stage_id", String(64), nullable=False),
    Column("stage_group", String(1), nullable=False),
    Column("previous_stage_id", String(64), nullable=False),
    Column("responsible_id", RowId, nullable=False),
    Column("company_id", RowId, nullable=False),
    Column("opportunity_cents", BigInteger, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("moved_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("own", Text),
    Column("read_at", Float, nullable=False),
    Column("recounted_as_of", Float),
    Column("deleted", Boolean, nullable=False),
    Column("dirty", Boolean, nullable=False),
)
"""What reports need of a deal. `own`: planned-days and recounted fields, JSON; dirty: its stays must be built anew."""
Index("deal_cards_dirty", deal_cards.c.portal, deal_cards.c.dirty)

stage_moves = Table(
    "stage_moves",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("id", RowId, primary_key=True, autoincrement=False),
    Column("deal_id", RowId, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("pipeline_id", Integer, nullable=False),
    Column("stage_id", String(64), nullable=False),
    Column("stage_group", String(1), nullable=False),
)
"""Our copy of the portal's stage history: append-only there, and gone there with a deleted deal."""
Index("stage_moves_of_deal", stage_moves.c.portal, stage_moves.c.deal_id)

stage_sightings = Table(
    "stage_sightings",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("deal_id", RowId, primary_key=True, autoincrement=False),
    Column("at", Float, primary_key=True),
    Column("pipeline_id", Integer, nullable=False),
    Column("stage_id", String(64), nullable=False),
    Column("stage_group", String(1), nullable=False),
)
"""Stage entries that only a deal's card told of (`movedTime`): the next move overwrites them there."""

stage_stays = Table(
    "stage_stays",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("deal_id", RowId, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("pipeline_id", Integer, nullable=False),
    Column("stage_id", String(64), nullable=False),
    Column("stage_group", String(1), nullable=False),
    Column("entered_at", Float, nullable=False),
    Column("left_at", Float),
    Column("estimated", Boolean, nullable=False),
)
"""Stage timelines, built from cards, moves and sightings: no gaps, the last stay of a deal is open."""

portal_names = Table(
    "portal_names",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("parent_id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("stage_group", String(1), nullable=False),
    Column("sort", Integer, nullable=False),
    Column("gone", Boolean, nullable=False),
)
"""What pipelines, stages and users are called; `gone`: the portal no longer has it, or has dismissed the user."""

norm_stages = Table(
    "norm_stages",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("pipeline", String(255), primary_key=True),
    Column("stage", String(255), primary_key=True),
    Column("pipeline_id", Integer, nullable=False),
    Column("stage_id", String(64), nullable=False),
)
"""Which stage the words of a norm meant last: a stage renamed in the portal keeps its norm."""

nights = Table(
    "nights",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("portal", String(64), nullable=False),
    Column("as_of", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("seen", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("written", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("message", Text),
)
"""Nightly recounts. `as_of` is fixed when the night starts and kept by every run that belongs to it."""
Index("nights_newest", nights.c.portal, nights.c.id)

app_grants = Table(
    "app_grants",
    metadata,
    Column("portal", String(64), primary_key=True),
    Column("state", String(16), primary_key=True),
    Column("access_token", Text, nullable=False),
    Column("refresh_token", Text, nullable=False),
    Column("application_token", Text, nullable=False),
    Column("member_id", String(64), nullable=False),
    Column("scope", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
)
"""Tokens of a portal's OAuth application: pending until the portal has accepted them, then active."""
