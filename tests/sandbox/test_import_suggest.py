"""A mapping is guessed from titles, values and the portal; it can be used as it is, and says where to look."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from forked_process import CliProcess
from sandbox_process import PROJECT, running_sandbox

from b24sync.importing.mapping import parse_mapping

SEED: dict[str, Any] = {
    "categories": [{"name": "Монтаж", "stages": [{"name": "Заявка"}, {"name": "Выезд"}, {"name": "Сдано"}]}],
    "userfields": [
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "SEGMENT", "USER_TYPE_ID": "enumeration", "LABEL": "Сегмент рынка",
         "LIST": [{"VALUE": "Опт"}, {"VALUE": "Розница"}]},
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "CALL", "USER_TYPE_ID": "date", "LABEL": "Перезвонить"},
    ],
}  # fmt: skip
HEADER = ["Код", "Заказ", "Фаза работ", "Менеджер", "Бюджет", "Заведено", "Группа", "Перезвонить", "Контакт", "Прочее"]
ROWS = [
    [
        "A-1",
        "Насосы",
        "Заявка",
        "Пётр Зайцев",
        "1 200,50 руб.",
        "03/25/2025 10:15",
        "Опт",
        "01.04.2025",
        "i@example.ru",
    ],
    ["A-2", "Клапаны", "Выезд", "Мария Кузнецова", "800 руб.", "03/26/2025 11:00", "Розница", "", "m@example.ru"],
    ["A-3", "Вентили", "Сдано", "Кто Неизвестный", "15,00 руб.", "03/27/2025 09:30", "Опт", "02.04.2025", ""],
]


def marked(text: str) -> dict[str, str]:
    """Column -> reason of every doubtful line."""
    return dict(re.findall(r'^"?([^"=\n]+?)"? = .*?  # \? (.*)$', text, re.M))


def test_titles_values_and_the_portal_make_a_mapping_that_imports(tmp_path: Path) -> None:
    with running_sandbox(scale=60, seed=SEED) as sandbox:
        desk = Desk(tmp_path, sandbox)
        file = desk.table("заказы.csv", HEADER, [[*ROWS[0], "?"], [], *([*row, "?"] for row in ROWS[1:])])
        ended = desk.run("import", "suggest", file)
        assert ended.code == 0, ended
        raw = tomllib.loads(ended.stdout)
        columns = raw["columns"]
        assert raw["key"] == "Код" and raw["constants"] == {"pipeline": "Монтаж", "currency": "RUB"}
        assert columns["Заказ"] == "title" and columns["Фаза работ"] == "stage" and columns["Менеджер"] == "assigned_by"
        assert columns["Бюджет"] == {"field": "opportunity", "decimal": ","}
        assert columns["Заведено"] == "-" and columns["Группа"] == "UF_CRM_SEGMENT"
        assert columns["Перезвонить"] == "UF_CRM_CALL" and columns["Прочее"] == "-"
        doubts = marked(ended.stdout)
        assert {"Фаза работ", "Менеджер", "Группа", "Контакт", "Прочее", "entity"} <= set(doubts)
        assert {"Заказ", "Бюджет", "Перезвонить", "key"}.isdisjoint(doubts)
        assert "Кто Неизвестный" in doubts["Менеджер"] and "67%" in doubts["Менеджер"]
        mapping = desk.file("orders.toml", ended.stdout)
        run = desk.run_import(file, mapping)
        assert (run.result["created"], run.result["refused"]) == (2, 2), run


def test_without_a_portal_titles_and_values_have_to_do(tmp_path: Path) -> None:
    file = tmp_path / "leads.csv"
    file.write_text("№;ФИО;Почта клиента;Тел.\n1;Иван Ветров;i@example.ru;+7 900 000-00-01\n", encoding="utf-8")
    process = CliProcess(["import", "suggest", file, "--entity", "contact"], cwd=tmp_path)
    stdout, stderr = process.communicate(60)
    assert process.returncode == 0, stderr
    assert "could not be compared" in stderr
    mapping = parse_mapping(stdout, name="suggested")
    assert mapping.entity == "contact" and mapping.key == "№"
    assert (
        mapping.columns["Почта клиента"].field == "email" and "by its values alone" in marked(stdout)["Почта клиента"]
    )
    assert mapping.columns["Тел."].field == "phone" and "Тел." not in marked(stdout)


@pytest.mark.parametrize("title", ["Название", "Name"])
def test_the_plainest_word_for_a_title_is_one(title: str, tmp_path: Path) -> None:
    file = tmp_path / "deals.csv"
    file.write_text(f"Id;{title};Сумма\n1;Насосы;5\n", encoding="utf-8")
    process = CliProcess(["import", "suggest", file], cwd=tmp_path)
    stdout, stderr = process.communicate(60)
    assert process.returncode == 0, stderr
    assert parse_mapping(stdout, name="suggested").columns[title].field == "title" and title not in marked(stdout)


@pytest.mark.parametrize(
    "sample", sorted((PROJECT / "tests" / "importers").glob("*/*.csv")), ids=lambda path: path.name
)
def test_what_is_suggested_for_any_file_is_a_valid_mapping_that_mentions_every_column(
    sample: Path, tmp_path: Path
) -> None:
    from b24sync.importing.source import open_source
    from b24sync.importing.suggest import Suggestion

    with open_source(sample) as source:
        text = "\n".join(Suggestion(source).lines(sample.name))
        mapping = parse_mapping(text, name=sample.name)
        titles = {title for title in source.header if source.header.count(title) == 1 and title}
        assert titles <= set(mapping.columns)
