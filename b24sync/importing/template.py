"""`import template`: a workbook to be filled in, that is imported as it is.

The first sheet has the portal's own titles and drop-downs of what the portal takes; the second explains each column
with an example; two hidden ones hold the lists and the mapping, which the importer `b24sync_template` reads back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from b24sync.errors import ConfigError
from b24sync.importing import fields
from b24sync.importing.fields import Field, Kind
from b24sync.importing.portal_titles import title_names
from b24sync.importing.source import MAPPING_SHEET
from b24sync.importing.toml_text import inline, quoted
from b24sync.importing.values import UserFieldType
from b24sync.portal.directory import Directory, FieldInfo, normal

LISTS_SHEET = "b24sync lists"
SEPARATOR = ";"
LAST_ROW = 20_000
_ORDER = [
    "title", "last_name", "name", "second_name", "honorific", "company_title", "pipeline", "stage", "assigned_by",
    "opportunity", "currency", "revenue", "type", "company", "contact", "phone", "email", "web",
    "address", "address_2", "address_city", "address_postal_code", "address_region", "address_province",
    "address_country", "address_type", "post", "birthdate", "industry", "employees", "source", "source_description",
    "begin_date", "close_date", "probability", "observers", "product_name", "product_price", "product_quantity",
    "comments", "created_time",
]  # fmt: skip
_PRODUCT_FIELDS = ("product_name", "product_price", "product_quantity")
_MULTIFIELDS = (("phone", "WORK"), ("phone", "MOBILE"), ("email", "WORK"), ("web", "WORK"))
_UNFILLABLE_TYPES = frozenset({"iblock_element", "iblock_section", "resourcebooking"})


@dataclass(frozen=True, slots=True)
class Words:
    """The template's own words in one language."""

    key: str
    data_sheet: str
    help_sheet: str
    help_titles: Sequence[str]
    key_help: str
    yes_no: Sequence[str]
    several: str
    kinds: dict[str, str] = field(default_factory=dict)
    products: Sequence[str] = ()
    multifields: Sequence[str] = ()
    addresses: dict[str, str] = field(default_factory=dict)
    address_types: Sequence[str] = ()


RUSSIAN = Words(
    "Номер строки (ключ)",
    "Данные",
    "Пояснения",
    ("Столбец", "Что писать", "Пример", "Обязательно", "Допустимые значения"),
    "Любой номер или код, свой у каждой строки: по нему повторный импорт узнаёт уже перенесённое",
    ("да", "нет"),
    f"; несколько значений — через «{SEPARATOR}»",
    {
        "text": "Текст", "money": "Сумма, не меньше нуля", "number": "Число", "integer": "Целое число", "date": "Дата",
        "datetime": "Дата и время", "bool": "Да или нет", "currency": "Код валюты", "user": "Сотрудник из списка",
        "pipeline": "Воронка из списка", "stage": "Стадия выбранной воронки", "status": "Значение из списка",
        "company": "Название компании; если её нет, она будет создана", "file": "Путь к файлу рядом с таблицей",
        "contact": "Имя и фамилия контакта; если его нет, он будет создан", "phone": "Телефон", "email": "Адрес почты",
        "web": "Адрес сайта", "enumeration": "Значение из списка", "crm": "Объект CRM: D_1, C_2, CO_3",
        "address": "Улица, дом, корпус. Адрес получают только новые карточки", "address_2": "Квартира или офис",
        "address_city": "Город или посёлок", "address_postal_code": "Индекс", "address_region": "Район",
        "address_province": "Область, край или республика", "address_country": "Страна",
        "address_type": "Вид адреса из списка; если пусто — фактический",
    },
    ("Товар", "Цена", "Количество"),
    ("Рабочий телефон", "Мобильный телефон", "Рабочий e-mail", "Корпоративный сайт"),
    {
        "address": "Адрес", "address_2": "Квартира, офис", "address_city": "Город", "address_postal_code": "Индекс",
        "address_region": "Район", "address_province": "Область", "address_country": "Страна",
        "address_type": "Вид адреса",
    },
    ("Фактический адрес", "Юридический адрес", "Почтовый адрес", "Адрес доставки", "Адрес регистрации",
     "Адрес бенефициара"),
)  # fmt: skip
ENGLISH = Words(
    "Row number (key)",
    "Data",
    "Help",
    ("Column", "What to write", "Example", "Required", "Allowed values"),
    "Any number or code, different in each row: a second import knows by it what is there already",
    ("yes", "no"),
    f'; several values are parted by "{SEPARATOR}"',
    {
        "text": "Text", "money": "Amount, not negative", "number": "Number", "integer": "Whole number", "date": "Date",
        "datetime": "Date and time", "bool": "Yes or no", "currency": "Currency code", "user": "A person from the list",
        "pipeline": "A pipeline from the list", "stage": "A stage of that pipeline", "status": "A value from the list",
        "company": "Name of the company; made where it is not there", "file": "Path of a file beside the workbook",
        "contact": "First and last name; made where it is not there", "phone": "Phone", "email": "E-mail address",
        "web": "Web address", "enumeration": "A value from the list", "crm": "A CRM object: D_1, C_2, CO_3",
        "address": "Street and house. Only new cards get an address", "address_2": "Flat or office",
        "address_city": "Town", "address_postal_code": "Postal code", "address_region": "District",
        "address_province": "Region or state", "address_country": "Country",
        "address_type": "A type from the list; the actual address where empty",
    },
    ("Product", "Price", "Quantity"),
    ("Work phone", "Mobile phone", "Work e-mail", "Website"),
    {
        "address": "Address", "address_2": "Flat, office", "address_city": "City", "address_postal_code": "Postal code",
        "address_region": "District", "address_province": "Region", "address_country": "Country",
        "address_type": "Address type",
    },
    ("actual", "legal", "mailing", "delivery", "registration", "beneficiary"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TemplateColumn:
    """One column: title, what it becomes in the mapping, and what the sheets say of it."""

    title: str
    mapping: dict[str, Any]
    kind: str
    example: str
    required: bool = False
    allowed: Sequence[str] = ()
    multiple: bool = False


class Template:
    """The columns of one entity of one portal. `originator` names the workbook's rows: each template has its own."""

    def __init__(self, entity: str, directory: Directory, originator: str) -> None:
        self._entity = entity
        self._directory = directory
        self._originator = originator
        if fields.entity_type_id(entity) is None:
            raise ConfigError(f'"{entity}" is none of deal, lead, contact, company, item:<entityTypeId>')
        titles = "".join(info.title for info in directory.fields.values())
        self.words = RUSSIAN if re.search("[А-Яа-я]", titles) else ENGLISH
        self.columns = self._with_own_titles(self._found())

    @property
    def mapping_text(self) -> str:
        """The mapping of the workbook, as a mapping file."""
        columns = {column.title: column.mapping for column in self.columns}
        lines = [f"{quoted(title)} = {inline(options)}" for title, options in columns.items()]
        head = (("entity", self._entity), ("originator", self._originator), ("key", self.words.key))
        return "\n".join([*(f"{name} = {quoted(value)}" for name, value in head), "[columns]", *lines, ""])

    def _found(self) -> Iterator[TemplateColumn]:
        known = fields.entity_fields(self._entity)
        for name in _ORDER:
            if name in known:
                yield from self._of_field(known[name])
        for code, info in self._directory.fields.items():
            if code.startswith("UF_") and not info.read_only and info.type not in _UNFILLABLE_TYPES:
                yield self._of_user_field(code, info)

    def _with_own_titles(self, columns: Iterator[TemplateColumn]) -> list[TemplateColumn]:
        """Titles that the portal uses twice get the field's name beside them."""
        seen = {self.words.key}
        found = []
        for column in columns:
            title = column.title if column.title not in seen else f"{column.title} ({column.mapping['field']})"
            seen.add(title)
            found.append(_retitled(column, title))
        return found

    def _of_field(self, known: Field) -> Iterator[TemplateColumn]:
        info = self._directory.fields.get(known.api)
        if known.kind in fields.MULTIFIELD_TYPES:
            yield from self._of_multifield(known)
        elif known.kind in fields.ADDRESS_KINDS:
            allowed = self.words.address_types if known.kind is Kind.ADDRESS_TYPE else ()
            example = allowed[0] if allowed else _EXAMPLES[known.name]
            title = self.words.addresses[known.name]
            yield TemplateColumn(title, {"field": known.name}, known.name, example, allowed=allowed)
        elif known.name in _PRODUCT_FIELDS:
            if "opportunity" not in self._directory.fields:
                return  # a smart process without products
            title = self.words.products[_PRODUCT_FIELDS.index(known.name)]
            yield TemplateColumn(title, {"field": known.name}, known.kind.value, _EXAMPLES[known.name])
        elif info is not None:  # else switched off for this smart process
            yield self._of_own_field(known, info)

    def _of_multifield(self, known: Field) -> Iterator[TemplateColumn]:
        for (name, value_type), title in zip(_MULTIFIELDS, self.words.multifields, strict=True):
            if name == known.name:
                options = {"field": name, "value_type": value_type, "separator": SEPARATOR}
                yield TemplateColumn(title, options, known.kind.value, _EXAMPLES[name], multiple=True)

    def _of_own_field(self, known: Field, info: FieldInfo) -> TemplateColumn:
        allowed = self._allowed(known)
        options: dict[str, Any] = {"field": known.name}
        if known.kind in fields.LINKS:
            options |= {"match": "title", "create": True}
        if known.multiple:
            options["separator"] = SEPARATOR
        kind = _KIND_WORDS.get(known.kind, known.kind.value)
        example = allowed[0] if allowed else _EXAMPLES.get(known.name) or _EXAMPLES[kind]
        title = info.title
        if not title or title == known.api:
            title = next(iter(title_names(self._entity, known.name)), known.name)
        return TemplateColumn(title, options, kind, example, info.required, allowed, known.multiple)

    def _of_user_field(self, code: str, info: FieldInfo) -> TemplateColumn:
        options: dict[str, Any] = {"field": code}
        if info.multiple:
            options["separator"] = SEPARATOR
        kind = _USER_KINDS.get(info.type, "text")
        allowed = self._allowed_of_user_field(code, info)
        example = allowed[0] if allowed else _EXAMPLES[kind]
        return TemplateColumn(info.title or code, options, kind, example, info.required, allowed, info.multiple)

    def _allowed(self, known: Field) -> list[str]:
        directory = self._directory
        match known.kind:
            case Kind.USER | Kind.USERS:
                return people(directory)
            case Kind.PIPELINE:
                return _distinct(pipeline.name for pipeline in directory.pipelines)
            case Kind.STAGE:
                return _distinct(
                    one.name for pipeline in directory.pipelines for one in directory.stages_of(pipeline.id)
                )
            case Kind.STATUS:
                return _distinct(directory.dictionaries.get(known.dictionary or "", {}).values())
            case Kind.CURRENCY:
                return sorted(directory.currencies)
            case Kind.BOOL:
                return list(self.words.yes_no)
        return []

    def _allowed_of_user_field(self, code: str, info: FieldInfo) -> list[str]:
        kind = UserFieldType(info.type, info.multiple, info.settings.get("ENTITY_TYPE"))
        match kind.type_id:
            case "enumeration":
                return _distinct(info.items.values())
            case "employee":
                return people(self._directory)
            case "crm_status":
                return _distinct(self._directory.dictionaries.get(kind.dictionary or "", {}).values())
            case "boolean":
                return list(self.words.yes_no)
        return []


_KIND_WORDS = {Kind.USERS: "user", Kind.COMPANIES: "company", Kind.CONTACTS: "contact"}
_USER_KINDS = {
    "integer": "integer", "double": "number", "boolean": "bool", "date": "date", "datetime": "datetime",
    "money": "money", "enumeration": "enumeration", "employee": "user", "crm_status": "status", "file": "file",
    "crm": "crm", "url": "web",
}  # fmt: skip
_EXAMPLES = {
    "text": "Насосы для котельной", "money": "150000", "number": "2", "integer": "40", "date": "30.01.2026",
    "datetime": "30.01.2026 09:05", "bool": "", "currency": "RUB", "user": "", "status": "", "stage": "",
    "pipeline": "", "enumeration": "", "company": "ООО Ромашка", "contact": "Иван Ветров", "phone": "+7 900 000-00-00",
    "email": "i.vetrov@example.ru", "web": "https://example.ru", "file": "договоры/1.pdf", "crm": "D_1",
    "name": "Иван", "last_name": "Ветров", "second_name": "Петрович", "post": "Директор",
    "company_title": "ООО Ромашка", "product_name": "Насос ЦН-40", "product_price": "150000", "product_quantity": "1",
    "address": "ул. Ленина, 2", "address_2": "оф. 701", "address_city": "Ялуторовск", "address_postal_code": "627010",
    "address_region": "Ялуторовский район", "address_province": "Тюменская область", "address_country": "Россия",
}  # fmt: skip


def people(directory: Directory) -> list[str]:
    """Active people by name, by e-mail where two have the same."""
    active = [user for user in directory.users if user.active]
    names = [normal(user.name) for user in active]
    return sorted(user.name if user.name and names.count(normal(user.name)) == 1 else user.email for user in active)


def write_template(template: Template, out: Path) -> None:
    """Write the workbook. Raises: ConfigError, where `out` cannot be written."""
    import xlsxwriter

    words, columns = template.words, template.columns
    book = xlsxwriter.Workbook(str(out), {"strings_to_urls": False, "strings_to_numbers": False})
    bold = book.add_format({"bold": True, "bg_color": "#E8F1FA", "text_wrap": True, "valign": "top"})
    as_text = book.add_format({"num_format": "@"})
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    formats = {"date": "dd.mm.yyyy", "datetime": "dd.mm.yyyy hh:mm", "money": "#,##0.00"}
    data, told, lists, mapping = (
        book.add_worksheet(name) for name in (words.data_sheet, words.help_sheet, LISTS_SHEET, MAPPING_SHEET)
    )
    lists.very_hidden()
    mapping.very_hidden()
    data.freeze_panes(1, 1)
    data.write_row(0, 0, [words.key, *(column.title for column in columns)], bold)
    data.set_column(0, 0, 20, as_text)
    told.set_column(0, 1, 36, wrapped)
    told.set_column(2, 4, 24, wrapped)
    told.write_row(0, 0, words.help_titles, bold)
    told.write_row(1, 0, [words.key, words.key_help, "1", words.yes_no[0], ""])
    for index, column in enumerate(columns, start=1):
        told.write_row(index + 1, 0, _told(column, words))
        pattern = formats.get(column.kind, "General" if column.kind in ("number", "integer") else "@")
        data.set_column(index, index, max(14, min(30, len(column.title) + 2)), book.add_format({"num_format": pattern}))
        if column.allowed:
            lists.write_column(0, index, column.allowed)
            letters = _letters(index)
            data.data_validation(
                1,
                index,
                LAST_ROW,
                index,
                {
                    "validate": "list",
                    "source": f"='{LISTS_SHEET}'!${letters}$1:${letters}${len(column.allowed)}",
                    "error_type": "information" if column.multiple else "stop",
                },
            )
    mapping.write_column(0, 0, template.mapping_text.splitlines())
    try:
        book.close()
    except (OSError, xlsxwriter.exceptions.FileCreateError) as error:
        raise ConfigError(f"{out} cannot be written: {error}") from error


def _told(column: TemplateColumn, words: Words) -> list[str]:
    """The line of the help sheet; a list longer than 30 values is in the drop-down only."""
    what = words.kinds.get(column.kind, column.kind) + (words.several if column.multiple else "")
    shown = ", ".join(column.allowed[:30]) + (", …" if len(column.allowed) > 30 else "")
    return [column.title, what, column.example, words.yes_no[0] if column.required else "", shown]


def _retitled(column: TemplateColumn, title: str) -> TemplateColumn:
    return TemplateColumn(
        title, column.mapping, column.kind, column.example, column.required, column.allowed, column.multiple
    )


def _distinct(names: Any) -> list[str]:
    return list(dict.fromkeys(names))


def _letters(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
