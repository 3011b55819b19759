"""The portal's directory: users, pipelines, stages, dictionaries, fields - what names resolve against.

Read once per command. Sources: user/user-get.md, crm/universal/category/crm-category-list.md,
crm/status/crm-status-list.md, crm/universal/crm-item-fields.md.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from b24sync.errors import PortalRefused
from b24sync.portal.items import DEAL, FIRST_SMART_PROCESS, LEAD
from b24sync.portal.pages import PAGE, items_of
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Refused
from b24sync.transport.protocol import Command

_CURRENCIES = "currencies"
PAGES_AT_ONCE = 4
"""Pages of a directory asked for before its size is known: one request serves a portal of ordinary size."""


def normal(name: str) -> str:
    """A name as people compare it: no case, single spaces, one Unicode form. Look-alike letters stay apart."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


@dataclass(frozen=True, slots=True)
class User:
    id: int
    name: str
    email: str
    active: bool


@dataclass(frozen=True, slots=True)
class Pipeline:
    id: int
    name: str
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """`status_id` as the portal has it (`C3:NEW`): never built, always read (crm-status-add.md truncates)."""

    status_id: str
    name: str
    pipeline_id: int
    semantics: str
    sort: int


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field of an entity; `items` are the enumeration's {id: text}."""

    code: str
    type: str
    multiple: bool
    read_only: bool
    required: bool
    title: str
    items: Mapping[int, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    dictionary: str = ""
    """Of a field of statuses: its dictionary (ENTITY_ID of crm.status.list); a stage's pipeline decides its own."""


@dataclass(slots=True)
class Directory:
    """Everything a name can mean in this portal."""

    entity_type_id: int
    users: list[User]
    pipelines: list[Pipeline]
    stages: list[Stage]
    dictionaries: dict[str, dict[str, str]]
    fields: dict[str, FieldInfo]
    also: dict[str, Done] = field(default_factory=dict)
    currencies: frozenset[str] = frozenset()
    """Codes that the portal takes; empty where they were not asked for, or this webhook may not read them."""

    def pipeline(self, name: str | int) -> Pipeline | None:
        """By id, or by name without regard to case."""
        text = str(name).strip()
        wanted = normal(text)
        by_name = [pipeline for pipeline in self.pipelines if normal(pipeline.name) == wanted]
        if len(by_name) == 1:
            return by_name[0]
        return next((pipeline for pipeline in self.pipelines if str(pipeline.id) == text), None)

    @property
    def default_pipeline_id(self) -> int:
        """The pipeline of items that name none. That of deals is 0 whatever `isDefault` says (crm-category-list.md)."""
        known = {pipeline.id for pipeline in self.pipelines}
        marked = next((pipeline.id for pipeline in self.pipelines if pipeline.is_default), 0)
        return 0 if 0 in known or not known else marked or self.pipelines[0].id

    def stage(self, name: str, pipeline_id: int) -> Stage | None:
        """By name or by STATUS_ID (with or without its `C3:` prefix) within one pipeline."""
        wanted = normal(name)
        own = [stage for stage in self.stages if stage.pipeline_id == pipeline_id]
        for stage in own:
            if normal(stage.name) == wanted:
                return stage
        for stage in own:
            if stage.status_id == name or stage.status_id.rpartition(":")[2] == name:
                return stage
        return None

    def stages_of(self, pipeline_id: int) -> list[Stage]:
        return [stage for stage in self.stages if stage.pipeline_id == pipeline_id]

    def users_by(self, name: str) -> list[User]:
        """Users that `name` can mean: an e-mail, an id, or "first last" / "last first"."""
        wanted = normal(name)
        by_email = [user for user in self.users if normal(user.email) == wanted]
        if by_email:
            return by_email
        if wanted.isdigit():
            return [user for user in self.users if user.id == int(wanted)]
        return [
            user for user in self.users if wanted in (normal(user.name), " ".join(reversed(normal(user.name).split())))
        ]


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names that a mistyped one may mean, nearest first."""
    by_normal = {normal(item): item for item in known}
    return [by_normal[match] for match in difflib.get_close_matches(normal(name), by_normal, n=count, cutoff=0.5)]


def read_directory(
    client: PortalClient,
    entity_type_id: int,
    *,
    users: bool = True,
    currencies: bool = False,
    also: Mapping[str, Command] | None = None,
) -> Directory:
    """Read the directory for one kind of item. Cost: one request for an ordinary portal, few for a large one.

    Without `users` the webhook needs no scope but crm. `also`: commands to run in the same request; their
    answers are the directory's `also`.

    Raises PortalRefused with the method that the webhook may not call.
    """
    commands: dict[str, Command] = {
        "fields": Command("crm.item.fields", {"entityTypeId": entity_type_id, "useOriginalUfNames": "Y"}),
        **(also or {}),
    }
    if entity_type_id == DEAL or entity_type_id >= FIRST_SMART_PROCESS:
        commands["categories"] = Command("crm.category.list", {"entityTypeId": entity_type_id})
    if currencies:
        commands[_CURRENCIES] = Command("crm.currency.list", {})
    kinds = {"statuses": _status_page, "users": _user_page} if users else {"statuses": _status_page}
    for kind, command_of in kinds.items():
        commands.update({f"{kind}{page}": command_of(page) for page in range(PAGES_AT_ONCE)})
    answers = _read(client, commands, entity_type_id)
    for kind, command_of in kinds.items():
        page = PAGES_AT_ONCE
        while more := _pages_left(kind, page, answers):
            answers.update(_read(client, {f"{kind}{page}": command_of(page) for page in more}, entity_type_id))
            page = more.stop
    rows = {
        kind: [row for name, answer in answers.items() if name.startswith(kind) for row in items_of(answer.result)]
        for kind in ("statuses", "users")
    }
    categories = items_of(answers["categories"].result) if "categories" in answers else []
    pipelines = [Pipeline(int(row["id"]), str(row["name"]), _yes(row.get("isDefault"))) for row in categories] or [
        Pipeline(0, "")
    ]
    return Directory(
        entity_type_id,
        _users(rows["users"]),
        pipelines,
        _stages(entity_type_id, pipelines, rows["statuses"]),
        _dictionaries(rows["statuses"]),
        _fields(answers["fields"].result),
        {name: answers[name] for name in also or {}},
        _currencies(answers),
    )


def _pages_left(kind: str, read: int, answers: Mapping[str, Done]) -> range:
    """The next pages of a directory of which `read` are there: up to its total, or as long as pages bring anything."""
    total = answers[f"{kind}0"].total
    if total:
        return range(read, (total + PAGE - 1) // PAGE)
    last, before = (items_of(answers[f"{kind}{page}"].result) for page in (read - 1, read - 2))
    return range(read, read + PAGES_AT_ONCE if len(last) >= PAGE and last != before else read)


def _read(client: PortalClient, commands: Mapping[str, Command], entity_type_id: int) -> dict[str, Done]:
    answers: dict[str, Done] = {}
    dynamic = entity_type_id >= FIRST_SMART_PROCESS
    for name, answer in client.read_all(commands, priority="interactive").items():
        if isinstance(answer, Refused):
            if name == _CURRENCIES:
                continue  # needs the right to CRM settings (crm/currency/crm-currency-list.md): nobody checks then
            if dynamic and name == "categories" and answer.code == "ENTITY_TYPE_NOT_SUPPORTED":
                continue  # a smart process without pipelines
            hint = "The webhook needs this scope and right."
            if dynamic and name == "fields" and answer.code == "NOT_FOUND":
                hint = f"There is no smart process {entity_type_id}: its number stands in the address of its list."
            raise PortalRefused(commands[name].method, answer.code, answer.text, hint=hint)
        answers[name] = answer
    return answers


def _currencies(answers: Mapping[str, Done]) -> frozenset[str]:
    rows = items_of(answers[_CURRENCIES].result) if _CURRENCIES in answers else []
    return frozenset(str(row["CURRENCY"]) for row in rows if row.get("CURRENCY"))


def _status_page(page: int) -> Command:
    return Command("crm.status.list", {"order": {"ID": "ASC"}, "start": page * 50})


def _user_page(page: int) -> Command:
    return Command("user.get", {"sort": "ID", "order": "ASC", "start": page * 50})


def _users(rows: Sequence[Mapping[str, Any]]) -> list[User]:
    return [
        User(
            int(row["ID"]),
            " ".join(part for part in (str(row.get("NAME") or ""), str(row.get("LAST_NAME") or "")) if part),
            str(row.get("EMAIL") or ""),
            row.get("ACTIVE") in (True, "Y", "true", 1, "1"),
        )
        for row in {str(row["ID"]): row for row in rows}.values()
    ]


def stage_dictionary(entity_type_id: int, pipeline_id: int) -> str:
    """The ENTITY_ID of a pipeline's stages (tutorials/crm/how-to-get-lists/how-to-get-stages-with-semantics.md)."""
    if entity_type_id == LEAD:
        return "STATUS"
    if entity_type_id == DEAL:
        return f"DEAL_STAGE_{pipeline_id}" if pipeline_id else "DEAL_STAGE"
    return f"DYNAMIC_{entity_type_id}_STAGE_{pipeline_id}"


def _stages(entity_type_id: int, pipelines: Sequence[Pipeline], rows: Sequence[Mapping[str, Any]]) -> list[Stage]:
    pipeline_of = {stage_dictionary(entity_type_id, pipeline.id): pipeline.id for pipeline in pipelines}
    unique = {str(row["ID"]): row for row in rows if str(row.get("ENTITY_ID")) in pipeline_of}
    stages = [
        Stage(
            str(row["STATUS_ID"]),
            str(row["NAME"]),
            pipeline_of[str(row["ENTITY_ID"])],
            _semantics(row),
            int(row.get("SORT") or 0),
        )
        for row in unique.values()
    ]
    return sorted(stages, key=lambda stage: (stage.pipeline_id, stage.sort))


def _semantics(row: Mapping[str, Any]) -> str:
    """process | success | failure: EXTRA where present, else SEMANTICS (the documents disagree which is right)."""
    extra = row.get("EXTRA")
    said = str(extra.get("SEMANTICS") or "") if isinstance(extra, Mapping) else ""
    if said:
        return "failure" if said == "apology" else said
    return {"S": "success", "F": "failure"}.get(str(row.get("SEMANTICS") or ""), "process")


def _dictionaries(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(str(row["ENTITY_ID"]), {})[str(row["STATUS_ID"])] = str(row["NAME"])
    return found


def _fields(result: Any) -> dict[str, FieldInfo]:
    rows = result.get("fields", {}) if isinstance(result, Mapping) else {}
    found = {}
    for name, row in rows.items():
        code = str(row.get("upperName") or name) if str(name).startswith("ufCrm") else str(name)
        found[code] = FieldInfo(
            code,
            str(row.get("type") or ""),
            _yes(row.get("isMultiple")),
            _yes(row.get("isReadOnly")),
            _yes(row.get("isRequired")),
            str(row.get("title") or ""),
            {
                int(item.get("ID") or item["id"]): str(item["VALUE"] if "VALUE" in item else item.get("value"))
                for item in items_of(row.get("items"))
            },
            row.get("settings") if isinstance(row.get("settings"), Mapping) else {},
            str(row.get("statusType") or ""),
        )
    return found


def _yes(value: Any) -> bool:
    return value in (True, "Y", "true", 1, "1")
