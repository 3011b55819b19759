"""What Bitrix24 calls its fields in exports and on its pages, in Russian, English and Portuguese.

Fields go by their name in a mapping. Portals rename their objects ("Название заявки" for "Название сделки"), so a `*`
stands for such a word; what a portal computes itself is known and left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from b24sync.importing.fields import entity_fields
from b24sync.importing.titles import fold

_COMMON = {
    "assigned_by": "Ответственный|Ответственное лицо|Responsible|Responsible person|Responsável|Pessoa responsável",
    "created_by": "Кем создана|Кем создан|Кем создано|Created by|Criado por|Criada por",
    "updated_by": "Кем изменена|Кем изменен|Кем изменён|Кем изменено|Modified by|Modificado por|Alterado por",
    "created_time": "Дата создания|Когда создан|Когда создана|Created|Created on|Criado|Criado em|Data de criação",
    "updated_time": "Дата изменения|Когда обновлен|Modified|Modified on|Modificado|Modificado em|Data de modificação",
    "comments": "Комментарий|Комментарии|Comment|Comments|Comentário|Comentários",
    "opened": "Доступна для всех|Доступен для всех|Доступно для всех|Available to everyone|Disponível para todos",
    "observers": "Наблюдатели|Observers|Observadores",
    "source": "Источник|Source|Fonte|Origem",
    "source_description": "Дополнительно об источнике|Source information|Informações da fonte|Informação da fonte",
    "utm_source": "UTM Source",
    "utm_medium": "UTM Medium",
    "utm_campaign": "UTM Campaign",
    "utm_content": "UTM Content",
    "utm_term": "UTM Term",
    "currency": "Валюта|Currency|Moeda",
}
_SALES = {
    "opportunity": "Сумма|Сумма и валюта|Income|Amount|Total|Opportunity|Renda|Valor|Montante|Receita",
    "company": "Компания|Company|Empresa|Companhia",
    "contact": "Контакт|Контакты|Contact|Contacts|Contato|Contatos",
    "moved_by": "Кто изменил стадию|Stage changed by|Fase alterada por",
    "moved_time": "Дата изменения стадии|Stage change date|Data de alteração da fase",
    "begin_date": "Дата начала|Start date|Data de início|Data inicial",
    "close_date": "Предполагаемая дата закрытия|Дата завершения|Assumed close date|Expected close date|End date"
    "|Data de fechamento prevista|Data prevista de fechamento|Data de encerramento",
    "product_name": "Товар|Product|Produto",
    "product_price": "Цена|Price|Preço",
    "product_quantity": "Количество|Quantity|Quantidade",
    "pipeline": "Воронка|Направление|Направление сделки|Pipeline|Deal pipeline|Funil|Pipeline do negócio",
}
_PERSON = {
    "honorific": "Обращение|Salutation|Saudação",
    "name": "Имя|First name|Nome|Primeiro nome",
    "last_name": "Фамилия|Last name|Sobrenome",
    "second_name": "Отчество|Second name|Middle name|Nome do meio|Segundo nome",
    "birthdate": "Дата рождения|Date of birth|Birthdate|Data de nascimento",
    "post": "Должность|Position|Cargo",
}
_TITLES: Mapping[str, Mapping[str, str]] = {
    "deal": {
        **_COMMON,
        **_SALES,
        "title": "Название сделки|Deal Name|Nome do negócio",
        "stage": "Стадия сделки|Стадия|Deal Stage|Stage|Fase|Fase do negócio|Etapa",
        "type": "Тип|Тип сделки|Type|Deal type|Tipo|Tipo de negócio",
        "probability": "Вероятность|Вероятность, %|Probability|Probability, %|Probabilidade|Probabilidade, %",
    },
    "lead": {
        **_COMMON,
        **_SALES,
        **_PERSON,
        "title": "Название лида|Lead Name|Nome do lead",
        "stage": "Статус|Статус лида|Стадия|Стадия лида|Status|Stage|Lead Stage|Fase",
        "status_description": "Дополнительно о статусе|Status information",
        "company_title": "Название компании|Company Name|Nome da empresa",
    },
    "company": {
        **_COMMON,
        "title": "Название компании|Company Name|Nome da empresa",
        "type": "Тип компании|Company type|Tipo de empresa",
        "industry": "Сфера деятельности|Industry|Setor|Indústria",
        "employees": "Кол-во сотрудников|Количество сотрудников|Employees|Funcionários",
        "revenue": "Годовой оборот|Annual income|Annual revenue|Receita anual",
        "banking_details": "Банковские реквизиты|Banking details|Bank details|Dados bancários",
        "address": "Фактический адрес|Адрес|Address|Street address|Endereço",
        "is_my_company": "Компания продавец|My company|Minha empresa",
        "contact": "Контакт|Контакты|Contact|Contacts|Contato|Contatos",
    },
    "contact": {
        **_COMMON,
        **_PERSON,
        "address": "Адрес|Фактический адрес|Address|Street address|Endereço",
        "type": "Тип контакта|Contact type|Tipo de contato",
        "company": "Компания|Company|Empresa",
        "export": "Экспорт|Участвует в экспорте контактов|Export|Included in export",
    },
    "item": {**_COMMON, **_SALES, "title": "Название|Name|Title|Nome", "stage": "Стадия|Stage|Fase"},
}
_MULTIFIELDS = {
    ("phone", "WORK"): "Рабочий телефон|Телефон|Телефоны|Work phone|Phone|Telefone|Telefone comercial",
    ("phone", "MOBILE"): "Мобильный телефон|Мобильный|Mobile phone|Mobile|Celular|Telefone celular",
    ("phone", "FAX"): "Номер факса|Факс|Fax|Fax number",
    ("phone", "HOME"): "Домашний телефон|Home phone|Telefone residencial",
    ("phone", "PAGER"): "Номер пейджера|Pager|Pager number",
    ("phone", "MAILING"): "Телефон для рассылок|Newsletter phone|SMS marketing phone",
    ("phone", "OTHER"): "Другой телефон|Other phone|Outro telefone",
    ("email", "WORK"): "Рабочий e-mail|E-mail|Email|Почта|Эл. почта|Электронная почта|Work e-mail|E-mail comercial",
    ("email", "HOME"): "Частный e-mail|Home e-mail|Private e-mail|E-mail pessoal",
    ("email", "MAILING"): "E-mail для рассылок|Newsletter e-mail|Newsletters email",
    ("email", "OTHER"): "Другой e-mail|Other e-mail|Outro e-mail",
    ("web", "WORK"): "Корпоративный сайт|Сайт|Corporate website|Website|Site|Site corporativo",
    ("web", "HOME"): "Личная страница|Personal page|Página pessoal",
    ("web", "VK"): "Страница ВКонтакте|VK page",
    ("web", "LIVEJOURNAL"): "Страница LiveJournal|LiveJournal page",
    ("web", "TWITTER"): "Микроблог Twitter|Twitter account",
    ("web", "OTHER"): "Другой сайт|Страница Facebook|Other website|Facebook page|Outro site",
}
_COMPUTED = (
    "ID|Повторное обращение|Repeat inquiry|Статус оплаты|Статус доставки|Payment status|Delivery status|Привязка"
    "|Интернет-магазин|Binding|Web store|Дата события|Тип события|Описание события|Event Date|Event Type"
    "|Event Description|Создана CRM-формой|Создан CRM-формой|Created by CRM form|Criado pelo formulário CRM"
    "|Путь клиента|Customer journey|Jornada do cliente|Последняя активность|Last activity|Última atividade"
    "|Дата последней коммуникации|Last communication date|Группа стадий|Deal status|Связанный пользователь"
    "|Повторный лид|Сквозная аналитика|Closed|Fechado|New deal|Repeat deal|Novo negócio|Negócio repetido"
)
_ANY_TITLE = r".+"
_ONE_OR_TWO_WORDS = r"\S+(?: \S+)?"


def _patterns(titles: str) -> list[re.Pattern[str]]:
    """Patterns of folded titles; a `*` stands for one or two words, after a colon for anything."""
    return [
        re.compile(re.escape(fold(title)).replace(r"\*", _ANY_TITLE if ":" in title else _ONE_OR_TWO_WORDS))
        for title in titles.split("|")
    ]


_RENAMED = {
    "title": _patterns("Название *|* Name|Nome do *|Nome da *"),
    "stage": _patterns("Стадия *|* Stage|Fase do *|Fase da *"),
}
_COMPUTED_PATTERNS = _patterns(
    "* закрыта|* закрыт|* закрыто|Повторная *|Повторный *|Новая *|Новый *"
    "|Контакт: *|Компания: *|Лид: *|Contact: *|Company: *|Lead: *|Contato: *|Empresa: *"
)


@dataclass(frozen=True, slots=True)
class KnownTitle:
    """A title that is known: the mapping's field, with the kind of a phone, e-mail or address; "" = left out."""

    field: str
    value_type: str | None = None


@cache
def known_titles(entity: str) -> Mapping[str, KnownTitle]:
    """Folded title -> what it means for `entity`."""
    kind = entity.partition(":")[0]
    found = {fold(title): KnownTitle("") for title in _COMPUTED.split("|")}
    fillable = entity_fields(entity)
    for (field, value_type), titles in _MULTIFIELDS.items():
        if field in fillable:
            found.update({fold(title): KnownTitle(field, value_type) for title in titles.split("|")})
    for field, titles in _TITLES[kind].items():
        if field in fillable:
            found.update({fold(title): KnownTitle(field) for title in titles.split("|")})
    return found


def known_title(entity: str, title: str) -> KnownTitle | None:
    """What `title` means for `entity`; None where it is not known."""
    folded = fold(title)
    known = known_titles(entity).get(folded)
    computed = known is None and any(pattern.fullmatch(folded) for pattern in _COMPUTED_PATTERNS)
    return KnownTitle("") if computed else known


def renamed_field(entity: str, title: str) -> str | None:
    """The field of a title whose word the portal has replaced: "Название заявки", "Request stage"."""
    folded = fold(title)
    if entity.partition(":")[0] in ("company", "contact"):
        return None
    return next((field for field, patterns in _RENAMED.items() if any(p.fullmatch(folded) for p in patterns)), None)


def title_names(entity: str, field: str) -> list[str]:
    """The titles that mean `field` in an export of `entity`."""
    titles = _TITLES[entity.partition(":")[0]].get(field)
    return titles.split("|") if titles else []
