"""The column contract of our own export: what is written is what is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from b24sync.importing import export_format as form

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool)


@given(WORDS, WORDS)
def test_a_pair_key_is_split_into_what_it_was_joined_from(originator: str, origin_id: str) -> None:
    assert form.split_pair(form.pair_key(originator, origin_id)) == (originator, origin_id)


@given(st.lists(st.one_of(WORDS, st.just("two\nlines"), st.just("back\\nslash"))))
def test_several_values_are_split_into_what_they_were_joined_from(values: list[str]) -> None:
    assert form.split_values(form.join_values(values)) == values


def test_the_first_title_says_entity_and_host() -> None:
    for entity in ("deal", "item:177"):
        title = form.first_title(entity, "example.bitrix24.ru:443")
        assert form.parse_first_title(title) == form.Exported(entity, "example.bitrix24.ru:443")
    assert form.parse_first_title("ID") is None


def test_a_link_holds_the_id_and_the_external_key_where_there_is_one() -> None:
    assert form.parse_link(form.link_text(12)) == (12, None)
    assert form.parse_link(form.link_text(12, "old|crm", "a 1")) == (12, form.pair_key("old|crm", "a 1"))


def test_product_rows_keep_what_can_be_set() -> None:
    rows = [{"id": 5, "productName": "Насос", "price": 10.5, "quantity": 2, "taxRate": None}]
    assert form.product_rows_text(rows) == '[{"name": "Насос", "price": 10.5, "quantity": 2}]'
    assert form.product_rows_text([]) == ""
