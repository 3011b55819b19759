"""Reads bodies that a portal sends: PHP's bracketed forms and JSON, without any I/O.

`data[FIELDS][ID]=7` is {"data": {"FIELDS": {"ID": "7"}}}, `id[0]=a&id[1]=b` and `id[]=a&id[]=b` are
{"id": ["a", "b"]}. All values of a form are texts (api-reference/events/index.md); brackets come raw or
percent-encoded. Strict where lenience would cost us: names, pairs and depth are bounded.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

MAX_PAIRS = 2000
MAX_DEPTH = 16
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotReadable(ValueError):
    """The body is no form and no JSON object. The text says why, without the body's content."""


def read_body(body: bytes, content_type: str) -> dict[str, Any]:
    """The tree of a POST body. Raises NotReadable."""
    if "json" in content_type.lower() or body[:1] == b"{":
        return _read_json(body)
    try:
        return read_form(body.decode("ascii"))
    except UnicodeDecodeError:
        return read_form(body.decode("utf-8", "replace"))


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        raise NotReadable("the body is no JSON") from None
    if not isinstance(tree, dict):
        raise NotReadable("the body is JSON, but no object")
    cleaned = _clean(tree, MAX_DEPTH)
    assert isinstance(cleaned, dict)
    return cleaned


def read_form(text: str) -> dict[str, Any]:
    """The tree of an urlencoded form. Raises NotReadable."""
    pairs = text.split("&", MAX_PAIRS)
    if len(pairs) > MAX_PAIRS:
        raise NotReadable(f"the form has more than {MAX_PAIRS} variables")
    tree: dict[str, Any] = {}
    for pair in pairs:
        if not pair:
            continue
        name, equals, value = pair.partition("=")
        if not equals:
            raise NotReadable("the form has a variable without a value")
        _put(tree, _path(name), unquote_plus(value))
    return {name: _lists(value) for name, value in tree.items()}


@lru_cache(maxsize=4096)
def _path(name: str) -> tuple[str, ...]:
    """`a[b][]` -> ("a", "b", ""). Raises NotReadable."""
    match = _NAME.fullmatch(unquote_plus(name)) if len(name) < 1000 else None
    if match is None:
        raise NotReadable("the form has a variable whose name cannot be read")
    path = (match[1], *match[2][1:-1].split("][")) if match[2] else (match[1],)
    if len(path) > MAX_DEPTH:
        raise NotReadable(f"the form is nested deeper than {MAX_DEPTH}")
    return path


def _put(tree: dict[str, Any], path: tuple[str, ...], value: str) -> None:
    for step in path[:-1]:
        below = tree.get(step or str(len(tree)))
        if not isinstance(below, dict):  # PHP lets the later one of `a=1&a[b]=2` win
            below = {}
            tree[step or str(len(tree))] = below
        tree = below
    tree[path[-1] or str(len(tree))] = value


def _lists(value: Any) -> Any:
    """Maps whose keys are 0, 1, 2 ... are lists."""
    if not isinstance(value, dict):
        return value
    if list(value) == [str(number) for number in range(len(value))]:
        return [_lists(item) for item in value.values()]
    return {name: _lists(item) for name, item in value.items()}


def _clean(value: Any, depth: int) -> Any:
    """Texts that UTF-8 can carry, no deeper than `depth`. Raises NotReadable."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict | list) and not depth:
        raise NotReadable(f"the body is nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        return {_clean(name, depth): _clean(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth - 1) for item in value]
    return value
