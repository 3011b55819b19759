"""The shape of `batch` without executing anything: commands in, references, five sections out.

Docs: settings/how-to-call-rest-api/batch.md, settings/how-to-call-rest-api/data-encoding.md; the shapes of
empty and numeric sections are those of recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import wire

MAX_COMMANDS = 50
REFERENCE = re.compile(r"\$result((?:\[[^\[\]]*\])+)")
SEGMENT = re.compile(r"\[([^\[\]]*)\]")
UNRESOLVED = object()


@dataclass(slots=True)
class Command:
    """One command: its key in `cmd`, method and still unparsed query (or ready params, for SDK-like objects)."""

    name: str
    method: str
    query: str = ""
    params: dict[str, Any] | None = None


@dataclass(slots=True)
class Sections:
    """The five maps of an answer, each keyed by command name."""

    result: dict[str, Any] = field(default_factory=dict)
    error: dict[str, dict[str, Any]] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    next: dict[str, int] = field(default_factory=dict)
    time: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_answer(self) -> dict[str, Any]:
        """Each map by itself: `[]` where empty, a list where its keys are 0, 1, 2 ... (as recorded)."""
        return {
            "result": wire.php_map(self.result),
            "result_error": wire.php_map(self.error),
            "result_total": wire.php_map(self.total),
            "result_next": wire.php_map(self.next),
            "result_time": wire.php_map(self.time),
        }


def commands_of(cmd: Any) -> list[Command]:
    """`cmd` (object or list) as commands in order; a leading slash or `.json` of a method is tolerated."""
    if isinstance(cmd, list):
        pairs = [(str(index), value) for index, value in enumerate(cmd)]
    elif isinstance(cmd, Mapping):
        pairs = [(str(key), value) for key, value in cmd.items()]
    else:
        return []
    return [command_of(name, value) for name, value in pairs]


def command_of(name: str, value: Any) -> Command:
    """`method?query`, or an object with `method` and `params`."""
    if isinstance(value, Mapping):
        params = value.get("params")
        return Command(name, str(value.get("method", "")), params=dict(params) if isinstance(params, Mapping) else {})
    method, _, query = str(value).partition("?")
    return Command(name, method.strip().strip("/").removesuffix(".json"), query)


def is_halt(value: Any) -> bool:
    """`halt` as 1, true or their texts."""
    return str(value).strip().lower() in {"1", "true", "y"}


def parameters(
    command: Command, results: Mapping[str, Any], max_vars: int, *, inside_text: bool
) -> tuple[dict[str, Any], int]:
    """Parameters of a command with references resolved, and the number of dropped variables."""
    if command.params is not None:
        params, dropped = command.params, 0
    else:
        params, dropped = wire.parse_query(command.query, max_vars)
    if "result" in command.query or command.params is not None:
        params = {key: resolve(value, results, inside_text=inside_text) for key, value in params.items()}
    return params, dropped


def resolve(node: Any, results: Mapping[str, Any], *, inside_text: bool) -> Any:
    """Replace `$result[key][path]`; what cannot be found stays as the literal text it was."""
    if isinstance(node, dict):
        return {key: resolve(value, results, inside_text=inside_text) for key, value in node.items()}
    if isinstance(node, list):
        return [resolve(value, results, inside_text=inside_text) for value in node]
    if not isinstance(node, str) or "$result[" not in node:
        return node
    whole = REFERENCE.fullmatch(node)
    if whole:
        found = look_up(whole.group(1), results)
        return node if found is UNRESOLVED else found
    return REFERENCE.sub(lambda match: text_of(match, results), node) if inside_text else node


def text_of(match: re.Match[str], results: Mapping[str, Any]) -> str:
    """A reference inside a longer text: only scalars can be put there."""
    found = look_up(match.group(1), results)
    if found is UNRESOLVED or isinstance(found, dict | list):
        return match.group(0)
    return wire.as_text(found)


def look_up(path: str, results: Mapping[str, Any]) -> Any:
    """Walk `[key][0][ID]` through the results so far; UNRESOLVED where it ends."""
    node: Any = results
    for segment in SEGMENT.findall(path):
        key = segment.strip("'\"")
        if isinstance(node, Mapping) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            return UNRESOLVED
    return node
