"""What features need is said once: the codes are those that the features themselves write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from b24sync.config import build_config
from b24sync.portal.companies import GROUP_FIELD
from b24sync.portal.stage_fields import RECOUNTED
from b24sync.provisioning.features import FEATURES, enabled_features, feature_fields, labelled_fields

NORM = {"pipeline": "Проекты", "stage": "Экспертиза", "days": 5}


def needed(**tables: Any) -> set[str]:
    return {field.code for field in feature_fields(build_config(tables, Path("/somewhere")))}


def test_nothing_is_needed_before_a_feature_is_switched_on() -> None:
    assert needed() == set()
    assert [feature.name for feature in enabled_features(build_config({}, Path()))] == ["import", "import of history"]


@pytest.mark.parametrize("tables", [{"stages": {"norm": [NORM]}}, {"recount": {"country": "RU"}}])
def test_stage_control_gets_the_fields_that_the_recount_writes(tables: dict[str, Any]) -> None:
    assert needed(**tables) == set(RECOUNTED)


@pytest.mark.parametrize("tables", [{"groups": {}}, {"rules": {"client_group": {}}}])
def test_groups_get_the_company_field_that_holds_the_group(tables: dict[str, Any]) -> None:
    assert needed(**tables) == {GROUP_FIELD}


def test_a_rule_that_is_switched_off_needs_nothing() -> None:
    assert (
        needed(rules={"client_group": {"enabled": False}, "refusal": {"enabled": False, "field": "UF_CRM_NO"}}) == set()
    )
    off = build_config({"rules": {"callback": {"enabled": False}}}, Path())
    assert labelled_fields(off) == []


def test_every_feature_names_its_scopes() -> None:
    assert all(feature.scopes for feature in FEATURES)
