"""The table of outcomes, line by line, as the documentation has it (_includes/system-errors.md, limits.md)."""

from __future__ import annotations

import pytest

from b24sync.transport.outcomes import (
    CODES,
    NotSent,
    Phase,
    Reaction,
    Refused,
    Unknown,
    judge_break,
    judge_failure,
    judge_unreadable,
)
from b24sync.transport.protocol import Failure

SYSTEM_ERRORS = [
    # status, code, outcome, reaction
    (503, "QUERY_LIMIT_EXCEEDED", NotSent, Reaction.SLOW_DOWN),
    (503, "OVERLOAD_LIMIT", NotSent, Reaction.STOP),
    (429, "OPERATION_TIME_LIMIT", NotSent, Reaction.PAUSE_METHOD),
    (401, "EXPIRED_TOKEN", NotSent, Reaction.REFRESH),
    (401, "NO_AUTH_FOUND", NotSent, Reaction.STOP),
    (403, "INVALID_CREDENTIALS", NotSent, Reaction.STOP),
    (401, "INVALID_CREDENTIALS", NotSent, Reaction.STOP),
    (401, "INVALID_TOKEN", NotSent, Reaction.STOP),
    (401, "AUTHORIZATION_ERROR", NotSent, Reaction.STOP),
    (401, "APPLICATION_NOT_FOUND", NotSent, Reaction.STOP),
    (401, "ERROR_OAUTH", NotSent, Reaction.STOP),
    (402, "PAYMENT_REQUIRED", NotSent, Reaction.STOP),
    (403, "USER_ACCESS_ERROR", NotSent, Reaction.STOP),
    (500, "PORTAL_DELETED", NotSent, Reaction.STOP),
    (410, "PORTAL_DELETED", NotSent, Reaction.STOP),
    (500, "INTERNAL_SERVER_ERROR", Unknown, Reaction.NONE),
    (500, "ERROR_UNEXPECTED_ANSWER", Unknown, Reaction.NONE),
    # the answer is no, and stays no
    (400, "INVALID_REQUEST", Refused, Reaction.NONE),
    (400, "ERROR_BATCH_LENGTH_EXCEEDED", Refused, Reaction.NONE),
    (405, "ERROR_BATCH_METHOD_NOT_ALLOWED", Refused, Reaction.NONE),
    (404, "ERROR_METHOD_NOT_FOUND", Refused, Reaction.NONE),
    (403, "INSUFFICIENT_SCOPE", Refused, Reaction.NONE),
    (400, "ACCESS_DENIED", Refused, Reaction.NONE),
    (403, "WRONG_AUTH_TYPE", Refused, Reaction.NONE),
    (400, "", Refused, Reaction.NONE),
    (400, "100", Refused, Reaction.NONE),
    (200, "ERROR_ARGUMENT", Refused, Reaction.NONE),
    (400, "CRM_FIELD_ERROR_REQUIRED", Refused, Reaction.NONE),
    # a code that nobody has told us about: sent, and the server failed
    (500, "SOMETHING_NEW", Unknown, Reaction.NONE),
    (502, "", Unknown, Reaction.NONE),
]


@pytest.mark.parametrize(("status", "code", "kind", "reaction"), SYSTEM_ERRORS)
def test_a_code_has_its_outcome_and_reaction(status: int, code: str, kind: type, reaction: Reaction) -> None:
    verdict = judge_failure(Failure(code, "text"), status=status)
    assert (type(verdict.outcome), verdict.reaction) == (kind, reaction)


def test_every_line_of_the_table_is_tested_here_and_names_its_page() -> None:
    assert set(CODES) <= {code for _, code, _, _ in SYSTEM_ERRORS}
    assert [code for code, line in CODES.items() if not line.source.endswith(".md")] == []


@pytest.mark.parametrize("status", [200, 400, 429, 500, 503])
def test_the_two_meanings_of_503_are_told_apart_by_code_whatever_the_status(status: int) -> None:
    slow = judge_failure(Failure("QUERY_LIMIT_EXCEEDED", ""), status=status)
    blocked = judge_failure(Failure("OVERLOAD_LIMIT", ""), status=status)
    assert (slow.reaction, blocked.reaction) == (Reaction.SLOW_DOWN, Reaction.STOP)


def test_codes_that_stop_everything_say_what_a_person_has_to_do() -> None:
    stopping = [code for code, line in CODES.items() if line.reaction is Reaction.STOP]
    assert len(stopping) >= 8
    assert [code for code in stopping if not judge_failure(Failure(code, ""), status=401).advice] == []


def test_a_missing_plan_stops_and_a_missing_right_of_one_method_does_not() -> None:
    plan = judge_failure(Failure("ACCESS_DENIED", "REST API is available only on commercial plans"), status=403)
    right = judge_failure(Failure("ACCESS_DENIED", "Access denied!"), status=403)
    assert (type(plan.outcome), plan.reaction) == (NotSent, Reaction.STOP)
    assert (right.outcome, right.reaction) == (Refused("ACCESS_DENIED", "Access denied!"), Reaction.NONE)


@pytest.mark.parametrize("code", ["INVALID_CREDENTIALS", "NO_AUTH_FOUND"])
def test_inside_a_batch_these_words_are_one_methods_and_not_the_credentials_end(code: str) -> None:
    verdict = judge_failure(Failure(code, "no right to import"), status=400, nested=True)
    assert (verdict.outcome, verdict.reaction) == (Refused(code, "no right to import"), Reaction.NONE)


def test_a_time_limit_inside_a_batch_is_not_executed_and_pauses_the_method() -> None:
    verdict = judge_failure(Failure("OPERATION_TIME_LIMIT", "x"), status=400, nested=True)
    assert (type(verdict.outcome), verdict.reaction) == (NotSent, Reaction.PAUSE_METHOD)


@pytest.mark.parametrize("status", [200, 403, 500, 502, 503, 504])
def test_a_body_that_is_not_the_portals_json_leaves_the_outcome_unknown(status: int) -> None:
    verdict = judge_unreadable(status=status, what="HTML")
    assert verdict.outcome == Unknown(f"status {status} with HTML instead of JSON")


def test_a_break_before_the_request_left_is_not_sent_and_any_later_one_is_unknown() -> None:
    assert judge_break(Phase.CONNECT, "refused").outcome == NotSent("NOT_CONNECTED", "refused")
    assert isinstance(judge_break(Phase.SEND, "reset").outcome, Unknown)
