"""The daemon for the benchmarks: started on a configuration of its own, watched through /proc."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from subprocesses import PROJECT, end_process

HERE = Path(__file__).resolve().parent
TOKEN = "bench0application0token000000001"
START_S = 30.0
CONFIG = f"""
[portal]
webhook = "http://127.0.0.1:9/rest/1/nobody-is-called/"
application_tokens = ["{TOKEN}"]
[store]
url = "sqlite:///bench.db"
[daemon]
port = 0
public_url = "https://b24sync.example.ru"
"""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@contextmanager
def configured() -> Iterator[Path]:
    """A configuration in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="b24sync-bench-") as name:
        path = Path(name) / "config.toml"
        path.write_text(CONFIG, encoding="utf-8")
        yield path


@contextmanager
def started(argv: Sequence[str], pattern: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process and what the group of `pattern` caught in its first words; ended when the block is left."""
    with tempfile.NamedTemporaryFile("r", suffix=".txt", encoding="utf-8") as said:
        process = subprocess.Popen(argv, stdout=said.fileno(), stderr=said.fileno(), text=True, cwd=PROJECT)
        try:
            until = time.monotonic() + START_S
            while (match := re.search(pattern, Path(said.name).read_text(encoding="utf-8"))) is None:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{argv[:4]} did not start: {Path(said.name).read_text(encoding='utf-8')}")
                time.sleep(0.02)
            yield process, match[1]
        finally:
            end_process(process)


def b24sync(config: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "b24sync", "--config", str(config), *words]


def post(url: str, connections: int, seconds: float) -> dict[str, Any]:
    """Post events for a while; what the poster counted."""
    words = [sys.executable, str(HERE / "poster.py"), f"{url}/hooks/bitrix24", TOKEN, str(connections), f"{seconds:g}"]
    answer: dict[str, Any] = json.loads(
        subprocess.run(words, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    )
    return answer


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def peak_mb(pid: int) -> float:
    """The most memory that a process ever had."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert match is not None
    return int(match[1]) / 1024
