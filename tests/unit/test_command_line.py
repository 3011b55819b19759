"""However a command ends: the one object of `--json`, what a no at a question is, what Ctrl-C waits for."""

from __future__ import annotations

import gc
import io
import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from b24sync.cli import cli, main, wiring
from b24sync.errors import ConfigError, NeedsConfirmation, PortalRefused
from b24sync.interruption import Terminated, end_in_order, interruption_after


@pytest.fixture(autouse=True)
def _as_a_new_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wiring._Answer, "given", False)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    thresholds, on_sigterm = gc.get_threshold(), signal.getsignal(signal.SIGTERM)
    yield
    gc.set_threshold(*thresholds)
    signal.signal(signal.SIGTERM, on_sigterm)


def commands_with_json() -> Iterator[list[str]]:
    """Every command that has `--json`, with some value for what it must be given."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        members = command.commands if isinstance(command, click.Group) else {"": command}
        for member, leaf in members.items():
            if any("--json" in parameter.opts for parameter in leaf.params):
                needed = [parameter for parameter in leaf.params if parameter.required]
                options = [word for one in needed if isinstance(one, click.Option) for word in (one.opts[0], "1")]
                arguments = ["1" for one in needed if isinstance(one, click.Argument)]
                yield [name, *filter(None, [member]), *arguments, *options]


def ended(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, words: list[str]) -> int:
    monkeypatch.setattr(sys, "argv", ["b24sync", *words])
    with pytest.raises(SystemExit) as end:
        run()
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize("words", list(commands_with_json()), ids=" ".join)
def test_json_is_one_object_also_where_there_is_no_configuration(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = ended(main, monkeypatch, [*words, "--json"])
    [line] = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert code == 0 if words[0] == "init" else code in (2, 78)
    assert words[0] in ("init", "doctor") or said["exit_code"] == code


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (PortalRefused("crm.item.list", "ACCESS_DENIED", "no"), 78, "ACCESS_DENIED"),
        (ZeroDivisionError("at /rest/1/s3cretword77/"), 1, "ZeroDivisionError"),
    ],
)
def test_json_is_one_object_where_a_command_is_interrupted_or_fails(
    error: BaseException, code: int, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(wiring, "load_config", fail)
    assert ended(main, monkeypatch, ["gate", "--json"]) == code
    said = capsys.readouterr()
    [line] = said.out.splitlines()
    result = json.loads(line)
    assert told in result["error"] and result["exit_code"] == code
    assert "s3cretword77" not in said.out + said.err
    assert ended(main, monkeypatch, ["gate"]) == code
    assert capsys.readouterr().out == ""


def test_a_no_is_no_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO("n\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    with pytest.raises(NeedsConfirmation, match="nothing was done") as told:
        wiring.confirm("Write 3 rows?", yes=False)
    assert told.value.exit_code == 2


@pytest.fixture
def terminable() -> Iterator[None]:
    """SIGTERM as the command line takes it."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_in_order()
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("terminable")
@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)], ids=["Ctrl-C", "SIGTERM"]
)
def test_ctrl_c_and_sigterm_wait_for_the_answer_of_what_was_sent_and_a_second_one_does_not(
    number: int, raised: type[BaseException]
) -> None:
    answers = []
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]

    def send(presses: int) -> None:
        with interruption_after(), interruption_after():
            for _ in range(presses):
                signal.raise_signal(number)
            answers.append(presses)

    send(0)
    for presses in (1, 2):
        with pytest.raises(KeyboardInterrupt) as told:
            send(presses)
        assert told.type is raised
    assert answers == [0, 1]
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_sigterm_that_somebody_ignores_for_us_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        end_in_order()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        with interruption_after():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_counts_also_where_the_request_ends_in_an_error_that_somebody_handles() -> None:
    def send() -> None:
        with interruption_after():
            signal.raise_signal(signal.SIGINT)
            raise PortalRefused("crm.item.add", "ACCESS_DENIED", "no")

    with pytest.raises(KeyboardInterrupt):
        send()


def test_a_port_that_is_taken_is_a_mistake_of_the_configuration() -> None:
    from b24sync.daemon.serve import listening

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="cannot be listened on: A"):
        listening("127.0.0.1", taken.getsockname()[1])
