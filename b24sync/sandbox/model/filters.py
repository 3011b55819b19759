"""Filters of list methods: keys with prefixes compiled to one predicate and to hints for the indexes.

Docs: api-reference/crm/universal/crm-item-list.md (operators, OR groups, errors).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PREFIX = re.compile(r"(!=%|!%=|!@|!%|!=|=%|%=|>=|<=|>|<|@|=|%|!)?(.*)$", re.DOTALL)
CANONICAL = {
    "": "in",
    "=": "in",
    "@": "in",
    "!": "not in",
    "!=": "not in",
    "!@": "not in",
    ">": ">",
    ">=": ">=",
    "<": "<",
    "<=": "<=",
    "%": "has",
    "!%": "not has",
    "=%": "like",
    "%=": "like",
    "!=%": "not like",
    "!%=": "not like",
}

Predicate = Callable[[Any], bool]


class FilterFault(ValueError):
    """A filter or order that the method does not take; the text is the portal's own."""


@dataclass(frozen=True, slots=True)
class Column:
    """What filters and sorting need of one column.

    `of_row` gives the comparable of a row (None = empty; a list when `multiple`), `of_filter` that of a value in a
    filter (None = empty; raises ValueError for a value of another kind), `text` how LIKE sees a comparable.
    """

    name: str
    of_row: Callable[[Any], Any]
    of_filter: Callable[[Any], Any]
    multiple: bool = False


@dataclass(slots=True)
class Plan:
    """A compiled filter: rows pass every test; `equals` = AND-ed IN conditions, `above` / `below` = bounds of ids."""

    tests: list[Predicate] = field(default_factory=list)
    equals: list[tuple[str, frozenset[Any]]] = field(default_factory=list)
    above: int | None = None
    below: int | None = None

    def passes(self, row: Any) -> bool:
        return all(test(row) for test in self.tests)


@dataclass(slots=True)
class Compiler:
    """Compiles filters over named columns. `strict` False drops unknown keys, as classic lists do."""

    columns: Mapping[str, Column]
    strict: bool = True
    arrays: bool = True
    groups: bool = True
    negative_finds_empty: bool = True
    id_column: str = "id"
    ignore_case: bool = False

    def compile(self, tree: Any) -> Plan:
        """Plan of a filter. Raises FilterFault."""
        plan = Plan()
        self._into(plan, tree)
        return plan

    def _into(self, plan: Plan, tree: Any) -> None:
        entries = as_mapping(tree)
        if str(entries.get("logic", "AND")).upper() == "OR" and self.groups:
            plan.tests.append(self._any_of(entries))
            return
        for key, value in entries.items():
            if key == "logic":
                continue
            if self.groups and key.isdigit() and isinstance(value, (dict, list)):
                self._into(plan, value)
            else:
                self._condition(plan, key, value)

    def _any_of(self, entries: dict[str, Any]) -> Predicate:
        plans = []
        for key, value in entries.items():
            if key == "logic":
                continue
            nested = key.isdigit() and isinstance(value, (dict, list))
            plans.append(self.compile(value if nested else {key: value}))
        return lambda row: any(plan.passes(row) for plan in plans)

    def _condition(self, plan: Plan, key: str, value: Any) -> None:
        match = PREFIX.match(key)
        assert match is not None
        prefix, name = match[1] or "", match[2]
        column = self.columns.get(name.upper() if self.ignore_case else name)
        if column is None:
            if self.strict:
                raise FilterFault(f"Invalid filter: field '{name}' is not allowed in filter")
            return
        operator = CANONICAL[prefix]
        plan.tests.append(self._test(plan, column, name, operator, value))

    def _test(self, plan: Plan, column: Column, name: str, operator: str, value: Any) -> Predicate:
        if operator in ("in", "not in"):
            wanted = self._wanted(column, name, value)
            if operator == "in":
                plan.equals.append((column.name, wanted))
                return is_in(column, wanted)
            return is_not_in(column, wanted, self.negative_finds_empty)
        if isinstance(value, (list, dict)):
            raise FilterFault(f"Invalid filter: field '{name}' has invalid value")
        if operator in (">", ">=", "<", "<="):
            bound = self._comparable(column, name, value)
            if column.name == self.id_column and isinstance(bound, int):
                narrow(plan, operator, bound)
            return compares(column, operator, bound)
        matcher = like(column, operator.removeprefix("not "), value)
        if operator.startswith("not "):
            return lambda row: not matcher(row)
        return matcher

    def _wanted(self, column: Column, name: str, value: Any) -> frozenset[Any]:
        if isinstance(value, dict):
            value = list(value.values())
        if not isinstance(value, list):
            value = [value]
        elif not self.arrays:
            raise FilterFault(f"Invalid filter: field '{name}' has invalid value")
        return frozenset(self._comparable(column, name, one) for one in value)

    def _comparable(self, column: Column, name: str, value: Any) -> Any:
        if isinstance(value, (list, dict)):
            raise FilterFault(f"Invalid filter: field '{name}' has invalid value")
        try:
            return column.of_filter(value)
        except (ValueError, TypeError) as error:
            raise FilterFault(f"Invalid filter: field '{name}' has invalid value") from error


def as_mapping(tree: Any) -> dict[str, Any]:
    """A filter as a map: an empty PHP map arrives as [], one with keys 0..n as a list."""
    if isinstance(tree, list):
        return {str(index): value for index, value in enumerate(tree)}
    if isinstance(tree, dict):
        return {str(key): value for key, value in tree.items()}
    return {}


def narrow(plan: Plan, operator: str, bound: int) -> None:
    """Note a bound on ids so that a walk by id starts where it left off (settings/performance/huge-data.md)."""
    if operator in (">", ">="):
        low = bound if operator == ">" else bound - 1
        plan.above = low if plan.above is None else max(plan.above, low)
    else:
        high = bound if operator == "<" else bound + 1
        plan.below = high if plan.below is None else min(plan.below, high)


def is_in(column: Column, wanted: frozenset[Any]) -> Predicate:
    read = column.of_row
    if column.multiple:
        return lambda row: any(value in wanted for value in read(row)) if read(row) else None in wanted
    return lambda row: read(row) in wanted


def is_not_in(column: Column, wanted: frozenset[Any], finds_empty: bool) -> Predicate:
    inside = is_in(column, wanted)
    if finds_empty or None in wanted:
        return lambda row: not inside(row)
    read = column.of_row
    return lambda row: read(row) not in (None, []) and not inside(row)


def compares(column: Column, operator: str, bound: Any) -> Predicate:
    """Range tests; empty values match none, as NULL in SQL."""
    read = column.of_row
    if bound is None:
        return lambda row: False if operator in (">", "<") else read(row) is None
    order: dict[str, Callable[[Any], bool]] = {
        ">": lambda value: bool(value > bound),
        ">=": lambda value: bool(value >= bound),
        "<": lambda value: bool(value < bound),
        "<=": lambda value: bool(value <= bound),
    }
    test = order[operator]
    if column.multiple:
        return lambda row: any(test(value) for value in read(row) or ())
    return lambda row: (value := read(row)) is not None and test(value)


def like(column: Column, operator: str, pattern: Any) -> Predicate:
    """`has` = substring; `like` = the pattern brings its own % signs (crm-item-list.md)."""
    try:
        needle = column.of_filter(pattern)
    except (ValueError, TypeError):
        needle = pattern
    text = "" if needle is None else str(needle)
    if operator == "has":
        matches: Callable[[str], bool] = lambda value: text in value  # noqa: E731
    else:
        parts = [".*" if char == "%" else "." if char == "_" else re.escape(char) for char in text]
        compiled = re.compile("".join(parts), re.DOTALL)
        matches = lambda value: compiled.fullmatch(value) is not None  # noqa: E731
    read = column.of_row
    if column.multiple:
        return lambda row: any(matches(str(value)) for value in read(row) or ())
    return lambda row: (value := read(row)) is not None and matches(str(value))


@dataclass(frozen=True, slots=True)
class Order:
    """Sorting by columns, first one first."""

    keys: tuple[tuple[Column, bool], ...] = ()

    def sort(self, rows: Iterable[Any]) -> list[Any]:
        """Rows sorted; empty values first when ascending, as NULL in MySQL."""
        found = list(rows)
        for column, descending in reversed(self.keys):
            found.sort(key=sort_key(column), reverse=descending)
        return found


def sort_key(column: Column) -> Callable[[Any], Any]:
    read = column.of_row

    def key(row: Any) -> tuple[bool, Any]:
        value = read(row)
        if isinstance(value, list):
            value = value[0] if value else None
        return (value is not None, value if value is not None else 0)

    return key


def compile_order(tree: Any, columns: Mapping[str, Column], *, strict: bool = True, ignore_case: bool = False) -> Order:
    """Order of a list. Raises FilterFault for unknown fields or directions when strict."""
    keys = []
    for name, direction in as_mapping(tree).items():
        column = columns.get(name.upper() if ignore_case else name)
        if column is None:
            if strict:
                raise FilterFault(f"Invalid order: field '{name}' is not allowed in order")
            continue
        word = str(direction).upper()
        if word not in ("ASC", "DESC"):
            if strict:
                raise FilterFault(
                    f"Invalid order: allowed sort directions are ASC, DESC. But got '{direction}' for field '{name}'"
                )
            word = "ASC"
        keys.append((column, word == "DESC"))
    return Order(tuple(keys))
