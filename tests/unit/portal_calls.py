"""Calls to the sandbox's methods without HTTP: a portal with a clock that stands still, and one way to call."""

from __future__ import annotations

from datetime import timedelta, timezone, tzinfo
from typing import Any

from b24sync.sandbox import methods
from b24sync.sandbox.portal import Portal
from b24sync.sandbox.registry import ACTS, METHODS, Answer, ApiError, Call
from b24sync.sandbox.switches import Switches

NOON = 1_767_258_000.0
"""2026-01-01T12:00:00+03:00."""

DEALS, CONTACTS, COMPANIES, LEADS = 2, 3, 4, 1
DEAL = ["crm", "CCrmDocumentDeal"]

assert methods.__doc__


class StillClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.seconds = NOON

    @property
    def zone(self) -> tzinfo:
        return timezone(timedelta(hours=3))

    def time(self) -> float:
        return self.seconds


class Calls:
    """A portal and calls to it as one user (default: the administrator)."""

    def __init__(self, seed: dict[str, Any] | None = None, **switches: Any) -> None:
        self.clock = StillClock()
        self.switches = Switches()
        for name, value in switches.items():
            self.switches.set(name, value)
        self.portal = Portal(switches=self.switches, clock=self.clock, seed=seed)
        self.user_id = 1
        self.is_app = False

    def call(self, method: str, **params: Any) -> Answer:
        """The method's answer. Raises ApiError."""
        known = METHODS[method.lower()]
        args = list(params.values()) if known.positional else []
        return known.handler(Call(method, params, args, self.user_id, "hook", self.is_app, self.portal))

    def result(self, method: str, **params: Any) -> Any:
        return self.call(method, **params).result

    def refusal(self, method: str, **params: Any) -> tuple[Any, str, int]:
        """Code, text and status of the refusal."""
        try:
            answer = self.call(method, **params)
        except ApiError as error:
            return error.code, error.text, error.status
        raise AssertionError(f"{method} was not refused: {answer.result!r}")

    def act(self, name: str, **params: Any) -> Any:
        return ACTS[name](self.portal, params)

    def later(self, seconds: float) -> None:
        self.clock.seconds += seconds

    # -- short forms ----------------------------------------------------------------------------
    def add(self, entity_type_id: int = DEALS, **fields: Any) -> int:
        """Id of a new item by crm.item.add with original user field names."""
        answer = self.result("crm.item.add", entityTypeId=entity_type_id, fields=fields, useOriginalUfNames="Y")
        return int(answer["item"]["id"])

    def item(self, item_id: int, entity_type_id: int = DEALS) -> dict[str, Any]:
        answer = self.result("crm.item.get", entityTypeId=entity_type_id, id=item_id, useOriginalUfNames="Y")
        return dict(answer["item"])

    def update(self, item_id: int, entity_type_id: int = DEALS, **fields: Any) -> dict[str, Any]:
        answer = self.result(
            "crm.item.update", entityTypeId=entity_type_id, id=item_id, fields=fields, useOriginalUfNames="Y"
        )
        return dict(answer["item"])

    def imported(self, *rows: dict[str, Any], entity_type_id: int = DEALS) -> list[dict[str, Any]]:
        """Outcomes of crm.item.batchImport."""
        answer = self.result(
            "crm.item.batchImport", entityTypeId=entity_type_id, data=list(rows), useOriginalUfNames="Y"
        )
        return list(answer["items"])

    def listed(self, entity_type_id: int = DEALS, **params: Any) -> list[int]:
        """Ids of crm.item.list."""
        answer = self.result("crm.item.list", entityTypeId=entity_type_id, select=["id"], **params)
        return [row["id"] for row in answer["items"]]

    def history(self, owner_id: int, entity_type_id: int = DEALS) -> list[dict[str, Any]]:
        answer = self.result(
            "crm.stagehistory.list", entityTypeId=entity_type_id, filter={"OWNER_ID": owner_id}, order={"ID": "ASC"}
        )
        return list(answer["items"])

    def events(self) -> list[tuple[str, Any]]:
        """Codes and ids of the events so far; empties the outbox."""
        found = [(entry.event, entry.data.get("FIELDS", {}).get("ID")) for entry in self.portal.outbox]
        self.portal.outbox.clear()
        return found

    def stages(self, category_id: int = 0) -> list[str]:
        name = "DEAL_STAGE" if category_id == 0 else f"DEAL_STAGE_{category_id}"
        return [
            row["STATUS_ID"]
            for row in self.result("crm.status.list", filter={"ENTITY_ID": name}, order={"SORT": "ASC"})
        ]

    def field(self, name: str, kind: str = "string", **more: Any) -> int:
        """Id of a new user field of deals."""
        return int(self.result("crm.deal.userfield.add", fields={"FIELD_NAME": name, "USER_TYPE_ID": kind, **more}))
