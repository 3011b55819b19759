"""The sandbox's reference page says what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from b24sync.sandbox.switches import Switches

PROJECT = Path(__file__).resolve().parents[2]
PAGE = "docs/sandbox-reference.md"


def test_the_reference_page_is_up_to_date(tmp_path: Path) -> None:
    made = tmp_path / "reference.md"
    subprocess.run([sys.executable, PROJECT / "scripts" / "gen_sandbox_reference.py", made], cwd=PROJECT, check=True)
    assert (PROJECT / PAGE).read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), "make sandbox-reference"


def test_every_switch_names_its_source_and_meaning() -> None:
    rows = Switches.describe()
    assert len(rows) > 50
    assert [row["name"] for row in rows if not row["source"] or not row["text"]] == []
