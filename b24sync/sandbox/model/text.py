"""How the portal's database compares texts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

Fold = Callable[[str], str]
ACCENTED = re.compile("[\u00c0-\u024f\u0300-\u036f]")


def unicode_ci(text: str) -> str:
    """Key under which MySQL's utf8 unicode collation finds texts equal: case, accents and trailing blanks do not count.

    "й" keeps its breve (a letter of its own in the collation), "ё" does not.
    """
    if text.isascii():
        return text.lower().rstrip(" ")
    folded = text.casefold().rstrip(" ").replace("ё", "е")
    if not ACCENTED.search(folded):
        return folded
    marks = unicodedata.normalize("NFD", folded.replace("й", "\x00"))
    return "".join(char for char in marks if not unicodedata.combining(char)).replace("\x00", "й")


def binary(text: str) -> str:
    """Exact comparison."""
    return text


def fold_for(collation: str) -> Fold:
    """The comparison key of a collation named by the switch `text_collation`."""
    return binary if collation == "binary" else unicode_ci


def php_text(value: object) -> str:
    """A scalar as PHP writes it into a text column: 5.0 -> "5", True -> "1", None -> ""."""
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
