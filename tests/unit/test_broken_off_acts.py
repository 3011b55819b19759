"""Acts that break off between the claim and the outcome leave nothing behind that is waited for without end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wired import Wired, wired

from b24sync.automation.engine import TookTooLong
from b24sync.bulk.acts import Acts, Made, Sending
from b24sync.errors import GiveUp, OutcomeUnknown, RetryLater
from b24sync.store.ledger import DONE, PLANNED, UNKNOWN, Ledger

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


@pytest.mark.parametrize("answer", ["", "None", "0"])
def test_an_answer_without_an_id_proves_nothing(site: Wired, answer: str) -> None:
    def make(sending: Sending) -> Made:
        sending()
        return Made(answer)

    with pytest.raises((OutcomeUnknown, RetryLater)):
        once(site, make)
    assert state(site) == UNKNOWN
    assert once(site, make, found="7") == "7"
