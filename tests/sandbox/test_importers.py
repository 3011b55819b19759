"""Files are recognised and read by the importers, over real HTTP; judged by what the sandbox holds."""

from __future__ import annotations

import csv
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from sandbox_process import PROJECT, SandboxProcess, running_sandbox

from b24sync.importing import export_format as form

SAMPLES = PROJECT / "tests" / "importers"
DEAL, COMPANY, CONTACT, VISIT = 2, 4, 3, 177

SEED: dict[str, Any] = {
    "categories": [{"name": "Продажи", "stages": [{"name": "Новая"}, {"name": "Отказ"}]}],
    "types": [{"entityTypeId": VISIT, "title": "Выезд", "isStagesEnabled": "Y"}],
    "userfields": [
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "SCAN", "USER_TYPE_ID": "file", "LABEL": "Скан", "MULTIPLE": "Y"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "TAGS", "USER_TYPE_ID": "string", "LABEL": "Метки", "MULTIPLE": "Y"},
    ],
}
HEADER = ["ID", "Название сделки", "Стадия сделки", "Ответственный", "Сумма", "Валюта", "Компания", "Товар", "Цена"]
HEADER += ["Количество", "Дата создания", "Дополнительное поле"]


def export_of_two_deals(folder: Path) -> Path:
    """An export of the portal's own, one deal of two products and one without."""
    rows = [
        ["12", "Насосы &quot;Север&quot;", "Новая", "Зайцев Пётр", "1 000,50", "Российский рубль", "ООО Ромашка"],
        ["12", "Насосы &quot;Север&quot;", "Новая", "Зайцев Пётр", "500", "Российский рубль", "ООО Ромашка"],
        ["14", "Вентиляция", "Отказ", "Анна Орлова", "70,00", "Доллар США", ""],
    ]
    products = [["Насос", "500,25", "2"], ["Клапан", "250", "2"], ["", "", ""]]
    lines = [HEADER] + [
        [*row, *product, "12.03.2025 10:00:00", "не переносится"] for row, product in zip(rows, products, strict=True)
    ]
    text = "".join(";".join(f'"{cell}"' for cell in line) + ";\r\n" for line in lines)
    path = folder / "DEAL_20250312.csv"
    path.write_text("\ufeff" + text, encoding="utf-8")
    return path


def product_rows(sandbox: SandboxProcess) -> list[tuple[str, float, float]]:
    """Name, price and quantity of every product row in the portal, in their order."""
    rows = sandbox.state("product_rows", entityTypeId=DEAL)
    return [(row["productName"], float(row["price"]), float(row["quantity"])) for row in rows]


def test_an_export_of_bitrix24_is_recognised_folded_and_written_once_with_its_product_rows(tmp_path: Path) -> None:
    with running_sandbox(scale=60, seed=SEED) as sandbox:
        desk = Desk(tmp_path, sandbox)
        file = export_of_two_deals(tmp_path)
        strict = desk.run("import", "run", file, "--yes", "--strict", "--json")
        assert (strict.code, strict.result["refused"], sandbox.state("items", entityTypeId=DEAL)) == (3, 0, [])
        assert 'column "Дополнительное поле" is not imported' in strict.stderr
        ended = desk.run("import", "run", file, "--yes", "--json")
        assert (ended.code, ended.result["rows"], ended.result["created"]) == (0, 2, 2), ended
        deals = {
            deal["originId"]: deal for deal in desk.items(DEAL, "title,originId,originatorId,opportunity,currencyId")
        }
        assert {key: (deal["title"], float(str(deal["opportunity"]))) for key, deal in deals.items()} == {
            "12": ('Насосы "Север"', 1500.5),
            "14": ("Вентиляция", 70.0),
        }
        assert deals["14"]["currencyId"] == "USD" and deals["12"]["originatorId"] == "bitrix24"
        assert product_rows(sandbox) == [("Насос", 500.25, 2.0), ("Клапан", 250.0, 2.0)]
        again = desk.run("import", "run", file, "--yes", "--json")
        assert (again.code, again.result["skipped"], again.result["created"]) == (0, 2, 0), again
        assert len(product_rows(sandbox)) == 2
        undone = desk.run("import", "undo", str(ended.result["run"]), "--yes", "--json")
        assert (undone.code, product_rows(sandbox)) == (0, []), undone
        assert desk.run("import", "run", file, "--yes", "--json").result["created"] == 2
        assert product_rows(sandbox) == [("Насос", 500.25, 2.0), ("Клапан", 250.0, 2.0)], "lost after an undo"
        assert sandbox.figures()["spec_violations"] == 0


def test_product_rows_whose_answer_is_lost_are_looked_up_and_not_written_twice(tmp_path: Path) -> None:
    with running_sandbox(scale=60, request_cap_s=120, seed=SEED) as sandbox:
        desk = Desk(tmp_path, sandbox)
        sandbox.fault("cut_after", "crm.item.productrow.set", nth=1)
        ended = desk.run("import", "run", export_of_two_deals(tmp_path), "--yes", "--json")
        assert ended.code == 0, ended
        assert [fault["fired"] for fault in sandbox.faults()] == [1], "the fault did not bite"
        assert product_rows(sandbox) == [("Насос", 500.25, 2.0), ("Клапан", 250.0, 2.0)]


@pytest.mark.parametrize("by_hand", [False, True], ids=["lacking", "set by hand meanwhile"])
def test_product_rows_that_the_portal_refuses_are_told_and_set_by_the_same_command_later(
    tmp_path: Path, by_hand: bool
) -> None:
    with running_sandbox(scale=60, request_cap_s=120, seed=SEED) as sandbox:
        desk = Desk(tmp_path, sandbox)
        said = {"code": "", "text": "Access denied.", "which": "one"}
        sandbox.fault("nested_error", "crm.item.productrow.set", nth=1, params=said)
        file = export_of_two_deals(tmp_path)
        ended = desk.run("import", "run", file, "--yes", "--json")
        assert (ended.code, ended.result["created"]) == (3, 2), ended
        fates = tmp_path / "fates.csv"
        assert desk.run("import", "report", str(ended.result["run"]), fates).code == 0
        assert "INCOMPLETE" in fates.read_text(encoding="utf-8") and "Access denied." in fates.read_text(
            encoding="utf-8"
        )
        assert len(product_rows(sandbox)) < 2
        if by_hand:
            row = {"productName": "Вписал сам", "price": 7, "quantity": 1}
            for deal in desk.items(DEAL, "id"):
                sandbox.rest("crm.item.productrow.set", {"ownerType": "D", "ownerId": deal["id"], "productRows": [row]})
        again = desk.run("import", "run", file, "--yes", "--json")
        assert (again.code, again.result["created"], again.result["skipped"]) == (0, 0, 2), again
        ours = [("Насос", 500.25, 2.0), ("Клапан", 250.0, 2.0)]
        assert product_rows(sandbox) == ([("Вписал сам", 7.0, 1.0)] * 2 if by_hand else ours)


def test_our_own_export_goes_back_without_a_difference_and_into_another_portal_with_its_keys(tmp_path: Path) -> None:
    deals = [
        {"title": "Из старой CRM", "categoryId": 1, "originatorId": "old-crm", "originId": "A|7", "opportunity": 100},
        {"title": "Сделана руками", "categoryId": 1, "opportunity": 200},
    ]
    items = [{"entityTypeId": COMPANY, "fields": {"title": "ООО Ромашка"}}]
    items += [{"entityTypeId": DEAL, "fields": deal} for deal in deals]
    with running_sandbox(scale=60, seed={**SEED, "items": items}) as sandbox:
        desk = Desk(tmp_path, sandbox)
        host = sandbox.url.split("/")[2]
        ids = {str(deal["title"]): int(str(deal["id"])) for deal in desk.items(DEAL, "id,title")}
        company = int(str(desk.items(COMPANY, "id")[0]["id"]))

        def exported(whence: str) -> Path:
            header = [form.first_title("deal", whence), "originator", "origin_id", "title", "pipeline", "opportunity"]
            rows = [
                [ids["Из старой CRM"], "old-crm", "A|7", "Из старой CRM", "Продажи", "100", form.link_text(company)],
                [ids["Сделана руками"], "", "", "Сделана руками", "Продажи", "200", ""],
            ]
            return desk.table(f"deals-{whence.replace(':', '-')}.csv", [*header, "company"], rows)

        home = desk.run("import", "run", exported(host), "--yes", "--json")
        assert home.result, home
        assert (home.code, home.result["skipped"], home.result["created"]) == (0, 2, 0), home
        assert len(desk.items(DEAL, "id")) == 2
        foreign = desk.run("import", "run", exported("other.bitrix24.ru"), "--yes", "--json")
        assert (foreign.code, foreign.result["skipped"], foreign.result["refused"]) == (3, 0, 1), foreign
        assert f'company "b24sync:other.bitrix24.ru|{company}"' in foreign.stderr
        pairs = {(deal["originatorId"], deal["originId"]) for deal in desk.items(DEAL, "originatorId,originId")}
        assert ("b24sync:other.bitrix24.ru", str(ids["Сделана руками"])) in pairs and len(pairs) == 3
        again = desk.run("import", "run", exported("other.bitrix24.ru"), "--yes", "--json")
        assert (again.result["skipped"], again.result["created"]) == (1, 0), again


SITE = '''
"""Visits of the field service: CSV, cp1251, `|`."""
from b24sync.importing import Deals, Draft, File, Flag, Link, Person, Phone, Text, Web

class Visits(Deals):
    originator_id, encoding, delimiter = "visits", "cp1251", "|"
    origin_id = Text("Номер")
    title = Text("Тема")
    observers = Person("Наблюдатели", separator=", ")
    parent_id_177 = Link("Выезд", match="origin")
    UF_CRM_TAGS = Text("Метка 1"), Text("Метка 2")
    UF_CRM_SCAN = File("Скан", separator=";")
    constants = {"pipeline": "Продажи", "stage": "Новая"}

    def identify(self, file):
        return file.name.startswith("visits-")

    def amend(self, draft):
        draft.fields["title"] = draft.fields["title"].upper()
        return draft
'''


def test_a_site_importer_fills_observers_parents_files_and_fields_of_several_values(tmp_path: Path) -> None:
    parents = [{"entityTypeId": VISIT, "fields": {"title": "Выезд 5", "xmlId": "visits:V-5"}}]
    with running_sandbox(scale=60, seed={**SEED, "items": parents}) as sandbox:
        desk = Desk(tmp_path, sandbox)
        (tmp_path / "importers").mkdir()
        desk.file("importers/visits.py", SITE)
        desk.file("importers/broken.py", "raise RuntimeError('no such library')")
        for name in ("a.txt", "b.txt"):
            desk.file(name, f"content of {name}")
        (tmp_path.parent / "secret.txt").write_text("not to be sent")
        rows = [
            "Номер|Тема|Наблюдатели|Выезд|Метка 1|Метка 2|Скан",
            "1|осмотр|Пётр Зайцев, m.kuznetsova@example.ru|V-5|срочно|повторно|a.txt;b.txt",
            "2|ремонт|||||",
            "3|замена||V-9|||",
            "4|уборка|||||../secret.txt",
            "5|полив|||||missing.txt",
        ]
        file = tmp_path / "visits-1.csv"
        file.write_bytes("\n".join(rows).encode("cp1251"))
        ended = desk.run("import", "run", file, "--yes", "--json")
        assert (ended.result["created"], ended.result["refused"]) == (2, 3), ended
        assert "broken.py: RuntimeError: no such library" in ended.stderr
        assert 'item:177 "V-9" (origin) is not in the portal' in ended.stderr
        assert "is not below the spreadsheet's folder" in ended.stderr and "does not exist" in ended.stderr
        select = "title,originId,observers,parentId177,UF_CRM_TAGS,UF_CRM_SCAN"
        deals = {deal["originId"]: deal for deal in desk.items(DEAL, select)}
        first = deals["1"]
        assert first["title"] == "ОСМОТР" and first["UF_CRM_TAGS"] == ["срочно", "повторно"]
        assert [int(str(user)) for user in list(first["observers"])] == [3, 5]  # type: ignore[call-overload]
        assert int(str(first["parentId177"])) == int(str(desk.items(VISIT, "id")[0]["id"]))
        assert len(list(first["UF_CRM_SCAN"])) == 2  # type: ignore[call-overload]
        assert "secret" not in str(sandbox.calls())
        assert sandbox.figures()["variables_dropped"] == 0


def test_a_file_that_two_importers_claim_and_one_that_nobody_knows_are_errors_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    with running_sandbox(scale=60, seed=SEED) as sandbox:
        desk = Desk(tmp_path, sandbox)
        (tmp_path / "importers").mkdir()
        desk.file("importers/visits.py", SITE)
        desk.file("importers/visits_too.py", SITE)
        rows = "Номер|Тема|Наблюдатели|Выезд|Метка 1|Метка 2|Скан\n1|осмотр|||||\n"
        both = desk.run("import", "run", desk.file("visits-1.csv", rows), "--yes")
        assert both.code == 78 and "several importers claim it" in both.stderr
        assert "choose one with --importer: visits, visits_too" in both.stderr
        nobody = desk.run("import", "run", desk.file("other.csv", rows), "--yes")
        assert nobody.code == 78 and "no importer knows it" in nobody.stderr
        assert "b24sync import suggest other.csv" in nobody.stderr
        wrong = desk.run("import", "run", desk.file("other.csv", rows), "--importer", "visit", "--yes")
        assert wrong.code == 78 and "There is no importer 'visit'" in wrong.stderr
        (tmp_path / "other.csv").write_bytes(rows.encode("cp1251"))
        one = desk.run("import", "run", tmp_path / "other.csv", "--importer", "visits", "--yes", "--json")
        assert one.result["created"] == 1, one
        assert [call for call in sandbox.calls() if "import" in call["method"]] == [] or len(
            desk.items(DEAL, "id")
        ) == 1


def test_a_mapping_of_the_same_name_beside_the_file_is_used(tmp_path: Path) -> None:
    with running_sandbox(scale=60, seed=SEED) as sandbox:
        desk = Desk(tmp_path, sandbox)
        for name in ("orders.csv", "orders.toml"):
            shutil.copy(SAMPLES / "mapped" / name, tmp_path / name)
        ended = desk.run("import", "run", tmp_path / "orders.csv", "--yes", "--json")
        assert (ended.code, ended.result["created"], ended.result["refused"]) == (3, 1, 2), ended


@pytest.mark.parametrize("sentence", ["Список сделок пуст. Экспортировать нечего.", "No deals to export"])
def test_an_export_without_deals_is_told_as_such(sentence: str, tmp_path: Path) -> None:
    with running_sandbox(scale=60, seed=SEED) as sandbox:
        desk = Desk(tmp_path, sandbox)
        page = f"<html><head><title>x</title></head><body><div>{sentence}</div></body></html>"
        for name, text in (("deals.csv", sentence), ("deals.xls", page)):
            ended = desk.run("import", "run", desk.file(name, text), "--yes")
            assert ended.code == 78 and sentence in ended.stderr, ended
            assert "an export without rows, nothing to import" in ended.stderr


REAL = PROJECT.parent / "shared" / "data" / "bitrix24_exports" / "DEAL_20250304_8f00d3d5_67c700c9da7c0.csv"
FIELDS = {
    "NIVEL": ("string", "Nível de Atendimento"),
    "REASON": ("string", "Motivo do Contato"),
    "DUE": ("datetime", "Prazo de Resolução"),
    "REASON_TEXT": ("string", "Motivo do contato"),
    "VALID": ("boolean", "Procedente?"),
    "CLOSED_AT": ("datetime", "Data Encerramento (Automático)"),
}


@pytest.mark.shared
@pytest.mark.skipif(not REAL.exists(), reason="the real inputs are not beside the project (../shared)")
def test_the_real_export_of_a_portal_in_portuguese_goes_in_whole(tmp_path: Path) -> None:
    with REAL.open(encoding="utf-8-sig", newline="") as stream:
        real = list(csv.DictReader(stream, delimiter=";"))
    names = sorted({row["Responsável"] for row in real})
    seed = {
        "categories": [{"name": "Suporte", "stages": [{"name": one} for one in sorted({row["Fase"] for row in real})]}],
        "users": [
            {
                "ID": 100 + index,
                "NAME": name.split()[0],
                "LAST_NAME": " ".join(name.split()[1:]),
                "EMAIL": f"u{index}@example.com",
            }
            for index, name in enumerate(names)
        ],
        "userfields": [
            {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": code, "USER_TYPE_ID": kind, "LABEL": label}
            for code, (kind, label) in FIELDS.items()
        ],
        "currencies": [{"CURRENCY": "BRL", "FULL_NAME": "Real"}],
    }
    with running_sandbox(plan="off", seed=seed) as sandbox:
        desk = Desk(tmp_path, sandbox)
        ended = desk.run("import", "run", REAL, "--yes", "--json")
        assert (ended.result["rows"], ended.result["created"], ended.result["refused"]) == (800, 800, 0), ended
        left = {line.split('"')[1] for line in ended.stderr.splitlines() if "is not imported" in line}
        assert left == {"Comentários do que foi realizado", "Anexo", "Nome do robô"}
        select = "title,originId,UF_CRM_REASON,UF_CRM_REASON_TEXT,UF_CRM_VALID,UF_CRM_DUE,createdTime"
        held = {str(deal["originId"]): deal for deal in desk.items(DEAL, select)}
        assert held.keys() == {row["ID"] for row in real}
        for row in real:
            deal = held[row["ID"]]
            assert deal["title"] == row["Nome do negócio"]
            assert (deal["UF_CRM_REASON"] or "") == row["Motivo do Contato"]
            assert (deal["UF_CRM_REASON_TEXT"] or "") == row["Motivo do contato"]
            day, month, year = row["Criado"][:10].split("/")
            assert str(deal["createdTime"]).startswith(f"{year}-{month}-{day}")
        assert sandbox.figures()["variables_dropped"] == 0


@pytest.mark.waits
def test_items_of_a_killed_command_get_their_product_rows_from_the_corrected_file(tmp_path: Path) -> None:
    header = ["ID", "Название сделки", "Стадия сделки", "Ответственный", "Товар", "Цена", "Количество"]
    lines = [[str(n), f"Сделка {n}", "Новая", "Анна Орлова", f"Товар {n}", "10", str(n)] for n in range(1, 201)]
    slow = dict.fromkeys(("crm.item.import", "crm.item.batchImport"), 1.8)
    with running_sandbox(scale=60, request_cap_s=120, seed=SEED, costs=slow) as sandbox:
        # Each row has an answer of its own: what is made is known to be before the next are sent.
        desk = Desk(tmp_path, sandbox, '[import]\nway = "single_import"')
        running = desk.start("import", "run", desk.table("deals.csv", header, lines), "--yes", "--json")
        until = time.monotonic() + 60
        while running.alive and desk.made("deal@bitrix24") < 20 and time.monotonic() < until:
            time.sleep(0.02)
        assert running.kill(), "the kill came too late"
        assert sandbox.wait_idle()
        assert desk.made("deal@bitrix24") >= 20
        assert len(desk.items(DEAL, "id")) < 200 and product_rows(sandbox) == []
        corrected = desk.table("corrected.csv", header, [*lines, ["201", *lines[0][1:]]])
        ended = desk.run("import", "run", corrected, "--yes", "--json")
        assert ended.code == 0, ended
        assert len(desk.items(DEAL, "id")) == 201
        assert len(product_rows(sandbox)) == 201


@pytest.mark.waits
def test_product_rows_are_set_once_each_whatever_kills_the_command(tmp_path: Path) -> None:
    header = ["ID", "Название сделки", "Стадия сделки", "Ответственный", "Товар", "Цена", "Количество"]
    lines = [[str(n), f"Сделка {n}", "Новая", "Анна Орлова", f"Товар {n}", "10", str(n)] for n in range(1, 201)]
    with running_sandbox(scale=60, request_cap_s=120, seed=SEED, costs={"crm.item.productrow.set": 1.2}) as sandbox:
        desk = Desk(tmp_path, sandbox)
        file = desk.table("deals.csv", header, lines)
        killed = 0
        for wanted in (30, 110, 190):
            running = desk.start("import", "run", file, "--yes", "--json")
            until = time.monotonic() + 60
            while running.alive and len(product_rows(sandbox)) < wanted and time.monotonic() < until:
                time.sleep(0.02)
            killed += running.kill()
        assert killed >= 2, "the kills came too late"
        ended = desk.run("import", "run", file, "--yes", "--json")
        assert ended.code == 0, ended
        assert len(desk.items(DEAL, "id")) == 200
        assert sorted(product_rows(sandbox)) == sorted((f"Товар {n}", 10.0, float(n)) for n in range(1, 201))
        sets = [row for call in sandbox.calls() for row in call["nested"] if row[1] == "crm.item.productrow.set"]
        assert len(sets) >= 200
