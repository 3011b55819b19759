"""Columns of a source, declared as attributes of an importer: the attribute's name is the field it fills.

    phone = Phone("Mobile", value_type="MOBILE"), Phone("Office")     # several columns, one field
    UF_CRM_CITY = Text("City", map={"-": ""})                          # a user field by its code
    opportunity = Money("Budget", currency="RUB", decimal=",")

Each takes the options that the same column has in a mapping file (docs/importers.md, "A column").
"""

from __future__ import annotations

from typing import Any, ClassVar

from b24sync.importing.fields import Kind


class Declared:
    """One declared column: its title in the file and what is said about it.

    `kinds` are the fields it may fill, besides user fields; none named = any.
    """

    kinds: ClassVar[frozenset[Kind]] = frozenset()

    def __init__(self, title: str, **options: Any) -> None:
        self.title = title
        self.options = {name: value for name, value in options.items() if value is not None}

    def raw(self, field: str) -> dict[str, Any]:
        """The column as a mapping file would say it."""
        return {"field": field, **self.options}


class Text(Declared):
    """Text as it stands; also what no other declaration fits. Options: map, other, default, errors, separator."""


class Number(Declared):
    """A number: probability, tax, a product's quantity. Option: decimal."""

    kinds = frozenset({Kind.NUMBER, Kind.INTEGER, Kind.MONEY})


class Money(Declared):
    """An amount. `currency` is that of the whole file; leave it out where a column names it."""

    kinds = frozenset({Kind.MONEY})

    def __init__(self, title: str, *, currency: str | None = None, **options: Any) -> None:
        super().__init__(title, **options)
        self.currency = currency


class Currency(Declared):
    """A currency: code, sign or name."""

    kinds = frozenset({Kind.CURRENCY})


class Date(Declared):
    """A date or a time of day on a date. `form` as in strptime; `tz` where its times are not the portal's."""

    kinds = frozenset({Kind.DATE, Kind.DATETIME})

    def __init__(self, title: str, form: str | None = None, *, tz: str | None = None, **options: Any) -> None:
        super().__init__(title, format=form, tz=tz, **options)


class Flag(Declared):
    """Yes or no."""

    kinds = frozenset({Kind.BOOL})


class Person(Declared):
    """A user of the portal: e-mail, name or id. Options: map, default (for who has left), separator (observers)."""

    kinds = frozenset({Kind.USER, Kind.USERS})


class Name(Declared):
    """A pipeline, stage or element of a dictionary by its name. Options: map, default, match."""

    kinds = frozenset({Kind.PIPELINE, Kind.STAGE, Kind.STATUS})


class Link(Declared):
    """A company, contact or parent item. Options: match (title, origin, email, phone, id), create, default."""

    kinds = frozenset({Kind.COMPANY, Kind.COMPANIES, Kind.CONTACT, Kind.CONTACTS, Kind.PARENT})


class _Multifield(Declared):
    """Options: value_type (WORK, MOBILE, HOME, ...), separator."""


class Phone(_Multifield):
    """A phone, or several parted by `separator`."""

    kinds = frozenset({Kind.PHONE})


class Email(_Multifield):
    """An e-mail address, or several parted by `separator`."""

    kinds = frozenset({Kind.EMAIL})


class Web(_Multifield):
    """An address on the web."""

    kinds = frozenset({Kind.WEB})


class File(Declared):
    """Path of a file, below the folder of the spreadsheet; fills user fields of type file. Option: separator."""

    kinds = frozenset({Kind.USER_FIELD})
