"""What `doctor` says: one finding per thing looked at, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

OK, WARNING, ERROR, UNCHECKED = "ok", "warning", "error", "not checked"

CONFIG_EXIT, LATER_EXIT, BLOCKED_EXIT = 78, 75, 69
_WORST_FIRST = (BLOCKED_EXIT, CONFIG_EXIT, LATER_EXIT)


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names what was looked at; `todo` is empty where nothing is to be done."""

    check: str
    state: str
    said: str
    todo: str = ""
    exit_code: int = 0

    def as_dict(self) -> dict[str, str]:
        return {"check": self.check, "state": self.state, "said": self.said, "todo": self.todo}


def ok(check: str, said: str) -> Finding:
    return Finding(check, OK, said)


def warning(check: str, said: str, todo: str) -> Finding:
    return Finding(check, WARNING, said, todo)


def error(check: str, said: str, todo: str, exit_code: int = CONFIG_EXIT) -> Finding:
    return Finding(check, ERROR, said, todo, exit_code)


def unchecked(check: str, said: str, todo: str = "") -> Finding:
    return Finding(check, UNCHECKED, said, todo)


def exit_code_of(findings: Iterable[Finding]) -> int:
    """0 without errors; else 69 (the portal blocks us) before 78 (a person edits something) before 75 (later)."""
    codes = {finding.exit_code for finding in findings if finding.state == ERROR}
    return next((code for code in _WORST_FIRST if code in codes), 0)
