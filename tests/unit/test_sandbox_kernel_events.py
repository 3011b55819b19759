"""Events out (api-reference/events/index.md): forms, at most once, with knobs for what may go wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import requests
from event_receiver import Receiver
from scripted_server import closed_port
from tiny_portal import tiny_sandbox

from b24sync.sandbox import wire
from b24sync.sandbox.limits import PLANS
from b24sync.sandbox.sandbox import Sandbox

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "events"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.stop()


@pytest.fixture
def sandbox(receiver: Receiver) -> Iterator[Sandbox]:
    seed = {"outgoing_webhooks": [{"url": receiver.url, "application_token": "token1", "events": ["onNoteAdd"]}]}
    with tiny_sandbox(plan=PLANS["off"], seed=seed) as running:
        running.events.set_knobs({"timeout_s": 60})
        yield running


def add_notes(sandbox: Sandbox, count: int = 1) -> None:
    for number in range(count):
        requests.post(sandbox.webhook_url + "note.add", json={"TEXT": str(number)}, timeout=60)
    assert sandbox.events.wait_idle(60)


def ids(receiver: Receiver) -> list[int]:
    return [int(form["data[FIELDS][ID]"]) for form in receiver.forms]


def test_an_event_is_a_form_with_the_five_keys_of_an_outgoing_webhook(sandbox: Sandbox, receiver: Receiver) -> None:
    add_notes(sandbox)
    (form,) = receiver.forms
    assert form.pop("ts").isdecimal()
    assert form == {
        "event": "ONNOTEADD",
        "event_handler_id": "1",
        "data[FIELDS][ID]": "1",
        "auth[domain]": sandbox.base.removeprefix("http://"),
        "auth[client_endpoint]": f"{sandbox.base}/rest/",
        "auth[server_endpoint]": "https://oauth.bitrix24.tech/rest/",
        "auth[member_id]": "5a4db0c5a4db0c5a4db0c5a4db0c0001",
        "auth[application_token]": "token1",
    }


@pytest.mark.shared
@pytest.mark.parametrize("name", ["04_oncrmdealupdate_handler_id.form", "06_ontaskcommentadd_old_card.form"])
def test_a_delivery_has_the_keys_of_a_recorded_one(sandbox: Sandbox, name: str) -> None:
    file = RECORDED / name
    if not file.exists():
        pytest.skip(f"the recorded events are not beside the project: {name}")
    there = dict(parse_qsl(file.read_text(encoding="utf-8").strip(), strict_parsing=True))
    tree, _ = wire.parse_query(file.read_text(encoding="utf-8").strip())
    here = dict(parse_qsl(sandbox.events.form(sandbox.events.handlers[0], there["event"], tree["data"])))
    assert list(here) == list(there)
    assert {key: value for key, value in here.items() if key.startswith("data")} == {
        key: value for key, value in there.items() if key.startswith("data")
    }


def test_a_refused_delivery_is_never_repeated(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.status = 500
    add_notes(sandbox, 2)
    assert ids(receiver) == [1, 2]
    figures = sandbox.events.figures()
    assert (figures["events_sent"], figures["events_failed"], figures["events_queued"]) == (0, 2, 0)


def test_a_handler_that_is_down_loses_the_event_for_good(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.events.handlers.clear()
    sandbox.events.configure({"url": f"http://127.0.0.1:{closed_port()}/hooks/bitrix24"})
    add_notes(sandbox)
    assert receiver.forms == []
    assert sandbox.events.figures()["events_failed"] == 1
    assert sandbox.events.log[-1]["status"] == "ConnectionRefusedError"


def test_only_chosen_events_are_delivered(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.events.handlers.clear()
    sandbox.events.configure({"url": receiver.url, "events": ["ONCRMDEALADD"]})
    add_notes(sandbox, 3)
    assert receiver.forms == []
    assert sandbox.events.figures()["events_emitted"] == 3


def test_events_can_be_delayed(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.events.set_knobs({"delay_s": 600})
    requests.post(sandbox.webhook_url + "note.add", json={"TEXT": "a"}, timeout=60)
    assert not sandbox.events.wait_idle(0.3)
    assert receiver.forms == []
    sandbox.events.clear()
    sandbox.events.set_knobs({"delay_s": 0.3})
    began = time.monotonic()
    add_notes(sandbox)
    assert time.monotonic() - began >= 0.3
    assert ids(receiver) == [2]


def test_events_can_be_lost_and_doubled_by_a_seeded_draw(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.events.set_knobs({"drop": 0.4, "duplicate": 0.4, "seed": 5})
    add_notes(sandbox, 20)
    got = ids(receiver)
    figures = sandbox.events.figures()
    assert 0 < figures["events_dropped"] < 20
    assert figures["events_doubled"] == len(got) - len(set(got)) > 0
    assert set(got) < set(range(1, 21))


def test_events_can_come_out_of_order(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.events.set_knobs({"shuffle_window_s": 0.5, "seed": 1})
    add_notes(sandbox, 12)
    assert sorted(ids(receiver)) == list(range(1, 13))
    assert ids(receiver) != sorted(ids(receiver))
    figures = sandbox.events.figures()
    assert 0 < figures["events_overtaken"] < figures["events_delayed"] == 12


def test_control_adds_a_webhook_and_turns_knobs(sandbox: Sandbox, receiver: Receiver) -> None:
    base = f"{sandbox.base}/_sandbox"
    added = requests.post(f"{base}/outgoing", json={"url": receiver.url, "application_token": "t2"}, timeout=60)
    assert added.json() == {"event_handler_id": 2}
    assert requests.post(f"{base}/knobs", json={"delay_s": 0.01}, timeout=60).json()["delay_s"] == 0.01
    assert requests.post(f"{base}/knobs", json={"dealy_s": 0.01}, timeout=60).status_code == 400
    add_notes(sandbox)
    assert sorted(form["auth[application_token]"] for form in receiver.forms) == ["t2", "token1"]
    assert len(requests.get(f"{base}/deliveries", timeout=60).json()) == 2
