"""Figures of the long tests, for docs/reliability: raw counts with the commit and the machine they belong to."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rehearsal import REQUEST_CAP_S, SCALE
from sandbox_process import PROJECT

FOLDER = PROJECT / "docs" / "reliability"


def write_figures(name: str, jobs: Sequence[Any], totals: Mapping[str, int]) -> None:
    """Write docs/reliability/NAME.json: `totals`, and one object per job (dataclasses)."""
    figures = {
        "commit": COMMIT,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"system": platform.system(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "python": platform.python_version(),
        "sandbox": {"scale": SCALE, "request_cap_s": REQUEST_CAP_S},
        "totals": dict(totals),
        "jobs": [asdict(job) for job in jobs],
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(figures, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _commit() -> str | None:
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    return asked.stdout.strip() if asked.returncode == 0 else None


COMMIT = _commit()
"""Asked for at the start: a long run may see later ones."""
