"""Events that a portal posts: what happened, to what, and who says so.

Docs: api-reference/events/index.md, local-integrations/local-webhooks.md, _includes/auth-params-in-events.md;
api-reference/tasks/events-tasks/, api-reference/crm/deals/events/. Payloads carry ids only; the literal text
`undefined` stands where an object is absent; a comment of the new task card has ID `0` and a MESSAGE_ID
(api-reference/tasks/tasks-new.md). A robot's call has no `event` (bizproc-robot-add.md): recognised by its
`event_token` and `document_id`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from b24sync.transport.php_forms import NotReadable, read_body

ROBOT = "ROBOT"
PLACEMENT = "PLACEMENT"
INSTALL, UPDATE, UNINSTALL = "ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL"
UNDEFINED = "undefined"
HIDDEN = "***"
SECRETS = frozenset(
    {"access_token", "refresh_token", "application_token", "auth_id", "refresh_id", "client_secret", "event_token"}
)
_NAME = re.compile(r"[A-Z][A-Z0-9_.]{2,99}")
_ID = re.compile(r"[\w.:-]{1,64}")
_ID_KEYS = ("ENTITY_TYPE_ID", "TASK_ID", "ID", "MESSAGE_ID")
KIND_MAX = 200


@dataclass(frozen=True, slots=True)
class PortalEvent:
    """One event. `body` is what came, as a tree with its secrets hidden: what the inbox keeps.

    `token` proves the sender (constant-time comparison is the caller's); `PortalEvent.stored` has none.
    """

    name: str
    body: dict[str, Any]
    token: str = field(default="", repr=False)
    grant: dict[str, Any] = field(default_factory=dict, repr=False)
    """The `auth` of an installation, with its tokens: it is the application's grant, and stored nowhere else."""

    @classmethod
    def received(cls, body: bytes, content_type: str) -> PortalEvent:
        """Read a POST body. Raises NotReadable."""
        tree = read_body(body, content_type)
        auth = tree.get("auth")
        token = auth.get("application_token") if isinstance(auth, dict) else tree.get("APPLICATION_TOKEN")
        name = _name(tree)
        grant = _map(auth) if name in (INSTALL, UPDATE) else {}
        return cls(name, _hidden(tree), token if isinstance(token, str) else "", grant)

    @classmethod
    def stored(cls, body: Mapping[str, Any]) -> PortalEvent:
        """The event of an inbox message's payload."""
        return cls(_name(body), dict(body))

    @classmethod
    def queued(cls, row: Mapping[str, Any]) -> PortalEvent:
        """A row of the queue of offline events, in the shape of a posted one (event-offline-get.md).

        Raises NotReadable when it has no name.
        """
        tree = {"event": row.get("EVENT_NAME"), "data": row.get("EVENT_DATA"), "offline": row.get("TIMESTAMP_X")}
        return cls(_name(tree), _hidden(tree))

    @property
    def data(self) -> dict[str, Any]:
        """`data` of an event; a robot's `properties`."""
        return _map(self.body.get("properties" if self.name == ROBOT else "data"))

    @property
    def auth(self) -> dict[str, Any]:
        """domain, member_id, sometimes user_id; no secrets."""
        return _map(self.body.get("auth"))

    @property
    def member_id(self) -> str:
        """The portal's stable key; empty where none was sent."""
        value = self.auth.get("member_id", self.body.get("member_id", ""))
        return value if isinstance(value, str) else ""

    @property
    def fields(self) -> dict[str, Any]:
        """The ids: of FIELDS, else of FIELDS_AFTER, else of FIELDS_BEFORE (a deletion), else of `data` itself."""
        for name in ("FIELDS", "FIELDS_AFTER", "FIELDS_BEFORE"):
            if found := _map(self.data.get(name)):
                return found
        return self.data

    @property
    def entity_id(self) -> int | None:
        """`fields` ID as a number; None where there is none, or it is 0 (a comment of the new task card)."""
        return self.number("ID")

    def number(self, key: str) -> int | None:
        """A positive number of `fields`, sent as text or number; None otherwise."""
        text = str(self.fields.get(key, ""))
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 and int(text) else None

    @property
    def kind(self) -> str:
        """What folds: events of one name about one thing; `ONCRMDEALUPDATE:42`. At most 200 characters."""
        if self.name == ROBOT:
            ids = [str(self.body.get("workflow_id", "")), str(self.body.get("code", ""))]
        else:
            ids = [str(self.fields[key]) for key in _ID_KEYS if key in self.fields]
        kind = ":".join([self.name, *ids])
        if ids and all(map(_ID.fullmatch, ids)) and len(kind) <= KIND_MAX:
            return kind
        content = json.dumps([self.data, self.body.get("document_id")], sort_keys=True)
        return f"{self.name}:{hashlib.sha256(content.encode()).hexdigest()[:24]}"


def _name(tree: Mapping[str, Any]) -> str:
    name = tree.get("event")
    if isinstance(name, str) and _NAME.fullmatch(name.upper()):
        return name.upper()
    if name is None and tree.get("event_token") and tree.get("document_id"):
        return ROBOT
    if name is None and isinstance(tree.get("PLACEMENT"), str):
        return PLACEMENT
    raise NotReadable("the body is no event: it has no `event`, and is no robot's call either")


def _hidden(value: Any) -> Any:
    """The tree without the values of secrets, wherever they stand (bots carry tokens inside `data[BOT]`)."""
    if isinstance(value, dict):
        return {key: HIDDEN if key.lower() in SECRETS else _hidden(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return value


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
