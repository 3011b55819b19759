"""`make demo`: the main job from an empty portal to the last workflow, on a sandbox, in about two minutes.

    python scripts/demo.py                                  16,000 generated deals, companies, contacts, workflows
    python scripts/demo.py --small                          the same with 400 deals
    python scripts/demo.py --file F --mapping M.toml        your own file (repeat both for several files)

Everything is written into a fresh folder, demo-out. What is promised is judged by the sandbox's own ledger
and state, never by what b24sync reports. Exit code: 0 all promises kept; 1 one was broken or a step failed;
130 interrupted. Docs: docs/sandbox.md, examples/demo/.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demo_story import FULL, SMALL, Demo
from own_file import OwnFiles, Pair
from subprocesses import PROJECT, Failed, ended_by_signals

INTERRUPTED_EXIT = 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="demo.py", description="The main job on a sandbox portal, step by step.")
    root.add_argument("--small", action="store_true", help="400 deals instead of 16,000")
    root.add_argument("--out", type=Path, default=PROJECT / "demo-out", help="folder that is emptied and filled")
    root.add_argument("--scale", type=float, default=60.0, help="how much faster than a real portal the sandbox is")
    root.add_argument("--file", type=Path, action="append", default=[], help="your own spreadsheet; may be repeated")
    root.add_argument("--mapping", type=Path, action="append", default=[], help="its mapping; one for each --file")
    root.add_argument("--blueprint", type=Path, help="fields and pipelines; default: blueprint.toml beside a mapping")
    return root


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; the exit code."""
    chosen = parser()
    options = chosen.parse_args(arguments)
    if len(options.file) != len(options.mapping):
        chosen.error("give one --mapping for each --file")
    missing = [str(path) for path in [*options.file, *options.mapping] if not path.is_file()]
    if missing:
        chosen.error(f"no such file: {', '.join(missing)}")
    try:
        with ended_by_signals():
            if options.file:
                pairs = [Pair(file, mapping) for file, mapping in zip(options.file, options.mapping, strict=True)]
                return OwnFiles(options.out, options.scale, pairs, options.blueprint).play()
            return Demo(options.out, options.scale, SMALL if options.small else FULL).play()
    except Failed as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; the sandbox and what ran against it have been ended.", file=sys.stderr)
        return INTERRUPTED_EXIT


if __name__ == "__main__":
    sys.exit(main())
