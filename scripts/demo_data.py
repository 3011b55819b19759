"""Files that look like a client's: companies, contacts and deals of a made-up seller of equipment.

Deterministic for a seed. Every person, firm, phone and address is invented: mailboxes end in `.example`
(RFC 2606), phones are of the range +7 900 000-00-00 upwards.
Companies: CSV with semicolons in windows-1251, as Excel saves it in Russia. Contacts: CSV in UTF-8. Deals: XLSX.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

COMPANY_COLUMNS = (
    "Код",
    "Название",
    "ИНН",
    "Тип",
    "Отрасль",
    "Сотрудников",
    "Телефон",
    "E-mail",
    "Сайт",
    "Город",
    "Ответственный",
)
CONTACT_COLUMNS = (
    "Код",
    "Фамилия",
    "Имя",
    "Отчество",
    "Должность",
    "Мобильный",
    "Рабочий телефон",
    "E-mail",
    "Код компании",
    "Источник",
    "Ответственный",
)
DEAL_COLUMNS = (
    "Номер",
    "Предмет",
    "Стадия",
    "Сумма",
    "Валюта",
    "Создана",
    "Срок",
    "Ответственный",
    "Источник",
    "Код компании",
    "Код контакта",
    "Направление",
    "Город",
    "Комментарий",
)

STAGES: Mapping[str, int] = {
    "Новая заявка": 14,
    "Квалификация": 10,
    "Подготовка КП": 14,
    "Согласование договора": 8,
    "Ожидаем оплату": 10,
    "Отгрузка": 8,
    "Сделка закрыта": 22,
    "Отказ": 14,
}
"""Stages of examples/demo/blueprint.toml with their shares in percent."""
MANAGERS = ("Пётр Зайцев", "Мария Кузнецова", "Иван Соколов", "Анна Орлова")
"""People of a fresh sandbox portal."""
FORMER_MANAGER = "Тимофей Рогов"
"""Left the client's firm before the portal was set up: the mapping's default takes over."""
SOURCES = ("Звонок", "Веб-сайт", "Реклама", "По рекомендации", "Выставка", "Электронная почта", "Существующий клиент")
LINES = ("Насосы", "Вентиляция", "Компрессоры", "Освещение", "Автоматика", "Сервис")
CITIES = (
    ("Москва", "msk", 30),
    ("Санкт-Петербург", "spb", 16),
    ("Екатеринбург", "ekb", 9),
    ("Новосибирск", "nsk", 8),
    ("Казань", "kzn", 8),
    ("Нижний Новгород", "nn", 7),
    ("Самара", "sam", 6),
    ("Ростов-на-Дону", "rnd", 6),
    ("Краснодар", "krd", 5),
    ("Пермь", "perm", 5),
)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FORMS = (("ООО", 70), ("АО", 12), ("ИП", 10), ("ПАО", 3), ("ГК", 5))
_ROOTS = _words(
    "Агро Альфа Балт Вектор Волга Гамма Гидро Дельта Евро Запад Импульс Инвест Каскад Контур Кама Лидер Магистраль "
    "Меридиан Металл Мир Норд Нева Орбита Полюс Пром Рост Рус Север Сибирь Сигма Спектр Строй Техно Терра Транс Урал "
    "Феникс Форум Центр Элит Энерго Юг"
)
_TAILS = _words(
    "Сервис Строй Торг Монтаж Комплект Снаб Пром Инжиниринг Логистик Маш Тех Ресурс Групп Системы Проект Мастер"
)
_INDUSTRIES = ("Производство", "Консалтинг", "Доставка", "Информационные технологии", "Финансы", "Другое")
_EMPLOYEES = ("менее 50", "50-250", "250-500", "более 500")
_SURNAMES = _words(
    "Абрамов Александров Алексеев Андреев Антонов Баранов Белов Беляев Богданов Борисов Быков Васильев Виноградов "
    "Власов Волков Воробьёв Гаврилов Герасимов Голубев Григорьев Громов Гусев Давыдов Данилов Денисов Дмитриев Егоров "
    "Ершов Ефимов Жуков Захаров Зуев Ильин Исаев Казаков Калинин Карпов Киселёв Климов Ковалёв Козлов Комаров "
    "Королёв Котов Крылов Кудрявцев Кузьмин Куликов Лебедев Леонов Макаров Максимов Марков Мартынов Матвеев Медведев "
    "Мельников Миронов Михайлов Морозов Назаров Никитин Николаев Носов Осипов Павлов Панов Петров Поляков Попов "
    "Прохоров Родионов Романов Савельев Сафонов Семёнов Сергеев Сидоров Смирнов Соболев Соловьёв Сорокин Степанов "
    "Суханов Тарасов Тимофеев Титов Тихонов Трофимов Фадеев Федотов Филиппов Фролов Цветков Чернов Шестаков Широков "
    "Щербаков Юдин Яковлев"
)
_MEN = _words(
    "Александр Алексей Андрей Антон Артём Борис Вадим Василий Виктор Владимир Георгий Глеб Денис Дмитрий Евгений Егор "
    "Иван Игорь Илья Кирилл Константин Лев Максим Михаил Никита Николай Олег Павел Пётр Роман Сергей Степан Юрий"
)
_WOMEN = _words(
    "Алина Алла Анастасия Анна Валентина Валерия Вера Виктория Галина Дарья Евгения Екатерина Елена Жанна Инна Ирина "
    "Ксения Лариса Любовь Людмила Маргарита Марина Мария Надежда Наталья Оксана Ольга Полина Светлана София Татьяна "
    "Юлия"
)
_FATHERS = _words(
    "Александров Алексеев Андреев Борисов Викторов Владимиров Дмитриев Евгеньев Иванов Константинов Михайлов "
    "Николаев Олегов Павлов Петров Романов Сергеев Юрьев"
)
_POSTS = (
    ("Директор", 10),
    ("Генеральный директор", 8),
    ("Главный инженер", 14),
    ("Снабженец", 22),
    ("Начальник отдела закупок", 16),
    ("Бухгалтер", 12),
    ("Инженер", 18),
)
_SUBJECTS: Mapping[str, Sequence[str]] = {
    "Насосы": ("Насосная станция", "Циркуляционные насосы", "Дренажный насос", "Замена насосов котельной"),
    "Вентиляция": ("Приточная установка", "Вентиляция склада", "Вентиляция офиса", "Дымоудаление"),
    "Компрессоры": ("Винтовой компрессор", "Компрессорная под ключ", "Осушитель воздуха", "Ресивер 900 л"),
    "Освещение": ("Светильники цеха", "Уличное освещение", "Аварийное освещение", "Освещение паркинга"),
    "Автоматика": ("Шкаф управления", "Диспетчеризация", "Частотные преобразователи", "Датчики давления"),
    "Сервис": ("Обслуживание на год", "Пусконаладка", "Выездной ремонт", "Обучение персонала"),
}
_COMMENTS = (
    "",
    "",
    "",
    "Просят скидку 5 %",
    "Перезвонить после обеда",
    "Нужен монтаж «под ключ»",
    "Сравнивают с двумя поставщиками; решение до конца месяца",
    "Договор через тендерную площадку\nдокументы — у юриста",
    "Оплата: 50 % аванс / 50 % по факту",
)
_LATIN = dict(
    zip("абвгдеёзийклмнопрстуфыэ", "abvgdeeziyklmnoprstufye", strict=True),
    ж="zh", х="kh", ц="ts", ч="ch", ш="sh", щ="sch", ъ="", ь="", ю="yu", я="ya",
)  # fmt: skip

LAST_DAY = datetime(2025, 6, 30, 18, 0)
FIRST_DAY = datetime(2022, 1, 10, 9, 0)


@dataclass(slots=True)
class File:
    """A generated file and what must become of it. `bad` is key (or "" where it is missing) -> what is wrong."""

    path: Path
    entity: str
    good_keys: set[str] = field(default_factory=set)
    bad: list[tuple[str, str]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.good_keys) + len(self.bad)


@dataclass(slots=True)
class Deals(File):
    """Also what the portal must hold afterwards: the sum of all amounts in kopecks, and deals by stage."""

    kopecks: int = 0
    by_stage: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Firm:
    code: str
    title: str
    domain: str
    city: str
    manager: str


def latin(text: str) -> str:
    """Russian letters as they stand in mailboxes: Воробьёв -> vorobev."""
    return "".join(_LATIN.get(letter, letter) for letter in text.lower())


class Generator:
    """Makes the three files. The same seed and sizes make the same files."""

    def __init__(self, folder: Path, *, seed: int = 2025) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self._firms: list[_Firm] = []
        self._people: list[tuple[str, _Firm | None]] = []

    def companies(self, count: int) -> File:
        """`count` good companies and two bad rows."""
        made = File(self._folder / "companies.csv", "company")
        rows = [self._company(number) for number in range(1, count + 1)]
        made.good_keys.update(row[0] for row in rows)
        again = list(rows[len(rows) // 3])
        rows.insert(len(rows) // 2, again)
        made.bad.append((again[0], "the same code twice"))
        nameless = [*self._company(count + 1)]
        self._firms.pop()
        nameless[3] = "Конкурент?"
        rows.insert(len(rows) // 4, nameless)
        made.bad.append((nameless[0], "a type that the portal's dictionary lacks"))
        with made.path.open("w", encoding="cp1251", newline="") as file:
            writer = csv.writer(file, delimiter=";")
            writer.writerow(COMPANY_COLUMNS)
            writer.writerows(rows)
        return made

    def contacts(self, count: int) -> File:
        """`count` good contacts and three bad rows."""
        made = File(self._folder / "contacts.csv", "contact")
        rows = [self._contact(number) for number in range(1, count + 1)]
        made.good_keys.update(row[0] for row in rows)
        good = len(self._people)
        bad = [self._contact(count + number) for number in range(1, 4)]
        del self._people[good:]
        bad[0][8] = "K-99999"
        made.bad.append((bad[0][0], "a company that no file holds"))
        bad[1][7] = "звонить, почты нет"
        made.bad.append((bad[1][0], "no e-mail address"))
        bad[2][0] = ""
        made.bad.append(("", "no code"))
        for row in bad:
            rows.insert(self._random.randrange(len(rows)), row)
        with made.path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(CONTACT_COLUMNS)
            writer.writerows(rows)
        return made

    def deals(self, count: int) -> Deals:
        """`count` good deals and eight bad rows. Companies and contacts come first."""
        made = Deals(self._folder / "deals.xlsx", "deal", by_stage=dict.fromkeys(STAGES, 0))
        rows = [self._deal(number) for number in range(1, count + 1)]
        for row in rows:
            made.good_keys.add(str(row[0]))
            made.by_stage[str(row[2])] += 1
            made.kopecks += round(float(str(row[3])) * 100)
        bad = [self._deal(count + number) for number in range(1, 9)]
        spoiled: tuple[tuple[int, str | float | datetime, str], ...] = (
            (3, "по договорённости", "an amount that is no number"),
            (2, "В архиве", "a stage that the pipeline lacks"),
            (3, "#ССЫЛКА!", "a broken formula"),
            (9, "K-99999", "a company that no file holds"),
            (5, "31.02.2024 10:00", "a day that no calendar has"),
            (0, str(rows[len(rows) // 2][0]), "the same number twice"),
            (0, "", "no number"),
            (5, datetime(2062, 3, 14, 10, 30), "created in the future: the portal itself refuses it"),
        )
        for row, (column, value, what) in zip(bad, spoiled, strict=True):
            row[column] = value
            made.bad.append((str(row[0]), what))
            # Not near the top: the second of two equal numbers is the bad one.
            rows.insert(self._random.randrange(len(rows) * 2 // 3, len(rows)), row)
        self._write_deals(made.path, rows)
        return made

    def _write_deals(self, path: Path, rows: Sequence[Sequence[object]]) -> None:
        from xlsxwriter import Workbook

        with Workbook(str(path), {"constant_memory": True, "strings_to_formulas": False}) as book:
            sheet = book.add_worksheet("Сделки")
            head = book.add_format({"bold": True})
            date = book.add_format({"num_format": "dd.mm.yyyy hh:mm"})
            sheet.freeze_panes(1, 0)
            sheet.write_row(0, 0, DEAL_COLUMNS, head)
            for number, row in enumerate(rows, start=1):
                for column, value in enumerate(row):
                    if isinstance(value, datetime):
                        sheet.write_datetime(number, column, value, date)
                    elif value != "":
                        sheet.write(number, column, value)

    # -- one row each -----------------------------------------------------------------------------

    def _weighted(self, choices: Sequence[tuple[str, int]]) -> str:
        return self._random.choices([name for name, _ in choices], [weight for _, weight in choices])[0]

    def _manager(self) -> str:
        return FORMER_MANAGER if self._random.random() < 0.03 else self._random.choice(MANAGERS)

    def _phone(self, code: str = "") -> str:
        """One of the ways people write phones."""
        area = code or f"9{self._random.randrange(100):02}"
        first, second, third = (
            self._random.randrange(100, 1000),
            self._random.randrange(100),
            self._random.randrange(100),
        )
        form = self._random.choice(("+7 ({}) {}-{:02}-{:02}", "8 {} {}-{:02}-{:02}", "+7{}{}{:02}{:02}"))
        return form.format(area, first, second, third)

    def _company(self, number: int) -> list[str]:
        pick = self._random
        name = pick.choice(_ROOTS) + pick.choice(_TAILS).lower()
        form = self._weighted(_FORMS)
        surname = pick.choice(_SURNAMES)
        title = f"ИП {surname} {pick.choice('АБВГДИКМНОПРС')}. {pick.choice('АБВГДИКМНОПРС')}." if form == "ИП" else ""
        title = title or f"{form} «{name}»"
        city, suffix, _ = pick.choices(CITIES, [weight for _, _, weight in CITIES])[0]
        domain = f"{latin(surname if form == 'ИП' else name)}-{suffix}{number}.example"
        firm = _Firm(f"K-{number:05}", title, domain, city, self._manager())
        self._firms.append(firm)
        inn = f"{pick.randrange(10**11, 10**12)}" if form == "ИП" else f"{pick.randrange(10**9, 10**10)}"
        kind = pick.choices(("Клиент", "Партнёр", "Поставщик"), (85, 9, 6))[0]
        employees = pick.choices(_EMPLOYEES, (60, 28, 8, 4))[0]
        industry = pick.choice(_INDUSTRIES)
        phone = self._phone(pick.choice(("495", "812", "343", "383", "843")))
        mail, site = f"info@{domain}", f"https://{domain}" if pick.random() < 0.7 else ""
        return [firm.code, title, inn, kind, industry, employees, phone, mail, site, city, firm.manager]

    def _contact(self, number: int) -> list[str]:
        pick = self._random
        woman = pick.random() < 0.5
        surname = pick.choice(_SURNAMES) + ("а" if woman else "")
        name = pick.choice(_WOMEN if woman else _MEN)
        father = pick.choice(_FATHERS) + ("на" if woman else "ич")
        code = f"P-{number:05}"
        firm = pick.choice(self._firms) if pick.random() < 0.96 else None
        self._people.append((code, firm))
        domain = firm.domain if firm else "mail.example"
        mail = f"{latin(name)[0]}.{latin(surname)}{number}@{domain}" if pick.random() < 0.9 else ""
        work = self._phone("495") if pick.random() < 0.4 else ""
        return [
            code,
            surname,
            name,
            father if pick.random() < 0.8 else "",
            self._weighted(_POSTS),
            self._phone(),
            work,
            mail,
            firm.code if firm else "",
            pick.choice(SOURCES),
            firm.manager if firm else self._manager(),
        ]

    def _deal(self, number: int) -> list[str | float | datetime]:
        pick = self._random
        person, firm = pick.choice(self._people)
        line = pick.choice(LINES)
        created = FIRST_DAY + (LAST_DAY - FIRST_DAY) * pick.random()
        created = created.replace(hour=pick.randrange(8, 20), second=0, microsecond=0)
        amount = round(pick.lognormvariate(11.8, 1.1), 2)
        return [
            f"Д-{number:06}",
            f"{pick.choice(_SUBJECTS[line])}, {firm.title if firm else 'частное лицо'}",
            pick.choices(list(STAGES), list(STAGES.values()))[0],
            amount,
            "RUB",
            created,
            created + timedelta(days=pick.randrange(7, 120)),
            firm.manager if firm else self._manager(),
            pick.choice(SOURCES),
            firm.code if firm else "",
            person,
            line,
            firm.city if firm else "",
            pick.choice(_COMMENTS),
        ]
