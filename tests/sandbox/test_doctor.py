"""`doctor`: what is lacking is found before anything is written, each finding with what to do; probes leave nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from rehearsal import Ended
from sandbox_process import SandboxProcess, lasting_port, running_sandbox

ROLE_PIPELINE = "Колл-центр"
SEED: dict[str, Any] = {
    "users": [
        {"ID": 21, "NAME": "Вера", "LAST_NAME": "Звонкова", "EMAIL": "v@example.ru"},
        {"ID": 23, "NAME": "Павел", "LAST_NAME": "Импортов", "EMAIL": "p@example.ru", "rights": {"import": False}},
    ],
    "categories": [{"name": ROLE_PIPELINE}],
    "webhooks": [
        {"user_id": 21, "secret": "callcentresecret01"},
        {"user_id": 23, "secret": "noimportsecret0001", "scopes": ["crm", "user_brief"]},
    ],
    "items": [
        {"entityTypeId": 2, "fields": {"title": "Живая сделка"}},
        {"entityTypeId": 7, "fields": {"title": "Предложение"}},
    ],
}
EVERYTHING = """
[[workflows.start]]
pipeline = "Общая"
stage = "Новая"
template = "Первый звонок"
[groups]
company_types = ["CUSTOMER"]
[[stages.norm]]
pipeline = "Общая"
stage = "Подготовка документов"
days = 3
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off", seed=SEED) as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    sandbox.reset(SEED)
    return Desk(tmp_path, sandbox)


def as_user(desk: Desk, user_id: int, secret: str, more: str = "") -> None:
    """Configure another webhook of the same portal."""
    desk.configure(more)
    path = desk.folder / "config.toml"
    url = f"{desk.sandbox.base}/rest/{user_id}/{secret}/"
    path.write_text(path.read_text(encoding="utf-8").replace(desk.sandbox.url, url), encoding="utf-8")


def found(ended: Ended, state: str) -> dict[str, str]:
    """What the findings of one state say, by check; the same check's texts together."""
    said: dict[str, str] = {}
    for finding in ended.result["findings"]:
        if finding["state"] == state:
            said[finding["check"]] = f"{said.get(finding['check'], '')} {finding['said']} {finding['todo']}".strip()
    return said


def held(desk: Desk) -> dict[str, Any]:
    """Everything that a probe might leave behind."""
    return {
        "items": desk.sandbox.figures()["items"],
        "fields": desk.sandbox.state("userfields"),
        "groups": desk.sandbox.state("groups"),
    }


def test_a_healthy_portal_has_no_errors_and_nothing_stays_of_the_look(desk: Desk) -> None:
    desk.configure(EVERYTHING)
    before = held(desk)
    ended = desk.run("doctor", "--json")
    assert ended.code == 0, ended
    assert found(ended, "error") == {}
    checks = found(ended, "ok")
    assert {"address", "scopes", "administrator", "import right", "clock", "time zone", "workflows", "store"} <= set(
        checks
    )
    assert "UF_CRM_B24SYNC_GROUP" in found(ended, "warning")["fields of features"]
    assert "portal apply" in found(ended, "warning")["fields of features"]
    assert held(desk) == before
    assert desk.sandbox.figures()["spec_violations"] == 0


def test_a_user_without_the_rights_is_told_before_a_single_row_is_sent(desk: Desk) -> None:
    as_user(desk, 23, "noimportsecret0001", EVERYTHING)
    ended = desk.run("doctor", "--json")
    assert ended.code == 78, ended
    errors = found(ended, "error")
    assert "may not import: deal (ACCESS_DENIED" in errors["import right"]
    assert "lacks the scope bizproc, needed by: workflows" in errors["scopes"]
    assert "sonet_group" in errors["scopes"] and "tick sonet_group" in errors["scopes"]
    assert "these need one: workflows, groups" in errors["administrator"]
    assert "Allow to change settings" in errors["CRM settings"]
    assert "history = false" in found(ended, "warning")["administrator"]
    assert "unanswered writes" not in found(ended, "warning")


def test_names_that_the_portal_lacks_are_found_with_the_nearest_ones(desk: Desk) -> None:
    wrong = EVERYTHING.replace('template = "Первый звонок"', 'template = "Первый звонк"')
    desk.configure(wrong.replace('stage = "Подготовка документов"', 'stage = "Подготовка"'))
    ended = desk.run("doctor", "--json")
    assert ended.code == 78
    assert "nearest: Первый звонок" in found(ended, "error")["workflows"]
    assert "nearest: Подготовка документов" in found(ended, "error")["stage norms"]


def test_norms_mean_to_doctor_what_they_mean_to_the_recount(desk: Desk) -> None:
    norm = EVERYTHING[EVERYTHING.index("[[stages.norm]]") :]
    desk.configure(norm)
    assert desk.run("portal", "apply", "--yes").code == 0
    assert desk.run("recount").code == 0
    desk.sandbox.act("stage.rename", stage="Подготовка документов", category="Общая", new_name="Бумаги")
    desk.configure(f'{norm}field = "UF_CRM_OWN_DAYS"\n')
    recounted = desk.run("recount", "--dry-run")
    ended = desk.run("doctor", "--json")
    said = found(ended, "warning")["stage norms"]
    for told in ("that stage is called 'Бумаги' now", "the deal has no field UF_CRM_OWN_DAYS"):
        assert told in said and told in recounted.stderr
    assert (recounted.code, ended.code) == (0, 0), ended


def test_a_country_without_known_holidays_is_told_before_the_night(desk: Desk) -> None:
    norm = EVERYTHING[EVERYTHING.index("[[stages.norm]]") :]
    desk.configure(f'{norm}\n[recount]\ncountry = "Россия"\n')
    ended = desk.run("doctor", "--json")
    assert ended.code == 78, ended
    assert "country = 'Россия': no holidays are known" in found(ended, "error")["holidays"]
    desk.configure(norm)
    assert "known for RU" in found(desk.run("doctor", "--json"), "ok")["holidays"]


def test_a_clock_and_a_zone_that_differ_are_told(tmp_path: Path) -> None:
    with running_sandbox(plan="off") as sandbox:
        desk = Desk(tmp_path, sandbox)
        path = tmp_path / "config.toml"
        path.write_text(path.read_text(encoding="utf-8").replace("Europe/Moscow", "Asia/Vladivostok"), encoding="utf-8")
        sandbox.post("clock", {"advance_s": 900})
        ended = desk.run("doctor", "--json")
        assert "behind the portal" in found(ended, "error")["clock"]
        assert "Asia/Vladivostok" in found(ended, "warning")["time zone"]


@pytest.mark.parametrize(
    ("edit", "code", "said"),
    [
        (("sandboxsecret0001", "wrongsecret0001"), 69, "NO_AUTH_FOUND"),
        (("[limits]", "[limits]\nplann = 1"), 78, "plann: unknown key"),
        (("store.db", "config.toml/store.db"), 78, "another [store] url"),
    ],
)  # fmt: skip
def test_what_keeps_doctor_from_looking_is_a_finding_too(
    desk: Desk, edit: tuple[str, str], code: int, said: str
) -> None:
    path = desk.folder / "config.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(*edit), encoding="utf-8")
    ended = desk.run("doctor", "--json")
    assert ended.code == code, ended
    assert said in str(found(ended, "error")), ended
    assert "wrongsecret" not in ended.stdout + ended.stderr


def test_a_portal_that_does_not_answer_is_for_later(tmp_path: Path) -> None:
    with running_sandbox(plan="off", port=lasting_port()) as sandbox:
        desk = Desk(tmp_path, sandbox)
    ended = desk.run("doctor", "--json")
    assert ended.code == 75, ended
    assert "cannot be reached" in found(ended, "error")["portal"]


def test_the_probe_answers_open_questions_and_leaves_nothing_behind(desk: Desk, tmp_path: Path) -> None:
    before = held(desk)
    ended = desk.run("doctor", "--probe", "--json", "--report", tmp_path / "probe.md")
    assert ended.code == 0, ended
    answers = {answer["question"]: (answer["state"], answer["seen"]) for answer in ended.result["probes"]}
    assert [question for question, (state, _) in answers.items() if state == "failed"] == []
    seen = {question: text for question, (state, text) in answers.items() if state == "seen"}
    assert len(seen) >= 12
    assert seen["Import: does an equal createdTime pass"] == "accepted and kept"
    assert (
        "deal: refused with CRM_FIELD_ERROR_VALUE_NOT_VALID"
        in seen["Import: is a createdTime before the newest item's refused, and how"]
    )
    assert seen["Import: order of batchImport's answers"] == "as sent"
    report = (tmp_path / "probe.md").read_text(encoding="utf-8")
    assert all(question in report for question in answers)
    assert held(desk) == before
    assert desk.sandbox.figures()["spec_violations"] == 0
    calls = desk.sandbox.figures()["methods"]
    assert calls["crm.item.import"]["ok"] >= 6 and calls["crm.item.batchImport"]["ok"] == 1


def test_the_probe_sees_another_portal_otherwise(tmp_path: Path) -> None:
    switches = {"import_answer_order": "reversed", "import_multifields": "fm", "created_time_floor": "N"}
    with running_sandbox(plan="off", seed=SEED, switches=switches) as sandbox:
        ended = Desk(tmp_path, sandbox).run("doctor", "--probe", "--json", "--report", tmp_path / "probe.md")
        seen = {answer["question"]: answer["seen"] for answer in ended.result["probes"]}
        assert seen["Import: order of batchImport's answers"].startswith("another: answered")
        assert "PHONE: accepted and dropped" in seen["Import: which multifield syntax is taken, fm or PHONE"]
        floor = seen["Import: is a createdTime before the newest item's refused, and how"]
        assert floor.startswith("deal: accepted and kept")


@pytest.mark.waits
def test_a_killed_probe_is_tidied_up_by_the_next_doctor(tmp_path: Path) -> None:
    slow = dict.fromkeys(("crm.item.import", "crm.deal.userfield.add"), 0.3)
    with running_sandbox(plan="custom", rate_per_s=100, request_cap_s=1, seed=SEED, costs=slow) as sandbox:
        desk = Desk(tmp_path, sandbox)
        before = held(desk)
        running = desk.start("doctor", "--probe", "--report", tmp_path / "probe.md")
        while held(desk)["items"] == before["items"] and running.alive:
            time.sleep(0.02)
        assert running.kill() and held(desk)["items"] != before["items"], "the kill came too late"
        assert desk.run("doctor").code == 0
        assert sandbox.wait_idle()
        assert held(desk) == before


def test_what_the_portal_refuses_to_remove_is_a_finding_and_removed_when_it_allows_it(desk: Desk) -> None:
    with_role(desk)
    before = held(desk)
    refusal = {"status": 400, "code": "ACCESS_DENIED", "text": "no"}
    desk.sandbox.fault("error", "crm.item.delete", count=None, params=refusal)
    ended = desk.run("doctor", "--probe", "--roles", "--json", "--report", desk.folder / "probe.md")
    assert ended.code == 78, ended
    assert "crm.item.delete was refused" in found(ended, "error")["probe"]
    assert "crm.item.delete was refused" in found(ended, "error")["role: proof"]
    assert len(ended.result["probes"]) >= 12 and (desk.folder / "probe.md").exists()
    again = desk.run("doctor", "--json")
    assert again.code == 78, again
    assert "crm.item.delete was refused" in found(again, "error")["temporary things"]
    assert "crm.item.delete was refused" in found(again, "error")["import right"], "what is left would prove it"
    assert {"clock", "time zone"} <= set(found(again, "ok")), "the other checks go on"
    desk.sandbox.clear_faults()
    assert desk.run("doctor").code == 0
    assert held(desk) == before


def test_a_probe_that_the_portal_puts_off_leaves_no_write_open(desk: Desk) -> None:
    desk.sandbox.fault("nested_429", "crm.item.batchImport", count=None)
    ended = desk.run("doctor", "--probe", "--json", "--report", desk.folder / "probe.md")
    assert [bool(fault["fired"]) for fault in desk.sandbox.faults()] == [True], "the fault did not bite"
    states = {answer["question"]: answer["state"] for answer in ended.result["probes"]}
    assert states["Import: order of batchImport's answers"] == "failed", ended
    desk.sandbox.clear_faults()
    again = desk.run("doctor", "--json")
    assert "unanswered writes" not in found(again, "warning"), ended.stdout


CALL_CENTRE = {"add": False, "import": False, "delete": False, "quote.read": False}


def with_role(desk: Desk) -> None:
    desk.configure("")
    path = desk.folder / "config.toml"
    role = f'role_webhook = "{desk.sandbox.base}/rest/21/callcentresecret01/"\n\n[limits]'
    path.write_text(path.read_text(encoding="utf-8").replace("[limits]", role), encoding="utf-8")


def test_roles_without_a_second_webhook_are_a_checklist(desk: Desk) -> None:
    ended = desk.run("doctor", "--roles")
    assert ended.code == 0
    assert "by hand: pipelines" in ended.stdout and "set [portal] role_webhook" in ended.stdout


def test_a_call_centre_role_is_proven_by_what_its_user_can_really_do(desk: Desk) -> None:
    with_role(desk)
    pipeline_id = next(row["id"] for row in desk.sandbox.state("categories") if row["name"] == ROLE_PIPELINE)
    desk.sandbox.act("user.rights", id=21, rights={**CALL_CENTRE, "pipelines": [pipeline_id]})
    before = held(desk)
    ended = desk.run("doctor", "--roles", "--json")
    assert ended.code == 0, ended
    proven = {check: said for check, said in found(ended, "ok").items() if check.startswith("role: ")}
    assert proven["role: pipelines"] == f"sees {ROLE_PIPELINE} alone"
    should = ("reads a deal of its pipeline", "edits its card", "reads a contact", "reads a company")
    should_not = (
        "reads a deal of another pipeline", "edits a deal of another pipeline", "adds a deal", "imports a deal",
        "sees quotes", "changes CRM settings", "deletes a deal of its pipeline",
    )  # fmt: skip
    assert all(proven[f"role: {what}"].startswith("yes, as it should") for what in should)
    assert all(proven[f"role: {what}"].startswith("no, as it should not") for what in should_not)
    assert held(desk) == before
    assert "callcentresecret01" not in ended.stdout + ended.stderr


def test_a_role_that_is_too_wide_or_too_narrow_is_an_error_with_what_to_do(desk: Desk) -> None:
    with_role(desk)
    desk.sandbox.act("user.rights", id=21, rights={"update": False})
    before = held(desk)
    ended = desk.run("doctor", "--roles", "--json")
    assert ended.code == 78
    errors = found(ended, "error")
    assert errors["role: edits its card"].startswith("no, and it should"), ended.result["findings"][-6:]
    for what in ("adds a deal", "imports a deal", "sees quotes", "deletes a deal of its pipeline"):
        assert errors.get(f"role: {what}", "").startswith("yes, and it should not"), ended.result["findings"][-6:]
        assert "Access permissions" in errors[f"role: {what}"]
    assert "leave the role its own one only" in found(ended, "warning")["role: pipelines"]
    assert held(desk) == before
