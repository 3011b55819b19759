"""`Process`: one business process, the handlers of one rule file in the order in which they stand there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from b24sync.automation.params import RuleParams, User, parse_duration
from b24sync.automation.triggers import TASK_KINDS, Trigger

if TYPE_CHECKING:
    from b24sync.automation.context import Context

HandlerFunction = Callable[..., Any]
F = TypeVar("F", bound=HandlerFunction)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function of a rule file and what it waits for.

    With `check_every` it runs again and again from its cause on until it has acted; `give_up_after` ends that as a
    dead letter.
    """

    name: str
    trigger: Trigger
    function: HandlerFunction
    check_every: timedelta | None = None
    give_up_after: timedelta | None = None

    def why_not_callable(self) -> str | None:
        """Why the function cannot be called with what it will get, with its line; None where it can."""
        gets = ("item", "task", "ctx") if self.trigger.kind in TASK_KINDS else ("item", "ctx")
        # A decorator's wrapper is what is called, whatever the function in it takes.
        signature = inspect.signature(self.function, follow_wrapped=False)
        try:
            signature.bind(*gets)
        except TypeError:
            line = inspect.unwrap(self.function).__code__.co_firstlineno
            takes, wanted = (f"{self.name}({', '.join(names)})" for names in (signature.parameters, gets))
            return f"line {line}: {takes} waits for {self.trigger}, so it has to be {wanted}"
        return None


@dataclass(eq=False)
class Process:
    """A business process about one kind of item: `deal`, `lead`, `contact`, `company` or `item:<entityTypeId>`.

    `enabled`: whether it runs without a `[rules.<name>]` in the configuration. `imported`: whether items that an
    import of ours made count as new.
    """

    name: str
    entity: str
    params: type[RuleParams] = RuleParams
    enabled: bool = True
    imported: bool = False
    handlers: list[Handler] = field(default_factory=list)

    def on(
        self, trigger: Trigger, *, check_every: str | None = None, give_up_after: str | None = None
    ) -> Callable[[F], F]:
        """Register a handler: `handler(item, ctx)`, or `handler(item, task, ctx)` for causes of tasks."""
        every = parse_duration(check_every) if check_every else None
        until = parse_duration(give_up_after) if give_up_after else None
        if until is not None and every is None:
            raise ValueError("give_up_after needs check_every")

        def register(function: F) -> F:
            name = function.__name__
            if any(name == known.name and known.function is not function for known in self.handlers):
                raise ValueError(f"two handlers of {self.name} are called {name}")
            self.handlers.append(Handler(name, trigger, function, every, until))
            return function

        return register

    def entity_of(self, handler: Handler) -> str:
        """The kind of item that a handler is about."""
        return handler.trigger.entity or self.entity


def on(entity: str, trigger: Trigger, **options: str | None) -> Callable[[F], F]:
    """A rule of one function, without parameters: the process is called like the function.

    `@on("deal", changed("opportunity"))`
    """

    def register(function: F) -> F:
        process = Process(function.__name__, entity)
        function.__b24sync_process__ = process  # type: ignore[attr-defined]
        return process.on(trigger, **options)(function)

    return register


def ask(ctx: Context, question: str, *, to: User | int, text: str, options: Sequence[str]) -> None:
    """`ctx.ask` under the name that a rule file may import: `ask(ctx, "delivery", to=..., text=..., options=[...])`."""
    ctx.ask(question, to=to, text=text, options=options)
