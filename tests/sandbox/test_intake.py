"""The intake over real HTTP: what gets a 200 is stored, everything else is refused and stored nowhere."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from daemon_process import (
    CONFIG,
    TOKEN,
    DaemonProcess,
    children,
    events_of,
    running_daemon,
    update_of,
    wait_until,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from b24sync.daemon.intake import HOOK, MAX_BODY_BYTES

OTHER = "other0portal0token00000000000001"
TWO_PORTALS = f"""
[portal]
webhook = "http://127.0.0.1:9/rest/1/nobody-is-called/"
application_tokens = ["{TOKEN}", "second0token0of0main000000000001"]
[portals.client-a]
webhook = "http://127.0.0.1:9/rest/1/nobody-is-called/"
application_tokens = ["{OTHER}"]
[daemon]
port = 0
public_url = "https://b24sync.example.ru/"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("intake")


@pytest.fixture(scope="module")
def daemon(place: Path) -> Iterator[DaemonProcess]:
    """One daemon of two portals, without a worker, for all tests of a refusal."""
    with running_daemon(place, "serve", "--no-worker", config=TWO_PORTALS) as started:
        yield started


def stored(place: Path) -> int:
    return len(events_of(place)) + len(events_of(place, "client-a"))


# -- what is taken -------------------------------------------------------------------------------------------------


def test_the_token_names_the_portal_and_no_secret_is_stored(daemon: DaemonProcess, place: Path) -> None:
    for token in (TOKEN, "second0token0of0main000000000001", OTHER):
        answer = daemon.post(update_of(42, token, **{"auth[access_token]": "app0access0token0000000000000001"}))
        assert (answer.status_code, answer.text) == (200, "ok")
    listed = events_of(place), events_of(place, "client-a")
    main, other = ([job for job in jobs if job.kind == "ONCRMDEALUPDATE:42"] for jobs in listed)
    assert [job.folded for job in main] == [2], "what waits together is one"
    assert len(other) == 1
    assert main[0].payload["data"] == {"FIELDS": {"ID": "42"}}
    for file in (place / "var").iterdir():
        assert b"0token0" not in file.read_bytes(), file.name
    assert "0token0" not in daemon.said()


def test_it_says_where_events_come_in_and_how_it_fares(daemon: DaemonProcess) -> None:
    daemon.wait_to_say("Events come to https://b24sync.example.ru/hooks/bitrix24")
    assert daemon.get("/healthz").text == "ok"
    assert daemon.get("/readyz").json().items() >= {"store": "ok", "worker": "ok"}.items()
    before = daemon.get("/metrics").text
    daemon.post(update_of(1))
    daemon.post(update_of(1, "forged"))
    count = 'b24sync_events_total{portal="%s",status="%s"} '
    for line in (count % ("main", 200), count % ("", 403)):
        numbers = [
            sum(float(row.removeprefix(line)) for row in text.splitlines() if row.startswith(line))
            for text in (before, daemon.get("/metrics").text)
        ]
        assert numbers[1] == numbers[0] + 1, line
    assert 'b24sync_messages{portal="main",state="waiting"}' in before


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "forged", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "тайна", "\x00"])
def test_a_forged_token_is_refused_and_nothing_is_stored(daemon: DaemonProcess, place: Path, token: str) -> None:
    before = stored(place)
    assert daemon.post(update_of(43, token)).status_code == 403
    assert stored(place) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"event=ONCRMDEALADD&auth[application_token]",
        b"\x00\xff" * 1000,
        b"{",
        b"[" * 50_000,
        b"<xml/>",
    ],
)
def test_garbage_is_refused_without_a_traceback(daemon: DaemonProcess, place: Path, body: bytes) -> None:
    before = stored(place)
    for content_type in ("application/x-www-form-urlencoded", "application/json", "multipart/form-data"):
        answer = daemon.post(body, headers={"Content-Type": content_type})
        assert answer.status_code == 400
        assert "Traceback" not in answer.text
    assert stored(place) == before
    assert "Traceback" not in daemon.said()


def garbage(count: int, seed: int) -> Iterator[tuple[bytes, str]]:
    """Bodies that are wrong in many ways: noise, torn forms and JSON, wrong types where the token stands."""
    rng = random.Random(seed)
    form = "&".join(f"{key}={value}" for key, value in update_of(44).items()).encode()
    text = json.dumps({"event": "ONCRMDEALUPDATE", "data": {"FIELDS": {"ID": "44"}}, "auth": {"x": 1}}).encode()
    for _ in range(count):
        base = bytearray(rng.choice([form, text, rng.randbytes(rng.randrange(1, 200))]))
        for _ in range(rng.randrange(1, 12)):
            base[rng.randrange(len(base))] = rng.randrange(256)
        cut = rng.randrange(len(base))
        wrong = bytes(base[:cut] + rng.randbytes(3) + base[cut:]).replace(TOKEN.encode(), b"nearly0the0token")
        yield wrong, rng.choice(["application/x-www-form-urlencoded", "application/json", "text/plain", ""])


def post_garbage(daemon: DaemonProcess, place: Path, count: int) -> None:
    before = stored(place)
    statuses = {
        daemon.post(body, headers={"Content-Type": content_type}).status_code
        for body, content_type in garbage(count, seed=count)
    }
    assert statuses == {400, 403}
    assert stored(place) == before
    assert "Traceback" not in daemon.said()
    assert daemon.post(update_of(45)).status_code == 200


def test_a_few_hundred_garbage_bodies_are_refused(daemon: DaemonProcess, place: Path) -> None:
    post_garbage(daemon, place, 400)


@pytest.mark.long
def test_ten_thousand_garbage_bodies_are_refused(daemon: DaemonProcess, place: Path) -> None:
    post_garbage(daemon, place, 10_000)


def fuzz_by_openapi(daemon: DaemonProcess, place: Path, examples: int) -> None:
    """Bodies made from our own OpenAPI page, right and wrong ones: every answer is a documented one."""
    schema = schemathesis.openapi.from_url(f"{daemon.url}/openapi.json")
    before = stored(place)
    answered: Counter[tuple[str, int]] = Counter()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck))
        @given(st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
        def answers(case: schemathesis.Case[Any]) -> None:
            status = case.call(timeout=60).status_code
            answered[case.operation.path, status] += 1

        answers()
    hook = {status for path, status in answered if path == HOOK}
    assert hook <= {400, 403, 405} and 403 in hook, answered
    assert not [path for path, status in answered if status >= 500 and path != "/readyz"], answered
    assert stored(place) == before
    assert "Traceback" not in daemon.said()


def test_bodies_made_from_our_openapi_page_get_documented_answers(daemon: DaemonProcess, place: Path) -> None:
    fuzz_by_openapi(daemon, place, 8)


@pytest.mark.long
def test_thousands_of_bodies_made_from_our_openapi_page(daemon: DaemonProcess, place: Path) -> None:
    fuzz_by_openapi(daemon, place, 1000)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_five_megabytes_is_refused_and_the_client_hears_it(
    daemon: DaemonProcess, place: Path, chunked: bool
) -> None:
    before = stored(place)
    body = b"event=ONCRMDEALADD&x=" + b"x" * 5_000_000
    for _ in range(3):  # who stands still for two seconds while sending is cut off
        chunks = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
        with suppress(requests.ConnectionError):
            answer = requests.post(
                f"{daemon.url}/hooks/bitrix24",
                data=chunks if chunked else body,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                timeout=60,
            )
            break
    assert (answer.status_code, str(MAX_BODY_BYTES) in answer.text) == (400, True)
    assert stored(place) == before


def test_a_body_without_end_is_cut_off(daemon: DaemonProcess, place: Path) -> None:
    before = stored(place)
    sent = itertools.count()
    endless = (b"x" * 65_536 for _ in iter(lambda: next(sent), 20_000))
    with suppress(
        requests.ConnectionError, requests.exceptions.ChunkedEncodingError
    ):  # answered, or cut while we were sending
        assert requests.post(f"{daemon.url}/hooks/bitrix24", data=endless, timeout=60).status_code == 400
    assert next(sent) < 2_000
    assert daemon.get("/healthz").status_code == 200
    assert stored(place) == before


def test_slow_clients_do_not_slow_the_others(daemon: DaemonProcess, place: Path) -> None:
    before = stored(place)
    parts = urlsplit(daemon.url)
    head = b"POST /hooks/bitrix24 HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n"
    slow = [socket.create_connection((parts.hostname, parts.port)) for _ in range(60)]
    try:
        for number, connection in enumerate(slow):  # half of them stay in the headers, half in the body
            connection.sendall(head + (b"" if number % 2 else b"\r\nevent=ONCRM"))
        taken = []
        for number in range(20):
            began = time.monotonic()
            assert daemon.post(update_of(1000 + number)).status_code == 200
            taken.append(time.monotonic() - began)
        assert sorted(taken)[10] < 2.0, "and even that only because this machine may be busy"
        wait_until(lambda: all(_is_over(connection) for connection in slow), 40.0)
    finally:
        for connection in slow:
            connection.close()
    assert stored(place) == before + 20


def _is_over(connection: socket.socket) -> bool:
    """Whether the daemon has answered 400 or closed, without being asked anything more."""
    connection.setblocking(False)
    try:
        answer = connection.recv(1000)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return answer == b"" or b" 400 " in answer


# -- its life ------------------------------------------------------------------------------------------------------


def test_without_a_public_url_it_works_by_sweeps_alone_and_says_so(tmp_path: Path) -> None:
    config = CONFIG.replace('public_url = "https://b24sync.example.ru"', "")
    with running_daemon(tmp_path, config=config) as daemon:
        daemon.wait_to_say(r"No \[daemon\] public_url: .*works? by sweeps alone, every 10m")
        wait_until(lambda: daemon.get("/readyz").status_code == 200)
        assert daemon.stop() == 0


@pytest.mark.waits
def test_the_worker_is_woken_by_an_event_and_started_again_when_it_is_killed(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        assert daemon.post(update_of(1)).status_code == 200
        wait_until(lambda: [job.state for job in events_of(tmp_path)] == ["done"])
        [worker] = children(daemon.process.pid)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: "another one starts" in daemon.said())
        assert daemon.post(update_of(2)).status_code == 200
        wait_until(lambda: [job.state for job in events_of(tmp_path)] == ["done", "done"])
        assert daemon.get("/readyz").json().items() >= {"store": "ok", "worker": "ok"}.items()
        assert daemon.stop() == 0
        assert not Path(f"/proc/{worker}").exists()


def post_until(daemon: DaemonProcess, first: int, confirmed: list[int], stop: threading.Event) -> None:
    """Post events of one deal after the other; note those that were answered 200."""
    deal = first
    with requests.Session() as session:
        while not stop.is_set():
            try:
                answer = session.post(f"{daemon.url}/hooks/bitrix24", data=update_of(deal), timeout=30)
            except requests.RequestException:
                return
            if answer.status_code == 200:
                confirmed.append(deal)
            deal += 1


def kill_while_posting(folder: Path, kills: int) -> None:
    confirmed: list[int] = []
    for turn in range(kills):
        with running_daemon(folder, "serve", "--no-worker") as daemon:
            daemon.wait_to_say("listens on")
            before, stop = len(confirmed), threading.Event()
            posters = [
                threading.Thread(target=post_until, args=(daemon, turn * 10**6 + n * 10**5 + 1, confirmed, stop))
                for n in range(4)
            ]
            for poster in posters:
                poster.start()
            wait_until(lambda at=before: len(confirmed) > at + 30)  # type: ignore[misc]
            assert all(poster.is_alive() for poster in posters), "the kill falls in the middle"
            daemon.kill()
            stop.set()
            for poster in posters:
                poster.join(60)
    kinds = {job.kind for job in events_of(folder)}
    assert len(confirmed) > kills * 30
    assert {f"ONCRMDEALUPDATE:{deal}" for deal in confirmed} <= kinds, "an event that got its 200 was lost"
    with running_daemon(folder, "worker"):
        wait_until(lambda: {job.state for job in events_of(folder)} == {"done"})


@pytest.mark.waits
def test_a_daemon_that_is_killed_loses_no_event_that_got_a_200(tmp_path: Path) -> None:
    kill_while_posting(tmp_path, 2)


@pytest.mark.long
def test_a_daemon_that_is_killed_again_and_again_loses_no_event_that_got_a_200(tmp_path: Path) -> None:
    kill_while_posting(tmp_path, 15)


@pytest.mark.long
def test_a_database_that_is_locked_for_longer_than_the_busy_timeout(tmp_path: Path) -> None:
    with running_daemon(tmp_path) as daemon:
        assert daemon.post(update_of(1)).status_code == 200
        with closing(sqlite3.connect(tmp_path / "var" / "b24sync.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert daemon.post(update_of(2)).status_code == 503
            assert daemon.get("/healthz").status_code == 200
            time.sleep(20)
            other.execute("ROLLBACK")
        wait_until(lambda: daemon.post(update_of(3)).status_code == 200)
        wait_until(lambda: all(job.state == "done" for job in events_of(tmp_path)))
        assert {"ONCRMDEALUPDATE:1", "ONCRMDEALUPDATE:3"} <= {job.kind for job in events_of(tmp_path)}
        assert "Traceback" not in daemon.said()
