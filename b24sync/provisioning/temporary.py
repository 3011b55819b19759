"""Things that doctor makes to learn something, and removes again: also after a kill, because the ledger has them.

Items carry the originator `b24sync-doctor`, fields and groups names of their own: by these they are found again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from b24sync.bulk.ensure import Ensurer
from b24sync.clock import Clock
from b24sync.errors import OutcomeUnknown, PortalBlocked, PortalRefused, RetryLater
from b24sync.portal.items import (
    CONTACT,
    SINGLE_IMPORT,
    Origin,
    batch_import_command,
    find_by_origin,
    newest_created,
    single_import_command,
)
from b24sync.portal.pages import items_of
from b24sync.portal.userfields import FieldHome
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, PLANNED, REFUSED, UNKNOWN, Ledger, Settled
from b24sync.transport.client import PortalClient
from b24sync.transport.protocol import Command

WHAT = "doctor"
ORIGINATOR = "b24sync-doctor"
TITLE = "b24sync doctor: временная запись, можно удалить"
FIELD_CODE = "UF_CRM_B24SYNC_DOCTOR"
GROUP_NAME = "b24sync doctor: временная группа"
LONG_AGO = "2000-01-01T00:00:00+00:00"
DELETE_TRIES = 5


class Temporary:
    """Temporary things of one portal. `maker`: the credential that makes them, where another one looks and removes."""

    def __init__(
        self, client: PortalClient, store: Store, portal: str, clock: Clock, *, maker: PortalClient | None = None
    ) -> None:
        self._client = client
        self._maker = maker or client
        self._ledger = Ledger(store, portal, WHAT, clock)
        self._ensurer = Ensurer(client, self._ledger)

    def item(self, entity_type_id: int, name: str, fields: Mapping[str, Any], *, method: str = SINGLE_IMPORT) -> int:
        """Make an item of this name; its id. Cost: two requests. Raises PortalRefused with the portal's code."""
        origin = Origin(entity_type_id, ORIGINATOR)
        title = {"name": TITLE} if entity_type_id == CONTACT else {"title": TITLE}
        row = {**title, **origin.fields(name), **fields}

        def make(sending: Callable[[], None]) -> str:
            command = single_import_command(entity_type_id, row, method)
            return str(self._one(command, sending)["item"]["id"])

        return int(self._ensurer.ensure(f"item:{entity_type_id}/{name}", lambda: self._item(origin, name), make))

    def quiet_item(self, entity_type_id: int, name: str, fields: Mapping[str, Any]) -> int:
        """The same with the createdTime of the newest item, so that the floor of historic dates does not move.

        Cost: three requests. Raises PortalRefused.
        """
        return self.item(entity_type_id, name, {"createdTime": self.floor(entity_type_id), **fields})

    def floor(self, entity_type_id: int) -> str:
        """createdTime of the newest item of a kind; long ago where there is none. Cost: one request."""
        return newest_created(self._client, entity_type_id) or LONG_AGO

    def items_at_once(self, entity_type_id: int, names: Sequence[str], fields: Mapping[str, Any]) -> list[int | None]:
        """Import several with one batchImport; the ids in the order of its answer. Cost: one request.

        Raises PortalRefused, RetryLater (also where another doctor has them), PortalBlocked, OutcomeUnknown (the
        ledger then has them as unknown, and they are removed).
        """
        keys = [f"item:{entity_type_id}/{name}" for name in names]
        origin = Origin(entity_type_id, ORIGINATOR)
        rows = [{"title": TITLE, **origin.fields(name), **fields} for name in names]
        self._ledger.plan([(key, None) for key in keys], None)
        claimed = self._ledger.claim(keys)
        try:
            if claimed != set(keys):
                raise RetryLater("Another doctor of this portal is at work with the same items.")
            answer = self._one(batch_import_command(entity_type_id, rows), lambda: self._stamp(keys))
        except PortalRefused as refused:
            self._ledger.settle([Settled(key, REFUSED, code=refused.code, message=refused.text) for key in keys])
            raise
        except OutcomeUnknown as lost:
            self._ledger.settle([Settled(key, UNKNOWN, message=str(lost)) for key in keys])
            raise
        except (RetryLater, PortalBlocked):
            self._ledger.settle([Settled(key, PLANNED) for key in claimed])
            raise
        # Which id belongs to which name is what is asked: all are done, and found again by their names.
        self._ledger.settle([Settled(key, DONE) for key in keys])
        return [_id_of(row) for row in items_of(answer)]

    def _stamp(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._ledger.stamp(key)

    def field(self, entity: str, type_id: str, settings: Mapping[str, Any]) -> int:
        """Make the doctor's user field of an object. Cost: two requests. Raises PortalRefused."""
        home = FieldHome(entity)

        def make(sending: Callable[[], None]) -> str:
            fields = {"LABEL": TITLE, "SETTINGS": dict(settings)}
            return str(self._one(home.add_command(FIELD_CODE, type_id, fields), sending))

        return int(self._ensurer.ensure(f"field:{entity}", lambda: self._field(entity), make))

    def second_field(self, entity: str, type_id: str) -> None:
        """Ask for another field of the doctor's code, which the portal should refuse; removed with the first one.

        Cost: two requests. Raises PortalRefused.
        """

        def find() -> str | None:
            ids = self._fields(entity)
            return ids[1] if len(ids) > 1 else None

        def make(sending: Callable[[], None]) -> str:
            return str(self._one(FieldHome(entity).add_command(FIELD_CODE, type_id, {}), sending))

        self._ensurer.ensure(f"field:{entity}/second", find, make)

    def group(self, fields: Mapping[str, Any]) -> int:
        """Make the doctor's workgroup. Cost: two requests. Raises PortalRefused."""

        def make(sending: Callable[[], None]) -> str:
            return str(self._one(Command("sonet_group.create", {"NAME": GROUP_NAME, **fields}), sending))

        return int(self._ensurer.ensure("group:", self._group, make))

    def remove_all(self) -> int:
        """Remove everything that was ever made and is still there; how many. Waits for lost answers to be certain.

        Cost: two requests per thing. Raises PortalRefused, RetryLater: the ledger keeps what is left for the next run.
        """
        self._ledger.bury_dead()
        removed = 0
        for write in list(self._ledger.in_state(DONE, UNKNOWN)):
            find, delete = self._ways(write.key)
            if self._ensurer.settled(write.key, find) is not None:
                self._delete(write.key, find, delete)
                removed += 1
            self._ledger.gone(write.key)
        return removed

    def _ways(self, key: str) -> tuple[Callable[[], str | None], Callable[[str], Command]]:
        """How the thing of this key is found and deleted."""
        kind, _, name = key.partition(":")
        if kind == "item":
            type_id, _, origin_id = name.partition("/")
            origin = Origin(int(type_id), ORIGINATOR)
            return (
                lambda: self._item(origin, origin_id),
                lambda found: Command("crm.item.delete", {"entityTypeId": int(type_id), "id": int(found)}),
            )
        if kind == "field":
            entity = name.partition("/")[0]
            return lambda: self._field(entity), lambda found: FieldHome(entity).delete_command(int(found))
        return self._group, lambda found: Command("sonet_group.delete", {"GROUP_ID": int(found)})

    def _delete(self, key: str, find: Callable[[], str | None], delete: Callable[[str], Command]) -> None:
        """Deleting twice is harmless: it is asked for until the portal does not show the thing any more."""
        for _ in range(DELETE_TRIES):
            found = find()
            if found is None:
                return
            command = delete(found)
            try:
                self._client.call(command.method, command.params, write=True)
            except OutcomeUnknown:
                continue
        raise RetryLater(f"{key} was asked to be deleted {DELETE_TRIES} times and is still there; run doctor again.")

    def _item(self, origin: Origin, name: str) -> str | None:
        ids = find_by_origin(self._client, origin, [name], "interactive").get(name)
        return str(ids[0]) if ids else None

    def _field(self, entity: str) -> str | None:
        return next(iter(self._fields(entity)), None)

    def _fields(self, entity: str) -> list[str]:
        home = FieldHome(entity)
        params = {"filter": {"FIELD_NAME": FIELD_CODE}}
        rows = home.rows(self._client.call(home.list_command().method, params).result, {})
        return [str(row.id) for row in rows if row.code == FIELD_CODE]

    def _group(self) -> str | None:
        rows = items_of(self._client.call("sonet_group.get", {"FILTER": {"NAME": GROUP_NAME}}).result)
        return next((str(row["ID"]) for row in rows if row.get("NAME") == GROUP_NAME), None)

    def _one(self, command: Command, sending: Callable[[], None]) -> Any:
        return self._maker.one(command, write=True, before_send=sending)


def _id_of(row: Mapping[str, Any]) -> int | None:
    """The id in one row of batchImport's answer; None for a row that was refused."""
    item = row.get("item")
    return int(item["id"]) if isinstance(item, Mapping) else None
