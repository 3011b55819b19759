"""Contacts and deals of an online school: two workbooks that Zoho CRM exported.

Writes  contacts, then deals; originatorId = school-crm, originId = the Id of 19 digits
Again?  safe: the same origin becomes Skip or Update in the plan
Needs   examples/school_x_crm/blueprint.toml: the pipeline and the user fields
"""

from __future__ import annotations

from b24sync.importing import Contacts, Date, Deals, Link, Money, Name, Person, SourceFile, Text

HEAD = "head@example.com"
"""Takes what has no owner, or one that the portal does not know."""
STAFF = (
    "Alice Johnson|Amy Green|Ben Hall|Bob Brown|Cara Iverson|Charlie Davis|Derek James|Diana Evans|Eva Kent|George King"
    "|Ian Miller|Jane Smith|John Doe|Julia Nelson|Kevin Parker|Mason Roberts|Nina Scott|Oliver Taylor|Paula Underwood"
    "|Quincy Vincent|Rachel White|Sam Young|Tina Zhang|Ulysses Adams|Victor Barnes|Wendy Clark|Xander Dean|Yara Edwards"
    "|Zachary Foster"
)
GERMAN = {
    "": "-|.|?",
    "A0": "0|A0|А0|а0|a0-a1|не учил|никакой",
    "A1": "A1|А1|а1|A1-A2|А1-А2",
    "A2": "A2|a2|А2|а2|А2+|a2-б1|А2-Б1|А2-В1|а2-в1",
    "B1": "B1|b1|b1+|В1|в1|В1?|Б1|б1|Б1?|B1-B2|b1-b2|В1-В2|в1-в2|Б1-Б2|б1-б2",
    "B2": "B2|b2|B2+|В2|в2|Б2|б2|б2+|b2-c1|b2-c2|B2-C2|в2-с1|Б2-С1",
    "C1": "C1|С1|с1",
    "C2": "C2|С2",
}
"""Typed by hand: Latin and Cyrillic letters that look alike, ranges (the lower level counts), sentences."""
TIME = "%d.%m.%Y %H:%M"


def email_of(name: str) -> str:
    """The address of a member of staff: first letter and surname."""
    first, *_, last = name.lower().split()
    return f"{first[0]}.{last}@example.com"


OWNERS = {name: email_of(name) for name in STAFF.split("|")}


class SchoolContacts(Contacts):
    """Sheet "Contacts": no names in it, and a column without a title that holds the author's notes."""

    name = "school_x_contacts"
    originator_id = "school-crm"
    origin_id = Text("Id")
    assigned_by = Person("Contact Owner Name", map={**OWNERS, "FALSE": HEAD}, default=HEAD)
    created_time = Date("Created Time", TIME)
    updated_time = Date("Modified Time", TIME)
    templates = {"name": "Клиент {Id}"}
    left_out = ("column 8",)

    def identify(self, file: SourceFile) -> bool:
        """By the titles of the owner and of the change."""
        return file.header[:4] == ["Id", "Contact Owner Name", "Created Time", "Modified Time"]


class SchoolDeals(Deals):
    """Sheet "Deals": 13 stages of one pipeline, amounts as numbers and as texts like "€ 3.500,00"."""

    name = "school_x_deals"
    originator_id = "school-crm"
    origin_id = Text("Id")
    assigned_by = Person("Deal Owner Name", map=OWNERS, default=HEAD)
    stage = Name("Stage")
    close_date = Date("Closing Date", "%d.%m.%Y")
    created_time = Date("Created Time", TIME)
    opportunity = Money("Offer Total Amount", currency="EUR", decimal=",")
    # two deals name a contact that the contacts' workbook does not hold
    contact = Link("Contact Name", match="origin", missing="empty")
    utm_campaign, utm_content, utm_term = Text("Campaign"), Text("Content"), Text("Term")
    UF_CRM_SCHOOL_QUALITY = Text("Quality")
    UF_CRM_SCHOOL_LOST_REASON = Text("Lost Reason")
    UF_CRM_SCHOOL_PAGE = Text("Page")
    UF_CRM_SCHOOL_SLA = Text("SLA")
    UF_CRM_SCHOOL_SOURCE = Text("Source")
    UF_CRM_SCHOOL_PAYMENT_TYPE = Text("Payment Type")
    UF_CRM_SCHOOL_PRODUCT = Text("Product")
    UF_CRM_SCHOOL_EDUCATION = Text("Education Type", errors="empty")  # a #REF! in the workbook
    UF_CRM_SCHOOL_DURATION = Text("Course duration")
    UF_CRM_SCHOOL_MONTHS = Text("Months of study")
    UF_CRM_SCHOOL_PAID = Text("Initial Amount Paid", decimal=",")
    UF_CRM_SCHOOL_CITY = Text("City", map={"-": ""})
    UF_CRM_SCHOOL_GERMAN = Text(
        "Level of Deutsch",
        map={typed: level for level, variants in GERMAN.items() for typed in variants.split("|")},
        other="Другое",
    )
    constants = {"pipeline": "Школа"}
    templates = {"title": "{Product} / {Id}", "UF_CRM_SCHOOL_GERMAN_TEXT": "{Level of Deutsch}"}

    def identify(self, file: SourceFile) -> bool:
        """By titles that no other source has."""
        return {"Id", "Deal Owner Name", "Offer Total Amount", "Level of Deutsch"} <= set(file.header)
