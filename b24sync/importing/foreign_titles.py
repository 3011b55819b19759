"""What other systems and people call the fields of deals, companies and contacts: for `import suggest`."""

from __future__ import annotations

from b24sync.importing.titles import fold

_SYNONYMS = {
    "title": "название|имя сделки|тема|предмет|сделка|заказ|проект|наименование|subject|deal|opportunity name"
    "|project|name|name of deal",
    "stage": "этап|статус|состояние|deal stage|deal_stage|status|state|phase|stage name",
    "pipeline": "воронка продаж|funnel|sales pipeline",
    "assigned_by": "менеджер|владелец|исполнитель|куратор|manager|owner|deal owner|deal owner name|contact owner name"
    "|account owner|sales agent|sales_agent|sales rep|agent|assigned to|lead owner|продавец",
    "opportunity": "бюджет|стоимость|итого|сумма сделки|сумма заказа|budget|value|deal value|close_value|price total"
    "|grand total|amount|offer total amount|revenue|turnover|сумма, руб|сумма, руб.",
    "currency": "currency code|код валюты",
    "company": "клиент|организация|контрагент|заказчик|account|account name|customer|client|organization|organisation",
    "contact": "контактное лицо|фио|представитель|contact name|contact person|full name|person",
    "created_time": "создано|создан|создана|заведена|дата заявки|дата заказа|дата|created time|created at|created date"
    "|creation date|create date|date|date created",
    "updated_time": "изменено|изменен|updated|updated at|modified time|last modified|modified date",
    "begin_date": "начало|дата старта|engage_date|start|started|opened date",
    "close_date": "срок|дедлайн|дата закрытия|окончание|close date|close_date|closing date|deadline|due date",
    "comments": "примечание|заметка|заметки|описание|note|notes|description|remarks|услуга",
    "source": "канал|откуда|lead source|channel",
    "phone": "тел|тел.|телефон клиента|моб|моб.|контактный телефон|phone number|tel|mobile number|cell",
    "email": "емейл|мейл|e mail|почтовый адрес|email address|mail",
    "web": "веб-сайт|url|web|web site|homepage",
    "post": "роль|job title|role",
    "industry": "отрасль|sector",
    "revenue": "оборот|выручка|annual revenue",
    "name": "имя контакта|given name|firstname|first_name",
    "last_name": "surname|family name|lastname|last_name",
    "probability": "вероятность закрытия|chance",
    "observers": "watchers|followers",
    "product_name": "товар/услуга|item|product name",
}
_KEYS = "id|№|номер|код|key|ключ|number|no|no.|#|uid|guid|внешний код|внутренний код|record id"

SYNONYMS = {name: frozenset(map(fold, titles.split("|"))) for name, titles in _SYNONYMS.items()}
"""Folded titles by field."""
KEY_TITLES = frozenset(map(fold, _KEYS.split("|")))
KEY_ENDINGS = tuple(map(fold, ("id", "_id", " no.", "номер", "код")))
