"""What a column holds, by its values: forms of dates, decimal marks. Pure; a guess, not a promise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from b24sync.importing import values
from b24sync.importing.source import DateCell, NumberCell

DATE_FORMATS = (
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y", "%Y/%m/%d",
    "%d.%m.%y %H:%M", "%d.%m.%y", "%Y%m%d",
)  # fmt: skip
_SHARE = 0.98
"""How many of a column's values must fit: a few are always mistyped."""


@dataclass(frozen=True, slots=True)
class DateForm:
    """`format` as in strptime, None where none needs to be said; `exact` is one that fits in any case, if there is one.

    `sure` False where day and month may be swapped.
    """

    format: str | None
    exact: str | None
    sure: bool
    has_time: bool


def date_form(texts: Sequence[str]) -> DateForm | None:
    """The form of a column of dates; None where it holds none."""
    plain = [text for text in texts if not isinstance(text, DateCell)]
    if not texts or any(isinstance(text, NumberCell) for text in plain):
        return None
    if not plain:
        return DateForm(None, None, True, any("T" in text for text in texts))
    fitting = [form for form in DATE_FORMATS if share_of(plain, values.moment_parser(form)) >= _SHARE]
    exact = fitting[0] if fitting else None
    has_time = any(":" in text for text in plain)
    if share_of(plain, values.moment_parser(None)) >= _SHARE:
        return DateForm(None, exact, True, has_time)
    return DateForm(exact, exact, len({form[:5] for form in fitting}) == 1, has_time) if exact else None


def decimal_mark(texts: Iterable[str]) -> str | None:
    """The decimal mark that the unambiguous numbers of a column show; None where none does or they differ."""
    found = set()
    for text in texts:
        digits = re.sub(r"[^\d.,]", "", text).strip(".,")  # "руб." ends with a point of its own
        comma, point = digits.rfind(","), digits.rfind(".")
        if comma >= 0 and point >= 0:
            found.add("," if comma > point else ".")
        elif comma >= 0 or point >= 0:
            mark = "," if comma >= 0 else "."
            whole, _, fraction = digits.partition(mark)
            if digits.count(mark) > 1:
                found.add("." if mark == "," else ",")
            elif len(fraction) != 3 or len(whole) > 3 or whole == "0":
                found.add(mark)
    return found.pop() if len(found) == 1 else None


def is_number(text: str) -> bool:
    """Whether a text can be read as a number or an amount, under either decimal mark."""
    return any(share_of([text], partial(values.parse_amount, decimal=mark)) for mark in (".", ","))


def share_of(texts: Sequence[str], convert: Callable[[str], object]) -> float:
    """Which share of `texts` can be converted, 0 to 1."""
    return sum(_converts(text, convert) for text in texts) / len(texts) if texts else 0.0


def _converts(text: str, convert: Callable[[str], object]) -> bool:
    try:
        convert(text)
    except values.BadValue:
        return False
    return True
