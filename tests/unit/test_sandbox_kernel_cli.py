"""`python -m b24sync.sandbox` as a person starts it, and its page in docs/."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from b24sync.sandbox.__main__ import build, parser
from b24sync.sandbox.control import ROUTES
from b24sync.sandbox.faults import KINDS

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "b24sync.sandbox", "serve", "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", cwd=PROJECT
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            if process.poll() is None:
                process.terminate()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "b24sync.sandbox", *words]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", cwd=PROJECT, timeout=300, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_it_listens_and_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    with serving("--scale", "60") as (process, first):
        base = first.removeprefix("b24sync sandbox listening on ")
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", base)
        assert requests.get(f"{base}/_sandbox/health", timeout=60).json()["ok"] is True
        process.send_signal(number)
        assert process.stdout is not None and process.stderr is not None
        rest = process.stdout.read()
        assert (process.wait(60), process.stderr.read()) == (0, "")
        assert f"incoming webhook: {base}/rest/1/sandboxsecret0001/" in rest
        assert "[portal]" in rest
        assert "rate_per_s = 120" in rest


@pytest.mark.parametrize("port", ["70000", "-1", "http"])
def test_a_port_that_is_none_is_a_wrong_argument(port: str) -> None:
    ended = run("serve", f"--port={port}")
    assert ended.returncode == 2
    assert f"'{port}' is no port: 0 to 65535" in ended.stderr


def test_act_and_figures_talk_to_a_running_sandbox() -> None:
    with serving() as (_, first):
        base = first.rsplit(" ", 1)[1]
        figures = run("figures", "--url", base)
        assert figures.returncode == 0
        assert json.loads(figures.stdout)["requests"] == 0
        unknown = run("act", "nobody.does.this", "id=1", "--url", base)
        assert unknown.returncode == 1
        assert "nobody.does.this" in unknown.stderr


def test_without_a_running_sandbox_the_side_door_says_so() -> None:
    answer = run("figures", "--url", "http://127.0.0.1:9")
    assert answer.returncode == 1
    assert answer.stderr.startswith("sandbox: ")
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--switch", "nonsense=1"], "no switch 'nonsense'"),
        (["--rate-per-s", "5"], "--plan custom"),
        (["--scale", "0"], "--scale"),
        (["--cost", "crm.item.add=-1"], "negative"),
    ],
)
def test_mistakes_of_serve_are_named_without_a_traceback(words: list[str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build(parser().parse_args(["serve", *words]))


def test_a_mistake_ends_serve_with_the_code_of_configuration() -> None:
    answer = run("serve", "--port", "0", "--switch", "nonsense=1")
    assert (answer.returncode, answer.stdout) == (78, "")
    assert "Traceback" not in answer.stderr


def test_the_page_names_every_fault_every_route_and_every_option() -> None:
    page = (PROJECT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
    assert sorted({name for _, name in ROUTES if not re.search(rf"\b{name}\b", page)}) == []
    options = re.findall(r"--[a-z-]+", parser()._subparsers._group_actions[0].choices["serve"].format_help())  # type: ignore[union-attr,index]
    assert [option for option in set(options) - {"--help"} if option not in page] == []
