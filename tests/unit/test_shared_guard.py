"""Where the real inputs lie beside the project, a test of them that skips is a failure (.ci/run)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

BARE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Without the plugins of others, which take seconds to load."""
SAMPLE = """
import pytest

@pytest.mark.shared
def test_reads_a_real_input():
    pytest.skip("not there")

@pytest.mark.shared
@pytest.mark.skipif(True, reason="not there")
def test_reads_another():
    pass

def test_of_something_else():
    pytest.skip("needs another system")
"""


@pytest.mark.parametrize(
    ("required", "code", "closing"),
    [("1", 1, "1 failed, 1 skipped, 1 error"), ("0", 0, "3 skipped"), ("", 0, "3 skipped")],
)
def test_a_skipped_test_of_real_inputs_fails_where_they_are_required(
    tmp_path: Path, required: str, code: int, closing: str
) -> None:
    (tmp_path / "test_sample.py").write_text(SAMPLE, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = shared: x\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "--color=no", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "tests"), "B24SYNC_REQUIRE_SHARED": required, **BARE},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert closing in done.stdout.splitlines()[-1], done.stdout + done.stderr
    assert done.returncode == code


def test_ci_requires_them_where_they_lie_and_ends_with_the_tests() -> None:
    script = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    assert "if [ -d ../shared ]; then\n  export B24SYNC_REQUIRE_SHARED=1" in script
    assert script.rstrip().splitlines()[-1] == "make test"
    assert os.access(PROJECT / ".ci" / "run", os.X_OK)
