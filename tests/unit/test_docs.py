"""The documentation names everything there is: commands, options, configuration keys, messages, links."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from pydantic import BaseModel

from b24sync.cli import cli
from b24sync.config import Config, load_config
from b24sync.importing.mapping import load_mapping
from b24sync.provisioning.blueprint import load_blueprint
from b24sync.sandbox.__main__ import parser as sandbox_parser

PROJECT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.ru.md")


def commands(group: click.Group, path: str = "b24sync") -> Iterator[tuple[str, click.Command]]:
    """Every command that can be run, with its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(cli))


def sections(page: str) -> dict[str, str]:
    """Text of a page by its `## ` headings; what stands before the first is under the empty name."""
    pieces = re.split(r"^## (.+)$", (PROJECT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {"": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_a_section_with_an_example_that_names_its_options(name: str) -> None:
    section = sections("docs/commands.md").get(name)
    assert section is not None, f"docs/commands.md has no section '## {name}'"
    assert f"$ {name}" in section, "the section shows no example"
    shown = [parameter for parameter in COMMANDS[name].params if not getattr(parameter, "hidden", False)]
    options = [option for parameter in shown for option in parameter.opts if option.startswith("-")]
    assert [option for option in options if option not in section] == []


def test_the_options_of_the_group_are_documented() -> None:
    text = sections("docs/commands.md")[""]
    options = [option for parameter in cli.params for option in parameter.opts if option.startswith("-")]
    assert len(options) >= 4
    assert [option for option in options if option not in text] == []


def test_every_option_of_the_sandbox_is_documented() -> None:
    text = "".join((PROJECT / page).read_text(encoding="utf-8") for page in ("docs/sandbox.md", "docs/commands.md"))
    options = list(sandbox_options(sandbox_parser()))
    assert "--scale" in options
    assert [option for option in options if option not in text] == []


def sandbox_options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield name
                yield from sandbox_options(child)
        else:
            yield from (option for option in action.option_strings if option.startswith("--"))


def config_keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Dotted names of every key of the configuration, `x[]` for lists of tables and `x.NAME` for named tables."""
    for name, info in model.model_fields.items():
        if info.exclude:
            continue
        key = f"{path}{info.alias or name}"
        inner = list(model_kinds(info.annotation))
        if inner:
            for kind in inner:
                yield from config_keys(kind, f"{key}.")
        else:
            yield key


def model_kinds(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from model_kinds(argument)


def keys_of_example() -> set[str]:
    """Dotted names in config.example.toml, commented ones too."""
    found: set[str] = set()
    table = ""
    for line in (PROJECT / "config.example.toml").read_text(encoding="utf-8").splitlines():
        plain = line.removeprefix("# ")
        if header := re.match(r"\[+([\w.-]+)\]+", plain):
            table = header[1]
            found.add(table)
        elif key := re.match(r"(\w+) = ", plain):
            found.add(f"{table}.{key[1]}")
    return found


def test_the_example_configuration_mentions_every_key() -> None:
    wanted = set(config_keys(Config))
    assert "import.max_change_share" in wanted and "workflows.start.trace" in wanted
    present = keys_of_example()
    named_tables = {"portals": "portals.", "rules": "rules."}
    lacking = {
        key
        for key in wanted
        if key not in present
        and not key.startswith("portals.")  # the keys of [portal] once more
        and not any(key == table and any(name.startswith(start) for name in present)
                    for table, start in named_tables.items())
    }  # fmt: skip
    assert lacking == set()
    assert any(name.startswith("portals.") for name in present)


def test_the_example_configuration_names_no_key_that_does_not_exist() -> None:
    known = set(config_keys(Config))
    heads = {key.rsplit(".", 1)[0] for key in known}
    strange = [
        key
        for key in keys_of_example()
        if key not in known and key not in heads and not key.startswith(("portals.", "rules."))
    ]
    assert strange == []


def test_the_example_configuration_loads_and_holds_no_real_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("B24SYNC_PORTAL__WEBHOOK", raising=False)
    config = load_config(PROJECT / "config.example.toml")
    assert config.webhook_of(None).endswith("/put-the-secret-here/")
    assert config.limits.plan == "standard"


def test_the_commented_keys_of_the_example_configuration_are_valid_too(tmp_path: Path) -> None:
    text = (PROJECT / "config.example.toml").read_text(encoding="utf-8")
    keys_in_comments = re.compile(r"^# (?=\w+ = |\[)", flags=re.MULTILINE)
    text = keys_in_comments.sub("", text).replace('plan = "standard"', 'plan = "custom"')
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    config = load_config(tmp_path / "config.toml")
    assert config.limits.request_cap_s == 60
    assert config.portals["client-a"].webhook_file == Path("secrets/client-a.txt")
    assert config.workflows.start[0].parameters == {"Comment": "из импорта"}


@pytest.mark.parametrize("page", READMES)
def test_the_troubleshooting_table_quotes_what_the_program_says(page: str) -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted((PROJECT / "b24sync").rglob("*.py")))
    rows = re.findall(r"^\| (`.+?) \|", (PROJECT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(rows) >= 15
    quotes = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]
    assert [quote for quote in quotes if quote not in source] == []


def test_both_readmes_have_the_same_commands_and_the_two_first_ones_at_the_top() -> None:
    blocks = [re.findall(r"```console\n(.*?)```", (PROJECT / page).read_text(encoding="utf-8"), re.DOTALL)
              for page in READMES]  # fmt: skip
    assert blocks[0] == blocks[1]
    for page in READMES:
        first = re.search(r"```shell\n(.*?)```", (PROJECT / page).read_text(encoding="utf-8"), re.DOTALL)
        assert first is not None
        assert [line.split("  ")[0] for line in first[1].splitlines()] == ["make demo", "make test"]


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "examples").rglob("*.md")]
    broken = [
        f"{page.relative_to(PROJECT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_mapping_and_blueprint_of_the_first_steps_are_valid() -> None:
    folder = PROJECT / "examples" / "first_steps"
    mapping = load_mapping(folder / "deals.toml")
    assert mapping.columns["Внутренний код"].left_out
    assert load_blueprint(folder / "blueprint.toml").pipelines[0].name == "Продажи"
