"""Make `b24sync/sandbox/spec_facts.tsv` from a folder of official method specs.

    python scripts/gen_spec.py SPEC_DIR b24sync/sandbox/spec_facts.tsv

One line per method and top-level parameter: method, parameter, required (Y / N / ?), type. A method without
parameters has one line with an empty parameter. The licence of the specs goes on top as a comment.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

REQUIRED = {True: "Y", False: "N"}


def fact_lines(spec: dict[str, Any]) -> list[str]:
    """Lines of one method. Of a nested name (`fields.X`, `x[].y`) only the head is known, not more."""
    method = spec["method"]
    facts: dict[str, tuple[str, str]] = {}
    for parameter in spec["params"]:
        name = parameter["name"]
        head = re.split(r"[.\[]", name, maxsplit=1)[0]
        if head == name:
            facts[name] = (REQUIRED.get(parameter.get("required"), "?"), parameter.get("type") or "?")
        else:
            facts.setdefault(head, ("?", "?"))
    lines = [f"{method}\t{name}\t{required}\t{kind}" for name, (required, kind) in facts.items()]
    return lines or [f"{method}\t\t\t"]


def licence_comment(folder: Path) -> list[str]:
    """The licence text of the specs as comment lines."""
    text = (folder / "LICENSE").read_text(encoding="utf-8")
    return [f"# {line}".rstrip() for line in text.strip().splitlines()]


def main(arguments: list[str]) -> int:
    """Write the table; prints how many methods it holds."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder, target = Path(arguments[0]), Path(arguments[1])
    head = [
        "# Facts taken from the method specs of the official Bitrix24 REST documentation by scripts/gen_spec.py;",
        "# do not edit. Columns: method, parameter, required (Y / N / ?), type. The specs' licence:",
        "#",
        *licence_comment(folder),
    ]
    specs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    lines = [line for spec in specs for line in fact_lines(spec)]
    target.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    print(f"{len(specs)} methods, {len(lines)} lines -> {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
