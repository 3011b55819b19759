"""Reports: deal cards, stage history and timelines, names, norms, nights."""

import sqlalchemy as sa
from alembic import op

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deal_cards",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("id", RowId, autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("pipeline_id", sa.Integer(), nullable=False),
        sa.Column("stage_id", sa.String(length=64), nullable=False),
        sa.Column("stage_group", sa.String(length=1), nullable=False),
        sa.Column("previous_stage_id", sa.String(length=64), nullable=False),
        sa.Column("responsible_id", RowId, nullable=False),
        sa.Column("company_id", RowId, nullable=False),
        sa.Column("opportunity_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=8), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("moved_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("own", sa.Text(), nullable=True),
        sa.Column("read_at", sa.Float(), nullable=False),
        sa.Column("recounted_as_of", sa.Float(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("dirty", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("portal", "id"),
    )
    op.create_index("deal_cards_dirty", "deal_cards", ["portal", "dirty"], unique=False)
    op.create_table(
        "nights",
        sa.Column("id", RowId, autoincrement=True, nullable=False),
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("as_of", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("written", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("nights_newest", "nights", ["portal", "id"], unique=False)
    op.create_table(
        "norm_stages",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("pipeline", sa.String(length=255), nullable=False),
        sa.Column("stage", sa.String(length=255), nullable=False),
        sa.Column("pipeline_id", sa.Integer(), nullable=False),
        sa.Column("stage_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("portal", "pipeline", "stage"),
    )
    op.create_table(
        "portal_names",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("parent_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("stage_group", sa.String(length=1), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("portal", "kind", "id", "parent_id"),
    )
    op.create_table(
        "stage_moves",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("id", RowId, autoincrement=False, nullable=False),
        sa.Column("deal_id", RowId, nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("pipeline_id", sa.Integer(), nullable=False),
        sa.Column("stage_id", sa.String(length=64), nullable=False),
        sa.Column("stage_group", sa.String(length=1), nullable=False),
        sa.PrimaryKeyConstraint("portal", "id"),
    )
    op.create_index("stage_moves_of_deal", "stage_moves", ["portal", "deal_id"], unique=False)
    op.create_table(
        "stage_sightings",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("deal_id", RowId, autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("pipeline_id", sa.Integer(), nullable=False),
        sa.Column("stage_id", sa.String(length=64), nullable=False),
        sa.Column("stage_group", sa.String(length=1), nullable=False),
        sa.PrimaryKeyConstraint("portal", "deal_id", "at"),
    )
    op.create_table(
        "stage_stays",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("deal_id", RowId, autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pipeline_id", sa.Integer(), nullable=False),
        sa.Column("stage_id", sa.String(length=64), nullable=False),
        sa.Column("stage_group", sa.String(length=1), nullable=False),
        sa.Column("entered_at", sa.Float(), nullable=False),
        sa.Column("left_at", sa.Float(), nullable=True),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("portal", "deal_id", "seq"),
    )
