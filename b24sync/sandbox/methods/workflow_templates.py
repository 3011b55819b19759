"""`bizproc.workflow.template.{list,add,update,delete}`.

Docs: api-reference/bizproc/template/*.md. Writing needs an application; the format of a template file is undocumented,
so what an uploaded template does is chosen by the sandbox: it waits.
"""

from __future__ import annotations

from typing import Any

from ..model.filters import Column, Compiler, FilterFault, compile_order
from ..model.listing import listed, start_of
from ..model.moments import iso_moment, parse_moment
from ..model.workflows import Template
from ..portal import Portal
from ..registry import Answer, ApiError, Call, rest_method
from .arguments import argument, integer, listed_answer, mapping, needs_admin, sequence

AUTO_EXECUTE = ("0", "1", "2", "3")
VALIDATION = "ERROR_TEMPLATE_VALIDATION_FAILURE"


def row(portal: Portal, template: Template) -> dict[str, Any]:
    """Ids are texts; empty maps are []; PARAMETERS by code (its shape is undocumented, see `parameters`)."""
    return {
        "ID": str(template.id),
        "MODULE_ID": template.module,
        "ENTITY": template.entity,
        "DOCUMENT_TYPE": [template.module, template.entity, template.document_type],
        "AUTO_EXECUTE": str(template.auto_execute),
        "NAME": template.name,
        "TEMPLATE": [],
        "PARAMETERS": parameters(template),
        "VARIABLES": [],
        "CONSTANTS": [],
        "MODIFIED": iso_moment(template.modified, portal.zone),
        "IS_MODIFIED": "N",
        "USER_ID": str(template.user_id),
        "SYSTEM_CODE": template.system_code or None,
        "DESCRIPTION": template.description,
    }


def parameters(template: Template) -> Any:
    """{code: {Name, Description, Type, Required "0"/"1", Multiple, Options, Default}}, as seen in the product."""
    blank = {"Description": "", "Type": "string", "Required": "0", "Multiple": "0", "Options": None, "Default": ""}
    return {code: {"Name": code, **blank, **given} for code, given in template.parameters.items()} or []


def text_key(raw: Any) -> str | None:
    return None if raw in (None, "") else str(raw)


def columns(portal: Portal) -> dict[str, Column]:
    found = [
        Column("ID", lambda one: one.id, lambda raw: int(str(raw))),
        Column("MODULE_ID", lambda one: one.module, text_key),
        Column("ENTITY", lambda one: one.entity, text_key),
        Column("DOCUMENT_TYPE", lambda one: one.document_type, text_key),
        Column("AUTO_EXECUTE", lambda one: one.auto_execute, lambda raw: int(str(raw))),
        Column("NAME", lambda one: one.name, text_key),
        Column("MODIFIED", lambda one: one.modified, lambda raw: parse_moment(raw, portal.zone)),
        Column("IS_MODIFIED", lambda one: "N", text_key),
        Column("USER_ID", lambda one: one.user_id, lambda raw: int(str(raw))),
        Column("SYSTEM_CODE", lambda one: one.system_code or None, text_key),
    ]
    return {column.name: column for column in found}


def filter_tree(raw: Any) -> dict[str, Any]:
    """A triple as DOCUMENT_TYPE means its last part."""
    tree = mapping(raw)
    for key, value in list(tree.items()):
        if key.upper().lstrip("=") == "DOCUMENT_TYPE" and isinstance(value, list) and len(value) == 3:
            tree = {**tree, key: value[2], "MODULE_ID": value[0], "ENTITY": value[1]}
    return tree


@rest_method("bizproc.workflow.template.list", scope="bizproc")
def list_templates(call: Call) -> Answer:
    """Default SELECT is ID alone, default ORDER by ID."""
    needs_admin(call)
    known = columns(call.portal)
    try:
        plan = Compiler(known, strict=False, groups=False, ignore_case=True, id_column="ID").compile(
            filter_tree(argument(call, "FILTER"))
        )
    except FilterFault as fault:
        raise ApiError("ERROR_FILTER_VALIDATION_FAILURE", str(fault)) from fault
    order = compile_order(argument(call, "ORDER") or {"ID": "ASC"}, known, strict=False, ignore_case=True)
    templates = call.portal.workflows.templates.values()
    page = listed(templates, plan, order, start_of(argument(call, "start", 0)))
    names = [str(name).upper() for name in sequence(argument(call, "SELECT"))] or ["ID"]
    rows = []
    for template in page.rows:
        full = row(call.portal, template)
        rows.append({name: full[name] for name in names if name in full})
    return listed_answer(rows, page)


def needs_app(call: Call) -> None:
    if not call.is_app:
        raise ApiError("ACCESS_DENIED", "Application context required", status=403)
    needs_admin(call)


def check_file(raw: Any) -> None:
    """TEMPLATE_DATA: ["name.bpt", base64]."""
    parts = sequence(raw)
    if len(parts) != 2 or not all(isinstance(part, str) and part for part in parts):
        raise ApiError(VALIDATION, "Incorrect field TEMPLATE_DATA!")


def auto_execute(raw: Any) -> int:
    if raw in (None, ""):
        return 0
    if str(raw) not in AUTO_EXECUTE:
        raise ApiError(VALIDATION, "Incorrect field AUTO_EXECUTE!")
    return int(raw)


def owner_code(call: Call) -> str:
    return f"rest_app_{call.credential}"


@rest_method("bizproc.workflow.template.add", scope="bizproc")
def add(call: Call) -> Answer:
    needs_app(call)
    triple = [str(part) for part in sequence(argument(call, "DOCUMENT_TYPE"))]
    entity = next(
        (one for one in call.portal.types.values() if triple == ["crm", one.document_entity, one.document_type]),
        None,
    )
    if entity is None:
        raise ApiError(VALIDATION, "Incorrect field DOCUMENT_TYPE!")
    name = str(argument(call, "NAME") or "").strip()
    if not name:
        raise ApiError(VALIDATION, "Empty template name!")
    execute = auto_execute(argument(call, "AUTO_EXECUTE"))
    check_file(argument(call, "TEMPLATE_DATA"))
    template = call.portal.workflows.add_template(
        name,
        document_type=entity.document_type,
        entity=entity.document_entity,
        auto_execute=execute,
        description=str(argument(call, "DESCRIPTION") or ""),
        modified=int(call.portal.time()),
        user_id=call.user_id,
        system_code=owner_code(call),
    )
    return Answer(template.id)


def own_template(call: Call, doing: str) -> Template:
    template = call.portal.workflows.templates.get(integer(argument(call, "ID")) or 0)
    if template is None:
        raise ApiError("ERROR_TEMPLATE_NOT_FOUND", "Workflow template not found.")
    if template.system_code != owner_code(call):
        text = f"You can {doing} ONLY templates created by current application"
        raise ApiError("ERROR_TEMPLATE_NOT_OWNER", text)
    return template


@rest_method("bizproc.workflow.template.update", scope="bizproc")
def update(call: Call) -> Answer:
    """Other keys of FIELDS are ignored."""
    needs_app(call)
    template = own_template(call, "update")
    fields = {key.upper(): value for key, value in mapping(argument(call, "FIELDS")).items()}
    known = {key: fields[key] for key in ("NAME", "DESCRIPTION", "TEMPLATE_DATA", "AUTO_EXECUTE") if key in fields}
    if not known:
        raise ApiError(VALIDATION, "No fields to update.")
    if "NAME" in known and not str(known["NAME"] or "").strip():
        raise ApiError(VALIDATION, "Empty template name!")
    if "TEMPLATE_DATA" in known:
        check_file(known["TEMPLATE_DATA"])
    if "AUTO_EXECUTE" in known:
        template.auto_execute = auto_execute(known["AUTO_EXECUTE"])
    template.name = str(known.get("NAME", template.name))
    template.description = str(known.get("DESCRIPTION", template.description))
    template.modified = int(call.portal.time())
    return Answer(template.id)


@rest_method("bizproc.workflow.template.delete", scope="bizproc")
def delete(call: Call) -> Answer:
    needs_app(call)
    template = own_template(call, "delete")
    del call.portal.workflows.templates[template.id]
    return Answer(None)
