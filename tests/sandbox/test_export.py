"""`b24sync export`: complete, booked at the gate, and read back without a difference. Judged by the sandboxes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from sandbox_process import SandboxProcess, running_sandbox

VISIT = 1032
SEED: dict[str, Any] = {
    "categories": [{"name": "Продажи", "stages": [{"name": "Новая"}, {"name": "В работе"}, {"name": "В работе"}]}],
    "users": [
        {"ID": 71, "NAME": "Вера", "LAST_NAME": "Зимина", "EMAIL": "vera@example.com", "ACTIVE": True},
        {"ID": 72, "NAME": "Глеб", "LAST_NAME": "Уволенный", "EMAIL": "gleb@example.com", "ACTIVE": False},
    ],
    "userfields": [
        {
            "ENTITY_ID": "CRM_DEAL",
            "FIELD_NAME": "QUALITY",
            "USER_TYPE_ID": "enumeration",
            "MULTIPLE": "Y",
            "LIST": [{"VALUE": "Горячий"}, {"VALUE": "Холодный"}],
        },
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "CALL_AT", "USER_TYPE_ID": "datetime"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "BUDGET", "USER_TYPE_ID": "money"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "KEEPER", "USER_TYPE_ID": "employee"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "VIP", "USER_TYPE_ID": "boolean"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "NOTES", "USER_TYPE_ID": "string", "MULTIPLE": "Y"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "SCAN", "USER_TYPE_ID": "file"},
    ],
    "types": [{"entityTypeId": VISIT, "title": "Выезд", "isStagesEnabled": "Y"}],
}
OVERWRITE = '[import]\nconflict = "overwrite"'


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(plan="off", seed=SEED) as running:
        yield running


@pytest.fixture
def desk(sandbox: SandboxProcess, tmp_path: Path) -> Desk:
    sandbox.reset(SEED)
    return Desk(tmp_path, sandbox)


def fill(sandbox: SandboxProcess) -> None:
    """A company, two contacts, three deals with everything that a deal can hold, one of them by hand."""

    def added(entity_type_id: int, **fields: Any) -> int:
        answer = sandbox.rest(
            "crm.item.add", {"entityTypeId": entity_type_id, "useOriginalUfNames": "Y", "fields": fields}
        )
        assert "result" in answer, answer
        return int(answer["result"]["item"]["id"])

    elements = {
        element["VALUE"]: int(element["ID"])
        for field in [
            sandbox.rest("crm.item.fields", {"entityTypeId": 2, "useOriginalUfNames": "Y"})["result"]["fields"]
        ]
        for element in field["UF_CRM_QUALITY"]["items"]
    }
    company = added(4, title="ООО «Ромашка»", originatorId="old", originId="k-1")
    phones = [
        {"typeId": "PHONE", "valueType": "MOBILE", "value": "+7 900 111-22-33"},
        {"typeId": "PHONE", "valueType": "WORK", "value": "8 495 1"},
        {"typeId": "EMAIL", "valueType": "HOME", "value": "anna@example.com"},
    ]
    contact = added(3, name="Анна", lastName="Ким", fm=phones, companyIds=[company], post="=1+1")
    other = added(3, name="Пётр", originatorId="old", originId="c|%2")
    category = next(row["id"] for row in sandbox.state("categories") if row["name"] == "Продажи")
    stages = [row for row in sandbox.state("stages") if row["name"] == "В работе" and row["status_id"][:2] == "C1"]
    deal = added(
        2,
        title='Сделка "первая"',
        categoryId=category,
        stageId=stages[1]["status_id"],
        opportunity=1500.5,
        currencyId="RUB",
        isManualOpportunity="Y",
        companyId=company,
        contactIds=[other, contact],
        assignedById=72,
        observers=[71, 1],
        comments="Две\nстроки; \\n и [B]жирно[/B]",
        begindate="2026-02-03",
        originatorId="old",
        originId="1",
        UF_CRM_QUALITY=list(elements.values()),
        UF_CRM_CALL_AT="2026-03-05T10:30:00+03:00",
        UF_CRM_BUDGET="300.5|RUB",
        UF_CRM_KEEPER=71,
        UF_CRM_VIP="Y",
        UF_CRM_NOTES=["а", "б\nв"],
    )
    rows = [
        {"productName": "Монтаж", "price": 700.25, "quantity": 2},
        {"productName": "Доставка", "price": 100, "quantity": 1, "discountTypeId": 1, "discountSum": 10},
    ]
    answer = sandbox.rest("crm.item.productrow.set", {"ownerType": "D", "ownerId": deal, "productRows": rows})
    assert "result" in answer, answer
    added(1, title="Лид", name="Олег", fm=phones[:1], opportunity=10)
    added(VISIT, title="Выезд 1", xmlId="v-1")
    added(VISIT, title="Выезд 2")
    added(2, title="Пустая")
    added(2, title="007")


ADDRESSES = [
    (4, "k-1", 6, {"ADDRESS_1": "ул. Мира, 5", "ADDRESS_2": "оф. 7", "CITY": "Пермь", "POSTAL_CODE": "614000"})
]
ADDRESSES += [(3, "c|%2", 11, {"ADDRESS_1": "Садовая 1"}), (3, "c|%2", 1, {"CITY": "Тула", "COUNTRY": "Россия"})]


def give_addresses(sandbox: SandboxProcess) -> None:
    """One to the company, in the portal's own way; two to a contact, on two requisites."""
    for entity_type_id, origin_id, type_id, parts in ADDRESSES:
        asked = {"entityTypeId": entity_type_id, "filter": {"originId": origin_id}}
        item = sandbox.rest("crm.item.list", asked)["result"]["items"][0]["id"]
        owner = {"ENTITY_TYPE_ID": entity_type_id, "ENTITY_ID": item, "PRESET_ID": 1, "NAME": "x"}
        requisite = sandbox.rest("crm.requisite.add", {"fields": owner})["result"]
        place = {"TYPE_ID": type_id, "ENTITY_TYPE_ID": 8, "ENTITY_ID": requisite}
        assert sandbox.rest("crm.address.add", {"fields": {**place, **parts}})["result"] is True


def exported(desk: Desk, entity: str, name: str, *more: str) -> list[dict[str, str]]:
    ended = desk.run("export", entity, desk.folder / name, "--json", *more)
    assert ended.code == 0 and "crm.item" not in ended.stderr, ended
    with (desk.folder / name).open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert ended.result["rows"] == len(rows)
    return rows


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_an_export_read_back_into_its_portal_is_no_difference(desk: Desk, ending: str) -> None:
    """In CSV of every kind of item, in a workbook of deals: the cells are the same texts."""
    fill(desk.sandbox)
    give_addresses(desk.sandbox)
    desk.configure(OVERWRITE)
    before = desk.sandbox.figures()["items"]
    counts = {"company": 1, "contact": 2, "lead": 1, f"item:{VISIT}": 2, "deal": 3}
    for entity, count in counts.items() if ending == "csv" else [("deal", 3)]:
        out = desk.folder / f"{entity.replace(':', '-')}.{ending}"
        assert desk.run("export", entity, out).code == 0
        ended = desk.run("import", "run", out, "--yes", "--json")
        assert (ended.code, ended.result["skipped"]) == (0, count), ended
        assert ended.result["created"] == ended.result["updated"] == 0
        assert "stay as they are" not in ended.stderr
    assert desk.sandbox.figures()["items"] == before
    assert "crm.item.update" not in desk.sandbox.figures()["methods"]


def test_a_product_row_that_is_changed_in_the_export_changes_in_the_portal(desk: Desk) -> None:
    fill(desk.sandbox)
    desk.configure('[import]\nconflict = "overwrite"\nmax_change_share = 1.0')
    exported(desk, "deal", "deal.csv")
    text = (desk.folder / "deal.csv").read_text(encoding="utf-8-sig")
    (desk.folder / "deal.csv").write_text(text.replace("700.25", "701"), encoding="utf-8-sig")
    ended = desk.run("import", "run", desk.folder / "deal.csv", "--yes", "--json")
    assert (ended.code, ended.result["updated"], ended.result["skipped"]) == (0, 1, 2), ended
    assert "changes: productRows 1" in ended.stderr
    deal = next(item["id"] for item in desk.items(2, "id,originId") if item["originId"] == "1")
    listed = desk.sandbox.rest("crm.item.productrow.list", {"filter": {"=ownerType": "D", "=ownerId": deal}})
    assert [row["price"] for row in listed["result"]["productRows"]] == [701, 100]
    again = desk.run("import", "run", desk.folder / "deal.csv", "--yes", "--json")
    assert (again.result["updated"], again.result["skipped"]) == (0, 3), again


def test_a_deal_of_more_product_rows_than_a_page_keeps_them_all(desk: Desk) -> None:
    """Exported, changed in one row and written back; the answer to that is lost, and it is found, not sent again."""
    fill(desk.sandbox)
    desk.configure('[import]\nconflict = "overwrite"\nmax_change_share = 1.0')
    deal = next(item["id"] for item in desk.items(2, "id,originId") if item["originId"] == "1")
    rows = [{"productName": f"Товар {n}", "price": n, "quantity": 1, "sort": 10 * n} for n in range(1, 61)]
    desk.sandbox.rest("crm.item.productrow.set", {"ownerType": "D", "ownerId": deal, "productRows": rows})
    text = next(row["product_rows"] for row in exported(desk, "deal", "deal.csv") if row["origin_id"] == "1")
    assert [row["price"] for row in json.loads(text)] == [row["price"] for row in rows]
    same = desk.run("import", "run", desk.folder / "deal.csv", "--yes", "--json")
    assert (same.result["updated"], same.result["skipped"]) == (0, 3), same
    table = (desk.folder / "deal.csv").read_text(encoding="utf-8-sig")
    (desk.folder / "deal.csv").write_text(table.replace('Товар 7"', 'Товар семь"'), encoding="utf-8-sig")
    desk.sandbox.fault("cut_after", "crm.item.productrow.set")
    ended = desk.run("import", "run", desk.folder / "deal.csv", "--yes", "--json")
    assert (ended.code, ended.result["updated"]) == (0, 1), ended
    assert desk.sandbox.faults()[-1]["fired"] == 1
    written = [row for call in desk.sandbox.calls() for row in call["nested"] if row[1] == "crm.item.productrow.set"]
    assert len(written) == 1
    pages = [
        desk.sandbox.rest(
            "crm.item.productrow.list", {"filter": {"=ownerType": "D", "=ownerId": deal}, "start": start}
        )["result"]["productRows"]
        for start in (0, 50)
    ]
    names = [row["productName"] for page in pages for row in page]
    assert len(names) == 60 and names.count("Товар семь") == 1


def test_more_product_rows_than_a_call_carries_are_told_and_those_of_the_portal_stay(desk: Desk) -> None:
    fill(desk.sandbox)
    desk.configure('[import]\nconflict = "overwrite"\nmax_change_share = 1.0')
    exported(desk, "deal", "deal.csv")
    table = (desk.folder / "deal.csv").read_text(encoding="utf-8-sig")
    with (desk.folder / "deal.csv").open(encoding="utf-8-sig", newline="") as stream:
        cell = next(row["product_rows"] for row in csv.DictReader(stream) if row["origin_id"] == "1")
    many = json.dumps(json.loads(cell) * 60, ensure_ascii=False)
    before, after = (text.replace('"', '""') for text in (cell, many))
    assert before in table
    (desk.folder / "deal.csv").write_text(table.replace(before, after), encoding="utf-8-sig")
    ended = desk.run("import", "run", desk.folder / "deal.csv", "--yes", "--json")
    assert ended.code == 3, ended
    assert desk.sandbox.figures()["variables_dropped"] == 0
    deal = next(item["id"] for item in desk.items(2, "id,originId") if item["originId"] == "1")
    listed = desk.sandbox.rest("crm.item.productrow.list", {"filter": {"=ownerType": "D", "=ownerId": deal}})
    assert len(listed["result"]["productRows"]) == 2
    desk.run("import", "report", str(ended.result["run"]), desk.folder / "fates.csv")
    told = (desk.folder / "fates.csv").read_text(encoding="utf-8")
    assert "INCOMPLETE" in told and "120 rows are" in told and "set them by hand" in told


def test_an_export_read_into_another_portal_makes_the_same_items_once(desk: Desk, tmp_path: Path) -> None:
    fill(desk.sandbox)
    give_addresses(desk.sandbox)
    desk.configure("")
    with running_sandbox(plan="off", seed=SEED) as other:
        (tmp_path / "other").mkdir()
        there = Desk(tmp_path / "other", other)
        for entity in ("company", "contact", "deal"):
            rows = exported(desk, entity, f"{entity}.csv")
            ended = there.run("import", "run", desk.folder / f"{entity}.csv", "--yes", "--json")
            assert (ended.code, ended.result["created"]) == (0, len(rows)), ended
            again = there.run("import", "run", desk.folder / f"{entity}.csv", "--yes", "--json")
            assert (again.result["created"], again.result["skipped"]) == (0, len(rows)), again
        for entity in ("company", "contact", "deal"):
            ours = [comparable(row) for row in exported(desk, entity, f"{entity}.csv")]
            theirs = [comparable(row) for row in exported(there, entity, f"{entity}.csv")]
            assert theirs == ours
        assert other.figures()["duplicates_total"] == 0
        # An import gives an item one address; the contact's oldest is for deliveries.
        told = [(row["ADDRESS_1"], row["CITY"], row["TYPE_ID"]) for row in addresses(other)]
        assert told == [("ул. Мира, 5", "Пермь", "6"), ("Садовая 1", None, "11")]
        assert "a row holds one address: 1 more" in desk.run("export", "contact", desk.folder / "more.csv").stderr


def addresses(sandbox: SandboxProcess) -> list[dict[str, Any]]:
    return list(sandbox.rest("crm.address.list", {"order": {"ENTITY_ID": "ASC"}})["result"])


def comparable(row: dict[str, str]) -> dict[str, Any]:
    """A row without what another portal must have of its own: ids, keys of what had none, times of change."""
    own = {"originator", "origin_id", "updated_time", "updated_by", "moved_time", "moved_by", "created_by"}
    cells = {name: cell for name, cell in row.items() if name not in own and not name.startswith("b24sync:")}
    for name in ("company", "companies", "contact"):
        if name in cells:
            cells[name] = str(len(cells[name].splitlines()))
    return {**cells, "product_rows": json.loads(row.get("product_rows") or "[]")}


def test_a_long_list_is_complete_and_every_request_is_booked(desk: Desk) -> None:
    header, rows = ["Id", "Название"], [[str(n), f"Сделка {n}"] for n in range(1, 321)]
    mapping = desk.file("m.toml", 'entity = "deal"\noriginator = "x"\nkey = "Id"\n[columns]\n"Название" = "title"\n')
    assert desk.run_import(desk.table("d.csv", header, rows), mapping).code == 0
    before = len(desk.sandbox.calls())
    found = exported(desk, "deal", "deals.csv")
    assert [row["title"] for row in found] == [row[1] for row in rows]
    assert [row["origin_id"] for row in found] == [row[0] for row in rows]
    asked = desk.sandbox.calls()[before:]
    assert {call["method"] for call in asked} <= {"batch", "crm.item.list"}
    gate = json.loads(desk.run("gate", "--json").stdout)
    methods = {method["method"] for method in gate["methods"]}
    assert {"crm.item.list", "crm.item.productrow.list"} <= methods


def test_filters_speak_the_words_of_the_portal(desk: Desk) -> None:
    fill(desk.sandbox)
    assert [row["title"] for row in exported(desk, "deal", "a.csv", "--filter", "stage=В работе")] == [
        'Сделка "первая"'
    ]
    both = ("--filter", "opportunity>=1000", "--filter", "UF_CRM_KEEPER=Зимина Вера")
    refused = desk.run(
        "export", "deal", desk.folder / "b.csv", "--filter", "stage=В роботе", "--filter", "oportunity=1"
    )
    assert refused.code == 78 and "nearest: В работе" in refused.stderr and "nearest: opportunity" in refused.stderr
    assert not (desk.folder / "b.csv").exists()
    assert len(exported(desk, "deal", "c.csv", *both[:2])) == 1
    assert len(exported(desk, "deal", "d.csv", "--filter", "assigned_by!=gleb@example.com")) == 2


def test_a_file_that_cannot_be_written_is_told_before_anything_is_read(desk: Desk) -> None:
    ended = desk.run("export", "deal", desk.folder / "nowhere" / "deals.xlsx")
    assert ended.code == 78 and "cannot be written: No such file" in ended.stderr, ended


def test_a_smart_process_without_pipelines_is_exported_and_one_that_is_not_there_is_told(desk: Desk) -> None:
    fill(desk.sandbox)
    said = {"code": "ENTITY_TYPE_NOT_SUPPORTED", "text": "Entity type is not supported", "which": "one"}
    desk.sandbox.fault("nested_error", "crm.category.list", nth=1, params=said)
    assert len(exported(desk, f"item:{VISIT}", "visits.csv")) == 2
    assert desk.sandbox.faults()[-1]["fired"] == 1
    missing = desk.run("export", "item:998", desk.folder / "none.csv")
    assert missing.code == 78 and ". There is no smart process 998: its number" in missing.stderr, missing


def test_a_request_that_breaks_costs_no_row(desk: Desk) -> None:
    header, rows = ["Id", "Название"], [[str(n), f"Сделка {n}"] for n in range(1, 171)]
    mapping = desk.file("m.toml", 'entity = "deal"\noriginator = "x"\nkey = "Id"\n[columns]\n"Название" = "title"\n')
    assert desk.run_import(desk.table("d.csv", header, rows), mapping).code == 0
    desk.sandbox.fault("cut_after", "crm.item.list", nth=2)
    desk.sandbox.fault("nested_429", "crm.item.list", nth=3, params={"which": "one"})
    desk.sandbox.fault("truncate", "crm.item.productrow.list", nth=1)
    found = exported(desk, "deal", "deals.csv")
    assert sum(fault["fired"] > 0 for fault in desk.sandbox.faults()) >= 2
    assert len({row["title"] for row in found}) == len(found) == 170
