"""Alembic's entry: the connection comes from `b24sync.store.migrate`, inside its lock and transaction."""

from alembic import context

from b24sync.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
