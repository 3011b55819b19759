"""How armed faults show in answers: planted errors, broken replies, distorted imports."""

from __future__ import annotations

import random
from collections.abc import Mapping

from .answers import Reply, error_reply, html_reply
from .execute import Outcome
from .faults import Fault
from .registry import ApiError

INTERNAL_ERROR = ApiError("INTERNAL_SERVER_ERROR", "Internal server error", status=500)


class Planted:
    """Faults of single commands inside one request: each kind hits all matching commands or the first one."""

    def __init__(self, kinds: Mapping[str, Fault]) -> None:
        self._errors = [kinds[kind] for kind in ("nested_429", "nested_error") if kind in kinds]
        self._distortions = {kind: kinds[kind] for kind in ("wrong_length", "shuffle_items") if kind in kinds}
        self._hit: set[int] = set()

    def refusal(self, method: str) -> ApiError | None:
        """The planted sub-error of a command, if it is meant."""
        for fault in self._errors:
            if fault.wants(method) and self._takes(fault):
                return planted_error(fault)
        return None

    def distort(self, method: str, outcome: Outcome) -> None:
        """Change the items[] of an import that was executed."""
        for kind, fault in self._distortions.items():
            if outcome.answer is not None and fault.wants(method) and has_items(outcome) and self._takes(fault):
                distort(method, outcome, {kind: fault})

    def _takes(self, fault: Fault) -> bool:
        if fault.params.get("which", "all") == "one" and fault.id in self._hit:
            return False
        self._hit.add(fault.id)
        return True


def planted_error(fault: Fault) -> ApiError:
    """The error that a nested_429 or nested_error fault plants."""
    if fault.kind == "nested_429":
        return ApiError("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.", status=429)
    return ApiError(
        fault.params.get("code", ""),
        str(fault.params.get("text", "Planted error")),
        status=int(fault.params.get("status", 400)),
    )


def slept_s(kinds: Mapping[str, Fault]) -> float:
    """Wall-clock seconds that a slow fault makes the request wait before it is worked on."""
    return float(kinds["slow"].params.get("after_s", 1.0)) if "slow" in kinds else 0.0


def has_items(outcome: Outcome) -> bool:
    """True for an answer whose result carries a non-empty `items` list."""
    result = outcome.answer.result if outcome.answer is not None else None
    return isinstance(result, dict) and isinstance(result.get("items"), list) and bool(result["items"])


def distort(method: str, outcome: Outcome, kinds: Mapping[str, Fault]) -> None:
    """Shorten or shuffle items[]; the rows themselves were imported as asked."""
    if outcome.answer is None or not has_items(outcome):
        return
    items = list(outcome.answer.result["items"])
    if "wrong_length" in kinds and kinds["wrong_length"].wants(method):
        items.pop()
    elif "shuffle_items" in kinds and kinds["shuffle_items"].wants(method):
        random.Random(kinds["shuffle_items"].seed).shuffle(items)
    else:
        return
    outcome.answer.result = {**outcome.answer.result, "items": items}


def broken_reply(kinds: Mapping[str, Fault], *, executed: bool) -> Reply | None:
    """The answer of a web server or a portal in trouble, if such a fault is meant for this moment."""
    for kind in ("html_502", "html_503", "error_500", "error"):
        if kind not in kinds or bool(kinds[kind].params.get("executed")) is not executed:
            continue
        if kind == "html_502":
            return html_reply(502, "Bad Gateway")
        if kind == "html_503":
            return html_reply(503, "Service Temporarily Unavailable")
        return error_reply(INTERNAL_ERROR if kind == "error_500" else planted_error(kinds[kind]))
    return None
