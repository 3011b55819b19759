"""The table of official method facts, and how it is made."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from tiny_portal import METHODS, tiny_sandbox

from b24sync.sandbox import spec
from b24sync.sandbox.limits import PLANS
from b24sync.sandbox.registry import Method

PROJECT = Path(__file__).resolve().parents[2]
SPECS = PROJECT.parent / "shared" / "bitrix24" / "spec"
TABLE = PROJECT / "b24sync" / "sandbox" / "spec_facts.tsv"


def test_the_table_has_its_licence_on_top_and_four_columns() -> None:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    head = "\n".join(line for line in lines if line.startswith("#"))
    assert "MIT License" in head
    assert "Copyright (c) 2024 Bitrix" in head
    facts = [line for line in lines if not line.startswith("#")]
    assert len(facts) > 2000
    assert {line.count("\t") for line in facts} == {3}


def test_a_good_call_breaks_nothing() -> None:
    assert spec.violations("CRM.item.batchimport", {"entityTypeId": 2, "data": [], "auth": "x"}) == ()
    assert spec.violations("crm.deal.list", {"FILTER": {}, "start": -1}) == ()


def test_missing_and_unknown_parameters_are_named() -> None:
    assert spec.violations("crm.item.get", {"entityTypeId": 2, "ID_": 5}) == (
        "crm.item.get: required id is missing",
        "crm.item.get: unknown parameter id_",
    )


def test_nothing_is_said_about_methods_without_a_spec() -> None:
    assert spec.violations("note.add", {"anything": 1}) == ()


def test_a_switch_turns_violations_into_refusals() -> None:
    add = METHODS["note.add"]
    methods = {**METHODS, "crm.item.get": Method("crm.item.get", add.handler, None, False, True, False)}
    body: dict[str, Any] = {"TEXT": "a", "entityTypeId": 2, "id": 1}
    with tiny_sandbox(plan=PLANS["off"]) as sandbox:
        sandbox.engine.methods = sandbox.engine.executor.methods = methods
        url = sandbox.webhook_url + "crm.item.get"
        assert requests.post(url, json=body, timeout=60).status_code == 200
        assert sandbox.calls.figures()["spec_violations_by_text"] == {"crm.item.get: unknown parameter text": 1}
        sandbox.switches.set("spec_refuses", True)
        refused = requests.post(url, json=body, timeout=60)
        assert (refused.status_code, refused.json()["error"]) == (400, "ERROR_SPEC_VIOLATION")


def generate(monkeypatch: pytest.MonkeyPatch, folder: Path, target: Path) -> int:
    script = PROJECT / "scripts" / "gen_spec.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(folder), str(target)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    return int(end.value.code or 0)


def test_the_generator_writes_a_line_per_parameter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = [
        {"name": "id", "type": "integer", "required": True},
        {"name": "fields.CONTACT_ID", "type": "integer", "required": True},
        {"name": "order", "required": "unknown"},
    ]
    (tmp_path / "LICENSE").write_text("MIT License\n\nCopyright (c) 2000 Somebody\n", encoding="utf-8")
    (tmp_path / "x.y.json").write_text(json.dumps({"method": "x.y", "params": params}), encoding="utf-8")
    (tmp_path / "x.z.json").write_text(json.dumps({"method": "x.z", "params": []}), encoding="utf-8")
    assert generate(monkeypatch, tmp_path, tmp_path / "out.tsv") == 0
    lines = (tmp_path / "out.tsv").read_text(encoding="utf-8").splitlines()
    assert "# Copyright (c) 2000 Somebody" in lines
    facts = [line for line in lines if not line.startswith("#")]
    assert facts == ["x.y\tid\tY\tinteger", "x.y\tfields\t?\t?", "x.y\torder\t?\t?", "x.z\t\t\t"]


@pytest.mark.shared
def test_the_table_is_what_the_generator_makes_of_the_official_specs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not SPECS.is_dir():
        pytest.skip("the official method specs are not beside the project")
    assert generate(monkeypatch, SPECS, tmp_path / "out.tsv") == 0
    assert (tmp_path / "out.tsv").read_bytes() == TABLE.read_bytes()
