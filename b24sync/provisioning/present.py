"""What a portal has of structure, read at once: smart processes, pipelines with stages, user fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from b24sync.errors import PortalRefused
from b24sync.portal.directory import normal, stage_dictionary
from b24sync.portal.items import COMPANY, CONTACT, DEAL, LEAD
from b24sync.portal.smart_processes import TypeRow, list_command, type_rows
from b24sync.portal.structure import (
    PipelineRow,
    StageRow,
    in_order,
    pipeline_rows,
    pipelines_command,
    stage_rows_of,
    stages_command,
)
from b24sync.portal.userfields import FieldHome, UserFieldRow
from b24sync.transport.client import PortalClient
from b24sync.transport.outcomes import Done, Refused
from b24sync.transport.protocol import Command

ENTITY_TYPE_IDS: Mapping[str, int] = {"lead": LEAD, "deal": DEAL, "contact": CONTACT, "company": COMPANY}
LEAD_PIPELINE = PipelineRow(0, "Лиды", 0, True)
"""Leads have one row of stages and no pipelines (crm/universal/category/index.md)."""
MORE_PAGES = 200


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline with its stages in the interface's order."""

    row: PipelineRow
    dictionary: str
    stages: tuple[StageRow, ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of item. `pipelines` is None where the portal refuses to tell (no categories switched on)."""

    name: str
    entity_type_id: int
    home: FieldHome
    pipelines: tuple[Pipeline, ...] = ()
    fields: Mapping[str, UserFieldRow] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()

    def pipeline(self, name: str) -> Pipeline | None:
        wanted = normal(name)
        if self.entity_type_id == LEAD:
            return next(iter(self.pipelines), None)
        return next((item for item in self.pipelines if normal(item.row.name) == wanted), None)


@dataclass(frozen=True, slots=True)
class Present:
    """`entities` by the name that a blueprint uses; a smart process that does not exist is not among them."""

    types: tuple[TypeRow, ...]
    entities: Mapping[str, Entity]

    def labels(self) -> dict[tuple[str, str], str]:
        """Codes of user fields by (entity, label)."""
        return {
            (entity.name, normal(row.label)): entity.home.blueprint_code(row.code)
            for entity in self.entities.values()
            for row in entity.fields.values()
        }

    def type_named(self, reference: str) -> TypeRow | None:
        """A smart process by title or entityTypeId."""
        return find_type_row(self.types, reference)


def find_type_row(types: Iterable[TypeRow], reference: str) -> TypeRow | None:
    wanted = normal(reference)
    rows = list(types)
    by_id = next((row for row in rows if str(row.entity_type_id) == reference.strip()), None)
    return by_id or next((row for row in rows if normal(row.title) == wanted), None)


def read_present(client: PortalClient, names: Sequence[str], *, types: bool, fields: bool = True) -> Present:
    """Read what `names` (deal, item:Заказы, ...) have; `types` also reads all smart processes.

    Cost: two to three requests for a portal of ordinary size, one more with smart processes.
    Raises PortalRefused for what the blueprint needs and the webhook may not read, RetryLater, PortalBlocked.
    """
    reader = _Reader(client)
    known = reader.types() if types or any(name.startswith("item:") for name in names) else []
    wanted: dict[str, Entity] = {}
    for name in dict.fromkeys(names):
        if name.startswith("item:"):
            row = find_type_row(known, name.removeprefix("item:"))
            if row is not None:
                wanted[name] = Entity(name, row.entity_type_id, FieldHome("item", row.id))
        else:
            wanted[name] = Entity(name, ENTITY_TYPE_IDS[name], FieldHome(name))
    return Present(tuple(known), reader.read(list(wanted.values()), fields=fields))


class _Reader:
    def __init__(self, client: PortalClient) -> None:
        self._client = client

    def types(self) -> list[TypeRow]:
        rows: list[TypeRow] = []
        start = 0
        while True:
            command = list_command(start)
            answer = self._client.call(command.method, command.params)
            rows += type_rows(answer.result)
            if answer.next is None:
                return rows
            start = answer.next

    def read(self, entities: Sequence[Entity], *, fields: bool) -> dict[str, Entity]:
        """Pipelines and fields in one request, stages in the next."""
        commands: dict[str, Command] = {}
        for index, entity in enumerate(entities):
            if entity.entity_type_id not in (LEAD, CONTACT, COMPANY):
                commands[f"p{index}"] = pipelines_command(entity.entity_type_id)
            if fields:
                params = {"entityTypeId": entity.entity_type_id, "useOriginalUfNames": "Y"}
                commands[f"d{index}"] = Command("crm.item.fields", params)
                commands[f"f{index}"] = entity.home.list_command()
        answers = self._answers(commands)
        pipelines = {
            index: self._pipelines(entity, answers.get(f"p{index}"), commands.get(f"p{index}"))
            for index, entity in enumerate(entities)
        }
        stages = self._stages({row.dictionary for rows in pipelines.values() for row in rows})
        found = {}
        for index, entity in enumerate(entities):
            rows = tuple(Pipeline(one.row, one.dictionary, stages[one.dictionary]) for one in pipelines[index])
            told = self._fields(entity, answers, index, commands) if fields else {}
            found[entity.name] = Entity(entity.name, entity.entity_type_id, entity.home, rows, told)
        return found

    def _pipelines(self, entity: Entity, answer: Done | Refused | None, command: Command | None) -> list[Pipeline]:
        if entity.entity_type_id in (CONTACT, COMPANY):
            return []
        if isinstance(answer, Refused):
            if entity.home.type_id is not None and answer.code in ("ENTITY_TYPE_NOT_SUPPORTED", "NOT_FOUND"):
                return []  # a smart process without categories has no pipelines to tell of
            assert command is not None
            raise PortalRefused(command.method, answer.code, answer.text, hint=NEEDS)
        rows = [LEAD_PIPELINE] if entity.entity_type_id == LEAD else pipeline_rows(answer.result if answer else [])
        return [Pipeline(row, stage_dictionary(entity.entity_type_id, row.id), ()) for row in rows]

    def _fields(
        self, entity: Entity, answers: Mapping[str, Done | Refused], index: int, commands: Mapping[str, Command]
    ) -> dict[str, UserFieldRow]:
        listed, described = answers[f"f{index}"], answers[f"d{index}"]
        if isinstance(listed, Refused):
            raise PortalRefused(commands[f"f{index}"].method, listed.code, listed.text, hint=NEEDS)
        titles = described.result.get("fields", {}) if isinstance(described, Done) else {}
        by_code = {str(row.get("upperName") or code): row for code, row in titles.items()} | dict(titles)
        rows = entity.home.rows(listed.result, by_code)
        following = listed.next
        while following is not None:
            command = entity.home.list_command(following)
            more = self._client.call(command.method, command.params)
            rows += entity.home.rows(more.result, by_code)
            following = more.next
        return {row.code: row for row in rows}

    def _stages(self, dictionaries: Iterable[str]) -> dict[str, tuple[StageRow, ...]]:
        """The stages of each dictionary: the portal filters by one at a time (crm-status-list.md)."""
        rows: dict[str, dict[int, StageRow]] = {name: {} for name in sorted(dictionaries)}
        starts = dict.fromkeys(rows, 0)
        for _ in range(MORE_PAGES):
            if not starts:
                break
            names = {f"s{number}": name for number, name in enumerate(starts)}
            commands = {key: stages_command(name, starts[name]) for key, name in names.items()}
            answers = self._answers(commands)
            for key, name in names.items():
                answer = answers[key]
                if isinstance(answer, Refused):
                    raise PortalRefused(commands[key].method, answer.code, answer.text, hint=NEEDS)
                rows[name].update({row.id: row for row in stage_rows_of(answer.result)})
                if answer.next is None:
                    del starts[name]
                else:
                    starts[name] = answer.next
        return {name: tuple(in_order(found.values())) for name, found in rows.items()}

    def _answers(self, commands: Mapping[str, Command]) -> dict[str, Done | Refused]:
        return self._client.read_all(commands, priority="interactive") if commands else {}


NEEDS = "The webhook needs this scope, and its user the right to change CRM settings."
