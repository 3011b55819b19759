"""The configuration: closed, every mistake at once, secrets from anywhere and told nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from b24sync.config import Config, build_config, check_webhook_url, load_config, seconds_of
from b24sync.errors import ConfigError

SECRET = "wEbHo0kSeCrEt77"
WEBHOOK = f"https://example.bitrix24.ru/rest/15/{SECRET}/"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("B24SYNC_"):
            monkeypatch.delenv(name)


def build(**tables: Any) -> Config:
    return build_config(tables, Path("/somewhere"))


def mistakes(**tables: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build(**tables)
    assert SECRET not in str(caught.value)
    return caught.value.problems


def test_an_empty_file_has_every_default() -> None:
    config = build()
    assert config.limits.plan == "standard"
    assert config.imports.conflict == "keep"
    assert config.imports.max_change_share == 0.3
    assert config.store_url() == "sqlite:////somewhere/var/b24sync.db"


def test_every_mistake_is_told_at_once_by_its_key() -> None:
    found = mistakes(
        portal={"webhook": f"https://x/{SECRET}", "timezone": "Moscow", "color": SECRET},
        limits={"plan": "gold"},
        store={"url": f"mysql://user:{SECRET}@host/db"},
        daemon={"port": 99999},
        sweep={"every": "soon"},
        workflows={"start": [{"pipeline": "A", "stage": "B"}]},
        stages={"norm": [{"pipeline": "A", "stage": "B", "days": -1}]},
        **{"import": {"way": "fast", "max_change_share": 2}, "typo": 1},
    )
    keys = {problem.split(":")[0] for problem in found}
    assert keys == {
        "portal.webhook",
        "portal.timezone",
        "portal.color",
        "limits.plan",
        "store.url",
        "daemon.port",
        "sweep.every",
        "workflows.start.0.template",
        "stages.norm.0.days",
        "import.way",
        "import.max_change_share",
        "typo",
    }
    assert "portal.color: unknown key" in found
    assert "workflows.start.0.template: missing" in found


def test_mistakes_are_told_in_the_words_of_the_file_with_the_key_that_was_probably_meant() -> None:
    assert mistakes(limits="off", store={"url": 5}, daemon={"port": "eight"}) == [
        "limits: must be a table with keys of its own",
        "store.url: must be a text, in quotes",
        "daemon.port: must be a whole number",
    ]
    assert mistakes(
        portals={"acme": {"webhok": "x"}},
        workflows={"start": [{"pipline": "A", "pipeline": "A", "stage": "B", "template": "C"}]},
        limit={},
        **{"import": {"wey": "add"}},
    ) == [
        "portals.acme.webhok: unknown key; did you mean webhook?",
        "import.wey: unknown key; did you mean way?",
        "workflows.start.0.pipline: unknown key; did you mean pipeline?",
        "limit: unknown key; did you mean limits?",
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1251", "utf-16"])
def test_files_that_other_programs_saved_are_read_or_told_how_to_save_them(tmp_path: Path, encoding: str) -> None:
    texts = {
        "config.toml": '[portal]\nwebhook_file = "hook.txt"  # Основной\n[portal.oauth]\nclient_id = "local.1"\n'
        'client_secret_file = "secret.txt"\n',
        "hook.txt": WEBHOOK + "\n",
        "secret.txt": f"{SECRET}Ж\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    config = load_config(tmp_path / "config.toml")
    for name, text in texts.items():
        (tmp_path / name).write_text(
            text, encoding="utf-8" if encoding == "cp1251" and name == "hook.txt" else encoding
        )
    asked: dict[str, Callable[[], str]] = {
        "config.toml": lambda: load_config(tmp_path / "config.toml").webhook_of(None),
        "hook.txt": lambda: config.webhook_of(None),
        "secret.txt": lambda: config.client_secret_of("main"),
    }
    for name, ask in asked.items():
        if encoding == "utf-8-sig" or (encoding, name) == ("cp1251", "hook.txt"):
            assert ask() == (f"{SECRET}Ж" if name == "secret.txt" else WEBHOOK)
            continue
        with pytest.raises(ConfigError, match=rf"{name}:? cannot be read: it is no text in UTF-8") as caught:
            ask()
        assert SECRET not in str(caught.value)


def test_durations_are_read() -> None:
    assert [seconds_of(text) for text in ("30s", "10m", "2h", "1d")] == [30, 600, 7200, 86400]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"sweep": {"every": "10"}}, "sweep.every: give a number and s, m, h or d"),
        ({"sweep": {"every": "0m"}}, "sweep.every: give a number"),
        ({"recount": {"max_duration": "4 hours"}}, "recount.max_duration: give a number"),
        ({"recount": {"cron": "61 2 * * *"}}, "recount.cron: is no schedule, such as 0 2 * * *"),
        ({"recount": {"cron": "0 0 31 2 *"}}, "recount.cron: is no schedule"),
        ({"import": {"history_fallback": "created"}}, "import.history_fallback: is not the code of a user field"),
    ],
)
def test_what_is_no_duration_schedule_or_field_is_told_before_the_night(tables: dict[str, Any], said: str) -> None:
    [found] = mistakes(**tables)
    assert found.startswith(said)


def test_a_table_of_the_wrong_type_is_a_mistake_and_no_traceback() -> None:
    assert mistakes(portal="x", limits=[1], portals={"a": 3}) != []


def test_numbers_of_limits_count_only_with_the_custom_plan() -> None:
    [found] = mistakes(limits={"plan": "enterprise", "burst": 60})
    assert 'burst count only with plan = "custom"' in found
    assert build(limits={"plan": "custom", "burst": 60}).limits.burst == 60


@pytest.mark.parametrize(
    "url",
    [
        "https://example.bitrix24.ru/rest/1/secret/",
        "https://example.bitrix24.ru/rest/1/secret",
        "https://crm.example.com:8443/rest/27/secret/",
        "http://127.0.0.1:8924/rest/1/secret/",
        "http://localhost/rest/1/secret/",
    ],
)
def test_an_incoming_webhook_is_recognised(url: str) -> None:
    check_webhook_url(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.bitrix24.ru/rest/1/secret/", "must be https"),
        ("https://example.bitrix24.ru/rest/1/", "not an incoming webhook"),
        ("https://example.bitrix24.ru/rest/1/secret/profile.json", "not an incoming webhook"),
        ("https://example.bitrix24.ru/rest/admin/secret/", "not an incoming webhook"),
        ("example.bitrix24.ru/rest/1/secret/", "not an incoming webhook"),
        ("ftp://example.bitrix24.ru/rest/1/secret/", "not an incoming webhook"),
        ("", "not an incoming webhook"),
        ("https://[broken/rest/1/secret/", ""),
    ],
)
def test_what_is_no_incoming_webhook_is_told_so(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said or None):
        check_webhook_url(url)
    [problem] = mistakes(portal={"webhook": url})
    assert problem.startswith("portal.webhook: ")


def test_a_secret_is_not_shown_by_printing_the_configuration() -> None:
    config = build(portal={"webhook": WEBHOOK, "application_tokens": [SECRET]})
    assert SECRET not in repr(config) + str(config) + config.model_dump_json()
    assert config.webhook_of(None) == WEBHOOK


# -- the environment and files of their own -----------------------------------------------------------------


def test_the_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B24SYNC_PORTAL__WEBHOOK", WEBHOOK)
    monkeypatch.setenv("B24SYNC_STORE__URL", "sqlite:///elsewhere.db")
    config = build(portal={"webhook": "https://old.bitrix24.ru/rest/1/oldsecret/", "timezone": "Asia/Omsk"})
    assert config.webhook_of(None) == WEBHOOK
    assert config.portal is not None and config.portal.timezone == "Asia/Omsk"
    assert config.store_url() == "sqlite:////somewhere/elsewhere.db"


def test_the_environment_alone_makes_a_portal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B24SYNC_PORTAL__WEBHOOK", WEBHOOK)
    assert build().portal_named(None)[0] == "main"


def test_the_environment_reaches_a_named_portal_and_keeps_its_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B24SYNC_PORTALS__ACME__WEBHOOK", WEBHOOK)
    config = build(portals={"acme": {"timezone": "Asia/Omsk"}})
    assert config.webhook_of("acme") == WEBHOOK
    assert config.portals["acme"].timezone == "Asia/Omsk"


@pytest.mark.parametrize("value", [f"not json {SECRET}", f'"{SECRET}"', "[1]"])
def test_an_environment_variable_of_the_wrong_form_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("B24SYNC_PORTAL", value)
    with pytest.raises(ConfigError) as caught:
        build()
    assert "B24SYNC_PORTAL: " in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_wrong_key_of_the_environment_is_a_mistake_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B24SYNC_PORTAL__WEBHOK", WEBHOOK)
    assert mistakes() == ["portal.webhok: unknown key; did you mean webhook?"]


def test_a_webhook_in_a_file_of_its_own_is_read_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "webhook.txt").write_text(WEBHOOK.rstrip("/") + "\n", encoding="utf-8")
    (tmp_path / "config.toml").write_text('[portal]\nwebhook_file = "secrets/webhook.txt"\n', encoding="utf-8")
    assert load_config(tmp_path / "config.toml").webhook_of(None) == WEBHOOK


@pytest.mark.parametrize("content", [None, "", f"hello {SECRET}", WEBHOOK + "\n" + WEBHOOK])
def test_a_webhook_file_that_is_absent_or_holds_something_else_is_told_by_its_path(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "webhook.txt").write_text(content, encoding="utf-8")
    config = build_config({"portal": {"webhook_file": "webhook.txt"}}, tmp_path)
    with pytest.raises(ConfigError, match=r"webhook\.txt") as caught:
        config.webhook_of(None)
    assert SECRET not in str(caught.value)


def test_a_webhook_file_that_is_no_text_is_told_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "webhook.txt").write_bytes(b"\xff\xfe\x00")
    config = build_config({"portal": {"webhook_file": "webhook.txt"}}, tmp_path)
    with pytest.raises(ConfigError, match=r"webhook\.txt"):
        config.webhook_of(None)


# -- several portals -----------------------------------------------------------------------------------------

TWO = {"acme": {"webhook": WEBHOOK}, "beta": {"webhook": WEBHOOK.replace("15", "16")}}


def test_one_portal_needs_no_name_and_is_stored_as_main() -> None:
    assert build(portal={"webhook": WEBHOOK}).portal_named(None)[0] == "main"
    assert build(portals={"acme": TWO["acme"]}).portal_named(None)[0] == "acme"


def test_of_several_portals_one_has_to_be_chosen() -> None:
    config = build(portals=TWO)
    with pytest.raises(ConfigError, match="--portal: acme, beta"):
        config.portal_named(None)
    assert config.webhook_of("beta").startswith("https://example.bitrix24.ru/rest/16/")
    with pytest.raises(ConfigError, match=r"no portal 'gamma'"):
        config.portal_named("gamma")


def test_the_unnamed_portal_is_chosen_where_it_stands_beside_named_ones() -> None:
    assert build(portal={"webhook": WEBHOOK}, portals=TWO).portal_named(None)[0] == "main"


def test_main_cannot_be_said_twice() -> None:
    [found] = mistakes(portal={"webhook": WEBHOOK}, portals={"main": {"webhook": WEBHOOK}})
    assert "[portals.main] cannot stand beside it" in found


@pytest.mark.parametrize("name", ["Acme", "a b", "", "../x", "x" * 65])
def test_a_portals_name_is_small_letters_digits_and_dashes(name: str) -> None:
    assert mistakes(portals={name: {"webhook": WEBHOOK}}) != []


def test_no_portal_at_all_is_told_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"b24sync init DIR"):
        build().portal_named(None)
    with pytest.raises(ConfigError, match="has no webhook"):
        build(portal={"timezone": "Asia/Omsk"}).webhook_of(None)


# -- the file ------------------------------------------------------------------------------------------------


def test_no_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"b24sync init DIR"):
        load_config(tmp_path / "config.toml")


@pytest.mark.parametrize("content", [b"[portal", b"webhook = ", b"\xff\xfe", b'a = 1\na = "x"'])
def test_a_file_that_is_no_toml_is_told_with_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load_config(tmp_path / "config.toml")


def test_a_file_as_editors_on_windows_save_it_is_read_or_told_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[portal]\ntimezone = "Asia/Omsk"\n', encoding="utf-8-sig")
    assert load_config(path).portal_named(None)[1].timezone == "Asia/Omsk"
    path.write_bytes("# Настройки".encode("cp1251"))
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        load_config(path)


def test_a_folder_for_a_file_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text('[paths]\nblueprint = "b.toml"\n', encoding="utf-8")
    monkeypatch.chdir("/")
    config = load_config(tmp_path / "config.toml")
    assert config.paths.blueprint is not None
    assert config.resolve(config.paths.blueprint) == tmp_path / "b.toml"
    assert config.resolve(Path("/abs.toml")) == Path("/abs.toml")
    assert config.store_url() == f"sqlite:///{tmp_path}/var/b24sync.db"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "Клиент {deal.title}"}, "groups.name: knows {company.title} and {company.id}, not {deal.title}"),
        ({"name": "Клиент"}, "groups.name: must name {company.title} or {company.id}"),
        ({"description": "{}"}, "groups.description: knows"),
    ],
)
def test_texts_of_client_groups_name_what_a_company_has(table: dict[str, str], said: str) -> None:
    (problem,) = mistakes(groups=table)
    assert problem.startswith(said)


@pytest.mark.parametrize("name", ["Moscow", "", "Europe", "/etc/localtime", "../zone", "right/Europe/Moscow", "Еуропа"])
def test_what_names_no_zone_is_a_mistake(name: str) -> None:
    (problem,) = mistakes(portal={"timezone": name})
    assert problem.startswith("portal.timezone: is not the name of a time zone")
