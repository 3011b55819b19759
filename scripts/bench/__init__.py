"""Speed and memory of b24sync, counted by the sandbox. `python scripts/bench/run.py --help`; docs/benchmarks.md."""
