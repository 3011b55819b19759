"""Where bundled importers and rules are: package data in an installed wheel, the project's folders in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def bundled_folder(kind: str) -> Path:
    """The folder of bundled `importers` or `rules`."""
    packed = _PACKAGE / "_bundled" / kind
    return packed if packed.is_dir() else _PACKAGE.parent / kind
