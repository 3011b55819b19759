"""What of a file may be wrong although nothing refuses it: told with the plan, a sentence for each column."""

from __future__ import annotations

from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from b24sync.importing.mapping import Mapping
from b24sync.importing.source import EXACT_DIGITS
from b24sync.importing.values import UserFieldType, rounded

ONE_LINE = frozenset({"title", "name", "second_name", "last_name", "post", "company_title"})
MOST_CHARS = 255
"""How much a portal keeps of a text of one line: what is beyond is cut without a word (crm/quote/crm-quote-add.md; of
deals, contacts and companies the documentation says nothing).
"""
_FEW_LINES = 5


@dataclass(slots=True)
class _Seen:
    """How many values are doubtful for one reason, and where the first stand. `one` and `several` say it."""

    one: str
    several: str
    why: str
    count: int = 0
    lines: tuple[int, ...] = ()

    def note(self, line: int) -> None:
        self.count += 1
        if len(self.lines) < _FEW_LINES:
            self.lines = (*self.lines, line)

    @property
    def words(self) -> str:
        said = f"{self.count} {self.several}" if self.count > 1 else f"1 {self.one}"
        where = f"line{'s' * (self.count > 1)} {', '.join(map(str, self.lines))}{', ...' * (self.count > _FEW_LINES)}"
        return f"{said} ({where}): {self.why}"


class Doubts:
    """Notes doubtful values of rows; `told` says them by column, in the order in which they were met."""

    def __init__(self, mapping: Mapping, uf_types: Table[str, UserFieldType] | None) -> None:
        titles = {column.field: f'column "{title}"' for title, column in mapping.columns.items()}
        titles |= {name: f"[templates] {name}" for name in mapping.templates}
        self._lines = tuple((name, title) for name, title in titles.items() if name in ONE_LINE)
        self._decimals = tuple(
            (name, title, kind.decimals)
            for name, title in titles.items()
            if (kind := (uf_types or {}).get(name)) is not None and kind.decimals is not None
        )
        self._seen: dict[tuple[str, str], _Seen] = {}

    def rounded_id(self, line: int, title: str, *, is_key: bool) -> None:
        """Note a number of more digits than a workbook keeps."""
        what, of = "key" if is_key else "value", f"of more than {EXACT_DIGITS} digits"
        why = f"a workbook keeps {EXACT_DIGITS}, the last digits may be lost; keep ids as text"
        seen = _Seen(f"{what} is a number {of}", f"{what}s are numbers {of}", why)
        self._seen.setdefault((f'column "{title}"', "digits"), seen).note(line)

    def look_at(self, line: int, fields: dict[str, Any]) -> None:
        """Note what the portal would cut or round; fractions are rounded here, as it would do."""
        for name, title in self._lines:
            if name in fields and len(fields[name]) > MOST_CHARS:
                more = f"more than {MOST_CHARS} characters"
                seen = _Seen(f"text has {more}", f"texts have {more}", "a portal may cut them")
                self._seen.setdefault((title, "length"), seen).note(line)
        for name, title, decimals in self._decimals:
            if name in fields:
                fields[name], changed = rounded(fields[name], decimals)
                if changed:
                    more, why = f"more than {decimals} decimals", f"{name} keeps {decimals}, they are rounded"
                    seen = _Seen(f"value has {more}", f"values have {more}", why)
                    self._seen.setdefault((title, "decimals"), seen).note(line)

    @property
    def told(self) -> Sequence[str]:
        return [f"{title}: {seen.words}" for (title, _), seen in self._seen.items()]
