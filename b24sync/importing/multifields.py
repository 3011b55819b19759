"""How this portal's import takes phones, e-mails and web addresses.

The text of crm/universal/import/crm-item-import.md shows PHONE: [{VALUE, VALUE_TYPE}], its field tables name neither
that nor `fm`; a form that a portal does not know is dropped without a word. So the rows up to the first that has any go
before the others, that one is read back, and what was learnt is remembered for the portal.
"""

from __future__ import annotations

from collections.abc import Iterator

from b24sync.importing.compare import FM, MULTIFIELDS, multifields_of
from b24sync.importing.ways import Row
from b24sync.store.cursors import read_cursor, save_cursor
from b24sync.store.engine import Store

CLASSIC = "classic"
NAME = "multifields of import"
ROWS_BEFORE = 1000
"""Rows without any that are held back while the first one with some is looked for."""


class MultifieldDialect:
    """What one portal's import takes. `known` once it was read back, or where it is documented: `documented`."""

    def __init__(self, store: Store, portal: str, documented: str | None = None) -> None:
        self._store = store
        self._portal = portal
        self._form = documented or read_cursor(store, portal, NAME)

    @property
    def known(self) -> bool:
        return self._form is not None

    def settle(self, form: str) -> None:
        """Remember it for the portal."""
        self._form = form
        save_cursor(self._store, self._portal, NAME, form)

    def of(self, row: Row) -> Row:
        """The row in the portal's form; as it is while nothing is known."""
        if self._form != FM or not has_multifields(row):
            return row
        fields = {name: value for name, value in row.fields.items() if name not in MULTIFIELDS}
        return Row(row.key, {**fields, FM: multifields_of(row.fields)})

    def first(self, rows: Iterator[Row]) -> list[Row]:
        """Rows up to the first that has any, or the next `ROWS_BEFORE` that have none; empty at the end."""
        taken: list[Row] = []
        for row in rows:
            taken.append(row)
            if has_multifields(row) or len(taken) == ROWS_BEFORE:
                break
        return taken


def has_multifields(row: Row) -> bool:
    """Whether a row carries phones, e-mails or web addresses in the form that may have to be changed."""
    return bool(MULTIFIELDS & row.fields.keys())
