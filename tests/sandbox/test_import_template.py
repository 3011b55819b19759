"""A template is made from the live portal, filled in, and imported as it is."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from python_calamine import CalamineWorkbook
from sandbox_process import running_sandbox

SEED: dict[str, Any] = {
    "categories": [{"name": "Монтаж", "stages": [{"name": "Заявка"}, {"name": "Выезд"}]}],
    "types": [{"entityTypeId": 177, "title": "Выезд", "isStagesEnabled": "Y"}],
    "userfields": [
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "KIND", "USER_TYPE_ID": "enumeration", "LABEL": "Тип",
         "LIST": [{"VALUE": "Опт"}, {"VALUE": "Розница"}]},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "CALL", "USER_TYPE_ID": "datetime", "LABEL": "Дата перезвона"},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "SCAN", "USER_TYPE_ID": "file", "LABEL": "Договор"},
    ],
}  # fmt: skip
ENTITIES = {"deal": 2, "lead": 1, "contact": 3, "company": 4, "item:177": 177}


def filled(out: Path, folder: Path) -> Path:
    """The template with one row of the examples that its second sheet gives."""
    import xlsxwriter

    book = CalamineWorkbook.from_path(str(out))
    data, told, mapping = (book.get_sheet_by_index(index).to_python() for index in (0, 1, 3))
    examples = {str(row[0]): str(row[2]) for row in told[1:]}
    assert [str(title) for title in data[0]] == list(examples), "a column is not explained"
    assert len(data) == 1
    copy = folder / "filled.xlsx"
    with xlsxwriter.Workbook(str(copy)) as again:
        row: list[Any] = [examples[str(title)] for title in data[0]]
        sheets: dict[str, list[list[Any]]] = {"Данные": [data[0], row], "Пояснения": told}
        for name, rows in sheets.items():
            sheet = again.add_worksheet(name)
            for index, cells in enumerate(rows):
                sheet.write_row(index, 0, [str(cell) for cell in cells])
        sheet = again.add_worksheet("b24sync")
        sheet.very_hidden()
        sheet.write_column(0, 0, [str(row[0]) for row in mapping])
    return copy


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_template_filled_in_with_its_own_examples_is_imported_unchanged(entity: str, tmp_path: Path) -> None:
    with running_sandbox(scale=60, seed=SEED) as sandbox:
        desk = Desk(tmp_path, sandbox)
        (tmp_path / "договоры").mkdir()
        (tmp_path / "договоры" / "1.pdf").write_bytes(b"%PDF-1.4 contract")
        out = tmp_path / "template.xlsx"
        made = desk.run("import", "template", entity, out)
        assert made.code == 0, made
        empty = desk.run("import", "run", out, "--yes", "--json")
        assert (empty.code, empty.result["rows"]) == (0, 0), empty
        assert "crm.requisite.preset.list" not in sandbox.figures()["methods"], "asked for where no row has an address"
        ended = desk.run("import", "run", filled(out, tmp_path), "--yes", "--json")
        assert (ended.code, ended.result["created"]) == (0, 1), ended
        held = list(sandbox.state("items", entityTypeId=ENTITIES[entity]))
        assert len(held) == 1
        if entity == "deal":
            assert (held[0]["title"], float(held[0]["opportunity"])) == ("Насосы для котельной", 150000.0)
            assert held[0]["UF_CRM_SCAN"] and held[0]["UF_CRM_KIND"], held[0]
            assert len(sandbox.state("product_rows", entityTypeId=2)) == 1
        if entity == "contact":
            assert (held[0]["name"], held[0]["lastName"]) == ("Иван", "Ветров")
        if entity in ("contact", "company"):
            (address,) = sandbox.rest("crm.address.list", {})["result"]
            assert (address["TYPE_ID"], address["CITY"], address["POSTAL_CODE"]) == ("1", "Ялуторовск", "627010")
        assert sandbox.figures()["variables_dropped"] == 0


def test_a_template_has_the_portals_titles_and_drop_downs_of_what_is_live(tmp_path: Path) -> None:
    with running_sandbox(scale=60, seed=SEED) as sandbox:
        desk = Desk(tmp_path, sandbox)
        out = tmp_path / "deals.xlsx"
        assert desk.run("import", "template", "deal", out).code == 0
        book = CalamineWorkbook.from_path(str(out))
        titles = [str(title) for title in book.get_sheet_by_index(0).to_python()[0]]
        assert titles[0] == "Номер строки (ключ)" and len(set(titles)) == len(titles)
        assert {"Тип", "Тип (UF_CRM_KIND)", "Дата перезвона"} <= set(titles)
        lists = {str(cell) for row in book.get_sheet_by_name("b24sync lists").to_python() for cell in row}
        assert {"Монтаж", "Заявка", "Выезд", "Пётр Зайцев", "Опт", "Розница", "Звонок", "RUB"} <= lists
        assert "Дмитрий Фёдоров" not in lists, "a dismissed user is offered"
        with zipfile.ZipFile(out) as archive:
            sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        assert sheet.count("<dataValidation ") >= 8
        assert "'b24sync lists'!$" in sheet
        wrong = desk.run("import", "template", "deals", out)
        assert wrong.code == 2 and "ENTITY is deal, lead" in wrong.stderr
