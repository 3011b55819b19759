"""Answers of real portals and of the documentation: each is classified as its index says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from wired import Wired, wired

from b24sync.errors import PortalBlocked, PortalRefused, PortalUnreachable
from b24sync.transport.outcomes import Done, NotSent, Refused, Unknown
from b24sync.transport.protocol import Command, section

OWN = Path(__file__).parent / "answers"
RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "rest_responses"
INDEX: list[dict[str, Any]] = (
    json.loads((RECORDED / "INDEX.json").read_text(encoding="utf-8")) if RECORDED.is_dir() else []
)

ABSENT = "the recorded answers (../shared/data) do not lie beside the project"
REAL = [pytest.mark.shared, pytest.mark.skipif(not INDEX, reason=ABSENT)]


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Wired]:
    with wired(tmp_path) as ready:
        yield ready


def batch(ready: Wired, body: bytes, names: list[str], status: int = 200) -> dict[str, Any]:
    with responses.RequestsMock() as mock:
        mock.add(responses.POST, ready.url("batch"), body=body, status=status)
        commands = {name: Command("profile", {}) for name in names}
        return ready.client.batch(commands, write=True, priority="bulk")


def call(ready: Wired, body: bytes, status: int) -> Done:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add(responses.POST, ready.url("crm.item.list"), body=body, status=status)
        return ready.client.call("crm.item.list", {}, write=True)


# -- our own small set ----------------------------------------------------------------------------------


def test_a_mixed_batch_gives_every_command_its_own_outcome(portal: Wired) -> None:
    names = [f"r{number:06d}" for number in range(1, 6)]
    outcomes = batch(portal, (OWN / "mixed_batch.json").read_bytes(), names)
    done = outcomes["r000001"]
    assert isinstance(done, Done) and done.result == {"item": {"id": 15}}
    assert (done.timing.duration_s, done.timing.operating_s, done.timing.reset_in_s) == (1.0, 3.5, 600.0)
    assert outcomes["r000002"] == Refused("", "Not found")
    assert outcomes["r000003"] == NotSent("OPERATION_TIME_LIMIT", "Method is blocked")
    assert isinstance(outcomes["r000004"], Done) and outcomes["r000004"].total == 0
    assert outcomes["r000005"] == Unknown("the batch answered without this command")


def test_sections_that_php_made_lists_are_read_all_the_same(portal: Wired) -> None:
    outcomes = batch(portal, (OWN / "empty_sections.json").read_bytes(), ["a", "b"])
    assert outcomes["a"] == Refused("INSUFFICIENT_SCOPE", "")
    assert isinstance(outcomes["b"], Unknown)


def test_an_error_without_a_name_is_given_to_nobody(portal: Wired) -> None:
    outcomes = batch(portal, (OWN / "errors_as_list.json").read_bytes(), ["n7", "n0"])
    assert [type(outcome) for outcome in outcomes.values()] == [Unknown, Unknown]


def test_a_page_tells_where_it_goes_on(portal: Wired) -> None:
    done = call(portal, (OWN / "page.json").read_bytes(), 200)
    assert (done.next, done.total, done.timing.reset_in_s) == (50, 51, 599.75)


def test_a_scalar_without_a_time_block_is_an_answer(portal: Wired) -> None:
    assert call(portal, (OWN / "scalar_without_time.json").read_bytes(), 200).result == 42


@pytest.mark.parametrize(("file", "status"), [("bad_gateway.txt", 502), ("truncated.txt", 200)])
def test_what_is_not_json_is_unknown_for_every_command(portal: Wired, file: str, status: int) -> None:
    outcomes = batch(portal, (OWN / file).read_bytes(), ["a", "b"], status)
    assert [type(outcome) for outcome in outcomes.values()] == [Unknown, Unknown]


# -- recorded and documented ------------------------------------------------------------------------------

FAILURES: dict[str, tuple[type[Exception], str]] = {
    "error_query_limit_exceeded.json": (PortalUnreachable, "QUERY_LIMIT_EXCEEDED"),
    "error_payment_required.json": (PortalBlocked, "PAYMENT_REQUIRED"),
    "error_wrong_client.json": (PortalRefused, "WRONG_CLIENT"),
    "doc_crm_deal_list_error.json": (PortalRefused, "crm.item.list was refused by the portal: "),
}
NOT_REST = {"OAuth code exchange", "request of the above"}


def body_of(file: str) -> Any:
    return json.loads((RECORDED / file).read_text(encoding="utf-8"))


def sections_of(file: str, name: str) -> dict[str, Any]:
    return section(body_of(file)["result"], name)


def is_batch(entry: dict[str, Any]) -> bool:
    """By method, and by the body: one page of a batch was recorded without its wrapping."""
    method: str = entry["method"]
    return method.startswith("batch") and "result_error" in body_of(entry["file"])["result"]


SINGLE = [
    entry["file"]
    for entry in INDEX
    if entry["http_status"] == 200
    and entry["file"].endswith(".json")
    and not is_batch(entry)
    and entry["method"] not in NOT_REST
    and entry["file"] != "stagehistory.json"
]
BATCHES = [entry["file"] for entry in INDEX if is_batch(entry)]


def real(*values: str | tuple[str, ...]) -> list[Any]:
    """Parameters marked `shared`; one skipped stand-in where the recordings are absent."""
    given = values or ("absent",)
    return [pytest.param(value, marks=REAL) for value in given]


@pytest.mark.parametrize("file", real(*SINGLE))
def test_a_recorded_success_is_done_with_its_result_untouched(portal: Wired, file: str) -> None:
    body = (RECORDED / file).read_bytes()
    said = json.loads(body)
    done = call(portal, body, 200)
    assert done.result == said["result"]
    assert done.next == said.get("next")
    operating = said.get("time", {}).get("operating")
    assert done.timing.operating_s == operating, "an absent counter is None, a zero is zero"


@pytest.mark.parametrize("file", real(*FAILURES))
def test_a_recorded_failure_is_the_error_that_its_code_means(portal: Wired, file: str) -> None:
    status = next(entry["http_status"] for entry in INDEX if entry["file"] == file)
    kind, code = FAILURES[file]
    with pytest.raises(kind, match=code):
        call(portal, (RECORDED / file).read_bytes(), status)


@pytest.mark.parametrize("file", real("doc_bizproc_workflow_start_error.txt"))
def test_a_body_that_is_no_json_in_its_source_is_not_taken_for_an_answer(portal: Wired, file: str) -> None:
    outcomes = batch(portal, (RECORDED / file).read_bytes(), ["a"], 400)
    assert isinstance(outcomes["a"], Unknown)


@pytest.mark.parametrize("file", real(*BATCHES))
def test_a_recorded_batch_gives_each_named_command_the_outcome_of_its_section(portal: Wired, file: str) -> None:
    body = (RECORDED / file).read_bytes()
    said = json.loads(body)["result"]
    # Numbers cannot be names of ours; the sections are read all the same.
    results = {name: value for name, value in section(said, "result").items() if not name.isdigit()}
    errors = {name: value for name, value in section(said, "result_error").items() if not name.isdigit()}
    outcomes = batch(portal, body, [*results, *errors, "never-sent"])
    for name, value in results.items():
        assert isinstance(outcomes[name], Done) and outcomes[name].result == value
    for name, error in errors.items():
        kind = NotSent if error["error"] == "OPERATION_TIME_LIMIT" else Refused
        assert isinstance(outcomes[name], kind)
        assert outcomes[name].code == error["error"].upper()
    assert isinstance(outcomes["never-sent"], Unknown)


@pytest.mark.shared
@pytest.mark.skipif(not INDEX, reason=ABSENT)
def test_the_recordings_hold_batches_of_every_kind() -> None:
    kinds = {
        "named results": any(name for entry in BATCHES for name in sections_of(entry, "result") if not name.isdigit()),
        "named errors": any(name for entry in BATCHES for name in sections_of(entry, "result_error")),
        "numbers for names": any(name.isdigit() for entry in BATCHES for name in sections_of(entry, "result")),
        "errors as a list": any(
            isinstance(body_of(entry)["result"]["result_error"], list) and body_of(entry)["result"]["result_error"]
            for entry in BATCHES
        ),
    }
    assert [kind for kind, present in kinds.items() if not present] == []


@pytest.mark.parametrize("file", real("stagehistory.json"))
def test_a_recorded_page_and_the_batch_of_the_other_pages_are_read_whole(portal: Wired, file: str) -> None:
    page, rest = json.loads((RECORDED / file).read_text(encoding="utf-8"))
    first = call(portal, json.dumps(page).encode(), 200)
    assert (first.next, first.total) == (50, 490)
    names = list(rest["result"]["result"])
    outcomes = batch(portal, json.dumps(rest).encode(), names)
    ids = [row["ID"] for row in first.result["items"]]
    for outcome in outcomes.values():
        assert isinstance(outcome, Done)
        ids += [row["ID"] for row in outcome.result["items"]]
    assert len(set(ids)) == len(ids) == 490
    assert sum(outcome.next is None for outcome in outcomes.values()) == 1, "only the last page has no next"


@pytest.mark.parametrize("file", real("error_operation_time_limit_batch_1.json"))
def test_a_recorded_time_limit_in_a_batch_pauses_that_method_at_the_gate(portal: Wired, file: str) -> None:
    body = (RECORDED / file).read_bytes()
    name = next(iter(json.loads(body)["result"]["result_error"]))
    batch(portal, body, [name])
    before = portal.clock.boot_s()
    portal.gate.reserve({"profile": 0.0}, "bulk")
    assert portal.clock.boot_s() - before >= 59
