"""Accounts and opportunities of the data set "CRM Sales Opportunities": two CSV files.

Writes  companies, then deals; originatorId = maven-crm, originId = the account's name, the opportunity's id
Again?  safe: the same origin becomes Skip or Update in the plan
Needs   examples/maven_crm_sales/blueprint.toml: the pipeline and the user fields
"""

from __future__ import annotations

from b24sync.importing import Companies, Date, Deals, Draft, Link, Money, Name, Person, RowError, SourceFile, Text

HEAD = "head@example.com"
AGENTS = (
    "Anna Snelling|Boris Faz|Carl Lin|Carol Thompson|Cassey Cress|Cecily Lampkin|Corliss Cosme|Daniell Hammack"
    "|Darcel Schlecht|Donn Cantrell|Elease Gluck|Elizabeth Anderson|Garret Kinder|Gladys Colclough|Hayden Neloms"
    "|James Ascencio|Jonathan Berthelot|Kami Bicknell|Kary Hendrixson|Lajuana Vencill|Markita Hansen|Marty Freudenburg"
    "|Maureen Marcano|Mei-Mei Johns|Moses Frase|Natalya Ivanova|Niesha Huffines|Reed Clapper|Rosalina Dieter"
    "|Rosie Papadopoulos|Versie Hillebrand|Vicki Laflamme|Violet Mclelland|Wilburn Farren|Zane Levy"
)


def email_of(name: str) -> str:
    """The address of an agent: first letter and surname."""
    first, *_, last = name.lower().split()
    return f"{first[0]}.{last}@example.com"


class MavenAccounts(Companies):
    """`accounts.csv`: a company's name is the only identifier there is; the deals name companies by it."""

    name = "maven_accounts"
    originator_id = "maven-crm"
    origin_id = Text("account")
    title = Text("account")
    UF_CRM_MAVEN_SECTOR = Text("sector", map={"technolgy": "technology"})
    UF_CRM_MAVEN_YEAR = Text("year_established")
    UF_CRM_MAVEN_REVENUE = Text("revenue")  # millions of dollars, so not the portal's own revenue field
    UF_CRM_MAVEN_EMPLOYEES = Text("employees")  # a count; the portal's own field is a list of ranges
    UF_CRM_MAVEN_COUNTRY = Text("office_location", map={"Philipines": "Philippines"})
    UF_CRM_MAVEN_PARENT = Text("subsidiary_of")
    constants = {"type": "Клиент"}

    def identify(self, file: SourceFile) -> bool:
        """By the whole header."""
        wanted = "account sector year_established revenue employees office_location subsidiary_of"
        return file.header == wanted.split()


class MavenPipeline(Deals):
    """`sales_pipeline.csv`: 8,800 deals, 1,425 of them (prospects) without an account."""

    name = "maven_pipeline"
    originator_id = "maven-crm"
    origin_id = Text("opportunity_id")
    assigned_by = Person("sales_agent", map={name: email_of(name) for name in AGENTS.split("|")}, default=HEAD)
    company = Link("account", match="origin")
    stage = Name("deal_stage")
    begin_date, close_date = Date("engage_date"), Date("close_date")
    opportunity = Money("close_value", currency="USD")
    UF_CRM_MAVEN_PRODUCT = Text("product", map={"GTXPro": "GTX Pro"})
    constants = {"pipeline": "Maven"}
    templates = {"title": "{product} / {account} / {opportunity_id}"}

    def identify(self, file: SourceFile) -> bool:
        """By the id's title and the stage's."""
        return {"opportunity_id", "sales_agent", "deal_stage", "close_value"} <= set(file.header)

    def amend(self, draft: Draft) -> Draft | RowError:
        """A deal that is closed has a date on which it was engaged."""
        begun, closed = draft.fields.get("begin_date"), draft.fields.get("close_date")
        if begun and closed and closed < begun:
            said = f"closed on {closed}, before it was engaged on {begun}"
            return RowError(draft.line, draft.key, "close_date", closed, "CLOSED_BEFORE_BEGUN", said)
        return draft
