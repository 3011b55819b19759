"""`[[reports.deliver]]`: reports into a folder or onto the portal's Disk, and word of it to named people.

What is there already is not delivered again: a second run of a night that changed nothing uploads nothing and notifies
nobody. A report that says again what it said earlier, and something else in between, is a new version.
A file of the same name on the Disk is replaced by a new version; a person's older notification of the same report is
replaced by the portal (im-notify-personal-add.md, TAG).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from b24sync.bulk.ensure import Ensurer
from b24sync.clock import Clock
from b24sync.config import Config, ReportDelivery
from b24sync.errors import B24SyncError, PortalBlocked
from b24sync.portal.directory import Directory
from b24sync.portal.disk import DiskFile, find_file, upload_file, upload_version
from b24sync.portal.messages import notify
from b24sync.reporting.lives import Scope
from b24sync.reporting.rendering.files import write_file
from b24sync.reporting.sources import directory_of, local_report
from b24sync.reporting.texts import word
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, SENT, UNKNOWN, Ledger, Write
from b24sync.store.names import read_names
from b24sync.transport.client import PortalClient

WHAT = "report delivery"
DELIVERY_S = 600.0
"""Time for it beyond the recount's own: three small requests for each report."""
FOLDER, DISK = "folder:", "disk:"


class Delivery:
    """Delivers the reports of one portal as of one moment."""

    def __init__(self, client: PortalClient, store: Store, portal: str, clock: Clock, config: Config) -> None:
        self._client = client
        self._store = store
        self._portal = portal
        self._config = config
        self._ledger = Ledger(store, portal, WHAT, clock)
        self._ensurer = Ensurer(client, self._ledger)

    def all(self, as_of: float, tell: Callable[[str], None]) -> list[B24SyncError]:
        """Every line of the configuration. One that fails is told, the others go on; the failures.

        Cost: two requests per file on the Disk and one per person. Raises PortalBlocked.
        """
        failed = []
        for line in self._config.reports.deliver:
            try:
                self._one(line, as_of, tell)
            except PortalBlocked:
                raise
            except B24SyncError as error:
                tell(f"report {line.report} to {line.to}: {error}")
                failed.append(error)
        return failed

    def _one(self, line: ReportDelivery, as_of: float, tell: Callable[[str], None]) -> None:
        language = self._config.reports.language
        # What norms mean nothing was said by the recount itself.
        report = local_report(self._config, self._store, self._portal, line.report, Scope(as_of), language, [])
        name = f"{line.report}.{line.format}"
        if line.to.startswith(FOLDER):
            path = self._config.resolve(Path(line.to.removeprefix(FOLDER))) / name
            write_file(report, path, line.format, language)
            tell(f"report {line.report} written to {path}")
            return
        with tempfile.TemporaryDirectory() as folder:
            write_file(report, Path(folder) / name, line.format, language)
            content = (Path(folder) / name).read_bytes()
        file = self._upload(int(line.to.removeprefix(DISK)), name, content, tell)
        text = word("report_ready", language).format(report=word(line.report, language), link=_link(file.page, name))
        self._notify(line, f"{name}/{_digest(content)}/{file.version}", text, tell)

    def _upload(self, folder_id: int, name: str, content: bytes, tell: Callable[[str], None]) -> DiskFile:
        """Put the file there, or a new version of it, unless what is there is what was put there; the file."""
        key = f"disk/{folder_id}/{name}/{_digest(content)}"
        before = find_file(self._client, folder_id, name)
        write = self._ledger.states([key]).get(key)
        if before is not None and _is_put(write, before):
            return before
        version = before.version if before else None
        if write is not None and write.state in (SENT, UNKNOWN):
            version = write.detail.get("version")

        def find() -> str | None:
            """Ours, when it was sent already and the file has another version than before that."""
            asked = self._ledger.states([key]).get(key)
            if asked is None or asked.state not in (SENT, UNKNOWN):
                return None
            present = find_file(self._client, folder_id, name)
            return present.id if present is not None and present.version != version else None

        def make(sending: Callable[[], None]) -> str:
            if before is None:
                return upload_file(self._client, folder_id, name, content, sending).id
            return upload_version(self._client, before.id, name, content, sending).id

        file_id = self._ensurer.ensure(key, find, make, {"version": version})
        tell(f"report {name} put on the Disk, folder {folder_id}")
        present = find_file(self._client, folder_id, name) or DiskFile(file_id, "", "")
        self._ledger.note({key: {"version": version, "put": present.version}})
        return present

    def _notify(self, line: ReportDelivery, what: str, text: str, tell: Callable[[str], None]) -> None:
        """`what` names the file and its version: each is told once."""
        known = directory_of(read_names(self._store, self._portal))
        for said in line.notify:
            for user_id in _people(known, str(said), tell):
                key = f"notify/{user_id}/{what}"
                write = self._ledger.states([key]).get(key)
                if write is not None and write.state == DONE:
                    continue
                tag = f"b24sync-report-{line.report}-{line.format}"
                # Sent again after a lost answer it replaces itself: that is what its tag is for.
                self._ensurer.ensure(key, lambda: None, partial(self._send_word, user_id, text, tag))

    def _send_word(self, user_id: int, text: str, tag: str, sending: Callable[[], None]) -> str:
        return notify(self._client, user_id, text, tag, before_send=sending)


def _is_put(write: Write | None, present: DiskFile) -> bool:
    """Whether the version on the Disk is the one that this write has put there."""
    if write is None or write.state != DONE or write.portal_id != present.id:
        return False
    # Killed before its version was noted: then it is whatever is no longer the version before it.
    put = write.detail.get("put")
    return bool(present.version == put if put else present.version != write.detail.get("version"))


def _people(known: Directory, said: str, tell: Callable[[str], None]) -> list[int]:
    """Ids of users still there that an id or an e-mail means."""
    found = known.users_by(said)
    if not found and said.isdigit():
        return [int(said)]
    active = [user.id for user in found if user.active]
    if not active:
        tell(f"notify {said}: {'dismissed' if found else 'no such user in the portal'}; nobody is notified")
    return active


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _link(page: str, name: str) -> str:
    return f"[URL={page}]{name}[/URL]" if page else name
