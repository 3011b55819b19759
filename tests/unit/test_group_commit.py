"""Group commit: one transaction for whatever waits, an answer only after it, and none that lies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from b24sync.clock import SystemClock
from b24sync.daemon import intake as intake_module
from b24sync.daemon.intake import Intake, Senders
from b24sync.errors import StoreError
from b24sync.store import engine as engine_module
from b24sync.store import group_commit as group_module
from b24sync.store.engine import Store
from b24sync.store.group_commit import GroupCommit
from b24sync.store.jobs import DISPATCH, Jobs
from b24sync.store.lanes import Message

TOKEN = "outgoing0webhook0token0000000001"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


def message(number: int) -> Message:
    return Message("main", DISPATCH, f"ONCRMDEALUPDATE:{number}", {"n": number})


def stored(store: Store) -> set[str]:
    return {job.kind for job in Jobs(store, "main", SystemClock()).listed(events=True, limit=10_000)}


def run(play: Callable[[GroupCommit], Coroutine[Any, Any, None]], store: Store, commits: list[int]) -> GroupCommit:
    made: list[GroupCommit] = []

    async def whole() -> None:
        commit = GroupCommit(store, SystemClock(), lambda: commits.append(commit.messages))
        made.append(commit)
        await play(commit)
        await commit.close()

    asyncio.run(whole())
    return made[0]


def test_what_waits_together_is_one_transaction_and_everything_is_stored(store: Store) -> None:
    async def play(commit: GroupCommit) -> None:
        await asyncio.gather(*(commit.publish(message(number)) for number in range(300)))

    commits: list[int] = []
    commit = run(play, store, commits)
    assert (commit.messages, commit.waiting) == (300, 0)
    assert commits == [300], "all of them waited when the first commit began"
    assert len(stored(store)) == 300


def test_a_message_is_on_the_disk_when_its_caller_goes_on(store: Store) -> None:
    async def play(commit: GroupCommit) -> None:
        for number in range(5):
            await commit.publish(message(number))
            assert f"ONCRMDEALUPDATE:{number}" in await asyncio.to_thread(stored, store)

    run(play, store, [])


def test_what_still_waits_is_committed_before_the_end(store: Store) -> None:
    async def play(commit: GroupCommit) -> None:
        tasks = [asyncio.create_task(commit.publish(message(number))) for number in range(20)]
        await asyncio.sleep(0)
        for task in tasks[:10]:
            task.cancel()  # their clients have gone

    run(play, store, [])
    assert len(stored(store)) == 20


def test_too_many_waiting_messages_are_refused_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "MAX_WAITING", 3)

    async def play(commit: GroupCommit) -> None:
        results = await asyncio.gather(*(commit.publish(message(n)) for n in range(5)), return_exceptions=True)
        assert [type(result) for result in results] == [type(None)] * 3 + [StoreError] * 2

    run(play, store, [])
    assert len(stored(store)) == 3


def event(deal: int) -> bytes:
    return f"event=ONCRMDEALUPDATE&data[FIELDS][ID]={deal}&auth[application_token]={TOKEN}".encode()


def test_a_store_that_is_locked_for_longer_than_the_busy_timeout_costs_the_200_and_no_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not store.is_sqlite:
        pytest.skip("PostgreSQL's writers wait for each other without an end; the client's wait ends, see below")
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_S", 0.2)

    async def play(commit: GroupCommit) -> None:
        intake = Intake(Senders({TOKEN: "main"}), commit)
        with store.write():
            assert [status for status, _ in [await intake.take(event(1), FORM)]] == [503]
        assert [status for status, _ in [await intake.take(event(2), FORM)]] == [200]
        assert intake.counts == {("main", 503): 1, ("main", 200): 1}

    run(play, store, [])
    assert stored(store) == {"ONCRMDEALUPDATE:2"}


def test_a_client_does_not_wait_for_ever_and_what_is_committed_late_is_no_harm(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "COMMIT_S", 0.3)
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with store.write():
            locked.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(30)

    async def play(commit: GroupCommit) -> None:
        intake = Intake(Senders({TOKEN: "main"}), commit)
        try:
            assert (await intake.take(event(1), FORM))[0] == 503
        finally:
            release.set()

    run(play, store, [])
    holder.join(30)
    assert stored(store) == {"ONCRMDEALUPDATE:1"}, "a 503 says that it may not be stored, not that it is not"


def test_a_fault_of_ours_is_a_503_and_no_traceback(store: Store) -> None:
    def broken(portal: str, member_id: str) -> None:
        raise KeyError(member_id)

    async def play(commit: GroupCommit) -> None:
        intake = Intake(Senders({TOKEN: "main"}), commit, on_member=broken)
        status, text = await intake.take(event(1) + b"&auth[member_id]=x", FORM)
        assert (status, text) == (503, "the event was not stored")

    run(play, store, [])
