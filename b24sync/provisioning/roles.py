"""`doctor --roles`: REST can neither read nor write CRM roles, so: a checklist, and a probe of one such user.

The probe has two webhooks: the administrator's makes temporary items, the second one (`[portal] role_webhook`, made
by a user who has the role) tries what that user can really do with them. Everything is removed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from b24sync.clock import Clock
from b24sync.errors import B24SyncError, OutcomeUnknown, PortalRefused, RetryLater
from b24sync.portal.directory import Directory, read_directory
from b24sync.portal.items import ADD, COMPANY, CONTACT, DEAL, list_command
from b24sync.portal.pages import items_of
from b24sync.portal.structure import PipelineRow, pipeline_rows, pipelines_command
from b24sync.provisioning.doctor import is_rights_refusal
from b24sync.provisioning.findings import Finding, error, ok, unchecked, warning
from b24sync.provisioning.temporary import TITLE, Temporary
from b24sync.store.engine import Store
from b24sync.transport.client import PortalClient
from b24sync.transport.gate import Gate
from b24sync.transport.protocol import Command

INVOICE, QUOTE = 31, 7
UNCHANGED = "UNCHANGED"
CHECKLIST: tuple[tuple[str, str], ...] = (
    ("open", "CRM > Settings > Access permissions > Roles: make a role for the call centre, or open it"),
    ("pipelines", "Deals: its own pipeline only; in every other pipeline all rights to 'No access'"),
    ("read", "Deals of that pipeline, contacts, companies: Read = All (or department's, as the client wants)"),
    ("edit", "Deals of that pipeline: Edit = All or own; moving between stages as the client wants"),
    ("add", "Deals, leads, contacts, companies: Add = No access"),
    ("import", "Every object: Import and Export = No access"),
    ("delete", "Every object: Delete = No access"),
    ("invoices", "Invoices and quotes: every right = No access"),
    ("settings", '"Allow to change settings" = off'),
    ("people", "Put the call centre's people or department into the role, and take them out of wider ones"),
    ("prove", "Make an incoming webhook as one of them (scope crm), put it into [portal] role_webhook, run this again"),
)
HOME = "CRM > Settings > Access permissions"


@dataclass(slots=True)
class RoleProbe:
    """`admin` and `user` are clients of the same portal; `books` is the portal's gate, which `user` books at too."""

    admin: PortalClient
    user: PortalClient
    store: Store
    portal: str
    clock: Clock
    books: Gate

    def run(self) -> Iterator[Finding]:
        """What the second webhook's user can do. Cost: about 40 requests. Raises PortalBlocked, RetryLater."""
        temporary = Temporary(self.admin, self.store, self.portal, self.clock)
        temporary.remove_all()
        try:
            yield from self._look(temporary)
        finally:
            temporary.remove_all()

    def _look(self, temporary: Temporary) -> Iterator[Finding]:
        profile = self._ask("profile", {})
        user_id = int(profile.get("ID") or 0)
        yield ok("role: user", f"{profile.get('NAME', '')} {profile.get('LAST_NAME', '')} (user {user_id})".strip())
        if str(profile.get("ADMIN")).lower() in ("true", "y", "1"):
            yield error("role: user", "is an administrator: no role binds him", "make the webhook as a plain user")
            return
        directory = read_directory(self.admin, DEAL, users=False)
        command = pipelines_command(DEAL)
        seen = pipeline_rows(self._ask(command.method, command.params))
        yield self._pipelines(seen, directory)
        if not seen:
            return
        own = temporary.quiet_item(DEAL, "role-own", {"categoryId": seen[0].id, "assignedById": user_id})
        yield self._can("reads a deal of its pipeline", True, lambda: self._get(DEAL, own))
        yield self._can("edits its card", True, lambda: self._edit(own))
        hidden = [one for one in directory.pipelines if one.id not in {row.id for row in seen}]
        if hidden:
            other = temporary.quiet_item(DEAL, "role-other", {"categoryId": hidden[0].id})
            yield self._can("reads a deal of another pipeline", False, lambda: self._get(DEAL, other))
            yield self._can("edits a deal of another pipeline", False, lambda: self._edit(other))
        for entity_type_id, name in ((CONTACT, "contact"), (COMPANY, "company")):
            held = temporary.quiet_item(entity_type_id, "role-read", {})
            yield self._can(f"reads a {name}", True, self._getter(entity_type_id, held))
        yield self._can("adds a deal", False, lambda: self._add(seen[0], directory))
        yield self._can("imports a deal", False, self._import)
        yield self._lists("invoices", INVOICE)
        yield self._lists("quotes", QUOTE)
        yield self._can("changes CRM settings", False, lambda: self._ask("crm.type.list", {}))
        yield self._can("deletes a deal of its pipeline", False, lambda: self._delete(own))

    # -- what is tried ------------------------------------------------------------------------------

    def _get(self, entity_type_id: int, item_id: int) -> None:
        self._ask("crm.item.get", {"entityTypeId": entity_type_id, "id": item_id})

    def _getter(self, entity_type_id: int, item_id: int) -> Callable[[], None]:
        return lambda: self._get(entity_type_id, item_id)

    def _edit(self, item_id: int) -> None:
        title = f"{TITLE}, изменена"
        self._ask("crm.item.update", {"entityTypeId": DEAL, "id": item_id, "fields": {"title": title}}, write=True)
        params = {"entityTypeId": DEAL, "id": item_id}
        now = self.admin.call("crm.item.get", params).result["item"]
        if now.get("title") != title:
            raise PortalRefused("crm.item.update", UNCHANGED, "the portal answered done and changed nothing")

    def _add(self, pipeline: PipelineRow, directory: Directory) -> None:
        """On a failure stage, so that no robot of the first stage runs if it is allowed after all."""
        failures = [stage for stage in directory.stages_of(pipeline.id) if stage.semantics == "failure"]
        fields: dict[str, Any] = {"categoryId": pipeline.id}
        if failures:
            fields["stageId"] = failures[0].status_id
        self._temporary().item(DEAL, "role-add", fields, method=ADD)

    def _import(self) -> None:
        """A row that the portal must refuse for its date tells the right, and makes nothing."""
        later = datetime.fromtimestamp(self.clock.wall_s(), UTC) + timedelta(days=2)
        try:
            self._temporary().item(DEAL, "role-import", {"createdTime": later.isoformat(timespec="seconds")})
        except PortalRefused as refused:
            if is_rights_refusal(refused):
                raise

    def _temporary(self) -> Temporary:
        """Made as the user, looked for as the administrator: the user may not see it."""
        self.books.reserve({}, "interactive")
        return Temporary(self.admin, self.store, self.portal, self.clock, maker=self.user)

    def _delete(self, item_id: int) -> None:
        self._ask("crm.item.delete", {"entityTypeId": DEAL, "id": item_id}, write=True)

    def _ask(self, method: str, params: Mapping[str, Any] | Sequence[Any], *, write: bool = False) -> Any:
        """One call as the user, inside a batch: there a missing right is an answer, not the webhook's end."""
        self.books.reserve({}, "interactive")
        return self.user.one(Command(method, params), write=write)

    # -- what it means ------------------------------------------------------------------------------

    def _can(self, what: str, expected: bool, attempt: Callable[[], object]) -> Finding:
        try:
            attempt()
        except PortalRefused as refused:
            return _refused(what, expected, refused)
        except (RetryLater, OutcomeUnknown) as away:
            return unchecked(f"role: {what}", str(away), "run it again")
        return _judged(what, expected, True, "")

    def _lists(self, name: str, entity_type_id: int) -> Finding:
        """Rows that a user may not read are simply absent: only what the administrator sees beside it tells."""
        command = list_command(entity_type_id, {">id": 0}, ["id"], start=0)
        try:
            all_rows = items_of(self.admin.call(command.method, command.params).result)
        except B24SyncError as cause:
            return unchecked(f"role: sees {name}", str(cause))
        try:
            rows = items_of(self._ask(command.method, command.params))
        except PortalRefused as refused:
            return _refused(f"sees {name}", False, refused)
        if not all_rows and not rows:
            return unchecked(f"role: sees {name}", "the portal holds none", "check the role by hand")
        return _judged(f"sees {name}", False, bool(rows), "")

    def _pipelines(self, seen: Sequence[PipelineRow], directory: Directory) -> Finding:
        names = ", ".join(row.name for row in seen)
        if len(seen) == 1:
            return ok("role: pipelines", f"sees {names} alone")
        if not seen:
            return error("role: pipelines", "sees no pipeline", f"{HOME}: give the role its own pipeline")
        if len(directory.pipelines) == 1:
            return ok("role: pipelines", f"sees {names}: there is no other")
        return warning("role: pipelines", f"sees {len(seen)}: {names}", f"{HOME}: leave the role its own one only")


def _refused(what: str, expected: bool, refused: PortalRefused) -> Finding:
    """Only a refusal for a right tells about the role; what the user may not see may also be called absent."""
    if not is_rights_refusal(refused) and refused.code not in ("NOT_FOUND", UNCHANGED):
        return unchecked(f"role: {what}", str(refused), "check the role by hand")
    return _judged(what, expected, False, f"{refused.code}: {refused.text}".strip(": "))


def _judged(what: str, expected: bool, can: bool, refusal: str) -> Finding:
    check = f"role: {what}"
    if can == expected:
        return ok(check, "yes, as it should" if can else f"no, as it should not ({refusal})".replace(" ()", ""))
    if can:
        return error(
            check, "yes, and it should not", f"{HOME}: take this right from the role, and from its other roles"
        )
    return error(check, f"no, and it should ({refusal})", f"{HOME}: give the role this right")


def checklist() -> list[Finding]:
    """What a person does in the portal, in order."""
    return [Finding(f"by hand: {name}", "to do", what) for name, what in CHECKLIST]
