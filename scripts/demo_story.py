"""The demo with generated files: what happens in which order, and what is promised about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo_data import Deals, File, Generator
from demo_rules import USER_FIELDS, RulesAct
from demo_stage import COST_S, Stage
from subprocesses import PROJECT, Failed

EXAMPLES = PROJECT / "examples" / "demo"
PIPELINE = "Продажи оборудования"
TRACE_FIELD = "UF_CRM_DEMO_CONTROL"
TEMPLATES: Mapping[str, str] = {
    "Новая заявка": "Первый звонок",
    "Подготовка КП": "Подготовка КП",
    "Ожидаем оплату": "Контроль оплаты",
}
"""Stage -> template of its business process. The last one leaves a trace, the others wait for a person."""
SEED = {
    "templates": [{"NAME": "Контроль оплаты", "kind": "trace", "trace_field": TRACE_FIELD}],
    "userfields": USER_FIELDS,
}
ENTERED, REFUSED = ("Новая заявка", "Подготовка КП"), "Отказ"
"""A stage that somebody moves deals out of and the one that they enter; where refusals are kept."""


@dataclass(frozen=True, slots=True)
class Size:
    """Good rows of each file, and seconds of portal work per row."""

    companies: int
    contacts: int
    deals: int
    cost_s: float = COST_S


FULL = Size(4_000, 9_000, 16_000)
SMALL = Size(100, 225, 400, 3 * COST_S)
"""Few rows, each dearer: there must be a middle in which to kill the import."""


class Demo:
    """16,000 deals with their companies and contacts: provisioned, imported, killed, resumed, started, judged."""

    def __init__(self, folder: Path, scale: float, size: Size) -> None:
        self._stage = Stage(folder, scale, size.cost_s)
        self._size = size
        self._companies: File
        self._contacts: File
        self._deals: Deals
        self._runs: dict[str, int] = {}
        self._rows_told: dict[str, int] = {}
        self._killed_at = 0
        self._made_again = 0

    def play(self) -> int:
        """Everything; the exit code. Raises Failed."""
        stage = self._stage
        stage.empty_folder()
        self._generate()
        with stage.portal(_config(), SEED):
            self._provision()
            self._import_clients()
            self._import_deals()
            self._start_workflows()
            self._again()
            self._judge()
            RulesAct(stage, PIPELINE, ENTERED, REFUSED).play()
        return stage.verdict()

    def _generate(self) -> None:
        stage = self._stage
        with stage.step("Files of a client", "Made-up, but untidy like real ones: three formats, a few bad rows."):
            generator = Generator(stage.folder)
            self._companies = generator.companies(self._size.companies)
            self._contacts = generator.contacts(self._size.contacts)
            self._deals = generator.deals(self._size.deals)
            for file, form in (
                (self._companies, "CSV, windows-1251, semicolons"),
                (self._contacts, "CSV, UTF-8"),
                (self._deals, "XLSX"),
            ):
                stage.say(f"     {file.path.name:<14} {file.rows:>6,} rows, {len(file.bad)} of them bad   {form}")

    def _provision(self) -> None:
        stage = self._stage
        with stage.step("A portal", "A sandbox stands in for Bitrix24: real HTTP, its documented limits."):
            stage.tell_scale()
        with stage.step("Fields and stages", "The blueprint names what the files need; what is absent is made."):
            stage.run("portal", "apply", "--yes")

    def _import_clients(self) -> None:
        stage = self._stage
        for file, why in (
            (self._companies, "Each row keeps the code of the source, so a second run would find it."),
            (self._contacts, "They name their companies by these codes."),
        ):
            with stage.step(f"Import: {file.path.name}", why):
                answer = stage.run_import(file.path, EXAMPLES / f"{file.path.stem}.toml")
                self._runs[file.entity] = answer["run"]

    def _import_deals(self) -> None:
        stage, deals = self._stage, self._deals
        mapping = EXAMPLES / "deals.toml"
        with stage.step("Import: deals.xlsx, killed in the middle", "kill -9: nothing can be tidied up or saved."):
            at = len(deals.good_keys) // 3
            self._killed_at = stage.kill_in_the_middle(deals.path, mapping, "DEAL", at)
            if not self._killed_at:
                raise Failed("the import was over before it could be killed")
            stage.run("import", "list")
        why = "It looks up what it had sent without hearing an answer, then goes on."
        with stage.step("The same command again", why):
            answer = stage.run_import(deals.path, mapping, again=True)
            self._runs["deal"] = answer["run"]
        with stage.step("The fate of every row", "Created, or refused with its reason; nothing in between is left."):
            for file in (self._companies, self._contacts, deals):
                fates = stage.fates(self._runs[file.entity], f"{file.path.stem}-fates.csv")
                counts = Counter(fate["state"] for fate in fates)
                self._rows_told[file.entity] = counts["created"] + counts["refused"]
                stage.say(f"   {file.path.name}: " + ", ".join(f"{n:,} {state}" for state, n in counts.items()))
                stage.show_refused(fates)

    def _start_workflows(self) -> None:
        stage = self._stage
        why = "An import starts no automation: each deal gets the process of the stage it stands in, once."
        with stage.step("Workflows by stage", why):
            for name, template in TEMPLATES.items():
                stage.say(f"     {name} -> {template}")
            answer = stage.run("workflows", "start", "--run", str(self._runs["deal"]), "--json").answer
            stage.say(f"   -> {answer['started']:,} started, {answer['refused']} refused, {answer['unknown']} unknown")

    def _again(self) -> None:
        """Both commands once more: nothing may be added."""
        stage = self._stage
        why = "A second run of a finished job adds nothing; what was refused is asked again."
        with stage.step("Both commands once more", why):
            before = self._made()
            stage.run_import(self._deals.path, EXAMPLES / "deals.toml", again=True)
            stage.run("workflows", "start", "--run", str(self._runs["deal"]), "--json")
            self._made_again = self._made() - before

    def _made(self) -> int:
        """Items in the portal and workflows ever started on them."""
        figures = self._stage.sandbox.figures()
        return int(sum(figures["items"].values())) + int(figures["workflows"]["started"])

    # -- judging ----------------------------------------------------------------------------------

    def _judge(self) -> None:
        stage = self._stage
        stage.sandbox.wait_idle()
        with stage.step("Promises", "Read from the sandbox's ledger and state, not from what b24sync says."):
            figures = stage.sandbox.figures()
            wanted = sum(len(file.good_keys) for file in (self._companies, self._contacts, self._deals))
            stage.say(f"     {figures['requests']:,} requests; {wanted:,} items wanted; killed at {self._killed_at:,}")
            stage.promise("requests refused for their rate (503)", figures["refused_503"], 0)
            stage.promise("commands refused for the method's budget (429)", figures["refused_429"], 0)
            stage.promise("requests cut off by the portal's cap", figures["aborted"], 0)
            stage.promise("values dropped, calls that break the official specs", _faults(figures), 0)
            for file, type_id in ((self._companies, 4), (self._contacts, 3), (self._deals, 2)):
                self._judge_keys(file, type_id)
            stage.promise("duplicates", figures["duplicates_total"], 0)
            self._judge_deals()
            self._judge_workflows(figures["workflows"]["started_twice"])
            stage.promise("items and workflows added by the second runs", self._made_again, 0)

    def _judge_keys(self, file: File, type_id: int) -> None:
        stage = self._stage
        pairs = stage.sandbox.state("origin_pairs", entityTypeId=type_id)
        held = Counter(origin for _, origin, _ in pairs)
        name = file.path.stem
        stage.promise(f"{name}: good rows in the portal, each once", sum(held.values()), len(file.good_keys))
        stage.promise(f"{name}: lost", len(file.good_keys - held.keys()), 0)
        stage.promise(f"{name}: rows whose fate is told", self._rows_told[file.entity], file.rows)

    def _judge_deals(self) -> None:
        """The contents arrived too: the sum of all amounts, and how many deals stand in each stage."""
        stage = self._stage
        names = {row["status_id"]: row["name"] for row in stage.sandbox.state("stages")}
        rows = stage.sandbox.state("items", entityTypeId=2, select="id,stageId,opportunity")
        kopecks = sum(round(float(row["opportunity"]) * 100) for row in rows)
        by_stage = Counter(names[row["stageId"]] for row in rows)
        wrong = sum(abs(by_stage[name] - count) for name, count in self._deals.by_stage.items())
        stage.promise("deals: sum of amounts, roubles", kopecks // 100, self._deals.kopecks // 100)
        stage.promise("deals: in another stage than the file says", wrong, 0)

    def _judge_workflows(self, started_twice: int) -> None:
        """Every deal of a configured stage has exactly one workflow, of the right template; the others have none."""
        stage = self._stage
        names = {row["status_id"]: row["name"] for row in stage.sandbox.state("stages")}
        wanted = {}
        for row in stage.sandbox.state("items", entityTypeId=2, select="id,stageId"):
            template = TEMPLATES.get(names[row["stageId"]])
            if template:
                wanted[f"DEAL_{row['id']}", template] = 1
        found = Counter((row["document_id"], row["template"]) for row in stage.sandbox.state("workflows"))
        exactly_one = sum(1 for key in wanted if found[key] == 1)
        stage.promise("deals with exactly one workflow, the right one", exactly_one, len(wanted))
        stage.promise("workflows too many", sum(found.values()) - exactly_one + started_twice, 0)
        traced = [row for row in stage.sandbox.state("items", entityTypeId=2, select=TRACE_FIELD) if row[TRACE_FIELD]]
        by_trace = sum(1 for _, template in wanted if template == "Контроль оплаты")
        stage.promise("deals with the trace of their workflow", len(traced), by_trace)


def _faults(figures: Mapping[str, int]) -> int:
    return figures["variables_dropped"] + figures["spec_violations"] + figures["internal_errors"]


def _config() -> str:
    lines = ["[store]", 'url = "sqlite:///b24sync.db"', "", "[paths]", f'blueprint = "{EXAMPLES / "blueprint.toml"}"']
    for stage_name, template in TEMPLATES.items():
        lines += ["", "[[workflows.start]]", f'pipeline = "{PIPELINE}"', f'stage = "{stage_name}"']
        lines.append(f'template = "{template}"')
        if template == "Контроль оплаты":
            lines.append(f'trace = "{TRACE_FIELD}"')
    return "\n".join(lines) + "\n"
