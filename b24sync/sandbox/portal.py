"""The state of a portal: people, types, items, dictionaries, processes; and what the control API reads of it.

A seed (JSON, all keys optional) is laid over the defaults in `seeds`:

    {"users": [{"ID": 20, "NAME": "...", "LAST_NAME": "...", "EMAIL": "...", "ADMIN": false, "ACTIVE": true,
                "USER_TYPE": "employee|extranet|email", "CONFIRMED": true,
                "rights": {"import": false, "read": "own", "quote.read": false, "pipelines": [0]}}],
     "categories": [{"name": "Проекты", "entityTypeId": 2, "sort": 200,
                     "stages": [{"name": "Экспертиза", "semantics": "P|S|F", "status_id": "EXPERTISE"}]}],
     "types": [{"title": "Заявка", "entityTypeId": 1030, "isStagesEnabled": "Y"}],
     "departments": [{"ID": "7", "NAME": "...", "PARENT": "1"}], "currencies": [{"CURRENCY": "KZT", "AMOUNT": "0.2"}],
     "statuses": [{"ENTITY_ID": "SOURCE", "STATUS_ID": "FAIR", "NAME": "Ярмарка"}],
     "userfields": [{"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "REGION", "USER_TYPE_ID": "enumeration",
                     "LABEL": "Регион", "MANDATORY": "N", "LIST": [{"VALUE": "Москва", "XML_ID": "msk"}]}],
     "templates": [{"NAME": "Первый звонок", "DOCUMENT_TYPE": "DEAL", "kind": "waits|ends|trace|waits_then_trace",
                    "trace_field": "UF_CRM_X", "AUTO_EXECUTE": 0,
                    "parameters": {"Who": {"Name": "...", "Required": "1"}}}],
     "groups": [{"NAME": "...", "OWNER_ID": 1, "KEYWORDS": "", "EXTRANET": false, "members": {"5": "K", "7": "Z"}}],
     "items": [{"entityTypeId": 2, "fields": {"title": "...", "originatorId": "...", "originId": "..."}, "user": 1}]}

Users with an ID that exists already are changed, everything else is added; the keys of user fields and items are those
of crm.deal.userfield.add and crm.item.import (with original user field names).
"""

from __future__ import annotations

import base64
import threading
from collections import deque
from datetime import date, datetime, tzinfo
from typing import Any, NamedTuple, Protocol

from .model import dumps, planting, reports
from .model.activities import BoundRecords
from .model.chats import Chats
from .model.dictionaries import Dictionaries
from .model.disk import Disk
from .model.drive_links import Link
from .model.entities import EntityType, standard_types
from .model.fields import Field
from .model.groups import Groups
from .model.history import History
from .model.items import ItemStore
from .model.pipelines import Pipelines
from .model.productrows import ProductRows
from .model.records import Records
from .model.saving import Deleted
from .model.schema import Schema
from .model.subscriptions import ON_OFFLINE, Subscriptions
from .model.tasks import Tasks
from .model.text import Fold, fold_for
from .model.userfields import UserFields
from .model.users import Users
from .model.values import Values
from .model.workflows import Workflows
from .switches import Switches

OUTBOX_MAX = 200_000


class Clock(Protocol):
    """What the portal needs of a clock."""

    @property
    def zone(self) -> tzinfo: ...

    def time(self) -> float: ...


class Event(NamedTuple):
    """Something happened: the event code, its data block, unix time."""

    event: str
    data: dict[str, Any]
    at: float


class Portal:
    """One portal. Not thread-safe by itself: the kernel holds `lock` while a handler or act runs."""

    def __init__(self, *, switches: Switches, clock: Clock, seed: dict[str, Any] | None = None) -> None:
        self.switches = switches
        self.clock = clock
        self.lock = threading.RLock()
        self.outbox: deque[Event] = deque(maxlen=OUTBOX_MAX)
        self.users = Users()
        self.departments: list[dict[str, Any]] = []
        self.currencies: dict[str, dict[str, Any]] = {}
        self.base_currency = "RUB"
        self.dictionaries = Dictionaries()
        self.pipelines = Pipelines()
        self.user_fields = UserFields()
        self.workflows = Workflows()
        self.groups = Groups()
        self.subscriptions = Subscriptions()
        self.cause = ("", "")
        """Credential and auth_connector of the call that is being executed; empty while people act by hand."""
        self.product_rows = ProductRows()
        self.requisites = Records(by="ENTITY_ID")
        self.addresses = Records(by="ANCHOR_ID")
        self.activities = BoundRecords()
        self.comments = BoundRecords()
        """Comments in timelines of items."""
        self.tasks = Tasks()
        self.task_history = Records(by="TASK_ID")
        self.task_results = Records(by="TASK_ID")
        self.task_comments = Records(by="TASK_ID")
        """Comments of the old card; those of the new one are messages in a chat."""
        self.checklist_items = Records(by="TASK_ID")
        self.chats = Chats()
        self.disk = Disk()
        self.links: dict[str, Link] = {}
        """Tokens of addresses for downloads and uploads."""
        self.notifications = Records(by="TAG")
        self.notified = 0
        """Notifications sent, those counted too that a later one with their TAG replaced."""
        self.task_user_fields: dict[str, dict[str, Any]] = {}
        self.base = ""
        """`http://host:port` of the portal, for links to files; set when it begins to listen."""
        self.recycle_bin: list[Deleted] = []
        self.mails: list[dict[str, Any]] = []
        """Letters the portal would have sent: kind, to, ..."""
        self.types: dict[int, EntityType] = standard_types()
        self.schemas: dict[int, Schema] = {}
        self.items: dict[int, ItemStore] = {}
        self.history: dict[int, History] = {}
        self.values = Values(self)
        self.files: dict[int, tuple[str, bytes]] = {}
        """Names and bodies of files in CRM fields, by their ids."""
        self._last_file_id = 400
        self._last_multifield_id = 100
        self.planting = True
        planting.plant(self, seed or {})
        self.planting = False
        self.outbox.clear()

    # -- time ---------------------------------------------------------------------------------
    @property
    def zone(self) -> tzinfo:
        """The server's time zone."""
        return self.clock.zone

    def time(self) -> float:
        """Unix seconds of the portal."""
        return self.clock.time()

    def day(self, seconds: float) -> date:
        """The date on the server at a unix time."""
        return datetime.fromtimestamp(seconds, self.zone).date()

    # -- fields -------------------------------------------------------------------------------
    def fold(self) -> Fold:
        """How texts compare now."""
        return fold_for(self.switches.text_collation)

    def add_type(self, entity: EntityType) -> None:
        """Make an entity type known, with its store and history."""
        self.types[entity.id] = entity
        if entity.has_stages:
            self.history.setdefault(entity.id, History())
        self.rebuild_schemas()

    def drop_type(self, entity: EntityType) -> None:
        """Forget a smart process with its pipelines, stages and user fields."""
        for pipeline in list(self.pipelines.of(entity.id)):
            self.pipelines.delete(pipeline)
            self.dictionaries.drop(entity.dictionary_of(pipeline.id))
        for definition in list(self.user_fields.of(entity.uf_entity)):
            self.user_fields.delete(definition)
        del self.types[entity.id], self.schemas[entity.id], self.items[entity.id]
        self.history.pop(entity.id, None)
        self.rebuild_schemas()

    def rebuild_schemas(self) -> None:
        """Take up new types, switches of types and user fields."""
        parents = [entity for entity in self.types.values() if entity.is_dynamic]
        for entity in self.types.values():
            user_fields = [item.as_field() for item in self.user_fields.of(entity.uf_entity)]
            schema = Schema(entity, user_fields, [*parents, *self._declared_parents(entity)])
            self.schemas[entity.id] = schema
            store = self.items.get(entity.id)
            if store is None:
                self.items[entity.id] = ItemStore(schema, self.fold, self.zone)
            else:
                store.use(schema)

    def _declared_parents(self, entity: EntityType) -> list[EntityType]:
        """Standard types that a smart process names as its parents (crm-type-add.md, relations)."""
        rows = entity.options.get("relations", {}).get("parent", []) if entity.is_dynamic else []
        standard = (self.types.get(one["entityTypeId"]) for one in rows)
        return [one for one in standard if one is not None and not one.is_dynamic]

    def default_enum_values(self, field: Field) -> Any:
        """Ids of the list elements marked DEF=Y: a list for multiple fields, else one id or None."""
        for user_field in self.user_fields:
            if user_field.name == field.code and user_field.as_field().enum_ids == field.enum_ids:
                ids = [value.id for value in user_field.values if value.default]
                if field.multiple:
                    return ids or None
                return ids[0] if ids else None
        return None

    # -- numbers ------------------------------------------------------------------------------
    def keep_file(self, name: str, content: str) -> dict[str, Any] | None:
        """A file of a CRM field or an activity out of base64, None when it is none. It is no object of the Disk."""
        try:
            body = base64.b64decode(content)
        except ValueError:
            return None
        self._last_file_id += 1
        self.files[self._last_file_id] = (name, body)
        return {"id": self._last_file_id, "name": name, "size": len(body)}

    def next_multifield_id(self) -> int:
        self._last_multifield_id += 1
        return self._last_multifield_id

    # -- events, reports ----------------------------------------------------------------------
    def emit(self, event: str, data: dict[str, Any]) -> None:
        """Put an event into the outbox; the kernel delivers it at most once (api-reference/events/index.md)."""
        if self.planting:
            return
        now = self.time()
        self.outbox.append(Event(event, data, now))
        for app in self.subscriptions.record(event, data, now, self.cause):
            self.outbox.append(Event(ON_OFFLINE, {"APP": app}, now))

    def figures(self) -> dict[str, Any]:
        """Counts that tests judge by; see `model.reports.figures`."""
        return reports.figures(self)

    def dump(self, what: str, params: dict[str, Any] | None = None) -> Any:
        """State for the control API; see `model.dumps.dump`. Raises ValueError for an unknown name."""
        return dumps.dump(self, what, params or {})
