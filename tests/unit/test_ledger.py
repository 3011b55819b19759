"""The ledger: a write is a row before it is sent, claimed once, and only proof ends it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from itertools import chain

import pytest
from fixed_clock import FixedClock

from b24sync.clock import SystemClock
from b24sync.store.engine import Store
from b24sync.store.ledger import (
    DONE,
    LEASE_S,
    PLANNED,
    REFUSED,
    SENT,
    UNKNOWN,
    Ledger,
    Settled,
    Write,
)
from b24sync.store.runs import PENDING, RunRow, Runs

WHAT = "deal@first-steps"


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store, "main", WHAT, SystemClock())


def plan(ledger: Ledger, *keys: str, run_id: int | None = 1) -> None:
    ledger.plan([(key, None) for key in keys], run_id)


def state(ledger: Ledger, key: str) -> str:
    return ledger.states([key])[key].state


def write(ledger: Ledger, key: str) -> Write:
    return ledger.states([key])[key]


# -- states ------------------------------------------------------------------------------------------------------


def test_a_write_is_planned_then_sent_then_done(ledger: Ledger) -> None:
    plan(ledger, "a")
    assert state(ledger, "a") == PLANNED
    assert ledger.claim(["a"]) == {"a"}
    assert write(ledger, "a").sent_at is not None
    ledger.settle([Settled("a", DONE, portal_id="15")])
    assert (write(ledger, "a").state, write(ledger, "a").portal_id) == (DONE, "15")


def test_a_claim_takes_only_what_is_still_planned(ledger: Ledger) -> None:
    plan(ledger, "a", "b", "c", "d")
    ledger.claim(["a", "b", "c"])
    ledger.settle([Settled("a", DONE, portal_id="1"), Settled("b", UNKNOWN)])
    assert ledger.claim(["a", "b", "c", "d", "never planned"]) == {"d"}


def test_planning_again_leaves_what_is_done_sent_or_unknown_and_renews_what_was_refused(ledger: Ledger) -> None:
    plan(ledger, "planned", "sent", "unknown", "refused", "done")
    ledger.claim(["sent", "unknown", "refused", "done"])
    ledger.settle(
        [
            Settled("unknown", UNKNOWN),
            Settled("refused", REFUSED, code="X", message="no"),
            Settled("done", DONE, portal_id="1"),
        ]
    )
    plan(ledger, "planned", "sent", "unknown", "refused", "done", run_id=2)
    found = ledger.states(["planned", "sent", "unknown", "refused", "done"])
    assert {key: (row.state, row.run_id) for key, row in found.items()} == {
        "planned": (PLANNED, 2),
        "sent": (SENT, 1),
        "unknown": (UNKNOWN, 1),
        "refused": (PLANNED, 2),
        "done": (DONE, 1),
    }
    assert (found["refused"].code, found["refused"].message) == (None, None)


def test_a_job_can_leave_a_note_with_its_intention(ledger: Ledger) -> None:
    ledger.plan([("a", {"deal": 7, "template": "Звонок"}), ("b", None)], None)
    assert write(ledger, "a").detail == {"deal": 7, "template": "Звонок"}
    assert write(ledger, "b").detail == {}


def test_thousands_of_keys_are_planned_claimed_and_settled_in_pieces(ledger: Ledger) -> None:
    keys = [f"key {number} «х»" for number in range(1700)]
    plan(ledger, *keys)
    assert ledger.claim(keys) == set(keys)
    ledger.settle([Settled(key, DONE, portal_id=str(number)) for number, key in enumerate(keys)])
    found = ledger.states(keys)
    assert [found[key].portal_id for key in keys] == [str(number) for number in range(1700)]


def test_the_pending_rows_of_a_run_are_planned_inside_the_store(store: Store, ledger: Ledger) -> None:
    runs = Runs(store, "main", SystemClock())
    run = runs.start(command="import", entity="deal", what=WHAT, file="f", fingerprint="x")
    runs.spool(run.id, [RunRow(2, "a", PENDING, "{}"), RunRow(3, "b", "refused"), RunRow(4, None, PENDING)])
    ledger.plan_run(run.id)
    assert [row.key for row in ledger.in_state(PLANNED)] == ["a"]
    ledger.claim(["a"])
    ledger.settle([Settled("a", DONE, portal_id="1")])
    ledger.plan_run(run.id)
    assert state(ledger, "a") == DONE


def test_portals_and_kinds_of_writes_do_not_see_each_other(store: Store, ledger: Ledger) -> None:
    others = [Ledger(store, "other", WHAT, SystemClock()), Ledger(store, "main", "contact@x", SystemClock())]
    plan(ledger, "a")
    for other in others:
        assert other.empty()
        assert other.claim(["a"]) == set()
        other.adopt({"a": "99"}, None)
    assert state(ledger, "a") == PLANNED
    assert not ledger.empty()


def test_rows_are_listed_by_state_and_run_oldest_first(ledger: Ledger) -> None:
    plan(ledger, "b", "a", run_id=1)
    plan(ledger, "c", run_id=2)
    ledger.claim(["a"])
    assert [row.key for row in ledger.in_state(PLANNED, SENT)] == ["b", "a", "c"]
    assert [row.key for row in ledger.in_state(PLANNED, run_id=2)] == ["c"]


# -- what ends an unknown ----------------------------------------------------------------------------------------


def test_an_unknown_that_is_found_is_done_and_one_that_is_proven_absent_is_planned_again(ledger: Ledger) -> None:
    plan(ledger, "found", "absent")
    ledger.claim(["found", "absent"])
    ledger.settle([Settled("found", UNKNOWN), Settled("absent", UNKNOWN, message="cut")])
    ledger.adopt({"found": "15"}, 1)
    ledger.plan_again([write(ledger, "absent")])
    assert (state(ledger, "found"), state(ledger, "absent")) == (DONE, PLANNED)
    assert ledger.claim(["found", "absent"]) == {"absent"}


def test_a_row_that_was_sent_again_meanwhile_is_not_planned_by_an_old_look_up(store: Store) -> None:
    clock = FixedClock()
    ledger = Ledger(store, "main", WHAT, clock)
    plan(ledger, "a")
    ledger.claim(["a"])
    ledger.settle([Settled("a", UNKNOWN)])
    looked_up = write(ledger, "a")
    ledger.plan_again([looked_up])
    clock.pass_time(70)
    ledger.claim(["a"])
    ledger.settle([Settled("a", UNKNOWN)])
    ledger.plan_again([looked_up])
    assert state(ledger, "a") == UNKNOWN, "the second sending has not been looked up yet"


def test_what_is_sent_done_or_refused_is_not_planned_again(ledger: Ledger) -> None:
    plan(ledger, "sent", "done", "refused")
    ledger.claim(["sent", "done", "refused"])
    ledger.settle([Settled("done", DONE, portal_id="1"), Settled("refused", REFUSED)])
    ledger.plan_again(list(ledger.states(["sent", "done", "refused"]).values()))
    assert [state(ledger, key) for key in ("sent", "done", "refused")] == [SENT, DONE, REFUSED]


def test_a_look_up_records_what_the_portal_has_also_for_keys_never_planned(ledger: Ledger) -> None:
    plan(ledger, "refused")
    ledger.claim(["refused"])
    ledger.settle([Settled("refused", REFUSED, code="X", message="no")])
    ledger.adopt({"refused": "7", "new": "8"}, 3)
    assert (write(ledger, "refused").state, write(ledger, "refused").portal_id) == (DONE, "7")
    assert (write(ledger, "refused").code, write(ledger, "refused").message) == (None, "found in the portal")
    assert (write(ledger, "new").state, write(ledger, "new").run_id) == (DONE, 3)


def test_a_look_up_does_not_change_an_id_that_is_known(ledger: Ledger) -> None:
    plan(ledger, "a")
    ledger.claim(["a"])
    ledger.settle([Settled("a", DONE, portal_id="5")])
    ledger.adopt({"a": "3"}, None)
    assert write(ledger, "a").portal_id == "5"


def test_a_settled_row_is_not_settled_anew_by_a_late_answer(ledger: Ledger) -> None:
    plan(ledger, "a")
    ledger.claim(["a"])
    ledger.settle([Settled("a", DONE, portal_id="5")])
    ledger.settle([Settled("a", REFUSED, code="X")])
    assert state(ledger, "a") == DONE


def test_the_moment_of_sending_can_be_set_right_after_a_wait(store: Store) -> None:
    clock = FixedClock()
    ledger = Ledger(store, "main", WHAT, clock)
    plan(ledger, "a")
    ledger.claim(["a"])
    clock.pass_time(30)
    ledger.stamp("a")
    assert write(ledger, "a").sent_at == clock.wall_s()


def test_what_somebody_removed_in_the_portal_can_be_wanted_again(ledger: Ledger) -> None:
    plan(ledger, "a", "b")
    ledger.claim(["a"])
    ledger.settle([Settled("a", DONE, portal_id="5")])
    ledger.gone("a")
    ledger.gone("b")
    assert (write(ledger, "a").state, write(ledger, "a").portal_id) == (PLANNED, None)


# -- owners ------------------------------------------------------------------------------------------------------

CLAIMER = """
import random, sys
from b24sync.clock import SystemClock
from b24sync.store.engine import open_store
from b24sync.store.ledger import Ledger
ledger = Ledger(open_store(sys.argv[1]), "main", "deal@first-steps", SystemClock())
keys = [f"k{number}" for number in range(int(sys.argv[2]))]
random.Random(sys.argv[3]).shuffle(keys)
print("ready", flush=True)
for start in range(0, len(keys), 20):
    if start <= 20:
        sys.stdin.readline()
    print(*sorted(ledger.claim(keys[start : start + 20])), flush=True)
print("end", flush=True)
sys.stdin.readline()
"""


def claimer(store: Store, keys: int, seed: int) -> subprocess.Popen[str]:
    """A process that claims k0, k1, ... in an order of its own, and lives on until it is told to go.

    It waits to be told before its first twenty and before all the others.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIMER, store.url, str(keys), str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert line(process) == "ready"
    return process


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def claimed(process: subprocess.Popen[str]) -> list[str]:
    found: list[str] = []
    while (text := line(process)) != "end":
        found += text.split()
    return found


def test_two_processes_that_claim_the_same_keys_get_each_key_once(store: Store, ledger: Ledger) -> None:
    plan(ledger, *(f"k{number}" for number in range(400)))
    both = [claimer(store, 400, seed) for seed in (1, 2)]
    for process in both:
        tell(process)
    begun = [line(process).split() for process in both]
    assert all(begun), "both had their share"
    for process in both:
        tell(process)
    rest = [claimed(process) for process in both]
    assert sorted(chain(*begun, *rest)) == sorted(f"k{number}" for number in range(400))
    for process in both:
        process.communicate("go\n", timeout=60)


def test_what_a_killed_process_had_sent_is_unknown_and_a_living_ones_is_not(store: Store, ledger: Ledger) -> None:
    plan(ledger, "k0", "k1")
    process = claimer(store, 1, 1)
    tell(process)
    assert claimed(process) == ["k0"]
    ledger.claim(["k1"])
    assert ledger.bury_dead() == 0
    assert state(ledger, "k0") == SENT
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert ledger.bury_dead() == 1
    assert (state(ledger, "k0"), state(ledger, "k1")) == (UNKNOWN, SENT)
    assert write(ledger, "k0").message == "its process died after sending"


def test_a_zombie_is_dead_although_it_has_a_pid(store: Store, ledger: Ledger) -> None:
    plan(ledger, "k0")
    process = claimer(store, 1, 1)
    tell(process)
    assert claimed(process) == ["k0"]
    process.send_signal(signal.SIGKILL)
    for _ in range(3000):
        if ledger.bury_dead():
            break
        SystemClock().sleep(0.02)
    assert state(ledger, "k0") == UNKNOWN, "nobody has waited for the process, and it is dead all the same"
    process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("owner", "after_s", "expected"),
    [
        ("elsewhere|boot-9|17|123", 0, SENT),
        ("elsewhere|boot-9|17|123", LEASE_S + 1, UNKNOWN),
        ("{host}|another-boot|17|123", 0, UNKNOWN),
        ("{host}|{boot}|1|0", 0, UNKNOWN),
    ],
)
def test_an_owner_is_gone_by_boot_pid_or_lease(store: Store, owner: str, after_s: float, expected: str) -> None:
    clock = FixedClock()
    ours = Ledger(store, "main", WHAT, clock)
    host, boot = ours.owner.split("|")[:2]
    theirs = Ledger(store, "main", WHAT, clock)
    theirs.owner = owner.format(host=host, boot=boot)
    plan(theirs, "a")
    theirs.claim(["a"])
    clock.pass_time(after_s)
    ours.bury_dead()
    assert state(ours, "a") == expected


def test_nobody_settles_what_another_process_has_sent(store: Store, ledger: Ledger) -> None:
    theirs = Ledger(store, "main", WHAT, SystemClock())
    theirs.owner = "elsewhere|boot-9|17|123"
    plan(ledger, "a")
    theirs.claim(["a"])
    ledger.settle([Settled("a", REFUSED, code="X")])
    assert state(ledger, "a") == SENT


@pytest.mark.parametrize("seed", range(5))
def test_no_order_of_events_writes_a_key_twice(store: Store, seed: int) -> None:
    """Random steps of two owners, one of which dies now and then; the portal is a set of executed keys."""
    rng = random.Random(seed)
    clock = FixedClock()
    executed: list[str] = []
    ours, theirs = (Ledger(store, "main", WHAT, clock) for _ in range(2))
    theirs.owner = "elsewhere|boot-9|17|123"
    keys = [f"k{number}" for number in range(8)]
    for _ in range(300):
        actor = rng.choice([ours, theirs])
        chosen = rng.sample(keys, 3)
        match rng.choice(["plan", "send", "send", "lose", "look up", "bury"]):
            case "plan":
                plan(actor, *chosen)
            case "send":
                taken = actor.claim(chosen)
                executed += taken
                actor.settle([Settled(key, DONE, portal_id="1") for key in taken])
            case "lose":
                taken = actor.claim(chosen)
                executed += [key for key in taken if rng.random() < 0.5]
                if rng.random() < 0.5:
                    actor.settle([Settled(key, UNKNOWN) for key in taken])
            case "look up":
                rows = list(actor.in_state(UNKNOWN))
                actor.adopt({row.key: "1" for row in rows if row.key in executed}, None)
                actor.plan_again([row for row in rows if row.key not in executed])
            case "bury":
                clock.pass_time(rng.choice([1, LEASE_S + 1]))
                actor.bury_dead()
    assert len(executed) == len(set(executed))
    assert len(executed) >= 4


def test_notes_stay_until_they_are_replaced_and_what_is_gone_may_be_planned_anew(ledger: Ledger) -> None:
    ledger.plan([("a", {"fields": ["title"]}), ("b", None)], 1)
    ledger.claim(["a", "b"])
    ledger.settle([Settled("a", DONE, portal_id="5"), Settled("b", DONE, portal_id="6", detail={"n": 1})])
    assert [write.detail for write in ledger.states(["a", "b"]).values()] == [{"fields": ["title"]}, {"n": 1}]
    ledger.note({"a": {"n": 2}})
    assert ledger.states(["a"])["a"].detail == {"n": 2}
    ledger.gone("a", "b", code="UNDONE", message="deleted")
    found = ledger.states(["a", "b"])
    assert {(w.state, w.portal_id, w.code) for w in found.values()} == {(PLANNED, None, "UNDONE")}
    ledger.plan([("a", None)], 2)
    assert (ledger.states(["a"])["a"].run_id, ledger.states(["a"])["a"].code) == (2, None)


def test_what_another_run_left_open_is_waited_out(store: Store) -> None:
    clock = FixedClock()
    ledger = Ledger(store, "main", WHAT, clock)
    ledger.plan([("a", None), ("b", None)], 1)
    ledger.claim(["a"])
    began = clock.wall_s()
    ledger.wait_out(65.0, but_run=1)
    assert clock.wall_s() == began
    ledger.wait_out(65.0, but_run=2)
    assert clock.wall_s() - began == pytest.approx(65.0)
