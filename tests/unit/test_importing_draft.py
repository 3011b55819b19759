"""Drafts and their compact JSON; keys seen before."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from b24sync.importing.draft import Draft, Ref, draft_from_json, draft_to_json
from b24sync.importing.seen_keys import SeenKeys

texts = st.text(max_size=30)
maybe = st.none() | st.text(min_size=1, max_size=10)
refs = st.builds(
    Ref,
    kind=st.sampled_from(["user", "stage", "company"]),
    value=texts,
    field=texts,
    column=texts,
    match=maybe,
    create=st.booleans(),
    default=maybe,
    dictionary=maybe,
    missing=maybe,
)
plain = st.one_of(
    texts,
    st.integers(-(10**15), 10**15),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(texts, max_size=3),
    st.lists(st.fixed_dictionaries({"typeId": texts, "value": texts}), max_size=2),
)
values: st.SearchStrategy[Any] = plain | refs | st.lists(refs, min_size=1, max_size=3)
drafts = st.builds(
    Draft,
    line=st.integers(1, 10**9),
    key=st.text(min_size=1, max_size=40),
    fields=st.dictionaries(st.text(min_size=1, max_size=12), values, max_size=6),
)


@settings(deadline=None)
@given(drafts)
def test_a_draft_comes_back_from_json_as_it_was(draft: Draft) -> None:
    assert draft_from_json(draft_to_json(draft)) == draft


def test_json_of_a_draft_is_one_compact_line() -> None:
    ref = Ref("stage", "Новая", "stage", "Этап")
    draft = Draft(7, "5805028000056864695", {"title": "Один\nдва", "stage": ref, "contact": [ref]})
    text = draft_to_json(draft)
    assert "\n" not in text
    assert text == (
        '[7,"5805028000056864695",{"title":"Один\\nдва"},'
        '{"stage":["stage","Новая","stage","Этап"],"contact":[["stage","Новая","stage","Этап"]]}]'
    )


def test_a_reference_tells_create_false_from_create_true_after_json() -> None:
    for create in (False, True):
        ref = Ref("company", "ООО Ромашка", "company", "Фирма", "title", create)
        back = draft_from_json(draft_to_json(Draft(1, "a", {"company": ref}))).fields["company"]
        assert back == ref
        assert back.create is create


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=6), max_size=200))
def test_the_first_line_of_every_repeated_key_is_remembered(keys: list[str]) -> None:
    seen = SeenKeys()
    expected: dict[str, int] = {}
    for line, key in enumerate(keys, start=2):
        assert seen.first_line(key, line) == expected.get(key)
        expected.setdefault(key, line)
    assert len(seen) == len(expected)


def test_a_hundred_thousand_keys_are_kept_apart_while_the_table_grows() -> None:
    seen = SeenKeys()
    assert all(seen.first_line(f"58050280000{number:08d}", number + 2) is None for number in range(100_000))
    assert seen.first_line("5805028000000099999", 200_000) == 100_001
    assert len(seen) == 100_000


def test_a_duplicate_key_names_the_line_where_it_stood_first() -> None:
    seen = SeenKeys()
    assert seen.check(2, "A-1") is None
    error = seen.check(9, "A-1")
    assert error is not None
    assert (error.line, error.key, error.code) == (9, "A-1", "DUPLICATE_KEY")
    assert "line 2" in error.message
