"""What a method of the sandbox is: the contract between the HTTP kernel and the methods.

The kernel (server, batch, limits, faults) knows nothing of CRM; the methods know nothing of HTTP.
A method receives a `Call` and returns an `Answer` or raises `ApiError`; the kernel does envelopes,
batches, the `time` block, costs, limits, faults and the ledger of calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .portal import Portal


class ApiError(Exception):
    """The portal's refusal: `{"error": code, "error_description": text}` with `status`.

    Classic methods use an empty code and English text, item methods codes and localized text
    (api-reference/crm/deals/crm-deal-add.md, api-reference/crm/universal/crm-item-add.md).
    """

    def __init__(self, code: str | int, text: str, *, status: int = 400, **more: Any) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.status = status
        self.more = more
        """Further keys of the body, as `argument` beside ERROR_ARGUMENT (api-reference/user/user-add.md)."""


@dataclass(slots=True)
class Answer:
    """A method's success. `total` / `next` only for list methods; `units` is what the cost counts (rows)."""

    result: Any
    total: int | None = None
    next: int | None = None
    units: float = 1.0


@dataclass(slots=True)
class Call:
    """One command, alone or inside a batch, after decoding.

    `params` is the merged tree of query and body; `args` the same by position for the legacy
    `task.*` family (settings/how-to-call-rest-api/data-encoding.md).
    """

    method: str
    params: dict[str, Any]
    args: list[Any]
    user_id: int
    credential: str
    is_app: bool
    portal: Portal
    extra: dict[str, Any] = field(default_factory=dict)


Handler = Callable[[Call], Answer]
UnitsOf = Callable[[dict[str, Any]], float]
"""Units of a call foretold from its parameters, so that a write is waited for *before* it happens."""


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    handler: Handler
    scope: str | None
    app_only: bool
    in_batch: bool
    positional: bool
    units: UnitsOf | None = None


METHODS: dict[str, Method] = {}
"""By lower-cased name: real portals match method names without case."""

V3 = "v3:"
"""Prefix in `METHODS` of REST 3.0 methods: the same names live under /rest/api/ (api-reference/rest-v3.md)."""


class V3Error(ApiError):
    """A refusal of REST 3.0: `{"error": {"code", "message", "validation"}}` (api-reference/rest-v3.md)."""

    def __init__(self, name: str, text: str, *, status: int = 400, fields: tuple[str, ...] = ()) -> None:
        super().__init__(f"BITRIX_REST_V3_EXCEPTION_{name}", text, status=status)
        self.fields = fields


Act = Callable[["Portal", dict[str, Any]], Any]
ACTS: dict[str, Act] = {}
"""What a user of the portal can do by hand, by name: `deal.move`, `workflow.complete`, ..."""


def rest_method(
    name: str,
    *,
    scope: str | None = None,
    app_only: bool = False,
    in_batch: bool = True,
    positional: bool = False,
    units: UnitsOf | None = None,
) -> Callable[[Handler], Handler]:
    """Register a handler under its REST name. `scope` None = no scope needed (api-reference/scopes/permissions.md).

    `in_batch` False answers ERROR_BATCH_METHOD_NOT_ALLOWED inside a batch. `units` foretells the cost's
    units; without it they are the rows of a list under `data`, else 1.
    """

    def register(handler: Handler) -> Handler:
        METHODS[name.lower()] = Method(name, handler, scope, app_only, in_batch, positional, units)
        return handler

    return register


def act(name: str) -> Callable[[Act], Act]:
    """Register something that a user does by hand, reachable through the control API."""

    def register(handler: Act) -> Act:
        ACTS[name] = handler
        return handler

    return register
