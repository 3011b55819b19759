"""What the rules of a configuration need to know of their portal: directories and templates, read together."""

from __future__ import annotations

from collections.abc import Iterable

from b24sync.automation.params import Assign, Portal, User, WorkflowTemplate
from b24sync.automation.rulebook import RuleBook
from b24sync.errors import PortalRefused
from b24sync.portal.directory import read_directory
from b24sync.portal.items import COMPANY, CONTACT, DEAL, LEAD
from b24sync.portal.workflows import deal_templates
from b24sync.transport.client import PortalClient

TYPE_IDS = {"lead": LEAD, "deal": DEAL, "contact": CONTACT, "company": COMPANY}
TASK = "task"


def type_id_of(entity: str) -> int | None:
    """The entityTypeId of `deal`, `company`, `item:130`, ...; None for what is no CRM item."""
    if entity.startswith("item:") and entity.removeprefix("item:").isdigit():
        return int(entity.removeprefix("item:"))
    return TYPE_IDS.get(entity)


def entity_of(type_id: int) -> str:
    """`deal` for 2, `item:130` for a smart process."""
    return next((name for name, known in TYPE_IDS.items() if known == type_id), f"item:{type_id}")


def resolve_rules(client: PortalClient, book: RuleBook) -> RuleBook:
    """The rules with ids in place of names. Cost: one request per kind of item, one more where templates are named.

    Raises PortalUnreachable, PortalBlocked; PortalRefused where the webhook may not read the directory.
    """
    wanted = [rule for rule in book.rules if rule.enabled and not rule.problems]
    entities = {rule.process.entity for rule in wanted} | {entity for rule in wanted for entity in rule.entities()}
    templates = deal_templates(client) if any(_names_template(rule.references()) for rule in wanted) else []
    users = any(_names_people(rule.references()) for rule in wanted)
    portals: dict[str, Portal] = {}
    for entity in sorted(entities):
        type_id = type_id_of(entity)
        if type_id is None:
            continue
        try:
            portals[entity] = Portal(read_directory(client, type_id, users=users), templates)
        except PortalRefused as error:
            if error.method == "user.get" or entity in TYPE_IDS:
                raise
    return book.resolved(portals)


def _names_people(references: Iterable[object]) -> bool:
    """Only then the webhook needs the scope `user`."""
    return any(isinstance(item, User | Assign) for item in references)


def _names_template(references: Iterable[object]) -> bool:
    return any(isinstance(item, WorkflowTemplate) for item in references)
