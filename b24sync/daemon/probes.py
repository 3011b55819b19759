"""What the daemon tells a monitor: readiness and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from b24sync.automation.portal_rules import WATCHING
from b24sync.daemon.intake import Intake
from b24sync.daemon.wiring import BEAT, Daemon
from b24sync.errors import StoreError
from b24sync.store.cursors import read_cursor
from b24sync.store.group_commit import GroupCommit
from b24sync.store.jobs import Jobs


def readiness(daemon: Daemon, worker_alive: bool) -> tuple[bool, dict[str, Any]]:
    """Whether events can be stored, our worker lives and the rules miss nothing; the report says what fails."""
    try:
        with daemon.store.quick_write():
            store = "ok"
    except StoreError as error:
        store = str(error)
    report = {"store": store, "worker": "ok" if worker_alive else "not running"}
    if store == "ok":
        blind = [name for name in daemon.portals if read_cursor(daemon.store, name, WATCHING) != "yes"]
        report["rules"] = f"have not looked at {', '.join(blind)} yet" if blind else "ok"
    return all(said == "ok" for said in report.values()), report


def metrics_text(daemon: Daemon, intake: Intake, commit: GroupCommit) -> str:
    """Prometheus' text format. Cost: three short queries per portal."""
    return "\n".join([*_intake(intake, commit), *_lanes(daemon), ""])


def _intake(intake: Intake, commit: GroupCommit) -> Iterator[str]:
    yield "# HELP b24sync_events_total Requests to the intake by portal and answer."
    yield "# TYPE b24sync_events_total counter"
    for (portal, status), count in sorted(intake.counts.items()):
        yield f'b24sync_events_total{{portal="{portal}",status="{status}"}} {count}'
    yield "# TYPE b24sync_commits_total counter"
    yield f"b24sync_commits_total {commit.commits}"
    yield "# TYPE b24sync_events_uncommitted gauge"
    yield f"b24sync_events_uncommitted {commit.waiting}"


def _lanes(daemon: Daemon) -> Iterator[str]:
    now = daemon.clock.wall_s()
    yield "# HELP b24sync_messages Messages of the inbox by state; dead ones wait for a person."
    yield "# TYPE b24sync_messages gauge"
    for portal in daemon.portals:
        for state, count in Jobs(daemon.store, portal, daemon.clock).counts().items():
            yield f'b24sync_messages{{portal="{portal}",state="{state}"}} {count}'
    yield "# HELP b24sync_worker_seen_seconds How long ago the worker gave a sign of life."
    yield "# TYPE b24sync_worker_seen_seconds gauge"
    for portal in daemon.portals:
        beat = read_cursor(daemon.store, portal, BEAT)
        if beat is not None:
            yield f'b24sync_worker_seen_seconds{{portal="{portal}"}} {max(0.0, now - float(beat)):.1f}'
