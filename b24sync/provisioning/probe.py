"""`doctor --probe`: what the documentation leaves open, asked of the portal itself.

Each probe makes temporary things, looks, and says what it saw; everything is removed again, also after a kill. What
cannot be undone (inviting people, starting workflows) is not tried: the report says how to find out by hand.

Imported items send the createdTime of the newest item there is, so that no probe moves the floor under which the
portal refuses historic dates (crm/universal/import/index.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from b24sync.clock import Clock
from b24sync.errors import OutcomeUnknown, PortalRefused, RetryLater
from b24sync.portal.items import (
    BATCH_IMPORT,
    COMPANY,
    CONTACT,
    DEAL,
    ENTITY_NAMES,
    LEAD,
    list_command,
    newest_created,
)
from b24sync.portal.pages import items_of
from b24sync.portal.words import is_yes
from b24sync.provisioning.temporary import FIELD_CODE, ORIGINATOR, Temporary
from b24sync.store.engine import Store
from b24sync.transport.client import PortalClient

UNKNOWN_USER = 999_999_999
MANY_ITEMS = 20_000
"""Above so many items of every kind no field is made: it takes the portal time for each of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one probe saw. `state`: seen | not probed | failed."""

    question: str
    state: str
    seen: str

    def as_dict(self) -> dict[str, str]:
        return {"question": self.question, "state": self.state, "seen": self.seen}


SEEN, NOT_PROBED, FAILED = "seen", "not probed", "failed"

NOT_TRIED: tuple[tuple[str, str], ...] = (
    (
        "Import: which events fire (onCrmDealAdd?)",
        "needs an outgoing webhook: import one row while `b24sync serve` runs, then look at `b24sync events list`",
    ),
    (
        "What stays of a batchImport when the 60 s cap hits midway",
        "needs a request of over a minute; b24sync looks every such row up by its origin",
    ),
    (
        "Whether accepting the portal's invitation also accepts the group's",
        "would invite a real person: run `b24sync groups sync --company ID` for a test company of your own",
    ),
    ("The cost of one bizproc.workflow.start", "would start a real process; `b24sync gate` shows it after a few"),
    (
        "Buttons and files in task chats for extranet users",
        "needs an extranet user who writes; try it once in a group of your own",
    ),
)


class Probe:
    """All probes of one portal."""

    def __init__(self, client: PortalClient, store: Store, portal: str, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._temporary = Temporary(client, store, portal, clock)

    def run(self) -> Iterator[Answer]:
        """Every answer as soon as it is known. Cost: about 50 requests. Raises PortalBlocked.

        Begins and ends by removing what was ever left behind; raises RetryLater when that could not be done.
        """
        self._temporary.remove_all()
        try:
            for question, look in self._probes().items():
                yield self._asked(question, look)
        finally:
            self._temporary.remove_all()
        yield from (Answer(question, NOT_PROBED, how) for question, how in NOT_TRIED)

    def _asked(self, question: str, look: Callable[[], str]) -> Answer:
        try:
            return Answer(question, SEEN, look())
        except PortalRefused as refused:
            return Answer(question, FAILED, str(refused))
        except (RetryLater, OutcomeUnknown) as away:
            return Answer(question, FAILED, f"{away} Run the probe again.")

    def _probes(self) -> Mapping[str, Callable[[], str]]:
        return {
            "Import: is there a stage-history row, and of which time": self._history_row,
            "Import: which multifield syntax is taken, fm or PHONE": self._multifields,
            "Import: is a createdTime before the newest item's refused, and how": self._floor,
            "Import: does an equal createdTime pass": self._equal_times,
            "Import: order of batchImport's answers": self._answer_order,
            "Import: server seconds per row": self._cost,
            "Filter on 50 values of originId: server seconds": self._origin_filter,
            "A responsible who does not exist": self._unknown_user,
            "A dismissed employee as responsible": self._dismissed_user,
            "A second user field of one name, and how a `crm` field of one kind is read": self._fields,
            "Does SITE_ID accept the extranet's site at sonet_group.create": self._extranet_site,
            "Are the scopes `tasks` and `mail` among those of this portal": self._scopes,
        }

    # -- import -----------------------------------------------------------------------------------

    def _import(self, name: str, fields: Mapping[str, Any] | None = None, entity_type_id: int = DEAL) -> int:
        return self._temporary.quiet_item(entity_type_id, name, fields or {})

    def _history_row(self) -> str:
        item_id = self._import("history")
        item = self._item(DEAL, item_id)
        params = {"entityTypeId": DEAL, "filter": {"OWNER_ID": item_id}, "order": {"ID": "ASC"}}
        rows = items_of(self._client.call("crm.stagehistory.list", params).result)
        if not rows:
            return "no row"
        first = rows[0]
        same = {
            name
            for name in ("createdTime", "movedTime", "updatedTime")
            if _moment(item.get(name)) == _moment(first.get("CREATED_TIME"))
        }
        times = f"the same as {', '.join(sorted(same))}" if same else "another than the item's times: the server's"
        return f"{len(rows)} row of TYPE_ID {first.get('TYPE_ID')}, its time is {times}"

    def _multifields(self) -> str:
        phone = "+70000000001"
        shapes = {
            "fm": {"fm": [{"typeId": "PHONE", "valueType": "WORK", "value": phone}]},
            "PHONE": {"PHONE": [{"VALUE": phone, "VALUE_TYPE": "WORK"}]},
        }
        said = []
        for name, fields in shapes.items():
            try:
                item = self._item(CONTACT, self._import(f"phone-{name}", fields, CONTACT))
                kept = any(str(one.get("value")) == phone for one in item.get("fm") or [])
                said.append(f"{name}: {'kept' if kept else 'accepted and dropped'}")
            except PortalRefused as refused:
                said.append(f"{name}: refused with {refused.code}: {refused.text}")
        return "; ".join(said)

    def _floor(self) -> str:
        said = []
        for entity_type_id in (DEAL, CONTACT):
            newest = newest_created(self._client, entity_type_id)
            if newest is None:
                said.append(f"{ENTITY_NAMES[entity_type_id]}: none there to be earlier than")
                continue
            earlier = datetime.fromisoformat(newest) - timedelta(hours=1)
            said.append(f"{ENTITY_NAMES[entity_type_id]}: {self._tried('floor', earlier, entity_type_id)}")
        return "; ".join(said)

    def _equal_times(self) -> str:
        return self._tried("equal", datetime.fromisoformat(self._temporary.floor(DEAL)), DEAL)

    def _tried(self, name: str, moment: datetime, entity_type_id: int) -> str:
        try:
            fields = {"createdTime": moment.isoformat(timespec="seconds")}
            item_id = self._temporary.item(entity_type_id, name, fields)
        except PortalRefused as refused:
            return f"refused with {refused.code}: {refused.text}"
        kept = _moment(self._item(entity_type_id, item_id).get("createdTime"))
        return "accepted and kept" if kept == moment else f"accepted, stored as {kept}"

    def _answer_order(self) -> str:
        names = [f"order-{number}" for number in range(3)]
        answered = self._temporary.items_at_once(DEAL, names, {"createdTime": self._temporary.floor(DEAL)})
        read = {str(row["originId"]): int(row["id"]) for row in self._ours(DEAL)}
        wanted = [read.get(name) for name in names]
        return "as sent" if answered == wanted else f"another: answered {answered}, sent {wanted}"

    def _cost(self) -> str:
        shot = {row["method"]: row for row in self._rows_of_gate()}
        said = []
        for method in ("crm.item.import", BATCH_IMPORT):
            row = shot.get(method)
            if row and row["unit_duration_s"] is not None:
                counted = row["unit_counted_s"]
                counts = "the portal does not count it" if counted is None else f"{counted:.3f} s counted"
                said.append(f"{method}: {row['unit_duration_s']:.3f} s, {counts}")
        return "; ".join(said) or "the portal's answers carry no times"

    def _rows_of_gate(self) -> list[dict[str, Any]]:
        rows = self._client.gate.snapshot()["methods"]
        assert isinstance(rows, list)
        return rows

    def _origin_filter(self) -> str:
        keys = [f"none-{number}" for number in range(50)]
        command = list_command(DEAL, {"=originatorId": ORIGINATOR, "@originId": keys}, ["id"])
        answer = self._client.call(command.method, command.params)
        seconds = answer.timing.duration_s
        return "the portal's answers carry no times" if seconds is None else f"{seconds:.3f} s"

    def _unknown_user(self) -> str:
        return self._responsible("nobody", UNKNOWN_USER)

    def _dismissed_user(self) -> str:
        rows = items_of(self._client.call("user.get", {"FILTER": {"ACTIVE": False}}).result)
        dismissed = [int(row["ID"]) for row in rows if not is_yes(row.get("ACTIVE"))]
        return self._responsible("dismissed", dismissed[0]) if dismissed else "there is no dismissed employee"

    def _responsible(self, name: str, user_id: int) -> str:
        try:
            item = self._item(DEAL, self._import(name, {"assignedById": user_id}))
        except PortalRefused as refused:
            return f"refused with {refused.code}: {refused.text}"
        kept = str(item.get("assignedById"))
        return "accepted as given" if kept == str(user_id) else f"accepted, the responsible became user {kept}"

    # -- structure, groups, scopes ------------------------------------------------------------------

    def _fields(self) -> str:
        entity = self._smallest_entity()
        if entity is None:
            return f"not tried: every kind has over {MANY_ITEMS} items, and a field takes time for each of them"
        type_id = {"deal": DEAL, "lead": LEAD, "contact": CONTACT, "company": COMPANY}[entity]
        self._temporary.field(entity, "crm", {"DEAL": "Y", "LEAD": "N"})
        second = self._second_field(entity)
        linked = self._import("linked")
        item_id = self._import("reads", {FIELD_CODE: f"D_{linked}"}, type_id)
        value = self._item(type_id, item_id).get(FIELD_CODE)
        return f"a second one: {second}; the `crm` field of {entity}, written D_{linked}, is read as {value!r}"

    def _second_field(self, entity: str) -> str:
        try:
            self._temporary.second_field(entity, "crm")
        except PortalRefused as refused:
            return f"refused with {refused.code!r}: {refused.text}"
        return "accepted (!)"

    def _smallest_entity(self) -> str | None:
        counts = {}
        for type_id in (DEAL, LEAD, CONTACT, COMPANY):
            command = list_command(type_id, {">id": 0}, ["id"], start=0)
            counts[ENTITY_NAMES[type_id]] = self._client.call(command.method, command.params).total or 0
        smallest = min(counts, key=counts.__getitem__)
        return smallest if counts[smallest] <= MANY_ITEMS else None

    def _extranet_site(self) -> str:
        try:
            group_id = self._temporary.group({"VISIBLE": "N", "OPENED": "N", "SITE_ID": ["s1", "ex"]})
        except PortalRefused as refused:
            return f"refused with {refused.code}: {refused.text}"
        rows = items_of(self._client.call("sonet_group.get", {"FILTER": {"ID": group_id}}).result)
        flag = rows[0].get("IS_EXTRANET") if rows else None
        return f"accepted, IS_EXTRANET is {flag!r}"

    def _scopes(self) -> str:
        answer = self._client.call("scope", {"full": True}).result
        known = {str(one) for one in (answer.values() if isinstance(answer, Mapping) else answer)}
        return "; ".join(f"{name}: {'yes' if name in known else 'no'}" for name in ("tasks", "mail"))

    # -- reading back -------------------------------------------------------------------------------

    def _item(self, entity_type_id: int, item_id: int) -> dict[str, Any]:
        params = {"entityTypeId": entity_type_id, "id": item_id, "useOriginalUfNames": "Y"}
        return dict(self._client.call("crm.item.get", params).result["item"])

    def _ours(self, entity_type_id: int) -> list[dict[str, Any]]:
        command = list_command(entity_type_id, {"=originatorId": ORIGINATOR}, ["id", "originId"], start=0)
        return items_of(self._client.call(command.method, command.params).result)


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None


def report_text(answers: list[Answer], *, portal: str, host: str, at: float) -> str:
    """The report to keep, as Markdown."""
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    lines = [f"# What the portal answered: {portal} ({host})", "", f"Probed {moment} by `b24sync doctor --probe`.", ""]
    for state, title in ((SEEN, "Seen"), (FAILED, "Failed"), (NOT_PROBED, "Not probed")):
        chosen = [answer for answer in answers if answer.state == state]
        if chosen:
            lines += [f"## {title}", "", *(f"- **{one.question}**: {one.seen}" for one in chosen), ""]
    return "\n".join(lines)
