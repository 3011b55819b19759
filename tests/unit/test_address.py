"""Where a portal is, where it may move to, and that one portal never passes for another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from migrated_store import migrated_store

from b24sync.errors import ConfigError, PortalBlocked
from b24sync.store.engine import Store
from b24sync.transport.address import Address

CLIENT = "https://client.bitrix24.ru/rest/1/secretsecret/"
SANDBOX = "http://127.0.0.1:8924/rest/1/secretsecret/"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = migrated_store(tmp_path)
    yield opened
    opened.close()


def address(store: Store, webhook: str, *hosts: str, portal: str = "main") -> Address:
    return Address(store, portal, webhook, hosts)


def test_a_method_is_called_under_the_webhooks_path(store: Store) -> None:
    assert address(store, CLIENT).url("crm.item.add") == (
        "https://client.bitrix24.ru/rest/1/secretsecret/crm.item.add.json"
    )


def test_a_rehearsal_does_not_pass_for_the_clients_portal(store: Store) -> None:
    address(store, SANDBOX).note(1.0)
    with pytest.raises(ConfigError) as caught:
        address(store, CLIENT)
    assert "127.0.0.1:8924" in str(caught.value)
    assert "client.bitrix24.ru" in str(caught.value)
    assert "secretsecret" not in str(caught.value)


def test_before_the_first_answer_nothing_is_noted(store: Store) -> None:
    address(store, SANDBOX)
    assert address(store, CLIENT).host == "client.bitrix24.ru"


def test_another_name_in_the_store_is_another_portal(store: Store) -> None:
    address(store, SANDBOX).note(1.0)
    assert address(store, CLIENT, portal="client-a").host == "client.bitrix24.ru"


def test_a_sandbox_started_on_another_port_is_still_the_sandbox(store: Store) -> None:
    address(store, SANDBOX).note(1.0)
    assert address(store, SANDBOX.replace("8924", "9001")).host == "127.0.0.1:9001"


def test_a_new_webhook_of_the_same_portal_is_the_same_portal(store: Store) -> None:
    address(store, CLIENT).note(1.0)
    assert address(store, CLIENT.replace("secretsecret", "othersecret")).host == "client.bitrix24.ru"


def test_a_rename_is_followed_and_remembered(store: Store) -> None:
    first = address(store, CLIENT)
    first.note(1.0)
    first.follow("https://renamed.bitrix24.ru/rest/9/other/", 2.0)
    assert first.url("profile") == "https://renamed.bitrix24.ru/rest/1/secretsecret/profile.json"
    assert address(store, CLIENT).host == "renamed.bitrix24.ru"


def test_after_a_rename_the_new_host_in_the_configuration_is_no_surprise(store: Store) -> None:
    address(store, CLIENT).follow("https://renamed.bitrix24.ru/", 1.0)
    assert address(store, CLIENT.replace("client.", "renamed.")).host == "renamed.bitrix24.ru"
    with pytest.raises(ConfigError):
        address(store, CLIENT.replace("client.", "third."))


@pytest.mark.parametrize(
    ("webhook", "target"),
    [
        (CLIENT, "https://new.bitrix24.ru/"),
        (CLIENT, "https://NEW.Bitrix24.RU/"),
        ("https://crm.example.com/rest/1/secretsecret/", "https://portal.example.com/"),
        ("https://x.bitrix24.com.br/rest/1/secretsecret/", "https://y.bitrix24.com.br/"),
        (SANDBOX, "http://127.0.0.2:9000/"),
        (SANDBOX, "http://localhost:9000/"),
        (SANDBOX, "http://[::1]:9000/"),
        ("https://crm.abc.ru/rest/1/secretsecret/", "https://b24.abc.ru/"),
    ],
)
def test_the_same_family_is_followed(store: Store, webhook: str, target: str) -> None:
    found = address(store, webhook)
    found.follow(target, 1.0)
    assert found.host.lower() in target.lower()


@pytest.mark.parametrize(
    ("webhook", "target"),
    [
        (CLIENT, "https://new.bitrix24.com/"),
        (CLIENT, "https://bitrix24.ru/"),
        (CLIENT, "https://evil-bitrix24.ru/"),
        (CLIENT, "https://new.bitrix24.ru.evil.com/"),
        (CLIENT, "https://new.bitrix24.ru@evil.com/"),
        (CLIENT, "http://new.bitrix24.ru/"),
        (CLIENT, "//new.bitrix24.ru/"),
        (CLIENT, "https://127.0.0.1/"),
        (CLIENT, "https:///rest/1/x/"),
        (CLIENT, "https://[broken/"),
        (SANDBOX, "http://client.bitrix24.ru/"),
        ("https://example.com/rest/1/secretsecret/", "https://evil.com/"),
        ("https://example.co.uk/rest/1/secretsecret/", "https://evil.co.uk/"),
        ("https://example.com.ua/rest/1/secretsecret/", "https://evil.com.ua/"),
        ("https://10.0.0.5/rest/1/secretsecret/", "https://11.0.0.5/"),
    ],
)
def test_anything_else_is_blocked_with_the_host_it_wanted(store: Store, webhook: str, target: str) -> None:
    found = address(store, webhook)
    before = found.host
    with pytest.raises(PortalBlocked, match="hosts"):
        found.follow(target, 1.0)
    assert found.host == before
    assert address(store, webhook).host == before, "nothing of it is remembered"


def test_a_host_that_the_configuration_names_is_followed(store: Store) -> None:
    found = address(store, CLIENT, "Portal.Example.com")
    found.follow("https://portal.example.com/", 1.0)
    assert found.host == "portal.example.com"


def test_a_login_in_a_redirect_does_not_come_along(store: Store) -> None:
    found = address(store, CLIENT)
    found.follow("https://user:password@new.bitrix24.ru:8443/", 1.0)
    assert found.host == "new.bitrix24.ru:8443"
