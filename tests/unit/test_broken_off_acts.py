"""Acts that break off between the claim and the outcome leave nothing behind that is waited for without end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import responses
from wired import Wired, wired

from b24sync.automation.engine import TookTooLong
from b24sync.bulk.acts import Acts, Made, Sending
from b24sync.errors import GiveUp, OutcomeUnknown, RetryLater, StoreError
from b24sync.portal.timeline import comments_since
from b24sync.store.ledger import DONE, PLANNED, SENT, UNKNOWN, Ledger

WHAT, KEY = "comment", "deal:1/once"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Wired]:
    with wired(tmp_path) as opened:
        yield opened


def once(site: Wired, make: Callable[[Sending], Made], found: str | None = None) -> str:
    acts = Acts(site.client, site.store, "main", site.clock)
    return acts.once(WHAT, KEY, find=lambda: Made(found) if found else None, make=make)


def state(site: Wired) -> str:
    return Ledger(site.store, "main", WHAT, site.clock).states([KEY])[KEY].state


def test_what_breaks_off_before_it_is_sent_is_planned_and_done_when_asked_again(site: Wired) -> None:
    def stopped(sending: Sending) -> Made:
        raise GiveUp("taken for a loop")

    with pytest.raises(GiveUp):
        once(site, stopped)
    assert state(site) == PLANNED
    assert once(site, lambda sending: Made("7")) == "7"


@pytest.mark.parametrize("failure", [TookTooLong(), KeyError("id")], ids=repr)
def test_what_breaks_off_after_it_was_sent_is_looked_for_when_asked_again(site: Wired, failure: BaseException) -> None:
    def broken(sending: Sending) -> Made:
        sending()
        raise failure

    with pytest.raises(type(failure)):
        once(site, broken)
    assert state(site) == UNKNOWN
    with pytest.raises(RetryLater, match="looked for again"):
        once(site, broken)
    assert once(site, broken, found="7") == "7"
    assert state(site) == DONE


def test_what_the_store_would_not_take_is_looked_for_when_asked_again(
    site: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise StoreError("database is locked")

    def make(sending: Sending) -> Made:
        sending()
        monkeypatch.setattr(Ledger, "settle", locked)
        return Made("7")

    with pytest.raises(StoreError):
        once(site, make)
    monkeypatch.undo()
    assert state(site) == SENT
    assert once(site, make, found="7") == "7"
    assert state(site) == DONE


@pytest.mark.parametrize("answer", ["", "None", "0"])
def test_an_answer_without_an_id_proves_nothing(site: Wired, answer: str) -> None:
    def make(sending: Sending) -> Made:
        sending()
        return Made(answer)

    with pytest.raises((OutcomeUnknown, RetryLater)):
        once(site, make)
    assert state(site) == UNKNOWN
    assert once(site, make, found="7") == "7"


def test_what_another_key_made_is_not_taken_for_ours(site: Wired) -> None:
    once(site, lambda sending: Made("7"))
    acts = Acts(site.client, site.store, "main", site.clock)
    ledger = Ledger(site.store, "main", WHAT, site.clock)
    ledger.begin("deal:1/twice", None)
    asked: list[float] = []

    def candidates(sent_at: float) -> list[str]:
        asked.append(sent_at)
        return ["7", "8"]

    assert acts.unclaimed(WHAT, "deal:1/twice", candidates) == "8"
    assert asked == [site.clock.wall_s()]


def comment(number: int, at: float, text: str = "Взята в работу") -> dict[str, Any]:
    return {"ID": str(number), "COMMENT": text, "CREATED": datetime.fromtimestamp(at, UTC).isoformat()}


@responses.activate
def test_a_comment_is_looked_for_since_it_was_sent_by_the_portals_clock(site: Wired) -> None:
    sent_at, ahead_s = site.clock.wall_s() - 3600, 600.0
    arrived = sent_at + ahead_s
    newest = [comment(number, arrived + 9, "Другое") for number in range(90, 40, -1)]
    older = [comment(40, arrived + 1), comment(39, arrived), comment(38, arrived - 60)]
    time = {"finish": site.clock.wall_s() + ahead_s, "duration": 0.1, "operating": 0.1}
    for rows in (newest, older):
        responses.add(
            responses.POST, site.url("crm.timeline.comment.list"), json={"result": rows, "total": 53, "time": time}
        )
    assert comments_since(site.client, 130, 5, "Взята в работу", sent_at) == ["39", "40"]
    asked = [json.loads(call.request.body or b"") for call in responses.calls]
    assert [body["start"] for body in asked] == [0, 50]
    assert asked[0]["filter"] == {"ENTITY_ID": 5, "ENTITY_TYPE": "dynamic_130"}
