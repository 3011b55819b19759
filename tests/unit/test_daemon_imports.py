"""The daemon stays small: its processes import neither pandas nor fast-bitrix24, nor what draws charts."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pandas", "numpy", "fast_bitrix24", "matplotlib", "xlsxwriter", "python_calamine")

WORK = """
import sys
from pathlib import Path
from b24sync.daemon import serve, worker, wiring
folder = Path(sys.argv[1])
(folder / "config.toml").write_text('[portal]\\nwebhook = "http://127.0.0.1:9/rest/1/nobody/"')
with wiring.opened_daemon(folder / "config.toml", None) as daemon:
    handlers, schedules = wiring.handlers(daemon), wiring.schedules(daemon)
assert handlers and schedules
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_serve_and_worker_import_nothing_heavy(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("imports")
    words = [sys.executable, "-c", WORK, str(folder)]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300).stdout.split()
    assert "sqlalchemy" in loaded and "uvicorn" in loaded
    assert [name for name in HEAVY if name in loaded] == []
