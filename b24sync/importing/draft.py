"""What one row of a file becomes: a `Draft` with unresolved names in it, or a `RowError`.

Drafts are spooled in the store between reading and writing, so they have a compact JSON form:
`draft_from_json(draft_to_json(d)) == d`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_known: dict[tuple[Any, ...], Ref] = {}
_KNOWN_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Ref:
    """A name from the file that only the portal can turn into an id.

    `kind`        user | pipeline | stage | enumeration | status | company | contact
    `value`       the name as it stands in the file, after the mapping's `map`
    `field`       the field it will fill, as the mapping names it
    `column`      the column's title; "[constants] x" or "[templates] x" where no column is behind it
    `match`       what `value` is: title | origin | email | phone | id; None = whatever fits the kind
    `create`      make the company or contact where it is not found
    `default`     a value to resolve instead where `value` is not found
    `dictionary`  for `status`: the portal's dictionary (ENTITY_ID of crm.status.list)
    `missing`     "empty": leave the field empty where nothing is found; None = the mapping's [missing] values
    """

    kind: str
    value: str
    field: str
    column: str
    match: str | None = None
    create: bool = False
    default: str | None = None
    dictionary: str | None = None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """One object to be written.

    `line` is the line (or sheet row) as a person sees it, `key` the text that becomes originId. `fields` maps
    the mapping's field name (snake_case, or a UF_ code) to a JSON-ready value, a `Ref`, or a list of `Ref`.
    Values may be shared between drafts: never change them in place.
    """

    line: int
    key: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that cannot be written, with every reason found in it.

    `code`, `column` and `value` are the first problem's; `message` names them all.
    """

    line: int
    key: str | None
    column: str | None
    value: str | None
    code: str
    message: str
    readable: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """As a draft's `fields`, what of the row could be read: names in it that lead nowhere are told at the same time."""


def draft_to_json(draft: Draft) -> str:
    """One line of JSON: [line, key, plain values by field, packed references by field]."""
    plain: dict[str, Any] = {}
    references: dict[str, list[Any]] = {}
    for name, value in draft.fields.items():
        kind = type(value)
        if kind is Ref:
            references[name] = _pack(value)
        elif kind is list and value and type(value[0]) is Ref:
            references[name] = [_pack(one) for one in value]
        else:
            plain[name] = value
    return _encode((draft.line, draft.key, plain, references))


def draft_from_json(text: str) -> Draft:
    """Read what `draft_to_json` wrote; the order of the fields may differ."""
    line, key, values, references = json.loads(text)
    for name, packed in references.items():
        values[name] = _unpack(packed) if type(packed[0]) is str else [_unpack(one) for one in packed]
    return Draft(line, key, values)


def _pack(ref: Ref) -> list[Any]:
    if ref.match or ref.create or ref.default or ref.dictionary or ref.missing:
        rest = [ref.match, 1 if ref.create else 0, ref.default, ref.dictionary, ref.missing]
        while not rest[-1]:
            rest.pop()
        return [ref.kind, ref.value, ref.field, ref.column, *rest]
    return [ref.kind, ref.value, ref.field, ref.column]


def _unpack(packed: list[Any]) -> Ref:
    """The reference; one and the same object for the same content, so that a stage is not built 16,000 times."""
    content = tuple(packed)
    ref = _known.get(content)
    if ref is None:
        ref = _built(*packed)
        if len(_known) >= _KNOWN_LIMIT:
            _known.clear()
        _known[content] = ref
    return ref


def _built(
    kind: str,
    value: str,
    field: str,
    column: str,
    match: str | None = None,
    create: int = 0,
    default: str | None = None,
    dictionary: str | None = None,
    missing: str | None = None,
) -> Ref:
    return Ref(kind, value, field, column, match, bool(create), default, dictionary, missing)
