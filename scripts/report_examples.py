"""Makes examples/reports anew: a data set imported into a sandbox, recounted and reported in every format.

    python scripts/report_examples.py ../shared/data/maven_crm_sales

The data set is "CRM Sales Opportunities" of Maven Analytics (public domain); see examples/maven_crm_sales.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from subprocesses import PROJECT, Connector, running_sandbox

SOURCE = PROJECT / "examples" / "maven_crm_sales"
TARGET = PROJECT / "examples" / "reports"
PIPELINE = "Maven"
AS_OF = "2017-12-31"
"""The last day of the data."""
OWN = '[paths]\nblueprint = "{blueprint}"\n\n[store]\nurl = "sqlite:///examples.db"\n\n{norms}'
DATES = {
    '"engage_date" = "begin_date"': '"engage_date" = { field = "created_time", format = "%Y-%m-%d" }',
    '"close_date" = "close_date"': '"close_date" = { field = "moved_time", format = "%Y-%m-%d" }',
}
"""What the mapping of the import example takes for a deal's own dates is its history here."""
REPORTS = {
    "delays": ["--responsible", "d.schlecht@example.com"],
    "responsible": ["--from", "2017-10-01", "--to", AS_OF],
    "stages": ["--from", "2017-10-01", "--to", AS_OF],
}
LANGUAGES = {"html": "ru", "xlsx": "ru", "csv": "ru", "json": "ru", "table": "en"}


def main() -> int:
    """Import, recount, report; the exit code."""
    data = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seed = SOURCE / "sandbox_seed.json"
        with running_sandbox(folder, scale=60.0, seed=_json(seed)) as sandbox:
            config = folder / "config.toml"
            norms = (TARGET / "norms.toml").read_text(encoding="utf-8")
            own = OWN.format(blueprint=SOURCE / "blueprint.toml", norms=norms)
            config.write_text(f"{sandbox.toml_block}\n\n{own}", encoding="utf-8")
            connector = Connector(config, print)
            _do(connector, "portal", "apply", "--yes")
            _do(connector, "import", "run", data / "accounts.csv", "--mapping", SOURCE / "accounts.toml", "--yes")
            mapping = folder / "pipeline.toml"
            text = (SOURCE / "pipeline.toml").read_text(encoding="utf-8")
            for old, new in DATES.items():
                text = text.replace(old, new)
            mapping.write_text(text, encoding="utf-8")
            _do(connector, "import", "run", data / "sales_pipeline.csv", "--mapping", mapping, "--yes")
            _do(connector, "recount", "--dry-run")
            for report, scope in REPORTS.items():
                for form, language in LANGUAGES.items():
                    if report == "delays" and form in ("csv", "json"):
                        continue  # the rows of the source once more
                    out = TARGET / f"{report}.{'txt' if form == 'table' else form}"
                    words = ["--pipeline", PIPELINE, "--as-of", AS_OF, *scope]
                    _do(connector, "report", report, *words, "--format", form, "--lang", language, "--out", out)
    return 0


def _json(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _do(connector: Connector, *words: str | Path) -> None:
    finished = connector.run(*words)
    if finished.code not in (0, 3):
        raise SystemExit(f"{' '.join(map(str, words))}: exit code {finished.code}\n{finished.said[-10:]}")


if __name__ == "__main__":
    sys.exit(main())
