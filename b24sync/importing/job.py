"""One import: file -> drafts -> ids -> plan -> the portal, through the ledger (design 6, "A row").

Memory stays flat: rows are spooled into the store while the file is read, and read back piece by piece.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from b24sync.bulk.ledgered import LOOKUP_GRACE_S, Progress
from b24sync.clock import Clock
from b24sync.errors import ConfigError
from b24sync.importing.addresses import (
    ItemAddress,
    Preset,
    address_of,
    other_addresses,
    read_preset,
    still_asked,
    write_addresses,
)
from b24sync.importing.compare import FM, MULTIFIELDS, Comparison
from b24sync.importing.draft import Draft, RowError
from b24sync.importing.excerpt import fingerprint
from b24sync.importing.extract import Extractor, SeenKeys, read_rows
from b24sync.importing.fields import ADDRESS, MULTIFIELD_TYPES, Kind, find_field, product_field
from b24sync.importing.history import NO_CREATION_TIME, History
from b24sync.importing.importer import Importer
from b24sync.importing.links import OWN_ORIGINATOR, TYPE_IDS, Links, created_key, find_links, target_of
from b24sync.importing.mapping import Mapping
from b24sync.importing.multifields import CLASSIC, MultifieldDialect, has_multifields
from b24sync.importing.product_rows import ItemRows, ProductRowsWriter
from b24sync.importing.resolve import UNRESOLVED, Link, Prepared, Resolver, fields_from_json, user_field_types
from b24sync.importing.source import Source, open_source, refuse_heading
from b24sync.importing.updates import (
    MANUAL_SUM,
    PRODUCT_ROWS,
    Change,
    ItemUpdater,
    UpdatePlanner,
    Verdict,
    change_of,
    plan_changes,
    read_items,
)
from b24sync.importing.ways import Row, WayName
from b24sync.importing.writer import VALUE_NOT_VALID, ItemWriter, WriteResult, note_times
from b24sync.portal.addresses import read_addresses
from b24sync.portal.directory import Directory, read_directory
from b24sync.portal.items import (
    DEAL,
    KEYS_PER_REQUEST,
    UPDATED_TIME,
    Origin,
    count_command,
    find_by_origin,
    newest_created,
)
from b24sync.portal.product_rows import read_product_rows
from b24sync.store.engine import Store
from b24sync.store.ledger import DONE, PLANNED, REFUSED, SENT, UNKNOWN, Ledger
from b24sync.store.locks import NamedLock
from b24sync.store.runs import (
    FINISHED,
    PENDING,
    RUNNING,
    SKIPPED,
    STOPPED,
    UPDATE,
    Run,
    RunRow,
    Runs,
    addresses_of,
    product_rows_of,
    requisites_of,
    update_key,
    updates_of,
)
from b24sync.store.stage_entries import note_created
from b24sync.transport.client import PortalClient

SPOOL_ROWS = 1000
MOST_PROBLEMS = 1000
INCOMPLETE = "INCOMPLETE"
"""The item is there; its product rows or its address the portal did not take."""
"""Row errors and links that are told one by one before the first write; the others stand in the run's report."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to import: from the configuration and the command line."""

    way: Literal["auto", "batch_import", "single_import", "add"]
    history: bool
    history_fallback: str | None
    conflict: Literal["keep", "overwrite", "refuse"]


@dataclass(slots=True)
class Plan:
    """What an import would do. `problems` are the misses and row errors, told before the first write."""

    rows: int = 0
    create: int = 0
    update: int = 0
    updates_left: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    """How many items change in which field of the portal."""
    existing: int = 0
    """Items that carry our originator in the portal; of a smart process all of the kind."""
    skip: int = 0
    refuse: int = 0
    companies_to_create: int = 0
    contacts_to_create: int = 0
    too_old: int = 0
    """Rows to be created that are older than the newest item there, which the portal does not take."""
    duplicates: int = 0
    incomplete: int = 0
    """Items that are there without their product rows or address, which are tried again."""
    problems: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    """What may be wrong in the file although its rows are written."""
    resumed: bool = False
    written_before: int = 0

    @property
    def left(self) -> int:
        """Rows to write now: those of an interrupted run that were written are done."""
        return self.create - self.written_before + self.updates_left

    @property
    def known(self) -> int:
        """Existing items: as many as the portal counts, and at least those that the rows have found."""
        return max(self.existing, self.update + self.skip)

    @property
    def change_share(self) -> float:
        """Which share of the existing items would change, 0 to 1."""
        return self.update / max(self.known, 1)


@dataclass(frozen=True, slots=True)
class Proving:
    """Whose rows show how the portal takes phones: their kind, the ledgers of the rows and of their updates."""

    entity_type_id: int
    ledger: Ledger
    updates: Ledger


class ImportJob:
    """One `import run`. Use: `prepare()`, show the plan, then `apply()` or `forget()`."""

    def __init__(
        self,
        client: PortalClient,
        store: Store,
        portal: str,
        clock: Clock,
        mapping: Mapping,
        settings: Settings,
        zone: ZoneInfo,
        importer: Importer | None = None,
    ) -> None:
        self._client = client
        self._store = store
        self._portal = portal
        self._clock = clock
        self._mapping = mapping
        self._settings = settings
        self._zone = zone
        self._importer = importer
        self._runs = Runs(store, portal, clock)
        self._origin = Origin(mapping.entity_type_id, mapping.originator)
        self._ledger = self.ledger_of(mapping.entity, mapping.originator)
        self._updates = self.ledger_of(mapping.entity, mapping.originator, updates=True)
        self._links = Links()
        # `add` documents its form (crm/universal/crm-item-add.md).
        self._dialect = MultifieldDialect(store, portal, FM if settings.way == "add" else None)
        self.history = History(
            mapping.entity, mapping.fields_used, sent=settings.history, fallback=settings.history_fallback
        )
        self._ordered = self.history.ordered
        self.what = what_of(mapping.entity, mapping.originator)
        self._portal_holds = True
        self._directory: Directory
        self._preset: Preset | None = None
        self.run: Run
        self.plan = Plan()

    def ledger_of(self, entity: str, originator: str, *, updates: bool = False) -> Ledger:
        what = what_of(entity, originator)
        return Ledger(self._store, self._portal, updates_of(what) if updates else what, self._clock)

    # -- prepare ----------------------------------------------------------------------------------

    def prepare(self, file: Path | Source, *, sheet: str | None = None) -> Plan:
        """Read the file, resolve its names, look its keys up; nothing is written to the portal.

        Cost: one request for the directory, one per 2,500 linked companies or contacts, one per 2,500 keys
        where the portal holds any of this originator. Raises ConfigError, SourceError, PortalRefused, RetryLater.
        """
        directory = read_directory(
            self._client,
            self._mapping.entity_type_id,
            users=self._names_users(),
            currencies="currency" in self._mapping.fields_used,
            also={"ours": count_command(self._origin)},
        )
        self._directory = directory
        self._check_fields()
        self._portal_holds = directory.also["ours"].total != 0
        self.plan.existing = directory.also["ours"].total or 0
        with file if isinstance(file, Source) else open_source(file, sheet=sheet) as source:
            refuse_heading(source, self._mapping.key.strip())
            extractor = Extractor(
                self._mapping, source.header, portal_tz=self._zone, uf_types=user_field_types(directory)
            )
            self._begin(source.path.absolute(), self._fingerprint(source.sha256))
            try:
                self._make_plan(read_rows(source, extractor, SeenKeys(), self._importer), directory, source.path.parent)
                self.plan.doubts = extractor.doubts
            except BaseException:
                self.forget()
                raise
        return self.plan

    def _check_fields(self) -> None:
        """Refuse what the portal would take and drop without a word. Raises ConfigError.

        A smart process has only the fields that its switches turn on, and parents only where they are related
        (crm/universal/crm-item-add.md); `add` ignores times and authors, which only an import can set.
        """
        mapping, known = self._mapping, self._directory.fields
        problems = []
        for name in sorted(mapping.fields_used):
            one = find_field(mapping.entity, name)
            if one is None or product_field(name) or one.kind in (Kind.PRODUCT_ROWS, Kind.USER_FIELD):
                continue
            if (mapping.entity.startswith("item:") or one.kind is Kind.PARENT) and one.api not in known:
                problems.append(f"{name}: the portal's {mapping.entity} has no field {one.api}: it would be dropped")
        if self.history.mapped and self._settings.way == "add" and self._settings.history:
            told = ", ".join(self.history.mapped)
            problems.append(f'{told}: way = "add" cannot set them; use another way, or history = false')
        if problems:
            raise ConfigError("Fields that the portal would not keep:", problems)

    def _make_plan(self, results: Iterator[Draft | RowError], directory: Directory, folder: Path) -> None:
        dialect = "add" if self._settings.way == "add" else "import"
        resolver = Resolver(self._mapping, directory, multifields_as=dialect, folder=folder)
        if self.history.ordered:
            self.history.set_floor(newest_created(self._client, self._mapping.entity_type_id), directory.fields)
        links = self._spool(results, resolver)
        self.plan.problems.extend(resolver.misses.lines())
        self._find_links(links)
        self._skip_known()
        self._count()

    def _names_users(self) -> bool:
        """Whether the mapping may hold people's names: a user's column, or a user field of any type."""
        known = [find_field(self._mapping.entity, name) for name in self._mapping.fields_used]
        return any(one is not None and one.kind in (Kind.USER, Kind.USERS, Kind.USER_FIELD) for one in known)

    def _begin(self, file: Path, known_by: str) -> None:
        interrupted = self._runs.interrupted(known_by)
        if interrupted is not None and self._runs.adopt(interrupted):
            self.run = interrupted
            self.plan.resumed = True
            # Read again from the start: what the dead run wrote is in the ledger, not in its rows.
            self._runs.clear_rows(interrupted.id)
            return
        self.run = self._runs.start(
            command="import", entity=self._mapping.entity, what=self.what, file=str(file), fingerprint=known_by
        )

    def _fingerprint(self, file_sha256: str) -> str:
        mapping = repr(sorted(self._mapping.model_dump().items(), key=lambda item: item[0]))
        return fingerprint(file_sha256, hashlib.sha256(mapping.encode()).hexdigest())

    def _spool(self, results: Iterator[Draft | RowError], resolver: Resolver) -> dict[Link, array[int]]:
        """Store every row; returns the distinct links with the lines that hold them."""
        links: dict[Link, array[int]] = {}
        piece: list[RunRow] = []
        for result in results:
            self.plan.rows += 1
            if isinstance(result, RowError) and len(self.plan.problems) < MOST_PROBLEMS:
                self.plan.problems.append(f"line {result.line}: {result.message}")
            ready = resolver.with_misses(result) if isinstance(result, RowError) else resolver.prepare(result)
            if isinstance(ready, RowError):
                piece.append(RunRow(ready.line, ready.key, "refused", None, ready.code, ready.message))
            else:
                if self._preset is None and ADDRESS in ready.fields:
                    self._preset = read_preset(self._client, self._mapping.entity_type_id)
                for link in ready.links:
                    links.setdefault(link, array("l")).append(ready.line)
                piece.append(self._spooled(ready))
            if len(piece) >= SPOOL_ROWS:
                self._runs.spool(self.run.id, piece)
                piece = []
        self._runs.spool(self.run.id, piece)
        return links

    def _spooled(self, row: Prepared) -> RunRow:
        return RunRow(row.line, row.key, PENDING, row.to_json(), created_at=self.history.place(row.fields))

    def _find_links(self, links: dict[Link, array[int]]) -> None:
        """Look up linked companies and contacts; a row with a link that leads nowhere is refused."""
        if not links:
            return
        self._links = find_links(self._client, self.ledger_of, self._mapping.originator, links)
        refused: dict[int, RunRow] = {}
        for link, lines in links.items():
            problem = self._links.problem(link)
            if problem is None:
                continue
            more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
            if len(self.plan.problems) < MOST_PROBLEMS:
                self.plan.problems.append(f"line {lines[0]}{more}: {problem}")
            for line in lines:
                refused[line] = RunRow(line, None, "refused", code=UNRESOLVED, message=problem)
        self._runs.mark(self.run.id, refused.values())
        self.plan.companies_to_create = len(self._links.created_rows("company"))
        self.plan.contacts_to_create = len(self._links.created_rows("contact"))

    def _skip_known(self) -> None:
        """Keys that the ledger or the portal holds are not written again (design 5): kept, refused or updated."""
        self._ledger.bury_dead()
        if not self._portal_holds and self._ledger.empty():
            return
        planner = None
        rows: Iterator[RunRow] = (RunRow(n, key, PENDING) for n, key in self._runs.pending_keys(self.run.id))
        if self._settings.conflict == "overwrite":
            planner, rows = self._update_planner(), self._runs.pending(self.run.id)
        while piece := list(islice(rows, KEYS_PER_REQUEST)):
            self._skip_known_piece(piece, planner)
        self.plan.changes = dict(planner.by_field.most_common()) if planner else {}

    def _skip_known_piece(self, rows: Sequence[RunRow], planner: UpdatePlanner | None) -> None:
        keys = [str(row.key) for row in rows]
        known = self._ledger.states(keys)
        if self._portal_holds:
            unasked = [key for key in keys if key not in known or known[key].state in ("planned", "refused")]
            found = find_by_origin(self._client, self._origin, unasked, "interactive")
            self._ledger.adopt({key: str(min(ids)) for key, ids in found.items()}, None)
            self.plan.duplicates += sum(len(ids) - 1 for ids in found.values())
            known.update(self._ledger.states(list(found)))
        there = {
            key: int(write.portal_id)
            for key, write in known.items()
            if write.state == DONE and write.portal_id and write.run_id != self.run.id
        }
        rows = [row for row in rows if row.key in there]
        if planner is None:
            refuse = self._settings.conflict == "refuse"
            state, code = ("refused", "EXISTS") if refuse else (SKIPPED, None)
            said = [(row, f"already in the portal as {there[str(row.key)]}") for row in rows]
            marks = [RunRow(r.line, r.key, state, code=code, message=text) for r, text in said]
            wanted = set() if refuse else self._incomplete({str(row.key): there[str(row.key)] for row in rows})
            self.plan.incomplete += len(wanted)
            self._runs.mark(self.run.id, [mark for mark in marks if mark.key not in wanted])
            self._runs.mark(self.run.id, [mark for mark in marks if mark.key in wanted], keep_drafts=True)
        elif rows:
            self._take(planner.verdicts(rows, there))

    def _take(self, verdicts: dict[int, Verdict]) -> None:
        """Store what is to become of rows that the portal holds already."""
        updates = {line: verdict.draft for line, verdict in verdicts.items() if verdict.state == UPDATE}
        self._runs.turn(self.run.id, UPDATE, updates)
        self.plan.updates_left += sum(draft is not None for draft in updates.values())
        others = [
            RunRow(line, None, verdict.state, code=verdict.code, message=verdict.message)
            for line, verdict in verdicts.items()
            if verdict.state != UPDATE
        ]
        self._runs.mark(self.run.id, others)
        for row in others:
            if row.state == "refused" and len(self.plan.problems) < MOST_PROBLEMS:
                self.plan.problems.append(f"line {row.line}: {row.message}")

    def _update_planner(self) -> UpdatePlanner:
        requisites, addresses = self._address_ledgers()
        for ledger in (self._updates, requisites, addresses) if self._preset else (self._updates,):
            ledger.bury_dead()
            ledger.wait_out(self._client.gate.limits.request_cap_s + LOOKUP_GRACE_S, but_run=self.run.id)
        return UpdatePlanner(
            self._client,
            self._mapping.entity_type_id,
            self._comparison(),
            self._links,
            self._updates,
            addresses,
            run_id=self.run.id,
            pipeline_id=self._directory.default_pipeline_id,
        )

    def _comparison(self) -> Comparison:
        return Comparison(self._directory.fields, self._zone)

    def _count(self) -> None:
        states = self._runs.row_states(self.run.id)
        self.plan.written_before = len(self._written_before())
        self.plan.create = states.get(PENDING, 0)
        self.plan.update = states.get(UPDATE, 0)
        self.plan.skip = states.get(SKIPPED, 0)
        self.plan.refuse = states.get("refused", 0)
        if self.history.ordered:
            self.plan.too_old = self._runs.pending_created(
                self.run.id, before=self.history.floor, after=NO_CREATION_TIME
            )

    # -- apply ------------------------------------------------------------------------------------

    def apply(self, on_progress: Callable[[Progress], None] = lambda _: None) -> WriteResult:
        """Write what the plan says. Raises RetryLater, PortalBlocked, StoreError; the run can be resumed then."""
        self._runs.set_state(self.run.id, RUNNING)
        for entity in TYPE_IDS:
            self._create_linked(entity)
        if self._mapping.holds_product_rows or self._preset is not None:
            self._plan_hanging()
        lock = NamedLock(self._store, self._portal, f"import in order: {self._mapping.entity}", self._clock)
        with lock.held() if self._ordered else nullcontext():
            result = self._write_rows(on_progress, lock)
        if self.plan.resumed:
            self._date_earlier_writes()
        if not result.stopped:
            self._write_updates(result.progress, on_progress)
        # Also after a stop: the next run finds the items that were made, and takes them for whole.
        if self._mapping.holds_product_rows:
            result.rows_refused = self._write_product_rows()
        if self._preset is not None:
            result.addresses_refused = self._write_addresses(self._preset)
        state = STOPPED if result.stopped else FINISHED
        self._runs.set_state(self.run.id, state, result.stopped)
        self._runs.drop_drafts(self.run.id)
        return result

    def _create_linked(self, entity: str) -> None:
        """Make the companies or contacts that rows name and the portal lacks, each once."""
        rows = self._links.created_rows(entity)
        if not rows:
            return
        ledger = self.ledger_of(entity, OWN_ORIGINATOR)
        ledger.plan([(row.key, None) for row in rows], self.run.id)
        writer = self._writer(ledger, Origin(TYPE_IDS[entity], OWN_ORIGINATOR), len(rows), ordered=False)
        if any(map(has_multifields, rows)):
            proving = Proving(TYPE_IDS[entity], ledger, self.ledger_of(entity, OWN_ORIGINATOR, updates=True))
            self._write_proving(writer, rows, proving)
        else:
            writer.write(iter(rows))
        made = ledger.states([row.key for row in rows])
        for target, title in self._links.to_create.items():
            if target[0] != entity:
                continue
            write = made[created_key(entity, title)]
            if write.state == DONE and write.portal_id:
                self._links.ids[target] = int(write.portal_id)

    def _write_rows(self, on_progress: Callable[[Progress], None], lock: NamedLock) -> WriteResult:
        self._ledger.plan_run(self.run.id)
        if self._ordered:
            # A killed import of another file may have left a request that the portal is still working on: rows
            # written now, created later, would bar it for good (crm/universal/import/index.md).
            cap_s = self._client.gate.limits.request_cap_s + LOOKUP_GRACE_S
            self._ledger.wait_out(cap_s, but_run=self.run.id, kin=what_of(self._mapping.entity, ""))

        def progressed(progress: Progress) -> None:
            if self._ordered:
                lock.keep()
            on_progress(progress)

        writer = self._writer(
            self._ledger,
            self._origin,
            self.plan.left,
            ordered=self._ordered,
            on_progress=progressed,
            mend=self.history.without,
        )
        proving = Proving(self._mapping.entity_type_id, self._ledger, self._updates)
        if self._has_multifields and not self._dialect.known and (proof := self._written_proof()):
            self._remark_phones(proof.key, self._prove_dialect(proof, proving))
        rows = self._ready_rows(writer.progress)
        return self._write_proving(writer, rows, proving) if self._has_multifields else writer.write(rows)

    def _write_proving(self, writer: ItemWriter, rows: Iterable[Row], proving: Proving) -> WriteResult:
        """Write rows; while it is not known how the portal takes phones, up to the first with any, which is read."""
        ready = (self._dialect.of(row) for row in rows)
        while not self._dialect.known and (proof := self._dialect.first(ready)):
            writer.write(iter(proof))
            lost = self._prove_dialect(proof[-1], proving)
            if proving.ledger is self._ledger:
                self._remark_phones(proof[-1].key, lost)
        return writer.write(ready)

    @property
    def _has_multifields(self) -> bool:
        """Whether rows may carry phones."""
        kinds = {one.kind for name in self._mapping.fields_used if (one := find_field(self._mapping.entity, name))}
        return bool(kinds & MULTIFIELD_TYPES.keys())

    def _written_proof(self) -> Row | None:
        """The row that this run had written when it was killed, before its phones were read back."""
        written = self._written_before()
        listed = (row for row in self._runs.pending(self.run.id) if row.key in written and row.draft)
        rows = (Row(str(row.key), fields_from_json(row.draft or "")[0]) for row in listed)
        return next(filter(has_multifields, rows), None)

    def _prove_dialect(self, row: Row, proving: Proving) -> str | None:
        """Read back whether the phones of an imported row arrived; if not, add them and send the others as `fm`.

        What is learnt is kept when that row has its phones: whoever is killed in between does it again. Answers why
        the row has none, where the portal did not take them.
        """
        write = proving.ledger.states([row.key]).get(row.key)
        if write is None or write.state != DONE or write.portal_id is None or not has_multifields(row):
            return None
        item_id, key = int(write.portal_id), update_key(self.run.id, row.key)
        held = read_items(self._client, proving.entity_type_id, [item_id], {FM}).get(item_id)
        if held is None:
            return None
        lacking = self._comparison().differences({n: row.fields[n] for n in MULTIFIELDS if n in row.fields}, held)
        added_before = key in proving.updates.states([key])
        lost = self._add_phones(Change(key, item_id, lacking, {}), proving) if lacking or added_before else None
        self._dialect.settle(FM if lacking or added_before else CLASSIC)
        return lost

    def _add_phones(self, change: Change, proving: Proving) -> str | None:
        plan_changes(proving.updates, iter([change]), self.run.id)
        if change.fields:
            updater = ItemUpdater(self._client, proving.updates, proving.entity_type_id, self._comparison())
            updater.send(iter([change]))
        write = proving.updates.states([change.key])[change.key]
        return None if write.state == DONE else write.refusal

    def _remark_phones(self, key: str, lost: str | None) -> None:
        if lost is not None:
            line = next(line for line, known in self._runs.pending_keys(self.run.id) if known == key)
            self._remark("its phones, e-mails or web addresses were not added", {line: lost})

    def _date_earlier_writes(self) -> None:
        """What the run wrote before it was killed may never have been read back."""
        writes = self._ledger.in_state(DONE, run_id=self.run.id)
        undated = {w.key: int(w.portal_id) for w in writes if w.portal_id and UPDATED_TIME not in w.detail}
        note_times(self._client, self._ledger, self._mapping.entity_type_id, undated)

    def _write_updates(self, progress: Progress, on_progress: Callable[[Progress], None]) -> None:
        if not self.plan.updates_left:
            return
        plan_changes(self._updates, self._changes(), self.run.id)
        updater = ItemUpdater(
            self._client, self._updates, self._mapping.entity_type_id, self._comparison(), on_progress=on_progress
        )
        updater.progress = progress
        updater.send(change for change in self._changes() if change.fields)

    def _changes(self) -> Iterator[Change]:
        for row in self._runs.pending(self.run.id, state=UPDATE):
            if row.draft is not None:
                yield change_of(row, self.run.id, self._links)

    def _rows_ledger(self) -> Ledger:
        return Ledger(self._store, self._portal, product_rows_of(self.what), self._clock)

    def _plan_hanging(self) -> None:
        """Record product rows and addresses before their items are made: if this run is killed, that of a corrected
        file sets them.
        """
        rows, (_, addresses) = self._rows_ledger(), self._address_ledgers()
        pending = (row for row in self._runs.pending(self.run.id) if row.key and row.draft)
        while piece := list(islice(pending, SPOOL_ROWS)):
            told = [(row.key or "", fields_from_json(row.draft or "")[0]) for row in piece]
            rows.plan([(key, None) for key, fields in told if fields.get(PRODUCT_ROWS)], self.run.id)
            addresses.plan(
                [(key, None) for key, fields in told if address_of(key, 0, fields.get(ADDRESS, {}))], self.run.id
            )

    def _write_product_rows(self) -> int:
        """Set the product rows of what this run has created or left without; how many items' rows were refused."""
        ledger = self._rows_ledger()
        ledger.plan([(item.key, None) for _, item in self._product_rows()], self.run.id)
        writer = ProductRowsWriter(self._client, ledger, self._origin.entity_type_id)
        writer.write(item for _, item in self._product_rows())
        items = self._product_rows()
        while piece := list(islice(items, KEYS_PER_REQUEST)):
            set_ = ledger.states([item.key for _, item in piece])
            lost = {line: write for line, item in piece if (write := set_[item.key]).state != DONE}
            self._remark("its product rows were not set", {line: w.refusal for line, w in lost.items()})
            # Setting them changed the items: undo must know that it was us.
            self._note_times({item.key: item.item_id for _, item in piece})
        too_many = {line: said for line, item in self._items_with_rows() if (said := item.too_many)}
        self._remark("its product rows were not set", too_many)
        return writer.progress.refused + len(too_many)

    def _product_rows(self) -> Iterator[tuple[int, ItemRows]]:
        return ((line, item) for line, item in self._items_with_rows() if item.too_many is None)

    def _items_with_rows(self) -> Iterator[tuple[int, ItemRows]]:
        """By line, product rows of items that this run updates, has made, or found without theirs."""
        for line, change in self._updated():
            if change.product_rows:
                yield line, ItemRows(change.key, change.item_id, change.product_rows)
        for line, key, item_id, rows in self._made_with("productRows"):
            yield line, ItemRows(key, item_id, rows)

    def _write_addresses(self, preset: Preset) -> dict[int, str]:
        """Set the addresses of what this run has made, found bare, or updates; what the portal said of refused ones."""
        refused = dict[int, str]()
        made = (
            (line, address)
            for line, key, item_id, value in self._made_with(ADDRESS)
            if (address := address_of(key, item_id, value)) is not None
        )
        while piece := list(islice(made, KEYS_PER_REQUEST)):
            refused |= self._give_addresses(preset, piece)
        changed = ((line, change.address) for line, change in self._updated() if change.address is not None)
        while piece := list(islice(changed, KEYS_PER_REQUEST)):
            # Of two imports at once the second one has to see what the first has added.
            with NamedLock(self._store, self._portal, f"addresses: {self._mapping.entity}", self._clock).held():
                refused |= self._give_addresses(preset, self._differing_still(piece))
        return refused

    def _give_addresses(self, preset: Preset, piece: Sequence[tuple[int, ItemAddress]]) -> dict[int, str]:
        number, items = self._origin.entity_type_id, [item for _, item in piece]
        lost = write_addresses(self._client, *self._address_ledgers(), number, preset, items, self.run.id)
        said = {line: lost[item.item_id] for line, item in piece if item.item_id in lost}
        self._remark("its address was not set", said)
        # A portal may count it as a change of the item: undo must know that it was us.
        self._note_times({item.key: item.item_id for item in items})
        return lost

    def _differing_still(self, piece: Sequence[tuple[int, ItemAddress]]) -> list[tuple[int, ItemAddress]]:
        """Those of a plan's addresses that the portal does not show now. Cost: two requests per 2,500."""
        wanted = {item.item_id: replace(item, requisite_id=0, changed=()) for _, item in piece}
        asked = still_asked(self._address_ledgers()[1], wanted.values())
        others = other_addresses(self._client, self._origin.entity_type_id, wanted, asked)
        return [(line, others[item.item_id]) for line, item in piece if item.item_id in others]

    def _note_times(self, ids: dict[str, int]) -> None:
        for own in (self._ledger, self._updates):
            note_times(self._client, own, self._origin.entity_type_id, ids)

    def _updated(self) -> Iterator[tuple[int, Change]]:
        """(line, change) of items whose update went through: what hangs on them comes after it."""
        listed = (row for row in self._runs.pending(self.run.id, state=UPDATE) if row.draft is not None)
        while piece := list(islice(listed, SPOOL_ROWS)):
            changes = [(row.line, change_of(row, self.run.id, self._links)) for row in piece]
            writes = self._updates.states([change.key for _, change in changes])
            yield from ((n, c) for n, c in changes if c.key in writes and writes[c.key].state == DONE)

    def _address_ledgers(self) -> tuple[Ledger, Ledger]:
        whats = requisites_of(self.what), addresses_of(self.what)
        requisites, addresses = (Ledger(self._store, self._portal, what, self._clock) for what in whats)
        return requisites, addresses

    def _remark(self, lack: str, said: dict[int, str]) -> None:
        """Tell a row's fate whole: its item is there, and what hangs on it is not."""
        self._runs.remark(
            self.run.id, {n: (INCOMPLETE, f"the item is there, but {lack}: {why}") for n, why in said.items()}
        )

    def _incomplete(self, ids: dict[str, int]) -> set[str]:
        """Of items that are there, by key, those whose product rows or address an earlier run did not get through."""
        found: set[str] = set()
        if self._mapping.holds_product_rows:
            rows = self._rows_ledger().states(list(ids))
            left = {key: write for key, write in rows.items() if write.state != DONE}
            # Setting replaces all rows: what a person has entered meanwhile stays.
            held = read_product_rows(self._client, self._origin.entity_type_id, [ids[key] for key in left])
            found.update(k for k, write in left.items() if write.state not in (PLANNED, REFUSED) or not held[ids[k]])
        if self._preset is not None:
            asked, given = (ledger.states(list(ids)) for ledger in self._address_ledgers())
            lacking = {key: ids[key] for key, write in given.items() if write.state != DONE}
            # What a person has entered meanwhile stays.
            held = read_addresses(self._client, self._origin.entity_type_id, list(lacking.values()))
            open_ = {key for writes in (asked, given) for key, w in writes.items() if w.state in (SENT, UNKNOWN)}
            found.update(key for key, item_id in lacking.items() if key in open_ or not held[item_id])
        return found

    def _made_with(self, name: str) -> Iterator[tuple[int, str, int, Any]]:
        """(line, key, id, value) of items whose rows say `name`: that this run has made, or found incomplete, or that
        were on their way when it began. What hangs on an item is in a ledger of its own, so two runs do it once.
        """
        listed = chain(self._runs.pending(self.run.id), self._runs.pending(self.run.id, state=SKIPPED))
        rows = (row for row in listed if row.draft is not None)
        while piece := list(islice(rows, SPOOL_ROWS)):
            made = self._ledger.states([row.key for row in piece if row.key])
            for row in piece:
                write = made.get(row.key or "")
                if row.draft is None or write is None or write.state != DONE:
                    continue
                value = fields_from_json(row.draft)[0].get(name)
                if value and row.key and write.portal_id:
                    yield row.line, row.key, int(write.portal_id), value

    def _writer(
        self,
        ledger: Ledger,
        origin: Origin,
        total: int,
        *,
        ordered: bool,
        on_progress: Callable[[Progress], None] = lambda _: None,
        mend: Callable[[Row], Row | None] = lambda _: None,
    ) -> ItemWriter:
        way: WayName | None = None if self._settings.way == "auto" else self._settings.way
        return ItemWriter(
            self._client,
            ledger,
            origin,
            way=way,
            ordered=ordered,
            total_rows=total,
            on_progress=on_progress,
            on_created=self._note_stages if origin.entity_type_id == DEAL else lambda _: None,
            mend=mend,
        )

    def _ready_rows(self, progress: Progress) -> Iterator[Row]:
        """Pending rows with everything resolved; a row whose new company was refused is refused with it."""
        written = self._written_before()
        for row in self._runs.pending(self.run.id, ordered=self._ordered):
            if row.key is None or row.draft is None or row.key in written:
                continue
            fields, links = fields_from_json(row.draft)
            for name in ("productRows", ADDRESS):
                fields.pop(name, None)
            lost = [link for link in links if target_of(link) in self._links.to_create]
            lost = [link for link in lost if self._links.id_of(link) is None and not link.optional]
            if lost:
                said = f'column "{lost[0].column}": {lost[0].entity} "{lost[0].value}" could not be made'
                self._runs.mark(self.run.id, [RunRow(row.line, row.key, "refused", code="NOT_CREATED", message=said)])
                continue
            fields = self.history.for_portal(fields, row.created_at)
            if "opportunity" in fields:
                # Without it the portal overwrites the sum by product rows (crm/universal/crm-item-add.md).
                fields.setdefault(MANUAL_SUM, "Y")
            ready = Row(row.key, {**self._links.attach(fields, links), **self._origin.fields(row.key)})
            if self.history.given_up(progress.written):
                ready = self.history.without(ready) or ready
            yield ready

    def _written_before(self) -> set[str]:
        """Keys that this very run has written before it was killed."""
        if not self.plan.resumed:
            return set()
        return {write.key for write in self._ledger.in_state(DONE, run_id=self.run.id)}

    def _note_stages(self, created: Sequence[tuple[Row, int]]) -> None:
        seen = [(item_id, str(row.fields["stageId"])) for row, item_id in created if row.fields.get("stageId")]
        note_created(self._store, self._portal, "deal", seen, source="import", at=self._clock.wall_s())

    def refused_for_history(self) -> bool:
        """Whether the portal refused a value of rows that carry times or authors, and none was kept aside."""
        asked = self._settings.history and self.history.mapped and self.history.fallback is None
        refused = self._ledger.in_state(REFUSED, run_id=self.run.id) if asked else iter(())
        return any(write.code == VALUE_NOT_VALID for write in refused)

    def forget(self) -> None:
        """Leave no trace of a plan that is not carried out."""
        if self.plan.resumed:
            return
        self._runs.forget(self.run.id)

    def counts(self) -> dict[str, int]:
        return self._runs.counts(self.run.id, self.what)


def what_of(entity: str, originator: str) -> str:
    """The ledger's `what` of items written by import: the kind and whose numbering the keys are."""
    return f"{entity}@{originator}"
