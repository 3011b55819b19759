"""The complete example of docs/rules.md does what the page says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from rules_site import RulesSite
from sandbox_process import PROJECT, running_sandbox

PAGE = (PROJECT / "docs" / "rules.md").read_text(encoding="utf-8")


def block(language: str, after: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE[PAGE.index(after) :], flags=re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    part = "## A rule of your own"
    tables = tomllib.loads(block("toml", part))["rules"]
    with running_sandbox(scale=60) as sandbox:
        site = RulesSite(tmp_path, sandbox, {"papers.py": block("python", part)}, **tables)
        deal = site.add_deal(title="Поставка", assignedById=5)
        site.sweep()
        site.move(deal, "Подготовка документов")
        site.event("ONCRMDEALUPDATE", deal)
        (task,) = sandbox.state("tasks")
        assert (task["TITLE"], task["RESPONSIBLE_ID"]) == ("Подготовить документы: Поставка", 5)
        sandbox.act("task.comment", task=task["ID"], text="готово", files=[{"name": "договор.pdf", "text": "x"}])
        sandbox.act("task.complete", task=task["ID"])
        site.task_event("ONTASKUPDATE", task["ID"])
        assert site.deal(deal)["stageId"] == "EXECUTING"
        (told,) = sandbox.state("notifications")
        assert told["MESSAGE"] == "Документы по сделке «Поставка» готовы"
        assert site.messages("dead", "waiting", "begun") == []
        site.close()


def test_every_rule_file_has_a_diagram_and_stands_on_the_page() -> None:
    for path in sorted((PROJECT / "rules").glob("[!_]*.py")):
        page = PROJECT / "docs" / "processes" / f"{path.stem}.md"
        assert "```mermaid" in page.read_text(encoding="utf-8"), page
        assert f"](processes/{path.stem}.md)" in PAGE
        assert f"docs/processes/{path.stem}.md" in path.read_text(encoding="utf-8")
