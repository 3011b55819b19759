"""The systemd units and the cron line start commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from b24sync.cli import cli

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
FILES = [*sorted((SCRIPTS / "systemd").glob("*.service")), SCRIPTS / "b24sync.cron"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_started_is_a_command_with_these_options(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    started = re.findall(r"bin/b24sync ([^>\n]+)", text)
    assert started
    for line in started:
        words = shlex.split(line)
        assert words[0] == "--config" and words[1].startswith("/etc/b24sync/")
        name, options = words[2], words[3:]
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, name
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(options) <= known


def test_a_unit_waits_longer_for_the_end_than_the_daemon_itself() -> None:
    from b24sync.daemon.serve import STOP_S

    for path in FILES[:-1]:
        match = re.search(r"TimeoutStopSec=(\d+)", path.read_text(encoding="utf-8"))
        assert match is not None and int(match[1]) > STOP_S
