"""The shapes of batch (settings/how-to-call-rest-api/batch.md), also against recorded answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_portal import tiny, tiny_sandbox

from b24sync.sandbox import batch
from b24sync.sandbox.auth import DEFAULT_SECRET
from b24sync.sandbox.inbound import HttpRequest
from b24sync.sandbox.limits import PLANS
from b24sync.sandbox.sandbox import Sandbox
from b24sync.sandbox.switches import Switches

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "rest_responses"
EMPTY_SECTIONS: dict[str, Any] = {
    "result": [], "result_error": [], "result_total": [], "result_next": [], "result_time": [],
}  # fmt: skip


@pytest.fixture
def sandbox() -> Sandbox:
    return tiny_sandbox(plan=PLANS["off"])


def call(sandbox: Sandbox, method: str, params: Any) -> tuple[int, dict[str, Any]]:
    """One JSON request past the sockets."""
    request = HttpRequest(
        "POST",
        f"/rest/1/{DEFAULT_SECRET}/{method}",
        "",
        {"content-type": "application/json"},
        json.dumps(params).encode(),
        "127.0.0.1",
    )
    reply, _ = sandbox.answer(request)
    return reply.status, json.loads(reply.body)


def run_batch(sandbox: Sandbox, cmd: Any, halt: Any = 0) -> dict[str, Any]:
    status, answer = call(sandbox, "batch", {"cmd": cmd, "halt": halt})
    assert status == 200
    return dict(answer["result"])


def test_commands_run_in_order_and_land_in_five_sections(sandbox: Sandbox) -> None:
    result = run_batch(sandbox, {"a": "note.add?TEXT=1", "l": "note.list", "x": "note.add"})
    assert result["result"] == {"a": 1, "l": [{"ID": "1", "TEXT": "1"}]}
    assert result["result_error"] == {"x": {"error": "", "error_description": "TEXT is empty"}}
    assert result["result_total"] == {"l": 1}
    assert result["result_next"] == []
    assert set(result["result_time"]) == {"a", "l"}


def test_next_is_named_only_where_a_page_follows(sandbox: Sandbox) -> None:
    tiny(sandbox).notes.extend({"ID": str(number), "TEXT": "t"} for number in range(120))
    result = run_batch(sandbox, {"p1": "note.list?start=50", "p2": "note.list?start=100"})
    assert result["result_next"] == {"p1": 100}
    assert result["result_total"] == {"p1": 120, "p2": 120}


def test_every_section_is_a_list_where_it_is_empty(sandbox: Sandbox) -> None:
    assert run_batch(sandbox, {}) == EMPTY_SECTIONS
    assert run_batch(sandbox, None) == EMPTY_SECTIONS
    failed = run_batch(sandbox, {"x": "note.add"})
    assert {**failed, "result_error": []} == EMPTY_SECTIONS


def test_numbered_commands_make_lists_of_each_section_by_itself(sandbox: Sandbox) -> None:
    result = run_batch(sandbox, ["note.add", "note.add?TEXT=1", "note.add"])
    assert result["result"] == {"1": 1}
    assert set(result["result_error"]) == {"0", "2"}
    both_fail = run_batch(sandbox, {"0": "note.add", "1": "note.add", "35943": "note.add?TEXT=2"})
    assert isinstance(both_fail["result_error"], list)
    assert both_fail["result"] == {"35943": 2}
    all_fine = run_batch(sandbox, ["note.add?TEXT=3", "note.add?TEXT=4"])
    assert all_fine["result"] == [3, 4]
    assert isinstance(all_fine["result_time"], list)


@pytest.mark.parametrize("halt", [1, "1", True, "true"])
def test_halt_stops_after_the_first_failure_and_leaves_no_trace_of_the_rest(sandbox: Sandbox, halt: Any) -> None:
    result = run_batch(sandbox, {"a": "note.add?TEXT=1", "b": "note.add", "c": "note.add?TEXT=3"}, halt)
    assert result["result"] == {"a": 1}
    assert set(result["result_error"]) == {"b"}
    assert len(tiny(sandbox).notes) == 1


def test_commands_beyond_fifty_are_refused_one_by_one(sandbox: Sandbox) -> None:
    result = run_batch(sandbox, {f"c{number}": f"note.add?TEXT={number}" for number in range(53)})
    assert len(result["result"]) == 50
    assert {row["error"] for row in result["result_error"].values()} == {"ERROR_BATCH_LENGTH_EXCEEDED"}
    assert list(result["result_error"]) == ["c50", "c51", "c52"]
    assert len(tiny(sandbox).notes) == 50


def test_a_batch_in_a_batch_and_unbatchable_methods_are_refused(sandbox: Sandbox) -> None:
    result = run_batch(sandbox, {"b": "batch?cmd[a]=note.list", "s": "note.single"})
    assert {row["error"] for row in result["result_error"].values()} == {"ERROR_BATCH_METHOD_NOT_ALLOWED"}


def test_references_are_resolved_from_earlier_results(sandbox: Sandbox) -> None:
    result = run_batch(
        sandbox,
        {
            "a": "note.add?TEXT=one",
            "l": "note.list",
            "e": "echo?id=$result[a]&text=$result[l][0][TEXT]&all=$result%5Bl%5D&key[]=D_$result[a]",
        },
    )
    assert result["result"]["e"]["params"] == {
        "id": 1,
        "text": "one",
        "all": [{"ID": "1", "TEXT": "one"}],
        "key": ["D_1"],
    }


def test_an_unresolved_reference_is_passed_on_as_text(sandbox: Sandbox) -> None:
    result = run_batch(sandbox, {"x": "note.add", "e": "echo?a=$result[x]&b=$result[later][0]&c=D_$result[x]"})
    assert result["result"]["e"]["params"] == {"a": "$result[x]", "b": "$result[later][0]", "c": "D_$result[x]"}


def test_references_inside_text_are_a_switch() -> None:
    sandbox = tiny_sandbox(plan=PLANS["off"], switches=Switches(reference_inside_text=False))
    result = run_batch(sandbox, {"a": "note.add?TEXT=one", "e": "echo?key=D_$result[a]&id=$result[a]"})
    assert result["result"]["e"]["params"] == {"key": "D_$result[a]", "id": 1}


def test_variables_of_a_command_beyond_a_thousand_are_dropped_and_counted(sandbox: Sandbox) -> None:
    query = "&".join(f"data[{number}][TEXT]=t" for number in range(1010))
    result = run_batch(sandbox, {"big": f"note.import?{query}"})
    assert len(result["result"]["big"]["items"]) == 1000
    assert sandbox.calls.figures()["variables_dropped"] == 10


def test_a_positional_command_keeps_its_order(sandbox: Sandbox) -> None:
    result = run_batch(sandbox, {"t": "task.echo?0=123&1[POST_MESSAGE]=text"})
    assert result["result"]["t"]["args"] == ["123", {"POST_MESSAGE": "text"}]


def test_a_handler_that_breaks_is_a_sub_error_and_is_seen_in_the_figures(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_batch(sandbox, {"x": "note.broken", "y": "note.add?TEXT=1"})
    assert result["result_error"]["x"]["error"] == "INTERNAL_SERVER_ERROR"
    assert result["result"] == {"y": 1}
    assert sandbox.calls.figures()["internal_errors"] == 1
    assert "a mistake of the sandbox" in capsys.readouterr().err


def test_commands_may_be_objects_as_the_vendors_sdk_writes_them() -> None:
    commands = batch.commands_of({"a": {"method": "echo", "params": {"x": [1]}}, "b": "/echo.json?y=1"})
    assert [(row.name, row.method) for row in commands] == [("a", "echo"), ("b", "echo")]
    params, _ = batch.parameters(commands[0], {}, 1000, inside_text=True)
    assert params == {"x": [1]}


words = st.text(alphabet="abcxyz019_", min_size=1, max_size=6)
values = st.recursive(
    st.integers() | st.text(alphabet="abc$[]", max_size=6),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(words, below, max_size=3),
    max_leaves=12,
)


def paths(node: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every reachable value with its path in brackets."""
    found = [(path, node)]
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        found += paths(value, f"{path}[{key}]")
    return found


@given(st.dictionaries(words, values, min_size=1, max_size=3))
def test_every_value_of_earlier_results_can_be_referred_to(results: dict[str, Any]) -> None:
    for path, value in paths(results)[1:]:
        assert batch.resolve({"a": [f"$result{path}"]}, results, inside_text=True) == {"a": [value]}


def shape(node: Any) -> Any:
    """A value without its content: maps by keys, anything else by its type."""
    if isinstance(node, dict):
        return {key: shape(value) for key, value in node.items()}
    if isinstance(node, list):
        return "empty list" if not node else "list"
    return "number" if isinstance(node, int | float) and not isinstance(node, bool) else type(node).__name__


def recorded(name: str) -> dict[str, Any]:
    file = RECORDED / name
    if not file.exists():
        pytest.skip(f"the recorded answers are not beside the project: {file.name}")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def section_kinds(answer: dict[str, Any]) -> dict[str, str]:
    """What each section is: empty list, list or map."""
    kinds = {}
    for name in EMPTY_SECTIONS:
        section = answer["result"][name]
        kinds[name] = "map" if isinstance(section, dict) else shape(section)
    return kinds


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "cmd"),
    [
        ("crm_get_batch_of_two_error.json", {"0": "note.add", "1": "note.add"}),
        ("crm_get_batch_mix_success_and_errors.json", {"0": "note.add", "1": "note.add", "35943": "echo?ID=1"}),
        ("batch_list_empty.json", {"order0000000000": "note.list"}),
        ("doc_batch_error_halt0.json", {"get_user": "note.add", "get_department": "note.add"}),
        ("call_batch.json", {"statuses": "echo", "sources": "echo"}),
    ],
)
def test_the_sections_have_the_shape_of_the_recorded_answer(sandbox: Sandbox, file: str, cmd: dict[str, str]) -> None:
    there = recorded(file)
    _, here = call(sandbox, "batch", {"cmd": cmd, "halt": 0})
    assert section_kinds(here) == section_kinds(there)
    assert set(here) == set(there)
    assert set(there["time"]) <= set(here["time"])


@pytest.mark.shared
def test_a_nested_time_limit_has_the_recorded_shape() -> None:
    there = recorded("error_operation_time_limit_batch_1.json")
    name = "592dcd1e-cd14-410f-bab5-76b3ede717dd"
    sandbox = tiny_sandbox()
    sandbox.engine.budgets.count("note.list", "webhook-1", sandbox.clock.time(), 481, sandbox.clock.time())
    _, here = call(sandbox, "batch", {"cmd": {name: "note.list"}, "halt": 0})
    assert here["result"] == there["result"]
    assert shape(here["time"]) == shape(there["time"])
