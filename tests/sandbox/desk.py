"""An integrator's folder for one test: config, files, and the command line as a subprocess."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from forked_process import CliProcess
from rehearsal import Ended, Running
from sandbox_process import PROJECT, SandboxProcess


class Desk:
    """A folder with `config.toml` for a sandbox; `more` is appended to it as it is."""

    def __init__(self, folder: Path, sandbox: SandboxProcess, more: str = "") -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.configure(more)

    def configure(self, more: str) -> None:
        store = f'[store]\nurl = "sqlite:///{self.folder / "store.db"}"\n'
        text = "\n\n".join([self.sandbox.toml_block, store, more])
        (self.folder / "config.toml").write_text(text, encoding="utf-8")

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
        """A CSV file."""
        path = self.folder / name
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            writer.writerows(rows)
        return path

    def start(self, *words: str | Path) -> Running:
        return Running(CliProcess(["--config", self.folder / "config.toml", *words], cwd=PROJECT))

    def run(self, *words: str | Path) -> Ended:
        return self.start(*words).ended()

    def listed(self, *words: str) -> list[dict[str, Any]]:
        """Run a command that prints a list of objects."""
        ended = self.run(*words)
        assert ended.code == 0, ended
        return list(json.loads(ended.stdout.splitlines()[-1]))

    def run_import(self, file: Path, mapping: Path, *more: str) -> Ended:
        return self.run("import", "run", file, "--mapping", mapping, "--yes", "--json", *more)

    def made(self, what: str) -> int:
        """How many writes of a kind our own ledger knows to be done."""
        if not (self.folder / "store.db").exists():
            return 0
        with closing(sqlite3.connect(f"file:{self.folder / 'store.db'}?mode=ro", uri=True, timeout=30)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'writes'").fetchall():
                return 0
            query = "SELECT count(*) FROM writes WHERE what = ? AND state = 'done'"
            return int(connection.execute(query, [what]).fetchone()[0])

    def items(self, entity_type_id: int, select: str) -> list[dict[str, object]]:
        """What the portal holds."""
        return list(self.sandbox.state("items", entityTypeId=entity_type_id, select=select))
