"""Entity types of the CRM: numbers, names, dictionaries, document codes.

Docs: api-reference/crm/data-types.md (object types), api-reference/bizproc/bizproc-workflow-start.md (documents).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LEAD, DEAL, CONTACT, COMPANY, OLD_INVOICE, QUOTE, INVOICE = 1, 2, 3, 4, 5, 7, 31


@dataclass(slots=True)
class EntityType:
    """One entity type. `type_id` is the record number of a smart process: its user fields hang on it, not on `id`."""

    id: int
    name: str
    title: str
    prefix: str
    uf_entity: str
    stage_dictionary: str = ""
    has_categories: bool = False
    document_entity: str = ""
    type_id: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_dynamic(self) -> bool:
        """A smart process (or the new invoice), kept by the same code in the portal."""
        return self.type_id > 0

    @property
    def has_stages(self) -> bool:
        return bool(self.stage_dictionary)

    @property
    def document_type(self) -> str:
        """DOCUMENT_TYPE[2] and the start of DOCUMENT_ID[2]: `DEAL`, `DYNAMIC_147`."""
        return self.name

    def dictionary_of(self, category_id: int) -> str:
        """ENTITY_ID of the stages of a pipeline: `DEAL_STAGE`, `DEAL_STAGE_3`, `DYNAMIC_147_STAGE_9`, `STATUS`."""
        if not self.has_categories:
            return self.stage_dictionary
        if self.is_dynamic:
            return f"{self.stage_dictionary}_{category_id}"
        return self.stage_dictionary if category_id == 0 else f"{self.stage_dictionary}_{category_id}"

    def stage_prefix(self, category_id: int) -> str:
        """Prefix of the stage ids of a pipeline: `` for the default one, `C3:`, `DT147_9:`."""
        if not self.has_categories:
            return ""
        if self.is_dynamic:
            return f"DT{self.id}_{category_id}:"
        return "" if category_id == 0 else f"C{category_id}:"

    def event(self, action: str) -> str:
        """Event code: ONCRMDEALADD, ONCRMDYNAMICITEMUPDATE (api-reference/crm/deals/events/index.md)."""
        return f"ONCRM{'DYNAMICITEM' if self.is_dynamic else self.name}{action.upper()}"


def standard_types() -> dict[int, EntityType]:
    """The types that every portal has."""
    return {
        LEAD: EntityType(LEAD, "LEAD", "Лид", "L", "CRM_LEAD", "STATUS", document_entity="CCrmDocumentLead"),
        DEAL: EntityType(
            DEAL, "DEAL", "Сделка", "D", "CRM_DEAL", "DEAL_STAGE", True, document_entity="CCrmDocumentDeal"
        ),
        CONTACT: EntityType(CONTACT, "CONTACT", "Контакт", "C", "CRM_CONTACT", document_entity="CCrmDocumentContact"),
        COMPANY: EntityType(COMPANY, "COMPANY", "Компания", "CO", "CRM_COMPANY", document_entity="CCrmDocumentCompany"),
        QUOTE: EntityType(
            QUOTE,
            "QUOTE",
            "Предложение",
            "Q",
            "CRM_QUOTE",
            "QUOTE_STATUS",
            document_entity="Bitrix\\Crm\\Integration\\BizProc\\Document\\Quote",
        ),
    }


def dynamic_type(type_id: int, entity_type_id: int, title: str, options: dict[str, Any]) -> EntityType:
    """A smart process (api-reference/crm/universal/user-defined-object-types/crm-type-add.md)."""
    return EntityType(
        entity_type_id,
        f"DYNAMIC_{entity_type_id}",
        title,
        f"T{entity_type_id:x}",
        f"CRM_{type_id}",
        f"DYNAMIC_{entity_type_id}_STAGE" if options.get("isStagesEnabled") == "Y" else "",
        True,
        "Bitrix\\Crm\\Integration\\BizProc\\Document\\Dynamic",
        type_id,
        options,
    )
