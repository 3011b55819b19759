"""`make bench`: runs the cases, writes docs/benchmarks/*.json and docs/benchmarks.md.

    python scripts/bench/run.py                       everything, about an hour and a half
    python scripts/bench/run.py --only client_cpu     one case (may be repeated)
    python scripts/bench/run.py --quick               small sizes, into build/benchmarks
    python scripts/bench/run.py --report              only the page, from the JSON files that are there

Exit code: 0 every limit was kept, 1 one was not or a case failed. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen cases; the exit code."""
    from subprocesses import ended_by_signals

    from bench.cases import CASES, Case
    from bench.measure import save, surroundings
    from bench.report import write_report

    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(prog="bench", description="Speed and memory, counted by the sandbox.")
    parser.add_argument("--only", action="append", choices=names, help="one case; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small sizes, for trying; not for docs/")
    parser.add_argument("--report", action="store_true", help="only write the page again")
    parser.add_argument("--out", type=Path, help="folder of the JSON files and, beside it, the page")
    options = parser.parse_args(arguments)
    folder: Path = options.out or PROJECT / ("build" if options.quick else "docs") / "benchmarks"

    def run(case: Case) -> bool:
        print(f"{case.name}: {case.about}", flush=True)
        around = surroundings()
        began = time.perf_counter()
        try:
            results = case.run(options.quick, lambda text: print(f"  {text} ...", flush=True))
        except RuntimeError as error:
            print(f"  FAILED: {error}", flush=True)
            return False
        for row in results:
            limit = "" if row.limit is None else f"   limit {row.limit:.3f}: {'kept' if row.kept else 'NOT KEPT'}"
            ratio = "" if row.ratio is None else f"   {row.ratio:.3f} x the bound of {row.bound:.1f}"
            print(f"    {row.name:<70} {row.value:10.3f} {row.unit}{limit}{ratio}", flush=True)
        save(folder, case.name, case.about, quick=options.quick, around=around, results=results)
        print(f"  ({time.perf_counter() - began:.0f} s)", flush=True)
        return all(row.kept is not False for row in results)

    try:
        with ended_by_signals():
            chosen = [] if options.report else [case for case in CASES if case.name in (options.only or names)]
            kept = [run(case) for case in chosen]
    except KeyboardInterrupt:
        print("bench: interrupted; what ran has been ended.", file=sys.stderr)
        return 130
    write_report(folder, folder.with_suffix(".md"), names)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT / "scripts"))
    sys.exit(main())
