"""Ground: portals, runs, ledger, stage entries, gate."""

import sqlalchemy as sa
from alembic import op

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cursors",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("portal", "name"),
    )
    op.create_table(
        "gate_bucket",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=80), nullable=False),
        sa.Column("tat", sa.Float(), nullable=False),
        sa.Column("blocked_until", sa.Float(), nullable=False),
        sa.Column("stopped_code", sa.String(length=64), nullable=True),
        sa.Column("stopped_text", sa.Text(), nullable=True),
        sa.Column("stopped_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("portal"),
    )
    op.create_table(
        "gate_methods",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("credential", sa.String(length=64), nullable=False),
        sa.Column("method", sa.String(length=100), nullable=False),
        sa.Column("epoch", sa.String(length=80), nullable=False),
        sa.Column("used_s", sa.Float(), nullable=False),
        sa.Column("in_flight_s", sa.Float(), nullable=False),
        sa.Column("in_flight_since", sa.Float(), nullable=False),
        sa.Column("reset_at", sa.Float(), nullable=False),
        sa.Column("paused_until", sa.Float(), nullable=False),
        sa.Column("foreign_use", sa.Boolean(), nullable=False),
        sa.Column("unit_duration_s", sa.Float(), nullable=True),
        sa.Column("unit_counted_s", sa.Float(), nullable=True),
        sa.Column("observed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("portal", "credential", "method"),
    )
    op.create_table(
        "gate_waiters",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("methods", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("holds_bulk", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "locks",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("portal", "name"),
    )
    op.create_table(
        "portals",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("configured_host", sa.String(length=255), nullable=False),
        sa.Column("member_id", sa.String(length=64), nullable=True),
        sa.Column("noted_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("portal"),
    )
    op.create_table(
        "run_rows",
        sa.Column("run_id", RowId, autoincrement=False, nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=128), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("draft", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "line"),
    )
    op.create_index(
        "run_rows_in_order",
        "run_rows",
        ["run_id", "created_at", "line"],
        unique=False,
        sqlite_where=sa.text("created_at IS NOT NULL"),
        postgresql_where=sa.text("created_at IS NOT NULL"),
    )
    op.create_table(
        "runs",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("command", sa.String(length=32), nullable=False),
        sa.Column("entity", sa.String(length=32), nullable=False),
        sa.Column("what", sa.String(length=255), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("runs_by_fingerprint", "runs", ["portal", "fingerprint"], unique=False)
    op.create_table(
        "stage_entries",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("entity", sa.String(length=32), nullable=False),
        sa.Column("entity_id", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("portal", "entity", "entity_id", "seq"),
    )
    op.create_table(
        "writes",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("what", sa.String(length=255), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run_id", RowId, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("sent_at", sa.Float(), nullable=True),
        sa.Column("portal_id", sa.String(length=64), nullable=True),
        sa.Column("code", sa.String(length=128), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("portal", "what", "key", name="writes_once"),
    )
    op.create_index("writes_by_run", "writes", ["run_id"], unique=False)
    op.create_index(
        "writes_open",
        "writes",
        ["portal", "what", "state"],
        unique=False,
        sqlite_where=sa.text("state IN ('sent', 'unknown')"),
        postgresql_where=sa.text("state IN ('sent', 'unknown')"),
    )
