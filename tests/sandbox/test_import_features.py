"""What `import run` promises besides surviving: plan, misses, links, order, history. Judged by the sandbox's state."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from sandbox_process import SandboxProcess, running_sandbox

SEED: dict[str, Any] = {
    "categories": [{"name": "Продажи", "stages": [{"name": "Новая"}, {"name": "В работе"}]}],
    "userfields": [
        {
            "ENTITY_ID": "CRM_DEAL",
            "FIELD_NAME": "QUALITY",
            "USER_TYPE_ID": "enumeration",
            "LIST": [{"VALUE": "Горячий"}, {"VALUE": "Холодный"}],
        },
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "SOURCE_DATE", "USER_TYPE_ID": "datetime"},
    ],
    "users": [
        {"ID": 71, "NAME": "Вера", "LAST_NAME": "Зимина", "EMAIL": "vera@example.com", "ACTIVE": True},
        {"ID": 72, "NAME": "Глеб", "LAST_NAME": "Уволенный", "EMAIL": "gleb@example.com", "ACTIVE": False},
    ],
}

MAPPING = """
entity = "deal"
originator = "old-crm"
key = "Id"
[columns]
"Название" = "title"
"Стадия" = "stage"
"Ответственный" = { field = "assigned_by", map = { "Вера" = "vera@example.com" } }
"Компания" = { field = "company", match = "title", create = true }
"Качество" = "UF_CRM_QUALITY"
"Дата" = "begin_date"
[constants]
pipeline = "Продажи"
currency = "RUB"
"""
HEADER = ["Id", "Название", "Стадия", "Ответственный", "Компания", "Качество", "Дата"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off", seed=SEED) as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    sandbox.reset(SEED)
    return Desk(tmp_path, sandbox)


def test_a_dry_run_writes_nothing_and_leaves_no_run(desk: Desk) -> None:
    file = desk.table("d.csv", HEADER, [["1", "А", "Новая", "Вера", "Ромашка", "горячий"]])
    ended = desk.run_import(file, desk.file("m.toml", MAPPING), "--dry-run")
    assert (ended.code, ended.result["planned"], ended.result["created"]) == (0, 1, 0)
    assert "1 companies to create" in ended.stderr
    assert desk.items(2, "id") == [] and desk.items(4, "id") == []
    assert desk.run("import", "list", "--json").stdout.strip() == "[]"


def test_names_become_ids_and_a_company_is_made_once_for_all_rows_that_name_it(desk: Desk) -> None:
    rows = [
        ["1", "А", "новая", "Вера", "ООО Ромашка", "Горячий"],
        ["2", "Б", "В  работе", "vera@example.com", "ооо  ромашка", "холодный"],
        ["3", "В", "Новая", "Зимина Вера", "", ""],
    ]
    ended = desk.run_import(desk.table("d.csv", HEADER, rows), desk.file("m.toml", MAPPING))
    assert (ended.code, ended.result["created"]) == (0, 3), ended
    companies = desk.items(4, "id,title,originId")
    assert [company["title"] for company in companies] == ["ООО Ромашка"]
    deals = {deal["originId"]: deal for deal in desk.items(2, "originId,companyId,assignedById,stageId,UF_CRM_QUALITY")}
    assert [deals[key]["companyId"] for key in ("1", "2")] == [companies[0]["id"]] * 2
    assert not deals["3"]["companyId"]
    assert {deal["assignedById"] for deal in deals.values()} == {71}
    stages = {row["status_id"]: row["name"] for row in desk.sandbox.state("stages")}
    assert [stages[str(deals[key]["stageId"])] for key in ("1", "2", "3")] == ["Новая", "В работе", "Новая"]
    assert deals["1"]["UF_CRM_QUALITY"] != deals["2"]["UF_CRM_QUALITY"]
    assert deals["1"]["UF_CRM_QUALITY"]


def test_people_beyond_the_first_pages_are_known_where_the_portal_does_not_count(
    sandbox: SandboxProcess, desk: Desk, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: sandbox.switch(batch_totals=True))
    sandbox.switch(batch_totals=False)
    people = [{"ID": 100 + n, "NAME": "Имя", "EMAIL": f"n{n}@example.com", "ACTIVE": True} for n in range(450)]
    sandbox.reset({**SEED, "users": [*SEED["users"], *people]})
    file = desk.table("d.csv", HEADER, [["1", "А", "Новая", "n449@example.com", "", ""]])
    ended = desk.run_import(file, desk.file("m.toml", MAPPING))
    assert (ended.code, ended.result["created"]) == (0, 1), ended
    assert desk.items(2, "assignedById")[0]["assignedById"] == 549


def test_list_elements_that_come_as_a_map_are_known_too(
    sandbox: SandboxProcess, desk: Desk, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: sandbox.switch(enum_items_shape="list"))
    sandbox.switch(enum_items_shape="map")
    file = desk.table("d.csv", HEADER, [["1", "А", "Новая", "Вера", "", "горячий"]])
    ended = desk.run_import(file, desk.file("m.toml", MAPPING))
    assert (ended.code, ended.result["created"]) == (0, 1), ended
    assert desk.items(2, "UF_CRM_QUALITY")[0]["UF_CRM_QUALITY"]


def test_every_miss_is_told_before_the_first_write_and_refuses_only_its_rows(desk: Desk) -> None:
    rows = [
        ["1", "А", "Новоя", "Вера", "", ""],
        ["2", "Б", "Новая", "gleb@example.com", "", "Тёплый", "31.02.2026"],
        ["3", "В", "Новая", "Вера", "", ""],
    ]
    ended = desk.run_import(desk.table("d.csv", HEADER, rows), desk.file("m.toml", MAPPING))
    assert ended.code == 3
    assert (ended.result["created"], ended.result["refused"]) == (1, 2)
    assert 'stage "Новоя" is not in pipeline "Продажи"; nearest: Новая' in ended.stderr
    assert 'user "gleb@example.com" is dismissed' in ended.stderr
    assert 'enumeration "Тёплый" is not in the list of UF_CRM_QUALITY; there is Горячий, Холодный' in ended.stderr
    assert [deal["originId"] for deal in desk.items(2, "originId")] == ["3"]

    report = desk.folder / "fates.csv"
    assert desk.run("import", "report", str(ended.result["run"]), report).code == 0
    with report.open(encoding="utf-8-sig", newline="") as stream:
        fates = {row["key"]: row for row in csv.DictReader(stream)}
    assert list(fates["1"]) == ["line", "key", "state", "portal_id", "code", "message"]
    assert (fates["1"]["line"], fates["1"]["state"], fates["1"]["code"]) == ("2", "refused", "UNRESOLVED")
    assert (fates["3"]["state"], fates["3"]["portal_id"]) == ("created", str(desk.items(2, "id")[0]["id"]))
    assert fates["2"]["code"] == "BAD_DATE", "a row that cannot be read has its misses told with it"
    assert "Тёплый" in fates["2"]["message"] and "dismissed" in fates["2"]["message"]
    shown = desk.run("import", "show", str(ended.result["run"]))
    assert "UNRESOLVED" in shown.stdout


def test_strict_stops_before_the_first_write(desk: Desk) -> None:
    rows = [["1", "А", "Новоя", "Вера", "", ""], ["2", "Б", "Новая", "Вера", "", ""]]
    ended = desk.run_import(desk.table("d.csv", HEADER, rows), desk.file("m.toml", MAPPING), "--strict")
    assert ended.code == 3
    assert desk.items(2, "id") == []


def test_without_a_terminal_and_without_yes_a_plan_is_not_carried_out(desk: Desk) -> None:
    file = desk.table("d.csv", HEADER, [["1", "А", "Новая", "Вера", "", ""]])
    ended = desk.run("import", "run", file, "--mapping", desk.file("m.toml", MAPPING))
    assert ended.code == 2
    assert "--yes" in ended.stderr
    assert desk.items(2, "id") == []


def test_conflict_refuse_refuses_rows_that_are_in_the_portal(desk: Desk) -> None:
    file = desk.table("d.csv", HEADER, [["1", "А", "Новая", "Вера", "", ""]])
    mapping = desk.file("m.toml", MAPPING)
    assert desk.run_import(file, mapping).result["created"] == 1
    desk.configure('[import]\nconflict = "refuse"')
    ended = desk.run_import(file, mapping)
    assert (ended.code, ended.result["refused"], ended.result["created"]) == (3, 1, 0)
    assert len(desk.items(2, "id")) == 1


def test_keys_that_another_store_wrote_are_found_in_the_portal(desk: Desk) -> None:
    rows = [[str(number), f"Сделка {number}", "Новая", "Вера", "", ""] for number in range(120)]
    mapping = desk.file("m.toml", MAPPING)
    assert desk.run_import(desk.table("d.csv", HEADER, rows[:70]), mapping).result["created"] == 70
    (desk.folder / "store.db").unlink()
    ended = desk.run_import(desk.table("d2.csv", HEADER, rows), mapping)
    assert (ended.result["created"], ended.result["skipped"]) == (50, 70)
    assert desk.sandbox.figures()["duplicates_total"] == 0


def test_contacts_keep_their_phones_and_deals_find_them_by_origin(desk: Desk) -> None:
    contacts = desk.table("c.csv", ["Id", "Имя", "Телефон", "Почта"], [["c1", "Анна", "+7 900 1", "anna@example.com"]])
    contact_mapping = desk.file(
        "c.toml",
        """
entity = "contact"
originator = "old-crm"
key = "Id"
[columns]
"Имя" = "name"
"Телефон" = { field = "phone", value_type = "MOBILE" }
"Почта" = "email"
""",
    )
    assert desk.run_import(contacts, contact_mapping).result["created"] == 1
    deal_mapping = desk.file(
        "m.toml",
        """
entity = "deal"
originator = "old-crm"
key = "Id"
[columns]
"Название" = "title"
"Контакт" = { field = "contact", match = "origin" }
"Почта" = { field = "contact", match = "email" }
""",
    )
    rows = [["1", "По номеру", "c1", ""], ["2", "По почте", "", "anna@example.com"], ["3", "Нет такого", "c9", ""]]
    ended = desk.run_import(desk.table("d.csv", ["Id", "Название", "Контакт", "Почта"], rows), deal_mapping)
    assert (ended.result["created"], ended.result["refused"]) == (2, 1), ended
    assert 'contact "c9" (origin) is not in the portal' in ended.stderr
    contact = desk.items(3, "id,fm")[0]
    assert {(row["typeId"], row["valueType"], row["value"]) for row in contact["fm"]} == {  # type: ignore[attr-defined]
        ("PHONE", "MOBILE", "+7 900 1"),
        ("EMAIL", "WORK", "anna@example.com"),
    }
    assert {tuple(deal["contactIds"]) for deal in desk.items(2, "contactIds")} == {(contact["id"],)}  # type: ignore[arg-type]


HISTORY_MAPPING = """
entity = "deal"
originator = "old-crm"
key = "Id"
[columns]
"Название" = "title"
"Создана" = { field = "created_time", format = "%d.%m.%Y %H:%M" }
"""


def test_creation_times_arrive_in_ascending_order_whatever_the_order_of_lines(desk: Desk) -> None:
    rows = [[str(n), f"Сделка {n}", f"{1 + n % 28:02d}.0{1 + n % 9}.2024 10:00"] for n in range(150)]
    file = desk.table("d.csv", ["Id", "Название", "Создана"], rows)
    ended = desk.run_import(file, desk.file("m.toml", HISTORY_MAPPING))
    assert (ended.code, ended.result["created"]) == (0, 150), ended
    created = {deal["originId"]: str(deal["createdTime"]) for deal in desk.items(2, "originId,createdTime")}
    assert created["0"].startswith("2024-01-01T10:00:00")


def test_times_that_the_portal_would_refuse_go_to_the_fallback_field(desk: Desk) -> None:
    desk.configure('[import]\nhistory_fallback = "UF_CRM_SOURCE_DATE"')
    desk.sandbox.act("item.add", entityTypeId=2, title="Заведена сегодня руками")
    rows = [["1", "Старая", "05.03.2024 10:00"], ["2", "Старее", "05.03.2023 10:00"]]
    file = desk.table("d.csv", ["Id", "Название", "Создана"], rows)
    ended = desk.run_import(file, desk.file("m.toml", HISTORY_MAPPING))
    assert (ended.code, ended.result["created"]) == (0, 2), ended
    assert "2 are older than the newest deal" in ended.stderr
    desk.configure("")
    rows.append(["3", "Ещё старее", "05.03.2022 10:00"])
    without = desk.run_import(
        desk.table("d.csv", ["Id", "Название", "Создана"], rows), desk.file("m.toml", HISTORY_MAPPING), "--dry-run"
    )
    assert "1 are older than the newest deal there: the portal refuses such times" in without.stderr, without
    kept = {deal["originId"]: str(deal["UF_CRM_SOURCE_DATE"]) for deal in desk.items(2, "originId,UF_CRM_SOURCE_DATE")}
    assert kept["1"].startswith("2024-03-05T10:00:00") and kept["2"].startswith("2023-03-05T10:00:00")


def test_one_row_that_spoils_its_whole_command_is_found_among_the_others(desk: Desk) -> None:
    """A nested `100` refuses a command of 20 rows; asked one by one only the bad row stays refused."""
    rows = [[str(number), f"Сделка {number}", "Новая", "Вера", "", ""] for number in range(40)]
    desk.sandbox.fault(
        "nested_error", "crm.item.batchImport", nth=1, params={"code": "100", "text": "Invalid value", "only": 1}
    )
    ended = desk.run_import(desk.table("d.csv", HEADER, rows), desk.file("m.toml", MAPPING))
    assert sum(fault["fired"] for fault in desk.sandbox.faults()) > 0
    assert (ended.code, ended.result["created"]) == (0, 40), ended
    assert desk.sandbox.figures()["methods"]["crm.item.import"]["ok"] >= 20


def test_the_webhook_never_shows_in_what_the_command_prints(desk: Desk) -> None:
    secret = desk.sandbox.url.rstrip("/").rpartition("/")[2]
    file = desk.table("d.csv", HEADER, [["1", "А", "Новая", "Вера", "", ""]])
    ended = desk.run("-v", "import", "run", file, "--mapping", desk.file("m.toml", MAPPING), "--yes", "--json")
    assert ended.code == 0
    assert "/rest/" in ended.stderr, "the log of requests is what could have shown it"
    assert secret not in ended.stdout + ended.stderr
