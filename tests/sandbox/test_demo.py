"""The demo as people run it: a subprocess, judged by its exit code, by what it says and by what it leaves behind."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sandbox_process import PROJECT

pytestmark = pytest.mark.waits

DEMO = PROJECT / "scripts" / "demo.py"
TIMEOUT_S = 240.0


def demo(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end."""
    argv = [sys.executable, str(DEMO), *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", timeout=TIMEOUT_S, check=False)


def test_the_small_demo_keeps_every_promise(tmp_path: Path) -> None:
    out = tmp_path / "out"
    finished = demo("--small", "--out", out)
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr
    assert "--scale 60" in finished.stdout
    assert re.search(r"kill -9 \d+: the process is gone \(exit code -9\)", finished.stdout)
    assert "All promises kept" in finished.stdout
    assert "BROKEN" not in finished.stdout
    assert "later the portal has task «Позвонить клиенту 1 раз»" in finished.stdout
    assert "wrote: task «Позвонить клиенту 1 раз»" in finished.stdout
    with (out / "deals-fates.csv").open(encoding="utf-8-sig", newline="") as file:
        states = [row["state"] for row in csv.DictReader(file)]
    assert states.count("created") == 400
    assert states.count("refused") == len(states) - 400 == 8


def own_file(folder: Path) -> tuple[Path, Path]:
    """A small file of contacts with a mapping; one row is bad."""
    file, mapping = folder / "people.csv", folder / "people.toml"
    file.write_text("Id,Name,Owner\n1,Ёлкина,boss\n2,Зверев,boss\n,Никто,boss\n", encoding="utf-8")
    mapping.write_text(
        'entity = "contact"\noriginator = "own"\nkey = "Id"\n[columns]\n"Name" = "last_name"\n'
        '"Owner" = { field = "assigned_by", map = { "boss" = "boss@example.com" } }\n'
        '[constants]\nUF_CRM_OWN_MARK = "да"\n',
        encoding="utf-8",
    )
    (folder / "blueprint.toml").write_text(
        '[[fields]]\nentity = "contact"\ncode = "UF_CRM_OWN_MARK"\ntype = "string"\nlabel = "Метка"\n',
        encoding="utf-8",
    )
    return file, mapping


def test_an_own_file_runs_on_a_portal_made_for_its_mapping(tmp_path: Path) -> None:
    file, mapping = own_file(tmp_path)
    finished = demo("--file", file, "--mapping", mapping, "--out", tmp_path / "out")
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr
    assert "It knows the 1 people" in finished.stdout
    assert "UF_CRM_OWN_MARK" in finished.stdout
    assert "2 created, 1 refused" in finished.stdout
    assert 'no key: column "Id" is empty' in finished.stdout


def test_a_file_without_a_mapping_is_a_mistake_of_usage(tmp_path: Path) -> None:
    file, _ = own_file(tmp_path)
    finished = demo("--file", file, "--out", tmp_path / "out")
    assert finished.returncode == 2
    assert "--mapping" in finished.stderr


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc to see what is left behind")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    argv = [sys.executable, str(DEMO), "--small", "--out", str(out)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "$ b24sync import run" in line:
                break
        until = time.monotonic() + TIMEOUT_S
        while len(speaking_of(out)) < 2:
            assert process.poll() is None and time.monotonic() < until, "the sandbox and a command run"
        process.send_signal(number)
        rest = process.stdout.read()
        code = process.wait(60)
    assert code == 130, rest
    assert "interrupted" in rest
    assert speaking_of(out) == []


def speaking_of(folder: Path) -> list[int]:
    """Processes whose command line names `folder`, other than this one's children that are called demo.py."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(folder) in word for word in words) and not any(word.endswith("demo.py") for word in words):
            found.append(int(entry.name))
    return found
