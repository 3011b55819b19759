"""Applications on the sandbox over real HTTP: tokens, bound events, the offline queue, REST 3.0, files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from event_receiver import Receiver

from b24sync.sandbox.limits import PLANS
from b24sync.sandbox.sandbox import Sandbox

SEED = {
    "users": [{"ID": 20, "NAME": "Яна", "EMAIL": "y@example.ru"}],
    "apps": [{"client_id": "a1", "client_secret": "s1"}],
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.stop()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(plan=PLANS["off"], seed=SEED) as running:
        running.events.set_knobs({"timeout_s": 60})
        yield running


class App:
    """An installed application that calls the sandbox."""

    def __init__(self, sandbox: Sandbox, user_id: int = 1, **install: Any) -> None:
        self.sandbox = sandbox
        self.tokens = self.control("oauth/install", user_id=user_id, **install)

    def control(self, path: str, **params: Any) -> dict[str, Any]:
        return dict(requests.post(f"{self.sandbox.base}/_sandbox/{path}", json=params, timeout=60).json())

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        body = {**params, "auth": self.tokens["access_token"]}
        return dict(requests.post(f"{self.sandbox.base}/rest/{method}", json=body, timeout=60).json())

    def refresh(self) -> dict[str, Any]:
        query = {
            "grant_type": "refresh_token",
            "client_id": self.tokens["client_id"],
            "client_secret": self.tokens["client_secret"],
            "refresh_token": self.tokens["refresh_token"],
        }
        return dict(requests.get(f"{self.sandbox.base}/oauth/token/", params=query, timeout=60).json())


def hook(sandbox: Sandbox, method: str, **params: Any) -> dict[str, Any]:
    return dict(requests.post(sandbox.webhook_url + method, json=params, timeout=60).json())


def test_a_refresh_token_is_good_once(sandbox: Sandbox) -> None:
    app = App(sandbox)
    assert app.call("app.info")["result"]["CODE"] == "a1"
    app.control("oauth/expire")
    assert app.call("app.info")["error"] == "expired_token"
    new = app.refresh()
    assert new["refresh_token"] != app.tokens["refresh_token"]
    assert app.refresh()["error"] == "invalid_grant"
    app.tokens.update(new)
    assert app.call("profile")["result"]["ID"] == "1"


def test_an_application_is_told_that_it_was_installed(sandbox: Sandbox, receiver: Receiver) -> None:
    app = App(sandbox, url=receiver.url)
    assert sandbox.events.wait_idle(60)
    form = receiver.forms[0]
    assert (form["event"], form["data[INSTALLED]"]) == ("ONAPPINSTALL", "Y")
    assert form["auth[refresh_token]"] == app.tokens["refresh_token"]
    assert form["auth[domain]"] == sandbox.events.domain
    assert form["auth[application_token]"]


def test_bound_events_come_with_tokens(sandbox: Sandbox, receiver: Receiver) -> None:
    app = App(sandbox)
    assert app.call("event.bind", event="OnCrmDealAdd", handler=receiver.url)["result"] is True
    assert app.call("event.get")["result"][0]["event"] == "ONCRMDEALADD"
    deal = hook(sandbox, "crm.deal.add", fields={"TITLE": "x"})["result"]
    assert sandbox.events.wait_idle(60)
    form = receiver.forms[0]
    assert (form["event"], form["data[FIELDS][ID]"]) == ("ONCRMDEALADD", str(deal))
    app.tokens["access_token"] = form["auth[access_token]"]
    assert app.call("event.unbind", event="ONCRMDEALADD", handler=receiver.url)["result"] == {"count": 1}
    hook(sandbox, "crm.deal.add", fields={"TITLE": "x"})
    assert sandbox.events.wait_idle(60)
    assert len(receiver.forms) == 1


def test_binding_has_its_errors(sandbox: Sandbox, receiver: Receiver) -> None:
    app = App(sandbox, user_id=20)
    assert app.call("event.bind", event="ONNOTHING", handler=receiver.url)["error"] == "ERROR_EVENT_NOT_FOUND"
    assert app.call("event.bind", event="ONCRMDEALADD", event_type="offline")["error"] == "ACCESS_DENIED"
    assert app.call("event.bind", event="ONCRMDEALADD", handler=receiver.url, auth_type=1)["error"] == "ACCESS_DENIED"
    assert app.call("event.offline.get")["error"] == "ACCESS_DENIED"
    refused = hook(sandbox, "event.bind", event="ONCRMDEALADD", handler=receiver.url)
    assert refused["error_description"] == "Application context required"


def test_offline_events_are_folded_reserved_and_cleared(sandbox: Sandbox) -> None:
    app = App(sandbox)
    for event in ("ONCRMDEALADD", "ONCRMDEALUPDATE"):
        app.call("event.bind", event=event, event_type="offline")
    deal = hook(sandbox, "crm.deal.add", fields={"TITLE": "x"})["result"]
    for number in range(3):
        hook(sandbox, "crm.deal.update", id=deal, fields={"TITLE": f"x{number}"})
    listed = app.call("event.offline.list")
    assert [row["EVENT_NAME"] for row in listed["result"]] == ["ONCRMDEALADD", "ONCRMDEALUPDATE"]
    first = app.call("event.offline.get", clear=0, limit=1)["result"]
    second = app.call("event.offline.get", clear=0)["result"]
    assert [len(first["events"]), len(second["events"])] == [1, 1]
    assert first["process_id"] != second["process_id"]
    assert first["events"][0]["EVENT_DATA"] == {"FIELDS": {"ID": deal}}
    again = app.call("event.offline.get", clear=0, process_id=first["process_id"])["result"]
    assert again["events"] == first["events"]
    hook(sandbox, "crm.deal.update", id=deal, fields={"TITLE": "y"})
    assert app.call("event.offline.list")["total"] == 3
    message = second["events"][0]["MESSAGE_ID"]
    app.call("event.offline.error", process_id=second["process_id"], message_id=[message])
    app.call("event.offline.clear", process_id=first["process_id"])
    assert [row["ERROR"] for row in app.call("event.offline.list")["result"]] == ["1", "0"]
    taken = app.call("event.offline.get")["result"]
    assert (taken["process_id"], len(taken["events"])) == (None, 1)
    assert len(app.call("event.offline.get", error=1)["result"]["events"]) == 1
    assert app.call("event.offline.list")["result"] == []


def test_a_reservation_that_nobody_confirms_is_gone_after_thirty_days(sandbox: Sandbox) -> None:
    app = App(sandbox)
    app.call("event.bind", event="ONCRMDEALADD", event_type="offline")
    hook(sandbox, "crm.deal.add", fields={"TITLE": "x"})
    process = app.call("event.offline.get", clear=0)["result"]["process_id"]
    assert [row["PROCESS_ID"] for row in app.call("event.offline.list")["result"]] == [process]
    app.control("clock", advance_s=29 * 86400)
    app.tokens = app.refresh()
    assert app.call("event.offline.list")["total"] == 1
    app.control("clock", advance_s=2 * 86400)
    app.tokens = {**app.tokens, **app.control("oauth/install")}
    assert app.call("event.offline.list")["total"] == 0


def test_without_the_extended_mode_events_can_only_be_taken_out(sandbox: Sandbox) -> None:
    app = App(sandbox)
    app.call("event.bind", event="ONCRMDEALADD", event_type="offline")
    hook(sandbox, "crm.deal.add", fields={"TITLE": "x"})
    assert app.call("feature.get", CODE="rest_offline_extended")["result"] == {"value": "Y"}
    app.control("switches", offline_extended=False)
    assert app.call("feature.get", CODE="rest_offline_extended")["result"] == {"value": "N"}
    for method, params in (("get", {"clear": 0}), ("clear", {"process_id": "x"}), ("error", {"process_id": "x"})):
        assert app.call(f"event.offline.{method}", **params)["error"] == "ACCESS_DENIED"
    assert len(app.call("event.offline.get")["result"]["events"]) == 1


def test_a_connector_keeps_own_changes_out_of_its_queue(sandbox: Sandbox, receiver: Receiver) -> None:
    app = App(sandbox)
    app.call("event.bind", event="ONCRMDEALADD", event_type="offline", auth_connector="b24sync")
    app.call("event.bind", event="ONOFFLINEEVENT", handler=receiver.url)
    app.call("crm.deal.add", fields={"TITLE": "own"}, auth_connector="b24sync")
    assert app.call("event.offline.list", auth_connector="b24sync")["result"] == []
    app.call("crm.deal.add", fields={"TITLE": "foreign"})
    assert len(app.call("event.offline.list", auth_connector="b24sync")["result"]) == 1
    assert app.call("event.offline.list")["result"] == []
    assert sandbox.events.wait_idle(60)
    assert [form["event"] for form in receiver.forms] == ["ONOFFLINEEVENT"]


def test_rest_3_speaks_its_own_shapes(sandbox: Sandbox) -> None:
    fields = {"TITLE": "x", "RESPONSIBLE_ID": 1}
    task = hook(sandbox, "tasks.task.add", fields=fields)["result"]["task"]["id"]
    url = sandbox.webhook_url.replace("/rest/", "/rest/api/")
    send = f"{url}tasks.task.chat.message.send"
    said = requests.post(send, json={"fields": {"taskId": task, "text": "Привет"}}, timeout=60)
    assert (said.status_code, said.json()["result"]) == (200, {"result": True})
    wrong = requests.post(send, json={"fields": {"text": "Привет"}}, timeout=60)
    assert (wrong.status_code, wrong.json()["error"]["validation"][0]["field"]) == (400, "taskId")
    item = requests.post(f"{url}tasks.task.get", json={"id": task}, timeout=60).json()["result"]["item"]
    assert (item["status"], item["chat"]["entityType"]) == ("pending", "TASKS_TASK")
    assert requests.post(f"{url}crm.item.list", json={}, timeout=60).status_code == 404
    assert hook(sandbox, "tasks.task.chat.message.send")["error"] == "ERROR_METHOD_NOT_FOUND"
