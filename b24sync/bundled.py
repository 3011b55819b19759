"""Where bundled importers, rules and the starter are: package data of a wheel, the project's folders in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def bundled_folder(kind: str) -> Path:
    """The folder of bundled `importers`, `rules` or `starter` (what `b24sync init` copies)."""
    packed = _PACKAGE / "_bundled" / kind
    return packed if packed.is_dir() else _PACKAGE.parent / kind


def bundled_file(name: str) -> Path:
    """One bundled file: `config.example.toml`."""
    packed = _PACKAGE / "_bundled" / name
    return packed if packed.is_file() else _PACKAGE.parent / name
