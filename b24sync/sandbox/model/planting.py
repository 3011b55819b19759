"""Fills a fresh portal: defaults, then the seed. Keys of a seed: see `b24sync.sandbox.portal`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import seeds
from . import intake, saving
from .definitions import define_user_field
from .entities import DEAL, EntityType, dynamic_type
from .groups import Group, Relation
from .history import History
from .pipelines import Pipeline
from .users import User
from .workflows import Template

if TYPE_CHECKING:
    from ..portal import Portal


def plant(portal: Portal, seed: dict[str, Any]) -> None:
    """Defaults of `seeds`, then everything of `seed`."""
    for row in [*seeds.USERS, *seed.get("users", [])]:
        plant_user(portal, row)
    portal.departments.extend(dict(row) for row in [*seeds.DEPARTMENTS, *seed.get("departments", [])])
    for row in [*seeds.CURRENCIES, *seed.get("currencies", [])]:
        portal.currencies[row["CURRENCY"]] = row
        if row.get("BASE") == "Y":
            portal.base_currency = row["CURRENCY"]
    _dictionaries(portal)
    for entity in portal.types.values():
        if entity.has_stages:
            portal.history[entity.id] = History()
    portal.pipelines.add(Pipeline(0, DEAL, "Общая", 100, is_default=True))
    portal.rebuild_schemas()
    for row in seed.get("types", []):
        plant_type(portal, row)
    for row in seed.get("statuses", []):
        portal.dictionaries.add(row["ENTITY_ID"], row["STATUS_ID"], row["NAME"], sort=int(row.get("SORT", 500)))
    for row in seed.get("categories", []):
        plant_pipeline(portal, row)
    for row in seed.get("userfields", []):
        define_user_field(portal, str(row["ENTITY_ID"]), row)
    for row in [*seeds.TEMPLATES, *seed.get("templates", [])]:
        plant_template(portal, row)
    for row in seed.get("groups", []):
        plant_group(portal, row)
    for row in seed.get("items", []):
        plant_item(portal, row)


def plant_user(portal: Portal, row: dict[str, Any]) -> User:
    """Add a person or change the one with this ID."""
    user_id = int(row.get("ID") or portal.users.next_id())
    user = portal.users.get(user_id) or portal.users.add(User(user_id, registered=int(portal.time())))
    user.name = str(row.get("NAME", user.name))
    user.last_name = str(row.get("LAST_NAME", user.last_name))
    user.second_name = str(row.get("SECOND_NAME", user.second_name))
    user.email = str(row.get("EMAIL", user.email))
    user.admin = truth(row.get("ADMIN", user.admin))
    user.active = truth(row.get("ACTIVE", user.active))
    user.confirmed = truth(row.get("CONFIRMED", user.confirmed))
    user.kind = str(row.get("USER_TYPE", user.kind))
    user.position = str(row.get("WORK_POSITION", user.position))
    user.departments = [int(one) for one in row.get("UF_DEPARTMENT", user.departments)]
    user.rights.update(row.get("rights", {}))
    return user


def plant_group(portal: Portal, row: dict[str, Any]) -> Group:
    """Add a workgroup: NAME, OWNER_ID, texts, EXTRANET, members {user id: role}."""
    group = portal.groups.add(str(row["NAME"]), int(row.get("OWNER_ID", 1)), int(portal.time()))
    for key in ("DESCRIPTION", "KEYWORDS", "VISIBLE", "OPENED", "INITIATE_PERMS", "PROJECT"):
        if key in row:
            setattr(group, key.lower(), str(row[key]))
    for user_id, role in dict(row.get("members", {})).items():
        group.relations[int(user_id)] = Relation(str(role))
    if truth(row.get("EXTRANET", False)):
        group.open_to_guests()
    return group


def truth(raw: Any) -> bool:
    """Y, true and 1 as True."""
    return raw is True or str(raw).lower() in ("y", "1", "true")


def _dictionaries(portal: Portal) -> None:
    for entity_id, (name, stages) in seeds.STAGE_DICTIONARIES.items():
        portal.dictionaries.declare(entity_id, name)
        portal.dictionaries.add_stages(entity_id, "", None, stages, portal.switches.stage_id_max_len)
    for entity_id, (name, rows) in seeds.DICTIONARIES.items():
        portal.dictionaries.declare(entity_id, name)
        for index, (status_id, title) in enumerate(rows, start=1):
            portal.dictionaries.add(entity_id, status_id, title, sort=index * 10, system=True, name_init=title)


def plant_type(portal: Portal, row: dict[str, Any]) -> EntityType:
    """Add a smart process with its default pipeline (crm-type-add.md)."""
    type_id = max((entity.type_id for entity in portal.types.values()), default=0) + 2
    entity_type_id = int(row.get("entityTypeId") or free_entity_type_id(portal))
    options = type_options(row)
    entity = dynamic_type(type_id, entity_type_id, str(row.get("title", "")), options)
    portal.add_type(entity)
    add_pipeline(portal, entity, "Общая", is_default=True)
    return entity


def change_type(portal: Portal, entity: EntityType, row: dict[str, Any]) -> None:
    """Other switches of a smart process; stages switched on later get their default ones in every pipeline."""
    entity.options.update(type_options(row))
    if entity.options.get("isStagesEnabled") == "Y" and not entity.stage_dictionary:
        entity.stage_dictionary = f"{entity.name}_STAGE"
        for pipeline in portal.pipelines.of(entity.id):
            _stages_of_pipeline(portal, entity, pipeline, None)
    portal.add_type(entity)


def type_options(row: dict[str, Any]) -> dict[str, Any]:
    """Switches of a smart process as Y/N, `relations` and `linkedUserFields` (crm-type-add.md).

    The flags inside the last two are true and false there; Y and N do not work.
    """
    options: dict[str, Any] = {key: "Y" if truth(value) else "N" for key, value in row.items() if key.startswith("is")}
    relations = row.get("relations")
    if isinstance(relations, dict):
        options["relations"] = {side: relation_rows(relations.get(side)) for side in ("parent", "child")}
    linked = row.get("linkedUserFields")
    if isinstance(linked, dict):
        options["linkedUserFields"] = {
            str(name): "Y" if value is True or str(value).lower() == "true" else "N" for name, value in linked.items()
        }
    return options


def relation_rows(raw: Any) -> list[dict[str, Any]]:
    entries = list(raw.values()) if isinstance(raw, dict) else raw if isinstance(raw, list) else []
    return [
        {
            "entityTypeId": int(one["entityTypeId"]),
            "isChildrenListEnabled": "Y" if str(one.get("isChildrenListEnabled")).lower() == "true" else "N",
            "isPredefined": "N",
        }
        for one in entries
        if isinstance(one, dict) and str(one.get("entityTypeId", "")).isdigit()
    ]


def free_entity_type_id(portal: Portal) -> int:
    """128-192 first, then even numbers from 1030 (crm-type-add.md)."""
    candidates: list[int] = [*range(128, 193), *range(1030, 4000, 2)]
    for candidate in candidates:
        if candidate not in portal.types:
            return candidate
    raise ValueError("no free entityTypeId")


def plant_pipeline(portal: Portal, row: dict[str, Any]) -> Pipeline:
    entity = portal.types[int(row.get("entityTypeId", DEAL))]
    return add_pipeline(portal, entity, str(row["name"]), sort=int(row.get("sort", 500)), stages=row.get("stages"))


def add_pipeline(
    portal: Portal, entity: EntityType, name: str, *, stages: list[dict[str, Any]] | None = None, **more: Any
) -> Pipeline:
    """Add a pipeline; without `stages` it gets the default ones at once (category/index.md)."""
    pipeline = Pipeline(portal.pipelines.next_id(entity.id), entity.id, name, **more)
    portal.pipelines.add(pipeline)
    if entity.has_stages:
        _stages_of_pipeline(portal, entity, pipeline, stages)
    return pipeline


def _stages_of_pipeline(
    portal: Portal, entity: EntityType, pipeline: Pipeline, stages: list[dict[str, Any]] | None
) -> None:
    dictionary = entity.dictionary_of(pipeline.id)
    portal.dictionaries.declare(dictionary, f"{'Стадии сделки ' if entity.id == DEAL else ''}{pipeline.name}")
    rows = _given_stages(stages) if stages else seeds.DYNAMIC_STAGES if entity.is_dynamic else seeds.DEAL_STAGES
    prefix = entity.stage_prefix(pipeline.id)
    portal.dictionaries.add_stages(dictionary, prefix, pipeline.id, rows, portal.switches.stage_id_max_len)


def _given_stages(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Stages of a seed; those without status_id get one such as the interface makes: UC_000001."""
    rows: list[dict[str, Any]] = []
    for index, stage in enumerate(stages, start=1):
        semantics = str(stage.get("semantics") or "P")
        default_id = {"S": "WON", "F": "LOSE"}.get(semantics, "NEW" if index == 1 else f"UC_{index:06d}")
        taken = {row["status_id"] for row in rows}
        status_id = str(stage.get("status_id") or (default_id if default_id not in taken else f"UC_{index:06d}"))
        rows.append({**stage, "status_id": status_id, "semantics": semantics, "sort": index * 10})
    return rows


def plant_template(portal: Portal, row: dict[str, Any]) -> Template:
    """Add a template of a seed or an act; a seed replaces a default of the same name."""
    document_type = str(row.get("DOCUMENT_TYPE", "DEAL"))
    entity = next((one for one in portal.types.values() if one.document_type == document_type), None)
    if entity is None:
        raise ValueError(f"template {row.get('NAME')!r}: no document type {document_type!r}")
    default = portal.workflows.named(str(row["NAME"]))
    if portal.planting and default is not None and default.document_type == document_type:
        del portal.workflows.templates[default.id]
    return portal.workflows.add_template(
        str(row["NAME"]),
        document_type=document_type,
        entity=entity.document_entity,
        kind=str(row.get("kind", "waits")),
        trace_field=str(row.get("trace_field", "")),
        trace_value=row.get("trace_value"),
        auto_execute=int(row.get("AUTO_EXECUTE", 0)),
        parameters=dict(row.get("parameters", {})),
        description=str(row.get("DESCRIPTION", "")),
        modified=int(portal.time()),
        system_code=str(row.get("SYSTEM_CODE", "")),
    )


def plant_item(portal: Portal, row: dict[str, Any]) -> dict[str, Any]:
    """Add an item of a seed or an act by hand, with original user field names; system times may be given."""
    entity = portal.types[int(row.get("entityTypeId", DEAL))]
    user_id = int(row.get("user", 1))
    fields = dict(row.get("fields", {}))
    values = intake.item_fields(portal, entity, fields, original=True, user_id=user_id, importing=portal.planting)
    how = saving.IMPORT if portal.planting else saving.HAND
    return saving.create(portal, entity, values, saving.By(user_id, how))
