"""Methods that speak about the endpoint itself: `methods`, `method.get`, `scope`, `server.time`, `app.info`.

Docs: api-reference/common/system/ (one page per method).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .auth import ALL_SCOPES, Credential
from .registry import METHODS, V3, Answer, ApiError, Call, Method, rest_method

SCOPE_CODES = """
ai_admin biconnector bizproc booking calendar call cashbox catalog contact_center crm delivery
department disk documentgenerator entity humanresources humanresources.hcmlink im imbot imconnector
imopenlines intranet landing lists log mailservice main messageservice mobile pay_system placement
pull rpa sale salescenter sign.b2e sonet_group socialnetwork task telephony timeman user user_basic
user_brief user.userfield userfieldconfig userconsent vote
"""
SCOPES = tuple(SCOPE_CODES.split())
"""Codes of api-reference/scopes/permissions.md."""


def credential_of(call: Call) -> Credential:
    """Who calls, with the scopes that were ticked (the kernel passes it in `extra`)."""
    credential = call.extra["credential"]
    assert isinstance(credential, Credential)
    return credential


def is_full(params: dict[str, Any]) -> bool:
    """`full` as true, 1 or Y."""
    return str(params.get("full", "")).lower() in {"1", "true", "y"}


@rest_method("server.time")
def server_time(call: Call) -> Answer:
    """Server time with the server's offset (api-reference/common/system/server-time.md)."""
    clock = call.portal.clock
    return Answer(datetime.fromtimestamp(clock.time(), clock.zone).isoformat(timespec="seconds"))


@rest_method("methods")
def methods(call: Call) -> Answer:
    """Names of methods: available ones, those of one scope (`scope` empty: common ones), or all with `full`.

    Docs: api-reference/common/system/methods.md.
    """
    rows: list[Method] = sorted(
        (row for row in METHODS.values() if not row.name.startswith(V3)), key=lambda row: row.name
    )
    if "scope" in call.params:
        wanted = str(call.params["scope"] or "")
        rows = [row for row in rows if (row.scope or "") == wanted]
    elif not is_full(call.params):
        credential = credential_of(call)
        rows = [row for row in rows if credential.allows(row.scope)]
    return Answer([row.name for row in rows])


@rest_method("method.get")
def method_get(call: Call) -> Answer:
    """Whether a method exists and may be called (api-reference/common/system/method-get.md)."""
    method = METHODS.get(str(call.params.get("name") or call.params.get("NAME") or "").lower())
    available = method is not None and credential_of(call).allows(method.scope)
    return Answer({"isExisting": method is not None, "isAvailable": available})


@rest_method("scope")
def scope(call: Call) -> Answer:
    """Scopes of the credential, or all with `full` (api-reference/common/system/scope.md)."""
    own = credential_of(call).scopes
    return Answer(list(SCOPES) if is_full(call.params) or ALL_SCOPES in own else sorted(own))


@rest_method("feature.get")
def feature_get(call: Call) -> Answer:
    """Whether the plan has a feature (api-reference/common/system/feature-get.md)."""
    code = call.params.get("CODE") or call.params.get("code")
    if not code:
        raise ApiError("CODE_EMPTY", "CODE can't be empty")
    lacking = str(code).lower() == "rest_offline_extended" and not call.portal.switches.offline_extended
    return Answer({"value": "N" if lacking else "Y"})


@rest_method("app.info")
def app_info(call: Call) -> Answer:
    """The calling application; a webhook has none (api-reference/common/system/app-info.md)."""
    if not call.is_app:
        raise ApiError("ACCESS_DENIED", "Access denied! Application context required")
    return Answer(
        {
            "ID": 1,
            "CODE": credential_of(call).name.removeprefix("app-"),
            "VERSION": 1,
            "STATUS": "L",
            "INSTALLED": True,
            "PAYMENT_EXPIRED": "N",
            "DAYS": None,
            "LANGUAGE_ID": "ru",
            "LICENSE": "ru_std",
            "LICENSE_TYPE": "std",
            "LICENSE_FAMILY": "std",
        }
    )
