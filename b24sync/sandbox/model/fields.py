"""Fields of the entity types in both dialects.

One `Field` has the name of the item dialect (also the key in the store) and the name of the classic one.
Docs: api-reference/crm/universal/object-fields.md, api-reference/crm/deals/crm-deal-fields.md and its siblings
for leads, contacts, companies; api-reference/crm/data-types.md (descriptor).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .entities import COMPANY, CONTACT, DEAL, LEAD, QUOTE, EntityType

ONE_LINE_MAX_LEN = 255


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `classic` "" = the classic dialect lacks it; `empty` = what the item dialect reads when unset.

    `by_import` = read-only but settable by an import; `classic_only` = legacy fields that crm.item.* does not know.
    """

    code: str
    classic: str
    kind: str
    title: str
    required: bool = False
    read_only: bool = False
    immutable: bool = False
    multiple: bool = False
    deprecated: bool = False
    by_import: bool = False
    classic_only: bool = False
    classic_read_only: bool = False
    max_len: int = 0
    status_type: str = ""
    parent_type: int = 0
    empty: Any = None
    settings: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)
    enum_ids: frozenset[int] = frozenset()
    user_type: str = ""

    @property
    def is_user_field(self) -> bool:
        return self.user_type != ""

    @property
    def upper_name(self) -> str:
        """`upperName` of the item descriptor: STAGE_ID, CREATED_TIME, UTM_SOURCE, UF_CRM_X."""
        return self.code if self.is_user_field else upper_name(self.code)


def upper_name(code: str) -> str:
    """camelCase -> UPPER_CASE: assignedById -> ASSIGNED_BY_ID, parentId128 -> PARENT_ID_128."""
    spaced = re.sub(r"([a-z])([A-Z0-9])", r"\1_\2", code)
    return re.sub(r"([0-9])([A-Z])", r"\1_\2", spaced).upper()


def line(code: str, title: str, classic: str | None = None, **more: Any) -> Field:
    """A one-line text field."""
    return Field(
        code, upper_name(code) if classic is None else classic, "string", title, max_len=ONE_LINE_MAX_LEN, **more
    )


def plain(code: str, kind: str, title: str, classic: str | None = None, **more: Any) -> Field:
    return Field(code, upper_name(code) if classic is None else classic, kind, title, **more)


def link(code: str, parent_type: int, kind: str, title: str, **more: Any) -> Field:
    """A reference to another item; reads 0 or null when empty (api-reference/crm/universal/crm-item-get.md)."""
    return plain(code, kind, title, parent_type=parent_type, **more)


def head(noun_created: str, noun_changed: str) -> tuple[Field, ...]:
    """Id and the system fields that only an import by an administrator may set (import/index.md)."""
    return (
        plain("id", "integer", "ID", read_only=True),
        plain("createdTime", "datetime", f"Когда {noun_created}", "DATE_CREATE", read_only=True, by_import=True),
        plain("updatedTime", "datetime", f"Когда {noun_changed}", "DATE_MODIFY", read_only=True, by_import=True),
        plain("createdBy", "user", f"Кем {noun_created}", "CREATED_BY_ID", read_only=True, by_import=True),
        plain("updatedBy", "user", f"Кем {noun_changed}", "MODIFY_BY_ID", read_only=True, by_import=True),
        plain("assignedById", "user", "Ответственный"),
        plain("opened", "boolean", "Доступно для всех", required=True, empty="N"),
    )


MOVED = (
    plain("movedBy", "user", "Кем передвинут", "MOVED_BY_ID", read_only=True, by_import=True),
    plain("movedTime", "datetime", "Когда передвинут", read_only=True, by_import=True),
)
ACTIVITY = (
    plain("lastActivityBy", "user", "Последняя активность: кто", read_only=True),
    plain("lastActivityTime", "datetime", "Последняя активность: когда", read_only=True),
)
UTM = (
    line("utmSource", "Рекламная система"),
    line("utmMedium", "Тип трафика"),
    line("utmCampaign", "Обозначение рекламной кампании"),
    line("utmContent", "Содержание кампании"),
    line("utmTerm", "Условие поиска кампании"),
)
MONEY = (
    plain("opportunity", "double", "Сумма", empty=0),
    plain("isManualOpportunity", "boolean", "Режим расчёта суммы", empty="N"),
    plain("currencyId", "crm_currency", "Валюта"),
)
ORIGIN = (
    line("originatorId", "Внешний источник"),
    line("originId", "Идентификатор элемента во внешнем источнике"),
)
SOURCE = (
    plain("sourceId", "crm_status", "Источник", status_type="SOURCE"),
    plain("sourceDescription", "text", "Дополнительно об источнике"),
)
OBSERVERS = (plain("observers", "user", "Наблюдатели", "", multiple=True),)
ADDRESS_PARTS = ["2", "CITY", "POSTAL_CODE", "REGION", "PROVINCE", "COUNTRY", "COUNTRY_CODE", "LOC_ADDR_ID"]


def address(prefix: str, title: str) -> tuple[Field, ...]:
    """Legacy address fields of the classic dialect (api-reference/crm/companies/crm-company-fields.md)."""
    names = [prefix, *(f"{prefix}_{part}" for part in ADDRESS_PARTS)]
    return tuple(Field(name, name, "string", f"{title}: {name}", classic_only=True) for name in names)


HAS_COMMUNICATIONS = (
    plain("hasPhone", "boolean", "Задан телефон", read_only=True, empty="N"),
    plain("hasEmail", "boolean", "Задан e-mail", read_only=True, empty="N"),
    plain("hasImol", "boolean", "Задана открытая линия", read_only=True, empty="N"),
)
PERSON = (
    plain("honorific", "crm_status", "Обращение", status_type="HONORIFIC"),
    line("name", "Имя"),
    line("secondName", "Отчество"),
    line("lastName", "Фамилия"),
    plain("birthdate", "date", "Дата рождения"),
    line("post", "Должность"),
)
CONTACTS = (
    link("contactId", CONTACT, "crm_contact", "Контакт", deprecated=True),
    plain("contactIds", "crm_contact", "Контакты", multiple=True, parent_type=CONTACT),
)
COMMENTS = (plain("comments", "text", "Комментарий"),)
MULTIFIELD_TYPES = ("PHONE", "EMAIL", "WEB", "IM", "LINK")

DEAL_FIELDS = (
    *head("создана", "изменена"),
    link("leadId", LEAD, "crm_lead", "Лид", classic_read_only=True),
    link("companyId", COMPANY, "crm_company", "Компания", empty=0),
    *CONTACTS,
    link("quoteId", QUOTE, "crm_quote", "Предложение", classic_read_only=True),
    line("title", "Название"),
    plain("categoryId", "crm_category", "Воронка", empty=0, immutable=True),
    plain("stageId", "crm_status", "Стадия сделки", status_type="DEAL_STAGE"),
    plain("stageSemanticId", "string", "Группа стадии", read_only=True),
    plain("isNew", "boolean", "Новая сделка", read_only=True, empty="N"),
    plain("isRecurring", "boolean", "Регулярная сделка", empty="N"),
    plain("isReturnCustomer", "boolean", "Повторная сделка", empty="N"),
    plain("isRepeatedApproach", "boolean", "Повторное обращение", empty="N"),
    plain("closed", "boolean", "Закрыта", read_only=True, empty="N"),
    plain("typeId", "crm_status", "Тип", status_type="DEAL_TYPE"),
    *MONEY,
    plain("taxValue", "double", "Ставка налога", empty=0),
    plain("probability", "integer", "Вероятность"),
    *COMMENTS,
    plain("begindate", "date", "Дата начала"),
    plain("closedate", "date", "Предполагаемая дата закрытия"),
    plain("locationId", "location", "Местоположение"),
    plain("webformId", "integer", "Создано CRM-формой", "", immutable=True),
    *SOURCE,
    *ORIGIN,
    line("additionalInfo", "Дополнительная информация"),
    *MOVED,
    *ACTIVITY,
    *UTM,
    *OBSERVERS,
)

LEAD_FIELDS = (
    *head("создан", "изменён"),
    link("companyId", COMPANY, "crm_company", "Компания", empty=0),
    *CONTACTS,
    plain("stageId", "crm_status", "Стадия", "STATUS_ID", status_type="STATUS"),
    plain("statusDescription", "text", "Дополнительно о стадии"),
    plain("stageSemanticId", "string", "Группа стадии", "STATUS_SEMANTIC_ID", read_only=True),
    *MONEY,
    *SOURCE,
    line("title", "Название лида"),
    *PERSON,
    line("companyTitle", "Название компании"),
    *COMMENTS,
    plain("webformId", "integer", "Создано CRM-формой", "", immutable=True, empty=0),
    *ORIGIN,
    plain("dateClosed", "datetime", "Дата закрытия", read_only=True),
    *HAS_COMMUNICATIONS,
    plain("isReturnCustomer", "boolean", "Повторный лид", read_only=True, empty="N"),
    *MOVED,
    *ACTIVITY,
    *UTM,
    *address("ADDRESS", "Адрес"),
    *OBSERVERS,
)

CONTACT_FIELDS = (
    *head("создан", "изменён"),
    *PERSON,
    plain("photo", "file", "Фотография"),
    plain("typeId", "crm_status", "Тип контакта", status_type="CONTACT_TYPE"),
    *SOURCE,
    link("companyId", COMPANY, "crm_company", "Компания", deprecated=True, empty=0),
    plain("companyIds", "crm_company", "Компании", multiple=True, parent_type=COMPANY),
    link("leadId", LEAD, "crm_lead", "Лид", classic_read_only=True),
    plain("categoryId", "crm_category", "Направление", "", empty=0),
    *COMMENTS,
    plain("export", "boolean", "Участвует в экспорте", empty="N"),
    *HAS_COMMUNICATIONS,
    *ORIGIN,
    line("originVersion", "Версия оригинала"),
    *ACTIVITY,
    *UTM,
    *address("ADDRESS", "Адрес"),
    *OBSERVERS,
)

COMPANY_FIELDS = (
    *head("создана", "изменена"),
    line("title", "Название компании", required=True),
    plain("typeId", "crm_status", "Тип компании", "COMPANY_TYPE", status_type="COMPANY_TYPE"),
    plain("logo", "file", "Логотип"),
    plain("bankingDetails", "text", "Банковские реквизиты"),
    plain("industry", "crm_status", "Сфера деятельности", status_type="INDUSTRY"),
    plain("employees", "crm_status", "Кол-во сотрудников", status_type="EMPLOYEES"),
    plain("currencyId", "crm_currency", "Валюта"),
    plain("revenue", "double", "Годовой оборот", empty=0),
    *COMMENTS,
    plain("isMyCompany", "boolean", "Моя компания", empty="N"),
    plain("contactIds", "crm_contact", "Контакты", "CONTACT_ID", multiple=True, parent_type=CONTACT),
    link("leadId", LEAD, "crm_lead", "Лид", classic_read_only=True),
    plain("categoryId", "crm_category", "Направление", "", empty=0),
    *HAS_COMMUNICATIONS,
    *ORIGIN,
    line("originVersion", "Версия оригинала"),
    *ACTIVITY,
    *UTM,
    *address("ADDRESS", "Фактический адрес"),
    *address("REG_ADDRESS", "Юридический адрес"),
    *OBSERVERS,
)

QUOTE_FIELDS = (
    *head("создано", "изменено"),
    line("title", "Тема"),
    plain("stageId", "crm_status", "Статус", "STATUS_ID", status_type="QUOTE_STATUS"),
    plain("closed", "boolean", "Закрыто", read_only=True, empty="N"),
    link("leadId", LEAD, "crm_lead", "Лид"),
    link("dealId", DEAL, "crm_deal", "Сделка"),
    link("companyId", COMPANY, "crm_company", "Компания", empty=0),
    *CONTACTS,
    link("mycompanyId", COMPANY, "crm_company", "Реквизиты вашей компании"),
    *MONEY,
    plain("taxValue", "double", "Сумма налога", empty=0),
    *COMMENTS,
    plain("content", "text", "Содержание"),
    plain("terms", "text", "Условия"),
    plain("begindate", "date", "Дата выставления"),
    plain("closedate", "date", "Дата завершения"),
    plain("actualDate", "date", "Действует до"),
    line("quoteNumber", "Номер", read_only=True),
    plain("locationId", "location", "Местоположение"),
    plain("webformId", "integer", "Создано CRM-формой", ""),
    *MOVED,
    *ACTIVITY,
    *UTM,
    *OBSERVERS,
)

DYNAMIC_GROUPS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    (
        "isStagesEnabled",
        (
            plain("stageId", "crm_status", "Стадия"),
            plain("previousStageId", "crm_status", "Предыдущая стадия", read_only=True),
            *MOVED,
        ),
    ),
    (
        "isBeginCloseDatesEnabled",
        (plain("begindate", "date", "Дата начала"), plain("closedate", "date", "Дата завершения")),
    ),
    ("isClientEnabled", (link("companyId", COMPANY, "crm_company", "Компания", empty=0), *CONTACTS)),
    ("isLinkWithProductsEnabled", (*MONEY, plain("taxValue", "double", "Сумма налога", empty=0))),
    ("isMycompanyEnabled", (link("mycompanyId", COMPANY, "crm_company", "Реквизиты вашей компании"),)),
    ("isSourceEnabled", SOURCE),
    ("isObserversEnabled", OBSERVERS),
)

NULLS_OF_DEALS = """
dateCreateShort dateModifyShort productId begindateShort closedateShort eventDate eventDateShort eventId
eventDescription searchContent orderStage isWork isWon isLose receivedAmount lostAmount hasProducts
"""
NULLS_OF_LEADS = "dateCreateShort dateModifyShort isConvert productId shortName address login skype icq searchContent"
DISABLED: dict[int, tuple[str, ...]] = {
    DEAL: tuple(NULLS_OF_DEALS.split()),
    LEAD: tuple(NULLS_OF_LEADS.split()),
    CONTACT: ("shortName", "address", "login", "searchContent"),
    COMPANY: ("address", "searchContent"),
}
"""Fields that are switched off: always null in full answers (api-reference/crm/universal/crm-item-add.md)."""


def dynamic_fields(entity: EntityType) -> tuple[Field, ...]:
    """Fields of a smart process: each group only if the type's switch is on (object-fields.md, section SPA)."""
    found = [
        plain("id", "integer", "ID", read_only=True),
        line("title", "Название"),
        line("xmlId", "Внешний код"),
        *(item for item in head("создан", "изменён") if item.code != "id"),
        plain("webformId", "integer", "Создано CRM-формой", immutable=True),
        plain("categoryId", "crm_category", "Воронка"),
        *ACTIVITY,
        *UTM,
    ]
    for option, group in DYNAMIC_GROUPS:
        if entity.options.get(option) == "Y":
            found.extend(group)
    return tuple(found)


STANDARD_FIELDS = {
    LEAD: LEAD_FIELDS,
    DEAL: DEAL_FIELDS,
    CONTACT: CONTACT_FIELDS,
    COMPANY: COMPANY_FIELDS,
    QUOTE: QUOTE_FIELDS,
}

HAS_MULTIFIELDS = frozenset({LEAD, CONTACT, COMPANY})


def fields_of(entity: EntityType) -> tuple[Field, ...]:
    """System fields of a type."""
    return dynamic_fields(entity) if entity.is_dynamic else STANDARD_FIELDS[entity.id]
