"""An importer to start from: enquiries of a web form as deals; CSV, one row per enquiry.

Writes  deals, originatorId = enquiries, originId = number of the enquiry
Again?  safe: the same origin becomes Skip or Update in the plan

Try it: b24sync import run samples/enquiries-2026-11.csv --dry-run
"""

from b24sync.importing import Date, Deals, Link, Money, Name, SourceFile, Text


class Enquiries(Deals):
    originator_id = "enquiries"
    origin_id = Text("Номер")
    title = Text("Тема")
    company = Link("Компания", match="title", create=True)
    stage = Name("Этап")
    opportunity = Money("Сумма", currency="RUB")
    created_time = Date("Получена", "%d.%m.%Y %H:%M")
    UF_CRM_SEGMENT = Text("Сегмент")
    constants = {"pipeline": "Продажи"}
    left_out = ("Страница",)

    def identify(self, file: SourceFile) -> bool:
        return file.name.startswith("enquiries-") and file.header[0] == "Номер"
