"""Columns for filters over items: how each kind of field compares."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

from .fields import Field
from .filters import Column
from .moments import parse_day, parse_moment
from .schema import Schema
from .text import Fold, php_text
from .values import INT_KINDS, LINK_KINDS, flag_key


def item_columns(schema: Schema, fold: Callable[[], Fold], zone: tzinfo) -> dict[str, Column]:
    """Column by field code."""
    return {field.code: column_of(field, fold, zone) for field in schema.all}


def column_of(field: Field, fold: Callable[[], Fold], zone: tzinfo) -> Column:
    """The column of one field; empty is None whatever the dialect shows for it."""
    kind, code = field.kind, field.code
    if kind in INT_KINDS:
        key = link_key if kind in LINK_KINDS and kind != "crm_category" else integer_key
        return Column(code, stored(code, field.multiple), key, field.multiple)
    if kind == "double":
        return Column(code, number_of(code, field), number_key, field.multiple)
    if kind == "boolean":
        if field.is_user_field:
            return Column(code, flag_of(code), user_flag_key, field.multiple)
        return Column(code, flag_of(code), flag_key, field.multiple)
    if kind == "date":
        return Column(code, stored(code, field.multiple), day_key, field.multiple)
    if kind == "datetime":
        return Column(
            code, stored(code, field.multiple), lambda raw: None if raw in (None, "") else parse_moment(raw, zone)
        )
    return Column(code, text_of(code, fold, field.multiple), lambda raw: text_key(raw, fold()), field.multiple)


def stored(code: str, multiple: bool) -> Callable[[dict[str, Any]], Any]:
    if multiple:
        return lambda item: item.get(code) or []
    return lambda item: item.get(code)


def number_of(code: str, field: Field) -> Callable[[dict[str, Any]], Any]:
    if field.multiple:
        return lambda item: item.get(code) or []
    return lambda item: item.get(code, field.empty)


def flag_of(code: str) -> Callable[[dict[str, Any]], Any]:
    return lambda item: item.get(code) or "N"


def text_of(code: str, fold: Callable[[], Fold], multiple: bool) -> Callable[[dict[str, Any]], Any]:
    def one(item: dict[str, Any]) -> Any:
        value = item.get(code)
        return fold()(value) if value else None

    def many(item: dict[str, Any]) -> Any:
        key = fold()
        return [key(value) for value in item.get(code) or ()]

    return many if multiple else one


def text_key(raw: Any, fold: Fold) -> str | None:
    text = php_text(raw)
    return fold(text) if text else None


def integer_key(raw: Any) -> int | None:
    return None if raw is None or raw is False or raw == "" else int(str(raw))


def link_key(raw: Any) -> int | None:
    """0 and empty both mean "none"."""
    return integer_key(raw) or None


def number_key(raw: Any) -> float | None:
    return None if raw in (None, "") else float(raw)


def user_flag_key(raw: Any) -> str:
    """Boolean user fields are filtered with 1 and 0 only; Y and N find nothing (crm-item-list.md)."""
    text = php_text(raw)
    return {"1": "Y", "0": "N", "": "N"}.get(text, "nothing")


def day_key(raw: Any) -> str | None:
    return None if raw in (None, "") else parse_day(raw)
