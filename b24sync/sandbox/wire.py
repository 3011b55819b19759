"""Bodies and queries as PHP reads and writes them, without any socket.

Bracketed keys make trees (`fields[PHONE][0][VALUE]=1`), an empty map is written as `[]`, a map whose
keys are 0, 1, 2 ... in order is written as a list, variables beyond `max_input_vars` are dropped.
Docs: settings/how-to-call-rest-api/data-encoding.md, settings/how-to-call-rest-api/general-principles.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

Tree = dict[str, Any]


ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def unquote(text: str) -> str:
    """Percent and plus decoding of one key or value; a run of escapes at a time, as values are long and Cyrillic."""
    if "+" in text:
        text = text.replace("+", " ")
    return ESCAPES.sub(decode_run, text) if "%" in text else text


def decode_run(run: re.Match[str]) -> str:
    """`%D0%B0` -> its letter; bytes that are no UTF-8 become the replacement character."""
    return bytes.fromhex(run.group().replace("%", "")).decode("utf-8", "replace")


@lru_cache(maxsize=65536)
def key_path(raw_key: str) -> tuple[str, ...]:
    """Split an encoded key into its path; an empty segment (`a[]`) means "append".

    PHP turns dots and spaces of the first segment into underscores and ignores text after an unclosed
    bracket's value; a key that starts with a bracket has no name and is not a variable.
    """
    key = unquote(raw_key).lstrip(" ")
    head, bracket, rest = key.partition("[")
    if not head:
        return ()
    if " " in head or "." in head:
        head = head.replace(" ", "_").replace(".", "_")
    if not bracket:
        return (head,)
    if "]" not in rest:
        return (f"{head}_{rest}",)
    path = [head]
    while True:
        segment, closing, after = rest.partition("]")
        if not closing:
            break
        path.append(segment)
        if not after.startswith("["):
            break
        rest = after[1:]
    return tuple(path)


def parse_query(text: str, max_vars: int | None = None) -> tuple[Tree, int]:
    """Parse `a[b]=1&a[c][]=2` as PHP's parse_str. Returns the tree and how many variables were dropped."""
    tree: Tree = {}
    if not text:
        return tree, 0
    pairs = [pair for pair in text.split("&") if pair]
    dropped = 0
    if max_vars is not None and len(pairs) > max_vars:
        dropped = len(pairs) - max_vars
        pairs = pairs[:max_vars]
    for pair in pairs:
        raw_key, _, value = pair.partition("=")
        path = key_path(raw_key)
        if path:
            put(tree, path, unquote(value))
    return {name: lists_of(value) for name, value in tree.items()}, dropped


def put(tree: Tree, path: tuple[str, ...], value: Any) -> None:
    """Set `value` at `path`; a scalar in the way is replaced, as PHP does."""
    node = tree
    for segment in path[:-1]:
        if segment == "":
            segment = next_index(node)
        below = node.get(segment)
        if not isinstance(below, dict):
            below = node[segment] = {}
        node = below
    last = path[-1]
    node[next_index(node) if last == "" else last] = value


def next_index(node: Tree) -> str:
    """The key that PHP gives to `[]`: one more than the largest integer key."""
    return str(max((int(key) for key in node if key.isdecimal()), default=-1) + 1)


def lists_of(node: Any) -> Any:
    """Maps whose keys are 0..n-1 in order become lists, at every depth."""
    if not isinstance(node, dict):
        return node
    if "0" in node and is_list(node):
        return [lists_of(value) for value in node.values()]
    return {key: lists_of(value) for key, value in node.items()}


def is_list(node: Mapping[str, Any]) -> bool:
    """True if PHP would write this map as a JSON list: keys are 0, 1, 2 ... in this order (or none)."""
    return all(key == str(index) for index, key in enumerate(node))


def php_map(node: Mapping[str, Any]) -> list[Any] | dict[str, Any]:
    """One map as PHP's json_encode writes it: a list where the keys are contiguous, `[]` where empty."""
    return list(node.values()) if is_list(node) else dict(node)


def build_query(tree: Mapping[str, Any]) -> str:
    """The reverse of `parse_query`: nested maps and lists as bracketed keys, everything as text.

    None becomes the empty string, True / False become 1 / 0 and an empty collection leaves nothing,
    as PHP's http_build_query does (None is written by it not at all; the portal writes it empty).
    """
    return "&".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in flat_pairs(tree))


def flat_pairs(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of a tree as (bracketed key, text)."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from flat_pairs(value, f"{prefix}[{key}]" if prefix else str(key))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from flat_pairs(value, f"{prefix}[{index}]")
    else:
        yield prefix, as_text(node)


def as_text(value: Any) -> str:
    """A scalar as a form carries it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def decode_body(content_type: str, body: bytes, max_vars: int | None) -> tuple[Tree | list[Any], int]:
    """A request body as a tree (or a list, for a JSON array) and the number of dropped variables.

    JSON is recognised by its content type, or by its first character where the type says nothing.
    A body that is no JSON counts as no parameters, as in PHP.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if not body:
        return {}, 0
    if kind == "multipart/form-data":
        return decode_multipart(content_type, body, max_vars)
    if kind.endswith("json") or (kind != "application/x-www-form-urlencoded" and body[:1] in b"{["):
        try:
            decoded = json.loads(body)
        except ValueError:
            return {}, 0
        return (decoded, 0) if isinstance(decoded, dict | list) else ({}, 0)
    return parse_query(body.decode("utf-8", "replace"), max_vars)


def decode_multipart(content_type: str, body: bytes, max_vars: int | None) -> tuple[Tree, int]:
    """Fields of a multipart form; a file part becomes `{"name": ..., "content": bytes}`."""
    _, _, boundary = content_type.partition("boundary=")
    boundary = boundary.partition(";")[0].strip().strip('"')
    tree: Tree = {}
    dropped = count = 0
    if not boundary:
        return tree, 0
    for part in body.split(b"--" + boundary.encode("latin-1"))[1:]:
        if part.startswith(b"--"):
            break
        head, _, content = part.partition(b"\r\n\r\n")
        attributes = disposition(head.decode("utf-8", "replace"))
        path = key_path(quote_plus(attributes.get("name", ""), safe="[]"))
        if not path:
            continue
        count += 1
        if max_vars is not None and count > max_vars:
            dropped += 1
            continue
        content = content.removesuffix(b"\r\n")
        if "filename" in attributes:
            put(tree, path, {"name": attributes["filename"], "content": content})
        else:
            put(tree, path, content.decode("utf-8", "replace"))
    return {name: lists_of(value) for name, value in tree.items()}, dropped


def disposition(head: str) -> dict[str, str]:
    """`name` and `filename` of a part's Content-Disposition line."""
    found: dict[str, str] = {}
    for line in head.splitlines():
        if line.lower().startswith("content-disposition:"):
            for piece in line.split(";")[1:]:
                name, _, value = piece.strip().partition("=")
                found[name.lower()] = value.strip('"')
    return found


def merge(query: Tree, body: Tree | list[Any]) -> Tree:
    """Query and body as one tree; the body wins (settings/how-to-call-rest-api/data-encoding.md)."""
    if isinstance(body, list):
        body = {str(index): value for index, value in enumerate(body)}
    return {**query, **body} if query else body


def to_json(value: Any) -> bytes:
    """JSON as the portal writes it: UTF-8, no escapes of letters."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode()
