"""`conflict = "overwrite"`: only what differs is sent, read back, and not too much. Judged by the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from sandbox_process import SandboxProcess, running_sandbox

SEED: dict[str, Any] = {
    "categories": [{"name": "Продажи", "stages": [{"name": "Новая"}, {"name": "В работе"}]}, {"name": "Сервис"}],
    "userfields": [
        {
            "ENTITY_ID": "CRM_DEAL",
            "FIELD_NAME": "QUALITY",
            "USER_TYPE_ID": "enumeration",
            "LIST": [{"VALUE": "Горячий"}, {"VALUE": "Холодный"}],
        },
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "CALL_AT", "USER_TYPE_ID": "datetime"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "BUDGET", "USER_TYPE_ID": "money"},
    ],
}
MAPPING = """
entity = "deal"
originator = "old-crm"
key = "Id"
[columns]
"Название" = "title"
"Стадия" = "stage"
"Сумма" = "opportunity"
"Компания" = { field = "company", match = "title", create = true }
"Качество" = "UF_CRM_QUALITY"
"Звонок" = { field = "UF_CRM_CALL_AT", format = "%d.%m.%Y %H:%M" }
"Бюджет" = "UF_CRM_BUDGET"
"Закрыть" = "close_date"
[constants]
pipeline = "Продажи"
currency = "RUB"
"""
HEADER = ["Id", "Название", "Стадия", "Сумма", "Компания", "Качество", "Звонок", "Бюджет", "Закрыть"]
OVERWRITE = '[import]\nconflict = "overwrite"\nmax_change_share = 1.0'
UPDATE = "crm.item.update"


def deal(number: int, **changed: str) -> list[str]:
    cells = {
        "Id": str(number),
        "Название": f"Сделка {number}",
        "Стадия": "Новая",
        "Сумма": "1 500,50",
        "Компания": "ООО Ромашка",
        "Качество": "Горячий",
        "Звонок": "05.03.2026 10:30",
        "Бюджет": "300,5",
        "Закрыть": "2026-12-01",
    }
    return list((cells | changed).values())


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off", seed=SEED) as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    """Twenty deals are in the portal; now whatever a file says of them wins."""
    sandbox.reset(SEED)
    desk = Desk(tmp_path, sandbox)
    mapping = desk.file("m.toml", MAPPING)
    ended = desk.run_import(desk.table("first.csv", HEADER, [deal(n) for n in range(1, 21)]), mapping)
    assert (ended.code, ended.result["created"]) == (0, 20), ended
    desk.configure(OVERWRITE)
    return desk


def updates(desk: Desk) -> list[dict[str, Any]]:
    return desk.sandbox.calls(method=UPDATE)


def held(desk: Desk, number: int, select: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = desk.sandbox.state("items", originatorId="old-crm", select=f"originId,{select}")
    return next(item for item in found if item["originId"] == str(number))


def test_the_same_file_again_changes_nothing_whatever_form_the_portal_gives_values(desk: Desk) -> None:
    ended = desk.run_import(desk.folder / "first.csv", desk.folder / "m.toml")
    assert (ended.code, ended.result["updated"], ended.result["skipped"]) == (0, 0, 20), ended
    assert updates(desk) == []


def test_only_changed_fields_of_changed_rows_are_sent_and_new_rows_are_created(desk: Desk) -> None:
    rows = [deal(n) for n in range(1, 21)]
    rows[4] = deal(5, Название="Иначе", Стадия="В работе")
    rows[9] = deal(10, Компания="ООО Новая", Сумма="2000")
    rows.append(deal(21))
    before = held(desk, 10, "id,title,companyId,updatedTime")
    ended = desk.run_import(desk.table("second.csv", HEADER, rows), desk.folder / "m.toml")
    assert (ended.code, ended.result["updated"], ended.result["created"], ended.result["skipped"]) == (0, 2, 1, 18), (
        ended
    )
    assert "1 to create, 2 to update, 18 there" in ended.stderr
    assert "changes: " in ended.stderr and "stageId 1" in ended.stderr
    assert desk.sandbox.figures()["methods"][UPDATE]["ok"] == 2
    after = held(desk, 10, "id,title,companyId,opportunity,isManualOpportunity")
    companies = {company["title"]: company["id"] for company in desk.items(4, "id,title")}
    assert after["id"] == before["id"] and after["companyId"] == companies["ООО Новая"] != before["companyId"]
    assert float(after["opportunity"]) == 2000 and after["isManualOpportunity"] == "Y"
    assert held(desk, 5, "title")["title"] == "Иначе"
    again = desk.run_import(desk.folder / "second.csv", desk.folder / "m.toml")
    assert (again.result["updated"], again.result["skipped"]) == (0, 21), again


def test_the_report_tells_updated_rows_and_a_later_hand_change_is_set_back_by_a_new_run(desk: Desk) -> None:
    rows = [deal(1, Название="Из файла")]
    mapping = desk.folder / "m.toml"
    first = desk.run_import(desk.table("a.csv", HEADER, rows), mapping)
    assert first.result["updated"] == 1
    out = desk.folder / "fates.csv"
    desk.run("import", "report", str(first.result["run"]), out)
    item_id = held(desk, 1, "id")["id"]
    assert f"2,1,updated,{item_id},," in out.read_text(encoding="utf-8")
    desk.sandbox.act("item.edit", entityTypeId=2, id=item_id, fields={"title": "Руками"})
    second = desk.run_import(desk.folder / "a.csv", mapping)
    assert (second.result["updated"], held(desk, 1, "title")["title"]) == (1, "Из файла")


def test_a_large_change_stops_before_the_first_write_and_yes_does_not_override_it(desk: Desk) -> None:
    desk.configure('[import]\nconflict = "overwrite"\nmax_change_share = 0.3')
    rows = [deal(n, Название="Все иначе") for n in range(1, 8)]
    tried = desk.run_import(desk.table("wrong.csv", HEADER, rows), desk.folder / "m.toml", "--dry-run")
    assert tried.code == 0 and "7 of 20 existing items would change (35%): more than" in tried.stderr
    ended = desk.run_import(desk.table("wrong.csv", HEADER, rows), desk.folder / "m.toml")
    assert ended.code == 2, ended
    assert "7 of 20 existing items would change (35%), more than [import] max_change_share = 0.3" in ended.stderr
    assert updates(desk) == []
    few = desk.run_import(desk.table("few.csv", HEADER, rows[:6]), desk.folder / "m.toml")
    assert (few.code, few.result["updated"]) == (0, 6), few


def test_a_dry_run_counts_what_would_change(desk: Desk) -> None:
    file = desk.table("a.csv", HEADER, [deal(1, Сумма="7"), deal(2)])
    ended = desk.run_import(file, desk.folder / "m.toml", "--dry-run")
    assert (ended.code, ended.result["planned"], ended.result["updated"], ended.result["skipped"]) == (0, 1, 0, 1)
    assert updates(desk) == []


def test_an_item_that_somebody_deleted_is_refused_and_told(desk: Desk) -> None:
    desk.sandbox.rest("crm.item.delete", {"entityTypeId": 2, "id": held(desk, 3, "id")["id"]})
    ended = desk.run_import(desk.table("a.csv", HEADER, [deal(3), deal(4)]), desk.folder / "m.toml")
    assert (ended.code, ended.result["refused"], ended.result["skipped"]) == (3, 1, 1), ended
    assert "which somebody deleted in the portal" in ended.stderr


def test_a_stage_of_another_pipeline_than_the_items_is_refused_by_us(desk: Desk) -> None:
    item_id = held(desk, 1, "id")["id"]
    service = next(row["id"] for row in desk.sandbox.state("categories") if row["name"] == "Сервис")
    desk.sandbox.rest("crm.item.update", {"entityTypeId": 2, "id": item_id, "fields": {"categoryId": service}})
    mapping = 'entity = "deal"\noriginator = "old-crm"\nkey = "Id"\n[columns]\n"Стадия" = "stage"\n'
    sent = len(updates(desk))
    file = desk.table("a.csv", ["Id", "Стадия"], [["1", "WON"]])
    ended = desk.run_import(file, desk.file("stage.toml", mapping))
    assert (ended.code, ended.result["refused"]) == (3, 1), ended
    assert "map the pipeline too" in ended.stderr
    assert len(updates(desk)) == sent


def test_what_the_portal_takes_and_does_not_keep_is_refused_after_reading_back(desk: Desk) -> None:
    """A portal that drops an unknown enumeration element answers without an error."""
    desk.sandbox.switch(long_strings="cut")
    long = "Я" * 300
    ended = desk.run_import(
        desk.table("a.csv", HEADER, [deal(1, Название=long), deal(2, Сумма="9")]), desk.folder / "m.toml"
    )
    assert (ended.code, ended.result["updated"], ended.result["refused"]) == (3, 1, 1), ended
    shown = desk.run("import", "show", str(ended.result["run"]))
    assert "NOT_KEPT" in shown.stdout and "title" in shown.stdout


CONTACTS = """
entity = "contact"
originator = "old-crm"
key = "Id"
[columns]
"Имя" = "name"
"Телефон" = { field = "phone", separator = ";" }
"Почта" = "email"
"""


def test_phones_are_added_once_and_those_of_the_portal_stay(desk: Desk) -> None:
    mapping = desk.file("c.toml", CONTACTS)
    header = ["Id", "Имя", "Телефон", "Почта"]
    first = desk.run_import(desk.table("c.csv", header, [["c1", "Анна", "+7 900 111-22-33", "a@example.com"]]), mapping)
    assert first.result["created"] == 1, first
    rows = [["c1", "Анна", "+79001112233; +7 900 444 55 66", "A@example.com"]]
    second = desk.run_import(desk.table("c2.csv", header, rows), mapping)
    assert second.result["updated"] == 1, second
    contact: Any = desk.items(3, "id,fm")[0]
    assert sorted(entry["value"] for entry in contact["fm"]) == [
        "+7 900 111-22-33",
        "+7 900 444 55 66",
        "a@example.com",
    ]
    third = desk.run_import(desk.folder / "c2.csv", mapping)
    assert (third.result["updated"], third.result["skipped"]) == (0, 1), third
