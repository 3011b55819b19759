"""The columns of `b24sync export`, as the exporter writes them and the importer `b24sync_export` reads them back.

One header row, one row per item; CSV is UTF-8 with `,`, XLSX has every cell as text.

| Column | Cell |
|---|---|
| `b24sync:<entity>@<host>` (always the first) | its id in the portal it came from; the title says which |
| `originator`, `origin_id` | the item's external key, both empty where it has none; smart process: "", xmlId |
| a field's name (`title`, `stage`, `created_time`, `UF_CRM_CITY`, `parent_id_177`, ...) | its value, below |

The names are those of a mapping (`fields.py`); a field that no import can fill has no column. Cells:

- text as it stands; numbers with a decimal point; Y / N; dates and times ISO, times with their offset
- users: the e-mail, or the id where there is none; `money` user fields `300|RUB`; `crm` user fields `D_1`
- pipelines, stages, dictionaries, enumerations: the name, or the id where the name is not unique among its kind
- companies, contacts, parents: `link_text`; phones, e-mails, web addresses: `multifield_text`
- several values of one field: `join_values`, one line each; product rows: `product_rows_text` in `product_rows`
- `address`, `address_city`, ...: parts of one address, of the oldest requisite; `address_type` in words (`legal`)
- files have no column: their content is not in the export
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from b24sync.portal.pairs import MIXED, own_pair, pair_key, split_pair
from b24sync.portal.product_rows import PRODUCT_FIELDS

__all__ = ["MIXED", "own_pair", "pair_key", "split_pair"]

LINES = "\n\\"
"""As the separator of a column: `split_values` parts its cells."""
ORIGINATOR, ORIGIN_ID, PRODUCT_ROWS = "originator", "origin_id", "product_rows"

_FIRST_TITLE = re.compile(r"b24sync:(?P<entity>deal|lead|contact|company|item:\d+)@(?P<host>\S+)")
_LINK = re.compile(r"(?P<id>\d+)(?: (?P<pair>.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Exported:
    """What the first title says: which entity (as in a mapping), from the portal at which host (with its port)."""

    entity: str
    host: str


def first_title(entity: str, host: str) -> str:
    """Title of the first column."""
    return f"b24sync:{entity}@{host}"


def parse_first_title(title: str) -> Exported | None:
    """What a first title says; None where the file is no export of ours."""
    match = _FIRST_TITLE.fullmatch(title)
    return Exported(match["entity"], match["host"]) if match else None


def link_text(item_id: int, originator: str = "", origin_id: str = "") -> str:
    """A company, contact or parent: its id, and its external key where it has one."""
    return f"{item_id} {pair_key(originator, origin_id)}" if origin_id else str(item_id)


def parse_link(text: str) -> tuple[int, str | None]:
    """(id, pair key or None). Raises: ValueError."""
    match = _LINK.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match["id"]), match["pair"]


def multifield_text(value_type: str, value: str) -> str:
    """A phone, e-mail or web address with its kind: `WORK:+7 495 1234567`."""
    return f"{value_type}:{value}"


def join_values(values: Iterable[str]) -> str:
    """Several values as one cell, a line each; a line break inside a value is written `\\n`, a backslash twice."""
    return "\n".join(value.replace("\\", "\\\\").replace("\n", "\\n") for value in values)


def split_values(text: str) -> list[str]:
    """What `join_values` joined; empty lines are left out."""
    return [_unescaped(line.strip()) for line in text.split("\n") if line.strip()]


def product_rows_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """The portal's product rows as JSON of `PRODUCT_FIELDS`; "" where there are none."""
    kept = [{name: row[api] for name, api in PRODUCT_FIELDS.items() if row.get(api) is not None} for row in rows]
    return json.dumps(kept, ensure_ascii=False) if kept else ""


def _unescaped(line: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], line)
