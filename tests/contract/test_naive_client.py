"""A client without any limiter meets both limits of the portal (settings/performance/limits.md)."""

from __future__ import annotations

import requests
from sandbox_process import SandboxProcess, running_sandbox


def hammer(sandbox: SandboxProcess, method: str, params: dict[str, object], count: int) -> list[tuple[int, str]]:
    """Status and code of each of `count` calls, one right after the other."""
    answers = []
    with requests.Session() as session:
        for _ in range(count):
            answer = session.post(sandbox.url + method, json=params)
            answers.append((answer.status_code, str(answer.json().get("error", ""))))
    return answers


def test_more_than_a_burst_is_answered_with_503_and_not_executed() -> None:
    with running_sandbox() as sandbox:
        answers = hammer(sandbox, "crm.deal.add", {"fields": {"TITLE": "naive"}}, 80)
        assert answers[:50] == [(200, "")] * 50
        refused = [answer for answer in answers if answer != (200, "")]
        assert set(refused) == {(503, "QUERY_LIMIT_EXCEEDED")}
        figures = sandbox.figures()
        assert figures["refused_503"] == len(refused)
        assert figures["methods"]["crm.deal.add"]["ok"] == 80 - len(refused) == figures["items"]["DEAL"]


def test_a_method_that_used_its_budget_up_is_answered_with_429() -> None:
    # at scale 60 the limit is 0.2 s in 10 s and a call counts 0.1 s: the third crosses the line, the fourth is too much
    costs = {"crm.deal.add": 6}
    with running_sandbox(scale=60, operating_limit_s=12, request_cap_s=6000, costs=costs) as sandbox:
        answers = hammer(sandbox, "crm.deal.add", {"fields": {"TITLE": "naive"}}, 12)
        assert answers[:3] == [(200, "")] * 3
        assert (429, "OPERATION_TIME_LIMIT") in answers[3:]
        assert hammer(sandbox, "crm.deal.list", {}, 1) == [(200, "")]
        figures = sandbox.figures()
        assert figures["refused_429"] == answers.count((429, "OPERATION_TIME_LIMIT"))
        assert figures["items"]["DEAL"] == answers.count((200, ""))
