"""`groups sync` on bad days: killed again and again, or with requests that go wrong. Judged by the sandbox.

One group for each company, one account and one letter for each address, whatever happens; in the end every group is
external, its contact invited, its id in the company's card.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from broken_requests import BREAKS
from clients import field_values, groups_of, guests_of, many, seed_of
from desk import Desk
from kills import Chain, kill_again_and_again
from rehearsal import REQUEST_CAP_S, SCALE
from sandbox_process import SandboxProcess, running_sandbox

WORDS = ("groups", "sync", "--json")
METHODS = ("sonet_group.create", "user.add", "sonet_group.user.add", "crm.item.update")
"""Methods that write, in the order in which they are called."""
WRITE_COST_S = 0.02
CLIENTS_PER_KILL = 20
"""Three writes each that the sandbox can be asked for: group, invitation, opening."""
OUTSIDE_THE_SPEC = {"user.add: unknown parameter extranet", "user.add: unknown parameter sonet_group_id"}
"""The page of user.add asks for both in its text and lists neither among the parameters, nor does its spec."""
READING = ("get", "list", "fields", "batch")

OPTIONS: dict[str, Any] = {
    "scale": SCALE,
    "request_cap_s": REQUEST_CAP_S * SCALE,
    "costs": dict.fromkeys(METHODS, WRITE_COST_S * SCALE),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of one job, from the sandbox."""

    job: str
    fired: int
    companies: int
    groups: int
    surplus_groups: int
    accounts: int
    letters: int
    internal: int


def play_kills(folder: Path, *, seed: int, kills: int) -> Chain:
    """Kill the command `kills` times, run it to its end, judge. Raises AssertionError that names the chain."""
    clients = CLIENTS_PER_KILL * kills
    chain = Chain("client groups", seed, 3 * clients)
    with running_sandbox(seed=seed_of(many(clients)), **OPTIONS) as sandbox:
        desk = _desk(folder, sandbox)
        try:
            kill_again_and_again(partial(desk.start, *WORDS), chain, kills, partial(_count, sandbox))
            _run_to_the_end(desk, clients)
        except AssertionError as error:
            error.add_note(f"{chain}")
            raise
        chain.held = _count(sandbox)
        verdict = _verdict("kills", sandbox)
        chain.duplicates = verdict.surplus_groups + verdict.letters - clients
        chain.lost = clients - verdict.groups
    return chain


def play_fault(folder: Path, fault: str, *, nth: int, methods: Sequence[str] = METHODS, clients: int = 40) -> Verdict:
    """One request of each of `methods` meets a fault; judge. Raises AssertionError that names the fault."""
    broken = BREAKS[fault]
    with running_sandbox(seed=seed_of(many(clients)), **OPTIONS) as sandbox:
        desk = _desk(folder, sandbox)
        for method in methods:
            sandbox.fault(broken.kind, method, nth=nth, params=dict(broken.params))
        try:
            _run_to_the_end(desk, clients)
            fired = [one["fired"] for one in sandbox.faults()]
            assert fired == [1] * len(methods), f"not every fault bit: {fired}"
        except AssertionError as error:
            error.add_note(fault)
            raise
        return _verdict(fault, sandbox)


def play_two_at_once(folder: Path, clients: int = 20) -> Verdict:
    """Two processes of one store at the same time; judge."""
    with running_sandbox(seed=seed_of(many(clients)), **OPTIONS) as sandbox:
        desk = _desk(folder, sandbox)
        ended = [one.ended() for one in [desk.start(*WORDS), desk.start(*WORDS)]]
        assert [one.code for one in ended] == [0, 0], ended
        assert_each_once(sandbox, clients)
        return _verdict("two at once", sandbox)


def _desk(folder: Path, sandbox: SandboxProcess) -> Desk:
    folder.mkdir(parents=True, exist_ok=True)
    return Desk(folder, sandbox)


def _run_to_the_end(desk: Desk, clients: int) -> None:
    """Run it, judge; run it again: nothing is left to write."""
    sandbox = desk.sandbox
    ended = desk.run(*WORDS)
    assert ended.code == 0, ended
    assert sandbox.wait_idle()
    assert_each_once(sandbox, clients)
    seen = max(int(call["seq"]) for call in sandbox.calls())
    again = desk.run(*WORDS)
    expected = {"companies": clients, "created": 0, "existing": clients, "invited": 0, "pending": clients, "refused": 0}
    assert (again.code, again.result) == (0, expected), again
    assert _writes(sandbox, seen) == [], "the last run wrote something"


def assert_each_once(sandbox: SandboxProcess, clients: int) -> None:
    """One group per company, one account and one letter per address, everything in its place."""
    groups = groups_of(sandbox)
    assert {company: len(found) for company, found in groups.items()} == dict.fromkeys(range(1, clients + 1), 1)
    assert field_values(sandbox) == {company: found[0]["id"] for company, found in groups.items()}
    for company, (group,) in groups.items():
        assert guests_of(sandbox, group) == {f"c{company}@client.ru": "Z"}, group
        assert group["extranet"] is True, group
    verdict = _verdict("", sandbox)
    assert (verdict.accounts, verdict.letters, verdict.internal) == (clients, clients, 0)
    figures = sandbox.figures()
    assert figures["internal_errors"] == 0, figures["internal_errors_texts"]
    assert figures["variables_dropped"] == 0
    assert set(figures["spec_violations_by_text"]) <= OUTSIDE_THE_SPEC


def _verdict(job: str, sandbox: SandboxProcess) -> Verdict:
    groups = sandbox.state("groups")
    marks = {group["keywords"] for group in groups}
    guests = [one for one in sandbox.state("users") if one["kind"] == "extranet"]
    letters = [mail for mail in sandbox.state("mails") if "client.ru" in json.dumps(mail)]
    return Verdict(
        job=job,
        fired=sum(int(one["fired"]) for one in sandbox.faults()),
        companies=int(sandbox.figures()["items"]["COMPANY"]),
        groups=len(marks),
        surplus_groups=len(groups) - len(marks),
        accounts=len(guests),
        letters=len(letters),
        internal=sum(not group["extranet"] for group in groups),
    )


def _count(sandbox: SandboxProcess) -> int:
    groups = sandbox.figures()["groups"]
    return int(groups["total"] + groups["pending"] + groups["extranet"])


def _writes(sandbox: SandboxProcess, since: int) -> list[str]:
    names = [str(row[1]) for call in sandbox.calls(since=since) for row in call["nested"] or [["", call["method"]]]]
    return [name for name in names if not name.endswith(READING)]
