"""Make a portal have what a blueprint says, through the ledger. Deletes only when told to, and only what it made.

Every write is `ensured`: looked for first, recorded before it is sent, looked for again after a lost answer.
The ledger's key of a change names its target, so that an answer that was lost is not taken for another change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from b24sync.bulk.ensure import Ensurer
from b24sync.clock import Clock
from b24sync.errors import ConfigError, PortalRefused
from b24sync.portal import structure
from b24sync.portal.directory import normal
from b24sync.portal.smart_processes import TypeRow, add_params, find_type, switch_fields
from b24sync.portal.userfields import UserFieldRow, ValueRow, field_params
from b24sync.provisioning.blueprint import Blueprint, FieldSpec, PipelineSpec
from b24sync.provisioning.made import FIELD, PIPELINE, SHAPE, STAGE, TYPE, VALUES, Made, find_made, read_made
from b24sync.provisioning.plan import (
    AddValues,
    ChangeField,
    ChangePipeline,
    ChangeType,
    Delete,
    DeleteField,
    DeletePipeline,
    DeleteStage,
    DeleteValues,
    MakeField,
    MakePipeline,
    MakeType,
    ShapeStages,
    StructurePlan,
    make_plan,
    pipeline_of,
)
from b24sync.provisioning.present import Entity, Present, read_present
from b24sync.provisioning.stages import AddStage, SetStage, stage_changes
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, UNKNOWN, Ledger, Settled
from b24sync.transport.client import PortalClient
from b24sync.transport.protocol import Command

WHAT = "structure"
PIPELINE_SORT = 500
Tell = Callable[[str], None]
Sending = Callable[[], None]


class Provisioner:
    """Plans and applies one blueprint to one portal."""

    def __init__(
        self,
        client: PortalClient,
        store: Store,
        portal: str,
        clock: Clock,
        blueprint: Blueprint,
        labelled: Sequence[FieldSpec] = (),
    ) -> None:
        """`labelled`: fields that are wanted only where no field of their label is there."""
        self._client = client
        self._blueprint = blueprint
        self._labelled = labelled
        self._ledger = Ledger(store, portal, WHAT, clock)
        self._ensurer = Ensurer(client, self._ledger)

    def made(self) -> Made:
        """What b24sync has made here so far."""
        return read_made(self._ledger.in_state(DONE))

    def plan(self) -> StructurePlan:
        """Cost: two to four requests for a portal of ordinary size. Raises PortalRefused, RetryLater."""
        present = self._present(self.made())
        self._settle_open(present)
        return make_plan(self._blueprint.with_labelled(self._labelled, present.labels()), present, self.made())

    def apply(self, plan: StructurePlan, tell: Tell = lambda _: None, *, destroy: bool = False) -> list[str]:
        """Make and change what the plan says; with `destroy` also delete. Idempotent; a kill is gone on from.

        Returns what the portal refused to delete (it still holds items): the rest is done all the same.
        Cost: one to three requests per thing. Raises ConfigError on conflicts, PortalRefused, RetryLater.
        """
        if plan.conflicts:
            raise ConfigError("The portal has other things under these names:", plan.conflicts)
        types = [step for step in plan.steps if isinstance(step, MakeType | ChangeType)]
        for type_step in types:
            tell(type_step.line)
            self._type(type_step)
        if types:
            # Pipelines and fields of a new smart process can only be named now.
            plan = self.plan()
            if plan.conflicts:
                raise ConfigError("The portal has other things under these names:", plan.conflicts)
        made = self.made()
        present = self._present(made)
        for step in plan.steps:
            tell(step.line)
            if isinstance(step, MakePipeline):
                self._make_pipeline(step.spec, present.entities[step.spec.entity])
            elif isinstance(step, ChangePipeline):
                self._change_pipeline(step)
            elif isinstance(step, ShapeStages):
                self._shape(step.spec, present.entities[step.spec.entity])
            elif isinstance(step, MakeField):
                self._make_field(step.spec, present.entities[step.spec.entity])
            elif isinstance(step, AddValues):
                self._add_values(step, present.entities[step.spec.entity])
            elif isinstance(step, ChangeField):
                self._change_field(step, present.entities[step.spec.entity])
        refused = self._delete_all(plan.deletes, tell) if destroy else []
        self._settle_changes()
        return refused

    def _present(self, made: Made) -> Present:
        labelled = [field.entity for field in self._labelled]
        names = list(dict.fromkeys([*self._blueprint.entities, *labelled, *sorted(made.entities)]))
        types = bool(self._blueprint.types) or bool(made.ids.get(TYPE))
        return read_present(self._client, names, types=types)

    def _settle_open(self, present: Present) -> None:
        """Writes whose answer was lost, and which the portal shows to have happened: those things are ours."""
        self._ledger.bury_dead()
        found = {write.key: find_made(write.key, write.detail, present) for write in self._ledger.in_state(UNKNOWN)}
        self._ledger.settle([Settled(key, DONE, portal_id=found_id) for key, found_id in found.items() if found_id])

    def _settle_changes(self) -> None:
        """Changes and deletions whose answer was lost, now that no difference is left."""
        open_keys = [write.key for write in self._ledger.in_state(UNKNOWN)]
        changes = [key for key in open_keys if key.startswith(("set:", "delete:"))]
        self._ledger.settle([Settled(key, DONE, message="no difference is left") for key in changes])

    def _call(self, method: str, params: dict[str, Any], sending: Sending) -> Any:
        return self._client.call(method, params, write=True, before_send=sending).result

    # -- smart processes --------------------------------------------------------------------------

    def _type(self, step: MakeType | ChangeType) -> None:
        if isinstance(step, ChangeType):
            self._change_type(step)
            return
        spec = step.spec

        def find() -> str | None:
            row = find_type(self._client, spec.title, spec.entity_type_id)
            return str(row.id) if row else None

        def make(sending: Sending) -> str:
            params = add_params(spec.title, spec.entity_type_id, spec.switches)
            return str(self._call("crm.type.add", params, sending)["type"]["id"])

        self._ensurer.ensure(f"{TYPE}:{spec.title}", find, make)

    def _change_type(self, step: ChangeType) -> None:
        fields = {"title": step.spec.title, **switch_fields(step.switches)}

        def find() -> str | None:
            row = self._type_row(step.row.id)
            same = row is not None and all(row.switches.get(name, on) == on for name, on in step.switches.items())
            return str(step.row.id) if row is not None and same and row.title == step.spec.title else None

        def make(sending: Sending) -> str:
            self._call("crm.type.update", {"id": step.row.id, "fields": fields}, sending)
            return str(step.row.id)

        self._ensurer.ensure(_change_key(TYPE, step.row.id, fields), find, make)

    def _type_row(self, type_id: int) -> TypeRow | None:
        present = read_present(self._client, [], types=True)
        return next((row for row in present.types if row.id == type_id), None)

    # -- pipelines and stages ---------------------------------------------------------------------

    def _make_pipeline(self, spec: PipelineSpec, entity: Entity) -> None:
        type_id = entity.entity_type_id

        def find() -> str | None:
            rows = structure.find_pipelines(self._client, type_id)
            return next((str(row.id) for row in rows if normal(row.name) == normal(spec.name)), None)

        sort = PIPELINE_SORT if spec.sort is None else spec.sort
        self._ensurer.ensure(
            f"{PIPELINE}:{spec.path}",
            find,
            lambda sending: structure.add_pipeline(self._client, type_id, spec.name, sort, sending),
            {"entity_type_id": type_id, "entity": entity.name},
        )
        fresh = read_present(self._client, [entity.name], types=False, fields=False)
        self._shape(spec, fresh.entities[entity.name])

    def _change_pipeline(self, step: ChangePipeline) -> None:
        type_id, row = step.entity.entity_type_id, step.row
        sort = row.sort if step.spec.sort is None else step.spec.sort

        def find() -> str | None:
            rows = structure.find_pipelines(self._client, type_id)
            done = any((one.id, one.name, one.sort) == (row.id, step.spec.name, sort) for one in rows)
            return str(row.id) if done else None

        def make(sending: Sending) -> str:
            name = step.spec.name
            structure.set_pipeline(self._client, type_id, row.id, name=name, sort=sort, sending=sending)
            return str(row.id)

        self._ensurer.ensure(_change_key(PIPELINE, f"{type_id}/{row.id}", [step.spec.name, sort]), find, make)

    def _shape(self, spec: PipelineSpec, entity: Entity) -> None:
        """Bring the stages of a pipeline that stands into line with its blueprint."""
        made = self.made()
        pipeline = pipeline_of(spec, entity, made)
        assert pipeline is not None  # it stands, or has just been made
        ours = (entity.entity_type_id, pipeline.row.id) in made.pipelines
        rows = structure.stage_rows(self._client, pipeline.dictionary)
        changes = stage_changes(spec, rows, made, pipeline.row.id, ours=ours)
        if changes.conflicts:
            raise ConfigError("The portal has other stages under these names:", changes.conflicts)
        for item in changes.set:
            self._set_stage(spec, pipeline.dictionary, item)
        for missing in changes.add:
            self._add_stage(spec, pipeline.dictionary, missing)
        for row in changes.drop:
            self._delete_stage(pipeline.dictionary, row)
        if ours and spec.stages and not made.is_shaped(spec.path, pipeline.row.id):
            key = f"{SHAPE}:{spec.path}"
            self._ledger.gone(key)  # of a pipeline of this path that was deleted since
            self._ledger.adopt({key: str(pipeline.row.id)}, None, message=None)

    def _set_stage(self, spec: PipelineSpec, dictionary: str, item: SetStage) -> None:
        stage, row = item.stage, item.row
        wanted = (row.id, stage.name, item.sort, (stage.color or row.color).upper())

        def find() -> str | None:
            rows = structure.stage_rows(self._client, dictionary)
            done = any((one.id, one.name, one.sort, one.color.upper() or wanted[3]) == wanted for one in rows)
            return str(row.id) if done else None

        def make(sending: Sending) -> str:
            color = stage.color or ""
            structure.set_stage(self._client, row.id, name=stage.name, sort=item.sort, color=color, sending=sending)
            return str(row.id)

        path = f"{STAGE}:{spec.path}/{stage.name}"
        key = path if item.takes_over else _change_key(STAGE, row.id, wanted[1:])
        self._ensurer.ensure(key, find, make)

    def _add_stage(self, spec: PipelineSpec, dictionary: str, item: AddStage) -> None:
        stage = item.stage
        rows = structure.stage_rows(self._client, dictionary)

        def find() -> str | None:
            present = structure.stage_rows(self._client, dictionary)
            return next((str(row.id) for row in present if normal(row.name) == normal(stage.name)), None)

        def make(sending: Sending) -> str:
            return structure.add_stage(
                self._client,
                dictionary,
                stage.name,
                code=structure.stage_code(stage.name, {row.code for row in rows}),
                sort=item.sort,
                semantics=stage.semantics,
                color=stage.color or "",
                sending=sending,
            )

        self._ensurer.ensure(f"{STAGE}:{spec.path}/{stage.name}", find, make)

    def _delete_stage(self, dictionary: str, row: structure.StageRow) -> None:
        def find() -> str | None:
            gone = all(one.id != row.id for one in structure.stage_rows(self._client, dictionary))
            return str(row.id) if gone else None

        self._remove(STAGE, row.id, find, lambda sending: structure.delete_stage(self._client, row.id, sending))

    # -- fields -----------------------------------------------------------------------------------

    def _make_field(self, spec: FieldSpec, entity: Entity) -> None:
        def find() -> str | None:
            row = self._field_row(entity, entity.home.portal_code(spec.code))
            return str(row.id) if row else None

        def make(sending: Sending) -> str:
            command = entity.home.add_command(spec.code, spec.type, _all_params(spec))
            return _new_id(self._call(command.method, dict(command.params), sending))

        values = [value.value for value in spec.values]
        self._ensurer.ensure(f"{FIELD}:{spec.path}", find, make, {"values": values} if values else None)

    def _field_row(self, entity: Entity, code: str) -> UserFieldRow | None:
        """The field as it is now. Cost: one request."""
        return read_present(self._client, [entity.name], types=False).entities[entity.name].fields.get(code)

    def _add_values(self, step: AddValues, entity: Entity) -> None:
        """Add enumeration values that are still missing: a repeat of the call would add them twice."""
        spec = {value.value: value for value in step.spec.values}

        def missing() -> tuple[UserFieldRow | None, list[str]]:
            row = self._field_row(entity, step.row.code)
            known = {normal(value.value) for value in row.values} if row else set()
            return row, [text for text in step.values if normal(text) not in known]

        def find() -> str | None:
            row, left = missing()
            return str(row.id) if row is not None and not left else None

        def make(sending: Sending) -> str:
            row, left = missing()
            top = max([value.sort for value in row.values] + [0]) if row else 0
            rows = [
                _value_row(spec[text].value, top + 10 * number, spec[text].default, spec[text].xml_id)
                for number, text in enumerate(left, start=1)
            ]
            self._update_field(entity, step.row, {"LIST": rows}, sending)
            return str(step.row.id)

        key = f"{VALUES}:{step.spec.path}/{'|'.join(step.values)}"
        self._ensurer.ensure(key, find, make, {"field": step.spec.path, "values": list(step.values)})

    def _change_field(self, step: ChangeField, entity: Entity) -> None:
        def find() -> str | None:
            # The plan itself says whether anything of this field still differs.
            left = [one for one in self.plan().steps if isinstance(one, ChangeField) and one.spec == step.spec]
            return None if left else str(step.row.id)

        def make(sending: Sending) -> str:
            self._update_field(entity, step.row, dict(step.params), sending)
            return str(step.row.id)

        self._ensurer.ensure(_change_key(FIELD, step.row.id, step.params), find, make)

    def _update_field(self, entity: Entity, row: UserFieldRow, params: dict[str, Any], sending: Sending) -> None:
        command = entity.home.update_command(row.id, row.type, params)
        self._call(command.method, dict(command.params), sending)

    # -- deleting ---------------------------------------------------------------------------------

    def _delete_all(self, deletes: list[Delete], tell: Tell) -> list[str]:
        refused = []
        for step in deletes:
            tell(step.line)
            try:
                self._delete(step)
            except PortalRefused as error:
                refused.append(f"{step.line}: {error}")
        return refused

    def _delete(self, step: Delete) -> None:
        if isinstance(step, DeleteStage):
            self._delete_stage(step.pipeline.dictionary, step.row)
        elif isinstance(step, DeleteField):
            entity, row = step.entity, step.row
            command = entity.home.delete_command(row.id)
            self._remove(FIELD, row.id, lambda: self._gone_field(entity, row), self._sender(command))
        elif isinstance(step, DeleteValues):
            self._delete_values(step.entity, step.row, step.values)
        elif isinstance(step, DeletePipeline):
            type_id, pipeline_id = step.entity.entity_type_id, step.row.id

            def find() -> str | None:
                rows = structure.find_pipelines(self._client, type_id)
                return None if any(row.id == pipeline_id for row in rows) else str(pipeline_id)

            self._remove(
                PIPELINE,
                pipeline_id,
                find,
                lambda sending: structure.delete_pipeline(self._client, type_id, pipeline_id, sending),
            )
        else:
            type_row_id = step.row.id
            self._remove(
                TYPE,
                type_row_id,
                lambda: None if self._type_row(type_row_id) else str(type_row_id),
                self._sender(Command("crm.type.delete", {"id": type_row_id})),
            )

    def _gone_field(self, entity: Entity, row: UserFieldRow) -> str | None:
        return None if self._field_row(entity, row.code) else str(row.id)

    def _delete_values(self, entity: Entity, row: UserFieldRow, values: tuple[ValueRow, ...]) -> None:
        ids = {value.id for value in values}

        def find() -> str | None:
            now = self._field_row(entity, row.code)
            return None if now and ids & {value.id for value in now.values} else str(row.id)

        def make(sending: Sending) -> str:
            self._update_field(entity, row, {"LIST": [{"ID": value_id, "DEL": "Y"} for value_id in ids]}, sending)
            return str(row.id)

        self._ensurer.ensure(_change_key(VALUES, row.id, sorted(ids)), find, make)

    def _sender(self, command: Command) -> Callable[[Sending], None]:
        def send(sending: Sending) -> None:
            self._call(command.method, dict(command.params), sending)

        return send

    def _remove(
        self, kind: str, portal_id: int, find: Callable[[], str | None], send: Callable[[Sending], None]
    ) -> None:
        """Delete one thing, and forget that it is ours."""

        def make(sending: Sending) -> str:
            send(sending)
            return str(portal_id)

        self._ensurer.ensure(f"delete:{kind}/{portal_id}", find, make)
        for path, made_id in self.made().ids.get(kind, {}).items():
            if made_id == portal_id:
                self._ledger.gone(f"{kind}:{path}")
                if kind == PIPELINE:
                    self._ledger.gone(f"{SHAPE}:{path}")


def _change_key(kind: str, portal_id: object, target: object) -> str:
    text = json.dumps(target, sort_keys=True, ensure_ascii=False, default=str)
    return f"set:{kind}/{portal_id}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _all_params(spec: FieldSpec) -> dict[str, Any]:
    values = [
        _value_row(value.value, 10 * number, value.default, value.xml_id)
        for number, value in enumerate(spec.values, start=1)
    ]
    return field_params(
        label=spec.label,
        multiple=spec.multiple,
        mandatory=spec.mandatory,
        in_filter=spec.in_filter,
        sort=spec.sort,
        settings=spec.settings,
        values=values,
    )


def _value_row(text: str, sort: int, default: bool, xml_id: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"VALUE": text, "SORT": sort}
    if default:
        row["DEF"] = "Y"
    return row | ({"XML_ID": xml_id} if xml_id else {})


def _new_id(result: Any) -> str:
    """crm.*.userfield.add answers the id, userfieldconfig.add the whole field."""
    return str(result["field"]["id"]) if isinstance(result, dict) else str(result)
