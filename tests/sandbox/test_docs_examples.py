"""The commands of the documentation run as printed, on a fresh sandbox, and say what is printed below them."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cli_process import CliProcess
from sandbox_process import PROJECT, SandboxProcess, running_sandbox

PAGES = ("README.md", "README.ru.md", "docs/commands.md", "docs/provisioning.md")

START = """
[[workflows.start]]
pipeline = "Продажи"
stage = "Новая"
template = "Первый звонок"
"""


@dataclass
class Example:
    """One `$ b24sync ...` line of a ```console block and the output printed below it."""

    command: str
    exit_code: int = 0
    output: list[str] = field(default_factory=list)


def examples(text: str) -> list[Example]:
    """The examples of a page, in order; a line `...` in the output stands for anything."""
    found: list[Example] = []
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                command, _, note = line[2:].partition("#")
                found.append(Example(command.strip(), int(note.split()[1]) if note else 0))
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
    return process.wait(60), "".join(process.communicate())


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_prints(page: str, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "examples", tmp_path / "examples")
    found = examples((PROJECT / page).read_text(encoding="utf-8"))
    assert len(found) >= 5
    with running_sandbox(scale=60) as sandbox:
        (tmp_path / "config.toml").write_text(sandbox.toml_block + START, encoding="utf-8")
        for example in found:
            code, said = run(example, tmp_path, sandbox)
            assert code == example.exit_code, f"$ {example.command}\n{said}"
            lacking = [line for line in example.output if line not in said.splitlines()]
            assert not lacking, f"$ {example.command}\nprinted in {page}, not said: {lacking}\n{said}"
        assert sandbox.figures()["refused_503"] == 0
