"""Reports delivered after the recount: a folder, the portal's Disk, word of it to people; each content once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nights import EXPERTISE, FAST, NORMS, NightDesk, deal, seed_of
from sandbox_process import SandboxProcess, running_sandbox

from b24sync.daemon.wiring import handlers, opened_daemon, schedules

DEALS = [deal(EXPERTISE, created=30, moved=10), deal(EXPERTISE, created=20, moved=3)]


def deliver(folder_id: int | str, *, notify: str = '["p.zaitsev@example.ru", 1]') -> str:
    return f"""
[[reports.deliver]]
report = "delays"
format = "json"
to = "folder:out/reports"

[[reports.deliver]]
report = "stages"
format = "xlsx"
to = "disk:{folder_id}"
notify = {notify}
"""


def common_folder(sandbox: SandboxProcess) -> int:
    storages = sandbox.rest("disk.storage.getlist", {"filter": {"ENTITY_TYPE": "common"}})["result"]
    return int(storages[0]["ROOT_OBJECT_ID"])


def files(sandbox: SandboxProcess) -> list[dict[str, Any]]:
    return [row for row in sandbox.state("disk") if row["type"] == "file"]


def told_since(sandbox: SandboxProcess, seen: int) -> list[str]:
    """Notifications sent after the call `seen`."""
    said = [row[1] for call in sandbox.calls(since=seen) for row in call["nested"] or [["", call["method"]]]]
    return [name for name in said if "notify" in name]


@pytest.mark.waits
def test_reports_reach_a_folder_the_disk_and_named_people_once(tmp_path: Path) -> None:
    with running_sandbox(seed=seed_of(DEALS), **FAST) as sandbox:
        folder_id = common_folder(sandbox)
        desk = NightDesk(tmp_path, sandbox, NORMS + deliver(folder_id))
        ended = desk.recount()
        assert ended.code == 0, ended
        rows = json.loads((tmp_path / "out" / "reports" / "delays.json").read_text(encoding="utf-8"))
        assert [row["delay_days"] for row in rows if row["stage"]] == [5.0, 0.0]
        placed = files(sandbox)
        assert [(row["name"], row["parent_id"], row["version"]) for row in placed] == [("stages.xlsx", folder_id, 1)]
        notes = sandbox.state("notifications")
        assert sorted(note["USER_ID"] for note in notes) == [1, 3]
        assert all("Стадии" in note["MESSAGE"] and "[URL=http" in note["MESSAGE"] for note in notes)
        assert all("token=" not in note["MESSAGE"] and "auth=" not in note["MESSAGE"] for note in notes)

        seen = desk.last_call()
        assert desk.recount().code == 0
        said = [row[1] for call in sandbox.calls(since=seen) for row in call["nested"] or [["", call["method"]]]]
        assert not [name for name in said if "upload" in name or "notify" in name], (
            "the same content was delivered twice"
        )

        sandbox.act("stage.rename", stage="Передача", category="Проекты", new_name="Сдача")
        assert desk.recount().code == 0
        replaced = files(sandbox)
        assert [(row["id"], row["name"], row["version"]) for row in replaced] == [(placed[0]["id"], "stages.xlsx", 2)]
        assert len(sandbox.state("notifications")) == 2, "the older notification of each is replaced"

        seen = desk.last_call()
        sandbox.act("stage.rename", stage="Сдача", category="Проекты", new_name="Передача")
        for _ in range(2):
            assert desk.recount().code == 0
        assert [row["version"] for row in files(sandbox)] == [3], "what it said first is there again, once"
        assert len(told_since(sandbox, seen)) == 2


@pytest.mark.waits
def test_an_upload_whose_answer_was_lost_is_not_repeated(tmp_path: Path) -> None:
    with running_sandbox(seed=seed_of(DEALS), **{**FAST, "request_cap_s": 1}) as sandbox:
        desk = NightDesk(tmp_path, sandbox, NORMS + deliver(common_folder(sandbox)))
        sandbox.fault("cut_after", "disk.folder.uploadfile")
        assert desk.recount().code == 0
        sandbox.act("stage.rename", stage="Передача", category="Проекты", new_name="Сдача")
        sandbox.fault("cut_after", "disk.file.uploadversion")
        assert desk.recount().code == 0
        assert [bool(fault["fired"]) for fault in sandbox.faults()] == [True, True], "a fault did not bite"
        assert [row["version"] for row in files(sandbox)] == [2]


def test_a_delivery_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    with running_sandbox(seed=seed_of(DEALS), **FAST) as sandbox:
        sandbox.act("user.dismiss", id=3)
        (tmp_path / "out").write_text("a file in the way", encoding="utf-8")
        more = deliver(common_folder(sandbox)) + deliver(99_999, notify="[]").split("\n\n")[1]
        desk = NightDesk(tmp_path, sandbox, NORMS + more)
        ended = desk.recount()
        assert ended.code == 78, ended
        assert "report delays to folder:out/reports: The report cannot be written" in ended.stderr
        assert "report stages to disk:99999: disk.folder.getchildren was refused" in ended.stderr
        assert "notify p.zaitsev@example.ru: dismissed; nobody is notified" in ended.stderr
        assert [row["name"] for row in files(sandbox)] == ["stages.xlsx"]
        assert [note["USER_ID"] for note in sandbox.state("notifications")] == [1]
        assert ended.result["written"] == 2


def test_a_portal_that_blocks_the_delivery_does_not_hide_what_was_recounted(tmp_path: Path) -> None:
    with running_sandbox(seed=seed_of(DEALS), **FAST) as sandbox:
        desk = NightDesk(tmp_path, sandbox, NORMS + deliver(common_folder(sandbox)))
        sandbox.fault("overload", "disk.folder.getchildren", count=None)
        ended = desk.recount()
        assert ended.code == 69, ended
        assert ended.result["written"] == 2
        assert "the reports are not delivered" in ended.stderr


def test_people_are_not_sent_to_a_folder_of_this_machine(tmp_path: Path) -> None:
    with running_sandbox(seed=seed_of(DEALS[:1]), **FAST) as sandbox:
        desk = NightDesk(tmp_path, sandbox, deliver(1).replace('"folder:out/reports"', '"folder:out"\nnotify = [1]'))
        ended = desk.recount()
        assert ended.code == 78 and "reports.deliver.0" in ended.stderr and "nobody opens a folder" in ended.stderr


def test_the_same_report_is_the_same_file(tmp_path: Path) -> None:
    with running_sandbox(seed=seed_of(DEALS), **FAST) as sandbox:
        desk = NightDesk(tmp_path, sandbox)
        digests = set()
        for number in range(2):
            out = tmp_path / f"{number}.xlsx"
            as_of = "2026-01-01" if number else "01.01.2026"
            assert desk.run("report", "delays", "--as-of", as_of, "--out", out).code == 0
            digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
        assert len(digests) == 1


@pytest.mark.waits
def test_the_daemon_recounts_and_delivers_by_its_schedule(tmp_path: Path) -> None:
    """Its lane is run here without waiting for the tick; the schedule names it where there is something to do."""
    with running_sandbox(seed=seed_of(DEALS), **FAST) as sandbox:
        desk = NightDesk(tmp_path, sandbox, NORMS + deliver(common_folder(sandbox)))
        work: Any = SimpleNamespace(portal="main")
        with opened_daemon(desk.folder / "config.toml", None) as daemon:
            lines = {schedule.name: schedule.line for schedule in schedules(daemon)}
            assert lines["recount"] == "0 2 * * *"
            for _ in range(2):
                handlers(daemon)["cron:recount"].run(work)
        assert desk.updates() == 2
        assert (tmp_path / "out" / "reports" / "delays.json").exists()
        assert [row["version"] for row in files(sandbox)] == [1]
        desk.configure("")
        with opened_daemon(desk.folder / "config.toml", None) as daemon:
            assert "recount" not in {schedule.name for schedule in schedules(daemon)}
