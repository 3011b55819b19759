"""What a fresh portal holds: people, dictionaries, pipelines, currencies, templates.

Names and ids follow the samples of the documentation: api-reference/crm/status/crm-status-list.md,
crm-status-entity-types.md, api-reference/crm/currency/crm-currency-list.md, api-reference/user/user-get.md.
"""

from __future__ import annotations

from typing import Any

USERS: list[dict[str, Any]] = [
    {
        "ID": 1,
        "NAME": "Анна",
        "LAST_NAME": "Орлова",
        "EMAIL": "a.orlova@example.ru",
        "ADMIN": True,
        "WORK_POSITION": "Директор",
        "UF_DEPARTMENT": [1],
    },
    {
        "ID": 3,
        "NAME": "Пётр",
        "LAST_NAME": "Зайцев",
        "EMAIL": "p.zaitsev@example.ru",
        "WORK_POSITION": "Руководитель отдела продаж",
        "UF_DEPARTMENT": [3],
    },
    {
        "ID": 5,
        "NAME": "Мария",
        "LAST_NAME": "Кузнецова",
        "EMAIL": "m.kuznetsova@example.ru",
        "WORK_POSITION": "Менеджер",
        "UF_DEPARTMENT": [3],
    },
    {
        "ID": 7,
        "NAME": "Иван",
        "LAST_NAME": "Соколов",
        "EMAIL": "i.sokolov@example.ru",
        "WORK_POSITION": "Менеджер",
        "UF_DEPARTMENT": [3],
    },
    {
        "ID": 9,
        "NAME": "Ольга",
        "LAST_NAME": "Белова",
        "EMAIL": "o.belova@example.ru",
        "WORK_POSITION": "Офис-менеджер",
        "UF_DEPARTMENT": [1],
    },
    {
        "ID": 11,
        "NAME": "Сергей",
        "LAST_NAME": "Новиков",
        "EMAIL": "s.novikov@example.ru",
        "WORK_POSITION": "Инженер",
        "UF_DEPARTMENT": [5],
    },
    {
        "ID": 13,
        "NAME": "Дмитрий",
        "LAST_NAME": "Фёдоров",
        "EMAIL": "d.fedorov@example.ru",
        "ACTIVE": False,
        "WORK_POSITION": "Менеджер",
        "UF_DEPARTMENT": [3],
    },
]

DEPARTMENTS: list[dict[str, Any]] = [
    {"ID": "1", "NAME": "Компания", "SORT": 500, "UF_HEAD": "1"},
    {"ID": "3", "NAME": "Отдел продаж", "SORT": 500, "PARENT": "1", "UF_HEAD": "3"},
    {"ID": "5", "NAME": "Проектный отдел", "SORT": 500, "PARENT": "1", "UF_HEAD": "11"},
]

DEAL_STAGES: list[dict[str, Any]] = [
    {"status_id": "NEW", "name": "Новая", "system": True, "color": "#39A8EF"},
    {"status_id": "PREPARATION", "name": "Подготовка документов", "color": "#2FC6F6"},
    {"status_id": "PREPAYMENT_INVOICE", "name": "Cчет на предоплату", "color": "#55D0E0"},
    {"status_id": "EXECUTING", "name": "В работе", "color": "#47E4C2"},
    {"status_id": "FINAL_INVOICE", "name": "Финальный счет", "color": "#FFA900"},
    {"status_id": "WON", "name": "Сделка успешна", "semantics": "S", "system": True, "color": "#7BD500"},
    {"status_id": "LOSE", "name": "Сделка провалена", "semantics": "F", "system": True, "color": "#FF5752"},
    {"status_id": "APOLOGY", "name": "Анализ причины провала", "semantics": "F", "apology": True, "color": "#FF5752"},
]
LEAD_STAGES: list[dict[str, Any]] = [
    {"status_id": "NEW", "name": "Не обработан", "system": True, "color": "#39A8EF"},
    {"status_id": "IN_PROCESS", "name": "В работе", "color": "#2FC6F6"},
    {"status_id": "PROCESSED", "name": "Обработан", "color": "#55D0E0"},
    {"status_id": "CONVERTED", "name": "Качественный лид", "semantics": "S", "system": True, "color": "#7BD500"},
    {"status_id": "JUNK", "name": "Некачественный лид", "semantics": "F", "system": True, "color": "#FF5752"},
]
QUOTE_STAGES: list[dict[str, Any]] = [
    {"status_id": "DRAFT", "name": "Новое", "system": True},
    {"status_id": "SENT", "name": "Отправлено клиенту"},
    {"status_id": "APPROVED", "name": "Принято", "semantics": "S", "system": True},
    {"status_id": "DECLAINED", "name": "Отклонено", "semantics": "F", "system": True},
]
DYNAMIC_STAGES: list[dict[str, Any]] = [
    {"status_id": "NEW", "name": "Начало", "system": True},
    {"status_id": "PREPARATION", "name": "Подготовка"},
    {"status_id": "CLIENT", "name": "Согласование"},
    {"status_id": "SUCCESS", "name": "Успех", "semantics": "S", "system": True},
    {"status_id": "FAIL", "name": "Провал", "semantics": "F", "system": True},
]

DICTIONARIES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "SOURCE": (
        "Источники",
        [
            ("CALL", "Звонок"),
            ("EMAIL", "Электронная почта"),
            ("WEB", "Веб-сайт"),
            ("ADVERTISING", "Реклама"),
            ("PARTNER", "Существующий клиент"),
            ("RECOMMENDATION", "По рекомендации"),
            ("TRADE_SHOW", "Выставка"),
            ("WEBFORM", "CRM-форма"),
            ("CALLBACK", "Обратный звонок"),
            ("STORE", "Интернет-магазин"),
            ("OTHER", "Другое"),
        ],
    ),
    "CONTACT_TYPE": (
        "Тип контакта",
        [("CLIENT", "Клиенты"), ("SUPPLIER", "Поставщики"), ("PARTNER", "Партнёры"), ("OTHER", "Другое")],
    ),
    "COMPANY_TYPE": (
        "Тип компании",
        [
            ("CUSTOMER", "Клиент"),
            ("SUPPLIER", "Поставщик"),
            ("COMPETITOR", "Конкурент"),
            ("PARTNER", "Партнёр"),
            ("OTHER", "Другое"),
        ],
    ),
    "EMPLOYEES": (
        "Кол-во сотрудников",
        [
            ("EMPLOYEES_1", "менее 50"),
            ("EMPLOYEES_2", "50-250"),
            ("EMPLOYEES_3", "250-500"),
            ("EMPLOYEES_4", "более 500"),
        ],
    ),
    "INDUSTRY": (
        "Сфера деятельности",
        [
            ("IT", "Информационные технологии"),
            ("TELECOM", "Телекоммуникации и связь"),
            ("MANUFACTURING", "Производство"),
            ("BANKING", "Банковские услуги"),
            ("CONSULTING", "Консалтинг"),
            ("FINANCE", "Финансы"),
            ("GOVERNMENT", "Правительство"),
            ("DELIVERY", "Доставка"),
            ("ENTERTAINMENT", "Развлечения"),
            ("NOTPROFIT", "Не для получения прибыли"),
            ("OTHER", "Другое"),
        ],
    ),
    "DEAL_TYPE": (
        "Тип сделки",
        [
            ("SALE", "Продажа"),
            ("COMPLEX", "Комплексная продажа"),
            ("GOODS", "Продажа товара"),
            ("SERVICES", "Услуга"),
            ("SERVICE", "Сервисное обслуживание"),
        ],
    ),
    "HONORIFIC": ("Обращения", [("HNR_RU_1", "г-н"), ("HNR_RU_2", "г-жа")]),
    "CALL_LIST": (
        "Статусы обзвона",
        [
            ("IN_WORK", "В работе"),
            ("SUCCESS", "Успешно"),
            ("WRONG_NUMBER", "Неверный номер"),
            ("STOP_CALLING", "Больше не звонить"),
        ],
    ),
}
STAGE_DICTIONARIES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "STATUS": ("Стадии лида", LEAD_STAGES),
    "DEAL_STAGE": ("Стадии сделки Общая", DEAL_STAGES),
    "QUOTE_STATUS": ("Стадии предложения", QUOTE_STAGES),
}

CURRENCIES: list[dict[str, Any]] = [
    {"CURRENCY": "RUB", "AMOUNT": "1.0000", "SORT": "100", "BASE": "Y", "FULL_NAME": "Российский рубль"},
    {"CURRENCY": "USD", "AMOUNT": "68.7900", "SORT": "200", "BASE": "N", "FULL_NAME": "Доллар США"},
    {"CURRENCY": "EUR", "AMOUNT": "78.3200", "SORT": "300", "BASE": "N", "FULL_NAME": "Евро"},
    {"CURRENCY": "BYN", "AMOUNT": "32.2000", "SORT": "500", "BASE": "N", "FULL_NAME": "Белорусский рубль"},
]

TEMPLATES: list[dict[str, Any]] = [
    {"NAME": "Первый звонок", "kind": "waits"},
    {"NAME": "Подготовка КП", "kind": "waits"},
    {"NAME": "Отметка", "kind": "trace"},
    {"NAME": "Мгновенный", "kind": "ends"},
]
