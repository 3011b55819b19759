"""Yes and no as portals write them (Y/N, true/false, 1/0: api-reference/data-types.md), and as people do."""

from __future__ import annotations

from typing import Any

YES = frozenset({"y", "yes", "да", "true", "1", "истина", "д", "on", "sim", "ja"})
NO = frozenset({"n", "no", "нет", "false", "0", "ложь", "н", "off", "não", "nein"})
"""What people write for them, in lower case."""


def is_yes(value: Any) -> bool:
    """True for true, Y, 1 in any of their forms."""
    return value is True or str(value).strip().lower() in ("y", "true", "1")
