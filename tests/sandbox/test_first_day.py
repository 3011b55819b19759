"""The first day of somebody new: an empty folder, no configuration, a wrong one, Ctrl-C; then it works."""

from __future__ import annotations

import ast
import json
import re
import signal
import time
from pathlib import Path

import pytest
from forked_process import CliProcess
from sandbox_process import PROJECT, running_sandbox

from b24sync.automation.rulebook import load_rules
from b24sync.config import load_config
from b24sync.provisioning.blueprint import load_blueprint

STARTER = PROJECT / "starter"


class Terminal:
    """A person in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, *words: str) -> CliProcess:
        return CliProcess(list(words), cwd=self.folder)

    def run(self, *words: str) -> tuple[int, str]:
        """(exit code, all that was said)."""
        running = self.start(*words)
        stdout, stderr = running.communicate(timeout=60)
        assert "Traceback" not in stderr, stderr
        return running.wait(), stdout + stderr


def test_our_name_alone_and_any_command_without_a_configuration_say_what_to_do(tmp_path: Path) -> None:
    here = Terminal(tmp_path)
    code, said = here.run()
    assert code == 0 and "Commands:" in said
    assert "There is no config.toml here: `b24sync init DIR` makes a folder" in said
    for words in (("import", "list"), ("portal", "plan"), ("gate",), ("doctor",)):
        code, said = here.run(*words)
        assert code == 78, said
        assert "There is no configuration at config.toml" in said and "b24sync init DIR" in said
    assert list(tmp_path.iterdir()) == [], "nothing is left in the folder"


def test_from_an_empty_folder_to_imported_deals(tmp_path: Path) -> None:
    code, said = Terminal(tmp_path).run("init", "client")
    assert code == 0 and "cd client" in said and "b24sync doctor" in said
    folder = tmp_path / "client"
    here = Terminal(folder)
    code, said = here.run("doctor")
    assert code == 78 and "set webhook or webhook_file" in said
    with running_sandbox(plan="off") as sandbox:
        config = folder / "config.toml"
        text = config.read_text(encoding="utf-8").replace('plan = "standard"', 'plan = "off"')
        webhook = re.compile(r"^# webhook = .*$", flags=re.MULTILINE)
        config.write_text(webhook.sub(f'webhook = "{sandbox.url}"', text), encoding="utf-8")
        code, said = here.run("doctor")
        assert code == 0 and "0 errors, 0 warnings" in said, said
        assert here.run("portal", "apply", "--yes")[0] == 0
        code, said = here.run("import", "run", "samples/enquiries-2026-11.csv", "--yes", "--json")
        assert code == 0 and '"created": 3' in said, said
        titles = {row["title"] for row in sandbox.state("items", entityTypeId=2, select="title")}
        assert titles == {"Насосы для котельной", "Вентиляция магазина", "Сервис компрессора"}
        config.write_text(config.read_text(encoding="utf-8") + "[rules.offer_reminder]\n", encoding="utf-8")
        assert "rules: offer_reminder would run" in here.run("doctor")[1]


def test_what_stands_in_the_folder_is_never_overwritten(tmp_path: Path) -> None:
    here = Terminal(tmp_path)
    (tmp_path / "config.toml").write_text("# mine\n", encoding="utf-8")
    code, said = here.run("init", ".", "--json")
    result = json.loads(said)
    assert code == 0 and result["kept"] == ["config.toml"]
    assert (tmp_path / "config.toml").read_text(encoding="utf-8") == "# mine\n"
    bundled = {f"{kind}/{path.name}" for kind in ("rules", "importers") for path in (PROJECT / kind).glob("[!_]*.py")}
    assert bundled < set(result["made"])
    assert json.loads(here.run("init", ".", "--json")[1])["made"] == []
    (tmp_path / "a-file").write_text("", encoding="utf-8")
    code, said = here.run("init", "a-file")
    assert code == 78 and "cannot be written" in said


def test_a_wrong_configuration_is_told_whole_and_by_its_keys_only(tmp_path: Path) -> None:
    wrong = '[portal]\nwebhook = "http://portal.example.ru/rest/1/verysecretword/"\ntimezone = "Moscow"\n[limit]\n'
    (tmp_path / "config.toml").write_text(wrong, encoding="utf-8")
    code, said = Terminal(tmp_path).run("doctor")
    assert code == 78
    assert "portal.webhook" in said and "portal.timezone" in said and "limit: unknown key" in said
    assert "verysecretword" not in said


PROBE = ["doctor", "--probe", "--report", "probe.md"]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("words", [["portal", "apply", "--yes"], pytest.param(PROBE, marks=pytest.mark.long)])
def test_a_command_that_is_asked_to_end_says_so_and_the_same_command_goes_on(
    tmp_path: Path, words: list[str], number: int, exit_code: int
) -> None:
    slow = dict.fromkeys(("crm.item.import", "crm.category.add", "crm.status.update"), 0.3)
    with running_sandbox(plan="custom", rate_per_s=100, request_cap_s=1, costs=slow) as sandbox:
        assert Terminal(tmp_path).run("init", ".")[0] == 0
        store = '[store]\nurl = "sqlite:///var/b24sync.db"\n[paths]\nblueprint = "blueprint.toml"\n'
        (tmp_path / "config.toml").write_text(f"{sandbox.toml_block}\n{store}", encoding="utf-8")
        running = Terminal(tmp_path).start(*words)
        while not any(name in sandbox.figures()["methods"] for name in slow) and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=60)
        assert running.wait() == exit_code, stdout + stderr
        assert "run the same command again" in stderr and "Traceback" not in stderr
        code, said = Terminal(tmp_path).run(*words)
        assert code == 0, said
        assert sandbox.wait_idle()
        names = [row["name"] for row in sandbox.state("categories")]
        assert names == (["Общая", "Продажи"] if words[0] == "portal" else ["Общая"])
        assert sandbox.figures()["items"]["DEAL"] == 0


def test_the_starter_is_valid_also_with_everything_in_comments_switched_on(tmp_path: Path) -> None:
    assert Terminal(tmp_path).run("init", ".")[0] == 0
    text = (tmp_path / "config.toml").read_text(encoding="utf-8")
    whole = re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.MULTILINE)
    (tmp_path / "config.toml").write_text(whole, encoding="utf-8")
    config = load_config(tmp_path / "config.toml")
    assert (config.workflows.start, config.stages.norm, config.groups.company_types) != ((), (), ())
    assert load_blueprint(config.resolve(config.paths.blueprint or Path())).pipelines[0].name == "Продажи"
    book = load_rules(config)
    assert book.complaints() == [] and [rule.name for rule in book.running()] == ["offer_reminder"]


def test_a_built_package_carries_what_init_copies() -> None:
    """By the patterns of setup.py: what builds it (setuptools) is no dependency of the tests."""
    tree = ast.parse((PROJECT / "setup.py").read_text(encoding="utf-8"))
    patterns = next(ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))
    carried = {path for pattern in patterns for path in PROJECT.glob(pattern)}
    copied = [path for path in STARTER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    copied += [
        PROJECT / "config.example.toml",
        *(PROJECT / "rules").glob("*.py"),
        *(PROJECT / "importers").glob("*.py"),
    ]
    assert len(copied) > 12 and set(copied) <= carried
