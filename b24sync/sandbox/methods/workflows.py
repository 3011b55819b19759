"""`bizproc.workflow.{start,instances,instance.list,terminate,kill}`.

Docs: api-reference/bizproc/bizproc-workflow-{start,instances,terminate,kill}.md.
"""

from __future__ import annotations

from typing import Any

from ..model import automation
from ..model.entities import EntityType
from ..model.filters import Column, Compiler, FilterFault, Plan, compile_order
from ..model.items import Item
from ..model.listing import listed, start_of
from ..model.moments import iso_moment, parse_moment
from ..model.workflows import KILLED, TERMINATED, Instance, Template
from ..portal import Portal
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, integer, listed_answer, mapping, needs_admin, sequence

DEFAULT_SELECT = ("ID", "MODIFIED", "OWNED_UNTIL")


# -- start ------------------------------------------------------------------------------------
@rest_method("bizproc.workflow.start", scope="bizproc")
def start(call: Call) -> Answer:
    """Answers the instance's id, a text such as 66e81a641752f8.56521481. Not idempotent: two calls = two instances."""
    if not call.portal.switches.workflow_start_by_anyone:
        needs_admin(call)
    template = wanted_template(call)
    entity, item = wanted_document(call)
    if template.document_type != entity.document_type or template.entity != entity.document_entity:
        raise ApiError("", "Template type and DOCUMENT_ID mismatch!")
    parameters = mapping(argument(call, "PARAMETERS"))
    check_parameters(template, parameters)
    try:
        instance = automation.start(call.portal, template, entity, item, call.user_id, parameters=parameters)
    except automation.TooManyWaiting as error:
        limit = call.portal.switches.waiting_workflows_per_document
        text = f"Превышено максимальное количество одновременно запущенных бизнес-процессов для документа ({limit})."
        raise ApiError("", text) from error
    return Answer(instance.id)


def wanted_template(call: Call) -> Template:
    raw = argument(call, "TEMPLATE_ID")
    if raw in (None, "", 0, "0"):
        raise ApiError("ERROR_WRONG_WORKFLOW_ID", "Empty TEMPLATE_ID")
    template = call.portal.workflows.templates.get(integer(raw) or 0)
    if template is None:
        raise ApiError("ERROR_WRONG_WORKFLOW_ID", "Template not found")
    return template


def wanted_document(call: Call) -> tuple[EntityType, Item]:
    """The item of the triple [module, entity, "DEAL_777"]. Raises the two texts of bizproc-workflow-start.md.

    A triple of the right form whose item does not exist is also "Wrong DOCUMENT_ID!" (seen in the product).
    """
    triple = [str(part) for part in sequence(argument(call, "DOCUMENT_ID"))]
    if len(triple) != 3 or not all(triple):
        raise ApiError("", "Wrong DOCUMENT_ID!")
    module, document_entity, element = triple
    name, _, number = element.rpartition("_")
    types = [one for one in call.portal.types.values() if one.document_entity == document_entity]
    if module != "crm" or not types:
        raise ApiError("", "Wrong DOCUMENT_ID!")
    entity = next((one for one in types if one.document_type == name), None)
    if entity is None:
        raise ApiError("", "Incorrect document type!")
    item = call.portal.items[entity.id].get(int(number)) if number.isdigit() else None
    if item is None:
        raise ApiError("", "Wrong DOCUMENT_ID!")
    return entity, item


def check_parameters(template: Template, given: dict[str, Any]) -> None:
    """A required parameter that is missing refuses the start with its name in the text."""
    for code, parameter in template.parameters.items():
        required = str(parameter.get("Required", "0")).upper() in ("1", "Y", "TRUE")
        if required and given.get(code) in (None, "", []) and parameter.get("Default") in (None, ""):
            raise ApiError("", f'Не заполнено обязательное поле "{parameter.get("Name") or code}"')


# -- instances --------------------------------------------------------------------------------
def text_key(raw: Any) -> str | None:
    return None if raw in (None, "") else str(raw)


def number_key(raw: Any) -> int | None:
    return None if raw in (None, "") else int(str(raw))


def columns(portal: Portal) -> dict[str, Column]:
    def moment(raw: Any) -> int | None:
        return None if raw in (None, "") else parse_moment(raw, portal.zone)

    found = [
        Column("ID", lambda one: one.id, text_key),
        Column("MODIFIED", lambda one: one.modified, moment),
        Column("OWNED_UNTIL", lambda one: None, moment),
        Column("MODULE_ID", lambda one: "crm", text_key),
        Column("ENTITY", lambda one: one.entity, text_key),
        Column("DOCUMENT_ID", lambda one: one.document_id, text_key),
        Column("STARTED", lambda one: one.started, moment),
        Column("STARTED_BY", lambda one: one.started_by, number_key),
        Column("TEMPLATE_ID", lambda one: one.template_id, number_key),
    ]
    return {column.name: column for column in found}


def candidates(portal: Portal, plan: Plan) -> list[Instance]:
    """Waiting instances; an equality on DOCUMENT_ID or ID spares the scan."""
    wanted = dict(plan.equals)
    if "DOCUMENT_ID" in wanted:
        documents = sorted(value for value in wanted["DOCUMENT_ID"] if value)
        return [one for document in documents for one in portal.workflows.waiting_of(document)]
    if "ID" in wanted:
        found = (portal.workflows.instances.get(str(value)) for value in wanted["ID"])
        return [one for one in found if one is not None and one.finished is None]
    return list(portal.workflows.waiting())


def row(portal: Portal, instance: Instance) -> dict[str, Any]:
    """All texts; times in ISO with the server's offset, whole seconds."""
    return {
        "ID": instance.id,
        "MODIFIED": iso_moment(instance.modified, portal.zone),
        "OWNED_UNTIL": None,
        "MODULE_ID": "crm",
        "ENTITY": instance.entity,
        "DOCUMENT_ID": instance.document_id,
        "STARTED": iso_moment(instance.started, portal.zone),
        "STARTED_BY": str(instance.started_by),
        "TEMPLATE_ID": str(instance.template_id),
    }


def instances(call: Call) -> Answer:
    """Instances that wait; finished ones have simply disappeared."""
    needs_admin(call)
    portal = call.portal
    known = columns(portal)
    try:
        compiler = Compiler(
            known,
            strict=False,
            groups=False,
            ignore_case=True,
            arrays=portal.switches.instances_array_filter,
            id_column="",
        )
        plan = compiler.compile(argument(call, "FILTER"))
    except FilterFault as fault:
        raise ApiError("ERROR_FILTER_VALIDATION_FAILURE", str(fault)) from fault
    order = compile_order(argument(call, "ORDER") or {"MODIFIED": "desc"}, known, strict=False, ignore_case=True)
    page = listed(candidates(portal, plan), plan, order, start_of(argument(call, "start", 0)))
    names = [str(name).upper() for name in sequence(argument(call, "SELECT"))] or list(DEFAULT_SELECT)
    rows = []
    for instance in page.rows:
        full = row(portal, instance)
        rows.append({name: full[name] for name in names if name in full})
    return listed_answer(rows, page)


rest_method("bizproc.workflow.instances", scope="bizproc")(instances)
rest_method("bizproc.workflow.instance.list", scope="bizproc")(instances)


def waiting_instance(call: Call) -> Instance:
    """The instance named by ID; ids are texts and never numbers."""
    raw = argument(call, "ID")
    if raw in (None, ""):
        raise ApiError("ERROR_WRONG_WORKFLOW_ID", "Empty workflow instance ID")
    instance = call.portal.workflows.instances.get(str(raw))
    if instance is None or instance.finished is not None:
        raise ApiError("ERROR_WRONG_WORKFLOW_ID", "Workflow instance not found")
    return instance


@rest_method("bizproc.workflow.terminate", scope="bizproc")
def terminate(call: Call) -> Answer:
    needs_admin(call)
    call.portal.workflows.finish(waiting_instance(call), TERMINATED, call.portal.time())
    return Answer(True)


@rest_method("bizproc.workflow.kill", scope="bizproc")
def kill(call: Call) -> Answer:
    needs_admin(call)
    call.portal.workflows.finish(waiting_instance(call), KILLED, call.portal.time())
    return Answer(True)
