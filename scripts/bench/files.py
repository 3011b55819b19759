"""Spreadsheets to import: deals with eighteen columns such as a client's CRM exports."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

COLUMNS = (
    "Id",
    "Название",
    "Стадия",
    "Сумма",
    "Валюта",
    "Ответственный",
    "Источник",
    "Тип",
    "Вероятность",
    "Начало",
    "Срок",
    "Создана",
    "Открыта",
    "Комментарий",
    "Кампания",
    "Канал",
    "Откуда",
    "Заметка",
)
KEY = "Id"
ORIGINATOR = "bench"
STAGES = ("Новая", "Подготовка документов", "В работе", "Сделка успешна", "Сделка провалена")
OWNERS = ("Пётр Зайцев", "Мария Кузнецова", "Иван Соколов", "Анна Орлова")
SOURCES = ("Звонок", "Веб-сайт", "Реклама", "По рекомендации", "Выставка")
TYPES = ("Продажа", "Услуга", "Сервисное обслуживание")
FIRST_DAY = datetime(2022, 1, 10, 9, 0)

MAPPING = """entity = "deal"
originator = "bench"
key = "Id"
[columns]
"Название" = "title"
"Стадия" = "stage"
"Сумма" = { field = "opportunity", decimal = "," }
"Валюта" = "currency"
"Ответственный" = "assigned_by"
"Источник" = "source"
"Тип" = "type"
"Вероятность" = "probability"
"Начало" = { field = "begin_date", format = "%d.%m.%Y" }
"Срок" = { field = "close_date", format = "%d.%m.%Y" }
"Создана" = "-"
"Открыта" = "opened"
"Комментарий" = "comments"
"Кампания" = "utm_campaign"
"Канал" = "utm_medium"
"Откуда" = "source_description"
"Заметка" = "additional_info"
[constants]
pipeline = "Общая"
"""
"""No creation times: imports that send them go one after the other."""


def rows(count: int, *, first: int = 1, seed: int = 7) -> Iterator[list[str]]:
    """`count` rows as text; ids go up from `first`, so files with other firsts share no key."""
    pick = random.Random(seed + first)
    for number in range(first, first + count):
        begun = FIRST_DAY + timedelta(minutes=pick.randrange(1_500_000))
        yield [
            f"B{number:08}",
            f"Поставка оборудования № {number}, объект «{pick.choice(('Север', 'Юг', 'Центр'))}»",
            pick.choice(STAGES),
            f"{pick.randrange(1_000, 900_000)},{pick.randrange(100):02}",
            "RUB",
            pick.choice(OWNERS),
            pick.choice(SOURCES),
            pick.choice(TYPES),
            str(pick.randrange(0, 101, 10)),
            f"{begun:%d.%m.%Y}",
            f"{begun + timedelta(days=pick.randrange(5, 90)):%d.%m.%Y}",
            f"{begun:%d.%m.%Y %H:%M}",
            pick.choice(("да", "нет")),
            pick.choice(("", "", "Перезвонить после обеда", "Оплата: 50 % аванс / 50 % по факту")),
            pick.choice(("", "весна-2024", "осень-2024")),
            pick.choice(("cpc", "email", "organic")),
            f"форма {pick.randrange(1, 40)} на сайте",
            f"перенесено из старой CRM, карточка {number * 37 % 1_000_003}",
        ]


def write_csv(path: Path, count: int, *, first: int = 1) -> Path:
    """A CSV in UTF-8."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows(count, first=first))
    return path


def write_xlsx(path: Path, count: int) -> Path:
    """A workbook with shared strings, as Excel writes it; made in a process of its own, so that its memory goes."""
    process = get_context("spawn").Process(target=_write_xlsx, args=(path, count))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"{path} could not be written")
    return path


def _write_xlsx(path: Path, count: int) -> None:
    from xlsxwriter import Workbook

    with Workbook(str(path)) as book:
        sheet = book.add_worksheet("Сделки")
        sheet.write_row(0, 0, COLUMNS)
        for number, row in enumerate(rows(count), start=1):
            for column, text in enumerate(row):
                if text:
                    sheet.write_string(number, column, text)


def write_mapping(path: Path) -> Path:
    """The mapping of these files."""
    path.write_text(MAPPING, encoding="utf-8")
    return path
