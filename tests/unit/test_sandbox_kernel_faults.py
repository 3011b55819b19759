"""Every fault of the sandbox over real sockets: it bites as said, and the ledger of calls tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from daemon_process import wait_until
from tiny_portal import tiny, tiny_sandbox

from b24sync.sandbox.faults import KINDS, FaultBook
from b24sync.sandbox.limits import Plan
from b24sync.sandbox.sandbox import Sandbox

PLAN = Plan("custom", rate_per_s=1000, burst=1000, operating_limit_s=100)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with tiny_sandbox(plan=PLAN) as running:
        yield running


def post(sandbox: Sandbox, method: str, params: Any, timeout_s: float = 60) -> requests.Response:
    timeout = (60, timeout_s)  # to connect, to read
    return requests.post(sandbox.webhook_url + method, json=params, timeout=timeout, allow_redirects=False)


def texts(sandbox: Sandbox) -> list[str]:
    return [note["TEXT"] for note in tiny(sandbox).notes]


def last_call(sandbox: Sandbox) -> dict[str, Any]:
    assert sandbox.calls.wait_idle(60)
    return sandbox.calls.records()[-1]


def arm(sandbox: Sandbox, kind: str, **row: Any) -> None:
    sandbox.faults.arm({"kind": kind, **row})


def fired(sandbox: Sandbox) -> int:
    return sum(int(row["fired"]) for row in sandbox.faults.listing())


THREE = {"halt": 0, "cmd": {f"c{number}": f"note.add?TEXT={number}" for number in range(4)}}


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("refuse", 503, "QUERY_LIMIT_EXCEEDED"), ("overload", 503, "OVERLOAD_LIMIT"), ("error_500", 500, "INTERNAL")],
)
def test_a_refusal_is_answered_as_json_and_not_executed(sandbox: Sandbox, kind: str, status: int, code: str) -> None:
    arm(sandbox, kind)
    answer = post(sandbox, "note.add", {"TEXT": "a"})
    assert (answer.status_code, answer.json()["error"][: len(code)]) == (status, code)
    assert texts(sandbox) == []
    assert last_call(sandbox)["executed"] is False
    assert fired(sandbox) == 1
    assert post(sandbox, "note.add", {"TEXT": "b"}).status_code == 200


@pytest.mark.parametrize("executed", [False, True])
def test_any_other_error_can_be_answered(sandbox: Sandbox, executed: bool) -> None:
    arm(sandbox, "error", params={"status": 402, "code": "PAYMENT_REQUIRED", "text": "", "executed": executed})
    answer = post(sandbox, "note.add", {"TEXT": "a"})
    assert (answer.status_code, answer.json()["error"]) == (402, "PAYMENT_REQUIRED")
    assert texts(sandbox) == (["a"] if executed else [])


def test_cut_before_closes_the_connection_and_executes_nothing(sandbox: Sandbox) -> None:
    arm(sandbox, "cut_before")
    with pytest.raises(requests.ConnectionError):
        post(sandbox, "note.add", {"TEXT": "a"})
    assert texts(sandbox) == []
    assert (last_call(sandbox)["fault"], last_call(sandbox)["executed"]) == ("cut_before", False)


def test_cut_after_commits_and_then_closes_the_connection(sandbox: Sandbox) -> None:
    arm(sandbox, "cut_after")
    with pytest.raises(requests.ConnectionError):
        post(sandbox, "note.add", {"TEXT": "a"})
    assert texts(sandbox) == ["a"]
    assert (last_call(sandbox)["executed"], last_call(sandbox)["status"]) == (True, 0)


def test_cut_middle_commits_the_first_half_of_a_batch(sandbox: Sandbox) -> None:
    arm(sandbox, "cut_middle")
    with pytest.raises(requests.ConnectionError):
        post(sandbox, "batch", THREE)
    assert texts(sandbox) == ["0", "1"]
    assert len(last_call(sandbox)["nested"]) == 2


def test_cut_middle_commits_the_first_half_of_an_import(sandbox: Sandbox) -> None:
    arm(sandbox, "cut_middle", params={"commands": 3})
    with pytest.raises(requests.ConnectionError):
        post(sandbox, "note.import", {"data": [{"TEXT": str(number)} for number in range(4)]})
    assert texts(sandbox) == ["0", "1", "2"]


def test_hang_after_commits_and_stays_silent(sandbox: Sandbox) -> None:
    arm(sandbox, "hang_after")
    with pytest.raises(requests.ReadTimeout):
        post(sandbox, "note.add", {"TEXT": "a"}, timeout_s=1)
    wait_until(lambda: texts(sandbox) == ["a"])


def test_hang_before_stays_silent_and_executes_nothing(sandbox: Sandbox) -> None:
    arm(sandbox, "hang_before", params={"hang_s": 0.2})
    with pytest.raises(requests.ConnectionError):
        post(sandbox, "note.add", {"TEXT": "a"})
    assert texts(sandbox) == []


def test_slow_answers_late_but_well(sandbox: Sandbox) -> None:
    arm(sandbox, "slow", params={"after_s": 0.2})
    began = time.monotonic()
    assert post(sandbox, "note.add", {"TEXT": "a"}).json()["result"] == 1
    assert time.monotonic() - began >= 0.2


def test_slower_than_the_cap_is_aborted_before_it_is_executed() -> None:
    with tiny_sandbox(plan=replace(PLAN, request_cap_s=0.5)) as sandbox:
        arm(sandbox, "slow", params={"after_s": 0.6})
        answer = post(sandbox, "note.add", {"TEXT": "a"})
        assert answer.status_code == 504
        assert texts(sandbox) == []


def test_late_closes_at_once_and_commits_afterwards(sandbox: Sandbox) -> None:
    arm(sandbox, "late", params={"after_s": 0.3})
    with pytest.raises(requests.ConnectionError):
        post(sandbox, "note.add", {"TEXT": "a"})
    assert last_call(sandbox)["executed"] is True
    assert texts(sandbox) == ["a"]
    arm(sandbox, "late", params={"after_s": 600})
    with pytest.raises(requests.ConnectionError):
        post(sandbox, "note.add", {"TEXT": "b"})
    assert texts(sandbox) == ["a"]
    assert sandbox.calls.figures()["in_flight"] == 1


@pytest.mark.parametrize(("kind", "status"), [("html_502", 502), ("html_503", 503)])
@pytest.mark.parametrize("executed", [False, True])
def test_html_answers_exist_executed_and_not(sandbox: Sandbox, kind: str, status: int, executed: bool) -> None:
    arm(sandbox, kind, params={"executed": executed})
    answer = post(sandbox, "note.add", {"TEXT": "a"})
    assert (answer.status_code, answer.text[:6]) == (status, "<html>")
    assert texts(sandbox) == (["a"] if executed else [])
    assert last_call(sandbox)["executed"] is executed


@pytest.mark.parametrize(("which", "executed"), [("all", []), ("one", ["1", "2", "3"])])
def test_nested_429_hits_all_commands_or_the_first(sandbox: Sandbox, which: str, executed: list[str]) -> None:
    arm(sandbox, "nested_429", method="note.add", params={"which": which})
    answer = post(sandbox, "batch", {**THREE, "cmd": {**THREE["cmd"], "l": "note.list"}})  # type: ignore[dict-item]
    errors = answer.json()["result"]["result_error"]
    assert {row["error"] for row in errors.values()} == {"OPERATION_TIME_LIMIT"}
    assert texts(sandbox) == executed
    assert "l" in answer.json()["result"]["result"]
    assert sandbox.calls.figures()["refused_429_nested"] == 4 - len(executed)


def test_nested_429_of_a_single_call_is_an_outer_429(sandbox: Sandbox) -> None:
    arm(sandbox, "nested_429", method="note.add")
    assert post(sandbox, "note.add", {"TEXT": "a"}).status_code == 429


def test_nested_error_answers_what_it_is_told(sandbox: Sandbox) -> None:
    arm(sandbox, "nested_error", method="note.add", params={"code": "100", "text": "no", "which": "one"})
    errors = post(sandbox, "batch", THREE).json()["result"]["result_error"]
    assert errors == {"c0": {"error": "100", "error_description": "no"}}


def test_truncate_cuts_the_json_in_half(sandbox: Sandbox) -> None:
    arm(sandbox, "truncate")
    answer = post(sandbox, "note.add", {"TEXT": "a"})
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert texts(sandbox) == ["a"]


def test_truncate_may_also_promise_more_than_it_sends(sandbox: Sandbox) -> None:
    arm(sandbox, "truncate", params={"short_read": True})
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        post(sandbox, "note.add", {"TEXT": "a"})
    assert texts(sandbox) == ["a"]


def test_redirect_names_the_second_address_which_serves_the_same_portal(sandbox: Sandbox) -> None:
    control = requests.post(f"{sandbox.base}/_sandbox/faults", json={"kind": "redirect"}, timeout=60)
    assert control.status_code == 200
    answer = post(sandbox, "note.add?x=1", {"TEXT": "a"})
    location = answer.headers["Location"]
    assert (answer.status_code, answer.text[:6], texts(sandbox)) == (302, "<html>", [])
    assert location.startswith(sandbox.other_address())
    assert location.endswith("/note.add?x=1")
    assert requests.post(location, json={"TEXT": "b"}, timeout=60).json()["result"] == 1


def test_a_renamed_portal_redirects_every_request_of_its_old_address(sandbox: Sandbox) -> None:
    new = requests.post(f"{sandbox.base}/_sandbox/rename", timeout=60).json()["base"]
    for _ in range(2):
        answer = post(sandbox, "note.list", {})
        assert (answer.status_code, answer.headers["Location"].startswith(new)) == (302, True)
    assert requests.post(answer.headers["Location"], json={}, timeout=60).status_code == 200


def test_wrong_length_leaves_the_last_item_out(sandbox: Sandbox) -> None:
    arm(sandbox, "wrong_length", method="note.import")
    rows = {"data": [{"TEXT": str(number)} for number in range(5)]}
    assert len(post(sandbox, "note.import", rows).json()["result"]["items"]) == 4
    assert len(texts(sandbox)) == 5


def test_shuffle_items_changes_the_order_inside_a_batch(sandbox: Sandbox) -> None:
    arm(sandbox, "shuffle_items", method="import", seed=3)
    query = "&".join(f"data[{number}][TEXT]={number}" for number in range(9))
    answer = post(sandbox, "batch", {"cmd": {"i": f"note.import?{query}"}}).json()
    ids = [row["item"]["id"] for row in answer["result"]["result"]["i"]["items"]]
    assert ids != sorted(ids)
    assert sorted(ids) == list(range(1, 10))


def test_every_kind_of_fault_is_tested_here() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f'"{kind}"' not in tested] == []


def test_nth_and_count_choose_the_matching_requests(sandbox: Sandbox) -> None:
    arm(sandbox, "refuse", method="note.add", nth=2, count=2)
    statuses = [post(sandbox, "note.list", {}).status_code for _ in range(2)]
    statuses += [post(sandbox, "note.add", {"TEXT": "a"}).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 503, 503, 200]


def test_a_nested_method_matches_too(sandbox: Sandbox) -> None:
    arm(sandbox, "refuse", method="note.add")
    assert post(sandbox, "batch", THREE).status_code == 503


def draws(**row: Any) -> list[bool]:
    book = FaultBook()
    book.arm({"kind": "refuse", **row})
    return [bool(book.draw(number, ["note.add"])) for number in range(12)]


def test_every_fires_again_and_again() -> None:
    assert [number for number, hit in enumerate(draws(every=4, nth=2)) if hit] == [1, 5, 9]


def test_probability_is_repeatable_by_its_seed() -> None:
    assert draws(probability=0.5, seed=7) == draws(probability=0.5, seed=7)
    assert draws(probability=0.5, seed=7) != draws(probability=0.5, seed=8)
    assert 0 < sum(draws(probability=0.5, seed=7)) < 12


@pytest.mark.parametrize("row", [{"kind": "nonsense"}, {"kind": "refuse", "metod": "x"}])
def test_a_misspelt_fault_is_refused(sandbox: Sandbox, row: dict[str, Any]) -> None:
    answer = requests.post(f"{sandbox.base}/_sandbox/faults", json=row, timeout=60)
    assert answer.status_code == 400
    assert "refuse" in answer.text or "metod" in answer.text


def test_faults_can_be_listed_and_disarmed(sandbox: Sandbox) -> None:
    arm(sandbox, "refuse")
    url = f"{sandbox.base}/_sandbox/faults"
    assert requests.get(url, timeout=60).json()[0]["kind"] == "refuse"
    requests.delete(url, timeout=60)
    assert requests.get(url, timeout=60).json() == []
    assert post(sandbox, "note.add", {"TEXT": "a"}).status_code == 200
