"""The wire protocol: what is encoded comes out of an independent decoder unchanged."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b24sync.transport.protocol import (
    BATCH_MAX_COMMANDS,
    COMMAND_MAX_VARIABLES,
    Command,
    EncodedRow,
    Failure,
    Timing,
    batch_body,
    count_variables,
    failure_of,
    is_positional,
    json_body,
    number,
    query,
    section,
    variable_chunks,
)

# Text that can be in a cell: everything but lone surrogates, which UTF-8 does not have.
texts = st.text(st.characters(codec="utf-8"), max_size=12)
keys = st.text(st.characters(codec="utf-8", exclude_characters="[]\0"), min_size=1, max_size=8).filter(
    lambda key: not key.isdigit()
)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-(10**12), 10**12, places=2)
moments = st.datetimes(timezones=st.just(UTC)) | st.dates()
leaves = texts | numbers | st.booleans() | st.none() | moments
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)
params = st.dictionaries(keys, trees, max_size=4)


def decode(text: str) -> Any:
    """PHP's parse_str in small: nested maps; a map whose keys count from 0 is a list, `[]` appends."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), encoding="utf-8"):
        head, _, rest = name.partition("[")
        path = [head, *re.findall(r"\[([^\]]*)\]", "[" + rest)] if rest else [head]
        node = tree
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node["0" if path[-1] == "" else path[-1]] = value
    return listed(tree)


def listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    items = {key: listed(value) for key, value in node.items()}
    return list(items.values()) if items and list(items) == [str(index) for index in range(len(items))] else items


def as_sent(value: Any) -> Any:
    """What a form can carry of a value: texts; an empty list or map arrives as one empty text in a list."""
    match value:
        case dict() | list() if not value:
            return [""]
        case dict():
            return {key: as_sent(item) for key, item in value.items()}
        case list():
            return [as_sent(item) for item in value]
        case None:
            return ""
        case bool():
            return "Y" if value else "N"
        case datetime():
            return value.isoformat(timespec="seconds")
        case date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
    return str(value)


@given(st.lists(params, max_size=3))
def test_rows_encoded_ahead_are_sent_and_counted_like_any_other(rows: list[dict[str, Any]]) -> None:
    ahead = [EncodedRow(row) for row in rows]
    assert query({"data": ahead}) == query({"data": rows})
    assert count_variables(ahead) == count_variables(rows)
    assert list(variable_chunks(ahead, max_rows=2)) == list(variable_chunks(rows, max_rows=2))


@given(params)
def test_a_query_decodes_to_the_same_tree(tree: dict[str, Any]) -> None:
    assert decode(query(tree)) == {key: as_sent(value) for key, value in tree.items()}


@given(params)
def test_a_query_is_plain_ascii_that_survives_a_url(tree: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.~%=&-]*", query(tree))


@given(params)
def test_variables_are_counted_as_php_counts_them(tree: dict[str, Any]) -> None:
    pairs = parse_qsl(query(tree), keep_blank_values=True)
    assert count_variables(tree) == max(len(pairs), 1)


@given(st.lists(trees, min_size=1, max_size=4))
def test_positional_arguments_are_numbered_in_a_query_and_an_array_in_json(arguments: list[Any]) -> None:
    assert decode(query(arguments)) == [as_sent(value) for value in arguments]
    assert isinstance(json.loads(json_body(arguments)), list)


@given(params)
def test_a_json_body_keeps_numbers_and_lists_and_translates_the_rest(tree: dict[str, Any]) -> None:
    sent = json.loads(json_body(tree))
    assert set(sent) == set(tree)
    for key, value in tree.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert sent[key] == value
        elif not isinstance(value, list | dict):
            assert sent[key] == as_sent(value)


def test_a_json_body_says_booleans_empties_times_and_sums_as_the_portal_wants_them() -> None:
    body = json_body(
        {
            "a": True,
            "b": False,
            "c": None,
            "d": [],
            "e": datetime(2025, 2, 3, 10, 15, tzinfo=UTC),
            "f": date(2025, 2, 3),
            "g": Decimal("1E+3"),
            "h": {"VALUE": "ООО «Ромашка»"},
        }
    )
    assert json.loads(body) == {
        "a": "Y",
        "b": "N",
        "c": "",
        "d": [],
        "e": "2025-02-03T10:15:00+00:00",
        "f": "2025-02-03",
        "g": "1000",
        "h": {"VALUE": "ООО «Ромашка»"},
    }


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("task.commentitem.add", True),
        ("task.CommentItem.getlist", True),
        ("task.checklistitem.complete", True),
        ("task.elapseditem.add", True),
        ("task.item.add", True),
        ("task.items.getlist", True),
        ("tasks.task.add", False),
        ("task.stages.get", False),
        ("crm.item.add", False),
    ],
)
def test_the_old_task_family_is_positional_and_no_other(method: str, expected: bool) -> None:
    assert is_positional(method) is expected


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True), params, min_size=1, max_size=5))
def test_a_batch_carries_each_command_as_one_query_encoded_once(commands: dict[str, dict[str, Any]]) -> None:
    body = json.loads(batch_body({name: Command("crm.item.add", tree) for name, tree in commands.items()}))
    assert body["halt"] == 0
    assert list(body["cmd"]) == list(commands)
    for name, tree in commands.items():
        method, mark, text = body["cmd"][name].partition("?")
        assert (method, mark) == ("crm.item.add", "?")
        assert decode(text) == {key: as_sent(value) for key, value in tree.items() if value != {}}


def test_a_positional_method_with_named_parameters_is_our_mistake_because_it_would_read_them_anyhow() -> None:
    with pytest.raises(ValueError, match="by position"):
        Command("task.commentitem.add", {"TASKID": 1})
    assert query(Command("task.commentitem.add", [1, {"POST_MESSAGE": "a&b"}]).params) == (
        "0=1&1%5BPOST_MESSAGE%5D=a%26b"
    )


def test_a_batch_of_more_than_fifty_commands_is_our_mistake() -> None:
    commands = {f"r{number:06d}": Command("profile", {}) for number in range(BATCH_MAX_COMMANDS + 1)}
    with pytest.raises(ValueError, match="at most 50"):
        batch_body(commands)
    commands.popitem()
    assert len(json.loads(batch_body(commands))["cmd"]) == BATCH_MAX_COMMANDS


def test_a_batch_with_numbers_for_names_is_our_mistake_because_php_would_lose_them() -> None:
    with pytest.raises(ValueError, match="must not be numbers"):
        batch_body({"0": Command("profile", {})})


def test_a_batch_can_halt_at_the_first_error() -> None:
    assert json.loads(batch_body({"a": Command("profile", {})}, halt=True))["halt"] == 1


def test_an_empty_filter_is_left_out_of_a_command_and_an_empty_list_is_not() -> None:
    body = json.loads(batch_body({"a": Command("user.get", {"FILTER": {}, "select": [], "start": 0})}))
    assert body["cmd"] == {"a": "user.get?select%5B%5D=&start=0"}


rows = st.lists(st.dictionaries(keys, texts | st.lists(texts, max_size=40), min_size=1, max_size=20), max_size=60)


@given(rows, st.integers(1, 20))
def test_chunks_hold_every_row_once_and_stay_under_phps_limit(data: list[dict[str, Any]], most: int) -> None:
    chunks = list(variable_chunks(data, max_rows=most))
    assert [row for piece in chunks for row in data[piece]] == data
    for piece in chunks:
        variables = sum(count_variables(row) for row in data[piece])
        alone = piece.stop - piece.start == 1
        assert piece.stop - piece.start <= most
        assert alone or variables <= COMMAND_MAX_VARIABLES


def test_a_row_too_many_for_the_limit_of_variables_opens_the_next_chunk() -> None:
    wide = {f"UF_{index}": "x" for index in range(300)}
    sizes = [piece.stop - piece.start for piece in variable_chunks([wide] * 7, max_rows=20)]
    assert sizes == [2, 2, 2, 1]


# -- answers ------------------------------------------------------------------------------------------


def test_the_time_block_tells_when_the_counter_resets_relative_to_the_same_answer() -> None:
    block = {"start": 10.0, "finish": 12.5, "duration": 2.5, "operating": 7.25, "operating_reset_at": 612}
    assert Timing.of(block) == Timing(duration_s=2.5, operating_s=7.25, reset_in_s=599.5, finish=12.5)


@pytest.mark.parametrize("block", [None, [], "", {"start": 1}])
def test_absent_counters_are_unknown_and_not_zero(block: Any) -> None:
    assert Timing.of(block) == Timing()


def test_a_reset_in_the_past_is_now() -> None:
    assert Timing.of({"finish": 100.0, "operating_reset_at": 90}).reset_in_s == 0.0


def test_a_counter_of_zero_is_zero() -> None:
    assert Timing.of({"finish": 1.0, "operating": 0}).operating_s == 0.0


@pytest.mark.parametrize(
    ("value", "expected"), [(3, 3.0), ("4.5", 4.5), (None, None), (True, None), ("x", None), ([], None)]
)
def test_numbers_come_as_numbers_or_as_texts(value: Any, expected: float | None) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many"},
            Failure("QUERY_LIMIT_EXCEEDED", "Too many"),
        ),
        ({"error": "expired_token"}, Failure("EXPIRED_TOKEN", "")),
        ({"error": "", "error_description": "Not found"}, Failure("", "Not found")),
        ({"error": 0, "error_description": "x"}, Failure("0", "x")),
        ({"error": 510}, Failure("510", "")),
        ({"error": "A", "result": 5}, Failure("A", "")),
        (
            {"error": {"code": "BITRIX_REST_V3_EXCEPTION_ENTITYNOTFOUNDEXCEPTION", "message": "нет"}},
            Failure("BITRIX_REST_V3_EXCEPTION_ENTITYNOTFOUNDEXCEPTION", "нет"),
        ),
        ({"result": []}, None),
        ({"error": None, "result": True}, None),
        ([1, 2], None),
    ],
)
def test_an_error_is_a_non_null_error_key_whatever_its_type(body: Any, expected: Failure | None) -> None:
    assert failure_of(body) == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"r000001": 5}, {"r000001": 5}),
        ([], {}),
        ([{"ID": 1}, {"ID": 2}], {"0": {"ID": 1}, "1": {"ID": 2}}),
        (None, {}),
        ("", {}),
    ],
)
def test_a_section_of_a_batch_is_a_map_whatever_php_made_of_it(sent: Any, expected: dict[str, Any]) -> None:
    assert section({"result": sent}, "result") == expected


def test_a_section_that_is_not_there_is_empty() -> None:
    assert section({}, "result_error") == {}
