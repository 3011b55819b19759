"""Everything b24sync remembers: tables and migrations (SQLAlchemy Core + Alembic)."""
