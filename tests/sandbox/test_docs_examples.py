"""The commands of the documentation run as printed, on a fresh sandbox, and say what is printed below them."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from forked_process import CliProcess
from sandbox_process import PROJECT, SandboxProcess, running_sandbox

from b24sync.clock import SystemClock
from b24sync.store.engine import open_store
from b24sync.store.lanes import Lanes, Message

PAGES = ("README.md", "README.ru.md", "docs/commands.md", "docs/provisioning.md", "docs/doctor.md")

START = """
[[workflows.start]]
pipeline = "Продажи"
stage = "Новая"
template = "Первый звонок"

[daemon]
port = 0
"""


UNTIL_STOPPED = "until Ctrl-C"


@dataclass
class Example:
    """One `$ b24sync ...` line of a ```console block and the output printed below it."""

    command: str
    exit_code: int = 0
    stopped: bool = False
    """It runs until it is stopped: once it has said what is printed, the test stops it."""
    output: list[str] = field(default_factory=list)


def examples(text: str) -> list[Example]:
    """The examples of a page, in order; a line `...` in the output stands for anything."""
    found: list[Example] = []
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                command, _, note = line[2:].partition("#")
                stopped = note.strip() == UNTIL_STOPPED
                found.append(Example(command.strip(), int(note.split()[1]) if note and not stopped else 0, stopped))
            elif line and line != "...":
                found[-1].output.append(line)
    return found


def run(example: Example, folder: Path, sandbox: SandboxProcess) -> tuple[int, str]:
    """Exit code, and what it said on both streams."""
    words = shlex.split(example.command)
    assert words[0] == "b24sync", example.command
    if words[1] == "sandbox":
        words += ["--url", sandbox.base]
    process = CliProcess(words[1:], cwd=folder)
    while example.stopped and process.poll() is None:
        if example.output[-1] in process.said("err").splitlines():
            process.send_signal(signal.SIGTERM)
            break
        time.sleep(0.05)
    return process.wait(60), "".join(process.communicate())


def put_messages_in(folder: Path) -> None:
    """An event that waits and a job that failed, for the examples that show and retry them."""
    store = open_store(f"sqlite:///{folder}/var/b24sync.db")
    lanes = Lanes(store, SystemClock())
    data = {"event": "ONCRMDEALUPDATE", "data": {"FIELDS": {"ID": "42"}}}
    lanes.publish_now([Message("main", "dispatch", "ONCRMDEALUPDATE:42", data)])
    lanes.publish_now([Message("main", "deal:42", "first_call:entered:NEW:1")])
    claim = lanes.claim("main", "deal:42")
    assert claim is not None
    lanes.bury(claim, "the deal has no responsible")
    store.close()


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_prints(page: str, tmp_path: Path) -> None:
    for folder in ("examples", "rules"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    found = examples((PROJECT / page).read_text(encoding="utf-8"))
    assert len(found) >= 5
    put_messages_in(tmp_path)
    with running_sandbox(scale=60) as sandbox:
        (tmp_path / "config.toml").write_text(sandbox.toml_block + START, encoding="utf-8")
        for example in found:
            code, said = run(example, tmp_path, sandbox)
            assert code == example.exit_code, f"$ {example.command}\n{said}"
            lacking = [line for line in example.output if line not in said.splitlines()]
            assert not lacking, f"$ {example.command}\nprinted in {page}, not said: {lacking}\n{said}"
        assert sandbox.figures()["refused_503"] == 0
