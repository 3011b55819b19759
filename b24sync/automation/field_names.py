"""Names of fields as rules write them, `assigned_by`, and as the portal does, `assignedById`."""

from __future__ import annotations

ALIASES = {
    "assigned_by": "assignedById",
    "company": "companyId",
    "contact": "contactId",
    "stage": "stageId",
    "pipeline": "categoryId",
    "currency": "currencyId",
    "source": "sourceId",
    "type": "typeId",
    "begin_date": "begindate",
    "close_date": "closedate",
}


def code_of(name: str) -> str:
    """The portal's name of `assigned_by`, `close_date`, `uf_crm_note`; what has a capital letter is one already."""
    if name in ALIASES:
        return ALIASES[name]
    if not name.islower():
        return name
    if name.startswith("uf_"):
        return name.upper()
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
