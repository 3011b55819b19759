"""The two real data sets go into a sandbox whole: every row's fate is known, judged by the portal's own state."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sandbox_process import PROJECT, SandboxProcess, running_sandbox

SHARED = PROJECT.parent / "shared" / "data"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED.exists(), reason="the real inputs are not beside the project (../shared)"),
]


def b24sync(folder: Path, *arguments: str | Path) -> dict[str, int]:
    """Run the command line in `folder`; the last line of its standard output as JSON."""
    command = [sys.executable, "-m", "b24sync", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, 3), done.stderr
    result: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return result


def prepare(folder: Path, sandbox: SandboxProcess, example: Path) -> None:
    (folder / "config.toml").write_text(sandbox.toml_block, encoding="utf-8")
    b24sync(folder, "portal", "apply", "--blueprint", example / "blueprint.toml", "--yes", "--json")


def origins(sandbox: SandboxProcess, entity_type_id: int) -> Counter[str]:
    """How often each originId stands in the portal."""
    pairs = sandbox.get("state/origin_pairs", entityTypeId=entity_type_id)
    return Counter(str(pair[1]) for pair in pairs)


def test_school_deals_and_contacts_import_completely(tmp_path: Path) -> None:
    example = PROJECT / "examples" / "school_x_crm"
    data = SHARED / "school_x_crm"
    with running_sandbox(plan="off", seed=example / "sandbox_seed.json") as sandbox:
        prepare(tmp_path, sandbox, example)
        contacts = b24sync(
            tmp_path, "import", "run", data / "contacts.xlsx", "--mapping", example / "contacts.toml", "--yes", "--json"
        )
        deals = b24sync(
            tmp_path, "import", "run", data / "deals.xlsx", "--mapping", example / "deals.toml", "--yes", "--json"
        )
        assert (contacts["rows"], contacts["created"], contacts["refused"]) == (18548, 18548, 0)
        assert (deals["rows"], deals["created"], deals["refused"]) == (21595, 21593, 2)

        in_portal = origins(sandbox, 2)
        assert len(in_portal) == 21593
        assert max(in_portal.values()) == 1
        assert len(origins(sandbox, 3)) == 18548
        assert sandbox.figures()["variables_dropped"] == 0
        assert sandbox.figures()["spec_violations"] == 0

        report = tmp_path / "fates.csv"
        run = ["import", "report", str(deals["run"]), str(report)]
        subprocess.run([sys.executable, "-m", "b24sync", *run], cwd=tmp_path, check=True, capture_output=True)
        with report.open(encoding="utf-8-sig", newline="") as file:
            fates = list(csv.DictReader(file))
        assert Counter(fate["state"] for fate in fates) == {"created": 21593, "refused": 2}
        assert {fate["code"] for fate in fates if fate["state"] == "refused"} == {"NO_KEY"}
        # Ids of 19 digits arrive whole: the report's keys are the portal's.
        assert {fate["key"] for fate in fates if fate["state"] == "created"} == set(in_portal)


def test_maven_accounts_and_pipeline_import_completely(tmp_path: Path) -> None:
    example = PROJECT / "examples" / "maven_crm_sales"
    data = SHARED / "maven_crm_sales"
    with running_sandbox(plan="off", seed=example / "sandbox_seed.json") as sandbox:
        prepare(tmp_path, sandbox, example)
        accounts = b24sync(
            tmp_path, "import", "run", data / "accounts.csv", "--mapping", example / "accounts.toml", "--yes", "--json"
        )
        pipeline = b24sync(
            tmp_path,
            *("import", "run", data / "sales_pipeline.csv"),
            *("--mapping", example / "pipeline.toml", "--yes", "--json"),
        )
        assert (accounts["rows"], accounts["created"]) == (85, 85)
        assert (pipeline["rows"], pipeline["created"], pipeline["refused"]) == (8800, 8800, 0)
        assert len(origins(sandbox, 2)) == 8800
        deals = sandbox.get("state/items", entityTypeId=2, select="companyId")
        without = sum(1 for deal in deals if not deal.get("companyId"))
        assert without == 1425

        again = b24sync(
            tmp_path,
            *("import", "run", data / "sales_pipeline.csv"),
            *("--mapping", example / "pipeline.toml", "--yes", "--json"),
        )
        assert (again["planned"], again["skipped"]) == (0, 8800)
        assert len(origins(sandbox, 2)) == 8800
