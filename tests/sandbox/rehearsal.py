"""One store, one configuration and one file of deals against one sandbox: what the tests of bad days start from.

The command line runs as a subprocess over real HTTP. What became of it is read from the sandbox's own state and
ledger of calls; the store is read only to compare what it says with what the sandbox holds.
"""

from __future__ import annotations

import csv
import json
import random
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from forked_process import CliProcess
from sandbox_process import PROJECT, SandboxProcess

Result = TypeVar("Result")

ORIGINATOR = "old-crm"
PIPELINE = "Проекты"
WAITS, TRACE, ENDS = "Первый звонок", "Отметка", "Мгновенный"
TRACE_FIELD = "UF_CRM_TRACE"
STAGE_OF = {WAITS: "Новая заявка", TRACE: "Экспертиза", ENDS: "Передача"}
"""Which template belongs to the deals of which stage; a deal's stage goes by its line."""

SEED: dict[str, Any] = {
    "categories": [{"name": PIPELINE, "stages": [{"name": name} for name in STAGE_OF.values()]}],
    "userfields": [
        {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "TRACE", "USER_TYPE_ID": "string", "LABEL": "След процесса"},
    ],
    "templates": [
        {"NAME": WAITS, "kind": "waits"},
        {"NAME": TRACE, "kind": "trace", "trace_field": TRACE_FIELD},
        {"NAME": ENDS, "kind": "ends"},
    ],
}

SCALE = 60.0
REQUEST_CAP_S = 2.0
"""An unanswered write is looked up for the last time 5 s after the cap; budgets reset after ten seconds."""
ROW_COST_S, START_COST_S = 0.02, 0.01
"""Wall-clock seconds: some 33 rows fit a third of the request cap, so a short file becomes several requests."""

WAYS = ("batch_import", "single_import")

SANDBOX_OPTIONS: dict[str, Any] = {
    "seed": SEED,
    "scale": SCALE,
    "request_cap_s": REQUEST_CAP_S * SCALE,
    "costs": {
        "crm.item.batchImport": ROW_COST_S * SCALE,
        "crm.item.import": ROW_COST_S * SCALE,
        "bizproc.workflow.start": START_COST_S * SCALE,
    },
}

TEMPLATE_OF = {stage: template for template, stage in STAGE_OF.items()}

IMPORTS, STARTS = "import", "workflow.start"
"""Parts of the names of the methods that write."""

FIRST_CREATED = datetime(2024, 1, 9, 10, 0)
CLI_TIMEOUT_S = 150.0

DONE, REFUSED, UNKNOWN_LEFT, BLOCKED, CONFIG = 0, 3, 75, 69, 78
"""Exit codes (0 done; 3 some refused; 75 again later, or unknown left; 69 blocked; 78 configuration or store)."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file, cell by cell, whatever the cells say."""

    key: str
    title: str
    stage: str
    created: str
    amount: str
    note: str = "-"


def rows(count: int, *, first: int = 1) -> list[Row]:
    """`count` good rows with 19-digit keys, stages in turn, created one minute after the other."""
    stages = list(STAGE_OF.values())
    return [
        Row(
            key=str(4_876_876_000_000_000_000 + number),
            title=f"Сделка {number}",
            stage=stages[number % len(stages)],
            created=(FIRST_CREATED + timedelta(minutes=number)).strftime("%d.%m.%Y %H:%M"),
            amount=str(1000 + number),
        )
        for number in range(first, first + count)
    ]


def seed_with(planted: Sequence[Row]) -> dict[str, Any]:
    """The seed of a portal that holds these deals already, in their stages."""
    status_ids = {
        stage: f"C1:{'NEW' if index == 1 else f'UC_{index:06d}'}" for index, stage in enumerate(TEMPLATE_OF, 1)
    }
    items = [
        {
            "entityTypeId": 2,
            "fields": {
                "title": row.title,
                "categoryId": 1,
                "stageId": status_ids[row.stage],
                "opportunity": row.amount,
                "originatorId": ORIGINATOR,
                "originId": row.key,
            },
        }
        for row in planted
    ]
    return {**SEED, "items": items}


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended. `result` is the object of `--json`, empty where none was printed."""

    code: int
    stdout: str
    stderr: str
    result: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.stdout}\n{self.stderr}"


class Running:
    """A command that runs; `kill` is `kill -9`."""

    def __init__(self, process: CliProcess) -> None:
        self.process = process

    def ended(self, timeout_s: float = CLI_TIMEOUT_S) -> Ended:
        """Wait for the end. Fails when it takes longer than any of these commands may."""
        try:
            stdout, stderr = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            stdout, stderr = self.process.communicate()
            raise AssertionError(f"still running after {timeout_s} s:\n{stdout}\n{stderr}") from None
        assert "Traceback" not in stderr, stderr
        lines = stdout.strip().splitlines()
        result = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
        return Ended(self.process.wait(), stdout, stderr, result)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def kill(self) -> bool:
        """kill -9; False when it had ended by itself before."""
        self.process.kill()
        self.process.communicate()
        return self.process.returncode == -9


class Rehearsal:
    """A folder with `config.toml`, `deals.csv` and `deals.toml`, and the commands over them.

    `way` and `history` are those of `[import]`; with `history` the file's creation times are sent too, and the
    portal wants them ascending (crm/universal/import/index.md), whereas the file's lines are in no order.
    `note_field` is what the column "Note" becomes, as it stands in the mapping; `templates` are in the order in
    which `workflows start --all` comes to them.
    """

    def __init__(
        self,
        folder: Path,
        sandbox: SandboxProcess,
        *,
        planned: Sequence[Row],
        way: str = "batch_import",
        history: bool = False,
        webhook: str | None = None,
        store: Path | None = None,
        note_field: str = '"comments"',
        templates: Sequence[str] = tuple(STAGE_OF),
    ) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.history = history
        folder.mkdir(parents=True, exist_ok=True)
        self.store = store or folder / "store.db"
        self.way = way
        self.templates = templates
        self.config = self.write_config("config.toml", webhook or sandbox.url)
        self.mapping = folder / "deals.toml"
        self.mapping.write_text(_mapping(note_field, history=history), encoding="utf-8")
        self.file = self.write_file("deals.csv", planned)
        self.planned = list(planned)

    def write_config(self, name: str, webhook: str) -> Path:
        """A configuration of this store for one webhook of the sandbox."""
        portal = self.sandbox.toml_block.replace(self.sandbox.url, webhook)
        parts = [portal, f'[store]\nurl = "sqlite:///{self.store}"', f'[import]\nway = "{self.way}"']
        parts += [_start_table(template, STAGE_OF[template]) for template in self.templates]
        path = self.folder / name
        path.write_text("\n\n".join(parts), encoding="utf-8")
        return path

    def write_file(self, name: str, planned: Sequence[Row]) -> Path:
        """A CSV file of `planned`, its lines in an order of their own where creation times are sent."""
        lines = list(planned)
        if self.history:
            random.Random(len(lines)).shuffle(lines)
        path = self.folder / name
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["Id", "Title", "Stage", "Created", "Amount", "Note"])
            writer.writerows([row.key, row.title, row.stage, row.created, row.amount, row.note] for row in lines)
        return path

    # -- commands -------------------------------------------------------------------------------------

    def start(self, *words: str, config: Path | None = None) -> Running:
        """Start `b24sync WORDS` with this rehearsal's configuration, or with another one of it."""
        return Running(CliProcess(["--config", config or self.config, *words], cwd=PROJECT))

    def run(self, *words: str) -> Ended:
        """Run `b24sync WORDS` to its end."""
        return self.start(*words).ended()

    def import_words(self, *more: str, file: Path | None = None) -> list[str]:
        """The words of `import run`."""
        return ["import", "run", str(file or self.file), "--mapping", str(self.mapping), "--yes", "--json", *more]

    def run_import(self, *more: str, file: Path | None = None) -> Ended:
        """`import run` to its end."""
        return self.run(*self.import_words(*more, file=file))

    # -- what the sandbox holds -----------------------------------------------------------------------

    def held(self) -> dict[str, list[int]]:
        """Deal ids of the sandbox by our key."""
        found: dict[str, list[int]] = {}
        for _, key, deal_id in self.sandbox.state("origin_pairs", originatorId=ORIGINATOR):
            found.setdefault(key, []).append(deal_id)
        return found

    def count_held(self) -> int:
        """How many deals the sandbox holds."""
        return int(self.sandbox.figures()["items"]["DEAL"])

    def starts(self) -> Counter[tuple[str, int, int]]:
        """How often a workflow was started, by (template, deal, stage entry)."""
        return Counter(
            (one["template"], int(one["document_id"].removeprefix("DEAL_")), one["stage_entry"])
            for one in self.sandbox.state("workflows")
        )

    def write_calls(self, since: int = 0) -> list[dict[str, Any]]:
        """Requests that write, executed or not, after one number of the sandbox's ledger of calls."""
        calls = [*self.sandbox.calls(since=since, method=IMPORTS), *self.sandbox.calls(since=since, method=STARTS)]
        return sorted(calls, key=lambda call: int(call["seq"]))

    def last_call(self) -> int:
        """The number of the sandbox's latest call."""
        assert self.sandbox.wait_idle()
        return max((int(call["seq"]) for call in self.sandbox.calls()), default=0)

    def count_started(self) -> int:
        """How many workflows the sandbox has started."""
        return int(self.sandbox.figures()["workflows"]["started"])

    # -- what the store says --------------------------------------------------------------------------

    def ledger(self, what: str = f"deal@{ORIGINATOR}") -> dict[str, tuple[str, str | None]]:
        """(state, portal id) by key as the store has them."""
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT key, state, portal_id FROM writes WHERE what = ?", (what,))
            return {key: (state, portal_id) for key, state, portal_id in found}


def _mapping(note_field: str, *, history: bool) -> str:
    created = '{ field = "created_time", format = "%d.%m.%Y %H:%M" }' if history else '"-"'
    return "\n".join(
        [
            'entity = "deal"',
            f'originator = "{ORIGINATOR}"',
            'key = "Id"',
            "[columns]",
            '"Title" = "title"',
            '"Stage" = "stage"',
            f'"Created" = {created}',
            '"Amount" = "opportunity"',
            f'"Note" = {note_field}',
            "[constants]",
            f'pipeline = "{PIPELINE}"',
            'currency = "RUB"',
        ]
    )


def _start_table(template: str, stage: str) -> str:
    lines = ["[[workflows.start]]", f'pipeline = "{PIPELINE}"', f'stage = "{stage}"', f'template = "{template}"']
    if template == TRACE:
        lines.append(f'trace = "{TRACE_FIELD}"')
    return "\n".join(lines)


def side_by_side(plays: Iterable[Callable[[], Result]]) -> list[Result]:
    """Run all of them at the same time, since most of their time is waiting. Raises what the first of them raised."""
    todo = list(plays)
    with ThreadPoolExecutor(len(todo)) as pool:
        futures = [pool.submit(play) for play in todo]
        return [future.result() for future in futures]


# -- the verdict --------------------------------------------------------------------------------------


def assert_each_deal_once(rehearsal: Rehearsal, planned: Sequence[Row] | None = None) -> None:
    """The sandbox holds exactly the planned deals, each once and as planned, and the store knows their ids."""
    expected = {row.key: row for row in (rehearsal.planned if planned is None else planned)}
    assert rehearsal.sandbox.wait_idle()
    held = rehearsal.held()
    assert {key: ids for key, ids in held.items() if len(ids) > 1} == {}, "created twice"
    assert set(held) == set(expected), f"lost: {set(expected) - set(held)}, not planned: {set(held) - set(expected)}"
    assert rehearsal.count_held() == len(expected), "deals that carry no key of ours"
    for deal in rehearsal.sandbox.state("items", originatorId=ORIGINATOR, select="originId,title,opportunity"):
        row = expected[deal["originId"]]
        assert (deal["title"], float(deal["opportunity"])) == (row.title, float(row.amount))
    ledger = rehearsal.ledger()
    assert {key: ledger[key] for key in expected} == {key: ("done", str(ids[0])) for key, ids in held.items()}


def assert_each_workflow_once(rehearsal: Rehearsal) -> int:
    """Each deal has exactly one workflow of its stage's template and no other; how many starts are left unknown.

    Only starts of the template that ends at once may be left unknown: those have one workflow or none.
    """
    assert rehearsal.sandbox.wait_idle()
    id_of = {key: ids[0] for key, ids in rehearsal.held().items()}
    expected = {(TEMPLATE_OF[row.stage], id_of[row.key]) for row in rehearsal.planned}
    starts = rehearsal.starts()
    assert {start: count for start, count in starts.items() if count > 1} == {}, "started twice"
    started = {(template, deal) for template, deal, _ in starts}
    assert len(started) == len(starts), "started in two stage entries"
    assert started <= expected, f"not planned: {started - expected}"
    template_ids = {one["id"]: one["name"] for one in rehearsal.sandbox.state("templates")}
    ledger = {
        (template_ids[int(key.split("/")[1])], int(key.split("/")[0])): state
        for key, (state, _) in rehearsal.ledger("workflow").items()
    }
    assert set(ledger) == expected
    doubtful = {start for start, state in ledger.items() if state != "done"}
    assert {ledger[start] for start in doubtful} <= {"unknown"}, Counter(ledger.values())
    assert {template for template, _ in doubtful} <= {ENDS}
    assert expected - doubtful <= started, f"lost: {expected - doubtful - started}"
    return len(doubtful)
