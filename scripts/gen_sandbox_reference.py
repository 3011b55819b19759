"""Make `docs/sandbox-reference.md`: every method, act, readable state and switch of the sandbox, out of its own code.

python scripts/gen_sandbox_reference.py docs/sandbox-reference.md
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from b24sync.sandbox import methods, system_methods
from b24sync.sandbox.model.dumps import READERS
from b24sync.sandbox.registry import ACTS, METHODS
from b24sync.sandbox.switches import Switches

HEAD = """# The sandbox: methods, acts, states, switches

Made by `make sandbox-reference` from the sandbox's code. How the sandbox is driven: [sandbox.md](sandbox.md).
Methods with `v3:` are those of REST 3.0, under `/rest/api/`.
"""


def words_of(thing: Callable[..., Any]) -> str:
    """First paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return [*lines, ""]


def method_rows() -> Iterable[tuple[str, ...]]:
    """Methods by family: what stands before the last dot."""
    families: dict[str, list[str]] = {}
    for method in sorted(METHODS.values(), key=lambda row: row.name):
        family, _, last = method.name.rpartition(".")
        families.setdefault(family, []).append(last)
    for family, names in families.items():
        scope = METHODS[f"{family}.{names[0]}".strip(".").lower()].scope or "-"
        yield (f"`{family or '-'}`", f"`{scope}`", ", ".join(names))


def reference() -> str:
    """The whole page."""
    assert methods.__doc__ and system_methods.__doc__, "importing them registers the methods"
    switches = ((f"`{row['name']}`", f"`{row['default']}`", row["text"], row["source"]) for row in Switches.describe())
    lines = [
        HEAD,
        "## Methods\n",
        *table(("Family", "Scope", "Methods"), method_rows()),
        "## Acts\n",
        "Things that a person does by hand: `POST /_sandbox/act/NAME` with a JSON object.\n",
        *table(("Act", "Parameters and effect"), ((f"`{name}`", words_of(ACTS[name])) for name in sorted(ACTS))),
        "## States\n",
        "`GET /_sandbox/state/NAME`.\n",
        *table(("State", "What it shows"), ((f"`{name}`", words_of(READERS[name])) for name in sorted(READERS))),
        "## Switches\n",
        "`serve --switch NAME=VALUE` or `POST /_sandbox/switches`.\n",
        *table(("Switch", "Default", "Meaning", "Source"), switches),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
