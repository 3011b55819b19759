"""Importers: one file = one source. Loaded by path, imported by nobody; see docs/importers.md."""
