"""The wire protocol of Bitrix24's REST, without any I/O.

Sources: settings/how-to-call-rest-api/data-encoding.md, .../batch.md, .../general-principles.md,
_includes/system-errors.md. Three encodings leave here: a JSON body for `crm.item.*` and the classic
families, a positional JSON array for `task.*` (named keys are "unpredictable" there), and PHP's bracketed
query for the commands inside a batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import quote

BATCH_MAX_COMMANDS = 50
COMMAND_MAX_VARIABLES = 900
"""PHP drops what is beyond max_input_vars (1,000) without a word; a command stays under it."""

POSITIONAL_FAMILIES = (
    "task.commentitem.",
    "task.checklistitem.",
    "task.elapseditem.",
    "task.item.",
    "task.items.",
)

Params = Mapping[str, Any] | Sequence[Any]


@dataclass(frozen=True, slots=True)
class Command:
    """One call: `params` by name, or a list for the positional `task.*` family.

    `units` is what its cost is counted in (rows of an import), for the gate's predictions.
    """

    method: str
    params: Params
    units: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.params, Mapping) and is_positional(self.method):
            raise ValueError(f"{self.method} reads its arguments by position: give a list")


class EncodedRow:
    """A map of fields as it stands in a batch's query, but for its prefix: encoded ahead of its request.

    Only a batch can carry it; `count_variables` knows its size without a walk.
    """

    __slots__ = ("leaves",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        leaves: list[str] = []
        _flatten_row("", dict(fields), leaves)
        self.leaves = leaves


def is_positional(method: str) -> bool:
    """Legacy `task.*` methods read their arguments by position (settings/.../data-encoding.md)."""
    return method.lower().startswith(POSITIONAL_FAMILIES)


def plain(value: Any) -> Any:
    """One value as the portal wants it in JSON: `Y`/`N`, `""` for None, ISO times, decimals as text."""
    if value is None:
        return ""
    if value is True:
        return "Y"
    if value is False:
        return "N"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def json_body(params: Params) -> bytes:
    """The body of a single call. Cost: none; the caller sends it."""
    return json.dumps(plain(params), ensure_ascii=False, separators=(",", ":")).encode()


def query(params: Params) -> str:
    """PHP's nested query of `params`: `filter%5B%3EID%5D=5`; an empty list is `KEY%5B%5D=`."""
    items = enumerate(params) if isinstance(params, Sequence) else params.items()
    out: list[str] = []
    for key, value in items:
        _flatten(_quoted(str(key)), value, out)
    return "&".join(out)


def count_variables(params: Any) -> int:
    """How many PHP variables `params` becomes: leaves, an empty list counting as one."""
    kind = type(params)
    if kind is str or kind is int or kind is float:
        return 1
    if kind is EncodedRow:
        return len(params.leaves)
    if isinstance(params, Mapping):
        return sum([count_variables(value) for value in params.values()]) or 1
    if isinstance(params, list | tuple):
        return sum([count_variables(value) for value in params]) or 1
    return 1


def _flatten(prefix: str, value: Any, out: list[str]) -> None:
    kind = type(value)
    if kind is str:
        out.append(f"{prefix}={_quoted(value)}")
    elif kind is int:
        out.append(f"{prefix}={value}")
    elif kind is EncodedRow:
        out.extend([prefix + leaf for leaf in value.leaves])
    elif kind is dict:
        _flatten_row(prefix, value, out)
    elif isinstance(value, Mapping):
        _flatten_row(prefix, dict(value), out)
    elif isinstance(value, list | tuple):
        if not value:
            out.append(f"{prefix}%5B%5D=")
        for index, item in enumerate(value):
            _flatten(f"{prefix}%5B{index}%5D", item, out)
    else:
        out.append(f"{prefix}={_quoted(str(plain(value)))}")


def _flatten_row(prefix: str, row: dict[Any, Any], out: list[str]) -> None:
    """Its leaves are written here instead of by recursion: this loop is what encoding an import costs."""
    if not row:
        out.append(f"{prefix}%5B%5D=")
    for key, item in row.items():
        kind = type(item)
        if kind is str:
            out.append(f"{prefix}%5B{_quoted(str(key))}%5D={_quoted(item)}")
        elif kind is int:
            out.append(f"{prefix}%5B{_quoted(str(key))}%5D={item}")
        else:
            _flatten(f"{prefix}%5B{_quoted(str(key))}%5D", item, out)


@lru_cache(maxsize=1 << 15)
def _quoted(text: str) -> str:
    """Percent-encoded; remembered, because rows of one file repeat their names, stages and dates.

    Text beyond ASCII is encoded byte by byte, ASCII letters in it too: longer, decoded alike, and many times quicker.
    """
    return quote(text, safe="") if text.isascii() else "%" + text.encode().hex("%")


def _sayable(params: Params) -> Params:
    """Without empty maps: a query could write one only as a list of one empty text, which is no filter."""
    if not isinstance(params, Mapping):
        return params
    return {name: value for name, value in params.items() if value or not isinstance(value, Mapping)}


def batch_body(commands: Mapping[str, Command], *, halt: bool = False) -> bytes:
    """The JSON body of a `batch`: each command a query string, encoded once (batch.md).

    Names must not be numbers: PHP turns keys 0..n into a list and the names are lost.
    """
    if len(commands) > BATCH_MAX_COMMANDS:
        raise ValueError(f"a batch carries at most {BATCH_MAX_COMMANDS} commands, not {len(commands)}")
    if any(name.isdigit() for name in commands):
        raise ValueError("command names must not be numbers")
    cmd = {name: f"{command.method}?{query(_sayable(command.params))}" for name, command in commands.items()}
    return json.dumps({"halt": int(halt), "cmd": cmd}, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Timing:
    """The `time` block. Absent counters are None, which means unknown, not zero (data-types.md)."""

    duration_s: float | None = None
    operating_s: float | None = None
    reset_in_s: float | None = None
    finish: float | None = None

    @classmethod
    def of(cls, block: Any) -> Timing:
        if not isinstance(block, Mapping):
            return cls()
        finish = number(block.get("finish"))
        reset_at = number(block.get("operating_reset_at"))
        reset_in = None if reset_at is None or finish is None else max(0.0, reset_at - finish)
        return cls(number(block.get("duration")), number(block.get("operating")), reset_in, finish)


def number(value: Any) -> float | None:
    """A JSON number or numeric text as float; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the portal words it; `code` stringified and upper-cased, since its case varies."""

    code: str
    text: str


def failure_of(body: Any) -> Failure | None:
    """The error in a decoded body of either REST version; None for a success.

    Whatever the status, a non-null `error` key is an error (transport: soft errors arrive with 200).
    """
    if not isinstance(body, Mapping):
        return None
    error = body.get("error")
    if error is None:
        return None
    if isinstance(error, Mapping):  # REST 3.0
        return Failure(str(error.get("code", "")).upper(), str(error.get("message", "")))
    return Failure(str(error).upper(), str(body.get("error_description") or ""))


def section(batch_result: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One of the five maps of a batch answer, whatever PHP made of it.

    An empty map arrives as `[]` and a map keyed 0..n as a list (recorded); a list is read by index.
    """
    found = batch_result.get(name)
    if isinstance(found, Mapping):
        return dict(found)
    if isinstance(found, list):
        return {str(index): item for index, item in enumerate(found)}
    return {}


def variable_chunks(
    rows: Sequence[Mapping[str, Any] | EncodedRow], *, max_rows: int, overhead: int = 4
) -> Iterator[slice]:
    """Slices of `rows` such that each holds at most `max_rows` and stays under COMMAND_MAX_VARIABLES."""
    start, used = 0, overhead
    for index, row in enumerate(rows):
        weight = count_variables(row)
        if index > start and (index - start >= max_rows or used + weight > COMMAND_MAX_VARIABLES):
            yield slice(start, index)
            start, used = index, overhead
        used += weight
    if start < len(rows):
        yield slice(start, len(rows))
