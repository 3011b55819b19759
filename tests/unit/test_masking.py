"""Secrets never come out: in messages, logs, tracebacks, `--json`, and by the command line as a whole."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import closed_port, reply, scripted_server

from b24sync.cli.wiring import print_json, say
from b24sync.transport.masking import HIDDEN, MASK, Mask, MaskingFilter

SECRET = "wEbHo0kSeCrEt77"
WEBHOOK = f"https://example.bitrix24.ru/rest/15/{SECRET}/"
PROJECT = Path(__file__).resolve().parents[2]

SHAPES = [
    f"POST /rest/15/{SECRET}/crm.item.add.json HTTP/1.1",
    f"https://example.bitrix24.ru/rest/15/{SECRET}/profile",
    f"https://example.bitrix24.ru/rest/api/15/{SECRET}/profile",
    f"HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: /rest/15/{SECRET}/batch.json (Caused by",
    f"auth={SECRET}&x=1",
    f'{{"access_token": "{SECRET}", "expires": 1}}',
    f"{{'refresh_token': '{SECRET}'}}",
    f"auth[application_token]={SECRET}",
    f"auth%5Baccess_token%5D={SECRET}",
    f"AUTH_ID={SECRET}",
    f"REFRESH_ID: {SECRET}",
    f"client_secret={SECRET}",
    f"postgresql+psycopg://b24sync:{SECRET}@db.example.ru/b24sync",
]


@pytest.mark.parametrize("text", SHAPES)
def test_what_has_the_shape_of_a_secret_is_hidden_without_being_told(text: str) -> None:
    hidden = Mask().hide(text)
    assert SECRET not in hidden
    assert HIDDEN in hidden


@pytest.mark.parametrize(
    "text",
    [
        "crm.item.add was refused by the portal: CRM_FIELD_ERROR_REQUIRED: Название",
        "line 12: stage 'Новая' is not in pipeline 'Продажи'",
        "https://example.bitrix24.ru/crm/deal/details/15/",
        "author=Иванов",
        "INSERT INTO writes (portal, what) VALUES (?, ?)",
    ],
)
def test_ordinary_messages_stay_as_they_are(text: str) -> None:
    assert Mask().hide(text) == text


def test_a_secret_that_is_told_is_hidden_wherever_it_stands() -> None:
    mask = Mask()
    mask.add_webhook(WEBHOOK)
    assert SECRET not in mask.hide(f"strange place: x{SECRET}y, {SECRET}")


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=6, max_size=40), st.text(), st.text())
def test_any_told_secret_is_gone_from_any_text(secret: str, before: str, after: str) -> None:
    mask = Mask()
    mask.add_webhook(f"https://example.bitrix24.ru/rest/1/{secret}/")
    assert secret not in mask.hide(before + secret + after)


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    mask = Mask()
    mask.add("abcdef")
    mask.add("abcdefghij")
    assert mask.hide("abcdefghij") == HIDDEN


@pytest.fixture
def log() -> io.StringIO:
    """What a handler with the filter writes for the logger `b24sync.test`."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(MaskingFilter())
    logger = logging.getLogger("b24sync.test")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    return stream


def test_a_log_line_is_masked_with_its_arguments(log: io.StringIO) -> None:
    logging.getLogger("b24sync.test").debug("%s %s", "POST", f"/rest/15/{SECRET}/batch.json")
    assert log.getvalue() == f"POST /rest/15/{HIDDEN}/batch.json\n"


def test_a_logged_traceback_is_masked_with_the_errors_it_came_from(log: io.StringIO) -> None:
    try:
        try:
            raise ConnectionError(f"url: /rest/15/{SECRET}/batch.json")
        except ConnectionError as error:
            raise RuntimeError(f"auth={SECRET}") from error
    except RuntimeError:
        logging.getLogger("b24sync.test").exception("broken")
    assert "Traceback" in log.getvalue()
    assert "ConnectionError" in log.getvalue()
    assert SECRET not in log.getvalue()


def test_json_and_messages_of_the_command_line_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    MASK.add_webhook(WEBHOOK)
    print_json({"message": f"at {WEBHOOK}"})
    say(f"see {WEBHOOK}")
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert json.loads(said.out)["message"].startswith("at https://example.bitrix24.ru/")


def test_the_traceback_of_a_fault_of_ours_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    from b24sync.cli import _say

    with pytest.raises(KeyError, match=SECRET) as caught:
        raise KeyError(f"/rest/15/{SECRET}/")
    assert _say(caught.value) == 1
    said = capsys.readouterr().err
    assert "KeyError" in said and "fault of b24sync" in said
    assert SECRET not in said


# -- the command line as a process ---------------------------------------------------------------------------

IMPATIENT = "import time; time.sleep = lambda seconds: None; from b24sync.cli import main; main()"


def command(folder: Path, *words: str, webhook: str) -> subprocess.CompletedProcess[str]:
    """Run b24sync against `webhook`, which the environment names; its waits between tries are left out."""
    (folder / "config.toml").write_text('[limits]\nplan = "custom"\nrate_per_s = 1000\n')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("B24SYNC_")}
    return subprocess.run(
        [sys.executable, "-c", IMPATIENT, *words],
        cwd=folder,
        env={**environment, "B24SYNC_PORTAL__WEBHOOK": webhook},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def import_words() -> list[str]:
    example = PROJECT / "examples" / "first_steps"
    return ["import", "run", str(example / "deals.csv"), "--mapping", str(example / "deals.toml"), "--yes", "--json"]


def test_an_import_that_the_portal_refuses_says_the_code_and_never_the_secret(tmp_path: Path) -> None:
    no_auth = reply(b'{"error": "NO_AUTH_FOUND", "error_description": "Wrong authorization data"}', status="401 No")
    with scripted_server(no_auth) as server:
        webhook = f"http://127.0.0.1:{server.port}/rest/15/{SECRET}/"
        done = command(tmp_path, "-v", *import_words(), webhook=webhook)
        assert len(server.requests) == 1
        assert SECRET.encode() in server.requests[0], "the secret did travel, to the portal alone"
    assert done.returncode == 69, done.stderr
    assert "NO_AUTH_FOUND" in done.stderr
    assert f"/rest/15/{HIDDEN}/" in done.stderr, "-v logs the request"
    assert SECRET not in done.stdout + done.stderr


def test_a_portal_that_is_not_there_is_told_without_the_secret(tmp_path: Path) -> None:
    webhook = f"http://127.0.0.1:{closed_port()}/rest/15/{SECRET}/"
    done = command(tmp_path, "-v", *import_words(), webhook=webhook)
    assert done.returncode == 75, done.stderr
    assert "NOT_CONNECTED" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    stored = b"".join(path.read_bytes() for path in (tmp_path / "var").iterdir())
    assert SECRET.encode() not in stored, "the store holds no credential"


def test_a_webhook_that_is_none_is_told_by_its_key_and_not_by_its_value(tmp_path: Path) -> None:
    done = command(tmp_path, "gate", webhook=f"https://example.bitrix24.ru/wrong/{SECRET}/")
    assert done.returncode == 78
    assert "portal.webhook: is not an incoming webhook" in done.stderr
    assert SECRET not in done.stdout + done.stderr
