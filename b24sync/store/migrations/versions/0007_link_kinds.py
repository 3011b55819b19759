"""Links of different kinds at the same step: a task and a question of the same name are two things."""

import sqlalchemy as sa
from alembic import op

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A key of SQLite's cannot be changed: the table is made anew.
    op.drop_index("links_by_thing", "links")
    op.rename_table("links", "links_before")
    made = op.create_table(
        "links",
        sa.Column("portal", sa.String(length=64), nullable=False),
        sa.Column("process", sa.String(length=64), nullable=False),
        sa.Column("entity", sa.String(length=32), nullable=False),
        sa.Column("entity_id", RowId, autoincrement=False, nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("n", RowId, autoincrement=False, nullable=False),
        sa.Column("portal_id", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("linked_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("portal", "process", "entity", "entity_id", "step", "kind", "n"),
    )
    names = [column.name for column in made.columns]
    before = sa.table("links_before", *(sa.column(name) for name in names))
    op.execute(made.insert().from_select(names, sa.select(*before.columns)))
    op.drop_table("links_before")
    op.create_index("links_by_thing", "links", ["portal", "kind", "portal_id"], unique=False)
