"""Tests that are begun early (tests/early.py) run once, and end as they ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from early import FOLDER

PROJECT = Path(__file__).resolve().parents[2]
SAMPLE = """
from pathlib import Path
import time

import pytest

RAN = Path(__file__).parent / "ran"

def run(name, tmp_path):
    assert list(tmp_path.iterdir()) == []
    with RAN.open("a") as stream:
        stream.write(name + "\\n")
    time.sleep(0.2)

@pytest.mark.waits
@pytest.mark.parametrize("number", range(6))
def test_it_waits(tmp_path, number):
    run(str(number), tmp_path)
    assert number != 4, "the fourth"

def test_it_does_not(tmp_path):
    run("other", tmp_path)
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_runs_once_and_a_failure_stays_one(tmp_path: Path, workers: str) -> None:
    (tmp_path / "test_sample.py").write_text(SAMPLE, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = waits: x\n", encoding="utf-8")
    plain = {name: value for name, value in os.environ.items() if name != FOLDER and "XDIST" not in name}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "conftest",
            "-p",
            "xdist.plugin",
            "-n",
            workers,
            "--color=no",
            str(tmp_path),
        ],
        env={
            **plain,
            "PYTHONPATH": str(PROJECT / "tests"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "TMPDIR": str(tmp_path),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "1 failed, 6 passed" in done.stdout.splitlines()[-1], done.stdout + done.stderr
    assert "AssertionError: the fourth" in done.stdout
    assert sorted((tmp_path / "ran").read_text().split()) == ["0", "1", "2", "3", "4", "5", "other"]
    assert list(tmp_path.glob("b24sync-early-*")) == []
