"""Client groups: a thousand companies get their groups, at the documented limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.measure import Bench, Result, bench, client_part

SCALE = 10.0
COSTS_S = {"sonet_group.create": 0.3, "user.add": 0.5, "sonet_group.user.add": 0.2, "crm.item.update": 0.1}
"""Seconds of a portal's work that we take for likely; nobody has published any."""
WORDS = ("groups", "sync", "--json")


def client_groups(quick: bool, say: Callable[[str], None]) -> list[Result]:
    """Groups of 1,000 companies with a contact each: made, and looked through once more."""
    count = 100 if quick else 1_000
    results = []
    for name, costs in (("no portal work", None), ("1.1 s of work per company", COSTS_S)):
        say(f"client groups, {count:,} companies, {name}")
        with bench(scale=SCALE, costs=costs) as made:
            made.sandbox.post("reset", {"seed": clients(count)})
            first, again = made.connector.run(*WORDS), made.connector.run(*WORDS)
            details = _checked(made, count, first.answer, again.answer)
            details |= {"client": client_part(first), "again": client_part(again)}
        refusals = float(details["sandbox"]["refused_503"] + details["sandbox"]["refused_429"])
        results += [
            Result(f"{count:,} groups, {name}", "s", first.seconds, None, None, details),
            Result(f"{count:,} groups looked through again, {name}", "s", again.seconds, None, None, {"scale": SCALE}),
            Result(f"refusals for the limits, {name}", "", refusals, 0.0, None, {"scale": SCALE}),
        ]
    return results


def clients(count: int) -> dict[str, Any]:
    """A seed of companies of the type CUSTOMER, each with one contact that has an address."""
    contacts = [
        {"entityTypeId": 3, "fields": {"name": f"N{one}", "fm": [{"typeId": "EMAIL", "value": f"c{one}@client.ru"}]}}
        for one in range(1, count + 1)
    ]
    companies = [
        {"entityTypeId": 4, "fields": {"title": f"Client {one}", "typeId": "CUSTOMER", "contactIds": [one]}}
        for one in range(1, count + 1)
    ]
    return {"items": [*contacts, *companies]}


def _checked(made: Bench, count: int, first: Any, again: Any) -> dict[str, Any]:
    """Details of a run. Raises RuntimeError unless every company has its external group and nothing was done twice."""
    raw = made.raw()
    groups = made.sandbox.figures()["groups"]
    kept = (groups["total"], groups["extranet"], groups["pending"]) == (count, count, count)
    if not kept or first["created"] != count or (again["created"], again["invited"]) != (0, 0):
        raise RuntimeError(f"{groups}, first {first}, again {again}")
    return {"companies": count, "scale": SCALE, "groups": groups, "sandbox": raw}
