"""Bodies and queries as PHP reads and writes them (settings/how-to-call-rest-api/data-encoding.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24sync.sandbox import wire

names = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="[]"), min_size=1, max_size=8)
# a name that is only blanks or starts with one is changed by PHP, so it cannot make a round trip
keys = names.filter(lambda name: not name.startswith(" ") and "." not in name and " " not in name)
leaves = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
trees = st.recursive(
    leaves,
    lambda below: st.lists(below, min_size=1, max_size=4) | st.dictionaries(names, below, min_size=1, max_size=4),
    max_leaves=20,
)


def as_php_keeps_it(node: Any) -> Any:
    """A map with keys 0..n-1 and a list are the same thing to PHP."""
    if isinstance(node, list):
        return [as_php_keeps_it(value) for value in node]
    if isinstance(node, dict):
        return wire.lists_of({key: as_php_keeps_it(value) for key, value in node.items()})
    return node


@given(st.dictionaries(keys, trees, max_size=5))
def test_a_tree_survives_the_way_through_a_query(tree: dict[str, Any]) -> None:
    parsed, dropped = wire.parse_query(wire.build_query(tree))
    assert parsed == {key: as_php_keeps_it(value) for key, value in tree.items()}
    assert dropped == 0


@given(st.binary(max_size=200))
def test_any_bytes_can_be_parsed_as_a_form(body: bytes) -> None:
    tree, dropped = wire.decode_body("application/x-www-form-urlencoded", body, 1000)
    assert isinstance(tree, dict)
    assert dropped == 0


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a[]=x&a[]=y", {"a": ["x", "y"]}),
        ("a[5]=x&a[]=y", {"a": {"5": "x", "6": "y"}}),
        ("fields[PHONE][0][VALUE]=%2B7&fields[PHONE][0][VALUE_TYPE]=WORK",
         {"fields": {"PHONE": [{"VALUE": "+7", "VALUE_TYPE": "WORK"}]}}),
        ("filter%5B%3E%3DDATE%5D=1", {"filter": {">=DATE": "1"}}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("a[b]=2&a=1", {"a": "1"}),
        ("a[b=1", {"a_b": "1"}),
        ("x.y z=1", {"x_y_z": "1"}),
        ("[a]=1&=2&&b", {"b": ""}),
        ("t=a+b%20c&u=%D0%B0%ZZ", {"t": "a b c", "u": "а%ZZ"}),
        ("a[1]=x&a[0]=y", {"a": {"1": "x", "0": "y"}}),
    ],
)  # fmt: skip
def test_a_query_is_read_as_php_reads_it(query: str, tree: dict[str, Any]) -> None:
    assert wire.parse_query(query) == (tree, 0)


def test_variables_beyond_the_limit_are_dropped_silently_and_counted() -> None:
    query = "&".join(f"data[{index}]=1" for index in range(1003))
    tree, dropped = wire.parse_query(query, 1000)
    assert len(tree["data"]) == 1000
    assert dropped == 3


def test_json_bodies_have_no_limit_of_variables() -> None:
    body = json.dumps({f"k{index}": index for index in range(1500)}).encode()
    tree, dropped = wire.decode_body("application/json; charset=utf-8", body, 1000)
    assert len(tree) == 1500
    assert dropped == 0


def test_a_body_that_is_no_json_is_no_parameters() -> None:
    assert wire.decode_body("application/json", b'{"a": ', 1000) == ({}, 0)


def test_multipart_fields_and_files_are_read() -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="fields[TITLE]"\r\n\r\n\xd0\xb0\r\n'
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="n.txt"\r\n\r\nabc\r\n--B--\r\n'
    )
    tree, _ = wire.decode_body("multipart/form-data; boundary=B", body, 1000)
    assert tree == {"fields": {"TITLE": "а"}, "file": {"name": "n.txt", "content": b"abc"}}


@pytest.mark.parametrize(
    ("node", "written"),
    [({}, []), ({"0": "a", "1": "b"}, ["a", "b"]), ({"1": "a"}, {"1": "a"}), ({"1": 1, "0": 2}, {"1": 1, "0": 2})],
)
def test_a_map_is_a_list_exactly_where_its_keys_count_from_zero(node: dict[str, Any], written: Any) -> None:
    assert wire.php_map(node) == written


def test_scalars_become_text_in_a_form() -> None:
    assert wire.build_query({"a": None, "b": True, "c": False, "d": 1.5, "e": []}) == "a=&b=1&c=0&d=1.5"


def test_the_body_wins_over_the_query_and_a_list_counts_as_numbered_keys() -> None:
    assert wire.merge({"a": "1", "b": "2"}, {"b": "3"}) == {"a": "1", "b": "3"}
    assert wire.merge({"auth": "x"}, [1, {"A": 2}]) == {"auth": "x", "0": 1, "1": {"A": 2}}
