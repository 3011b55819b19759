"""What each enabled feature needs of a portal: scopes, an administrator, user fields.

The one list of it: `portal apply` makes the fields, `doctor` checks all of it. A feature is enabled when its
table stands in the configuration. Scopes: api-reference/scopes/permissions.md and the methods' pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from b24sync.config import Config
from b24sync.portal.companies import GROUP_FIELD
from b24sync.portal.stage_fields import DAYS_LEFT, OVERDUE_TOTAL, PLAN_END, STAGE_START
from b24sync.provisioning.blueprint import FeatureField, FieldSpec, FieldType

GROUP_RULES = ("client_group", "client_group_task")


def _no_fields(_config: Config) -> Sequence[FieldSpec]:
    return ()


@dataclass(frozen=True, slots=True)
class Feature:
    """`scopes`: each must be ticked in the webhook; `a|b` = one of them is enough."""

    name: str
    enabled: Callable[[Config], bool]
    scopes: tuple[str, ...] = ()
    needs_admin: bool = False
    fields: Callable[[Config], Sequence[FieldSpec]] = _no_fields


def enabled_features(config: Config) -> list[Feature]:
    """Those that this configuration switches on."""
    return [feature for feature in FEATURES if feature.enabled(config)]


def feature_fields(config: Config) -> list[FieldSpec]:
    """The user fields that the enabled features need, each once."""
    found = [field for feature in enabled_features(config) for field in feature.fields(config)]
    return list({field.path: field for field in found}.values())


def rule_is_on(config: Config, name: str) -> bool:
    """Whether `[rules.NAME]` stands in the configuration and does not say `enabled = false`."""
    return name in config.rules and bool(config.rules[name].get("enabled", True))


# -- fields, by feature ---------------------------------------------------------------------------------


def _import_fields(config: Config) -> list[FieldSpec]:
    code = config.imports.history_fallback
    return [_field("deal", code, "datetime", "Создана в источнике", also=("date", "string"))] if code else []


def _trace_fields(config: Config) -> list[FieldSpec]:
    return [
        _field("deal", line.trace, "string", "След бизнес-процесса", also=get_args(FieldType))
        for line in config.workflows.start
        if line.trace
    ]


def _group_fields(_config: Config) -> list[FieldSpec]:
    return [_field("company", GROUP_FIELD, "integer", "Группа клиента (b24sync)")]


def _stage_fields(config: Config) -> list[FieldSpec]:
    own = [
        _field("deal", norm.field, "double", f"План дней: {norm.stage}", also=("integer", "string"))
        for norm in config.stages.norm
        if norm.field
    ]
    return [
        _field("deal", STAGE_START, "datetime", "Стадия начата"),
        _field("deal", PLAN_END, "datetime", "Плановое окончание стадии"),
        _field("deal", DAYS_LEFT, "double", "Дней до окончания стадии"),
        _field("deal", OVERDUE_TOTAL, "double", "Дней просрочки всего"),
        *own,
    ]


RULE_FIELDS = (
    ("callback", "UF_CRM_CALLBACK_AT", "datetime", "Дата перезвона", ("date",)),
    ("refusal", "UF_CRM_REFUSED", "boolean", "Отказ", ("enumeration",)),
)
"""Bundled rules with a parameter `field`: by default they look for this label. Last: other types they can read."""


def _rule_fields(config: Config) -> list[FieldSpec]:
    found = []
    for rule, _, kind, label, also in RULE_FIELDS:
        code = config.rules[rule].get("field") if rule_is_on(config, rule) else None
        if isinstance(code, str) and code.startswith("UF_CRM_"):
            found.append(_field("deal", code, kind, label, also=also))
    return found


def labelled_fields(config: Config) -> list[FieldSpec]:
    """Fields that enabled rules know by their label alone: needed where nothing in the portal is called so."""
    on = [row for row in RULE_FIELDS if rule_is_on(config, row[0]) and "field" not in config.rules[row[0]]]
    return [_field("deal", code, kind, label, also=also) for _, code, kind, label, also in on]


def _field(entity: str, code: str, kind: str, label: str, *, also: Sequence[str] = ()) -> FieldSpec:
    return FeatureField.model_validate(
        {"entity": entity, "code": code, "type": kind, "label": label, "also": tuple(also)}
    )


# -- which feature is on --------------------------------------------------------------------------------


def _stages_on(config: Config) -> bool:
    return bool(config.stages.norm) or "recount" in config.model_fields_set


def _groups_on(config: Config) -> bool:
    return "groups" in config.model_fields_set or any(rule_is_on(config, name) for name in GROUP_RULES)


def _rules_on(config: Config) -> bool:
    return any(rule_is_on(config, name) for name in config.rules)


def _to_disk(config: Config) -> bool:
    return any(delivery.to.startswith("disk:") for delivery in config.reports.deliver)


def _notifies(config: Config) -> bool:
    return any(delivery.notify for delivery in config.reports.deliver)


FEATURES: tuple[Feature, ...] = (
    Feature("import", lambda _config: True, ("crm", "user|user_basic|user_brief"), fields=_import_fields),
    Feature("import of history", lambda config: config.imports.history, ("crm",), needs_admin=True),
    Feature("workflows", lambda config: bool(config.workflows.start), ("bizproc",), True, _trace_fields),
    Feature("groups", _groups_on, ("sonet_group", "user"), True, _group_fields),
    Feature("stage control", _stages_on, ("crm",), fields=_stage_fields),
    Feature("rules", _rules_on, ("task", "im", "user|user_basic|user_brief"), fields=_rule_fields),
    Feature("reports on the portal's Disk", _to_disk, ("disk",)),
    Feature("report notifications", _notifies, ("im",)),
)
