"""A local application: installed through the hook, its rotating tokens refreshed once for everybody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon_process import DaemonProcess, events_of, running_daemon, store_of, update_of, wait_until
from sandbox_process import SandboxProcess, running_sandbox

from b24sync.clock import SystemClock
from b24sync.daemon.wiring import Daemon, opened_daemon
from b24sync.errors import PortalBlocked
from b24sync.store.app_grants import PENDING, AppGrants, Grant
from b24sync.store.jobs import Jobs

APP_TOKEN = "sandbox0application0token0000001"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(scale=60) as started:
        yield started


def config_of(sandbox: SandboxProcess) -> str:
    """The sandbox's portal with its application."""
    portal, limits = sandbox.toml_block.split("[limits]")
    return f"""{portal}
[portal.oauth]
client_id = "local.sandbox0001"
client_secret = "sandboxclientsecret0001"
server = "{sandbox.base}"
[daemon]
port = 0
public_url = "https://b24sync.example.ru"
[sweep]
every = "1d"
[limits]{limits}"""


@contextmanager
def daemon_of(sandbox: SandboxProcess, folder: Path) -> Iterator[DaemonProcess]:
    with running_daemon(folder, config=config_of(sandbox)) as daemon:
        yield daemon


def install(sandbox: SandboxProcess, **wrong: str) -> dict[str, str]:
    """The form that the portal posts when the card is saved (api-reference/common/events/on-app-install.md)."""
    tokens = {**sandbox.post("oauth/install"), **wrong}
    auth = {name: str(tokens[name]) for name in ("access_token", "refresh_token", "expires_in", "member_id", "scope")}
    auth |= {"application_token": APP_TOKEN, "domain": sandbox.base.removeprefix("http://"), "status": "L"}
    form = {"event": "ONAPPINSTALL", "data[VERSION]": "1", "data[INSTALLED]": "Y", "ts": "1766047124"}
    return {**form, **{f"auth[{name}]": value for name, value in auth.items()}}


def grant(folder: Path, state: str = "active") -> Any:
    with store_of(folder) as store:
        return AppGrants(store, "main").get(state)


def lane_of(folder: Path) -> list[str]:
    with store_of(folder) as store:
        return [job.state for job in Jobs(store, "main", SystemClock()).listed(lane="oauth")]


@contextmanager
def beside(folder: Path) -> Iterator[Daemon]:
    with opened_daemon(folder / "config.toml", None) as daemon:
        yield daemon


def test_an_installation_is_accepted_and_its_token_may_post_then(sandbox: SandboxProcess, tmp_path: Path) -> None:
    with daemon_of(sandbox, tmp_path) as daemon:
        assert daemon.post(update_of(42, APP_TOKEN)).status_code == 403
        form = install(sandbox)
        assert daemon.post(form).status_code == 200
        # The token is stored first, then the installation is taken off the list: both in the worker's own time.
        wait_until(lambda: grant(tmp_path) is not None and grant(tmp_path, PENDING) is None)
        wait_until(lambda: daemon.post(update_of(42, APP_TOKEN)).status_code == 200)
        assert [job.kind for job in events_of(tmp_path)] == ["ONCRMDEALUPDATE:42"]
        for secret in (form["auth[access_token]"], form["auth[refresh_token]"]):
            assert secret not in daemon.said()
        with beside(tmp_path) as used:
            assert used.app_client("main").call("app.info", {}).result["CODE"] == "local.sandbox0001"
        assert daemon.post({**update_of(1, APP_TOKEN), "event": "ONAPPUNINSTALL"}).status_code == 200
        wait_until(lambda: grant(tmp_path) is None)


def test_a_forged_installation_changes_nothing(sandbox: SandboxProcess, tmp_path: Path) -> None:
    with daemon_of(sandbox, tmp_path) as daemon:
        forged = install(sandbox, access_token="made0up0access0token", refresh_token="made0up0refresh0token")
        assert daemon.post({**forged, "auth[domain]": "evil.example.com"}).status_code == 403
        assert daemon.post(forged).status_code == 200
        wait_until(lambda: lane_of(tmp_path) == ["dead"])
        assert (grant(tmp_path), grant(tmp_path, PENDING)) == (None, None)
        assert daemon.post(update_of(42, APP_TOKEN)).status_code == 403
        with beside(tmp_path) as used:
            assert used.client("main").call("profile", {}).result, "the webhook's calls go on"
            with pytest.raises(PortalBlocked, match="not installed"):
                used.app_client("main").call("app.info", {})


def test_an_expired_token_is_refreshed_once_for_all_threads_and_persisted(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(config_of(sandbox), encoding="utf-8")
    tokens = sandbox.post("oauth/install")
    before = Grant(tokens["access_token"], tokens["refresh_token"], APP_TOKEN, "member", "crm", 0.0)
    with beside(tmp_path) as daemon:
        AppGrants(daemon.store, "main").put(before)
    sandbox.post("oauth/expire")
    results: list[str] = []

    def call(used: Daemon) -> None:
        results.append(used.app_client("main").call("app.info", {}).result["CODE"])

    with beside(tmp_path) as used:
        threads = [threading.Thread(target=call, args=(used,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert results == ["local.sandbox0001"] * 4, "a second refresh would have been refused: the token rotates"
    after = grant(tmp_path)
    assert after.refresh_token != before.refresh_token and after.application_token == before.application_token
    sandbox.post("oauth/expire")
    sandbox.post("oauth/revoke")
    refused = r"refused to refresh.*invalid_grant.*install"
    with beside(tmp_path) as used, pytest.raises(PortalBlocked, match=refused) as e:
        used.app_client("main").call("app.info", {})
    assert after.refresh_token not in str(e.value)
    assert grant(tmp_path) == after
