"""Spreadsheets into the portal; and, by these names, what an importer file imports.

from b24sync.importing import Date, Deals, Draft, Money, Person, Phone, RowError, SourceFile, Text
"""

from b24sync.importing.columns import (
    Currency,
    Date,
    Email,
    File,
    Flag,
    Link,
    Money,
    Name,
    Number,
    Person,
    Phone,
    Text,
    Web,
)
from b24sync.importing.draft import Draft, RowError
from b24sync.importing.importer import (
    Companies,
    Contacts,
    Deals,
    Importer,
    Leads,
    PortalWords,
    RowReader,
)
from b24sync.importing.mapping import Mapping, check_mapping, load_mapping, parse_mapping
from b24sync.importing.source import Source as SourceFile

__all__ = [
    "Companies",
    "Contacts",
    "Currency",
    "Date",
    "Deals",
    "Draft",
    "Email",
    "File",
    "Flag",
    "Importer",
    "Leads",
    "Link",
    "Mapping",
    "Money",
    "Name",
    "Number",
    "Person",
    "Phone",
    "PortalWords",
    "RowError",
    "RowReader",
    "SourceFile",
    "Text",
    "Web",
    "check_mapping",
    "load_mapping",
    "parse_mapping",
]
