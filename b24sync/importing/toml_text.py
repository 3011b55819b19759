"""Mappings as TOML text: what `import suggest` and `import template` write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are all TOML's, which wants one more."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def inline(options: Mapping[str, Any] | str) -> str:
    """A column's options: a bare string where it is the field alone, else an inline table."""
    if isinstance(options, str):
        return quoted(options)
    if options.keys() == {"field"}:
        return quoted(options["field"])
    return f"{{ {', '.join(f'{_key(name)} = {_value(value)}' for name, value in options.items())} }}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return inline(value)
    return quoted(value) if isinstance(value, str) else str(value).lower()


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "a").isalnum() else quoted(name)
