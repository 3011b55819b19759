"""`python -m scripts.bench`: the same as `python scripts/bench/run.py`."""

from __future__ import annotations

import runpy
from pathlib import Path

if __name__ == "__main__":  # not in a child process of multiprocessing
    runpy.run_path(str(Path(__file__).with_name("run.py")), run_name="__main__")
