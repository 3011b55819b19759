"""Yes and no as portals write them: Y/N, true/false, 1/0 (api-reference/data-types.md; recorded answers)."""

from __future__ import annotations

from typing import Any


def is_yes(value: Any) -> bool:
    """True for true, Y, 1 in any of their forms."""
    return value is True or str(value).strip().lower() in ("y", "true", "1")
