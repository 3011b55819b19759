"""One measurement: a fresh store, a fresh sandbox, commands, and what the sandbox counted."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from subprocesses import PROJECT, Connector, Finished, Sandbox, running_sandbox

RAW = (
    "requests",
    "requests_by_method",
    "refused_503",
    "refused_429",
    "aborted",
    "undelivered",
    "peak_in_flight",
    "statuses",
    "errors",
    "variables_dropped",
    "spec_violations",
    "internal_errors",
    "duplicates_total",
)
"""Figures of the sandbox that every result keeps."""
LIBRARIES = ("b24sync", "fast_bitrix24", "b24pysdk", "requests", "SQLAlchemy", "python-calamine")


@dataclass(slots=True)
class Result:
    """One line of a case. `value` is compared with `limit` (at most); None = measured beside, without a limit."""

    name: str
    unit: str
    value: float
    limit: float | None = None
    bound: float | None = None
    """The least that the documented limits allow, where that can be said."""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times the bound it took."""
        return None if not self.bound else self.value / self.bound

    @property
    def kept(self) -> bool | None:
        """Whether the limit was kept; None without one."""
        return None if self.limit is None else self.value <= self.limit

    def as_dict(self) -> dict[str, Any]:
        """JSON shape of docs/benchmarks/*.json."""
        rounded = {key: _round(value) for key, value in asdict(self).items()}
        return {**rounded, "ratio": _round(self.ratio), "kept": self.kept}


def _round(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class Bench:
    """One sandbox, one configuration with an empty store, one mapping."""

    folder: Path
    sandbox: Sandbox
    connector: Connector
    config: Path
    mapping: Path

    def import_words(self, file: Path) -> tuple[str | Path, ...]:
        """The command that imports `file`."""
        return ("import", "run", file, "--mapping", self.mapping, "--yes", "--json")

    def run_import(self, file: Path) -> Finished:
        """Import `file` to its end."""
        return self.connector.run(*self.import_words(file))

    def raw(self) -> dict[str, Any]:
        """What the sandbox counted, once it works on nothing any more."""
        self.sandbox.wait_idle()
        figures = self.sandbox.figures()
        methods = figures["methods"]
        writes = {name: methods[name] for name in methods if name.endswith(("import", "batchImport", ".add"))}
        return {**{name: figures.get(name) for name in RAW}, "deals": figures["items"]["DEAL"], "writes": writes}


@contextmanager
def bench(
    *, scale: float = 1.0, costs: Mapping[str, float] | None = None, way: str = "auto", config: str = ""
) -> Iterator[Bench]:
    """A fresh sandbox and a fresh store, in a folder that is removed afterwards."""
    from bench.files import write_mapping

    with tempfile.TemporaryDirectory(prefix="b24sync-bench-") as name:
        folder = Path(name)
        with running_sandbox(folder, scale=scale, costs=costs) as sandbox:
            path = folder / "config.toml"
            more = f'[store]\nurl = "sqlite:///bench.db"\n\n[import]\nway = "{way}"\n{config}'
            path.write_text(f"{sandbox.toml_block}\n\n{more}", encoding="utf-8")
            mapping = write_mapping(folder / "mapping.toml")
            yield Bench(folder, sandbox, Connector(path, _quiet), path, mapping)


def _quiet(_line: str) -> None:
    """The command's own progress is not shown."""


def client_part(finished: Finished) -> dict[str, Any]:
    """What a result keeps of a command."""
    return {
        "exit_code": finished.code,
        "seconds": round(finished.seconds, 3),
        "cpu_s": round(finished.cpu_s, 3),
        "peak_rss_mb": round(finished.peak_rss_mb, 1),
        "answer": finished.answer,
        **({"said": finished.said[-5:]} if finished.code else {}),
    }


def surroundings() -> dict[str, Any]:
    """Where and of what a measurement was taken."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "b24sync", "scripts")),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
            "system": f"{platform.system()} {platform.release()}",
            "load_at_start": round(os.getloadavg()[0], 2),
        },
    }


def _git(*words: str) -> str:
    try:
        return subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def save(
    folder: Path, case: str, about: str, *, quick: bool, around: Mapping[str, Any], results: Sequence[Result]
) -> Path:
    """Write one case as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case}.json"
    body = {"case": case, "about": about, "quick": quick, **around, "results": [row.as_dict() for row in results]}
    # Where the project lies on this machine is nobody's business.
    text = json.dumps(body, ensure_ascii=False, indent=1).replace(str(PROJECT), ".")
    path.write_text(f"{text}\n", encoding="utf-8")
    return path
