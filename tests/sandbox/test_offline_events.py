"""Offline events: what the portal kept while nobody listened is acted on once, whatever breaks in between.

Judged by the sandbox: its tasks, its queue, its bindings and its ledger of calls.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon_desk import DaemonDesk
from daemon_process import DaemonProcess, events_of, store_of, wait_until
from forked_process import CliProcess
from sandbox_process import PROJECT, SandboxProcess, lasting_port, running_sandbox

from b24sync.automation.causes import DELETED
from b24sync.automation.engine import Engine
from b24sync.automation.offline import ASKED, OFFLINE, START, STATE, TAKEN, WAKE
from b24sync.automation.portal_rules import WATCHING
from b24sync.daemon.serve import how_events_come
from b24sync.daemon.wiring import Daemon, handlers, opened_daemon, watch
from b24sync.errors import PortalBlocked
from b24sync.store.app_grants import AppGrants, Grant
from b24sync.store.causes import Causes
from b24sync.store.cursors import read_cursor, save_cursor
from b24sync.store.jobs import Jobs
from b24sync.store.lanes import Message

STAGE = "В работе"
RULES = f'[rules.first_call]\nstage = "{STAGE}"\n'
SEED = {"users": [{"ID": 20, "NAME": "Яна", "EMAIL": "y@example.ru"}]}
BOUND = {"ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE", "ONCRMDEALMOVETOCATEGORY"}


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with running_sandbox(seed=SEED, scale=60, request_cap_s=120.0) as started:
        yield started


@pytest.fixture
def sandbox(running: SandboxProcess) -> SandboxProcess:
    running.reset()
    running.switch(offline_extended=True)
    return running


def oauth_of(sandbox: SandboxProcess) -> str:
    return f"""
[portal.oauth]
client_id = "local.sandbox0001"
client_secret = "sandboxclientsecret0001"
server = "{sandbox.base}"
"""


def install(folder: Path, sandbox: SandboxProcess, **options: Any) -> None:
    """A configuration without a public address, and the application's grant in its store."""
    parts = [sandbox.toml_block, oauth_of(sandbox), '[sweep]\nevery = "1d"', RULES]
    (folder / "config.toml").write_text("\n".join(parts), encoding="utf-8")
    tokens = sandbox.post("oauth/install", options)
    with opened_daemon(folder / "config.toml", None) as daemon:
        grant = Grant(tokens["access_token"], tokens["refresh_token"], "token0of0the0application", "m", "crm", 0.0)
        AppGrants(daemon.store, "main").put(grant)


def add_deal(sandbox: SandboxProcess, **fields: Any) -> int:
    return int(sandbox.act("item.add", entityTypeId=2, fields={"assignedById": 5, **fields})["id"])


def calls_of(sandbox: SandboxProcess) -> Counter[int]:
    """How often somebody was asked to call the client, by deal."""
    tasks = sandbox.state("tasks")
    return Counter(int(bound.removeprefix("D_")) for task in tasks for bound in task["UF_CRM_TASK"])


def queued(sandbox: SandboxProcess) -> list[dict[str, Any]]:
    return list(sandbox.state("offline_queue"))


def bound(sandbox: SandboxProcess) -> set[str]:
    return {row["event"] for row in sandbox.state("bindings") if row["offline"]}


def cursor(folder: Path, name: str) -> str | None:
    with store_of(folder) as store:
        return read_cursor(store, "main", name)


def doctor(folder: Path) -> str:
    """What doctor finds about offline events: `state: said`."""
    command = CliProcess(["--config", folder / "config.toml", "doctor", "--json"], cwd=PROJECT)
    out, err = command.communicate(timeout=60)
    assert "Traceback" not in err, err
    rows = [row for row in json.loads(out)["findings"] if row["check"] == "offline events"]
    return "\n".join(f"{row['state']}: {row['said']} {row['todo']}" for row in rows)


def kill(worker: DaemonProcess) -> None:
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait(30)


# -- the daemon as a process ------------------------------------------------------------------------------------------


def test_what_was_missed_is_acted_on_once_though_the_worker_dies_before_it_confirms(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    moved = [add_deal(sandbox) for _ in range(3)]
    with lane_of(tmp_path, sandbox) as lane:
        lane.watch()
        assert bound(sandbox) == BOUND
    for deal in moved:
        sandbox.act("deal.move", id=deal, stage=STAGE)
        sandbox.act("item.edit", entityTypeId=2, id=deal, fields={"title": f"Сделка {deal}"})
    moved.append(add_deal(sandbox))
    sandbox.act("deal.move", id=moved[-1], stage=STAGE)
    names = Counter(row["EVENT_NAME"] for row in queued(sandbox))
    assert names == {"ONCRMDEALUPDATE": 4, "ONCRMDEALADD": 1}, "one row per event and object"

    sandbox.fault("hang_before", "event.offline.clear", count=None, params={"hang_s": 300})
    worker = DaemonProcess(tmp_path, "worker")
    try:
        wait_until(lambda: sandbox.faults()[-1]["fired"] and len(calls_of(sandbox)) >= 3)
        kill(worker)
        assert cursor(tmp_path, TAKEN), "the kill fell between the commit and the confirmation"
        assert all(row["PROCESS_ID"] for row in queued(sandbox)), "reserved, and not confirmed"
        sandbox.clear_faults()

        sandbox.act("item.edit", entityTypeId=2, id=moved[0], fields={"title": "Снова"})
        worker = DaemonProcess(tmp_path, "worker")
        wait_until(lambda: queued(sandbox) == [] and cursor(tmp_path, TAKEN) == "")
        wait_until(lambda: all(job.state == "done" for job in events_of(tmp_path)))
        wait_until(lambda: len(calls_of(sandbox)) == 4)
        assert calls_of(sandbox) == dict.fromkeys(moved, 1)
        assert len(sandbox.calls(method="event.bind")) == 1, "bound once"
    finally:
        worker.close()


def test_a_change_that_is_told_online_and_offline_acts_once(sandbox: SandboxProcess, tmp_path: Path) -> None:
    port = lasting_port()
    more = f"{oauth_of(sandbox)}\n{RULES}"
    desk = DaemonDesk(tmp_path, sandbox, more, port=port, public_url=f"http://127.0.0.1:{port}")
    deal = add_deal(sandbox)
    try:
        desk.start()
        assert "its application is not installed" in desk.said()
        sandbox.post("oauth/install", {"url": f"{desk.url}/hooks/bitrix24"})
        desk.wait_until(lambda: any(row["event"] == "ONOFFLINEEVENT" for row in sandbox.state("bindings")))
        desk.wait_until(lambda: "when the portal calls" in desk.said())
        sandbox.act("deal.move", id=deal, stage=STAGE)
        desk.wait_until(lambda: calls_of(sandbox) == {deal: 1} and queued(sandbox) == [])
        sandbox.post("clock", {"advance_s": 60})  # it calls once in five seconds
        sandbox.act("deal.move", id=deal, stage="Новая")
        desk.wait_until(lambda: queued(sandbox) == [])
        desk.post_events_here()
        sandbox.post("clock", {"advance_s": 60})
        fetched = len(sandbox.calls(method="event.offline.clear"))
        sandbox.act("deal.move", id=deal, stage=STAGE)
        desk.wait_until(lambda: calls_of(sandbox) == {deal: 2})
        desk.wait_until(lambda: queued(sandbox) == [] and sandbox.wait_idle())
        told = [row for row in sandbox.get("deliveries") if row["event"] == "ONCRMDEALUPDATE"]
        assert [row["status"] for row in told] == [200]
        desk.wait_until(lambda: " waiting" not in desk.run("events", "list"))
        assert calls_of(sandbox) == {deal: 2}
        assert len(sandbox.calls(method="event.offline.clear")) > fetched >= 1, "it was told in both ways"
    finally:
        desk.stop()


# -- one lane, step by step -------------------------------------------------------------------------------------------


class Lane:
    """The daemon's lanes in this process, run when a test says so."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.engine = Engine(daemon.store, daemon.clock, handlers(daemon))

    def run(self, kind: str = START) -> None:
        """One run of the queue's lane, whatever it was put off for."""
        self.engine.lanes.publish_now([Message("main", OFFLINE, kind)])
        with self.daemon.store.write() as connection:
            self.engine.lanes.make_due(connection, "main", OFFLINE)
        assert self.engine.run_lane("main", OFFLINE)

    def watch(self) -> None:
        """What a worker does first, until its rules miss nothing."""
        watch(self.daemon)
        wait_until(lambda: not self.run_due() and self.cursor(WATCHING) == "yes")

    def run_due(self) -> bool:
        """Run something that is due; False when nothing is."""
        return any(self.engine.run_lane(due.portal, due.key) for due in self.engine.lanes.due(["main"], limit=100))

    def cursor(self, name: str) -> str | None:
        return read_cursor(self.daemon.store, "main", name)

    def events(self) -> list[str]:
        jobs = Jobs(self.daemon.store, "main", self.daemon.clock)
        return sorted(job.kind for job in jobs.listed(events=True))

    def dead(self) -> list[str]:
        return [job.message or "" for job in Jobs(self.daemon.store, "main", self.daemon.clock).dead()]


@contextmanager
def lane_of(folder: Path, sandbox: SandboxProcess, **options: Any) -> Iterator[Lane]:
    install(folder, sandbox, **options)
    with opened_daemon(folder / "config.toml", None) as daemon:
        yield Lane(daemon)


def let_time_pass(lane: Lane, seconds: float = 3600.0) -> None:
    """Move the question that got no answer, if there is one, so far into the past (before zero: the future)."""
    if lane.cursor(ASKED):
        save_cursor(lane.daemon.store, "main", ASKED, str(lane.daemon.clock.wall_s() - seconds))


def test_a_lost_answer_leaves_nothing_reserved(sandbox: SandboxProcess, tmp_path: Path) -> None:
    with lane_of(tmp_path, sandbox) as lane:
        lane.run()
        assert bound(sandbox) == BOUND
        deal = add_deal(sandbox)
        sandbox.fault("cut_after", "event.offline.get")
        lane.run(WAKE)
        assert sandbox.faults()[-1]["fired"] == 1
        assert [bool(row["PROCESS_ID"]) for row in queued(sandbox)] == [True], "reserved under an id that was lost"
        assert lane.events() == [] and lane.cursor(ASKED)
        lane.run(WAKE)
        assert (lane.events(), queued(sandbox)) == ([f"ONCRMDEALADD:{deal}"], [])
        let_time_pass(lane)

        again = add_deal(sandbox)
        sandbox.fault("cut_after", "event.offline.clear")
        lane.run(WAKE)
        assert sandbox.faults()[-1]["fired"] == 1
        assert f"ONCRMDEALADD:{again}" in lane.events() and queued(sandbox) == [], "confirmed twice is confirmed"

        sandbox.fault("cut_before", "event.offline.get")
        lane.run(WAKE)
        let_time_pass(lane, -600.0)
        since = len(sandbox.calls(method="event.offline.get"))
        lane.run(WAKE)
        assert len(sandbox.calls(method="event.offline.get")) == since, "it may still be made: nothing is asked for"
        let_time_pass(lane)
        other = add_deal(sandbox)
        lane.run(WAKE)
        assert f"ONCRMDEALADD:{other}" in lane.events() and queued(sandbox) == []
        assert lane.dead() == []


def test_cut_connections_lose_nothing(sandbox: SandboxProcess, tmp_path: Path) -> None:
    with lane_of(tmp_path, sandbox) as lane:
        lane.run()
        for kind, seed in (("cut_after", 1), ("cut_before", 2)):
            sandbox.fault(kind, "event.offline", probability=0.3, seed=seed)
        deals = []
        for _ in range(8):
            deals += [add_deal(sandbox) for _ in range(3)]
            lane.run(WAKE)
            let_time_pass(lane)
        assert [fault["fired"] > 1 for fault in sandbox.faults()] == [True, True]
        sandbox.clear_faults()
        lane.run(WAKE)
        assert (queued(sandbox), lane.cursor(ASKED), lane.cursor(TAKEN)) == ([], "", "")
        assert lane.events() == sorted(f"ONCRMDEALADD:{deal}" for deal in deals)


def test_a_reservation_that_the_store_knows_nothing_of_is_found_at_a_start(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    with lane_of(tmp_path, sandbox) as lane:
        lane.run()
        deal = add_deal(sandbox)
        lane.daemon.app_client("main").call("event.offline.get", {"clear": 0})  # noted in a store that was lost
        lane.run(WAKE)
        assert (lane.events(), len(queued(sandbox))) == ([], 1)
        lane.run(START)
        assert (lane.events(), queued(sandbox)) == ([f"ONCRMDEALADD:{deal}"], [])


def test_a_deletion_that_nobody_was_told_of_is_a_cause(sandbox: SandboxProcess, tmp_path: Path) -> None:
    deal = add_deal(sandbox)
    with lane_of(tmp_path, sandbox) as lane:
        lane.watch()
        sandbox.act("item.delete", entityTypeId=2, id=deal)
        lane.run()
        assert f"ONCRMDEALDELETE:{deal}" in lane.events()
        wait_until(lambda: not lane.run_due())
        with lane.daemon.store.read() as connection:
            assert Causes(lane.daemon.store, "main").counts(connection, "deal", [deal], (DELETED,)) != {}


def test_a_row_that_nobody_understands_is_marked_and_told(
    sandbox: SandboxProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with lane_of(tmp_path, sandbox) as lane:
        lane.run()
        sandbox.act("event.raise", event="ONCRMDEALUPDATE", data={"FIELDS": {"ID": ""}})
        deal = add_deal(sandbox)
        lane.run()
        assert [(row["EVENT_NAME"], row["ERROR"]) for row in queued(sandbox)] == [("ONCRMDEALUPDATE", 1)]
        assert lane.events() == [f"ONCRMDEALADD:{deal}"]
        assert "is not understood" in caplog.text
        assert doctor(tmp_path).split(" and ")[0] == "warning: 1 could not be understood"
        lane.run()
        assert lane.events() == [f"ONCRMDEALADD:{deal}"], "a marked row is not read again"


def test_what_we_bound_goes_with_the_last_rule_that_wants_it_and_what_others_bound_stays(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"

    def wakes() -> set[str]:
        return {row["handler"] for row in sandbox.state("bindings") if row["event"] == "ONOFFLINEEVENT"}

    def run(rules: str, url: str = "") -> None:
        said = config.read_text(encoding="utf-8").partition("[rules.")[0].partition("[daemon]")[0]
        config.write_text(f'{said}[daemon]\npublic_url = "{url}"\n{rules}', encoding="utf-8")
        with opened_daemon(config, None) as daemon:
            Lane(daemon).run()

    with lane_of(tmp_path, sandbox) as lane:
        others = lane.daemon.app_client("main")
        others.call("event.bind", {"event": "ONCRMDEALADD", "event_type": "offline"})
        others.call("event.bind", {"event": "ONCRMLEADADD", "event_type": "offline"})
        others.call("event.bind", {"event": "ONCRMDEALDELETE", "event_type": "offline", "auth_connector": "theirs"})
        others.call("event.bind", {"event": "ONOFFLINEEVENT", "handler": "https://theirs.example.ru/hook"})
    run(RULES, "https://old.example.ru")
    run(RULES, "https://new.example.ru")
    assert bound(sandbox) == BOUND | {"ONCRMLEADADD"}
    assert wakes() == {"https://theirs.example.ru/hook", "https://new.example.ru/hooks/bitrix24"}

    run('[rules.first_call]\nstage = "Новее"\n')
    assert bound(sandbox) == BOUND | {"ONCRMLEADADD"}, "the rule is to be mended, not gone"
    run("")
    assert bound(sandbox) == {"ONCRMDEALADD", "ONCRMLEADADD", "ONCRMDEALDELETE"}
    assert wakes() == {"https://theirs.example.ru/hook"}
    since = len(sandbox.calls(method="event.unbind"))
    run("")
    assert len(sandbox.calls(method="event.unbind")) == since

    run(RULES)
    assert bound(sandbox) == BOUND | {"ONCRMLEADADD"}


def test_without_reservations_the_queue_is_left_alone(sandbox: SandboxProcess, tmp_path: Path) -> None:
    sandbox.switch(offline_extended=False)
    with lane_of(tmp_path, sandbox) as lane:
        lane.run()
        assert (bound(sandbox), sandbox.calls(method="event.offline")) == (set(), [])
        assert doctor(tmp_path).startswith("warning: the portal's plan cannot reserve")
        assert "rest_offline_extended" in "\n".join(how_events_come(lane.daemon, {}))
        sandbox.switch(offline_extended=True)
        lane.run()
        assert bound(sandbox) == BOUND, "a better plan is noticed with the next look"
        assert doctor(tmp_path).strip() == "ok: 4 kinds bound, 0 wait in the portal"


def test_a_user_without_rights_is_told_what_to_do(sandbox: SandboxProcess, tmp_path: Path) -> None:
    with lane_of(tmp_path, sandbox, user_id=20) as lane:
        lane.run()
        said = lane.cursor(STATE) or ""
        assert "Offline events binding requires administrator" in said and "let an administrator" in said
        assert (bound(sandbox), lane.dead()) == (set(), [])
        assert doctor(tmp_path).startswith("error: event.offline.list was refused")


def test_a_dead_application_does_not_stop_the_webhook(sandbox: SandboxProcess, tmp_path: Path) -> None:
    with lane_of(tmp_path, sandbox) as lane:
        AppGrants(lane.daemon.store, "main").put(Grant("made0up0access", "made0up0refresh", "t", "m", "crm", 0.0))
        with pytest.raises(PortalBlocked, match=r"NO_AUTH_FOUND.*install the application"):
            lane.daemon.app_client("main").call("event.get", {})
        assert lane.daemon.client("main").call("profile", {}).result["ID"]
