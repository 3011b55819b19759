"""The client: what is repeated and what never, whom a 302 may send us to, what breaks mean."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from scripted_server import OK, closed_port, reply, scripted_server
from wired import SECRET, STANDARD, WEBHOOK, Wired, wired

from b24sync.errors import OutcomeUnknown, PortalBlocked, PortalRefused, PortalUnreachable
from b24sync.transport.client import TRIES, credential_of
from b24sync.transport.gate import Limits
from b24sync.transport.outcomes import Done, NotSent, Outcome, Unknown
from b24sync.transport.protocol import Command

SUCCESS: dict[str, Any] = {"result": 5, "time": {"start": 1, "finish": 2, "duration": 1}}
TOO_MANY = {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}
TIME_LIMIT = {"error": "OPERATION_TIME_LIMIT", "error_description": "Method is blocked"}
SHORT_CAP = Limits(None, 50.0, None, 0.2)
"""A cap of 0.2 s: the client waits a quarter of a second for an answer."""


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Wired]:
    with wired(tmp_path) as ready:
        yield ready


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def answers(http: responses.RequestsMock, portal: Wired, method: str, *bodies: tuple[int, Any]) -> None:
    for status, body in bodies:
        kind = {"json": body} if isinstance(body, dict) else {"body": body}
        http.add(responses.POST, portal.url(method), status=status, **kind)


def send(portal: Wired, *names: str) -> dict[str, Outcome]:
    """The path of every write: book, then send once."""
    commands = {name: Command("crm.item.import", {"x": 1}) for name in names}
    booked = portal.client.book({"crm.item.import": 1.0}, "bulk")
    return portal.client.send_booked(commands, booked)


def in_flight(portal: Wired) -> float:
    snapshot: Any = portal.gate.snapshot()
    return sum(float(row["in_flight_s"]) for row in snapshot["methods"])


# -- an ordinary call -------------------------------------------------------------------------------------


def test_a_call_is_a_post_of_json_that_says_who_we_are(portal: Wired, http: responses.RequestsMock) -> None:
    answers(http, portal, "crm.item.get", (200, SUCCESS))
    assert portal.client.call("crm.item.get", {"id": 7, "flag": True}).result == 5
    request = http.calls[0].request
    assert request.method == "POST"
    assert json.loads(request.body or b"") == {"id": 7, "flag": "Y"}
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("b24sync/")


def test_every_request_books_at_the_gate(portal: Wired, http: responses.RequestsMock) -> None:
    answers(http, portal, "profile", *[(200, SUCCESS)] * 60)
    started = portal.clock.boot_s()
    for _ in range(60):
        portal.client.call("profile", {})
    assert portal.clock.boot_s() - started == pytest.approx((60 - 48) / 2)


def test_a_login_of_the_environment_is_not_added_to_the_url_that_is_the_credential(
    portal: Wired, http: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine example.bitrix24.ru login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    answers(http, portal, "profile", (200, SUCCESS))
    portal.client.call("profile", {})
    assert "Authorization" not in http.calls[0].request.headers


def test_loopback_is_never_asked_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with scripted_server(reply(OK)) as server, wired(tmp_path, webhook=local(server.port)) as portal:
        assert portal.client.call("profile", {}).result is True


def test_a_proxy_that_is_not_there_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
    with wired(tmp_path, webhook=f"https://portal.invalid/rest/1/{SECRET}/") as portal:
        assert isinstance(send(portal, "a")["a"], NotSent)


def test_a_refusal_is_told_with_method_and_code_and_not_repeated(portal: Wired, http: responses.RequestsMock) -> None:
    answers(http, portal, "crm.item.add", (400, {"error": "NOT_FOUND", "error_description": "нет такого"}))
    with pytest.raises(PortalRefused, match=r"crm\.item\.add .*NOT_FOUND: нет такого") as caught:
        portal.client.call("crm.item.add", {}, write=True)
    assert (caught.value.method, caught.value.code) == ("crm.item.add", "NOT_FOUND")
    assert len(http.calls) == 1


# -- what is repeated -------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [True, False])
def test_what_is_proven_not_executed_is_sent_again(portal: Wired, http: responses.RequestsMock, write: bool) -> None:
    answers(http, portal, "crm.item.add", (503, TOO_MANY), (429, TIME_LIMIT), (200, SUCCESS))
    assert portal.client.call("crm.item.add", {}, write=write).result == 5
    assert len(http.calls) == 3
    assert in_flight(portal) == 0


def test_a_portal_that_never_takes_the_call_is_unreachable_after_some_tries(
    portal: Wired, http: responses.RequestsMock
) -> None:
    answers(http, portal, "crm.item.add", *[(503, TOO_MANY)] * TRIES)
    with pytest.raises(PortalUnreachable, match="Nothing was executed") as caught:
        portal.client.call("crm.item.add", {}, write=True)
    assert caught.value.exit_code == 75
    assert len(http.calls) == TRIES
    assert in_flight(portal) == 0


UNCLEAR: list[tuple[int, Any]] = [
    (502, "<html>Bad Gateway</html>"),
    (503, "<html>Service Unavailable</html>"),
    (504, ""),
    (200, '{"result": {"items": [{"id'),
    (200, '{"time": {}}'),
    (200, "[1, 2]"),
    (200, b"\xff\xfe\xfa"),
    (500, {"error": "INTERNAL_SERVER_ERROR", "error_description": "x"}),
    (500, {"result": 5}),
]


@pytest.mark.parametrize(("status", "body"), UNCLEAR)
def test_a_write_without_a_clear_answer_is_never_repeated(
    portal: Wired, http: responses.RequestsMock, status: int, body: Any
) -> None:
    answers(http, portal, "crm.item.add", (status, body))
    with pytest.raises(OutcomeUnknown, match=r"crm\.item\.add was sent"):
        portal.client.call("crm.item.add", {}, write=True)
    assert len(http.calls) == 1
    assert in_flight(portal) == 0


@pytest.mark.parametrize(("status", "body"), UNCLEAR)
def test_a_read_without_a_clear_answer_is_repeated(
    portal: Wired, http: responses.RequestsMock, status: int, body: Any
) -> None:
    answers(http, portal, "crm.item.list", (status, body), (200, SUCCESS))
    assert portal.client.call("crm.item.list", {}).result == 5
    assert len(http.calls) == 2


@pytest.mark.parametrize(("status", "body"), UNCLEAR)
def test_a_writing_batch_without_a_clear_answer_is_unknown_for_every_command_and_sent_once(
    portal: Wired, http: responses.RequestsMock, status: int, body: Any
) -> None:
    answers(http, portal, "batch", (status, body))
    outcomes = send(portal, "a", "b")
    assert [type(outcome) for outcome in outcomes.values()] == [Unknown, Unknown]
    assert len(http.calls) == 1
    assert in_flight(portal) == 0


def test_a_writing_batch_that_was_refused_whole_is_not_sent_for_every_command_and_left_to_the_caller(
    portal: Wired, http: responses.RequestsMock
) -> None:
    answers(http, portal, "batch", (503, TOO_MANY))
    assert send(portal, "a", "b") == dict.fromkeys("ab", NotSent("QUERY_LIMIT_EXCEEDED", "Too many requests"))
    assert len(http.calls) == 1
    assert in_flight(portal) == 0


def test_a_503_pushes_the_next_request_back(portal: Wired, http: responses.RequestsMock) -> None:
    answers(http, portal, "profile", (503, TOO_MANY), (200, SUCCESS))
    started = portal.clock.boot_s()
    portal.client.call("profile", {})
    assert portal.clock.boot_s() - started >= 1.0


def test_reading_commands_are_asked_again_until_each_has_an_answer(portal: Wired, http: responses.RequestsMock) -> None:
    empty: dict[str, Any] = {"result_error": [], "result_total": [], "result_next": [], "result_time": []}
    limited = {"b": {"error": "OPERATION_TIME_LIMIT", "error_description": "later"}}
    first = {"result": {"result": {"a": [1]}, **empty, "result_error": limited}}
    answers(http, portal, "batch", (200, first), (200, {"result": {"result": {"b": [2]}, **empty}}))
    found = portal.client.read_all({name: Command("crm.item.list", {}) for name in "ab"})
    assert {name: answer.result for name, answer in found.items() if isinstance(answer, Done)} == {"a": [1], "b": [2]}
    assert list(json.loads(http.calls[1].request.body or b"")["cmd"]) == ["b"]


def slow_lists(http: responses.RequestsMock, portal: Wired, seconds: float, cap_s: float) -> list[int]:
    """A portal that works `seconds` on each command of a batch; how many commands each request had."""
    sizes: list[int] = []

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        names = list(json.loads(request.body or b"")["cmd"])
        sizes.append(len(names))
        portal.clock.pass_time(min(len(names) * seconds, cap_s))
        if len(names) * seconds > cap_s:
            return 504, {}, "<html>Gateway Time-out</html>"
        return 200, {}, json.dumps({"result": {"result": {name: [name] for name in names}, "result_error": []}})

    http.add_callback(responses.POST, portal.url("batch"), answer)
    return sizes


def test_reads_that_take_the_portal_too_long_are_asked_in_smaller_requests(
    portal: Wired, http: responses.RequestsMock
) -> None:
    sizes = slow_lists(http, portal, seconds=4.0, cap_s=60.0)
    commands = {f"k{number:03d}": Command("crm.item.list", {}) for number in range(100)}
    found = portal.client.read_all(commands)
    assert {name: answer.result for name, answer in found.items() if isinstance(answer, Done)} == {
        name: [name] for name in commands
    }
    assert sizes == [50, 25, *[12] * 8, 4], "what was too much is not asked again"
    assert in_flight(portal) == 0


def test_once_the_portal_is_quick_again_requests_grow(portal: Wired, http: responses.RequestsMock) -> None:
    portal.client.reads_at_once = 12
    sizes = slow_lists(http, portal, seconds=0.1, cap_s=60.0)
    portal.client.read_all({f"k{number:03d}": Command("crm.item.list", {}) for number in range(120)})
    assert sizes == [12, 24, 48, 36]


def test_one_read_that_takes_too_long_is_tried_and_then_told(portal: Wired, http: responses.RequestsMock) -> None:
    sizes = slow_lists(http, portal, seconds=61.0, cap_s=60.0)
    with pytest.raises(PortalUnreachable, match=f"did not answer after {TRIES} tries"):
        portal.client.read_all({"a": Command("crm.item.list", {}), "b": Command("crm.item.list", {})})
    assert sizes == [2, *[1] * TRIES]


# -- what stops everything ---------------------------------------------------------------------------------


def test_a_blocked_portal_is_not_called_again_by_anybody(portal: Wired, http: responses.RequestsMock) -> None:
    answers(http, portal, "profile", (503, {"error": "OVERLOAD_LIMIT", "error_description": "REST API is blocked"}))
    with pytest.raises(PortalBlocked, match=r"OVERLOAD_LIMIT.*support"):
        portal.client.call("profile", {})
    with pytest.raises(PortalBlocked, match="must not be called now"):
        portal.client.call("crm.item.list", {})
    assert len(http.calls) == 1


def test_a_blocked_portal_ends_a_batch_too_and_leaves_nothing_in_flight(
    portal: Wired, http: responses.RequestsMock
) -> None:
    portal.gate.observe([])
    answers(http, portal, "batch", (401, {"error": "NO_AUTH_FOUND", "error_description": "Wrong authorization data"}))
    with pytest.raises(PortalBlocked, match="make a new one"):
        send(portal, "a")
    assert in_flight(portal) == 0


# -- 302 ---------------------------------------------------------------------------------------------------


def test_a_renamed_portal_gets_the_same_post_at_its_new_host(portal: Wired, http: responses.RequestsMock) -> None:
    new = f"https://renamed.bitrix24.ru/rest/1/{SECRET}/crm.item.add.json"
    http.add(
        responses.POST, portal.url("crm.item.add"), status=302, headers={"Location": "https://renamed.bitrix24.ru/x"}
    )
    http.add(responses.POST, new, json=SUCCESS)
    http.add(responses.POST, new, json=SUCCESS)
    assert portal.client.call("crm.item.add", {"a": 1}, write=True).result == 5
    portal.client.call("crm.item.add", {"a": 2}, write=True)
    assert [call.request.url for call in http.calls] == [portal.url("crm.item.add"), new, new]
    assert json.loads(http.calls[1].request.body or b"") == {"a": 1}


def test_the_new_host_is_remembered_by_the_next_process(tmp_path: Path, http: responses.RequestsMock) -> None:
    new = f"https://renamed.bitrix24.ru/rest/1/{SECRET}/profile.json"
    with wired(tmp_path) as first:
        http.add(responses.POST, first.url("profile"), status=302, headers={"Location": new})
        http.add(responses.POST, new, json=SUCCESS)
        first.client.call("profile", {})
    with wired(tmp_path) as second:
        second.client.call("profile", {})
    assert [call.request.url for call in http.calls][2:] == [new]


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example.com/rest/1/x/profile.json",
        "http://renamed.bitrix24.ru/rest/1/x/profile.json",
        "https://bitrix24.ru.example.com/",
        "https://notbitrix24.ru/",
        "https://127.0.0.1/",
        "/rest/1/x/profile.json",
        "",
    ],
)
def test_a_redirect_out_of_the_family_or_to_plain_http_is_blocked_and_gets_no_request(
    portal: Wired, http: responses.RequestsMock, location: str
) -> None:
    http.add(responses.POST, portal.url("profile"), status=302, headers={"Location": location})
    with pytest.raises(PortalBlocked, match="moved to"):
        portal.client.call("profile", {}, write=True)
    assert len(http.calls) == 1
    assert in_flight(portal) == 0


def test_a_redirect_in_a_circle_ends(portal: Wired, http: responses.RequestsMock) -> None:
    for _ in range(2 * TRIES):
        http.add(
            responses.POST, portal.url("profile"), status=302, headers={"Location": "https://example.bitrix24.ru/"}
        )
    with pytest.raises(PortalUnreachable, match="MOVED"):
        portal.client.call("profile", {}, write=True)
    assert len(http.calls) == 2 * TRIES


def test_an_answered_redirect_books_a_second_slot(portal: Wired, http: responses.RequestsMock) -> None:
    new = f"https://renamed.bitrix24.ru/rest/1/{SECRET}/profile.json"
    http.add(responses.POST, portal.url("profile"), status=302, headers={"Location": new})
    http.add(responses.POST, new, json=SUCCESS)
    portal.client.call("profile", {})
    snapshot: Any = portal.gate.snapshot()
    assert snapshot["bucket"]["level"] == 2


# -- breaks, on real sockets --------------------------------------------------------------------------------


def local(port: int, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{port}/rest/1/{SECRET}/"


def test_a_port_where_nobody_listens_is_not_sent(tmp_path: Path) -> None:
    with wired(tmp_path, webhook=local(closed_port())) as portal:
        outcome = send(portal, "a")["a"]
        assert isinstance(outcome, NotSent) and outcome.code == "NOT_CONNECTED"
        with pytest.raises(PortalUnreachable, match="NOT_CONNECTED") as caught:
            portal.client.call("crm.item.add", {}, write=True)
        said = str(caught.value)
        assert "a new connection: Connection refused)" in said and "check the address" in said
        assert "HTTPConnection" not in said and "Errno" not in said


def test_a_web_page_where_the_portal_should_be_is_told_with_what_to_check(
    portal: Wired, http: responses.RequestsMock
) -> None:
    answers(http, portal, "profile", *[(200, "<html>Welcome</html>")] * TRIES)
    with pytest.raises(
        PortalUnreachable, match=r"status 200 with HTML.*check that the webhook's address is the portal's"
    ):
        portal.client.call("profile", {})


def test_a_name_that_does_not_resolve_is_not_sent(tmp_path: Path) -> None:
    with wired(tmp_path, webhook=f"https://portal.invalid/rest/1/{SECRET}/") as portal:
        assert isinstance(send(portal, "a")["a"], NotSent)


def test_a_server_that_speaks_no_tls_is_not_sent_because_the_handshake_fails_first(tmp_path: Path) -> None:
    with (
        scripted_server(greeting=b"220 this is no TLS\r\n") as server,
        wired(tmp_path, webhook=local(server.port, "https")) as portal,
    ):
        outcome = send(portal, "a")["a"]
    assert isinstance(outcome, NotSent), outcome
    assert server.requests == []


def test_a_connection_cut_after_the_request_is_unknown(tmp_path: Path) -> None:
    with scripted_server(None) as server, wired(tmp_path, webhook=local(server.port)) as portal:
        assert isinstance(send(portal, "a")["a"], Unknown)
        assert len(server.requests) == 1


def test_an_answer_cut_in_its_body_is_unknown(tmp_path: Path) -> None:
    cut = reply(OK, length=9999)
    with scripted_server(cut) as server, wired(tmp_path, webhook=local(server.port)) as portal:
        assert isinstance(send(portal, "a")["a"], Unknown)


def test_a_portal_that_says_nothing_is_unknown_after_a_quarter_more_than_the_request_cap(tmp_path: Path) -> None:
    with (
        scripted_server("hang") as server,
        wired(tmp_path, webhook=local(server.port), limits=SHORT_CAP) as portal,
    ):
        assert portal.client._read_timeout_s == pytest.approx(0.25)
        assert isinstance(send(portal, "a")["a"], Unknown)


def test_a_read_goes_on_after_a_cut_and_a_write_does_not(tmp_path: Path) -> None:
    with scripted_server(None, reply(OK), None) as server, wired(tmp_path, webhook=local(server.port)) as portal:
        assert portal.client.call("profile", {}).result is True
        with pytest.raises(OutcomeUnknown):
            portal.client.call("crm.item.add", {}, write=True)
        assert len(server.requests) == 3


class BrokenSession(requests.Session):
    """Breaks with the error it is given, as if the request had been under way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def post(self, *args: Any, **options: Any) -> requests.Response:
        raise self.error


def test_a_tls_error_while_the_answer_is_read_is_unknown_and_not_not_sent(tmp_path: Path) -> None:
    # urllib3 gives the same type to a failed handshake and to a broken record in the middle of an answer.
    late = requests.exceptions.SSLError(ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] bad record mac"))
    with wired(tmp_path, session=BrokenSession(late)) as portal:
        assert isinstance(send(portal, "a")["a"], Unknown)


def test_a_connect_timeout_is_not_sent_and_a_read_timeout_unknown(tmp_path: Path) -> None:
    for number, (error, kind) in enumerate(
        [(requests.exceptions.ConnectTimeout("x"), NotSent), (requests.exceptions.ReadTimeout("x"), Unknown)]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with wired(folder, session=BrokenSession(error)) as portal:
            assert isinstance(send(portal, "a")["a"], kind)


def test_the_text_of_a_broken_connection_does_not_carry_the_credential(tmp_path: Path) -> None:
    with wired(tmp_path, webhook=local(closed_port())) as portal:
        outcome = send(portal, "a")["a"]
        assert isinstance(outcome, NotSent)
        assert SECRET not in outcome.text


# -- counters ------------------------------------------------------------------------------------------------


def test_the_gate_learns_nested_counters_by_the_largest_and_never_by_their_sum(
    portal: Wired, http: responses.RequestsMock
) -> None:
    def block(operating: float) -> dict[str, float]:
        return {"start": 0, "finish": 10, "duration": 1.0, "operating": operating, "operating_reset_at": 610}

    result = {
        "result": {"a": 1, "b": 2},
        "result_error": [],
        "result_total": [],
        "result_next": [],
        "result_time": {"a": block(40.0), "b": block(41.0)},
    }
    answers(http, portal, "batch", (200, {"result": result, "time": {"duration": 2.0, "operating": 0}}))
    portal.client.batch({name: Command("crm.item.list", {}) for name in "ab"}, write=False, priority="bulk")
    snapshot: Any = portal.gate.snapshot()
    [row] = [row for row in snapshot["methods"] if row["method"] == "crm.item.list"]
    assert (row["used_s"], row["reset_in_s"]) == (41.0, 600.0)


def test_a_batch_that_lacks_its_sections_is_unknown_for_every_command(
    portal: Wired, http: responses.RequestsMock
) -> None:
    answers(http, portal, "batch", (200, {"result": "ok"}))
    assert isinstance(send(portal, "a")["a"], Unknown)


def test_under_halt_what_came_after_the_error_was_not_executed(portal: Wired, http: responses.RequestsMock) -> None:
    result: dict[str, Any] = {"result": {"a": 1}, "result_error": {"b": {"error": "X", "error_description": "no"}}}
    answers(http, portal, "batch", (200, {"result": result}))
    commands = {name: Command("crm.item.add", {}) for name in "abc"}
    outcomes = portal.client.batch(commands, write=True, priority="bulk", halt=True)
    assert outcomes["c"] == NotSent("HALTED", "an earlier command of the batch failed")


def test_the_credential_has_a_name_that_does_not_give_it_away() -> None:
    name = credential_of(WEBHOOK)
    assert SECRET not in name
    assert name.startswith("webhook 1 ")
    assert name != credential_of(WEBHOOK.replace(SECRET, SECRET + "x"))
    assert STANDARD.request_target_s == 20
