"""The endpoint over real sockets: addresses, encodings, credentials, limits, the control API."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tiny_portal import HeldClock, NotingClock, tiny, tiny_sandbox

from b24sync.sandbox.auth import DEFAULT_SECRET
from b24sync.sandbox.limits import PLANS, Plan
from b24sync.sandbox.registry import Answer, Call, Method
from b24sync.sandbox.sandbox import Sandbox
from b24sync.sandbox.switches import Switches

SEED = {
    "webhooks": [
        {"user_id": 7, "secret": "second", "scopes": ["crm"]},
        {"user_id": 1, "secret": "poor", "scopes": ["user"]},
    ]
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with tiny_sandbox(plan=PLANS["off"], seed=SEED) as running:
        yield running


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def control(sandbox: Sandbox, verb: str, path: str, **options: Any) -> Any:
    answer = requests.request(verb, f"{sandbox.base}/_sandbox/{path}", timeout=60, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


# -- addresses and encodings -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["note.list", "note.list.json", "note.list/", "NOTE.List", "note.list.json/"])
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_methods_answer_by_any_spelling(sandbox: Sandbox, http: requests.Session, method: str, verb: str) -> None:
    answer = http.request(verb, sandbox.webhook_url + method)
    assert answer.json()["result"] == []
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("path", ["/rest/", "/rest/1/a/b/c", "/elsewhere", "/rest/1/secret/note.list.xml/x"])
def test_other_addresses_are_html_404(sandbox: Sandbox, http: requests.Session, path: str) -> None:
    answer = http.get(sandbox.base + path)
    assert (answer.status_code, answer.text[:6]) == (404, "<html>")


def test_json_form_multipart_and_query_say_the_same(sandbox: Sandbox, http: requests.Session) -> None:
    url = sandbox.webhook_url + "echo"
    tree = {"fields": {"PHONE": [{"VALUE": "+7 а&б"}]}}
    key = "fields[PHONE][0][VALUE]"
    answers = [
        http.post(url, json=tree),
        http.post(url, data={key: "+7 а&б"}),
        http.get(url, params={key: "+7 а&б"}),
        http.post(url, files={key: (None, "+7 а&б".encode())}),
    ]
    assert [answer.json()["result"]["params"] for answer in answers] == [tree] * 4


def test_query_and_body_are_merged(sandbox: Sandbox, http: requests.Session) -> None:
    answer = http.post(sandbox.webhook_url + "echo?a=1&b=2", json={"b": 3})
    assert answer.json()["result"]["params"] == {"a": "1", "b": 3}


def test_a_positional_method_takes_a_list_and_an_extra_key_shifts_it(sandbox: Sandbox, http: requests.Session) -> None:
    url = sandbox.webhook_url + "task.echo"
    assert http.post(url, json=[123, {"A": 1}]).json()["result"]["args"] == [123, {"A": 1}]
    assert http.post(url + "?telemetry=1", json=[123]).json()["result"]["args"] == ["1", 123]
    assert http.post(url + "?auth=token", json=[123]).json()["result"]["args"] == [123]


def test_variables_of_a_form_beyond_a_thousand_are_dropped(sandbox: Sandbox, http: requests.Session) -> None:
    answer = http.post(sandbox.webhook_url + "echo", data={f"k{number}": "1" for number in range(1005)})
    assert len(answer.json()["result"]["params"]) == 1000
    assert control(sandbox, "GET", "figures")["variables_dropped"] == 5


def test_version_three_knows_no_method_of_crm(sandbox: Sandbox, http: requests.Session) -> None:
    answer = http.post(f"{sandbox.base}/rest/api/1/{DEFAULT_SECRET}/note.list", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "ERROR_METHOD_NOT_FOUND"


def raw(sandbox: Sandbox, text: bytes) -> bytes:
    """Send bytes, read until the server closes."""
    host, port = sandbox.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(text)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_chunked_bodies_and_closing_clients_are_served(sandbox: Sandbox) -> None:
    head = f"POST /rest/1/{DEFAULT_SECRET}/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
    head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(sandbox, head + b'4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n')
    assert b'"params":{"a":1}' in answer
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    "text", [b"nonsense\r\n\r\n", b"GET / SPDY/9\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_no_http_is_answered_with_400(sandbox: Sandbox, text: bytes) -> None:
    assert raw(sandbox, text).startswith(b"HTTP/1.1 400 ")


def test_fifty_connections_are_served_at_once(sandbox: Sandbox) -> None:
    results: list[int] = []

    def work() -> None:
        with requests.Session() as session:
            results.extend(session.post(sandbox.webhook_url + "echo", json={"a": 1}).status_code for _ in range(4))

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 200
    figures = control(sandbox, "GET", "figures")
    assert (figures["requests"], figures["requests_by_method"]) == (200, {"echo": 200})
    assert 1 <= figures["peak_in_flight"] <= 50


# -- envelope ----------------------------------------------------------------------------------------


def test_time_has_its_eight_keys_with_the_servers_offset(sandbox: Sandbox, http: requests.Session) -> None:
    block = http.post(sandbox.webhook_url + "echo").json()["time"]
    assert list(block) == [
        "start", "finish", "duration", "processing", "date_start", "date_finish", "operating_reset_at", "operating",
    ]  # fmt: skip
    assert block["date_start"].endswith("+03:00")
    assert block["operating_reset_at"] == int(block["start"]) + 600


def test_operating_can_be_left_out_as_on_premise_portals_do(sandbox: Sandbox, http: requests.Session) -> None:
    sandbox.switches.set("omit_operating", "Y")
    assert "operating" not in http.post(sandbox.webhook_url + "echo").json()["time"]


def test_errors_carry_no_time(sandbox: Sandbox, http: requests.Session) -> None:
    answer = http.post(sandbox.webhook_url + "note.add", json={})
    assert (answer.status_code, answer.json()) == (400, {"error": "", "error_description": "TEXT is empty"})


def test_next_and_total_stand_beside_the_result(sandbox: Sandbox, http: requests.Session) -> None:
    tiny(sandbox).notes.extend({"ID": str(number)} for number in range(60))
    first = http.post(sandbox.webhook_url + "note.list").json()
    last = http.post(sandbox.webhook_url + "note.list", json={"start": 50}).json()
    assert (first["next"], first["total"], len(first["result"])) == (50, 60, 50)
    assert ("next" in last, last["total"], len(last["result"])) == (False, 60, 10)


# -- credentials -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("1/wrong/note.list", 401, "NO_AUTH_FOUND"),
        ("99/wrong/note.list", 401, "INVALID_CREDENTIALS"),
        ("1/poor/note.list", 403, "insufficient_scope"),
        ("7/second/note.app", 403, "ACCESS_DENIED"),
        ("7/second/note.nothing", 404, "ERROR_METHOD_NOT_FOUND"),
        ("note.list?auth=nonsense", 401, "NO_AUTH_FOUND"),
        ("note.list", 401, "NO_AUTH_FOUND"),
    ],
)
def test_strangers_are_refused(sandbox: Sandbox, http: requests.Session, path: str, status: int, code: str) -> None:
    answer = http.post(f"{sandbox.base}/rest/{path}")
    assert (answer.status_code, answer.json()["error"]) == (status, code)


def test_the_status_of_an_unknown_client_is_a_switch(sandbox: Sandbox, http: requests.Session) -> None:
    sandbox.switches.set("wrong_client_status", 400)
    answer = http.get(f"{sandbox.base}/oauth/token/", params={"client_id": "unknown"})
    assert (answer.status_code, answer.json()) == (400, {"error": "wrong_client"})


def test_statuses_in_conflict_are_switches(http: requests.Session) -> None:
    switches = Switches(insufficient_scope_status=401, invalid_credentials_status=403, method_not_found_status=400)
    with tiny_sandbox(plan=PLANS["off"], seed=SEED, switches=switches) as sandbox:
        paths = ["1/poor/note.list", "99/wrong/note.list", "7/second/nothing"]
        assert [http.post(f"{sandbox.base}/rest/{path}").status_code for path in paths] == [401, 403, 400]


def test_a_deleted_portal_says_so(sandbox: Sandbox, http: requests.Session) -> None:
    sandbox.switches.set("portal_deleted", "1")
    answer = http.post(sandbox.webhook_url + "note.list")
    assert (answer.status_code, answer.json()["error"]) == (500, "PORTAL_DELETED")


def test_a_webhook_acts_as_its_owner(sandbox: Sandbox, http: requests.Session) -> None:
    assert http.post(f"{sandbox.base}/rest/7/second/echo").json()["result"]["user"] == 7


def test_an_application_calls_with_its_token_and_may_use_application_methods(
    sandbox: Sandbox, http: requests.Session
) -> None:
    token = control(sandbox, "POST", "oauth/install")["access_token"]
    assert http.post(f"{sandbox.base}/rest/note.app", json={"auth": token}).json()["result"]["params"] == {}
    header = {"Authorization": f"Bearer {token}"}
    assert http.post(f"{sandbox.base}/rest/note.app.json", headers=header).status_code == 200


def test_tokens_expire_and_a_refresh_token_is_good_once(sandbox: Sandbox, http: requests.Session) -> None:
    tokens = control(sandbox, "POST", "oauth/install")
    control(sandbox, "POST", "oauth/expire")
    refused = http.post(f"{sandbox.base}/rest/echo", json={"auth": tokens["access_token"]})
    assert (refused.status_code, refused.json()["error"]) == (401, "expired_token")
    client = {name: tokens[name] for name in ("client_id", "client_secret", "refresh_token")}
    url = f"{sandbox.base}/oauth/token/"
    fresh = http.get(url, params={"grant_type": "refresh_token", **client}).json()
    assert fresh["expires_in"] == 3600
    assert fresh["refresh_token"] != tokens["refresh_token"]
    assert http.post(f"{fresh['client_endpoint']}echo", json={"auth": fresh["access_token"]}).status_code == 200
    again = http.get(url, params={"grant_type": "refresh_token", **client})
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_an_access_token_lives_one_hour(sandbox: Sandbox, http: requests.Session) -> None:
    token = control(sandbox, "POST", "oauth/install")["access_token"]
    control(sandbox, "POST", "clock", json={"advance_s": 3601})
    assert http.post(f"{sandbox.base}/rest/echo?auth={token}").json()["error"] == "expired_token"


def test_a_code_is_exchanged_once_and_lives_thirty_seconds(sandbox: Sandbox, http: requests.Session) -> None:
    tokens = control(sandbox, "POST", "oauth/install")
    client = {"client_id": tokens["client_id"], "client_secret": tokens["client_secret"]}
    codes = [control(sandbox, "POST", "oauth/code")["code"] for _ in range(2)]
    grant = {"grant_type": "authorization_code", **client}
    url = f"{sandbox.base}/oauth/token/"
    assert "access_token" in http.post(url, data={**grant, "code": codes[0]}).json()
    assert http.post(url, data={**grant, "code": codes[0]}).json()["error"] == "invalid_grant"
    sandbox.clock.advance(31)
    assert http.post(url, data={**grant, "code": codes[1]}).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_id": "unknown"}, 200, "wrong_client"),
        ({"client_secret": "wrong"}, 400, "invalid_client"),
        ({"grant_type": "wish"}, 400, "invalid_request"),
        ({"refresh_token": "wrong"}, 400, "invalid_grant"),
    ],
)
def test_the_token_endpoint_names_the_mistake(
    sandbox: Sandbox, http: requests.Session, change: dict[str, str], status: int, error: str
) -> None:
    tokens = control(sandbox, "POST", "oauth/install")
    good = {name: tokens[name] for name in ("client_id", "client_secret", "refresh_token")}
    answer = http.get(f"{sandbox.base}/oauth/token/", params={"grant_type": "refresh_token", **good, **change})
    assert (answer.status_code, answer.json()["error"]) == (status, error)


# -- limits over the wire ----------------------------------------------------------------------------


def test_the_fifty_first_request_of_a_burst_is_refused_before_anything_else(http: requests.Session) -> None:
    # drained slowly, so that a slow machine does not free a place in the meantime
    with tiny_sandbox(plan=Plan("custom", rate_per_s=0.001)) as sandbox:
        statuses = [http.post(sandbox.webhook_url + "note.add", json={"TEXT": "a"}).status_code for _ in range(50)]
        refused = http.post(sandbox.base + "/rest/1/wrong/nothing")
        assert statuses == [200] * 50
        assert refused.status_code == 503
        assert refused.json() == {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}
        assert control(sandbox, "GET", "figures")["refused_503"] == 1
        assert len(tiny(sandbox).notes) == 50


def test_a_used_up_method_is_refused_until_its_bucket_leaves(http: requests.Session) -> None:
    plan = Plan("custom", operating_limit_s=0.05)
    with tiny_sandbox(plan=plan, costs={"note.add": 0.03}) as sandbox:
        url = sandbox.webhook_url + "note.add"
        answers = [http.post(url, json={"TEXT": "a"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].json()["error"] == "OPERATION_TIME_LIMIT"
        assert answers[1].json()["time"]["operating"] == pytest.approx(0.06)
        assert http.post(sandbox.webhook_url + "note.list").status_code == 200
        sandbox.clock.advance(answers[1].json()["time"]["operating_reset_at"] - sandbox.clock.time())
        assert http.post(url, json={"TEXT": "a"}).status_code == 200
        figures = control(sandbox, "GET", "figures")
        assert (figures["refused_429"], figures["notes"]) == (1, 3)


def test_costs_are_really_waited_for_per_row_and_stand_in_operating(http: requests.Session) -> None:
    with tiny_sandbox(plan=PLANS["off"], costs={"note.import": 0.01}) as sandbox:
        began = time.monotonic()
        answer = http.post(sandbox.webhook_url + "note.import", json={"data": [{"TEXT": "a"}] * 20}).json()
        assert time.monotonic() - began >= 0.2
        assert answer["time"]["operating"] == pytest.approx(0.2)
        assert control(sandbox, "GET", "figures")["methods"]["note.import"] == {
            "calls": 1, "ok": 1, "seconds": 0.2, "units": 20.0, "errors": {},
        }  # fmt: skip


def test_costs_of_parallel_requests_are_waited_for_side_by_side() -> None:
    clock = HeldClock(6)
    with tiny_sandbox(plan=PLANS["off"], costs={"note.add": 0.5}, clock=clock) as sandbox:
        url = sandbox.webhook_url + "note.add"
        threads = [
            threading.Thread(target=requests.post, args=(url,), kwargs={"json": {"TEXT": "a"}, "timeout": 60})
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        clock.waiting.wait(30)
        assert tiny(sandbox).notes == []
        clock.let_go()
        for thread in threads:
            thread.join()
        assert len(tiny(sandbox).notes) == 6


def test_the_sandboxs_own_computing_is_a_part_of_the_cost_not_an_addition(http: requests.Session) -> None:
    def slow_note(call: Call) -> Answer:
        time.sleep(0.2)
        return Answer(True)

    methods = {"note.slow": Method("note.slow", slow_note, None, False, True, False)}
    clock = NotingClock(scale=10)
    with tiny_sandbox(plan=PLANS["off"], scale=10, costs={"note.slow": 3.0}, clock=clock) as sandbox:
        sandbox.engine.methods = sandbox.engine.executor.methods = methods
        began = time.monotonic()
        cmd = {"a": "note.slow", "b": "note.slow", "c": "note.slow"}
        answer = http.post(sandbox.webhook_url + "batch", json={"cmd": cmd}).json()
        assert time.monotonic() - began >= 0.9
        assert sum(clock.wished_s) < 0.55, "0.9 s of costs, in which the first two commands computed for 0.4 s"
        assert answer["result"]["result_time"]["c"]["operating"] == pytest.approx(0.9)


def test_a_scaled_portal_waits_shorter_and_counts_scaled_seconds(http: requests.Session) -> None:
    clock = NotingClock(scale=10)
    with tiny_sandbox(scale=10, costs={"note.add": 0.5}, clock=clock) as sandbox:
        block = http.post(sandbox.webhook_url + "note.add", json={"TEXT": "a"}).json()["time"]
        assert block["operating"] == pytest.approx(0.05)
        assert block["operating_reset_at"] == pytest.approx(block["start"] + 60, abs=0.01)
        assert block["duration"] >= 0.05 >= sum(clock.wished_s)


def test_a_request_over_the_cap_is_aborted_and_what_was_executed_stays(http: requests.Session) -> None:
    plan = Plan("custom", request_cap_s=20, operating_limit_s=2000)
    with tiny_sandbox(plan=plan, scale=20, costs={"note.add": 8.0}) as sandbox:
        cmd = {f"c{number}": f"note.add?TEXT={number}" for number in range(5)}
        answer = http.post(sandbox.webhook_url + "batch", json={"cmd": cmd})
        assert (answer.status_code, answer.text[:6]) == (504, "<html>")
        assert [note["TEXT"] for note in tiny(sandbox).notes] == ["0", "1"]
        call = control(sandbox, "GET", "calls")[0]
        assert [row[2] for row in call["nested"]] == ["ok", "ok", "REQUEST_CAP"]
        assert control(sandbox, "GET", "figures")["aborted"] == 1


def test_a_nested_command_over_its_budget_is_refused_alone(http: requests.Session) -> None:
    plan = Plan("custom", operating_limit_s=0.05)
    with tiny_sandbox(plan=plan, costs={"note.add": 0.03}) as sandbox:
        cmd = {**{f"c{number}": f"note.add?TEXT={number}" for number in range(4)}, "l": "note.list"}
        answer = http.post(sandbox.webhook_url + "batch", json={"cmd": cmd}).json()
        assert set(answer["result"]["result"]) == {"c0", "c1", "l"}
        assert {row["error"] for row in answer["result"]["result_error"].values()} == {"OPERATION_TIME_LIMIT"}
        assert answer["time"]["operating"] == 0


def test_a_portal_may_bill_nested_calls_to_batch(http: requests.Session) -> None:
    plan = Plan("custom", operating_limit_s=0.05)
    switches = Switches(batch_operating="batch")
    with tiny_sandbox(plan=plan, costs={"note.add": 0.03}, switches=switches) as sandbox:
        cmd = {f"c{number}": f"note.add?TEXT={number}" for number in range(2)}
        answer = http.post(sandbox.webhook_url + "batch", json={"cmd": cmd}).json()
        assert answer["time"]["operating"] == pytest.approx(0.06)
        assert http.post(sandbox.webhook_url + "note.add", json={"TEXT": "a"}).status_code == 200
        blocked = http.post(sandbox.webhook_url + "batch", json={"cmd": {"x": "note.list"}}).json()
        assert blocked["result"]["result_error"]["x"]["error"] == "OPERATION_TIME_LIMIT"


def test_short_calls_may_be_left_uncounted(http: requests.Session) -> None:
    switches = Switches(operating_from_s=0.02)
    with tiny_sandbox(plan=PLANS["off"], costs={"note.add": 0.01}, switches=switches) as sandbox:
        block = http.post(sandbox.webhook_url + "note.add", json={"TEXT": "a"}).json()["time"]
        assert block["operating"] == 0
        assert isinstance(block["operating"], int)


# -- ledger of calls and control API -----------------------------------------------------------------


def test_the_ledger_of_calls_tells_what_was_asked_and_what_became_of_it(
    sandbox: Sandbox, http: requests.Session
) -> None:
    http.post(sandbox.webhook_url + "batch", json={"cmd": {"a": "NOTE.add?TEXT=1", "b": "note.add"}})
    http.post(f"{sandbox.base}/rest/1/wrong/note.list")
    first, second = control(sandbox, "GET", "calls")
    assert (first["method"], first["status"], first["executed"], first["credential"]) == (
        "batch",
        200,
        True,
        "webhook-1",
    )
    assert [row[:3] for row in first["nested"]] == [["a", "note.add", "ok"], ["b", "note.add", "TEXT is empty"]]
    assert first["source"] == "127.0.0.1"
    assert first["t_start"] <= first["t_finish"] <= second["t_start"]
    assert (second["error"], second["executed"]) == ("NO_AUTH_FOUND", False)
    assert control(sandbox, "GET", f"calls?since={first['seq']}") == [second]
    assert control(sandbox, "GET", "calls?method=note.add") == [first]


def test_the_ledger_of_calls_can_be_bounded(http: requests.Session) -> None:
    with tiny_sandbox(plan=PLANS["off"], keep_calls=3) as sandbox:
        for _ in range(5):
            http.post(sandbox.webhook_url + "echo")
        assert [row["seq"] for row in control(sandbox, "GET", "calls")] == [3, 4, 5]
        assert control(sandbox, "GET", "figures")["requests"] == 5


def test_unknown_methods_are_violations_of_the_spec_and_can_be_told_apart(
    sandbox: Sandbox, http: requests.Session
) -> None:
    http.post(sandbox.webhook_url + "crm.deal.lst")
    figures = control(sandbox, "GET", "figures")
    assert figures["spec_violations_by_text"] == {"crm.deal.lst: no such method in the official specs": 1}


def test_a_client_that_leaves_is_noticed(http: requests.Session) -> None:
    clock = HeldClock()
    with tiny_sandbox(plan=PLANS["off"], costs={"note.add": 1.0}, clock=clock) as sandbox:
        with pytest.raises(requests.ReadTimeout):
            http.post(sandbox.webhook_url + "note.add", json={"TEXT": "a"}, timeout=(60, 0.4))
        clock.waiting.wait(30)
        assert tiny(sandbox).notes == [], "the write happens after its cost, so an early look-up finds nothing"
        clock.let_go()
        assert control(sandbox, "GET", "idle?timeout_s=60") == {"idle": True}
        assert len(tiny(sandbox).notes) == 1


def test_control_changes_costs_switches_and_clock(sandbox: Sandbox) -> None:
    assert control(sandbox, "POST", "costs", json={"note.add": 0.5}) == {"note.add": 0.5}
    assert control(sandbox, "POST", "switches", json={"omit_operating": "Y"})["omit_operating"] is True
    before = sandbox.clock.time()
    control(sandbox, "POST", "clock", json={"advance_s": 3600})
    assert sandbox.clock.time() - before >= 3600


def test_control_reads_the_portals_state_and_its_figures(sandbox: Sandbox, http: requests.Session) -> None:
    http.post(sandbox.webhook_url + "note.add", json={"TEXT": "a"})
    assert control(sandbox, "GET", "state/notes") == [{"ID": "1", "TEXT": "a"}]
    assert control(sandbox, "GET", "figures")["notes"] == 1
    assert requests.get(f"{sandbox.base}/_sandbox/state/nothing", timeout=60).status_code == 400


def test_reset_makes_a_fresh_portal_and_an_empty_ledger(sandbox: Sandbox, http: requests.Session) -> None:
    http.post(sandbox.webhook_url + "note.add", json={"TEXT": "a"})
    control(sandbox, "POST", "reset", json={})
    assert control(sandbox, "GET", "figures")["requests"] == 0
    assert tiny(sandbox).notes == []
    assert http.post(f"{sandbox.base}/rest/7/second/note.list").status_code == 200


def test_forget_empties_ledger_and_limits_but_not_the_portal(http: requests.Session) -> None:
    with tiny_sandbox(plan=Plan("custom", rate_per_s=0.001, burst=2)) as sandbox:
        for _ in range(3):
            http.post(sandbox.webhook_url + "note.add", json={"TEXT": "a"})
        control(sandbox, "POST", "forget")
        assert http.post(sandbox.webhook_url + "note.list").json()["total"] == 2
        assert control(sandbox, "GET", "figures")["requests"] == 1


def test_webhooks_can_be_added_while_it_runs(sandbox: Sandbox, http: requests.Session) -> None:
    row = {"user_id": 7, "secret": "third", "scopes": ["crm"]}
    url = control(sandbox, "POST", "webhooks", json=row)["url"]
    assert http.post(url + "note.list").status_code == 200


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("GET", "nothing", None, 404),
        ("POST", "act/nothing", {}, 404),
        ("POST", "switches", {"nonsense": 1}, 400),
        ("POST", "switches", {"omit_operating": "perhaps"}, 400),
        ("POST", "clock", {"advance_s": -1}, 400),
        ("POST", "costs", {"note.add": "x"}, 400),
    ],
)
def test_mistakes_in_the_control_api_are_told(
    sandbox: Sandbox, verb: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    answer = requests.request(verb, f"{sandbox.base}/_sandbox/{path}", json=body, timeout=60)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_the_config_block_fits_the_plan() -> None:
    with tiny_sandbox() as sandbox:
        assert 'plan = "standard"' in sandbox.config_block()
        assert f'webhook = "{sandbox.webhook_url}"' in sandbox.config_block()
    with tiny_sandbox(scale=60) as sandbox:
        assert sandbox.config_block().splitlines()[-5:] == [
            'plan = "custom"', "rate_per_s = 120", "burst = 50", "operating_limit_s = 8.0", "request_cap_s = 1.0",
        ]  # fmt: skip
    with tiny_sandbox(plan=PLANS["off"]) as sandbox:
        assert 'plan = "off"' in sandbox.config_block()


def test_every_switch_names_its_source_and_keeps_the_type_of_its_default() -> None:
    for row in Switches.describe():
        assert row["source"].strip()
        assert row["text"].strip()
        switches = Switches()
        switches.set(row["name"], str(row["default"]))
        assert getattr(switches, row["name"]) == row["default"]
