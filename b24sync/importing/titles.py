"""Column titles: found exactly, missed with the title that was probably meant."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Sequence

MOST_TITLES = 30
"""So many columns are told one by one."""
_BY_NUMBER = re.compile(r"column ([1-9]\d{0,4})", re.ASCII)
# Cyrillic and Greek letters, small, whose small or capital form looks like a Latin one in most fonts.
_LOOK_ALIKES = str.maketrans("авекмнорстухѕіјԁԛԝёαβεζηικμνορτυχ", "abekmhopctyxsijdqweabezhikmnoptyx")


class ColumnNames:
    """The header's titles by name. Collects `problems`; what is asked for and missing counts as column 0.

    A column may be named by its number, "column 5", where its title is empty or stands twice.
    """

    def __init__(self, header: Sequence[str]) -> None:
        self._header = list(header)
        self._indexes: dict[str, list[int]] = {}
        for index, title in enumerate(header):
            if title:
                self._indexes.setdefault(title, []).append(index)
        self._mentioned: set[int] = set()
        self._missed: set[str] = set()
        self._told = False
        self.problems: list[str] = []

    def index(self, title: str, who: str) -> int:
        """Where `title` stands (0 = first); a miss is noted once for `who` asked, and 0 is returned."""
        indexes = self._indexes.get(title.strip())
        if indexes is None:
            by_number = _BY_NUMBER.fullmatch(title.strip())
            if by_number is None:
                self._miss(title, who)
                return 0
            indexes = [int(by_number[1]) - 1]
        if len(indexes) > 1:
            self._twice(title, indexes)
        self._mentioned.update(indexes)
        return indexes[0]

    def untitled(self) -> tuple[int, ...]:
        """Columns without a title that nobody mentioned."""
        return tuple(index for index, title in enumerate(self._header) if not title and index not in self._mentioned)

    def columns_needed(self) -> int:
        """How many cells a row must have for every index that was given out."""
        return max([len(self._header), *(index + 1 for index in self._mentioned)])

    def mentioned_beyond_header(self) -> frozenset[int]:
        """Columns named by number that lie right of the last title."""
        return frozenset(index for index in self._mentioned if index >= len(self._header))

    def refuse_unmentioned(self) -> None:
        """Note every titled column that nobody asked for."""
        left = [title for index, title in enumerate(self._header) if title and index not in self._mentioned]
        for title in left[:MOST_TITLES]:
            said = f'column "{title}" of the file is neither mapped nor left out'
            self.problems.append(f'{said}; leave it out with {_in_toml(title)} = "-"')
        if len(left) > MOST_TITLES:
            more = f"... and {len(left) - MOST_TITLES} more columns"
            self.problems.append(f'{more}; [missing] columns = "ignore" leaves out all of them')

    def _miss(self, title: str, who: str) -> None:
        if title in self._missed:
            return
        self._missed.add(title)
        meant = self._nearest(title)
        subject = who if who == f'column "{title}"' else f'{who}: column "{title}"'
        if meant is None:
            self.problems.append(f"{subject} is not in the file{self._which_has()}")
        else:
            self.problems.append(
                f"{subject} is not in the file; probably {_in_toml(meant)} is meant{_difference(title, meant)}"
            )

    def _which_has(self) -> str:
        """What the file has instead, told once."""
        if self._told:
            return ""
        self._told = True
        titles = [_in_toml(known) for known in self._header if known]
        more = f" and {len(titles) - MOST_TITLES} more" if len(titles) > MOST_TITLES else ""
        return f", which has {', '.join(titles[:MOST_TITLES])}{more}"

    def _twice(self, title: str, indexes: list[int]) -> None:
        if title not in self._missed:
            self._missed.add(title)
            numbers = [f'"column {index + 1}"' for index in indexes]
            self.problems.append(f'column "{title}" stands {len(indexes)} times; name them {", ".join(numbers)}')

    def _nearest(self, title: str) -> str | None:
        folded = fold(title)
        by_fold = {fold(known): known for known in self._indexes}
        if folded in by_fold:
            return by_fold[folded]
        close = difflib.get_close_matches(folded, by_fold, n=1, cutoff=0.75)
        return by_fold[close[0]] if close else None


def _in_toml(title: str) -> str:
    """A title as a mapping has to write it: line breaks and quotation marks escaped."""
    return json.dumps(title, ensure_ascii=False)


def fold(title: str) -> str:
    """`title` without what a person does not see: case, width and number of spaces, alphabet of look-alike letters."""
    plain = unicodedata.normalize("NFKC", title).replace("\u200b", "")
    return " ".join(plain.split()).casefold().translate(_LOOK_ALIKES)


def look_alike(value: str, known: str) -> str:
    """Which letter of `value` only looks like that of `known`, in words; "" where they differ otherwise."""
    if fold(value) != fold(known):
        return ""
    pairs = ((ours, theirs) for ours, theirs in zip(value, known, strict=False) if ours.casefold() != theirs.casefold())
    return next((f" ({_named(ours)} in the file, {_named(theirs)} in the portal)" for ours, theirs in pairs), "")


def _difference(asked: str, found: str) -> str:
    """What differs between two titles that fold to the same, in words."""
    if fold(asked) != fold(found):
        return ""
    if " ".join(asked.split()).casefold() == " ".join(found.split()).casefold():
        return " (different spaces or capital letters)" if asked.split() != found.split() else " (different spaces)"
    for left, right in zip(asked, found, strict=False):
        if left.casefold() != right.casefold():
            return f" ({_named(left)} in the mapping, {_named(right)} in the file)"
    return " (look-alike letters)"


def _named(letter: str) -> str:
    name = unicodedata.name(letter, f"U+{ord(letter):04X}")
    return f'"{letter}" {name}'
