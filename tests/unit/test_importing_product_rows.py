"""Whether product rows of a file are those of the portal."""

from __future__ import annotations

from typing import Any

import pytest

from b24sync.importing.product_rows import same_rows

HELD: dict[str, Any] = {
    "id": 7,
    "productId": 501,
    "productName": "Монтаж",
    "price": 700.25,
    "quantity": 2,
    "discountTypeId": 1,
    "discountRate": 12.5,
    "discountSum": 10,
    "taxRate": None,
    "taxIncluded": "N",
    "measureCode": 796,
    "sort": 10,
}
WANTED: dict[str, Any] = {
    "product_id": 501,
    "name": "Монтаж",
    "price": 700.25,
    "quantity": 2,
    "discount_type": 1,
    "discount_rate": 12.5,
    "discount_sum": 10,
    "tax_rate": None,
    "tax_included": "N",
    "measure_code": 796,
    "sort": 10,
}
CHANGED: dict[str, Any] = {
    "product_id": 502,
    "name": "Доставка",
    "price": 700,
    "quantity": 3,
    "discount_type": 2,
    "discount_rate": 13,
    "discount_sum": 11,
    "tax_rate": 0,
    "tax_included": "Y",
    "measure_code": 163,
    "sort": 20,
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_row_that_changes_in_any_one_field_is_another_row(name: str) -> None:
    assert same_rows([WANTED], [HELD])
    assert not same_rows([{**WANTED, name: CHANGED[name]}], [HELD])


@pytest.mark.parametrize(
    "wanted",
    [
        {"product_id": "501", "price": "700.250", "quantity": "2.0"},
        {"product_id": 501, "name": "", "quantity": 2},
        {"name": " Монтаж ", "price": 700.2501, "quantity": 2, "tax_included": False},
    ],
)
def test_what_a_row_does_not_name_and_how_it_writes_a_number_is_no_difference(wanted: dict[str, Any]) -> None:
    assert same_rows([wanted], [HELD])


def test_a_row_without_a_quantity_is_one_piece() -> None:
    assert same_rows([{"name": "Монтаж"}], [{**HELD, "quantity": 1}])
    assert not same_rows([{"name": "Монтаж"}], [HELD])


def test_the_order_is_none_of_it_and_each_row_counts_once() -> None:
    other = {**HELD, "productName": "Доставка"}
    loose = {"product_id": 501, "quantity": 2}
    assert same_rows([loose, WANTED], [HELD, other])
    assert same_rows([loose, WANTED], [other, HELD])
    assert not same_rows([WANTED, WANTED], [HELD, other])
    assert not same_rows([WANTED], [HELD, HELD])


def test_what_is_no_number_is_a_difference_and_no_error() -> None:
    assert not same_rows([{**WANTED, "discount_rate": "5%"}], [HELD])
