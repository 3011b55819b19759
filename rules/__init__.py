"""Rules: one file = one business process. Loaded by path, imported by nobody; see docs/rules.md."""
