"""What can go wrong, sorted by what the caller has to do about it.

    B24SyncError
    |- ConfigError          a person edits a file                              exit 78
    |- StoreError           the store cannot be used: path, rights, disk       exit 78
    |- RetryLater           the same command may work later (.retry_after_s)   exit 75
    |  |- PortalUnreachable   no connection, or the answer never came
    |  `- WindowOver          the time given to a job is over, the job has more to do
    |- OutcomeUnknown       a write was sent and not answered: look before repeating   exit 75
    |- PortalRefused        the answer is no and stays no (.code, .method)     exit 78
    |- GiveUp               a rule cannot go on and a person must look: dead letter   exit 1
    |- PortalBlocked        stop calling, tell a person                        exit 69
    `- NeedsConfirmation    a plan waits for a yes and nobody is there to say it   exit 2

In bulk work an outcome is a value (`b24sync.transport.outcomes`), not an exception.
"""

from __future__ import annotations

from collections.abc import Sequence


class B24SyncError(Exception):
    """Base of everything that a person is told in one message instead of a traceback."""

    exit_code = 1


class ConfigError(B24SyncError):
    """A file that a person wrote is wrong. `problems` lists every mistake found, not the first."""

    exit_code = 78

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  - {problem}" for problem in self.problems)])


class StoreError(B24SyncError):
    """The store cannot be opened or written; nothing was sent that is not recorded."""

    exit_code = 78


class RetryLater(B24SyncError):
    """The same command may work later."""

    exit_code = 75

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LookUpPending(RetryLater):
    """A single write was sent and got no clear answer; until it can be looked up, nothing else is done."""


class AtWorkElsewhere(RetryLater):
    """Another living process is at this very write: it settles the write, or dies and leaves it to be looked up."""


class PortalUnreachable(RetryLater):
    """Not connected, or a read timed out or got a 5xx without a code, after all tries."""


class AskedTooMuch(PortalUnreachable):
    """Reads that the portal did not end within one request's time: fewer of them may do."""


class WindowOver(RetryLater):
    """The time that a job was given is over; it stops here and goes on next time."""


class OutcomeUnknown(B24SyncError):
    """A single write was sent and got no clear answer: look it up before repeating it."""

    exit_code = 75


class PortalRefused(B24SyncError):
    """The portal said no, and will say no again until something changes there or in the data."""

    exit_code = 78

    def __init__(self, method: str, code: str, text: str, *, hint: str = "") -> None:
        said = f"{code}: {text}" if code else text
        if hint:
            said = f"{said.rstrip('. ')}. {hint}"
        super().__init__(f"{method} was refused by the portal: {said}")
        self.method = method
        self.code = code
        self.text = text


class GiveUp(B24SyncError):
    """A rule says that trying again is of no use: its job becomes a dead letter, which a person sees."""


class PortalBlocked(B24SyncError):
    """The portal must not be called until a person has acted (overload block, dead credential, new host)."""

    exit_code = 69


class NeedsConfirmation(B24SyncError):
    """A plan has to be confirmed, there is no terminal and no `--yes`."""

    exit_code = 2
