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
    # 480 s in 600 s at scale 600 are 0.8 s in 1 s; each call costs 60 s, so the tenth is one too many
    with running_sandbox(scale=600, request_cap_s=6000, costs={"crm.deal.add": 60}) as sandbox:
        answers = hammer(sandbox, "crm.deal.add", {"fields": {"TITLE": "naive"}}, 12)
        assert answers[:9] == [(200, "")] * 9
        assert (429, "OPERATION_TIME_LIMIT") in answers[9:]
        assert hammer(sandbox, "crm.deal.list", {}, 1) == [(200, "")]
        figures = sandbox.figures()
        assert figures["refused_429"] == answers.count((429, "OPERATION_TIME_LIMIT"))
        assert figures["items"]["DEAL"] == answers.count((200, ""))
